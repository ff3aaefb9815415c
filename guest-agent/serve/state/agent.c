/* SPDX-License-Identifier: MIT */
/* The state that all sessions of one agent share. */
#include "guest-agent/serve/state/agent.h"

#include <stdlib.h>
#include <string.h>

#include "transport/base/meminfo.h"
#include "transport/base/util.h"
#include "transport/shm.h"

static void on_wake(void *arg, uint32_t lane)
{
	const struct pst_agent *a = arg;
	const struct pst_agent_seat *seat = &a->seats.lanes[lane];

	if (seat->state == PST_AGENT_SEAT_USED)
		seat->peer.wake(seat->peer.arg);
}

static void on_broken(void *arg, uint32_t lane, const struct pst_error *err)
{
	const struct pst_agent *a = arg;
	const struct pst_agent_seat *seat = &a->seats.lanes[lane];

	if (seat->state == PST_AGENT_SEAT_USED)
		seat->peer.broken(seat->peer.arg, err->text);
}

/* Whether a lane is a session's, which may have ended. */
static bool is_lane_of(const struct pst_agent_seat *seat, uint64_t owner)
{
	return seat->state != PST_AGENT_SEAT_FREE && seat->peer.owner == owner;
}

static bool has_lane(const struct pst_agent *a, uint64_t owner)
{
	uint32_t i;

	for (i = 0; i < a->config.limits.max_clients; i++)
		if (is_lane_of(&a->seats.lanes[i], owner))
			return true;
	return false;
}

/* Of a session's operations that run the one that began first; UINT64_MAX: none
 * runs. */
static uint64_t oldest_of(const struct pst_agent *a, uint64_t owner)
{
	uint64_t oldest = UINT64_MAX, running;
	uint32_t i;

	for (i = 0; i < a->config.limits.max_clients; i++) {
		if (!is_lane_of(&a->seats.lanes[i], owner))
			continue;
		running = pst_agent_executor_running(a->executor, i);
		if (running && running < oldest)
			oldest = running;
	}
	return oldest;
}

void pst_agent_settle(struct pst_agent *a, uint64_t owner)
{
	const uint64_t oldest = oldest_of(a, owner);
	const bool left =
		pst_agent_holdings_settle(&a->holdings, owner, oldest);
	struct pst_agent_seat *seat;
	uint32_t i;

	for (i = 0; i < a->config.limits.max_clients; i++) {
		seat = &a->seats.lanes[i];
		if (!is_lane_of(seat, owner))
			continue;
		seat->settle_after = left && pst_agent_executor_running(
						     a->executor, i) == oldest
					     ? oldest
					     : 0;
	}
}

/* What the session held is free once nothing runs in any of its lanes. */
static void on_gone(void *arg, uint32_t lane)
{
	struct pst_agent *a = arg;
	struct pst_agent_seat *seat = &a->seats.lanes[lane];
	const uint64_t owner = seat->peer.owner;

	*seat = (struct pst_agent_seat){.state = PST_AGENT_SEAT_FREE};
	if (!has_lane(a, owner))
		pst_agent_settle(a, owner);
}

static int find_tensor(void *arg, uint64_t owner, uint64_t handle,
		       void **ret_mem, uint64_t *ret_size)
{
	const struct pst_agent *a = arg;

	return pst_agent_tensor_find(a->holdings.tensors, owner, handle,
				     ret_mem, ret_size);
}

static int find_model(void *arg, uint64_t handle, struct pst_op_model *ret)
{
	const struct pst_agent *a = arg;

	return pst_agent_models_find(a->models, handle, ret);
}

static int find_run_model(void *arg, uint64_t handle,
			  struct pst_op_run_model *ret)
{
	const struct pst_agent *a = arg;

	return pst_agent_models_find_run(a->models, handle, ret);
}

static bool model_in_use(void *arg, const void *model)
{
	const struct pst_agent *a = arg;

	return pst_agent_executor_uses(a->executor, model);
}

static int new_models(struct pst_agent *a)
{
	const struct pst_agent_models_config config = {
		.ops = a->compute.ops,
		.backend = a->compute.backend,
		.max_models = a->config.max_models,
		.max_bytes = a->config.max_model_bytes
				     ? a->config.max_model_bytes
				     : a->config.limits.max_tensor_bytes,
		.epoch = a->epoch,
		.in_use = model_in_use,
		.arg = a,
	};

	return pst_agent_models_new(&config, &a->models);
}

static int new_executor(struct pst_agent *a)
{
	const struct pst_agent_executor_config config = {
		.ops = a->compute.ops,
		.backend = a->compute.backend,
		.limits = a->config.limits,
		.extents = a->holdings.extents,
		.tensor = find_tensor,
		.model = find_model,
		.run_model = find_run_model,
		.base = a->region.base,
		.max_run_bytes = a->config.max_run_bytes
					 ? a->config.max_run_bytes
					 : a->region.size,
		.hooks = {on_wake, on_broken, on_gone},
		.arg = a,
	};

	return pst_agent_executor_new(&config, &a->executor);
}

/* Quotas that were not given: all of a card's memory, since only its driver
 * knows what is free; half of what this machine has to give; nothing. */
