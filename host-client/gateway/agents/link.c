/* SPDX-License-Identifier: MIT */
/* A session with an agent, and room in its region, that requests share. */
#include "host-client/gateway/agents/link.h"

#include "host-client/gateway/http/request.h"

#define TIMEOUT_NS (5 * PST_NS_PER_S)
/* The library leases extents of multiples of this. */
#define EXTENT (2ULL << 20)
/* Of the extent, for the blocks of calls: there the library has room for them
 * without asking the agent, which might be paused. Half of it is never in use,
 * so that no hole is too small. */
#define BLOCKS (512ULL << 10)
/* A block at most. */
#define BLOCK_BYTES(n) (128 + 128 * (uint64_t)(n))
/* A body keeps its room from others as long as it is younger, or faster. */
#define YOUNG_NS   (200 * PST_NS_PER_MS)
#define FAST_BYTES (1ULL << 20) /* a second */

static int fail(struct pst_gw_link *l, int r, struct pst_error *err)
{
	pst_last_error(l->c, err->text, sizeof(err->text));
	err->code = r;
	return r;
}

static uint64_t extents(uint64_t size)
{
	return size < EXTENT ? EXTENT : size / EXTENT * EXTENT;
}

/* As much of memory as there is room for. */
static int lease(struct pst_gw_link *l, uint64_t memory, struct pst_error *err)
{
	struct pst_info info = PST_INFO_INIT;
	uint64_t size;
	void *base;
	int r = pst_get_info(l->c, &info);

	if (r < 0)
		return fail(l, r, err);
	size = extents(pst_min_u64(memory, info.max_lease / 2));
	while ((r = pst_alloc(l->c, size - BLOCKS, &base)) < 0) {
		if ((r != -ENOSPC && r != -EMSGSIZE) || size == EXTENT)
			return fail(l, r, err);
		size = extents(size / 2);
	}
	pst_gw_pool_init(&l->pool, base, size - BLOCKS);
	return 0;
}

int pst_gw_link_open(const char *uri, uint64_t memory, struct pst_gw_link **ret,
		     struct pst_error *err)
{
	struct pst_options o = PST_OPTIONS_INIT;
	struct pst_gw_link *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return pst_oom(err);
	l->refs = 1;
	LIST_INIT(&l->ops);
	TAILQ_INIT(&l->uploads);
	pst_gw_pool_init(&l->pool, NULL, 0);
	o.timeout_ns = TIMEOUT_NS;
	r = pst_open(uri, &o, &l->c, err->text, sizeof(err->text));
	err->code = r;
	if (r == 0)
		r = lease(l, memory, err);
	if (r == 0 && (l->fd = pst_fd(l->c)) < 0)
		r = fail(l, l->fd, err);
	if (r < 0) {
		pst_gw_link_put(l);
		return r;
	}
	*ret = l;
	return 0;
}

struct pst_gw_link *pst_gw_link_get(struct pst_gw_link *l)
{
	l->refs++;
	return l;
}

void pst_gw_link_put(struct pst_gw_link *l)
{
	if (!l || --l->refs > 0)
		return;
	pst_close(l->c);
	pst_gw_pool_done(&l->pool);
	free(l);
}

/* ---- Room ---- */

static uint64_t bytes_a_second(const struct pst_gw_upload *u, uint64_t now_ns)
{
	return u->request->received * 1000 /
	       ((now_ns - u->since_ns) / PST_NS_PER_MS);
}

struct pst_gw_piece *pst_gw_link_room(struct pst_gw_link *l, uint64_t size)
{
	struct pst_gw_piece *p = pst_gw_pool_get(&l->pool, size);
	const uint64_t now_ns = pst_now_ns();
	struct pst_gw_upload *u, *slowest = NULL;
	uint64_t rate, least = FAST_BYTES;

	if (p)
		return p;
	TAILQ_FOREACH(u, &l->uploads, entry)
	{
		if (now_ns - u->since_ns < YOUNG_NS)
			continue;
		rate = bytes_a_second(u, now_ns);
		if (rate < least) {
			least = rate;
			slowest = u;
		}
	}
	if (slowest)
		pst_gw_conn_end(slowest->request->conn);
	return NULL;
}

void pst_gw_upload_begin(struct pst_gw_link *l, struct pst_gw_upload *u)
{
	u->since_ns = pst_now_ns();
	TAILQ_INSERT_TAIL(&l->uploads, u, entry);
}

void pst_gw_upload_end(struct pst_gw_link *l, struct pst_gw_upload *u)
{
	if (u->since_ns)
		TAILQ_REMOVE(&l->uploads, u, entry);
	u->since_ns = 0;
}

/* ---- Operations ---- */

static int submitted(struct pst_gw_link *l, struct pst_gw_op *o, int r,
		     struct pst_error *err)
{
	if (r < 0)
		return fail(l, r, err);
	o->link = pst_gw_link_get(l);
	LIST_INSERT_HEAD(&l->ops, o, entry);
	l->n_ops++;
	l->op_bytes += o->block_bytes;
	return 0;
}

int pst_gw_link_gemm(struct pst_gw_link *l, struct pst_gw_op *o,
		     const struct pst_gemm_args *g, struct pst_error *err)
{
	o->block_bytes = 0;
	return submitted(l, o, pst_submit_gemm(l->c, g, (uintptr_t)o, &o->tag),
			 err);
}

int pst_gw_link_run(struct pst_gw_link *l, struct pst_gw_op *o,
		    const struct pst_run_args *r, struct pst_error *err)
{
	o->block_bytes = BLOCK_BYTES(r->n_in + r->n_out);
	if (l->op_bytes + o->block_bytes > BLOCKS / 2)
		return pst_error_set(err, -EAGAIN,
				     "too many operations are under way");
	return submitted(l, o, pst_submit_run(l->c, r, (uintptr_t)o, &o->tag),
			 err);
}

static void end(struct pst_gw_op *o, const struct pst_completion *c)
{
	struct pst_gw_link *l = o->link;

	LIST_REMOVE(o, entry);
	l->n_ops--;
	l->op_bytes -= o->block_bytes;
	o->done(o, c);
	pst_gw_link_put(l);
}

int pst_gw_link_collect(struct pst_gw_link *l)
{
	struct pst_completion c[32];
	int i, n, all = 0;

	do {
		n = pst_poll(l->c, c, PST_ARRAY_SIZE(c));
		for (i = 0; i < n; i++)
			end((void *)(uintptr_t)c[i].user_data, &c[i]);
		all += n > 0 ? n : 0;
	} while (n == PST_ARRAY_SIZE(c));
	return all;
}

bool pst_gw_link_poll(struct pst_gw_link *l)
{
	int n = pst_gw_link_collect(l);

	if (l->lost || pst_check(l->c) == 0)
		return n > 0;
	/* All that was under way ends with it. */
	l->lost = true;
	(void)pst_gw_link_collect(l);
	return true;
}

void pst_gw_link_look(struct pst_gw_link *l, uint64_t now_ns)
{
	struct pst_gw_op *o, *next;

	for (o = LIST_FIRST(&l->ops); o; o = next) {
		next = LIST_NEXT(o, entry);
		o->look(o, now_ns);
	}
}

void pst_gw_link_abandon(struct pst_gw_link *l)
{
	const struct pst_completion c = {.status = -ECONNRESET};

	while (!LIST_EMPTY(&l->ops))
		end(LIST_FIRST(&l->ops), &c);
}
