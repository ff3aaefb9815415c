/* SPDX-License-Identifier: MIT */
/* Copies between any memory and a resident tensor, through two halves of a
 * leased buffer. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "host-client/lib/ops/call.h"
#include "host-client/lib/ops/staging.h"

/* One half: large enough that a round trip does not count, small enough to
 * stay in a cache between the two copies. */
#define PART_MAX (1U << 20)
/* Less room than this in the arena is none. */
#define PIECE_MIN (16U << 10)

/* A transfer under way. */
struct transfer {
	struct pst *c;
	bool upload;
	uint64_t tensor;
	uint64_t off;  /* in the tensor */
	uint8_t *host; /* the caller's memory */
	uint64_t n;
	uint64_t piece; /* bytes of a half */
	uint8_t *half[2];
	/* The operation that uses a half, NULL when none does. */
	struct pst_record *rec[2];
	/* What lies in a half: bytes from done on. */
	uint64_t at[2], len[2];
	struct pst_waiter w;
};

/* Submits the copy between a half and its place in the tensor. */
static int submit_half(struct transfer *t, int i, struct pst_error *err)
{
	struct pst_copy_args p = {.size = sizeof(struct pst_copy_args),
				  .n = t->len[i]};
	struct pst_call call = {0};
	int r;

	if (t->upload) {
		p.src = t->half[i];
		p.dst_tensor = t->tensor;
		p.dst_off = t->off + t->at[i];
	} else {
		p.src_tensor = t->tensor;
		p.src_off = t->off + t->at[i];
		p.dst = t->half[i];
	}
	pst_lock(t->c);
	r = pst_copy_prepare(&t->c->mem, &p, &call, err);
	if (!r)
		r = pst_call_submit(t->c, &call, true, &t->rec[i], err);
	pst_unlock(t->c);
	return r;
}

/* Waits for what uses a half, and takes what it brought. */
static int finish_half(struct transfer *t, int i, struct pst_error *err)
{
	const struct pst_lines lines = {.width = t->len[i], .n = 1};
	struct pst_record *rec = t->rec[i];
	int r;

	if (!rec)
		return 0;
	t->rec[i] = NULL;
	pst_lock(t->c);
	r = pst_call_finish(t->c, rec, &t->w, NULL, err);
	pst_unlock(t->c);
	if (r < 0 || t->upload)
		return r;
	return pst_stage_take(t->c, t->host + t->at[i], t->half[i], &lines,
			      err);
}

/* Piece by piece: while the agent copies one, the next is copied here. */
static int run_pieces(struct transfer *t, struct pst_error *err)
{
	struct pst_error ignored = {0};
	uint64_t done = 0;
	int i, r = 0;

	for (i = 0; done < t->n && !r; i = !i) {
		r = finish_half(t, i, err);
		if (r < 0)
			break;
		t->at[i] = done;
		t->len[i] = t->n - done < t->piece ? t->n - done : t->piece;
		if (t->upload)
			memcpy(t->half[i], t->host + done, t->len[i]);
		done += t->len[i];
		r = submit_half(t, i, err);
	}
	/* The older one first. */
	if (!r)
		r = finish_half(t, i, err);
	else
		(void)finish_half(t, i, &ignored);
	if (!r)
		r = finish_half(t, !i, err);
	else
		(void)finish_half(t, !i, &ignored);
	return r;
}

/* Two halves in the region. */
static uint64_t two_halves(void *arg, unsigned int tries)
{
	struct transfer *t = arg;
	const uint64_t most = t->n < PART_MAX ? t->n : PART_MAX;

	if (tries && t->piece <= PIECE_MIN)
		return 0;
	t->piece = pst_round_up(most >> tries, PST_HEAP_ALIGN);
	return 2 * t->piece;
}

static int stage(struct transfer *t, struct pst_error *err)
{
	void *mem;
	int r = pst_stage(t->c, two_halves, t, t->w.deadline_ns, &mem, err);

	if (r < 0)
		return r;
	t->half[0] = mem;
	t->half[1] = t->half[0] + t->piece;
	return 0;
}

/* Memory of the connection goes in one operation. Returns 1 when it is that
 * and was copied. */
static int run_direct(struct transfer *t, struct pst_error *err)
{
	struct pst_copy_args p = {.size = sizeof(struct pst_copy_args),
				  .n = t->n};
	struct pst_call call = {0};
	struct pst_block *b;
	int r = 0;

	p.src = t->upload ? t->host : NULL;
	p.dst = t->upload ? NULL : t->host;
	p.src_tensor = t->upload ? 0 : t->tensor;
	p.dst_tensor = t->upload ? t->tensor : 0;
	p.src_off = t->upload ? 0 : t->off;
	p.dst_off = t->upload ? t->off : 0;
	pst_lock(t->c);
	if (pst_heap_find(&t->c->mem.heap, t->host, t->n)) {
		r = pst_copy_prepare(&t->c->mem, &p, &call, err);
		if (!r)
			r = pst_call_run(t->c, &call, &t->w, NULL, err);
		if (!r)
			r = 1;
	} else if (t->n && pst_heap_dangles(&t->c->mem.heap, t->host)) {
		r = pst_buffer_find(&t->c->mem, "the host's memory", t->host, 0,
				    &b, err);
	}
	pst_unlock(t->c);
	return r;
}

/* What a staged transfer would find out only after its first piece. */
static int check(struct transfer *t, struct pst_error *err)
{
	struct pst_tentry *e;
	int r;

	pst_lock(t->c);
	r = pst_tensor_lookup(&t->c->mem,
			      t->upload ? "the destination" : "the source",
			      t->tensor, &e, err);
	if (!r && (t->off > e->size || t->n > e->size - t->off))
		r = pst_error_set(err, -EFAULT,
				  "%" PRIu64 " bytes from %" PRIu64
				  " on end behind the "
				  "tensor's %" PRIu64,
				  t->n, t->off, e->size);
	pst_unlock(t->c);
	return r;
}

static int transfer(struct transfer *t)
{
	struct pst_error err = {0};
	int r = check(t, &err);

	if (!r && t->n)
		r = run_direct(t, &err);
	if (!r && t->n) {
		r = stage(t, &err);
		if (!r)
			r = run_pieces(t, &err);
		/* While an operation uses it, it is freed when that is over. */
		if (t->half[0])
			(void)pst_free(t->c, t->half[0]);
	}
	return pst_fail(t->c, r > 0 ? 0 : r, &err);
}

int pst_upload(struct pst *c, uint64_t tensor, uint64_t off, const void *src,
	       uint64_t n, uint64_t timeout_ns)
{
	struct transfer t = {
		.c = c,
		.upload = true,
		.tensor = tensor,
		.off = off,
		/* Only read: t->upload says so. */
		.host = (uint8_t *)(uintptr_t)src,
		.n = n,
		.w = pst_waiter_new(timeout_ns),
	};

	if (pst_is_forked(c))
		return pst_forked(c);
	return transfer(&t);
}

int pst_download(struct pst *c, void *dst, uint64_t tensor, uint64_t off,
		 uint64_t n, uint64_t timeout_ns)
{
	struct transfer t = {
		.c = c,
		.tensor = tensor,
		.off = off,
		.host = dst,
		.n = n,
		.w = pst_waiter_new(timeout_ns),
	};

	if (pst_is_forked(c))
		return pst_forked(c);
	return transfer(&t);
}
