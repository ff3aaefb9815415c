/* SPDX-License-Identifier: MIT */
/* Files of models on their way: each session's share of them, and the limit
 * that counts their bytes. */
#include <errno.h>
#include <unistd.h>

#include "guest-agent/exec/staged.h"
#include "tests/fixtures/unit.h"

#define MAX_BYTES (1U << 20)

static struct pst_agent_models *models;
static struct pst_agent_staged staged;
static struct pst_error err;

static void setup(void)
{
	static const struct pst_backend_ops ops = {.name = "fake"};
	const struct pst_agent_models_config config = {
		.ops = &ops,
		.max_models = 1,
		.max_bytes = MAX_BYTES,
	};

	ck_assert_int_eq(pst_agent_models_new(&config, &models), 0);
	staged = (struct pst_agent_staged){.models = models};
}

static void teardown(void)
{
	pst_agent_models_free(models);
}

static int add(uint64_t owner, uint64_t size, uint64_t *ret_handle)
{
	return pst_agent_staged_add(&staged, owner, size, ret_handle, &err);
}

START_TEST(a_session_that_brings_all_it_may_leaves_all_others_their_share)
{
	uint64_t owner, handle;
	uint32_t i;

	for (owner = 1; owner <= PST_WIRE_MAX_LANES; owner++) {
		for (i = 0; i < PST_AGENT_STAGED_SHARE; i++)
			ck_assert_int_eq(add(owner, 1, &handle), 0);
		ck_assert_int_eq(add(owner, 1, &handle), -ENOSPC);
	}
	pst_agent_staged_release(&staged, 2);
	ck_assert_int_eq(add(3, 1, &handle), -ENOSPC);
	ck_assert_int_eq(add(2, 1, &handle), 0);
	for (owner = 1; owner <= PST_WIRE_MAX_LANES; owner++)
		pst_agent_staged_release(&staged, owner);
}
END_TEST

START_TEST(bytes_count_until_a_file_is_taken_or_ended)
{
	uint64_t first, second, size;
	int fd;

	ck_assert_int_eq(add(1, MAX_BYTES, &first), 0);
	ck_assert_int_eq(add(2, 1, &second), -ENOSPC);
	ck_assert_int_eq(pst_agent_staged_drop(&staged, 2, first, &err),
			 -ENOENT);
	ck_assert_int_eq(pst_agent_staged_drop(&staged, 1, first, &err), 0);
	ck_assert_int_eq(add(2, MAX_BYTES, &second), 0);
	ck_assert_int_eq(
		pst_agent_staged_take(&staged, 2, second, &fd, &size, &err), 0);
	ck_assert_uint_eq(size, MAX_BYTES);
	ck_assert_int_lt(write(fd, "x", 1), 0);
	close(fd);
	ck_assert_int_eq(add(1, MAX_BYTES, &first), 0);
	pst_agent_staged_release(&staged, 1);
}
END_TEST

static void add_tests(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(
		tc,
		a_session_that_brings_all_it_may_leaves_all_others_their_share);
	tcase_add_test(tc, bytes_count_until_a_file_is_taken_or_ended);
}

int main(void)
{
	return pst_unit_run("staged", add_tests, 10);
}
