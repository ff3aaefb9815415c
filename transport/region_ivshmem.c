/* SPDX-License-Identifier: MIT */
/* Regions that are BAR 2 of an ivshmem device, through sysfs. */
#include "transport/region_int.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "transport/shm.h"

/* QEMU's ivshmem-plain (docs/specs/ivshmem-spec). */
#define IVSHMEM_VENDOR "0x1af4"
#define IVSHMEM_DEVICE "0x1110"
#define IVSHMEM_BAR    2
/* linux/ioport.h: a memory resource. */
#define RESOURCE_MEM 0x200U
/* More functions than a guest has; a directory is never walked further. */
#define MAX_ENTRIES 65536U
#define MAX_DEVICES 32U
/* "10000:ff:1f.7", the longest PCI address in use, and some. */
#define ADDR_SIZE 24

struct device {
	char addr[ADDR_SIZE];
	uint64_t bar_size;
	int why; /* 0: stamped; else why not */
};

struct devices {
	struct device list[MAX_DEVICES];
	unsigned int n;
};

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

/* The size of BAR 2 from line 3 of "resource": start, end, flags. */
static int bar_size(const char *sysfs, const char *addr, uint64_t *ret,
		    struct pst_error *err)
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
	*ret = end - start + 1;
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

/* Copies the header's first two lines out of an open BAR 2. */
static int read_header(int fd, const char *addr, struct pst_wire_stamp *stamp,
		       struct pst_wire_format *format, struct pst_error *err)
{
	const struct pst_wire_header *h;

	h = mmap(NULL, sizeof(*h), PROT_READ, MAP_SHARED, fd,
		 PST_WIRE_PREAMBLE);
	if (h == MAP_FAILED)
		return pst_error_set_errno(err, errno,
					   "cannot map BAR %d of %s, does "
					   "another driver hold it",
					   IVSHMEM_BAR, addr);
	pst_shm_read(stamp, &h->stamp, sizeof(*stamp));
	pst_shm_read(format, &h->format, sizeof(*format));
	munmap((void *)(uintptr_t)h, sizeof(*h));
	return 0;
}

/* Opens BAR 2. The device need not be a region. Returns a descriptor or
 * -errno. */
static int open_bar(const char *sysfs, const char *addr, uint64_t *ret_size,
		    struct pst_error *err)
{
	uint64_t size;
	int r;

	r = bar_size(sysfs, addr, &size, err);
	if (r < 0)
		return r;
	*ret_size = size;
	if (size < PST_WIRE_MIN_FILE || size % PST_WIRE_UNIT)
		return pst_error_set(err, -EMSGSIZE,
				     "BAR %d of %s has %" PRIu64
				     " bytes: a region has at least 6 MiB",
				     IVSHMEM_BAR, addr, size);
	r = enable(sysfs, addr, err);
	if (r < 0)
		return r;
	return open_resource(sysfs, addr, "resource2", size, err);
}

static void look_at(const char *sysfs, struct device *d)
{
	struct pst_wire_format format;
	struct pst_wire_stamp stamp;
	PST_CLEANUP_FD int fd = -1;

	fd = open_bar(sysfs, d->addr, &d->bar_size, NULL);
	d->why = fd < 0 ? fd : read_header(fd, d->addr, &stamp, &format, NULL);
	if (!d->why)
		d->why = pst_stamp_check(&stamp, d->bar_size, NULL);
}

static int by_addr(const void *a, const void *b)
{
	const struct device *x = a, *y = b;

	return strcmp(x->addr, y->addr);
}

static int find_all(const char *sysfs, struct devices *ret,
		    struct pst_error *err)
{
	char path[512], addr[ADDR_SIZE];
	unsigned int entries = 0;
	struct dirent *de;
	DIR *dir;
	int r;

	r = device_path(path, sizeof(path), sysfs, "", "");
	if (r < 0)
		return r;
	dir = opendir(path);
	if (!dir)
		return pst_error_set_errno(err,
					   errno == ENOENT ? ENODEV : errno,
					   "cannot list PCI devices");
	ret->n = 0;
	while (entries++ < MAX_ENTRIES && ret->n < MAX_DEVICES) {
		de = readdir(dir);
		if (!de)
			break;
		if (parse_addr(de->d_name, addr, NULL) < 0 ||
		    !is_ivshmem(sysfs, addr))
			continue;
		ret->list[ret->n] = (struct device){0};
		memcpy(ret->list[ret->n].addr, addr, sizeof(addr));
		look_at(sysfs, &ret->list[ret->n]);
		ret->n++;
	}
	closedir(dir);
	qsort(ret->list, ret->n, sizeof(ret->list[0]), by_addr);
	return 0;
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
	default:
		return "cannot be mapped";
	}
}

