/* SPDX-License-Identifier: MIT */
/* penstock bench: measures the link, beside the machine's own limits. */
#include <errno.h>
#include <getopt.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/plot.h"
#include "host-client/cli/cmd_open.h"
#include "host-client/cli/cmd_progress.h"
#include "host-client/cli/cmds.h"
#include "host-client/files/outfile.h"
#include "transport/base/util.h"

#define DEFAULT_SECONDS 10
#define MAX_SECONDS     3600

enum {
	OPT_CSV = PST_OPT_OWN,
	OPT_PLOT,
	OPT_SECONDS,
};

/* In the order of benches[]. */
#define WHAT "latency|bandwidth|gemm|infer|run|all"

static const struct {
	const char *name;
	int (*run)(struct pst_bench *b);
} benches[] = {
	{"latency", pst_bench_latency}, {"bandwidth", pst_bench_bandwidth},
	{"gemm", pst_bench_gemm},       {"infer", pst_bench_infer},
	{"run", pst_bench_run},
};

struct job {
	const struct pst_cmd_ctx *ctx;
	uint32_t what; /* its place in WHAT */
	const char *out;
	const char *plot;
	bool csv;
	uint64_t seconds;
	char **args; /* MODEL.onnx and INPUT=@SHAPE:NUMBER */
	int n_args;
};

static void progress(void *arg, const char *text)
{
	const struct job *job = arg;

	pst_cmd_progress(job->ctx, text);
}

static int measure(const struct pst_cmd_ctx *ctx, const struct job *job,
		   struct pst_bench *b)
{
	size_t i;
	int r;

	for (i = 0; i < PST_ARRAY_SIZE(benches); i++) {
		if (job->what != i && job->what != PST_ARRAY_SIZE(benches))
			continue;
		r = benches[i].run(b);
		if (r == 0)
			continue;
		pst_cmd_fail(ctx, "%s: %s", benches[i].name, b->error);
		return pst_cmd_exit_of(r);
	}
	pst_cmd_progress(ctx, NULL);
	return PST_EXIT_OK;
}

/* The whole result, in the file that was opened before. */
static int write_json(const struct pst_cmd_ctx *ctx, const json_t *o,
		      struct pst_outfile *out)
{
	PST_CLEANUP_FREE char *text = NULL;
	struct pst_error err = {0};
	int r;

	if (o)
		text = json_dumps(o, JSON_COMPACT | JSON_ENSURE_ASCII |
					     JSON_REAL_PRECISION(9));
	if (!text)
		return pst_cmd_fail(ctx, "cannot make the JSON result");
	r = pst_outfile_write(out, text, strlen(text), &err);
	if (!r)
		r = pst_outfile_write(out, "\n", 1, &err);
	if (!r)
		r = pst_outfile_commit(out, &err);
	return r ? pst_cmd_fail(ctx, "%s", err.text) : PST_EXIT_OK;
}

static int report(const struct pst_cmd_ctx *ctx, const struct job *job,
		  const struct pst_bench *b, struct pst_outfile *out)
{
	json_t *o = pst_bench_result_json(&b->result);
	char text[PST_CMD_TEXT] = "";
	int rc = PST_EXIT_OK, r;

	if (job->csv)
		pst_bench_result_print_csv(&b->result, stdout);
	else if (!ctx->json)
		pst_bench_result_print(&b->result, stdout);
	if (job->out)
		rc = write_json(ctx, o, out);
	if (ctx->json && !rc)
		rc = pst_cmd_print_json(ctx, o);
	else
		json_decref(o);
	if (!job->plot)
		return rc;
	r = pst_bench_plot(&b->result, job->plot, text, sizeof(text));
	/* The scripts are there, and this says how to go on. */
	if (r == -ENOENT && text[0])
		fprintf(stderr, "%s: %s\n", ctx->path, text);
	else if (r < 0)
		rc = pst_cmd_fail(ctx, "%s", text[0] ? text : pst_strerror(r));
	return rc;
}

/* Opens the output first, so that a wrong name fails at once and not after
 * minutes. */
static int open_outputs(const struct pst_cmd_ctx *ctx, const struct job *job,
			struct pst_outfile *out)
{
	struct pst_error err = {0};
	struct stat st;

