/* SPDX-License-Identifier: MIT */
/* Region providers: how the shared memory is made, found, locked and mapped. */
#ifndef PST_TRANSPORT_REGION_REGION_H
#define PST_TRANSPORT_REGION_REGION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "transport/base/error.h"
#include "transport/base/region_size.h"
#include "transport/op.h"
#include "transport/wire.h"

enum pst_provider {
	PST_PROVIDER_FILE,    /* a file on hugetlbfs, /dev/shm or elsewhere */
	PST_PROVIDER_MEMFD,   /* a sealed memfd */
	PST_PROVIDER_IVSHMEM, /* BAR 2 of PCI 1af4:1110, by module or sysfs */
	PST_PROVIDER_DAX,     /* device-DAX, a guest's nvdimm */
};

enum pst_caching {
	PST_CACHING_UNKNOWN,
	PST_CACHING_WB, /* write-back */
	PST_CACHING_WC, /* write-combining */
	PST_CACHING_UC, /* uncached */
};

/*
 * Rules for all files, on both sides. Extents are mapped one by one, at
 * offsets that are multiples of PST_WIRE_UNIT: hugetlbfs with larger pages
 * (1 GiB) is refused with -EINVAL. A file that everybody may write is refused
 * with -EPERM. One that is opened by its name belongs to root, to the caller,
 * or to an account under which QEMU or the agent run; it is no symbolic link,
 * and nobody else can put another in its place (-EPERM, -ELOOP). Holes are
 * filled in one's own file or -ENOSPC told, and refused in any other (-EPERM),
 * so that no access ends in SIGBUS. No mapping of a region is inherited by
 * fork(2) (MADV_DONTFORK).
 */

/*
 * A whole region as its agent maps it: base is the header, base + off is wire
 * offset off, for all of [0, size).
 */
struct pst_region {
	enum pst_provider provider;
	char name[128]; /* for logs: path, PCI address, "dax0.0", "memfd" */
	int fd;         /* file, memfd, device; resource2 of sysfs */
	uint8_t *base;
	/* Guest-physical address of base; 0: none, or not known (of device-DAX
	 * only root may know it). */
	uint64_t phys;
	uint64_t size;            /* bytes from the header to the end */
	uint64_t file_size;       /* size + PST_WIRE_PREAMBLE */
	uint32_t page_size;       /* bytes, of the arena's mapping */
	enum pst_caching caching; /* of the arena */
	uint8_t uuid[16];
	/* Of sparse:N, which units of the region have their memory, a byte
	 * each; else NULL: all have. */
	uint8_t *backed;
};

static inline struct pst_wire_header *
pst_region_header(const struct pst_region *r)
{
	return (struct pst_wire_header *)r->base;
}

static inline struct pst_wire_lane *pst_region_lane(uint8_t *base,
						    uint32_t lane)
{
	return (struct pst_wire_lane *)(base + PST_WIRE_HEADER_SIZE +
					(uint64_t)lane * PST_WIRE_LANE_STRIDE);
}

/* The provider's and the caching class's names: "ivshmem", "WB" ... */
const char *pst_provider_name(enum pst_provider p);
const char *pst_caching_name(enum pst_caching c);

struct pst_region_create {
	uint64_t file_size; /* a multiple of PST_WIRE_UNIT */
	mode_t mode;        /* e.g. 0660 */
	uid_t uid;          /* (uid_t)-1: unchanged */
	gid_t gid;          /* (gid_t)-1: unchanged */
	int node;           /* NUMA node to bind to, -1: none */
	bool prefault;      /* touch every page now */
	bool replace;       /* an existing file is replaced, else -EEXIST */
};

