/* SPDX-License-Identifier: MIT */
/*
 * Square products side by side in one run: penstock (this process and an agent)
 * and plain cuBLAS in this process.
 *
 *	side_by_side [-r RUNS] [-s SECONDS] [-t TYPE] N...
 *	side_by_side -l CALLS N...
 *
 * For each N one line of JSON with medians in seconds: "penstock" (operands in
 * the region), "copy_compute_copy" (pinned buffers, one stream), and on
 * resident data "penstock_resident" and "resident"; for f32 also one operand's
 * way to the card and back, "penstock_upload" and "penstock_download" (between
 * region and tensor) beside "upload" and "download" (cudaMemcpyAsync, pinned).
 * Blocks of runs alternate, so that what slows the machine slows all; there are
 * fewer than RUNS (15) where one way would take longer than SECONDS (10).
 *
 * TYPE: f32, tf32, f16, bf16, f64. -l: the times of single calls, as p50 and
 * p99: NOPs, and products of resident data beside what this process needs for
 * launch, kernel and look.
 *
 * $PENSTOCK_ENDPOINT names the agent, which must have a cuda backend; its
 *region has to hold three matrices (bench/gpu/run sees to both). Exit: 0, 1, or
 *77 without a card.
 */
#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cublas_v2.h>
#include <cuda_runtime_api.h>

#include "bench/clock.h"
#include "bench/stats.h"
#include "host-client/penstock.h"

#define TIMEOUT_NS 120000000000ULL
#define WORKSPACE  (32U << 20)
/* Runs of one way in a row: two processes share a card by turns, and each turn
 * costs about what a small product takes. */
#define BLOCK     8
#define MAX_CALLS 100000

enum {
	PENSTOCK,
	COPIES,
	PENSTOCK_RESIDENT,
	RESIDENT,
	PENSTOCK_UPLOAD,
	UPLOAD,
	PENSTOCK_DOWNLOAD,
	DOWNLOAD,
	N_WAYS
};
static const char *const names[N_WAYS] = {
	"penstock",          "copy_compute_copy", "penstock_resident",
	"resident",          "penstock_upload",   "upload",
	"penstock_download", "download",
};

/* What the library, and what cuBLAS, calls a type. */
static const struct type {
	const char *name;
	uint32_t dtype, compute;
	cudaDataType cuda;
	cublasComputeType_t by;
	size_t size;
} types[] = {
	{"f32", PST_F32, PST_COMPUTE_DEFAULT, CUDA_R_32F, CUBLAS_COMPUTE_32F,
	 4},
	{"tf32", PST_F32, PST_COMPUTE_TF32, CUDA_R_32F,
	 CUBLAS_COMPUTE_32F_FAST_TF32, 4},
	{"f16", PST_F16, PST_COMPUTE_DEFAULT, CUDA_R_16F, CUBLAS_COMPUTE_32F,
	 2},
	{"bf16", PST_BF16, PST_COMPUTE_DEFAULT, CUDA_R_16BF, CUBLAS_COMPUTE_32F,
	 2},
	{"f64", PST_F64, PST_COMPUTE_DEFAULT, CUDA_R_64F, CUBLAS_COMPUTE_64F,
	 8},
};

struct side {
	struct pst *conn;
	cublasHandle_t blas;
	cudaStream_t stream;
	void *workspace;
	const struct type *type;
	uint32_t n;
	size_t bytes;
	void *region[3]; /* A, B, C */
	uint64_t tensor[3];
	void *pinned[3];
	void *device[3];
};

static void die(const char *what)
{
	fprintf(stderr, "side_by_side: %s failed\n", what);
	exit(1);
}

static void cuda(cudaError_t e, const char *what)
{
	if (e == cudaSuccess)
		return;
	fprintf(stderr, "side_by_side: %s\n", cudaGetErrorString(e));
	die(what);
}

static void penstock(const struct side *s, int r, const char *what)
{
	char sentence[256];

	if (r >= 0)
		return;
	pst_last_error(s->conn, sentence, sizeof(sentence));
	fprintf(stderr, "side_by_side: %s\n", sentence);
	die(what);
}

static void open_all(struct side *s)
{
	/* A driver that is not kept loaded takes seconds to begin. */
	const struct pst_options options = {.size = sizeof(options),
					    .timeout_ns = TIMEOUT_NS};
	struct pst_info info = {.size = sizeof(info)};
	char sentence[256];
	int n = 0;

	if (cudaGetDeviceCount(&n) != cudaSuccess || n == 0) {
		printf("no NVIDIA card here\n");
		exit(77);
	}
	if (pst_open(NULL, &options, &s->conn, sentence, sizeof(sentence)) <
	    0) {
		fprintf(stderr, "side_by_side: %s\n", sentence);
		exit(1);
	}
	if (pst_get_info(s->conn, &info) < 0 ||
	    strncmp(info.backend, "cuda: ", 6) != 0)
		die("finding an agent with a cuda backend");
	fprintf(stderr, "%s, driver %s, CUDA %s\n", info.backend, info.driver,
		info.cuda);
	if (cublasCreate(&s->blas) != CUBLAS_STATUS_SUCCESS)
		die("cublasCreate");
	cuda(cudaStreamCreateWithFlags(&s->stream, cudaStreamNonBlocking),
	     "a stream");
	cuda(cudaMalloc(&s->workspace, WORKSPACE), "device memory");
}

