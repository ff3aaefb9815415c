/* SPDX-License-Identifier: MIT */
/* The map of extents in every state that a small arena can be in, against a
 * list of extents. */
#include <errno.h>
#include <string.h>

#include "guest-agent/exec/extent.h"
#include "tests/fixtures/unit.h"

#define UNITS      4U
#define OWNERS     2U
#define OFF        (2ULL * PST_WIRE_UNIT)
#define MAX_STATES 20000U
#define MAX_PATH   32U

/* The units that start an extent say whose it is and how long. */
struct model {
	struct {
		uint8_t owner, n, quarantined;
	} at[UNITS];
};

enum kind { LEASE, RELEASE, RELEASE_OWNER, SETTLE };

struct act {
	uint8_t kind, owner, at, n;
};

/* Every act that there is; at and n reach beyond the arena. */
#define PLACES (UNITS + 1)
#define ACTS   (OWNERS * (PLACES + PLACES * PLACES + 2))

static struct act act_of(unsigned int i)
{
	struct act a = {.owner = (uint8_t)(1 + i % OWNERS)};

	i /= OWNERS;
	if (i < PLACES) {
		a.kind = LEASE;
		a.n = (uint8_t)(i + 1);
		return a;
	}
	i -= PLACES;
	if (i < PLACES * PLACES) {
		a.kind = RELEASE;
		a.at = (uint8_t)(i % PLACES);
		a.n = (uint8_t)(i / PLACES + 1);
		return a;
	}
	a.kind = i == PLACES * PLACES ? RELEASE_OWNER : SETTLE;
	return a;
}

static struct pst_span span_of(unsigned int at, unsigned int n)
{
	return (struct pst_span){OFF + at * PST_WIRE_UNIT, n * PST_WIRE_UNIT};
}

/* The extent that covers a unit, or UNITS. */
static unsigned int covering(const struct model *m, unsigned int unit)
{
	unsigned int i;

	for (i = 0; i < UNITS; i++)
		if (m->at[i].n && unit >= i && unit < i + m->at[i].n)
			return i;
	return UNITS;
}

static unsigned int longest_free(const struct model *m)
{
	unsigned int i, run = 0, longest = 0;

	for (i = 0; i < UNITS; i++) {
		run = covering(m, i) == UNITS ? run + 1 : 0;
		longest = run > longest ? run : longest;
	}
	return longest;
}

static void lease(struct pst_agent_extents *e, struct model *m,
		  const struct act *a)
{
	unsigned int i, at;
	struct pst_span s;
	/* Sizes are rounded up. */
	const uint64_t size = a->n * PST_WIRE_UNIT - (a->n & 1);
	const int r = pst_agent_extents_lease(e, a->owner, size, &s);

	if (a->n > longest_free(m)) {
		PST_MUST(r == -ENOSPC);
		return;
	}
	PST_MUST(r == 0);
	PST_MUST(s.size == a->n * PST_WIRE_UNIT);
	at = (unsigned int)((s.off - OFF) / PST_WIRE_UNIT);
	PST_MUST(s.off == span_of(at, 0).off && at + a->n <= UNITS);
	for (i = 0; i < a->n; i++)
		PST_MUST(covering(m, at + i) == UNITS);
	m->at[at].owner = a->owner;
	m->at[at].n = a->n;
}

static void release(struct pst_agent_extents *e, struct model *m,
		    const struct act *a)
{
	const struct pst_span s = span_of(a->at, a->n);
	const bool held = a->at < UNITS && m->at[a->at].n == a->n &&
			  m->at[a->at].owner == a->owner &&
			  !m->at[a->at].quarantined;

	PST_MUST(pst_agent_extents_release(e, a->owner, &s, 0) ==
		 (held ? 0 : -ENOENT));
	if (held)
		m->at[a->at].quarantined = 1;
}

static void release_owner(struct pst_agent_extents *e, struct model *m,
			  const struct act *a)
{
	uint64_t moved = 0;
	unsigned int i;

	for (i = 0; i < UNITS; i++) {
		if (!m->at[i].n || m->at[i].owner != a->owner ||
		    m->at[i].quarantined)
			continue;
		m->at[i].quarantined = 1;
		moved += m->at[i].n * PST_WIRE_UNIT;
	}
	PST_MUST(pst_agent_extents_release_owner(e, a->owner) == moved);
}

