/* SPDX-License-Identifier: MIT */
/* What operations of each kind have moved, in bytes of the region. */
#include "guest-agent/exec/meters.h"

#include "transport/run.h"

/* Elements of matrices that lie in the region, without what lies between their
 * rows; a stride of 0 is one matrix for all products. */
static uint64_t elems(const struct pst_op *op, const struct pst_operand *x,
		      uint64_t rows, uint64_t cols, uint64_t stride)
{
	if (x->size == 0 || x->mem)
		return 0;
	return rows * cols * (stride ? op->batch : 1);
}

static void product(struct pst_agent_meter *x, const struct pst_op *op)
{
	const uint64_t size = pst_dtype_size(op->dtype);
	const uint64_t size_c =
		op->dtype_c == op->dtype ? size : pst_dtype_size(op->dtype_c);
	const uint64_t c =
		size_c * elems(op, &op->c, op->m, op->n, op->stride_c);

	x->bytes_read += size * elems(op, &op->a, op->m, op->k, op->stride_a);
	x->bytes_read += size * elems(op, &op->b, op->k, op->n, op->stride_b);
	if (op->has_bias)
		x->bytes_read += size_c * elems(op, &op->bias, 1, op->n, 0);
	if (op->beta != 0)
		x->bytes_read += c;
	x->bytes_written += c;
}

static void run(struct pst_agent_meter *x, const struct pst_run *r)
{
	uint32_t i;

	for (i = 0; i < r->n_in; i++)
		x->bytes_read += r->io[i].span.size;
	for (; i < r->n_in + r->n_out; i++)
		x->bytes_written += r->io[i].bytes;
}

void pst_agent_meters_moved(struct pst_agent_meters *m, unsigned int kind,
			    const struct pst_op *op)
{
	struct pst_agent_meter *x = &m->of[kind];

	switch (op->op) {
	case PST_WIRE_OP_GEMM:
	case PST_WIRE_OP_GEMM_STRIDED_BATCHED:
		product(x, op);
		break;
	case PST_WIRE_OP_FILL:
		x->bytes_written += op->a.size;
		break;
	case PST_WIRE_OP_CHECKSUM:
		x->bytes_read += op->a.size;
		break;
	case PST_WIRE_OP_COPY:
		x->bytes_read += op->a.mem ? 0 : op->a.size;
		x->bytes_written += op->c.mem ? 0 : op->c.size;
		break;
	case PST_WIRE_OP_INFER:
		x->bytes_read += 4ULL * op->m * op->k;
		x->bytes_written += 4ULL * op->m * op->n;
		break;
	case PST_WIRE_OP_RUN:
		if (op->run)
			run(x, op->run);
		break;
	case PST_WIRE_OP_NOP:
		break;
	}
}
