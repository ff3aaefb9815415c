/* SPDX-License-Identifier: MIT */
/* penstock infer: rows of a .npy file through a loaded model. */
#include <getopt.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "host-client/cli/cmd_open.h"
#include "host-client/cli/cmd_progress.h"
#include "host-client/cli/cmds.h"
#include "host-client/files/inferfile.h"
#include "transport/dtype.h"

#define DEFAULT_TIMEOUT_NS (600 * PST_NS_PER_S)

enum {
	OPT_BATCH = PST_OPT_OWN,
	OPT_LOAD,
	OPT_TIMEOUT,
};

/* What the options say. */
struct job {
	struct pst_inferfile files;
	const char *name;
	const char *load; /* a model file for this command alone, or NULL */
};

static json_t *result_object(const struct pst_cmd_ctx *ctx,
			     const struct job *job,
			     const struct pst_inferfile_result *r)
{
	return json_pack(
		"{s:o, s:s, s:o, s:s, s:b, s:I, s:I, s:I, s:f, s:f}",
		"endpoint", pst_cmd_text(pst_cmd_endpoint(ctx)), "model",
		job->name, "output", pst_cmd_text(job->files.out), "dtype",
		pst_dtype_name(r->dtype), "converted", r->dtype != PST_F32,
		"rows", (json_int_t)r->rows, "batch", (json_int_t)r->batch,
		"batches", (json_int_t)r->batches, "seconds",
		(double)r->call_ns / PST_NS_PER_S, "compute_seconds",
		(double)r->compute_ns / PST_NS_PER_S);
}

static void print_result(const struct job *job, const struct pst_model *m,
			 const struct pst_inferfile_result *r)
{
	const double s = (double)r->call_ns / PST_NS_PER_S;

	printf("model      %s, %u to %u elements\n", job->name, m->n_in,
	       m->n_out);
	printf("input      %" PRIu64 " rows of %s%s\n", r->rows,
	       pst_dtype_name(r->dtype),
	       r->dtype == PST_F32 ? "" : ", converted to f32");
	printf("time       %.6f s in %" PRIu64
	       " batches of %u rows, %.0f rows/s\n",
	       s, r->batches, r->batch, s > 0 ? (double)r->rows / s : 0);
	printf("written    %s\n", job->files.out);
}

static void step(void *arg, uint64_t done, uint64_t rows)
{
	char what[64];

	snprintf(what, sizeof(what), "%" PRIu64 " of %" PRIu64 " rows", done,
		 rows);
	pst_cmd_progress(arg, what);
}

static int infer(const struct pst_cmd_ctx *ctx, const struct job *job)
{
	struct pst_inferfile_result r;
	struct pst_error err = {0};
	struct pst_model m;
	struct pst *c;
	int rc;

	rc = pst_cmd_open(ctx, 0, &c);
	if (rc)
		return rc;
	pst_cmd_progress(ctx, "loading the model");
	rc = job->load ? pst_model_load(c, job->name, job->load,
					job->files.timeout_ns, &m)
		       : pst_model_open(c, job->name, &m);
	if (rc < 0) {
		rc = pst_cmd_fail_named(ctx, c, rc);
		pst_close(c);
		return rc;
	}
	rc = pst_inferfile_run(c, &m, &job->files, &r, &err);
	pst_cmd_progress(ctx, NULL);
	if (job->load)
		(void)pst_model_unload(c, job->name);
	pst_close(c);
	if (rc < 0)
		return pst_cmd_fail(ctx, "%s", err.text);
	if (ctx->json)
		return pst_cmd_print_json(ctx, result_object(ctx, job, &r));
	print_result(job, &m, &r);
	return PST_EXIT_OK;
}

/* Reads one option. False: the usage error was printed. */
static bool read_opt(const struct pst_cmd_ctx *ctx, int opt, struct job *job)
{
	uint64_t v;

	switch (opt) {
	case 'o':
		return pst_cmd_arg_output(ctx, optarg, &job->files.out);
	case OPT_BATCH:
		if (!pst_cmd_arg_u64(ctx, "--batch", optarg, 1, UINT32_MAX, &v))
			return false;
		job->files.batch = (uint32_t)v;
		return true;
	case OPT_LOAD:
		job->load = optarg;
		return true;
	case OPT_TIMEOUT:
		return pst_cmd_arg_duration(ctx, "--timeout", optarg,
					    &job->files.timeout_ns);
	default:
		return true;
	}
}

static int run(const struct pst_cmd_ctx *ctx, int argc, char **argv)
{
	struct job job = {.files = {.timeout_ns = DEFAULT_TIMEOUT_NS,
				    .step = step,
				    .arg = (void *)ctx}};
	int opt;

	while ((opt = pst_cmd_getopt(ctx, argc, argv)) != -1)
		if (!read_opt(ctx, opt, &job))
			return PST_EXIT_USAGE;
	job.name = argv[optind];
	if (!pst_cmd_arg_model(ctx, job.name))
		return PST_EXIT_USAGE;
	job.files.in = argv[optind + 1];
	if (!job.files.out)
		return pst_cmd_usage(ctx, "needs -o OUT.npy");
	return infer(ctx, &job);
}

static const struct pst_cmd_opt opts[] = {
	{'o', "output", "OUT.npy", "where the result goes; needed"},
	{OPT_BATCH, "batch", "N",
	 "rows of one operation [as many as 8 MiB hold]"},
	{OPT_LOAD, "load", "FILE",
	 "load FILE as NAME for this command and unload it after"},
	{OPT_TIMEOUT, "timeout", "TIME", "give a batch up after TIME [10m]"},
	PST_CMD_OPT_JSON,
	{0},
};

const struct pst_cmd pst_cmd_infer = {
	.name = "infer",
	.args = "NAME IN.npy -o OUT.npy",
	.summary = "Run a loaded model on the rows of a .npy file",
	.help = "The file holds one matrix, a row for each input; - is "
		"standard input. Other\ntypes than f32 are converted to it; "
		"the result is f32.\n",
	.example = "penstock -e spawn: infer net rows.npy -o out.npy "
		   "--load net.safetensors\n",
	.opts = opts,
	.min_args = 2,
	.max_args = 2,
	.run = run,
	.print_names = pst_cmd_model_names,
};
