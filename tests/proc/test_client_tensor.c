/* SPDX-License-Identifier: MIT */
/* Resident tensors with a real agent: order, contents, quotas, deaths. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host-client/conn.h"
#include "tests/proc/agent_proc.h"
#include "tests/unit/unit.h"

#define S   PST_NS_PER_S
#define MIB (1ULL << 20)

static struct agent_proc agent;
static struct pst *c;
static char text[400];

static void open_conn(struct pst **ret)
{
	int r = pst_open(agent.uri, NULL, ret, text, sizeof(text));

	ck_assert_msg(r == 0, "%s", text);
}

static void setup(void)
{
	agent_open(&agent, 192 * MIB);
	open_conn(&c);
}

static void teardown(void)
{
	pst_close(c);
	agent_close(&agent);
}

/* An agent with so many bytes for each session's tensors. */
static void restart_with(const char *option, const char *value)
{
	pst_close(c);
	agent_kill(&agent);
	agent.extra[0] = option;
	agent.extra[1] = value;
	agent_start(&agent);
	open_conn(&c);
}

static void ok(int r)
{
	pst_last_error(c, text, sizeof(text));
	ck_assert_msg(r == 0, "%d: %s", r, text);
}

static void fails(int r, int want, const char *part)
{
	pst_last_error(c, text, sizeof(text));
	ck_assert_msg(r == want, "%d: %s", r, text);
	ck_assert_msg(strstr(text, part) != NULL, "%s", text);
}

static void *get(size_t size)
{
	void *p = NULL;

	ok(pst_alloc(c, size, &p));
	return p;
}

static uint64_t make(uint64_t size)
{
	uint64_t id = 0;

	ok(pst_tensor_create(c, size, &id));
	ck_assert_uint_ne(id, 0);
	return id;
}

static uint64_t stat_of(const char *name)
{
	struct pst_options o = {
		.size = sizeof(o),
		.flags = PST_OPEN_CONTROL_ONLY,
	};
	uint64_t v;
	struct pst *k;
	char *json;

	ck_assert_int_eq(pst_open(agent.uri, &o, &k, text, sizeof(text)), 0);
	ck_assert_int_eq(pst_query(k, PST_QUERY_STATS, &json), 0);
	v = json_number(json, name);
	free(json);
	pst_close(k);
	return v;
}

/* Until the agent has nothing of any session; some seconds at most. */
static void wait_empty(void)
{
	int i;

	for (i = 0; i < 1000; i++) {
		if (!stat_of("tensor_bytes") &&
		    !stat_of("tensor_quarantined_bytes") && !stat_of("tensors"))
			return;
		usleep(10000);
	}
	ck_abort_msg("%llu bytes of tensors are left",
		     (unsigned long long)stat_of("tensor_bytes"));
}

static void pattern(uint8_t *p, size_t n, unsigned int seed)
{
	size_t i;

	for (i = 0; i < n; i++)
		p[i] = (uint8_t)((i + seed) * 7 + i / 253);
}

