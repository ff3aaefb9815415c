/* SPDX-License-Identifier: MIT */
/* penstock bench bandwidth: copies into and out of the region from both ends,
 * beside the machine's best copy. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/clock.h"
#include "bench/mem.h"

/* From 4 KiB in steps of 4 to 1 GiB. */
#define MIN_SIZE 4096ULL
#define MAX_SIZE (1ULL << 30)
#define STEP     4U
/* Host writes, host reads, copies with either page size; agent's two. */
#define MAX_TASKS (4 * PST_BENCH_COPY_N + 2)
/* Of free memory, for the private buffers. */
#define MEMORY_PART 6U
#define FILL        0x0123456789abcdefULL

struct bandwidth {
	void *region; /* of b->c */
	uint64_t max; /* bytes in it */
	struct pst_bench_mem
		near[2]; /* source and target, the region's page size */
	struct pst_bench_mem other[2]; /* the other page size, or empty */
	struct pst_bench_task tasks[MAX_TASKS];
	unsigned int n;
};

static int once_copy(struct pst_bench_task *t, uint64_t *ret_ns,
		     uint64_t *ret_extra_ns)
{
	uint64_t start = pst_bench_now_ns();

	pst_bench_copy_by(t->how, t->dst, t->src, t->n);
	*ret_ns = pst_bench_now_ns() - start;
	return 0;
}

