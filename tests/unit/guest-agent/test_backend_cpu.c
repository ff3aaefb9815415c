/* SPDX-License-Identifier: MIT */
/* The cpu backend against sums in double precision: every order, transpose
 * and scaling, whole and in slices, with padding that must stay. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "guest-agent/cpu/backend_cpu.h"
#include "guest-agent/cpu/blas.h"
#include "guest-agent/cpu/gemm.h"
#include "tests/fixtures/unit.h"
#include "transport/base/util.h"

#define SIZE    (64ULL << 20)
#define PADDING 1e30 /* in the gaps of C, must be there after */

static uint8_t *mem;
static struct pst_backend *backend;
static const struct pst_backend_ops *const ops = &pst_backend_cpu;
static uint64_t rng = 88172645463325252ULL;

static void setup(void)
{
	struct pst_error err;

	mem = aligned_alloc(4096, SIZE);
	ck_assert_ptr_nonnull(mem);
	ck_assert_int_eq(ops->open(mem, SIZE, 1, &backend, &err), 0);
}

static void teardown(void)
{
	ops->close(backend);
	free(mem);
}

/* In (-1, 1). */
static double noise(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (double)(int64_t)rng / 9.3e18;
}

static double get(const struct pst_op *op, const struct pst_operand *s,
		  uint64_t i)
{
	if (op->dtype == PST_WIRE_F32)
		return ((float *)(mem + s->off))[i];
	return ((double *)(mem + s->off))[i];
}

static void set(const struct pst_op *op, const struct pst_operand *s,
		uint64_t i, double v)
{
	if (op->dtype == PST_WIRE_F32)
		((float *)(mem + s->off))[i] = (float)v;
	else
		((double *)(mem + s->off))[i] = v;
}

static uint64_t index_of(bool cm, uint64_t row, uint64_t col, uint64_t ld)
{
	return cm ? col * ld + row : row * ld + col;
}

/* Runs to the end. Returns the steps it took. */
static int finish(struct pst_backend_op *bop)
{
	struct pst_error err;
	int n = 0, r;

	ck_assert_int_eq(ops->begin(backend, bop, &err), 0);
	do {
		r = ops->step(backend, bop, &err);
		ck_assert_int_ge(r, 0);
		ck_assert_int_lt(++n, 1000000);
	} while (r == 0);
	return n;
}

/* Lays A, B and C out one behind the other, filled with noise; rows behind
 * ld and gaps in C hold PADDING. pad: what ld is longer than it must be. */
static void lay_out(struct pst_op *op, uint32_t pad)
{
	const bool cm = op->col_major;
	const uint32_t ra = op->transa ? op->k : op->m;
	const uint32_t ca = op->transa ? op->m : op->k;
	const uint32_t rb = op->transb ? op->n : op->k;
	const uint32_t cb = op->transb ? op->k : op->n;
	uint64_t na, nb, nc, i, elem = pst_dtype_size(op->dtype);

	op->op = PST_WIRE_OP_GEMM;
	op->lda = (cm ? ra : ca) + pad + !(cm ? ra : ca);
	op->ldb = (cm ? rb : cb) + pad + !(cm ? rb : cb);
	op->ldc = (cm ? op->m : op->n) + pad + !(cm ? op->m : op->n);
	op->batch = 1;
	op->dtype_c = op->dtype;
	na = (uint64_t)op->lda * (cm ? ca : ra);
	nb = (uint64_t)op->ldb * (cm ? cb : rb);
	nc = (uint64_t)op->ldc * (cm ? op->n : op->m);
	op->a = (struct pst_operand){64, na * elem, NULL};
	op->b = (struct pst_operand){64 + pst_round_up(na * elem, 64),
				     nb * elem, NULL};
	op->c = (struct pst_operand){op->b.off + pst_round_up(nb * elem, 64),
				     nc * elem, NULL};
	ck_assert_uint_lt(op->c.off + op->c.size, SIZE);
	for (i = 0; i < na; i++)
		set(op, &op->a, i, noise());
	for (i = 0; i < nb; i++)
		set(op, &op->b, i, noise());
	for (i = 0; i < nc; i++)
		set(op, &op->c, i, PADDING);
}

