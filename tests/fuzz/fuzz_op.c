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
	.max_batch = 65536,
};

/* Every small handle is a tensor of this size, every one a model. */
#define TENSOR  (16U << 20)
#define HANDLES 8U

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

static int tensor(void *arg, uint64_t handle, void **ret_mem,
		  uint64_t *ret_size)
{
	static char memory[HANDLES];

	if (handle == 0 || handle >= HANDLES)
		return -ENOENT;
	*ret_mem = &memory[handle];
	*ret_size = TENSOR;
	return 0;
}

static int model(void *arg, uint64_t handle, struct pst_op_model *ret)
{
	*ret = (struct pst_op_model){(void *)&limits, 64, 10, 1024};
	return handle ? 0 : -ENOENT;
}

static void check_span(const struct pst_operand *x, unsigned int align)
{
	const struct pst_span s = {x->off, x->size};

	if (x->size == 0) {
		FUZZ_CHECK(x->off == 0);
		return;
	}
	FUZZ_CHECK(x->off % align == 0);
	if (x->mem)
		FUZZ_CHECK(x->off <= TENSOR && x->size <= TENSOR - x->off);
	else
		FUZZ_CHECK(is_held(&s));
}

/* The last element, counted the slow way with 128 bits. */
static void check_last(const struct pst_op *op, bool trans, uint32_t rows,
		       uint32_t cols, uint32_t ld, uint64_t stride,
		       unsigned int elem, const struct pst_operand *x)
{
	uint64_t r = trans ? cols : rows, c = trans ? rows : cols;
	uint64_t outer = op->col_major ? c : r, inner = op->col_major ? r : c;
	unsigned __int128 end;

	if (x->size == 0)
		return;
	end = ((unsigned __int128)(outer - 1) * ld + inner +
	       (unsigned __int128)stride * (op->batch - 1)) *
	      elem;
	FUZZ_CHECK(end == x->size);
}

static bool apart(const struct pst_operand *x, const struct pst_operand *y)
{
	return !x->size || !y->size || x->mem != y->mem ||
	       x->off + x->size <= y->off || y->off + y->size <= x->off;
}

/* No line of C shares a byte with one of A or B: the first and last hundred
 * lines of C, each against the lines of the other that are next to it. */
static bool lines_apart(const struct pst_op *op, const struct pst_operand *x,
			bool trans, uint32_t rows, uint32_t cols, uint32_t ld)
{
	const __int128 elem = pst_dtype_size(op->dtype);
	const __int128 elem_c = pst_dtype_size(op->dtype_c);
	const __int128 pitch = ld * elem, pitch_c = op->ldc * elem_c;
	const __int128 width = (op->col_major != trans ? rows : cols) * elem;
	const __int128 width_c = (op->col_major ? op->m : op->n) * elem_c;
	const uint64_t lines = op->col_major ? op->n : op->m;
	__int128 at, near, q, to;
	uint64_t i;

	if (apart(&op->c, x))
		return true;
	if (op->batch != 1)
		return false;
	for (i = 0; i < lines; i++) {
		if (i == 100 && lines > 200)
			i = lines - 100;
		at = (__int128)op->c.off + (__int128)i * pitch_c;
		near = (at - (__int128)x->off) / pitch;
		for (q = near - 2; q <= near + 2; q++) {
			to = (__int128)x->off + q * pitch;
			if (q >= 0 &&
			    to + width <= (__int128)x->off + x->size &&
			    at < to + width && to < at + width_c)
				return false;
		}
	}
	return true;
}

static void check_gemm(const struct pst_op *op)
{
	const unsigned int elem = pst_dtype_size(op->dtype);
	const unsigned int elem_c = pst_dtype_size(op->dtype_c);

	check_span(&op->a, elem);
	check_span(&op->b, elem);
	check_span(&op->c, elem_c);
	check_span(&op->bias, elem_c);
	FUZZ_CHECK(op->batch >= 1 && op->batch <= limits.max_batch);
	check_last(op, op->transa, op->m, op->k, op->lda, op->stride_a, elem,
		   &op->a);
	check_last(op, op->transb, op->k, op->n, op->ldb, op->stride_b, elem,
		   &op->b);
	check_last(op, false, op->m, op->n, op->ldc, op->stride_c, elem_c,
		   &op->c);
	FUZZ_CHECK((op->c.size == 0) == (op->m == 0 || op->n == 0));
	FUZZ_CHECK(op->batch > 1 ||
		   !(op->stride_a | op->stride_b | op->stride_c));
	FUZZ_CHECK(op->a.size || !op->stride_a);
	FUZZ_CHECK(op->b.size || !op->stride_b);
	FUZZ_CHECK(lines_apart(op, &op->a, op->transa, op->m, op->k, op->lda));
	FUZZ_CHECK(lines_apart(op, &op->b, op->transb, op->k, op->n, op->ldb));
	FUZZ_CHECK(apart(&op->c, &op->bias));
}

static void check_op(const struct pst_op *op)
{
	switch (op->op) {
	case PST_WIRE_OP_NOP:
		FUZZ_CHECK(!op->a.size && !op->b.size && !op->c.size);
		break;
	case PST_WIRE_OP_GEMM:
		FUZZ_CHECK(op->batch == 1);
		check_gemm(op);
		break;
	case PST_WIRE_OP_GEMM_STRIDED_BATCHED:
		check_gemm(op);
		break;
	case PST_WIRE_OP_FILL:
	case PST_WIRE_OP_CHECKSUM:
		FUZZ_CHECK(op->a.size > 0);
		check_span(&op->a, op->pattern_size ? op->pattern_size : 1);
		FUZZ_CHECK(!op->b.size && !op->c.size);
		break;
	case PST_WIRE_OP_COPY:
		FUZZ_CHECK(op->a.size > 0 && op->a.size == op->c.size);
		check_span(&op->a, 1);
		check_span(&op->c, 1);
		FUZZ_CHECK(apart(&op->a, &op->c));
		break;
	case PST_WIRE_OP_INFER:
		FUZZ_CHECK(op->model && op->m && op->m <= 1024);
		FUZZ_CHECK(op->a.size ==
			   (((uint64_t)op->m - 1) * op->lda + 64) * 4);
		FUZZ_CHECK(op->c.size ==
			   (((uint64_t)op->m - 1) * op->ldc + 10) * 4);
		check_span(&op->a, 4);
		check_span(&op->c, 4);
		FUZZ_CHECK(apart(&op->a, &op->c));
		break;
	default:
		FUZZ_CHECK(false);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const struct pst_op_env env = {
		.limits = &limits,
		.holds = holds,
		.tensor = tensor,
		.model = model,
	};
	struct pst_error err = {.text = ""};
	struct pst_wire_sqe sqe;
	struct pst_op op;
	int r;

	while (n >= sizeof(sqe)) {
		memcpy(&sqe, data, sizeof(sqe));
		data += sizeof(sqe);
		n -= sizeof(sqe);
		r = pst_op_check(&sqe, &env, &op, &err);
		if (r == 0) {
			check_op(&op);
			continue;
		}
		FUZZ_CHECK(err.code == r && err.text[0]);
		FUZZ_CHECK(r == -EINVAL || r == -EFAULT || r == -EOVERFLOW ||
			   r == -EMSGSIZE || r == -EOPNOTSUPP || r == -ENOENT);
	}
	return 0;
}
