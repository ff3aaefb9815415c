/* SPDX-License-Identifier: MIT */
/* What computes: the interface between the executor and a backend. */
#ifndef PST_GUEST_AGENT_BACKEND_H
#define PST_GUEST_AGENT_BACKEND_H

#include <stddef.h>
#include <stdint.h>

#include "transport/error.h"
#include "transport/op.h"

struct pst_backend;

/* State of one running operation, owned by the executor, zeroed by it before
 * begin; the backend keeps what it likes in it. */
struct pst_backend_op {
	struct pst_op op;
	uint64_t compute_ns; /* the backend's own time so far */
	uint64_t result;     /* CHECKSUM */
	uint64_t cursor[6];  /* the backend's */
	void *priv;
};

struct pst_backend_ops {
	const char *name; /* "cpu" */

	/*
	 * base: wire offset 0 of the region. threads: 0 for the backend's
	 * choice. Returns 0, -ENODEV, -errno.
	 */
	int (*open)(uint8_t *base, uint64_t size, uint32_t threads,
		    struct pst_backend **ret, struct pst_error *err);
	void (*close)(struct pst_backend *b);

	/* One line for INFO: library, version, threads, kernel. */
	void (*describe)(struct pst_backend *b, char *buf, size_t size);

	/* How a GPU's driver has the region, for INFO: "plain", "iomemory",
	 * "staged" or "none". NULL: there is no GPU. */
	const char *(*registration)(struct pst_backend *b);

	/* Threads that compute; for INFO. */
	uint32_t (*threads)(struct pst_backend *b);

	/*
	 * Starts a checked operation. Returns 0, -EOPNOTSUPP, -errno. The
	 * spans in bop->op stay leased until step is done or cancel returned.
	 */
	int (*begin)(struct pst_backend *b, struct pst_backend_op *bop,
		     struct pst_error *err);

	/*
	 * Does at most about 10 ms of it, or looks whether the device has
	 * finished. Returns 1 done, 0 more to do, -errno failed.
	 */
	int (*step)(struct pst_backend *b, struct pst_backend_op *bop,
		    struct pst_error *err);

	/*
	 * Gives up an operation that is not done. Returns 1 when nothing of it
	 * can write any more, 0 when the device still may: call again.
	 */
	int (*cancel)(struct pst_backend *b, struct pst_backend_op *bop);

	/* Expected nanoseconds of an operation, for fair scheduling. */
	uint64_t (*estimate_ns)(struct pst_backend *b, const struct pst_op *op);
};

/* Name of a backend: "auto", "cpu". Returns NULL for an unknown one. */
const struct pst_backend_ops *pst_backend_find(const char *name);

extern const struct pst_backend_ops pst_backend_cpu;

#endif
