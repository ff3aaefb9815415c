/* SPDX-License-Identifier: MIT */
/* COPY: between a buffer and a resident tensor, or within either. */
#include <errno.h>

#include "host-client/lib/ops/call.h"
#include "host-client/lib/plain/args.h"

int pst_copy_prepare(const struct pst_memory *m, const struct pst_copy_args *p,
		     struct pst_call *call, struct pst_error *err)
{
	struct pst_wire_sqe *s = &call->sqe;
	struct pst_op op;
	int r;

	if (!p->src == !p->src_tensor || !p->dst == !p->dst_tensor)
		return pst_error_set(err, -EINVAL,
				     "source and destination are a pointer or "
				     "a tensor each");
	if ((p->src && p->src_off) || (p->dst && p->dst_off))
		return pst_error_set(err, -EINVAL,
				     "offsets are for tensors only");
	*s = (struct pst_wire_sqe){
		.op = PST_WIRE_OP_COPY,
		.flags = (uint8_t)((p->src_tensor ? PST_WIRE_A_TENSOR : 0) |
				   (p->dst_tensor ? PST_WIRE_C_TENSOR : 0)),
		.length = p->n,
		.stride_b = p->src_off,
		.stride_c = p->dst_off,
	};
	call->writes = true;
	if ((p->src && (r = pst_call_operand(m, call, PST_SLOT_A, "the source",
					     p->src, &s->off_a, err)) < 0) ||
	    (p->dst &&
	     (r = pst_call_operand(m, call, PST_SLOT_C, "the destination",
				   p->dst, &s->off_c, err)) < 0) ||
	    (r = pst_call_tensor(m, call, PST_SLOT_A, "the source",
				 p->src_tensor, &s->off_a, err)) < 0 ||
	    (r = pst_call_tensor(m, call, PST_SLOT_C, "the destination",
				 p->dst_tensor, &s->off_c, err)) < 0)
		return r;
	return pst_call_check(m, call, &op, err);
}

int pst_copy_prepare_args(struct pst *c, const void *copy,
			  struct pst_call *call, struct pst_error *err)
{
	static const struct pst_args_kind kind = {
		.init = "PST_COPY_INIT",
		.size = sizeof(struct pst_copy_args),
		.least = offsetof(struct pst_copy_args, src_tensor),
	};
	struct pst_copy_args own;
	int r = pst_args_take(&kind, copy, &own, err);

	return r < 0 ? r : pst_copy_prepare(&c->mem, &own, call, err);
}

int pst_copy(struct pst *c, const struct pst_copy_args *copy,
	     uint64_t timeout_ns, struct pst_completion *done)
{
	return pst_call_sync(c, pst_copy_prepare_args, copy, timeout_ns, done);
}

int pst_submit_copy(struct pst *c, const struct pst_copy_args *copy,
		    uint64_t user_data, uint64_t *ret_tag)
{
	return pst_call_async(c, pst_copy_prepare_args, copy, user_data,
			      ret_tag);
}
