/* SPDX-License-Identifier: MIT */
/* Runs a model on the arena. */
#include "guest-agent/runner/run.h"

#include <stdbool.h>
#include <string.h>

struct operands {
	const char *in_name[PST_RUNNER_IO], *out_name[PST_RUNNER_IO];
	struct ort_value *in[PST_RUNNER_IO], *out[PST_RUNNER_IO];
	/* Sizes of the dimensions that have a name; -1: not told by inputs. */
	int64_t symbol[PST_RUNNER_SYMBOLS];
};

struct run {
	const struct pst_runner_ort *ort;
	struct pst_runner_model *model;
	uint8_t *arena;
	uint64_t size;
	struct pst_runner_space *space;
	struct pst_runner_call *call;
	bool copies; /* all outputs are made elsewhere */
	struct operands o;
	struct pst_error err;
};

void pst_runner_space_done(struct pst_runner_space *s)
{
	free(s->data);
	*s = (struct pst_runner_space){0};
}

static int grow(struct pst_runner_space *s, size_t size, struct pst_error *err)
{
	if (size <= s->size)
		return 0;
	pst_runner_space_done(s);
	s->data = aligned_alloc(64, size);
	if (!s->data)
		return pst_oom(err);
	s->size = size;
	return 0;
}

/* Bytes of a tensor. Returns 0, -EOVERFLOW, -EINVAL. */
static int tensor_size(uint32_t elem, uint32_t rank, const int64_t *dim,
		       uint64_t *ret)
{
	uint64_t n = pst_runner_elem_size(elem);
	uint32_t i;

	for (i = 0; i < rank; i++) {
		if (dim[i] < 0)
			return -EINVAL;
		if (pst_mul_overflow(n, (uint64_t)dim[i], &n))
			return -EOVERFLOW;
	}
	*ret = n;
	return 0;
}

/* What the agent has checked, once more: a mistake there must not become one
 * here. */
static int check_io(const struct run *r, const struct pst_runner_io *io,
		    uint32_t n)
{
	uint64_t end;

	if (io->slot >= n || io->rank > PST_RUNNER_RANK || io->off % 64 ||
	    pst_add_overflow(io->off, io->size, &end) || end > r->size)
		return -EINVAL;
	return 0;
}

static int check(struct run *r)
{
	const struct pst_runner_call *c = r->call;
	uint64_t n;
	uint32_t i;

	if (c->n_in > r->model->about.n_in || c->n_out > r->model->about.n_out)
		return -EINVAL;
	for (i = 0; i < c->n_in; i++)
		if (check_io(r, &c->io[i], r->model->about.n_in) ||
		    tensor_size(c->io[i].elem, c->io[i].rank, c->io[i].dim,
				&n) ||
		    n != c->io[i].size)
			return -EINVAL;
	for (; i < c->n_in + c->n_out; i++)
		if (check_io(r, &c->io[i], r->model->about.n_out))
			return -EINVAL;
	return 0;
}

static bool is_copied(const struct pst_runner_io *io)
{
	return !pst_runner_elem_is_float(io->elem) ||
	       io->size <= PST_RUNNER_COPY_BELOW;
}

static void learn_symbols(struct run *r, const struct pst_runner_tensor *t,
			  const struct pst_runner_io *io)
{
	uint32_t i;

	for (i = 0; i < t->rank && i < io->rank; i++)
		if (t->symbol[i])
			r->o.symbol[t->symbol[i] - 1] = io->dim[i];
}

static int make_inputs(struct run *r)
{
	struct pst_runner_call *c = r->call;
	size_t need = 64;
	uint8_t *at;
	uint32_t i;
	int e;

	for (i = 0; i < c->n_in; i++)
		if (is_copied(&c->io[i]))
			need += pst_round_up(c->io[i].size, 64);
	e = grow(r->space, need, &r->err);
	at = r->space->data;
	for (i = 0; e == 0 && i < c->n_in; i++) {
		struct pst_runner_io *io = &c->io[i];
		const struct pst_runner_tensor *t =
			&r->model->about.io[io->slot];
		uint8_t *data = r->arena + io->off;

		if (is_copied(io)) {
			memcpy(at, data, io->size);
			data = at;
			at += pst_round_up(io->size, 64);
			c->copied += io->size;
		}
		learn_symbols(r, t, io);
		r->o.in_name[i] = t->name;
		e = pst_runner_ort_check(
			r->ort,
			r->ort->create_tensor(r->ort->cpu, data, io->size,
					      io->dim, io->rank, (int)io->elem,
					      &r->o.in[i]),
			t->name, &r->err);
	}
	return e;
}

/* Whether an output's form follows from the inputs, and it fits. */
static bool foresee(const struct run *r, const struct pst_runner_tensor *t,
		    struct pst_runner_io *io)
{
	uint32_t i;

	if (r->copies || !pst_runner_elem_is_float(t->elem))
		return false;
	for (i = 0; i < t->rank; i++) {
		io->dim[i] = t->dim[i];
		if (t->dim[i] < 0 && t->symbol[i])
			io->dim[i] = r->o.symbol[t->symbol[i] - 1];
	}
	io->rank = t->rank;
	return tensor_size(t->elem, t->rank, io->dim, &io->bytes) == 0 &&
	       io->bytes <= io->size;
}

