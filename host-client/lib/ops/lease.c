/* SPDX-License-Identifier: MIT */
/* Buffers for the application: leases extents; alloc, free, take. */
#include "host-client/lib/ops/lease.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#include "host-client/lib/plain/interrupt.h"
#include "host-client/lib/session/request.h"
#include "host-client/lib/session/session_open.h"
#include "host-client/lib/session/wait.h"

/* An extent grows with what is leased already, up to this. */
#define LEASE_MAX_GROWTH (64ULL << 20)
/* The agent frees a released extent only once nothing can write to it: ask
 * again, this often, this far apart. */
#define LEASE_RETRIES  5
#define LEASE_RETRY_NS (10 * PST_NS_PER_MS)

/* Checks what the agent leased and maps it. -EPROTO is the agent's fault. */
static int add_extent(struct pst_memory *m, struct pst_channel *ch,
		      const struct pst_wire_welcome *w,
		      const struct pst_wire_lease *lease, uint64_t want,
		      struct pst_error *err)
{
	const struct pst_span span = {.off = lease->off, .size = lease->size};
	uint64_t end;
	void *addr;
	int r;

	if (span.size < want || span.size % PST_WIRE_UNIT ||
	    span.off % PST_WIRE_UNIT || span.off < w->arena_off ||
	    pst_add_overflow(span.off, span.size, &end) ||
	    end > w->arena_off + w->arena_size ||
	    pst_heap_overlaps(&m->heap, &span))
		return pst_error_set(err, -EPROTO,
				     "the agent leased an extent of a wrong "
				     "offset or size");
	r = pst_region_map_span(&m->map, &span, NULL, &addr, err);
	if (!r) {
		r = pst_heap_add(&m->heap, addr, &span);
		if (r < 0) {
			munmap(addr, span.size);
			pst_error_set(err, r, "out of memory");
		}
	}
	if (r < 0)
		(void)pst_post(ch, PST_WIRE_RELEASE, lease, sizeof(*lease));
	return r;
}

/* Leases at least want bytes (unlocks). */
static int lease(struct pst *c, uint64_t want, uint64_t deadline_ns,
		 struct pst_error *err)
{
	struct pst_wire_lease req = {.size = want}, got;
	struct pst_frame f = {.type = PST_WIRE_LEASE, .reply = true};
	PST_CLEANUP_FREE uint8_t *payload = NULL;
	uint64_t serial = c->session.serial;
	int r;

	r = pst_request(c, PST_WIRE_LEASE, &req, sizeof(req), deadline_ns,
			&payload, &f.length, err);
	if (r < 0)
		return r;
	/* The lease was the old session's. */
	if (!c->session.live || c->session.serial != serial)
		return pst_session_gone(&c->session, err);
	f.payload = payload;
	r = f.length == sizeof(got)
		    ? pst_frame_lease(&f, &got, err)
		    : pst_error_set(err, -EPROTO, "LEASE's reply is short");
	if (!r)
		r = add_extent(&c->mem, &c->channel, &c->session.welcome, &got,
			       want, err);
	if (r == -EPROTO)
		pst_channel_fail(&c->channel, r,
				 "the agent leased an extent of a wrong "
				 "offset or size");
	return r;
}

/* What to ask for: more than needed while there is little, so that small
 * buffers share an extent. */
static uint64_t lease_size(const struct pst_memory *m, uint64_t need)
{
	uint64_t max = m->limits->max_lease, size = m->heap.leased;

	if (size > LEASE_MAX_GROWTH)
		size = LEASE_MAX_GROWTH;
	size = pst_round_up(size > need ? size : need, PST_WIRE_UNIT);
	return max > m->heap.leased && size <= max - m->heap.leased ? size
								    : need;
}

/* Leases room for size bytes (unlocks): generously, then just enough, then
 * after giving back what lies empty. */
static int extend(struct pst *c, uint64_t size, uint64_t deadline_ns,
		  struct pst_error *err)
{
	uint64_t need = pst_round_up(pst_heap_room(size), PST_WIRE_UNIT);
	uint64_t want = lease_size(&c->mem, need), leased = c->mem.heap.leased;
	int r, i;

	r = lease(c, want, deadline_ns, err);
	if (want > need && (r == -ENOSPC || r == -EMSGSIZE))
		r = lease(c, need, deadline_ns, err);
	if (r != -ENOSPC && r != -EMSGSIZE)
		return r;
	pst_buffers_release(&c->mem, &c->channel, NULL);
	if (c->mem.heap.leased == leased)
		return r;
	for (i = 0; i < LEASE_RETRIES; i++) {
		r = lease(c, need, deadline_ns, err);
		if (r != -ENOSPC)
			break;
		pst_sleep(c, LEASE_RETRY_NS);
	}
	return r;
}

int pst_buffer_alloc(struct pst *c, size_t size, uint64_t deadline_ns,
		     struct pst_block **ret, struct pst_error *err)
{
	struct pst_waiter w = {.start_ns = pst_now_ns()};
	int r;

	if (size == 0)
		return pst_error_set(err, -EINVAL, "a buffer of 0 bytes");
	r = pst_conf_check_data(&c->conf, err);
	if (r < 0)
		return r;
	w.deadline_ns = pst_control_deadline(c);
	if (w.deadline_ns > deadline_ns)
		w.deadline_ns = deadline_ns;
	for (;;) {
		r = pst_session_ensure(c, w.deadline_ns, err);
		if (r < 0)
			return r;
		if (size > c->session.welcome.arena_size ||
		    size > c->session.welcome.limits.max_lease)
			return pst_error_set(
				err, -EMSGSIZE,
				"%zu bytes are above the agent's limit of %" PRIu64
				" "
				"for one session",
				size, c->session.welcome.limits.max_lease);
		r = pst_heap_alloc(&c->mem.heap, size, ret);
		if (r != -ENOSPC)
			return r < 0 ? pst_oom(err) : 0;
		if (c->mem.leasing) {
			/* What another thread gets may do for both. */
			r = pst_interrupt_check(c->mem.leasing, err);
			if (!r)
				r = pst_wait_step(c, &w, err);
			pst_wait_end(&c->sleepers);
		} else {
			c->mem.leasing = pst_interrupt_thread();
			r = extend(c, size, w.deadline_ns, err);
			c->mem.leasing = NULL;
			pst_wake_followers(&c->sleepers);
		}
		if (r < 0)
			return r;
	}
}

int pst_alloc(struct pst *c, size_t size, void **ret)
{
	struct pst_error err = {0};
	struct pst_block *b;
	int r;

	if (pst_is_forked(c))
		return pst_forked(c);
	pst_lock(c);
	r = pst_buffer_alloc(c, size, UINT64_MAX, &b, &err);
	if (!r)
		*ret = pst_block_addr(b);
	pst_unlock(c);
	return pst_fail(c, r, &err);
}

int pst_free(struct pst *c, void *ptr)
{
	struct pst_error err = {0};
	struct pst_block *b;
	int r = 0;

	if (pst_is_forked(c))
		return pst_forked(c);
	if (!ptr)
		return 0;
	pst_lock(c);
	b = pst_heap_find(&c->mem.heap, ptr, 0);
	if (!b || pst_block_addr(b) != ptr) {
		r = pst_error_set(&err, -EINVAL,
				  "the pointer is not the start of a buffer "
				  "of the connection");
	} else if (b->busy) {
		/* A completion of long ago may be what keeps it. */
		b->freed = true;
		c->mem.heap.changes++;
		pst_reap(c);
	} else {
		pst_buffer_free(&c->mem, b);
	}
	pst_unlock(c);
	return pst_fail(c, r, &err);
}
