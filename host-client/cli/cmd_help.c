/* SPDX-License-Identifier: MIT */
/* penstock help, and the help of every command. */
#include <getopt.h>
#include <string.h>

#include "host-client/cli/cmd.h"
#include "host-client/cli/cmds.h"

/* Where the help text of an option, and the summary of a command, begins. */
#define HELP_COLUMN 26
/* And the names of a group's commands, which are many. */
#define NAMES_COLUMN 10

/* ---- The text ----------------------------------------------------------- */

static void print_opt(const struct pst_cmd_opt *o, FILE *to)
{
	const char *line = o->help, *end;
	int column;

	if (o->id < PST_OPT_JSON)
		column = fprintf(to, "  -%c, --%s", o->id, o->name);
	else
		column = fprintf(to, "      --%s", o->name);
	if (o->arg)
		column += fprintf(to, " %s", o->arg);
	if (column >= HELP_COLUMN) {
		fputc('\n', to);
		column = 0;
	}
	for (;;) {
		end = strchrnul(line, '\n');
		fprintf(to, "%*s%.*s\n", HELP_COLUMN - column, "",
			(int)(end - line), line);
		if (!*end)
			break;
		line = end + 1;
		column = 0;
	}
}

/* Lists the leaves below a group by their full names. */
static void print_leaves(const struct pst_cmd *group, const char *prefix,
			 FILE *to)
{
	const struct pst_cmd *const *sub;
	char path[PST_CMD_PATH];

	for (sub = group->sub; *sub; sub++) {
		snprintf(path, sizeof(path), "%s%s%s", prefix,
			 *prefix ? " " : "", (*sub)->name);
		if ((*sub)->sub)
			print_leaves(*sub, path, to);
		else
			fprintf(to, "  %-22s  %s\n", path, (*sub)->summary);
	}
}

/* A group in the list of all commands: what it is for, and its names. */
static void print_group(const struct pst_cmd *group, FILE *to)
{
	const struct pst_cmd *const *sub;

	fprintf(to, "  %-7s%-15s  %s\n%*s", group->name, "COMMAND",
		group->summary, NAMES_COLUMN - 1, "");
	for (sub = group->sub; *sub; sub++)
		fprintf(to, " %s", (*sub)->name);
	fputc('\n', to);
}

/* The whole command's list is in parts, and short. */
static void print_parts(const struct pst_cmd *root, FILE *to)
{
	const struct pst_cmd *const *sub;

	for (sub = root->sub; *sub; sub++) {
		if ((*sub)->heading)
			fprintf(to, "\nCommands %s:\n", (*sub)->heading);
		if ((*sub)->sub)
			print_group(*sub, to);
		else
			fprintf(to, "  %-22s  %s\n", (*sub)->name,
				(*sub)->summary);
	}
}

static void print_examples(const char *line, FILE *to)
{
	const char *end;

	fprintf(to, "\nExample%s:\n", *(strchrnul(line, '\n') + 1) ? "s" : "");
	for (; *line; line = end + 1) {
		end = strchrnul(line, '\n');
		fprintf(to, "  %.*s\n", (int)(end - line), line);
		if (!*end)
			return;
	}
}

void pst_cmd_print_help(const struct pst_cmd *cmd, const char *path, FILE *to)
{
	const struct pst_cmd_opt *o;

	if (cmd->sub)
		fprintf(to, "Usage: %s [OPTION...] COMMAND [ARGUMENT...]\n",
			path);
	else
		fprintf(to, "Usage: %s [OPTION...]%s%s\n", path,
			*cmd->args ? " " : "", cmd->args);
	fprintf(to, "%s.\n", cmd->summary);
	if (cmd->help)
		fprintf(to, "\n%s", cmd->help);
	if (cmd->example)
		print_examples(cmd->example, to);
	if (cmd->sub && strchr(path, ' ')) {
		fputs("\nCommands:\n", to);
		print_leaves(cmd, "", to);
	} else if (cmd->sub) {
		print_parts(cmd, to);
	}
	fputs("\nOptions:\n", to);
	for (o = cmd->opts; o && o->id; o++)
		print_opt(o, to);
	for (o = pst_cmd_common_opts; o->id; o++)
		print_opt(o, to);
	if (cmd->end)
		fprintf(to, "\n%s", cmd->end);
}

/* ---- The command -------------------------------------------------------- */

static int run(const struct pst_cmd_ctx *ctx, int argc, char **argv)
{
	const struct pst_cmd *cmd = ctx->root, *sub;
	char path[PST_CMD_PATH] = "penstock", nearest[PST_CMD_PATH];
	size_t len;

	while (pst_cmd_getopt(ctx, argc, argv) != -1)
		;
	for (; optind < argc; optind++) {
		sub = pst_cmd_find(cmd, argv[optind], nearest, sizeof(nearest));
		if (!sub)
			return pst_cmd_no_command(ctx, cmd, path, argv[optind],
						  nearest);
		cmd = sub;
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
	.example = "penstock help gemm\n",
	.max_args = PST_CMD_ANY,
	.run = run,
};
