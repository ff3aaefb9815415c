/* SPDX-License-Identifier: MIT */
/* Checks the call of a model with named tensors. */
#include "transport/run.h"

#include <inttypes.h>
#include <string.h>

#include "transport/base/text.h"
#include "transport/dtype.h"
#include "transport/shm.h"

unsigned int pst_run_dtype_size(uint32_t dtype)
{
	static const uint8_t size[PST_WIRE_N_DTYPES] = {
		[PST_WIRE_F32] = 4,  [PST_WIRE_F64] = 8, [PST_WIRE_F16] = 2,
		[PST_WIRE_BF16] = 2, [PST_WIRE_I8] = 1,  [PST_WIRE_I32] = 4,
		[PST_WIRE_I64] = 8,  [PST_WIRE_U8] = 1,  [PST_WIRE_BOOL] = 1,
		[PST_WIRE_I16] = 2,  [PST_WIRE_U16] = 2, [PST_WIRE_U32] = 4,
		[PST_WIRE_U64] = 8,
	};

	return dtype < PST_WIRE_N_DTYPES ? size[dtype] : 0;
}

int pst_run_bytes(uint32_t dtype, uint32_t rank, const uint64_t *dim,
		  uint64_t *ret)
{
	uint64_t n = pst_run_dtype_size(dtype);
	uint32_t i;

	if (n == 0)
		return -EOPNOTSUPP;
	if (rank > PST_WIRE_RUN_RANK)
		return -EINVAL;
	for (i = 0; i < rank; i++)
		if (dim[i] > INT64_MAX || pst_mul_overflow(n, dim[i], &n))
			return -EOVERFLOW;
	*ret = n;
	return 0;
}

/* "input 3" for a sentence; i counts all tensors of a call. Made only where
 * there is one: a call has no time for it. */
struct label {
	char text[24];
};

static struct label label(const struct pst_run *run, uint32_t i)
{
	const bool in = i < run->n_in;
	struct label l;

	snprintf(l.text, sizeof(l.text), "%s %u", in ? "input" : "output",
		 in ? i : i - run->n_in);
	return l;
}

static bool is_zero(const void *p, size_t n)
{
	const uint8_t *b = p;
	size_t i;

	for (i = 0; i < n; i++)
		if (b[i])
			return false;
	return true;
}

static int parse_shape(const struct pst_wire_io *w, struct pst_run *run,
		       uint32_t i, struct pst_error *err)
{
	struct pst_run_io *io = &run->io[i];
	uint64_t bytes;
	int r;

	r = pst_run_bytes(w->dtype, w->rank, w->dim, &bytes);
	if (r == -EOVERFLOW)
		return pst_error_set(err, r, "the shape of %s is too large",
				     label(run, i).text);
	if (r < 0)
		return pst_error_set(err, r,
				     "%s has %u dimensions; %u are "
				     "allowed",
				     label(run, i).text, w->rank,
				     PST_WIRE_RUN_RANK);
	if (!is_zero(w->dim + w->rank,
		     (PST_WIRE_RUN_RANK - w->rank) * sizeof(w->dim[0])))
		return pst_error_set(err, -EINVAL,
				     "%s has %u dimensions and a size for more",
				     label(run, i).text, w->rank);
	memcpy(io->dim, w->dim, sizeof(io->dim));
	io->rank = w->rank;
	return 0;
}

