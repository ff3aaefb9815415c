/* SPDX-License-Identifier: MIT */
/* kernels.cu itself, compiled for the CPU, against double precision: each
 * operand ends where a page begins that nobody may touch, and each byte between
 * the results' lines stays. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/fakecuda/emu.h"
#include "tests/fakecuda/fakecuda.h"
#include "tests/fakecuda/kernels.h"
#include "tests/fakecuda/number.h"
#include "tests/fixtures/unit.h"
#include "transport/base/util.h"
#include "transport/op.h"

#define PAGE 4096U
#define EPS  ldexp(1, -24)
#define ROOM (32U << 20)

static uint64_t rng = 88172645463325252ULL;
static cudaStream_t stream;
static unsigned int n_cases;

static double noise(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (double)(int64_t)rng / 9.3e18;
}

/* Memory of an operand. */
struct part {
	uint8_t *map, *p, *before;
	uint64_t n; /* bytes */
	enum pst_wire_dtype t;
};

/* n elements, of noise; at the end of a page, or at its begin. */
static struct part take(enum pst_wire_dtype t, uint64_t n, bool at_end)
{
	struct part x = {.n = n * pst_dtype_size(t), .t = t};
	const uint64_t inside = pst_round_up(x.n ? x.n : 1, PAGE);
	uint64_t i;

	ck_assert_uint_le(inside, ROOM);
	x.map = mmap(NULL, inside + 2 * PAGE, PROT_NONE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(x.map, MAP_FAILED);
	ck_assert_int_eq(mprotect(x.map + PAGE, inside, PROT_READ | PROT_WRITE),
			 0);
	x.p = x.map + PAGE + (at_end ? inside - x.n : 0);
	for (i = 0; i < n; i++)
		number_set(x.p, t, i,
			   t == PST_WIRE_I8 || t == PST_WIRE_I32
				   ? nearbyint(127 * noise())
				   : 3 * noise());
	x.before = malloc(x.n + 1);
	memcpy(x.before, x.p, x.n);
	return x;
}

static void give(struct part *x)
{
	if (!x->map)
		return;
	munmap(x->map, pst_round_up(x->n ? x->n : 1, PAGE) + 2 * PAGE);
	free(x->before);
}

static void run(cudaError_t e)
{
	ck_assert_int_eq(e, cudaSuccess);
	ck_assert_int_eq(cudaStreamSynchronize(stream), cudaSuccess);
	n_cases++;
}

static double unit_of(enum pst_wire_dtype t)
{
	switch (t) {
	case PST_WIRE_F64:
		return ldexp(1, -53);
	case PST_WIRE_F16:
		return ldexp(1, -11);
	case PST_WIRE_BF16:
		return ldexp(1, -8);
	default:
		return EPS;
	}
}

struct shape {
	uint64_t rows, cols, batch, pad;
	bool in_place;
};

static uint64_t elems(const struct shape *s, uint64_t pad)
{
	return s->rows && s->cols ? s->batch * (s->rows + pad) * s->cols - pad
				  : 0;
}

/* What one element should be; *bound: how far off it may be. */
static double finished(const struct pst_cuda_k_finish *f,
		       const struct part *src, const struct part *bias,
		       uint64_t from, uint64_t at, double *bound)
{
	const double eps = f->dst_dtype == PST_WIRE_F64 ? ldexp(1, -53) : EPS;
	double x = 0, y, size = 0;

	if (f->scale != 0) {
		x = f->scale * number_get(src->before, src->t, from);
		size = fabs(x);
	}
	if (f->bias) {
		y = number_get(bias->before, bias->t, at);
		x += y;
		size += fabs(y);
	}
	if (f->dst_dtype == PST_WIRE_I32)
		x = (int32_t)(uint32_t)(int64_t)x;
	y = number_act(x, f->act);
	*bound = f->dst_dtype == PST_WIRE_I32
			 ? 0
			 : 4 * eps * size + fabs(y) * unit_of(f->dst_dtype) +
				   (f->act > PST_WIRE_ACT_RELU
					    ? 8 * eps * (1 + fabs(x))
					    : 0) +
				   (f->dst_dtype == PST_WIRE_F16 ? ldexp(1, -25)
								 : 0);
	return y;
}

static void check_finish(const struct pst_cuda_k_finish *f,
			 const struct part *dst, const struct part *src,
			 const struct part *bias)
{
	const unsigned int e = pst_dtype_size((uint32_t)f->dst_dtype);
	PST_CLEANUP_FREE uint8_t *want = malloc(dst->n + 1);
	uint64_t b, c, r, at;
	double bound, x, y;

	memcpy(want, dst->before, dst->n);
	for (b = 0; b < f->batch; b++) {
		for (c = 0; c < f->cols; c++) {
			for (r = 0; r < f->rows; r++) {
				at = b * f->stride_dst + c * f->ld_dst + r;
				x = finished(f, src, bias,
					     b * f->stride_src + c * f->ld_src +
						     r,
					     f->bias_of_rows ? r : c, &bound);
				y = number_get(dst->p, dst->t, at);
				if (!(fabs(x - y) <= bound))
					ck_abort_msg("case %u: %g, not %g",
						     n_cases, y, x);
				memcpy(want + at * e, dst->p + at * e, e);
			}
		}
	}
	ck_assert_msg(memcmp(want, dst->p, dst->n) == 0,
		      "case %u: a byte outside the result", n_cases);
}

static void try_finish(int dst_dtype, int src_dtype, int act, int bias_kind,
		       double scale, const struct shape *s, bool at_end)
{
	const bool in_place = s->in_place && dst_dtype == src_dtype;
	struct part dst =
		take((enum pst_wire_dtype)dst_dtype, elems(s, s->pad), at_end);
	struct part src = {0}, bias = {0};
	struct pst_cuda_k_finish f = {
		.dst = dst.p,
		.dst_dtype = dst_dtype,
		.src_dtype = src_dtype,
		.act = act,
		.bias_of_rows = bias_kind == 1,
		.rows = s->rows,
		.cols = s->cols,
		.batch = s->batch,
		.ld_dst = s->rows + s->pad,
		.ld_src = in_place ? s->rows + s->pad : s->rows,
		.scale = scale,
	};

	f.stride_dst = f.ld_dst * s->cols;
	f.stride_src = f.ld_src * s->cols;
	if (in_place && scale != 0)
		f.src = dst.p;
	else if (scale != 0) {
		src = take((enum pst_wire_dtype)src_dtype, elems(s, 0), at_end);
		f.src = src.p;
	}
	if (bias_kind) {
		bias = take((enum pst_wire_dtype)dst_dtype,
			    bias_kind == 1 ? s->rows : s->cols, at_end);
		f.bias = bias.p;
	}
	run(fakecuda_k_finish(stream, &f));
	check_finish(&f, &dst, in_place ? &dst : &src, &bias);
	give(&dst);
	give(&src);
	give(&bias);
}

static void open_order(int order)
{
	const struct fakecuda_config c = fakecuda_default();

	fakecuda_reset(&c);
	fakecuda_set_order(order);
	n_cases = 0;
	ck_assert_int_eq(
		cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking),
		cudaSuccess);
}

