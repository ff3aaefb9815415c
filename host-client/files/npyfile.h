/* SPDX-License-Identifier: MIT */
/* Reads .npy files into the region or into private memory, whole or some rows
 * at a time. */
#ifndef PST_HOST_CLIENT_FILES_NPYFILE_H
#define PST_HOST_CLIENT_FILES_NPYFILE_H

#include "host-client/files/fileread.h"
#include "host-client/files/npy.h"
#include "host-client/penstock.h"

/* The size of a stream that has not ended yet. */
#define PST_NPYFILE_ENDLESS UINT64_MAX

/* An open file whose header is read and whose size is as its header says, or a
 * stream of which that will be seen at its end. */
struct pst_npyfile {
	const char *path; /* the caller's, for sentences */
	int fd;
	uint64_t size; /* bytes */
	struct pst_npy npy;
	uint8_t *head; /* a stream's first bytes; NULL: a file */
	size_t n_head, head_off;
};

/*
 * Opens and checks a file. Returns 0, -errno of open(2), -EINVAL (not a
 * regular file), -ENODATA (truncated: the sentence has both sizes), -EMSGSIZE
 * (bytes behind the matrix), or what pst_npy_parse() returns; sentences name
 * the path.
 */
PST_MUST_USE int pst_npyfile_open(const char *path, struct pst_npyfile *ret,
				  struct pst_error *err);
/*
 * Begins to read a stream, such as a pipe, from fd, which stays the caller's;
 * name is for sentences. Blocks for PST_NPY_MAX_HEADER bytes or the end. Only
 * pst_npyfile_rows(), row after row, and pst_npyfile_end() work on it.
 * Returns 0, -errno of read(2), -EOPNOTSUPP (in Fortran order), -ENODATA and
 * -EMSGSIZE if the end was seen, or what pst_npy_parse() returns.
 */
PST_MUST_USE int pst_npyfile_open_stream(int fd, const char *name,
					 struct pst_npyfile *ret,
					 struct pst_error *err);
/* Does nothing for a zeroed one that was never opened. */
void pst_npyfile_close(struct pst_npyfile *f);

/* Bytes of a region buffer that pst_npyfile_load() will ask for. */
uint64_t pst_npyfile_room(const struct pst_npyfile *f);

/* A file's matrix in the region, in this machine's byte order. */
struct pst_npyfile_data {
	void *buffer; /* for pst_free() */
	void *data;   /* the first element, inside buffer */
	enum pst_fileread_how how;
};

/*
 * Reads the file into a new buffer of c, without a copy on the way; big-endian
 * elements are swapped in place. *ret is zeroed on failure. Returns 0, what
 * pst_alloc() and pst_fileread() return; -ENOSPC's sentence has the sizes and
 * the remedy.
 */
PST_MUST_USE int pst_npyfile_load(struct pst *c, const struct pst_npyfile *f,
				  struct pst_npyfile_data *ret,
				  struct pst_error *err);

/*
 * Reads n rows from row on, row + n <= npy.rows, in this machine's byte order,
 * into n * npy.cols elements of private memory. They lie as in a file of these
 * rows alone: with npy.fortran one column of n elements behind another.
 * Of a stream they have to be the next ones; this blocks until they are there.
 * Returns 0, -errno of pread(2), -ENODATA (the file shrank since it was
 * opened, or the stream is truncated).
 */
PST_MUST_USE int pst_npyfile_rows(struct pst_npyfile *f, uint64_t row,
				  uint64_t n, void *buf, struct pst_error *err);

/* To be asked behind the last row: 0, -EMSGSIZE if a stream goes on there, or
 * -errno of read(2). Blocks until the stream ends or goes on. */
PST_MUST_USE int pst_npyfile_end(struct pst_npyfile *f, struct pst_error *err);

/* Reads the matrix into private memory that the caller frees with free(). */
PST_MUST_USE int pst_npyfile_copy(struct pst_npyfile *f, void **ret,
				  struct pst_error *err);

#endif
