/* SPDX-License-Identifier: MIT */
/* What the descriptor check lets through and what it refuses, field by field.
 */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "tests/fixtures/unit.h"
#include "transport/op.h"

static const struct pst_wire_limits limits = {
	.max_dim = 65536,
	.max_clients = 4,
	.max_elems = 1ULL << 28,
	.max_lease = 1ULL << 30,
	.max_batch = 1000,
};

/* The session holds [4096, 1 MiB). */
static bool holds(void *arg, const struct pst_span *s)
{
	++*(int *)arg;
	ck_assert_uint_ne(s->size, 0);
	return s->off >= 4096 && s->off < (1 << 20) &&
	       s->size <= (1 << 20) - s->off;
}

/* One tensor of 4096 bytes, handle 7. */
static char tensor_memory[1];

static int tensor(void *arg, uint64_t handle, void **ret_mem,
		  uint64_t *ret_size)
{
	if (handle != 7)
		return -ENOENT;
	*ret_mem = tensor_memory;
	*ret_size = 4096;
	return 0;
}

/* One model, handle 9: rows of 5 to rows of 3, 100 at most. */
static int model(void *arg, uint64_t handle, struct pst_op_model *ret)
{
	if (handle != 9)
		return -ENOENT;
	*ret = (struct pst_op_model){tensor_memory, 5, 3, 100};
	return 0;
}

static uint64_t bits(double d)
{
	uint64_t u;

	memcpy(&u, &d, 8);
	return u;
}

static struct pst_wire_sqe gemm(void)
{
	return (struct pst_wire_sqe){
		.op = PST_WIRE_OP_GEMM,
		.dtype = PST_WIRE_F32,
		.dtype_c = PST_WIRE_F32,
		.m = 8,
		.n = 4,
		.k = 2,
		.batch = 1,
		.lda = 2,
		.ldb = 4,
		.ldc = 4,
		.off_a = 4096,
		.off_b = 8192,
		.off_c = 12288,
		.alpha = bits(1),
	};
}

static int check(const struct pst_wire_sqe *s, struct pst_op *op)
{
	struct pst_error err = {.text = ""};
	int asked = 0, r;
	const struct pst_op_env env = {
		.limits = &limits,
		.holds = holds,
		.tensor = tensor,
		.model = model,
		.arg = &asked,
	};

	r = pst_op_check(s, &env, op, &err);
	if (r < 0) {
		ck_assert_int_eq(err.code, r);
		ck_assert_uint_gt(strlen(err.text), 10);
	}
	return r;
}

START_TEST(a_plain_product_passes_with_its_spans)
{
	struct pst_wire_sqe s = gemm();
	struct pst_op op;

	ck_assert_int_eq(check(&s, &op), 0);
	ck_assert_uint_eq(op.a.size, 8 * 2 * 4);
	ck_assert_uint_eq(op.b.size, 2 * 4 * 4);
	ck_assert_uint_eq(op.c.size, 8 * 4 * 4);
	ck_assert(pst_op_flops(&op) == 2.0 * 8 * 4 * 2);
}
END_TEST

START_TEST(leading_dimensions_follow_order_and_transpose)
{
	struct pst_wire_sqe s = gemm();
	struct pst_op op;

	s.trans = PST_WIRE_TRANSA; /* A is stored 2 x 8 */
	ck_assert_int_eq(check(&s, &op), -EINVAL);
	s.lda = 8;
	ck_assert_int_eq(check(&s, &op), 0);
	s.order = PST_WIRE_COL_MAJOR; /* B is 2 x 4: ldb >= 2 */
	s.lda = 2;
	s.ldb = 2;
	ck_assert_int_eq(check(&s, &op), -EINVAL); /* C: ldc >= 8 */
	s.ldc = 8;
	ck_assert_int_eq(check(&s, &op), 0);
	s.ldc = 10; /* three columns with a gap, the last without */
	ck_assert_int_eq(check(&s, &op), 0);
	ck_assert_uint_eq(op.c.size, (3 * 10 + 8) * 4);
}
END_TEST

