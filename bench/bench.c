/* SPDX-License-Identifier: MIT */
/* Common to all benchmarks: connect, describe, measure in turn. */
#include "bench/bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/clock.h"

/* A private agent first gives a large region its memory. */
#define OPEN_NS (60 * PST_BENCH_S)
/* One measurement of the probe. */
#define DISTANCE_NS (20 * PST_BENCH_MS)

int pst_bench_failed(struct pst_bench *b, struct pst *c, int r)
{
	if (c)
		pst_last_error(c, b->error, sizeof(b->error));
	if (!c || !b->error[0])
		snprintf(b->error, sizeof(b->error), "%s", pst_strerror(r));
	return r;
}

int pst_bench_connect(struct pst_bench *b, uint64_t spin_ns, uint32_t flags,
		      struct pst **ret)
{
	const struct pst_options options = {
		.size = sizeof(options),
		.timeout_ns = OPEN_NS,
		.spin_ns = spin_ns,
		.flags = flags,
		.name = "penstock bench",
	};
	const struct pst_bench_cpus *cpus = &b->result.cpus;
	int r;

	/* A process inherits its CPUs from the thread that starts it. */
	if (b->result.agent_pinned)
		(void)pst_bench_cpus_pin(cpus->peer);
	else
		(void)pst_bench_cpus_unpin(cpus);
	r = pst_open(b->endpoint, &options, ret, b->error, sizeof(b->error));
	(void)pst_bench_cpus_pin(cpus->client);
	return r < 0 && !b->error[0] ? pst_bench_failed(b, NULL, r) : r;
}

/* Two ends on two CPUs need an agent that we start, and no second thread of
 * it on the same CPU. */
static bool can_pin_agent(const char *endpoint,
			  const struct pst_bench_cpus *cpus)
{
	const char *threads;

	if (!endpoint || strncmp(endpoint, "spawn:", 6) != 0 ||
	    cpus->client == cpus->peer)
		return false;
	threads = strstr(endpoint, "threads=");
	return !threads || strtoul(threads + 8, NULL, 10) == 1;
}

/* The distance of the two CPUs: one measurement of the probe. */
static int measure_distance(struct pst_bench *b)
{
	struct pst_bench_result *res = &b->result;
	struct pst_bench_probe *probe = NULL;
	struct pst_bench_hist *h;
	int r;

	if (res->cpus.client == res->cpus.peer)
		return 0;
	h = calloc(1, sizeof(*h));
	r = h ? pst_bench_probe_open(PST_BENCH_PROBE_LINES, res->cpus.peer,
				     &probe)
	      : -ENOMEM;
	if (!r)
		r = pst_bench_probe_run(probe, DISTANCE_NS, 100, h);
	if (!r)
		res->distance_ns = (double)pst_bench_hist_percentile(h, 50);
	pst_bench_probe_close(probe);
	free(h);
	return r < 0 ? pst_bench_failed(b, NULL, r) : 0;
}

/* The agent's own words, as far as results need them. */
static void describe_agent(struct pst_bench *b)
{
	json_t *agent = NULL, *backend;
	json_t *o = json_object();
	char *text = NULL;

	if (pst_query(b->c, PST_QUERY_INFO, &text) == 0)
		agent = json_loads(text, 0, NULL);
	free(text);
	backend = json_object_get(agent, "backend");
	b->threads = (uint32_t)json_integer_value(
		json_object_get(backend, "threads"));
	json_object_set_new(o, "library", json_string(pst_version()));
	json_object_set(o, "version", json_object_get(agent, "version"));
	json_object_set(o, "backend", json_object_get(backend, "describe"));
	json_object_set(o, "threads", json_object_get(backend, "threads"));
	json_object_set(o, "provider", json_object_get(agent, "provider"));
	json_object_set(o, "caching", json_object_get(agent, "caching"));
	json_object_set(o, "kernel", json_object_get(agent, "kernel"));
	json_object_set(o, "gpu_registration",
			json_object_get(agent, "gpu_registration"));
	json_object_set_new(o, "driver", json_string(b->info.driver));
	json_object_set_new(o, "cuda", json_string(b->info.cuda));
	json_object_set_new(o, "cublas", json_string(b->info.cublas));
	json_object_set_new(o, "arena_size",
			    json_integer((json_int_t)b->info.arena_size));
	json_object_set_new(o, "page_size", json_integer(b->info.page_size));
	json_decref(agent);
	b->result.agent = o;
}

