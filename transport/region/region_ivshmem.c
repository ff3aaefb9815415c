/* SPDX-License-Identifier: MIT */
/* Regions that are BAR 2 of an ivshmem device: found, and through sysfs. */
#include "transport/region/region_int.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* QEMU's ivshmem-plain (docs/specs/ivshmem-spec). */
#define IVSHMEM_VENDOR "0x1af4"
#define IVSHMEM_DEVICE "0x1110"
#define IVSHMEM_BAR    2
/* linux/ioport.h: a memory resource. */
#define RESOURCE_MEM 0x200U
/* More functions than a guest has; a directory is never walked further. */
#define MAX_ENTRIES 65536U
#define ADDR_SIZE   PST_REGION_NAME

static int device_path(char *buf, size_t size, const char *sysfs,
		       const char *addr, const char *file)
{
	int n = snprintf(buf, size, "%s/bus/pci/devices/%s/%s", sysfs, addr,
			 file);

	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

static int read_attribute(const char *sysfs, const char *addr, const char *file,
			  char *buf, size_t size)
{
	char path[512];
	int r = device_path(path, sizeof(path), sysfs, addr, file);

	return r < 0 ? r : pst_read_text(path, buf, size);
}

/* "0000:00:04.0" or "00:04.0" into the long form; nothing else, so that no
 * other path can be named. */
static int parse_addr(const char *text, char ret[ADDR_SIZE],
		      struct pst_error *err)
{
	unsigned int domain = 0, bus, slot, fn;
	char canonical[ADDR_SIZE];
	int used = 0;

	if (strlen(text) >= ADDR_SIZE ||
	    strspn(text, "0123456789abcdefABCDEF:.") != strlen(text))
		goto bad;
	if (sscanf(text, "%x:%x:%x.%x%n", &domain, &bus, &slot, &fn, &used) !=
		    4 &&
	    (domain = 0,
	     sscanf(text, "%x:%x.%x%n", &bus, &slot, &fn, &used) != 3))
		goto bad;
	if (text[used] || domain > 0xfffff || bus > 0xff || slot > 0x1f ||
	    fn > 7)
		goto bad;
	snprintf(canonical, sizeof(canonical), "%04x:%02x:%02x.%x", domain, bus,
		 slot, fn);
	memcpy(ret, canonical, sizeof(canonical));
	return 0;
bad:
	return pst_error_set(err, -EINVAL,
			     "\"%s\" is not a PCI address, such as "
			     "0000:00:04.0",
			     text);
}

static bool is_ivshmem(const char *sysfs, const char *addr)
{
	char vendor[16], device[16];

	return read_attribute(sysfs, addr, "vendor", vendor, sizeof(vendor)) >
		       0 &&
	       read_attribute(sysfs, addr, "device", device, sizeof(device)) >
		       0 &&
	       strcmp(vendor, IVSHMEM_VENDOR) == 0 &&
	       strcmp(device, IVSHMEM_DEVICE) == 0;
}

/* Where BAR 2 is, from line 3 of "resource": start, end, flags. */
static int locate_bar(const char *sysfs, const char *addr,
		      struct pst_region_bar *ret, struct pst_error *err)
{
	uint64_t start, end, flags;
	char text[4096], *line = text;
	int i, r;

	r = read_attribute(sysfs, addr, "resource", text, sizeof(text));
	if (r < 0)
		return pst_error_set_errno(
			err, r, "cannot read the resources of %s", addr);
	for (i = 0; i < IVSHMEM_BAR && line; i++) {
		line = strchr(line, '\n');
		if (line)
			line++;
	}
	if (!line || sscanf(line, "%" SCNx64 " %" SCNx64 " %" SCNx64, &start,
			    &end, &flags) != 3)
		return pst_error_set(err, -EPROTO,
				     "the resources of %s are not in the "
				     "kernel's format",
				     addr);
	if (!(flags & RESOURCE_MEM) || end <= start ||
	    end - start >= PST_WIRE_MAX_FILE)
		return pst_error_set(err, -ENODEV, "%s has no memory in BAR %d",
				     addr, IVSHMEM_BAR);
	ret->start = start;
	ret->size = end - start + 1;
	return 0;
}

/* Switches memory decoding on; without it a BAR reads as ones. */
static int enable(const char *sysfs, const char *addr, struct pst_error *err)
{
	PST_CLEANUP_FD int fd = -1;
	char path[512], text[16];
	uint64_t count;
	int r;

	/* Each write counts one more user in the kernel: only the first. */
	if (read_attribute(sysfs, addr, "enable", text, sizeof(text)) > 0 &&
	    pst_parse_u64(text, 1, UINT64_MAX, &count) == 0)
		return 0;
	r = device_path(path, sizeof(path), sysfs, addr, "enable");
	if (r < 0)
		return r;
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "1", 1) != 1)
		return pst_error_set_errno(err, errno,
					   "cannot enable the device %s", addr);
	return 0;
}

