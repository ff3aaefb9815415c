/* SPDX-License-Identifier: MIT */
/* How the cuda backend cuts a product, and which way it chooses: pure. */
#include <errno.h>
#include <string.h>

#include "guest-agent/cuda/choose.h"
#include "guest-agent/cuda/tiles.h"
#include "tests/fixtures/unit.h"
#include "transport/base/util.h"

static uint64_t rng = 88172645463325252ULL;

static uint64_t below(uint64_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng % n;
}

static struct pst_cuda_tiles_problem random_problem(void)
{
	static const unsigned int elems[] = {1, 2, 4, 8};
	const uint64_t most = 1 + below(6000);

	return (struct pst_cuda_tiles_problem){
		.m = 1 + below(most),
		.n = 1 + below(most),
		.k = 1 + below(most),
		.batch = below(3) ? 1 : 1 + below(300),
		.elem = elems[below(4)],
		.elem_c = elems[1 + below(3)],
		.copy_a = below(4),
		.copy_b = below(4),
		.copy_c = below(4),
		.shared_a = below(2),
		.shared_b = below(2),
		.widen = below(2),
		.widen_all = below(2),
		.scattered = below(2),
		.whole = !below(5),
		.multiprocessors = below(3) ? (uint32_t)below(200) : 0,
		.budget = 1ULL << (17 + below(16)),
		.max_flops = 1e6 * (double)(1 + below(100000)),
	};
}

START_TEST(plans_fit_the_memory_and_cover_the_product)
{
	struct pst_cuda_tiles_problem p;
	struct pst_cuda_tiles t;
	uint64_t need;
	int i, n = 0;

	for (i = 0; i < 20000; i++) {
		p = random_problem();
		if (pst_cuda_tiles_plan(&p, &t) < 0)
			continue;
		n++;
		ck_assert_uint_le(t.bytes, p.budget);
		need = t.n_a * t.a_bytes + t.n_b * t.b_bytes +
		       t.n_c * (t.c_bytes + t.wide_bytes);
		ck_assert_uint_eq(need, t.bytes);
		ck_assert_uint_ge(t.n_i * t.mt, p.m);
		ck_assert_uint_lt((t.n_i - 1) * t.mt, p.m);
		ck_assert_uint_ge(t.n_j * t.nt, p.n);
		ck_assert_uint_ge(t.n_l * t.kt, p.k);
		ck_assert_uint_ge(t.n_g * t.group, p.batch);
		ck_assert(!p.copy_a == !t.n_a && !p.copy_b == !t.n_b);
		ck_assert(!p.copy_c || (t.n_c && t.c_bytes));
		ck_assert_uint_le(t.n_a, PST_CUDA_TILES_MAX_SLOTS);
		/* A tile, whichever way round, fits its slot. */
		if (p.copy_a)
			ck_assert_uint_ge(t.a_bytes,
					  pst_cuda_tiles_pitch(t.kt, p.elem) *
						  t.mt);
		if (p.copy_a || p.copy_b)
			continue;
		ck_assert_uint_eq(t.n_l, 1);
	}
	ck_assert_int_gt(n, 10000);
}
END_TEST

START_TEST(a_product_too_large_for_the_memory_is_refused)
{
	const struct pst_cuda_tiles_problem p = {
		.m = 4096,
		.n = 4096,
		.k = 4096,
		.batch = 1,
		.elem = 8,
		.elem_c = 8,
		.copy_a = true,
		.copy_b = true,
		.copy_c = true,
		.budget = 16384,
		.max_flops = 1e12,
	};
	struct pst_cuda_tiles t;

	ck_assert_int_eq(pst_cuda_tiles_plan(&p, &t), -ENOMEM);
}
END_TEST

START_TEST(every_part_of_every_tile_is_done_once_and_in_order)
{
	struct pst_cuda_tiles_problem p;
	struct pst_cuda_tiles t;
	struct pst_cuda_unit u, last;
	uint8_t *seen;
	uint64_t i, k, n, at;
	int round;

	for (round = 0; round < 300; round++) {
		p = random_problem();
		if (pst_cuda_tiles_plan(&p, &t) < 0)
			continue;
		n = pst_cuda_tiles_count(&t);
		if (n > 100000)
			continue;
		seen = calloc(n, 1);
		for (i = 0; i < n; i++) {
			last = u;
			pst_cuda_tiles_unit(&t, i, &u);
			ck_assert(u.g < t.n_g && u.i < t.n_i && u.j < t.n_j &&
				  u.l < t.n_l);
			/* Of the first, part after part. */
			k = t.n_l * t.head;
			ck_assert_uint_eq(u.parts, i < k ? t.head : 1);
			ck_assert_uint_eq(u.part, i < k ? i % t.head : 0);
			if (u.part)
				continue;
			at = ((u.g * t.n_i + u.i) * t.n_j + u.j) * t.n_l + u.l;
			ck_assert_uint_eq(seen[at]++, 0);
			k = i < k ? i / t.head : i - k + t.n_l;
			ck_assert(u.first == (k % t.n_l == 0));
			ck_assert(u.last ==
				  (k % t.n_l == t.n_l - 1 && u.parts == 1));
			/* A sum is not left before it is whole. */
			if (!u.first)
				ck_assert(u.i == last.i && u.j == last.j &&
					  u.g == last.g);
		}
		free(seen);
	}
}
END_TEST

