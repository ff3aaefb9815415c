/* SPDX-License-Identifier: MIT */
/* What a product whose operands lie anywhere is refused for, and how it ends
 * when its time, its agent or its thread does. */
#include "tests/fixtures/foreign_fixture.h"

START_TEST(bad_arguments_are_refused_before_anything_is_touched)
{
	static float a[100], b[100], d[200];
	struct pst_gemm_args g = {
		.size = sizeof(struct pst_gemm_args),
		.dtype = PST_F32,
		.m = 10,
		.n = 10,
		.k = 10,
		.lda = 10,
		.ldb = 10,
		.ldc = 10,
		.alpha = 1,
		.a = a,
		.b = b,
		.c = d,
	};
	uint64_t tag;

	ck_assert_int_eq(pst_gemm(c, &g, PST_HANG_NS, NULL), 0);
	ck_assert_int_eq(pst_submit_gemm(c, &g, 0, &tag), -EFAULT);
	g.lda = 9;
	ck_assert_int_eq(pst_gemm(c, &g, PST_HANG_NS, NULL), -EINVAL);
	g.lda = 10;
	g.c = a + 50;
	ck_assert_int_eq(pst_gemm(c, &g, PST_HANG_NS, NULL), -EINVAL);
	pst_last_error(c, text, sizeof(text));
	ck_assert_ptr_nonnull(strstr(text, "overlap"));
	g.c = d;
	g.dtype = 99;
	ck_assert_int_lt(pst_gemm(c, &g, PST_HANG_NS, NULL), 0);
	g.dtype = PST_F32;
	g.m = g.lda = g.ldc = UINT32_MAX;
	g.transa = 1;
	g.order = PST_COL_MAJOR;
	g.batch = UINT32_MAX;
	g.stride_a = g.stride_c = UINT64_MAX / 2;
	ck_assert_int_eq(pst_gemm(c, &g, PST_HANG_NS, NULL), -EOVERFLOW);
	ck_assert_int_eq(pst_gemm(c,
				  &(struct pst_gemm_args){
					  .size = sizeof(struct pst_gemm_args),
					  .dtype = PST_F32,
					  .m = 1,
					  .n = 1,
					  .k = 1,
					  .lda = 1,
					  .ldb = 1,
					  .ldc = 1,
					  .alpha = 1},
				  PST_HANG_NS, NULL),
			 -EFAULT);
}
END_TEST

/* It is not the caller's own: pieces of the call itself may come to lie there.
 */
START_TEST(memory_that_was_given_back_is_no_operand)
{
	static float a[100], b[100];
	struct pst_gemm_args g = {
		.size = sizeof(struct pst_gemm_args),
		.dtype = PST_F32,
		.m = 10,
		.n = 10,
		.k = 10,
		.lda = 10,
		.ldb = 10,
		.ldc = 10,
		.alpha = 1,
		.a = a,
		.b = b,
	};
	void *kept, *gone;
	uint64_t tensor;

	ck_assert_int_eq(pst_alloc(c, 4096, &kept), 0);
	ck_assert_int_eq(pst_alloc(c, 4096, &gone), 0);
	ck_assert_int_eq(pst_free(c, gone), 0);
	g.c = gone;
	ck_assert_int_eq(pst_gemm(c, &g, PST_HANG_NS, NULL), -EFAULT);
	g.c = kept;
	g.a = gone;
	ck_assert_int_eq(pst_gemm(c, &g, PST_HANG_NS, NULL), -EFAULT);
	g.a = a;
	ck_assert_int_eq(pst_gemm(c, &g, PST_HANG_NS, NULL), 0);
	ck_assert_int_eq(pst_tensor_create(c, 4096, &tensor), 0);
	ck_assert_int_eq(pst_upload(c, tensor, 0, gone, 64, PST_HANG_NS),
			 -EFAULT);
	ck_assert_int_eq(pst_download(c, gone, tensor, 0, 64, PST_HANG_NS),
			 -EFAULT);
	ck_assert_int_eq(pst_upload(c, tensor, 0, kept, 64, PST_HANG_NS), 0);
	ck_assert_int_eq(pst_tensor_destroy(c, tensor), 0);
	ck_assert_int_eq(pst_free(c, kept), 0);
}
END_TEST

