/* SPDX-License-Identifier: MIT */
/* penstock blas: the group of commands for programs that call a BLAS. */
#include "host-client/cli/cmds.h"

static const struct pst_cmd *const blas_commands[] = {
	&pst_cmd_blas_run,
	&pst_cmd_blas_tune,
	&pst_cmd_blas_why,
	NULL,
};

const struct pst_cmd pst_cmd_blas = {
	.name = "blas",
	.summary = "Let unchanged programs use the agent for their products",
	.sub = blas_commands,
};