static void set_tensor_limits(struct pst_agent *a)
{
	struct pst_wire_limits *l = &a->config.limits;
	uint64_t bytes;

	if (!a->compute.ops->alloc) {
		l->max_tensor_bytes = 0;
		l->max_tensors = 0;
	} else if (!l->max_tensor_bytes) {
		if (a->facts.device.known & PST_AGENT_DEVICE_MEM_TOTAL)
			l->max_tensor_bytes = a->facts.device.mem_total;
		else if (pst_meminfo_available("", &bytes) == 0)
			l->max_tensor_bytes = bytes / 2;
	}
	pst_shm_write(&pst_region_header(&a->region)->limits, l, sizeof(*l));
}

int pst_agent_init(struct pst_agent *a, const char *sysfs,
		   struct pst_error *err)
{
	int r;

	r = pst_agent_identity_read(sysfs, getenv("CREDENTIALS_DIRECTORY"),
				    &a->facts.identity, err);
	if (r < 0)
		return r;
	a->holdings.region = &a->region;
	a->nonces.slots = pst_region_header(&a->region)->nonce;
	r = pst_agent_extents_new(PST_WIRE_CTL_SIZE,
				  a->region.size - PST_WIRE_CTL_SIZE,
				  &a->holdings.extents);
	if (r < 0)
		return pst_error_set(err, r, "cannot keep a map of the arena");
	/* One that does not answer already shows in HEALTH. */
	if (pst_agent_compute_device(&a->compute, &a->facts.device, NULL) < 0)
		a->facts.device = (struct pst_backend_device){0};
	set_tensor_limits(a);
	if (!a->turns.clock)
		a->turns.clock = pst_now_ns;
	r = pst_agent_tensors_new(a->compute.ops, a->compute.backend,
				  a->config.limits.max_tensor_bytes,
				  a->config.limits.max_tensors,
				  &a->holdings.tensors);
	if (!r)
		r = new_models(a);
	a->staged.models = a->models;
	if (!r)
		r = new_executor(a);
	if (!r && a->config.scrub)
		r = pst_agent_scrubber_start(&a->holdings.scrubber);
	if (r < 0) {
		pst_agent_done(a);
		return pst_error_set(err, r, "out of memory or threads");
	}
	a->facts.started_ns = pst_now_ns();
	a->compute.ops->describe(a->compute.backend, a->facts.backend_text,
				 sizeof(a->facts.backend_text));
	return 0;
}

const char *pst_agent_compute_registration(const struct pst_agent_compute *c)
{
	return c->ops->registration ? c->ops->registration(c->backend) : "none";
}

const char *
pst_agent_compute_registration_why(const struct pst_agent_compute *c)
{
	return c->ops->registration_why ? c->ops->registration_why(c->backend)
					: "";
}

int pst_agent_compute_device(const struct pst_agent_compute *c,
			     struct pst_backend_device *ret,
			     struct pst_error *err)
{
	int r;

	*ret = (struct pst_backend_device){0};
	if (!c->ops->device_info)
		return 0;
	r = c->ops->device_info(c->backend, ret, err);
	return r < 0 ? r : 1;
}

void pst_agent_done(struct pst_agent *a)
{
	pst_agent_executor_free(a->executor);
	a->executor = NULL;
	free(a->texts.info);
	free(a->texts.models);
	a->texts = (struct pst_agent_texts){0};
	pst_agent_models_free(a->models);
	a->models = NULL;
	pst_agent_holdings_done(&a->holdings);
}

int pst_agent_lane_acquire(struct pst_agent *a,
			   const struct pst_agent_peer *peer)
{
	uint32_t i;

	for (i = 0; i < a->config.limits.max_clients; i++) {
		if (a->seats.lanes[i].state != PST_AGENT_SEAT_FREE)
			continue;
		a->seats.lanes[i] = (struct pst_agent_seat){
			.state = PST_AGENT_SEAT_USED,
			.peer = *peer,
		};
		pst_agent_executor_attach(a->executor, i,
					  pst_region_lane(a->region.base, i),
					  peer->owner);
		return (int)i;
	}
	return -EBUSY;
}

void pst_agent_lane_release(struct pst_agent *a, uint32_t lane)
{
	struct pst_agent_seat *seat = &a->seats.lanes[lane];
	struct pst_agent_lane_stats stats;

	pst_agent_executor_lane_stats(a->executor, lane, &stats);
	a->counters.ops_ended += stats.ops;
	a->counters.errors_ended += stats.errors;
	a->counters.compute_ns_ended += stats.compute_ns;
	pst_agent_holdings_release(&a->holdings, seat->peer.owner);
	seat->state = PST_AGENT_SEAT_ENDING;
	/* Now its end counts, not that of one operation. */
	seat->settle_after = 0;
	pst_agent_executor_detach(a->executor, lane);
}

void pst_agent_settle_late(struct pst_agent *a)
{
	struct pst_agent_seat *seat;
	uint32_t i;

	pst_agent_models_settle(a->models);
	pst_agent_holdings_scrub(&a->holdings);
	/* The next operation was checked when the memory was released already:
	 * a lane that is never idle does not keep it. */
	for (i = 0; i < a->config.limits.max_clients; i++) {
		seat = &a->seats.lanes[i];
		if (seat->settle_after &&
		    pst_agent_executor_running(a->executor, i) !=
			    seat->settle_after)
			pst_agent_settle(a, seat->peer.owner);
	}
}
