/* SPDX-License-Identifier: MIT */
/* When an operation will end, by what earlier ones of its shape took. */
#include "host-client/pace.h"

#include "transport/util.h"

/* Operations of a shape before it is relied upon. */
#define MIN_SEEN 2U
/* Of those seen, one in so many at either end is taken for an accident. */
#define OUTLIERS 5U
/* If the others differ by more than this part, there is no expectation. */
#define MAX_PART 32U
/* How many deviations late a timer is expected to be at most. */
#define DEVIATIONS 2U
/* Of a timer: its slack, and a CPU that has to come out of a deep sleep. */
#define FIRST_LATE_NS (100 * PST_NS_PER_US)
#define MAX_LATE_NS   (2 * PST_NS_PER_MS)
/* After misses in a row, at most 2^this calls go by without a plan. */
#define MAX_BACKOFF 6U

uint64_t pst_pace_key(const struct pst_wire_sqe *sqe)
{
	const uint64_t words[] = {
		(uint64_t)sqe->op << 32 | (uint64_t)sqe->order << 24 |
			(uint64_t)sqe->trans << 16 | (uint64_t)sqe->dtype << 8 |
			sqe->compute,
		(uint64_t)sqe->m << 32 | sqe->n,
		(uint64_t)sqe->k << 32 | sqe->batch,
		sqe->length,
	};
	uint64_t h = 0;
	unsigned int i;

	if (sqe->op == PST_WIRE_OP_NOP)
		return 0;
	/* Any mixing will do: a collision costs a wrong guess. */
	for (i = 0; i < PST_ARRAY_SIZE(words); i++) {
		h = (h ^ words[i]) * 0x9e3779b97f4a7c15ULL;
		h ^= h >> 29;
	}
	return h ? h : 1;
}

static struct pst_pace_shape *shape_of(struct pst_pace *p, uint64_t key)
{
	return &p->shapes[key % PST_PACE_SHAPES];
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

void pst_pace_done(struct pst_pace *p, uint64_t key, uint64_t compute_ns)
{
	struct pst_pace_shape *s = shape_of(p, key);

	if (!key)
		return;
	if (s->key != key)
		*s = (struct pst_pace_shape){.key = key};
	s->seen_ns[s->n++ % PST_PACE_SEEN] = compute_ns;
}

/* The shortest and longest of what was seen, without accidents. */
static void expected(const struct pst_pace_shape *s, uint64_t *ret_low,
		     uint64_t *ret_high)
{
	const unsigned int n =
		s->n < PST_PACE_SEEN ? (unsigned int)s->n : PST_PACE_SEEN;
	uint64_t sorted[PST_PACE_SEEN], v;
	unsigned int i, j;

	for (i = 0; i < n; i++) {
		v = s->seen_ns[i];
		for (j = i; j > 0 && sorted[j - 1] > v; j--)
			sorted[j] = sorted[j - 1];
		sorted[j] = v;
	}
	*ret_low = sorted[n / OUTLIERS];
	*ret_high = sorted[n - 1 - n / OUTLIERS];
}

uint64_t pst_pace_start(struct pst_pace *p, uint64_t key, uint64_t now_ns,
			bool idle)
{
	const struct pst_pace_shape *s = shape_of(p, key);
	const uint64_t start =
		idle || p->free_ns < now_ns ? now_ns : p->free_ns;
	uint64_t low = 0, high = 0;

	if (key && s->key == key && s->n)
		expected(s, &low, &high);
	p->free_ns = start + low + (high - low) / 2;
	return start;
}

void pst_pace_met(struct pst_pace *p, uint64_t key, bool met)
{
	struct pst_pace_shape *s = shape_of(p, key);

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

void pst_pace_slept(struct pst_pace *p, uint64_t until_ns, uint64_t now_ns)
{
	uint64_t late = now_ns > until_ns ? now_ns - until_ns : 0;

	/* Longer ones are somebody else's time slice: no margin helps. */
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

void pst_pace_plan(struct pst_pace *p, uint64_t key, uint64_t start_ns,
		   uint64_t spin_ns, struct pst_pace_plan *ret)
{
	struct pst_pace_shape *s = shape_of(p, key);
	uint64_t low, high, most, margin, beyond;

	*ret = (struct pst_pace_plan){0};
	if (!key || s->key != key || s->n < MIN_SEEN)
		return;
	if (s->skip) {
		s->skip--;
		return;
	}
	expected(s, &low, &high);
	most = low / MAX_PART > spin_ns ? low / MAX_PART : spin_ns;
	if (high - low > most)
		return;
	margin = p->late_known ? p->late_ns + DEVIATIONS * p->late_dev_ns
			       : FIRST_LATE_NS;
	/* What was not seen yet lies a little beyond what was. */
	beyond = (high - low) / 4;
	ret->spin_until_ns = start_ns + high + beyond + spin_ns;
	/* A sleep shorter than what it costs is none. */
	if (low > beyond + margin + spin_ns)
		ret->sleep_until_ns = start_ns + low - beyond - margin;
}
