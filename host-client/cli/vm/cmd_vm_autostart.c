/* SPDX-License-Identifier: MIT */
/* penstock vm autostart: whether libvirtd starts a domain by itself. */
#include "host-client/cli/cmds.h"
#include "host-client/cli/vm/cmd_vm.h"

#define WORDS "on|off"

static int autostart(const struct pst_cmd_ctx *ctx,
		     const struct pst_vm_api *api, struct pst_vm_virt *virt,
		     const char *name, bool set, bool to)
{
	struct pst_error err;
	bool on = false;
	int r = 0;

	if (set)
		r = api->virt_set_autostart(virt, name, to, &err);
	if (r == 0)
		r = api->virt_get_autostart(virt, name, &on, &err);
	if (r)
		return pst_cmd_fail(ctx, "%s", err.text);
	if (ctx->json)
		return pst_cmd_print_json(
			ctx,
			json_pack("{s:s, s:b}", "name", name, "autostart", on));
	printf("%s: autostart %s\n", name, on ? "on" : "off");
	return PST_EXIT_OK;
}

static int run(const struct pst_cmd_ctx *ctx, int argc, char **argv)
{
	const struct pst_vm_api *api;
	struct pst_vm_virt *virt;
	const char *uri = NULL;
	uint32_t off = 0;
	bool set;
	int r;

	while (pst_cmd_getopt(ctx, argc, argv) != -1)
		uri = optarg;
	set = argc - optind > 1;
	if (set && !pst_cmd_arg_word(ctx, "the second argument", WORDS,
				     argv[optind + 1], &off))
		return PST_EXIT_USAGE;
	r = pst_cmd_vm_connect(ctx, uri, &api, &virt);
	if (r)
		return r;
	r = autostart(ctx, api, virt, argv[optind], set, !off);
	api->virt_close(virt);
	return r;
}

static const struct pst_cmd_opt opts[] = {
	PST_CMD_VM_OPT_URI,
	PST_CMD_OPT_JSON,
	{0},
};

const struct pst_cmd pst_cmd_vm_autostart = {
	.name = "autostart",
	.args = "NAME [" WORDS "]",
	.summary = "Say or set whether a domain starts with the host",
	.example = "penstock vm autostart titan on\n",
	.opts = opts,
	.min_args = 1,
	.max_args = 2,
	.run = run,
};
