/* SPDX-License-Identifier: MIT */
/* Stages rows in the region: room for one call, and copies out of it. */
#ifndef PST_HOST_CLIENT_LIB_OPS_STAGING_H
#define PST_HOST_CLIENT_LIB_OPS_STAGING_H

#include "host-client/lib/session/conn.h"

/* All without the lock. */

/* Bytes to ask for; tries counts from 0, and each size is smaller than the one
 * before. 0: there is no smaller one. */
typedef uint64_t pst_stage_size_fn(void *arg, unsigned int tries);

/*
 * Room in the region for the time of one call: the first size for which there
 * is some. The caller gives it back by pst_free() before its call ends, and
 * waits for no other room while it has this. So a call that finds none may wait
 * until another call gives some back, and does.
 *
 * Returns 0 or an error as of pst_alloc(): -ENOSPC when nobody else holds any
 * or deadline_ns has passed, -EMSGSIZE when no size fits this agent.
 */
PST_MUST_USE int pst_stage(struct pst *c, pst_stage_size_fn *size, void *arg,
			   uint64_t deadline_ns, void **ret,
			   struct pst_error *err);

/* Lines of width bytes; between two lies what their step is longer. */
struct pst_lines {
	uint64_t width, n;
	uint64_t dst_step, src_step;
};

/* Into the region, or anywhere. */
void pst_stage_copy(void *dst, const void *src, const struct pst_lines *lines);

/* Out of a buffer, and it was the result: -ESTALE when the session was lost
 * before the last byte. -EFAULT as of pst_take(). */
PST_MUST_USE int pst_stage_take(struct pst *c, void *dst, const void *src,
				const struct pst_lines *lines,
				struct pst_error *err);

#endif