/* One element of the product, in double. */
static double element(const struct pst_op *op, uint64_t i, uint64_t j)
{
	const bool cm = op->col_major;
	double sum = 0;
	uint64_t l;

	for (l = 0; l < op->k; l++)
		sum += get(op, &op->a,
			   op->transa ? index_of(cm, l, i, op->lda)
				      : index_of(cm, i, l, op->lda)) *
		       get(op, &op->b,
			   op->transb ? index_of(cm, j, l, op->ldb)
				      : index_of(cm, l, j, op->ldb));
	return sum;
}

static void check_padding(const struct pst_op *op, const double *before)
{
	const uint64_t n = op->c.size / pst_dtype_size(op->dtype);
	const uint64_t inner = op->col_major ? op->m : op->n;
	uint64_t i, wrong = 0;

	for (i = 0; i < n; i++)
		if (i % op->ldc >= inner)
			wrong += get(op, &op->c, i) != before[i];
	ck_assert_uint_eq(wrong, 0);
}

/*
 * Computes op (types, sizes and scalars set) and compares all of C. c0: what C
 * holds before; NAN: that it is not read. Returns the steps.
 */
static int verify(struct pst_op *op, uint32_t pad, double c0)
{
	struct pst_backend_op bop = {0};
	const double eps = op->dtype == PST_WIRE_F32 ? 1.2e-7 : 2.3e-16;
	double *before, want, got, old, tol;
	uint64_t i, j, n, at;
	int steps;

	lay_out(op, pad);
	n = op->c.size / pst_dtype_size(op->dtype);
	before = calloc(n + 1, sizeof(*before));
	ck_assert_ptr_nonnull(before);
	for (i = 0; i < op->m; i++)
		for (j = 0; j < op->n; j++)
			set(op, &op->c, index_of(op->col_major, i, j, op->ldc),
			    isnan(c0) ? NAN : c0 * noise());
	for (i = 0; i < n; i++)
		before[i] = get(op, &op->c, i);
	bop.op = *op;
	steps = finish(&bop);
	for (i = 0; i < op->m; i++)
		for (j = 0; j < op->n; j++) {
			at = index_of(op->col_major, i, j, op->ldc);
			old = op->beta == 0 ? 0 : op->beta * before[at];
			want = old;
			if (op->alpha != 0)
				want += op->alpha * element(op, i, j);
			got = get(op, &op->c, at);
			tol = 8 * eps *
			      (fabs(op->alpha) * (op->k + 2.0) + fabs(old));
			/* Not a ck_assert: millions of those take minutes. */
			if (!(fabs(got - want) <= tol))
				ck_abort_msg("%u x %u x %u: C(%" PRIu64
					     ", %" PRIu64 ") is "
					     "%g, not %g",
					     op->m, op->n, op->k, i, j, got,
					     want);
		}
	check_padding(op, before);
	free(before);
	return steps;
}

static const uint32_t shapes[][3] = {
	{1, 1, 1},   {2, 3, 4},    {17, 5, 9},   {64, 64, 64}, {65, 63, 129},
	{1, 200, 7}, {200, 1, 31}, {3, 2, 1000}, {96, 130, 1},
};

START_TEST(products_match_in_every_order_transpose_type_and_scaling)
{
	static const double alphas[] = {1, -0.5};
	static const double betas[] = {0, 1, 2.5};
	struct pst_op op;
	size_t s;
	unsigned int bits, x;

	for (s = 0; s < PST_ARRAY_SIZE(shapes); s++)
		for (bits = 0; bits < 32; bits++)
			for (x = 0; x < 6; x++) {
				op = (struct pst_op){
					.m = shapes[s][0],
					.n = shapes[s][1],
					.k = shapes[s][2],
					.col_major = bits & 1,
					.transa = bits & 2,
					.transb = bits & 4,
					.dtype = bits & 8 ? PST_WIRE_F64
							  : PST_WIRE_F32,
					.alpha = alphas[x % 2],
					.beta = betas[x / 2],
				};
				verify(&op, bits & 16 ? 5 : 0,
				       op.beta == 0 ? NAN : 3);
			}
}
END_TEST

