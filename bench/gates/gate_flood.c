/* SPDX-License-Identifier: MIT */
/* The gate's figures on floods: a client's NOP while eight other sessions flood
 * the agent. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/clock.h"
#include "bench/gates/gate.h"

#define FLOODS 8U
#define RUN_NS (250 * PST_BENCH_MS)
/* Until all flood. */
#define START_NS   (60 * PST_BENCH_MS)
#define ARENA      (512ULL << 20)
#define TIMEOUT_NS (60 * PST_BENCH_S)
#define PACE_NS    (20 * PST_BENCH_US)
#define LEASE      (16ULL << 20)
/* So many times the quiet p99, or that beside busy loops, whichever is more. */
#define QUIET_TIMES 10
#define BUSY_TIMES  3
#define TENSORS     1000

struct flood {
	const char *name;
	unsigned int figure; /* the worst of its kinds counts */
	/* Once; NULL: nothing. */
	int (*prepare)(struct pst *c);
	int (*once)(struct pst *c);
};

struct state {
	struct pst_bench_agentproc agent;
	struct pst *victim;
};

static int query(struct pst *c, enum pst_topic what)
{
	char *text;
	int r = pst_query(c, what, &text);

	if (!r)
		free(text);
	return r;
}

static int info(struct pst *c)
{
	return query(c, PST_QUERY_INFO);
}

static int health(struct pst *c)
{
	return query(c, PST_QUERY_HEALTH);
}

static int stats(struct pst *c)
{
	return query(c, PST_QUERY_STATS);
}

static int models(struct pst *c)
{
	char *text;
	int r = pst_model_list(c, &text);

	if (!r)
		free(text);
	return r;
}

static int ping(struct pst *c)
{
	uint64_t ns;

	return pst_ping(c, &ns);
}

static int make_tensors(struct pst *c)
{
	uint64_t t;
	int i, r = 0;

	for (i = 0; i < TENSORS && !r; i++)
		r = pst_tensor_create(c, 64, &t);
	return r;
}

static int list_tensors(struct pst *c)
{
	static struct pst_tensor t[TENSORS];

	return pst_tensor_list(c, t, TENSORS) < 0;
}

static int one_tensor(struct pst *c)
{
	uint64_t t;
	int r = pst_tensor_create(c, 64, &t);

	return r ? r : pst_tensor_destroy(c, t);
}

static int lease(struct pst *c)
{
	void *p[2] = {NULL, NULL};
	int i, r = 0;

	/* Two: the library keeps one. There may be none left at the moment. */
	for (i = 0; i < 2 && !r; i++)
		r = pst_alloc(c, LEASE, &p[i]);
	for (i = 0; i < 2; i++)
		if (p[i])
			pst_free(c, p[i]);
	return r == -ENOSPC ? 0 : r;
}

/* As many NOPs as a ring holds, then their completions. */
static int nops(struct pst *c)
{
	struct pst_completion done[64];
	uint64_t tag;

	while (pst_submit_nop(c, 0, &tag) == 0)
		;
	return pst_poll(c, done, 64) < 0;
}

/* The same, each followed by a WAKE. */
static int wakes(struct pst *c)
{
	(void)pst_arm(c);
	return nops(c);
}

static void *refused_mem;

static int make_refused(struct pst *c)
{
	return pst_alloc(c, 4096, &refused_mem);
}

/* Operations that the agent answers with a sentence. */
static int refused(struct pst *c)
{
	const struct pst_model gone = {
		.handle = 1ULL << 32 | 1,
		.n_in = 4,
		.n_out = 4,
		.max_batch = 1,
	};
	const struct pst_infer_args f = {
		.size = sizeof(struct pst_infer_args),
		.model = &gone,
		.rows = 1,
		.in = refused_mem,
		.out = (float *)refused_mem + 512,
		.ld_in = 4,
		.ld_out = 4,
	};
	struct pst_completion done[64];
	uint64_t tag;

	while (pst_submit_infer(c, &f, 0, &tag) == 0)
		;
	return pst_poll(c, done, 64) < 0;
}

static const struct flood floods[] = {
	{"info", 0, NULL, info},
	{"health", 0, NULL, health},
	{"stats", 0, NULL, stats},
	{"models", 0, NULL, models},
	{"ping", 0, NULL, ping},
	{"tensor list", 1, make_tensors, list_tensors},
	{"tensor", 1, NULL, one_tensor},
	{"nop", 2, NULL, nops},
	{"wake", 2, NULL, wakes},
	{"refused", 2, make_refused, refused},
	{"scrub", 3, NULL, lease},
};

#define N_FLOODS (sizeof(floods) / sizeof(*floods))

/* NOPs at times that the victim chooses, not when the last one has let it go:
 * else what takes long would be counted least. Between them it is busy, so that
 * the quiet figure is that of a client that spins. */
