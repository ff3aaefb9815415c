/* SPDX-License-Identifier: MIT */
/* Operands that come again stay in tensors of the agent, and only pages that
 * were written since go to it again (PENSTOCK_BLAS_RESIDENT). */
#include "host-client/blas/resident.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "host-client/blas/api.h"
#include "host-client/blas/clock.h"
#include "host-client/blas/config.h"
#include "host-client/blas/watch.h"

/* Smaller ones are copied in less than a look and its message take. */
#define MIN_BYTES (4ULL << 20)
/* Operands that are remembered. */
#define MAX_OPERANDS 64U
/* So many looks in a row that have found most of it written end the watch: a
 * fault of each page costs more than to copy it. */
#define MAX_REWRITES 3U
/* Runs of written pages so near to each other are copied as one. */
#define JOIN_PAGES 16U
/* Samples that tell whether contents have changed at all. */
#define SAMPLES      64U
#define SAMPLE_BYTES 64U
/* A look for pinned memory may take this part of the time. */
#define PINNED_PART 20U
#define TIMEOUT_NS  (60ULL * 1000 * 1000 * 1000)

enum operand_state {
	SEEN,    /* so often with this sample */
	WATCHED, /* and in a tensor */
	LEFT,    /* it is no use, or not allowed */
};

struct operand {
	uintptr_t at;
	uint64_t bytes; /* 0: this place is free */
	enum operand_state state;
	uint64_t sample, tensor, used;
	unsigned int sightings, rewrites;
	/* One bit for each page: written since it was last copied. Also by what
	 * looks at other operands have found in pages that both have. */
	uint64_t *written;
	uint64_t n_written;
};

