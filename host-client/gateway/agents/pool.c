/* SPDX-License-Identifier: MIT */
/* Divides one buffer of a region among requests, without asking anybody. */
#include "host-client/gateway/agents/pool.h"

void pst_gw_pool_init(struct pst_gw_pool *p, void *base, uint64_t size)
{
	*p = (struct pst_gw_pool){.base = base, .size = size};
	TAILQ_INIT(&p->pieces);
}

void pst_gw_pool_done(struct pst_gw_pool *p)
{
	struct pst_gw_piece *e;

	while ((e = TAILQ_FIRST(&p->pieces)))
		pst_gw_pool_put(p, e);
}

struct pst_gw_piece *pst_gw_pool_get(struct pst_gw_pool *p, uint64_t size)
{
	struct pst_gw_piece *e, *made;
	uint64_t at = 0;

	if (size > p->size)
		return NULL;
	size = pst_round_up(size ? size : 1, PST_GW_POOL_ALIGN);
	TAILQ_FOREACH(e, &p->pieces, link)
	{
		if (e->off - at >= size)
			break;
		at = e->off + e->size;
	}
	if (!e && p->size - at < size)
		return NULL;
	made = calloc(1, sizeof(*made));
	if (!made)
		return NULL;
	made->off = at;
	made->size = size;
	if (e)
		TAILQ_INSERT_BEFORE(e, made, link);
	else
		TAILQ_INSERT_TAIL(&p->pieces, made, link);
	p->used += size;
	return made;
}

void pst_gw_pool_put(struct pst_gw_pool *p, struct pst_gw_piece *piece)
{
	if (!piece)
		return;
	p->used -= piece->size;
	TAILQ_REMOVE(&p->pieces, piece, link);
	free(piece);
}