static int parse_io(const struct pst_wire_io *w, struct pst_run *run,
		    uint32_t i, struct pst_error *err)
{
	const bool in = i < run->n_in;
	struct pst_run_io *io = &run->io[i];
	uint64_t bytes, end;
	int r;

	if (w->flags || w->bytes ||
	    !is_zero(w->reserved0, sizeof(w->reserved0)))
		return pst_error_set(err, -EINVAL,
				     "a reserved field of %s is set",
				     label(run, i).text);
	if (pst_run_dtype_size(w->dtype) == 0)
		return pst_error_set(err, -EOPNOTSUPP,
				     "%s has element type %u, which is unknown",
				     label(run, i).text, w->dtype);
	if (w->off % 64 || pst_add_overflow(w->off, w->size, &end))
		return pst_error_set(err, -EINVAL,
				     "%s lies at offset %#" PRIx64
				     "; multiples of 64 are allowed",
				     label(run, i).text, w->off);
	*io = (struct pst_run_io){
		.slot = w->slot,
		.dtype = w->dtype,
		.any = !in && w->rank == PST_WIRE_IO_ANY,
		.span = {w->size ? w->off : 0, w->size},
	};
	if (io->any)
		return is_zero(w->dim, sizeof(w->dim))
			       ? 0
			       : pst_error_set(err, -EINVAL,
					       "%s has any shape and a size",
					       label(run, i).text);
	r = parse_shape(w, run, i, err);
	if (r < 0 || !in)
		return r;
	r = pst_run_bytes(io->dtype, io->rank, io->dim, &bytes);
	if (r == 0 && bytes != w->size)
		return pst_error_set(err, -EINVAL,
				     "%s has %" PRIu64 " bytes; its shape has "
				     "%" PRIu64,
				     label(run, i).text, w->size, bytes);
	return r;
}

static bool overlap(const struct pst_span *a, const struct pst_span *b)
{
	return a->size && b->size && a->off < b->off + b->size &&
	       b->off < a->off + a->size;
}

static int check_overlaps(const struct pst_run *run, struct pst_error *err)
{
	const uint32_t n = run->n_in + run->n_out;
	uint32_t i, j;

	for (i = run->n_in; i < n; i++)
		for (j = 0; j < i; j++)
			if (overlap(&run->io[i].span, &run->io[j].span))
				return pst_error_set(
					err, -EINVAL, "%s and %s overlap",
					label(run, i).text, label(run, j).text);
	return 0;
}

int pst_run_parse(const void *block, uint64_t size, struct pst_run *ret,
		  struct pst_error *err)
{
	const struct pst_wire_call *c = block;
	const struct pst_wire_io *w = (const void *)(c + 1);
	uint32_t i;
	int r;

	if (size < sizeof(*c) || !pst_run_block_size(c->n_in, c->n_out) ||
	    size != pst_run_block_size(c->n_in, c->n_out))
		return pst_error_set(err, -EINVAL,
				     "a call block of %" PRIu64 " bytes does "
				     "not hold the tensors that it counts",
				     size);
	if (!is_zero(c->reserved0, sizeof(c->reserved0)))
		return pst_error_set(err, -EINVAL,
				     "a reserved field of the call is set");
	ret->n_in = c->n_in;
	ret->n_out = c->n_out;
	ret->deadline_ns = c->deadline_ns;
	for (i = 0; i < c->n_in + c->n_out; i++) {
		r = parse_io(&w[i], ret, i, err);
		if (r < 0)
			return r;
	}
	return check_overlaps(ret, err);
}

/* Sizes of dimensions with a name, and who said so. */
struct symbols {
	int64_t size[PST_RUN_SYMBOLS]; /* -1: not said */
	const char *who[PST_RUN_SYMBOLS];
};

static int check_dim(const struct pst_run_model *m,
		     const struct pst_run_tensor *t, uint32_t i, uint64_t size,
		     struct symbols *s, struct pst_error *err)
{
	const uint16_t symbol = t->symbol[i];

	if (t->dim[i] >= 0)
		return size == (uint64_t)t->dim[i]
			       ? 0
			       : pst_error_set(err, -EINVAL,
					       "dimension %u of %s is %" PRIu64
					       "; the model has %" PRId64,
					       i, t->name, size, t->dim[i]);
	if (symbol == 0)
		return 0;
	if (s->size[symbol - 1] < 0) {
		s->size[symbol - 1] = (int64_t)size;
		s->who[symbol - 1] = t->name;
		return 0;
	}
	if ((uint64_t)s->size[symbol - 1] == size)
		return 0;
	return pst_error_set(err, -EINVAL,
			     "%s is %" PRId64 " in %s and %" PRIu64 " in %s",
			     m->symbol[symbol - 1], s->size[symbol - 1],
			     s->who[symbol - 1], size, t->name);
}

