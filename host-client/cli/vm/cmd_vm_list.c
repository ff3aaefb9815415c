/* SPDX-License-Identifier: MIT */
/* penstock vm list: the domains that Penstock made, or all. */
#include <string.h>

#include "host-client/cli/cmds.h"
#include "host-client/cli/vm/cmd_vm.h"

enum { OPT_ALL = PST_OPT_OWN };

static json_t *view_of(const struct pst_vm_api *api,
		       const struct pst_vm_virt_entry *e)
{
	return json_pack("{s:s, s:s, s:b, s:b, s:I}", "name", e->name, "state",
			 api->virt_state_name(e->state), "ours", e->ours,
			 "autostart", e->autostart, "cid", (json_int_t)e->cid);
}

#define ROW "%-24s %-14s %-10s %s\n"

static void print_entry(const struct pst_vm_api *api,
			const struct pst_vm_virt_entry *e)
{
	char cid[16] = "-";

	if (e->cid)
		snprintf(cid, sizeof(cid), "%u", e->cid);
	printf(ROW, e->name, api->virt_state_name(e->state), cid,
	       e->autostart ? "on" : "off");
}

static int list(const struct pst_cmd_ctx *ctx, const struct pst_vm_api *api,
		struct pst_vm_virt *virt, bool all)
{
	PST_CLEANUP_FREE struct pst_vm_virt_entry *v = NULL;
	json_t *domains = json_array();
	struct pst_error err;
	int n, i;

	n = api->virt_list(virt, &v, &err);
	if (n >= 0 && !ctx->json)
		printf(ROW, "NAME", "STATE", "CID", "AUTOSTART");
	for (i = 0; i < n; i++) {
		if (!v[i].ours && !all)
			continue;
		if (ctx->json)
			json_array_append_new(domains, view_of(api, &v[i]));
		else
			print_entry(api, &v[i]);
	}
	if (n >= 0 && ctx->json)
		return pst_cmd_print_json(
			ctx, json_pack("{s:o}", "domains", domains));
	json_decref(domains);
	return n < 0 ? pst_cmd_fail(ctx, "%s", err.text) : PST_EXIT_OK;
}

static int run(const struct pst_cmd_ctx *ctx, int argc, char **argv)
{
	const struct pst_vm_api *api;
	struct pst_vm_virt *virt;
	const char *uri = NULL;
	bool all = false;
	int opt, r;

	while ((opt = pst_cmd_getopt(ctx, argc, argv)) != -1) {
		if (opt == OPT_ALL)
			all = true;
		else
			uri = optarg;
	}
	r = pst_cmd_vm_connect(ctx, uri, &api, &virt);
	if (r)
		return r;
	r = list(ctx, api, virt, all);
	api->virt_close(virt);
	return r;
}

static const struct pst_cmd_opt opts[] = {
	{OPT_ALL, "all", NULL, "those of others too"},
	PST_CMD_VM_OPT_URI,
	PST_CMD_OPT_JSON,
	{0},
};

const struct pst_cmd pst_cmd_vm_list = {
	.name = "list",
	.args = "",
	.summary = "List the domains that Penstock made",
	.example = "penstock vm list --all\n",
	.opts = opts,
	.run = run,
};
