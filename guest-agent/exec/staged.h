/* SPDX-License-Identifier: MIT */
/* Files of models on their way from a client: which session brings which. */
#ifndef PST_GUEST_AGENT_EXEC_STAGED_H
#define PST_GUEST_AGENT_EXEC_STAGED_H

#include <stdint.h>

#include "guest-agent/exec/models.h"
#include "transport/base/error.h"
#include "transport/base/util.h"
#include "transport/op.h"
#include "transport/wire.h"
#include "transport/wire_model.h"

/* What each session may bring at a time: the files of two models. A session
 * that brings any has a lane, so there is room for all. */
#define PST_AGENT_STAGED_SHARE (2 * PST_WIRE_MODEL_FILES)
#define PST_AGENT_STAGED_MAX   (PST_WIRE_MAX_LANES * PST_AGENT_STAGED_SHARE)

/* One thread calls everything here. */
struct pst_agent_staged {
	struct pst_agent_models *models; /* whose limit counts their bytes */
	uint64_t last_handle;
	struct pst_agent_staged_file {
		uint64_t handle; /* 0: free */
		uint64_t owner;  /* session */
		uint64_t size;
		int fd;
	} files[PST_AGENT_STAGED_MAX];
};

/* Makes a file of size bytes for a session. Returns 0, or with a sentence
 * -EINVAL (0 bytes), -EMSGSIZE, -ENOSPC (limits, the session's share),
 * -ENOMEM, -errno. */
PST_MUST_USE int pst_agent_staged_add(struct pst_agent_staged *s,
				      uint64_t owner, uint64_t size,
				      uint64_t *ret_handle,
				      struct pst_error *err);

/* Copies span of the region, whose wire offset 0 is base, to offset at of a
 * file. The caller has checked span. Returns 0, or with a sentence -ENOENT,
 * -EINVAL (behind its end), -ENOSPC. */
PST_MUST_USE int pst_agent_staged_fill(struct pst_agent_staged *s,
				       uint64_t owner, uint64_t handle,
				       uint64_t at, const uint8_t *base,
				       const struct pst_span *span,
				       struct pst_error *err);

/* Gives a file away, which nobody can change any more: its descriptor, bytes
 * that no longer count for the limit. Returns 0, -ENOENT with a sentence. */
PST_MUST_USE int pst_agent_staged_take(struct pst_agent_staged *s,
				       uint64_t owner, uint64_t handle,
				       int *ret_fd, uint64_t *ret_size,
				       struct pst_error *err);

/* Ends a file. Returns 0, -ENOENT with a sentence. */
PST_MUST_USE int pst_agent_staged_drop(struct pst_agent_staged *s,
				       uint64_t owner, uint64_t handle,
				       struct pst_error *err);

/* Ends all files of a session. */
void pst_agent_staged_release(struct pst_agent_staged *s, uint64_t owner);

#endif
