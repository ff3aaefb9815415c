/* SPDX-License-Identifier: MIT */
/* One request to the agent and its reply. With the connection's lock. */
#ifndef PST_HOST_CLIENT_LIB_SESSION_REQUEST_H
#define PST_HOST_CLIENT_LIB_SESSION_REQUEST_H

#include <stdint.h>

#include "host-client/lib/session/conn.h"

/*
 * One request and its reply (unlocks); one at a time, others wait. Returns 0
 * and the payload, malloc'ed with a NUL behind it (ret may be NULL), or the
 * reply's errno, -ECONNRESET, -ESTALE, -ETIMEDOUT, -EPROTO, -ENOMEM.
 */
PST_MUST_USE int pst_request(struct pst *c, uint16_t type, const void *payload,
			     uint32_t length, uint64_t deadline_ns,
			     uint8_t **ret, uint32_t *ret_length,
			     struct pst_error *err);

#endif
