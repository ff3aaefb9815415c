/* SPDX-License-Identifier: MIT */
/* Regions that are device-DAX: a guest's nvdimm, in large write-back pages. */
#include "transport/region/region_int.h"

#include <dirent.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

/* A directory is never walked further. */
#define MAX_ENTRIES 4096U

static int attribute(const char *sysfs, const char *name, const char *file,
		     char *buf, size_t size)
{
	char path[512];
	int n = snprintf(path, sizeof(path), "%s/bus/dax/devices/%s/%s", sysfs,
			 name, file);

	return n < 0 || (size_t)n >= sizeof(path)
		       ? -ENAMETOOLONG
		       : pst_read_text(path, buf, size);
}

static int number(const char *sysfs, const char *name, const char *file,
		  uint64_t *ret)
{
	char text[32];
	int r = attribute(sysfs, name, file, text, sizeof(text));

	return r < 0 ? r : pst_parse_u64(text, 0, UINT64_MAX, ret);
}

/* "dax0.0" and nothing else, so that no other path can be named. */
static bool is_dax_name(const char *name)
{
	unsigned int region, device;
	int used = 0;

	return strlen(name) < PST_REGION_NAME &&
	       strspn(name, "dax.0123456789") == strlen(name) &&
	       sscanf(name, "dax%6u.%6u%n", &region, &device, &used) == 2 &&
	       !name[used];
}

/* Size and alignment, checked: what can be mapped from 0, as a region. */
static int geometry(const char *sysfs, const char *name, uint64_t *ret_size,
		    uint32_t *ret_align, struct pst_error *err)
{
	uint64_t size, align;

	if (number(sysfs, name, "size", &size) < 0)
		return pst_error_set(err, -ENODEV,
				     "there is no device-DAX %s with a size",
				     name);
	/* In its region's directory before Linux 5.10. */
	if (number(sysfs, name, "align", &align) < 0 &&
	    number(sysfs, name, "dax_region/align", &align) < 0)
		return pst_error_set(err, -EPROTO,
				     "%s does not say its alignment", name);
	if (size > PST_WIRE_MAX_FILE - PST_WIRE_PREAMBLE ||
	    pst_region_check_size(size + PST_WIRE_PREAMBLE, NULL) < 0)
		return pst_error_set(err, -EMSGSIZE,
				     "%s has %" PRIu64 " bytes: a region has "
				     "at least 4 MiB and a multiple of 2 MiB "
				     "there",
				     name, size);
	if (align < 4096 || align > PST_WIRE_UNIT || (align & (align - 1)))
		return pst_error_set(err, -EINVAL,
				     "%s has pages of %" PRIu64
				     " bytes: a region's have at most 2 MiB",
				     name, align);
	*ret_size = size;
	*ret_align = (uint32_t)align;
	return 0;
}

/* A region's device, opened, its header's first lines copied. Returns a
 * descriptor or -errno. */
static int open_dax(const char *sysfs, const char *name, uint64_t *ret_size,
		    uint32_t *ret_align, struct pst_region_head *ret,
		    struct pst_error *err)
{
	PST_CLEANUP_FD int fd = -1;
	char dev[32];
	int r;

	r = geometry(sysfs, name, ret_size, ret_align, err);
	if (r < 0)
		return r;
	r = attribute(sysfs, name, "dev", dev, sizeof(dev));
	fd = pst_region_open_node(sysfs, name, r < 0 ? "" : dev, *ret_size,
				  err);
	if (fd < 0)
		return fd;
	/* Offset 0 of the device is 2 MiB of the file: the header. */
	r = pst_region_read_head(fd, 0, ret);
	if (r < 0)
		return pst_error_set_errno(err, r, "cannot map /dev/%s", name);
	r = fd;
	fd = -1;
	return r;
}

