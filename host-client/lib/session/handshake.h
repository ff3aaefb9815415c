/* SPDX-License-Identifier: MIT */
/* Connects: from an endpoint to a checked WELCOME. */
#ifndef PST_HOST_CLIENT_LIB_SESSION_HANDSHAKE_H
#define PST_HOST_CLIENT_LIB_SESSION_HANDSHAKE_H

#include <sys/types.h>

#include "host-client/lib/plain/channel.h"
#include "host-client/lib/plain/conf.h"
#include "transport/region/region.h"

/* What a handshake yields; owned by the connection once installed. */
struct pst_session {
	int sock;
	pid_t child; /* the agent of spawn:, or 0 */
	struct pst_region_map map;
	struct pst_wire_welcome welcome;
	struct pst_wire_lanes lanes; /* n is 0 for a control-only session */
};

static inline struct pst_wire_header *pst_ctl_header(uint8_t *ctl)
{
	return (struct pst_wire_header *)ctl;
}

/*
 * Connects and shakes hands within deadline_ns; without the lock, so the
 * channel is closed and used by nobody else. Maps the control area at ctl.
 * Returns 0 and *ret, or an errno as pst_open(); then ctl is private memory
 * again.
 */
PST_MUST_USE int pst_handshake(const struct pst_conf *conf,
			       struct pst_channel *ch, uint8_t *ctl,
			       uint64_t deadline_ns, struct pst_session *ret,
			       struct pst_error *err);

#endif
