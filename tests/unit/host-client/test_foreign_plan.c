/* SPDX-License-Identifier: MIT */
/* Plans for operands outside the region: they fit, and copy little. */
#include <errno.h>
#include <string.h>

#include "host-client/lib/gemm/fastcopy.h"
#include "host-client/lib/gemm/foreign_plan.h"
#include "tests/fixtures/unit.h"

#define MIB (1ULL << 20)

static struct pst_foreign_job job_of(uint64_t m, uint64_t n, uint64_t k)
{
	return (struct pst_foreign_job){
		.m = m,
		.n = n,
		.k = k,
		.batch = 1,
		.elem_ab = 4,
		.elem_c = 4,
		.elem_sum = 4,
		.copy_a = true,
		.copy_b = true,
		.copy_c = true,
		.max_dim = UINT32_MAX,
	};
}

START_TEST(every_plan_fits_its_budget_and_its_job)
{
	static const uint64_t sides[] = {1, 63, 64, 777, 4096, 100000, 1 << 24};
	static const uint64_t budgets[] = {MIB / 4, MIB, 48 * MIB, 1024 * MIB};
	const uint64_t n_sides = PST_ARRAY_SIZE(sides);
	struct pst_foreign_plan p;
	struct pst_foreign_job job;
	uint64_t i, b;
	int r;

	for (i = 0; i < n_sides * n_sides * n_sides * 8; i++)
		for (b = 0; b < PST_ARRAY_SIZE(budgets); b++) {
			job = job_of(sides[i / 8 % n_sides],
				     sides[i / 8 / n_sides % n_sides],
				     sides[i / 8 / n_sides / n_sides]);
			job.copy_a = i & 1;
			job.copy_b = i & 2;
			job.elem_ab = i & 4 ? 2 : 8;
			job.elem_c = job.elem_ab;
			job.elem_sum = i & 4 ? 4 : 8;
			r = pst_foreign_plan(&job, budgets[b], &p);
			/* 64 x 64 x 64 of each, twice, fits in 256 KiB. */
			ck_assert_int_eq(r, 0);
			ck_assert_uint_le(p.total, budgets[b]);
			ck_assert(p.m >= 1 && p.m <= job.m);
			ck_assert(p.n >= 1 && p.n <= job.n);
			ck_assert(p.k >= 1 && p.k <= job.k);
			ck_assert_uint_eq(p.slots_a > 0, job.copy_a);
			ck_assert_uint_eq(p.elem_c, p.k < job.k ? job.elem_sum
								: job.elem_c);
		}
}
END_TEST

START_TEST(no_piece_is_longer_than_the_agent_takes)
{
	static const uint64_t sides[] = {1, 999, 1000, 1001, 70000, 1 << 25};
	const uint64_t n = PST_ARRAY_SIZE(sides);
	struct pst_foreign_plan p;
	struct pst_foreign_job job;
	uint64_t i;

	for (i = 0; i < n * n * n; i++) {
		job = job_of(sides[i % n], sides[i / n % n], sides[i / n / n]);
		job.max_dim = 1000;
		ck_assert_int_eq(pst_foreign_plan(&job, MIB, &p), 0);
		ck_assert(p.m <= 1000 && p.n <= 1000 && p.k <= 1000);
		ck_assert_uint_le(p.total, MIB);
	}
}
END_TEST

/* Beside tensors: sides that are whole, or no plan at all. */
START_TEST(sides_of_tensors_are_not_cut)
{
	struct pst_foreign_job job = job_of(9000, 700, 3000);
	struct pst_foreign_plan p;
	unsigned int v;
	int r;

	for (v = 1; v < 8; v++) {
		job.whole_m = v & 1;
		job.whole_n = v & 2;
		job.whole_k = v & 4;
		r = pst_foreign_plan(&job, 48 * MIB, &p);
		ck_assert_int_eq(r, v & 1 ? -ENOSPC : 0);
		if (r < 0)
			continue;
		ck_assert_uint_le(p.total, 48 * MIB);
		ck_assert(!job.whole_n || p.n == job.n);
		ck_assert_uint_eq(p.k, job.k);
		/* Room for all: nothing is cut for want of it. */
		ck_assert_int_eq(pst_foreign_plan(&job, 1024 * MIB, &p), 0);
	}
	job.copy_a = false;
	job.whole_m = job.whole_k = true;
	job.whole_n = false;
	ck_assert_int_eq(pst_foreign_plan(&job, 48 * MIB, &p), 0);
	ck_assert(p.m == job.m && p.k == job.k && p.n < job.n);
}
END_TEST

