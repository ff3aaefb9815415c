/* SPDX-License-Identifier: MIT */
/* Buffers for the application: leases extents; alloc, free. */
#ifndef PST_HOST_CLIENT_LIB_OPS_LEASE_H
#define PST_HOST_CLIENT_LIB_OPS_LEASE_H

#include <stddef.h>
#include <stdint.h>

#include "host-client/lib/session/conn.h"

/* A buffer of size bytes as of pst_alloc(), until deadline_ns at most
 * (unlocks). */
PST_MUST_USE int pst_buffer_alloc(struct pst *c, size_t size,
				  uint64_t deadline_ns, struct pst_block **ret,
				  struct pst_error *err);

#endif
