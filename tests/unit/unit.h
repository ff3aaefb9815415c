/* SPDX-License-Identifier: MIT */
/* What every unit test's main() is made of. */
#ifndef PST_TESTS_UNIT_H
#define PST_TESTS_UNIT_H

#include <check.h>
#include <stdlib.h>

/* In nanoseconds, for what must not hang: never how fast something is, which a
 * busy machine decides. */
#define PST_HANG_NS (20ULL * 1000 * 1000 * 1000)

/* As ck_assert(), for loops of millions: that writes to a pipe each time. */
#define PST_MUST(x)                                                            \
	do {                                                                   \
		if (!(x))                                                      \
			ck_abort_msg("not: %s", #x);                           \
	} while (0)

/* Runs a suite of one case; TAP goes where CK_TAP_LOG_FILE_NAME says. */
static inline int pst_unit_run(const char *name, void (*add)(TCase *tc),
			       int timeout_s)
{
	Suite *s = suite_create(name);
	TCase *tc = tcase_create(name);
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, timeout_s);
	add(tc);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