/*
 * Creates and stamps a region file. path must not exist unless replace; the
 * file appears under its name only when it is whole; where the file system
 * has files without a name, nothing is left of one that is not. On hugetlbfs
 * every page is allocated before it succeeds. The preamble gets the block
 * (transport/region/daxblock.h) that makes the file, as a guest's nvdimm, a
 * /dev/daxX.Y there.
 * Returns 0 and a random UUID in ret_uuid, -EEXIST, -EINVAL (size), -ENOSPC
 * (the hugepage pool or file system is too small; the sentence says by how
 * much), -EACCES, -ENOENT, -errno. A mode that lets everybody write is -EINVAL;
 * more than the machine's memory, on tmpfs, is -ENOMEM.
 */
int pst_region_create_file(const char *path, const struct pst_region_create *c,
			   uint8_t ret_uuid[16], struct pst_error *err);

/*
 * Creates a stamped memfd of file_size bytes, with hugepages when the pool
 * has them, else ordinary pages (*ret_huge tells), sealed F_SEAL_SHRINK,
 * F_SEAL_GROW and F_SEAL_SEAL. The caller owns *ret_fd.
 * Returns 0, -EINVAL, -ENOMEM, -errno.
 */
int pst_region_create_memfd(uint64_t file_size, int *ret_fd, bool *ret_huge,
			    struct pst_error *err);

/* What of a sparse region has its memory from the start: preamble, control
 * area, and the unit of the arena that is measured. */
#define PST_REGION_SPARSE_MIN                                                  \
	(PST_WIRE_PREAMBLE + PST_WIRE_CTL_SIZE + PST_WIRE_UNIT)

/*
 * The same for one private agent (sparse:N): what is not leased has no memory,
 * or only the promise of hugepages.
 */
int pst_region_create_sparse(uint64_t file_size, int *ret_fd,
			     struct pst_error *err);

/*
 * Whether spec, see pst_region_open(), can name a region, wherever the agent
 * runs. Reads nothing but the text. Returns 0, -EINVAL.
 */
int pst_region_check(const char *spec, struct pst_error *err);

/*
 * Opens what the agent serves, maps all of it and holds an exclusive lock on
 * it until pst_region_close(). spec:
 *   auto            the only stamped device, ivshmem or device-DAX; one region
 *                   that is there in both ways is opened as device-DAX
 *   ivshmem         the only stamped ivshmem device
 *   ivshmem:ADDR    the device at a PCI address, stamped or not
 *   dax             the only stamped device-DAX
 *   dax:daxX.Y      the device /dev/daxX.Y, stamped or not
 *   file:PATH       an existing file; must be stamped
 *   memfd:SIZE      a new sealed memfd
 *   fd:N            an inherited descriptor of a memfd or file; must be
 *                   stamped, seals are checked
 *   sparse:N        the same for what pst_region_create_sparse() made: its
 *                   arena gets memory by pst_region_back()
 * ivshmem goes through the module penstock_bar where it has the device, else
 * through sysfs, uncached.
 * An unstamped region named by address is stamped here. Never formats a
 * device it was not told of. fd:N belongs to the region after success, and to
 * the caller after failure. sysfs is the mount point ("/sys"), another one
 * in tests; device nodes are looked for in ../dev of it.
 * Returns 0, -EINVAL (spec), -ENODEV (no device), -ENOENT, -EACCES, -EPERM
 * (seals missing, or everybody may write), -ENOSPC (holes that cannot be
 * filled), -EBUSY (another agent holds it: the sentence has its pid),
 * -EPROTO (not a region), -EMSGSIZE (size against the stamp), -errno.
 */
int pst_region_open(const char *spec, const char *sysfs, struct pst_region *ret,
		    struct pst_error *err);
void pst_region_close(struct pst_region *r);

/*
 * Bytes of a span (wire offsets, whole units) without memory; and gives them
 * memory: the span may be touched then, and only then. Of a region that is not
 * sparse 0, and nothing to do. Returns 0, -ENOSPC, -ENOMEM, -errno.
 */
uint64_t pst_region_unbacked(const struct pst_region *r,
			     const struct pst_span *span);
int pst_region_back(struct pst_region *r, const struct pst_span *span,
		    struct pst_error *err);

