/* SPDX-License-Identifier: MIT */
/* The table of the connection's resident tensors: their sessions and the
 * agent's handles. */
#include "host-client/lib/plain/tensor_table.h"

#include <errno.h>
#include <stdlib.h>

#define FIRST_PLACES 16U
/* More than an agent lets a session have. */
#define MAX_PLACES (1U << 24)

void pst_tensor_table_done(struct pst_tensor_table *t)
{
	free(t->entry);
	*t = (struct pst_tensor_table){0};
}

static int grow(struct pst_tensor_table *t)
{
	uint32_t n = t->n ? 2 * t->n : FIRST_PLACES, i;
	struct pst_tentry *entry;

	if (n > MAX_PLACES)
		return -ENOMEM;
	entry = realloc(t->entry, n * sizeof(*entry));
	if (!entry)
		return -ENOMEM;
	for (i = t->n; i < n; i++)
		entry[i] = (struct pst_tentry){
			.next_free = i + 1 < n ? i + 2 : 0,
		};
	t->first_free = t->n + 1;
	t->entry = entry;
	t->n = n;
	return 0;
}

int pst_tensor_table_add(struct pst_tensor_table *t, uint64_t serial,
			 uint64_t handle, uint64_t size, uint64_t *ret_id)
{
	struct pst_tentry *e;

	if (!t->first_free && grow(t) < 0)
		return -ENOMEM;
	e = &t->entry[t->first_free - 1];
	t->first_free = e->next_free;
	*e = (struct pst_tentry){
		.id = (uint64_t)++t->generation << 32 |
		      (pst_tensor_table_place(t, e) + 1),
		.serial = serial,
		.handle = handle,
		.size = size,
	};
	*ret_id = e->id;
	return 0;
}

struct pst_tentry *pst_tensor_table_find(const struct pst_tensor_table *t,
					 uint64_t id)
{
	/* Place 0 - 1 wraps and is too large. */
	const uint32_t place = (uint32_t)id - 1;

	if (place >= t->n || t->entry[place].id != id || t->entry[place].freed)
		return NULL;
	return &t->entry[place];
}

struct pst_tentry *pst_tensor_table_by_handle(const struct pst_tensor_table *t,
					      uint64_t serial, uint64_t handle)
{
	uint32_t i;

	for (i = 0; i < t->n; i++)
		if (t->entry[i].id && t->entry[i].serial == serial &&
		    t->entry[i].handle == handle)
			return &t->entry[i];
	return NULL;
}

void pst_tensor_table_free(struct pst_tensor_table *t, struct pst_tentry *e)
{
	e->freed = true;
	t->n_freed++;
}

void pst_tensor_table_remove(struct pst_tensor_table *t, struct pst_tentry *e)
{
	t->n_freed -= e->freed;
	*e = (struct pst_tentry){.next_free = t->first_free};
	t->first_free = pst_tensor_table_place(t, e) + 1;
}