static void close_order(void)
{
	cudaStreamDestroy(stream);
	fakecuda_streams_join();
	ck_assert_msg(fakecuda_problems() == 0, "%s", fakecuda_problem());
}

static const struct shape shapes[] = {
	{1, 1, 1, 0, false},
	{17, 5, 1, 3, true},
	{3, 40, 4, 0, false},
	{33, 9, 3, 1, true},
};

/* 13 pairs of types and integers, activations, biases and scales. */
START_TEST(a_finish_is_right_to_its_rounding)
{
	static const int types[] = {PST_WIRE_F64, PST_WIRE_F32, PST_WIRE_F16,
				    PST_WIRE_BF16, PST_WIRE_I32};
	static const double scales[] = {1, 0, -2};
	unsigned int d, s, act, bias, k, i;
	bool ints, ok;

	open_order(_i);
	for (d = 0; d < 5; d++) {
		for (s = 0; s < 5; s++) {
			ints = types[d] == PST_WIRE_I32;
			ok = ints || types[d] == PST_WIRE_F64
				     ? d == s
				     : types[s] != PST_WIRE_I32;
			for (act = 0; ok && act < (ints ? 2 : 4); act++)
				for (bias = 0; bias < 3; bias++)
					for (k = 0; k < 3; k++)
						for (i = 0; i < 4; i++)
							try_finish(types[d],
								   types[s],
								   (int)act,
								   (int)bias,
								   scales[k],
								   &shapes[i],
								   (act + k) %
									   2);
		}
	}
	ck_assert_uint_eq(n_cases, 13 * 4 * 3 * 3 * 4 + 2 * 3 * 3 * 4);
	close_order();
}
END_TEST

