/* SPDX-License-Identifier: MIT */
/* Results of benchmarks: rows, and their forms as table and CSV. */
#include "bench/result.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bench/clock.h"

void pst_bench_result_done(struct pst_bench_result *r)
{
	unsigned int i;

	for (i = 0; i < r->n_rows; i++)
		free(r->rows[i]);
	free(r->rows);
	json_decref(r->agent);
	*r = (struct pst_bench_result){0};
}

struct pst_bench_row *pst_bench_result_add(struct pst_bench_result *r,
					   const char *bench,
					   enum pst_bench_row_kind kind,
					   enum pst_bench_row_unit unit,
					   const char *name)
{
	struct pst_bench_row *row, **rows;
	unsigned int room;

	if (r->n_rows == r->n_room) {
		room = r->n_room ? 2 * r->n_room : 32;
		rows = realloc(r->rows, room * sizeof(struct pst_bench_row *));
		if (!rows)
			return NULL;
		r->rows = rows;
		r->n_room = room;
	}
	row = calloc(1, sizeof(*row));
	if (!row)
		return NULL;
	row->bench = bench;
	row->kind = kind;
	row->unit = unit;
	snprintf(row->name, sizeof(row->name), "%s", name);
	r->rows[r->n_rows++] = row;
	return row;
}

void pst_bench_row_repeat(struct pst_bench_row *row)
{
	if (row->one.n == 0 || row->n_repeats == PST_BENCH_STATS_MAX)
		return;
	row->medians_ns[row->n_repeats++] =
		(double)pst_bench_hist_percentile(&row->one, 50);
	pst_bench_hist_merge(&row->all, &row->one);
	pst_bench_hist_reset(&row->one);
}

/* Nanoseconds in the row's unit; of a rate, larger is better. */
static double value(const struct pst_bench_row *row, double ns)
{
	if (row->unit == PST_BENCH_ROW_US)
		return ns / (double)PST_BENCH_US;
	/* Bytes in a nanosecond are GB/s. */
	return ns > 0 ? (double)row->bytes / ns : 0;
}

double pst_bench_row_percentile(const struct pst_bench_row *row, double p)
{
	return value(row, (double)pst_bench_hist_percentile(&row->all, p));
}

void pst_bench_row_noise(const struct pst_bench_row *row, double *ret_min,
			 double *ret_max)
{
	double a = value(row, pst_bench_min(row->medians_ns, row->n_repeats));
	double b = value(row, pst_bench_max(row->medians_ns, row->n_repeats));

	*ret_min = a < b ? a : b;
	*ret_max = a < b ? b : a;
}

const char *pst_bench_row_kind_name(enum pst_bench_row_kind kind)
{
	static const char *const names[] = {"penstock", "probe", "copy", "blas",
					    "onnx"};

	return names[kind];
}

const char *pst_bench_row_unit_name(enum pst_bench_row_unit unit)
{
	return unit == PST_BENCH_ROW_US ? "us" : "GB/s";
}

/* ---- The table ---------------------------------------------------------- */

/* What comes from elsewhere must not steer a terminal. */
static void print_text(const char *s, FILE *to)
{
	for (; *s; s++)
		fputc(*s >= ' ' && *s <= '~' ? *s : '?', to);
}

static void print_pair(const char *key, const char *value, FILE *to)
{
	fprintf(to, "%-10s ", key);
	print_text(value, to);
	fputc('\n', to);
}

static void size_text(uint64_t bytes, char *buf, size_t size)
{
	static const char units[] = "BKMGT";
	unsigned int i = 0;

	while (bytes >= 1024 && bytes % 1024 == 0 && units[i + 1]) {
		bytes /= 1024;
		i++;
	}
	if (i)
		snprintf(buf, size, "%" PRIu64 " %ciB", bytes, units[i]);
	else
		snprintf(buf, size, "%" PRIu64 " B", bytes);
}

