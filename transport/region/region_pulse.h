/* SPDX-License-Identifier: MIT */
/* Checks whether the heartbeat in a region's header moves. */
#ifndef PST_TRANSPORT_REGION_REGION_PULSE_H
#define PST_TRANSPORT_REGION_REGION_PULSE_H

#include <stdbool.h>
#include <stdint.h>

#include "transport/base/error.h"
#include "transport/base/util.h"

/*
 * Nothing is sent to a guest before its heartbeat moves: vhost-device-vsock
 * (0.3.0) hangs for good when the host connects before the guest has set up the
 * device's queues. An earlier life of the guest may have left a heartbeat that
 * stands still.
 */
struct pst_region_pulse {
	void *ctl; /* NULL: the region cannot be mapped */
	uint64_t first;
	bool beats;
};

/* Maps the header of the region at path. 0 (to be ended with
 * pst_region_pulse_close()) or -errno of pst_region_map_open(). */
PST_MUST_USE int pst_region_pulse_open(const char *path,
				       struct pst_region_pulse *ret,
				       struct pst_error *err);
void pst_region_pulse_close(struct pst_region_pulse *p);

/* Whether the heartbeat has moved since it was opened. */
bool pst_region_pulse_beats(struct pst_region_pulse *p);

#endif
