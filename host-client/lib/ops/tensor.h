/* SPDX-License-Identifier: MIT */
/* Resident tensors: create, destroy, list. */
#ifndef PST_HOST_CLIENT_LIB_OPS_TENSOR_H
#define PST_HOST_CLIENT_LIB_OPS_TENSOR_H

#include <stdint.h>

#include "host-client/lib/session/conn.h"

/* pst_tensor_create() that waits until deadline_ns at most; without the
 * lock. */
PST_MUST_USE int pst_tensor_create_until(struct pst *c, uint64_t size,
					 uint64_t deadline_ns,
					 uint64_t *ret_tensor);

#endif
