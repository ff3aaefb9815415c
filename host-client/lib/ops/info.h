/* SPDX-License-Identifier: MIT */
/* Asks the agent for its description and its reports. */
#ifndef PST_HOST_CLIENT_LIB_OPS_INFO_H
#define PST_HOST_CLIENT_LIB_OPS_INFO_H

#include <stdint.h>

#include "host-client/lib/session/conn.h"

/* Asks for a JSON object (without the lock), as pst_query(); also the calling
 * thread's last error. */
PST_MUST_USE int pst_query_text(struct pst *c, uint16_t type, char **ret_json);

#endif
