/* SPDX-License-Identifier: MIT */
/* Telling systemd that the agent is ready, without linking its library. */
#ifndef PST_GUEST_AGENT_NOTIFY_H
#define PST_GUEST_AGENT_NOTIFY_H

/*
 * Sends state, e.g. "READY=1", to $NOTIFY_SOCKET (sd_notify(3), "NOTES"),
 * where it is set. Never blocks. Returns 1 sent, 0 not set, -errno.
 */
int pst_notify(const char *state);

#endif
