/* SPDX-License-Identifier: MIT */
/* Who holds the memory of buffers: operations, the application, the peer. */
#include <errno.h>
#include <sys/mman.h>

#include "host-client/lib/conn.h"

int pst_buffer_find(struct pst *c, const char *what, const void *ptr,
		    uint64_t n, struct pst_block **ret, struct pst_error *err)
{
	struct pst_block *b = pst_heap_find(&c->mem.heap, ptr, n);

	if (!ptr)
		return pst_error_set(err, -EFAULT, "%s is NULL", what);
	if (!b && n)
		return pst_error_set(
			err, -EFAULT,
			"%s (%llu bytes) does not lie in a buffer of the "
			"connection",
			what, (unsigned long long)n);
	if (!b)
		return pst_error_set(
			err, -EFAULT,
			"%s does not lie in a buffer of the connection", what);
	if (b->extent->dead)
		return pst_error_set(
			err, -ESTALE,
			"%s lies in a buffer of a lost session: %s", what,
			c->session.lost.text);
	*ret = b;
	return 0;
}

/* Unmaps an extent without blocks and forgets it. */
static void drop_extent(struct pst *c, struct pst_heap_extent *e)
{
	munmap(e->addr, e->size);
	pst_heap_remove(&c->mem.heap, e);
}

/* Unmaps a live, empty extent, then gives it back to the agent: in this order,
 * so that nothing here can write to what may be somebody else's. */
static void release_extent(struct pst *c, struct pst_heap_extent *e)
{
	const struct pst_wire_lease lease = {.off = e->off, .size = e->size};
	size_t room = PST_TX_SIZE - c->channel.tx_n;

	/* Without room for the frame it stays cached. */
	if (room < sizeof(struct pst_wire_frame) + sizeof(lease))
		return;
	drop_extent(c, e);
	(void)pst_post(&c->channel, PST_WIRE_RELEASE, &lease, sizeof(lease));
}

void pst_buffers_release(struct pst *c, const struct pst_heap_extent *keep)
{
	struct pst_heap_extent *e;
	size_t i;

	/* Backwards: a release may remove the entry. */
	for (i = c->mem.heap.n; i > 0; i--) {
		e = c->mem.heap.extents[i - 1];
		if (!e->dead && e->n_blocks == 0 && e != keep)
			release_extent(c, e);
	}
}

void pst_buffer_free(struct pst *c, struct pst_block *b)
{
	struct pst_heap_extent *e = pst_heap_free(&c->mem.heap, b);

	if (c->mem.n_room)
		pthread_cond_broadcast(&c->mem.room);
	if (!e)
		return;
	if (e->dead)
		drop_extent(c, e);
	else
		/* One empty extent is kept for the next allocation. */
		pst_buffers_release(c, e);
}

void pst_buffer_unref(struct pst *c, struct pst_block *b)
{
	if (--b->busy == 0 && b->freed)
		pst_buffer_free(c, b);
}

void pst_record_unref(struct pst *c, struct pst_record *rec)
{
	struct pst_block *block;
	uint32_t tensor;
	int i;

	/* Out of the record first: whatever giving back leads to, nobody finds
	 * it there once more. */
	for (i = 0; i < PST_RECORD_BLOCKS; i++) {
		block = rec->blocks[i];
		rec->blocks[i] = NULL;
		if (block)
			pst_buffer_unref(c, block);
		tensor = rec->tensors[i];
		rec->tensors[i] = 0;
		if (tensor)
			pst_tensor_unref(c, tensor - 1);
	}
}

void pst_buffers_detach(struct pst *c)
{
	struct pst_heap_extent *e;
	size_t i;

	for (i = 0; i < c->mem.heap.n; i++) {
		e = c->mem.heap.extents[i];
		if (e->dead)
			continue;
		/* On failure it is inaccessible: as safe for the peer. */
		(void)pst_region_map_detach(e->addr, e->size);
		e->dead = true;
	}
	c->mem.heap.leased = 0;
	for (i = c->mem.heap.n; i > 0; i--)
		if (c->mem.heap.extents[i - 1]->n_blocks == 0)
			drop_extent(c, c->mem.heap.extents[i - 1]);
}
