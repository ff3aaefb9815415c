/* SPDX-License-Identifier: MIT */
/* Converts the protocol's status to an errno and back. */
#ifndef PST_TRANSPORT_STATUS_H
#define PST_TRANSPORT_STATUS_H

#include <stdint.h>

/* The errno (negative) for a peer's status; an unknown one is -EPROTO. */
int pst_status_to_errno(uint32_t status);

/* The status that a peer is told for -errno err; PST_WIRE_EIO for one that
 * has none of its own. */
uint32_t pst_status_from_errno(int err);

#endif
