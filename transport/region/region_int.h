/* SPDX-License-Identifier: MIT */
/* Common declarations of the region*.c files, for these alone. */
#ifndef PST_TRANSPORT_REGION_REGION_INT_H
#define PST_TRANSPORT_REGION_REGION_INT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "transport/base/error.h"
#include "transport/base/util.h"
#include "transport/region/region.h"

/* Layout of struct pst_wire_stamp. */
#define PST_STAMP_VERSION 1U

/* What fstat(2), fstatfs(2) and F_GET_SEALS say about a backing file. */
struct pst_region_file {
	uint64_t size;
	uint64_t page_size;
	bool hugetlb;
	uid_t uid;   /* its owner */
	bool sealed; /* F_SEAL_SHRINK and F_SEAL_GROW: its size stays */
	bool memfd;  /* a file without a name that can have seals */
};

/*
 * Inspects an open file. Returns 0, -EPROTO (not a regular file), -EINVAL
 * (pages over PST_WIRE_UNIT), -EMSGSIZE (no region has this size), -EPERM
 * (everybody may write to it), -errno. name is for the sentence.
 */
PST_MUST_USE int pst_region_inspect(int fd, const char *name,
				    struct pst_region_file *ret,
				    struct pst_error *err);

/*
 * Reads and checks the stamp of an inspected file. Through pread(2), which
 * answers a hole with zeros, where a mapping can end in SIGBUS.
 */
PST_MUST_USE int pst_region_read_stamp(int fd, const char *name,
				       const struct pst_region_file *f,
				       uint8_t ret_uuid[16],
				       struct pst_error *err);

/*
 * Makes sure that every page of the file has its memory now, so that none is
 * missing (and SIGBUS sent) later. Holes are filled when may_fill and the file
 * is the caller's: somebody else's could have any size. Returns 0, -EPERM
 * (holes that are not to be filled), -ENOSPC, -errno.
 */
PST_MUST_USE int pst_region_allocate(int fd, const char *name, bool may_fill,
				     const struct pst_region_file *f,
				     struct pst_error *err);

/* A user's name for sentences, or "uid N". */
#define PST_REGION_USER 40U
void pst_region_user_name(uid_t uid, char ret[PST_REGION_USER]);

/* Whether a region of that user's is taken: root's, the caller's, that of the
 * accounts under which QEMU and the agent run. */
bool pst_region_trusts(uid_t uid);

/* 0 if the size stays, or -EPERM: any holder of a memfd can shrink or grow it
 * unless it is sealed. */
PST_MUST_USE int pst_region_check_sealed(const struct pst_region_file *f,
					 const char *name,
					 struct pst_error *err);

/*
 * Whether nobody else could put another file in the place of path, which lies
 * in the directory dir; file: what is there, or NULL. 0, -EPERM, -errno.
 */
PST_MUST_USE int pst_region_check_dir(int dir, const char *path,
				      const struct stat *file,
				      struct pst_error *err);

/* Opens the directory of path (O_PATH), and finds the name in it. Returns a
 * descriptor or -errno, no sentence. */
PST_MUST_USE int pst_region_open_dir(const char *path, const char **ret_base);

/*
 * Opens path for reading and writing, never through a symbolic link (but those
 * of /proc/PID/fd), and checks whose file and directory are. Returns a
 * descriptor, -ELOOP (a link), -EPERM, -errno of open(2).
 */
PST_MUST_USE int pst_region_open_path(const char *path, struct pst_error *err);

/*
 * Address space of size bytes, PROT_NONE, aligned to PST_WIRE_UNIT, to be
 * mapped over. Returns 0 or -ENOMEM.
 */
PST_MUST_USE int pst_region_reserve(uint64_t size, void **ret);

/*
 * Maps [off, +size) of the file (file offsets) shared, readable and writable,
 * at an address the caller owns or, when at is NULL, at an aligned new one.
 * The mapping is not inherited by fork(). Returns 0 or -errno, no sentence.
 */
PST_MUST_USE int pst_region_map_file(int fd, uint64_t off, uint64_t size,
				     void *at, void **ret);

/* Fills page tables ahead of use where the kernel can; never SIGBUS. */
void pst_region_populate(void *addr, uint64_t size);

/*
 * Writes the stamp into a header's memory, magic last. Returns 0 and the new
 * UUID, or -errno of getrandom(2).
 */
PST_MUST_USE int pst_region_write_stamp(struct pst_wire_header *h,
					uint64_t file_size,
					uint8_t ret_uuid[16]);

/*
 * Takes the exclusive lock. Returns 0, or -EBUSY with a sentence that names
 * the holder as far as the copy of the format line (may be NULL) tells.
 */
PST_MUST_USE int pst_region_lock(int fd, const char *name,
				 const struct pst_wire_format *format,
				 struct pst_error *err);

/* Copies of the header's first two lines. */
struct pst_region_head {
	struct pst_wire_stamp stamp;
	struct pst_wire_format format;
};

/* Reads them through a mapping of the control area, which begins at offset
 * off of the device. Returns 0 or -errno, no sentence. */
PST_MUST_USE int pst_region_read_head(int fd, uint64_t off,
				      struct pst_region_head *ret);

/*
 * Takes the UUID of r, mapped and locked, from its stamp. If r has no stamp and
 * may_stamp is set, writes one. What was read before the lock does not count:
 * another agent may have stamped the device meanwhile. Returns 0,
 * -EPROTO, -EMSGSIZE, or -errno of getrandom(2).
 */
PST_MUST_USE int pst_region_take_stamp(struct pst_region *r, const char *name,
				       bool may_stamp, struct pst_error *err);

