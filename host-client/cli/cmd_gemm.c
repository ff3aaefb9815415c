/* SPDX-License-Identifier: MIT */
/* penstock gemm: the product of two .npy files. */
#include <assert.h>
#include <getopt.h>
#include <inttypes.h>
#include <string.h>

#include "host-client/cli/cmd_open.h"
#include "host-client/cli/cmd_progress.h"
#include "host-client/cli/cmds.h"
#include "host-client/files/gemmfile.h"
#include "transport/dtype.h"

#define DEFAULT_TIMEOUT_NS (600 * PST_NS_PER_S)

enum {
	OPT_TRANSA = PST_OPT_OWN,
	OPT_TRANSB,
	OPT_ALPHA,
	OPT_BETA,
	OPT_TIMEOUT,
	OPT_VERIFY,
	OPT_BIAS,
	OPT_ACT,
	OPT_COMPUTE,
};

/* Words of options, in the order of their values. */
#define ACTS     "none|relu|gelu-tanh|gelu-erf"
#define COMPUTES "default|tf32|fast-f16"
static_assert(PST_ACT_NONE == 0 && PST_ACT_RELU == 1 &&
		      PST_ACT_GELU_TANH == 2 && PST_ACT_GELU_ERF == 3,
	      "ACTS");
static_assert(PST_COMPUTE_DEFAULT == 0 && PST_COMPUTE_TF32 == 1 &&
		      PST_COMPUTE_FAST_F16 == 2,
	      "COMPUTES");

static const char *how_name(enum pst_fileread_how how)
{
	switch (how) {
	case PST_FILEREAD_URING_DIRECT:
		return "io_uring, direct";
	case PST_FILEREAD_URING:
		return "io_uring, buffered";
	default:
		return "pread";
	}
}

/* The call's time that was not the backend's, in seconds. */
static double overhead(const struct pst_gemmfile_result *r)
{
	return r->call_ns > r->compute_ns
		       ? (double)(r->call_ns - r->compute_ns) / PST_NS_PER_S
		       : 0;
}

static json_t *result_object(const struct pst_cmd_ctx *ctx,
			     const struct pst_gemmfile *job,
			     const struct pst_gemmfile_result *r)
{
	double s = (double)r->call_ns / PST_NS_PER_S;
	bool ok = !job->verify || r->reference.verified;

	return json_pack(
		"{s:o, s:o, s:s, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:f, "
		"s:s, s:b, s:o, s:o, s:o}",
		"endpoint", pst_cmd_text(pst_cmd_endpoint(ctx)), "output",
		ok ? pst_cmd_text(job->out) : json_null(), "dtype",
		pst_dtype_name(r->dtype), "m", (json_int_t)r->m, "n",
		(json_int_t)r->n, "k", (json_int_t)r->k, "seconds", s, "gflops",
		pst_gemmfile_gflops(r), "compute_seconds",
		(double)r->compute_ns / PST_NS_PER_S, "overhead_us",
		overhead(r) * 1e6, "read_seconds",
		(double)r->read_ns / PST_NS_PER_S, "read_how", how_name(r->how),
		"zero_copy", r->zero_copy, "max_error",
		job->verify ? pst_cmd_real(r->reference.max_error)
			    : json_null(),
		"error_ratio",
		job->verify ? pst_cmd_real(r->reference.ratio) : json_null(),
		"verified",
		job->verify ? json_boolean(r->reference.verified)
			    : json_null());
}

static void print_result(const struct pst_gemmfile *job,
			 const struct pst_gemmfile_result *r)
{
	const struct pst_reference *ref = &r->reference;

	printf("product    %" PRIu64 " x %" PRIu64 " x %" PRIu64 ", %s\n", r->m,
	       r->n, r->k, pst_dtype_name(r->dtype));
	printf("time       %.6f s, %.2f GFLOP/s\n",
	       (double)r->call_ns / PST_NS_PER_S, pst_gemmfile_gflops(r));
	printf("overhead   %.1f us of it outside the backend\n",
	       overhead(r) * 1e6);
	printf("reading    %.6f s (%s)\n", (double)r->read_ns / PST_NS_PER_S,
	       how_name(r->how));
	if (!r->zero_copy)
		printf("copied     in pieces: the matrices do not fit into the "
		       "region whole\n");
	if (job->verify)
		printf("verified   %s: max error %.3g, at worst %.3g of the "
		       "bound\n",
		       ref->verified ? "yes" : "NO", ref->max_error,
		       ref->ratio);
	if (!job->verify || ref->verified)
		printf("written    %s\n", job->out);
}

static void step(void *arg, const char *what)
{
	pst_cmd_progress(arg, what);
}

