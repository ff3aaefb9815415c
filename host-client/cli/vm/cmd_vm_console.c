/* SPDX-License-Identifier: MIT */
/* penstock vm console: the guest's serial line on this terminal. */
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "host-client/cli/cmds.h"
#include "host-client/cli/vm/cmd_vm.h"

static int console(const struct pst_cmd_ctx *ctx, const struct pst_vm_api *api,
		   struct pst_vm_virt *virt, const char *name)
{
	bool terminal = isatty(STDIN_FILENO);
	struct termios old, raw;
	struct pst_error err;
	int r;

	if (terminal && tcgetattr(STDIN_FILENO, &old) < 0)
		terminal = false;
	if (terminal) {
		fprintf(stderr, "%s: %s; Ctrl-] ends it\n", ctx->path, name);
		raw = old;
		cfmakeraw(&raw);
		tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	}
	r = api->virt_console(virt, name, STDIN_FILENO, STDOUT_FILENO, &err);
	if (terminal)
		tcsetattr(STDIN_FILENO, TCSANOW, &old);
	return r ? pst_cmd_fail(ctx, "%s", err.text) : PST_EXIT_OK;
}

static int run(const struct pst_cmd_ctx *ctx, int argc, char **argv)
{
	const struct pst_vm_api *api;
	struct pst_vm_virt *virt;
	const char *uri = NULL;
	int r;

	while (pst_cmd_getopt(ctx, argc, argv) != -1)
		uri = optarg;
	r = pst_cmd_vm_connect(ctx, uri, &api, &virt);
	if (r)
		return r;
	r = console(ctx, api, virt, argv[optind]);
	api->virt_close(virt);
	return r;
}

static const struct pst_cmd_opt opts[] = {
	PST_CMD_VM_OPT_URI,
	{0},
};

const struct pst_cmd pst_cmd_vm_console = {
	.name = "console",
	.args = "NAME",
	.summary = "Use the guest's serial line; Ctrl-] ends it",
	.example = "penstock vm console titan\n",
	.opts = opts,
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
