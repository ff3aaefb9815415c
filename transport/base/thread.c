/* SPDX-License-Identifier: MIT */
/* Starts threads with all signals blocked but SIGBUS. */
#include "transport/base/thread.h"

#include <signal.h>

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
