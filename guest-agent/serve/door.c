/* SPDX-License-Identifier: MIT */
/* Connections before HELLO: how many may wait, and which one makes room for a
 * new one. */
#include "guest-agent/serve/door.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "transport/base/util.h"

/* One beyond max a listener, which rests then. */
#define BEYOND 32U

int pst_agent_door_init(struct pst_agent_door *d, unsigned int max)
{
	*d = (struct pst_agent_door){.max = max};
	TAILQ_INIT(&d->places);
	d->groups = calloc(max + BEYOND, sizeof(*d->groups));
	return d->groups ? 0 : -ENOMEM;
}

void pst_agent_door_done(struct pst_agent_door *d)
{
	assert(d->n == 0);
	free(d->groups);
	d->groups = NULL;
}

/* There are as many groups as places, so one is free for the first of a uid. */
static struct pst_agent_door_group *find_group(struct pst_agent_door *d,
					       bool has_uid, uint32_t uid)
{
	struct pst_agent_door_group *g, *unused = NULL;
	unsigned int i;

	for (i = 0; i < d->n_groups; i++) {
		g = &d->groups[i];
		if (!g->n)
			unused = g;
		else if (g->has_uid == has_uid && g->uid == uid)
			return g;
	}
	if (!unused)
		unused = &d->groups[d->n_groups++];
	unused->has_uid = has_uid;
	unused->uid = uid;
	TAILQ_INIT(&unused->places);
	return unused;
}

bool pst_agent_door_enter(struct pst_agent_door *d,
			  struct pst_agent_door_place *p, bool has_uid,
			  uint32_t uid, uint64_t now_ns)
{
	if (d->n >= d->max + BEYOND)
		return false;
	p->group = find_group(d, has_uid, has_uid ? uid : 0);
	p->since_ns = now_ns;
	TAILQ_INSERT_TAIL(&d->places, p, all);
	TAILQ_INSERT_TAIL(&p->group->places, p, own);
	p->group->n++;
	d->n++;
	return true;
}

void pst_agent_door_leave(struct pst_agent_door *d,
			  struct pst_agent_door_place *p)
{
	TAILQ_REMOVE(&d->places, p, all);
	TAILQ_REMOVE(&p->group->places, p, own);
	p->group->n--;
	d->n--;
	while (d->n_groups && !d->groups[d->n_groups - 1].n)
		d->n_groups--;
}

struct pst_agent_door_place *
pst_agent_door_show_out(const struct pst_agent_door *d,
			const struct pst_agent_door_place *p, uint64_t now_ns,
			uint64_t *ret_rest_ns)
{
	const struct pst_agent_door_group *g = p->group;
	struct pst_agent_door_place *oldest = NULL;
	uint64_t due;

	*ret_rest_ns = 0;
	if (g->has_uid && g->n > d->max / 2)
		oldest = TAILQ_FIRST(&g->places);
	else if (d->n > d->max)
		oldest = TAILQ_FIRST(&d->places);
	if (!oldest)
		return NULL;
	due = oldest->since_ns + PST_AGENT_DOOR_PATIENCE_MS * PST_NS_PER_MS;
	if (now_ns >= due)
		return oldest;
	*ret_rest_ns = due;
	return NULL;
}
