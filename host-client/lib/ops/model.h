/* SPDX-License-Identifier: MIT */
/* Common declarations of the library's files about models. */
#ifndef PST_HOST_CLIENT_LIB_OPS_MODEL_H
#define PST_HOST_CLIENT_LIB_OPS_MODEL_H

#include "host-client/lib/session/conn.h"

/* Whether a model can have this name. 0, -EINVAL with a sentence. */
PST_MUST_USE int pst_model_name_check(const char *name, struct pst_error *err);

/* With the lock held: what the agent said of the model of that name, in reply
 * to MODEL_LOAD or MODEL_OPEN. -EPROTO, which ends the session. */
PST_MUST_USE int pst_model_reply(struct pst *c, uint16_t type, const char *name,
				 const uint8_t *payload, uint32_t n,
				 struct pst_model *ret, struct pst_error *err);

#endif