	if (job->plot && (stat(job->plot, &st) < 0 || !S_ISDIR(st.st_mode) ||
			  access(job->plot, W_OK | X_OK) < 0))
		return pst_cmd_fail(ctx,
				    "--plot: %s is no folder to write to, "
				    "which has to be there",
				    job->plot);
	if (job->out && pst_outfile_open(job->out, out, &err) < 0)
		return pst_cmd_fail(ctx, "--output: %s", err.text);
	return PST_EXIT_OK;
}

/* For the exit codes and sentences that all commands have. A private agent is
 * not started twice for that: its sentences are the same. */
static int try_endpoint(const struct pst_cmd_ctx *ctx)
{
	const char *endpoint = pst_cmd_endpoint(ctx);
	struct pst *c;
	int r;

	if (endpoint && strncmp(endpoint, "spawn:", 6) == 0)
		return PST_EXIT_OK;
	r = pst_cmd_open(ctx, PST_OPEN_CONTROL_ONLY, &c);
	if (!r)
		pst_close(c);
	return r;
}

static int bench(const struct pst_cmd_ctx *ctx, struct job *job)
{
	struct pst_outfile out = {.fd = -1};
	struct pst_bench b = {
		.endpoint = pst_cmd_endpoint(ctx),
		.budget_ns = job->seconds * PST_NS_PER_S,
		.progress = progress,
		.arg = job,
	};
	int rc, r;

	if (job->n_args) {
		b.model = job->args[0];
		b.inputs = (const char *const *)job->args + 1;
		b.n_inputs = (unsigned int)job->n_args - 1;
	}

	rc = try_endpoint(ctx);
	if (!rc)
		rc = open_outputs(ctx, job, &out);
	if (rc)
		return rc;
	r = pst_bench_open(&b);
	if (r < 0) {
		pst_cmd_fail(ctx, "%s", b.error);
		rc = r == -EINVAL ? PST_EXIT_USAGE : pst_cmd_exit_of(r);
	} else {
		rc = measure(ctx, job, &b);
	}
	if (!rc)
		rc = report(ctx, job, &b, &out);
	pst_outfile_abandon(&out);
	pst_bench_close(&b);
	return rc;
}

static int run(const struct pst_cmd_ctx *ctx, int argc, char **argv)
{
	struct job job = {.ctx = ctx, .seconds = DEFAULT_SECONDS};
	int opt;

	while ((opt = pst_cmd_getopt(ctx, argc, argv)) != -1) {
		if (opt == 'o' && !pst_cmd_arg_output(ctx, optarg, &job.out))
			return PST_EXIT_USAGE;
		if (opt == OPT_CSV)
			job.csv = true;
		else if (opt == OPT_PLOT)
			job.plot = optarg;
		else if (opt == OPT_SECONDS &&
			 !pst_cmd_arg_u64(ctx, "--seconds", optarg, 1,
					  MAX_SECONDS, &job.seconds))
			return PST_EXIT_USAGE;
	}
	if (!pst_cmd_arg_word(ctx, "the benchmark", WHAT, argv[optind],
			      &job.what))
		return PST_EXIT_USAGE;
	job.args = argv + optind + 1;
	job.n_args = argc - optind - 1;
	if (job.n_args && strcmp(argv[optind], "run") != 0)
		return pst_cmd_usage(ctx, "unexpected argument '%.80s'",
				     job.args[0]);
	if (job.csv && ctx->json)
		return pst_cmd_usage(ctx,
				     "--csv and --json exclude each other");
	return bench(ctx, &job);
}

static const struct pst_cmd_opt opts[] = {
	{'o', "output", "FILE", "write all results to FILE as one JSON object"},
	PST_CMD_OPT_JSON,
	{OPT_CSV, "csv", NULL, "print CSV instead of a table"},
	{OPT_PLOT, "plot", "DIR",
	 "write plots to the folder DIR: gnuplot scripts, and\n"
	 "SVGs made of them"},
	{OPT_SECONDS, "seconds", "N",
	 "time to measure, for each benchmark [10]"},
	{0},
};

const struct pst_cmd pst_cmd_bench = {
	.name = "bench",
	.args = WHAT " [MODEL.onnx [INPUT=@SHAPE:NUMBER]...]",
	.summary = "Measure the link beside what the machine could do",
	.help = "Round trips, bandwidth of the region, matrix products and a small "
		"network,\neach at least five times, in turn with what the "
		"machine itself takes for the\nsame: see penstock-bench(1).\n",
	.example = "penstock -e spawn: bench latency --seconds 1\n",
	.opts = opts,
	.min_args = 1,
	.max_args = PST_CMD_ANY,
	.run = run,
};