static void print_machine(const struct pst_bench_result *r, FILE *to)
{
	const struct pst_bench_machine *m = &r->machine;
	char text[192], page[32], agent[32];
	unsigned int i;

	print_pair("date", m->date, to);
	snprintf(text, sizeof(text), "%s, %d CPU%s%s, %.1f GiB, load %.2f",
		 m->cpu, m->n_online, m->n_online == 1 ? "" : "s",
		 m->virtual ? " of a virtual machine" : "",
		 (double)m->memory / (double)(1U << 30), m->load);
	print_pair("machine", text, to);
	print_pair("kernel", m->kernel, to);
	agent[0] = '\0';
	if (r->agent_pinned)
		snprintf(agent, sizeof(agent), ", agent on CPU %d",
			 r->cpus.peer);
	snprintf(text, sizeof(text),
		 "client on CPU %d%s; governor %s; %d NUMA node%s",
		 r->cpus.client, agent, m->governor, m->n_nodes,
		 m->n_nodes == 1 ? "" : "s");
	print_pair("CPUs", text, to);
	if (r->distance_ns > 0)
		snprintf(text, sizeof(text),
			 "two cache lines, CPU %d to CPU %d and back: %.2f us",
			 r->cpus.client, r->cpus.peer,
			 r->distance_ns / (double)PST_BENCH_US);
	else
		snprintf(text, sizeof(text),
			 "unknown: one CPU is all there is to use");
	print_pair("distance", text, to);
	snprintf(text, sizeof(text), "%s; reading it takes %.0f ns", m->clock,
		 m->clock_ns);
	print_pair("clock", text, to);
	for (i = 0; i < m->n_pools; i++) {
		size_text(m->pools[i].page, page, sizeof(page));
		snprintf(text, sizeof(text),
			 "%s: %" PRIu64 " of %" PRIu64 " free", page,
			 m->pools[i].free, m->pools[i].total);
		print_pair("hugepages", text, to);
	}
}

static const char *agent_text(const struct pst_bench_result *r, const char *key)
{
	const char *s = json_string_value(json_object_get(r->agent, key));

	return s && *s ? s : "-";
}

static void print_agent(const struct pst_bench_result *r, FILE *to)
{
	const json_t *page = json_object_get(r->agent, "page_size");
	char text[256], size[32];

	print_pair("endpoint", r->endpoint, to);
	size_text((uint64_t)json_integer_value(page), size, sizeof(size));
	snprintf(text, sizeof(text), "%s, %s, %s, %s pages",
		 agent_text(r, "backend"), agent_text(r, "provider"),
		 agent_text(r, "caching"), size);
	print_pair("agent", text, to);
	snprintf(text, sizeof(text), "library %s, agent %s, revision %s",
		 agent_text(r, "library"), agent_text(r, "version"),
		 pst_bench_revision());
	print_pair("versions", text, to);
	if (r->blas[0])
		print_pair("in process", r->blas, to);
	if (r->emulated)
		print_pair("NOTE",
			   "the agent runs on an emulated CPU: this checks "
			   "function, not speed",
			   to);
}

static void row_title(const struct pst_bench_row *row, char *buf, size_t size)
{
	char text[32] = "", page[32];
	size_t n;

	if (row->m && row->m == row->n && row->n == row->k)
		snprintf(text, sizeof(text), " n=%" PRIu64, row->n);
	else if (row->m)
		snprintf(text, sizeof(text),
			 " %" PRIu64 "x%" PRIu64 "x%" PRIu64, row->m, row->n,
			 row->k);
	else if (row->bytes) {
		text[0] = ' ';
		size_text(row->bytes, text + 1, sizeof(text) - 1);
	}
	n = (size_t)snprintf(buf, size, "%s%s", row->name, text);
	if (row->page && n < size) {
		size_text(row->page, page, sizeof(page));
		snprintf(buf + n, size - n, ", %s pages", page);
	}
}

