/* SPDX-License-Identifier: MIT */
/* Finds a command or an option in the table, or what is written like it. */
#include <string.h>

#include "host-client/cli/cmd.h"

/* Longest word that is compared. */
#define MAX_WORD 31

static size_t least(size_t a, size_t b, size_t c)
{
	size_t m = a < b ? a : b;

	return m < c ? m : c;
}

/* Letters to insert, remove, replace or swap until a is b (optimal string
 * alignment). */
static size_t distance(const char *a, const char *b)
{
	const size_t n = strlen(a), m = strlen(b);
	size_t d[MAX_WORD + 1][MAX_WORD + 1];
	size_t i, j;

	if (n > MAX_WORD || m > MAX_WORD)
		return SIZE_MAX;
	for (i = 0; i <= n; i++)
		d[i][0] = i;
	for (j = 0; j <= m; j++)
		d[0][j] = j;
	for (i = 1; i <= n; i++)
		for (j = 1; j <= m; j++) {
			d[i][j] =
				least(d[i - 1][j] + 1, d[i][j - 1] + 1,
				      d[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
			    a[i - 2] == b[j - 1] &&
			    d[i - 2][j - 2] + 1 < d[i][j])
				d[i][j] = d[i - 2][j - 2] + 1;
		}
	return d[n][m];
}

/* How unlike word and name are; SIZE_MAX: nobody meant that one. */
static size_t unlike(const char *word, const char *name)
{
	const size_t n = strlen(word);
	size_t d = distance(word, name);

	/* A third of the letters may be wrong. A beginning is as good as one
	 * wrong letter. */
	if (n > 2 && strncmp(word, name, n) == 0)
		return d ? 1 : 0;
	return d <= (n + 1) / 3 ? d : SIZE_MAX;
}

/* Looks below group for what is like name; *best is how unlike it is. */
static void look_below(const struct pst_cmd *group, const char *prefix,
		       const char *name, size_t *best, char *ret, size_t size)
{
	const struct pst_cmd *const *sub;
	char path[PST_CMD_PATH];
	size_t d;

	for (sub = group->sub; *sub; sub++) {
		snprintf(path, sizeof(path), "%s%s%s", prefix,
			 *prefix ? " " : "", (*sub)->name);
		d = unlike(name, (*sub)->name);
		if (d < *best) {
			*best = d;
			snprintf(ret, size, "%s", path);
		}
		if ((*sub)->sub)
			look_below(*sub, path, name, best, ret, size);
	}
}

const struct pst_cmd *pst_cmd_find(const struct pst_cmd *group,
				   const char *name, char *nearest, size_t size)
{
	const struct pst_cmd *const *sub;
	size_t best = SIZE_MAX;

	*nearest = '\0';
	for (sub = group->sub; sub && *sub; sub++)
		if (strcmp((*sub)->name, name) == 0)
			return *sub;
	if (group->sub)
		look_below(group, "", name, &best, nearest, size);
	return NULL;
}

void pst_cmd_names(const struct pst_cmd *group, char *ret, size_t size)
{
	const struct pst_cmd *const *sub;
	size_t n = 0;

	*ret = '\0';
	for (sub = group->sub; sub && *sub; sub++)
		n += (size_t)snprintf(ret + n, size - n, "%s%s", n ? ", " : "",
				      (*sub)->name);
}

int pst_cmd_no_command(const struct pst_cmd_ctx *ctx,
		       const struct pst_cmd *group, const char *path,
		       const char *name, const char *nearest)
{
	/* Nobody runs these by hand but to try them. */
	static const char *const programs[] = {"agent", "gateway", NULL};
	char names[PST_CMD_TEXT] = "";
	size_t i;

	for (i = 0; group == ctx->root && programs[i]; i++)
		if (strcmp(name, programs[i]) == 0)
			return pst_cmd_usage(ctx,
					     "there is no command '%s' of %s: "
					     "penstock-%s is a program of its "
					     "own",
					     name, path, name);
	if (*nearest)
		return pst_cmd_usage(ctx,
				     "there is no command '%.80s' of %s; did "
				     "you mean '%s'?",
				     name, path, nearest);
	/* All of them are what the help is for. */
	if (group != ctx->root)
		pst_cmd_names(group, names, sizeof(names));
	return pst_cmd_usage(ctx, "there is no command '%.80s' of %s%s%s", name,
			     path, *names ? ": " : "", names);
}

/* Options whose names begin with the n letters at name. */
static unsigned int n_like(const struct pst_cmd_opt *o, const char *name,
			   size_t n, char *list, size_t size)
{
	unsigned int found = 0;
	size_t at;

	for (; o && o->id; o++) {
		if (strncmp(o->name, name, n) != 0)
			continue;
		at = strlen(list);
		snprintf(list + at, size - at, "%s--%s", *list ? ", " : "",
			 o->name);
		found++;
	}
	return found;
}

static void nearest_opt(const struct pst_cmd_opt *o, const char *name,
			size_t *best, const char **ret)
{
	size_t d;

	for (; o && o->id; o++) {
		d = unlike(name, o->name);
		if (d < *best) {
			*best = d;
			*ret = o->name;
		}
	}
}

int pst_cmd_no_option(const struct pst_cmd_ctx *ctx, const char *option,
		      const char *text)
{
	const bool is_long = strncmp(text, "--", 2) == 0;
	const char *name = text + (is_long ? 2 : 1), *like = NULL;
	const size_t n = strcspn(name, "=");
	char list[256] = "", word[MAX_WORD + 2];
	size_t best = SIZE_MAX;
	unsigned int found;

	found = n_like(ctx->cmd->opts, name, n, list, sizeof(list)) +
		n_like(pst_cmd_common_opts, name, n, list, sizeof(list));
	if (is_long && found > 1)
		return pst_cmd_usage(ctx, "option '%.80s' is ambiguous: %s",
				     option, list);
	snprintf(word, sizeof(word), "%.*s", (int)n, name);
	nearest_opt(ctx->cmd->opts, word, &best, &like);
	nearest_opt(pst_cmd_common_opts, word, &best, &like);
	return pst_cmd_usage(ctx, "unknown option '%.80s'%s%s%s", option,
			     like ? "; did you mean --" : "", like ? like : "",
			     like ? "?" : "");
}
