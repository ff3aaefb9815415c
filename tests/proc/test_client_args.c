/* SPDX-License-Identifier: MIT */
/* What programs of older and newer headers pass, and what initialisers mean. */
#include <stddef.h>
#include <stdio.h>

#include "tests/fixtures/tensor_fixture.h"

static float *a, *b, *d;

static struct pst_gemm_args product(void)
{
	struct pst_gemm_args g = PST_GEMM_INIT;

	a = get(4096);
	b = get(4096);
	d = get(4096);
	g.dtype = PST_F32;
	g.m = g.n = g.k = 1;
	g.a = a;
	g.b = b;
	g.c = d;
	a[0] = 3;
	b[0] = 5;
	d[0] = 100;
	return g;
}

START_TEST(a_structure_without_its_size_is_refused)
{
	struct pst_gemm_args g = product();
	struct pst_copy_args copy = PST_COPY_INIT;
	struct pst_infer_args f = PST_INFER_INIT;
	struct pst_options o = PST_OPTIONS_INIT;
	struct pst_info info = PST_INFO_INIT;
	struct pst *k;

	g.size = copy.size = f.size = o.size = info.size = 0;
	fails(pst_gemm(c, &g, S, NULL), -EINVAL, "begin with PST_GEMM_INIT");
	fails(pst_submit_gemm(c, &g, 0, NULL), -EINVAL, "PST_GEMM_INIT");
	fails(pst_copy(c, &copy, S, NULL), -EINVAL, "PST_COPY_INIT");
	fails(pst_submit_copy(c, &copy, 0, NULL), -EINVAL, "PST_COPY_INIT");
	fails(pst_infer(c, &f, S, NULL), -EINVAL, "PST_INFER_INIT");
	fails(pst_submit_infer(c, &f, 0, NULL), -EINVAL, "PST_INFER_INIT");
	fails(pst_get_info(c, &info), -EINVAL, "size");
	ck_assert_int_eq(pst_open(agent.uri, &o, &k, text, sizeof(text)),
			 -EINVAL);
	ck_assert_ptr_nonnull(strstr(text, "PST_OPTIONS_INIT"));
	g.size = SIZE_MAX;
	fails(pst_gemm(c, &g, S, NULL), -EINVAL, "PST_GEMM_INIT");
}
END_TEST

START_TEST(what_an_older_header_does_not_know_counts_as_zero)
{
	struct pst_copy_args copy = PST_COPY_INIT;
	struct pst_gemm_args g = product();
	struct pst_options o = PST_OPTIONS_INIT;
	struct pst *k;

	g.size = offsetof(struct pst_gemm_args, dtype_c);
	g.dtype_c = g.compute = g.act = 77;
	ok(pst_gemm(c, &g, S, NULL));
	ck_assert(d[0] == 15);
	/* Once more, as what was checked before may be taken as it was. */
	ok(pst_gemm(c, &g, S, NULL));
	g.size = sizeof(g);
	fails(pst_gemm(c, &g, S, NULL), -EINVAL, "compute 77 is unknown");
	g.compute = 0;
	fails(pst_gemm(c, &g, S, NULL), -EINVAL, "act 77 is unknown");
	g.size = offsetof(struct pst_gemm_args, dtype_c) - 1;
	fails(pst_gemm(c, &g, S, NULL), -EINVAL, "PST_GEMM_INIT");

	copy.size = offsetof(struct pst_copy_args, src_tensor);
	copy.src = a;
	copy.dst = d;
	copy.n = sizeof(float);
	copy.src_tensor = copy.dst_off = 77;
	ok(pst_copy(c, &copy, S, NULL));
	ck_assert(d[0] == 3);

	o.size = offsetof(struct pst_options, flags);
	o.flags = UINT32_MAX;
	ck_assert_int_eq(pst_open(agent.uri, &o, &k, text, sizeof(text)), 0);
	pst_close(k);
}
END_TEST

START_TEST(what_a_newer_header_adds_has_to_be_zero)
{
	struct {
		struct pst_gemm_args g;
		uint32_t member[2];
	} newer = {.g = product()};

	newer.g.size = sizeof(newer);
	ok(pst_gemm(c, &newer.g, S, NULL));
	ok(pst_submit_gemm(c, &newer.g, 0, NULL));
	newer.member[1] = 1;
	fails(pst_gemm(c, &newer.g, S, NULL), -EINVAL, "newer penstock.h");
	fails(pst_submit_gemm(c, &newer.g, 0, NULL), -EINVAL, "newer");
}
END_TEST