START_TEST(operands_that_are_not_read_may_lie_anywhere)
{
	struct pst_wire_sqe s = gemm();
	struct pst_op op;

	s.off_a = UINT64_MAX - 3;
	ck_assert_int_eq(check(&s, &op), -EFAULT);
	s.alpha = 0;
	ck_assert_int_eq(check(&s, &op), 0);
	ck_assert_uint_eq(op.a.size, 0);
	ck_assert_uint_eq(op.b.size, 0);
	/* No address is made of what may be anything. */
	ck_assert_uint_eq(op.a.off, 0);
	ck_assert_uint_eq(op.b.off, 0);
	s = gemm();
	s.off_b = 1;
	s.k = 0;
	ck_assert_int_eq(check(&s, &op), 0);
	s = gemm();
	s.m = 0;
	s.off_a = s.off_b = s.off_c = 1;
	ck_assert_int_eq(check(&s, &op), 0);
	s = gemm();
	s.alpha = bits(NAN); /* NaN is not zero: A and B are read */
	s.off_a = 1 << 30;
	ck_assert_int_eq(check(&s, &op), -EFAULT);
}
END_TEST

START_TEST(nothing_outside_the_lease_is_touched)
{
	struct pst_wire_sqe s = gemm();
	struct pst_op op;

	s.off_c = (1 << 20) - 8 * 4 * 4;
	ck_assert_int_eq(check(&s, &op), 0);
	s.off_c += 4;
	ck_assert_int_eq(check(&s, &op), -EFAULT);
	s.off_c = 0;
	ck_assert_int_eq(check(&s, &op), -EFAULT);
	s.off_c = 12288 + 2;
	ck_assert_int_eq(check(&s, &op), -EINVAL);
}
END_TEST

START_TEST(c_must_not_overlap_what_is_read)
{
	struct pst_wire_sqe s = gemm();
	struct pst_op op;

	s.off_c = s.off_a + 60;
	ck_assert_int_eq(check(&s, &op), -EINVAL);
	s.off_c = s.off_a + 64;
	ck_assert_int_eq(check(&s, &op), 0);
	s.off_a = s.off_b; /* A and B may be the same */
	ck_assert_int_eq(check(&s, &op), 0);
}
END_TEST

START_TEST(huge_sizes_neither_wrap_nor_pass)
{
	struct pst_wire_limits no_limits = limits;
	struct pst_wire_sqe s = gemm();
	struct pst_op op;
	int asked = 0;
	const struct pst_op_env env = {
		.limits = &no_limits,
		.holds = holds,
		.arg = &asked,
	};

	s.m = UINT32_MAX;
	ck_assert_int_eq(check(&s, &op), -EMSGSIZE);
	s = gemm();
	s.m = s.k = s.lda = 65536; /* 2^32 elements of A */
	ck_assert_int_eq(check(&s, &op), -EMSGSIZE);
	no_limits.max_dim = UINT32_MAX;
	no_limits.max_elems = UINT64_MAX;
	s.m = s.n = s.k = s.lda = s.ldb = s.ldc = UINT32_MAX;
	s.dtype = s.dtype_c = PST_WIRE_F64; /* (2^32 - 1)^2 x 8 wraps */
	ck_assert_int_eq(pst_op_check(&s, &env, &op, NULL), -EOVERFLOW);
	ck_assert_int_eq(asked, 0);
}
END_TEST

