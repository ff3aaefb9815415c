/* SPDX-License-Identifier: MIT */
/* Resident tensors with a real agent: order, contents, quotas, deaths. */
#include <sys/wait.h>

#include "tests/fixtures/tensor_fixture.h"

START_TEST(a_new_tensor_is_zero_and_keeps_what_it_is_given)
{
	uint8_t *buf = get(1000), want[1000];
	uint64_t t = make(1000);
	struct pst_copy_args in = {.size = sizeof(struct pst_copy_args),
				   .src = buf,
				   .dst_tensor = t,
				   .dst_off = 100,
				   .n = 900};
	struct pst_copy_args out = {.size = sizeof(struct pst_copy_args),
				    .src_tensor = t,
				    .dst = buf,
				    .n = 1000};

	memset(buf, 1, 1000);
	ok(pst_copy(c, &out, S, NULL));
	memset(want, 0, sizeof(want));
	ck_assert_int_eq(memcmp(buf, want, 1000), 0);
	pattern(buf, 1000, 3);
	memcpy(want + 100, buf, 900);
	ok(pst_copy(c, &in, S, NULL));
	ok(pst_copy(c, &out, S, NULL));
	ck_assert_int_eq(memcmp(buf, want, 1000), 0);
	ok(pst_tensor_destroy(c, t));
}
END_TEST

START_TEST(bad_copies_are_refused_with_a_sentence)
{
	uint8_t *buf = get(4096), own[16];
	uint64_t t = make(100);
	struct pst_copy_args p = {.size = sizeof(struct pst_copy_args),
				  .src = buf,
				  .dst_tensor = t,
				  .n = 101};

	fails(pst_copy(c, &p, S, NULL), -EFAULT, "100");
	p.n = 1;
	p.dst_off = 100;
	fails(pst_copy(c, &p, S, NULL), -EFAULT, "the destination");
	p.dst_off = UINT64_MAX;
	ck_assert_int_lt(pst_copy(c, &p, S, NULL), 0);
	p.dst_off = 0;
	p.n = 0;
	fails(pst_copy(c, &p, S, NULL), -EINVAL, "0 bytes");
	p.n = 1;
	p.dst_tensor = t + 1;
	fails(pst_copy(c, &p, S, NULL), -ENOENT, "no tensor");
	p.dst_tensor = t;
	p.dst = buf;
	fails(pst_copy(c, &p, S, NULL), -EINVAL, "a tensor each");
	p.dst = NULL;
	p.src_off = 1;
	fails(pst_copy(c, &p, S, NULL), -EINVAL, "offsets");
	p.src_off = 0;
	p.src = own;
	fails(pst_copy(c, &p, S, NULL), -EFAULT, "buffer");
	p.src = NULL;
	p.src_tensor = t;
	p.n = 60;
	p.src_off = 50;
	fails(pst_copy(c, &p, S, NULL), -EFAULT, "the source");
	p.src_off = 40;
	fails(pst_copy(c, &p, S, NULL), -EINVAL, "overlap");
	ck_assert_int_eq(pst_tensor_destroy(c, t + 7), -ENOENT);
	fails(pst_tensor_create(c, 0, &t), -EINVAL, "0 bytes");
	fails(pst_tensor_create(c, UINT64_MAX, &t), -EMSGSIZE,
	      "--max-tensor-bytes");
}
END_TEST

/* Tensors of any size, and a region operand with any offset, are apart. */
START_TEST(a_tensor_does_not_overlap_the_region)
{
	const uint32_t n = 2048;
	uint64_t a = make((uint64_t)n * n * 4);
	float *d = get((size_t)n * 4);
	struct pst_gemm_args g = {
		.size = sizeof(struct pst_gemm_args),
		.dtype = PST_F32,
		.m = n,
		.n = 1,
		.k = n,
		.lda = n,
		.ldb = 1,
		.ldc = 1,
		.alpha = 1,
		.a_tensor = a,
		.b = get((size_t)n * 4),
		.c = d,
	};

	d[5] = 7;
	ok(pst_gemm(c, &g, 10 * S, NULL));
	ck_assert(d[5] == 0);
	/* The same tensor as operand and result is refused. */
	g.c = NULL;
	g.c_tensor = a;
	fails(pst_gemm(c, &g, 10 * S, NULL), -EINVAL, "overlap");
}
END_TEST

