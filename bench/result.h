/* SPDX-License-Identifier: MIT */
/* Results of benchmarks: rows, and their forms as table, CSV and JSON. */
#ifndef PST_BENCH_RESULT_H
#define PST_BENCH_RESULT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "bench/hist.h"
#include "bench/machine.h"
#include "bench/stats.h"

#define PST_BENCH_RESULT_SCHEMA 1

/* What a row measures. */
enum pst_bench_row_kind {
	PST_BENCH_ROW_PENSTOCK, /* ours */
	PST_BENCH_ROW_PROBE,    /* what the machine takes for a round trip */
	PST_BENCH_ROW_COPY,     /* what the machine can copy */
	PST_BENCH_ROW_BLAS,     /* the same product in this process */
	PST_BENCH_ROW_ONNX,     /* the same model in this process */
};

/* A time, or a rate of bytes. */
enum pst_bench_row_unit { PST_BENCH_ROW_US, PST_BENCH_ROW_GBPS };

/*
 * One measurement, repeated. The histogram holds nanoseconds of all repeats;
 * medians_ns the median of each, whose smallest and largest are its noise.
 */
struct pst_bench_row {
	const char *bench; /* "latency" ... */
	char name[48];     /* "NOP, spinning" */
	enum pst_bench_row_kind kind;
	enum pst_bench_row_unit unit;
	uint64_t m, n, k; /* of a product, else 0 */
	uint64_t bytes;   /* moved a time, else 0 */
	uint64_t page;    /* page size of the memory, 0: does not matter */
	char note[96];    /* why it was not measured; then count is 0 */
	unsigned int n_repeats;
	double medians_ns[PST_BENCH_STATS_MAX];
	struct pst_bench_hist all;
	struct pst_bench_hist one; /* of the repeat under way */
};

/* The rows of one run. */
struct pst_bench_result {
	struct pst_bench_machine machine;
	struct pst_bench_cpus cpus;
	bool agent_pinned;  /* to cpus.peer */
	double distance_ns; /* of two cache lines between cpus.client and
			       cpus.peer and back, median; 0: one CPU */
	const char *endpoint;
	double seconds; /* asked for, of each benchmark */
	json_t *agent;  /* its own description, owned */
	bool emulated;  /* the agent's CPU is emulated: function, not speed */
	char blas[64];  /* of this process, "" when there is none */
	unsigned int n_rows, n_room;
	struct pst_bench_row **rows; /* owned */
};

void pst_bench_result_done(struct pst_bench_result *r);

/* A new empty row, owned by r; NULL: out of memory. bench must live on. */
struct pst_bench_row *pst_bench_result_add(struct pst_bench_result *r,
					   const char *bench,
					   enum pst_bench_row_kind kind,
					   enum pst_bench_row_unit unit,
					   const char *name);

/* Ends a repeat: what was added to row->one joins row->all. An empty one is
 * no repeat. */
void pst_bench_row_repeat(struct pst_bench_row *row);

/* The percentile p of the times, in the row's unit: of a rate p99 is what 99 %
 * of the transfers reach. 0 for a row without values. */
double pst_bench_row_percentile(const struct pst_bench_row *row, double p);

/* Smallest and largest of the repeats' medians, in the row's unit. */
void pst_bench_row_noise(const struct pst_bench_row *row, double *ret_min,
			 double *ret_max);

const char *pst_bench_row_kind_name(enum pst_bench_row_kind kind);
const char *pst_bench_row_unit_name(enum pst_bench_row_unit unit);

/* For people. Text of the agent is printed without control characters. */
void pst_bench_result_print(const struct pst_bench_result *r, FILE *to);

/* One line of names, then one a row; RFC 4180. */
void pst_bench_result_print_csv(const struct pst_bench_result *r, FILE *to);

/* A new object, or NULL: out of memory. */
json_t *pst_bench_result_json(const struct pst_bench_result *r);

#endif