static int check_tensor(const struct pst_run_model *m,
			const struct pst_run_tensor *t,
			const struct pst_run_io *io, struct symbols *s,
			struct pst_error *err)
{
	uint32_t i;
	int r = 0;

	if (io->dtype != t->dtype)
		return pst_error_set(err, -EINVAL, "%s is %s; the call has %s",
				     t->name, pst_dtype_name(t->dtype),
				     pst_dtype_name(io->dtype));
	if (io->any)
		return 0;
	if (io->rank != t->rank)
		return pst_error_set(err, -EINVAL,
				     "%s has %u dimensions; the call has %u",
				     t->name, t->rank, io->rank);
	for (i = 0; r == 0 && i < t->rank; i++)
		r = check_dim(m, t, i, io->dim[i], s, err);
	return r;
}

int pst_run_check(const struct pst_run *run, const struct pst_run_model *model,
		  struct pst_error *err)
{
	bool seen[2 * PST_WIRE_RUN_IO] = {false};
	struct symbols symbols;
	uint32_t i, at;
	int r;

	for (i = 0; i < PST_RUN_SYMBOLS; i++)
		symbols.size[i] = -1;
	for (i = 0; i < run->n_in + run->n_out; i++) {
		const struct pst_run_io *io = &run->io[i];
		const bool in = i < run->n_in;

		if (io->slot >= (in ? model->n_in : model->n_out))
			return pst_error_set(err, -EINVAL,
					     "the model has no %s %u",
					     in ? "input" : "output", io->slot);
		at = in ? io->slot : model->n_in + io->slot;
		if (seen[at])
			return pst_error_set(err, -EINVAL, "%s is there twice",
					     model->io[at].name);
		seen[at] = true;
		r = check_tensor(model, &model->io[at], io, &symbols, err);
		if (r < 0)
			return r;
	}
	for (i = 0; i < model->n_in; i++)
		if (!seen[i])
			return pst_error_set(err, -EINVAL, "%s is missing",
					     model->io[i].name);
	return 0;
}

static int check_name(const char *name, size_t size, struct pst_error *err)
{
	if (!memchr(name, '\0', size) || !pst_utf8_is_plain(name))
		return pst_error_set(err, -EPROTO,
				     "a name in the model's description is no "
				     "text");
	return 0;
}

static int check_described(const struct pst_run_model *m, uint32_t at,
			   struct pst_error *err)
{
	const uint32_t first = at < m->n_in ? 0 : m->n_in;
	const struct pst_run_tensor *t = &m->io[at];
	uint32_t i;

	if (check_name(t->name, sizeof(t->name), err) < 0)
		return -EPROTO;
	if (pst_run_dtype_size(t->dtype) == 0 || t->rank > PST_WIRE_RUN_RANK)
		return pst_error_set(err, -EPROTO,
				     "%s has type %u and %u dimensions in the "
				     "model's description",
				     t->name, t->dtype, t->rank);
	for (i = 0; i < t->rank; i++)
		if (t->dim[i] < -1 || t->symbol[i] > m->n_symbols)
			return pst_error_set(err, -EPROTO,
					     "dimension %u of %s is impossible "
					     "in the model's description",
					     i, t->name);
	for (i = first; i < at; i++)
		if (strcmp(m->io[i].name, t->name) == 0)
			return pst_error_set(err, -EPROTO,
					     "%s is there twice in the model's "
					     "description",
					     t->name);
	return 0;
}

int pst_run_model_check(const struct pst_run_model *model,
			struct pst_error *err)
{
	uint32_t i;
	int r = 0;

	if (model->n_in > PST_WIRE_RUN_IO || model->n_out > PST_WIRE_RUN_IO ||
	    model->n_symbols > PST_RUN_SYMBOLS)
		return pst_error_set(err, -EPROTO,
				     "the model's description has too many "
				     "tensors");
	for (i = 0; r == 0 && i < model->n_symbols; i++)
		r = check_name(model->symbol[i], sizeof(model->symbol[i]), err);
	for (i = 0; r == 0 && i < model->n_in + model->n_out; i++)
		r = check_described(model, i, err);
	return r;
}

