/* SPDX-License-Identifier: MIT */
/* penstock vm: the group of commands that define and run a guest. */
#include "host-client/cli/vm/cmd_vm.h"

#include <string.h>

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

/* All domains: patch takes those of others too. Without libvirt, none. */
static void print_names(const struct pst_cmd_ctx *ctx, const char *uri,
			const char *typed)
{
	PST_CLEANUP_FREE struct pst_vm_virt_entry *v = NULL;
	const struct pst_vm_api *api;
	struct pst_vm_virt *virt;
	struct pst_error err;
	int n, i;

	if (pst_cmd_vm_connect(ctx, uri, &api, &virt))
		return;
	n = api->virt_list(virt, &v, &err);
	for (i = 0; i < n; i++)
		if (strncmp(v[i].name, typed, strlen(typed)) == 0)
			printf("%s\t%s\n", v[i].name,
			       api->virt_state_name(v[i].state));
	api->virt_close(virt);
}

const struct pst_cmd pst_cmd_vm = {
	.name = "vm",
	.summary = "Define and run the virtual machine that has the card",
	.sub = commands,
	.print_names = print_names,
};