static int gemm(const struct pst_cmd_ctx *ctx, const struct pst_gemmfile *job)
{
	struct pst_gemmfile_result r;
	struct pst_error err = {0};
	struct pst *c;
	int rc;

	rc = pst_cmd_open(ctx, 0, &c);
	if (rc)
		return rc;
	rc = pst_gemmfile_run(c, job, &r, &err);
	pst_cmd_progress(ctx, NULL);
	pst_close(c);
	if (rc < 0)
		return pst_cmd_fail(ctx, "%s", err.text);
	if (ctx->json)
		rc = pst_cmd_print_json(ctx, result_object(ctx, job, &r));
	else
		print_result(job, &r);
	if (job->verify && !r.reference.verified)
		return pst_cmd_fail(ctx,
				    "C(%" PRIu64 ", %" PRIu64
				    ") is not what the reference "
				    "says; %s was not written",
				    r.reference.row, r.reference.col, job->out);
	return rc;
}

/* Reads one option. False: the usage error was printed. */
static bool read_opt(const struct pst_cmd_ctx *ctx, int opt,
		     struct pst_gemmfile *job, bool *beta)
{
	switch (opt) {
	case 'o':
		return pst_cmd_arg_output(ctx, optarg, &job->out);
	case 'c':
		job->c0 = optarg;
		return true;
	case OPT_TRANSA:
		job->transa = true;
		return true;
	case OPT_TRANSB:
		job->transb = true;
		return true;
	case OPT_ALPHA:
		return pst_cmd_arg_double(ctx, "--alpha", optarg, &job->alpha);
	case OPT_BETA:
		*beta = true;
		return pst_cmd_arg_double(ctx, "--beta", optarg, &job->beta);
	case OPT_TIMEOUT:
		return pst_cmd_arg_duration(ctx, "--timeout", optarg,
					    &job->timeout_ns);
	case OPT_VERIFY:
		job->verify = true;
		return true;
	case OPT_BIAS:
		job->bias = optarg;
		return true;
	case OPT_ACT:
		return pst_cmd_arg_word(ctx, "--act", ACTS, optarg, &job->act);
	case OPT_COMPUTE:
		return pst_cmd_arg_word(ctx, "--compute", COMPUTES, optarg,
					&job->compute);
	default:
		return true;
	}
}

static int run(const struct pst_cmd_ctx *ctx, int argc, char **argv)
{
	struct pst_gemmfile job = {
		.alpha = 1,
		.beta = 1,
		.timeout_ns = DEFAULT_TIMEOUT_NS,
		.step = step,
		.arg = (void *)ctx,
	};
	bool beta = false;
	int opt;

	while ((opt = pst_cmd_getopt(ctx, argc, argv)) != -1)
		if (!read_opt(ctx, opt, &job, &beta))
			return PST_EXIT_USAGE;
	job.a = argv[optind];
	job.b = argv[optind + 1];
	if (!job.out)
		return pst_cmd_usage(ctx, "needs -o C.npy");
	if (beta && job.beta != 0 && !job.c0)
		return pst_cmd_usage(ctx, "--beta needs an input C (-c)");
	return gemm(ctx, &job);
}

static const struct pst_cmd_opt opts[] = {
	{'o', "output", "C.npy", "where the result goes; needed"},
	{'c', "input-c", "C0.npy", "a matrix that beta times is added"},
	{OPT_TRANSA, "transa", NULL, "transpose A"},
	{OPT_TRANSB, "transb", NULL, "transpose B"},
	{OPT_ALPHA, "alpha", "X", "factor of the product [1]"},
	{OPT_BETA, "beta", "X", "factor of C0 [1]"},
	{OPT_BIAS, "bias", "BIAS.npy", "1 x n, added to every row of C"},
	{OPT_ACT, "act", ACTS, "applied to each element of C at last [none]"},
	{OPT_COMPUTE, "compute", COMPUTES,
	 "of f32; tf32 and fast-f16 round its inputs [default]"},
	{OPT_TIMEOUT, "timeout", "TIME",
	 "give the product up after TIME [10m]"},
	{OPT_VERIFY, "verify", NULL,
	 "compare with a product in double precision made here;\n"
	 "a wrong one is not written and exits 1"},
	PST_CMD_OPT_JSON,
	{0},
};

const struct pst_cmd pst_cmd_gemm = {
	.name = "gemm",
	.heading = "that compute",
	.args = "A.npy B.npy -o C.npy",
	.summary = "Multiply two matrices in .npy files",
	.help = "C = act(alpha A B + beta C0 + bias). The files hold one matrix "
		"of f16, f32, f64\nor i8 each (numpy's float16, float32, "
		"float64, int8), in C or Fortran order; C0,\nthe bias and C "
		"are of the same type, i32 for i8. What does not fit into "
		"the\nregion is copied through it in pieces.\n",
	.example = "penstock -e spawn: gemm a.npy b.npy -o c.npy --verify\n",
	.opts = opts,
	.min_args = 2,
	.max_args = 2,
	.run = run,
};
