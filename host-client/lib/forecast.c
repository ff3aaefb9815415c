/* SPDX-License-Identifier: MIT */
/* When an operation will end, by what earlier ones of its shape took. */
#include "host-client/lib/forecast.h"

#include "transport/base/util.h"

#define MIN_SEEN 2U /* operations of a shape before it is relied upon */
/* An end is expected when the middle half of the durations differ by no more
 * than this part of the time until then. */
#define MAX_PART 32U
/* Not worth it above, and the agent's word cannot be relied upon. */
#define MAX_NS (60 * PST_NS_PER_S)
/* Of a timer: its slack, and a CPU that comes out of a deep sleep. */
#define FIRST_LATE_NS (100 * PST_NS_PER_US)
/* Later ones are another process's time slice: no margin helps. */
#define MAX_LATE_NS (2 * PST_NS_PER_MS)

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

void pst_pace_done(struct pst_pace *p, uint64_t key, uint64_t compute_ns)
{
	struct pst_pace_shape *s = shape_of(p, key);

	if (!key || compute_ns > MAX_NS)
		return;
	if (s->key != key)
		*s = (struct pst_pace_shape){.key = key};
	s->seen_ns[s->n++ % PST_PACE_SEEN] = compute_ns;
	s->last_ns = compute_ns;
}

/* Between which two lie the middle half of those seen. */
static void range(const struct pst_pace_shape *s, uint64_t *low, uint64_t *high)
{
	const unsigned int n =
		s->n < PST_PACE_SEEN ? (unsigned int)s->n : PST_PACE_SEEN;
	uint64_t v[PST_PACE_SEEN];
	unsigned int i, j;

	for (i = 0; i < n; i++) {
		for (j = i; j > 0 && v[j - 1] > s->seen_ns[i]; j--)
			v[j] = v[j - 1];
		v[j] = s->seen_ns[i];
	}
	*low = v[n / 4];
	*high = v[n - 1 - n / 4];
}

void pst_pace_start(struct pst_pace *p, uint64_t key, uint64_t now_ns,
		    struct pst_pace_start *ret)
{
	const struct pst_pace_shape *s = shape_of(p, key);
	uint64_t low = 0, high = 0;

	*ret = (struct pst_pace_start){now_ns,
				       pst_max_u64(now_ns, p->free_early_ns),
				       pst_max_u64(now_ns, p->free_late_ns)};
	if (key && s->key == key)
		range(s, &low, &high);
	p->free_early_ns = ret->early_ns + low;
	p->free_late_ns = ret->late_ns + high;
}

void pst_pace_next(const struct pst_pace *p, struct pst_pace_start *start)
{
	if (!p->seen_ns)
		return;
	start->late_ns = p->seen_ns;
	/* It may have been slept past. */
	start->early_ns = pst_max_u64(p->seen_ns - p->late_ns, start->asked_ns);
}

void pst_pace_slept(struct pst_pace *p, uint64_t until_ns, uint64_t now_ns)
{
	const uint64_t late = now_ns > until_ns ? now_ns - until_ns : 1;

	if (late >= p->late_ns && late <= MAX_LATE_NS)
		p->late_ns = late;
	else if (late < p->late_ns)
		p->late_ns -= (p->late_ns - late) / 8;
}

void pst_pace_plan(struct pst_pace *p, uint64_t key,
		   const struct pst_pace_start *start, uint64_t spin_ns,
		   struct pst_pace_plan *ret)
{
	const uint64_t late = p->late_ns ? p->late_ns : FIRST_LATE_NS;
	const struct pst_pace_shape *s = shape_of(p, key);
	uint64_t low, high, until, beyond;

	*ret = (struct pst_pace_plan){0};
	if (!key || s->key != key || s->n < MIN_SEEN)
		return;
	if (s->last_ns <= spin_ns) {
		ret->spin_until_ns = start->late_ns + s->last_ns + spin_ns;
		return;
	}
	range(s, &low, &high);
	until = start->early_ns + low - start->asked_ns;
	if (start->late_ns - start->early_ns + high - low >
	    pst_max_u64(until / MAX_PART, spin_ns))
		return;
	/* What was not seen yet lies a little beyond what was. */
	beyond = (high - low) / 4;
	ret->spin_until_ns = start->late_ns + high + beyond + spin_ns;
	/* A sleep shorter than what it costs is none. */
	if (until > beyond + late + spin_ns)
		ret->sleep_until_ns = start->asked_ns + until - beyond - late;
}
