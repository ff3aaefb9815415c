/* SPDX-License-Identifier: MIT */
/* Finds a model of the table. */
#include "guest-agent/ort/ort_int.h"

struct pst_ort_entry *pst_ort_entry_find(const struct pst_ort *o, uint64_t id)
{
	uint32_t i;

	for (i = 0; id && i < o->n_places; i++)
		if (o->entries[i].model.id == id)
			return &o->entries[i];
	return NULL;
}

const struct pst_ort_model *pst_ort_find(const struct pst_ort *o, uint64_t id)
{
	const struct pst_ort_entry *e = pst_ort_entry_find(o, id);

	return e ? &e->model : NULL;
}
