/* SPDX-License-Identifier: MIT */
/* Resident tensors: looks one up, ends its uses, has it destroyed. */
#include <errno.h>
#include <inttypes.h>

#include "host-client/lib/plain/memory.h"

int pst_tensor_lookup(const struct pst_memory *m, const char *what, uint64_t id,
		      struct pst_tentry **ret, struct pst_error *err)
{
	struct pst_tentry *e = pst_tensor_table_find(&m->tensors, id);

	if (!e)
		return pst_error_set(
			err, -ENOENT,
			"%s: the connection has no tensor %#" PRIx64, what, id);
	if (e->serial != m->serial)
		return pst_error_set(err, -ESTALE,
				     "%s is a tensor of a lost session: %s",
				     what, m->lost->text);
	*ret = e;
	return 0;
}

void pst_tensor_free(struct pst_memory *m, struct pst_tentry *e)
{
	pst_tensor_table_free(&m->tensors, e);
	if (!e->busy)
		m->due = true;
}

void pst_tensor_unref(struct pst_memory *m, uint32_t place)
{
	struct pst_tentry *e = &m->tensors.entry[place];

	if (--e->busy == 0 && e->freed)
		m->due = true;
}

void pst_tensors_destroy(struct pst_memory *m, struct pst_channel *ch)
{
	struct pst_wire_tensor t = {0};
	struct pst_tentry *e;
	uint32_t i;

	for (i = 0; i < m->tensors.n && m->tensors.n_freed; i++) {
		e = &m->tensors.entry[i];
		if (!e->freed || e->busy)
			continue;
		t.handle = e->handle;
		/* With its session it is gone already. */
		if (e->serial == m->serial &&
		    pst_post(ch, PST_WIRE_TENSOR_DESTROY, &t, sizeof(t)) ==
			    -EAGAIN) {
			m->due = true;
			return;
		}
		pst_tensor_table_remove(&m->tensors, e);
	}
}
