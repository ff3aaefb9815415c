/* SPDX-License-Identifier: MIT */
/* Checks an operation's descriptor: pure functions that both ends use.
 */
#include "transport/op.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "transport/base/util.h"
#include "transport/run.h"

unsigned int pst_dtype_size(uint32_t dtype)
{
	switch (dtype) {
	case PST_WIRE_F64:
		return 8;
	case PST_WIRE_F32:
	case PST_WIRE_I32:
		return 4;
	case PST_WIRE_F16:
	case PST_WIRE_BF16:
		return 2;
	case PST_WIRE_I8:
		return 1;
	default:
		return 0;
	}
}

int pst_matrix_bytes(bool col_major, uint64_t rows, uint64_t cols, uint64_t ld,
		     unsigned int elem_size, uint64_t *ret)
{
	uint64_t outer = col_major ? cols : rows;
	uint64_t inner = col_major ? rows : cols;
	uint64_t elems;

	/* BLAS wants ld >= max(1, inner) also for an empty matrix. */
	if (ld < inner || ld == 0)
		return -EINVAL;
	if (outer == 0 || inner == 0) {
		*ret = 0;
		return 0;
	}
	if (pst_mul_overflow(outer - 1, ld, &elems) ||
	    pst_add_overflow(elems, inner, &elems) ||
	    pst_mul_overflow(elems, elem_size, ret))
		return -EOVERFLOW;
	return 0;
}

bool pst_lines_apart(uint64_t x, uint64_t x_width, uint64_t y, uint64_t y_width,
		     uint64_t pitch)
{
	uint64_t behind; /* from the start of x's lines to those of y's */

	if (pitch == 0)
		return false;
	behind = (y % pitch + pitch - x % pitch) % pitch;
	return behind >= x_width && y_width <= pitch - behind;
}

bool pst_op_reads_ab(const struct pst_op *op)
{
	/* An alpha too small for a float is 0 there. */
	const double alpha = op->dtype == PST_WIRE_F64
				     ? op->alpha
				     : (double)(float)op->alpha;

	return op->m > 0 && op->n > 0 && op->k > 0 && alpha != 0;
}

double pst_op_flops(const struct pst_op *op)
{
	if (op->op != PST_WIRE_OP_GEMM &&
	    op->op != PST_WIRE_OP_GEMM_STRIDED_BATCHED)
		return 0;
	return 2.0 * op->m * op->n * op->k * op->batch;
}

static double bits_to_double(uint64_t bits)
{
	double d;

	memcpy(&d, &bits, sizeof(d));
	return d;
}

/* Everything the checks of one descriptor share. */
struct check {
	const struct pst_wire_sqe *sqe;
	const struct pst_op_env *env;
	struct pst_error *err;
};

static int reserved_set(const struct check *ck)
{
	return pst_error_set(ck->err, -EINVAL, "a reserved field is not zero");
}

static int check_tensor(const struct check *ck, const char *what,
			struct pst_operand *x, uint64_t handle, uint64_t off)
{
	uint64_t size;

	if (!ck->env->tensor ||
	    ck->env->tensor(ck->env->arg, handle, &x->mem, &size) < 0)
		return pst_error_set(ck->err, -ENOENT,
				     "%s: the session has no tensor %#" PRIx64,
				     what, handle);
	if (off > size || x->size > size - off)
		return pst_error_set(ck->err, -EFAULT,
				     "%s ends behind its tensor's %" PRIu64
				     " bytes",
				     what, size);
	x->off = off;
	return 0;
}

/* Fills in where the operand lies; x->size is known. word: an offset, or a
 * handle where is_tensor, whose operand begins tensor_off bytes in it. */
