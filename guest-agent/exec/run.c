/* SPDX-License-Identifier: MIT */
/* Named tensors: what runs them, models of rows among them, and the answer. */
#include <errno.h>
#include <inttypes.h>

#include "guest-agent/exec/executor_int.h"

/* A model of rows takes one tensor and gives one: INFER by other words. */
static int as_rows(struct pst_op *op, struct pst_error *err)
{
	struct pst_run *run = op->run;
	const struct pst_run_io *in = &run->io[0];
	struct pst_run_io *out = &run->io[1];
	const uint64_t rows = in->dim[0], n = op->n;

	if (rows > op->run_model)
		return pst_error_set(err, -EMSGSIZE,
				     "the batch has %" PRIu64
				     " rows, above the limit of %" PRIu64,
				     rows, op->run_model);
	if (run->n_out == 0)
		return PST_AGENT_STEP_DONE;
	out->rank = 2;
	out->dim[0] = rows;
	out->dim[1] = n;
	if (pst_mul_overflow(rows, n * sizeof(float), &out->bytes) ||
	    out->bytes > out->span.size) {
		out->flags = PST_WIRE_IO_TOO_SMALL;
		return pst_error_set(err, -EMSGSIZE,
				     "an output does not fit its room");
	}
	out->flags = PST_WIRE_IO_IN_PLACE;
	if (rows == 0)
		return PST_AGENT_STEP_DONE;
	op->op = PST_WIRE_OP_INFER;
	op->dtype = op->dtype_c = PST_WIRE_F32;
	op->m = (uint32_t)rows;
	op->k = op->lda = (uint32_t)in->dim[1];
	op->ldc = (uint32_t)n;
	op->a = (struct pst_operand){.off = in->span.off,
				     .size = in->span.size};
	op->c = (struct pst_operand){.off = out->span.off, .size = out->bytes};
	return 0;
}

int pst_agent_run_choose(const struct pst_agent_executor_config *config,
			 struct lane *l, struct pst_error *err)
{
	struct pst_op *op = &l->bop.op;
	int r;

	l->call_off = op->a.off;
	if (op->run_device) {
		l->use = *(const struct pst_backend_use *)op->run_device;
		return 0;
	}
	r = as_rows(op, err);
	if (r)
		pst_agent_run_answer(config, l);
	return r;
}

void pst_agent_run_answer(const struct pst_agent_executor_config *config,
			  const struct lane *l)
{
	pst_run_answer(&l->run, config->base + l->call_off);
}
