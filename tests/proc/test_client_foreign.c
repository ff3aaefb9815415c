/* SPDX-License-Identifier: MIT */
/* Products whose operands lie anywhere, through an arena that is too small for
 * them, against one in double precision. */
#include "tests/fixtures/foreign_fixture.h"

static const uint32_t types[][2] = {
	{PST_F32, PST_F32},   {PST_F64, PST_F64}, {PST_F16, PST_F16},
	{PST_BF16, PST_BF16}, {PST_F16, PST_F32}, {PST_I8, PST_I32},
};

START_TEST(small_products_of_every_type_and_place_are_right)
{
	unsigned int v;
	struct job j;

	for (v = 0; v < 64; v++) {
		j = (struct job){0};
		j.g.dtype = types[_i][0];
		j.g.dtype_c = types[_i][1];
		j.g.order = v & 1;
		j.g.transa = v & 2;
		j.g.transb = v & 4;
		j.g.m = 33;
		j.g.n = 20 + v;
		j.g.k = v % 8 == 7 ? 0 : 17;
		j.g.alpha = v % 16 == 15 ? 0 : 2;
		j.g.beta = v % 3;
		j.g.act = v & 8 ? PST_ACT_RELU : PST_ACT_NONE;
		prepare(&j, v % 31 + 1, v % 5);
		run(&j);
		finish(&j);
	}
}
END_TEST

/* A, B and C are each about as large as the arena: cut along m, n and k. */
START_TEST(products_larger_than_the_arena_are_right)
{
	unsigned int v;
	struct job j;

	for (v = 0; v < 4; v++) {
		j = (struct job){0};
		j.g.dtype = types[_i][0];
		j.g.dtype_c = types[_i][1];
		j.g.order = v & 1;
		j.g.transa = v & 2;
		j.g.transb = !(v & 1);
		j.g.m = 900;
		j.g.n = 700;
		j.g.k = 3000;
		j.g.alpha = 1;
		j.g.beta = v & 1 ? -1 : 0;
		j.g.act = v & 2 ? PST_ACT_RELU : PST_ACT_NONE;
		prepare(&j, v & 2 ? 31 : 15, v);
		run(&j);
		finish(&j);
	}
}
END_TEST

/* Whole operands in the region, computed while they come and go. */
START_TEST(products_that_fit_whole_are_right)
{
	unsigned int v;
	struct job j;

	for (v = 0; v < 16; v++) {
		j = (struct job){0};
		j.g.dtype = types[_i][0];
		j.g.dtype_c = types[_i][1];
		j.g.order = v & 1;
		j.g.transa = v & 2;
		j.g.transb = v & 4;
		j.g.m = v & 8 ? 300 : 256;
		j.g.n = 150 + v * 20;
		j.g.k = v & 1 ? 77 : 300;
		j.g.alpha = 1;
		j.g.beta = v % 3;
		prepare(&j, v % 31 + 1, v % 5);
		run(&j);
		finish(&j);
	}
}
END_TEST

START_TEST(batches_in_foreign_memory_are_right)
{
	struct job j = {
		.g = {.dtype = PST_F32,
		      .m = 30,
		      .n = 40,
		      .k = 50,
		      .batch = 40,
		      .alpha = 1,
		      .beta = 1},
	};

	prepare(&j, 31, 1);
	run(&j);
	finish(&j);
}
END_TEST

/* The step of a factorisation: the rest of a matrix less the product of two of
 * its panels, all in one array, which lies anywhere (_i) or in the region. */
