/* SPDX-License-Identifier: MIT */
/* Finds the BLAS that would have been called without this library. */
#ifndef PST_HOST_CLIENT_BLAS_ROUTE_H
#define PST_HOST_CLIENT_BLAS_ROUTE_H

#include "host-client/blas/call.h"

/*
 * The library that a call by name from the return address goes to: the next in
 * the search order, else that of the caller's own dependencies, else
 * $PENSTOCK_BLAS_NEXT, else libblas.so.3; never this one. Never NULL: without
 * any it ends the program, as the dynamic linker would have. Cached by caller;
 * lives as long as the process.
 */
const struct pst_blas_library *pst_blas_route(const struct pst_blas_name *name,
					      const void *caller);

/* The same for any symbol, NULL if there is none. Not cached. */
void *pst_blas_symbol(const char *symbol, const void *caller);

/* What names have for a type: "s", "d", "sb". */
extern const char *const pst_blas_letters[PST_BLAS_N_TYPES];

#endif