/* Copies that the caches of a plan make. */
static void copies(const struct pst_cuda_tiles_problem *p,
		   const struct pst_cuda_tiles *t, uint64_t *ret_a,
		   uint64_t *ret_b)
{
	static struct pst_cuda_tile_cache a, b;
	struct pst_cuda_unit u;
	uint64_t i;
	bool hit;

	pst_cuda_tile_cache_init(&a, t->n_a);
	pst_cuda_tile_cache_init(&b, t->n_b);
	*ret_a = *ret_b = 0;
	for (i = 0; i < pst_cuda_tiles_count(t); i++) {
		pst_cuda_tiles_unit(t, i, &u);
		pst_cuda_tile_cache_get(&a, 1 + u.i * t->n_l + u.l, &hit);
		*ret_a += !hit;
		pst_cuda_tile_cache_get(&b, 1 + u.j * t->n_l + u.l, &hit);
		*ret_b += !hit;
	}
	(void)p;
}

START_TEST(what_fits_is_copied_once)
{
	struct pst_cuda_tiles_problem p = {
		.m = 8192,
		.n = 8192,
		.k = 8192,
		.batch = 1,
		.elem = 4,
		.elem_c = 4,
		.copy_a = true,
		.copy_b = true,
		.copy_c = true,
		.budget = 2ULL << 30,
		.max_flops = 5e11,
	};
	struct pst_cuda_tiles t;
	uint64_t a, b;

	ck_assert_int_eq(pst_cuda_tiles_plan(&p, &t), 0);
	/* Enough tiles that copies and computing overlap. */
	ck_assert_uint_ge(t.n_i * t.n_j, 16);
	copies(&p, &t, &a, &b);
	ck_assert_uint_eq(a, t.n_i * t.n_l);
	ck_assert_uint_eq(b, t.n_j * t.n_l);
	/* With less, A still once, and B at most once a row of tiles. */
	p.budget = 400ULL << 20;
	ck_assert_int_eq(pst_cuda_tiles_plan(&p, &t), 0);
	copies(&p, &t, &a, &b);
	ck_assert_uint_eq(a, t.n_i * t.n_l);
	ck_assert_uint_le(b, t.n_i * t.n_j * t.n_l);
	ck_assert_uint_lt(b, t.n_i * t.n_j * t.n_l / 2 + t.n_j * t.n_l);
}
END_TEST

START_TEST(the_tile_used_longest_ago_is_replaced)
{
	struct pst_cuda_tile_cache c;
	uint32_t one, two;
	bool hit;

	pst_cuda_tile_cache_init(&c, 2);
	one = pst_cuda_tile_cache_get(&c, 1, &hit);
	ck_assert(!hit);
	two = pst_cuda_tile_cache_get(&c, 2, &hit);
	ck_assert(!hit && one != two);
	ck_assert_uint_eq(pst_cuda_tile_cache_get(&c, 1, &hit), one);
	ck_assert(hit);
	ck_assert_uint_eq(pst_cuda_tile_cache_get(&c, 3, &hit), two);
	ck_assert(!hit);
	ck_assert_uint_eq(pst_cuda_tile_cache_get(&c, 1, &hit), one);
	ck_assert(hit);
}
END_TEST

/* Numbers as of a card on PCIe 4. */
static const struct pst_cuda_calibration card = {
	.h2d = 24e9,
	.d2h = 24e9,
	.mapped = 12e9,
	.launch_ns = 8000,
	.copy_ns = 10000,
	.device = 900e9,
	.flops = {[PST_CUDA_RATE_F32] = 20e12, [PST_CUDA_RATE_F64] = 0.3e12},
};