static bool is_bare(const struct pst_wire_sqe *sqe)
{
	struct pst_wire_sqe rest = *sqe;

	rest.seq = rest.tag = rest.off_a = rest.off_b = rest.length = 0;
	rest.op = 0;
	return is_zero(&rest, sizeof(rest));
}

/* Whether the session holds all tensors, and the block is none of them. */
static int check_places(const struct pst_run *run, const struct pst_span *block,
			const struct pst_op_env *env, struct pst_error *err)
{
	uint64_t bytes = 0;
	uint32_t i;

	for (i = 0; i < run->n_in + run->n_out; i++) {
		const struct pst_span *s = &run->io[i].span;

		if (s->size && !env->holds(env->arg, s))
			return pst_error_set(err, -EFAULT,
					     "%s lies outside the session's "
					     "extents",
					     label(run, i).text);
		if (i >= run->n_in && overlap(s, block))
			return pst_error_set(err, -EINVAL,
					     "%s overlaps the call block",
					     label(run, i).text);
		if (pst_add_overflow(bytes, s->size, &bytes) ||
		    bytes > env->max_run_bytes)
			return pst_error_set(err, -EMSGSIZE,
					     "the tensors of the call have "
					     "more than %" PRIu64
					     " bytes (--max-run-bytes)",
					     env->max_run_bytes);
	}
	return 0;
}

int pst_run_op_check(const struct pst_wire_sqe *sqe,
		     const struct pst_op_env *env, struct pst_op *op,
		     struct pst_error *err)
{
	const struct pst_span span = {sqe->off_a, sqe->length};
	_Alignas(64)
		uint8_t block[sizeof(struct pst_wire_call) +
			      2 * PST_WIRE_RUN_IO * sizeof(struct pst_wire_io)];
	struct pst_op_run_model m;
	int r;

	if (!is_bare(sqe))
		return pst_error_set(err, -EINVAL,
				     "a field that RUN does not have is set");
	if (!env->run_model)
		return pst_error_set(err, -EOPNOTSUPP,
				     "named tensors are not run here");
	if (env->run_model(env->arg, sqe->off_b, &m) < 0)
		return pst_error_set(err, -ENOENT,
				     "there is no model %#" PRIx64
				     " (unloaded?)",
				     sqe->off_b);
	if (span.off % 64 || span.size % 64 ||
	    span.size < sizeof(struct pst_wire_call) ||
	    span.size > sizeof(block))
		return pst_error_set(err, -EINVAL,
				     "a call block of %" PRIu64
				     " bytes at %#" PRIx64,
				     span.size, span.off);
	if (!env->holds(env->arg, &span))
		return pst_error_set(err, -EFAULT,
				     "the call block lies outside the "
				     "session's extents");
	pst_shm_read(block, env->base + span.off, span.size);
	if ((r = pst_run_parse(block, span.size, env->run, err)) < 0 ||
	    (r = pst_run_check(env->run, m.shape, err)) < 0 ||
	    (r = check_places(env->run, &span, env, err)) < 0)
		return r;
	op->a = (struct pst_operand){.off = span.off, .size = span.size};
	op->model = m.model;
	op->run = env->run;
	op->run_device = m.device;
	op->run_model = m.device ? m.id : m.max_batch;
	if (!m.device)
		op->n = (uint32_t)m.shape->io[m.shape->n_in].dim[1];
	return 0;
}

void pst_run_answer(const struct pst_run *run, uint8_t *block)
{
	struct pst_wire_io *w =
		(struct pst_wire_io *)(block + sizeof(struct pst_wire_call));
	uint32_t i;

	for (i = run->n_in; i < run->n_in + run->n_out; i++) {
		const struct pst_run_io *io = &run->io[i];
		struct pst_wire_io head = {.slot = (uint16_t)io->slot,
					   .dtype = (uint8_t)io->dtype,
					   .rank = (uint8_t)io->rank,
					   .flags = io->flags};

		/* slot to flags are one word. */
		pst_shm_write(&w[i], &head, 8);
		pst_shm_write(&w[i].bytes, &io->bytes, 8);
		pst_shm_write(w[i].dim, io->dim, sizeof(io->dim));
	}
}
