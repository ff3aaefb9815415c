/* SPDX-License-Identifier: MIT */
/* The card and its driver: versions, their compatibility, texts of errors. */
#ifndef PST_GUEST_AGENT_CUDA_DEVICE_H
#define PST_GUEST_AGENT_CUDA_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include <cublas_v2.h>
#include <cuda_runtime_api.h>

#include "transport/base/error.h"

struct pst_cuda_device {
	int ordinal;
	char name[128];
	char uuid[48]; /* as the driver's tools print it, "GPU-..." */
	char pci[32];
	uint32_t major, minor; /* compute capability */
	uint32_t multiprocessors;
	uint64_t mem_total;
	uint64_t max_pitch; /* bytes between the lines of a 2D copy */
	bool pools;         /* cudaMallocAsync */
	bool taken;         /* this process has a context there */
	int driver;         /* newest CUDA the driver knows, 13000 for 13.0 */
	int runtime;        /* CUDA version of the runtime library */
	char driver_text[32];
};

/*
 * Finds the card gpu (its UUID "GPU-..." or PCI address; NULL: the first, which
 * is the fastest), checks that card, driver and library are compatible,
 * and makes it the calling thread's. Returns 0; -ENODEV (no driver, no card,
 * too old or too new, with both versions in the sentence); -EIO.
 */
int pst_cuda_device_open(const char *gpu, struct pst_cuda_device *ret,
			 struct pst_error *err);

/*
 * Whether a library of version runtime works with a driver that knows CUDA
 * up to version driver, and a card of compute capability major.minor: a pure
 * function. Returns 0, or -ENODEV with a sentence that names both.
 */
int pst_cuda_check_versions(int driver, int runtime, const char *card,
			    uint32_t major, uint32_t minor,
			    struct pst_error *err);

/*
 * 0 for cudaSuccess; else -ENOMEM, -ENODEV or -EIO, a sentence ("what: text of
 * the error"), and the error is cleared, so that the next call does not
 * report it again. what: a phrase such as "copying a tile to the device".
 */
int pst_cuda_ok(cudaError_t e, const char *what, struct pst_error *err);

/* The same for cuBLAS; -EOPNOTSUPP where it has no such product. */
int pst_cuda_cublas_ok(cublasStatus_t s, const char *what,
		       struct pst_error *err);

#endif