/* Eighths of small integers: all sums are exact in F32, so that whoever rounds
 * once gets the same bytes. */
static void fill(const struct type *t, void *p, size_t n)
{
	uint32_t bits;
	float f;
	size_t i;

	for (i = 0; i < n; i++) {
		f = (float)((int)(i % 13) - 6) / 8;
		memcpy(&bits, &f, sizeof(bits));
		switch (t->dtype) {
		case PST_F32:
			((float *)p)[i] = f;
			break;
		case PST_F64:
			((double *)p)[i] = f;
			break;
		case PST_BF16:
			((uint16_t *)p)[i] = (uint16_t)(bits >> 16);
			break;
		default: /* F16: another bias, none is subnormal */
			bits = f == 0 ? 0
				      : (bits >> 16 & 0x8000) |
						((bits >> 13 & 0x3ffff) -
						 (112 << 10));
			((uint16_t *)p)[i] = (uint16_t)bits;
		}
	}
}

static void take(struct side *s, uint32_t n)
{
	int x;

	s->n = n;
	s->bytes = (size_t)n * n * s->type->size;
	for (x = 0; x < 3; x++) {
		penstock(s, pst_alloc(s->conn, s->bytes, &s->region[x]),
			 "memory of the region");
		penstock(s, pst_tensor_create(s->conn, s->bytes, &s->tensor[x]),
			 "memory of the agent");
		cuda(cudaHostAlloc(&s->pinned[x], s->bytes, 0),
		     "pinned memory");
		cuda(cudaMalloc(&s->device[x], s->bytes), "device memory");
		fill(s->type, s->region[x], (size_t)n * n);
		fill(s->type, s->pinned[x], (size_t)n * n);
		penstock(s,
			 pst_upload(s->conn, s->tensor[x], 0, s->region[x],
				    s->bytes, TIMEOUT_NS),
			 "pst_upload");
		cuda(cudaMemcpyAsync(s->device[x], s->pinned[x], s->bytes,
				     cudaMemcpyHostToDevice, s->stream),
		     "a copy");
	}
	cuda(cudaStreamSynchronize(s->stream), "a copy");
}

static void give(struct side *s)
{
	int x;

	for (x = 0; x < 3; x++) {
		pst_free(s->conn, s->region[x]);
		pst_tensor_destroy(s->conn, s->tensor[x]);
		cudaFreeHost(s->pinned[x]);
		cudaFree(s->device[x]);
	}
}

static void by_penstock(const struct side *s, int resident)
{
	struct pst_gemm_args g = {
		.size = sizeof(struct pst_gemm_args),
		.dtype = s->type->dtype,
		.dtype_c = s->type->dtype,
		.compute = s->type->compute,
		.m = s->n,
		.n = s->n,
		.k = s->n,
		.lda = s->n,
		.ldb = s->n,
		.ldc = s->n,
		.alpha = 1,
		.batch = 1,
	};

	if (resident) {
		g.a_tensor = s->tensor[0];
		g.b_tensor = s->tensor[1];
		g.c_tensor = s->tensor[2];
	} else {
		g.a = s->region[0];
		g.b = s->region[1];
		g.c = s->region[2];
	}
	penstock(s, pst_gemm(s->conn, &g, TIMEOUT_NS, NULL), "pst_gemm");
}

/* Puts it on the stream. */
static cublasStatus_t start_cublas(const struct side *s, int resident)
{
	const double one64 = 1, zero64 = 0;
	const float one = 1, zero = 0;
	const int wide = s->type->by == CUBLAS_COMPUTE_64F, n = (int)s->n;
	const cudaDataType t = s->type->cuda;
	int x;

	for (x = 0; x < 2 && !resident; x++)
		cuda(cudaMemcpyAsync(s->device[x], s->pinned[x], s->bytes,
				     cudaMemcpyHostToDevice, s->stream),
		     "a copy");
	if (cublasSetStream(s->blas, s->stream) != CUBLAS_STATUS_SUCCESS ||
	    cublasSetWorkspace(s->blas, s->workspace, WORKSPACE) !=
		    CUBLAS_STATUS_SUCCESS)
		die("cublasSetWorkspace");
	return cublasGemmEx(s->blas, CUBLAS_OP_N, CUBLAS_OP_N, n, n, n,
			    wide ? (const void *)&one64 : &one, s->device[1], t,
			    n, s->device[0], t, n,
			    wide ? (const void *)&zero64 : &zero, s->device[2],
			    t, n, s->type->by, CUBLAS_GEMM_DEFAULT);
}