START_TEST(a_new_tensor_is_zero_and_keeps_what_it_is_given)
{
	uint8_t *buf = get(1000), want[1000];
	uint64_t t = make(1000);
	struct pst_copy in = {
		.src = buf, .dst_tensor = t, .dst_off = 100, .n = 900};
	struct pst_copy out = {.src_tensor = t, .dst = buf, .n = 1000};

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
	struct pst_copy p = {.src = buf, .dst_tensor = t, .n = 101};

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
	struct pst_gemm g = {
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
	struct pst_copy in = {.dst_tensor = a, .n = size};
	struct pst_copy also = {.src_tensor = a, .dst_tensor = b, .n = size};
	struct pst_copy out = {.src_tensor = d, .n = size};
	struct pst_gemm g = {
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
			ok(pst_submit_copy(c, &in, &tag));
			ok(pst_submit_copy(c, &also, &tag));
			ok(pst_submit_gemm(c, &g, &tag));
			ok(pst_submit_copy(c, &out, &tag));
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

START_TEST(any_memory_goes_up_and_comes_down)
{
	static const uint64_t sizes[] = {
		1,       4095,    MIB - 1,      MIB,
		MIB + 1, 2 * MIB, 3 * MIB + 17, 9 * MIB + 1};
	uint64_t t = make(16 * MIB), off;
	uint8_t *up = malloc(16 * MIB), *down = malloc(16 * MIB);
	size_t i;

	ck_assert(up && down);
	for (i = 0; i < PST_ARRAY_SIZE(sizes); i++) {
		off = i * 7;
		pattern(up, sizes[i], (unsigned int)i);
		memset(down, 0xee, sizes[i] + 1);
		ok(pst_upload(c, t, off, up, sizes[i], 10 * S));
		ok(pst_download(c, down, t, off, sizes[i], 10 * S));
		ck_assert_int_eq(memcmp(up, down, sizes[i]), 0);
		ck_assert_uint_eq(down[sizes[i]], 0xee);
	}
	ok(pst_upload(c, t, 16 * MIB, up, 0, S));
	fails(pst_upload(c, t, 16 * MIB, up, 1, S), -EFAULT, "end behind");
	fails(pst_download(c, down, t, UINT64_MAX, 1, S), -EFAULT,
	      "end behind");
	fails(pst_upload(c, t + 1, 0, up, 1, S), -ENOENT, "no tensor");
	/* What went through buffers is free again. */
	ck_assert_uint_le(c->heap.n, 1);
	free(up);
	free(down);
}
END_TEST

START_TEST(own_memory_goes_up_and_comes_down_in_one_operation)
{
	const size_t n = 5 * MIB + 3;
	uint8_t *up = get(n), *down = get(n);
	uint64_t t = make(n), before;

	pattern(up, n, 1);
	before = c->lane.sq_tail;
	ok(pst_upload(c, t, 0, up, n, 10 * S));
	ok(pst_download(c, down, t, 0, n, 10 * S));
	ck_assert_uint_eq(c->lane.sq_tail - before, 2);
	ck_assert_int_eq(memcmp(up, down, n), 0);
}
END_TEST

struct worker {
	pthread_t thread;
	unsigned int seed;
	int result;
};

static void *shuttle(void *arg)
{
	const size_t n = 2 * MIB + 11;
	struct worker *w = arg;
	uint8_t *up = malloc(n), *down = malloc(n);
	uint64_t t;
	int i;

	for (i = 0; i < 20 && !w->result; i++) {
		pattern(up, n, w->seed + (unsigned int)i);
		w->result = pst_tensor_create(c, n, &t);
		if (!w->result)
			w->result = pst_upload(c, t, 0, up, n, 20 * S);
		if (!w->result)
			w->result = pst_download(c, down, t, 0, n, 20 * S);
		if (!w->result && memcmp(up, down, n) != 0)
			w->result = 1;
		if (!w->result)
			w->result = pst_tensor_destroy(c, t);
	}
	free(up);
	free(down);
	return NULL;
}

START_TEST(threads_move_their_own_tensors_at_once)
{
	struct pst_completion done;
	struct worker w[4] = {0};
	int i;

	for (i = 0; i < 4; i++) {
		w[i].seed = (unsigned int)i * 100;
		pthread_create(&w[i].thread, NULL, shuttle, &w[i]);
	}
	/* Nobody else sees their completions. */
	for (i = 0; i < 2000; i++)
		ck_assert_int_eq(pst_poll(c, &done, 1), 0);
	for (i = 0; i < 4; i++) {
		pthread_join(w[i].thread, NULL);
		ck_assert_int_eq(w[i].result, 0);
	}
	ok(pst_ping(c, NULL));
	wait_empty();
}
END_TEST

START_TEST(a_transfer_ends_at_its_deadline)
{
	uint64_t t = make(8 * MIB), start;
	uint8_t *mem = calloc(1, 8 * MIB);

	kill(agent.pid, SIGSTOP);
	start = pst_now_ns();
	fails(pst_upload(c, t, 0, mem, 8 * MIB, S / 5), -ETIMEDOUT, "");
	ck_assert_uint_lt(pst_now_ns() - start, S);
	kill(agent.pid, SIGCONT);
	ok(pst_nop(c, 10 * S, NULL));
	ok(pst_upload(c, t, 0, mem, 8 * MIB, 10 * S));
	free(mem);
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
	fails(pst_tensor_create(c, 1, &b), -EMSGSIZE, "--max-tensor-bytes");
	for (i = 0; i < 100; i++) {
		ok(pst_tensor_destroy(c, a));
		a = make(MIB - 1);
	}
	ck_assert_uint_eq(stat_of("tensor_bytes"), MIB);
	restart_with("--max-tensors", "2");
	a = make(1);
	b = make(1);
	fails(pst_tensor_create(c, 1, &b), -EMSGSIZE, "--max-tensors");
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
	struct pst_gemm g = {
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

	ok(pst_submit_gemm(c, &g, &tag));
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
	struct pst_copy p = {.src_tensor = a, .dst_tensor = b, .n = 256 * MIB};
	int r, i;

	gemm = submit_long(1200);
	ok(pst_submit_copy(c, &p, &tag));
	ok(pst_cancel(c, tag));
	ck_assert_int_eq(pst_wait(c, tag, 30 * S, NULL), -ECANCELED);
	ok(pst_wait(c, gemm, 30 * S, NULL));
	/* On its way: too late in a round, not in every one. */
	for (i = 0, r = 0; i < 20 && r != -ECANCELED; i++) {
		ok(pst_submit_copy(c, &p, &tag));
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
	struct pst_copy p = {.src = buf, .dst_tensor = old, .n = 64};
	struct pst_gemm g = {
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

START_TEST(an_agent_killed_in_a_transfer_ends_it)
{
	const size_t n = 64 * MIB;
	uint8_t *mem = calloc(1, n);
	uint64_t t = make(n), start;
	pid_t killer, pid = agent.pid;
	int r = 0, i;

	killer = fork();
	ck_assert_int_ge(killer, 0);
	if (killer == 0) {
		usleep(100000);
		kill(pid, SIGKILL);
		_exit(0);
	}
	for (i = 0; i < 10000 && !r; i++) {
		start = pst_now_ns();
		r = i % 2 ? pst_upload(c, t, 0, mem, n, 10 * S)
			  : pst_download(c, mem, t, 0, n, 10 * S);
	}
	ck_assert_uint_lt(pst_now_ns() - start, 3 * S);
	ck_assert_msg(r == -ECONNRESET || r == -ESTALE, "%d", r);
	waitpid(killer, NULL, 0);
	free(mem);
}
END_TEST

START_TEST(a_failed_operation_says_why_in_the_agents_words)
{
	uint8_t *buf = get(64);
	struct pst_gemm g = {
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
	tcase_add_test(tc, any_memory_goes_up_and_comes_down);
	tcase_add_test(tc, own_memory_goes_up_and_comes_down_in_one_operation);
	tcase_add_test(tc, threads_move_their_own_tensors_at_once);
	tcase_add_test(tc, a_transfer_ends_at_its_deadline);
	tcase_add_test(tc, lists_show_the_sessions_own_tensors_oldest_first);
	tcase_add_test(tc, lists_of_thousands_come_whole);
	tcase_add_test(tc, quotas_are_kept_and_given_back);
	tcase_add_test(tc, no_more_is_promised_than_the_machine_has);
	tcase_add_test(tc, what_was_destroyed_lives_as_long_as_its_operations);
	tcase_add_test(tc, a_copy_can_be_cancelled_in_the_queue_and_on_its_way);
	tcase_add_test(tc, clients_killed_with_tensors_leave_nothing_behind);
	tcase_add_test(tc, a_tensor_of_an_agent_that_was_restarted_is_stale);
	tcase_add_test(tc, an_agent_killed_in_a_transfer_ends_it);
	tcase_add_test(tc, a_failed_operation_says_why_in_the_agents_words);
}

int main(void)
{
	return pst_unit_run("client_tensor", add, 120);
}