static struct operand operands[MAX_OPERANDS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t clock_of_uses, next_pinned_ns;
static bool off;
static struct {
	double copied, asked;
	unsigned long looks, clean;
	uint64_t clean_ns;
} stats;

/* ---- Pages -------------------------------------------------------------- */

static uintptr_t first_page(const struct operand *o)
{
	return o->at / PST_BLAS_PAGE * PST_BLAS_PAGE;
}

static uintptr_t after_pages(const struct operand *o)
{
	return (o->at + o->bytes + PST_BLAS_PAGE - 1) / PST_BLAS_PAGE *
	       PST_BLAS_PAGE;
}

static uint64_t n_pages(const struct operand *o)
{
	return (after_pages(o) - first_page(o)) / PST_BLAS_PAGE;
}

static bool is_written(const struct operand *o, uint64_t page)
{
	return o->written[page / 64] >> page % 64 & 1;
}

static void mark(struct operand *o, uintptr_t from, uintptr_t to)
{
	const uintptr_t first = first_page(o), after = after_pages(o);
	uint64_t i;

	from = from > first ? from : first;
	to = to < after ? to : after;
	for (; from < to; from += PST_BLAS_PAGE) {
		i = (from - first) / PST_BLAS_PAGE;
		o->n_written += !is_written(o, i);
		o->written[i / 64] |= 1ULL << i % 64;
	}
}

/* What a look has found is found only once, by whoever looks first. */
static void mark_all(void *arg, uintptr_t from, uintptr_t to)
{
	struct operand *o;

	(void)arg;
	for (o = operands; o < operands + MAX_OPERANDS; o++)
		if (o->state == WATCHED)
			mark(o, from, to);
}

/* ---- Tensors ------------------------------------------------------------ */

/* No longer watched, nor in a tensor. */
static void drop(struct pst *c, struct operand *o, enum operand_state state)
{
	if (o->state == WATCHED) {
		pst_blas_watch_stop(first_page(o), after_pages(o));
		if (c && o->tensor)
			(void)pst_blas_api()->tensor_destroy(c, o->tensor);
		free(o->written);
		o->written = NULL;
		o->tensor = 0;
	}
	o->state = state;
}

/* Of those that are watched, or of the others. */
static struct operand *least_used(bool watched)
{
	struct operand *o, *least = NULL;

	for (o = operands; o < operands + MAX_OPERANDS; o++)
		if ((o->state == WATCHED) == watched &&
		    (!least || o->used < least->used))
			least = o;
	return least;
}

/* A tensor, if need be in the place of those that were not used for long. */
static int create(struct pst *c, uint64_t bytes, uint64_t *ret)
{
	struct operand *o;
	int r;

	while ((r = pst_blas_api()->tensor_create(c, bytes, ret)) == -ENOSPC &&
	       (o = least_used(true)))
		drop(c, o, SEEN);
	return r;
}

/* Copies pages [from, to) of an operand. */
static int copy(struct pst *c, const struct operand *o, uint64_t from,
		uint64_t to)
{
	const uintptr_t first = first_page(o), end = o->at + o->bytes;
	uintptr_t a = first + from * PST_BLAS_PAGE,
		  b = first + to * PST_BLAS_PAGE;

	a = a > o->at ? a : o->at;
	b = b < end ? b : end;
	stats.copied += (double)(b - a);
	return pst_blas_api()->upload(c, o->tensor, a - o->at, (const void *)a,
				      b - a, TIMEOUT_NS);
}

static int copy_written(struct pst *c, struct operand *o)
{
	const uint64_t n = n_pages(o);
	uint64_t i, from = 0, to = 0;
	int r = 0;

	for (i = 0; i < n && r == 0; i++) {
		if (!is_written(o, i))
			continue;
		if (to > 0 && i > to + JOIN_PAGES) {
			r = copy(c, o, from, to);
			to = 0;
		}
		if (to == 0)
			from = i;
		to = i + 1;
	}
	if (r == 0 && to > 0)
		r = copy(c, o, from, to);
	memset(o->written, 0, (size_t)(n + 63) / 64 * sizeof(*o->written));
	o->n_written = 0;
	return r;
}

/* ---- Operands ----------------------------------------------------------- */

static uint64_t sample_of(const struct operand *o)
{
	const uint64_t step = (o->bytes - SAMPLE_BYTES) / (SAMPLES - 1);
	const uint8_t *p = (const uint8_t *)o->at;
	uint64_t h = 0xcbf29ce484222325ULL, word;
	size_t i, j;

	for (i = 0; i < SAMPLES; i++)
		for (j = 0; j < SAMPLE_BYTES; j += sizeof(word)) {
			memcpy(&word, p + i * step + j, sizeof(word));
			h = (h ^ word) * 0x100000001b3ULL;
			h ^= h >> 32;
		}
	return h;
}

/* Where an operand of x is remembered; of one that is new *ret_new is its
 * place. NULL: it is too small, or has more gaps than contents. */
static struct operand *find(const struct pst_blas_args *x, bool b,
			    bool *ret_new)
{
	const bool trans = b ? x->transb : x->transa;
	const int64_t rows = b ? x->k : x->m, cols = b ? x->n : x->k;
	const int64_t length = trans ? cols : rows, lines = trans ? rows : cols;
	const int64_t ld = b ? x->ldb : x->lda;
	const void *const p = b ? x->b : x->a;
	struct operand *o;
	uint64_t bytes;

	if (x->alpha == 0 || x->m == 0 || x->n == 0 || x->k == 0 ||
	    ld > 2 * length)
		return NULL;
	bytes = (uint64_t)((lines - 1) * ld + length) * pst_blas_elem(x->type);
	if (bytes < MIN_BYTES)
		return NULL;
	for (o = operands; o < operands + MAX_OPERANDS; o++)
		if (o->at == (uintptr_t)p && o->bytes == bytes) {
			*ret_new = false;
			return o;
		}
	*ret_new = true;
	o = least_used(false);
	if (o)
		*o = (struct operand){.at = (uintptr_t)p, .bytes = bytes};
	return o;
}

static double see(const struct pst_blas_args *x, bool b)
{
	bool is_new;
	struct operand *o = find(x, b, &is_new);
	uint64_t sample;

	if (!o)
		return 0;
	o->used = ++clock_of_uses;
	if (o->state == SEEN) {
		sample = sample_of(o);
		o->sightings = sample == o->sample ? o->sightings + 1 : 1;
		o->sample = sample;
	}
	return o->state == WATCHED || o->sightings > 1 ? (double)o->bytes : 0;
}

/* What is to be looked at for the first time, whole. */
static int start(struct pst *c, struct operand *o)
{
	int r = pst_blas_watch_start(first_page(o), after_pages(o));

	if (r < 0)
		return r;
	o->written =
		calloc((size_t)(n_pages(o) + 63) / 64, sizeof(*o->written));
	o->state = WATCHED;
	if (!o->written || (r = create(c, o->bytes, &o->tensor)) < 0) {
		o->tensor = 0;
		return r < 0 ? r : -ENOMEM;
	}
	r = pst_blas_watch_look(first_page(o), after_pages(o), mark_all, NULL);
	if (r == 0)
		mark(o, first_page(o), after_pages(o));
	return r;
}

static int look(struct operand *o)
{
	const uint64_t start_ns = pst_blas_now_ns();
	const int r = pst_blas_watch_look(first_page(o), after_pages(o),
					  mark_all, NULL);

	stats.looks++;
	if (r == 0 && o->n_written == 0) {
		stats.clean++;
		stats.clean_ns += pst_blas_now_ns() - start_ns;
	}
	o->rewrites = 2 * o->n_written > n_pages(o) ? o->rewrites + 1 : 0;
	return r;
}

/* The tensor with an operand's contents, or 0. */
static uint64_t use(struct pst *c, const struct pst_blas_args *x, bool b)
{
	bool is_new;
	struct operand *o = find(x, b, &is_new);
	int r;

	if (!o)
		return 0;
	stats.asked += (double)o->bytes;
	if (o->state == WATCHED)
		r = look(o);
	else if (o->state == SEEN && o->sightings > 1)
		r = start(c, o);
	else
		r = -EAGAIN;
	if (r == 0 && o->rewrites < MAX_REWRITES)
		r = copy_written(c, o);
	if (r == 0 && o->rewrites < MAX_REWRITES)
		return o->tensor;
	stats.copied += (double)o->bytes;
	if (o->state == LEFT || r == -EAGAIN)
		return 0;
	pst_blas_trace("an operand of %.1f MiB is not kept: %s",
		       (double)o->bytes / (1 << 20),
		       r < 0 ? strerror(-r) : "it is written anew each time");
	/* What was mapped anew may be seen again; what is not the process's
	 * own, or no tensor can hold, is left. */
	drop(c, o,
	     o->state == WATCHED && r < 0 && r != -EMSGSIZE && r != -EOPNOTSUPP
		     ? SEEN
		     : LEFT);
	o->sightings = o->rewrites = 0;
	return 0;
}

/* ---- All of them --------------------------------------------------------- */

static void drop_all(struct pst *c)
{
	struct operand *o;

	for (o = operands; o < operands + MAX_OPERANDS; o++)
		if (o->state == WATCHED) {
			drop(c, o, SEEN);
			o->sightings = 0;
		}
}

static void turn_off(struct pst *c, const char *why)
{
	drop_all(c);
	off = true;
	pst_blas_trace("no operand is kept: %s", why);
}

static bool can_keep(struct pst *c)
{
	uint64_t start_ns = pst_blas_now_ns(), took;

	if (off)
		return false;
	if (!pst_blas_watch_can()) {
		turn_off(c, "the kernel cannot say what was written "
			    "(PAGEMAP_SCAN, Linux 6.7)");
		return false;
	}
	if (start_ns < next_pinned_ns)
		return true;
	if (pst_blas_watch_is_pinned()) {
		turn_off(c, "the program has registered buffers of io_uring, "
			    "or a device that pins memory");
		return false;
	}
	took = pst_blas_now_ns() - start_ns;
	next_pinned_ns = start_ns + took * PINNED_PART;
	return true;
}

double pst_blas_resident_see(const struct pst_blas_args *x)
{
	double bytes = 0;

	if (!pst_blas_config()->resident)
		return 0;
	pthread_mutex_lock(&lock);
	if (!off)
		bytes = see(x, false) + see(x, true);
	pthread_mutex_unlock(&lock);
	return bytes;
}

bool pst_blas_resident_use(struct pst *c, const struct pst_blas_args *x,
			   struct pst_gemm_args *g)
{
	if (!pst_blas_config()->resident)
		return false;
	pthread_mutex_lock(&lock);
	if (can_keep(c)) {
		g->a_tensor = use(c, x, false);
		g->b_tensor = use(c, x, true);
	}
	pthread_mutex_unlock(&lock);
	if (g->a_tensor)
		g->a = NULL;
	if (g->b_tensor)
		g->b = NULL;
	return g->a_tensor || g->b_tensor;
}

void pst_blas_resident_forget(struct pst *c)
{
	pthread_mutex_lock(&lock);
	drop_all(c);
	pthread_mutex_unlock(&lock);
}

void pst_blas_resident_forked(void)
{
	pthread_mutex_init(&lock, NULL);
	memset(operands, 0, sizeof(operands));
	memset(&stats, 0, sizeof(stats));
	off = false;
	pst_blas_watch_forked();
}

void pst_blas_resident_print(void)
{
	if (stats.asked > 0)
		pst_blas_say("operands: %.0f bytes copied in the place of "
			     "%.0f, %lu of %lu looks clean, of %.1f us",
			     stats.copied, stats.asked, stats.clean,
			     stats.looks,
			     (double)stats.clean_ns / 1e3 /
				     (double)(stats.clean ? stats.clean : 1));
}