START_TEST(reserved_bits_and_unknown_values_are_refused)
{
	const size_t must_be_zero[] = {
		offsetof(struct pst_wire_sqe, flags),
		offsetof(struct pst_wire_sqe, reserved0),
		offsetof(struct pst_wire_sqe, off_bias),
		offsetof(struct pst_wire_sqe, stride_a),
		offsetof(struct pst_wire_sqe, stride_b),
		offsetof(struct pst_wire_sqe, stride_c) + 7,
	};
	struct pst_wire_sqe s;
	struct pst_op op;
	size_t i;

	for (i = 0; i < sizeof(must_be_zero) / sizeof(must_be_zero[0]); i++) {
		s = gemm();
		((char *)&s)[must_be_zero[i]] = 1;
		ck_assert_msg(check(&s, &op) < 0, "byte %zu", must_be_zero[i]);
	}
	s = gemm();
	s.op = 0;
	ck_assert_int_eq(check(&s, &op), -EOPNOTSUPP);
	s.op = 200;
	ck_assert_int_eq(check(&s, &op), -EOPNOTSUPP);
	s = gemm();
	s.dtype = s.dtype_c = PST_WIRE_I32;
	ck_assert_int_eq(check(&s, &op), -EOPNOTSUPP);
	s = gemm();
	s.compute = 3;
	ck_assert_int_eq(check(&s, &op), -EINVAL);
	s = gemm();
	s.epilogue = PST_WIRE_N_ACTS;
	ck_assert_int_eq(check(&s, &op), -EINVAL);
	s = gemm();
	s.epilogue = 0x20;
	ck_assert_int_eq(check(&s, &op), -EINVAL);
	s = gemm();
	s.order = 2;
	ck_assert_int_eq(check(&s, &op), -EINVAL);
	s = gemm();
	s.trans = 4;
	ck_assert_int_eq(check(&s, &op), -EINVAL);
	s = gemm();
	s.batch = 2;
	ck_assert_int_eq(check(&s, &op), -EINVAL);
	s = gemm();
	s.dtype_c = PST_WIRE_F64;
	ck_assert_int_eq(check(&s, &op), -EOPNOTSUPP);
}
END_TEST

START_TEST(types_go_together_or_are_refused)
{
	static const struct {
		uint8_t dtype, dtype_c;
		int r;
	} pairs[] = {
		{PST_WIRE_F16, PST_WIRE_F16, 0},
		{PST_WIRE_F16, PST_WIRE_F32, 0},
		{PST_WIRE_BF16, PST_WIRE_BF16, 0},
		{PST_WIRE_BF16, PST_WIRE_F32, 0},
		{PST_WIRE_I8, PST_WIRE_I32, 0},
		{PST_WIRE_F16, PST_WIRE_BF16, -EOPNOTSUPP},
		{PST_WIRE_F32, PST_WIRE_F16, -EOPNOTSUPP},
		{PST_WIRE_I8, PST_WIRE_I8, -EOPNOTSUPP},
		{PST_WIRE_F32, 0, -EOPNOTSUPP},
		{7, 7, -EOPNOTSUPP},
	};
	struct pst_wire_sqe s;
	struct pst_op op;
	size_t i;

	for (i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		s = gemm();
		s.dtype = pairs[i].dtype;
		s.dtype_c = pairs[i].dtype_c;
		ck_assert_int_eq(check(&s, &op), pairs[i].r);
		if (pairs[i].r)
			continue;
		ck_assert_uint_eq(op.c.size,
				  32 * pst_dtype_size(pairs[i].dtype_c));
		ck_assert_uint_eq(op.a.size,
				  16 * pst_dtype_size(pairs[i].dtype));
	}
	s = gemm();
	s.dtype = PST_WIRE_I8;
	s.dtype_c = PST_WIRE_I32;
	s.alpha = bits(0.5);
	ck_assert_int_eq(check(&s, &op), -EINVAL);
	s.alpha = bits(NAN);
	ck_assert_int_eq(check(&s, &op), -EINVAL);
	s = gemm();
	s.dtype = s.dtype_c = PST_WIRE_F64;
	s.compute = PST_WIRE_COMPUTE_TF32;
	ck_assert_int_eq(check(&s, &op), -EOPNOTSUPP);
}
END_TEST