static void try_i8(unsigned int v, uint64_t m, uint64_t n, uint64_t k,
		   int32_t alpha, int32_t beta, uint64_t batch)
{
	struct pst_cuda_k_gemm_i8 g = {
		.transa = v & 1,
		.transb = v >> 1 & 1,
		.m = m,
		.n = n,
		.k = k,
		.batch = batch,
		.alpha = alpha,
		.beta = beta,
	};
	const bool shared = v & 4;
	struct part a, b, c;
	uint64_t z, i, j, l, at;
	uint32_t sum;

	g.lda = (g.transa ? k : m) + 1;
	g.ldb = (g.transb ? n : k) + 2;
	g.ldc = m + 3;
	g.stride_a = shared ? 0 : g.lda * (g.transa ? m : k);
	g.stride_b = g.ldb * (g.transb ? k : n);
	g.stride_c = g.ldc * n;
	a = take(PST_WIRE_I8,
		 g.lda * (g.transa ? m : k) * (shared ? 1 : batch) - 1, true);
	b = take(PST_WIRE_I8, g.stride_b * batch - 2, true);
	c = take(PST_WIRE_I32, g.stride_c * batch - 3, v & 1);
	g.a = (int8_t *)a.p;
	g.b = (int8_t *)b.p;
	g.c = (int32_t *)(void *)c.p;
	run(fakecuda_k_gemm_i8(stream, &g));
	for (z = 0; z < batch; z++) {
		for (j = 0; j < n; j++) {
			for (i = 0; i < m; i++) {
				sum = 0;
				for (l = 0; l < k; l++)
					sum += (uint32_t)(g.a[z * g.stride_a +
							      (g.transa
								       ? i * g.lda +
										 l
								       : l * g.lda +
										 i)] *
							  g.b[z * g.stride_b +
							      (g.transb
								       ? l * g.ldb +
										 j
								       : j * g.ldb +
										 l)]);
				at = z * g.stride_c + j * g.ldc + i;
				sum *= (uint32_t)alpha;
				sum += (uint32_t)beta *
				       ((uint32_t *)(void *)c.before)[at];
				((uint32_t *)(void *)c.before)[at] = sum;
			}
		}
	}
	ck_assert_msg(memcmp(c.before, c.p, c.n) == 0, "case %u", n_cases);
	give(&a);
	give(&b);
	give(&c);
}

/* Odd sizes, one A for all, alpha and beta that wrap. */
START_TEST(sums_of_integers_are_exact)
{
	static const uint64_t sizes[][3] = {{1, 1, 1},
					    {16, 16, 16},
					    {17, 15, 33},
					    {31, 1, 100},
					    {5, 40, 7}};
	static const int32_t scales[][2] = {
		{1, 0}, {-3, 2}, {INT32_MAX, INT32_MIN}};
	unsigned int v, i, k;

	open_order(_i);
	for (v = 0; v < 8; v++)
		for (i = 0; i < PST_ARRAY_SIZE(sizes); i++)
			for (k = 0; k < 3; k++)
				try_i8(v, sizes[i][0], sizes[i][1], sizes[i][2],
				       scales[k][0], scales[k][1], 1 + v % 3);
	ck_assert_uint_eq(n_cases, 8 * 5 * 3);
	close_order();
}
END_TEST

/* A matrix of 5 x 7 in one of 8 x 9, in batches, as I8 and as F32; then sums
 * back into lines between which nothing is written. */
