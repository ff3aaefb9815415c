/* SPDX-License-Identifier: MIT */
/* penstock blas run: a program with libpenstock-blas preloaded. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host-client/cli/blas/cmd_blas_library.h"
#include "host-client/cli/cmd_open.h"
#include "host-client/cli/cmds.h"
#include "transport/base/util.h"

#define MODES "auto|off|force|trace"

static const char *const modes[] = {"auto", "off", "force", "trace"};

static int set(const struct pst_cmd_ctx *ctx, const char *name,
	       const char *value)
{
	if (setenv(name, value, 1) < 0)
		return pst_cmd_fail(ctx, "out of memory");
	return PST_EXIT_OK;
}

/* Before whatever is preloaded already. */
static int preload(const struct pst_cmd_ctx *ctx, const char *library)
{
	const char *others = getenv("LD_PRELOAD");
	PST_CLEANUP_FREE char *all = NULL;

	if (strpbrk(library, " :"))
		return pst_cmd_fail(ctx,
				    "LD_PRELOAD takes no path with a space or "
				    "a colon: %s",
				    library);
	if (asprintf(&all, "%s%s%s", library, others && *others ? ":" : "",
		     others ? others : "") < 0) {
		all = NULL;
		return pst_cmd_fail(ctx, "out of memory");
	}
	return set(ctx, "LD_PRELOAD", all);
}

static int run(const struct pst_cmd_ctx *ctx, int argc, char **argv)
{
	char library[PATH_MAX], text[PST_CMD_TEXT];
	uint32_t mode = 0;
	bool chosen = false, stats = false;
	int opt, r;

	while ((opt = pst_cmd_getopt(ctx, argc, argv)) != -1) {
		if (opt == 'm' &&
		    !pst_cmd_arg_word(ctx, "--mode", MODES, optarg, &mode))
			return PST_EXIT_USAGE;
		chosen |= opt == 'm';
		stats |= opt == 's';
	}
	if (pst_cmd_endpoint_check(ctx, text, sizeof(text)))
		return pst_cmd_usage(ctx, "%s", text);
	if ((r = pst_cmd_blas_library(ctx, library, sizeof(library))) ||
	    (r = preload(ctx, library)) ||
	    (chosen && (r = set(ctx, "PENSTOCK_BLAS", modes[mode]))) ||
	    (r = set(ctx, "PENSTOCK_BLAS_ENDPOINT", pst_cmd_endpoint(ctx))) ||
	    (stats && (r = set(ctx, "PENSTOCK_BLAS_STATS", "1"))))
		return r;
	execvp(argv[optind], &argv[optind]);
	return pst_cmd_fail(ctx, "cannot run %s: %s", argv[optind],
			    strerror(errno));
}

static const struct pst_cmd_opt opts[] = {
	{'m', "mode", MODES,
	 "what is offloaded: what pays [auto], nothing, all, or\n"
	 "as auto with a line for each product"},
	{'s', "stats", NULL, "print a line of counters when the program ends"},
	{0},
};

const struct pst_cmd pst_cmd_blas_run = {
	.name = "run",
	.args = "-- PROGRAM [ARG...]",
	.summary = "Run a program whose large products the agent computes",
	.help = "Products that the agent computes faster go there, all others "
		"to the BLAS that the\nprogram has anyway. What an agent that "
		"dies does not complete is computed here.\n",
	.example = "penstock -e spawn: blas run --stats -- true\n",
	.opts = opts,
	.min_args = 1,
	.max_args = PST_CMD_ANY,
	.run = run,
};
