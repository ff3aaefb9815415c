/* SPDX-License-Identifier: MIT */
/* What a command says: sentences on stderr, one JSON object on stdout. */
#include "host-client/cli/cmd_say.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "host-client/cli/cmd_progress.h"
#include "transport/base/text.h"
#include "transport/base/util.h"

/* One for all commands. It grows when a key goes or means something else. */
#define SCHEMA 1

static const char *const kinds[] = {
	[PST_EXIT_FAILED] = "failed",
	[PST_EXIT_USAGE] = "usage",
	[PST_EXIT_FINDINGS] = "findings",
	[PST_EXIT_UNREACHABLE] = "unreachable",
};

/* ---- Sentences ---------------------------------------------------------- */

/* Names of files and the agent's text must not steer a terminal: '?' is put for
 * controls, those of UTF-8 too (U+0080 to U+009F), and for what is no text. */
static void make_plain(char *text)
{
	char *to = text;
	size_t n;

	for (; *text; text += n ? n : 1) {
		n = pst_utf8_length(text);
		if (n == 0 || (n == 1 && (*text < ' ' || *text == 0x7f)) ||
		    (n == 2 && (text[0] & 0xff) == 0xc2 &&
		     (text[1] & 0xff) < 0xa0)) {
			*to++ = '?';
		} else {
			memmove(to, text, n);
			to += n;
		}
	}
	*to = '\0';
}

__attribute__((format(printf, 2, 0))) static void
say(const struct pst_cmd_ctx *ctx, const char *fmt, va_list ap)
{
	char text[PST_CMD_TEXT];

	pst_cmd_progress(ctx, NULL);
	vsnprintf(text, sizeof(text), fmt, ap);
	make_plain(text);
	fflush(stdout);
	fprintf(stderr, "%s: %s", ctx->path, text);
	/* The first one is the cause. */
	if (!*ctx->said->text)
		memcpy(ctx->said->text, text, sizeof(text));
}

int pst_cmd_usage(const struct pst_cmd_ctx *ctx, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(ctx, fmt, ap);
	va_end(ap);
	fprintf(stderr, " (see %s --help)\n", ctx->path);
	return PST_EXIT_USAGE;
}

int pst_cmd_fail(const struct pst_cmd_ctx *ctx, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(ctx, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return PST_EXIT_FAILED;
}

/* ---- JSON --------------------------------------------------------------- */

json_t *pst_cmd_real(double v)
{
	return isfinite(v) ? json_real(v) : json_null();
}

json_t *pst_cmd_text(const char *s)
{
	PST_CLEANUP_FREE char *copy = s ? pst_utf8_copy(s) : NULL;

	if (!s)
		return json_null();
	return copy ? json_string(copy) : NULL;
}

int pst_cmd_print_json(const struct pst_cmd_ctx *ctx, json_t *object)
{
	if (!object)
		return pst_cmd_fail(ctx, "out of memory");
	json_decref(ctx->said->result);
	ctx->said->result = object;
	return PST_EXIT_OK;
}

static bool has_error(const struct pst_cmd_ctx *ctx, int r)
{
	return r != PST_EXIT_OK && *ctx->said->text &&
	       (size_t)r < PST_ARRAY_SIZE(kinds);
}

/* The schema first, then what the command gave, then why it failed. */
static json_t *whole(const struct pst_cmd_ctx *ctx, int r)
{
	json_t *o = json_pack("{s:i}", "schema", SCHEMA);
	int failed = 0;

	if (ctx->said->result)
		failed = json_object_update(o, ctx->said->result);
	if (has_error(ctx, r))
		failed |= json_object_set_new(
			o, "error",
			json_pack("{s:i, s:s, s:o}", "exit", r, "kind",
				  kinds[r], "message",
				  pst_cmd_text(ctx->said->text)));
	if (!failed)
		return o;
	json_decref(o);
	return NULL;
}

int pst_cmd_said_end(const struct pst_cmd_ctx *ctx, int r)
{
	json_t *o;
	int bad = -1;

	pst_cmd_progress(ctx, NULL);
	if (!ctx->said->result && !(ctx->json && has_error(ctx, r)))
		return r;
	o = whole(ctx, r);
	json_decref(ctx->said->result);
	ctx->said->result = NULL;
	if (o)
		/* UTF-8 has terminal controls too (U+009B), and text of the
		 * agent is in there. */
		bad = json_dumpf(o, stdout,
				 JSON_COMPACT | JSON_ENSURE_ASCII |
					 JSON_REAL_PRECISION(9));
	json_decref(o);
	if (bad)
		return pst_cmd_fail(ctx, "cannot write the JSON result");
	putchar('\n');
	return r;
}
