/* SPDX-License-Identifier: MIT */
/* Asks for the health of the agent in a domain. */
#ifndef PST_HOST_CLIENT_CLI_VM_CMD_VM_AGENT_H
#define PST_HOST_CLIENT_CLI_VM_CMD_VM_AGENT_H

#include <jansson.h>

#include "transport/base/error.h"
#include "transport/base/util.h"

/*
 * Asks the agent at a URI for its health within timeout_ns. Returns 0 and
 * *ret, an object that the caller releases; or -errno and why not.
 */
PST_MUST_USE int pst_cmd_vm_health(const char *uri, uint64_t timeout_ns,
				   json_t **ret, struct pst_error *err);

#endif
