/* SPDX-License-Identifier: MIT */
/* Reads a host's files below an untrusted root directory. */
#ifndef PST_KERNEL_PARAMS_ROOT_ROOT_H
#define PST_KERNEL_PARAMS_ROOT_ROOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "transport/base/error.h"
#include "transport/base/util.h"

/* What is asked of a path: its kind; its link, which a short file may hold; its
 * bytes; the names in it. */
enum pst_host_root_use {
	PST_HOST_ROOT_STAT,
	PST_HOST_ROOT_LINK,
	PST_HOST_ROOT_READ,
	PST_HOST_ROOT_LIST,
};

/* Where penstock host report puts what files alone do not tell. */
#define PST_HOST_REPORT_DIR "penstock-report"

/*
 * A root is "/" or a directory that holds a copy of another machine's files.
 * Every path below is taken from there, with or without a leading slash; ".."
 * and symbolic links never lead out of it. Only regular files are read, so a
 * FIFO or device node in the tree neither blocks nor acts. Errors common to
 * all functions: -ENOENT (missing, or a link to nowhere), -EACCES (not
 * permitted), -ELOOP (links in a circle), -ENOTDIR, -EIO and other errors of
 * open(2) and read(2). Nothing here prints.
 */
struct pst_host_root {
	int fd;
	bool live;     /* it is the running machine's / */
	bool own_walk; /* resolve without openat2(2); set where it is denied */
	/* Files as they shall be, in memory alone: pst_host_root_stat(),
	 * _exists(), _is_link(), _read(), _read_text() and _list() show them
	 * instead of what is there. Borrowed. */
	const struct pst_host_overlay *over;
	size_t n_over;
	/* Told of each path that is asked for, NULL: nobody. */
	void (*asked)(void *ctx, const char *path, enum pst_host_root_use use);
	void *asked_ctx;
};

struct pst_host_overlay {
	const char *path; /* with a slash; no link leads there */
	const char *text; /* NULL: there is no such file */
};

/* Longest path in a tree, and most entries of one directory read. */
#define PST_HOST_ROOT_PATH_MAX    1024
#define PST_HOST_ROOT_MAX_ENTRIES 8192
/* What a small file of sysfs, procfs or /etc holds at most. */
#define PST_HOST_ROOT_TEXT_MAX (1U << 20)
/* What a file of a .d directory holds at most, and how many of them count:
 * a tree made to waste time shall not. */
#define PST_HOST_ROOT_CONF_MAX   (64U << 10)
#define PST_HOST_ROOT_CONF_FILES 256

/*
 * Opens dir. Returns 0 (to be ended with pst_host_root_close()) or -errno with
 * a sentence in err (may be NULL).
 */
PST_MUST_USE int pst_host_root_open(const char *dir, struct pst_host_root *ret,
				    struct pst_error *err);
void pst_host_root_close(struct pst_host_root *r);

/* Metadata of what path leads to. 0 or -errno. */
PST_MUST_USE int pst_host_root_stat(const struct pst_host_root *r,
				    const char *path, struct stat *ret);

/* Whether path leads to something. */
bool pst_host_root_exists(const struct pst_host_root *r, const char *path);

/* Whether path itself is a symbolic link; links in its way are followed. */
bool pst_host_root_is_link(const struct pst_host_root *r, const char *path);

/* Opens a regular file to read; -EINVAL for anything else. fd or -errno. */
PST_MUST_USE int pst_host_root_open_file(const struct pst_host_root *r,
					 const char *path);

/*
 * Reads a whole file of at most max bytes into memory of its own (a NUL is
 * appended, not counted); the caller frees it. 0 or -errno: -EMSGSIZE when it
 * is longer, -EINVAL when it is no regular file, -ENOMEM.
 */
PST_MUST_USE int pst_host_root_read(const struct pst_host_root *r,
				    const char *path, size_t max, char **ret,
				    size_t *ret_len);

/*
 * Reads a small text into buf, without white space at its end. Returns its
 * length, or -errno: as above, and -EPROTO when it holds a NUL byte.
 */
PST_MUST_USE int pst_host_root_read_text(const struct pst_host_root *r,
					 const char *path, char *buf,
					 size_t size);

/*
 * Reads one number (base 10, 16 with or without 0x, or 0 for both by prefix).
 * 0 or -errno: -EPROTO when the file holds anything else or it is too large.
 */
PST_MUST_USE int pst_host_root_read_u64(const struct pst_host_root *r,
					const char *path, unsigned int base,
					uint64_t *ret);

/*
 * The text of the symbolic link at path. A short regular file that holds one
 * relative path counts as one: trees are copied by tools that lose links.
 * Returns its length, -EINVAL (neither), -EMSGSIZE or another -errno.
 */
PST_MUST_USE int pst_host_root_readlink(const struct pst_host_root *r,
					const char *path, char *buf,
					size_t size);

/* The last component of such a link ("vfio-pci" of a driver link). */
PST_MUST_USE int pst_host_root_link_name(const struct pst_host_root *r,
					 const char *path, char *buf,
					 size_t size);

/*
 * The directory that path is or leads to, links that are files followed, as a
 * path below the root without links at its end. Writes ret, of size bytes.
 * 0, -ENOTDIR, -EMSGSIZE or another -errno.
 */
PST_MUST_USE int pst_host_root_dir(const struct pst_host_root *r,
				   const char *path, char *ret, size_t size);

/* Names in a directory, sorted by bytes; "." and ".." left out. */
struct pst_host_names {
	char **name;
	size_t n;
	bool truncated; /* there were more than PST_HOST_ROOT_MAX_ENTRIES */
};

/* 0 (to be ended with pst_host_names_done()) or -errno. */
PST_MUST_USE int pst_host_root_list(const struct pst_host_root *r,
				    const char *path,
				    struct pst_host_names *ret);
void pst_host_names_done(struct pst_host_names *n);

/* Adds the first n bytes of name, without sorting. 0 or -ENOMEM. */
PST_MUST_USE int pst_host_names_add(struct pst_host_names *l, const char *name,
				    size_t n);

static inline void pst_host_cleanup_names(struct pst_host_names *n)
{
	pst_host_names_done(n);
}

#define PST_HOST_CLEANUP_NAMES __attribute__((cleanup(pst_host_cleanup_names)))

/* snprintf() into a path of PST_HOST_ROOT_PATH_MAX. 0 or -EMSGSIZE. */
PST_MUST_USE int pst_host_path(char ret[PST_HOST_ROOT_PATH_MAX],
			       const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