/* What an operation in place is refused for, or not, goes for these as well. */
START_TEST(checks_are_those_of_operations_in_place)
{
	static float x[64], b[16], d[16];
	struct pst_gemm_args g = {
		.size = sizeof(struct pst_gemm_args),
		.dtype = PST_F32,
		.m = 4,
		.n = 4,
		.k = 4,
		.lda = 4,
		.ldb = 4,
		.ldc = 4,
		.alpha = 1,
		.a = x,
		.b = b,
		.c = d,
	};
	void *mem;

	g.a = (const uint8_t *)x + 2;
	ck_assert_int_eq(pst_gemm(c, &g, PST_HANG_NS, NULL), -EINVAL);
	pst_last_error(c, text, sizeof(text));
	ck_assert_ptr_nonnull(strstr(text, "a is not aligned"));
	/* Zero in the type of the sums: A and B are not read. */
	g.alpha = 1e-60;
	g.a = NULL;
	ck_assert_int_eq(pst_gemm(c, &g, PST_HANG_NS, NULL), 0);
	ck_assert_int_eq(pst_alloc(c, sizeof(d), &mem), 0);
	g.c = mem;
	ck_assert_int_eq(pst_gemm(c, &g, PST_HANG_NS, NULL), 0);
	ck_assert_int_eq(pst_free(c, mem), 0);
	g.a = g.c = d;
	ck_assert_int_eq(pst_gemm(c, &g, PST_HANG_NS, NULL), 0);
}
END_TEST

START_TEST(a_buffer_that_ends_early_is_found_before_c_is_touched)
{
	static float b[16 * 16], d[8 * 16 * 16];
	struct pst_gemm_args g = {
		.size = sizeof(struct pst_gemm_args),
		.dtype = PST_F32,
		.m = 16,
		.n = 16,
		.k = 16,
		.lda = 16,
		.ldb = 16,
		.ldc = 16,
		.alpha = 1,
		.b = b,
		.c = d,
		.batch = 8,
		.stride_a = 256,
		.stride_c = 256,
	};
	void *mem;

	ck_assert_int_eq(pst_alloc(c, 8 * 1024 - 64, &mem), 0);
	g.a = mem;
	ck_assert_int_eq(pst_gemm(c, &g, PST_HANG_NS, NULL), -EFAULT);
	ck_assert_int_eq(pst_c_touched(c), 0);
	ck_assert_int_eq(pst_free(c, mem), 0);
}
END_TEST

/* Such a sum is cut for its length alone. */
START_TEST(the_first_product_of_a_new_session_knows_the_limits)
{
	enum { TERMS = (1 << 20) + 64 };
	struct pst_info info = {.size = sizeof(info)};
	static int8_t a[TERMS], b[TERMS];
	int32_t d = 0;
	const struct pst_gemm_args g = {
		.size = sizeof(struct pst_gemm_args),
		.dtype = PST_I8,
		.m = 1,
		.n = 1,
		.k = TERMS,
		.lda = TERMS,
		.ldb = 1,
		.ldc = 1,
		.alpha = 1,
		.a = a,
		.b = b,
		.c = &d,
	};
	int i;

	ck_assert_int_eq(pst_get_info(c, &info), 0);
	ck_assert_uint_lt(info.max_dim, g.k);
	a[0] = b[0] = 2;
	a[TERMS - 1] = b[TERMS - 1] = 3;
	agent_kill(&agent);
	agent_start(&agent);
	for (i = 0; i < 500 && !pst_get_info(c, &info); i++)
		usleep(10000);
	ck_assert_int_eq(pst_gemm(c, &g, PST_HANG_NS, NULL), 0);
	ck_assert_int_eq(d, 13);
}
END_TEST

START_TEST(a_deadline_ends_the_call_and_c_is_left_alone_from_then_on)
{
	struct job j = {
		.g = {.dtype = PST_F64,
		      .m = 1500,
		      .n = 1500,
		      .k = 1500,
		      .alpha = 1},
	};
	uint8_t *now;

	prepare(&j, 7, 0);
	ck_assert_int_eq(pst_gemm(c, &j.g, 20 * MS, NULL), -ETIMEDOUT);
	now = malloc(j.c.size);
	memcpy(now, j.c.mem, j.c.size);
	/* All that is still on its way is over when this is. */
	ck_assert_int_eq(pst_nop(c, 30000 * MS, NULL), 0);
	ck_assert_mem_eq(now, j.c.mem, j.c.size);
	free(now);
	memcpy(j.c.mem, j.c.copy, j.c.size);
	j.g.m = j.g.n = 100;
	run(&j);
	finish(&j);
}
END_TEST

static bool is_at_work(void)
{
	bool r;

	pst_lock(c);
	r = c->queue[0].ops.n_free < PST_WIRE_SLOTS;
	pst_unlock(c);
	return r;
}

