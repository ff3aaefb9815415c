/* SPDX-License-Identifier: MIT */
/* Products that the caller finishes when the agent is hit at a random moment:
 * every element is right. PST_STORM_RUNS: how many (100). */
#include <stdio.h>
#include <stdlib.h>

#include "host-client/lib/session/handshake.h"
#include "tests/fixtures/foreign_fixture.h"
#include "transport/shm.h"

/* A wait ends after so long without a heartbeat. */
#define DEAD_NS (200 * MS)

enum blow { BLOW_KILL, BLOW_STOP, BLOW_EPOCH, N_BLOWS };

static const struct {
	uint32_t dtype, m, n, k;
} shapes[] = {
	{PST_F32, 320, 320, 320},  /* fits whole */
	{PST_F64, 1536, 96, 256},  /* cut in m */
	{PST_F32, 256, 256, 4096}, /* cut in k */
	{PST_BF16, 96, 96, 8192},  /* sums kept in F32 */
	{PST_F16, 700, 200, 128},
};
static const double betas[] = {0, 1, -0.5};

/* A product, its C before, and as it must be. */
struct config {
	struct pst_gemm_args g;
	uint8_t *a, *b, *c, *before, *want;
	uint64_t size, typical_ns;
};

static struct config configs[PST_ARRAY_SIZE(shapes) * PST_ARRAY_SIZE(betas)];

/* op(X), rows x cols, by rows. */
static double *doubles(const struct pst_gemm_args *g, const void *x,
		       uint32_t ld, bool trans, uint32_t rows, uint32_t cols)
{
	double *to = malloc((uint64_t)rows * cols * sizeof(*to));
	uint64_t i, j;

	ck_assert_ptr_nonnull(to);
	for (i = 0; i < rows; i++)
		for (j = 0; j < cols; j++)
			to[i * cols + j] =
				get(x, g->dtype,
				    trans ? at(g, j, i, ld) : at(g, i, j, ld));
	return to;
}

/* What the caller has for a BLAS. Integers: exact in any order. */
static int local(void *arg, const struct pst_gemm_args *g)
{
	double *a = doubles(g, g->a, g->lda, g->transa, g->m, g->k);
	double *b = doubles(g, g->b, g->ldb, g->transb, g->k, g->n);
	double *old = doubles(g, g->c, g->ldc, false, g->m, g->n);
	double *sums = calloc((uint64_t)g->m * g->n, sizeof(*sums));
	uint64_t i, j, l;

	ck_assert(sums && g->batch <= 1);
	for (i = 0; i < g->m; i++)
		for (l = 0; l < g->k; l++)
			for (j = 0; j < g->n; j++)
				sums[i * g->n + j] +=
					a[i * g->k + l] * b[l * g->n + j];
	for (i = 0; i < g->m; i++)
		for (j = 0; j < g->n; j++)
			put(g->c, g->dtype, at(g, i, j, g->ldc),
			    g->alpha * sums[i * g->n + j] +
				    (g->beta == 0
					     ? 0
					     : g->beta * old[i * g->n + j]));
	free(a);
	free(b);
	free(old);
	free(sums);
	if (arg)
		++*(unsigned int *)arg;
	return 0;
}

/* Small: sums are exact in F32, and rounded once to 16 bits. */
static uint8_t *integers(uint32_t dtype, uint64_t elems, unsigned int seed)
{
	uint8_t *x = malloc(elems * pst_dtype_size(dtype));
	uint64_t i;

	ck_assert_ptr_nonnull(x);
	for (i = 0; i < elems; i++) {
		seed = seed * 1664525 + 1013904223;
		put(x, dtype, i, (int)(seed >> 16) % 9 / 4 * 2);
	}
	return x;
}

static void make_config(struct config *x, unsigned int i)
{
	struct pst_gemm_args *g = &x->g;
	const bool cm = i & 1;

	*g = (struct pst_gemm_args)PST_GEMM_INIT;
	g->dtype = shapes[i / PST_ARRAY_SIZE(betas)].dtype;
	g->m = shapes[i / PST_ARRAY_SIZE(betas)].m;
	g->n = shapes[i / PST_ARRAY_SIZE(betas)].n;
	g->k = shapes[i / PST_ARRAY_SIZE(betas)].k;
	g->beta = betas[i % PST_ARRAY_SIZE(betas)];
	g->order = cm ? PST_COL_MAJOR : PST_ROW_MAJOR;
	g->transa = i / 2 & 1;
	g->transb = i / 4 & 1;
	g->lda = (g->transa != cm ? g->m : g->k) + 3;
	g->ldb = (g->transb != cm ? g->k : g->n) + 1;
	g->ldc = (cm ? g->m : g->n) + 2;
	x->a = integers(g->dtype,
			(uint64_t)g->lda * (g->m > g->k ? g->m : g->k), i);
	x->b = integers(g->dtype,
			(uint64_t)g->ldb * (g->n > g->k ? g->n : g->k),
			i + 100);
	x->size = (uint64_t)g->ldc * (cm ? g->n : g->m) *
		  pst_dtype_size(g->dtype);
	x->before =
		integers(g->dtype, x->size / pst_dtype_size(g->dtype), i + 200);
	x->c = malloc(x->size);
	x->want = malloc(x->size);
	ck_assert(x->c && x->want);
	memcpy(x->want, x->before, x->size);
	g->a = x->a;
	g->b = x->b;
	g->c = x->want;
	local(NULL, g);
	g->c = x->c;
}

