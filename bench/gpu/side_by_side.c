/* SPDX-License-Identifier: MIT */
/*
 * Square products of F32 without TF32, side by side in one run: penstock (this
 * process and an agent) and plain cuBLAS in this process.
 *
 *	side_by_side [-r RUNS] N...
 *
 * For each N one line of JSON with medians in seconds: "penstock" (operands in
 * the region), "copy_compute_copy" (pinned buffers, one stream), and on
 * resident data "penstock_resident" and "resident"; then one operand's way to
 * the card and back, "penstock_upload" and "penstock_download" (between region
 * and tensor) beside "upload" and "download" (cudaMemcpyAsync, pinned memory).
 * Blocks of runs alternate, so that what slows the machine slows all.
 *"added_us" is what penstock adds to a product of resident data.
 *$PENSTOCK_ENDPOINT names the agent, which must have a cuda backend; its region
 *has to hold three matrices (bench/gpu/run sees to both). Exit: 0, 1, or 77
 *without a card.
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
#define BLOCK 8

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

struct side {
	struct pst *conn;
	cublasHandle_t blas;
	cudaStream_t stream;
	void *workspace;
	uint32_t n;
	size_t bytes;
	float *region[3]; /* A, B, C */
	uint64_t tensor[3];
	float *pinned[3];
	float *device[3];
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

static void take(struct side *s, uint32_t n)
{
	size_t i;
	int x;

	s->n = n;
	s->bytes = (size_t)n * n * sizeof(float);
	for (x = 0; x < 3; x++) {
		penstock(s,
			 pst_alloc(s->conn, s->bytes, (void **)&s->region[x]),
			 "memory of the region");
		penstock(s, pst_tensor_create(s->conn, s->bytes, &s->tensor[x]),
			 "memory of the agent");
		cuda(cudaHostAlloc((void **)&s->pinned[x], s->bytes, 0),
		     "pinned memory");
		cuda(cudaMalloc((void **)&s->device[x], s->bytes),
		     "device memory");
		for (i = 0; i < (size_t)n * n; i++)
			s->region[x][i] = s->pinned[x][i] = (float)(i % 13) - 6;
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
		.dtype = PST_F32,
		.dtype_c = PST_F32,
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

static void by_cublas(const struct side *s, int resident)
{
	const float one = 1, zero = 0;
	const int n = (int)s->n;
	int x;

	for (x = 0; x < 2 && !resident; x++)
		cuda(cudaMemcpyAsync(s->device[x], s->pinned[x], s->bytes,
				     cudaMemcpyHostToDevice, s->stream),
		     "a copy");
	if (cublasSetStream(s->blas, s->stream) != CUBLAS_STATUS_SUCCESS ||
	    cublasSetWorkspace(s->blas, s->workspace, WORKSPACE) !=
		    CUBLAS_STATUS_SUCCESS ||
	    cublasGemmEx(s->blas, CUBLAS_OP_N, CUBLAS_OP_N, n, n, n, &one,
			 s->device[1], CUDA_R_32F, n, s->device[0], CUDA_R_32F,
			 n, &zero, s->device[2], CUDA_R_32F, n,
			 CUBLAS_COMPUTE_32F,
			 CUBLAS_GEMM_DEFAULT) != CUBLAS_STATUS_SUCCESS)
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

static void measure(struct side *s, uint32_t n, int runs)
{
	double t[N_WAYS][PST_BENCH_STATS_MAX];
	int way, i, j;

	take(s, n);
	for (i = 0; i < runs; i += BLOCK) {
		for (way = 0; way < N_WAYS; way++) {
			/* Pays for the switch between two processes' contexts.
			 */
			run(s, way);
			for (j = i; j < runs && j < i + BLOCK; j++)
				t[way][j] = run(s, way);
		}
	}
	/* The same bytes from both, or the times mean nothing. */
	if (memcmp(s->region[2], s->pinned[2],
		   4096 < s->bytes ? 4096 : s->bytes))
		die("agreement of both");
	printf("{\"n\":%u,\"runs\":%d", n, runs);
	for (way = 0; way < N_WAYS; way++)
		printf(",\"%s\":%.9f", names[way],
		       pst_bench_median(t[way], (size_t)runs));
	printf(",\"added_us\":%.2f",
	       1e6 * (pst_bench_median(t[PENSTOCK_RESIDENT], (size_t)runs) -
		      pst_bench_median(t[RESIDENT], (size_t)runs)));
	printf(",\"copy_compute_copy/penstock\":%.4f",
	       pst_bench_ratio_median(t[COPIES], t[PENSTOCK], (size_t)runs));
	printf(",\"penstock_resident/resident\":%.4f",
	       pst_bench_ratio_median(t[PENSTOCK_RESIDENT], t[RESIDENT],
				      (size_t)runs));
	printf(",\"upload_gbps\":%.2f,\"download_gbps\":%.2f",
	       gbps(s, t[PENSTOCK_UPLOAD], runs),
	       gbps(s, t[PENSTOCK_DOWNLOAD], runs));
	printf(",\"upload/penstock_upload\":%.4f",
	       pst_bench_ratio_median(t[UPLOAD], t[PENSTOCK_UPLOAD],
				      (size_t)runs));
	printf(",\"download/penstock_download\":%.4f}\n",
	       pst_bench_ratio_median(t[DOWNLOAD], t[PENSTOCK_DOWNLOAD],
				      (size_t)runs));
	give(s);
}

int main(int argc, char **argv)
{
	struct side s = {.n = 0};
	int c, runs = 15;

	while ((c = getopt(argc, argv, "r:")) != -1) {
		if (c != 'r')
			return 2;
		runs = atoi(optarg);
	}
	if (runs < 1 || runs > PST_BENCH_STATS_MAX || optind == argc) {
		fprintf(stderr, "usage: side_by_side [-r RUNS] N...\n");
		return 2;
	}
	open_all(&s);
	for (; optind < argc; optind++)
		measure(&s, (uint32_t)atoi(argv[optind]), runs);
	cublasDestroy(s.blas);
	cudaFree(s.workspace);
	cudaStreamDestroy(s.stream);
	pst_close(s.conn);
	return 0;
}
