/* SPDX-License-Identifier: MIT */
/* Names of providers and mappings, and memory for sparse regions. */
#include "transport/region/region.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "transport/base/util.h"
#include "transport/region/region_int.h"

static const char *const provider_names[] = {
	[PST_PROVIDER_FILE] = "file",
	[PST_PROVIDER_MEMFD] = "memfd",
	[PST_PROVIDER_IVSHMEM] = "ivshmem",
	[PST_PROVIDER_DAX] = "dax",
};

static const char *const caching_names[] = {
	[PST_CACHING_UNKNOWN] = "unknown",
	[PST_CACHING_WB] = "WB",
	[PST_CACHING_WC] = "WC",
	[PST_CACHING_UC] = "UC",
};

const char *pst_provider_name(enum pst_provider p)
{
	if ((unsigned int)p >= PST_ARRAY_SIZE(provider_names))
		return "unknown";
	return provider_names[p];
}

const char *pst_caching_name(enum pst_caching c)
{
	if ((unsigned int)c >= PST_ARRAY_SIZE(caching_names))
		return "unknown";
	return caching_names[c];
}

uint64_t pst_region_unbacked(const struct pst_region *r,
			     const struct pst_span *span)
{
	uint64_t i, n = 0;

	for (i = 0; r->backed && i < span->size / PST_WIRE_UNIT; i++)
		n += !r->backed[span->off / PST_WIRE_UNIT + i];
	return n * PST_WIRE_UNIT;
}

int pst_region_back(struct pst_region *r, const struct pst_span *span,
		    struct pst_error *err)
{
	int rc;

	if (!pst_region_unbacked(r, span))
		return 0;
	do
		rc = fallocate(r->fd, 0, (off_t)(PST_WIRE_PREAMBLE + span->off),
			       (off_t)span->size);
	while (rc < 0 && errno == EINTR);
	if (rc < 0)
		return pst_error_set_errno(err, errno,
					   "no memory for %" PRIu64
					   " bytes of the region",
					   span->size);
	pst_region_populate(r->base + span->off, span->size);
	memset(r->backed + span->off / PST_WIRE_UNIT, 1,
	       span->size / PST_WIRE_UNIT);
	return 0;
}
