/* SPDX-License-Identifier: MIT */
/* Runs the rows of a .npy file through a model, batch by batch, to another
 * file. */
#ifndef PST_HOST_CLIENT_FILES_INFERFILE_H
#define PST_HOST_CLIENT_FILES_INFERFILE_H

#include "host-client/penstock.h"
#include "transport/base/error.h"
#include "transport/base/util.h"

struct pst_inferfile {
	const char *in, *out; /* paths; "-" as the input: standard input */
	uint32_t batch;       /* rows of one operation; 0: by their size */
	uint64_t timeout_ns;  /* of one batch */
	/* Called before each batch with the rows that are done; or NULL. */
	void (*step)(void *arg, uint64_t done, uint64_t rows);
	void *arg;
};

struct pst_inferfile_result {
	uint32_t dtype; /* of the input file, enum pst_dtype */
	uint64_t rows;
	uint32_t batch;
	uint64_t batches;
	uint64_t call_ns;    /* all calls of pst_infer() as seen here */
	uint64_t compute_ns; /* the backend's own time */
};

/*
 * Reads a matrix of n_in columns, any type that .npy files may have here and
 * either order, as float32; writes one of float32 with n_out columns. The
 * output appears only when everything succeeded. Of neither more is in memory
 * than a batch and, if that is more, 32 MiB of the input.
 *
 * Returns 0, or the first failure with its sentence: of pst_npyfile_open(),
 * pst_npyfile_open_stream(), pst_npyfile_rows(), pst_npyfile_end(),
 * pst_outfile_open(), pst_infer(), -EINVAL (another number
 * of columns), -EMSGSIZE (batch is above the model's), -ENOMEM.
 */
PST_MUST_USE int pst_inferfile_run(struct pst *c, const struct pst_model *m,
				   const struct pst_inferfile *job,
				   struct pst_inferfile_result *ret,
				   struct pst_error *err);

#endif
