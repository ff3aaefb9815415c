/* SPDX-License-Identifier: MIT */
/* The reference product: right results pass, every wrong one is found. */
#include <errno.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "host-client/files/reference.h"
#include "tests/fixtures/unit.h"

#define MAX 12000

static float a[MAX], b[MAX], c[MAX], c0[MAX];
static double da[MAX], db[MAX], dc[MAX];
static struct pst_reference ref;

static float next(void)
{
	static uint32_t state = 1;

	state = state * 1664525 + 1013904223;
	return (float)((state >> 8) / 16777216.0 - 0.5);
}

static void fill(float *x)
{
	size_t i;

	for (i = 0; i < MAX; i++)
		x[i] = next();
}

static size_t at(const struct pst_gemm_args *g, bool trans, size_t ld, size_t i,
		 size_t j)
{
	bool by_rows = (g->order == PST_ROW_MAJOR) != trans;

	return by_rows ? i * ld + j : j * ld + i;
}

/* The plain definition, in float, into c. */
static void multiply(const struct pst_gemm_args *g)
{
	size_t i, j, k;
	float sum;

	for (i = 0; i < g->m; i++)
		for (j = 0; j < g->n; j++) {
			for (sum = 0, k = 0; k < g->k; k++)
				sum += a[at(g, g->transa, g->lda, i, k)] *
				       b[at(g, g->transb, g->ldb, k, j)];
			sum *= (float)g->alpha;
			if (g->beta != 0)
				sum += (float)g->beta *
				       c0[at(g, false, g->ldc, i, j)];
			c[at(g, false, g->ldc, i, j)] = sum;
		}
}

static struct pst_gemm_args gemm(uint32_t m, uint32_t n, uint32_t k)
{
	return (struct pst_gemm_args){
		.size = sizeof(struct pst_gemm_args),
		.dtype = PST_F32,
		.m = m,
		.n = n,
		.k = k,
		.lda = k,
		.ldb = n,
		.ldc = n,
		.alpha = 1,
		.a = a,
		.b = b,
		.c = c,
	};
}

static bool check(const struct pst_gemm_args *g)
{
	ck_assert_int_eq(pst_reference_check(g, c0, &ref), 0);
	return ref.verified;
}

START_TEST(a_right_product_passes_in_every_layout)
{
	struct pst_gemm_args g = gemm(37, 70, 131);

	g.order = _i & 1 ? PST_COL_MAJOR : PST_ROW_MAJOR;
	g.transa = !!(_i & 2);
	g.transb = !!(_i & 4);
	g.alpha = -1.5;
	g.beta = _i & 8 ? 0.25 : 0;
	g.lda = 140;
	g.ldb = 139;
	g.ldc = 75;
	/* 131 x 75 and less fits everywhere; 131 x 140 would not. */
	g.k = 60;
	fill(a);
	fill(b);
	fill(c0);
	multiply(&g);
	ck_assert_msg(check(&g), "error %g of %g", ref.max_error, ref.bound);
	ck_assert_double_lt(ref.max_error, 1e-4);
}
END_TEST

START_TEST(one_wrong_element_is_found_and_named)
{
	struct pst_gemm_args g = gemm(40, 70, 80);

	fill(a);
	fill(b);
	multiply(&g);
	c[33 * 70 + 69] += 0.01f;
	ck_assert(!check(&g));
	ck_assert_uint_eq(ref.row, 33);
	ck_assert_uint_eq(ref.col, 69);
	ck_assert_double_gt(ref.max_error, 0.009);
	ck_assert_double_lt(ref.max_error, 0.011);
	ck_assert_double_gt(ref.ratio, 1);
}
END_TEST

START_TEST(one_product_left_out_is_found)
{
	struct pst_gemm_args g = gemm(40, 70, 80);

	fill(a);
	fill(b);
	multiply(&g);
	a[5 * 80 + 79] = 0;
	multiply(&g);
	a[5 * 80 + 79] = 0.3f;
	ck_assert(!check(&g));
	ck_assert_uint_eq(ref.row, 5);
}
END_TEST

START_TEST(a_forgotten_factor_or_transpose_is_found)
{
	struct pst_gemm_args g = gemm(20, 20, 20);

	fill(a);
	fill(b);
	fill(c0);
	multiply(&g);
	ck_assert(check(&g));
	g.alpha = 1.001;
	ck_assert(!check(&g));
	g.alpha = 1;
	g.beta = 0.001;
	ck_assert(!check(&g));
	g.beta = 0;
	g.transa = 1;
	ck_assert(!check(&g));
	g.transa = 0;
	g.transb = 1;
	ck_assert(!check(&g));
}
END_TEST

START_TEST(nan_and_infinity_must_be_where_they_belong)
{
	struct pst_gemm_args g = gemm(3, 3, 3);

	fill(a);
	fill(b);
	multiply(&g);
	c[4] = NAN;
	ck_assert(!check(&g));
	ck_assert(isnan(ref.max_error));
	ck_assert_uint_eq(ref.row, 1);
	ck_assert_uint_eq(ref.col, 1);
	c[4] = INFINITY;
	ck_assert(!check(&g));
	a[3] = NAN; /* the whole of row 1 */
	multiply(&g);
	ck_assert(check(&g));
	c[4] = 0;
	ck_assert(!check(&g));
	a[3] = INFINITY;
	multiply(&g);
	ck_assert(isinf(c[4]));
	ck_assert(check(&g));
	c[4] = -c[4];
	ck_assert(!check(&g));
	c[4] = 1;
	ck_assert(!check(&g));
}
END_TEST

