/* SPDX-License-Identifier: MIT */
/* A product in column-major words. */
#include "guest-agent/cuda/gemm.h"

void pst_cuda_gemm_view(const struct pst_op *op, struct pst_op *ret,
			bool *ret_bias_of_rows)
{
	struct pst_op v = *op;

	if (!op->col_major) {
		v.col_major = true;
		v.m = op->n;
		v.n = op->m;
		v.a = op->b;
		v.b = op->a;
		v.lda = op->ldb;
		v.ldb = op->lda;
		v.transa = op->transb;
		v.transb = op->transa;
		v.stride_a = op->stride_b;
		v.stride_b = op->stride_a;
	}
	*ret_bias_of_rows = !op->col_major;
	if (op->dtype != PST_WIRE_F64) {
		v.alpha = (float)op->alpha;
		v.beta = (float)op->beta;
	}
	/* Integers of 32 bits are more than a float holds. */
	if (op->dtype == PST_WIRE_I8) {
		v.alpha = op->alpha;
		v.beta = op->beta;
	}
	if (!pst_op_reads_ab(op))
		v.k = 0;
	*ret = v;
}
