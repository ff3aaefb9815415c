/* SPDX-License-Identifier: MIT */
/* Reads the options of a command by its table. */
#include <assert.h>
#include <getopt.h>

#include "host-client/cli/cmd.h"

/* Options of a command with those that all have. */
#define MAX_OPTS (PST_CMD_MAX_OPTS + 2)

const struct pst_cmd_opt pst_cmd_common_opts[] = {
	{'e', "endpoint", "E", "the agent to talk to [$PENSTOCK_ENDPOINT]"},
	{'h', "help", NULL, "print this and exit"},
	{0},
};

struct getopt_tables {
	char letters[2 + 2 * MAX_OPTS + 1];
	struct option longs[MAX_OPTS + 1];
	size_t n;
	size_t n_letters;
};

static void add_opts(struct getopt_tables *t, const struct pst_cmd_opt *o)
{
	for (; o && o->id; o++) {
		assert(t->n < MAX_OPTS);
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

int pst_cmd_next_opt(const struct pst_cmd *cmd, int argc, char **argv)
{
	struct getopt_tables t = {0};

	/* A group's options end where its subcommand's name stands. */
	if (cmd->sub)
		t.letters[t.n_letters++] = '+';
	t.letters[t.n_letters++] = ':';
	add_opts(&t, cmd->opts);
	add_opts(&t, pst_cmd_common_opts);
	opterr = 0;
	return getopt_long(argc, argv, t.letters, t.longs, NULL);
}

int pst_cmd_getopt(const struct pst_cmd_ctx *ctx, int argc, char **argv)
{
	int c;

	do {
		c = pst_cmd_next_opt(ctx->cmd, argc, argv);
	} while (c == 'e' || c == PST_OPT_JSON);
	return c;
}
