/* SPDX-License-Identifier: MIT */
/* The check of an operation's descriptor: pure functions, both ends use them.
 */
#include "transport/op.h"

#include <errno.h>
#include <string.h>

#include "transport/util.h"

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

double pst_op_flops(const struct pst_op *op)
{
	if (op->op != PST_WIRE_OP_GEMM)
		return 0;
	return 2.0 * op->m * op->n * op->k;
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
	const struct pst_wire_limits *limits;
	pst_op_holds_fn *holds;
	void *arg;
	struct pst_error *err;
};

static int check_holds(const struct check *ck, const char *what,
		       const struct pst_span *span, unsigned int align)
{
	if (span->size == 0)
		return 0;
	if (span->off % align)
		return pst_error_set(
			ck->err, -EINVAL,
			"%s is not aligned to its %u-byte elements", what,
			align);
	if (!ck->holds(ck->arg, span))
		return pst_error_set(ck->err, -EFAULT,
				     "%s lies outside the session's extents",
				     what);
	return 0;
}

static int check_dim(const struct check *ck, const char *what, uint32_t v)
{
	if (v > ck->limits->max_dim)
		return pst_error_set(ck->err, -EMSGSIZE,
				     "%s = %u is above the limit of %u", what,
				     v, ck->limits->max_dim);
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
	if (*ret / elem > ck->limits->max_elems)
		return pst_error_set(
			ck->err, -EMSGSIZE,
			"%s spans %llu elements, above the limit of %llu", what,
			(unsigned long long)(*ret / elem),
			(unsigned long long)ck->limits->max_elems);
	return 0;
}

static bool overlap(const struct pst_span *x, const struct pst_span *y)
{
	return x->size && y->size && x->off < y->off + y->size &&
	       y->off < x->off + x->size;
}

static int check_gemm_fields(const struct check *ck)
{
	const struct pst_wire_sqe *s = ck->sqe;

	if (s->dtype != PST_WIRE_F32 && s->dtype != PST_WIRE_F64)
		return pst_error_set(ck->err, -EOPNOTSUPP,
				     "element type %u is not supported",
				     s->dtype);
	if (s->dtype_c != s->dtype)
		return pst_error_set(ck->err, -EOPNOTSUPP,
				     "C's element type %u differs from A's, %u",
				     s->dtype_c, s->dtype);
	if (s->order > PST_WIRE_COL_MAJOR)
		return pst_error_set(ck->err, -EINVAL, "order %u is unknown",
				     s->order);
	if (s->trans & ~(PST_WIRE_TRANSA | PST_WIRE_TRANSB))
		return pst_error_set(ck->err, -EINVAL, "trans %u is unknown",
				     s->trans);
	if (s->compute || s->epilogue || s->off_bias || s->length)
		return pst_error_set(
			ck->err, -EOPNOTSUPP,
			"compute modes and epilogues are not supported");
	if (s->batch != 1)
		return pst_error_set(ck->err, -EOPNOTSUPP,
				     "batch %u is not supported", s->batch);
	return 0;
}

static int check_gemm_dims(const struct check *ck)
{
	const struct pst_wire_sqe *s = ck->sqe;
	int r;

	if ((r = check_dim(ck, "m", s->m)) < 0 ||
	    (r = check_dim(ck, "n", s->n)) < 0 ||
	    (r = check_dim(ck, "k", s->k)) < 0 ||
	    (r = check_dim(ck, "lda", s->lda)) < 0 ||
	    (r = check_dim(ck, "ldb", s->ldb)) < 0)
		return r;
	return check_dim(ck, "ldc", s->ldc);
}

