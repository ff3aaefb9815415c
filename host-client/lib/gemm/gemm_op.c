/* SPDX-License-Identifier: MIT */
/* Makes a product's descriptor from its arguments. */
#include "host-client/lib/gemm/gemm_op.h"

#include <errno.h>
#include <string.h>

#include "host-client/lib/plain/args.h"
#include "transport/dtype.h"

static uint64_t double_bits(double d)
{
	uint64_t bits;

	memcpy(&bits, &d, sizeof(bits));
	return bits;
}

uint32_t pst_gemm_dtype_c(const struct pst_gemm_args *g)
{
	return g->dtype_c ? g->dtype_c : pst_dtype_of_c(g->dtype);
}

/* Of a packed matrix, stored as rows x cols. */
static void pack(uint32_t *ld, const struct pst_gemm_args *g, uint32_t rows,
		 uint32_t cols)
{
	const uint32_t line = g->order == PST_COL_MAJOR ? rows : cols;

	if (!*ld)
		*ld = line ? line : 1;
}

int pst_gemm_take(const struct pst_gemm_args *args, struct pst_gemm_args *ret,
		  struct pst_error *err)
{
	static const struct pst_args_kind kind = {
		.init = "PST_GEMM_INIT",
		.size = sizeof(*ret),
		.least = offsetof(struct pst_gemm_args, dtype_c),
	};
	int r = pst_args_take(&kind, args, ret, err);

	if (r < 0)
		return r;
	pack(&ret->lda, ret, ret->transa ? ret->k : ret->m,
	     ret->transa ? ret->m : ret->k);
	pack(&ret->ldb, ret, ret->transb ? ret->n : ret->k,
	     ret->transb ? ret->k : ret->n);
	pack(&ret->ldc, ret, ret->m, ret->n);
	return 0;
}

static void gemm_sqe(const struct pst_gemm_args *g, struct pst_wire_sqe *s)
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

/* Which of the fields below it is. */
static int unknown_enum(const struct pst_gemm_args *g, struct pst_error *err)
{
	const struct {
		const char *name;
		uint32_t value, max;
	} fields[] = {
		{"dtype", g->dtype, UINT8_MAX},
		{"dtype_c", g->dtype_c, UINT8_MAX},
		{"order", g->order, PST_COL_MAJOR},
		{"compute", g->compute, PST_COMPUTE_FAST_F16},
		{"act", g->act, PST_ACT_GELU_ERF},
	};
	size_t i;

	for (i = 0; fields[i].value <= fields[i].max; i++)
		;
	return pst_error_set(err, -EINVAL, "%s %u is unknown", fields[i].name,
			     fields[i].value);
}

/* Fields that would not survive the descriptor's narrower ones. */
static int check_gemm_enums(const struct pst_gemm_args *g,
			    struct pst_error *err)
{
	if (!g->dtype)
		return pst_error_set(err, -EINVAL, "dtype is not set");
	if (g->dtype > UINT8_MAX || g->dtype_c > UINT8_MAX ||
	    g->order > PST_COL_MAJOR || g->compute > PST_COMPUTE_FAST_F16 ||
	    g->act > PST_ACT_GELU_ERF)
		return unknown_enum(g, err);
	if ((g->a && g->a_tensor) || (g->b && g->b_tensor) ||
	    (g->c && g->c_tensor) || (g->bias && g->bias_tensor))
		return pst_error_set(err, -EINVAL,
				     "an operand is both a pointer and a "
				     "tensor");
	return 0;
}

/* An operand as the caller names it. */
struct operand {
	const char *name;
	const void *ptr;
	uint64_t tensor;
	uint64_t *word; /* in the descriptor */
};

/* Where it lies, and what uses it. A tensor is looked up though it is not read,
 * so that no handle of a lost session gets to the agent. */
static int find(const struct pst_memory *m, struct pst_call *call,
		enum pst_operand_slot slot, const struct operand *x, bool used,
		enum pst_operand_kind *ret, struct pst_error *err)
{
	struct pst_block *b;

