/* SPDX-License-Identifier: MIT */
/* Remembers which algorithm cuBLASLt chose for a product. */
#ifndef PST_GUEST_AGENT_CUDA_LT_CACHE_H
#define PST_GUEST_AGENT_CUDA_LT_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include <cublasLt.h>

#define PST_CUDA_LT_CACHED 64U

/* All that cuBLASLt's choice depends on and that is not the same for each of
 * our products (order, scale and pointer mode are). Without padding: keys are
 * compared byte by byte. */
struct pst_cuda_lt_key {
	uint64_t stride_a, stride_b, stride_c, workspace;
	uint32_t m, n, k, batch, lda, ldb, ldc;
	uint32_t type, type_c, compute, epilogue;
	uint32_t transa, transb;
	/* The largest powers of two that divide the addresses. */
	uint32_t align_a, align_b, align_c, align_bias, zero;
};

/* A zeroed one is empty. */
struct pst_cuda_lt_cache {
	uint64_t clock;
	struct pst_cuda_lt_choice {
		struct pst_cuda_lt_key key;
		uint64_t used; /* clock; 0: empty */
		bool refused;  /* cuBLASLt has nothing for it */
		cublasLtMatmulAlgo_t algo;
	} choice[PST_CUDA_LT_CACHED];
};

/* What was chosen for it, or NULL. Valid until the next put. */
struct pst_cuda_lt_choice *
pst_cuda_lt_cache_get(struct pst_cuda_lt_cache *c,
		      const struct pst_cuda_lt_key *key);

/* Adds a choice for a key that get did not find, in the place of that used
 * longest ago. algo NULL: refused. */
struct pst_cuda_lt_choice *
pst_cuda_lt_cache_put(struct pst_cuda_lt_cache *c,
		      const struct pst_cuda_lt_key *key,
		      const cublasLtMatmulAlgo_t *algo);

#endif
