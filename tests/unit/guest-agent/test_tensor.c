/* SPDX-License-Identifier: MIT */
/* The table of resident tensors: handles, owners, quotas, quarantine. */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "guest-agent/exec/tensor.h"
#include "tests/fixtures/unit.h"

#define MAX_BYTES 1000U
#define MAX_N     100U

struct pst_backend {
	int n_alloc;
	int n_release;
	bool full;
};

static struct pst_backend backend;
static struct pst_agent_tensors *t;
static struct pst_error err;

static int fake_alloc(struct pst_backend *b, uint64_t size, void **ret,
		      struct pst_error *e)
{
	if (b->full)
		return pst_error_set(e, -ENOMEM, "7 bytes are free");
	b->n_alloc++;
	*ret = malloc(1);
	return 0;
}

static void fake_release(struct pst_backend *b, void *mem)
{
	b->n_release++;
	free(mem);
}

static const struct pst_backend_ops ops = {
	.name = "fake",
	.alloc = fake_alloc,
	.release = fake_release,
};

static void setup(void)
{
	memset(&backend, 0, sizeof(backend));
	memset(&err, 0, sizeof(err));
	ck_assert_int_eq(
		pst_agent_tensors_new(&ops, &backend, MAX_BYTES, MAX_N, &t), 0);
}

static void teardown(void)
{
	pst_agent_tensors_free(t);
	ck_assert_int_eq(backend.n_alloc, backend.n_release);
}

static uint64_t create(uint64_t owner, uint64_t size)
{
	uint64_t h = 0;

	ck_assert_int_eq(pst_agent_tensor_create(t, owner, size, &h, &err), 0);
	ck_assert(h != 0);
	return h;
}

static int find(uint64_t owner, uint64_t handle)
{
	uint64_t size;
	void *mem;

	return pst_agent_tensor_find(t, owner, handle, &mem, &size);
}

START_TEST(a_tensor_is_found_by_its_owner_only)
{
	uint64_t h = create(1, 10), size = 0;
	void *mem = NULL;

	ck_assert_int_eq(pst_agent_tensor_find(t, 1, h, &mem, &size), 0);
	ck_assert_ptr_nonnull(mem);
	ck_assert_uint_eq(size, 10);
	ck_assert_int_eq(find(2, h), -ENOENT);
	ck_assert_int_eq(find(0, h), -ENOENT);
	ck_assert_int_eq(pst_agent_tensor_destroy(t, 2, h, 0), -ENOENT);
	ck_assert_int_eq(pst_agent_tensor_take(t, 2, h, &mem, &size), -ENOENT);
	ck_assert_int_eq(find(1, h), 0);
}
END_TEST

START_TEST(handles_that_never_were_are_not_found)
{
	uint64_t h = create(1, 10);

	ck_assert_int_eq(find(1, 0), -ENOENT);
	ck_assert_int_eq(find(1, h & UINT32_MAX), -ENOENT);
	ck_assert_int_eq(find(1, h & ~(uint64_t)UINT32_MAX), -ENOENT);
	ck_assert_int_eq(find(1, h + 1), -ENOENT);
	ck_assert_int_eq(find(1, h + (1ULL << 32)), -ENOENT);
	ck_assert_int_eq(find(1, UINT64_MAX), -ENOENT);
}
END_TEST

START_TEST(a_place_is_used_again_under_another_generation)
{
	uint64_t h = create(1, 10), again;

	ck_assert_int_eq(pst_agent_tensor_destroy(t, 1, h, 0), 0);
	pst_agent_tensors_settle(t, 1, UINT64_MAX);
	again = create(1, 10);
	ck_assert_uint_eq((uint32_t)again, (uint32_t)h);
	ck_assert(again > h);
	ck_assert_int_eq(find(1, h), -ENOENT);
	ck_assert_int_eq(pst_agent_tensor_destroy(t, 1, h, 0), -ENOENT);
	ck_assert_int_eq(find(1, again), 0);
}
END_TEST

START_TEST(a_destroyed_tensor_keeps_its_memory_until_it_settles)
{
	struct pst_agent_tensor_usage u;
	uint64_t h = create(1, 10), other = create(2, 20);

	ck_assert_int_eq(pst_agent_tensor_destroy(t, 1, h, 0), 0);
	ck_assert_int_eq(pst_agent_tensor_destroy(t, 1, h, 0), -ENOENT);
	ck_assert_int_eq(pst_agent_tensor_destroy(t, 2, other, 0), 0);
	ck_assert_int_eq(find(1, h), -ENOENT);
	ck_assert_int_eq(backend.n_release, 0);
	pst_agent_tensors_usage(t, 1, &u);
	ck_assert_uint_eq(u.bytes, 0);
	ck_assert_uint_eq(u.n, 0);
	ck_assert_uint_eq(u.quarantined_bytes, 10);
	ck_assert_uint_eq(u.quarantined_n, 1);
	pst_agent_tensors_settle(t, 1, UINT64_MAX);
	ck_assert_int_eq(backend.n_release, 1);
	pst_agent_tensors_usage(t, 0, &u);
	ck_assert_uint_eq(u.quarantined_bytes, 20);
	pst_agent_tensors_settle(t, 2, UINT64_MAX);
	pst_agent_tensors_usage(t, 0, &u);
	ck_assert_uint_eq(u.quarantined_bytes, 0);
}
END_TEST

