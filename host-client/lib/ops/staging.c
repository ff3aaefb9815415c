/* SPDX-License-Identifier: MIT */
/* Stages rows in the region. */
#include "host-client/lib/ops/staging.h"

#include <errno.h>
#include <string.h>

#include "host-client/lib/ops/lease.h"
#include "host-client/lib/plain/interrupt.h"
#include "host-client/lib/session/wait.h"

/*
 * After -ENOSPC: waits until memory was given back since seen (unlocks). 0: try
 * again; -ENOSPC when no other call holds any, the deadline passed, or the
 * agent is silent; -EINTR (pst_interrupt_ask()).
 */
static int wait_for_room(struct pst *c, uint64_t seen, uint64_t deadline_ns,
			 struct pst_error *err)
{
	uint64_t now, until;
	struct timespec ts;
	int r;

	/* Threads that wait for operations rely on the one that sleeps on the
	 * socket, so this thread must not be that one. */
	while (c->session.live && c->mem.heap.changes == seen) {
		r = pst_interrupt_ask(c, err);
		if (r < 0)
			return r;
		if (r)
			continue;
		/* What is marked is done before anybody sleeps over it. Nobody
		 * else may hear of operations that were given up. */
		pst_reap(c);
		pst_settle(c);
		if (!c->session.live || c->mem.heap.changes != seen)
			break;
		now = pst_now_ns();
		/* In an interrupt's function what is held may be held by the
		 * call that was interrupted. */
		if (c->mem.heap.n_staged == 0 || pst_interrupt_asks() ||
		    now >= deadline_ns ||
		    c->session.silence_ns >= c->session.dead_ns)
			return -ENOSPC;
		until = now + PST_TICK_NS;
		if (until > deadline_ns)
			until = deadline_ns;
		ts = pst_timespec(until);
		c->mem.n_room++;
		pst_mutex_wait(&c->lock, &c->mem.room, &ts);
		c->mem.n_room--;
	}
	return 0;
}

/* The first size that fits now (unlocks). */
static int try_sizes(struct pst *c, pst_stage_size_fn *size, void *arg,
		     uint64_t deadline_ns, struct pst_block **ret,
		     struct pst_error *err)
{
	unsigned int tries;
	uint64_t n;
	int r = -EMSGSIZE;

	for (tries = 0; r == -ENOSPC || r == -EMSGSIZE; tries++) {
		n = size(arg, tries);
		if (n == 0 && tries == 0)
			return pst_error_set(err, r,
					     "the arena has no room for pieces "
					     "of the operands");
		if (n == 0)
			return r;
		r = pst_buffer_alloc(c, n, deadline_ns, ret, err);
	}
	return r;
}

int pst_stage(struct pst *c, pst_stage_size_fn *size, void *arg,
	      uint64_t deadline_ns, void **ret, struct pst_error *err)
{
	struct pst_block *b;
	uint64_t seen;
	int r, waited;

	pst_lock(c);
	do {
		seen = c->mem.heap.changes;
		r = try_sizes(c, size, arg, deadline_ns, &b, err);
		waited = r == -ENOSPC ? wait_for_room(c, seen, deadline_ns, err)
				      : r;
	} while (r == -ENOSPC && waited == 0);
	if (waited == -EINTR)
		r = waited;
	if (r == 0) {
		b->staged = true;
		c->mem.heap.n_staged++;
		*ret = pst_block_addr(b);
	}
	pst_unlock(c);
	return r;
}

void pst_stage_copy(void *dst, const void *src, const struct pst_lines *lines)
{
	const bool packed = lines->dst_step == lines->width &&
			    lines->src_step == lines->width;
	const uint64_t n = packed ? 1 : lines->n;
	const uint64_t width = packed ? lines->width * lines->n : lines->width;
	uint64_t i;

	for (i = 0; i < n; i++)
		memcpy((uint8_t *)dst + i * lines->dst_step,
		       (const uint8_t *)src + i * lines->src_step, width);
}

int pst_stage_take(struct pst *c, void *dst, const void *src,
		   const struct pst_lines *lines, struct pst_error *err)
{
	const uint64_t size = (lines->n - 1) * lines->src_step + lines->width;
	struct pst_block *b = NULL;
	int r;

	pst_lock(c);
	r = pst_buffer_find(&c->mem, "the source", src, size, &b, err);
	if (!r)
		b->busy++;
	pst_unlock(c);
	if (r < 0)
		return r;
	pst_stage_copy(dst, src, lines);
	pst_lock(c);
	/* Lost in the meantime, or the region was taken by another agent while
	 * this process was stopped: part of the copy is not the result. */
	pst_session_check(c, pst_now_ns());
	if (b->extent->dead)
		r = pst_buffer_find(&c->mem, "the source", src, size, &b, err);
	pst_buffer_unref(&c->mem, b);
	pst_unlock(c);
	return r;
}

int pst_take(struct pst *c, void *dst, const void *src, size_t n)
{
	const struct pst_lines lines = {.width = n, .n = 1};
	struct pst_error err = {0};

	if (pst_is_forked(c))
		return pst_forked(c);
	return pst_fail(c, pst_stage_take(c, dst, src, &lines, &err), &err);
}
