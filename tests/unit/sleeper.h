/* SPDX-License-Identifier: MIT */
/* A process of the demo that does nothing but sleep. */
#ifndef PST_TESTS_UNIT_SLEEPER_H
#define PST_TESTS_UNIT_SLEEPER_H

#include <check.h>

#include "host-client/cli/demo/demo.h"

static inline void start_sleep(bool tied, struct pst_demo_proc *ret)
{
	char *argv[] = {(char *)"sleep", (char *)"100", NULL};
	struct pst_error err = {0};
	int rc;

	rc = pst_demo_proc_start(argv, "/dev/null", tied, ret, &err);
	ck_assert_msg(rc == 0, "%s", err.text);
}

#endif
