/* SPDX-License-Identifier: MIT */
/* penstock vm: the group of commands that define and run a guest. */
#include "host-client/cli/cmd.h"
#include "host-client/cli/cmds.h"

/* In the order in which help shows them. */
/* clang-format off */
static const struct pst_cmd *const commands[] = {
	&pst_cmd_vm_xml,
	&pst_cmd_vm_define,
	&pst_cmd_vm_patch,
	&pst_cmd_vm_start,
	&pst_cmd_vm_stop,
	&pst_cmd_vm_status,
	&pst_cmd_vm_autostart,
	&pst_cmd_vm_undefine,
	&pst_cmd_vm_console,
	&pst_cmd_vm_list,
	NULL,
};
/* clang-format on */

const struct pst_cmd pst_cmd_vm = {
	.name = "vm",
	.summary = "Define and run the virtual machine that has the card",
	.sub = commands,
};