static int check_operand(const struct check *ck, const char *what,
			 struct pst_operand *x, uint64_t word, bool is_tensor,
			 uint64_t tensor_off, unsigned int align)
{
	struct pst_span span = {word, x->size};

	x->mem = NULL;
	/* A word that is not checked may be anything, and addresses are
	 * computed from this one. */
	x->off = x->size ? word : 0;
	if (x->size == 0)
		return 0;
	if ((is_tensor ? tensor_off : word) & (align - 1))
		return pst_error_set(
			ck->err, -EINVAL,
			"%s is not aligned to its %u-byte elements", what,
			align);
	if (is_tensor)
		return check_tensor(ck, what, x, word, tensor_off);
	if (!ck->env->holds(ck->env->arg, &span))
		return pst_error_set(ck->err, -EFAULT,
				     "%s lies outside the session's extents",
				     what);
	return 0;
}

static int check_max(const struct check *ck, const char *what, uint32_t v,
		     uint32_t max)
{
	if (v > max)
		return pst_error_set(ck->err, -EMSGSIZE,
				     "%s = %u is above the limit of %u", what,
				     v, max);
	return 0;
}

static int check_matrix(const struct check *ck, const char *what, bool trans,
			uint32_t rows, uint32_t cols, uint32_t ld,
			unsigned int elem, uint64_t *ret)
{
	bool col = ck->sqe->order == PST_WIRE_COL_MAJOR;
	uint32_t r = trans ? cols : rows;
	uint32_t c = trans ? rows : cols;
	int err = pst_matrix_bytes(col, r, c, ld, elem, ret);

	if (err == -EINVAL)
		return pst_error_set(
			ck->err, err,
			"ld%s = %u is too short for %s, %u x %u in %s order",
			what, ld, what, r, c,
			col ? "column-major" : "row-major");
	if (err < 0)
		return pst_error_set(ck->err, err, "the size of %s overflows",
				     what);
	/* A power of two, and this is on the way of every operation. */
	if (*ret >> __builtin_ctz(elem) > ck->env->limits->max_elems)
		return pst_error_set(ck->err, -EMSGSIZE,
				     "%s spans %" PRIu64
				     " elements, above the limit of %" PRIu64,
				     what, *ret / elem,
				     ck->env->limits->max_elems);
	return 0;
}

/* From one matrix's bytes to those of all the batch. */
static int check_stride(const struct check *ck, const char *what,
			uint64_t stride, unsigned int elem, bool written,
			uint64_t *size)
{
	uint64_t last, one = *size;

	if (ck->sqe->batch == 1 || one == 0)
		return 0;
	if (pst_mul_overflow(stride, ck->sqe->batch - 1, &last) ||
	    pst_mul_overflow(last, elem, &last) ||
	    pst_add_overflow(last, one, size))
		return pst_error_set(ck->err, -EOVERFLOW,
				     "the size of %s overflows", what);
	if (written && stride < one / elem)
		return pst_error_set(ck->err, -EINVAL,
				     "stride_%s = %" PRIu64
				     ": the products overlap in %s, which "
				     "spans %" PRIu64 " elements",
				     what, stride, what, one / elem);
	return 0;
}

static bool overlap(const struct pst_operand *x, const struct pst_operand *y)
{
	return x->size && y->size && x->mem == y->mem &&
	       x->off < y->off + y->size && y->off < x->off + x->size;
}

/* The same of C and A or B, which may be parts of one matrix. */
static bool overlap_c(const struct pst_op *op, const struct pst_operand *x,
		      uint32_t inner, uint32_t ld)
{
	const uint64_t elem = pst_dtype_size(op->dtype);
	const uint64_t elem_c = pst_dtype_size(op->dtype_c);
	const uint64_t pitch = ld * elem;

	if (!overlap(&op->c, x))
		return false;
	return op->batch != 1 || pitch != op->ldc * elem_c ||
	       !pst_lines_apart(op->c.off,
				(op->col_major ? op->m : op->n) * elem_c,
				x->off, inner * elem, pitch);
}

