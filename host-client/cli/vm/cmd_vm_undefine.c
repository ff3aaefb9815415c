/* SPDX-License-Identifier: MIT */
/* penstock vm undefine: takes back what define did. */
#include <string.h>

#include "host-client/cli/cmds.h"
#include "host-client/cli/vm/cmd_vm.h"
#include "host-client/cli/vm/cmd_vm_region.h"
#include "libvirt-xml/config/vm_files.h"

enum { OPT_CONF_DIR = PST_OPT_OWN, OPT_KEEP_NVRAM, OPT_KEEP_REGION };

struct undefine {
	const struct pst_cmd_ctx *ctx;
	const char *name;
	const char *dir;
	bool keep_nvram, keep_region;
	bool failed;
};

/* What became of the removal of a file: r is 1 if it is somebody else's, in
 * sub. */
static void say(struct undefine *u, const char *sub, int r,
		const struct pst_error *err)
{
	if (r > 0)
		fprintf(stderr,
			"%s: note: %s/%s/%s.conf is not Penstock's and stays\n",
			u->ctx->path, u->dir, sub, u->name);
	if (r < 0) {
		u->failed = true;
		pst_cmd_fail(u->ctx, "%s", err->text);
	}
}

/* Of the domain, or of one that virsh undefined before: of its files. */
static int undefine(struct undefine *u, const struct pst_vm_api *api,
		    struct pst_vm_virt *virt)
{
	PST_CLEANUP_FREE struct pst_vm_info *info = calloc(1, sizeof(*info));
	struct pst_error err;
	bool gone = false;
	int r;

	if (!info)
		return pst_cmd_fail(u->ctx, "out of memory");
	r = api->virt_info(virt, u->name, false, info, &err);
	if (r == 0 || info->ours)
		r = api->virt_undefine(virt, u->name, !u->keep_nvram, &err);
	else if (r == -ENOENT)
		gone = pst_vm_files_left(u->dir, u->name, info->region.path) >
		       0;
	if (r && !gone)
		return pst_cmd_fail(u->ctx, "%s", err.text);
	r = pst_vm_files_remove_unit(u->dir, u->name, &err);
	say(u, "regions.d", r, &err);
	r = pst_vm_files_remove(u->dir, "endpoints.d", u->name, &err);
	say(u, "endpoints.d", r, &err);
	if (!u->keep_region && info->region.path[0]) {
		r = pst_cmd_vm_region_remove(info->region.path, &err);
		say(u, NULL, r, &err);
	}
	if (u->failed)
		return PST_EXIT_FAILED;
	if (u->ctx->json)
		return pst_cmd_print_json(
			u->ctx, json_pack("{s:s, s:b, s:b}", "name", u->name,
					  "undefined", 1, "domain", !gone));
	printf(gone ? "there is no domain %s, and its files are removed\n"
		    : "%s is undefined\n",
	       u->name);
	return PST_EXIT_OK;
}

static int run(const struct pst_cmd_ctx *ctx, int argc, char **argv)
{
	struct undefine u = {.ctx = ctx, .dir = PST_VM_CONF_DIR};
	const struct pst_vm_api *api;
	struct pst_vm_virt *virt;
	const char *uri = NULL;
	int opt, r;

	while ((opt = pst_cmd_getopt(ctx, argc, argv)) != -1) {
		if (opt == OPT_CONF_DIR)
			u.dir = optarg;
		else if (opt == OPT_KEEP_NVRAM)
			u.keep_nvram = true;
		else if (opt == OPT_KEEP_REGION)
			u.keep_region = true;
		else
			uri = optarg;
	}
	if (!pst_cmd_vm_is_local(ctx, uri))
		return PST_EXIT_USAGE;
	u.name = argv[optind];
	r = pst_cmd_vm_connect(ctx, uri, &api, &virt);
	if (r)
		return r;
	r = undefine(&u, api, virt);
	api->virt_close(virt);
	return r;
}

static const struct pst_cmd_opt opts[] = {
	{OPT_KEEP_NVRAM, "keep-nvram", NULL, "keep its firmware's variables"},
	{OPT_KEEP_REGION, "keep-region", NULL, "keep the region's file"},
	{OPT_CONF_DIR, "conf-dir", "DIR",
	 "where define wrote its files [/etc/penstock]"},
	PST_CMD_VM_OPT_URI,
	PST_CMD_OPT_JSON,
	{0},
};

const struct pst_cmd pst_cmd_vm_undefine = {
	.name = "undefine",
	.args = "NAME",
	.summary = "Take back what define did; the disk stays",
	.example = "penstock vm undefine titan --keep-region\n",
	.opts = opts,
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