/* COPY in, a product of tensors, COPY out: none waits for the one before. */
START_TEST(operations_see_what_earlier_ones_wrote)
{
	enum { N = 24, ROUNDS = 40, DEPTH = 5 };
	const size_t size = N * N * sizeof(double);
	uint64_t a = make(size), b = make(size), d = make(size), tag;
	struct pst_copy_args in = {.size = sizeof(struct pst_copy_args),
				   .dst_tensor = a,
				   .n = size};
	struct pst_copy_args also = {.size = sizeof(struct pst_copy_args),
				     .src_tensor = a,
				     .dst_tensor = b,
				     .n = size};
	struct pst_copy_args out = {.size = sizeof(struct pst_copy_args),
				    .src_tensor = d,
				    .n = size};
	struct pst_gemm_args g = {
		.size = sizeof(struct pst_gemm_args),
		.dtype = PST_F64,
		.m = N,
		.n = N,
		.k = N,
		.lda = N,
		.ldb = N,
		.ldc = N,
		.alpha = 1,
		.a_tensor = a,
		.b_tensor = b,
		.c_tensor = d,
	};
	double *x = get(size * ROUNDS), *y = get(size * ROUNDS);
	struct pst_completion done;
	int i, j, round, got;

	for (round = 0; round < DEPTH; round++) {
		for (i = 0; i < ROUNDS; i++) {
			for (j = 0; j < N * N; j++) {
				x[i * N * N + j] = round * ROUNDS + i + 1;
				y[i * N * N + j] = -1;
			}
			in.src = x + i * N * N;
			out.dst = y + i * N * N;
			ok(pst_submit_copy(c, &in, 0, &tag));
			ok(pst_submit_copy(c, &also, 0, &tag));
			ok(pst_submit_gemm(c, &g, 0, &tag));
			ok(pst_submit_copy(c, &out, 0, &tag));
		}
		ok(pst_nop(c, 20 * S, NULL));
		for (got = 0; pst_poll(c, &done, 1) > 0; got++)
			ck_assert_int_eq(done.status, 0);
		ck_assert_int_eq(got, 4 * ROUNDS);
		for (i = 0; i < ROUNDS; i++)
			for (j = 0; j < N * N; j++)
				ck_assert(y[i * N * N + j] ==
					  N * x[i * N * N] * x[i * N * N]);
	}
}
END_TEST

START_TEST(lists_show_the_sessions_own_tensors_oldest_first)
{
	struct pst_tensor list[3];
	uint64_t a, b, d;
	struct pst *other;

	ck_assert_int_eq(pst_tensor_list(c, list, 3), 0);
	a = make(10);
	b = make(20);
	ok(pst_tensor_destroy(c, a));
	d = make(30);
	open_conn(&other);
	ck_assert_int_eq(pst_tensor_create(other, 40, &a), 0);
	ck_assert_int_eq(pst_tensor_list(c, list, 3), 2);
	ck_assert_uint_eq(list[0].tensor, b);
	ck_assert_uint_eq(list[0].size, 20);
	ck_assert_uint_eq(list[1].tensor, d);
	ck_assert_int_eq(pst_tensor_list(c, list, 1), 2);
	ck_assert_int_eq(pst_tensor_list(c, NULL, 0), 2);
	pst_close(other);
}
END_TEST

START_TEST(lists_of_thousands_come_whole)
{
	enum { N = 3000 };
	static struct pst_tensor list[N];
	static uint64_t id[N];
	int i;

	for (i = 0; i < N; i++)
		id[i] = make(8);
	ck_assert_int_eq(pst_tensor_list(c, list, N), N);
	for (i = 0; i < N; i++)
		ck_assert_uint_eq(list[i].tensor, id[i]);
	for (i = 0; i < N; i++)
		ok(pst_tensor_destroy(c, id[i]));
	ck_assert_int_eq(pst_tensor_list(c, list, N), 0);
}
END_TEST

