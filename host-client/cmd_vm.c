/* SPDX-License-Identifier: MIT */
/* penstock vm: the group of what defines and runs a guest. */
#include "host-client/cmd.h"

extern const struct pst_cmd pst_cmd_vm;
extern const struct pst_cmd pst_cmd_vm_xml;

/* In the order in which help shows them. */
/* clang-format off */
static const struct pst_cmd *const commands[] = {
	&pst_cmd_vm_xml,
	NULL,
};
/* clang-format on */

const struct pst_cmd pst_cmd_vm = {
	.name = "vm",
	.summary = "Define and run the virtual machine that has the card",
	.sub = commands,
};
