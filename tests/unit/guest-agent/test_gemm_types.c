/* SPDX-License-Identifier: MIT */
/* Every kind of product of the cpu backend against one in double precision:
 * types, compute modes, epilogues, orders, batches, and operands in tensors. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "guest-agent/cpu/backend_cpu.h"
#include "guest-agent/cpu/blas.h"
#include "guest-agent/cpu/gemm.h"
#include "tests/fixtures/unit.h"
#include "transport/base/util.h"
#include "transport/dtype.h"

#define SIZE  (8U << 20)
#define GUARD 0x5a

static const struct pst_backend_ops *ops = &pst_backend_cpu;
static struct pst_backend *backend;
static uint8_t *mem, *before, *tensor;

static void set_up(void)
{
	struct pst_error err;

	mem = aligned_alloc(64, SIZE);
	before = malloc(SIZE);
	tensor = aligned_alloc(64, SIZE);
	ck_assert(mem && before && tensor);
	ck_assert_int_eq(ops->open(mem, SIZE, 1, &backend, &err), 0);
}

static void tear_down(void)
{
	ops->close(backend);
	free(mem);
	free(before);
	free(tensor);
}

static double get(const uint8_t *at, enum pst_wire_dtype dtype, uint64_t i)
{
	float f;

	if (dtype == PST_WIRE_F64)
		return ((const double *)at)[i];
	if (dtype == PST_WIRE_I32)
		return ((const int32_t *)at)[i];
	pst_floats_load(&f, at + i * pst_dtype_size(dtype), dtype, 1);
	return (double)f;
}

static void put(uint8_t *at, enum pst_wire_dtype dtype, uint64_t i, double v)
{
	const float f = (float)v;

	if (dtype == PST_WIRE_F64)
		((double *)at)[i] = v;
	else if (dtype == PST_WIRE_I32)
		((int32_t *)at)[i] = (int32_t)v;
	else if (dtype == PST_WIRE_I8)
		((int8_t *)at)[i] = (int8_t)v;
	else
		pst_floats_store(at + i * pst_dtype_size(dtype), dtype, &f, 1);
}

static uint8_t *where(uint8_t *region, const struct pst_operand *x)
{
	return (x->mem ? (uint8_t *)x->mem : region) + x->off;
}

/* Values that differ, of both signs; whole numbers for integers. */
static void fill(enum pst_wire_dtype dtype, const struct pst_operand *x,
		 unsigned int seed)
{
	const uint64_t n = x->size / pst_dtype_size(dtype);
	const bool whole = dtype == PST_WIRE_I8 || dtype == PST_WIRE_I32;
	uint64_t i;
	double v;

	for (i = 0; i < n; i++) {
		v = sin((double)(i * 7 + seed));
		if (whole)
			v = floor(v * 128);
		put(where(mem, x), dtype, i, v);
	}
}

static uint64_t lines_of(bool cm, uint64_t rows, uint64_t cols)
{
	return cm ? cols : rows;
}

/* Leading dimensions, strides and places; op has sizes, types and so on. */
static void lay_out(struct pst_op *op, uint32_t pad)
{
	const bool cm = op->col_major;
	const uint32_t ra = op->transa ? op->k : op->m;
	const uint32_t ca = op->transa ? op->m : op->k;
	const uint32_t rb = op->transb ? op->n : op->k;
	const uint32_t cb = op->transb ? op->k : op->n;
	const unsigned int e = pst_dtype_size(op->dtype);
	const unsigned int ec = pst_dtype_size(op->dtype_c);
	uint64_t off = 64;

	op->op = op->batch > 1 ? PST_WIRE_OP_GEMM_STRIDED_BATCHED
			       : PST_WIRE_OP_GEMM;
	op->lda = (cm ? ra : ca) + pad + !(cm ? ra : ca);
	op->ldb = (cm ? rb : cb) + pad + !(cm ? rb : cb);
	op->ldc = (cm ? op->m : op->n) + pad;
	op->stride_a = op->lda * lines_of(cm, ra, ca) + 3;
	op->stride_b = 0;
	op->stride_c = op->ldc * lines_of(cm, op->m, op->n) + 5;
	op->a = (struct pst_operand){off, op->stride_a * op->batch * e, NULL};
	off += pst_round_up(op->a.size, 64) + 64;
	op->b = (struct pst_operand){off, op->ldb * lines_of(cm, rb, cb) * e,
				     NULL};
	off += pst_round_up(op->b.size, 64) + 64;
	op->c = (struct pst_operand){off, op->stride_c * op->batch * ec, NULL};
	off += pst_round_up(op->c.size, 64) + 64;
	op->bias = (struct pst_operand){off, (uint64_t)op->n * ec, NULL};
	ck_assert_uint_lt(off + op->bias.size, SIZE);
	memset(mem, GUARD, SIZE);
	fill(op->dtype, &op->a, 1);
	fill(op->dtype, &op->b, 2);
	fill(op->dtype_c, &op->c, 3);
	fill(op->dtype_c, &op->bias, 4);
	memcpy(before, mem, SIZE);
}

