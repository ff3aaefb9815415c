/* SPDX-License-Identifier: MIT */
/* What the agent answers to the call of a model with named tensors. */
#include "host-client/lib/plain/run_use.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "transport/run.h"

/* The shape takes as many bytes as are said, and they fit, or do not. */
static bool is_possible(const struct pst_wire_io *w, uint32_t dtype,
			uint64_t room, bool small)
{
	uint64_t bytes;

	return w->dtype == dtype && w->rank <= PST_MAX_RANK &&
	       pst_run_bytes(dtype, w->rank, w->dim, &bytes) == 0 &&
	       bytes == w->bytes && (bytes > room) == small;
}

int pst_run_use_answer(const struct pst_wire_io *w, uint32_t dtype,
		       uint64_t room, int status, struct pst_io *ret,
		       struct pst_error *err)
{
	const bool small = w->flags & PST_WIRE_IO_TOO_SMALL;
	uint32_t i;

	if (status == -EMSGSIZE && !small)
		return 0;
	if ((status == 0 && small) ||
	    (w->flags & ~(PST_WIRE_IO_IN_PLACE | PST_WIRE_IO_TOO_SMALL)) ||
	    !is_possible(w, dtype, room, small))
		return pst_error_set(err, -EPROTO,
				     "the agent says of an output of %" PRIu64
				     " bytes what cannot be: %u dimensions and "
				     "%" PRIu64 " bytes",
				     room, w->rank, w->bytes);
	static_assert(PST_IO_IN_PLACE == PST_WIRE_IO_IN_PLACE &&
			      PST_IO_TOO_SMALL == PST_WIRE_IO_TOO_SMALL &&
			      PST_MAX_RANK == PST_WIRE_RUN_RANK,
		      "the same on the wire");
	ret->dtype = dtype;
	ret->rank = w->rank;
	ret->flags = w->flags;
	ret->bytes = w->bytes;
	for (i = 0; i < PST_MAX_RANK; i++)
		ret->dim[i] = i < w->rank ? (int64_t)w->dim[i] : 0;
	return 0;
}

int pst_run_use_end(const struct pst_run_use *u, int status)
{
	struct pst_wire_io w;
	struct pst_io *out;
	uint32_t i;
	int r = 0;

	if (!u->out || (status != 0 && status != -EMSGSIZE))
		return status;
	for (i = 0; r == 0 && i < u->n_out; i++) {
		out = (void *)((uint8_t *)u->out + i * u->step);
		/* Once: the guest may change it while it is looked at. */
		memcpy(&w, &u->answers[i], sizeof(w));
		r = pst_run_use_answer(&w, u->dtype[i], u->room[i], status, out,
				       NULL);
	}
	return r < 0 ? r : status;
}
