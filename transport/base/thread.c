/* SPDX-License-Identifier: MIT */
/* Threads: started with all signals blocked but SIGBUS, and scheduled soon. */
#include "transport/base/thread.h"

#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The least that the kernel takes (kernel/sched/syscalls.c). */
#define TURN_NS 100000U

/* struct sched_attr of sched_setattr(2), which some C libraries declare. */
struct attr {
	uint32_t size;
	uint32_t policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime; /* of SCHED_OTHER: the length of a turn */
	uint64_t deadline;
	uint64_t period;
};

int pst_thread_start(pthread_t *ret, const pthread_attr_t *attr,
		     void *(*run)(void *), void *arg)
{
	sigset_t most, old;
	int r;

	sigfillset(&most);
	sigdelset(&most, SIGBUS);
	/* The new thread inherits the mask. */
	pthread_sigmask(SIG_SETMASK, &most, &old);
	r = pthread_create(ret, attr, run, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -r;
}

static int get(struct attr *a)
{
	return (int)syscall(SYS_sched_getattr, 0, a, sizeof(*a), 0);
}

static void set(struct attr *a)
{
	a->size = sizeof(*a);
	/* Without it all is the same, only later. */
	if (syscall(SYS_sched_setattr, 0, a, 0) < 0)
		return;
}

void pst_thread_wake_soon(void)
{
	struct attr a;

	prctl(PR_SET_TIMERSLACK, 1UL, 0, 0, 0);
	if (get(&a) < 0 || a.policy != SCHED_OTHER)
		return;
	a.runtime = TURN_NS;
	set(&a);
}

void pst_thread_step_back(int nice)
{
	struct attr a;

	if (get(&a) < 0 || (a.policy != SCHED_OTHER && a.policy != SCHED_BATCH))
		return;
	a.policy = SCHED_BATCH;
	if (a.nice < nice)
		a.nice = nice;
	a.runtime = 0;
	set(&a);
}
