/* SPDX-License-Identifier: MIT */
/* Common declarations of the files that load models. */
#ifndef PST_HOST_CLIENT_LIB_OPS_MODEL_LOAD_H
#define PST_HOST_CLIENT_LIB_OPS_MODEL_LOAD_H

#include "host-client/lib/session/conn.h"

/* A model file on its way. */
struct pst_model_job {
	struct pst *c;
	struct pst_load_args args;
	int fd;        /* of args.path */
	uint64_t size; /* bytes of it */
	uint64_t deadline_ns;
};

/* Reads exactly [off, +n) of a file. 0, -errno, -ENODATA with a sentence. */
PST_MUST_USE int pst_model_read(int fd, const char *path, void *buf, uint64_t n,
				uint64_t off, struct pst_error *err);

/* Opens a regular file. 0 and its size, -errno, -EINVAL with a sentence. */
PST_MUST_USE int pst_model_open_file(const char *path, int *ret_fd,
				     uint64_t *ret_size, struct pst_error *err);

/* Tells the caller how far it is. -ECANCELED. */
PST_MUST_USE int pst_model_progress(const struct pst_model_job *j,
				    uint64_t done, uint64_t total,
				    struct pst_error *err);

/* By format. Without the lock. */
PST_MUST_USE int pst_model_load_safetensors(const struct pst_model_job *j,
					    struct pst_model *ret,
					    struct pst_error *err);

/* Of files that the agent gets, and may keep. format: enum
 * pst_wire_model_format. */
PST_MUST_USE int pst_model_load_staged(const struct pst_model_job *j,
				       uint32_t format, struct pst_model *ret,
				       struct pst_error *err);

#endif
