/* SPDX-License-Identifier: MIT */
/* Memory that is shared with the agent, and its holders: buffers (buffer.c) and
 * resident tensors (tensor_ref.c). The caller serialises. */
#ifndef PST_HOST_CLIENT_LIB_PLAIN_MEMORY_H
#define PST_HOST_CLIENT_LIB_PLAIN_MEMORY_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "host-client/lib/plain/channel.h"
#include "host-client/lib/plain/heap.h"
#include "host-client/lib/plain/pending.h"
#include "host-client/lib/plain/tensor_table.h"
#include "transport/base/error.h"
#include "transport/region/region.h"

/*
 * ctl is mapped once, at an address that stays the connection's until
 * pst_close(): while no session is alive there is private memory, so reading a
 * lane's slot without the lock is safe at any time.
 */
struct pst_memory {
	uint8_t *ctl; /* PST_WIRE_CTL_SIZE */
	struct pst_region_map map;
	uint64_t serial; /* of the session whose memory it is; 0: none */
	const struct pst_error *lost;         /* why the last one ended */
	const struct pst_wire_limits *limits; /* of the agent, or the last */
	struct pst_heap heap;
	struct pst_tensor_table tensors;
	const void *leasing; /* the thread that extends the heap, or NULL */
	/* Something may be free that the agent does not know of: pst_settle()
	 * tells it. spare: the empty extent that is kept, if it is there. */
	bool due;
	const struct pst_heap_extent *spare;
	pthread_cond_t room; /* calls that wait for room in the arena */
	unsigned int n_room;
};

/*
 * The live block that [ptr, +n) lies in, n may be 0. -EFAULT, -ESTALE with a
 * sentence that begins with what.
 */
PST_MUST_USE int pst_buffer_find(const struct pst_memory *m, const char *what,
				 const void *ptr, uint64_t n,
				 struct pst_block **ret, struct pst_error *err);

/* Its owner gives a block up that nothing uses. Sends nothing. */
void pst_buffer_free(struct pst_memory *m, struct pst_block *b);

/* Ends one use of a block, which is free then if its owner has given it up.
 * Sends nothing. */
void pst_buffer_unref(struct pst_memory *m, struct pst_block *b);

/* The live tensor of an id. -ENOENT, -ESTALE with a sentence that begins with
 * what. */
PST_MUST_USE int pst_tensor_lookup(const struct pst_memory *m, const char *what,
				   uint64_t id, struct pst_tentry **ret,
				   struct pst_error *err);

/* Its owner gives a tensor up. Sends nothing. */
void pst_tensor_free(struct pst_memory *m, struct pst_tentry *e);

/* Ends one use of the tensor at a place. Sends nothing. */
void pst_tensor_unref(struct pst_memory *m, uint32_t place);

/* Ends the use of blocks and tensors by a record that is no longer PENDING or
 * ABANDONED. */
void pst_record_release(struct pst_memory *m, struct pst_record *rec);
static inline void pst_record_unref(struct pst_memory *m,
				    struct pst_record *rec)
{
	if (rec->uses)
		pst_record_release(m, rec);
}

/* Gives empty extents, all but keep, back to the agent. What finds no room in
 * the channel stays due. */
void pst_buffers_release(struct pst_memory *m, struct pst_channel *ch,
			 const struct pst_heap_extent *keep);

/* Has the agent destroy the tensors that were given up and are not used. What
 * finds no room in the channel stays due. */
void pst_tensors_destroy(struct pst_memory *m, struct pst_channel *ch);

/* Both: what is due. */
void pst_memory_give_back(struct pst_memory *m, struct pst_channel *ch);

/* Takes all of it away from the peer; blocks and tensors are stale from now
 * on. */
void pst_memory_detach(struct pst_memory *m);

#endif
