/* SPDX-License-Identifier: MIT */
/* penstock blas tune: measures both sides, and keeps the rates. */
#include <dlfcn.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "host-client/cli/blas/cmd_blas_library.h"
#include "host-client/cli/cmd_open.h"
#include "host-client/cli/cmd_progress.h"
#include "host-client/cli/cmds.h"
#include "transport/base/util.h"

/* libpenstock-blas's own function: it knows what its decisions need. */
typedef int tune_fn(const char *endpoint, char **ret_json, char *error_text,
		    size_t error_size);

static int run(const struct pst_cmd_ctx *ctx, int argc, char **argv)
{
	PST_CLEANUP_FREE char *json = NULL;
	char path[PATH_MAX], text[PST_CMD_TEXT] = "";
	json_t *object;
	tune_fn *tune;
	void *library, *p;
	int r;

	(void)pst_cmd_getopt(ctx, argc, argv);
	if (pst_cmd_endpoint_check(ctx, text, sizeof(text)))
		return pst_cmd_usage(ctx, "%s", text);
	r = pst_cmd_blas_library(ctx, path, sizeof(path));
	if (r)
		return r;
	library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	p = library ? dlsym(library, "penstock_blas_tune") : NULL;
	if (!p)
		return pst_cmd_fail(ctx, "cannot load %s: %s", path, dlerror());
	memcpy(&tune, &p, sizeof(tune));
	pst_cmd_progress(ctx, "measuring products");
	r = tune(pst_cmd_endpoint(ctx), &json, text, sizeof(text));
	pst_cmd_progress(ctx, NULL);
	if (r < 0) {
		pst_cmd_fail(ctx, "%s", text);
		return pst_cmd_exit_of(r);
	}
	object = json_loads(json, 0, NULL);
	if (ctx->json)
		return pst_cmd_print_json(ctx, object);
	pst_cmd_print_object(object);
	json_decref(object);
	return PST_EXIT_OK;
}

static const struct pst_cmd_opt opts[] = {
	PST_CMD_OPT_JSON,
	{0},
};

const struct pst_cmd pst_cmd_blas_tune = {
	.name = "tune",
	.args = "",
	.summary = "Measure this machine's BLAS and the agent, for decisions",
	.help = "The rates are kept in $XDG_CACHE_HOME/penstock, by agent and "
		"processor. Programs\nstart from them and correct them while "
		"they run.\n",
	.example = "penstock -e spawn: blas tune\n",
	.opts = opts,
	.run = run,
};
