/* SPDX-License-Identifier: MIT */
/* Reads .npy files of tensors into the region, and writes them. */
#ifndef PST_HOST_CLIENT_FILES_TENSORFILE_H
#define PST_HOST_CLIENT_FILES_TENSORFILE_H

#include "host-client/penstock.h"
#include "transport/base/error.h"
#include "transport/base/util.h"

/*
 * Reads a file into a new buffer of c, in this machine's byte order and with
 * the last dimension the inner one: dtype, rank, dim, data and bytes of *ret.
 * The caller frees data with pst_free(). Returns 0, -errno of open(2) or
 * read(2), what pst_npy_parse_tensor() and pst_alloc() return, -ENODATA
 * (truncated), -EMSGSIZE (bytes behind the tensor); sentences name the path.
 */
PST_MUST_USE int pst_tensorfile_read(struct pst *c, const char *path,
				     struct pst_io *ret, struct pst_error *err);

/* Writes a private copy of a tensor to a file that appears whole, or not at
 * all. Returns 0, what pst_outfile_open() and the like return. */
PST_MUST_USE int pst_tensorfile_write(const char *path, const struct pst_io *io,
				      const void *data, struct pst_error *err);

/* Element i of a tensor of any type of pst_run(), as a number. */
double pst_tensor_get(const void *data, uint32_t dtype, uint64_t i);
/* The other way round: the nearest that the type has. */
void pst_tensor_put(void *data, uint32_t dtype, uint64_t i, double v);

#endif