START_TEST(a_batch_spans_all_its_products)
{
	struct pst_wire_sqe s = gemm();
	struct pst_op op;

	s.op = PST_WIRE_OP_GEMM_STRIDED_BATCHED;
	s.batch = 3;
	s.stride_a = 16;
	s.stride_c = 40;
	ck_assert_int_eq(check(&s, &op), 0);
	ck_assert_uint_eq(op.a.size, (2 * 16 + 16) * 4);
	ck_assert_uint_eq(op.b.size, 2 * 4 * 4);
	ck_assert_uint_eq(op.c.size, (2 * 40 + 32) * 4);
	ck_assert(pst_op_flops(&op) == 3 * 2.0 * 8 * 4 * 2);
	s.stride_c = 31; /* the second C would begin in the first */
	ck_assert_int_eq(check(&s, &op), -EINVAL);
	s.stride_c = 1 << 18;
	ck_assert_int_eq(check(&s, &op), -EFAULT);
	s.stride_c = 1ULL << 62;
	ck_assert_int_eq(check(&s, &op), -EOVERFLOW);
	s.stride_c = 32;
	s.stride_a = UINT64_MAX;
	ck_assert_int_eq(check(&s, &op), -EOVERFLOW);
	s.batch = 1;
	s.stride_b = s.stride_c = UINT64_MAX - 1;
	ck_assert_int_eq(check(&s, &op), 0);
	ck_assert_uint_eq(op.stride_a | op.stride_b | op.stride_c, 0);
	s.batch = 3;
	s.k = 0;
	s.stride_c = 32;
	ck_assert_int_eq(check(&s, &op), 0);
	ck_assert_uint_eq(op.stride_a | op.stride_b, 0);
	ck_assert_uint_eq(op.stride_c, 32);
	s.k = 2;
	s.stride_a = s.stride_b = 0;
	s.batch = 0;
	ck_assert_int_eq(check(&s, &op), -EINVAL);
	s.batch = 1001;
	ck_assert_int_eq(check(&s, &op), -EMSGSIZE);
}
END_TEST

START_TEST(a_bias_is_an_operand_like_others)
{
	struct pst_wire_sqe s = gemm();
	struct pst_op op;

	s.epilogue = PST_WIRE_EPILOGUE_BIAS | PST_WIRE_ACT_GELU_ERF;
	s.off_bias = 16384;
	ck_assert_int_eq(check(&s, &op), 0);
	ck_assert(op.has_bias);
	ck_assert_int_eq(op.act, PST_WIRE_ACT_GELU_ERF);
	ck_assert_uint_eq(op.bias.size, 4 * 4);
	s.off_bias = (1 << 20) - 12;
	ck_assert_int_eq(check(&s, &op), -EFAULT);
	s.off_bias = s.off_c + 16;
	ck_assert_int_eq(check(&s, &op), -EINVAL);
	s.off_bias = 16384;
	s.alpha = 0; /* still read: the product is what is left out */
	ck_assert_int_eq(check(&s, &op), 0);
	ck_assert_uint_eq(op.bias.size, 16);
}
END_TEST

START_TEST(tensors_stand_in_for_offsets_within_their_size)
{
	struct pst_wire_sqe s = gemm();
	struct pst_op op;

	s.flags = PST_WIRE_A_TENSOR;
	s.off_a = 7;
	ck_assert_int_eq(check(&s, &op), 0);
	ck_assert_ptr_eq(op.a.mem, tensor_memory);
	ck_assert_uint_eq(op.a.off, 0);
	ck_assert_ptr_null(op.b.mem);
	s.off_a = 8;
	ck_assert_int_eq(check(&s, &op), -ENOENT);
	s = gemm();
	s.flags = PST_WIRE_C_TENSOR;
	s.off_c = 7;
	s.m = 257; /* 4112 bytes of C */
	ck_assert_int_eq(check(&s, &op), -EFAULT);
	s.m = 256;
	ck_assert_int_eq(check(&s, &op), 0);
	s.flags |= PST_WIRE_A_TENSOR;
	s.off_a = 7; /* C over A */
	ck_assert_int_eq(check(&s, &op), -EINVAL);
	s = gemm();
	s.flags = 16;
	ck_assert_int_eq(check(&s, &op), -EINVAL);
	s.flags = PST_WIRE_BIAS_TENSOR;
	ck_assert_int_eq(check(&s, &op), -EINVAL);
}
END_TEST

