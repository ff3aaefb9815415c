/* SPDX-License-Identifier: MIT */
/* Results of benchmarks as JSON. */
#include <string.h>

#include "bench/clock.h"
#include "bench/result.h"

/* A string of the kernel or the agent; null for what is no UTF-8. */
static json_t *text(const char *s)
{
	json_t *v = s ? json_string(s) : NULL;

	return v ? v : json_null();
}

static json_t *number(uint64_t v)
{
	return json_integer((json_int_t)v);
}

/* From the client's CPU to the other one; null when there is no other. */
static json_t *distance_object(const struct pst_bench_result *r)
{
	if (r->distance_ns <= 0)
		return json_null();
	return json_pack("{s:i, s:f}", "cpu", r->cpus.peer, "two_lines_us",
			 r->distance_ns / (double)PST_BENCH_US);
}

static json_t *machine_object(const struct pst_bench_result *r)
{
	const struct pst_bench_machine *m = &r->machine;
	json_t *pools = json_array();
	unsigned int i;

	for (i = 0; i < m->n_pools; i++)
		json_array_append_new(
			pools, json_pack("{s:o, s:o, s:o}", "page_size",
					 number(m->pools[i].page), "total",
					 number(m->pools[i].total), "free",
					 number(m->pools[i].free)));
	return json_pack(
		"{s:o, s:o, s:b, s:o, s:i, s:i, s:i, s:o, s:o, s:o, s:o, s:f, "
		"s:{s:o, s:f}, s:o, s:o}",
		"cpu", text(m->cpu), "kernel", text(m->kernel), "virtual",
		m->virtual, "governor", text(m->governor), "cpus_online",
		m->n_online, "cpus_allowed", m->n_allowed, "numa_nodes",
		m->n_nodes, "memory", number(m->memory), "page_size",
		number(m->page), "hugepages", pools, "transparent_hugepages",
		text(m->thp), "load", m->load, "clock", "source",
		text(m->clock), "read_ns", m->clock_ns, "client_cpu",
		json_integer(r->cpus.client), "distance", distance_object(r));
}

/* [[upper end in ns, values], ...] of the buckets that are not empty. */
static json_t *buckets(const struct pst_bench_hist *h)
{
	json_t *array = json_array(), *pair;
	unsigned int i;

	for (i = 0; i < PST_BENCH_HIST_BUCKETS; i++) {
		if (!h->count[i])
			continue;
		pair = json_pack("[o, o]", number(pst_bench_hist_high(i)),
				 number(h->count[i]));
		json_array_append_new(array, pair);
	}
	return array;
}

static json_t *row_object(const struct pst_bench_row *row)
{
	static const struct {
		const char *key;
		double p;
	} percents[] = {{"p50", 50},
			{"p90", 90},
			{"p99", 99},
			{"p99.9", 99.9},
			{"worst", 100}};
	double low, high;
	json_t *o;
	size_t i;

	o = json_pack("{s:s, s:o, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:i}",
		      "bench", row->bench, "name", text(row->name), "kind",
		      pst_bench_row_kind_name(row->kind), "unit",
		      pst_bench_row_unit_name(row->unit), "m", number(row->m),
		      "n", number(row->n), "k", number(row->k), "bytes",
		      number(row->bytes), "page_size", number(row->page),
		      "count", number(row->all.n), "repeats",
		      (int)row->n_repeats);
	if (row->all.n == 0) {
		json_object_set_new(o, "not_measured", text(row->note));
		return o;
	}
	for (i = 0; i < sizeof(percents) / sizeof(*percents); i++)
		json_object_set_new(o, percents[i].key,
				    json_real(pst_bench_row_percentile(
					    row, percents[i].p)));
	pst_bench_row_noise(row, &low, &high);
	json_object_set_new(o, "noise",
			    json_pack("{s:f, s:f}", "min", low, "max", high));
	if (strcmp(row->bench, "latency") == 0)
		json_object_set_new(o, "histogram_ns", buckets(&row->all));
	return o;
}

json_t *pst_bench_result_json(const struct pst_bench_result *r)
{
	json_t *rows = json_array();
	unsigned int i;

	for (i = 0; i < r->n_rows; i++)
		json_array_append_new(rows, row_object(r->rows[i]));
	return json_pack(
		"{s:i, s:o, s:o, s:s, s:b, s:f, s:o, s:O, s:o, s:o, s:o}",
		"schema", PST_BENCH_RESULT_SCHEMA, "date",
		text(r->machine.date), "endpoint", text(r->endpoint),
		"revision", pst_bench_revision(), "emulated", r->emulated,
		"seconds", r->seconds, "machine", machine_object(r), "agent",
		r->agent, "agent_cpu",
		r->agent_pinned ? json_integer(r->cpus.peer) : json_null(),
		"blas", r->blas[0] ? text(r->blas) : json_null(), "results",
		rows);
}