START_TEST(products_cut_into_slices_match_whole_ones)
{
	/* Odd sizes, so that the last panels are ragged. */
	static const uint32_t big[][3] = {
		{150, 90, 700}, {70, 300, 300}, {70, 1, 5000}, {515, 260, 1}};
	struct pst_op op;
	unsigned int bits;
	int steps;
	size_t s;

	/* Shorter than any slice can be: the smallest panels. */
	backend->slice_ns = 1;
	for (s = 0; s < PST_ARRAY_SIZE(big); s++)
		for (bits = 0; bits < 16; bits++) {
			op = (struct pst_op){
				.m = big[s][0],
				.n = big[s][1],
				.k = big[s][2],
				.col_major = bits & 1,
				.transa = bits & 2,
				.transb = bits & 4,
				.dtype = bits & 8 ? PST_WIRE_F64 : PST_WIRE_F32,
				.alpha = 0.5,
				.beta = -2,
			};
			steps = verify(&op, 3, 1);
			ck_assert_int_gt(steps, 1);
		}
	op = (struct pst_op){.m = 300,
			     .n = 170,
			     .k = 900,
			     .dtype = PST_WIRE_F32,
			     .alpha = 1};
	ck_assert_int_ge(verify(&op, 3, NAN), 5 * 3 * 3);
}
END_TEST

START_TEST(slices_that_grow_and_shrink_between_steps_still_cover_all)
{
	struct pst_op op = {.m = 333,
			    .n = 222,
			    .k = 1111,
			    .dtype = PST_WIRE_F64,
			    .alpha = 1,
			    .beta = 1};
	struct pst_agent_gemm_cursor cur = {0};
	uint64_t i, j;
	double flops = 0;
	bool done = false;
	int n = 0;

	lay_out(&op, 0);
	for (i = 0; i < op.c.size / 8; i++)
		set(&op, &op.c, i, 0);
	while (!done) {
		flops += pst_agent_gemm_slice(&op, mem, &cur,
					      n % 3 ? 1e6 * (n % 7) : 1e8, NULL,
					      &done);
		ck_assert_int_lt(++n, 10000);
	}
	ck_assert_double_eq_tol(flops, pst_op_flops(&op), 1);
	for (i = 0; i < op.m; i++)
		for (j = 0; j < op.n; j++)
			ck_assert_double_eq_tol(
				get(&op, &op.c, index_of(false, i, j, op.ldc)),
				element(&op, i, j), 1e-11);
}
END_TEST

START_TEST(without_k_or_alpha_neither_A_nor_B_is_read)
{
	static const double betas[] = {0, 1, -1.5};
	unsigned int bits, x;

	for (bits = 0; bits < 8; bits++)
		for (x = 0; x < 3; x++) {
			struct pst_op op = {
				.m = 100,
				.n = 33,
				.k = bits & 1 ? 0 : 40,
				.col_major = bits & 2,
				.dtype = bits & 4 ? PST_WIRE_F64 : PST_WIRE_F32,
				.alpha = bits & 1 ? 1 : 0,
				.beta = betas[x],
			};
			struct pst_backend_op bop = {0};
			uint64_t i, n;

			lay_out(&op, 4);
			n = op.c.size / pst_dtype_size(op.dtype);
			memset(mem + op.a.off, 0xff, op.a.size + op.b.size);
			for (i = 0; i < n; i++)
				set(&op, &op.c, i,
				    i % op.ldc >= (op.col_major ? op.m : op.n)
					    ? PADDING
				    : op.beta == 0 ? NAN
						   : 2);
			bop.op = op;
			finish(&bop);
			for (i = 0; i < n; i++)
				ck_assert_double_eq(
					get(&op, &op.c, i),
					i % op.ldc >= (op.col_major ? op.m
								    : op.n)
						? (double)(op.dtype == PST_WIRE_F32
								   ? (float)PADDING
								   : PADDING)
						: 2 * op.beta);
		}
}
END_TEST

START_TEST(an_alpha_too_small_for_a_float_is_zero_there)
{
	struct pst_op op = {.m = 4,
			    .n = 4,
			    .k = 4,
			    .dtype = PST_WIRE_F32,
			    .alpha = 1e-60,
			    .beta = 0};
	struct pst_backend_op bop = {0};

	lay_out(&op, 0);
	memset(mem + op.a.off, 0xff, op.a.size);
	bop.op = op;
	finish(&bop);
	ck_assert_double_eq(get(&op, &op.c, 5), 0);
}
END_TEST