static int open_resource(const char *sysfs, const char *addr, const char *file,
			 uint64_t size, struct pst_error *err)
{
	char path[512];
	struct stat st;
	int fd, r;

	r = device_path(path, sizeof(path), sysfs, addr, file);
	if (r < 0)
		return r;
	fd = open(path, O_RDWR | O_CLOEXEC | O_SYNC);
	if (fd < 0)
		return pst_error_set_errno(err, errno, "cannot open %s of %s",
					   file, addr);
	if (fstat(fd, &st) < 0 || (uint64_t)st.st_size != size) {
		close(fd);
		return pst_error_set(err, -EMSGSIZE,
				     "%s of %s has not the %" PRIu64
				     " bytes of its BAR",
				     file, addr, size);
	}
	return fd;
}

/* Opens BAR 2 through sysfs. Returns a descriptor or -errno. */
static int open_sysfs(const char *sysfs, const char *addr, uint64_t size,
		      struct pst_region_head *ret, struct pst_error *err)
{
	PST_CLEANUP_FD int fd = -1;
	int r;

	r = enable(sysfs, addr, err);
	if (r < 0)
		return r;
	fd = open_resource(sysfs, addr, "resource2", size, err);
	if (fd < 0)
		return fd;
	r = pst_region_read_head(fd, PST_WIRE_PREAMBLE, ret);
	if (r < 0)
		return pst_error_set_errno(err, r,
					   "cannot map BAR %d of %s, does "
					   "another driver hold it",
					   IVSHMEM_BAR, addr);
	r = fd;
	fd = -1;
	return r;
}

/* Opens BAR 2, through the module where it is there (ret->name, else empty),
 * and copies the header's first two lines out of it. The device need not be a
 * region. Returns a descriptor or -errno. */
static int open_bar(const char *sysfs, const char *addr,
		    struct pst_region_bar *ret,
		    struct pst_region_head *ret_head, struct pst_error *err)
{
	int r;

	*ret = (struct pst_region_bar){.sysfs = sysfs, .addr = addr};
	r = locate_bar(sysfs, addr, ret, err);
	if (r < 0)
		return r;
	if (ret->size < PST_WIRE_MIN_FILE || ret->size % PST_WIRE_UNIT)
		return pst_error_set(err, -EMSGSIZE,
				     "BAR %d of %s has %" PRIu64
				     " bytes: a region has at least 6 MiB",
				     IVSHMEM_BAR, addr, ret->size);
	if (pst_region_find_bar(sysfs, addr, ret->name))
		return pst_region_open_bar(ret, ret_head, err);
	return open_sysfs(sysfs, addr, ret->size, ret_head, err);
}

static void check_device(const char *sysfs, struct pst_region_device *d)
{
	struct pst_region_head head;
	PST_CLEANUP_FD int fd = -1;
	struct pst_region_bar b;

	fd = open_bar(sysfs, d->name, &b, &head, NULL);
	d->file_size = b.size;
	d->why = fd < 0 ? fd : pst_stamp_check(&head.stamp, d->file_size, NULL);
	if (!d->why)
		memcpy(d->uuid, head.stamp.uuid, sizeof(d->uuid));
}

int pst_region_list_ivshmem(const char *sysfs, struct pst_region_devices *all,
			    struct pst_error *err)
{
	struct pst_region_device *d;
	char path[512], addr[ADDR_SIZE];
	unsigned int entries = 0;
	struct dirent *de;
	DIR *dir;
	int r;

	r = device_path(path, sizeof(path), sysfs, "", "");
	if (r < 0)
		return r;
	dir = opendir(path);
	if (!dir && errno == ENOENT)
		return 0;
	if (!dir)
		return pst_error_set_errno(err, errno,
					   "cannot list PCI devices");
	while (entries++ < MAX_ENTRIES && all->n < PST_REGION_MAX_DEVICES) {
		de = readdir(dir);
		if (!de)
			break;
		if (parse_addr(de->d_name, addr, NULL) < 0 ||
		    !is_ivshmem(sysfs, addr))
			continue;
		d = &all->list[all->n++];
		*d = (struct pst_region_device){
			.provider = PST_PROVIDER_IVSHMEM,
		};
		memcpy(d->name, addr, sizeof(addr));
		check_device(sysfs, d);
	}
	closedir(dir);
	return 0;
}

/* The control area uncached, so ordered; only the arena write-combining: one
 * range of addresses, two mappings that do not overlap. */
