/* SPDX-License-Identifier: MIT */
/* Finds libpenstock-blas.so. */
#ifndef PST_HOST_CLIENT_CLI_BLAS_CMD_BLAS_LIBRARY_H
#define PST_HOST_CLIENT_CLI_BLAS_CMD_BLAS_LIBRARY_H

#include <stddef.h>

#include "host-client/cli/cmd.h"

/* The path of libpenstock-blas.so: in a build tree that of the build, else the
 * one installed. Returns PST_EXIT_OK, or says that there is none. */
int pst_cmd_blas_library(const struct pst_cmd_ctx *ctx, char *ret, size_t size);

#endif
