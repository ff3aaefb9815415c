/* SPDX-License-Identifier: MIT */
/* Buffers inside leased extents: sorted arrays and first fit. */
#include "host-client/lib/plain/heap.h"

#include <errno.h>
#include <string.h>

/* Makes room for n entries of elem bytes. Doubling keeps it rare. */
static int grow(void *array, size_t *max, size_t n, size_t elem)
{
	void **p = array;
	size_t want = *max ? *max : 8;
	void *q;

	if (n <= *max)
		return 0;
	while (want < n)
		want *= 2;
	q = reallocarray(*p, want, elem);
	if (!q)
		return -ENOMEM;
	*p = q;
	*max = want;
	return 0;
}

static void extent_free(struct pst_heap_extent *e)
{
	size_t i;

	for (i = 0; i < e->n_blocks; i++)
		free(e->blocks[i]);
	free(e->blocks);
	free(e->spans);
	free(e);
}

void pst_heap_done(struct pst_heap *h)
{
	size_t i;

	for (i = 0; i < h->n; i++)
		extent_free(h->extents[i]);
	free(h->extents);
	memset(h, 0, sizeof(*h));
}

bool pst_heap_overlaps(const struct pst_heap *h, const struct pst_span *span)
{
	const struct pst_heap_extent *e;
	size_t i;

	for (i = 0; i < h->n; i++) {
		e = h->extents[i];
		if (!e->dead && span->off < e->off + e->size &&
		    e->off < span->off + span->size)
			return true;
	}
	return false;
}

int pst_heap_add(struct pst_heap *h, void *addr, const struct pst_span *span)
{
	struct pst_heap_extent *e;
	size_t i;

	if (pst_heap_overlaps(h, span))
		return -EPROTO;
	if (grow(&h->extents, &h->max, h->n + 1, sizeof(*h->extents)) < 0)
		return -ENOMEM;
	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	if (grow(&e->spans, &e->max_spans, 1, sizeof(*e->spans)) < 0) {
		free(e);
		return -ENOMEM;
	}
	e->addr = addr;
	e->off = span->off;
	e->size = span->size;
	e->spans[0] = (struct pst_span){.off = 0, .size = span->size};
	e->n_spans = 1;
	for (i = h->n; i > 0 && h->extents[i - 1]->addr > e->addr; i--)
		h->extents[i] = h->extents[i - 1];
	h->extents[i] = e;
	h->n++;
	h->leased += e->size;
	return 0;
}

void pst_heap_remove(struct pst_heap *h, struct pst_heap_extent *e)
{
	size_t i;

	for (i = 0; i < h->n && h->extents[i] != e; i++)
		;
	if (i == h->n)
		return;
	memmove(&h->extents[i], &h->extents[i + 1],
		(h->n - i - 1) * sizeof(*h->extents));
	h->n--;
	if (!e->dead)
		h->leased -= e->size;
	extent_free(e);
}

static uint64_t align_of(uint64_t size)
{
	return size >= PST_HEAP_PAGE_FROM ? PST_HEAP_PAGE : PST_HEAP_ALIGN;
}

uint64_t pst_heap_room(uint64_t size)
{
	/* An empty extent's free space begins at its start, aligned. */
	return pst_round_up(size, PST_HEAP_ALIGN);
}

