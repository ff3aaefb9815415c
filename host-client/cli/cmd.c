/* SPDX-License-Identifier: MIT */
/* Finds a subcommand in the table, reads its options, prints its help. */
#include "host-client/cli/cmd.h"

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "transport/base/util.h"

/* Room for "penstock" and the names of a group's group's command. */
#define PATH_SIZE 128
/* Where the help text of an option begins. */
#define HELP_COLUMN 26

static const struct pst_cmd_opt common_opts[] = {
	{'e', "endpoint", "E", "the agent to talk to [$PENSTOCK_ENDPOINT]"},
	{'h', "help", NULL, "print this and exit"},
	{0},
};

static const struct pst_cmd_opt no_opts[] = {{0}};

static const struct pst_cmd_opt *cmd_opts(const struct pst_cmd *cmd)
{
	return cmd->opts ? cmd->opts : no_opts;
}

/* ---- Messages ----------------------------------------------------------- */

__attribute__((format(printf, 2, 0))) static void
say(const char *path, const char *fmt, va_list ap)
{
	fflush(stdout);
	fprintf(stderr, "%s: ", path);
	vfprintf(stderr, fmt, ap);
}

int pst_cmd_usage(const struct pst_cmd_ctx *ctx, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(ctx->path, fmt, ap);
	va_end(ap);
	fprintf(stderr, " (see %s --help)\n", ctx->path);
	return PST_EXIT_USAGE;
}