static int check_gemm(const struct check *ck, struct pst_op *op)
{
	const struct pst_wire_sqe *s = ck->sqe;
	unsigned int elem;
	bool reads_ab;
	int r;

	if ((r = check_gemm_fields(ck)) < 0 || (r = check_gemm_dims(ck)) < 0)
		return r;
	elem = pst_dtype_size(s->dtype);
	op->dtype = s->dtype;
	op->col_major = s->order == PST_WIRE_COL_MAJOR;
	op->transa = s->trans & PST_WIRE_TRANSA;
	op->transb = s->trans & PST_WIRE_TRANSB;
	op->m = s->m;
	op->n = s->n;
	op->k = s->k;
	op->lda = s->lda;
	op->ldb = s->ldb;
	op->ldc = s->ldc;
	op->alpha = bits_to_double(s->alpha);
	op->beta = bits_to_double(s->beta);
	op->a.off = s->off_a;
	op->b.off = s->off_b;
	op->c.off = s->off_c;
	if ((r = check_matrix(ck, "a", op->transa, s->m, s->k, s->lda, elem,
			      &op->a.size)) < 0 ||
	    (r = check_matrix(ck, "b", op->transb, s->k, s->n, s->ldb, elem,
			      &op->b.size)) < 0 ||
	    (r = check_matrix(ck, "c", false, s->m, s->n, s->ldc, elem,
			      &op->c.size)) < 0)
		return r;
	/* Nothing to write, or A and B that do not matter, are not looked at:
	 * their offsets may be anything. */
	reads_ab = op->c.size && op->k > 0 && op->alpha != 0;
	if (!reads_ab)
		op->a.size = op->b.size = 0;
	if ((r = check_holds(ck, "a", &op->a, elem)) < 0 ||
	    (r = check_holds(ck, "b", &op->b, elem)) < 0 ||
	    (r = check_holds(ck, "c", &op->c, elem)) < 0)
		return r;
	if (overlap(&op->c, &op->a) || overlap(&op->c, &op->b))
		return pst_error_set(ck->err, -EINVAL,
				     "c overlaps an operand that is read");
	return 0;
}

/* FILL and CHECKSUM use one span; all GEMM fields are zero. */
static int check_span(const struct check *ck, struct pst_op *op)
{
	const struct pst_wire_sqe *s = ck->sqe;
	bool fill = s->op == PST_WIRE_OP_FILL;
	unsigned int elem = fill ? pst_dtype_size(s->dtype) : 1;

	if (s->order || s->trans || s->dtype_c || s->compute || s->epilogue ||
	    s->m || s->n || s->k || s->batch || s->lda || s->ldb || s->ldc ||
	    s->off_b || s->off_c || s->off_bias || s->beta ||
	    (!fill && (s->alpha || s->dtype)))
		return pst_error_set(ck->err, -EINVAL,
				     "a reserved field is not zero");
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
	op->a.off = s->off_a;
	op->a.size = s->length;
	return check_holds(ck, "the span", &op->a, elem);
}

static int check_nop(const struct check *ck)
{
	const struct pst_wire_sqe *s = ck->sqe;

	if (s->order || s->trans || s->dtype || s->dtype_c || s->compute ||
	    s->epilogue || s->m || s->n || s->k || s->batch || s->lda ||
	    s->ldb || s->ldc || s->off_a)
		return pst_error_set(ck->err, -EINVAL,
				     "a reserved field is not zero");
	return 0;
}

int pst_op_check(const struct pst_wire_sqe *sqe,
		 const struct pst_wire_limits *limits, pst_op_holds_fn *holds,
		 void *arg, struct pst_op *ret, struct pst_error *err)
{
	const struct check ck = {
		.sqe = sqe,
		.limits = limits,
		.holds = holds,
		.arg = arg,
		.err = err,
	};
	struct pst_op op = {.tag = sqe->tag, .op = sqe->op};
	int r;

	if (sqe->flags || sqe->reserved0)
		return pst_error_set(err, -EINVAL,
				     "a reserved field is not zero");
	switch (sqe->op) {
	case PST_WIRE_OP_NOP:
		r = check_nop(&ck);
		break;
	case PST_WIRE_OP_GEMM:
	case PST_WIRE_OP_FILL:
	case PST_WIRE_OP_CHECKSUM:
		if (sqe->reserved1[0] || sqe->reserved1[1])
			return pst_error_set(err, -EINVAL,
					     "a reserved field is not zero");
		r = sqe->op == PST_WIRE_OP_GEMM ? check_gemm(&ck, &op)
						: check_span(&ck, &op);
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
