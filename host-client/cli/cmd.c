/* SPDX-License-Identifier: MIT */
/* Finds the command that is called in the table, and runs it. */
#include "host-client/cli/cmd.h"

#include <getopt.h>
#include <string.h>

#include "host-client/cli/cmd_say.h"
#include "transport/base/util.h"

/* ---- Options ------------------------------------------------------------ */

/* The word that getopt_long() has just refused. In the midst of several
 * letters, -ahx, it has not gone on yet. */
static const char *refused(int argc, char **argv)
{
	const char *next = optind < argc ? argv[optind] : "";

	if (optopt && optopt < PST_OPT_JSON && next[0] == '-' &&
	    next[1] != '-' && strlen(next) > 2 && strchr(next, optopt))
		return next;
	return argv[optind - 1];
}

static int bad_opt(const struct pst_cmd_ctx *ctx, int c, int argc, char **argv)
{
	const char *text = refused(argc, argv);
	const char letter[] = {'-', (char)optopt, '\0'};
	const bool is_long = strncmp(text, "--", 2) == 0;

	if (c == ':')
		return pst_cmd_usage(ctx, "option '%.80s' needs an argument",
				     text);
	if (optopt && (optopt >= PST_OPT_JSON || is_long))
		return pst_cmd_usage(ctx, "option '%.80s' takes no argument",
				     text);
	return pst_cmd_no_option(ctx, optopt ? letter : text, text);
}

/* The command's option of that id. */
static const struct pst_cmd_opt *opt_of(const struct pst_cmd *cmd, int id)
{
	const struct pst_cmd_opt *o =
		id == 'e' ? pst_cmd_common_opts : cmd->opts;

	while (o->id != id)
		o++;
	return o;
}

/* ---- Dispatch ----------------------------------------------------------- */

/*
 * Reads all options of ctx->cmd once: takes -e and --json, answers --help and
 * --version, refuses what the table does not know. Returns true when *ret_r is
 * final.
 */
static bool read_common(struct pst_cmd_ctx *ctx, int argc, char **argv,
			int *ret_r)
{
	const struct pst_cmd_opt *o;
	bool json = false;
	int c;

	optind = 0; /* glibc: start anew, also its private state */
	while ((c = pst_cmd_next_opt(ctx->cmd, argc, argv)) != -1) {
		if (c == 'h') {
			pst_cmd_print_help(ctx->cmd, ctx->path, stdout);
			*ret_r = PST_EXIT_OK;
			return true;
		}
		if (c == '?' || c == ':') {
			*ret_r = bad_opt(ctx, c, argc, argv);
			return true;
		}
		if (ctx->cmd == ctx->root && c != 'e') {
			printf("penstock %s\n", PACKAGE_VERSION);
			*ret_r = PST_EXIT_OK;
			return true;
		}
		json |= c == PST_OPT_JSON;
		o = opt_of(ctx->cmd, c);
		if (o->arg && !*optarg) {
			*ret_r = pst_cmd_usage(
				ctx, "--%s: its argument is empty", o->name);
			return true;
		}
		if (c == 'e')
			ctx->endpoint = optarg;
	}
	/* What was wanted until now may have been another option's argument. */
	if (!ctx->cmd->sub)
		ctx->json = json;
	return false;
}

static int run_leaf(struct pst_cmd_ctx *ctx, int argc, char **argv)
{
	const struct pst_cmd *cmd = ctx->cmd;
	const int n = argc - optind;
	int i;

	if (n > cmd->max_args)
		return pst_cmd_usage(ctx, "unexpected argument '%.80s'%s",
				     argv[optind + cmd->max_args],
				     argv[optind + cmd->max_args][0] == '-'
					     ? ": behind -- there are no "
					       "options"
					     : "");
	if (n < cmd->min_args)
		return pst_cmd_usage(ctx, "needs %s", cmd->args);
	for (i = optind; i < argc && cmd->max_args != PST_CMD_ANY; i++)
		if (!*argv[i])
			return pst_cmd_usage(ctx, "argument %d of %s is empty",
					     i - optind + 1, cmd->args);
	optind = 0;
	return cmd->run(ctx, argc, argv);
}

static int no_name(const struct pst_cmd_ctx *ctx)
{
	char names[PST_CMD_TEXT];

	/* Somebody who knows nothing yet. */
	if (ctx->cmd == ctx->root && !ctx->endpoint) {
		pst_cmd_print_help(ctx->cmd, ctx->path, stdout);
		return PST_EXIT_USAGE;
	}
	pst_cmd_names(ctx->cmd, names, sizeof(names));
	return pst_cmd_usage(ctx, "a command is needed: %s", names);
}

static int dispatch(struct pst_cmd_ctx *ctx, char *path, size_t size, int argc,
		    char **argv)
{
	char nearest[PST_CMD_PATH];
	const struct pst_cmd *sub;
	size_t len;
	int r;

	for (;;) {
		if (read_common(ctx, argc, argv, &r))
			return r;
		if (!ctx->cmd->sub)
			return run_leaf(ctx, argc, argv);
		argc -= optind;
		argv += optind;
		if (argc == 0)
			return no_name(ctx);
		sub = pst_cmd_find(ctx->cmd, argv[0], nearest, sizeof(nearest));
		if (!sub)
			return pst_cmd_no_command(ctx, ctx->cmd, path, argv[0],
						  nearest);
		len = strlen(path);
		snprintf(path + len, size - len, " %s", sub->name);
		ctx->cmd = sub;
	}
}

/* Whether an error in the options themselves is wanted as JSON. */
static bool wants_json(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--json") == 0)
			return true;
	return false;
}

int pst_cmd_main(const struct pst_cmd *root, int argc, char **argv)
{
	struct pst_cmd_said said = {0};
	char path[PST_CMD_PATH];
	struct pst_cmd_ctx ctx = {
		.root = root,
		.cmd = root,
		.path = path,
		.said = &said,
		.json = wants_json(argc, argv),
	};

	snprintf(path, sizeof(path), "%s", root->name);
	return pst_cmd_said_end(&ctx,
				dispatch(&ctx, path, sizeof(path), argc, argv));
}
