/* SPDX-License-Identifier: MIT */
/* Values of options: numbers, sizes, times and words. */
#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "host-client/cli/cmd.h"
#include "transport/base/region_size.h"
#include "transport/base/util.h"

/* Of a value in a message; what is allowed has to fit behind it. */
#define SHOWN      "%.80s%s"
#define SHOW(text) (text), strlen(text) > 80 ? "..." : ""
/* Fewer bytes than that are no size of anything here. */
#define LEAST_SIZE 65536

bool pst_cmd_arg_u64(const struct pst_cmd_ctx *ctx, const char *what,
		     const char *text, uint64_t min, uint64_t max,
		     uint64_t *ret)
{
	if (pst_parse_u64(text, min, max, ret) == 0)
		return true;
	pst_cmd_usage(ctx,
		      "%s: '" SHOWN "' is not a whole number from %" PRIu64
		      " to %" PRIu64,
		      what, SHOW(text), min, max);
	return false;
}

bool pst_cmd_arg_double(const struct pst_cmd_ctx *ctx, const char *what,
			const char *text, double *ret)
{
	char *end;
	double v;

	v = strtod(text, &end);
	/* strtod() skips blanks, and nobody wants 0x10 for 16. */
	if (end == text || *end || !isfinite(v) || isspace((uint8_t)*text) ||
	    strpbrk(text, "xX")) {
		pst_cmd_usage(ctx,
			      "%s: '" SHOWN "' is not a finite number such as "
			      "0.5 or 1e-3",
			      what, SHOW(text));
		return false;
	}
	*ret = v;
	return true;
}

bool pst_cmd_arg_size(const struct pst_cmd_ctx *ctx, const char *what,
		      const char *text, uint64_t *ret)
{
	const bool digits = strspn(text, "0123456789") == strlen(text);

	if (pst_parse_size(text, ret) < 0) {
		pst_cmd_usage(ctx,
			      "%s: '" SHOWN "' is not a size such as 2M or 1G "
			      "(K, M, G or T, below 8388608T)",
			      what, SHOW(text));
		return false;
	}
	if (!digits || *ret == 0 || *ret >= LEAST_SIZE)
		return true;
	pst_cmd_usage(ctx, "%s: '%s' has no unit and would be bytes: 2M or 1G?",
		      what, text);
	return false;
}

bool pst_cmd_arg_size_not_0(const struct pst_cmd_ctx *ctx, const char *what,
			    const char *text, uint64_t *ret)
{
	if (!pst_cmd_arg_size(ctx, what, text, ret))
		return false;
	if (*ret)
		return true;
	pst_cmd_usage(ctx, "%s is 0: give a size such as 4G", what);
	return false;
}

bool pst_cmd_arg_region(const struct pst_cmd_ctx *ctx, const char *what,
			const char *text, uint64_t *ret)
{
	struct pst_error err;

	if (!pst_cmd_arg_size_not_0(ctx, what, text, ret))
		return false;
	if (pst_region_check_size(*ret, &err) == 0)
		return true;
	pst_cmd_usage(ctx, "%s: %s", what, err.text);
	return false;
}

bool pst_cmd_arg_duration(const struct pst_cmd_ctx *ctx, const char *what,
			  const char *text, uint64_t *ret_ns)
{
	if (pst_parse_duration(text, ret_ns) == 0 && *ret_ns)
		return true;
	pst_cmd_usage(ctx,
		      "%s: '" SHOWN "' is not a duration such as 500ms, 10s or "
		      "2m (ns, us, ms, s or m, above 0)",
		      what, SHOW(text));
	return false;
}

bool pst_cmd_arg_output(const struct pst_cmd_ctx *ctx, const char *text,
			const char **ret)
{
	*ret = text;
	if (strcmp(text, "-") != 0)
		return true;
	pst_cmd_usage(ctx, "--output: '-' is not standard output here; a file "
			   "of that name is ./-");
	return false;
}

bool pst_cmd_arg_once(const struct pst_cmd_ctx *ctx, const char *what,
		      const char *text, const char **to)
{
	if (!*to || strcmp(*to, text) == 0) {
		*to = text;
		return true;
	}
	pst_cmd_usage(ctx,
		      "%s is given twice, as '" SHOWN "' and as '" SHOWN
		      "': one is allowed",
		      what, SHOW(*to), SHOW(text));
	return false;
}

static bool is_word(const char *word, size_t n, const char *text)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (text[i] != word[i] && !(text[i] == '_' && word[i] == '-'))
			return false;
	return text[n] == '\0';
}

bool pst_cmd_arg_word(const struct pst_cmd_ctx *ctx, const char *what,
		      const char *list, const char *text, uint32_t *ret)
{
	char allowed[256];
	const char *word;
	size_t n, at = 0;
	uint32_t i = 0;

	for (word = list; *word; word += n + (word[n] == '|'), i++) {
		n = strcspn(word, "|");
		if (is_word(word, n, text)) {
			*ret = i;
			return true;
		}
		at += (size_t)snprintf(allowed + at, sizeof(allowed) - at,
				       "%s%.*s",
				       i == 0    ? ""
				       : word[n] ? ", "
						 : " or ",
				       (int)n, word);
	}
	pst_cmd_usage(ctx, "%s: '" SHOWN "' is not %s", what, SHOW(text),
		      allowed);
	return false;
}