/* Which types a product may have. */
static bool types_match(uint8_t dtype, uint8_t dtype_c)
{
	switch (dtype) {
	case PST_WIRE_F64:
	case PST_WIRE_F32:
		return dtype_c == dtype;
	case PST_WIRE_F16:
	case PST_WIRE_BF16:
		return dtype_c == dtype || dtype_c == PST_WIRE_F32;
	case PST_WIRE_I8:
		return dtype_c == PST_WIRE_I32;
	default:
		return false;
	}
}

static int check_types(const struct check *ck)
{
	const struct pst_wire_sqe *s = ck->sqe;

	if (!pst_dtype_size(s->dtype) || s->dtype == PST_WIRE_I32)
		return pst_error_set(ck->err, -EOPNOTSUPP,
				     "element type %u is not supported",
				     s->dtype);
	if (!types_match(s->dtype, s->dtype_c))
		return pst_error_set(
			ck->err, -EOPNOTSUPP,
			"a product of element type %u has no result of type %u",
			s->dtype, s->dtype_c);
	if (s->compute > PST_WIRE_COMPUTE_FAST_F16)
		return pst_error_set(ck->err, -EINVAL,
				     "compute mode %u is unknown", s->compute);
	if (s->compute && s->dtype != PST_WIRE_F32)
		return pst_error_set(ck->err, -EOPNOTSUPP,
				     "compute modes are for f32 operands only");
	if ((s->epilogue & ~(PST_WIRE_EPILOGUE_ACT | PST_WIRE_EPILOGUE_BIAS)) ||
	    (s->epilogue & PST_WIRE_EPILOGUE_ACT) >= PST_WIRE_N_ACTS)
		return pst_error_set(ck->err, -EINVAL,
				     "epilogue %#x is unknown", s->epilogue);
	return 0;
}

static bool is_i32(double v)
{
	return v >= INT32_MIN && v <= INT32_MAX && v == (double)(int32_t)v;
}

static int check_gemm_fields(const struct check *ck)
{
	const struct pst_wire_sqe *s = ck->sqe;
	const uint8_t flags = PST_WIRE_A_TENSOR | PST_WIRE_B_TENSOR |
			      PST_WIRE_C_TENSOR | PST_WIRE_BIAS_TENSOR;

	if (s->order > PST_WIRE_COL_MAJOR)
		return pst_error_set(ck->err, -EINVAL, "order %u is unknown",
				     s->order);
	if (s->trans & ~(PST_WIRE_TRANSA | PST_WIRE_TRANSB))
		return pst_error_set(ck->err, -EINVAL, "trans %u is unknown",
				     s->trans);
	if (s->flags & ~flags)
		return reserved_set(ck);
	if (!(s->epilogue & PST_WIRE_EPILOGUE_BIAS) &&
	    (s->off_bias || s->flags & PST_WIRE_BIAS_TENSOR))
		return reserved_set(ck);
	if (s->op == PST_WIRE_OP_GEMM &&
	    (s->stride_a || s->stride_b || s->stride_c || s->batch != 1))
		return pst_error_set(ck->err, -EINVAL,
				     "a GEMM has batch 1 and no strides");
	if (s->dtype == PST_WIRE_I8 && (!is_i32(bits_to_double(s->alpha)) ||
					!is_i32(bits_to_double(s->beta))))
		return pst_error_set(ck->err, -EINVAL,
				     "alpha and beta of a product of i8 are "
				     "integers of 32 bits");
	return 0;
}

static int check_gemm_dims(const struct check *ck)
{
	const struct pst_wire_sqe *s = ck->sqe;
	const uint32_t max = ck->env->limits->max_dim;
	int r;

	if ((r = check_max(ck, "m", s->m, max)) < 0 ||
	    (r = check_max(ck, "n", s->n, max)) < 0 ||
	    (r = check_max(ck, "k", s->k, max)) < 0 ||
	    (r = check_max(ck, "lda", s->lda, max)) < 0 ||
	    (r = check_max(ck, "ldb", s->ldb, max)) < 0 ||
	    (r = check_max(ck, "ldc", s->ldc, max)) < 0)
		return r;
	if (s->op == PST_WIRE_OP_GEMM)
		return 0;
	if (s->batch == 0)
		return pst_error_set(ck->err, -EINVAL, "a batch of 0 products");
	return check_max(ck, "batch", s->batch, ck->env->limits->max_batch);
}

