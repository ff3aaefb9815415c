/* SPDX-License-Identifier: MIT */
/* Takes from the runner what a model must not have. */
#ifndef PST_GUEST_AGENT_RUNNER_NARROW_H
#define PST_GUEST_AGENT_RUNNER_NARROW_H

#include <stdbool.h>
#include <stdint.h>

#include "transport/base/error.h"
#include "transport/base/util.h"

/*
 * Called once, after all threads were started and before a model is read. From
 * here on no thread can open a file, map a descriptor, make memory executable,
 * start a process or a thread, send another process a signal, or reach a socket
 * but those it has; such a call fails with EPERM. With device, which has a
 * driver in the process, it can open and map files, and make memory executable,
 * and nothing more of those. max_memory: RLIMIT_DATA in bytes, 0: none. No core
 * file is written. Returns 0, or with a sentence -errno.
 */
PST_MUST_USE int pst_runner_narrow(uint64_t max_memory, bool device,
				   struct pst_error *err);

#endif