static struct pst_op product(uint32_t m, uint32_t n, uint32_t k)
{
	struct pst_op op = {
		.op = PST_WIRE_OP_GEMM,
		.dtype = PST_WIRE_F32,
		.dtype_c = PST_WIRE_F32,
		.m = m,
		.n = n,
		.k = k,
		.batch = 1,
		.alpha = 1,
	};

	op.a.size = 4ULL * m * k;
	op.b.size = 4ULL * k * n;
	op.c.size = 4ULL * m * n;
	return op;
}

START_TEST(small_and_thin_products_are_read_in_place)
{
	struct pst_op op = product(64, 64, 64);

	ck_assert_int_eq(
		pst_cuda_choose(&card, &op, true, PST_CUDA_STRATEGY_AUTO),
		PST_CUDA_STRATEGY_MAPPED);
	op = product(1, 1, 1);
	ck_assert_int_eq(
		pst_cuda_choose(&card, &op, true, PST_CUDA_STRATEGY_AUTO),
		PST_CUDA_STRATEGY_MAPPED);
}
END_TEST

START_TEST(large_products_are_pipelined)
{
	struct pst_op op = product(4096, 4096, 4096);

	ck_assert_int_eq(
		pst_cuda_choose(&card, &op, true, PST_CUDA_STRATEGY_AUTO),
		PST_CUDA_STRATEGY_PIPELINED);
	/* Even in place where it is forced. */
	ck_assert_int_eq(
		pst_cuda_choose(&card, &op, true, PST_CUDA_STRATEGY_MAPPED),
		PST_CUDA_STRATEGY_MAPPED);
}
END_TEST

START_TEST(what_lies_on_the_card_stays_there)
{
	struct pst_op op = product(4096, 4096, 4096);
	char tensor[1];

	op.a.mem = op.b.mem = op.c.mem = tensor;
	ck_assert_int_eq(
		pst_cuda_choose(&card, &op, true, PST_CUDA_STRATEGY_MAPPED),
		PST_CUDA_STRATEGY_RESIDENT);
	ck_assert_int_eq(
		pst_cuda_choose(&card, &op, false, PST_CUDA_STRATEGY_AUTO),
		PST_CUDA_STRATEGY_RESIDENT);
	/* One operand in the region, and no mapping of it. */
	op.b.mem = NULL;
	ck_assert_int_eq(
		pst_cuda_choose(&card, &op, false, PST_CUDA_STRATEGY_MAPPED),
		PST_CUDA_STRATEGY_PIPELINED);
}
END_TEST

START_TEST(overlap_makes_the_pipeline_cheaper_than_its_parts)
{
	const struct pst_op op = product(8192, 8192, 8192);
	const double in = 2 * 4.0 * 8192 * 8192 / 24e9 * 1e9;
	const double out = 4.0 * 8192 * 8192 / 24e9 * 1e9;
	const double work = 2.0 * 8192 * 8192 * 8192 / 20e12 * 1e9;

	ck_assert(pst_cuda_cost_pipelined(&card, &op) < in + out + work);
	ck_assert(pst_cuda_cost_pipelined(&card, &op) > work);
}
END_TEST

START_TEST(strategies_have_names)
{
	enum pst_cuda_strategy s;

	ck_assert_int_eq(pst_cuda_strategy_parse("pipelined", &s), 0);
	ck_assert_int_eq(s, PST_CUDA_STRATEGY_PIPELINED);
	ck_assert_int_eq(pst_cuda_strategy_parse("whole", &s), 0);
	ck_assert_int_eq(s, PST_CUDA_STRATEGY_WHOLE);
	ck_assert_int_eq(pst_cuda_strategy_parse("resident", &s), -EINVAL);
	ck_assert_int_eq(pst_cuda_strategy_parse("", &s), -EINVAL);
}
END_TEST

static void add_tests(TCase *tc)
{
	tcase_add_test(tc, plans_fit_the_memory_and_cover_the_product);
	tcase_add_test(tc, a_product_too_large_for_the_memory_is_refused);
	tcase_add_test(tc, every_part_of_every_tile_is_done_once_and_in_order);
	tcase_add_test(tc, what_fits_is_copied_once);
	tcase_add_test(tc, the_tile_used_longest_ago_is_replaced);
	tcase_add_test(tc, small_and_thin_products_are_read_in_place);
	tcase_add_test(tc, large_products_are_pipelined);
	tcase_add_test(tc, what_lies_on_the_card_stays_there);
	tcase_add_test(tc, overlap_makes_the_pipeline_cheaper_than_its_parts);
	tcase_add_test(tc, strategies_have_names);
}

int main(void)
{
	return pst_unit_run("cuda plans", add_tests, 60);
}