static void *kill_soon(void *arg)
{
	PST_UNTIL(is_at_work());
	usleep(50 * 1000);
	agent_kill(&agent);
	return NULL;
}

START_TEST(an_agent_that_dies_in_the_middle_ends_the_call)
{
	struct job j = {
		.g = {.dtype = PST_F64,
		      .m = 3000,
		      .n = 3000,
		      .k = 1500,
		      .alpha = 1},
	};
	pthread_t t;
	int r;

	prepare(&j, 15, 0);
	pthread_create(&t, NULL, kill_soon, NULL);
	r = pst_gemm(c, &j.g, 60000 * MS, NULL);
	ck_assert_msg(r == -ECONNRESET || r == -ESTALE, "%d", r);
	pthread_join(t, NULL);
	agent_start(&agent);
	memcpy(j.c.mem, j.c.copy, j.c.size);
	j.g.m = j.g.n = 50;
	run(&j);
	finish(&j);
}
END_TEST

struct many {
	float x;
	uint32_t n;
};

/* Thirty products with x times the unit matrix; what went wrong, or NULL. */
static void *many(void *arg)
{
	const struct many *w = arg;
	const uint32_t n = w->n;
	float *a = calloc(3, sizeof(float) * n * n);
	struct pst_gemm_args g = {
		.size = sizeof(struct pst_gemm_args),
		.dtype = PST_F32,
		.m = n,
		.n = n,
		.k = n,
		.lda = n,
		.ldb = n,
		.ldc = n,
		.alpha = 1,
		.a = a,
		.b = a + n * n,
		.c = a + 2 * n * n,
	};
	uint32_t i;
	int r, k;

	for (i = 0; i < n * n; i++)
		a[i] = 1;
	for (i = 0; i < n; i++)
		a[n * n + i * n + i] = w->x;
	for (k = 0; k < 30; k++) {
		memset(a + 2 * n * n, 0, sizeof(float) * n * n);
		r = pst_gemm(c, &g, 60000 * MS, NULL);
		if (r < 0) {
			pst_last_error(c, text, sizeof(text));
			return strdup(text);
		}
		for (i = 0; i < n * n; i++)
			if (a[2 * n * n + i] != w->x)
				return strdup("a wrong element");
	}
	free(a);
	return NULL;
}

START_TEST(threads_may_do_so_at_the_same_time)
{
	struct many w[3] = {{2, 200}, {3, 200}, {4, 200}};
	pthread_t t[3];
	void *why;
	int i;

	for (i = 0; i < 3; i++)
		pthread_create(&t[i], NULL, many, &w[i]);
	for (i = 0; i < 3; i++) {
		pthread_join(t[i], &why);
		ck_assert_msg(!why, "%s", (char *)why);
	}
}
END_TEST

/* What such a call is made of is its own: an application that polls, or has
 * operations of its own on their way, sees none of it. */
START_TEST(a_thread_that_polls_gets_nothing_of_it)
{
	struct pst_completion done[8];
	struct many w = {5, 300};
	uint64_t tag, own = 0;
	pthread_t t;
	void *why;
	int i, n, r;

	pthread_create(&t, NULL, many, &w);
	while (pthread_tryjoin_np(t, &why) != 0) {
		r = pst_submit_nop(c, 0, &tag);
		ck_assert_int_eq(r, 0);
		do {
			n = pst_poll(c, done, 8);
			for (i = 0; i < n; i++)
				ck_assert_uint_eq(done[i].tag, tag);
		} while (n == 0);
		ck_assert_int_eq(n, 1);
		own++;
	}
	ck_assert_msg(!why, "%s", (char *)why);
	ck_assert_uint_gt(own, 0);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc,
		       bad_arguments_are_refused_before_anything_is_touched);
	tcase_add_test(tc, checks_are_those_of_operations_in_place);
	tcase_add_test(tc,
		       a_buffer_that_ends_early_is_found_before_c_is_touched);
	tcase_add_test(tc, the_first_product_of_a_new_session_knows_the_limits);
	tcase_add_test(
		tc, a_deadline_ends_the_call_and_c_is_left_alone_from_then_on);
	tcase_add_test(tc, memory_that_was_given_back_is_no_operand);
	tcase_add_test(tc, an_agent_that_dies_in_the_middle_ends_the_call);
	tcase_add_test(tc, threads_may_do_so_at_the_same_time);
	tcase_add_test(tc, a_thread_that_polls_gets_nothing_of_it);
}

int main(void)
{
	return pst_unit_run("client_foreign_bad", add, 120);
}
