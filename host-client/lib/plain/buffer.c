/* SPDX-License-Identifier: MIT */
/* The holders of a buffer's memory: operations, the application, the peer. */
#include <errno.h>
#include <inttypes.h>
#include <sys/mman.h>

#include "host-client/lib/plain/memory.h"

int pst_buffer_find(const struct pst_memory *m, const char *what,
		    const void *ptr, uint64_t n, struct pst_block **ret,
		    struct pst_error *err)
{
	struct pst_block *b = pst_heap_find(&m->heap, ptr, n);

	if (!ptr)
		return pst_error_set(err, -EFAULT, "%s is NULL", what);
	if (!b && n)
		return pst_error_set(err, -EFAULT,
				     "%s (%" PRIu64
				     " bytes) does not lie in a buffer of the "
				     "connection",
				     what, n);
	if (!b)
		return pst_error_set(
			err, -EFAULT,
			"%s does not lie in a buffer of the connection", what);
	if (b->extent->dead)
		return pst_error_set(
			err, -ESTALE,
			"%s lies in a buffer of a lost session: %s", what,
			m->lost->text);
	*ret = b;
	return 0;
}

/* Unmaps an extent without blocks and forgets it. */
static void drop_extent(struct pst_memory *m, struct pst_heap_extent *e)
{
	munmap(e->addr, e->size);
	pst_heap_remove(&m->heap, e);
}

/* Unmaps a live, empty extent, then gives it back to the agent: in this order,
 * so that nothing here can write to what may be somebody else's. */
static void release_extent(struct pst_memory *m, struct pst_channel *ch,
			   struct pst_heap_extent *e)
{
	const struct pst_wire_lease lease = {.off = e->off, .size = e->size};

	/* Without room for the frame it stays cached. */
	if (PST_TX_SIZE - ch->tx_n <
	    sizeof(struct pst_wire_frame) + sizeof(lease)) {
		m->due = true;
		return;
	}
	drop_extent(m, e);
	(void)pst_post(ch, PST_WIRE_RELEASE, &lease, sizeof(lease));
}

void pst_buffers_release(struct pst_memory *m, struct pst_channel *ch,
			 const struct pst_heap_extent *keep)
{
	struct pst_heap_extent *e;
	size_t i;

	/* Backwards: a release may remove the entry. */
	for (i = m->heap.n; i > 0; i--) {
		e = m->heap.extents[i - 1];
		if (!e->dead && e->n_blocks == 0 && e != keep)
			release_extent(m, ch, e);
	}
}

void pst_buffer_free(struct pst_memory *m, struct pst_block *b)
{
	struct pst_heap_extent *e = pst_heap_free(&m->heap, b);

	if (m->n_room)
		pthread_cond_broadcast(&m->room);
	if (!e)
		return;
	if (e->dead) {
		drop_extent(m, e);
		return;
	}
	/* One empty extent is kept for the next allocation. */
	m->spare = e;
	m->due = true;
}

void pst_buffer_unref(struct pst_memory *m, struct pst_block *b)
{
	if (--b->busy == 0 && b->freed)
		pst_buffer_free(m, b);
}

static void release_run(struct pst_memory *m, struct pst_run_use *u)
{
	uint32_t i;

	for (i = 0; i < u->n_blocks; i++)
		pst_buffer_unref(m, u->block[i]);
	free(u);
}

void pst_record_release(struct pst_memory *m, struct pst_record *rec)
{
	int i;

	rec->uses = false;
	for (i = 0; i < PST_RECORD_BLOCKS; i++) {
		if (rec->blocks[i])
			pst_buffer_unref(m, rec->blocks[i]);
		if (rec->tensors[i])
			pst_tensor_unref(m, rec->tensors[i] - 1);
	}
	if (rec->run)
		release_run(m, rec->run);
}

void pst_memory_give_back(struct pst_memory *m, struct pst_channel *ch)
{
	m->due = false;
	pst_tensors_destroy(m, ch);
	pst_buffers_release(m, ch, m->spare);
}

void pst_memory_detach(struct pst_memory *m)
{
	struct pst_heap_extent *e;
	size_t i;

	m->serial = 0;
	for (i = 0; i < m->heap.n; i++) {
		e = m->heap.extents[i];
		if (e->dead)
			continue;
		/* On failure it is inaccessible: as safe for the peer. */
		(void)pst_region_map_detach(e->addr, e->size);
		e->dead = true;
	}
	m->heap.leased = 0;
	for (i = m->heap.n; i > 0; i--)
		if (m->heap.extents[i - 1]->n_blocks == 0)
			drop_extent(m, m->heap.extents[i - 1]);
	(void)pst_region_map_detach(m->ctl, PST_WIRE_CTL_SIZE);
	pst_region_map_close(&m->map);
}