START_TEST(copies_stay_within_both_ends)
{
	const struct pst_wire_sqe in = {
		.op = PST_WIRE_OP_COPY,
		.flags = PST_WIRE_C_TENSOR,
		.off_a = 4097,
		.off_c = 7,
		.stride_c = 1000,
		.length = 3096,
	};
	struct pst_wire_sqe s = in;
	struct pst_op op;

	ck_assert_int_eq(check(&s, &op), 0);
	ck_assert_uint_eq(op.c.off, 1000);
	ck_assert_ptr_eq(op.c.mem, tensor_memory);
	s.length++;
	ck_assert_int_eq(check(&s, &op), -EFAULT);
	s = in;
	s.stride_c = UINT64_MAX - 10;
	ck_assert_int_eq(check(&s, &op), -EFAULT);
	s = in;
	s.stride_b = 1; /* the source is no tensor */
	ck_assert_int_eq(check(&s, &op), -EINVAL);
	s = in;
	s.length = 0;
	ck_assert_int_eq(check(&s, &op), -EINVAL);
	s = in;
	s.flags = PST_WIRE_A_TENSOR | PST_WIRE_C_TENSOR;
	s.off_a = 7;
	s.length = 1001; /* [0, 1001) to [1000, ...) of one tensor */
	ck_assert_int_eq(check(&s, &op), -EINVAL);
	s.length = 1000;
	ck_assert_int_eq(check(&s, &op), 0);
	s = in;
	s.dtype = 1;
	ck_assert_int_eq(check(&s, &op), -EINVAL);
}
END_TEST

START_TEST(an_inference_fits_its_model)
{
	const struct pst_wire_sqe in = {
		.op = PST_WIRE_OP_INFER,
		.dtype = PST_WIRE_F32,
		.dtype_c = PST_WIRE_F32,
		.m = 10,
		.n = 3,
		.k = 5,
		.lda = 5,
		.ldc = 4,
		.off_a = 4096,
		.off_b = 9,
		.off_c = 8192,
	};
	struct pst_wire_sqe s = in;
	struct pst_op op;

	ck_assert_int_eq(check(&s, &op), 0);
	ck_assert_ptr_eq(op.model, tensor_memory);
	ck_assert_uint_eq(op.a.size, 10 * 5 * 4);
	ck_assert_uint_eq(op.c.size, (9 * 4 + 3) * 4);
	s.off_b = 7;
	ck_assert_int_eq(check(&s, &op), -ENOENT);
	s = in;
	s.k = 6;
	ck_assert_int_eq(check(&s, &op), -EINVAL);
	s = in;
	s.m = 101;
	ck_assert_int_eq(check(&s, &op), -EMSGSIZE);
	s.m = 0;
	ck_assert_int_eq(check(&s, &op), -EINVAL);
	s = in;
	s.lda = 4;
	ck_assert_int_eq(check(&s, &op), -EINVAL);
	s = in;
	s.off_c = 4096 + 196;
	ck_assert_int_eq(check(&s, &op), -EINVAL);
	s = in;
	s.dtype = PST_WIRE_F64;
	ck_assert_int_eq(check(&s, &op), -EOPNOTSUPP);
}
END_TEST

