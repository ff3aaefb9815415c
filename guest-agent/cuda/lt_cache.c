/* SPDX-License-Identifier: MIT */
/* Remembers which algorithm cuBLASLt chose for a product. */
#include "guest-agent/cuda/lt_cache.h"

#include <string.h>

_Static_assert(sizeof(struct pst_cuda_lt_key) ==
		       4 * sizeof(uint64_t) + 18 * sizeof(uint32_t),
	       "a key has padding");

struct pst_cuda_lt_choice *
pst_cuda_lt_cache_get(struct pst_cuda_lt_cache *c,
		      const struct pst_cuda_lt_key *key)
{
	struct pst_cuda_lt_choice *x;
	unsigned int i;

	for (i = 0; i < PST_CUDA_LT_CACHED; i++) {
		x = &c->choice[i];
		if (!x->used || memcmp(&x->key, key, sizeof(*key)))
			continue;
		x->used = ++c->clock;
		return x;
	}
	return NULL;
}

struct pst_cuda_lt_choice *
pst_cuda_lt_cache_put(struct pst_cuda_lt_cache *c,
		      const struct pst_cuda_lt_key *key,
		      const cublasLtMatmulAlgo_t *algo)
{
	struct pst_cuda_lt_choice *x = &c->choice[0];
	unsigned int i;

	for (i = 1; i < PST_CUDA_LT_CACHED; i++)
		if (c->choice[i].used < x->used)
			x = &c->choice[i];
	memset(x, 0, sizeof(*x));
	x->key = *key;
	x->used = ++c->clock;
	x->refused = !algo;
	if (algo)
		x->algo = *algo;
	return x;
}
