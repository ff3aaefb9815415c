/* SPDX-License-Identifier: MIT */
/* An arena that is full: one error, and calls that wait for one another. */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "host-client/lib/session/conn.h"
#include "tests/fixtures/agent_proc.h"
#include "tests/fixtures/unit.h"

#define MS  PST_NS_PER_MS
#define MIB (1ULL << 20)

static struct agent_proc agent;
static struct pst *c;

static void setup(void)
{
	char text[400] = "";
	int r;

	agent_open(&agent, 8 * MIB); /* 4 MiB of arena, one session may have */
	r = pst_open(agent.uri, NULL, &c, text, sizeof(text));
	ck_assert_msg(r == 0, "%s", text);
}

static void teardown(void)
{
	pst_close(c);
	agent_close(&agent);
}

START_TEST(no_room_now_is_one_error_and_never_another)
{
	void *all = NULL, *more = NULL;
	uint64_t tensor;

	ck_assert_int_eq(pst_alloc(c, 5 * MIB, &more), -EMSGSIZE);
	ck_assert_int_eq(pst_alloc(c, 4 * MIB, &all), 0);
	ck_assert_int_eq(pst_alloc(c, 64, &more), -ENOSPC);
	ck_assert_int_eq(pst_alloc(c, 3 * MIB, &more), -ENOSPC);
	ck_assert_int_eq(pst_alloc(c, 5 * MIB, &more), -EMSGSIZE);
	ck_assert_int_eq(pst_free(c, all), 0);
	ck_assert_int_eq(pst_alloc(c, 4 * MIB, &all), 0);
	ck_assert_int_eq(pst_tensor_create(c, 1, &tensor), 0);
}
END_TEST

static int count(void *arg, const struct pst_gemm_args *piece)
{
	++*(int *)arg;
	return 0;
}

START_TEST(room_that_no_call_holds_is_not_waited_for)
{
	static float x[64], y[64], z[64];
	struct pst_gemm_args g = {.size = sizeof(struct pst_gemm_args),
				  .dtype = PST_F32,
				  .m = 8,
				  .n = 8,
				  .k = 8,
				  .lda = 8,
				  .ldb = 8,
				  .ldc = 8,
				  .alpha = 1,
				  .a = x,
				  .b = y,
				  .c = z};
	struct pst_completion done = {0};
	uint64_t tensor;
	int n = 0;
	void *all;

	ck_assert_int_eq(pst_tensor_create(c, 64, &tensor), 0);
	ck_assert_int_eq(pst_alloc(c, 4 * MIB, &all), 0);
	ck_assert_int_eq(pst_gemm(c, &g, PST_FOREVER, NULL), -ENOSPC);
	/* Whoever computes it instead is told that this passes. */
	ck_assert_int_eq(pst_gemm_or(c, &g, PST_FOREVER, count, &n, &done), 1);
	ck_assert_int_eq(n, 1);
	ck_assert_int_eq(done.status, -ENOSPC);
	ck_assert_int_eq(pst_upload(c, tensor, 0, x, 64, PST_FOREVER), -ENOSPC);
	ck_assert_int_eq(pst_free(c, all), 0);
	ck_assert_int_eq(pst_gemm(c, &g, PST_FOREVER, NULL), 0);
}
END_TEST

struct job {
	pthread_t thread;
	uint32_t n; /* of a product, or 0: copies to and from a tensor */
	int rounds;
	int result;
	char text[400];
};

static int multiply(struct job *j, float *x)
{
	float *const y = x + (size_t)j->n * j->n, *z = y + (size_t)j->n * j->n;
	const struct pst_gemm_args g = {
		.size = sizeof(struct pst_gemm_args),
		.dtype = PST_F32,
		.m = j->n,
		.n = j->n,
		.k = j->n,
		.lda = j->n,
		.ldb = j->n,
		.ldc = j->n,
		.alpha = 1,
		.a = x,
		.b = y,
		.c = z,
	};
	size_t i;
	int r;

	for (i = 0; i < (size_t)j->n * j->n; i++)
		x[i] = y[i] = 1;
	r = pst_gemm(c, &g, PST_FOREVER, NULL);
	for (i = 0; i < (size_t)j->n * j->n && !r; i++)
		if (z[i] != (float)j->n)
			r = -EILSEQ;
	return r;
}

static int copy(struct job *j, uint8_t *mem)
{
	uint64_t tensor;
	int r;

	r = pst_tensor_create(c, 2 * MIB, &tensor);
	if (r)
		return r;
	memset(mem, 3, 2 * MIB);
	r = pst_upload(c, tensor, 0, mem, 2 * MIB, PST_FOREVER);
	memset(mem, 0, 2 * MIB);
	if (!r)
		r = pst_download(c, mem, tensor, 0, 2 * MIB, PST_FOREVER);
	if (!r && mem[2 * MIB - 1] != 3)
		r = -EILSEQ;
	if (r)
		return r;
	return pst_tensor_destroy(c, tensor);
}

static void *work(void *arg)
{
	struct job *j = arg;
	void *mem = malloc(8 * MIB);
	int i;

	for (i = 0; i < j->rounds && !j->result; i++)
		j->result = j->n ? multiply(j, mem) : copy(j, mem);
	if (j->result)
		pst_last_error(c, j->text, sizeof(j->text));
	free(mem);
	return NULL;
}

static void run(unsigned int n_jobs, uint32_t n, int rounds)
{
	static struct job jobs[80];
	unsigned int i;

	memset(jobs, 0, sizeof(jobs));
	for (i = 0; i < n_jobs; i++) {
		jobs[i].n = i % 4 == 3 ? 0 : n;
		jobs[i].rounds = rounds;
		ck_assert_int_eq(
			pthread_create(&jobs[i].thread, NULL, work, &jobs[i]),
			0);
	}
	for (i = 0; i < n_jobs; i++)
		pthread_join(jobs[i].thread, NULL);
	for (i = 0; i < n_jobs; i++)
		ck_assert_msg(jobs[i].result == 0, "%u: %d %s", i,
			      jobs[i].result, jobs[i].text);
	ck_assert_uint_eq(c->mem.heap.n_staged, 0);
}

/* Each fits alone, together they do not. */
START_TEST(calls_wait_for_the_room_that_others_hold)
{
	run(16, 500, 3);
}
END_TEST

START_TEST(more_calls_than_there_are_places_get_by)
{
	run(80, 64, 5);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, no_room_now_is_one_error_and_never_another);
	tcase_add_test(tc, room_that_no_call_holds_is_not_waited_for);
	tcase_add_test(tc, calls_wait_for_the_room_that_others_hold);
	tcase_add_test(tc, more_calls_than_there_are_places_get_by);
}

int main(void)
{
	return pst_unit_run("client_room", add, 300);
}