static void check_device(const char *sysfs, struct pst_region_device *d)
{
	struct pst_region_head head;
	PST_CLEANUP_FD int fd = -1;
	uint64_t size = 0;
	uint32_t align;

	fd = open_dax(sysfs, d->name, &size, &align, &head, NULL);
	d->file_size = size + PST_WIRE_PREAMBLE;
	d->why = fd < 0 ? fd : pst_stamp_check(&head.stamp, d->file_size, NULL);
	if (!d->why)
		memcpy(d->uuid, head.stamp.uuid, sizeof(d->uuid));
}

int pst_region_list_dax(const char *sysfs, struct pst_region_devices *all,
			struct pst_error *err)
{
	struct pst_region_device *d;
	unsigned int entries = 0;
	char path[512];
	struct dirent *de;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/bus/dax/devices", sysfs);
	dir = opendir(path);
	if (!dir && errno == ENOENT)
		return 0;
	if (!dir)
		return pst_error_set_errno(err, errno,
					   "cannot list device-DAX");
	while (entries++ < MAX_ENTRIES && all->n < PST_REGION_MAX_DEVICES) {
		de = readdir(dir);
		if (!de)
			break;
		if (!is_dax_name(de->d_name))
			continue;
		d = &all->list[all->n++];
		*d = (struct pst_region_device){.provider = PST_PROVIDER_DAX};
		memcpy(d->name, de->d_name, strlen(de->d_name) + 1);
		check_device(sysfs, d);
	}
	closedir(dir);
	return 0;
}

static int not_dax(const char *name, struct pst_error *err)
{
	return pst_error_set(err, -EINVAL,
			     "\"%s\" is not a device-DAX, such as dax0.0",
			     name);
}

int pst_region_check_dax(const char *name, struct pst_error *err)
{
	return is_dax_name(name) ? 0 : not_dax(name, err);
}

int pst_region_open_dax(const char *name, bool may_stamp, const char *sysfs,
			struct pst_region *ret, struct pst_error *err)
{
	struct pst_region r = {.provider = PST_PROVIDER_DAX,
			       .caching = PST_CACHING_WB};
	struct pst_region_head head;
	PST_CLEANUP_FD int fd = -1;
	char text[32];
	void *base;
	int rc;

	if (!is_dax_name(name))
		return not_dax(name, err);
	fd = open_dax(sysfs, name, &r.size, &r.page_size, &head, err);
	if (fd < 0)
		return fd;
	r.file_size = r.size + PST_WIRE_PREAMBLE;
	if (attribute(sysfs, name, "resource", text, sizeof(text)) > 0)
		r.phys = strtoull(text, NULL, 16);
	rc = pst_region_lock(fd, name, &head.format, err);
	if (rc < 0)
		return rc;
	rc = pst_region_map_file(fd, 0, r.size, NULL, &base);
	if (rc < 0)
		return pst_error_set_errno(err, rc, "cannot map /dev/%s", name);
	r.base = base;
	rc = pst_region_take_stamp(&r, name, may_stamp, err);
	if (rc < 0) {
		munmap(base, r.size);
		return rc;
	}
	pst_region_populate(base, r.size);
	snprintf(r.name, sizeof(r.name), "%s", name);
	r.fd = fd;
	fd = -1;
	*ret = r;
	return 0;
}

int pst_region_grant_dax(const char *name, const char *sysfs, gid_t gid,
			 struct pst_error *err)
{
	char path[512];
	int r;

	if (!is_dax_name(name))
		return not_dax(name, err);
	snprintf(path, sizeof(path), "%s/../dev/%s", sysfs, name);
	r = pst_region_give(path, gid, 0660, err);
	if (r < 0)
		return r;
	/* Its address in memory, which not every kernel tells. */
	snprintf(path, sizeof(path), "%s/bus/dax/devices/%s/resource", sysfs,
		 name);
	return access(path, F_OK) == 0 ? pst_region_give(path, gid, 0440, err)
				       : 0;
}
