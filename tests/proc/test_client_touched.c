/* SPDX-License-Identifier: MIT */
/* Whether a product that failed has written to C, at each stage. */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>

#include "host-client/lib/session/conn.h"
#include "tests/fixtures/fake_agent.h"
#include "tests/fixtures/unit.h"

#define MS PST_NS_PER_MS
/* A product in several pieces, which the fake agent computes in no time. */
#define M 2048U
#define N 256U
#define K 64U

static struct fake fake;
static struct pst *c;
static char text[400];
static uint8_t *a, *b, *mine, *before;

static void connect_again(void)
{
	int r = pst_open(fake.uri, NULL, &c, text, sizeof(text));

	ck_assert_msg(r == 0, "%s", text);
}

static void setup(void)
{
	memset(&fake, 0, sizeof(fake));
	fake_open(&fake);
	connect_again();
	a = calloc(M * K, 8);
	b = calloc(K * N, 8);
	mine = malloc(M * N * 8);
	before = malloc(M * N * 8);
	ck_assert(a && b && mine && before);
	memset(mine, 0x11, M * N * 8);
	memcpy(before, mine, M * N * 8);
}

static void teardown(void)
{
	pst_close(c);
	fake_close(&fake);
	free(a);
	free(b);
	free(mine);
	free(before);
}

static struct pst_gemm_args product(uint32_t dtype, void *to)
{
	return (struct pst_gemm_args){
		.size = sizeof(struct pst_gemm_args),
		.dtype = dtype,
		.m = M,
		.n = N,
		.k = K,
		.lda = K,
		.ldb = N,
		.ldc = N,
		.alpha = 1,
		.beta = 1,
		.a = a,
		.b = b,
		.c = to,
	};
}

/* What the rule promises. Returns what the call said. */
static int check_failed(int r)
{
	int touched;

	ck_assert_int_lt(r, 0);
	touched = pst_c_touched(c);
	if (!touched)
		ck_assert_int_eq(memcmp(mine, before, M * N * 8), 0);
	memcpy(mine, before, M * N * 8);
	return touched;
}

/* What an agent holds has been given to it before the call gives up; on a busy
 * machine not at the first try. */
static bool times_out_touched(const struct pst_gemm_args *g)
{
	uint64_t ns;

	for (ns = 100 * MS; ns < PST_HANG_NS; ns *= 2) {
		ck_assert_int_eq(pst_gemm(c, g, ns, NULL), -ETIMEDOUT);
		if (pst_c_touched(c))
			return true;
	}
	return false;
}

START_TEST(what_is_refused_has_touched_nothing)
{
	struct pst_gemm_args g = product(PST_F32, mine);

	g.ldb = 1;
	ck_assert_int_eq(check_failed(pst_gemm(c, &g, PST_HANG_NS, NULL)), 0);
	g = product(PST_F32, NULL);
	ck_assert_int_eq(check_failed(pst_gemm(c, &g, PST_HANG_NS, NULL)), 0);
	/* Also where the call before did. */
	fake.hold = true;
	g = product(PST_F32, NULL);
	ck_assert_int_eq(pst_alloc(c, 1024, &g.c), 0);
	g.m = g.n = g.k = g.lda = g.ldb = g.ldc = 8;
	ck_assert(times_out_touched(&g));
	g.ldc = 1;
	ck_assert_int_eq(check_failed(pst_gemm(c, &g, 100 * MS, NULL)), 0);
}
END_TEST

START_TEST(c_in_a_buffer_is_the_agents_from_the_start)
{
	struct pst_gemm_args g = product(PST_F32, NULL);
	struct pst_completion done;
	uint64_t tag;
	void *mem;

	ck_assert_int_eq(pst_alloc(c, 3 * 256, &mem), 0);
	g.m = g.n = g.k = g.lda = g.ldb = g.ldc = 8;
	g.a = mem;
	g.b = (uint8_t *)mem + 256;
	g.c = (uint8_t *)mem + 512;
	fake.hold = true;
	ck_assert(times_out_touched(&g));
	ck_assert_int_eq(pst_submit_gemm(c, &g, 0, &tag), 0);
	fake.hang_up = true;
	ck_assert_int_eq(pst_wait(c, tag, 10000 * MS, &done), -ECONNRESET);
	ck_assert_int_eq(pst_c_touched(c), 1);
	/* Of a session that is lost already nothing is sent. */
	ck_assert_int_eq(pst_gemm(c, &g, 100 * MS, NULL), -ESTALE);
	ck_assert_int_eq(pst_c_touched(c), 0);
}
END_TEST

START_TEST(nothing_is_touched_before_the_first_piece_is_there)
{
	struct pst_gemm_args g = product(_i % 2 ? PST_F16 : PST_F32, mine);

	if (_i < 2) {
		fake.hold = true;
		ck_assert_int_eq(check_failed(pst_gemm(c, &g, 300 * MS, NULL)),
				 0);
	} else {
		fake.mute = true;
		ck_assert_int_eq(check_failed(pst_gemm(c, &g, 300 * MS, NULL)),
				 0);
	}
}
END_TEST

static atomic_int left;
static atomic_bool dies;

/* The agent stops, or dies, after so many operations. */
static void count(struct pst_wire_cqe *cqe)
{
	if (atomic_fetch_sub(&left, 1) > 1)
		return;
	if (atomic_load(&dies))
		shutdown(fake.conn, SHUT_RDWR);
	cqe->status = PST_WIRE_EIO;
}

/* However far it came, what is said to be untouched is. */
START_TEST(an_agent_that_fails_at_any_stage_leaves_what_is_called_untouched)
{
	struct pst_gemm_args g = product(_i % 2 ? PST_F16 : PST_F32, mine);
	unsigned int said[2] = {0, 0};
	int i, r;

	atomic_store(&dies, _i >= 2);
	for (i = 1; i < 100; i++) {
		atomic_store(&left, i);
		fake.complete = count;
		r = pst_gemm(c, &g, 20000 * MS, NULL);
		if (r == 0)
			break;
		said[check_failed(r)]++;
		fake.complete = NULL;
		pst_close(c);
		connect_again();
	}
	ck_assert_int_gt(i, 1);
	ck_assert_uint_gt(said[0], 0);
	/* Of one that dies the last results may all be lost with it. */
	if (_i < 2)
		ck_assert_uint_gt(said[1], 0);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, what_is_refused_has_touched_nothing);
	tcase_add_test(tc, c_in_a_buffer_is_the_agents_from_the_start);
	tcase_add_loop_test(
		tc, nothing_is_touched_before_the_first_piece_is_there, 0, 4);
	tcase_add_loop_test(
		tc,
		an_agent_that_fails_at_any_stage_leaves_what_is_called_untouched,
		0, 4);
}

int main(void)
{
	return pst_unit_run("client_touched", add, 120);
}