/* "0000:00:04.0 (64 MiB, no stamp), ..." of all, or the stamped ones. */
static void list_devices(const struct devices *all, bool stamped_only,
			 char *buf, size_t size)
{
	const struct device *d;
	unsigned int i;
	size_t n = 0;
	int w;

	buf[0] = '\0';
	for (i = 0; i < all->n; i++) {
		d = &all->list[i];
		if (stamped_only && d->why)
			continue;
		w = snprintf(buf + n, size - n, "%s%s (%" PRIu64 " MiB, %s)",
			     n ? ", " : "", d->addr, d->bar_size >> 20,
			     why_not(d->why));
		if (w < 0 || (size_t)w >= size - n)
			return;
		n += (size_t)w;
	}
}

static int find_stamped(const char *sysfs, char ret[ADDR_SIZE],
			struct pst_error *err)
{
	unsigned int i, n_stamped = 0, n_refused = 0;
	struct devices all;
	char text[256];
	int r;

	r = find_all(sysfs, &all, err);
	if (r < 0)
		return r;
	for (i = 0; i < all.n; i++) {
		if (!all.list[i].why && n_stamped++ == 0)
			memcpy(ret, all.list[i].addr, ADDR_SIZE);
		if (all.list[i].why == -EACCES || all.list[i].why == -EPERM)
			n_refused++;
	}
	if (n_stamped == 1)
		return 0;
	list_devices(&all, n_stamped > 1, text, sizeof(text));
	if (n_stamped > 1)
		return pst_error_set(err, -EINVAL,
				     "several devices are regions, name one "
				     "(ivshmem:ADDR): %s",
				     text);
	if (!all.n)
		return pst_error_set(err, -ENODEV,
				     "no ivshmem device (PCI 1af4:1110)");
	return pst_error_set(err, n_refused ? -EACCES : -ENODEV,
			     "no ivshmem device is a region: %s", text);
}

/* The control area uncached, so ordered; only the arena write-combining: one
 * range of addresses, two mappings that do not overlap. */
static int map_bar(int fd, const char *sysfs, const char *addr, uint64_t size,
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
	struct pst_wire_format format;
	struct pst_wire_stamp stamp;
	PST_CLEANUP_FD int fd = -1;
	struct pst_error why;
	uint64_t size;
	int rc;

	fd = open_bar(sysfs, addr, &size, err);
	if (fd < 0)
		return fd;
	/* For the sentence that names who has the lock. */
	rc = read_header(fd, addr, &stamp, &format, err);
	if (rc == 0)
		rc = pst_region_lock(fd, addr, &format, err);
	/* Again under the lock: another agent may have stamped it meanwhile. */
	if (rc == 0)
		rc = read_header(fd, addr, &stamp, &format, err);
	if (rc < 0)
		return rc;
	rc = pst_stamp_check(&stamp, size, &why);
	/* A stamp that is there but wrong is somebody's; only none at all is
	 * made good. */
	if (rc < 0 && !(may_stamp && stamp.magic != PST_WIRE_STAMP_MAGIC))
		return pst_error_set(err, rc, "%s: %s", addr, why.text);
	memcpy(r.uuid, stamp.uuid, sizeof(r.uuid));
	r.file_size = size;
	r.size = size - PST_WIRE_PREAMBLE;
	r.page_size = 4096;
	rc = map_bar(fd, sysfs, addr, size, &r, err);
	if (rc < 0)
		return rc;
	if (stamp.magic != PST_WIRE_STAMP_MAGIC) {
		rc = pst_region_write_stamp(pst_region_header(&r), size,
					    r.uuid);
		if (rc < 0) {
			munmap(r.base, r.size);
			return pst_error_set_errno(err, rc, "cannot stamp %s",
						   addr);
		}
	}
	snprintf(r.name, sizeof(r.name), "%s", addr);
	r.fd = fd;
	fd = -1;
	*ret = r;
	return 0;
}

int pst_region_open_ivshmem(const char *addr, const char *sysfs,
			    struct pst_region *ret, struct pst_error *err)
{
	char canonical[ADDR_SIZE];
	int r;

	if (!addr) {
		r = find_stamped(sysfs, canonical, err);
		return r < 0 ? r
			     : take_device(canonical, false, sysfs, ret, err);
	}
	r = parse_addr(addr, canonical, err);
	if (r < 0)
		return r;
	if (!is_ivshmem(sysfs, canonical))
		return pst_error_set(err, -ENODEV,
				     "%s is not an ivshmem device (PCI "
				     "1af4:1110)",
				     canonical);
	return take_device(canonical, true, sysfs, ret, err);
}
