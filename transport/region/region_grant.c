/* SPDX-License-Identifier: MIT */
/* Gives a group the device files that an agent without privileges opens. */
#include "transport/region/region_int.h"

#include <string.h>

static int grant_device(const struct pst_region_device *d, const char *sysfs,
			gid_t gid, struct pst_error *err)
{
	return d->provider == PST_PROVIDER_DAX
		       ? pst_region_grant_dax(d->name, sysfs, gid, err)
		       : pst_region_grant_ivshmem(d->name, sysfs, gid, err);
}

/* All stamped devices of these kinds; returns their number. */
static int grant_found(unsigned int kinds, const char *sysfs, gid_t gid,
		       struct pst_error *err)
{
	struct pst_region_devices all = {0};
	unsigned int i;
	int r = 0, n = 0;

	if (kinds & PST_REGION_IVSHMEM)
		r = pst_region_list_ivshmem(sysfs, &all, err);
	if (r == 0 && (kinds & PST_REGION_DAX))
		r = pst_region_list_dax(sysfs, &all, err);
	for (i = 0; r == 0 && i < all.n; i++) {
		if (all.list[i].why)
			continue;
		r = grant_device(&all.list[i], sysfs, gid, err);
		n++;
	}
	return r < 0 ? r : n;
}

int pst_region_grant(const char *spec, const char *sysfs, gid_t gid,
		     struct pst_error *err)
{
	int r;

	if (strcmp(spec, "auto") == 0)
		return grant_found(PST_REGION_IVSHMEM | PST_REGION_DAX, sysfs,
				   gid, err);
	if (strcmp(spec, "ivshmem") == 0)
		return grant_found(PST_REGION_IVSHMEM, sysfs, gid, err);
	if (strcmp(spec, "dax") == 0)
		return grant_found(PST_REGION_DAX, sysfs, gid, err);
	if (strncmp(spec, "ivshmem:", 8) == 0)
		r = pst_region_grant_ivshmem(spec + 8, sysfs, gid, err);
	else if (strncmp(spec, "dax:", 4) == 0)
		r = pst_region_grant_dax(spec + 4, sysfs, gid, err);
	else
		return 0;
	return r < 0 ? r : 1;
}