START_TEST(parts_of_one_matrix_are_told_apart)
{
	enum { LD = 301, N = 300, K = 20 };
	struct pst_gemm_args g = {
		.size = sizeof(struct pst_gemm_args),
		.dtype = PST_F64,
		.order = PST_COL_MAJOR,
		.m = N - K,
		.n = N - K,
		.k = K,
		.lda = LD,
		.ldb = LD,
		.ldc = LD,
		.alpha = -1,
		.beta = 1,
	};
	struct matrix x;
	double want, *mem, *old;
	uint32_t i, j, l;

	make(&x, PST_F64, LD * N, _i == 1, 5);
	mem = (double *)x.mem;
	old = (double *)x.copy;
	g.a = mem + K;
	g.b = mem + K * LD;
	g.c = mem + K * LD + K;
	ck_assert_int_eq(pst_gemm(c, &g, 60000 * MS, NULL), 0);
	for (j = K; j < N; j++)
		for (i = K; i < N; i++) {
			want = old[j * LD + i];
			for (l = 0; l < K; l++)
				want -= old[l * LD + i] * old[j * LD + l];
			ck_assert_double_eq_tol(mem[j * LD + i], want, 1e-12);
			old[j * LD + i] = mem[j * LD + i];
		}
	ck_assert_mem_eq(mem, old, x.size);
	/* One row lower it is no longer beside. */
	g.c = mem + K * LD + K - 1;
	ck_assert_int_eq(pst_gemm(c, &g, 60000 * MS, NULL), -EINVAL);
	ck_assert_mem_eq(mem, old, x.size);
	destroy(&x);
}
END_TEST

/* Small, whole in the region, and cut: C is NaN, and not read. */
START_TEST(c_is_not_read_at_beta_0)
{
	static const uint32_t sizes[][3] = {
		{9, 8, 7}, {256, 40, 400}, {700, 600, 2000}};
	uint64_t i, n;
	struct job j;

	j = (struct job){0};
	j.g.dtype = types[_i / 3][0];
	j.g.dtype_c = types[_i / 3][1];
	j.g.m = sizes[_i % 3][0];
	j.g.n = sizes[_i % 3][1];
	j.g.k = sizes[_i % 3][2];
	j.g.alpha = 1;
	prepare(&j, 15, 0);
	n = j.c.size / pst_dtype_size(type_c(&j.g));
	for (i = 0; i < n && type_c(&j.g) != PST_I32; i++)
		put(j.c.mem, type_c(&j.g), i, NAN);
	memcpy(j.c.copy, j.c.mem, j.c.size);
	run(&j);
	finish(&j);
}
END_TEST

/* Their leading dimensions are no limit's business either. */
START_TEST(what_is_not_read_may_have_any_leading_dimension)
{
	const uint32_t far = UINT32_MAX;
	float own[4] = {1, 2, 3, 4}, a = 0;
	const struct pst_gemm_args g = {
		.size = sizeof(g),
		.dtype = PST_F32,
		.order = PST_ROW_MAJOR,
		.m = 2,
		.n = 2,
		.k = 1,
		.lda = far,
		.ldb = far,
		.ldc = 2,
		.alpha = 0,
		.beta = 2,
		.a = &a,
		.b = &a,
		.c = own,
		.batch = 1,
	};
	int i;

	i = pst_gemm(c, &g, 60000 * MS, NULL);
	pst_last_error(c, text, sizeof(text));
	ck_assert_msg(i == 0, "%d: %s", i, text);
	for (i = 0; i < 4; i++)
		ck_assert_float_eq(own[i], 2 * (float)(i + 1));
}
END_TEST

static void add(TCase *tc)
{
	const int n = (int)PST_ARRAY_SIZE(types);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(
		tc, small_products_of_every_type_and_place_are_right, 0, n);
	tcase_add_loop_test(tc, products_larger_than_the_arena_are_right, 0, n);
	tcase_add_loop_test(tc, products_that_fit_whole_are_right, 0, n);
	tcase_add_test(tc, batches_in_foreign_memory_are_right);
	tcase_add_loop_test(tc, parts_of_one_matrix_are_told_apart, 0, 2);
	tcase_add_loop_test(tc, c_is_not_read_at_beta_0, 0, 3 * n);
	tcase_add_test(tc, what_is_not_read_may_have_any_leading_dimension);
}

int main(void)
{
	return pst_unit_run("client_foreign", add, 120);
}
