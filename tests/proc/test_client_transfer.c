/* SPDX-License-Identifier: MIT */
/* Any memory to resident tensors of a real agent and back. */
#include <pthread.h>
#include <sys/wait.h>

#include "tests/fixtures/tensor_fixture.h"

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
	ck_assert_uint_le(c->mem.heap.n, 1);
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
	before = c->queue[0].lane.sq_tail;
	ok(pst_upload(c, t, 0, up, n, 10 * S));
	ok(pst_download(c, down, t, 0, n, 10 * S));
	ck_assert_uint_eq(c->queue[0].lane.sq_tail - before, 2);
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
	ck_assert_uint_lt(pst_now_ns() - start, PST_HANG_NS);
	kill(agent.pid, SIGCONT);
	ok(pst_nop(c, 10 * S, NULL));
	ok(pst_upload(c, t, 0, mem, 8 * MIB, 10 * S));
	free(mem);
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
	ck_assert_uint_lt(pst_now_ns() - start, PST_HANG_NS);
	ck_assert_msg(r == -ECONNRESET || r == -ESTALE, "%d", r);
	waitpid(killer, NULL, 0);
	free(mem);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, any_memory_goes_up_and_comes_down);
	tcase_add_test(tc, own_memory_goes_up_and_comes_down_in_one_operation);
	tcase_add_test(tc, threads_move_their_own_tensors_at_once);
	tcase_add_test(tc, a_transfer_ends_at_its_deadline);
	tcase_add_test(tc, an_agent_killed_in_a_transfer_ends_it);
}

int main(void)
{
	return pst_unit_run("client_transfer", add, 120);
}