int pst_bench_open(struct pst_bench *b)
{
	struct pst_bench_result *res = &b->result;
	int r;

	r = pst_bench_cpus_choose(&res->cpus);
	if (r < 0)
		return pst_bench_failed(b, NULL, r);
	pst_bench_machine_read(&res->machine, "", &res->cpus);
	res->endpoint = b->endpoint;
	res->seconds = (double)b->budget_ns / (double)PST_BENCH_S;
	res->agent_pinned = can_pin_agent(b->endpoint, &res->cpus);
	r = pst_bench_connect(b, 0, 0, &b->c);
	if (r < 0)
		return r;
	b->info.size = sizeof(b->info);
	r = pst_get_info(b->c, &b->info);
	if (r < 0)
		return pst_bench_failed(b, b->c, r);
	res->emulated = b->info.emulated;
	describe_agent(b);
	return measure_distance(b);
}

void pst_bench_close(struct pst_bench *b)
{
	(void)pst_bench_cpus_unpin(&b->result.cpus);
	pst_close(b->c);
	b->c = NULL;
	pst_bench_result_done(&b->result);
}

struct pst_bench_row *pst_bench_new_row(struct pst_bench *b, const char *bench,
					enum pst_bench_row_kind kind,
					enum pst_bench_row_unit unit,
					const char *name)
{
	struct pst_bench_row *row =
		pst_bench_result_add(&b->result, bench, kind, unit, name);

	if (!row)
		snprintf(b->error, sizeof(b->error), "out of memory");
	return row;
}

static void sleep_ns(uint64_t ns)
{
	const struct timespec ts = {
		.tv_sec = (time_t)(ns / PST_BENCH_S),
		.tv_nsec = (long)(ns % PST_BENCH_S),
	};

	if (ns)
		nanosleep(&ts, NULL);
}

/* One task for slice_ns; what is measured is kept only if asked to. */
static int measure(struct pst_bench *b, struct pst_bench_task *t,
		   uint64_t slice_ns, bool keep)
{
	const uint64_t start = pst_bench_now_ns();
	uint64_t ns = 0, extra = 0;
	int r;

	if (t->probe) {
		r = pst_bench_probe_run(t->probe, slice_ns, 1, &t->row->one);
		if (r < 0)
			return pst_bench_failed(b, NULL, r);
	}
	while (!t->probe) {
		sleep_ns(t->before_ns);
		r = t->once(t, &ns, &extra);
		if (r < 0)
			return pst_bench_failed(b, t->c, r);
		pst_bench_hist_add(&t->row->one, ns);
		if (t->extra)
			pst_bench_hist_add(&t->extra->one, extra);
		if (pst_bench_now_ns() - start >= slice_ns)
			break;
	}
	if (!keep) {
		pst_bench_hist_reset(&t->row->one);
		if (t->extra)
			pst_bench_hist_reset(&t->extra->one);
	}
	pst_bench_row_repeat(t->row);
	if (t->extra)
		pst_bench_row_repeat(t->extra);
	return 0;
}

int pst_bench_rounds(struct pst_bench *b, const char *what,
		     struct pst_bench_task *tasks, unsigned int n,
		     uint64_t budget_ns)
{
	const uint64_t slice = n ? budget_ns / (n * PST_BENCH_REPEATS) : 0;
	char text[96];
	unsigned int i, round;
	int r;

	for (round = 0; round <= PST_BENCH_REPEATS; round++) {
		snprintf(text, sizeof(text), "%s, repeat %u of %u", what,
			 round ? round : 1, PST_BENCH_REPEATS);
		if (b->progress)
			b->progress(b->arg, text);
		for (i = 0; i < n; i++) {
			/* The first round warms up. */
			r = measure(b, &tasks[i], round ? slice : slice / 8,
				    round > 0);
			if (r < 0)
				return r;
		}
	}
	return 0;
}