static void copy_gemm_fields(const struct pst_wire_sqe *s, struct pst_op *op)
{
	op->dtype = s->dtype;
	op->dtype_c = s->dtype_c;
	op->compute = s->compute;
	op->act = s->epilogue & PST_WIRE_EPILOGUE_ACT;
	op->has_bias = s->epilogue & PST_WIRE_EPILOGUE_BIAS;
	op->col_major = s->order == PST_WIRE_COL_MAJOR;
	op->transa = s->trans & PST_WIRE_TRANSA;
	op->transb = s->trans & PST_WIRE_TRANSB;
	op->m = s->m;
	op->n = s->n;
	op->k = s->k;
	op->lda = s->lda;
	op->ldb = s->ldb;
	op->ldc = s->ldc;
	op->batch = s->batch;
	op->alpha = bits_to_double(s->alpha);
	op->beta = bits_to_double(s->beta);
}

static int check_gemm_sizes(const struct check *ck, struct pst_op *op)
{
	const struct pst_wire_sqe *s = ck->sqe;
	const unsigned int elem = pst_dtype_size(s->dtype);
	const unsigned int elem_c = pst_dtype_size(s->dtype_c);
	int r;

	if ((r = check_matrix(ck, "a", op->transa, s->m, s->k, s->lda, elem,
			      &op->a.size)) < 0 ||
	    (r = check_matrix(ck, "b", op->transb, s->k, s->n, s->ldb, elem,
			      &op->b.size)) < 0 ||
	    (r = check_matrix(ck, "c", false, s->m, s->n, s->ldc, elem_c,
			      &op->c.size)) < 0 ||
	    (r = check_stride(ck, "a", s->stride_a, elem, false, &op->a.size)) <
		    0 ||
	    (r = check_stride(ck, "b", s->stride_b, elem, false, &op->b.size)) <
		    0)
		return r;
	return check_stride(ck, "c", s->stride_c, elem_c, true, &op->c.size);
}

static int check_gemm(const struct check *ck, struct pst_op *op)
{
	const struct pst_wire_sqe *s = ck->sqe;
	const unsigned int elem = pst_dtype_size(s->dtype);
	const unsigned int elem_c = pst_dtype_size(s->dtype_c);
	int r;

	if ((r = check_types(ck)) < 0 || (r = check_gemm_fields(ck)) < 0 ||
	    (r = check_gemm_dims(ck)) < 0)
		return r;
	copy_gemm_fields(s, op);
	if ((r = check_gemm_sizes(ck, op)) < 0)
		return r;
	/* Operands that are neither read nor written are not checked: their
	 * offsets may be anything. */
	if (!pst_op_reads_ab(op))
		op->a.size = op->b.size = 0;
	/* Strides neither, nor those of one product alone. */
	op->stride_a = op->a.size && s->batch > 1 ? s->stride_a : 0;
	op->stride_b = op->b.size && s->batch > 1 ? s->stride_b : 0;
	op->stride_c = op->c.size && s->batch > 1 ? s->stride_c : 0;
	op->bias.size =
		op->has_bias && op->c.size ? (uint64_t)s->n * elem_c : 0;
	if ((r = check_operand(ck, "a", &op->a, s->off_a,
			       s->flags & PST_WIRE_A_TENSOR, 0, elem)) < 0 ||
	    (r = check_operand(ck, "b", &op->b, s->off_b,
			       s->flags & PST_WIRE_B_TENSOR, 0, elem)) < 0 ||
	    (r = check_operand(ck, "c", &op->c, s->off_c,
			       s->flags & PST_WIRE_C_TENSOR, 0, elem_c)) < 0 ||
	    (r = check_operand(ck, "bias", &op->bias, s->off_bias,
			       s->flags & PST_WIRE_BIAS_TENSOR, 0, elem_c)) < 0)
		return r;
	if (overlap_c(op, &op->a, op->col_major != op->transa ? op->m : op->k,
		      op->lda) ||
	    overlap_c(op, &op->b, op->col_major != op->transb ? op->k : op->n,
		      op->ldb) ||
	    overlap(&op->c, &op->bias))
		return pst_error_set(ck->err, -EINVAL,
				     "c overlaps an operand that is read");
	return 0;
}