START_TEST(quotas_are_kept_and_given_back)
{
	struct pst_info info = {.size = sizeof(info)};
	uint64_t a, b;
	int i;

	restart_with("--max-tensor-bytes", "1M");
	ok(pst_get_info(c, &info));
	ck_assert_uint_eq(info.max_tensor_bytes, MIB);
	ck_assert_uint_eq(info.max_tensors, 4096);
	ck_assert_uint_gt(info.max_batch, 1);
	a = make(MIB - 1);
	b = make(1);
	fails(pst_tensor_create(c, 1, &b), -ENOSPC, "--max-tensor-bytes");
	for (i = 0; i < 100; i++) {
		ok(pst_tensor_destroy(c, a));
		a = make(MIB - 1);
	}
	ck_assert_uint_eq(stat_of("tensor_bytes"), MIB);
	restart_with("--max-tensors", "2");
	a = make(1);
	b = make(1);
	fails(pst_tensor_create(c, 1, &b), -ENOSPC, "--max-tensors");
	ok(pst_tensor_destroy(c, a));
	a = make(1);
}
END_TEST

START_TEST(no_more_is_promised_than_the_machine_has)
{
	uint64_t id;

	/* 1 PiB of quota. */
	restart_with("--max-tensor-bytes", "1024T");
	fails(pst_tensor_create(c, 512ULL << 40, &id), -ENOMEM, "to give");
	id = make(100);
}
END_TEST

/* A product that takes a while, on private tensors. */
static uint64_t submit_long(uint32_t n)
{
	uint64_t a = make((uint64_t)n * n * 8), d = make((uint64_t)n * n * 8);
	struct pst_gemm_args g = {
		.size = sizeof(struct pst_gemm_args),
		.dtype = PST_F64,
		.m = n,
		.n = n,
		.k = n,
		.lda = n,
		.ldb = n,
		.ldc = n,
		.alpha = 1,
		.a_tensor = a,
		.b_tensor = a,
		.c_tensor = d,
	};
	uint64_t tag;

	ok(pst_submit_gemm(c, &g, 0, &tag));
	ok(pst_tensor_destroy(c, a));
	ok(pst_tensor_destroy(c, d));
	return tag;
}

START_TEST(what_was_destroyed_lives_as_long_as_its_operations)
{
	uint64_t tag = submit_long(1200);

	ck_assert_uint_gt(stat_of("tensor_bytes"), 0);
	ok(pst_wait(c, tag, 30 * S, NULL));
	ok(pst_ping(c, NULL));
	wait_empty();
}
END_TEST

START_TEST(a_copy_can_be_cancelled_in_the_queue_and_on_its_way)
{
	uint64_t a = make(256 * MIB), b = make(256 * MIB), tag, gemm;
	struct pst_copy_args p = {.size = sizeof(struct pst_copy_args),
				  .src_tensor = a,
				  .dst_tensor = b,
				  .n = 256 * MIB};
	int r, i;

	gemm = submit_long(1200);
	ok(pst_submit_copy(c, &p, 0, &tag));
	ok(pst_cancel(c, tag));
	ck_assert_int_eq(pst_wait(c, tag, 30 * S, NULL), -ECANCELED);
	ok(pst_wait(c, gemm, 30 * S, NULL));
	/* On its way: too late in a round, not in every one. */
	for (i = 0, r = 0; i < 20 && r != -ECANCELED; i++) {
		ok(pst_submit_copy(c, &p, 0, &tag));
		usleep(2000);
		r = pst_cancel(c, tag);
		ck_assert(r == 0 || r == -ENOENT);
		r = pst_wait(c, tag, 30 * S, NULL);
		ck_assert_msg(r == 0 || r == -ECANCELED, "%d", r);
	}
	ck_assert_int_eq(r, -ECANCELED);
	p.n = 100;
	ok(pst_copy(c, &p, 10 * S, NULL));
}
END_TEST

/* A client with tensors, at work until it is killed. */
static void be_killed(void)
{
	const size_t n = 3 * MIB;
	uint8_t *mem = calloc(1, n);
	struct pst *k;
	uint64_t t;

	if (!mem || pst_open(agent.uri, NULL, &k, NULL, 0) < 0)
		_exit(1);
	for (;;) {
		if (pst_tensor_create(k, n, &t) < 0 ||
		    pst_upload(k, t, 0, mem, n, 10 * S) < 0 ||
		    pst_download(k, mem, t, 0, n, 10 * S) < 0)
			_exit(2);
		/* Every other one is left for the session's end. */
		if (rand() % 2 && pst_tensor_destroy(k, t) < 0)
			_exit(3);
	}
}