START_TEST(integers_are_spread_and_gathered)
{
	const struct {
		enum pst_wire_dtype wide, sum;
	} types[] = {{PST_WIRE_I8, PST_WIRE_I32}, {PST_WIRE_F32, PST_WIRE_F32}};
	const enum pst_wire_dtype wide = types[_i % 2].wide;
	const enum pst_wire_dtype sum = types[_i % 2].sum;
	struct part src = take(PST_WIRE_I8, 3 * 50 - 8, true);
	struct part dst = take(wide, 3 * 8 * 9ULL, _i / 2 % 2);
	struct part from = take(sum, 3 * 40, true);
	struct part c = take(PST_WIRE_I32, 3 * 60 - 19, _i / 2 % 2);
	struct part bias = take(PST_WIRE_I32, _i / 4 ? 5 : 7, true);
	const struct pst_cuda_k_spread s = {
		.dst = dst.p,
		.src = (int8_t *)src.p,
		.dst_dtype = (int)wide,
		.rows = 5,
		.cols = 7,
		.dst_rows = 8,
		.dst_cols = 9,
		.batch = 3,
		.ld_src = 6,
		.stride_src = 50,
	};
	const struct pst_cuda_k_gather g = {
		.dst = (int32_t *)(void *)c.p,
		.src = from.p,
		.bias = (int32_t *)(void *)bias.p,
		.src_dtype = (int)sum,
		.act = PST_WIRE_ACT_RELU,
		.bias_of_rows = _i / 4,
		.rows = 5,
		.cols = 7,
		.batch = 3,
		.ld_dst = 6,
		.ld_src = 5,
		.stride_dst = 60,
		.stride_src = 40,
		.alpha = INT32_MAX - 5,
		.beta = _i / 2 % 2 ? -7 : 0,
	};
	uint64_t z, i, j, at;
	uint32_t x;
	double v;

	open_order(0);
	if (sum == PST_WIRE_F32)
		for (i = 0; i < 120; i++)
			number_set(from.p, sum, i,
				   i % 2 ? -16777216 : 16777215);
	memcpy(from.before, from.p, from.n);
	run(fakecuda_k_spread(stream, &s));
	run(fakecuda_k_gather(stream, &g));
	for (z = 0; z < 3; z++) {
		for (i = 0; i < 72; i++) {
			v = i % 8 < 5 && i / 8 < 7
				    ? number_get(src.p, PST_WIRE_I8,
						 z * 50 + i / 8 * 6 + i % 8)
				    : 0;
			ck_assert(number_get(dst.p, wide, z * 72 + i) == v);
		}
		for (j = 0; j < 7; j++) {
			for (i = 0; i < 5; i++) {
				at = z * 60 + j * 6 + i;
				v = number_get(from.p, sum, z * 40 + j * 5 + i);
				x = (uint32_t)g.alpha * (uint32_t)(int32_t)v;
				x += (uint32_t)g.beta *
				     ((uint32_t *)(void *)c.before)[at];
				x += ((uint32_t *)(void *)
					      bias.p)[g.bias_of_rows ? i : j];
				((int32_t *)(void *)c.before)[at] =
					(int32_t)x < 0 ? 0 : (int32_t)x;
			}
		}
	}
	ck_assert_int_eq(memcmp(c.before, c.p, c.n), 0);
	give(&src);
	give(&dst);
	give(&from);
	give(&c);
	give(&bias);
	close_order();
}
END_TEST

static double unary(enum pst_cuda_k_unary f, double x)
{
	switch (f) {
	case PST_CUDA_K_RELU:
		return number_act(x, PST_WIRE_ACT_RELU);
	case PST_CUDA_K_GELU_ERF:
		return number_act(x, PST_WIRE_ACT_GELU_ERF);
	case PST_CUDA_K_GELU_TANH:
		return number_act(x, PST_WIRE_ACT_GELU_TANH);
	case PST_CUDA_K_SILU:
		return x / (1 + exp(-x));
	case PST_CUDA_K_TANH:
		return tanh(x);
	default:
		return 1 / (1 + exp(-x));
	}
}

static void close_to(const struct part *y, uint64_t i, double want,
		     double bound)
{
	const double got = number_get(y->p, PST_WIRE_F32, i);

	if (!(fabs(got - want) <= bound))
		ck_abort_msg("case %u, element %u: %g, not %g", n_cases,
			     (unsigned int)i, got, want);
}

/* One row; x has been copied by take(). */
static void check_row(const struct part *y, const struct part *x,
		      const struct part *w, uint64_t row, uint64_t n,
		      bool softmax)
{
	double top = -INFINITY, sum = 0, var = 0, v;
	uint64_t i;

	for (i = 0; i < n; i++) {
		v = number_get(x->before, PST_WIRE_F32, row * n + i);
		top = fmax(top, v);
		sum += softmax ? 0 : v / (double)n;
	}
	for (i = 0; i < n; i++) {
		v = number_get(x->before, PST_WIRE_F32, row * n + i);
		if (softmax)
			sum += exp(v - top);
		else
			var += (v - sum) * (v - sum) / (double)n;
	}
	for (i = 0; i < n; i++) {
		v = number_get(x->before, PST_WIRE_F32, row * n + i);
		if (softmax) {
			close_to(y, row * n + i, exp(v - top) / sum,
				 32 * EPS * exp(v - top) / sum);
			continue;
		}
		v = (v - sum) / sqrt(var + 1e-5);
		if (w)
			v = v * number_get(w->before, PST_WIRE_F32, i) +
			    number_get(w->before, PST_WIRE_F32, i);
		close_to(y, row * n + i, v, 64 * EPS * (4 + fabs(v)));
	}
}