START_TEST(a_leading_dimension_of_zero_is_that_of_a_packed_matrix_all)
{
	enum { M = 3, N = 4, K = 5 };
	struct pst_gemm_args g = product();
	float want[M * N];
	uint32_t i, j;

	g.m = M;
	g.n = N;
	g.k = K;
	for (i = 0; i < M * K; i++)
		a[i] = (float)(i % 7);
	for (i = 0; i < K * N; i++)
		b[i] = (float)(i % 5);
	for (i = 0; i < 8; i++) {
		g.order = i & 1;
		g.transa = i >> 1 & 1;
		g.transb = i >> 2;
		g.lda = g.transa == g.order ? K : M;
		g.ldb = g.transb == g.order ? N : K;
		g.ldc = g.order == PST_ROW_MAJOR ? N : M;
		ok(pst_gemm(c, &g, S, NULL));
		memcpy(want, d, sizeof(want));
		for (j = 0; j < 3; j++) {
			memset(d, 0x7f, sizeof(want));
			g.lda = g.ldb = g.ldc = 0;
			if (j == 2)
				ok(pst_submit_gemm(c, &g, 0, NULL));
			ok(j == 2 ? pst_nop(c, S, NULL)
				  : pst_gemm(c, &g, S, NULL));
			ck_assert_mem_eq(want, d, sizeof(want));
		}
	}
	/* In the caller's own memory. */
	g.c = want;
	ok(pst_gemm(c, &g, S, NULL));
	ck_assert_mem_eq(want, d, sizeof(want));
}
END_TEST

START_TEST(a_product_without_a_type_says_so)
{
	struct pst_gemm_args g = product();

	g.dtype = 0;
	fails(pst_gemm(c, &g, S, NULL), -EINVAL, "dtype is not set");
}
END_TEST

START_TEST(a_flag_that_this_version_does_not_have_is_refused)
{
	struct pst_options o = PST_OPTIONS_INIT;
	struct pst *k;

	o.flags = 2 * PST_OPEN_SINGLE_THREAD;
	ck_assert_int_eq(pst_open(agent.uri, &o, &k, text, sizeof(text)),
			 -EINVAL);
	ck_assert_ptr_nonnull(strstr(text, "an unknown bit"));
}
END_TEST

/* Each as far behind the one before as its caller's header has them. */
START_TEST(submissions_of_a_newer_header_are_taken_if_what_is_new_is_zero)
{
	struct {
		struct pst_submission op;
		uint64_t member;
	} newer[3];
	struct pst_completion done[3];
	int i, n = 0, r;

	for (i = 0; i < 3; i++) {
		newer[i].op = (struct pst_submission)PST_SUBMISSION_INIT;
		newer[i].op.size = sizeof(newer[i]);
		newer[i].op.op = PST_OP_NOP;
		newer[i].member = 0;
	}
	ck_assert_int_eq(pst_submit(c, &newer[0].op, 3, NULL), 3);
	while (n < 3) {
		r = pst_wait_any(c, done, 3, S);
		ck_assert_int_ge(r, 1);
		n += r;
	}
	newer[1].member = 1;
	ck_assert_int_eq(pst_submit(c, &newer[0].op, 3, NULL), 1);
	fails(pst_submit(c, &newer[1].op, 2, NULL), -EINVAL, "newer");
	newer[1].op.size = 0;
	fails(pst_submit(c, &newer[1].op, 2, NULL), -EINVAL,
	      "PST_SUBMISSION_INIT");
	newer[1].op.size = sizeof(newer[1]);
	newer[1].member = 0;
	newer[1].op.op = 8;
	fails(pst_submit(c, &newer[1].op, 1, NULL), -EINVAL,
	      "pst_submit_run()");
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_structure_without_its_size_is_refused);
	tcase_add_test(tc, what_an_older_header_does_not_know_counts_as_zero);
	tcase_add_test(tc, what_a_newer_header_adds_has_to_be_zero);
	tcase_add_test(
		tc, a_leading_dimension_of_zero_is_that_of_a_packed_matrix_all);
	tcase_add_test(tc, a_product_without_a_type_says_so);
	tcase_add_test(tc, a_flag_that_this_version_does_not_have_is_refused);
	tcase_add_test(
		tc,
		submissions_of_a_newer_header_are_taken_if_what_is_new_is_zero);
}

int main(void)
{
	return pst_unit_run("client_args", add, 120);
}
