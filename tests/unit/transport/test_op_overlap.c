/* SPDX-License-Identifier: MIT */
/* C beside A and B in one larger matrix: let through exactly where they share
 * no element. */
#include <errno.h>
#include <string.h>

#include "tests/fixtures/unit.h"
#include "transport/op.h"

/* Elements from one line to the next, and where the matrix begins. */
#define LD    8U
#define FIRST 4096U

static bool holds(void *arg, const struct pst_span *s)
{
	(void)arg;
	return s->size > 0;
}

static struct pst_wire_sqe gemm(void)
{
	const double one = 1;
	struct pst_wire_sqe s = {
		.op = PST_WIRE_OP_GEMM,
		.dtype = PST_WIRE_F32,
		.dtype_c = PST_WIRE_F32,
		.m = 3,
		.n = 2,
		.k = 2,
		.batch = 1,
		.lda = LD,
		.ldb = LD,
		.ldc = LD,
	};

	memcpy(&s.alpha, &one, sizeof(one));
	return s;
}

static int check(const struct pst_wire_sqe *s, struct pst_op *op)
{
	static const struct pst_wire_limits limits = {
		.max_dim = 65536,
		.max_elems = 1ULL << 28,
		.max_batch = 1000,
	};
	const struct pst_op_env env = {.limits = &limits, .holds = holds};
	struct pst_error err;

	return pst_op_check(s, &env, op, &err);
}

/* Marks the elements of a matrix in memory; returns whether one was marked
 * before. */
static bool mark(bool marked[1024], uint64_t off, bool col_major, uint32_t rows,
		 uint32_t cols)
{
	bool again = false;
	uint32_t i, j;
	uint64_t at;

	for (i = 0; i < rows; i++)
		for (j = 0; j < cols; j++) {
			at = (off - FIRST) / 4 +
			     (col_major ? j * LD + i : i * LD + j);
			again |= marked[at];
			marked[at] = true;
		}
	return again;
}

/* Every place of A and C in an 8 x 8 matrix, with B far away or where A is. */
START_TEST(parts_of_one_matrix_overlap_only_where_they_share_an_element)
{
	struct pst_wire_sqe s = gemm();
	unsigned int v, n_beside = 0;
	bool marked[1024], shared;
	struct pst_op op;

	for (v = 0; v < 8 * 64 * 64; v++) {
		s.order = v & 1;
		s.trans = (uint8_t)(v >> 1 & 3);
		s.off_a = FIRST + v / 8 % 64 * 4;
		s.off_c = FIRST + v / 512 * 4;
		s.off_b = _i ? s.off_a : 16 * FIRST;
		memset(marked, 0, sizeof(marked));
		mark(marked, s.off_a, s.order, s.trans & 1 ? s.k : s.m,
		     s.trans & 1 ? s.m : s.k);
		if (_i)
			mark(marked, s.off_b, s.order, s.k, s.n);
		shared = mark(marked, s.off_c, s.order, s.m, s.n);
		if (check(&s, &op) == 0) {
			ck_assert(!shared);
			n_beside += op.c.off < op.a.off + op.a.size &&
				    op.a.off < op.c.off + op.c.size;
		} else if (!shared) {
			/* Only where a line goes on behind the right edge. */
			ck_assert(s.off_a % (4 * LD) / 4 > LD - 3 ||
				  s.off_c % (4 * LD) / 4 > LD - 3);
		}
	}
	ck_assert_uint_gt(n_beside, 1000);
}
END_TEST

START_TEST(batches_and_lines_of_another_length_are_not_told_apart)
{
	struct pst_wire_sqe s = gemm();
	struct pst_op op;

	s.off_a = s.off_b = FIRST;
	s.off_c = FIRST + 16;
	ck_assert_int_eq(check(&s, &op), 0);
	s.ldc = LD + 1;
	ck_assert_int_eq(check(&s, &op), -EINVAL);
	s.ldc = LD;
	s.op = PST_WIRE_OP_GEMM_STRIDED_BATCHED;
	s.batch = 2;
	s.stride_c = 4 * LD;
	ck_assert_int_eq(check(&s, &op), -EINVAL);
}
END_TEST

/* F16 into F32: lines are equally long when bytes are counted. */
START_TEST(lines_are_compared_in_bytes)
{
	struct pst_wire_sqe s = gemm();
	struct pst_op op;

	s.dtype = PST_WIRE_F16;
	s.off_a = s.off_b = FIRST;
	s.off_c = FIRST + 16;
	ck_assert_int_eq(check(&s, &op), -EINVAL);
	s.lda = s.ldb = 2 * LD;
	ck_assert_int_eq(check(&s, &op), 0);
	ck_assert(!pst_lines_apart(0, 4, 4, 4, 0));
	ck_assert(!pst_lines_apart(0, 4, 4, 5, 8));
	ck_assert(pst_lines_apart(UINT64_MAX - 7, 4, 4, 4, 8));
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_loop_test(
		tc,
		parts_of_one_matrix_overlap_only_where_they_share_an_element, 0,
		2);
	tcase_add_test(tc,
		       batches_and_lines_of_another_length_are_not_told_apart);
	tcase_add_test(tc, lines_are_compared_in_bytes);
}

int main(void)
{
	return pst_unit_run("op_overlap", add, 10);
}
