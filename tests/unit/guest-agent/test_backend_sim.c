/* SPDX-License-Identifier: MIT */
/* The sim backend: options, what an operation takes on such a card, the order
 * of lanes, and that results are the cpu's. */
#include <errno.h>
#include <string.h>

#include "guest-agent/sim/backend_sim.h"
#include "tests/fixtures/unit.h"
#include "transport/base/util.h"

#define N    64U
#define SIZE (N * N * sizeof(double))

static _Alignas(64) uint8_t mem[3 * SIZE];
static const struct pst_backend_ops *const ops = &pst_backend_sim;
static struct pst_backend *backend;
static struct pst_error err;

static void open_card(const char *options)
{
	struct pst_sim_card card;

	ck_assert_msg(pst_sim_parse(options, &card, &err) == 0, "%s", err.text);
	ck_assert_int_eq(
		pst_sim_open(&card, mem, sizeof(mem), 1, &backend, &err), 0);
}

/* The identity times numbers, into C. */
static struct pst_backend_op product(enum pst_wire_dtype dtype, uint32_t lane)
{
	const unsigned int elem = dtype == PST_WIRE_F64 ? 8 : 4;
	struct pst_backend_op bop = {
		.lane = lane,
		.op = {.op = PST_WIRE_OP_GEMM,
		       .dtype = dtype,
		       .dtype_c = dtype,
		       .m = N,
		       .n = N,
		       .k = N,
		       .lda = N,
		       .ldb = N,
		       .ldc = N,
		       .batch = 1,
		       .alpha = 1,
		       .a = {0, (uint64_t)N * N * elem, NULL},
		       .b = {SIZE, (uint64_t)N * N * elem, NULL},
		       .c = {2 * SIZE, (uint64_t)N * N * elem, NULL}}};
	uint32_t i;

	for (i = 0; i < N * N; i++) {
		if (elem == 8) {
			((double *)mem)[i] = i % N == i / N;
			((double *)(mem + SIZE))[i] = i;
		} else {
			((float *)mem)[i] = i % N == i / N;
			((float *)(mem + SIZE))[i] = (float)i;
		}
	}
	memset(mem + 2 * SIZE, 0xff, SIZE);
	return bop;
}

/* To its end. Returns by how many steps the card was waited for. */
static int finish(struct pst_backend_op *bop)
{
	int r, waits = 0;

	do {
		r = ops->step(backend, bop, &err);
		ck_assert_int_ge(r, 0);
		waits += r == PST_AGENT_STEP_WAIT;
	} while (r != PST_AGENT_STEP_DONE);
	return waits;
}

/* Its time of the card, in us. */
static double us(struct pst_backend_op *bop)
{
	ck_assert_int_eq(ops->begin(backend, bop, &err), 0);
	finish(bop);
	return (double)bop->compute_ns / 1e3;
}

/* 2 n^3 = 524288 operations, 3 matrices of 16 or 32 KiB. */
START_TEST(a_product_takes_what_the_rates_say)
{
	struct pst_backend_op f32 = product(PST_WIRE_F32, 0), f64;
	int near;
	double t;

	open_card("f32=0.5,f64=0.1,h2d=100,d2h=100,latency=100us");
	t = us(&f32);
	ck_assert_msg(t > 1148 && t < 1149, "%f", t);
	ck_assert(memcmp(mem + SIZE, mem + 2 * SIZE, SIZE / 2) == 0);
	f64 = product(PST_WIRE_F64, 0);
	t = us(&f64);
	ck_assert_msg(t > 5342 && t < 5343, "%f", t);
	ck_assert(memcmp(mem + SIZE, mem + 2 * SIZE, SIZE) == 0);
	near = ops->estimate_ns(backend, &f64.op) == f64.compute_ns;
	ck_assert_int_eq(near, 1);
	ops->close(backend);
}
END_TEST

