/* SPDX-License-Identifier: MIT */
/* Starts threads with all signals blocked but SIGBUS. */
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

#endif
