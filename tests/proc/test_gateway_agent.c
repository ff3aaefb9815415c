/* SPDX-License-Identifier: MIT */
/* What the gateway keeps of an agent that dies while nobody looks. */
#include <signal.h>

#include "host-client/gateway/agents/agent.h"
#include "tests/fixtures/agent_proc.h"
#include "tests/fixtures/unit.h"

/* Waits until what the watcher saw last, and nobody took, is so. */
static void wait_next(struct pst_gw_agent *a, bool up)
{
	const uint64_t end_ns = pst_now_ns() + PST_HANG_NS;
	bool is = false;

	while (!is) {
		ck_assert_uint_lt(pst_now_ns(), end_ns);
		usleep(5000);
		pthread_mutex_lock(&a->lock);
		is = a->next && a->next->up == up;
		pthread_mutex_unlock(&a->lock);
	}
}

START_TEST(answers_that_nobody_took_yet_are_kept)
{
	struct pst_gw_options o = {.n_endpoints = 1};
	struct pst_gw_agents agents;
	struct agent_proc proc = {0};

	agent_open(&proc, 8 << 20);
	o.endpoint[0].uri = proc.uri;
	snprintf(o.endpoint[0].name, sizeof(o.endpoint[0].name), "a");
	ck_assert_int_eq(pst_gw_agents_open(&agents, &o, NULL), 0);
	wait_next(&agents.list[0], true);
	agent_kill(&proc);
	wait_next(&agents.list[0], false);
	pst_gw_agents_update(&agents);
	ck_assert(!agents.list[0].seen->up);
	ck_assert_ptr_nonnull(agents.list[0].seen->stats);
	ck_assert_uint_gt(agents.list[0].seen->taken_ns, 0);
	pst_gw_agents_close(&agents);
	agent_close(&proc);
}
END_TEST

START_TEST(one_late_answer_is_not_the_end_of_an_agent)
{
	struct pst_gw_options o = {.n_endpoints = 1};
	const struct pst_gw_snapshot *seen;
	struct pst_gw_agents agents;
	struct agent_proc proc = {0};

	agent_open(&proc, 8 << 20);
	o.endpoint[0].uri = proc.uri;
	snprintf(o.endpoint[0].name, sizeof(o.endpoint[0].name), "a");
	ck_assert_int_eq(pst_gw_agents_open(&agents, &o, NULL), 0);
	wait_next(&agents.list[0], true);
	ck_assert_int_eq(kill(proc.pid, SIGSTOP), 0);
	wait_next(&agents.list[0], false);
	ck_assert_int_eq(kill(proc.pid, SIGCONT), 0);
	pst_gw_agents_update(&agents);
	seen = agents.list[0].seen;
	ck_assert(!seen->up);
	/* A rest of a second, and two questions of a second each. */
	ck_assert_uint_ge(seen->looked_ns - seen->taken_ns, 3 * PST_NS_PER_S);
	wait_next(&agents.list[0], true);
	pst_gw_agents_close(&agents);
	agent_close(&proc);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, one_late_answer_is_not_the_end_of_an_agent);
	tcase_add_test(tc, answers_that_nobody_took_yet_are_kept);
}

int main(void)
{
	return pst_unit_run("gateway_agent", add, 60);
}
