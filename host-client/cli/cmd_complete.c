/* SPDX-License-Identifier: MIT */
/* What may stand next on a command line, for the shells' completion. */
#include "host-client/cli/cmd_complete.h"

#include <dirent.h>
#include <limits.h>
#include <string.h>

#include "transport/base/endpoint_dirs.h"
#include "transport/base/text.h"
#include "transport/base/util.h"

/* A command line that is being written. */
struct line {
	struct pst_cmd_ctx ctx; /* of the command that it has come to */
	const struct pst_cmd *group;
	const struct pst_cmd_opt *open; /* an option that waits for its value */
	const char *uri;                /* of --uri, or NULL */
	int n_operands;
	bool only_operands; /* behind -- */
};

/* A tab stands between a candidate and what it is; shells show both. */
static void offer(const char *word, size_t n, const char *typed,
		  const char *prefix, const char *what)
{
	if (strncmp(word, typed, strlen(typed)) != 0 || strlen(typed) > n)
		return;
	printf("%s%.*s%s%s\n", prefix, (int)n, word, *what ? "\t" : "", what);
}

/* ---- Values ------------------------------------------------------------- */

/* The lower-case words of a list: "ADDR|auto" has one that is a word. */
static void offer_words(const char *list, const char *typed, const char *prefix)
{
	const char *word;
	size_t n;

	for (word = list; *word; word += n + (word[n] == '|')) {
		n = strcspn(word, "|");
		if (strspn(word, "abcdefghijklmnopqrstuvwxyz0123456789-") == n)
			offer(word, n, typed, prefix, "");
	}
}

static void offer_endpoints_of(const char *dir, const char *typed,
			       const char *prefix)
{
	char name[NAME_MAX + 1], *end;
	struct dirent *e;
	DIR *d = opendir(dir);

	while (d && (e = readdir(d))) {
		snprintf(name, sizeof(name), "%s", e->d_name);
		end = strrchr(name, '.');
		if (!end || strcmp(end, PST_ENDPOINT_SUFFIX) != 0)
			continue;
		*end = '\0';
		if (pst_name_is_good(name))
			offer(name, strlen(name), typed, prefix,
			      "an endpoint of this machine");
	}
	if (d)
		closedir(d);
}

/* Names in the files of endpoints, and how URIs begin: penstock(1). */
static void offer_endpoints(const char *typed, const char *prefix)
{
	static const struct {
		const char *uri, *what;
	} kinds[] = {
		{"spawn:", "a private agent on this machine"},
		{"unix://", "an agent on this machine"},
		{"vsock://", "an agent in a guest, by its CID"},
		{"vsock-uds://", "an agent in a guest, by a Unix socket"},
	};
	struct pst_endpoint_dirs d;
	size_t i;

	pst_endpoint_dirs_find(&d);
	for (i = 0; d.dirs[i]; i++)
		offer_endpoints_of(d.dirs[i], typed, prefix);
	for (i = 0; i < PST_ARRAY_SIZE(kinds); i++)
		offer(kinds[i].uri, strlen(kinds[i].uri), typed, prefix,
		      kinds[i].what);
}

static void offer_value(const struct pst_cmd_opt *o, const char *typed,
			const char *prefix)
{
	if (o->id == 'e')
		offer_endpoints(typed, prefix);
	else
		offer_words(o->arg, typed, prefix);
}

/* ---- Options and operands ----------------------------------------------- */

/* The option that word is, up to its '=', or NULL. */
static const struct pst_cmd_opt *find_opt(const struct pst_cmd *cmd,
					  const char *word)
{
	const struct pst_cmd_opt *lists[] = {cmd->opts, pst_cmd_common_opts};
	const struct pst_cmd_opt *o;
	const size_t n = strcspn(word, "=");
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(lists); i++) {
		for (o = lists[i]; o && o->id; o++) {
			if (word[1] == o->id && !word[2])
				return o;
			if (word[1] == '-' && strlen(o->name) == n - 2 &&
			    strncmp(word + 2, o->name, n - 2) == 0)
				return o;
		}
	}
	return NULL;
}