static void print_row(const struct pst_bench_row *row, FILE *to)
{
	char title[96];
	double low, high;

	row_title(row, title, sizeof(title));
	fprintf(to, "%-50s ", title);
	if (row->all.n == 0) {
		fprintf(to, "not measured: ");
		print_text(row->note, to);
		fputc('\n', to);
		return;
	}
	pst_bench_row_noise(row, &low, &high);
	if (row->unit == PST_BENCH_ROW_GBPS)
		fprintf(to, "%9.2f %9.2f %9s %9s %9.2f", /* worst is max ns */
			pst_bench_row_percentile(row, 50),
			pst_bench_row_percentile(row, 90), "", "",
			pst_bench_row_percentile(row, 100));
	else
		fprintf(to, "%9.2f %9.2f %9.2f %9.2f %9.2f",
			pst_bench_row_percentile(row, 50),
			pst_bench_row_percentile(row, 90),
			pst_bench_row_percentile(row, 99),
			pst_bench_row_percentile(row, 99.9),
			pst_bench_row_percentile(row, 100));
	fprintf(to, "  %.2f..%.2f\n", low, high);
}

void pst_bench_result_print(const struct pst_bench_result *r, FILE *to)
{
	const struct pst_bench_row *row, *last = NULL;
	char heading[64];
	unsigned int i;

	print_machine(r, to);
	print_agent(r, to);
	for (i = 0; i < r->n_rows; i++) {
		row = r->rows[i];
		if (!last || strcmp(row->bench, last->bench) != 0 ||
		    row->unit != last->unit) {
			snprintf(heading, sizeof(heading), "%s, %s", row->bench,
				 pst_bench_row_unit_name(row->unit));
			fprintf(to, "\n%-50s %9s %9s %9s %9s %9s  %s\n",
				heading, "p50", "p90",
				row->unit == PST_BENCH_ROW_US ? "p99" : "",
				row->unit == PST_BENCH_ROW_US ? "p99.9" : "",
				row->unit == PST_BENCH_ROW_US ? "max" : "worst",
				"medians");
		}
		print_row(row, to);
		last = row;
	}
}

/* ---- CSV ---------------------------------------------------------------- */

static void print_csv_text(const char *s, FILE *to)
{
	fputc('"', to);
	for (; *s; s++) {
		if (*s == '"')
			fputc('"', to);
		fputc(*s >= ' ' && *s <= '~' ? *s : '?', to);
	}
	fputc('"', to);
}

void pst_bench_result_print_csv(const struct pst_bench_result *r, FILE *to)
{
	static const double percents[] = {50, 90, 99, 99.9, 100};
	const struct pst_bench_row *row;
	double low, high;
	unsigned int i, j;

	fprintf(to, "bench,name,kind,unit,m,n,k,bytes,page_size,count,repeats,"
		    "p50,p90,p99,p99.9,worst,noise_min,noise_max,emulated\n");
	for (i = 0; i < r->n_rows; i++) {
		row = r->rows[i];
		fprintf(to, "%s,", row->bench);
		print_csv_text(row->name, to);
		fprintf(to,
			",%s,%s,%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64
			",%" PRIu64 ",%" PRIu64 ",%u",
			pst_bench_row_kind_name(row->kind),
			pst_bench_row_unit_name(row->unit), row->m, row->n,
			row->k, row->bytes, row->page, row->all.n,
			row->n_repeats);
		for (j = 0; j < sizeof(percents) / sizeof(*percents); j++)
			if (row->all.n)
				fprintf(to, ",%.6g",
					pst_bench_row_percentile(row,
								 percents[j]));
			else
				fputc(',', to);
		pst_bench_row_noise(row, &low, &high);
		if (row->all.n)
			fprintf(to, ",%.6g,%.6g", low, high);
		else
			fprintf(to, ",,");
		fprintf(to, ",%s\n", r->emulated ? "yes" : "no");
	}
}
