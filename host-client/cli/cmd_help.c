/* SPDX-License-Identifier: MIT */
/* penstock help: the help of a command, by name. */
#include <getopt.h>
#include <string.h>

#include "host-client/cli/cmd.h"
#include "host-client/cli/cmds.h"

static int run(const struct pst_cmd_ctx *ctx, int argc, char **argv)
{
	const struct pst_cmd *cmd = ctx->root;
	const struct pst_cmd *const *sub;
	char path[128] = "penstock";
	size_t len;

	while (pst_cmd_getopt(ctx, argc, argv) != -1)
		;
	for (; optind < argc; optind++) {
		for (sub = cmd->sub; sub && *sub; sub++)
			if (strcmp((*sub)->name, argv[optind]) == 0)
				break;
		if (!sub || !*sub)
			return pst_cmd_usage(ctx, "%s has no command '%s'",
					     path, argv[optind]);
		cmd = *sub;
		len = strlen(path);
		snprintf(path + len, sizeof(path) - len, " %s", cmd->name);
	}
	pst_cmd_print_help(cmd, path, stdout);
	return PST_EXIT_OK;
}

const struct pst_cmd pst_cmd_help = {
	.name = "help",
	.args = "[COMMAND...]",
	.summary = "Print the help of a command",
	.max_args = PST_CMD_ANY,
	.run = run,
};