static void by_cublas(const struct side *s, int resident)
{
	if (start_cublas(s, resident) != CUBLAS_STATUS_SUCCESS)
		die("cublasGemmEx");
	if (!resident)
		cuda(cudaMemcpyAsync(s->pinned[2], s->device[2], s->bytes,
				     cudaMemcpyDeviceToHost, s->stream),
		     "a copy");
	cuda(cudaStreamSynchronize(s->stream), "a product");
}

/* Of A, which is the same everywhere, so that products stay what they are. */
static void copy(const struct side *s, int way)
{
	if (way == PENSTOCK_UPLOAD)
		penstock(s,
			 pst_upload(s->conn, s->tensor[0], 0, s->region[0],
				    s->bytes, TIMEOUT_NS),
			 "pst_upload");
	else if (way == PENSTOCK_DOWNLOAD)
		penstock(s,
			 pst_download(s->conn, s->region[0], s->tensor[0], 0,
				      s->bytes, TIMEOUT_NS),
			 "pst_download");
	else if (way == UPLOAD)
		cuda(cudaMemcpyAsync(s->device[0], s->pinned[0], s->bytes,
				     cudaMemcpyHostToDevice, s->stream),
		     "a copy");
	else
		cuda(cudaMemcpyAsync(s->pinned[0], s->device[0], s->bytes,
				     cudaMemcpyDeviceToHost, s->stream),
		     "a copy");
	cuda(cudaStreamSynchronize(s->stream), "a copy");
}

static double run(const struct side *s, int way)
{
	const uint64_t start = pst_bench_now_ns();

	switch (way) {
	case PENSTOCK:
		by_penstock(s, 0);
		break;
	case COPIES:
		by_cublas(s, 0);
		break;
	case PENSTOCK_RESIDENT:
		by_penstock(s, 1);
		break;
	case RESIDENT:
		by_cublas(s, 1);
		break;
	default:
		copy(s, way);
	}
	return (double)(pst_bench_now_ns() - start) / PST_BENCH_S;
}

static double gbps(const struct side *s, const double *t, int runs)
{
	return (double)s->bytes / pst_bench_median(t, (size_t)runs) / 1e9;
}

/* Runs of each way, of which the slowest takes that long. */
static int runs_in(const struct side *s, int n_ways, int runs, double seconds)
{
	double most = 1e-9, t;
	int way;

	for (way = 0; way < n_ways; way++) {
		run(s, way);
		t = run(s, way);
		if (t > most)
			most = t;
	}
	if (seconds / most >= runs)
		return runs;
	return seconds / most < 2 ? 2 : (int)(seconds / most);
}

static void print_copies(const struct side *s, double (*t)[PST_BENCH_STATS_MAX],
			 int runs)
{
	printf(",\"upload_gbps\":%.2f,\"download_gbps\":%.2f",
	       gbps(s, t[PENSTOCK_UPLOAD], runs),
	       gbps(s, t[PENSTOCK_DOWNLOAD], runs));
	printf(",\"upload/penstock_upload\":%.4f",
	       pst_bench_ratio_median(t[UPLOAD], t[PENSTOCK_UPLOAD],
				      (size_t)runs));
	printf(",\"download/penstock_download\":%.4f",
	       pst_bench_ratio_median(t[DOWNLOAD], t[PENSTOCK_DOWNLOAD],
				      (size_t)runs));
}

static void measure(struct side *s, uint32_t n, int runs, double seconds)
{
	const int n_ways = s->type == types ? N_WAYS : PENSTOCK_UPLOAD;
	double t[N_WAYS][PST_BENCH_STATS_MAX];
	int way, i, j;

	take(s, n);
	if (start_cublas(s, 0) != CUBLAS_STATUS_SUCCESS) {
		printf("{\"n\":%u,\"type\":\"%s\",\"refused\":true}\n", n,
		       s->type->name);
		give(s);
		return;
	}
	runs = runs_in(s, n_ways, runs, seconds);
	for (i = 0; i < runs; i += BLOCK) {
		for (way = 0; way < n_ways; way++) {
			/* Pays for the switch between two processes' contexts.
			 */
			run(s, way);
			for (j = i; j < runs && j < i + BLOCK; j++)
				t[way][j] = run(s, way);
		}
	}
	/* The same bytes from both, or the times mean nothing. */
	if (memcmp(s->region[2], s->pinned[2], s->bytes))
		die("agreement of both");
	printf("{\"n\":%u,\"runs\":%d", n, runs);
	for (way = 0; way < n_ways; way++)
		printf(",\"%s\":%.9f", names[way],
		       pst_bench_median(t[way], (size_t)runs));
	printf(",\"spread\":%.2f,\"added_us\":%.2f",
	       pst_bench_spread(t[PENSTOCK], (size_t)runs),
	       1e6 * (pst_bench_median(t[PENSTOCK_RESIDENT], (size_t)runs) -
		      pst_bench_median(t[RESIDENT], (size_t)runs)));
	printf(",\"copy_compute_copy/penstock\":%.4f",
	       pst_bench_ratio_median(t[COPIES], t[PENSTOCK], (size_t)runs));
	printf(",\"penstock_resident/resident\":%.4f",
	       pst_bench_ratio_median(t[PENSTOCK_RESIDENT], t[RESIDENT],
				      (size_t)runs));
	if (n_ways == N_WAYS)
		print_copies(s, t, runs);
	printf(",\"type\":\"%s\"}\n", s->type->name);
	fflush(stdout);
	give(s);
}