START_TEST(each_tensor_waits_for_what_began_before_its_end)
{
	uint64_t h = create(1, 10), other = create(1, 20);

	ck_assert_int_eq(pst_agent_tensor_destroy(t, 1, other, 5), 0);
	ck_assert_int_eq(pst_agent_tensor_destroy(t, 1, h, 7), 0);
	ck_assert(pst_agent_tensors_settle(t, 1, 5));
	ck_assert_int_eq(backend.n_release, 0);
	ck_assert(pst_agent_tensors_settle(t, 1, 6));
	ck_assert_int_eq(backend.n_release, 1);
	ck_assert(pst_agent_tensors_settle(t, 1, 7));
	ck_assert(!pst_agent_tensors_settle(t, 1, 8));
	ck_assert_int_eq(backend.n_release, 2);
	ck_assert(!pst_agent_tensors_settle(t, 1, 0));
}
END_TEST

START_TEST(a_live_tensor_does_not_settle)
{
	uint64_t h = create(1, 10);

	pst_agent_tensors_settle(t, 1, UINT64_MAX);
	ck_assert_int_eq(backend.n_release, 0);
	ck_assert_int_eq(find(1, h), 0);
}
END_TEST

START_TEST(bytes_are_limited_for_each_session)
{
	uint64_t h;

	create(1, MAX_BYTES);
	ck_assert_int_eq(pst_agent_tensor_create(t, 1, 1, &h, &err), -ENOSPC);
	ck_assert_ptr_nonnull(strstr(err.text, "--max-tensor-bytes"));
	ck_assert_int_eq(pst_agent_tensor_create(t, 2, MAX_BYTES + 1, &h, &err),
			 -EMSGSIZE);
	ck_assert_int_eq(pst_agent_tensor_create(t, 2, UINT64_MAX, &h, &err),
			 -EMSGSIZE);
	create(2, MAX_BYTES);
}
END_TEST

START_TEST(the_number_is_limited_for_each_session)
{
	uint64_t h;
	unsigned int i;

	for (i = 0; i < MAX_N; i++)
		create(1, 1);
	ck_assert_int_eq(pst_agent_tensor_create(t, 1, 1, &h, &err), -ENOSPC);
	ck_assert_ptr_nonnull(strstr(err.text, "--max-tensors"));
	create(2, 1);
}
END_TEST

START_TEST(what_is_in_quarantine_counts_and_one_is_told_to_try_again)
{
	uint64_t h = create(1, 600), x;

	create(1, 100);
	ck_assert_int_eq(pst_agent_tensor_destroy(t, 1, h, 0), 0);
	ck_assert_int_eq(pst_agent_tensor_create(t, 1, 400, &x, &err), -EBUSY);
	ck_assert_ptr_nonnull(strstr(err.text, "600 bytes of destroyed"));
	/* That would not fit in any case. */
	ck_assert_int_eq(pst_agent_tensor_create(t, 1, 901, &x, &err), -ENOSPC);
	pst_agent_tensors_settle(t, 1, UINT64_MAX);
	ck_assert_int_eq(pst_agent_tensor_create(t, 1, 900, &x, &err), 0);
}
END_TEST

START_TEST(quarantined_tensors_count_for_the_number_too)
{
	uint64_t h = create(1, 1), x;
	unsigned int i;

	for (i = 1; i < MAX_N; i++)
		create(1, 1);
	ck_assert_int_eq(pst_agent_tensor_destroy(t, 1, h, 0), 0);
	ck_assert_int_eq(pst_agent_tensor_create(t, 1, 1, &x, &err), -EBUSY);
	pst_agent_tensors_settle(t, 1, UINT64_MAX);
	create(1, 1);
}
END_TEST

START_TEST(bad_requests_and_a_full_backend_leave_nothing_behind)
{
	struct pst_agent_tensor_usage u;
	uint64_t h = 0;

	ck_assert_int_eq(pst_agent_tensor_create(t, 1, 0, &h, &err), -EINVAL);
	ck_assert_int_eq(pst_agent_tensor_create(t, 0, 1, &h, &err), -EINVAL);
	backend.full = true;
	ck_assert_int_eq(pst_agent_tensor_create(t, 1, 1, &h, &err), -ENOMEM);
	ck_assert_str_eq(err.text, "7 bytes are free");
	ck_assert_uint_eq(h, 0);
	pst_agent_tensors_usage(t, 0, &u);
	ck_assert_uint_eq(u.n, 0);
	backend.full = false;
	create(1, 1);
}
END_TEST

