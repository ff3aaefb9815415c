/* SPDX-License-Identifier: MIT */
/* A product's descriptor from its arguments. */
#include "host-client/lib/gemm/gemm_op.h"

#include <errno.h>
#include <string.h>

static uint64_t double_bits(double d)
{
	uint64_t bits;

	memcpy(&bits, &d, sizeof(bits));
	return bits;
}

uint32_t pst_gemm_dtype_c(const struct pst_gemm *g)
{
	if (g->dtype_c)
		return g->dtype_c;
	return g->dtype == PST_I8 ? PST_I32 : g->dtype;
}

static void gemm_sqe(const struct pst_gemm *g, struct pst_wire_sqe *s)
{
	const uint32_t batch = g->batch ? g->batch : 1;
	const bool bias = g->bias || g->bias_tensor;

	*s = (struct pst_wire_sqe){
		.op = batch > 1 ? PST_WIRE_OP_GEMM_STRIDED_BATCHED
				: PST_WIRE_OP_GEMM,
		.order = (uint8_t)g->order,
		.trans = (uint8_t)((g->transa ? PST_WIRE_TRANSA : 0) |
				   (g->transb ? PST_WIRE_TRANSB : 0)),
		.flags = (uint8_t)((g->a_tensor ? PST_WIRE_A_TENSOR : 0) |
				   (g->b_tensor ? PST_WIRE_B_TENSOR : 0) |
				   (g->c_tensor ? PST_WIRE_C_TENSOR : 0) |
				   (g->bias_tensor ? PST_WIRE_BIAS_TENSOR : 0)),
		.dtype = (uint8_t)g->dtype,
		.dtype_c = (uint8_t)pst_gemm_dtype_c(g),
		.compute = (uint8_t)g->compute,
		.epilogue =
			(uint8_t)(g->act | (bias ? PST_WIRE_EPILOGUE_BIAS : 0)),
		.m = g->m,
		.n = g->n,
		.k = g->k,
		.batch = batch,
		.lda = g->lda,
		.ldb = g->ldb,
		.ldc = g->ldc,
		.alpha = double_bits(g->alpha),
		.beta = double_bits(g->beta),
		.stride_a = batch > 1 ? g->stride_a : 0,
		.stride_b = batch > 1 ? g->stride_b : 0,
		.stride_c = batch > 1 ? g->stride_c : 0,
	};
}

/* Fields that would not survive the descriptor's narrower ones. */
static int check_gemm_enums(const struct pst_gemm *g, struct pst_error *err)
{
	if (g->dtype > UINT8_MAX || g->dtype_c > UINT8_MAX ||
	    g->order > PST_COL_MAJOR)
		return pst_error_set(err, -EINVAL,
				     "dtype %u, %u or order %u is unknown",
				     g->dtype, g->dtype_c, g->order);
	if (g->compute > PST_COMPUTE_FAST_F16 || g->act > PST_ACT_GELU_ERF)
		return pst_error_set(err, -EINVAL,
				     "compute mode %u or activation %u is "
				     "unknown",
				     g->compute, g->act);
	if ((g->a && g->a_tensor) || (g->b && g->b_tensor) ||
	    (g->c && g->c_tensor) || (g->bias && g->bias_tensor))
		return pst_error_set(err, -EINVAL,
				     "an operand is both a pointer and a "
				     "tensor");
	return 0;
}

/* Operands that are tensors; those not read are looked up all the same, so
 * that no handle of a lost session gets to the agent. */
static int gemm_tensors(struct pst *c, const struct pst_gemm *g,
			struct pst_call *call, struct pst_error *err)
{
	struct pst_wire_sqe *s = &call->sqe;
	int r;

	if ((r = pst_call_tensor(c, call, PST_SLOT_A, "a", g->a_tensor,
				 &s->off_a, err)) < 0 ||
	    (r = pst_call_tensor(c, call, PST_SLOT_B, "b", g->b_tensor,
				 &s->off_b, err)) < 0 ||
	    (r = pst_call_tensor(c, call, PST_SLOT_C, "c", g->c_tensor,
				 &s->off_c, err)) < 0)
		return r;
	return pst_call_tensor(c, call, PST_SLOT_BIAS, "bias", g->bias_tensor,
			       &s->off_bias, err);
}

int pst_gemm_prepare(struct pst *c, const struct pst_gemm *g,
		     struct pst_call *call, struct pst_error *err)
{
	const bool writes = g->m && g->n;
	const bool reads = writes && g->k && g->alpha != 0;
	struct pst_wire_sqe *s = &call->sqe;
	struct pst_op op;
	int r;

	r = check_gemm_enums(g, err);
	if (r < 0)
		return r;
	gemm_sqe(g, s);
	if ((reads && !g->a_tensor &&
	     (r = pst_call_operand(c, call, PST_SLOT_A, "a", g->a, &s->off_a,
				   err)) < 0) ||
	    (reads && !g->b_tensor &&
	     (r = pst_call_operand(c, call, PST_SLOT_B, "b", g->b, &s->off_b,
				   err)) < 0) ||
	    (writes && !g->c_tensor &&
	     (r = pst_call_operand(c, call, PST_SLOT_C, "c", g->c, &s->off_c,
				   err)) < 0) ||
	    (writes && g->bias &&
	     (r = pst_call_operand(c, call, PST_SLOT_BIAS, "bias", g->bias,
				   &s->off_bias, err)) < 0) ||
	    (r = gemm_tensors(c, g, call, err)) < 0)
		return r;
	call->writes = true;
	return pst_call_check(c, call, &op, err);
}