START_TEST(a_slow_bus_rules_and_tensors_need_none)
{
	struct pst_backend_op bop = product(PST_WIRE_F32, 0);
	double t;

	open_card("h2d=0.01,d2h=0.02,latency=1us");
	t = us(&bop);
	ck_assert_msg(t > 3277 && t < 3278, "in: %f", t);
	bop = product(PST_WIRE_F32, 0);
	bop.op.a.mem = mem;
	bop.op.b.mem = mem + SIZE;
	bop.op.b.off = 0;
	t = us(&bop);
	ck_assert_msg(t > 820 && t < 821, "out: %f", t);
	bop = product(PST_WIRE_F32, 0);
	memcpy(mem + 2 * SIZE, mem, SIZE);
	bop.op.beta = 1;
	t = us(&bop);
	ck_assert_msg(t > 4916 && t < 4917, "with beta: %f", t);
	ops->close(backend);
}
END_TEST

START_TEST(two_lanes_have_one_card)
{
	struct pst_backend_op one = product(PST_WIRE_F32, 0),
			      two = product(PST_WIRE_F32, 1);
	uint64_t start;

	open_card("f32=0.1,latency=1us");
	start = pst_now_ns();
	ck_assert_int_eq(ops->begin(backend, &one, &err), 0);
	ck_assert_int_eq(ops->begin(backend, &two, &err), 0);
	finish(&two);
	ck_assert_uint_ge(pst_now_ns() - start, 2 * two.compute_ns);
	ck_assert_int_eq(finish(&one), 0);
	ck_assert_uint_eq(one.compute_ns, two.compute_ns);
	ops->close(backend);
}
END_TEST

START_TEST(what_is_cancelled_leaves_the_card)
{
	struct pst_backend_op bop = product(PST_WIRE_F32, 0);
	const uint64_t start = pst_now_ns();

	open_card("f32=0.00001,latency=1us");
	ck_assert_int_eq(ops->begin(backend, &bop, &err), 0);
	while (ops->step(backend, &bop, &err) != PST_AGENT_STEP_WAIT)
		;
	ck_assert_int_eq(ops->cancel(backend, &bop), 1);
	bop.op = (struct pst_op){
		.op = PST_WIRE_OP_FILL, .a = {0, 64, NULL}, .pattern_size = 1};
	bop.cursor[0] = 0;
	us(&bop);
	ck_assert_uint_lt(pst_now_ns() - start, PST_HANG_NS);
	ops->close(backend);
}
END_TEST

START_TEST(what_is_no_card_is_refused)
{
	static const char *const wrong[] = {
		"",
		",",
		"f32",
		"f32=",
		"f32=0",
		"f32=-1",
		"f32=1x",
		"f31=1",
		"f32=1,",
		"latency=10",
		"h2d=0",
		"h2d=nan",
		"latency=2s",
		"f32=1 f64=1",
		"f32=1111111111111111111111111111111111111111111111111111111111111",
	};
	struct pst_sim_card card;

	ck_assert_int_eq(pst_sim_parse(wrong[_i], &card, &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "for a card"));
}
END_TEST

START_TEST(what_is_not_named_is_as_of_an_old_card)
{
	struct pst_sim_card card;
	char text[64];

	ck_assert_int_eq(pst_sim_parse("f64=7,d2h=2.5", &card, &err), 0);
	ck_assert_double_eq(card.flops[PST_WIRE_F64], 7e9);
	ck_assert_double_eq(card.d2h, 2.5e9);
	ck_assert_double_eq(card.flops[PST_WIRE_F32], 6000e9);
	open_card(NULL);
	ops->describe(backend, text, sizeof(text));
	ck_assert_str_eq(text,
			 "sim: f32 6000, f64 190 GFLOPS, 11/11 GB/s, 10 us");
	ops->close(backend);
}
END_TEST

static void add_tests(TCase *tc)
{
	tcase_add_test(tc, a_product_takes_what_the_rates_say);
	tcase_add_test(tc, a_slow_bus_rules_and_tensors_need_none);
	tcase_add_test(tc, two_lanes_have_one_card);
	tcase_add_test(tc, what_is_cancelled_leaves_the_card);
	tcase_add_loop_test(tc, what_is_no_card_is_refused, 0, 15);
	tcase_add_test(tc, what_is_not_named_is_as_of_an_old_card);
}

int main(void)
{
	return pst_unit_run("the sim backend", add_tests, 60);
}