/* A guest's device that may be a region. */
#define PST_REGION_NAME        24 /* "10000:ff:1f.7", the longest, and some */
#define PST_REGION_MAX_DEVICES 32U
struct pst_region_device {
	enum pst_provider provider;
	char name[PST_REGION_NAME]; /* PCI address, or "dax0.0" */
	uint64_t file_size;
	uint8_t uuid[16];
	int why; /* 0: stamped; else -errno, why it is no region */
};

struct pst_region_devices {
	struct pst_region_device list[PST_REGION_MAX_DEVICES];
	unsigned int n;
};

/* Kinds of devices, for pst_region_find(). */
#define PST_REGION_IVSHMEM (1U << 0)
#define PST_REGION_DAX     (1U << 1)

/*
 * The only stamped device of these kinds. One region that is there as
 * device-DAX and in another way counts once, as device-DAX. If there is none,
 * one that somebody holds and that so may be a region. Returns 0, -ENODEV,
 * -EACCES (none, and some could not be read), -EINVAL (several).
 */
PST_MUST_USE int pst_region_find(unsigned int kinds, const char *sysfs,
				 struct pst_region_device *ret,
				 struct pst_error *err);

/*
 * Opens /dev/NAME and makes sure that it is what sysfs speaks of: dev is its
 * "MAJOR:MINOR" there, size its bytes. Returns a descriptor, -ENODEV (another
 * device), -errno of open(2).
 */
PST_MUST_USE int pst_region_open_node(const char *sysfs, const char *name,
				      const char *dev, uint64_t size,
				      struct pst_error *err);

/* Append what there is to all. No bus of that kind is no failure. */
PST_MUST_USE int pst_region_list_ivshmem(const char *sysfs,
					 struct pst_region_devices *all,
					 struct pst_error *err);
PST_MUST_USE int pst_region_list_dax(const char *sysfs,
				     struct pst_region_devices *all,
				     struct pst_error *err);

/* Whether a device can have that PCI address, or name. 0, -EINVAL. */
PST_MUST_USE int pst_region_check_ivshmem(const char *addr,
					  struct pst_error *err);
PST_MUST_USE int pst_region_check_dax(const char *name, struct pst_error *err);

/* Open a device by its PCI address or its name. may_stamp: it need not be a
 * region yet. */
PST_MUST_USE int pst_region_open_ivshmem(const char *addr, bool may_stamp,
					 const char *sysfs,
					 struct pst_region *ret,
					 struct pst_error *err);

/* Gives path to a group, with these permissions. Returns 0 or -errno. */
PST_MUST_USE int pst_region_give(const char *path, gid_t gid, mode_t mode,
				 struct pst_error *err);

/* Gives a device's files to a group, by its PCI address or its name: the node
 * that a driver has made of it, else the files of its BAR, enabled, in sysfs.
 * Returns 0, -EINVAL (no such name), -ENODEV, -errno. */
PST_MUST_USE int pst_region_grant_ivshmem(const char *addr, const char *sysfs,
					  gid_t gid, struct pst_error *err);
PST_MUST_USE int pst_region_grant_dax(const char *name, const char *sysfs,
				      gid_t gid, struct pst_error *err);

/* An ivshmem device that the module penstock_bar serves. */
struct pst_region_bar {
	const char *sysfs;
	const char *addr;
	char name[PST_REGION_NAME]; /* "penstock0" */
	uint64_t start;             /* of the BAR: guest-physical address */
	uint64_t size;
};

/* The module's name for the device, if it has it. */
bool pst_region_find_bar(const char *sysfs, const char *addr,
			 char ret[PST_REGION_NAME]);

/* Opens it and copies the header's first lines. Returns a descriptor, -EBUSY
 * (the sentence has the other agent's pid), -ENODEV, -errno. */
PST_MUST_USE int pst_region_open_bar(const struct pst_region_bar *b,
				     struct pst_region_head *ret,
				     struct pst_error *err);

/*
 * Bytes that one entry of the page table maps, of a mapping of size bytes that
 * took so many faults to populate: page, the module's word, or 4096. The module
 * hands out pages of 2 MiB; whether the kernel maps one at once is its own
 * affair.
 */
uint64_t pst_region_bar_page(uint64_t page, uint64_t size, uint64_t faults);

/* Maps it: base, page size and caching of ret. Returns 0 or -errno. */
PST_MUST_USE int pst_region_map_bar(const struct pst_region_bar *b, int fd,
				    struct pst_region *ret,
				    struct pst_error *err);

PST_MUST_USE int pst_region_open_dax(const char *name, bool may_stamp,
				     const char *sysfs, struct pst_region *ret,
				     struct pst_error *err);

/* Pages of page_size bytes in the pool (of one node when node >= 0): a file
 * of sysfs such as "free_hugepages". 0 when it cannot be read. */
uint64_t pst_region_pool_pages(uint64_t page_size, int node, const char *what);
/* Pages that are free and not reserved. */
uint64_t pst_region_pool_free(uint64_t page_size, int node);

/* Whether the machine has size bytes of ordinary memory to spare: a tmpfs
 * larger than that is legal, filling it calls the OOM killer. -ENOMEM. */
PST_MUST_USE int pst_region_check_ram(uint64_t size, struct pst_error *err);

/* The stamp, and for a guest that gets the file as an nvdimm the block that
 * its kernel looks for.
 * Returns 0 or -errno. */
PST_MUST_USE int pst_region_stamp(int fd, uint64_t size, uint8_t ret_uuid[16]);

#endif