/* Fields that only products have. */
static bool has_gemm_fields(const struct pst_wire_sqe *s)
{
	return s->order || s->trans || s->compute || s->epilogue || s->batch ||
	       s->ldb || s->off_bias || s->beta;
}

/* FILL and CHECKSUM use one span; all GEMM fields are zero. */
static int check_span(const struct check *ck, struct pst_op *op)
{
	const struct pst_wire_sqe *s = ck->sqe;
	bool fill = s->op == PST_WIRE_OP_FILL;
	unsigned int elem = fill ? pst_dtype_size(s->dtype) : 1;

	if (has_gemm_fields(s) || s->flags || s->dtype_c || s->m || s->n ||
	    s->k || s->lda || s->ldc || s->off_b || s->off_c || s->stride_b ||
	    s->stride_c || (!fill && (s->alpha || s->dtype)))
		return reserved_set(ck);
	if (fill && elem != 1 && elem != 4 && elem != 8)
		return pst_error_set(ck->err, -EINVAL,
				     "a pattern has 1, 4 or 8 bytes");
	if (s->length == 0 || s->length % elem)
		return pst_error_set(ck->err, -EINVAL,
				     "length is not a positive multiple of %u",
				     elem);
	op->pattern = s->alpha;
	op->pattern_size = fill ? elem : 0;
	if (fill)
		op->dtype = s->dtype;
	op->a.size = s->length;
	return check_operand(ck, "the span", &op->a, s->off_a, false, 0, elem);
}

static int check_copy(const struct check *ck, struct pst_op *op)
{
	const struct pst_wire_sqe *s = ck->sqe;
	const bool from = s->flags & PST_WIRE_A_TENSOR;
	const bool to = s->flags & PST_WIRE_C_TENSOR;
	int r;

	if (has_gemm_fields(s) || s->dtype || s->dtype_c || s->m || s->n ||
	    s->k || s->lda || s->ldc || s->off_b || s->alpha ||
	    s->flags & ~(PST_WIRE_A_TENSOR | PST_WIRE_C_TENSOR) ||
	    (!from && s->stride_b) || (!to && s->stride_c))
		return reserved_set(ck);
	if (s->length == 0)
		return pst_error_set(ck->err, -EINVAL,
				     "a copy of 0 bytes was asked for");
	op->a.size = op->c.size = s->length;
	if ((r = check_operand(ck, "the source", &op->a, s->off_a, from,
			       s->stride_b, 1)) < 0 ||
	    (r = check_operand(ck, "the destination", &op->c, s->off_c, to,
			       s->stride_c, 1)) < 0)
		return r;
	if (overlap(&op->a, &op->c))
		return pst_error_set(ck->err, -EINVAL,
				     "source and destination overlap");
	return 0;
}

/* Bytes and place of INFER's input or output: m rows of n elements. */
static int check_rows(const struct check *ck, const char *what, uint32_t n,
		      uint32_t ld, uint64_t off, struct pst_operand *x)
{
	int r = pst_matrix_bytes(false, ck->sqe->m, n, ld, sizeof(float),
				 &x->size);

	if (r < 0)
		return pst_error_set(ck->err, r,
				     "rows of %u elements do not fit %u apart "
				     "in the %s",
				     n, ld, what);
	return check_operand(ck, what, x, off, false, 0, sizeof(float));
}

