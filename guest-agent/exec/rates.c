/* SPDX-License-Identifier: MIT */
/* How fast products of each type were computed, by any backend. */
#include "guest-agent/exec/rates.h"

/* Of one that was slower than the rate so far. */
#define WEIGHT 0.125

void pst_agent_rates_learn(struct pst_agent_rates *r, const struct pst_op *op,
			   uint64_t compute_ns)
{
	struct pst_agent_rate *x;
	double gflops;

	if ((op->op != PST_WIRE_OP_GEMM &&
	     op->op != PST_WIRE_OP_GEMM_STRIDED_BATCHED) ||
	    op->dtype >= PST_AGENT_RATE_TYPES || !pst_op_reads_ab(op))
		return;
	x = &r->of[op->dtype];
	gflops = 2.0 * op->m * op->n * op->k * op->batch / (double)compute_ns;
	if (gflops > x->gflops)
		x->gflops = gflops;
	else
		x->gflops += WEIGHT * (gflops - x->gflops);
	x->n++;
}