START_TEST(scaling_a_large_C_is_sliced)
{
	struct pst_op op = {.m = 2000,
			    .n = 2000,
			    .dtype = PST_WIRE_F32,
			    .alpha = 1,
			    .beta = 0.5};
	struct pst_backend_op bop = {0};
	uint64_t i, wrong = 0;

	lay_out(&op, 0);
	for (i = 0; i < 4000000; i++)
		set(&op, &op.c, i, 8);
	backend->slice_ns = 1;
	bop.op = op;
	ck_assert_int_gt(finish(&bop), 10);
	for (i = 0; i < 4000000; i++)
		wrong += get(&op, &op.c, i) != 4;
	ck_assert_uint_eq(wrong, 0);
}
END_TEST

START_TEST(an_empty_product_touches_nothing)
{
	struct pst_backend_op bop = {.op = {.op = PST_WIRE_OP_GEMM,
					    .dtype = PST_WIRE_F32,
					    .n = 3,
					    .k = 3,
					    .lda = 3,
					    .ldb = 3,
					    .ldc = 3,
					    .alpha = 1,
					    /* Nobody may look there. */
					    .a.off = 1ULL << 45,
					    .b.off = 1ULL << 45,
					    .c.off = 1ULL << 45}};

	ck_assert_int_eq(finish(&bop), 1);
	bop.op.m = 3;
	bop.op.n = 0;
	ck_assert_int_eq(finish(&bop), 1);
}
END_TEST

static void fill(uint64_t off, uint64_t size, uint64_t pattern,
		 unsigned int width, enum pst_wire_dtype dtype)
{
	struct pst_backend_op bop = {.op = {.op = PST_WIRE_OP_FILL,
					    .dtype = dtype,
					    .pattern = pattern,
					    .pattern_size = width,
					    .a = {.off = off, .size = size}}};
	uint64_t i, wrong = 0;

	memset(mem + off - 8, 0xee, size + 16);
	finish(&bop);
	for (i = 0; i < size; i++)
		wrong +=
			mem[off + i] != (uint8_t)(pattern >> (8 * (i % width)));
	for (i = 0; i < 8; i++) {
		wrong += mem[off - 1 - i] != 0xee;
		wrong += mem[off + size + i] != 0xee;
	}
	ck_assert_uint_eq(wrong, 0);
}

START_TEST(fill_writes_its_pattern_and_nothing_beside_it)
{
	static const uint64_t sizes[] = {8, 16, 64, 72, 4096, 1000008};
	size_t i;
	int slow;

	for (slow = 0; slow < 2; slow++) {
		for (i = 0; i < PST_ARRAY_SIZE(sizes); i++) {
			fill(4096, sizes[i], 0x0123456789abcdef, 8,
			     PST_WIRE_F64);
			fill(4096 + 4, sizes[i] + 4, 0x01234567, 4,
			     PST_WIRE_F32);
			fill(4096 + 3, sizes[i] + 5, 0xa5, 1, PST_WIRE_I8);
		}
		backend->slice_ns = 1;
	}
}
END_TEST

START_TEST(checksum_is_XXH3_whole_and_in_slices)
{
	static const uint64_t sizes[] = {
		1, 7, 4096, 256 << 10, (256 << 10) + 1, 5000001};
	struct pst_backend_op bop;
	size_t i;
	int slow;

	for (i = 0; i < 6000000; i++)
		mem[i] = (uint8_t)(int)(noise() * 100);
	for (slow = 0; slow < 2; slow++) {
		for (i = 0; i < PST_ARRAY_SIZE(sizes); i++) {
			bop = (struct pst_backend_op){
				.op = {.op = PST_WIRE_OP_CHECKSUM,
				       .a = {.off = 64, .size = sizes[i]}}};
			finish(&bop);
			ck_assert_uint_eq(bop.result,
					  XXH3_64bits(mem + 64, sizes[i]));
		}
		backend->slice_ns = 1;
	}
}
END_TEST