static int check_infer(const struct check *ck, struct pst_op *op)
{
	const struct pst_wire_sqe *s = ck->sqe;
	struct pst_op_model model;
	int r;

	if (has_gemm_fields(s) || s->alpha || s->flags || s->stride_a ||
	    s->stride_b || s->stride_c)
		return reserved_set(ck);
	if (s->dtype != PST_WIRE_F32 || s->dtype_c != PST_WIRE_F32)
		return pst_error_set(ck->err, -EOPNOTSUPP,
				     "rows of an inference are f32");
	if (!ck->env->model ||
	    ck->env->model(ck->env->arg, s->off_b, &model) < 0)
		return pst_error_set(
			ck->err, -ENOENT,
			"there is no model %#" PRIx64 " (unloaded?)", s->off_b);
	if (s->k != model.n_in || s->n != model.n_out)
		return pst_error_set(
			ck->err, -EINVAL,
			"rows of %u to %u elements; the model maps %u to %u",
			s->k, s->n, model.n_in, model.n_out);
	if (s->m == 0)
		return pst_error_set(ck->err, -EINVAL, "a batch of 0 rows");
	if ((r = check_max(ck, "the batch", s->m, model.max_batch)) < 0 ||
	    (r = check_rows(ck, "input", s->k, s->lda, s->off_a, &op->a)) < 0 ||
	    (r = check_rows(ck, "output", s->n, s->ldc, s->off_c, &op->c)) < 0)
		return r;
	if (overlap(&op->a, &op->c))
		return pst_error_set(ck->err, -EINVAL,
				     "input and output overlap");
	op->dtype = op->dtype_c = PST_WIRE_F32;
	op->m = s->m;
	op->n = s->n;
	op->k = s->k;
	op->lda = s->lda;
	op->ldc = s->ldc;
	op->model = model.model;
	return 0;
}

static int check_nop(const struct check *ck)
{
	const struct pst_wire_sqe *s = ck->sqe;

	if (s->order || s->trans || s->dtype || s->dtype_c || s->compute ||
	    s->epilogue || s->m || s->n || s->k || s->batch || s->lda ||
	    s->ldb || s->ldc || s->off_a || s->flags)
		return reserved_set(ck);
	return 0;
}

int pst_op_check(const struct pst_wire_sqe *sqe, const struct pst_op_env *env,
		 struct pst_op *ret, struct pst_error *err)
{
	const struct check ck = {.sqe = sqe, .env = env, .err = err};
	struct pst_op op;
	int r;

	if (sqe->reserved0)
		return reserved_set(&ck);
	/* A NOP has nothing else to check. */
	if (sqe->op == PST_WIRE_OP_NOP) {
		r = check_nop(&ck);
		if (r < 0)
			return r;
		ret->tag = sqe->tag;
		ret->op = PST_WIRE_OP_NOP;
		ret->a.size = ret->b.size = ret->c.size = 0;
		return 0;
	}
	op = (struct pst_op){.tag = sqe->tag, .op = sqe->op, .batch = 1};
	switch (sqe->op) {
	case PST_WIRE_OP_GEMM:
	case PST_WIRE_OP_GEMM_STRIDED_BATCHED:
		r = check_gemm(&ck, &op);
		break;
	case PST_WIRE_OP_FILL:
	case PST_WIRE_OP_CHECKSUM:
		r = check_span(&ck, &op);
		break;
	case PST_WIRE_OP_COPY:
		r = check_copy(&ck, &op);
		break;
	case PST_WIRE_OP_INFER:
		r = check_infer(&ck, &op);
		break;
	case PST_WIRE_OP_RUN:
		r = pst_run_op_check(sqe, env, &op, err);
		break;
	default:
		return pst_error_set(err, -EOPNOTSUPP,
				     "operation %u is unknown", sqe->op);
	}
	if (r < 0)
		return r;
	*ret = op;
	return 0;
}
