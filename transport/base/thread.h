/* SPDX-License-Identifier: MIT */
/* Threads: started with all signals blocked but SIGBUS, and scheduled soon. */
#ifndef PST_TRANSPORT_BASE_THREAD_H
#define PST_TRANSPORT_BASE_THREAD_H

#include <pthread.h>

#include "transport/base/util.h"

/*
 * As pthread_create(3), with all signals blocked in the new thread but SIGBUS:
 * blocked, that would kill the process without its handler. Returns 0 or
 * -errno.
 */
PST_MUST_USE int pst_thread_start(pthread_t *ret, const pthread_attr_t *attr,
				  void *(*run)(void *), void *arg);

/*
 * The calling thread's sleeps end when they should, not up to 50 us later. And
 * it gets short turns of the CPU, so that on waking it does not wait for the
 * end of another thread's turn, which lasts milliseconds: from Linux 6.12 on,
 * where that is not denied. Its share of the CPU, policy and priority stay.
 */
void pst_thread_wake_soon(void);

/* The calling thread, and those that it starts, give way to others: SCHED_BATCH
 * with a nice value of at least that, and turns of the usual length, whatever
 * it has inherited. What is denied stays as it is. */
void pst_thread_step_back(int nice);

#endif
