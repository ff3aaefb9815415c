/* SPDX-License-Identifier: MIT */
/* Whether the agent in a domain is there, from its region and its socket. */
#ifndef PST_HOST_CLIENT_CLI_VM_CMD_VM_AGENT_H
#define PST_HOST_CLIENT_CLI_VM_CMD_VM_AGENT_H

#include <jansson.h>

#include "libvirt-xml/info.h"

/*
 * Watches the heartbeat in a region's header. Nothing is sent to a guest before
 * it beats: vhost-device-vsock (0.3.0) hangs for good when the host connects
 * before the guest has set up the device's queues.
 */
struct pst_vm_pulse {
	void *ctl; /* NULL: the region cannot be mapped */
	uint64_t first;
	bool beats;
};

/* Maps the header; a region that cannot be mapped has no pulse, with err. */
PST_MUST_USE int pst_vm_pulse_open(const char *region, struct pst_vm_pulse *ret,
				   struct pst_error *err);
void pst_vm_pulse_close(struct pst_vm_pulse *p);
/* Whether it has moved since it was opened. */
bool pst_vm_pulse_beats(struct pst_vm_pulse *p);

/*
 * Asks the agent at a URI for its health within timeout_ns. Returns 0 and
 * *ret, an object that the caller releases; or -errno and why not.
 */
PST_MUST_USE int pst_vm_agent_health(const char *uri, uint64_t timeout_ns,
				     json_t **ret, struct pst_error *err);

#endif
