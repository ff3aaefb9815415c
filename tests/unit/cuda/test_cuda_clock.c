/* SPDX-License-Identifier: MIT */
/* The cuda backend over the double's clock: what overlaps, what waits, and how
 * soon an end is seen. Nothing is computed, so sides are a real card's. */
#include <math.h>
#include <stdlib.h>

#include "guest-agent/cuda/context.h"
#include "guest-agent/serve/spin.h"
#include "tests/fakecuda/fixture.h"
#include "tests/fixtures/unit.h"
#include "transport/base/util.h"

/* What a sleep lasts beyond its end, on a busy host. */
#define OVERSLEPT_NS 60000U
#define MAX_SEEN     512U
/* What is due in less than 300 us is not slept through, nor is this, though it
 * be estimated a quarter longer. The shortest sleep beside longer work. */
#define SHORT_NS 240000U
#define SLICE_NS 50000U

/* By data sheets: a card on PCIe 5, and one on PCIe 3. */
static const struct {
	struct fakecuda_card card;
	int multiprocessors;
	double faster; /* than copies before and after the product, at 8192 */
} kinds[] = {
	{{.h2d = 54e9,
	  .d2h = 54e9,
	  .device = 4e12,
	  .flops = 52e12,
	  .call_ns = 1500,
	  .query_ns = 400,
	  .kernel_ns = 3000,
	  .copy_ns = 2000,
	  .dry = true},
	 132,
	 1.3},
	{{.h2d = 12e9,
	  .d2h = 12e9,
	  .device = 280e9,
	  .flops = 5.8e12,
	  .call_ns = 1500,
	  .query_ns = 400,
	  .kernel_ns = 4000,
	  .copy_ns = 2500,
	  .dry = true},
	 24,
	 1.3},
};

static struct pst_error err;

/* wrong: how much the calibration flatters; it has no clock of its own here. */
static void open_card(int kind, const char *strategy, double wrong)
{
	struct fakecuda_config c = fakecuda_default();
	struct pst_cuda_calibration *cal;
	unsigned int i;

	c.card = &kinds[kind].card;
	c.multiprocessors = kinds[kind].multiprocessors;
	c.memory = 8ULL << 30;
	fix_size = 1ULL << 30;
	ck_assert_msg(fix_open(&c, strategy, NULL, "2G", &err) == 0, "%s",
		      err.text);
	cal = &fix_backend->calibration;
	cal->h2d = c.card->h2d * wrong;
	cal->d2h = c.card->d2h * wrong;
	cal->device = c.card->device * wrong;
	cal->launch_ns = (double)(c.card->call_ns + c.card->kernel_ns);
	cal->copy_ns = (double)c.card->copy_ns;
	for (i = 0; i < PST_CUDA_N_RATES; i++)
		cal->flops[i] = c.card->flops * wrong;
	cal->multiprocessors = (uint32_t)kinds[kind].multiprocessors;
}

/* One after the other: the places of the fixture are too near. */
static struct pst_op square(uint32_t n)
{
	struct pst_op op = fix_product(PST_WIRE_F32, PST_WIRE_F32, n, n, n);

	op.b.off = op.a.off + op.a.size;
	op.c.off = op.b.off + op.b.size;
	return op;
}

/* As the serving thread looks, sleeps and looks again; how long after the
 * device's end it has seen it. */
static uint64_t run_until_seen(const struct pst_op *op)
{
	const uint64_t begun = fakecuda_now();
	const uint64_t due = begun + fix_ops->estimate_ns(fix_backend, op) + 1;
	struct pst_backend_op bop;
	uint64_t sleep;
	int r;

	ck_assert_int_eq(fix_begin(&bop, 0, op, &err), 0);
	while ((r = fix_ops->step(fix_backend, &bop, &err)) !=
	       PST_AGENT_STEP_DONE) {
		ck_assert_int_ge(r, 0);
		if (r != PST_AGENT_STEP_WAIT)
			continue;
		sleep = pst_agent_spin_device(fakecuda_now(), begun, due);
		fakecuda_pass(sleep ? sleep + OVERSLEPT_NS : 50);
	}
	return fakecuda_now() - fakecuda_ends();
}

static uint64_t copy_compute_copy(int kind, uint32_t n)
{
	const struct fakecuda_card *c = &kinds[kind].card;
	const double bytes = 4.0 * n * n;

	return (uint64_t)(1e9 * (2 * bytes / c->h2d + bytes / c->d2h +
				 2.0 * n * n * n / c->flops));
}

