/* SPDX-License-Identifier: MIT */
/* Predicts the end of an operation from earlier ones of its shape. */
#include "host-client/lib/plain/forecast.h"

#include "transport/base/util.h"

/* The number of samples of a shape before its forecast is used. */
#define MIN_SEEN 2U
/* This fraction of the samples is discarded at either end, as outliers. */
#define OUTLIERS 12U
/* If the remaining samples differ by more than this fraction of the time until
 * the end, the end is expected where most of them lie close together. */
#define MAX_PART 32U
/* A longer time is not worth a forecast, and the agent's word is not
 * trusted. */
#define MAX_NS (60 * PST_NS_PER_S)
/* This many of the latest samples count twice, since the pace may have
 * changed. */
#define NEWEST (PST_FORECAST_SEEN / 2)
/* This many consecutive operations, each faster than all before by this
 * fraction, replace the estimate. Otherwise the waiter would oversleep. */
#define FASTER      2U
#define FASTER_PART 8U
/* A timer is expected to be late by at most this many deviations. */
#define DEVIATIONS 2U
/* The initial lateness of a timer: its slack, and a CPU that leaves a deep
 * sleep. */
#define FIRST_LATE_NS (100 * PST_NS_PER_US)
#define MAX_LATE_NS   (2 * PST_NS_PER_MS)
/* After misses in a row, at most 2^this calls go by without a plan. */
#define MAX_BACKOFF 6U

uint64_t pst_forecast_key(const struct pst_wire_sqe *sqe)
{
	const uint64_t words[] = {
		(uint64_t)sqe->op << 32 | (uint64_t)sqe->order << 24 |
			(uint64_t)sqe->trans << 16 | (uint64_t)sqe->dtype << 8 |
			sqe->compute,
		(uint64_t)sqe->m << 32 | sqe->n,
		(uint64_t)sqe->k << 32 | sqe->batch,
		sqe->length,
		/* Models take their own times. */
		sqe->op == PST_WIRE_OP_RUN ? sqe->off_b : 0,
	};
	uint64_t h = 0;
	unsigned int i;

	if (sqe->op == PST_WIRE_OP_NOP)
		return 0;
	/* Any mixing is good enough: a collision costs a wrong forecast. */
	for (i = 0; i < PST_ARRAY_SIZE(words); i++) {
		h = (h ^ words[i]) * 0x9e3779b97f4a7c15ULL;
		h ^= h >> 29;
	}
	return h ? h : 1;
}

static struct pst_forecast_shape *shape_of(struct pst_forecast *p, uint64_t key)
{
	return &p->shapes[key % PST_FORECAST_SHAPES];
}

static uint64_t distance(uint64_t a, uint64_t b)
{
	return a > b ? a - b : b - a;
}

/* a moved by 1/part of the way to b. */
static uint64_t towards(uint64_t a, uint64_t b, uint64_t part)
{
	return b > a ? a + (b - a) / part : a - (a - b) / part;
}

static uint64_t faster_than(uint64_t ns)
{
	return ns - ns / FASTER_PART;
}

/* Whether one took far less than all before. */
static bool is_faster(const struct pst_forecast_shape *s, uint64_t compute_ns)
{
	uint64_t n = s->n < PST_FORECAST_SEEN ? s->n : PST_FORECAST_SEEN, i;

	/* The last one may have been the first of a new pace. */
	for (i = s->faster; i < n; i++)
		if (compute_ns >=
		    faster_than(s->seen_ns[(s->n - 1 - i) % PST_FORECAST_SEEN]))
			return false;
	return n > s->faster;
}

void pst_forecast_done(struct pst_forecast *p, uint64_t key,
		       uint64_t compute_ns)
{
	struct pst_forecast_shape *s = shape_of(p, key);

	if (!key || compute_ns > MAX_NS)
		return;
	if (s->key != key)
		*s = (struct pst_forecast_shape){.key = key};
	s->faster = is_faster(s, compute_ns) ? s->faster + 1 : 0;
	if (s->faster == FASTER) {
		s->faster = 0;
		s->n = 0;
	}
	s->seen_ns[s->n++ % PST_FORECAST_SEEN] = compute_ns;
}

struct sample {
	uint64_t ns;
	unsigned int weight;
};

/* Sorts the samples, shortest first. Returns their number. */
static unsigned int sort_seen(const struct pst_forecast_shape *s,
			      struct sample ret[PST_FORECAST_SEEN])
{
	const unsigned int n = s->n < PST_FORECAST_SEEN ? (unsigned int)s->n
							: PST_FORECAST_SEEN;
	struct sample x;
	unsigned int i, j;

	/* From the newest on. */
	for (i = 0; i < n; i++) {
		x.ns = s->seen_ns[(s->n - 1 - i) % PST_FORECAST_SEEN];
		x.weight = i < NEWEST ? 2 : 1;
		for (j = i; j > 0 && ret[j - 1].ns > x.ns; j--)
			ret[j] = ret[j - 1];
		ret[j] = x;
	}
	return n;
}

/* The shortest and longest, without accidents. */
static void range(const struct sample *v, unsigned int n, uint64_t *ret_low,
		  uint64_t *ret_high)
{
	*ret_low = v[n / OUTLIERS].ns;
	*ret_high = v[n - 1 - n / OUTLIERS].ns;
}

