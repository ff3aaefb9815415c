/* SPDX-License-Identifier: MIT */
/* penstock vm define: the domain, its region's unit, its endpoint. */
#include <inttypes.h>
#include <string.h>

#include "host-client/cli/cmd_open.h"
#include "host-client/cli/cmds.h"
#include "host-client/cli/vm/cmd_vm.h"
#include "host-client/cli/vm/cmd_vm_region.h"
#include "libvirt-xml/config/vm_files.h"

enum { OPT_CONF_DIR = PST_OPT_VM_END };

static int report(const struct pst_cmd_ctx *ctx, const struct pst_vm_config *c,
		  bool complete)
{
	char uri[2 * PATH_MAX] = "", cid[32] = "";
	struct pst_error err;

	/* A vsock daemon has one of its own. */
	if (!c->vsock_socket)
		snprintf(cid, sizeof(cid), "CID %u, ", c->cid);
	if (!ctx->json) {
		printf("%s is defined: %sregion %s (%" PRIu64 " MiB, %s)\n"
		       "penstock vm start --wait %s, then penstock -e %s info\n",
		       c->name, cid, c->region.path, c->region.size >> 20,
		       pst_vm_via_name(c->region.via), c->name, c->name);
	} else if (pst_vm_config_endpoint(c, uri, sizeof(uri), &err) < 0 ||
		   pst_cmd_print_json(
			   ctx,
			   json_pack("{s:s, s:I, s:s, s:{s:o, s:I, s:s}, s:b}",
				     "name", c->name, "cid", (json_int_t)c->cid,
				     "endpoint", uri, "region", "path",
				     pst_cmd_text(c->region.path), "size",
				     (json_int_t)c->region.size, "via",
				     pst_vm_via_name(c->region.via), "complete",
				     complete))) {
		return PST_EXIT_FAILED;
	}
	return complete ? PST_EXIT_OK : PST_EXIT_FAILED;
}

static int define(const struct pst_cmd_ctx *ctx, const struct pst_vm_draft *d,
		  const char *dir)
{
	struct pst_vm_defined defined;
	struct pst_error err;

	if (pst_vm_define(d, dir, &defined, &err))
		return pst_cmd_fail(ctx, "%s", err.text);
	if (defined.old_region[0] &&
	    pst_cmd_vm_region_remove(defined.old_region, &err))
		fprintf(stderr, "%s: note: %s\n", ctx->path, err.text);
	return report(ctx, &d->config, defined.complete);
}

static int run(const struct pst_cmd_ctx *ctx, int argc, char **argv)
{
	PST_CLEANUP_FREE struct pst_vm_draft *d = calloc(1, sizeof(*d));
	struct pst_cmd_vm vm;
	const char *dir = PST_VM_CONF_DIR;
	int opt, r;

	if (!d)
		return pst_cmd_fail(ctx, "out of memory");
	pst_cmd_vm_init(&vm, ctx);
	while ((opt = pst_cmd_getopt(ctx, argc, argv)) != -1) {
		if (opt == OPT_CONF_DIR)
			dir = optarg;
		else if (!pst_cmd_vm_opt(ctx, opt, &vm.ask))
			return PST_EXIT_USAGE;
	}
	vm.ask.q.name = argv[optind];
	vm.ask.q.is_final = true;
	vm.defines = true;
	r = pst_cmd_vm_begin(&vm, true);
	if (r == PST_EXIT_OK)
		r = pst_cmd_vm_draft(&vm, d);
	if (r == PST_EXIT_OK) {
		r = define(ctx, d, dir);
		pst_vm_draft_done(d);
	}
	pst_cmd_vm_end(&vm);
	return r;
}

static const struct pst_cmd_opt opts[] = {
	PST_CMD_VM_OPTS,
	{OPT_CONF_DIR, "conf-dir", "DIR",
	 "where endpoint and region are written [/etc/penstock]"},
	PST_CMD_OPT_JSON,
	{0},
};

const struct pst_cmd pst_cmd_vm_define = {
	.name = "define",
	.args = "NAME --memory S --vcpus N --disk PATH [--gpu ADDR]",
	.summary = "Define that domain, its region's unit and its endpoint",
	.help = "What vm xml prints, defined with libvirt. A domain of that "
		"name is replaced when\nPenstock made it, and never "
		"otherwise.\n",
	.example = "penstock vm define titan --memory 16G --vcpus "
		   "6 --disk /var/titan.qcow2 --gpu auto\n",
	.opts = opts,
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
