/* SPDX-License-Identifier: MIT */
/* One connection to an agent that lies. */
#ifndef PST_TESTS_PROC_HOSTILE_FIXTURE_H
#define PST_TESTS_PROC_HOSTILE_FIXTURE_H

#include <string.h>

#include "host-client/lib/conn.h"
#include "tests/proc/fake_agent.h"
#include "tests/unit/unit.h"

#define MS PST_NS_PER_MS

static struct fake fake;
static struct pst *c;
static char text[400];

static inline void setup(void)
{
	memset(&fake, 0, sizeof(fake));
	c = NULL;
}

static inline void begin(void)
{
	struct pst_options o = {.size = sizeof(o), .timeout_ns = 2000 * MS};
	int r;

	fake_open(&fake);
	r = pst_open(fake.uri, &o, &c, text, sizeof(text));
	ck_assert_msg(r == 0, "%s", text);
}

static inline void end(void)
{
	pst_close(c);
	fake_close(&fake);
}

#endif
