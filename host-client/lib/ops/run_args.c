/* SPDX-License-Identifier: MIT */
/* Reads the arguments of a model's call: finds its tensors by their names, and
 * guesses how large its outputs will be. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "host-client/lib/ops/run.h"
#include "host-client/lib/plain/args.h"
#include "transport/dtype.h"
#include "transport/run.h"

/* Of an output whose size nobody knows before: the first guess. */
#define GUESS_LEAST (64ULL << 10)

static const struct pst_tensor_spec *spec_of(const struct pst_run_operands *o,
					     uint32_t i)
{
	const bool in = i < o->n_in;

	return (in ? o->model->in : o->model->out) + o->io[i].index;
}

const char *pst_run_name(const struct pst_run_operands *o, uint32_t i)
{
	return spec_of(o, i)->name;
}

static int find_slot(const struct pst_model_spec *m, bool in, struct pst_io *io,
		     struct pst_error *err)
{
	const struct pst_tensor_spec *t = in ? m->in : m->out;
	const uint32_t n = in ? m->n_in : m->n_out;
	uint32_t i;

	if (!io->name) {
		if (io->index < n)
			return 0;
		return pst_error_set(
			err, -ENOENT, "model %.63s has no %s %u: it has %u",
			m->model.name, in ? "input" : "output", io->index, n);
	}
	for (i = 0; i < n; i++) {
		if (strcmp(t[i].name, io->name) != 0)
			continue;
		io->index = i;
		return 0;
	}
	return pst_error_set(err, -ENOENT,
			     "model %.63s has no %s \"%.120s\"%s%.120s",
			     m->model.name, in ? "input" : "output", io->name,
			     n ? "; its first is " : "", n ? t[0].name : "");
}

static int check_input(const struct pst_tensor_spec *t, struct pst_io *io,
		       struct pst_error *err)
{
	uint64_t dim[PST_MAX_RANK], bytes;
	uint32_t i;

	if (io->rank > PST_MAX_RANK)
		return pst_error_set(err, -EINVAL,
				     "%.120s has %u dimensions; %u are allowed",
				     t->name, io->rank, PST_MAX_RANK);
	for (i = 0; i < io->rank; i++) {
		if (io->dim[i] < 0)
			return pst_error_set(err, -EINVAL,
					     "dimension %u of %.120s is "
					     "%" PRId64,
					     i, t->name, io->dim[i]);
		dim[i] = (uint64_t)io->dim[i];
	}
	if (pst_run_bytes(io->dtype, io->rank, dim, &bytes) < 0)
		return pst_error_set(err, -EOVERFLOW,
				     "the shape of %.120s is too large",
				     t->name);
	if (io->bytes && io->bytes != bytes)
		return pst_error_set(err, -EINVAL,
				     "%.120s has %" PRIu64
				     " bytes; its shape has %" PRIu64,
				     t->name, io->bytes, bytes);
	io->bytes = bytes;
	if (!io->data)
		return pst_error_set(err, -EFAULT, "%.120s is NULL", t->name);
	return 0;
}

/* The size that a name of a dimension has in the inputs; -1: in none. */
static int64_t size_of(const struct pst_run_operands *o, const char *name)
{
	const struct pst_tensor_spec *t;
	uint32_t i, j;

	for (i = 0; i < o->n_in; i++) {
		t = spec_of(o, i);
		for (j = 0; j < t->rank && j < o->io[i].rank; j++)
			if (t->dim_name[j] && strcmp(t->dim_name[j], name) == 0)
				return o->io[i].dim[j];
	}
	return -1;
}

static uint64_t guess(const struct pst_run_operands *o,
		      const struct pst_tensor_spec *t)
{
	uint64_t dim[PST_MAX_RANK], bytes;
	int64_t n = 0;
	uint32_t i;

	for (i = 0; i < t->rank && n >= 0; i++) {
		n = t->dim[i];
		if (n < 0 && t->dim_name[i])
			n = size_of(o, t->dim_name[i]);
		dim[i] = (uint64_t)n;
	}
	if (n >= 0 && pst_run_bytes(t->dtype, t->rank, dim, &bytes) == 0)
		return bytes;
	bytes = 0;
	for (i = 0; i < o->n_in; i++)
		bytes += o->io[i].bytes;
	return bytes > GUESS_LEAST ? bytes : GUESS_LEAST;
}

static int take_io(struct pst_run_operands *o, uint32_t i,
		   const struct pst_io *given, struct pst_error *err)
{
	static const struct pst_args_kind kind = {
		.init = "PST_IO_INIT",
		.size = sizeof(struct pst_io),
		.least = sizeof(struct pst_io),
	};
	struct pst_io *io = &o->io[i];
	const bool in = i < o->n_in;
	const struct pst_tensor_spec *t;
	int r;

	if ((r = pst_args_take(&kind, given, io, err)) < 0 ||
	    (r = find_slot(o->model, in, io, err)) < 0)
		return r;
	t = spec_of(o, i);
	if (!in || io->dtype == 0)
		io->dtype = t->dtype;
	if (io->dtype != t->dtype)
		return pst_error_set(
			err, -EINVAL, "%.120s is %s; the call has %s", t->name,
			pst_dtype_name(t->dtype), pst_dtype_name(io->dtype));
	if (in && io->rank != t->rank)
		return pst_error_set(err, -EINVAL,
				     "%.120s has %u dimensions; the call has "
				     "%u",
				     t->name, t->rank, io->rank);
	if (in)
		return check_input(t, io, err);
	if (!io->data)
		io->bytes = guess(o, t);
	return 0;
}

static int take_all(struct pst_run_operands *o, const struct pst_run_args *a,
		    struct pst_error *err)
{
	const struct pst_io *in = a->in, *out = a->out;
	uint32_t i;
	int r = 0;

	o->step = a->n_out ? a->out->size : 0;
	for (i = 0; r == 0 && i < a->n_in; i++) {
		r = take_io(o, i, in, err);
		in = (const void *)((const uint8_t *)in + a->in->size);
	}
	for (; r == 0 && i < a->n_in + a->n_out; i++) {
		r = take_io(o, i, out, err);
		out = (const void *)((const uint8_t *)out + o->step);
	}
	return r;
}

int pst_run_take(const struct pst_run_args *args, struct pst_run_operands *ret,
		 struct pst_error *err)
{
	static const struct pst_args_kind kind = {
		.init = "PST_RUN_INIT",
		.size = sizeof(*args),
		.least = sizeof(*args),
	};
	struct pst_run_args a;
	int r = pst_args_take(&kind, args, &a, err);

	if (r < 0)
		return r;
	if (!a.model || !a.model->model.handle)
		return pst_error_set(err, -EINVAL,
				     "no model was given: pst_model_info() "
				     "describes one");
	if (a.n_in > PST_WIRE_RUN_IO || a.n_out > PST_WIRE_RUN_IO)
		return pst_error_set(err, -EINVAL,
				     "%u inputs and %u outputs; %u of each are "
				     "allowed",
				     a.n_in, a.n_out, PST_WIRE_RUN_IO);
	if ((a.n_in && !a.in) || (a.n_out && !a.out))
		return pst_error_set(err, -EINVAL, "the list of %s is NULL",
				     a.n_in && !a.in ? "inputs" : "outputs");
	ret->model = a.model;
	ret->n_in = a.n_in;
	ret->n_out = a.n_out;
	ret->out = a.out;
	return take_all(ret, &a, err);
}
