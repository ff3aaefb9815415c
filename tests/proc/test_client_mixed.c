/* SPDX-License-Identifier: MIT */
/* Products of resident tensors and operands that lie in any memory, through an
 * arena that is too small for them. */
#include <math.h>
#include <stdlib.h>

#include "host-client/lib/ops/staging.h"
#include "tests/fixtures/tensor_fixture.h"

#define TIMEOUT (60 * S)

enum { A, B, C, BIAS, N_OPERANDS };

static double *mem[N_OPERANDS], *was_c;
static uint64_t size[N_OPERANDS];
static struct pst_gemm_args g;

static void setup_small(void)
{
	agent_open(&agent, 8 * MIB); /* 4 MiB of arena */
	open_conn(&c);
}

/* Operands packed, in private memory. */
static void prepare(uint32_t m, uint32_t n, uint32_t k, unsigned int v)
{
	uint64_t i;
	int x;

	g = (struct pst_gemm_args){
		.size = sizeof(struct pst_gemm_args),
		.dtype = PST_F64,
		.order = v & 1,
		.transa = v >> 1 & 1,
		.transb = v >> 2 & 1,
		.m = m,
		.n = n,
		.k = k,
		.alpha = 2,
		.beta = v & 1 ? -1 : 0,
		.act = v & 2 ? PST_ACT_RELU : PST_ACT_NONE,
	};
	g.lda = g.order != g.transa ? m : k;
	g.ldb = g.order != g.transb ? k : n;
	g.ldc = g.order ? m : n;
	size[A] = sizeof(double) * m * k;
	size[B] = sizeof(double) * k * n;
	size[C] = sizeof(double) * m * n;
	size[BIAS] = sizeof(double) * n;
	for (x = 0; x < N_OPERANDS; x++) {
		mem[x] = malloc(size[x]);
		for (i = 0; i < size[x] / sizeof(double); i++)
			mem[x][i] = sin((double)(i * 7 + (unsigned int)x));
	}
	was_c = malloc(size[C]);
	memcpy(was_c, mem[C], size[C]);
	g.a = mem[A];
	g.b = mem[B];
	g.c = mem[C];
	g.bias = mem[BIAS];
}

/* Operands of the mask become tensors. */
static void put_into_tensors(unsigned int mask)
{
	uint64_t *const id[N_OPERANDS] = {&g.a_tensor, &g.b_tensor, &g.c_tensor,
					  &g.bias_tensor};
	int x;

	for (x = 0; x < N_OPERANDS; x++) {
		if (!(mask >> x & 1))
			continue;
		*id[x] = make(size[x]);
		ok(pst_upload(c, *id[x], 0, mem[x], size[x], TIMEOUT));
	}
	g.a = mask & 1 ? NULL : g.a;
	g.b = mask & 2 ? NULL : g.b;
	g.c = mask & 4 ? NULL : g.c;
	g.bias = mask & 8 ? NULL : g.bias;
}

static double element(int x, bool trans, uint64_t row, uint64_t col,
		      uint64_t ld)
{
	return mem[x]
		  [(g.order != 0) != trans ? col * ld + row : row * ld + col];
}

static void compare(void)
{
	const struct pst_gemm_args *q = &g;
	uint64_t i, j, l, at;
	double want;

	if (g.c_tensor)
		ok(pst_download(c, mem[C], g.c_tensor, 0, size[C], TIMEOUT));
	for (i = 0; i < q->m; i += 1 + q->m / 37)
		for (j = 0; j < q->n; j += 1 + q->n / 41) {
			at = q->order ? j * q->ldc + i : i * q->ldc + j;
			want = mem[BIAS][j] + q->beta * was_c[at];
			for (l = 0; l < q->k; l++)
				want += q->alpha *
					element(A, q->transa, i, l, q->lda) *
					element(B, q->transb, l, j, q->ldb);
			if (q->act == PST_ACT_RELU && want < 0)
				want = 0;
			ck_assert_double_eq_tol(mem[C][at], want, 1e-9);
		}
}

static void give(void)
{
	int x;

	for (x = 0; x < N_OPERANDS; x++)
		free(mem[x]);
	free(was_c);
	ok(g.a_tensor ? pst_tensor_destroy(c, g.a_tensor) : 0);
	ok(g.b_tensor ? pst_tensor_destroy(c, g.b_tensor) : 0);
	ok(g.c_tensor ? pst_tensor_destroy(c, g.c_tensor) : 0);
	ok(g.bias_tensor ? pst_tensor_destroy(c, g.bias_tensor) : 0);
}

