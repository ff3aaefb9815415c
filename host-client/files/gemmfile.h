/* SPDX-License-Identifier: MIT */
/* Multiplies two .npy files, from the disk through the region to the disk.
 */
#ifndef PST_HOST_CLIENT_FILES_GEMMFILE_H
#define PST_HOST_CLIENT_FILES_GEMMFILE_H

#include "host-client/files/npyfile.h"
#include "host-client/files/reference.h"
#include "host-client/penstock.h"

struct pst_gemmfile {
	const char *a, *b; /* paths */
	const char *c0;    /* path of the input C; NULL when beta is 0 */
	const char *bias;  /* path of a 1 x n matrix, or NULL */
	const char *out;   /* path; NULL: the result is not written */
	bool transa, transb;
	double alpha, beta;
	uint32_t compute, act; /* enum pst_compute, pst_act */
	uint64_t timeout_ns;   /* of the product itself */
	bool verify;
	/* Called before each step with its name, "multiplying"; or NULL. */
	void (*step)(void *arg, const char *what);
	void *arg;
};

struct pst_gemmfile_result {
	uint32_t dtype, dtype_c; /* enum pst_dtype; of A and B, of C */
	uint64_t m, n, k;
	bool zero_copy;            /* the files were read into the region */
	uint64_t call_ns;          /* pst_gemm() as seen here */
	uint64_t compute_ns;       /* the backend's own time */
	uint64_t read_ns;          /* both files into the region */
	enum pst_fileread_how how; /* how A was read */
	struct pst_reference reference; /* when verify */
};

/*
 * Reads, multiplies, verifies if asked to, writes. Files that do not fit into
 * the region are read into private memory, and multiplied in pieces. The output
 * appears only when everything succeeded; the inputs are never written, also
 * when out names one of them. The reference is computed from the files, read a
 * second time into private memory, and from the very bytes that are written.
 *
 * Returns 0 (ret->reference.verified tells of the check; when it fails the
 * output is not written), or the first failure with its sentence: of
 * pst_npyfile_open(), pst_outfile_open(), pst_alloc(), pst_gemm(), -EINVAL
 * (element types or shapes do not fit together), -EMSGSIZE (a side of 2^32),
 * -ENOMEM.
 */
PST_MUST_USE int pst_gemmfile_run(struct pst *c, const struct pst_gemmfile *job,
				  struct pst_gemmfile_result *ret,
				  struct pst_error *err);

/* 2 m n k over the time of the call; 0 when there was none. */
double pst_gemmfile_gflops(const struct pst_gemmfile_result *r);

#endif
