/* SPDX-License-Identifier: MIT */
/* The model "gemm": C = alpha op(A) op(B), of two matrices or of batches. */
#include <string.h>

#include "host-client/gateway/oip/elements.h"
#include "host-client/gateway/oip/infer.h"

/* Which input it is; n_in: none. */
static uint32_t find(const struct pst_gw_call *c, const char *name)
{
	uint32_t k;

	for (k = 0; k < c->n_in && strcmp(c->in[k].name, name) != 0; k++)
		;
	return k;
}

static bool is_small(const struct pst_gw_input *in)
{
	uint32_t k;

	for (k = 0; k < in->rank; k++)
		if (in->dim[k] > INT32_MAX)
			return false;
	return true;
}

static int describe_c(struct pst_gw_infer *i, const struct pst_gw_input *a,
		      const struct pst_gw_input *b, struct pst_error *err)
{
	const struct pst_gw_call *c = i->call;
	struct pst_io *out = &i->out[0];
	const uint32_t r = a->rank;

	*out = (struct pst_io)PST_IO_INIT;
	out->name = "C";
	out->dtype = a->dtype == PST_I8 ? PST_I32 : a->dtype;
	out->rank = r;
	out->dim[0] = a->dim[0];
	out->dim[r - 2] = a->dim[r - 2 + c->transa];
	out->dim[r - 1] = b->dim[r - 1 - c->transb];
	i->n_out = 1;
	i->binary[0] = c->n_out ? c->out[0].is_binary : c->binary_output;
	if (pst_gw_tensor_bytes(out->dtype, r, out->dim, &out->bytes) < 0)
		return pst_error_set(err, -EINVAL, "C is too large");
	if (out->bytes == 0)
		return pst_error_set(err, -EINVAL, "C has no elements");
	return 0;
}

int pst_gw_gemm_check(struct pst_gw_infer *i, struct pst_error *err)
{
	const struct pst_gw_call *c = i->call;
	const uint32_t at_a = find(c, "A"), at_b = find(c, "B");
	const struct pst_gw_input *a = &c->in[at_a], *b = &c->in[at_b];
	uint32_t k;

	if (c->n_in != 2 || at_a == 2 || at_b == 2)
		return pst_error_set(err, -EINVAL,
				     "gemm has two inputs, A and B");
	if (c->n_out > 1 || (c->n_out && strcmp(c->out[0].name, "C") != 0))
		return pst_error_set(err, -EINVAL, "gemm has one output, C");
	if (a->dtype != b->dtype || (a->dtype > PST_BF16 && a->dtype != PST_I8))
		return pst_error_set(err, -EINVAL,
				     "A and B are both FP32, FP64, FP16, BF16 "
				     "or INT8");
	if (a->rank != b->rank || a->rank < 2 || a->rank > 3 ||
	    (a->rank == 3 && a->dim[0] != b->dim[0]))
		return pst_error_set(err, -EINVAL,
				     "A and B are both matrices, or both "
				     "batches of as many");
	if (a->dim[a->rank - 1 - c->transa] != b->dim[b->rank - 2 + c->transb])
		return pst_error_set(err, -EINVAL,
				     "op(A) is m x k and op(B) is k x n; k "
				     "differs");
	if (!is_small(a) || !is_small(b))
		return pst_error_set(err, -EINVAL, "a dimension is too large");
	for (k = 0; k < 2; k++)
		i->in[k].bytes = c->in[k].bytes;
	return describe_c(i, a, b, err);
}

int pst_gw_gemm_submit(struct pst_gw_infer *i, struct pst_error *err)
{
	const struct pst_gw_call *c = i->call;
	const struct pst_gw_input *a = &c->in[find(c, "A")];
	const struct pst_io *out = &i->out[0];
	struct pst_gemm_args g = PST_GEMM_INIT;
	const uint32_t r = out->rank;

	g.dtype = a->dtype;
	g.transa = c->transa;
	g.transb = c->transb;
	g.m = (uint32_t)out->dim[r - 2];
	g.n = (uint32_t)out->dim[r - 1];
	g.k = (uint32_t)a->dim[r - 1 - c->transa];
	g.alpha = c->alpha;
	g.a = i->in[find(c, "A")].data;
	g.b = i->in[find(c, "B")].data;
	g.c = out->data;
	if (r == 3) {
		g.batch = (uint32_t)out->dim[0];
		g.stride_a = (uint64_t)g.m * g.k;
		g.stride_b = (uint64_t)g.k * g.n;
		g.stride_c = (uint64_t)g.m * g.n;
	}
	return pst_gw_link_gemm(i->link, &i->op, &g, err);
}