START_TEST(clients_killed_with_tensors_leave_nothing_behind)
{
	unsigned int seed = 1, i;
	int status;
	pid_t pid;

	/* fork() with a thread about is no friend of TSan. */
	pst_close(c);
	c = NULL;
	for (i = 0; i < 60; i++) {
		pid = fork();
		ck_assert_int_ge(pid, 0);
		if (pid == 0)
			be_killed();
		usleep((useconds_t)rand_r(&seed) % 50000);
		kill(pid, SIGKILL);
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		ck_assert(WIFSIGNALED(status));
	}
	wait_empty();
	ck_assert_uint_gt(stat_of("tensors_created"), 0);
}
END_TEST

START_TEST(a_tensor_of_an_agent_that_was_restarted_is_stale)
{
	uint64_t old = make(64), id;
	struct pst_tensor list[2];
	uint8_t *buf = get(64);
	struct pst_copy_args p = {.size = sizeof(struct pst_copy_args),
				  .src = buf,
				  .dst_tensor = old,
				  .n = 64};
	struct pst_gemm_args g = {
		.size = sizeof(struct pst_gemm_args),
		.dtype = PST_F32,
		.m = 1,
		.n = 1,
		.k = 1,
		.lda = 1,
		.ldb = 1,
		.ldc = 1,
		.alpha = 1,
		.a_tensor = old,
	};

	agent_kill(&agent);
	agent_start(&agent);
	buf = get(64);
	memset(buf, 0, 64);
	id = make(64);
	ck_assert_uint_ne(id, old);
	p.src = buf;
	fails(pst_copy(c, &p, S, NULL), -ESTALE, "lost session");
	g.b = buf;
	g.c = buf + 32;
	fails(pst_gemm(c, &g, S, NULL), -ESTALE, "lost session");
	g.alpha = 0;
	fails(pst_gemm(c, &g, S, NULL), -ESTALE, "lost session");
	fails(pst_upload(c, old, 0, text, 64, S), -ESTALE, "lost session");
	ck_assert_int_eq(pst_tensor_list(c, list, 2), 1);
	ck_assert_uint_eq(list[0].tensor, id);
	ok(pst_tensor_destroy(c, old));
	ck_assert_int_eq(pst_tensor_list(c, list, 2), 1);
	p.dst_tensor = id;
	ok(pst_copy(c, &p, S, NULL));
}
END_TEST

START_TEST(a_failed_operation_says_why_in_the_agents_words)
{
	uint8_t *buf = get(64);
	struct pst_gemm_args g = {
		.size = sizeof(struct pst_gemm_args),
		.dtype = PST_I8,
		.act = PST_ACT_GELU_ERF,
		.m = 1,
		.n = 1,
		.k = 1,
		.lda = 1,
		.ldb = 1,
		.ldc = 1,
		.alpha = 1,
		.a = buf,
		.b = buf,
		.c = buf + 32,
	};

	fails(pst_gemm(c, &g, S, NULL), -EOPNOTSUPP, "the cpu backend (");
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_new_tensor_is_zero_and_keeps_what_it_is_given);
	tcase_add_test(tc, bad_copies_are_refused_with_a_sentence);
	tcase_add_test(tc, a_tensor_does_not_overlap_the_region);
	tcase_add_test(tc, operations_see_what_earlier_ones_wrote);
	tcase_add_test(tc, lists_show_the_sessions_own_tensors_oldest_first);
	tcase_add_test(tc, lists_of_thousands_come_whole);
	tcase_add_test(tc, quotas_are_kept_and_given_back);
	tcase_add_test(tc, no_more_is_promised_than_the_machine_has);
	tcase_add_test(tc, what_was_destroyed_lives_as_long_as_its_operations);
	tcase_add_test(tc, a_copy_can_be_cancelled_in_the_queue_and_on_its_way);
	tcase_add_test(tc, clients_killed_with_tensors_leave_nothing_behind);
	tcase_add_test(tc, a_tensor_of_an_agent_that_was_restarted_is_stale);
	tcase_add_test(tc, a_failed_operation_says_why_in_the_agents_words);
}

int main(void)
{
	return pst_unit_run("client_tensor", add, 120);
}
