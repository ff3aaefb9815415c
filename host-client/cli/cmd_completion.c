/* SPDX-License-Identifier: MIT */
/* penstock completion: a completion script for bash, from the table. */
#include "host-client/cli/cmd.h"
#include "host-client/cli/cmds.h"

/* Words that may follow path: subcommands, or options. */
static void print_case(const struct pst_cmd *cmd, const char *path)
{
	const struct pst_cmd *const *sub;
	const struct pst_cmd_opt *o;
	char below[128];

	printf("\t'%s') words='", path);
	for (sub = cmd->sub; sub && *sub; sub++)
		printf("%s ", (*sub)->name);
	for (o = cmd->opts; o && o->id; o++)
		printf("--%s ", o->name);
	printf("--endpoint --help' ;;\n");
	for (sub = cmd->sub; sub && *sub; sub++) {
		snprintf(below, sizeof(below), "%s%s%s", path, *path ? " " : "",
			 (*sub)->name);
		print_case(*sub, below);
	}
}

/* Names of groups and commands, to tell them from operands. */
static void print_paths(const struct pst_cmd *cmd, const char *path)
{
	const struct pst_cmd *const *sub;
	char below[128];

	for (sub = cmd->sub; sub && *sub; sub++) {
		snprintf(below, sizeof(below), "%s%s%s", path, *path ? " " : "",
			 (*sub)->name);
		printf("%s'%s'", *path || sub != cmd->sub ? "|" : "", below);
		print_paths(*sub, below);
	}
}

static int run(const struct pst_cmd_ctx *ctx, int argc, char **argv)
{
	puts("# bash completion of penstock; made by: penstock completion\n"
	     "_penstock()\n"
	     "{\n"
	     "\tlocal cur=${COMP_WORDS[COMP_CWORD]} path= next words= word\n"
	     "\tlocal -i i\n"
	     "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	     "\t\tword=${COMP_WORDS[i]}\n"
	     "\t\tcase $word in\n"
	     "\t\t-e | --endpoint) i+=1; continue ;;\n"
	     "\t\t-*) continue ;;\n"
	     "\t\tesac\n"
	     "\t\tnext=${path:+$path }$word\n"
	     "\t\tcase $next in");
	printf("\t\t");
	print_paths(ctx->root, "");
	puts(") path=$next ;;\n"
	     "\t\tesac\n"
	     "\tdone\n"
	     "\tcase $path in");
	print_case(ctx->root, "");
	puts("\tesac\n"
	     "\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
	     "}\n"
	     "complete -o bashdefault -o default -F _penstock penstock");
	return PST_EXIT_OK;
}

const struct pst_cmd pst_cmd_completion = {
	.name = "completion",
	.args = "",
	.summary = "Print a completion script for bash",
	.help = "Load it with: source <(penstock completion)\n",
	.run = run,
};