START_TEST(overflow_and_underflow_of_float_are_no_errors)
{
	struct pst_gemm_args g = gemm(1, 1, 1);

	a[0] = 1e30f;
	b[0] = -1e30f;
	multiply(&g);
	ck_assert(isinf(c[0]));
	ck_assert(check(&g));
	a[0] = b[0] = 1e-30f;
	multiply(&g);
	ck_assert(c[0] == 0);
	ck_assert(check(&g));
	/* But a result that is far from overflow must not be infinite. */
	a[0] = b[0] = 1e10f;
	c[0] = INFINITY;
	ck_assert(!check(&g));
}
END_TEST

START_TEST(nothing_is_read_that_blas_does_not_read)
{
	struct pst_gemm_args g = gemm(4, 4, 4);
	size_t i;

	for (i = 0; i < MAX; i++) {
		a[i] = b[i] = c0[i] = NAN;
		c[i] = 0;
	}
	g.alpha = 0;
	g.a = g.b = NULL;
	ck_assert_int_eq(pst_reference_check(&g, NULL, &ref), 0);
	ck_assert(ref.verified);
	g.alpha = 1;
	g.k = 0;
	ck_assert_int_eq(pst_reference_check(&g, NULL, &ref), 0);
	ck_assert(ref.verified);
	c[3] = 1;
	ck_assert_int_eq(pst_reference_check(&g, NULL, &ref), 0);
	ck_assert(!ref.verified);
	g.m = 0;
	ck_assert_int_eq(pst_reference_check(&g, NULL, &ref), 0);
	ck_assert(ref.verified);
	ck_assert(ref.max_error == 0);
}
END_TEST

START_TEST(doubles_are_held_to_the_precision_of_doubles)
{
	struct pst_gemm_args g = gemm(30, 30, 30);
	size_t i, j, k;

	g.dtype = PST_F64;
	g.a = da;
	g.b = db;
	g.c = dc;
	for (i = 0; i < 900; i++) {
		da[i] = next();
		db[i] = next();
	}
	memset(dc, 0, sizeof(dc));
	for (i = 0; i < 30; i++)
		for (k = 0; k < 30; k++)
			for (j = 0; j < 30; j++)
				dc[i * 30 + j] +=
					da[i * 30 + k] * db[k * 30 + j];
	ck_assert(check(&g));
	ck_assert_double_lt(ref.max_error, 1e-14);
	dc[17] = (float)dc[17];
	ck_assert(!check(&g));
	g.dtype = 99;
	ck_assert_int_eq(pst_reference_check(&g, NULL, &ref), -EINVAL);
}
END_TEST

START_TEST(epilogues_are_part_of_what_is_checked)
{
	static float bias[MAX];
	struct pst_gemm_args g = gemm(20, 30, 40);
	size_t i, act;
	double x;

	fill(a);
	fill(b);
	fill(bias);
	g.bias = bias;
	for (act = PST_ACT_NONE; act <= PST_ACT_GELU_ERF; act++) {
		multiply(&g);
		for (i = 0; i < 600; i++) {
			x = c[i] + bias[i % 30];
			if (act == PST_ACT_RELU)
				x = x < 0 ? 0 : x;
			else if (act == PST_ACT_GELU_ERF)
				x = x * 0.5 * erfc(-x / sqrt(2));
			else if (act == PST_ACT_GELU_TANH)
				x = x / (1 + exp(-2 * sqrt(2 / M_PI) *
						 (x + 0.044715 * x * x * x)));
			c[i] = (float)x;
		}
		g.act = (uint32_t)act;
		ck_assert(check(&g));
		c[317] += 1e-3F;
		ck_assert(!check(&g));
		ck_assert(ref.row == 317 / 30 && ref.col == 317 % 30);
	}
}
END_TEST

START_TEST(integers_have_to_be_exact)
{
	static int8_t ia[600], ib[600];
	static int32_t ic[400];
	struct pst_gemm_args g = gemm(20, 20, 30);
	size_t i, j, k;

	for (i = 0; i < 600; i++) {
		ia[i] = (int8_t)(i * 37);
		ib[i] = (int8_t)(i * 91);
	}
	for (i = 0; i < 20; i++)
		for (j = 0; j < 20; j++)
			for (k = 0; k < 30; k++)
				ic[i * 20 + j] +=
					ia[i * 30 + k] * ib[k * 20 + j];
	for (i = 0; i < 400; i++)
		ic[i] = (int32_t)((uint32_t)ic[i] * 100003U);
	g.dtype = PST_I8;
	g.alpha = 100003;
	g.a = ia;
	g.b = ib;
	g.c = ic;
	ck_assert(check(&g));
	ic[5]++;
	ck_assert(!check(&g));
	ck_assert_uint_eq(ref.col, 5);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_loop_test(tc, a_right_product_passes_in_every_layout, 0, 16);
	tcase_add_test(tc, one_wrong_element_is_found_and_named);
	tcase_add_test(tc, one_product_left_out_is_found);
	tcase_add_test(tc, a_forgotten_factor_or_transpose_is_found);
	tcase_add_test(tc, nan_and_infinity_must_be_where_they_belong);
	tcase_add_test(tc, overflow_and_underflow_of_float_are_no_errors);
	tcase_add_test(tc, nothing_is_read_that_blas_does_not_read);
	tcase_add_test(tc, epilogues_are_part_of_what_is_checked);
	tcase_add_test(tc, integers_have_to_be_exact);
	tcase_add_test(tc, doubles_are_held_to_the_precision_of_doubles);
}

int main(void)
{
	return pst_unit_run("reference", add, 20);
}
