/* SPDX-License-Identifier: MIT */
/* Divides one buffer of a region among requests, without asking anybody. */
#ifndef PST_HOST_CLIENT_GATEWAY_AGENTS_POOL_H
#define PST_HOST_CLIENT_GATEWAY_AGENTS_POOL_H

#include <sys/queue.h>

#include "transport/base/util.h"

#define PST_GW_POOL_ALIGN 64U

struct pst_gw_piece {
	TAILQ_ENTRY(pst_gw_piece) link;
	uint64_t off, size;
};

/* The pieces that are in use, in order; between them is room. */
struct pst_gw_pool {
	uint8_t *base;
	uint64_t size, used;
	TAILQ_HEAD(, pst_gw_piece) pieces;
};

void pst_gw_pool_init(struct pst_gw_pool *p, void *base, uint64_t size);
void pst_gw_pool_done(struct pst_gw_pool *p);

/* A piece of size bytes at a multiple of PST_GW_POOL_ALIGN; NULL: no room. */
struct pst_gw_piece *pst_gw_pool_get(struct pst_gw_pool *p, uint64_t size);
void pst_gw_pool_put(struct pst_gw_pool *p, struct pst_gw_piece *piece);

#endif
