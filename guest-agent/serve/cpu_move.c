/* SPDX-License-Identifier: MIT */
/* Moves the serving thread away from a CPU that it shares with its client. */
#include "guest-agent/serve/cpu_move.h"

#include <sched.h>
#include <sys/resource.h>

#include "transport/base/util.h"

/* Preemptions a millisecond that only a partner on the same CPU makes: the
 * kernel's own time slices are milliseconds long. */
#define TOO_MANY 10U
/* The least time between two checks, so that they count something. */
#define CHECK_NS PST_NS_PER_MS
/* It may not have helped: the other threads may be there as well. */
#define QUIET_NS (100 * PST_NS_PER_MS)

bool pst_agent_aside_due(struct pst_agent_aside *a, uint64_t now_ns,
			 uint64_t preempted)
{
	const uint64_t n = preempted - a->last_preempted;
	const uint64_t passed = now_ns - a->last_ns;
	const bool first = a->last_ns == 0;

	if (!first && passed < CHECK_NS)
		return false;
	a->last_ns = now_ns;
	a->last_preempted = preempted;
	if (first || now_ns < a->quiet_until_ns ||
	    n < passed / PST_NS_PER_MS * TOO_MANY)
		return false;
	a->quiet_until_ns = now_ns + QUIET_NS;
	return true;
}

/* False when there is no other CPU. */
static bool move(void)
{
	cpu_set_t allowed, others;
	int cpu = sched_getcpu();

	if (cpu < 0 || sched_getaffinity(0, sizeof(allowed), &allowed) < 0)
		return false;
	others = allowed;
	CPU_CLR((size_t)cpu, &others);
	if (CPU_COUNT(&others) == 0)
		return false;
	/* The first moves it at once, the second lets the kernel decide
	 * again. */
	if (sched_setaffinity(0, sizeof(others), &others) < 0)
		return false;
	(void)sched_setaffinity(0, sizeof(allowed), &allowed);
	return true;
}

void pst_agent_aside_check(struct pst_agent_aside *a, uint64_t now_ns)
{
	struct rusage usage;

	if (a->last_ns && now_ns - a->last_ns < CHECK_NS)
		return;
	if (getrusage(RUSAGE_THREAD, &usage) == 0 &&
	    pst_agent_aside_due(a, now_ns, (uint64_t)usage.ru_nivcsw))
		(void)move();
}

bool pst_agent_aside_leave(struct pst_agent_aside *a, uint64_t now_ns)
{
	if (now_ns < a->quiet_until_ns)
		return false;
	a->quiet_until_ns = now_ns + QUIET_NS;
	return move();
}
