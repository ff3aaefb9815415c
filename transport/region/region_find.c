/* SPDX-License-Identifier: MIT */
/* Finds the one device of a guest that is a region, of any kind. */
#include "transport/region/region_int.h"

#include <inttypes.h>
#include <string.h>

static int by_name(const void *a, const void *b)
{
	const struct pst_region_device *x = a, *y = b;

	if (x->provider != y->provider)
		return x->provider < y->provider ? -1 : 1;
	return strcmp(x->name, y->name);
}

static const char *why_not(int why)
{
	switch (why) {
	case 0:
		return "stamped";
	case -EPROTO:
		return "no stamp";
	case -EMSGSIZE:
		return "size does not match";
	case -EACCES:
	case -EPERM:
		return "no permission";
	case -EBUSY:
		return "in use";
	default:
		return "cannot be mapped";
	}
}

/* "ivshmem:0000:00:04.0 (64 MiB, no stamp), ..." of all, or the stamped
 * ones. */
static void list_devices(const struct pst_region_devices *all,
			 bool stamped_only, char *buf, size_t size)
{
	const struct pst_region_device *d;
	unsigned int i;
	size_t n = 0;
	int w;

	buf[0] = '\0';
	for (i = 0; i < all->n; i++) {
		d = &all->list[i];
		if (stamped_only && d->why)
			continue;
		w = snprintf(buf + n, size - n, "%s%s:%s (%" PRIu64 " MiB, %s)",
			     n ? ", " : "", pst_provider_name(d->provider),
			     d->name, d->file_size >> 20, why_not(d->why));
		if (w < 0 || (size_t)w >= size - n)
			return;
		n += (size_t)w;
	}
}

/* Whether the same region is there as device-DAX too, which is the faster
 * way to it. */
static bool is_dax_too(const struct pst_region_devices *all,
		       const struct pst_region_device *d)
{
	const struct pst_region_device *o;
	unsigned int i;

	for (i = 0; i < all->n; i++) {
		o = &all->list[i];
		if (d->provider != PST_PROVIDER_DAX && !o->why &&
		    o->provider == PST_PROVIDER_DAX &&
		    o->file_size == d->file_size &&
		    memcmp(o->uuid, d->uuid, sizeof(d->uuid)) == 0)
			return true;
	}
	return false;
}

static int none(const struct pst_region_devices *all, unsigned int kinds,
		bool refused, struct pst_error *err)
{
	static const char *const no_device[] = {
		[PST_REGION_IVSHMEM] = "no ivshmem device (PCI 1af4:1110)",
		[PST_REGION_DAX] = "no device-DAX (/dev/daxX.Y)",
		[PST_REGION_IVSHMEM | PST_REGION_DAX] =
			"neither an ivshmem device (PCI 1af4:1110) nor "
			"device-DAX (/dev/daxX.Y)",
	};
	char text[256];

	if (!all->n)
		return pst_error_set(err, -ENODEV, "%s", no_device[kinds]);
	list_devices(all, false, text, sizeof(text));
	return pst_error_set(err, refused ? -EACCES : -ENODEV,
			     "no device is a region: %s", text);
}

int pst_region_find(unsigned int kinds, const char *sysfs,
		    struct pst_region_device *ret, struct pst_error *err)
{
	const struct pst_region_device *d, *found = NULL;
	unsigned int i, n = 0;
	struct pst_region_devices all = {0};
	bool refused = false;
	char text[256];
	int r = 0;

	if (kinds & PST_REGION_IVSHMEM)
		r = pst_region_list_ivshmem(sysfs, &all, err);
	if (r == 0 && (kinds & PST_REGION_DAX))
		r = pst_region_list_dax(sysfs, &all, err);
	if (r < 0)
		return r;
	qsort(all.list, all.n, sizeof(all.list[0]), by_name);
	for (i = 0; i < all.n; i++) {
		d = &all.list[i];
		if (d->why == -EACCES || d->why == -EPERM)
			refused = true;
		if (d->why || is_dax_too(&all, d))
			continue;
		found = d;
		n++;
	}
	/* Opening a busy one fails with a sentence that names the holder. */
	for (i = 0; !found && i < all.n; i++)
		if (all.list[i].why == -EBUSY)
			found = &all.list[i];
	if (!found)
		return none(&all, kinds, refused, err);
	if (n > 1) {
		list_devices(&all, true, text, sizeof(text));
		return pst_error_set(err, -EINVAL,
				     "several devices are regions, name one: "
				     "%s",
				     text);
	}
	*ret = *found;
	return 0;
}
