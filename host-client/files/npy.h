/* SPDX-License-Identifier: MIT */
/* Reads and writes the header of a .npy file of one matrix or one tensor: pure
 * functions over bytes. */
#ifndef PST_HOST_CLIENT_FILES_NPY_H
#define PST_HOST_CLIENT_FILES_NPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host-client/penstock.h"
#include "transport/base/error.h"
#include "transport/base/util.h"

/* A larger header is refused; numpy itself reads 10000 bytes. */
#define PST_NPY_MAX_HEADER 65536U
/* Size of the headers that are written here. */
#define PST_NPY_HEADER 128U

/* A matrix of rows x cols; with fortran its columns lie one after another,
 * else its rows. */
struct pst_npy {
	uint32_t dtype;         /* enum pst_dtype */
	unsigned int elem_size; /* bytes */
	bool big_endian;
	bool fortran;
	uint64_t rows, cols;
	uint64_t
		data_off; /* bytes from the file's start to the first element */
	uint64_t data_size; /* bytes */
};

/*
 * Reads the header in the first n bytes of a file: the format of numpy's
 * NEP 1, versions 1.0, 2.0 and 3.0, one matrix of f2, f4, f8 or i4 elements in
 * either byte order, or of i1. What is not exactly that is refused, never
 * guessed at. n should be PST_NPY_MAX_HEADER or the file's size if that is
 * less.
 *
 * Returns 0; -EINVAL (not a .npy file, or a malformed header), -ENODATA (the
 * header is not whole), -EOPNOTSUPP (another version, element type or number
 * of dimensions), -EMSGSIZE (the header is too long), -EOVERFLOW (the size of
 * the data does not fit in 63 bits). data_off + data_size does not wrap.
 */
PST_MUST_USE int pst_npy_parse(const void *buf, size_t n, struct pst_npy *ret,
			       struct pst_error *err);

/* A tensor: any number of dimensions up to 8, and any type of pst_run(). */
struct pst_npy_tensor {
	uint32_t dtype;         /* enum pst_dtype */
	unsigned int elem_size; /* bytes */
	bool big_endian;
	bool fortran;
	uint32_t rank;
	int64_t dim[PST_MAX_RANK];
	uint64_t data_off, data_size; /* as of struct pst_npy */
};

/* The same for a tensor; also -EOPNOTSUPP for more dimensions. */
PST_MUST_USE int pst_npy_parse_tensor(const void *buf, size_t n,
				      struct pst_npy_tensor *ret,
				      struct pst_error *err);

/* Writes the header of a little-endian tensor whose last dimension is the inner
 * one; data_off is PST_NPY_TENSOR. Elements of BF16, which numpy does not have,
 * are written as U16. */
#define PST_NPY_TENSOR 256U
void pst_npy_format_tensor(uint32_t dtype, uint32_t rank, const int64_t *dim,
			   uint8_t ret[PST_NPY_TENSOR]);

/* Writes the header of a little-endian matrix of F16, F32, F64, I8 or I32;
 * data_off is PST_NPY_HEADER. */
void pst_npy_format(uint32_t dtype, bool fortran, uint64_t rows, uint64_t cols,
		    uint8_t ret[PST_NPY_HEADER]);

/* Reverses the bytes of each of n elements of 2, 4 or 8 bytes, in place. */
void pst_npy_swap(void *data, uint64_t n, unsigned int elem_size);

#endif
