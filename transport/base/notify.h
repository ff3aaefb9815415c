/* SPDX-License-Identifier: MIT */
/* Notifies systemd as sd_notify(3) does, without its library. */
#ifndef PST_TRANSPORT_BASE_NOTIFY_H
#define PST_TRANSPORT_BASE_NOTIFY_H

#include <stdint.h>
#include <sys/types.h>

#include "transport/base/error.h"

/*
 * Sends state, e.g. "READY=1", to $NOTIFY_SOCKET (sd_notify(3), "NOTES"),
 * where it is set. Never blocks. Returns 1 sent, 0 not set, -errno.
 */
int pst_service_notify(const char *state);

/*
 * How long the service manager waits for a sign of life, from $WATCHDOG_USEC
 * and $WATCHDOG_PID (sd_watchdog_enabled(3)), given as usec and pid, NULL for
 * what is not set; *ret_ns is 0 when it waits for none, or for another process
 * than self. A pure function. Returns 0, or -EINVAL: not a number.
 */
int pst_service_notify_watchdog(const char *usec, const char *pid, pid_t self,
				uint64_t *ret_ns, struct pst_error *err);

#endif