static int once_fill(struct pst_bench_task *t, uint64_t *ret_ns,
		     uint64_t *ret_extra_ns)
{
	uint64_t start = pst_bench_now_ns();
	int r = pst_fill(t->c, t->dst, t->n, FILL, 8, PST_BENCH_TIMEOUT_NS,
			 NULL);

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

static int add(struct pst_bench *b, struct bandwidth *w, const char *name,
	       enum pst_bench_row_kind kind, uint64_t page,
	       const struct pst_bench_task *task)
{
	struct pst_bench_task *t = &w->tasks[w->n];

	*t = *task;
	t->row = pst_bench_new_row(b, "bandwidth", kind, PST_BENCH_ROW_GBPS,
				   name);
	if (!t->row)
		return -ENOMEM;
	t->row->bytes = t->n;
	t->row->page = page;
	w->n++;
	return 0;
}

/* One pair of places with each way to copy. */
static int add_copies(struct pst_bench *b, struct bandwidth *w,
		      const char *prefix, enum pst_bench_row_kind kind,
		      uint64_t page, void *dst, const void *src, size_t n)
{
	struct pst_bench_task t = {
		.once = once_copy,
		.dst = dst,
		.src = src,
		.n = n,
	};
	char name[48];
	int how, r = 0;

	for (how = 0; how < PST_BENCH_COPY_N && !r; how++) {
		if (!pst_bench_copy_has(how))
			continue;
		t.how = how;
		snprintf(name, sizeof(name), "%s, %s", prefix,
			 pst_bench_copy_name(how));
		r = add(b, w, name, kind, page, &t);
	}
	return r;
}

static int add_size(struct pst_bench *b, struct bandwidth *w, size_t n)
{
	const uint64_t page = b->info.page_size;
	struct pst_bench_task t = {
		.c = b->c,
		.dst = w->region,
		.src = w->region,
		.n = n,
	};
	int r;

	w->n = 0;
	r = add_copies(b, w, "host write", PST_BENCH_ROW_PENSTOCK, page,
		       w->region, w->near[0].ptr, n);
	if (!r)
		r = add_copies(b, w, "host read", PST_BENCH_ROW_PENSTOCK, page,
			       w->near[1].ptr, w->region, n);
	t.once = once_checksum;
	if (!r)
		r = add(b, w, "agent read (CHECKSUM)", PST_BENCH_ROW_PENSTOCK,
			page, &t);
	t.once = once_fill;
	if (!r)
		r = add(b, w, "agent write (FILL)", PST_BENCH_ROW_PENSTOCK,
			page, &t);
	if (!r)
		r = add_copies(b, w, "copy", PST_BENCH_ROW_COPY,
			       w->near[0].page, w->near[1].ptr, w->near[0].ptr,
			       n);
	if (!r && w->other[1].ptr)
		r = add_copies(b, w, "copy", PST_BENCH_ROW_COPY,
			       w->other[0].page, w->other[1].ptr,
			       w->other[0].ptr, n);
	return r;
}

/* Whether all of a size would take far more than the time there is. */
static bool too_slow(const struct pst_bench *b, const struct bandwidth *w)
{
	uint64_t sum = 0;
	unsigned int i;

	for (i = 0; i < w->n; i++)
		sum += pst_bench_hist_percentile(&w->tasks[i].row->all, 50);
	return sum * STEP * (PST_BENCH_REPEATS + 1) > 2 * b->budget_ns;
}

static int note(struct pst_bench *b, uint64_t bytes, const char *why)
{
	struct pst_bench_row *row =
		pst_bench_new_row(b, "bandwidth", PST_BENCH_ROW_PENSTOCK,
				  PST_BENCH_ROW_GBPS, "all");

	if (!row)
		return -ENOMEM;
	row->bytes = bytes;
	snprintf(row->note, sizeof(row->note), "%s", why);
	return 0;
}

/* The private buffers. Without the other page size its rows are left out. */
static int get_memory(struct pst_bench *b, struct bandwidth *w)
{
	const uint64_t page = b->info.page_size > PST_BENCH_MEM_SMALL
				      ? PST_BENCH_MEM_HUGE
				      : PST_BENCH_MEM_SMALL;
	const uint64_t other = page == PST_BENCH_MEM_SMALL
				       ? PST_BENCH_MEM_HUGE
				       : PST_BENCH_MEM_SMALL;
	int r;

	r = pst_bench_mem_alloc(&w->near[0], w->max, page);
	if (!r)
		r = pst_bench_mem_alloc(&w->near[1], w->max, page);
	if (r < 0 && page == PST_BENCH_MEM_HUGE) {
		/* The best there is; each row says what it was. */
		pst_bench_mem_free(&w->near[0]);
		r = pst_bench_mem_alloc(&w->near[0], w->max, other);
		return r ? r : pst_bench_mem_alloc(&w->near[1], w->max, other);
	}
	if (!r && (pst_bench_mem_alloc(&w->other[0], w->max, other) < 0 ||
		   pst_bench_mem_alloc(&w->other[1], w->max, other) < 0)) {
		pst_bench_mem_free(&w->other[0]);
		pst_bench_mem_free(&w->other[1]);
	}
	return r;
}

/* The largest buffer of the region that is of use here. */
static int get_region(struct pst_bench *b, struct bandwidth *w)
{
	uint64_t free_memory = (uint64_t)sysconf(_SC_AVPHYS_PAGES) *
			       (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t start = pst_bench_now_ns();
	int r;

	for (w->max = MAX_SIZE; w->max > MIN_SIZE; w->max /= STEP) {
		if (w->max > b->info.max_lease ||
		    w->max > free_memory / MEMORY_PART)
			continue;
		r = pst_alloc(b->c, w->max, &w->region);
		if (r == 0)
			break;
		if (r != -ENOSPC && r != -EMSGSIZE)
			return pst_bench_failed(b, b->c, r);
	}
	if (!w->region)
		return pst_bench_failed(b, b->c,
					pst_alloc(b->c, w->max, &w->region));
	/* Faulted in, on this side too. A slow mapping is no place for much. */
	memset(w->region, 1, MIN_SIZE);
	memset(w->region, 1, w->max / STEP);
	if (pst_bench_now_ns() - start > b->budget_ns)
		w->max /= STEP;
	else
		memset(w->region, 1, w->max);
	return 0;
}

static int run(struct pst_bench *b, struct bandwidth *w)
{
	unsigned int n_sizes = 1, i = 0;
	char text[48];
	uint64_t n;
	int r;

	for (n = MIN_SIZE; n < w->max; n *= STEP)
		n_sizes++;
	for (n = MIN_SIZE; n <= w->max; n *= STEP, i++) {
		if (i && too_slow(b, w))
			return note(b, n,
				    "it would take more time than was "
				    "given (--seconds)");
		r = add_size(b, w, n);
		if (r < 0)
			return r;
		snprintf(text, sizeof(text), "bandwidth, %" PRIu64 " KiB",
			 n >> 10);
		r = pst_bench_rounds(b, text, w->tasks, w->n,
				     b->budget_ns / n_sizes);
		if (r < 0)
			return r;
	}
	return n <= MAX_SIZE ? note(b, n,
				    "the arena, or this machine's free "
				    "memory, is smaller")
			     : 0;
}

int pst_bench_bandwidth(struct pst_bench *b)
{
	struct bandwidth w = {0};
	int r;

	r = get_region(b, &w);
	if (!r) {
		r = get_memory(b, &w);
		if (r < 0)
			pst_bench_failed(b, NULL, r);
	}
	if (!r)
		r = run(b, &w);
	pst_bench_mem_free(&w.near[0]);
	pst_bench_mem_free(&w.near[1]);
	pst_bench_mem_free(&w.other[0]);
	pst_bench_mem_free(&w.other[1]);
	pst_free(b->c, w.region);
	return r;
}
