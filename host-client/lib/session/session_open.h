/* SPDX-License-Identifier: MIT */
/* Opens a session when one is needed. With the connection's lock. */
#ifndef PST_HOST_CLIENT_LIB_SESSION_SESSION_OPEN_H
#define PST_HOST_CLIENT_LIB_SESSION_SESSION_OPEN_H

#include <stdint.h>

#include "host-client/lib/session/conn.h"

/* Makes sure a session is alive, opens one if not (unlocks). 0 or an errno as
 * pst_open(). */
PST_MUST_USE int pst_session_ensure(struct pst *c, uint64_t deadline_ns,
				    struct pst_error *err);

#endif