START_TEST(a_cancelled_operation_has_let_go_at_once)
{
	struct pst_backend_op bop = {.op = {.op = PST_WIRE_OP_CHECKSUM,
					    .a = {.off = 64, .size = 5000000}}};
	struct pst_error err;

	backend->slice_ns = 1;
	ck_assert_int_eq(ops->begin(backend, &bop, &err), 0);
	ck_assert_int_eq(ops->step(backend, &bop, &err), 0);
	ck_assert_int_eq(ops->cancel(backend, &bop), 1);
	ck_assert_ptr_null(bop.priv);
}
END_TEST

START_TEST(what_it_cannot_do_is_said_with_the_librarys_name)
{
	struct pst_agent_gemm_kind kind = {
		.dtype = PST_WIRE_I8,
		.dtype_c = PST_WIRE_I32,
		.act = PST_WIRE_ACT_GELU_ERF,
	};
	struct pst_error err;

	ck_assert(!ops->can(backend, &kind, &err));
	ck_assert_int_eq(err.code, -EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(err.text, pst_agent_blas_library()));
	kind.act = PST_WIRE_ACT_RELU;
	ck_assert(ops->can(backend, &kind, &err));
}
END_TEST

START_TEST(plans_fit_the_budget_and_keep_panels_useful)
{
	static const uint64_t sides[] = {1, 63, 64, 500, 1024, 4096, 100000};
	static const double budgets[] = {1, 1e6, 1e7, 9e8, 2e10};
	struct pst_agent_gemm_tile t;
	size_t a, b, c, d;
	uint64_t m, n, k;
	double flops;

	for (a = 0; a < PST_ARRAY_SIZE(sides); a++)
		for (b = 0; b < PST_ARRAY_SIZE(sides); b++)
			for (c = 0; c < PST_ARRAY_SIZE(sides); c++)
				for (d = 0; d < PST_ARRAY_SIZE(budgets); d++) {
					m = sides[a];
					n = sides[b];
					k = sides[c];
					pst_agent_gemm_plan(m, n, k, 4,
							    budgets[d], &t);
					ck_assert(t.m >= 1 && t.m <= m);
					ck_assert(t.n >= 1 && t.n <= n);
					ck_assert(t.k >= 1 && t.k <= k);
					flops = 2.0 * (double)t.m *
						(double)t.n * (double)t.k;
					/* At most about half above it, or a
					 * smallest panel. */
					ck_assert_msg(
						flops <= 2.0 * budgets[d] ||
							(t.m <= 128 &&
							 t.n <= 128 &&
							 t.k <= 512),
						"%" PRIu64 " x %" PRIu64
						" x %" PRIu64
						" with %g: %" PRIu64
						" x %" PRIu64 " x %" PRIu64,
						m, n, k, budgets[d], t.m, t.n,
						t.k);
					ck_assert(t.m == m || t.m >= 64);
					ck_assert(t.n == n || t.n >= 64);
					ck_assert(t.k == k || t.k >= 256);
				}
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(
		tc, products_match_in_every_order_transpose_type_and_scaling);
	tcase_add_test(tc, products_cut_into_slices_match_whole_ones);
	tcase_add_test(
		tc, slices_that_grow_and_shrink_between_steps_still_cover_all);
	tcase_add_test(tc, without_k_or_alpha_neither_A_nor_B_is_read);
	tcase_add_test(tc, an_alpha_too_small_for_a_float_is_zero_there);
	tcase_add_test(tc, scaling_a_large_C_is_sliced);
	tcase_add_test(tc, an_empty_product_touches_nothing);
	tcase_add_test(tc, fill_writes_its_pattern_and_nothing_beside_it);
	tcase_add_test(tc, checksum_is_XXH3_whole_and_in_slices);
	tcase_add_test(tc, a_cancelled_operation_has_let_go_at_once);
	tcase_add_test(tc, what_it_cannot_do_is_said_with_the_librarys_name);
	tcase_add_test(tc, plans_fit_the_budget_and_keep_panels_useful);
}

int main(void)
{
	if (strcmp(pst_agent_blas_library(), "none") == 0) {
		printf("1..0 # SKIP built without a CBLAS\n");
		return 0;
	}
	return pst_unit_run("backend_cpu", add, 60);
}
