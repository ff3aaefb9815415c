/* SPDX-License-Identifier: MIT */
/* Buffers inside extents: fit, alignment, coalescing, lookup. */
#include <errno.h>
#include <string.h>

#include "host-client/lib/plain/heap.h"
#include "tests/fixtures/unit.h"
#include "transport/wire.h"

#define MIB (1ULL << 20)

static struct pst_heap heap;
/* Addresses only: the heap never touches what it hands out. */
static uint8_t *const base = (uint8_t *)(uintptr_t)(1ULL << 40);

static void setup(void)
{
	memset(&heap, 0, sizeof(heap));
}

static void teardown(void)
{
	pst_heap_done(&heap);
}

static void add_extent(uint64_t at, uint64_t off, uint64_t size)
{
	const struct pst_span s = {.off = off, .size = size};

	ck_assert_int_eq(pst_heap_add(&heap, base + at, &s), 0);
}

static struct pst_block *get(uint64_t size)
{
	struct pst_block *b = NULL;

	ck_assert_int_eq(pst_heap_alloc(&heap, size, &b), 0);
	return b;
}

START_TEST(blocks_are_aligned_and_do_not_overlap)
{
	struct pst_block *a, *b, *c;

	add_extent(0, 2 * MIB, 2 * MIB);
	a = get(1);
	b = get(65);
	c = get(PST_HEAP_PAGE_FROM);
	ck_assert_ptr_eq(pst_block_addr(a), base);
	ck_assert_ptr_eq(pst_block_addr(b), base + 64);
	ck_assert_uint_eq((uintptr_t)pst_block_addr(c) % PST_HEAP_PAGE, 0);
	/* The gap before c is used. */
	ck_assert_ptr_eq(pst_block_addr(get(64)), base + 192);
}
END_TEST

START_TEST(an_extent_takes_a_block_of_its_own_size)
{
	struct pst_block *b;

	add_extent(0, 2 * MIB, 2 * MIB);
	b = get(2 * MIB);
	ck_assert_int_eq(pst_heap_alloc(&heap, 1, &b), -ENOSPC);
}
END_TEST

START_TEST(nothing_fits_where_there_is_no_extent)
{
	struct pst_block *b;

	ck_assert_int_eq(pst_heap_alloc(&heap, 1, &b), -ENOSPC);
	add_extent(0, 2 * MIB, 2 * MIB);
	ck_assert_int_eq(pst_heap_alloc(&heap, 2 * MIB + 1, &b), -ENOSPC);
	ck_assert_int_eq(pst_heap_alloc(&heap, UINT64_MAX, &b), -ENOSPC);
}
END_TEST

