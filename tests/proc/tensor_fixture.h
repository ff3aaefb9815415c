/* SPDX-License-Identifier: MIT */
/* A real agent and a connection to it, for tests of resident tensors. */
#ifndef PST_TESTS_PROC_TENSOR_FIXTURE_H
#define PST_TESTS_PROC_TENSOR_FIXTURE_H

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "host-client/lib/conn.h"
#include "tests/proc/agent_proc.h"
#include "tests/unit/unit.h"

#define S   PST_NS_PER_S
#define MIB (1ULL << 20)

static struct agent_proc agent;
static struct pst *c;
static char text[400];

static inline void open_conn(struct pst **ret)
{
	int r = pst_open(agent.uri, NULL, ret, text, sizeof(text));

	ck_assert_msg(r == 0, "%s", text);
}

static inline void setup(void)
{
	agent_open(&agent, 192 * MIB);
	open_conn(&c);
}

static inline void teardown(void)
{
	pst_close(c);
	agent_close(&agent);
}

/* An agent with so many bytes for each session's tensors. */
static inline void restart_with(const char *option, const char *value)
{
	pst_close(c);
	agent_kill(&agent);
	agent.extra[0] = option;
	agent.extra[1] = value;
	agent_start(&agent);
	open_conn(&c);
}

static inline void ok(int r)
{
	pst_last_error(c, text, sizeof(text));
	ck_assert_msg(r == 0, "%d: %s", r, text);
}

static inline void fails(int r, int want, const char *part)
{
	pst_last_error(c, text, sizeof(text));
	ck_assert_msg(r == want, "%d: %s", r, text);
	ck_assert_msg(strstr(text, part) != NULL, "%s", text);
}

static inline void *get(size_t size)
{
	void *p = NULL;

	ok(pst_alloc(c, size, &p));
	return p;
}

static inline uint64_t make(uint64_t size)
{
	uint64_t id = 0;

	ok(pst_tensor_create(c, size, &id));
	ck_assert_uint_ne(id, 0);
	return id;
}

static inline uint64_t stat_of(const char *name)
{
	struct pst_options o = {
		.size = sizeof(o),
		.flags = PST_OPEN_CONTROL_ONLY,
	};
	uint64_t v;
	struct pst *k;
	char *json;

	ck_assert_int_eq(pst_open(agent.uri, &o, &k, text, sizeof(text)), 0);
	ck_assert_int_eq(pst_query(k, PST_QUERY_STATS, &json), 0);
	v = json_number(json, name);
	free(json);
	pst_close(k);
	return v;
}

/* Until the agent has nothing of any session; some seconds at most. */
static inline void wait_empty(void)
{
	int i;

	for (i = 0; i < 1000; i++) {
		if (!stat_of("tensor_bytes") &&
		    !stat_of("tensor_quarantined_bytes") && !stat_of("tensors"))
			return;
		usleep(10000);
	}
	ck_abort_msg("%llu bytes of tensors are left",
		     (unsigned long long)stat_of("tensor_bytes"));
}

static inline void pattern(uint8_t *p, size_t n, unsigned int seed)
{
	size_t i;

	for (i = 0; i < n; i++)
		p[i] = (uint8_t)((i + seed) * 7 + i / 253);
}

#endif