enum single { NOP, PRODUCT, BARE };

static double single(const struct side *s, enum single what)
{
	const uint64_t start = pst_bench_now_ns();
	cudaError_t e;

	switch (what) {
	case NOP:
		penstock(s, pst_nop(s->conn, TIMEOUT_NS, NULL), "pst_nop");
		break;
	case PRODUCT:
		by_penstock(s, 1);
		break;
	case BARE:
		if (start_cublas(s, 1) != CUBLAS_STATUS_SUCCESS)
			die("cublasGemmEx");
		while ((e = cudaStreamQuery(s->stream)) == cudaErrorNotReady)
			;
		cuda(e, "a product");
	}
	return (double)(pst_bench_now_ns() - start) / PST_BENCH_US;
}

static int less(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* In blocks, as above, of 64 calls; t is in order afterwards. */
static void singles(const struct side *s, enum single what, enum single beside,
		    double *t, double *t_beside, int calls)
{
	int i, j;

	for (i = 0; i < calls; i += 64) {
		single(s, what);
		for (j = i; j < calls && j < i + 64; j++)
			t[j] = single(s, what);
		single(s, beside);
		for (j = i; j < calls && j < i + 64; j++)
			t_beside[j] = single(s, beside);
	}
	qsort(t, (size_t)calls, sizeof(*t), less);
	qsort(t_beside, (size_t)calls, sizeof(*t), less);
}

static void latency(struct side *s, uint32_t n, int calls)
{
	double *t = calloc((size_t)calls * 2, sizeof(*t)), *bare = t + calls;
	const int p50 = calls / 2, p99 = calls * 99 / 100;

	if (!t)
		die("memory");
	take(s, n);
	singles(s, PRODUCT, BARE, t, bare, calls);
	printf("{\"latency_n\":%u,\"calls\":%d,\"p50_us\":%.2f,"
	       "\"p99_us\":%.2f,\"bare_p50_us\":%.2f,\"bare_p99_us\":%.2f,"
	       "\"added_p50_us\":%.2f",
	       n, calls, t[p50], t[p99], bare[p50], bare[p99],
	       t[p50] - bare[p50]);
	singles(s, NOP, NOP, t, bare, calls);
	printf(",\"nop_p50_us\":%.2f,\"nop_p99_us\":%.2f}\n", t[p50], t[p99]);
	fflush(stdout);
	give(s);
	free(t);
}

static int usage(void)
{
	fprintf(stderr, "usage: side_by_side [-r RUNS] [-s SECONDS] [-t TYPE] "
			"N... | -l CALLS N...\n");
	return 2;
}

int main(int argc, char **argv)
{
	struct side s = {.type = types};
	int c, i, runs = 15, calls = 0;
	double seconds = 10;

	while ((c = getopt(argc, argv, "l:r:s:t:")) != -1) {
		switch (c) {
		case 'l':
			calls = atoi(optarg);
			break;
		case 'r':
			runs = atoi(optarg);
			break;
		case 's':
			seconds = atof(optarg);
			break;
		case 't':
			for (i = 0; i < 5; i++)
				if (strcmp(types[i].name, optarg) == 0)
					break;
			if (i == 5)
				return usage();
			s.type = &types[i];
			break;
		default:
			return usage();
		}
	}
	if (runs < 1 || runs > PST_BENCH_STATS_MAX || optind == argc ||
	    calls < 0 || calls > MAX_CALLS)
		return usage();
	open_all(&s);
	for (; optind < argc; optind++) {
		if (calls)
			latency(&s, (uint32_t)atoi(argv[optind]), calls);
		else
			measure(&s, (uint32_t)atoi(argv[optind]), runs,
				seconds);
	}
	cublasDestroy(s.blas);
	cudaFree(s.workspace);
	cudaStreamDestroy(s.stream);
	pst_close(s.conn);
	return 0;
}
