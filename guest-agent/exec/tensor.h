/* SPDX-License-Identifier: MIT */
/* The table of resident tensors: which session owns which memory of the
 * backend. */
#ifndef PST_GUEST_AGENT_EXEC_TENSOR_H
#define PST_GUEST_AGENT_EXEC_TENSOR_H

#include <stdint.h>

#include "guest-agent/exec/backend.h"
#include "transport/base/error.h"
#include "transport/base/util.h"
#include "transport/wire.h"

/*
 * A tensor is alive from create until destroy, take, or the end of its session.
 * A destroyed tensor is in quarantine: it is not found but still counted. After
 * settle no operation can use it, and the backend gets its memory back. One
 * thread calls everything here.
 */
struct pst_agent_tensors;

/* Of one session, or of all. */
struct pst_agent_tensor_usage {
	uint64_t bytes; /* alive */
	uint64_t n;
	uint64_t quarantined_bytes;
	uint64_t quarantined_n;
};

/*
 * max_bytes, max_tensors: of one owner, quarantined ones included. Borrows ops
 * and backend. Returns 0, -ENOMEM.
 */
PST_MUST_USE int pst_agent_tensors_new(const struct pst_backend_ops *ops,
				       struct pst_backend *backend,
				       uint64_t max_bytes, uint32_t max_tensors,
				       struct pst_agent_tensors **ret);

/* Releases all memory; no operation may use any. NULL does nothing. */
void pst_agent_tensors_free(struct pst_agent_tensors *t);

/*
 * A new tensor of size bytes, zeroed, for owner (not 0). *ret_handle is never
 * 0, larger than every earlier one, and its low half is the place in the
 * table + 1. Returns 0, or with a sentence: -EINVAL (size 0), -EOPNOTSUPP
 * (the backend has no such memory), -EMSGSIZE (above a quota), -EBUSY (above
 * it only because of what is in quarantine: try again), -ENOMEM (the backend
 * or the table has no room).
 */
PST_MUST_USE int pst_agent_tensor_create(struct pst_agent_tensors *t,
					 uint64_t owner, uint64_t size,
					 uint64_t *ret_handle,
					 struct pst_error *err);

/* The memory and size of owner's live tensor. Returns 0, -ENOENT (unknown,
 * somebody else's, destroyed, or its place is used again). */
PST_MUST_USE int pst_agent_tensor_find(const struct pst_agent_tensors *t,
				       uint64_t owner, uint64_t handle,
				       void **ret_mem, uint64_t *ret_size);

/* Puts owner's tensor into quarantine; last as of pst_agent_extents_release().
 * Returns 0, -ENOENT. */
PST_MUST_USE int pst_agent_tensor_destroy(struct pst_agent_tensors *t,
					  uint64_t owner, uint64_t handle,
					  uint64_t last);

/*
 * Takes the memory out of the table: it is the caller's, who gives it back to
 * the backend; the handle is no more. Operations that began before may still
 * use it (pst_agent_executor_uses()). Returns 0, -ENOENT.
 */
PST_MUST_USE int pst_agent_tensor_take(struct pst_agent_tensors *t,
				       uint64_t owner, uint64_t handle,
				       void **ret_mem, uint64_t *ret_size);

/* Fills ret with up to max of owner's live tensors whose handles are larger
 * than after, in the order of handles. Returns their number. Takes as long as
 * max is, where after is 0 or one of them. */
uint32_t pst_agent_tensor_list(const struct pst_agent_tensors *t,
			       uint64_t owner, uint64_t after,
			       struct pst_wire_tensor *ret, uint32_t max);

/* All of owner's tensors into quarantine, until nothing of it runs any more. */
void pst_agent_tensors_release_owner(struct pst_agent_tensors *t,
				     uint64_t owner);

/* As pst_agent_extents_settle(): the memory of quarantined tensors that no
 * operation can use any more goes back to the backend. */
bool pst_agent_tensors_settle(struct pst_agent_tensors *t, uint64_t owner,
			      uint64_t oldest);

/* owner 0: of all sessions together. */
void pst_agent_tensors_usage(const struct pst_agent_tensors *t, uint64_t owner,
			     struct pst_agent_tensor_usage *ret);

#endif
