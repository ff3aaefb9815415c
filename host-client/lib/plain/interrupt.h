/* SPDX-License-Identifier: MIT */
/* Lets a thread end its own waiting calls. Without any lock. */
#ifndef PST_HOST_CLIENT_LIB_PLAIN_INTERRUPT_H
#define PST_HOST_CLIENT_LIB_PLAIN_INTERRUPT_H

#include <stdbool.h>
#include <stdint.h>

#include "transport/base/error.h"
#include "transport/base/util.h"

/* Whether it is time to ask the calling thread's function
 * (pst_set_interrupt()). */
bool pst_interrupt_due(void);

/* Asks it when it is time to. Returns 0 (not asked), 1 (asked), or -EINTR: the
 * call is to end. */
PST_MUST_USE int pst_interrupt_ask_unlocked(struct pst_error *err);

/* When it is time to; UINT64_MAX: never. */
uint64_t pst_interrupt_next(void);

/* The calling thread, as a value that no other one has. */
const void *pst_interrupt_thread(void);

/*
 * Before a call waits until owner's call has given something up: -EBUSY when
 * that is the calling thread's own, in whose middle pst_set_interrupt()'s
 * function calls the library again. 0: it may wait.
 */
PST_MUST_USE int pst_interrupt_check(const void *owner, struct pst_error *err);

/* Whether the calling thread is in that function. */
bool pst_interrupt_asks(void);

/* The calling thread is not asked until this is taken back. */
void pst_interrupt_hold(bool hold);

#endif
