/* SPDX-License-Identifier: MIT */
/* penstock host: the group of commands for the host itself. */
#include "host-client/cli/cmd.h"
#include "host-client/cli/cmds.h"

static const struct pst_cmd *const gpu_commands[] = {
	&pst_cmd_host_gpu_reset,
	NULL,
};

static const struct pst_cmd gpu = {
	.name = "gpu",
	.summary = "Act on a card",
	.sub = gpu_commands,
};

static const struct pst_cmd *const region_commands[] = {
	&pst_cmd_host_region_create,
	NULL,
};

static const struct pst_cmd region = {
	.name = "region",
	.summary = "Make the memory that host and guest share",
	.sub = region_commands,
};

static const struct pst_cmd *const host_commands[] = {
	&pst_cmd_host_check,
	&pst_cmd_host_plan,
	&pst_cmd_host_apply,
	&pst_cmd_host_verify,
	&pst_cmd_host_undo,
	&pst_cmd_host_report,
	&gpu,
	&pst_cmd_host_rom,
	&region,
	NULL,
};

const struct pst_cmd pst_cmd_host = {
	.name = "host",
	.summary = "Prepare this host",
	.sub = host_commands,
};