START_TEST(a_backend_without_memory_has_no_tensors)
{
	static const struct pst_backend_ops none = {.name = "none"};
	struct pst_agent_tensors *x;
	uint64_t h;

	ck_assert_int_eq(pst_agent_tensors_new(&none, &backend, 10, 10, &x), 0);
	ck_assert_int_eq(pst_agent_tensor_create(x, 1, 1, &h, &err),
			 -EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(err.text, "none backend"));
	pst_agent_tensors_free(x);
}
END_TEST

START_TEST(taken_memory_is_the_takers)
{
	uint64_t h = create(1, 10), size = 0;
	void *mem = NULL;

	ck_assert_int_eq(pst_agent_tensor_take(t, 1, h, &mem, &size), 0);
	ck_assert_uint_eq(size, 10);
	ck_assert_int_eq(find(1, h), -ENOENT);
	ck_assert_int_eq(pst_agent_tensor_take(t, 1, h, &mem, &size), -ENOENT);
	pst_agent_tensors_release_owner(t, 1);
	pst_agent_tensors_settle(t, 1, UINT64_MAX);
	ck_assert_int_eq(backend.n_release, 0);
	/* Its bytes count no more. */
	create(1, MAX_BYTES);
	fake_release(&backend, mem);
}
END_TEST

START_TEST(a_session_that_ends_gives_everything_back)
{
	struct pst_agent_tensor_usage u;
	uint64_t kept = create(2, 5);

	create(1, 10);
	create(1, 20);
	pst_agent_tensors_release_owner(t, 1);
	pst_agent_tensors_usage(t, 1, &u);
	ck_assert_uint_eq(u.n, 0);
	ck_assert_uint_eq(u.quarantined_bytes, 30);
	pst_agent_tensors_settle(t, 1, UINT64_MAX);
	ck_assert_int_eq(backend.n_release, 2);
	ck_assert_int_eq(find(2, kept), 0);
}
END_TEST

START_TEST(a_list_goes_on_behind_a_handle_and_shows_own_ones_only)
{
	struct pst_wire_tensor list[4];
	uint64_t h[3];

	h[0] = create(1, 10);
	create(2, 99);
	h[1] = create(1, 20);
	/* The freed place 1 makes handle order differ from place order. */
	ck_assert_int_eq(pst_agent_tensor_destroy(t, 1, h[0], 0), 0);
	pst_agent_tensors_settle(t, 1, UINT64_MAX);
	h[2] = create(1, 30);
	ck_assert((uint32_t)h[2] < (uint32_t)h[1]);
	ck_assert_int_eq(pst_agent_tensor_list(t, 1, 0, list, 4), 2);
	ck_assert_uint_eq(list[0].handle, h[1]);
	ck_assert_uint_eq(list[0].size, 20);
	ck_assert_uint_eq(list[1].handle, h[2]);
	ck_assert_int_eq(pst_agent_tensor_list(t, 1, 0, list, 1), 1);
	ck_assert_uint_eq(list[0].handle, h[1]);
	ck_assert_int_eq(pst_agent_tensor_list(t, 1, h[1], list, 4), 1);
	ck_assert_uint_eq(list[0].handle, h[2]);
	ck_assert_int_eq(pst_agent_tensor_list(t, 1, h[2], list, 4), 0);
	ck_assert_int_eq(pst_agent_tensor_list(t, 3, 0, list, 4), 0);
	ck_assert_int_eq(pst_agent_tensor_list(t, 0, 0, list, 4), 0);
}
END_TEST

START_TEST(the_table_grows)
{
	uint64_t h[MAX_N], other[MAX_N];
	unsigned int i;

	for (i = 0; i < MAX_N; i++) {
		h[i] = create(1, 1 + i % 5);
		other[i] = create(2, 1);
	}
	for (i = 0; i < MAX_N; i++) {
		ck_assert_int_eq(find(1, h[i]), 0);
		ck_assert_int_eq(find(2, other[i]), 0);
	}
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_tensor_is_found_by_its_owner_only);
	tcase_add_test(tc, handles_that_never_were_are_not_found);
	tcase_add_test(tc, a_place_is_used_again_under_another_generation);
	tcase_add_test(tc,
		       a_destroyed_tensor_keeps_its_memory_until_it_settles);
	tcase_add_test(tc, each_tensor_waits_for_what_began_before_its_end);
	tcase_add_test(tc, a_live_tensor_does_not_settle);
	tcase_add_test(tc, bytes_are_limited_for_each_session);
	tcase_add_test(tc, the_number_is_limited_for_each_session);
	tcase_add_test(
		tc, what_is_in_quarantine_counts_and_one_is_told_to_try_again);
	tcase_add_test(tc, quarantined_tensors_count_for_the_number_too);
	tcase_add_test(tc,
		       bad_requests_and_a_full_backend_leave_nothing_behind);
	tcase_add_test(tc, a_backend_without_memory_has_no_tensors);
	tcase_add_test(tc, taken_memory_is_the_takers);
	tcase_add_test(tc, a_session_that_ends_gives_everything_back);
	tcase_add_test(tc,
		       a_list_goes_on_behind_a_handle_and_shows_own_ones_only);
	tcase_add_test(tc, the_table_grows);
}

int main(void)
{
	return pst_unit_run("tensor", add, 10);
}
