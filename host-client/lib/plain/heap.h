/* SPDX-License-Identifier: MIT */
/* Buffers inside leased extents: allocates and frees bytes of them. Pure data;
 * maps, leases and locks nothing. */
#ifndef PST_HOST_CLIENT_LIB_PLAIN_HEAP_H
#define PST_HOST_CLIENT_LIB_PLAIN_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "transport/base/util.h"
#include "transport/op.h"

/* Every buffer's alignment: a cache line. */
#define PST_HEAP_ALIGN 64U
/* Buffers from this size on begin at a page, for O_DIRECT reads into them;
 * smaller ones would waste more than 1/16 on it. */
#define PST_HEAP_PAGE_FROM (64U << 10)
#define PST_HEAP_PAGE      4096U

struct pst_heap_extent;

/* A buffer. Its address does not change while it lives. */
struct pst_block {
	struct pst_heap_extent *extent;
	uint64_t off;      /* from the extent's start */
	uint64_t size;     /* as asked for */
	uint64_t room;     /* what it occupies */
	unsigned int busy; /* operations and copies that use it */
	bool freed;        /* by its owner, while busy */
	bool staged;       /* a call's own, which ends by itself */
};

/* A leased piece of the arena, or what is left of one of a lost session. */
struct pst_heap_extent {
	uint8_t *addr;
	uint64_t off; /* wire offset */
	uint64_t size;
	bool dead; /* its session is lost; the memory is private now */
	struct pst_span *spans; /* free space, sorted, never adjacent */
	size_t n_spans, max_spans;
	struct pst_block **blocks; /* sorted by off */
	size_t n_blocks, max_blocks;
};

struct pst_heap {
	struct pst_heap_extent **extents; /* sorted by addr */
	size_t n, max;
	uint64_t leased;  /* bytes of live extents */
	size_t n_staged;  /* staged blocks */
	uint64_t changes; /* grows whenever a block is given back */
};

static inline uint8_t *pst_block_addr(const struct pst_block *b)
{
	return b->extent->addr + b->off;
}

/* Forgets everything; memory of extents is the caller's to unmap. */
void pst_heap_done(struct pst_heap *h);

/*
 * Adds a mapped extent, all of it free. Returns 0, -ENOMEM, or -EPROTO when
 * it overlaps a live one in wire offsets (the agent leased it twice).
 */
PST_MUST_USE int pst_heap_add(struct pst_heap *h, void *addr,
			      const struct pst_span *span);

/* Whether span overlaps a live extent. */
bool pst_heap_overlaps(const struct pst_heap *h, const struct pst_span *span);

/* Forgets an extent without blocks. */
void pst_heap_remove(struct pst_heap *h, struct pst_heap_extent *e);

/*
 * A new block of size bytes (not 0) in a live extent, first fit. Returns 0,
 * -ENOSPC (no live extent has room), -ENOMEM.
 */
PST_MUST_USE int pst_heap_alloc(struct pst_heap *h, uint64_t size,
				struct pst_block **ret);

/* Gives a block's room back; never fails. Returns its extent when no block is
 * left in it, else NULL. */
struct pst_heap_extent *pst_heap_free(struct pst_heap *h, struct pst_block *b);

/* The block that [ptr, +n) lies in, not a freed one; NULL for none. A block
 * of a dead extent is found too. */
struct pst_block *pst_heap_find(const struct pst_heap *h, const void *ptr,
				uint64_t n);

/* Whether ptr points into the region where no buffer is: one was freed, or
 * there never was one. It is not the caller's own memory, though no buffer
 * either. */
bool pst_heap_dangles(const struct pst_heap *h, const void *ptr);

/* Bytes an extent must have so that size certainly fits into it when empty. */
uint64_t pst_heap_room(uint64_t size);

#endif