/* With the last round of blocks, which leaves multiprocessors idle. */
static uint64_t whole_ns(int kind, uint32_t n)
{
	const struct fakecuda_card *c = &kinds[kind].card;
	const double blocks = ((n + 127) / 128) * ((n + 127) / 128);
	const double sm = kinds[kind].multiprocessors;
	const double work = 2e9 * n * n * n / c->flops;

	return copy_compute_copy(kind, n) +
	       (uint64_t)(work * (ceil(blocks / sm) * sm / blocks - 1));
}

/* And the host waits for nothing meanwhile. */
START_TEST(copies_and_products_of_tiles_overlap)
{
	const struct pst_op op = square(8192);
	uint64_t start, took;
	unsigned int syncs;

	open_card(_i, "pipelined", 1);
	syncs = fakecuda_syncs();
	start = fakecuda_now();
	run_until_seen(&op);
	took = fakecuda_now() - start;
	ck_assert_msg((double)copy_compute_copy(_i, 8192) >=
			      kinds[_i].faster * (double)took,
		      "%.3f times as fast",
		      (double)copy_compute_copy(_i, 8192) / (double)took);
	/* No faster than the product alone, or than what has to be copied. */
	ck_assert_uint_gt(took, (uint64_t)(1e9 * 2.0 * 8192 * 8192 * 8192 /
					   kinds[_i].card.flops));
	run_until_seen(&op);
	ck_assert_uint_eq(fakecuda_syncs(), syncs);
	fix_close();
}
END_TEST

static int less(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* What takes less than a sleep is worth is looked at to its end, also when the
 * estimate is off by a quarter; of longer work a fiftieth may be lost. */
START_TEST(an_end_is_seen_within_microseconds)
{
	static const char *const ways[] = {"mapped", "pipelined", "auto",
					   "whole"};
	static const double wrong[] = {0.8, 1, 1.25};
	static uint64_t seen[MAX_SEEN];
	uint64_t late, start, took;
	unsigned int n_seen = 0, i;
	struct pst_op op;
	uint32_t n;

	for (i = 0; i < PST_ARRAY_SIZE(wrong); i++) {
		open_card(0, ways[_i], wrong[i]);
		for (n = 16; n <= 4096; n += n < 512 ? 16 : 256) {
			op = square(n);
			start = fakecuda_now();
			late = run_until_seen(&op);
			took = fakecuda_now() - start;
			if (took < SHORT_NS)
				seen[n_seen++] = late;
			else
				ck_assert_uint_le(late, SLICE_NS +
								OVERSLEPT_NS +
								took / 40);
		}
		fix_close();
	}
	ck_assert_uint_ge(n_seen, 60);
	qsort(seen, n_seen, sizeof(seen[0]), less);
	ck_assert_uint_lt(seen[n_seen * 99 / 100], 5000);
}
END_TEST

/* Small products fill the card as a whole: no slower than that by much, at no
 * side. */
START_TEST(no_tile_leaves_much_of_the_card_idle)
{
	static const uint32_t sides[] = {512,  768,  1024, 1536,
					 2048, 3000, 4096};
	uint64_t start, took[2];
	unsigned int i, way;
	struct pst_op op;

	for (i = 0; i < PST_ARRAY_SIZE(sides); i++) {
		op = square(sides[i]);
		for (way = 0; way < 2; way++) {
			open_card(_i, way ? "whole" : "pipelined", 1);
			run_until_seen(&op);
			start = fakecuda_now();
			run_until_seen(&op);
			took[way] = fakecuda_now() - start;
			fix_close();
		}
		ck_assert_msg((double)took[0] <= 1.1 * (double)took[1] + 2e4,
			      "%u: %.0f us, as a whole %.0f", sides[i],
			      (double)took[0] / 1e3, (double)took[1] / 1e3);
		/* As a whole it is what it says. */
		ck_assert_msg((double)took[1] <=
				      1.1 * (double)whole_ns(_i, sides[i]) +
					      4e4,
			      "%u: %.0f us", sides[i], (double)took[1] / 1e3);
	}
}
END_TEST

static void add_tests(TCase *tc)
{
	tcase_add_loop_test(tc, copies_and_products_of_tiles_overlap, 0, 2);
	tcase_add_loop_test(tc, no_tile_leaves_much_of_the_card_idle, 0, 2);
	tcase_add_loop_test(tc, an_end_is_seen_within_microseconds, 0, 4);
}

int main(void)
{
	return pst_unit_run("cuda clock", add_tests, 60);
}