static int map_sysfs(int fd, const char *sysfs, const char *addr, uint64_t size,
		     struct pst_region *r, struct pst_error *err)
{
	const uint64_t ctl_end = PST_WIRE_PREAMBLE + PST_WIRE_CTL_SIZE;
	PST_CLEANUP_FD int wc = -1;
	void *base, *p;
	int rc;

	rc = pst_region_reserve(size - PST_WIRE_PREAMBLE, &base);
	if (rc < 0)
		return pst_error_set_errno(err, rc, "no address space");
	rc = pst_region_map_file(fd, PST_WIRE_PREAMBLE, PST_WIRE_CTL_SIZE, base,
				 &p);
	if (rc < 0)
		goto unmap;
	wc = open_resource(sysfs, addr, "resource2_wc", size, NULL);
	rc = pst_region_map_file(wc < 0 ? fd : wc, ctl_end, size - ctl_end,
				 (uint8_t *)base + PST_WIRE_CTL_SIZE, &p);
	if (rc < 0)
		goto unmap;
	r->base = base;
	r->page_size = 4096;
	r->caching = wc < 0 ? PST_CACHING_UC : PST_CACHING_WC;
	return 0;
unmap:
	munmap(base, size - PST_WIRE_PREAMBLE);
	return pst_error_set_errno(err, rc, "cannot map BAR %d of %s",
				   IVSHMEM_BAR, addr);
}

static int take_device(const char *addr, bool may_stamp, const char *sysfs,
		       struct pst_region *ret, struct pst_error *err)
{
	struct pst_region r = {.provider = PST_PROVIDER_IVSHMEM};
	struct pst_region_head head;
	PST_CLEANUP_FD int fd = -1;
	struct pst_region_bar b;
	int rc;

	fd = open_bar(sysfs, addr, &b, &head, err);
	if (fd < 0)
		return fd;
	rc = pst_region_lock(fd, addr, &head.format, err);
	if (rc < 0)
		return rc;
	r.file_size = b.size;
	r.size = b.size - PST_WIRE_PREAMBLE;
	r.phys = b.start + PST_WIRE_PREAMBLE;
	rc = b.name[0] ? pst_region_map_bar(&b, fd, &r, err)
		       : map_sysfs(fd, sysfs, addr, b.size, &r, err);
	if (rc < 0)
		return rc;
	rc = pst_region_take_stamp(&r, addr, may_stamp, err);
	if (rc < 0) {
		munmap(r.base, r.size);
		return rc;
	}
	snprintf(r.name, sizeof(r.name), "%s%s%s", addr,
		 b.name[0] ? " by /dev/" : "", b.name);
	r.fd = fd;
	fd = -1;
	*ret = r;
	return 0;
}

static int not_ivshmem(const char *addr, struct pst_error *err)
{
	return pst_error_set(err, -ENODEV,
			     "%s is not an ivshmem device (PCI 1af4:1110)",
			     addr);
}

int pst_region_check_ivshmem(const char *addr, struct pst_error *err)
{
	char canonical[ADDR_SIZE];

	return parse_addr(addr, canonical, err);
}

int pst_region_open_ivshmem(const char *addr, bool may_stamp, const char *sysfs,
			    struct pst_region *ret, struct pst_error *err)
{
	char canonical[ADDR_SIZE];
	int r;

	r = parse_addr(addr, canonical, err);
	if (r < 0)
		return r;
	if (!is_ivshmem(sysfs, canonical))
		return not_ivshmem(canonical, err);
	return take_device(canonical, may_stamp, sysfs, ret, err);
}

int pst_region_grant_ivshmem(const char *addr, const char *sysfs, gid_t gid,
			     struct pst_error *err)
{
	char canonical[ADDR_SIZE], name[PST_REGION_NAME], path[512];
	static const char *const files[] = {"resource2", "resource2_wc"};
	size_t i;
	int r;

	r = parse_addr(addr, canonical, err);
	if (r < 0)
		return r;
	if (!is_ivshmem(sysfs, canonical))
		return not_ivshmem(canonical, err);
	if (pst_region_find_bar(sysfs, canonical, name)) {
		snprintf(path, sizeof(path), "%s/../dev/%s", sysfs, name);
		return pst_region_give(path, gid, 0660, err);
	}
	r = enable(sysfs, canonical, err);
	for (i = 0; r == 0 && i < PST_ARRAY_SIZE(files); i++) {
		r = device_path(path, sizeof(path), sysfs, canonical, files[i]);
		/* A BAR that is not prefetchable has no second one. */
		if (r == 0 && (i == 0 || access(path, F_OK) == 0))
			r = pst_region_give(path, gid, 0660, err);
	}
	return r;
}