/* Index of the first block at or behind off. */
static size_t block_lower(const struct pst_heap_extent *e, uint64_t off)
{
	size_t lo = 0, hi = e->n_blocks, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (e->blocks[mid]->off < off)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void span_remove(struct pst_heap_extent *e, size_t i)
{
	memmove(&e->spans[i], &e->spans[i + 1],
		(e->n_spans - i - 1) * sizeof(*e->spans));
	e->n_spans--;
}

static void span_insert(struct pst_heap_extent *e, size_t i,
			const struct pst_span *s)
{
	memmove(&e->spans[i + 1], &e->spans[i],
		(e->n_spans - i) * sizeof(*e->spans));
	e->spans[i] = *s;
	e->n_spans++;
}

/* Takes [off, +room) out of free span i. */
static void span_take(struct pst_heap_extent *e, size_t i, uint64_t off,
		      uint64_t room)
{
	struct pst_span *s = &e->spans[i];
	struct pst_span tail = {
		.off = off + room,
		.size = s->off + s->size - (off + room),
	};

	s->size = off - s->off;
	if (tail.size)
		span_insert(e, i + 1, &tail);
	if (e->spans[i].size == 0)
		span_remove(e, i);
}

/* First fit in one extent: 0, -ENOSPC, -ENOMEM. */
static int extent_alloc(struct pst_heap_extent *e, uint64_t size,
			struct pst_block **ret)
{
	uint64_t room = pst_heap_room(size), off = 0;
	struct pst_block *b;
	size_t i, at;

	for (i = 0; i < e->n_spans; i++) {
		off = pst_round_up(e->spans[i].off, align_of(size));
		if (off + room <= e->spans[i].off + e->spans[i].size)
			break;
	}
	if (i == e->n_spans)
		return -ENOSPC;
	/* Never more free spans than blocks + 1: room for all of them now
	 * lets pst_heap_free() do without an allocation. */
	if (grow(&e->blocks, &e->max_blocks, e->n_blocks + 1,
		 sizeof(*e->blocks)) < 0 ||
	    grow(&e->spans, &e->max_spans, e->n_blocks + 3, sizeof(*e->spans)) <
		    0)
		return -ENOMEM;
	b = calloc(1, sizeof(*b));
	if (!b)
		return -ENOMEM;
	b->extent = e;
	b->off = off;
	b->size = size;
	b->room = room;
	span_take(e, i, off, room);
	at = block_lower(e, off);
	memmove(&e->blocks[at + 1], &e->blocks[at],
		(e->n_blocks - at) * sizeof(*e->blocks));
	e->blocks[at] = b;
	e->n_blocks++;
	*ret = b;
	return 0;
}

int pst_heap_alloc(struct pst_heap *h, uint64_t size, struct pst_block **ret)
{
	size_t i;
	int r;

	for (i = 0; i < h->n; i++) {
		if (h->extents[i]->dead || h->extents[i]->size < size)
			continue;
		r = extent_alloc(h->extents[i], size, ret);
		if (r != -ENOSPC)
			return r;
	}
	return -ENOSPC;
}

/* Index of the first free span at or behind off. */
static size_t span_lower(const struct pst_heap_extent *e, uint64_t off)
{
	size_t lo = 0, hi = e->n_spans, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (e->spans[mid].off < off)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct pst_heap_extent *pst_heap_free(struct pst_heap *h, struct pst_block *b)
{
	struct pst_heap_extent *e = b->extent;
	struct pst_span s = {.off = b->off, .size = b->room};
	size_t i = block_lower(e, b->off);

	h->changes++;
	h->n_staged -= b->staged;
	memmove(&e->blocks[i], &e->blocks[i + 1],
		(e->n_blocks - i - 1) * sizeof(*e->blocks));
	e->n_blocks--;
	free(b);

	i = span_lower(e, s.off);
	if (i < e->n_spans && e->spans[i].off == s.off + s.size) {
		s.size += e->spans[i].size;
		span_remove(e, i);
	}
	if (i > 0 && e->spans[i - 1].off + e->spans[i - 1].size == s.off)
		e->spans[i - 1].size += s.size;
	else
		span_insert(e, i, &s);
	return e->n_blocks ? NULL : e;
}

/* The extent that ptr points into, or NULL. */
static struct pst_heap_extent *extent_of(const struct pst_heap *h,
					 const uint8_t *p)
{
	size_t lo = 0, hi = h->n, mid;
	struct pst_heap_extent *e;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (h->extents[mid]->addr <= p)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == 0)
		return NULL;
	e = h->extents[lo - 1];
	return (uint64_t)(p - e->addr) < e->size ? e : NULL;
}

struct pst_block *pst_heap_find(const struct pst_heap *h, const void *ptr,
				uint64_t n)
{
	struct pst_heap_extent *e = extent_of(h, ptr);
	struct pst_block *b;
	uint64_t off;
	size_t i;

	if (!e)
		return NULL;
	off = (uint64_t)((const uint8_t *)ptr - e->addr);
	i = block_lower(e, off + 1);
	if (i == 0)
		return NULL;
	b = e->blocks[i - 1];
	if (b->freed || off - b->off >= b->size || n > b->size - (off - b->off))
		return NULL;
	return b;
}

bool pst_heap_dangles(const struct pst_heap *h, const void *ptr)
{
	return extent_of(h, ptr) && !pst_heap_find(h, ptr, 0);
}
