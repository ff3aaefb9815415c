/* SPDX-License-Identifier: MIT */
/* Takes a region over: checks that no other agent serves it, then writes a new
 * epoch. */
#include "guest-agent/region/takeover.h"

#include <inttypes.h>
#include <time.h>

#include "transport/base/util.h"
#include "transport/shm.h"

/* Bounds of a period that a format line names; the line is not trusted. */
#define MIN_PERIOD_MS 10U
#define MAX_PERIOD_MS 1000U
/* The number of readings of the heartbeat during the watch. */
#define N_LOOKS 50U

static void sleep_ns(uint64_t ns)
{
	const struct timespec ts = {
		.tv_sec = (time_t)(ns / PST_NS_PER_S),
		.tv_nsec = (long)(ns % PST_NS_PER_S),
	};

	nanosleep(&ts, NULL);
}

static int watch(struct pst_region *r, const struct pst_wire_format *f,
		 struct pst_error *err)
{
	const uint64_t *word = &pst_region_header(r)->heartbeat.value;
	const uint64_t first = pst_shm_load(word);
	uint32_t period_ms = f->heartbeat_ms;
	unsigned int i;

	if (period_ms < MIN_PERIOD_MS)
		period_ms = MIN_PERIOD_MS;
	if (period_ms > MAX_PERIOD_MS)
		period_ms = MAX_PERIOD_MS;
	for (i = 0; i < N_LOOKS; i++) {
		sleep_ns(period_ms * PST_NS_PER_MS * 5 / 2 / N_LOOKS);
		if (pst_shm_load(word) != first)
			return pst_error_set(
				err, -EBUSY,
				"region %s is served by another agent: epoch "
				"%016" PRIx64
				", pid %u in its own machine; its "
				"heartbeat moves",
				r->name, f->epoch, f->agent_pid);
	}
	return 0;
}

int pst_agent_claim_region(struct pst_region *r, uint32_t n_lanes,
			   const struct pst_wire_limits *limits,
			   uint32_t heartbeat_ms, struct pst_agent_claim *ret,
			   struct pst_error *err)
{
	struct pst_wire_format f;
	struct pst_agent_claim claim = {0};
	bool taken_over;
	int res;

	pst_shm_read(&f, &pst_region_header(r)->format, sizeof(f));
	taken_over = pst_format_check(&f, r->file_size, NULL) != -EAGAIN;
	if (taken_over) {
		res = watch(r, &f, err);
		if (res < 0)
			return res;
	}
	res = pst_region_format(r, n_lanes, limits, heartbeat_ms, &claim.epoch,
				err);
	if (res < 0)
		return res;
	/* Clients of the former epoch may still have its extents mapped and
	 * be writing: give them the time to see the new epoch word. */
	if (taken_over)
		claim.settled_ns = pst_now_ns() +
				   PST_AGENT_CLAIM_SETTLE_MS * PST_NS_PER_MS;
	*ret = claim;
	return 0;
}
