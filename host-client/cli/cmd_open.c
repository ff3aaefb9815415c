/* SPDX-License-Identifier: MIT */
/* Common to the subcommands that talk to an agent. */
#include "host-client/cli/cmd_open.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host-client/cli/cmd_progress.h"

const char *pst_cmd_endpoint(const struct pst_cmd_ctx *ctx)
{
	const char *e =
		ctx->endpoint ? ctx->endpoint : getenv("PENSTOCK_ENDPOINT");

	return e && *e ? e : NULL;
}

int pst_cmd_exit_of(int err)
{
	switch (err) {
	case -ECONNREFUSED:
	case -ECONNRESET:
	case -EHOSTUNREACH:
	case -ENETUNREACH:
	case -ENODEV:
	case -ENOENT:
	case -ESTALE:
	case -ETIMEDOUT:
		return PST_EXIT_UNREACHABLE;
	default:
		return PST_EXIT_FAILED;
	}
}

/* The sentence in text is of a wrong endpoint: says where it comes from. */
static int wrong_endpoint(const struct pst_cmd_ctx *ctx, char *text,
			  size_t size)
{
	char why[PST_CMD_TEXT];

	snprintf(why, sizeof(why), "%s", text);
	snprintf(text, size, "%s%s%s",
		 ctx->endpoint ? "" : "$PENSTOCK_ENDPOINT: ", why,
		 strcmp(pst_cmd_endpoint(ctx), "spawn") == 0
			 ? "; did you mean spawn:?"
			 : "");
	return PST_EXIT_USAGE;
}

int pst_cmd_endpoint_check(const struct pst_cmd_ctx *ctx, char *text,
			   size_t size)
{
	const char *endpoint = pst_cmd_endpoint(ctx);

	if (!endpoint) {
		snprintf(text, size,
			 "no endpoint: give -e/--endpoint, such as -e spawn: "
			 "for a private agent, or set PENSTOCK_ENDPOINT");
		return PST_EXIT_USAGE;
	}
	return pst_endpoint_check(endpoint, text, size) < 0
		       ? wrong_endpoint(ctx, text, size)
		       : PST_EXIT_OK;
}

int pst_cmd_connect(const struct pst_cmd_ctx *ctx, uint32_t flags,
		    struct pst **ret, char *text, size_t size)
{
	struct pst_options options = {
		.size = sizeof(options),
		.flags = flags,
		.name = "penstock",
	};
	/* What is no endpoint is wrong usage; what it leads to is not. */
	int r = pst_cmd_endpoint_check(ctx, text, size);

	*ret = NULL;
	if (r)
		return r;
	pst_cmd_progress(ctx, "connecting");
	r = pst_open(pst_cmd_endpoint(ctx), &options, ret, text, size);
	pst_cmd_progress(ctx, NULL);
	if (r == 0)
		return PST_EXIT_OK;
	if (!*text)
		snprintf(text, size, "%s", pst_strerror(r));
	/* Such as one that lacks the region, or has another agent's. */
	if (r == -EINVAL)
		return wrong_endpoint(ctx, text, size);
	return r == -ENOTDIR ? PST_EXIT_UNREACHABLE : pst_cmd_exit_of(r);
}

int pst_cmd_open(const struct pst_cmd_ctx *ctx, uint32_t flags,
		 struct pst **ret)
{
	char text[PST_CMD_TEXT] = "";
	int r = pst_cmd_connect(ctx, flags, ret, text, sizeof(text));

	if (r)
		pst_cmd_fail(ctx, "%s", text);
	return r;
}

int pst_cmd_fail_call(const struct pst_cmd_ctx *ctx, struct pst *c, int err)
{
	char text[PST_CMD_TEXT] = "";

	pst_last_error(c, text, sizeof(text));
	pst_cmd_fail(ctx, "%s", *text ? text : pst_strerror(err));
	return pst_cmd_exit_of(err);
}

int pst_cmd_fail_named(const struct pst_cmd_ctx *ctx, struct pst *c, int err)
{
	const int r = pst_cmd_fail_call(ctx, c, err);

	return err == -ENOENT ? PST_EXIT_FAILED : r;
}

int pst_cmd_query(const struct pst_cmd_ctx *ctx, struct pst *c,
		  enum pst_topic what, json_t **ret)
{
	json_error_t why;
	char *text = NULL;
	int r;

	*ret = NULL;
	r = pst_query(c, what, &text);
	if (r < 0)
		return pst_cmd_fail_call(ctx, c, r);
	*ret = json_loads(text, JSON_REJECT_DUPLICATES, &why);
	free(text);
	if (json_is_object(*ret))
		return PST_EXIT_OK;
	json_decref(*ret);
	*ret = NULL;
	return pst_cmd_fail(ctx, "the agent's answer is not a JSON object");
}

/* The agent's text goes to a terminal: nothing in it may steer that. */
static void print_text(const char *s)
{
	for (; *s; s++)
		putchar(*s >= ' ' && *s <= '~' ? *s : '?');
}

static void print_scalar(const json_t *v)
{
	if (json_string_length(v) > 0)
		print_text(json_string_value(v));
	else if (json_is_integer(v))
		printf("%" JSON_INTEGER_FORMAT, json_integer_value(v));
	else if (json_is_real(v))
		printf("%.6g", json_real_value(v));
	else
		fputs(json_is_true(v)    ? "yes"
		      : json_is_false(v) ? "no"
					 : "-",
		      stdout);
	putchar('\n');
}

static void print_key(const char *prefix, const char *key)
{
	char full[128];

	snprintf(full, sizeof(full), "%s%s%s", prefix, *prefix ? "." : "", key);
	print_text(full);
	printf("%*s", (int)(strlen(full) < 28 ? 28 - strlen(full) : 1), "");
}

/* Whether a list is one of words, which are read best in one line. */
static bool is_words(const json_t *list)
{
	const json_t *item;
	size_t i;

	json_array_foreach(list, i, item)
	{
		if (json_string_length(item) == 0 ||
		    strchr(json_string_value(item), ' '))
			return false;
	}
	return json_array_size(list) > 0;
}

static void print_words(const json_t *list)
{
	const json_t *item;
	size_t i;

	json_array_foreach(list, i, item)
	{
		if (i)
			putchar(' ');
		print_text(json_string_value(item));
	}
	putchar('\n');
}

static void print_below(json_t *object, const char *prefix, int depth);

static void print_list(json_t *list, const char *path, int depth)
{
	char index[24], at[160];
	json_t *item;
	size_t i;

	json_array_foreach(list, i, item)
	{
		snprintf(index, sizeof(index), "%zu", i);
		if (json_is_object(item)) {
			snprintf(at, sizeof(at), "%s.%s", path, index);
			print_below(item, at, depth - 1);
			continue;
		}
		print_key(path, index);
		print_scalar(item);
	}
}

/* Peer's JSON: jansson bounds its depth, this the depth of what is shown. */
static void print_below(json_t *object, const char *prefix, int depth)
{
	char path[128];
	const char *key;
	json_t *v;

	json_object_foreach(object, key, v)
	{
		snprintf(path, sizeof(path), "%s%s%.40s", prefix,
			 *prefix ? "." : "", key);
		if (json_is_object(v) && depth > 0) {
			print_below(v, path, depth - 1);
		} else if (is_words(v)) {
			print_key(prefix, key);
			print_words(v);
		} else if (json_is_array(v) && depth > 0) {
			print_list(v, path, depth);
		} else {
			print_key(prefix, key);
			print_scalar(v);
		}
	}
}

void pst_cmd_print_object(json_t *object)
{
	print_below(object, "", 4);
}
