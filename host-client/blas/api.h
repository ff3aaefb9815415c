/* SPDX-License-Identifier: MIT */
/* libpenstock's functions, loaded when they are needed: whoever computes only
 * small products pays nothing for it. */
#ifndef PST_HOST_CLIENT_BLAS_API_H
#define PST_HOST_CLIENT_BLAS_API_H

#include "host-client/penstock.h"

struct pst_blas_api {
	__typeof__(&pst_open) open;
	__typeof__(&pst_close) close;
	__typeof__(&pst_query) query;
	__typeof__(&pst_gemm) gemm;
	__typeof__(&pst_gemm_or) gemm_or;
	__typeof__(&pst_owner) owner;
	__typeof__(&pst_wait_buffer) wait_buffer;
	__typeof__(&pst_c_touched) c_touched;
	__typeof__(&pst_tensor_create) tensor_create;
	__typeof__(&pst_tensor_destroy) tensor_destroy;
	__typeof__(&pst_upload) upload;
	__typeof__(&pst_last_error) last_error;
	__typeof__(&pst_after_fork) after_fork;
};

/* Loads the library. NULL: it is not there, or too old. Takes some ms. */
const struct pst_blas_api *pst_blas_load_api(void);

/* The same if it was loaded, by this library or by the program; else NULL. */
const struct pst_blas_api *pst_blas_api(void);

#endif
