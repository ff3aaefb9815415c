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

/* The calling thread is not asked until this is taken back. */
void pst_interrupt_hold(bool hold);

#endif