/* Where the most of them lie within most_ns; false when less than half do. */
static bool densest(const struct sample *v, unsigned int n, uint64_t most_ns,
		    uint64_t *ret_low, uint64_t *ret_high)
{
	unsigned int i, j = 0, in = 0, best = 0, all = 0;

	/* v[i] to v[j - 1] lie within, and weigh in. */
	for (i = 0; i < n; in -= v[i++].weight) {
		for (; j < n && v[j].ns - v[i].ns <= most_ns; j++) {
			in += v[j].weight;
			all += v[j].weight;
		}
		if (in <= best)
			continue;
		best = in;
		*ret_low = v[i].ns;
		*ret_high = v[j - 1].ns;
	}
	return 2 * best >= all;
}

/* The longest sample. No sorting, since operations of a microsecond call it. */
static uint64_t longest(const struct pst_forecast_shape *s)
{
	const uint64_t n = s->n < PST_FORECAST_SEEN ? s->n : PST_FORECAST_SEEN;
	uint64_t most = 0, i;

	for (i = 0; i < n; i++)
		if (s->seen_ns[i] > most)
			most = s->seen_ns[i];
	return most;
}

bool pst_forecast_matters(struct pst_forecast *p, uint64_t key,
			  uint64_t spin_ns)
{
	const struct pst_forecast_shape *s = shape_of(p, key);

	return pst_forecast_waits(p) || (s->key == key && longest(s) > spin_ns);
}

void pst_forecast_start(struct pst_forecast *p, uint64_t key, uint64_t now_ns,
			struct pst_forecast_start *ret)
{
	const struct pst_forecast_shape *s = shape_of(p, key);
	struct sample seen[PST_FORECAST_SEEN];
	uint64_t low = 0, high = 0;

	*ret = (struct pst_forecast_start){now_ns, now_ns, now_ns};
	if (p->free_early_ns > now_ns)
		ret->early_ns = p->free_early_ns;
	if (p->free_late_ns > now_ns)
		ret->late_ns = p->free_late_ns;
	if (key && s->key == key && s->n)
		range(seen, sort_seen(s, seen), &low, &high);
	p->free_early_ns = ret->early_ns + low;
	p->free_late_ns = ret->late_ns + high;
}

void pst_forecast_forget(struct pst_forecast *p)
{
	p->free_early_ns = p->free_late_ns = 0;
	p->seen_ns = 0;
}

void pst_forecast_seen(struct pst_forecast *p, uint64_t now_ns)
{
	p->seen_ns = now_ns;
}

void pst_forecast_next(const struct pst_forecast *p,
		       struct pst_forecast_start *start)
{
	if (!p->seen_ns)
		return;
	start->late_ns = p->seen_ns;
	/* It may have been slept past. */
	start->early_ns = p->seen_ns - p->late_ns;
	if (start->early_ns < start->asked_ns)
		start->early_ns = start->asked_ns;
}

void pst_forecast_met(struct pst_forecast *p, uint64_t key, bool met)
{
	struct pst_forecast_shape *s = shape_of(p, key);

	if (s->key != key)
		return;
	if (met) {
		s->misses = 0;
		return;
	}
	if (s->misses < MAX_BACKOFF)
		s->misses++;
	/* One is an accident. */
	s->skip = s->misses > 1 ? 1U << s->misses : 0;
}

void pst_forecast_slept(struct pst_forecast *p, uint64_t until_ns,
			uint64_t now_ns)
{
	uint64_t late = now_ns > until_ns ? now_ns - until_ns : 0;

	/* Longer delays are another program's time slice: no margin helps. */
	if (late > MAX_LATE_NS)
		return;
	if (!p->late_known) {
		p->late_known = true;
		p->late_ns = late;
		p->late_dev_ns = late / 2;
		return;
	}
	p->late_dev_ns = towards(p->late_dev_ns, distance(late, p->late_ns), 4);
	p->late_ns = towards(p->late_ns, late, 8);
}

void pst_forecast_plan(struct pst_forecast *p, uint64_t key,
		       const struct pst_forecast_start *start, uint64_t spin_ns,
		       struct pst_forecast_plan *ret)
{
	const uint64_t unsure = start->late_ns - start->early_ns;
	struct pst_forecast_shape *s = shape_of(p, key);
	struct sample seen[PST_FORECAST_SEEN];
	uint64_t low, high, most, margin, beyond, end;
	unsigned int n;

	*ret = (struct pst_forecast_plan){0};
	if (!key || s->key != key || s->n < MIN_SEEN)
		return;
	if (s->skip) {
		s->skip--;
		return;
	}
	high = longest(s);
	if (high <= spin_ns) {
		ret->spin_until_ns = start->late_ns + high + spin_ns;
		return;
	}
	n = sort_seen(s, seen);
	range(seen, n, &low, &high);
	most = (start->early_ns + low - start->asked_ns) / MAX_PART;
	if (most < spin_ns)
		most = spin_ns;
	if (unsure > most || (high - low > most - unsure &&
			      !densest(seen, n, most - unsure, &low, &high)))
		return;
	end = start->early_ns + low;
	margin = p->late_known ? p->late_ns + DEVIATIONS * p->late_dev_ns
			       : FIRST_LATE_NS;
	/* Later samples may lie a little beyond the range of the earlier
	 * ones. */
	beyond = (high - low) / 4;
	ret->spin_until_ns = start->late_ns + high + beyond + spin_ns;
	/* A sleep shorter than what it costs is none. */
	if (end - start->asked_ns > beyond + margin + spin_ns)
		ret->sleep_until_ns = end - beyond - margin;
}
