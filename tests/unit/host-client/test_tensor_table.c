/* SPDX-License-Identifier: MIT */
/* The library's table of tensors: ids, sessions, what was freed. */
#include <errno.h>

#include "host-client/lib/plain/tensor_table.h"
#include "tests/fixtures/unit.h"

static struct pst_tensor_table t;

static void teardown(void)
{
	pst_tensor_table_done(&t);
}

static uint64_t put(uint64_t serial, uint64_t handle)
{
	uint64_t id = 0;

	ck_assert_int_eq(pst_tensor_table_add(&t, serial, handle, 5, &id), 0);
	ck_assert(id != 0);
	return id;
}

START_TEST(an_entry_is_found_by_its_id_and_by_its_sessions_handle)
{
	uint64_t a = put(1, 77), b = put(2, 77);

	ck_assert_uint_ne(a, b);
	ck_assert_ptr_eq(pst_tensor_table_find(&t, a),
			 pst_tensor_table_by_handle(&t, 1, 77));
	ck_assert_ptr_eq(pst_tensor_table_find(&t, b),
			 pst_tensor_table_by_handle(&t, 2, 77));
	ck_assert_ptr_null(pst_tensor_table_by_handle(&t, 3, 77));
	ck_assert_ptr_null(pst_tensor_table_by_handle(&t, 1, 78));
	ck_assert_uint_eq(pst_tensor_table_find(&t, a)->size, 5);
}
END_TEST

START_TEST(ids_that_never_were_are_not_found)
{
	uint64_t id = put(1, 7);

	ck_assert_ptr_null(pst_tensor_table_find(&t, 0));
	ck_assert_ptr_null(pst_tensor_table_find(&t, id + 1));
	ck_assert_ptr_null(pst_tensor_table_find(&t, id + (1ULL << 32)));
	ck_assert_ptr_null(pst_tensor_table_find(&t, id & UINT32_MAX));
	ck_assert_ptr_null(pst_tensor_table_find(&t, UINT64_MAX));
	/* Free places have no id and no handle. */
	ck_assert_ptr_null(pst_tensor_table_by_handle(&t, 0, 0));
}
END_TEST

START_TEST(a_place_is_used_again_under_another_id)
{
	uint64_t id = put(1, 7), again;

	pst_tensor_table_remove(&t, pst_tensor_table_find(&t, id));
	ck_assert_ptr_null(pst_tensor_table_find(&t, id));
	again = put(1, 8);
	ck_assert_uint_eq((uint32_t)again, (uint32_t)id);
	ck_assert_ptr_null(pst_tensor_table_find(&t, id));
	ck_assert_ptr_nonnull(pst_tensor_table_find(&t, again));
}
END_TEST

START_TEST(what_is_freed_is_found_by_handle_only_and_counted)
{
	uint64_t id = put(1, 7);

	pst_tensor_table_free(&t, pst_tensor_table_find(&t, id));
	ck_assert_uint_eq(t.n_freed, 1);
	ck_assert_ptr_null(pst_tensor_table_find(&t, id));
	ck_assert_ptr_nonnull(pst_tensor_table_by_handle(&t, 1, 7));
	pst_tensor_table_remove(&t, pst_tensor_table_by_handle(&t, 1, 7));
	ck_assert_uint_eq(t.n_freed, 0);
	ck_assert_ptr_null(pst_tensor_table_by_handle(&t, 1, 7));
}
END_TEST

START_TEST(places_stay_when_the_table_grows)
{
	uint64_t id[1000];
	uint32_t place[1000], i;

	for (i = 0; i < 1000; i++) {
		id[i] = put(1, i + 1);
		place[i] = pst_tensor_table_place(
			&t, pst_tensor_table_find(&t, id[i]));
	}
	for (i = 0; i < 1000; i++) {
		ck_assert_uint_eq(t.entry[place[i]].id, id[i]);
		ck_assert_uint_eq(t.entry[place[i]].handle, i + 1);
	}
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_add_test(tc,
		       an_entry_is_found_by_its_id_and_by_its_sessions_handle);
	tcase_add_test(tc, ids_that_never_were_are_not_found);
	tcase_add_test(tc, a_place_is_used_again_under_another_id);
	tcase_add_test(tc, what_is_freed_is_found_by_handle_only_and_counted);
	tcase_add_test(tc, places_stay_when_the_table_grows);
}

int main(void)
{
	return pst_unit_run("tensor_table", add, 10);
}
