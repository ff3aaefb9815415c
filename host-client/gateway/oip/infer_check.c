/* SPDX-License-Identifier: MIT */
/* Whether a call fits its model, and what its outputs will be. */
#include <string.h>

#include "host-client/gateway/oip/elements.h"
#include "host-client/gateway/oip/infer.h"

/* Of an output whose size nobody knows before. */
#define GUESS_LEAST (64ULL << 10)

static const struct pst_tensor_spec *find(const struct pst_tensor_spec *t,
					  uint32_t n, const char *name)
{
	uint32_t k;

	for (k = 0; k < n; k++)
		if (strcmp(t[k].name, name) == 0)
			return &t[k];
	return NULL;
}

static int check_input(struct pst_gw_infer *i, uint32_t k,
		       struct pst_error *err)
{
	const struct pst_model_spec *s = i->at.model->spec;
	const struct pst_gw_input *in = &i->call->in[k];
	const struct pst_tensor_spec *t = find(s->in, s->n_in, in->name);

	if (!t)
		return pst_error_set(err, -EINVAL,
				     "model %s has no input %.120s", i->name,
				     in->name);
	if (t->dtype != in->dtype)
		return pst_error_set(err, -EINVAL, "input %.120s is %s, not %s",
				     in->name, pst_gw_dtype_name(t->dtype),
				     pst_gw_dtype_name(in->dtype));
	i->in[k] = (struct pst_io)PST_IO_INIT;
	i->in[k].name = t->name;
	i->in[k].dtype = in->dtype;
	i->in[k].rank = in->rank;
	i->in[k].bytes = in->bytes;
	memcpy(i->in[k].dim, in->dim, sizeof(in->dim));
	return 0;
}

/* The size of a dimension of this name, from the inputs; -1: in none. */
static int64_t size_of(const struct pst_gw_infer *i, const char *name)
{
	const struct pst_model_spec *s = i->at.model->spec;
	const struct pst_tensor_spec *t;
	uint32_t k, d;

	for (k = 0; name && k < i->call->n_in; k++) {
		t = find(s->in, s->n_in, i->call->in[k].name);
		for (d = 0; t && d < t->rank && d < i->call->in[k].rank; d++)
			if (t->dim_name[d] && strcmp(t->dim_name[d], name) == 0)
				return i->call->in[k].dim[d];
	}
	return -1;
}

static uint64_t guess(const struct pst_gw_infer *i,
		      const struct pst_tensor_spec *t)
{
	int64_t dim[PST_MAX_RANK], n = 0;
	uint64_t bytes;
	uint32_t k;

	for (k = 0; k < t->rank && n >= 0; k++) {
		n = t->dim[k] >= 0 ? t->dim[k] : size_of(i, t->dim_name[k]);
		dim[k] = n;
	}
	if (n >= 0 && pst_gw_tensor_bytes(t->dtype, t->rank, dim, &bytes) == 0)
		return bytes;
	for (bytes = k = 0; k < i->call->n_in; k++)
		bytes += i->call->in[k].bytes;
	return bytes > GUESS_LEAST ? bytes : GUESS_LEAST;
}

static int check_output(struct pst_gw_infer *i, uint32_t k,
			struct pst_error *err)
{
	const struct pst_model_spec *s = i->at.model->spec;
	const struct pst_gw_call *c = i->call;
	const struct pst_tensor_spec *t =
		c->n_out ? find(s->out, s->n_out, c->out[k].name) : &s->out[k];

	if (!t)
		return pst_error_set(err, -EINVAL,
				     "model %s has no output %.120s", i->name,
				     c->out[k].name);
	i->out[k] = (struct pst_io)PST_IO_INIT;
	i->out[k].name = t->name;
	i->out[k].bytes = guess(i, t);
	i->binary[k] = c->n_out ? c->out[k].is_binary : c->binary_output;
	return 0;
}

int pst_gw_infer_check(struct pst_gw_infer *i, struct pst_error *err)
{
	const struct pst_model_spec *s = i->at.model->spec;
	uint32_t k;
	int r = 0;

	i->n_out = i->call->n_out ? i->call->n_out : s->n_out;
	if (i->n_out > PST_GW_MAX_IO)
		return pst_error_set(err, -EINVAL, "there are %u outputs",
				     i->n_out);
	for (k = 0; r == 0 && k < i->call->n_in; k++)
		r = check_input(i, k, err);
	for (k = 0; r == 0 && k < i->n_out; k++)
		r = check_output(i, k, err);
	return r;
}
