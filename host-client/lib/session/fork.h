/* SPDX-License-Identifier: MIT */
/* Tells a process from its forked child. */
#ifndef PST_HOST_CLIENT_LIB_SESSION_FORK_H
#define PST_HOST_CLIENT_LIB_SESSION_FORK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * The number of this process among those that its forebears and it are: other
 * than zero and any of theirs. The word that ret points to has it for as long
 * as the process lives; a child made by fork() finds zero there, until it asks
 * for a number itself. Returns 0, or -ENOMEM.
 */
int pst_process_number(const atomic_uint_least64_t **ret_word,
		       uint64_t *ret_number);

struct pst;

/* What every call answers in a forked child: -EBADF. Without the lock. */
int pst_forked(struct pst *c);

/* pst_close() in a forked child: frees what is the child's own. */
void pst_forked_close(struct pst *c);

#endif
