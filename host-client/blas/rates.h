/* SPDX-License-Identifier: MIT */
/* How fast both sides compute: measured, or as penstock blas tune has kept
 * it. */
#ifndef PST_HOST_CLIENT_BLAS_RATES_H
#define PST_HOST_CLIENT_BLAS_RATES_H

#include <stddef.h>

struct pst;

/* What is known of an agent to decide by: what was kept, else what INFO says,
 * else what two products show. Takes some ms. */
void pst_blas_rates_find(struct pst *c);

/*
 * Measures both sides and keeps the rates in $XDG_CACHE_HOME/penstock/blas.
 * *ret_json: what came of it, to be freed. Returns 0, or a negative errno and a
 * sentence. For penstock blas tune.
 */
__attribute__((visibility("default"))) int
penstock_blas_tune(const char *endpoint, char **ret_json, char *error_text,
		   size_t error_size);

#endif