static void settle(struct pst_agent_extents *e, struct model *m,
		   const struct act *a)
{
	unsigned int i;

	pst_agent_extents_settle(e, a->owner, UINT64_MAX);
	for (i = 0; i < UNITS; i++)
		if (m->at[i].owner == a->owner && m->at[i].quarantined)
			memset(&m->at[i], 0, sizeof(m->at[i]));
}

static void perform(struct pst_agent_extents *e, struct model *m,
		    const struct act *a)
{
	static void (*const by_kind[])(struct pst_agent_extents *,
				       struct model *, const struct act *) = {
		lease, release, release_owner, settle};

	by_kind[a->kind](e, m, a);
}

/* Every question about a map, also about bytes that end within a unit. */
static void compare(const struct pst_agent_extents *e, const struct model *m)
{
	struct pst_agent_extents_stats stats;
	uint64_t leased[OWNERS + 1] = {0}, quarantined = 0;
	unsigned int i, at, n, owner, unit;
	struct pst_span s;
	bool held;

	for (i = 0; i < UNITS; i++) {
		if (m->at[i].quarantined)
			quarantined += m->at[i].n * PST_WIRE_UNIT;
		else
			leased[m->at[i].owner] += m->at[i].n * PST_WIRE_UNIT;
	}
	pst_agent_extents_stats(e, &stats);
	PST_MUST(stats.total == UNITS * PST_WIRE_UNIT);
	PST_MUST(stats.leased == leased[1] + leased[2]);
	PST_MUST(stats.quarantined == quarantined);
	PST_MUST(stats.largest_free == longest_free(m) * PST_WIRE_UNIT);
	PST_MUST(pst_agent_extents_leased(e, 0) == 0);
	for (owner = 1; owner <= OWNERS; owner++) {
		PST_MUST(pst_agent_extents_leased(e, owner) == leased[owner]);
		for (at = 0; at < UNITS; at++)
			for (n = 1; n <= PLACES; n++) {
				held = at + n <= UNITS;
				for (unit = at; unit < at + n && held; unit++) {
					i = covering(m, unit);
					held = i < UNITS &&
					       m->at[i].owner == owner &&
					       !m->at[i].quarantined;
				}
				s = span_of(at, n);
				PST_MUST(pst_agent_extents_holds(e, owner,
								 &s) == held);
				s.off++;
				s.size -= 2;
				PST_MUST(pst_agent_extents_holds(e, owner,
								 &s) == held);
			}
	}
}

/* A state that was found, and the acts that lead there. */
static struct found {
	struct model m;
	unsigned int n_path;
	uint8_t path[MAX_PATH];
} found[MAX_STATES];
static unsigned int n_found;

static void note(const struct model *m, const struct found *from,
		 unsigned int act)
{
	struct found *f;
	unsigned int i;

	for (i = 0; i < n_found; i++)
		if (memcmp(&found[i].m, m, sizeof(*m)) == 0)
			return;
	PST_MUST(n_found < MAX_STATES);
	f = &found[n_found++];
	*f = from ? *from : (struct found){0};
	f->m = *m;
	if (!from)
		return;
	PST_MUST(f->n_path < MAX_PATH);
	f->path[f->n_path++] = (uint8_t)act;
}

START_TEST(every_act_in_every_state_does_what_a_list_says)
{
	struct model m = {0};
	struct pst_agent_extents *e;
	unsigned int i, j, p;
	struct act a;

	note(&m, NULL, 0);
	for (i = 0; i < n_found; i++) {
		for (j = 0; j < ACTS; j++) {
			memset(&m, 0, sizeof(m));
			PST_MUST(pst_agent_extents_new(
					 OFF, UNITS * PST_WIRE_UNIT, &e) == 0);
			for (p = 0; p < found[i].n_path; p++) {
				a = act_of(found[i].path[p]);
				perform(e, &m, &a);
			}
			PST_MUST(memcmp(&m, &found[i].m, sizeof(m)) == 0);
			a = act_of(j);
			perform(e, &m, &a);
			compare(e, &m);
			note(&m, &found[i], j);
			pst_agent_extents_free(e);
		}
	}
	/* s(n) = s(n - 1) + 4 (s(n - 1) + ... + s(0)): the first unit is free,
	 * or an extent of some length and one of four kinds. */
	ck_assert_uint_eq(n_found, 985);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, every_act_in_every_state_does_what_a_list_says);
}

int main(void)
{
	return pst_unit_run("extent_all", add, 600);
}
