/* SPDX-License-Identifier: MIT */
/* Makes trees of hosts in a temporary directory, file by file. */
#ifndef PST_TESTS_UNIT_HOSTTREE_H
#define PST_TESTS_UNIT_HOSTTREE_H

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include "kernel-params/root/root.h"
#include "tests/unit/tmpdir.h"

/* Longest path of a test's tree. */
#define TREE_PATH 512

static struct pst_root tree;

static inline void tree_make(void)
{
	struct pst_error err;

	tmpdir_make();
	ck_assert_int_eq(pst_root_open(tmpdir, &tree, &err), 0);
}

static inline void tree_remove(void)
{
	pst_root_close(&tree);
	tmpdir_remove();
}

/* Makes the directories that path is in. */
static inline void tree_parents(const char *path)
{
	char dir[PATH_MAX], *p;

	snprintf(dir, sizeof(dir), "%s/%s", tmpdir, path);
	for (p = strchr(dir, '/'); p; p = strchr(p + 1, '/')) {
		*p = '\0';
		if (mkdir(dir, 0755) < 0)
			ck_assert_int_eq(errno, EEXIST);
		*p = '/';
	}
}

static inline void tree_dir(const char *path)
{
	char with[TREE_PATH + 1];

	snprintf(with, sizeof(with), "%s/", path);
	tree_parents(with);
}

static inline void tree_bytes(const char *path, const void *data, size_t n)
{
	FILE *f;

	tree_parents(path);
	f = fopen(tmpdir_path(path), "w");
	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(data, 1, n, f), n);
	ck_assert_int_eq(fclose(f), 0);
}

static inline void tree_file(const char *path, const char *text)
{
	tree_bytes(path, text, strlen(text));
}

static inline void tree_link(const char *path, const char *target)
{
	tree_parents(path);
	unlink(tmpdir_path(path));
	ck_assert_int_eq(symlink(target, tmpdir_path(path)), 0);
}

static inline void tree_unlink(const char *path)
{
	ck_assert_int_eq(unlink(tmpdir_path(path)), 0);
}

/* A PCI function with what sysfs shows of it; links are symbolic links. */
struct tree_pci {
	const char *addr, *vendor, *device, *class;
	const char *driver;   /* NULL: none */
	int group;            /* -1: none */
	const char *resource; /* NULL: none of it is mapped */
};

static inline void tree_attr(const char *addr, const char *attr,
			     const char *text)
{
	char path[TREE_PATH];

	snprintf(path, sizeof(path), "sys/devices/pci0000:00/%s/%s", addr,
		 attr);
	tree_file(path, text);
}

static inline void tree_driver(const char *addr, const char *driver)
{
	char path[TREE_PATH], target[TREE_PATH];

	snprintf(path, sizeof(path), "sys/devices/pci0000:00/%s/driver", addr);
	snprintf(target, sizeof(target), "../../../bus/pci/drivers/%s",
		 driver ? driver : "");
	if (driver)
		tree_link(path, target);
	else
		unlink(tmpdir_path(path));
}

static inline void tree_group(const char *addr, int group)
{
	char path[TREE_PATH], target[TREE_PATH];

	snprintf(path, sizeof(path), "sys/devices/pci0000:00/%s/iommu_group",
		 addr);
	snprintf(target, sizeof(target), "../../../kernel/iommu_groups/%d",
		 group);
	tree_link(path, target);
	snprintf(path, sizeof(path), "sys/kernel/iommu_groups/%d/devices/%s",
		 group, addr);
	snprintf(target, sizeof(target), "../../../../devices/pci0000:00/%s",
		 addr);
	tree_link(path, target);
	snprintf(path, sizeof(path), "sys/kernel/iommu_groups/%d/type", group);
	tree_file(path, "DMA-FQ\n");
}

static inline void tree_pci(const struct tree_pci *p)
{
	char path[TREE_PATH], target[TREE_PATH];

	tree_attr(p->addr, "vendor", p->vendor);
	tree_attr(p->addr, "device", p->device);
	tree_attr(p->addr, "class", p->class);
	tree_attr(p->addr, "numa_node", "0\n");
	tree_attr(p->addr, "driver_override", "(null)\n");
	tree_attr(p->addr, "resource",
		  p->resource ? p->resource
			      : "0x0000000000000000 0x0000000000000000 "
				"0x0000000000000000\n");
	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s", p->addr);
	snprintf(target, sizeof(target), "../../../devices/pci0000:00/%s",
		 p->addr);
	tree_link(path, target);
	tree_driver(p->addr, p->driver);
	if (p->group >= 0)
		tree_group(p->addr, p->group);
}

#endif
