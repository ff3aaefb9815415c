/* SPDX-License-Identifier: MIT */
/* Resident tensors: looking one up, ending its uses, destroying it. */
#include <errno.h>

#include "host-client/lib/conn.h"

int pst_tensor_lookup(struct pst *c, const char *what, uint64_t id,
		      struct pst_tentry **ret, struct pst_error *err)
{
	struct pst_tentry *e = pst_tentab_find(&c->mem.tensors, id);

	if (!e)
		return pst_error_set(err, -ENOENT,
				     "%s: the connection has no tensor %#llx",
				     what, (unsigned long long)id);
	if (!c->session.live || e->serial != c->session.serial)
		return pst_error_set(err, -ESTALE,
				     "%s is a tensor of a lost session: %s",
				     what, c->session.lost.text);
	*ret = e;
	return 0;
}

void pst_tensor_drop(struct pst *c, struct pst_tentry *e)
{
	const struct pst_wire_tensor t = {.handle = e->handle};

	/* With its session it is gone already. */
	if (c->session.live && e->serial == c->session.serial &&
	    pst_post(&c->channel, PST_WIRE_TENSOR_DESTROY, &t, sizeof(t)) ==
		    -EAGAIN) {
		if (!e->freed)
			pst_tentab_free(&c->mem.tensors, e);
		return;
	}
	pst_tentab_remove(&c->mem.tensors, e);
}

void pst_tensors_drop_freed(struct pst *c)
{
	uint32_t i;

	for (i = 0; i < c->mem.tensors.n && c->mem.tensors.n_freed; i++)
		if (c->mem.tensors.entry[i].freed &&
		    !c->mem.tensors.entry[i].busy)
			pst_tensor_drop(c, &c->mem.tensors.entry[i]);
}

void pst_tensor_unref(struct pst *c, uint32_t place)
{
	struct pst_tentry *e = &c->mem.tensors.entry[place];

	if (--e->busy == 0 && e->freed)
		pst_tensor_drop(c, e);
}