static void offer_opts(const struct pst_cmd_opt *o, const char *typed)
{
	char word[64];

	for (; o && o->id; o++) {
		snprintf(word, sizeof(word), "--%s", o->name);
		/* Its first line says enough. */
		if (strncmp(word, typed, strlen(typed)) == 0)
			printf("%s\t%.*s\n", word, (int)strcspn(o->help, "\n"),
			       o->help);
	}
}

static void offer_commands(const struct pst_cmd *group, const char *typed)
{
	const struct pst_cmd *const *sub;

	for (sub = group->sub; sub && *sub; sub++)
		offer((*sub)->name, strlen((*sub)->name), typed, "",
		      (*sub)->summary);
}

/* The place-th word of the command's args, without brackets. */
static void operand(const char *args, int place, char *ret, size_t size)
{
	size_t n;

	*ret = '\0';
	for (; *args; args += n) {
		args += strspn(args, " []");
		n = strcspn(args, " ]");
		if (place-- == 0) {
			snprintf(ret, size, "%.*s", (int)n, args);
			return;
		}
	}
}

static void offer_operand(const struct line *l, const char *typed)
{
	const struct pst_cmd *cmd = l->ctx.cmd;
	void (*names)(const struct pst_cmd_ctx *ctx, const char *uri,
		      const char *typed) =
		cmd->print_names ? cmd->print_names : l->group->print_names;
	char what[64];

	if (cmd->sub || l->n_operands >= cmd->max_args)
		return;
	operand(cmd->args, l->n_operands, what, sizeof(what));
	if (strcmp(what, "COMMAND...") == 0)
		offer_commands(l->ctx.root, typed);
	else if (strcmp(what, "NAME") == 0 && names)
		names(&l->ctx, l->uri, typed);
	else
		offer_words(what, typed, "");
}

/* ---- The line ----------------------------------------------------------- */

static void take_value(struct line *l, const struct pst_cmd_opt *o,
		       const char *value)
{
	if (o->id == 'e')
		l->ctx.endpoint = value;
	else if (strcmp(o->name, "uri") == 0)
		l->uri = value;
}

static void take_word(struct line *l, const char *word)
{
	const struct pst_cmd *const *sub;
	const struct pst_cmd_opt *o;

	if (l->open) {
		take_value(l, l->open, word);
		l->open = NULL;
		return;
	}
	if (strcmp(word, "--") == 0) {
		l->only_operands = true;
		return;
	}
	if (*word == '-' && !l->only_operands) {
		o = find_opt(l->ctx.cmd, word);
		if (o && o->arg && strchr(word, '='))
			take_value(l, o, strchr(word, '=') + 1);
		else if (o && o->arg)
			l->open = o;
		return;
	}
	for (sub = l->ctx.cmd->sub; sub && *sub; sub++) {
		if (strcmp((*sub)->name, word) == 0) {
			l->group = l->ctx.cmd;
			l->ctx.cmd = *sub;
			return;
		}
	}
	l->n_operands++;
}

void pst_cmd_complete(const struct pst_cmd_ctx *ctx, int n, char **words)
{
	struct line l = {.ctx = *ctx, .group = ctx->root};
	const char *typed = n > 0 ? words[n - 1] : "";
	const struct pst_cmd_opt *o;
	char prefix[64];
	const char *eq;
	int i;

	l.ctx.cmd = ctx->root;
	for (i = 0; i + 1 < n; i++)
		take_word(&l, words[i]);
	eq = strchr(typed, '=');
	if (l.open) {
		offer_value(l.open, typed, "");
	} else if (*typed == '-' && !l.only_operands && eq) {
		o = find_opt(l.ctx.cmd, typed);
		snprintf(prefix, sizeof(prefix), "%.*s", (int)(eq + 1 - typed),
			 typed);
		if (o && o->arg)
			offer_value(o, eq + 1, prefix);
	} else if (*typed == '-' && !l.only_operands) {
		offer_opts(l.ctx.cmd->opts, typed);
		offer_opts(pst_cmd_common_opts, typed);
	} else if (l.ctx.cmd->sub && !l.n_operands) {
		offer_commands(l.ctx.cmd, typed);
	} else {
		offer_operand(&l, typed);
	}
}
