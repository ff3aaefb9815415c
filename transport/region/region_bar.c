/* SPDX-License-Identifier: MIT */
/* An ivshmem device's pages through the kernel module penstock_bar. */
#include "transport/region/region_int.h"

#include <dirent.h>
#include <inttypes.h>
#include <string.h>

/* Entries of a device's "misc" directory that are read at most. */
#define MAX_ENTRIES 16U

/* "penstock0" and nothing else, so that no other path can be named. */
static bool is_bar_name(const char *name)
{
	unsigned int n;
	int used = 0;

	return strlen(name) < PST_REGION_NAME &&
	       sscanf(name, "penstock%6u%n", &n, &used) == 1 && !name[used] &&
	       strspn(name + 8, "0123456789") == strlen(name + 8);
}

bool pst_region_find_bar(const char *sysfs, const char *addr,
			 char ret[PST_REGION_NAME])
{
	unsigned int entries = 0;
	bool found = false;
	char path[512];
	struct dirent *de;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/bus/pci/devices/%s/misc", sysfs, addr);
	dir = opendir(path);
	if (!dir)
		return false;
	while (!found && entries++ < MAX_ENTRIES && (de = readdir(dir))) {
		if (!is_bar_name(de->d_name))
			continue;
		memcpy(ret, de->d_name, strlen(de->d_name) + 1);
		found = true;
	}
	closedir(dir);
	return found;
}

/* An attribute of the module's device, or -errno. */
static int attribute(const struct pst_region_bar *b, const char *file,
		     char *buf, size_t size)
{
	char path[512];
	int n = snprintf(path, sizeof(path), "%s/bus/pci/devices/%s/misc/%s/%s",
			 b->sysfs, b->addr, b->name, file);

	return n < 0 || (size_t)n >= sizeof(path)
		       ? -ENAMETOOLONG
		       : pst_read_text(path, buf, size);
}

static int busy(const struct pst_region_bar *b, struct pst_error *err)
{
	char text[16];
	uint64_t pid;

	if (attribute(b, "owner_pid", text, sizeof(text)) < 0 ||
	    pst_parse_u64(text, 1, INT32_MAX, &pid) < 0)
		return pst_error_set(err, -EBUSY,
				     "%s is open in another process", b->addr);
	return pst_error_set(err, -EBUSY,
			     "%s is served by another agent, pid %" PRIu64,
			     b->addr, pid);
}

static int open_bar(const struct pst_region_bar *b, struct pst_error *err)
{
	char dev[32] = "";
	int r;

	r = attribute(b, "dev", dev, sizeof(dev));
	r = pst_region_open_node(b->sysfs, b->name, r < 0 ? "" : dev, b->size,
				 err);
	return r == -EBUSY ? busy(b, err) : r;
}

int pst_region_open_bar(const struct pst_region_bar *b,
			struct pst_region_head *ret, struct pst_error *err)
{
	PST_CLEANUP_FD int fd = -1;
	int r;

	fd = open_bar(b, err);
	if (fd < 0)
		return fd;
	r = pst_region_read_head(fd, PST_WIRE_PREAMBLE, ret);
	if (r < 0)
		return pst_error_set_errno(err, r, "cannot map /dev/%s",
					   b->name);
	r = fd;
	fd = -1;
	return r;
}

uint64_t pst_region_bar_page(uint64_t page, uint64_t size, uint64_t faults)
{
	/* Twice as many: another thread may have been at the same page. */
	return faults > 2 * (size / page) ? 4096 : page;
}

/* Faults of all mappings of the device so far; 0: the module does not say. */
static uint64_t faults(const struct pst_region_bar *b)
{
	char text[32];
	uint64_t n;

	if (attribute(b, "faults", text, sizeof(text)) < 0 ||
	    pst_parse_u64(text, 0, INT64_MAX, &n) < 0)
		return 0;
	return n;
}

int pst_region_map_bar(const struct pst_region_bar *b, int fd,
		       struct pst_region *ret, struct pst_error *err)
{
	const uint64_t size = b->size - PST_WIRE_PREAMBLE, before = faults(b);
	char text[32];
	uint64_t page;
	void *base;
	int r;

	if (attribute(b, "page_size", text, sizeof(text)) < 0 ||
	    pst_parse_u64(text, 4096, PST_WIRE_UNIT, &page) < 0)
		return pst_error_set(err, -EPROTO,
				     "/dev/%s does not say its pages' size",
				     b->name);
	r = attribute(b, "caching", text, sizeof(text));
	ret->caching = r >= 0 && strcmp(text, "WB") == 0 ? PST_CACHING_WB
							 : PST_CACHING_UNKNOWN;
	r = pst_region_map_file(fd, PST_WIRE_PREAMBLE, size, NULL, &base);
	if (r < 0)
		return pst_error_set_errno(err, r, "cannot map /dev/%s",
					   b->name);
	ret->base = base;
	pst_region_populate(base, size);
	ret->page_size =
		(uint32_t)pst_region_bar_page(page, size, faults(b) - before);
	return 0;
}
