/* SPDX-License-Identifier: MIT */
/* The table of the connection's resident tensors: their sessions and the
 * agent's handles. Pure data; the caller serialises. */
#ifndef PST_HOST_CLIENT_LIB_PLAIN_TENSOR_TABLE_H
#define PST_HOST_CLIENT_LIB_PLAIN_TENSOR_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "transport/base/util.h"

/*
 * The application has ids of the library, never the agent's handles: those
 * count from the start in each epoch, so that one of a lost session could
 * name a tensor of the next.
 */
struct pst_tentry {
	uint64_t id;     /* the application's; 0: the place is free */
	uint64_t serial; /* of the session it lives in */
	uint64_t handle; /* the agent's */
	uint64_t size;   /* bytes */
	uint32_t busy;   /* operations that use it */
	bool freed;      /* by its owner; not told to the agent yet */
	uint32_t next_free;
};

struct pst_tensor_table {
	struct pst_tentry *entry;
	uint32_t n;
	uint32_t first_free; /* place + 1, 0: none */
	uint32_t generation; /* of the last id */
	uint32_t n_freed;    /* entries that are freed and still there */
};

/* Forgets everything. */
void pst_tensor_table_done(struct pst_tensor_table *t);

/* A new entry. Returns 0 and its id, which no earlier one had, or -ENOMEM. */
PST_MUST_USE int pst_tensor_table_add(struct pst_tensor_table *t,
				      uint64_t serial, uint64_t handle,
				      uint64_t size, uint64_t *ret_id);

/* The entry of an id, not a freed one; NULL for none. Valid until the next
 * add. */
struct pst_tentry *pst_tensor_table_find(const struct pst_tensor_table *t,
					 uint64_t id);

/* The entry that a session's agent knows by a handle, freed or not; NULL for
 * none. */
struct pst_tentry *pst_tensor_table_by_handle(const struct pst_tensor_table *t,
					      uint64_t serial, uint64_t handle);

/* Where an entry is, for records, which outlive the next add. */
static inline uint32_t pst_tensor_table_place(const struct pst_tensor_table *t,
					      const struct pst_tentry *e)
{
	return (uint32_t)(e - t->entry);
}

/* Its owner gives it up. */
void pst_tensor_table_free(struct pst_tensor_table *t, struct pst_tentry *e);

/* Forgets an entry that nothing uses. */
void pst_tensor_table_remove(struct pst_tensor_table *t, struct pst_tentry *e);

#endif
