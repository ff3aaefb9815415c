/* SPDX-License-Identifier: MIT */
/* Operations: on their way, and what is known of earlier ones. */
#ifndef PST_HOST_CLIENT_LIB_PLAIN_QUEUE_H
#define PST_HOST_CLIENT_LIB_PLAIN_QUEUE_H

#include "host-client/lib/plain/forecast.h"
#include "host-client/lib/plain/pending.h"
#include "transport/ring.h"

/* Operations: on their way, and what is known of earlier ones. */
struct pst_queue {
	struct pst_lane_client lane;
	struct pst_pending ops;
	struct pst_forecast forecast;
	struct pst_call_memo *memo; /* or NULL */
};

#endif
