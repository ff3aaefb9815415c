/* SPDX-License-Identifier: MIT */
/* What a model takes and gives, as the agent says. */
#ifndef PST_HOST_CLIENT_LIB_OPS_MODEL_INFO_H
#define PST_HOST_CLIENT_LIB_OPS_MODEL_INFO_H

#include "host-client/lib/session/conn.h"
#include "transport/frame.h"

/* A checked description as one piece of memory, for free(). NULL: out of
 * memory. */
struct pst_model_spec *pst_model_spec_make(const struct pst_model_info *info,
					   uint64_t epoch);

/* With the lock held: what the agent said of the model of that name, in reply
 * to a frame of that type. -EPROTO, which ends the session, -ENOMEM. */
PST_MUST_USE int pst_model_spec_take(struct pst *c, uint16_t type,
				     const char *name, const uint8_t *payload,
				     uint32_t n, struct pst_model_spec **ret,
				     struct pst_error *err);

/* The description of a model (unlocks). -EOPNOTSUPP: of an older agent. */
PST_MUST_USE int pst_model_describe(struct pst *c, const char *name,
				    struct pst_model_spec **ret,
				    struct pst_error *err);

#endif