static void try_rows(uint64_t rows, uint64_t n)
{
	struct part x = take(PST_WIRE_F32, rows * n, true);
	struct part y = take(PST_WIRE_F32, rows * n, false);
	struct part w = take(PST_WIRE_F32, n, true);
	float *in = (float *)(void *)x.p, *out = (float *)(void *)y.p;
	float *par = (float *)(void *)w.p;
	uint64_t i;

	run(fakecuda_k_softmax(stream, out, in, rows, n));
	for (i = 0; i < rows; i++)
		check_row(&y, &x, NULL, i, n, true);
	run(fakecuda_k_layernorm(stream, out, in, par, par, 1e-5, rows, n));
	for (i = 0; i < rows; i++)
		check_row(&y, &x, &w, i, n, false);
	/* In place. */
	run(fakecuda_k_layernorm(stream, in, in, NULL, NULL, 1e-5, rows, n));
	memcpy(y.p, x.p, x.n);
	for (i = 0; i < rows; i++)
		check_row(&y, &x, NULL, i, n, false);
	give(&x);
	give(&y);
	give(&w);
}

static void try_elements(uint64_t n)
{
	struct part x = take(PST_WIRE_F32, n, true);
	struct part z = take(PST_WIRE_F32, n, true);
	struct part y = take(PST_WIRE_F32, n, true);
	float *out = (float *)(void *)y.p;
	enum pst_cuda_k_unary f;
	uint64_t i;
	double v;

	for (f = PST_CUDA_K_RELU; f <= PST_CUDA_K_SIGMOID; f++) {
		run(fakecuda_k_unary(stream, f, out, (float *)(void *)x.p, n));
		for (i = 0; i < n; i++) {
			v = number_get(x.p, PST_WIRE_F32, i);
			close_to(&y, i, unary(f, v),
				 16 * EPS * (1 + fabs(unary(f, v))));
		}
	}
	run(fakecuda_k_add(stream, out, (float *)(void *)x.p,
			   (float *)(void *)z.p, n));
	for (i = 0; i < n; i++) {
		v = number_get(x.p, PST_WIRE_F32, i) +
		    number_get(z.p, PST_WIRE_F32, i);
		close_to(&y, i, v, EPS * fabs(v));
	}
	give(&x);
	give(&y);
	give(&z);
}

START_TEST(layers_are_right_to_their_rounding)
{
	static const uint64_t sizes[] = {1,   2,   3,   31,  32,  255,
					 256, 257, 300, 511, 1000};
	unsigned int i;

	open_order(_i);
	for (i = 0; i < PST_ARRAY_SIZE(sizes); i++) {
		try_rows(1 + i % 3, sizes[i]);
		try_elements(sizes[i]);
	}
	close_order();
}
END_TEST

/* More blocks, columns or products than one side of a grid has. */
START_TEST(what_exceeds_a_grid_goes_round)
{
	open_order(0);
	try_i8(0, 1, 3, 2, 1, 0, 70001);
	try_i8(2, 1, 1048581, 1, 1, 0, 1);
	close_order();
}
END_TEST

static void barrier_of_some(const void *arg)
{
	(void)arg;
	if (fakecuda_place()->thread.x)
		fakecuda_barrier();
}

static void barrier_of_all(const void *arg)
{
	(void)arg;
	fakecuda_barrier();
}

START_TEST(a_barrier_that_some_miss_and_a_grid_too_large_are_problems)
{
	const dim3 one = {1, 1, 1}, block = {64, 1, 1}, tall = {1, 65536, 1};

	open_order(0);
	fakecuda_launch(stream, one, block, NULL, barrier_of_all, "", 1);
	ck_assert_int_eq(cudaStreamSynchronize(stream), cudaSuccess);
	ck_assert_uint_eq(fakecuda_problems(), 0);
	fakecuda_launch(stream, tall, block, NULL, barrier_of_all, "", 1);
	ck_assert_int_eq(cudaGetLastError(), cudaErrorInvalidConfiguration);
	ck_assert_uint_eq(fakecuda_problems(), 1);
	fakecuda_launch(stream, one, block, NULL, barrier_of_some, "", 1);
	cudaStreamSynchronize(stream);
	ck_assert_uint_gt(fakecuda_problems(), 1);
	cudaStreamDestroy(stream);
}
END_TEST

static void add_tests(TCase *tc)
{
	/* Three orders of a block's threads. */
	tcase_add_loop_test(tc, a_finish_is_right_to_its_rounding, 0, 3);
	tcase_add_loop_test(tc, sums_of_integers_are_exact, 0, 3);
	tcase_add_loop_test(tc, integers_are_spread_and_gathered, 0, 8);
	tcase_add_loop_test(tc, layers_are_right_to_their_rounding, 0, 3);
	tcase_add_test(tc, what_exceeds_a_grid_goes_round);
	tcase_add_test(
		tc, a_barrier_that_some_miss_and_a_grid_too_large_are_problems);
}

int main(void)
{
	return pst_unit_run("cuda kernels", add_tests, 120);
}
