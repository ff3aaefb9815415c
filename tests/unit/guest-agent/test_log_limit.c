/* SPDX-License-Identifier: MIT */
/* Lines that peers cause, in virtual time. */
#include "guest-agent/service/log_limit.h"
#include "tests/fixtures/unit.h"
#include "transport/base/util.h"

#define MS PST_NS_PER_MS
#define T0 (1000 * MS)

START_TEST(ten_lines_go_and_then_one_with_the_count)
{
	struct pst_agent_log_limit l = {0};
	uint64_t due;
	unsigned int i, n = 0;

	for (i = 0; i < 100; i++)
		n += pst_agent_log_limit_take(&l, T0 + i);
	ck_assert_uint_eq(n, PST_AGENT_LOG_LIMIT_LINES);
	ck_assert_uint_eq(pst_agent_log_limit_count(&l, T0 + 500 * MS, &due),
			  0);
	ck_assert_uint_eq(due, T0 + 1000 * MS + PST_AGENT_LOG_LIMIT_LINES);
	ck_assert_uint_eq(pst_agent_log_limit_count(&l, due, &due), 90);
	ck_assert_uint_eq(pst_agent_log_limit_count(&l, T0 + 9000 * MS, &due),
			  0);
	ck_assert_uint_eq(due, UINT64_MAX);
	ck_assert(pst_agent_log_limit_take(&l, T0 + 9000 * MS));
}
END_TEST

START_TEST(no_second_has_more_and_none_is_uncounted)
{
	static uint64_t at[1000];
	struct pst_agent_log_limit l = {0};
	uint64_t now, due, counted = 0, written = 0, n_at = 0, came = 0, n;

	for (now = T0; now < T0 + 10000 * MS; now += MS / 3) {
		came++;
		if (pst_agent_log_limit_take(&l, now)) {
			written++;
			at[n_at++] = now;
		}
		n = pst_agent_log_limit_count(&l, now, &due);
		counted += n;
		if (n)
			at[n_at++] = now;
	}
	counted += pst_agent_log_limit_count(&l, now + 2000 * MS, &due);
	ck_assert_uint_eq(written + counted, came);
	ck_assert_uint_gt(n_at, 50);
	for (n = PST_AGENT_LOG_LIMIT_LINES; n < n_at; n++)
		ck_assert_uint_ge(at[n] - at[n - PST_AGENT_LOG_LIMIT_LINES],
				  PST_NS_PER_S);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, ten_lines_go_and_then_one_with_the_count);
	tcase_add_test(tc, no_second_has_more_and_none_is_uncounted);
}

int main(void)
{
	return pst_unit_run("log_limit", add, 10);
}
