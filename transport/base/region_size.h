/* SPDX-License-Identifier: MIT */
/* Which sizes the file of a region can have. */
#ifndef PST_TRANSPORT_BASE_REGION_SIZE_H
#define PST_TRANSPORT_BASE_REGION_SIZE_H

#include <stdint.h>

#include "transport/base/error.h"

/* Of transport/wire.h, for those who know no wire. */
#define PST_REGION_UNIT (2ULL << 20)
#define PST_REGION_MIN  (3 * PST_REGION_UNIT)
#define PST_REGION_MAX  (1ULL << 46)

/* Whether size can be a region's file. 0 or -EINVAL. */
int pst_region_check_size(uint64_t size, struct pst_error *err);

#endif
