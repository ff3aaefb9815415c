/* SPDX-License-Identifier: MIT */
/* Fuzz target: the descriptor check. What passes must lie in the lease, not
 * overlap, and have the size that its numbers say. */
#include <errno.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "transport/op.h"

/* The session holds two extents with a hole between them. */
static const struct pst_span held[] = {
	{4U << 20, 4U << 20},
	{12U << 20, 64U << 20},
};

static const struct pst_wire_limits limits = {
	.max_dim = 1U << 20,
	.max_clients = 1,
	.max_elems = 1ULL << 40,
	.max_lease = 1ULL << 40,
};

static bool is_held(const struct pst_span *s)
{
	size_t i;

	for (i = 0; i < sizeof(held) / sizeof(held[0]); i++)
		if (s->off >= held[i].off && s->size <= held[i].size &&
		    s->off - held[i].off <= held[i].size - s->size)
			return true;
	return false;
}

static bool holds(void *arg, const struct pst_span *s)
{
	FUZZ_CHECK(s->size > 0);
	return is_held(s);
}

static void check_span(const struct pst_span *s, unsigned int align)
{
	if (s->size == 0)
		return;
	FUZZ_CHECK(is_held(s));
	FUZZ_CHECK(s->off % align == 0);
}

/* The last element, counted the slow way with 128 bits. */
static void check_last(const struct pst_op *op, bool trans, uint32_t rows,
		       uint32_t cols, uint32_t ld, const struct pst_span *s)
{
	uint64_t r = trans ? cols : rows, c = trans ? rows : cols;
	uint64_t outer = op->col_major ? c : r, inner = op->col_major ? r : c;
	unsigned __int128 end;

	if (s->size == 0)
		return;
	end = ((unsigned __int128)(outer - 1) * ld + inner) *
	      pst_dtype_size(op->dtype);
	FUZZ_CHECK(end == s->size);
}

static bool apart(const struct pst_span *x, const struct pst_span *y)
{
	return !x->size || !y->size || x->off + x->size <= y->off ||
	       y->off + y->size <= x->off;
}

static void check_op(const struct pst_op *op)
{
	unsigned int elem = pst_dtype_size(op->dtype);

	switch (op->op) {
	case PST_WIRE_OP_NOP:
		FUZZ_CHECK(!op->a.size && !op->b.size && !op->c.size);
		break;
	case PST_WIRE_OP_GEMM:
		check_span(&op->a, elem);
		check_span(&op->b, elem);
		check_span(&op->c, elem);
		check_last(op, op->transa, op->m, op->k, op->lda, &op->a);
		check_last(op, op->transb, op->k, op->n, op->ldb, &op->b);
		check_last(op, false, op->m, op->n, op->ldc, &op->c);
		FUZZ_CHECK((op->c.size == 0) == (op->m == 0 || op->n == 0));
		FUZZ_CHECK(apart(&op->c, &op->a) && apart(&op->c, &op->b));
		break;
	case PST_WIRE_OP_FILL:
	case PST_WIRE_OP_CHECKSUM:
		FUZZ_CHECK(op->a.size > 0);
		check_span(&op->a, op->pattern_size ? op->pattern_size : 1);
		FUZZ_CHECK(!op->b.size && !op->c.size);
		break;
	default:
		FUZZ_CHECK(false);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct pst_error err = {.text = ""};
	struct pst_wire_sqe sqe;
	struct pst_op op;
	int r;

	while (n >= sizeof(sqe)) {
		memcpy(&sqe, data, sizeof(sqe));
		data += sizeof(sqe);
		n -= sizeof(sqe);
		r = pst_op_check(&sqe, &limits, holds, NULL, &op, &err);
		if (r == 0) {
			check_op(&op);
			continue;
		}
		FUZZ_CHECK(err.code == r && err.text[0]);
		FUZZ_CHECK(r == -EINVAL || r == -EFAULT || r == -EOVERFLOW ||
			   r == -EMSGSIZE || r == -EOPNOTSUPP);
	}
	return 0;
}