static void connect_again(void)
{
	const struct pst_options o = {.size = sizeof(o),
				      .dead_ns = DEAD_NS,
				      .timeout_ns = 20000 * MS,
				      .flags = PST_OPEN_WAIT};
	int r;

	pst_close(c);
	c = NULL;
	r = pst_open(agent.uri, &o, &c, text, sizeof(text));
	ck_assert_msg(r == 0, "%s", text);
}

static struct {
	enum blow blow;
	uint64_t at_ns, struck_ns;
} plan;

static void *strike(void *arg)
{
	struct pst_wire_header *hdr = pst_ctl_header(agent.file);
	struct timespec ts = pst_timespec(plan.at_ns);

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
	plan.struck_ns = pst_now_ns();
	if (plan.blow == BLOW_EPOCH)
		pst_shm_store(&hdr->format.epoch,
			      pst_shm_load(&hdr->format.epoch) + 1);
	else
		kill(agent.pid, plan.blow == BLOW_KILL ? SIGKILL : SIGSTOP);
	return NULL;
}

static uint64_t product(struct config *x, unsigned int *ret_local)
{
	const uint64_t start = pst_now_ns();
	int r;

	r = pst_gemm_or(c, &x->g, PST_FOREVER, local, ret_local, NULL);
	pst_last_error(c, text, sizeof(text));
	ck_assert_msg(r >= 0, "%d: %s", r, text);
	ck_assert_int_eq(r, (int)*ret_local);
	return pst_now_ns() - start;
}

static void check_result(const struct config *x, unsigned int run)
{
	uint64_t i;

	/* An assertion of libcheck is a write(2), too dear for each byte. */
	for (i = 0; i < x->size && x->c[i] == x->want[i]; i++)
		;
	ck_assert_msg(i == x->size,
		      "run %u, m %u k %u beta %g, blow %d: byte %" PRIu64
		      " of %" PRIu64 " is wrong (%s)",
		      run, x->g.m, x->g.k, x->g.beta, plan.blow, i, x->size,
		      text);
}

/* The agent is there again. */
static void mend(void)
{
	agent_kill(&agent);
	agent_start(&agent);
	connect_again();
}

START_TEST(a_blow_at_any_moment_leaves_no_wrong_element)
{
	const char *env = getenv("PST_STORM_RUNS");
	const unsigned int runs = env ? (unsigned int)atoi(env) : 100;
	unsigned int i, n_local, inside = 0, finished = 0;
	uint64_t start, took;
	struct config *x;
	pthread_t t;

	srandom((unsigned int)pst_now_ns());
	open_agent(8 * MIB);
	connect_again();
	for (i = 0; i < PST_ARRAY_SIZE(configs); i++) {
		x = &configs[i];
		make_config(x, i);
		n_local = 0;
		memcpy(x->c, x->before, x->size);
		product(x, &n_local);
		memcpy(x->c, x->before, x->size);
		x->typical_ns = product(x, &n_local);
		check_result(x, 0);
		ck_assert_uint_eq(n_local, 0);
	}
	for (i = 0; i < runs; i++) {
		x = &configs[random() % (long)PST_ARRAY_SIZE(configs)];
		memcpy(x->c, x->before, x->size);
		n_local = 0;
		plan.blow = (enum blow)(random() % N_BLOWS);
		start = pst_now_ns() + 100 * PST_NS_PER_US;
		plan.at_ns = start + (uint64_t)random() % x->typical_ns;
		ck_assert_int_eq(pthread_create(&t, NULL, strike, NULL), 0);
		while (pst_now_ns() < start)
			;
		took = product(x, &n_local);
		pthread_join(t, NULL);
		check_result(x, i);
		if (plan.struck_ns >= start && plan.struck_ns < start + took)
			inside++;
		finished += n_local > 0;
		mend();
	}
	printf("# %u blows, %u inside of the call, %u products finished here\n",
	       runs, inside, finished);
	ck_assert_uint_ge(3 * inside, runs);
	ck_assert_uint_gt(finished, 0);
	teardown();
	for (i = 0; i < PST_ARRAY_SIZE(configs); i++) {
		free(configs[i].a);
		free(configs[i].b);
		free(configs[i].c);
		free(configs[i].before);
		free(configs[i].want);
	}
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, a_blow_at_any_moment_leaves_no_wrong_element);
}

int main(void)
{
	return pst_unit_run("client_storm", add, 6000);
}
