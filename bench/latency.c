/* SPDX-License-Identifier: MIT */
/* penstock bench latency: round trips, beside those of the machine itself. */
#include <errno.h>

#include "bench/bench.h"
#include "bench/clock.h"

/* What a payload is here: a cache line. */
#define PAYLOAD 64U
/* Long enough for both sides to have gone to sleep. */
#define IDLE_NS (2 * PST_BENCH_MS)

enum {
	NOP_SPIN,
	NOTHING,
	NOP_SLEEP,
	NOP_IDLE,
	PING,
	CHECKSUM,
	FIRST_PROBE,
	N_TASKS = FIRST_PROBE + PST_BENCH_PROBE_N
};

static int once_nop(struct pst_bench_task *t, uint64_t *ret_ns,
		    uint64_t *ret_extra_ns)
{
	uint64_t start = pst_bench_now_ns();
	int r = pst_nop(t->c, PST_BENCH_TIMEOUT_NS, NULL);

	*ret_ns = pst_bench_now_ns() - start;
	return r;
}

static int once_ping(struct pst_bench_task *t, uint64_t *ret_ns,
		     uint64_t *ret_extra_ns)
{
	return pst_ping(t->c, ret_ns);
}

static int once_product(struct pst_bench_task *t, uint64_t *ret_ns,
			uint64_t *ret_extra_ns)
{
	uint64_t start = pst_bench_now_ns();
	int r = pst_gemm(t->c, &t->gemm, PST_BENCH_TIMEOUT_NS, NULL);

	*ret_ns = pst_bench_now_ns() - start;
	return r;
}

static int once_checksum(struct pst_bench_task *t, uint64_t *ret_ns,
			 uint64_t *ret_extra_ns)
{
	uint64_t start = pst_bench_now_ns();
	int r = pst_checksum(t->c, t->src, t->n, PST_BENCH_TIMEOUT_NS, NULL);

	*ret_ns = pst_bench_now_ns() - start;
	return r;
}

/* The connections and probes of one run. */
struct latency {
	struct pst *spin, *sleep;
	void *line; /* of spin */
	struct pst_bench_task tasks[N_TASKS];
	unsigned int n;
};

static int add(struct pst_bench *b, struct latency *l, const char *name,
	       enum pst_bench_row_kind kind, const struct pst_bench_task *task)
{
	struct pst_bench_task *t = &l->tasks[l->n];

	*t = *task;
	t->row = pst_bench_new_row(b, "latency", kind, PST_BENCH_ROW_US, name);
	if (!t->row)
		return -ENOMEM;
	l->n++;
	return 0;
}

static int add_probes(struct pst_bench *b, struct latency *l)
{
	const struct pst_bench_cpus *cpus = &b->result.cpus;
	struct pst_bench_task t = {0};
	struct pst_bench_row *row;
	int kind, r;

	for (kind = 0; kind < PST_BENCH_PROBE_N; kind++) {
		/* On one CPU each poll would cost a time slice. */
		if (kind == PST_BENCH_PROBE_LINES &&
		    cpus->client == cpus->peer) {
			row = pst_bench_new_row(
				b, "latency", PST_BENCH_ROW_PROBE,
				PST_BENCH_ROW_US, pst_bench_probe_name(kind));
			if (!row)
				return -ENOMEM;
			snprintf(row->note, sizeof(row->note),
				 "there is one CPU only");
			continue;
		}
		r = pst_bench_probe_open(kind, cpus->peer, &t.probe);
		if (r < 0)
			return pst_bench_failed(b, NULL, r);
		r = add(b, l, pst_bench_probe_name(kind), PST_BENCH_ROW_PROBE,
			&t);
		if (r < 0) {
			pst_bench_probe_close(t.probe);
			return r;
		}
		if (kind == PST_BENCH_PROBE_UNIX)
			l->tasks[l->n - 1].row->bytes = PAYLOAD;
	}
	return 0;
}

/* No terms, and C stays as it is: nobody touches memory. */
static struct pst_gemm_args nothing(void *line)
{
	return (struct pst_gemm_args){
		.size = sizeof(struct pst_gemm_args),
		.dtype = PST_F32,
		.m = 4,
		.n = 4,
		.lda = 1,
		.ldb = 4,
		.ldc = 4,
		.alpha = 1,
		.beta = 1,
		.c = line,
	};
}

static int add_all(struct pst_bench *b, struct latency *l)
{
	struct pst_bench_task t = {.c = l->spin, .once = once_nop};
	int r;

	r = add(b, l, "NOP, spinning", PST_BENCH_ROW_PENSTOCK, &t);
	t.gemm = nothing(l->line);
	t.once = once_product;
	if (!r)
		r = add(b, l, "product of nothing, spinning",
			PST_BENCH_ROW_PENSTOCK, &t);
	t.src = l->line;
	t.n = PAYLOAD;
	t.once = once_checksum;
	if (!r)
		r = add(b, l, "read of 64 bytes, spinning",
			PST_BENCH_ROW_PENSTOCK, &t);
	t = (struct pst_bench_task){.c = l->sleep, .once = once_nop};
	if (!r)
		r = add(b, l, "NOP, client sleeping", PST_BENCH_ROW_PENSTOCK,
			&t);
	t.before_ns = IDLE_NS;
	if (!r)
		r = add(b, l, "NOP, both asleep before", PST_BENCH_ROW_PENSTOCK,
			&t);
	t.before_ns = 0;
	t.once = once_ping;
	if (!r)
		r = add(b, l, "PING over the control socket",
			PST_BENCH_ROW_PENSTOCK, &t);
	return r ? r : add_probes(b, l);
}

int pst_bench_latency(struct pst_bench *b)
{
	struct latency l = {0};
	unsigned int i;
	int r;

	r = pst_bench_connect(b, UINT64_MAX, 0, &l.spin);
	if (!r)
		r = pst_bench_connect(b, 0, PST_OPEN_NO_SPIN, &l.sleep);
	if (!r) {
		r = pst_alloc(l.spin, PAYLOAD, &l.line);
		if (r < 0)
			pst_bench_failed(b, l.spin, r);
	}
	if (!r)
		r = add_all(b, &l);
	if (!r)
		r = pst_bench_rounds(b, "latency", l.tasks, l.n, b->budget_ns);
	for (i = 0; i < l.n; i++)
		pst_bench_probe_close(l.tasks[i].probe);
	pst_close(l.spin);
	pst_close(l.sleep);
	return r;
}