	*ret = PST_OPERAND_NONE;
	if (x->tensor) {
		*ret = PST_OPERAND_TENSOR;
		return pst_call_tensor(m, call, slot, x->name, x->tensor,
				       x->word, err);
	}
	if (!used)
		return 0;
	b = x->ptr ? pst_heap_find(&m->heap, x->ptr, 0) : NULL;
	/* This says what is wrong with it. */
	if (!x->ptr || (b && b->extent->dead) ||
	    (!b && pst_heap_dangles(&m->heap, x->ptr)))
		return pst_buffer_find(m, x->name, x->ptr, 0, &b, err);
	call->blocks[slot] = b;
	*ret = b ? PST_OPERAND_REGION : PST_OPERAND_FOREIGN;
	return 0;
}

/* As the agent will see it. */
static bool reads_ab(const struct pst_gemm_args *g)
{
	const struct pst_op op = {
		.dtype = g->dtype,
		.m = g->m,
		.n = g->n,
		.k = g->k,
		.alpha = g->alpha,
	};

	return pst_op_reads_ab(&op);
}

int pst_gemm_resolve(const struct pst_memory *m, const struct pst_gemm_args *g,
		     struct pst_call *call, struct pst_gemm_places *ret,
		     struct pst_error *err)
{
	struct pst_wire_sqe *s = &call->sqe;
	const bool writes = g->m && g->n;
	const struct operand operands[PST_RECORD_BLOCKS] = {
		[PST_SLOT_A] = {"a", g->a, g->a_tensor, &s->off_a},
		[PST_SLOT_B] = {"b", g->b, g->b_tensor, &s->off_b},
		[PST_SLOT_C] = {"c", g->c, g->c_tensor, &s->off_c},
		[PST_SLOT_BIAS] = {"bias", g->bias, g->bias_tensor,
				   &s->off_bias},
	};
	const struct operand *x;
	bool used;
	int i, r;

	r = check_gemm_enums(g, err);
	if (r < 0)
		return r;
	gemm_sqe(g, s);
	call->writes = true;
	ret->reads_ab = reads_ab(g);
	ret->foreign = false;
	for (i = 0; i < PST_RECORD_BLOCKS; i++) {
		used = i == PST_SLOT_C      ? writes
		       : i == PST_SLOT_BIAS ? writes && g->bias
					    : ret->reads_ab;
		r = find(m, call, i, &operands[i], used, &ret->kind[i], err);
		if (r < 0)
			return r;
		ret->foreign |= ret->kind[i] == PST_OPERAND_FOREIGN;
	}
	for (i = 0; i < PST_RECORD_BLOCKS; i++) {
		x = &operands[i];
		if (ret->kind[i] == PST_OPERAND_FOREIGN ||
		    (ret->kind[i] == PST_OPERAND_REGION && ret->foreign))
			*x->word = (uintptr_t)x->ptr;
		else if (ret->kind[i] == PST_OPERAND_REGION)
			*x->word = pst_block_wire_off(call->blocks[i], x->ptr);
	}
	return 0;
}

int pst_gemm_check(const struct pst_memory *m, const struct pst_call *call,
		   const struct pst_gemm_places *places, struct pst_error *err)
{
	struct pst_op op;

	return places->foreign ? pst_call_check_whole(m, call, err)
			       : pst_call_check(m, call, &op, err);
}

/* A foreign operand where none may be. */
static int refuse(const struct pst_memory *m, const struct pst_gemm_args *g,
		  const struct pst_gemm_places *places, struct pst_error *err)
{
	static const char *const names[] = {"a", "b", "c", "bias"};
	const void *const ptr[] = {g->a, g->b, g->c, g->bias};
	struct pst_block *b;
	int i = 0;

	while (places->kind[i] != PST_OPERAND_FOREIGN)
		i++;
	return pst_buffer_find(m, names[i], ptr[i], 0, &b, err);
}

int pst_gemm_prepare(const struct pst_memory *m, const struct pst_gemm_args *g,
		     struct pst_call *call, struct pst_error *err)
{
	struct pst_gemm_places places;
	int r = pst_gemm_resolve(m, g, call, &places, err);

	if (r < 0)
		return r;
	return places.foreign ? refuse(m, g, &places, err)
			      : pst_gemm_check(m, call, &places, err);
}