/* Which are tensors: all ways but all and none. */
START_TEST(tensors_go_with_operands_in_any_memory)
{
	unsigned int v;

	for (v = 0; v < 8; v++) {
		prepare(70 + v, 50, 30, v);
		put_into_tensors((unsigned int)_i);
		ok(pst_gemm(c, &g, TIMEOUT, NULL));
		compare();
		give();
	}
}
END_TEST

/* A and C, or B and C, are cut along the side that no tensor has; each alone
 * is larger than the arena. */
START_TEST(what_is_larger_than_the_arena_is_cut_beside_a_tensor)
{
	static const struct {
		unsigned int mask;
		uint32_t m, n, k;
	} jobs[] = {{2, 9000, 60, 70}, {10, 9000, 60, 70}, {1, 60, 9000, 70}};
	unsigned int v;

	for (v = 0; v < 8; v++) {
		prepare(jobs[_i].m, jobs[_i].n, jobs[_i].k, v);
		put_into_tensors(jobs[_i].mask);
		ok(pst_gemm(c, &g, TIMEOUT, NULL));
		compare();
		give();
	}
}
END_TEST

START_TEST(what_cannot_be_cut_beside_a_tensor_is_refused_in_words)
{
	struct pst_gemm_args q;

	/* C is 8 MB, in a tensor; neither A nor B fits whole. */
	prepare(1000, 1000, 1000, 0);
	put_into_tensors(4);
	fails(pst_gemm(c, &g, TIMEOUT, NULL), -EMSGSIZE, "no room");
	q = g;
	q.batch = 2;
	q.m = q.n = q.k = 10;
	q.stride_c = 100000;
	fails(pst_gemm(c, &q, TIMEOUT, NULL), -EOPNOTSUPP, "batch");
	give();
}
END_TEST

/* The linker puts this in the place of the library's copies out of the region:
 * the agent goes before one of them. */
int __real_pst_stage_take(struct pst *k, void *dst, const void *src,
			  const struct pst_lines *lines, struct pst_error *err);
int __wrap_pst_stage_take(struct pst *k, void *dst, const void *src,
			  const struct pst_lines *lines, struct pst_error *err);
static int dies_before_copy; /* the n-th from now on; 0: never */

int __wrap_pst_stage_take(struct pst *k, void *dst, const void *src,
			  const struct pst_lines *lines, struct pst_error *err)
{
	struct pst_info info = {.size = sizeof(info)};
	int i;

	if (dies_before_copy && --dies_before_copy == 0) {
		agent_kill(&agent);
		for (i = 0; i < 500 && !pst_get_info(c, &info); i++)
			usleep(10000);
	}
	return __real_pst_stage_take(k, dst, src, lines, err);
}

START_TEST(a_result_lost_before_it_was_copied_is_an_error)
{
	/* One piece, and operands whole. */
	prepare(_i ? 300 : 30, 40, 50, 0);
	dies_before_copy = 1;
	ck_assert_int_lt(pst_gemm(c, &g, TIMEOUT, NULL), 0);
	ck_assert(!dies_before_copy);
	give();
}
END_TEST

static int local(void *arg, const struct pst_gemm_args *q)
{
	const double *a = q->a, *b = q->b;
	double *at, v;
	uint32_t i, j, l;

	*(uint64_t *)arg += (uint64_t)q->m * q->n;
	for (i = 0; i < q->m; i++)
		for (j = 0; j < q->n; j++) {
			at = (double *)q->c +
			     (q->order ? (uint64_t)j * q->ldc + i
				       : (uint64_t)i * q->ldc + j);
			v = q->beta * *at + ((const double *)q->bias)[j];
			for (l = 0; l < q->k; l++)
				v += q->alpha *
				     a[(q->order != 0) != q->transa
					       ? (uint64_t)l * q->lda + i
					       : (uint64_t)i * q->lda + l] *
				     b[(q->order != 0) != q->transb
					       ? (uint64_t)j * q->ldb + l
					       : (uint64_t)l * q->ldb + j];
			*at = q->act == PST_ACT_RELU && v < 0 ? 0 : v;
		}
	return 0;
}