START_TEST(spans_are_checked_like_operands)
{
	struct pst_wire_sqe s = {
		.op = PST_WIRE_OP_FILL,
		.dtype = PST_WIRE_F64,
		.off_a = 4096,
		.length = 64,
		.alpha = 42,
	};
	struct pst_op op;

	ck_assert_int_eq(check(&s, &op), 0);
	ck_assert_uint_eq(op.pattern, 42);
	ck_assert_uint_eq(op.pattern_size, 8);
	s.length = 60;
	ck_assert_int_eq(check(&s, &op), -EINVAL);
	s.length = 0;
	ck_assert_int_eq(check(&s, &op), -EINVAL);
	s.length = 64;
	s.off_a = 4100;
	ck_assert_int_eq(check(&s, &op), -EINVAL);
	s.off_a = 4096;
	s.dtype = PST_WIRE_F16;
	ck_assert_int_eq(check(&s, &op), -EINVAL);
	s.op = PST_WIRE_OP_CHECKSUM;
	s.dtype = 0;
	s.alpha = 0;
	s.length = 61;
	s.off_a = 4097;
	ck_assert_int_eq(check(&s, &op), 0);
	s.length = UINT64_MAX;
	ck_assert_int_eq(check(&s, &op), -EFAULT);
	s.length = 61;
	s.m = 1;
	ck_assert_int_eq(check(&s, &op), -EINVAL);
}
END_TEST

START_TEST(a_nop_carries_nothing)
{
	struct pst_wire_sqe s = {.op = PST_WIRE_OP_NOP, .tag = 9};
	struct pst_op op;

	ck_assert_int_eq(check(&s, &op), 0);
	ck_assert_uint_eq(op.tag, 9);
	s.m = 1;
	ck_assert_int_eq(check(&s, &op), -EINVAL);
}
END_TEST

START_TEST(an_empty_matrix_still_needs_a_leading_dimension)
{
	uint64_t n = 7;

	ck_assert_int_eq(pst_matrix_bytes(false, 0, 5, 5, 4, &n), 0);
	ck_assert_uint_eq(n, 0);
	ck_assert_int_eq(pst_matrix_bytes(false, 5, 0, 1, 4, &n), 0);
	ck_assert_int_eq(pst_matrix_bytes(false, 5, 0, 0, 4, &n), -EINVAL);
	ck_assert_int_eq(pst_matrix_bytes(false, 1, 5, 5, 8, &n), 0);
	ck_assert_uint_eq(n, 40);
	ck_assert_int_eq(pst_matrix_bytes(true, 1, 5, 3, 8, &n), 0);
	ck_assert_uint_eq(n, (4 * 3 + 1) * 8);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, a_plain_product_passes_with_its_spans);
	tcase_add_test(tc, leading_dimensions_follow_order_and_transpose);
	tcase_add_test(tc, operands_that_are_not_read_may_lie_anywhere);
	tcase_add_test(tc, nothing_outside_the_lease_is_touched);
	tcase_add_test(tc, c_must_not_overlap_what_is_read);
	tcase_add_test(tc, huge_sizes_neither_wrap_nor_pass);
	tcase_add_test(tc, reserved_bits_and_unknown_values_are_refused);
	tcase_add_test(tc, types_go_together_or_are_refused);
	tcase_add_test(tc, a_batch_spans_all_its_products);
	tcase_add_test(tc, a_bias_is_an_operand_like_others);
	tcase_add_test(tc, tensors_stand_in_for_offsets_within_their_size);
	tcase_add_test(tc, copies_stay_within_both_ends);
	tcase_add_test(tc, an_inference_fits_its_model);
	tcase_add_test(tc, spans_are_checked_like_operands);
	tcase_add_test(tc, a_nop_carries_nothing);
	tcase_add_test(tc, an_empty_matrix_still_needs_a_leading_dimension);
}

int main(void)
{
	return pst_unit_run("op", add, 10);
}