START_TEST(freed_room_grows_together_whatever_the_order)
{
	static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
					 {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
	struct pst_heap_extent *empty;
	struct pst_block *b[3];
	int i, k;

	add_extent(0, 2 * MIB, 2 * MIB);
	for (i = 0; i < 6; i++) {
		for (k = 0; k < 3; k++)
			b[k] = get(512 << 10);
		for (k = 0; k < 3; k++) {
			empty = pst_heap_free(&heap, b[orders[i][k]]);
			ck_assert_int_eq(empty != NULL, k == 2);
		}
		ck_assert_uint_eq(heap.extents[0]->n_spans, 1);
		pst_heap_free(&heap, get(2 * MIB));
	}
}
END_TEST

START_TEST(a_pointer_finds_its_block_and_no_more_than_it)
{
	struct pst_block *a, *b, *c;

	/* In no order of addresses, with a hole between. */
	add_extent(8 * MIB, 2 * MIB, 2 * MIB);
	add_extent(0, 4 * MIB, 2 * MIB);
	a = get(100);
	b = get(100);
	ck_assert_ptr_eq(pst_block_addr(a), base);
	c = get(2 * MIB);
	ck_assert_ptr_eq(pst_block_addr(c), base + 8 * MIB);
	ck_assert_ptr_eq(pst_heap_find(&heap, base, 100), a);
	ck_assert_ptr_eq(pst_heap_find(&heap, base + 99, 1), a);
	ck_assert_ptr_eq(pst_heap_find(&heap, base + 99, 0), a);
	ck_assert_ptr_null(pst_heap_find(&heap, base + 99, 2));
	ck_assert_ptr_null(pst_heap_find(&heap, base + 50, UINT64_MAX));
	/* Padding belongs to nobody. */
	ck_assert_ptr_null(pst_heap_find(&heap, base + 100, 0));
	ck_assert_ptr_eq(pst_heap_find(&heap, base + 128, 1), b);
	ck_assert_ptr_null(pst_heap_find(&heap, base - 1, 1));
	ck_assert_ptr_null(pst_heap_find(&heap, base + 2 * MIB, 1));
	ck_assert_ptr_eq(pst_heap_find(&heap, base + 9 * MIB, MIB), c);
	ck_assert_ptr_null(pst_heap_find(&heap, base + 9 * MIB, MIB + 1));
	ck_assert_ptr_null(pst_heap_find(&heap, NULL, 0));
	a->freed = true;
	ck_assert_ptr_null(pst_heap_find(&heap, base, 1));
}
END_TEST

START_TEST(what_is_leased_already_is_not_added_again)
{
	const struct pst_span s = {.off = 3 * MIB, .size = 2 * MIB};

	add_extent(0, 2 * MIB, 2 * MIB);
	ck_assert_int_eq(pst_heap_add(&heap, base + 8 * MIB, &s), -EPROTO);
	ck_assert_uint_eq(heap.leased, 2 * MIB);
	/* A dead session's extent is no longer in the region. */
	heap.extents[0]->dead = true;
	ck_assert_int_eq(pst_heap_add(&heap, base + 8 * MIB, &s), 0);
}
END_TEST

START_TEST(a_dead_extent_gives_no_room)
{
	struct pst_block *b;

	add_extent(0, 2 * MIB, 2 * MIB);
	b = get(64);
	heap.extents[0]->dead = true;
	ck_assert_ptr_eq(pst_heap_find(&heap, base, 64), b);
	ck_assert_int_eq(pst_heap_alloc(&heap, 64, &b), -ENOSPC);
}
END_TEST

/* A byte map says what every block may occupy. */
START_TEST(random_allocations_never_overlap_and_all_room_returns)
{
	static struct pst_block *live[300];
	static uint8_t map[2 * MIB / 64];
	unsigned int seed = 1, i, k, n;
	uint64_t size, taken, u;

	add_extent(0, 2 * MIB, 2 * MIB);
	for (i = 0; i < 20000; i++) {
		k = (unsigned int)rand_r(&seed) % PST_ARRAY_SIZE(live);
		if (live[k]) {
			n = (unsigned int)(live[k]->room / 64);
			memset(map + live[k]->off / 64, 0, n);
			pst_heap_free(&heap, live[k]);
			live[k] = NULL;
			continue;
		}
		size = 1 + (uint64_t)rand_r(&seed) % 20000;
		if (pst_heap_alloc(&heap, size, &live[k]) < 0) {
			live[k] = NULL;
			continue;
		}
		/* ck_assert() is slow: once a block. */
		for (u = 0, taken = 0; u < live[k]->room / 64; u++)
			taken += map[live[k]->off / 64 + u]++;
		ck_assert_uint_eq(taken, 0);
		ck_assert_uint_le(live[k]->off + live[k]->room, 2 * MIB);
		ck_assert_ptr_eq(
			pst_heap_find(&heap, pst_block_addr(live[k]), size),
			live[k]);
	}
	for (k = 0; k < PST_ARRAY_SIZE(live); k++)
		if (live[k])
			pst_heap_free(&heap, live[k]);
	ck_assert_uint_eq(heap.extents[0]->n_spans, 1);
	ck_assert_uint_eq(heap.extents[0]->spans[0].size, 2 * MIB);
	pst_heap_remove(&heap, heap.extents[0]);
	ck_assert_uint_eq(heap.leased, 0);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, blocks_are_aligned_and_do_not_overlap);
	tcase_add_test(tc, an_extent_takes_a_block_of_its_own_size);
	tcase_add_test(tc, nothing_fits_where_there_is_no_extent);
	tcase_add_test(tc, freed_room_grows_together_whatever_the_order);
	tcase_add_test(tc, a_pointer_finds_its_block_and_no_more_than_it);
	tcase_add_test(tc, what_is_leased_already_is_not_added_again);
	tcase_add_test(tc, a_dead_extent_gives_no_room);
	tcase_add_test(tc,
		       random_allocations_never_overlap_and_all_room_returns);
}

int main(void)
{
	return pst_unit_run("heap", add, 10);
}
