/* SPDX-License-Identifier: MIT */
/* Inputs and outputs of a session. */
#include "guest-agent/runner/describe.h"

#include <string.h>

/* ONNX_TYPE_TENSOR of enum ONNXType. */
#define TYPE_TENSOR 1

struct side {
	const char *what; /* "input" */
	struct pst_runner_tensor *tensors;
	struct ort_status *(*count)(const struct ort_session *, size_t *);
	struct ort_status *(*type)(const struct ort_session *, size_t,
				   struct ort_type_info **);
	struct ort_status *(*name)(const struct ort_session *, size_t,
				   struct ort_allocator *, char **);
};

/* The number of a symbol, from 1 on; 0: there are too many. */
static uint16_t find_symbol(struct pst_runner_loaded *about, const char *name)
{
	uint32_t i;

	for (i = 0; i < about->n_symbols; i++)
		if (strcmp(about->symbol[i], name) == 0)
			return (uint16_t)(i + 1);
	if (i == PST_RUNNER_SYMBOLS || strlen(name) >= sizeof(about->symbol[i]))
		return 0;
	strcpy(about->symbol[i], name);
	return (uint16_t)++about->n_symbols;
}

static int read_dims(const struct pst_runner_ort *ort,
		     const struct ort_shape_info *info,
		     struct pst_runner_loaded *about,
		     struct pst_runner_tensor *t, struct pst_error *err)
{
	const char *symbols[PST_RUNNER_RANK] = {0};
	uint32_t i;
	int r;

	r = pst_runner_ort_check(ort, ort->shape_dims(info, t->dim, t->rank),
				 "cannot read a shape", err);
	if (r == 0)
		r = pst_runner_ort_check(
			ort, ort->shape_symbols(info, symbols, t->rank),
			"cannot read a shape", err);
	for (i = 0; r == 0 && i < t->rank; i++) {
		if (t->dim[i] >= 0)
			continue;
		t->dim[i] = -1;
		/* Without its name the library checks less, and ONNX Runtime
		 * as much. */
		if (symbols[i] && *symbols[i])
			t->symbol[i] = find_symbol(about, symbols[i]);
	}
	return r;
}

static int read_shape(const struct pst_runner_ort *ort,
		      const struct ort_shape_info *info, const char *what,
		      struct pst_runner_loaded *about,
		      struct pst_runner_tensor *t, struct pst_error *err)
{
	size_t rank = 0;
	int elem = 0;
	int r;

	r = pst_runner_ort_check(ort, ort->shape_elem(info, &elem),
				 "cannot read a type", err);
	if (r == 0)
		r = pst_runner_ort_check(ort, ort->shape_rank(info, &rank),
					 "cannot read a shape", err);
	if (r < 0)
		return r;
	if (pst_runner_elem_size((uint32_t)elem) == 0)
		return pst_error_set(err, -ENOTSUP,
				     "%s %s has elements of ONNX type %d; only "
				     "numbers and bool can be used",
				     what, t->name, elem);
	if (rank > PST_RUNNER_RANK)
		return pst_error_set(err, -ENOTSUP,
				     "%s %s has %zu dimensions; %u are allowed",
				     what, t->name, rank, PST_RUNNER_RANK);
	t->elem = (uint32_t)elem;
	t->rank = (uint32_t)rank;
	return read_dims(ort, info, about, t, err);
}

static int read_name(const struct pst_runner_ort *ort,
		     const struct ort_session *session, const struct side *s,
		     size_t i, struct pst_error *err)
{
	char *name;
	int r;

	r = pst_runner_ort_check(ort,
				 s->name(session, i, ort->allocator, &name),
				 "cannot read a name", err);
	if (r < 0)
		return r;
	if (strlen(name) < PST_RUNNER_NAME)
		strcpy(s->tensors[i].name, name);
	else
		r = pst_error_set(err, -ENOTSUP,
				  "the name of %s %zu has more than %u "
				  "characters: %.40s...",
				  s->what, i + 1, PST_RUNNER_NAME - 1, name);
	ort->release_status(ort->allocator_free(ort->allocator, name));
	return r;
}

static int read_tensor(const struct pst_runner_ort *ort,
		       const struct ort_session *session, const struct side *s,
		       size_t i, struct pst_runner_loaded *about,
		       struct pst_error *err)
{
	const struct ort_shape_info *info = NULL;
	struct ort_type_info *type;
	int kind = 0;
	int r;

	r = read_name(ort, session, s, i, err);
	if (r < 0)
		return r;
	r = pst_runner_ort_check(ort, s->type(session, i, &type),
				 "cannot read a type", err);
	if (r < 0)
		return r;
	r = pst_runner_ort_check(ort, ort->type_of(type, &kind),
				 "cannot read a type", err);
	if (r == 0)
		r = pst_runner_ort_check(ort,
					 ort->cast_tensor_info(type, &info),
					 "cannot read a type", err);
	if (r == 0 && (kind != TYPE_TENSOR || !info))
		r = pst_error_set(err, -ENOTSUP,
				  "%s %s is a sequence, a map, sparse or "
				  "optional; only tensors can be used",
				  s->what, s->tensors[i].name);
	if (r == 0)
		r = read_shape(ort, info, s->what, about, &s->tensors[i], err);
	ort->release_type_info(type);
	return r;
}

static int read_side(const struct pst_runner_ort *ort,
		     const struct ort_session *session, const struct side *s,
		     struct pst_runner_loaded *about, uint32_t *ret_n,
		     struct pst_error *err)
{
	size_t n, i;
	int r;

	r = pst_runner_ort_check(ort, s->count(session, &n),
				 "cannot count tensors", err);
	if (r < 0)
		return r;
	if (n > PST_RUNNER_IO)
		return pst_error_set(err, -ENOTSUP,
				     "the model has %zu %ss; %u are allowed", n,
				     s->what, PST_RUNNER_IO);
	for (i = 0; r == 0 && i < n; i++)
		r = read_tensor(ort, session, s, i, about, err);
	if (r == 0)
		*ret_n = (uint32_t)n;
	return r;
}

int pst_runner_describe(const struct pst_runner_ort *ort,
			const struct ort_session *session,
			struct pst_runner_loaded *ret, struct pst_error *err)
{
	const struct side in = {"input", ret->io, ort->input_count,
				ort->input_type, ort->input_name};
	struct side out = {"output", NULL, ort->output_count, ort->output_type,
			   ort->output_name};
	int r;

	r = read_side(ort, session, &in, ret, &ret->n_in, err);
	if (r < 0)
		return r;
	out.tensors = ret->io + ret->n_in;
	return read_side(ort, session, &out, ret, &ret->n_out, err);
}