static int make_outputs(struct run *r)
{
	struct pst_runner_call *c = r->call;
	uint32_t i;
	int e = 0;

	for (i = 0; e == 0 && i < c->n_out; i++) {
		struct pst_runner_io *io = &c->io[c->n_in + i];
		const struct pst_runner_tensor *t =
			&r->model->about.io[r->model->about.n_in + io->slot];

		r->o.out_name[i] = t->name;
		io->flags = 0;
		if (!foresee(r, t, io))
			continue;
		io->flags = PST_RUNNER_IN_PLACE;
		e = pst_runner_ort_check(
			r->ort,
			r->ort->create_tensor(r->ort->cpu, r->arena + io->off,
					      io->bytes, io->dim, io->rank,
					      (int)t->elem, &r->o.out[i]),
			t->name, &r->err);
	}
	return e;
}

static void release_outputs(struct run *r)
{
	uint32_t i;

	for (i = 0; i < r->call->n_out; i++) {
		r->ort->release_value(r->o.out[i]);
		r->o.out[i] = NULL;
	}
}

static int read_output(struct run *r, const struct pst_runner_tensor *t,
		       struct ort_value *value, struct pst_runner_io *io)
{
	struct ort_shape_info *info;
	size_t rank = 0;
	int elem = 0;
	int e;

	e = pst_runner_ort_check(r->ort, r->ort->tensor_shape(value, &info),
				 t->name, &r->err);
	if (e < 0)
		return e;
	e = pst_runner_ort_check(r->ort, r->ort->shape_rank(info, &rank),
				 t->name, &r->err);
	if (e == 0)
		e = pst_runner_ort_check(r->ort,
					 r->ort->shape_elem(info, &elem),
					 t->name, &r->err);
	if (e == 0 && (rank > PST_RUNNER_RANK || (uint32_t)elem != t->elem))
		e = pst_error_set(&r->err, -EIO,
				  "output %s is not what the model promises",
				  t->name);
	io->rank = (uint32_t)rank;
	if (e == 0)
		e = pst_runner_ort_check(
			r->ort, r->ort->shape_dims(info, io->dim, rank),
			t->name, &r->err);
	if (e == 0 && tensor_size(t->elem, io->rank, io->dim, &io->bytes))
		e = pst_error_set(&r->err, -EIO,
				  "output %s has an impossible shape", t->name);
	r->ort->release_shape_info(info);
	return e;
}

static int take_output(struct run *r, uint32_t i)
{
	struct pst_runner_io *io = &r->call->io[r->call->n_in + i];
	const struct pst_runner_tensor *t =
		&r->model->about.io[r->model->about.n_in + io->slot];
	void *data;
	int e;

	if (io->flags & PST_RUNNER_IN_PLACE)
		return 0;
	e = read_output(r, t, r->o.out[i], io);
	if (e < 0)
		return e;
	if (io->bytes > io->size) {
		io->flags = PST_RUNNER_TOO_SMALL;
		return 0;
	}
	e = pst_runner_ort_check(r->ort,
				 r->ort->tensor_data(r->o.out[i], &data),
				 t->name, &r->err);
	if (e < 0)
		return e;
	memcpy(r->arena + io->off, data, io->bytes);
	r->call->copied += io->bytes;
	return 0;
}

static int take_outputs(struct run *r)
{
	bool small = false;
	uint32_t i;
	int e = 0;

	for (i = 0; e == 0 && i < r->call->n_out; i++) {
		e = take_output(r, i);
		small |= r->call->io[r->call->n_in + i].flags &
			 PST_RUNNER_TOO_SMALL;
	}
	if (e == 0 && small)
		e = pst_error_set(&r->err, -EMSGSIZE,
				  "an output does not fit its room");
	return e;
}

static int compute(struct run *r, const struct ort_run_options *options)
{
	const uint64_t begin = pst_now_ns();
	int e;

	e = pst_runner_ort_check(
		r->ort,
		r->ort->run(r->model->session, options, r->o.in_name,
			    (const struct ort_value *const *)r->o.in,
			    r->call->n_in, r->o.out_name, r->call->n_out,
			    r->o.out),
		"the model failed", &r->err);
	r->call->compute_ns += pst_now_ns() - begin;
	return e;
}

static bool some_in_place(const struct pst_runner_call *c)
{
	uint32_t i;

	for (i = 0; i < c->n_out; i++)
		if (c->io[c->n_in + i].flags & PST_RUNNER_IN_PLACE)
			return true;
	return false;
}

static int go(struct run *r, const struct ort_run_options *options)
{
	int e;

	e = make_inputs(r);
	if (e == 0)
		e = make_outputs(r);
	if (e == 0)
		e = compute(r, options);
	if (e < 0 && some_in_place(r->call)) {
		/* An output may have another form than the file promises. The
		 * library has no code of its own for that. */
		r->copies = true;
		release_outputs(r);
		e = make_outputs(r);
		if (e == 0)
			e = compute(r, options);
		r->model->never_in_place |= e == 0;
	}
	return e == 0 ? take_outputs(r) : e;
}

void pst_runner_run(const struct pst_runner_ort *ort,
		    struct pst_runner_model *m,
		    const struct ort_run_options *options, uint8_t *arena,
		    uint64_t size, struct pst_runner_space *space,
		    struct pst_runner_call *call)
{
	struct run r = {.ort = ort,
			.model = m,
			.arena = arena,
			.size = size,
			.space = space,
			.call = call,
			.copies = m->never_in_place};
	uint32_t i;

	for (i = 0; i < PST_RUNNER_SYMBOLS; i++)
		r.o.symbol[i] = -1;
	call->compute_ns = 0;
	call->copied = 0;
	call->text[0] = '\0';
	call->status = check(&r);
	if (call->status < 0) {
		strcpy(call->text, "the call is malformed");
		return;
	}
	call->status = go(&r, options);
	for (i = 0; i < call->n_in; i++)
		ort->release_value(r.o.in[i]);
	release_outputs(&r);
	if (call->status < 0)
		strcpy(call->text, r.err.text);
}