/* Cut in rows or columns, or whole; lost at each of the first copies. */
START_TEST(lines_that_were_not_copied_are_finished_by_the_caller)
{
	uint64_t n_local = 0;
	int r;

	prepare(_i % 2 ? 300 : 1500, 350, _i % 2 ? 260 : 50,
		(unsigned int)_i / 2 % 8);
	dies_before_copy = 1 + _i;
	r = pst_gemm_or(c, &g, TIMEOUT, local, &n_local, NULL);
	ck_assert_int_gt(r, 0);
	ck_assert(!dies_before_copy);
	compare();
	ck_assert_uint_gt(n_local, 0);
	/* What was copied is not computed again. */
	if (_i > 0)
		ck_assert_uint_lt(n_local, (uint64_t)g.m * g.n);
	/* Nobody is there: all of it. */
	n_local = 0;
	memcpy(mem[C], was_c, size[C]);
	ck_assert_int_gt(pst_gemm_or(c, &g, TIMEOUT, local, &n_local, NULL), 0);
	ck_assert_uint_eq(n_local, (uint64_t)g.m * g.n);
	compare();
	ck_assert_ptr_eq(pst_owner(mem[C]), NULL);
	give();
}
END_TEST

START_TEST(a_buffer_has_an_owner_as_long_as_its_connection_is_open)
{
	uint8_t *p = get(5000);
	struct pst *k;

	open_conn(&k);
	ck_assert_ptr_eq(pst_owner(p), c);
	ck_assert_ptr_eq(pst_owner(p + 4999), c);
	ck_assert_ptr_eq(pst_owner(&k), NULL);
	pst_close(k);
	ok(pst_free(c, p));
	ck_assert_ptr_eq(pst_owner(p), NULL);
}
END_TEST

static void *owner_of(void *p)
{
	return pst_owner(p);
}

/* A BLAS asks it for each product, in whichever thread. */
START_TEST(a_buffer_of_another_threads_connection_has_no_owner)
{
	const struct pst_options o = {.size = sizeof(o),
				      .flags = PST_OPEN_SINGLE_THREAD};
	void *p, *ret = c;
	struct pst *k;
	pthread_t t;

	ck_assert_int_eq(pst_open(agent.uri, &o, &k, text, sizeof(text)), 0);
	ok(pst_alloc(k, 5000, &p));
	ck_assert_ptr_eq(pst_owner(p), k);
	ck_assert_int_eq(pthread_create(&t, NULL, owner_of, p), 0);
	ck_assert_int_eq(pthread_join(t, &ret), 0);
	ck_assert_ptr_null(ret);
	pst_close(k);
}
END_TEST

/* The agent does not answer when room is to be leased for the pieces. */
START_TEST(a_connection_for_questions_has_no_room_for_pieces)
{
	const struct pst_options o = {.size = sizeof(o),
				      .flags = PST_OPEN_CONTROL_ONLY};
	struct pst *k;

	prepare(30, 30, 30, 0);
	ck_assert_int_eq(pst_open(agent.uri, &o, &k, text, sizeof(text)), 0);
	ck_assert_int_eq(pst_gemm(k, &g, TIMEOUT, NULL), -EINVAL);
	pst_last_error(k, text, sizeof(text));
	ck_assert_ptr_nonnull(strstr(text, "PST_OPEN_CONTROL_ONLY"));
	pst_close(k);
	give();
}
END_TEST

START_TEST(a_deadline_holds_while_room_is_leased)
{
	uint64_t start;

	prepare(300, 300, 300, 0);
	ck_assert_int_eq(kill(agent.pid, SIGSTOP), 0);
	start = pst_now_ns();
	ck_assert_int_eq(pst_gemm(c, &g, S / 5, NULL), -ETIMEDOUT);
	ck_assert_uint_lt(pst_now_ns() - start, PST_HANG_NS);
	ck_assert_int_eq(kill(agent.pid, SIGCONT), 0);
	ok(pst_gemm(c, &g, TIMEOUT, NULL));
	compare();
	give();
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup_small, teardown);
	tcase_add_loop_test(tc, tensors_go_with_operands_in_any_memory, 1, 15);
	tcase_add_loop_test(
		tc, what_is_larger_than_the_arena_is_cut_beside_a_tensor, 0, 3);
	tcase_add_test(tc,
		       what_cannot_be_cut_beside_a_tensor_is_refused_in_words);
	tcase_add_test(tc, a_connection_for_questions_has_no_room_for_pieces);
	tcase_add_test(tc, a_deadline_holds_while_room_is_leased);
	tcase_add_loop_test(tc, a_result_lost_before_it_was_copied_is_an_error,
			    0, 2);
	tcase_add_loop_test(
		tc, lines_that_were_not_copied_are_finished_by_the_caller, 0,
		10);
	tcase_add_test(tc,
		       a_buffer_has_an_owner_as_long_as_its_connection_is_open);
	tcase_add_test(tc, a_buffer_of_another_threads_connection_has_no_owner);
}

int main(void)
{
	return pst_unit_run("client_mixed", add, 120);
}
