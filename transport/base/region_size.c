/* SPDX-License-Identifier: MIT */
/* Which sizes the file of a region can have. */
#include "transport/base/region_size.h"

#include <errno.h>
#include <inttypes.h>

int pst_region_check_size(uint64_t size, struct pst_error *err)
{
	if (size % PST_REGION_UNIT)
		return pst_error_set(err, -EINVAL,
				     "a region's size must be a multiple of "
				     "2 MiB, %" PRIu64 " bytes are not",
				     size);
	if (size < PST_REGION_MIN || size > PST_REGION_MAX)
		return pst_error_set(err, -EINVAL,
				     "a region needs 6 MiB to 64 TiB, not "
				     "%" PRIu64 " bytes",
				     size);
	return 0;
}