/*
 * Gives a group the device files that pst_region_open(spec) needs, for an agent
 * without privileges: as root, before it starts. Of "auto", "ivshmem" and "dax"
 * these are the files of all stamped devices; a device that spec names need not
 * be stamped yet. Specs of no device need nothing.
 * Returns the number of devices, -EINVAL (spec), -ENODEV (no such device),
 * -EPERM, -EACCES (not root), -errno.
 */
int pst_region_grant(const char *spec, const char *sysfs, gid_t gid,
		     struct pst_error *err);

/*
 * Formats: clears header (not the stamp) and lanes, writes limits, then the
 * format line with a new random epoch, magic last. Returns 0 and *ret_epoch,
 * or -errno of getrandom.
 */
int pst_region_format(struct pst_region *r, uint32_t n_lanes,
		      const struct pst_wire_limits *limits,
		      uint32_t heartbeat_ms, uint64_t *ret_epoch,
		      struct pst_error *err);

/* Checks a private copy of a stamp against a file of file_size bytes.
 * Returns 0, -EPROTO (no stamp, or an unknown version), -EMSGSIZE. */
int pst_stamp_check(const struct pst_wire_stamp *stamp, uint64_t file_size,
		    struct pst_error *err);

/* The same for a private copy of a format line. Returns 0, -EAGAIN (not
 * formatted), -EPROTONOSUPPORT (version), -EPROTO. */
int pst_format_check(const struct pst_wire_format *f, uint64_t file_size,
		     struct pst_error *err);

/*
 * The client's side: an existing file or a received memfd, opened without
 * O_CREAT, checked, and mapped piecewise.
 */
struct pst_region_map {
	int fd;
	uint64_t file_size;
	uint8_t uuid[16];
	bool hugetlb;
	uint64_t page_size; /* bytes: hugepage size or the system's page size */
};

/*
 * Opens a region file for a client. It must be a regular file of a whole
 * number of units, stamped, its size as the stamp says, and not writable by
 * everybody. Returns 0, -ENOENT, -EACCES, -EPROTO, -EMSGSIZE, -EPERM, -ENOSPC,
 * -errno; sentences name the path.
 */
int pst_region_map_open(const char *path, struct pst_region_map *ret,
			struct pst_error *err);

/* Bytes of a passed region at most, unless somebody says otherwise. */
#define PST_MAX_REGION (64ULL << 30)

/* The sender of a descriptor (SO_PEERCRED), and how large it may be (0:
 * PST_MAX_REGION). */
struct pst_region_sender {
	uid_t uid;
	uint64_t max_size;
};

/*
 * The same for a descriptor that a peer sent, which it takes over also on
 * failure. It must be a memfd, sealed against shrinking and growing (-EPERM),
 * not too large (-EMSGSIZE), and without holes (-EPERM): it is never given
 * memory here. One of hugepages is taken from users only whose file would be.
 * Nothing is asked of a descriptor that is no memfd.
 */
int pst_region_map_fd(int fd, const struct pst_region_sender *from,
		      struct pst_region_map *ret, struct pst_error *err);

/* The same for one's own memfd of pst_region_create_sparse(): its holes
 * stay. */
int pst_region_map_sparse(int fd, struct pst_region_map *ret,
			  struct pst_error *err);
void pst_region_map_close(struct pst_region_map *m);

/*
 * Maps [off, off + size) of the region (wire offsets, multiples of
 * PST_WIRE_UNIT). at: NULL, or an address to map over (MAP_FIXED) that the
 * caller owns. Returns 0 and *ret_addr, -EINVAL (outside the file), -ENOMEM,
 * -errno.
 */
int pst_region_map_span(const struct pst_region_map *m,
			const struct pst_span *span, void *at, void **ret_addr,
			struct pst_error *err);

/*
 * Puts private anonymous zero memory in place of [addr, +size), atomically
 * for other threads that touch it: writes there reach nobody from now on.
 * Returns 0 or -ENOMEM (then the range is made inaccessible instead).
 */
int pst_region_map_detach(void *addr, uint64_t size);

#endif