int pst_cmd_fail(const struct pst_cmd_ctx *ctx, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(ctx->path, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return PST_EXIT_FAILED;
}

int pst_cmd_print_json(const struct pst_cmd_ctx *ctx, json_t *object)
{
	int r = -1;

	if (object)
		/* UTF-8 has terminal controls too (U+009B), and text of the
		 * agent is in there. */
		r = json_dumpf(object, stdout,
			       JSON_COMPACT | JSON_ENSURE_ASCII);
	json_decref(object);
	if (r)
		return pst_cmd_fail(ctx, "cannot write the JSON result");
	putchar('\n');
	return PST_EXIT_OK;
}

/* ---- Help --------------------------------------------------------------- */

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
	char path[PATH_SIZE];

	for (sub = group->sub; *sub; sub++) {
		snprintf(path, sizeof(path), "%s%s%s", prefix,
			 *prefix ? " " : "", (*sub)->name);
		if ((*sub)->sub)
			print_leaves(*sub, path, to);
		else
			fprintf(to, "  %-22s  %s\n", path, (*sub)->summary);
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
	if (cmd->sub) {
		fputs("\nCommands:\n", to);
		print_leaves(cmd, "", to);
	}
	fputs("\nOptions:\n", to);
	for (o = cmd_opts(cmd); o->id; o++)
		print_opt(o, to);
	for (o = common_opts; o->id; o++)
		print_opt(o, to);
	if (cmd->end)
		fprintf(to, "\n%s", cmd->end);
}

/* ---- Options ------------------------------------------------------------ */

struct getopt_tables {
	char letters[2 + 2 * (PST_CMD_MAX_OPTS + 2) + 1];
	struct option longs[PST_CMD_MAX_OPTS + 3];
	size_t n;
	size_t n_letters;
};

static void add_opts(struct getopt_tables *t, const struct pst_cmd_opt *o)
{
	for (; o->id; o++) {
		assert(t->n < PST_CMD_MAX_OPTS + 2);
		t->longs[t->n++] = (struct option){
			.name = o->name,
			.has_arg = o->arg ? required_argument : no_argument,
			.val = o->id,
		};
		if (o->id >= PST_OPT_JSON)
			continue;
		t->letters[t->n_letters++] = (char)o->id;
		if (o->arg)
			t->letters[t->n_letters++] = ':';
	}
}

/* getopt_long() over the command's table: -1, an id, '?' or ':'. */
static int next_opt(const struct pst_cmd *cmd, int argc, char **argv)
{
	struct getopt_tables t = {0};

	/* A group's options end where its subcommand's name stands. */
	if (cmd->sub)
		t.letters[t.n_letters++] = '+';
	t.letters[t.n_letters++] = ':';
	add_opts(&t, cmd_opts(cmd));
	add_opts(&t, common_opts);
	opterr = 0;
	return getopt_long(argc, argv, t.letters, t.longs, NULL);
}

int pst_cmd_getopt(const struct pst_cmd_ctx *ctx, int argc, char **argv)
{
	int c;

	do {
		c = next_opt(ctx->cmd, argc, argv);
	} while (c == 'e');
	return c;
}

static int bad_opt(const struct pst_cmd_ctx *ctx, int c, char **argv)
{
	const char *text = argv[optind - 1];

	if (c == ':')
		return pst_cmd_usage(ctx, "option '%s' needs an argument",
				     text);
	/* A short one may stand in the midst of others: -ahx. */
	if (optopt && optopt < PST_OPT_JSON && strncmp(text, "--", 2) != 0)
		return pst_cmd_usage(ctx, "unknown option '-%c'", optopt);
	if (optopt)
		return pst_cmd_usage(ctx, "option '%s' takes no argument",
				     text);
	return pst_cmd_usage(ctx, "unknown or ambiguous option '%s'", text);
}

bool pst_cmd_arg_u64(const struct pst_cmd_ctx *ctx, const char *what,
		     const char *text, uint64_t min, uint64_t max,
		     uint64_t *ret)
{
	if (pst_parse_u64(text, min, max, ret) == 0)
		return true;
	pst_cmd_usage(ctx,
		      "%s: '%s' is not a whole number from %" PRIu64
		      " to %" PRIu64,
		      what, text, min, max);
	return false;
}

bool pst_cmd_arg_double(const struct pst_cmd_ctx *ctx, const char *what,
			const char *text, double *ret)
{
	char *end;
	double v;

	v = strtod(text, &end);
	if (end == text || *end || !isfinite(v)) {
		pst_cmd_usage(ctx, "%s: '%s' is not a finite number", what,
			      text);
		return false;
	}
	*ret = v;
	return true;
}

bool pst_cmd_arg_size(const struct pst_cmd_ctx *ctx, const char *what,
		      const char *text, uint64_t *ret)
{
	if (pst_parse_size(text, ret) == 0)
		return true;
	pst_cmd_usage(ctx, "%s: '%s' is not a size such as 2M or 1G", what,
		      text);
	return false;
}

bool pst_cmd_arg_duration(const struct pst_cmd_ctx *ctx, const char *what,
			  const char *text, uint64_t *ret_ns)
{
	if (pst_parse_duration(text, ret_ns) == 0)
		return true;
	pst_cmd_usage(ctx, "%s: '%s' is not a duration such as 500ms or 10s",
		      what, text);
	return false;
}

/* ---- Dispatch ----------------------------------------------------------- */

static const struct pst_cmd *find(const struct pst_cmd *group, const char *name)
{
	const struct pst_cmd *const *sub;

	for (sub = group->sub; *sub; sub++)
		if (strcmp((*sub)->name, name) == 0)
			return *sub;
	return NULL;
}

/*
 * Reads all options of ctx->cmd once: takes -e, answers --help and --version,
 * refuses what the table does not know. Returns true when *ret_rc is final.
 */
static bool read_common(struct pst_cmd_ctx *ctx, int argc, char **argv,
			int *ret_rc)
{
	int c;

	optind = 0; /* glibc: start anew, also its private state */
	while ((c = next_opt(ctx->cmd, argc, argv)) != -1) {
		switch (c) {
		case 'e':
			ctx->endpoint = optarg;
			break;
		case 'h':
			pst_cmd_print_help(ctx->cmd, ctx->path, stdout);
			*ret_rc = PST_EXIT_OK;
			return true;
		case '?':
		case ':':
			*ret_rc = bad_opt(ctx, c, argv);
			return true;
		default:
			if (ctx->cmd != ctx->root)
				break;
			printf("penstock %s\n", PACKAGE_VERSION);
			*ret_rc = PST_EXIT_OK;
			return true;
		}
	}
	return false;
}

static int run_leaf(const struct pst_cmd_ctx *ctx, int argc, char **argv)
{
	const struct pst_cmd *cmd = ctx->cmd;
	int n = argc - optind;

	if (n > cmd->max_args)
		return pst_cmd_usage(ctx, "unexpected argument '%s'",
				     argv[optind + cmd->max_args]);
	if (n < cmd->min_args)
		return pst_cmd_usage(ctx, "needs %s", cmd->args);
	optind = 0;
	return cmd->run(ctx, argc, argv);
}

int pst_cmd_main(const struct pst_cmd *root, int argc, char **argv)
{
	struct pst_cmd_ctx ctx = {.root = root, .cmd = root};
	const struct pst_cmd *sub;
	char path[PATH_SIZE];
	size_t len;
	int r;

	snprintf(path, sizeof(path), "%s", root->name);
	ctx.path = path;
	for (;;) {
		if (read_common(&ctx, argc, argv, &r))
			return r;
		if (!ctx.cmd->sub)
			return run_leaf(&ctx, argc, argv);
		argc -= optind;
		argv += optind;
		if (argc == 0)
			return pst_cmd_usage(&ctx, "a command is needed");
		sub = find(ctx.cmd, argv[0]);
		if (!sub)
			return pst_cmd_usage(&ctx, "no command '%s'", argv[0]);
		len = strlen(path);
		snprintf(path + len, sizeof(path) - len, " %s", sub->name);
		ctx.cmd = sub;
	}
}
