/* SPDX-License-Identifier: MIT */
/* penstock model: load, install, list, show and unload. */
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "host-client/cli/cmd_model.h"
#include "host-client/cli/cmd_open.h"
#include "host-client/cli/cmd_progress.h"
#include "host-client/cli/cmds.h"
#include "transport/base/text.h"
#include "transport/base/util.h"
#include "transport/dtype.h"

#define DEFAULT_TIMEOUT_NS (600 * PST_NS_PER_S)

#define EPS "auto|cpu|cuda"

enum {
	OPT_TIMEOUT = PST_OPT_OWN,
	OPT_DATA,
	OPT_EP,
	OPT_WARM,
};

bool pst_cmd_arg_model(const struct pst_cmd_ctx *ctx, const char *name)
{
	static const char good[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				   "abcdefghijklmnopqrstuvwxyz0123456789._-";
	const size_t n = strlen(name),
		     room = sizeof(((struct pst_model *)0)->name);

	if (n && n < room && strspn(name, good) == n)
		return true;
	pst_cmd_usage(ctx,
		      "\"%.80s\" cannot be a model's name: that has 1 to %zu "
		      "characters of A-Z a-z 0-9 . _ -",
		      name, room - 1);
	return false;
}

static const struct pst_cmd_opt json_opts[] = {
	PST_CMD_OPT_JSON,
	{0},
};

/* ---- load and install ---- */

/* A bar of that many characters. */
#define BAR 24

struct shown {
	const struct pst_cmd_ctx *ctx;
};

static int show_progress(void *arg, uint64_t done, uint64_t total)
{
	static const char full[] = "########################";
	const struct shown *s = arg;
	const int n = total ? (int)((double)done / (double)total * BAR) : BAR;
	char what[80];

	if (done == total)
		snprintf(what, sizeof(what), "the agent makes it ready");
	else
		snprintf(what, sizeof(what),
			 "[%.*s%*s] %" PRIu64 " of %" PRIu64 " MiB", n, full,
			 BAR - n, "", done >> 20, total >> 20);
	pst_cmd_progress(s->ctx, what);
	return 0;
}

int pst_cmd_model_load(const struct pst_cmd_ctx *ctx, struct pst *c,
		       const struct pst_load_args *l, uint64_t timeout_ns,
		       struct pst_model *ret)
{
	struct pst_load_args own = *l;
	struct shown shown = {ctx};
	int r;

	own.progress = show_progress;
	own.arg = &shown;
	pst_cmd_progress(ctx, "loading the model");
	r = pst_model_load_file(c, &own, timeout_ns, ret);
	pst_cmd_progress(ctx, NULL);
	return r < 0 ? pst_cmd_fail_named(ctx, c, r) : PST_EXIT_OK;
}

static int print_rows(const struct pst_cmd_ctx *ctx, const struct pst_model *m)
{
	if (ctx->json)
		return pst_cmd_print_json(
			ctx,
			json_pack("{s:o, s:s, s:s, s:I, s:I, s:I, s:s, s:I, "
				  "s:I}",
				  "endpoint",
				  pst_cmd_text(pst_cmd_endpoint(ctx)), "name",
				  m->name, "format", "safetensors", "inputs",
				  (json_int_t)m->n_in, "outputs",
				  (json_int_t)m->n_out, "layers",
				  (json_int_t)m->n_layers, "dtype",
				  pst_dtype_name(m->dtype), "bytes",
				  (json_int_t)m->bytes, "max_batch",
				  (json_int_t)m->max_batch));
	printf("loaded     %s: %u to %u elements, %u layers, %" PRIu64
	       " bytes of %s\n",
	       m->name, m->n_in, m->n_out, m->n_layers, m->bytes,
	       pst_dtype_name(m->dtype));
	return PST_EXIT_OK;
}

static int print_loaded(const struct pst_cmd_ctx *ctx, struct pst *c,
			const struct pst_model *m)
{
	struct pst_model_spec *spec;
	int r;

	if (m->n_layers)
		return print_rows(ctx, m);
	r = pst_model_info(c, m->name, &spec);
	if (r < 0)
		return pst_cmd_fail_named(ctx, c, r);
	if (ctx->json)
		r = pst_cmd_print_json(ctx, pst_cmd_model_object(ctx, spec));
	else
		printf("loaded     %s: %u inputs, %u outputs, %" PRIu64
		       " bytes, on %s by %s\n",
		       m->name, spec->n_in, spec->n_out, m->bytes,
		       spec->provider, spec->runtime);
	if (!ctx->json && spec->note[0])
		printf("note       %s\n", spec->note);
	free(spec);
	return r < 0 ? PST_EXIT_FAILED : r;
}

/* --data of one call, each with a file. */
#define MOST_FILES 7U

static int run_load_as(const struct pst_cmd_ctx *ctx, int argc, char **argv,
		       uint32_t flags)
{
	struct pst_load_args l = PST_LOAD_INIT;
	uint64_t timeout_ns = DEFAULT_TIMEOUT_NS;
	const char *data[MOST_FILES], *warm = NULL;
	struct pst_model m;
	struct pst *c;
	int opt, r;

	l.flags = flags;
	l.data = data;
	while ((opt = pst_cmd_getopt(ctx, argc, argv)) != -1) {
		if (opt == OPT_TIMEOUT &&
		    !pst_cmd_arg_duration(ctx, "--timeout", optarg,
					  &timeout_ns))
			return PST_EXIT_USAGE;
		if (opt == OPT_EP &&
		    !pst_cmd_arg_word(ctx, "--ep", EPS, optarg, &l.provider))
			return PST_EXIT_USAGE;
		if (opt == OPT_WARM)
			warm = optarg;
		if (opt == OPT_DATA && l.n_data == MOST_FILES)
			return pst_cmd_usage(ctx, "--data: more than %u files",
					     MOST_FILES);
		if (opt == OPT_DATA)
			data[l.n_data++] = optarg;
	}
	if (!pst_cmd_arg_model(ctx, argv[optind]))
		return PST_EXIT_USAGE;
	l.name = argv[optind];
	l.path = argv[optind + 1];
	r = pst_cmd_open(ctx, 0, &c);
	if (r)
		return r;
	r = pst_cmd_model_load(ctx, c, &l, timeout_ns, &m);
	if (r == 0 && warm)
		r = pst_cmd_model_warm(ctx, c, l.name, warm, timeout_ns);
	if (r == 0)
		r = print_loaded(ctx, c, &m);
	pst_close(c);
	return r;
}

static int run_load(const struct pst_cmd_ctx *ctx, int argc, char **argv)
{
	return run_load_as(ctx, argc, argv, 0);
}

static int run_install(const struct pst_cmd_ctx *ctx, int argc, char **argv)
{
	return run_load_as(ctx, argc, argv, PST_MODEL_INSTALL);
}

static const struct pst_cmd_opt load_opts[] = {
	{OPT_DATA, "data", "FILE",
	 "weights of an ONNX file that lie in FILE; may come again\n"
	 "[those beside it that it names]"},
	{OPT_EP, "ep", EPS, "who computes an ONNX file [auto]"},
	{OPT_TIMEOUT, "timeout", "TIME", "give up after TIME [10m]"},
	{OPT_WARM, "warm", "INPUT=SHAPE,...",
	 "run it once on inputs of these shapes, ids=1x32,mask=1x32"},
	PST_CMD_OPT_JSON,
	{0},
};

static const struct pst_cmd load = {
	.name = "load",
	.args = "NAME FILE.onnx|FILE.safetensors",
	.summary = "Load a model file into the agent",
	.help = "The model stays until it is unloaded or the agent ends, and "
		"every client\nof the agent may use it. An ONNX file needs an "
		"agent with ONNX Runtime.\n",
	.example = "penstock model load net net.safetensors\n",
	.opts = load_opts,
	.min_args = 2,
	.max_args = 2,
	.run = run_load,
};

static const struct pst_cmd install = {
	.name = "install",
	.args = "NAME FILE.onnx|FILE.safetensors",
	.summary = "Load a model file, and have the agent keep it",
	.help = "The agent loads it again at each of its starts, where its "
		"owner allows that\n(allow_install in agent.conf, "
		"penstock-agent(8)).\n",
	.example = "penstock model install net net.onnx\n",
	.opts = load_opts,
	.min_args = 2,
	.max_args = 2,
	.run = run_install,
};

/* ---- show ---- */

static int run_show(const struct pst_cmd_ctx *ctx, int argc, char **argv)
{
	struct pst_model_spec *m;
	struct pst *c;
	int r;

	while (pst_cmd_getopt(ctx, argc, argv) != -1)
		;
	if (!pst_cmd_arg_model(ctx, argv[optind]))
		return PST_EXIT_USAGE;
	r = pst_cmd_open(ctx, PST_OPEN_CONTROL_ONLY, &c);
	if (r)
		return r;
	r = pst_model_info(c, argv[optind], &m);
	if (r < 0) {
		r = pst_cmd_fail_named(ctx, c, r);
	} else {
		if (ctx->json)
			r = pst_cmd_print_json(ctx,
					       pst_cmd_model_object(ctx, m));
		else
			pst_cmd_model_print(m);
		free(m);
	}
	pst_close(c);
	return r;
}

static const struct pst_cmd show = {
	.name = "show",
	.args = "NAME",
	.summary = "Show what a model takes and gives, and who computes it",
	.example = "penstock model show net\n",
	.opts = json_opts,
	.min_args = 1,
	.max_args = 1,
	.run = run_show,
	.print_names = pst_cmd_model_names,
};

/* ---- list ---- */

/* Text of the agent's, which may not steer a terminal. */
static void print_cell(const json_t *model, const char *key, int width)
{
	const json_t *v = json_object_get(model, key);
	const char *s = json_string_value(v);
	int n = 0;

	if (json_is_integer(v))
		n = printf("%" JSON_INTEGER_FORMAT, json_integer_value(v));
	for (; s && *s; s++, n++)
		putchar(*s >= ' ' && *s <= '~' ? *s : '?');
	printf("%*s", width > n ? width - n : 1, "");
}

static void print_list(const json_t *list)
{
	static const struct {
		const char *title, *key;
		int width;
	} columns[] = {
		{"NAME", "name", 28},      {"INPUTS", "inputs", 9},
		{"OUTPUTS", "outputs", 9}, {"LAYERS", "layers", 8},
		{"TYPE", "dtype", 6},
	};
	size_t i, j;

	for (j = 0; j < PST_ARRAY_SIZE(columns); j++)
		printf("%-*s", columns[j].width, columns[j].title);
	puts("BYTES");
	for (i = 0; i < json_array_size(list); i++) {
		for (j = 0; j < PST_ARRAY_SIZE(columns); j++)
			print_cell(json_array_get(list, i), columns[j].key,
				   columns[j].width);
		print_cell(json_array_get(list, i), "bytes", 0);
		putchar('\n');
	}
}

static int print_models(const struct pst_cmd_ctx *ctx, const char *text)
{
	json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	int r = PST_EXIT_OK;

	if (!json_is_array(json_object_get(root, "models")))
		r = pst_cmd_fail(ctx, "the agent's answer is no list of "
				      "models");
	else if (ctx->json)
		r = pst_cmd_print_json(ctx, json_incref(root));
	else
		print_list(json_object_get(root, "models"));
	json_decref(root);
	return r;
}

static int run_list(const struct pst_cmd_ctx *ctx, int argc, char **argv)
{
	PST_CLEANUP_FREE char *text = NULL;
	struct pst *c;
	int r;

	while (pst_cmd_getopt(ctx, argc, argv) != -1)
		;
	r = pst_cmd_open(ctx, PST_OPEN_CONTROL_ONLY, &c);
	if (r)
		return r;
	r = pst_model_list(c, &text);
	r = r < 0 ? pst_cmd_fail_named(ctx, c, r) : print_models(ctx, text);
	pst_close(c);
	return r;
}

static const struct pst_cmd list = {
	.name = "list",
	.args = "",
	.summary = "List the models that the agent has loaded",
	.example = "penstock -e spawn: model list\n",
	.opts = json_opts,
	.run = run_list,
};

/* Only of an agent that answers: a private one has no models. */
void pst_cmd_model_names(const struct pst_cmd_ctx *ctx, const char *uri,
			 const char *typed)
{
	PST_CLEANUP_FREE char *text = NULL;
	char why[PST_CMD_TEXT];
	json_t *root, *model;
	const char *name;
	struct pst *c;
	size_t i;

	if (!pst_cmd_endpoint(ctx) ||
	    strncmp(pst_cmd_endpoint(ctx), "spawn:", 6) == 0 ||
	    pst_cmd_connect(ctx, PST_OPEN_CONTROL_ONLY, &c, why, sizeof(why)))
		return;
	if (pst_model_list(c, &text) == 0) {
		root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
		json_array_foreach(json_object_get(root, "models"), i, model)
		{
			name = json_string_value(
				json_object_get(model, "name"));
			if (name && pst_name_is_good(name) &&
			    strncmp(name, typed, strlen(typed)) == 0)
				printf("%s\ta model\n", name);
		}
		json_decref(root);
	}
	pst_close(c);
}

/* ---- unload ---- */

static int print_unloaded(const struct pst_cmd_ctx *ctx, const char *name)
{
	if (ctx->json)
		return pst_cmd_print_json(
			ctx,
			json_pack("{s:o, s:o, s:b}", "endpoint",
				  pst_cmd_text(pst_cmd_endpoint(ctx)), "name",
				  pst_cmd_text(name), "unloaded", 1));
	printf("unloaded   %s\n", name);
	return PST_EXIT_OK;
}

static int run_unload(const struct pst_cmd_ctx *ctx, int argc, char **argv)
{
	struct pst *c;
	int r;

	while (pst_cmd_getopt(ctx, argc, argv) != -1)
		;
	if (!pst_cmd_arg_model(ctx, argv[optind]))
		return PST_EXIT_USAGE;
	r = pst_cmd_open(ctx, PST_OPEN_CONTROL_ONLY, &c);
	if (r)
		return r;
	r = pst_model_unload(c, argv[optind]);
	r = r < 0 ? pst_cmd_fail_named(ctx, c, r)
		  : print_unloaded(ctx, argv[optind]);
	pst_close(c);
	return r;
}

static const struct pst_cmd unload = {
	.name = "unload",
	.args = "NAME",
	.summary = "End a model, whoever loaded it",
	.example = "penstock model unload net\n",
	.opts = json_opts,
	.min_args = 1,
	.max_args = 1,
	.run = run_unload,
	.print_names = pst_cmd_model_names,
};

static const struct pst_cmd *const commands[] = {
	&load, &list, &show, &install, &unload, NULL,
};

const struct pst_cmd pst_cmd_model = {
	.name = "model",
	.summary = "Load, list, show and unload models",
	.sub = commands,
};