START_TEST(small_products_are_copied_whole)
{
	struct pst_foreign_job job = job_of(64, 64, 64);
	struct pst_foreign_plan p;

	ck_assert_int_eq(pst_foreign_plan(&job, 64 * MIB, &p), 0);
	ck_assert(p.m == 64 && p.n == 64 && p.k == 64);
	ck_assert_uint_eq(p.total, 3 * 64 * 64 * 4);
	job.batch = 100; /* the next one is copied while this one computes */
	ck_assert_int_eq(pst_foreign_plan(&job, 64 * MIB, &p), 0);
	ck_assert_uint_eq(p.slots_a, 2);
}
END_TEST

START_TEST(what_fits_is_copied_once_and_in_parts)
{
	struct pst_foreign_job job = job_of(1024, 1024, 1024);
	struct pst_foreign_plan p;

	ck_assert_int_eq(pst_foreign_plan(&job, 64 * MIB, &p), 0);
	ck_assert_uint_eq(pst_foreign_traffic(&job, &p), 8 * MIB);
	ck_assert_uint_eq(p.k, 1024);
	ck_assert_uint_le(p.m, 256);
}
END_TEST

/* The case of eight arenas: A and B are copied four times, not n / 64 times. */
START_TEST(what_does_not_fit_is_copied_few_times)
{
	struct pst_foreign_job job = job_of(6689, 6689, 6689);
	struct pst_foreign_plan p;

	ck_assert_int_eq(pst_foreign_plan(&job, 48 * MIB, &p), 0);
	ck_assert_uint_le(pst_foreign_traffic(&job, &p),
			  5 * 2 * 6689ULL * 6689 * 4);
	ck_assert_uint_lt(p.k, 6689);
}
END_TEST

START_TEST(a_budget_below_the_smallest_pieces_is_refused)
{
	struct pst_foreign_job job = job_of(1000, 1000, 1000);
	struct pst_foreign_plan p;

	ck_assert_int_eq(pst_foreign_plan(&job, 4096, &p), -ENOSPC);
	job = job_of(5, 5, 0);
	ck_assert_int_eq(pst_foreign_plan(&job, 4096, &p), 0);
}
END_TEST

START_TEST(every_way_of_copying_copies_just_that)
{
	static const uint64_t lengths[] = {0, 1, 63, 64, 1000, 4096, 70001};
	static uint8_t src[100000], dst[100000];
	enum pst_fastcopy_how how;
	uint64_t i, from, to;

	for (i = 0; i < sizeof(src); i++)
		src[i] = (uint8_t)(i * 31 + (i >> 8));
	for (how = 0; how < PST_N_FASTCOPY; how++)
		for (i = 0; i < PST_ARRAY_SIZE(lengths) * 9; i++) {
			from = i % 9;
			to = 64 + i * 5 % 67;
			memset(dst, 0xee, sizeof(dst));
			pst_fastcopy_with(how, dst + to, src + from,
					  lengths[i / 9]);
			ck_assert_mem_eq(dst + to, src + from, lengths[i / 9]);
			ck_assert_uint_eq(dst[to - 1], 0xee);
			ck_assert_uint_eq(dst[to + lengths[i / 9]], 0xee);
		}
	ck_assert_int_eq(pst_fastcopy_choose(1000), PST_FASTCOPY_MEMCPY);
	ck_assert_int_lt(pst_fastcopy_choose(64 * MIB), PST_N_FASTCOPY);
}
END_TEST

START_TEST(lines_keep_what_is_between_them)
{
	static uint8_t src[3000 * 20], dst[2500 * 20];
	uint64_t i, j;

	for (i = 0; i < sizeof(src); i++)
		src[i] = (uint8_t)(i * 13 + (i >> 9));
	memset(dst, 0xee, sizeof(dst));
	pst_fastcopy_lines(dst, 2500, src, 3000, 2001, 20);
	for (i = 0; i < 20; i++) {
		ck_assert_mem_eq(dst + i * 2500, src + i * 3000, 2001);
		for (j = 2001; j < 2500; j++)
			ck_assert_uint_eq(dst[i * 2500 + j], 0xee);
	}
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, every_plan_fits_its_budget_and_its_job);
	tcase_add_test(tc, no_piece_is_longer_than_the_agent_takes);
	tcase_add_test(tc, sides_of_tensors_are_not_cut);
	tcase_add_test(tc, small_products_are_copied_whole);
	tcase_add_test(tc, what_fits_is_copied_once_and_in_parts);
	tcase_add_test(tc, what_does_not_fit_is_copied_few_times);
	tcase_add_test(tc, a_budget_below_the_smallest_pieces_is_refused);
	tcase_add_test(tc, every_way_of_copying_copies_just_that);
	tcase_add_test(tc, lines_keep_what_is_between_them);
}

int main(void)
{
	return pst_unit_run("foreign_plan", add, 60);
}