static uint64_t at(bool cm, uint64_t row, uint64_t col, uint64_t ld)
{
	return cm ? col * ld + row : row * ld + col;
}

static double input(const struct pst_op *op, double v)
{
	if (op->compute == PST_WIRE_COMPUTE_TF32)
		return (double)pst_tf32_round((float)v);
	if (op->compute == PST_WIRE_COMPUTE_FAST_F16)
		return (double)pst_f16_to_f32(pst_f16_from_f32((float)v));
	return v;
}

static double act(enum pst_wire_act a, double x)
{
	switch (a) {
	case PST_WIRE_ACT_RELU:
		return x < 0 ? 0 : x;
	case PST_WIRE_ACT_GELU_TANH:
		return 0.5 * x *
		       (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
	case PST_WIRE_ACT_GELU_ERF:
		return x * 0.5 * erfc(-x / sqrt(2));
	default:
		return x;
	}
}

/* What element (i, j) of product p must be; *ret_tol how far off it may be. */
static double expected(const struct pst_op *op, uint64_t p, uint64_t i,
		       uint64_t j, double *ret_tol)
{
	const bool cm = op->col_major;
	const double eps = op->dtype_c == PST_WIRE_F64    ? 0x1p-52
			   : op->dtype_c == PST_WIRE_F16  ? 0x1p-10
			   : op->dtype_c == PST_WIRE_BF16 ? 0x1p-7
							  : 0x1p-23;
	const double sum_eps = op->dtype == PST_WIRE_F64 ? 0x1p-52 : 0x1p-23;
	double sum = 0, size = 0, a, b, v = 0;
	uint64_t l;

	for (l = 0; pst_op_reads_ab(op) && l < op->k; l++) {
		a = input(op,
			  get(where(before, &op->a), op->dtype,
			      p * op->stride_a +
				      (op->transa ? at(cm, l, i, op->lda)
						  : at(cm, i, l, op->lda))));
		b = input(op, get(where(before, &op->b), op->dtype,
				  op->transb ? at(cm, j, l, op->ldb)
					     : at(cm, l, j, op->ldb)));
		sum += a * b;
		size += fabs(a * b);
	}
	v = op->alpha * sum;
	size *= fabs(op->alpha);
	if (op->beta != 0) {
		a = op->beta * get(where(before, &op->c), op->dtype_c,
				   p * op->stride_c + at(cm, i, j, op->ldc));
		v += a;
		size += fabs(a);
	}
	if (op->has_bias)
		v += get(where(before, &op->bias), op->dtype_c, j);
	*ret_tol =
		(op->k + 4.0) * sum_eps * (size + fabs(v) + 1) + eps * fabs(v);
	if (op->dtype == PST_WIRE_I8)
		*ret_tol = 0;
	return act(op->act, v);
}

static void run(struct pst_op *op)
{
	struct pst_backend_op bop = {.op = *op};
	struct pst_agent_gemm_kind kind = {op->dtype, op->dtype_c, op->compute,
					   op->act, op->has_bias};
	struct pst_error err = {.text = ""};
	int r, steps = 0;

	if (!pst_op_reads_ab(op))
		bop.op.a.size = bop.op.b.size = 0;
	ck_assert(ops->can(backend, &kind, &err));
	ck_assert_int_eq(ops->begin(backend, &bop, &err), 0);
	do {
		r = ops->step(backend, &bop, &err);
		ck_assert_int_ge(r, 0);
		ck_assert_int_lt(++steps, 100000);
	} while (r != PST_AGENT_STEP_DONE);
}

/* Runs it; checks every element, and that nothing else has changed. */
static void check(struct pst_op *op, const char *what)
{
	const unsigned int ec = pst_dtype_size(op->dtype_c);
	uint64_t p, i, j, x;
	double want, got, tol;
	uint8_t *c = where(mem, &op->c);

	run(op);
	for (p = 0; p < op->batch; p++)
		for (i = 0; i < op->m; i++)
			for (j = 0; j < op->n; j++) {
				x = p * op->stride_c +
				    at(op->col_major, i, j, op->ldc);
				want = expected(op, p, i, j, &tol);
				got = get(c, op->dtype_c, x);
				/* Each assertion is a write to a file. */
				if (!(fabs(got - want) <= tol))
					ck_abort_msg("%s: %" PRIu64 " (%" PRIu64
						     ", %" PRIu64 "): "
						     "%g, not %g within %g",
						     what, p, i, j, got, want,
						     tol);
				/* So that only what is between is left. */
				memcpy(c + x * ec,
				       where(before, &op->c) + x * ec, ec);
			}
	ck_assert_msg(memcmp(mem, before, SIZE) == 0, "%s", what);
}

static const struct {
	enum pst_wire_dtype dtype, dtype_c;
	enum pst_wire_compute compute;
} kinds[] = {
	{PST_WIRE_F32, PST_WIRE_F32, PST_WIRE_COMPUTE_DEFAULT},
	{PST_WIRE_F64, PST_WIRE_F64, PST_WIRE_COMPUTE_DEFAULT},
	{PST_WIRE_F32, PST_WIRE_F32, PST_WIRE_COMPUTE_TF32},
	{PST_WIRE_F32, PST_WIRE_F32, PST_WIRE_COMPUTE_FAST_F16},
	{PST_WIRE_F16, PST_WIRE_F16, PST_WIRE_COMPUTE_DEFAULT},
	{PST_WIRE_F16, PST_WIRE_F32, PST_WIRE_COMPUTE_DEFAULT},
	{PST_WIRE_BF16, PST_WIRE_BF16, PST_WIRE_COMPUTE_DEFAULT},
	{PST_WIRE_BF16, PST_WIRE_F32, PST_WIRE_COMPUTE_DEFAULT},
	{PST_WIRE_I8, PST_WIRE_I32, PST_WIRE_COMPUTE_DEFAULT},
};

static struct pst_op kind_of(size_t i)
{
	return (struct pst_op){
		.dtype = kinds[i].dtype,
		.dtype_c = kinds[i].dtype_c,
		.compute = kinds[i].compute,
		.batch = 1,
		.alpha = 1,
	};
}

START_TEST(every_type_order_and_transpose_is_right)
{
	struct pst_op op;
	unsigned int v;
	char what[64];

	for (v = 0; v < 8; v++) {
		op = kind_of((size_t)_i);
		op.col_major = v & 1;
		op.transa = v & 2;
		op.transb = v & 4;
		op.m = 37;
		op.n = 21;
		op.k = 45;
		op.alpha = 3;
		op.beta = -2;
		lay_out(&op, 3);
		snprintf(what, sizeof(what), "kind %d variant %u", _i, v);
		check(&op, what);
	}
}
END_TEST

START_TEST(every_epilogue_is_right_in_both_orders)
{
	struct pst_op op;
	unsigned int v;
	char what[64];

	for (v = 0; v < 2 * PST_WIRE_N_ACTS * 2 * 3; v++) {
		op = kind_of((size_t)_i);
		op.col_major = v % 2;
		op.has_bias = v / 2 % 2;
		op.act = v / 4 % PST_WIRE_N_ACTS;
		op.m = 19;
		op.n = 33;
		op.k = v / 4 / PST_WIRE_N_ACTS == 1 ? 0 : 12;
		op.alpha = v / 4 / PST_WIRE_N_ACTS == 2 ? 0 : 1;
		op.beta = v % 3;
		if (op.dtype == PST_WIRE_I8 && op.act > PST_WIRE_ACT_RELU)
			continue;
		lay_out(&op, 1);
		snprintf(what, sizeof(what), "kind %d variant %u", _i, v);
		check(&op, what);
	}
}
END_TEST

/* Sides beyond a panel, and slices so small that everything is cut. */
START_TEST(large_products_are_right_however_they_are_sliced)
{
	struct pst_op op = kind_of((size_t)_i);

	backend->slice_ns = 50000;
	op.m = 150;
	op.n = 530;
	op.k = 1100;
	op.beta = 1;
	op.has_bias = true;
	op.act = PST_WIRE_ACT_RELU;
	op.transb = true;
	lay_out(&op, 0);
	check(&op, "sliced");
}
END_TEST

START_TEST(batches_are_right_and_may_share_an_operand)
{
	struct pst_op op = kind_of((size_t)_i);

	op.m = 9;
	op.n = 5;
	op.k = 7;
	op.batch = 300;
	op.beta = 2;
	op.has_bias = true;
	lay_out(&op, 2);
	check(&op, "batch");
	op.k = 0;
	op.batch = 17;
	lay_out(&op, 2);
	check(&op, "batch of scales");
}
END_TEST

START_TEST(operands_may_lie_in_tensors)
{
	struct pst_op op = kind_of((size_t)_i);

	op.m = 30;
	op.n = 20;
	op.k = 10;
	lay_out(&op, 0);
	/* A moves out of the region; what stood there is left to spoil it. */
	memcpy(tensor, mem + op.a.off, op.a.size);
	memset(mem + op.a.off, 0x7f, op.a.size);
	memcpy(before, mem, SIZE);
	op.a.mem = tensor;
	op.a.off = 0;
	check(&op, "tensor");
}
END_TEST

START_TEST(c_is_not_read_at_beta_0_and_nan_goes_through_otherwise)
{
	struct pst_op op = kind_of((size_t)_i);
	const unsigned int ec = pst_dtype_size(op.dtype_c);
	uint64_t i;
	double v;

	if (op.dtype == PST_WIRE_I8)
		return;
	op.m = op.n = op.k = 8;
	lay_out(&op, 0);
	for (i = 0; i < op.c.size / ec; i++)
		put(mem + op.c.off, op.dtype_c, i, NAN);
	memcpy(before, mem, SIZE);
	check(&op, "NaN in C");
	op.beta = 1;
	op.act = PST_WIRE_ACT_RELU;
	memcpy(mem, before, SIZE);
	run(&op);
	for (i = 0; i < 64; i++)
		ck_assert(isnan(get(mem + op.c.off, op.dtype_c, i)));
	op.beta = 0;
	op.act = PST_WIRE_ACT_NONE;
	put(mem + op.a.off, op.dtype, 0, INFINITY);
	put(mem + op.b.off, op.dtype, 0, 0.0);
	run(&op);
	v = get(mem + op.c.off, op.dtype_c, 0);
	ck_assert(isnan(v)); /* infinity times 0 */
	v = get(mem + op.c.off, op.dtype_c, 1);
	ck_assert(isinf(v));
}
END_TEST

START_TEST(integers_add_up_exactly_and_wrap)
{
	struct pst_op op = kind_of(8);
	const int32_t *c;
	uint64_t i;

	op.m = op.n = 4;
	op.k = 5000;
	lay_out(&op, 0);
	memset(mem + op.a.off, 0x80, op.a.size); /* -128 */
	memset(mem + op.b.off, 0x80, op.b.size);
	run(&op);
	c = (const int32_t *)(mem + op.c.off);
	for (i = 0; i < 16; i++)
		ck_assert_int_eq(c[i], 5000 * 16384);
	op.alpha = 65536;
	run(&op);
	for (i = 0; i < 16; i++)
		ck_assert_int_eq(c[i], (int32_t)(5000U * 16384U * 65536U));
}
END_TEST

static void add(TCase *tc)
{
	const int n = (int)PST_ARRAY_SIZE(kinds);

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_loop_test(tc, every_type_order_and_transpose_is_right, 0, n);
	tcase_add_loop_test(tc, every_epilogue_is_right_in_both_orders, 0, n);
	tcase_add_loop_test(
		tc, large_products_are_right_however_they_are_sliced, 0, n);
	tcase_add_loop_test(tc, batches_are_right_and_may_share_an_operand, 0,
			    n);
	tcase_add_loop_test(tc, operands_may_lie_in_tensors, 0, n);
	tcase_add_loop_test(
		tc, c_is_not_read_at_beta_0_and_nan_goes_through_otherwise, 0,
		n);
	tcase_add_test(tc, integers_add_up_exactly_and_wrap);
}

int main(void)
{
	if (strcmp(pst_agent_blas_library(), "none") == 0) {
		printf("1..0 # SKIP built without a CBLAS\n");
		return 0;
	}
	return pst_unit_run("gemm_types", add, 120);
}