static int paced_nops(struct pst_bench_gate *g, struct pst *c,
		      struct pst_bench_hist *h)
{
	const uint64_t begin = pst_bench_now_ns();
	uint64_t start, now = begin;
	int r;

	pst_bench_hist_reset(h);
	while (now - begin < RUN_NS) {
		start = now;
		r = pst_nop(c, TIMEOUT_NS, NULL);
		if (r < 0) {
			pst_last_error(c, g->why, sizeof(g->why));
			return r;
		}
		now = pst_bench_now_ns();
		pst_bench_hist_add(h, now - start);
		while (now - start < PACE_NS)
			now = pst_bench_now_ns();
	}
	return 0;
}

static double us(const struct pst_bench_hist *h, double p)
{
	return (double)pst_bench_hist_percentile(h, p) / (double)PST_BENCH_US;
}

/* A child that floods until it is killed; NULL: one that is only busy. */
static void child(struct pst_bench_gate *g, const struct state *s,
		  const struct flood *f, pid_t parent)
{
	volatile unsigned int i = 0;
	struct pst *c;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	pst_bench_cpus_unpin(&g->cpus);
	while (!f)
		i++;
	if (pst_bench_gate_connect(g, &s->agent, 0, 0, &c) < 0 ||
	    (f->prepare && f->prepare(c)))
		_exit(1);
	while (!f->once(c))
		;
	_exit(1);
}

/* The victim's p99 in us, beside this number of them. */
static int beside(struct pst_bench_gate *g, struct state *s,
		  const struct flood *f, unsigned int n, double *ret)
{
	const struct timespec start = {.tv_nsec = START_NS};
	const pid_t parent = getpid();
	pid_t pids[FLOODS];
	static struct pst_bench_hist hist;
	unsigned int i, ended = 0;
	int r = 0;

	for (i = 0; i < n; i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			child(g, s, f, parent);
		if (pids[i] < 0) {
			r = pst_bench_gate_why(g, -errno, "fork failed");
			break;
		}
	}
	n = i;
	nanosleep(&start, NULL);
	if (!r)
		r = paced_nops(g, s->victim, &hist);
	for (i = 0; i < n; i++) {
		ended += waitpid(pids[i], NULL, WNOHANG) == pids[i];
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
	if (!r && ended)
		r = pst_bench_gate_why(g, -ECHILD,
				       "%u floods of %s ended early", ended,
				       f ? f->name : "nothing");
	*ret = us(&hist, 99);
	if (getenv("PENSTOCK_FLOOD_TABLE"))
		fprintf(stderr, "%-12s p50 %8.1f p99 %8.1f us\n",
			f   ? f->name
			: n ? "busy"
			    : "quiet",
			us(&hist, 50), us(&hist, 99));
	return r;
}

static void flood_close(struct pst_bench_gate *g, void *arg)
{
	struct state *s = arg;

	(void)g;
	if (!s)
		return;
	pst_close(s->victim);
	pst_bench_agentproc_stop(&s->agent);
	free(s);
}

static int flood_open(struct pst_bench_gate *g, void **ret)
{
	struct state *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return pst_bench_gate_why(g, -ENOMEM, "out of memory");
	*ret = s;
	r = pst_bench_gate_agent_scrubs(g, &s->agent, ARENA);
	return r ? r : pst_bench_gate_connect(g, &s->agent, 0, 0, &s->victim);
}

static int flood_pair(struct pst_bench_gate *g, void *arg,
		      struct pst_bench_sample *ret)
{
	struct state *s = arg;
	double quiet, busy, p99, bar;
	size_t i;
	int r;

	r = beside(g, s, NULL, 0, &quiet);
	if (!r)
		r = beside(g, s, NULL, FLOODS, &busy);
	if (r)
		return r;
	bar = QUIET_TIMES * quiet > BUSY_TIMES * busy ? QUIET_TIMES * quiet
						      : BUSY_TIMES * busy;
	for (i = 0; i < PST_BENCH_GATE_FIGURES; i++)
		ret[i] = (struct pst_bench_sample){0, bar};
	for (i = 0; i < N_FLOODS && !r; i++) {
		r = beside(g, s, &floods[i], FLOODS, &p99);
		if (p99 > ret[floods[i].figure].value)
			ret[floods[i].figure].value = p99;
	}
	return r;
}

const struct pst_bench_gate_group pst_bench_gate_flood[] = {
	{"flood",
	 5,
	 flood_open,
	 flood_pair,
	 flood_close,
	 {{"8 floods of requests: a NOP's p99 / what is allowed",
	   "us",
	   {1, false}},
	  {"8 floods of tensors: the same", "us", {1, false}},
	  {"8 floods of NOPs, WAKEs and refusals: the same", "us", {1, false}},
	  {"8 floods of leases that are scrubbed: the same",
	   "us",
	   {1, false}}}},
	{0},
};
