/* SPDX-License-Identifier: MIT */
/* What all sessions of one agent share. */
#include "guest-agent/serve/agent.h"

#include <stdlib.h>
#include <string.h>

#include "guest-agent/exec/memory.h"
#include "transport/base/util.h"
#include "transport/shm.h"

static_assert(PST_WIRE_NONCE_SLOTS <= 32, "a bit a slot");

static void on_wake(void *arg, uint32_t lane)
{
	const struct pst_agent *a = arg;
	const struct pst_seat *seat = &a->seats[lane];

	if (seat->state == PST_SEAT_USED)
		seat->peer.wake(seat->peer.arg);
}

static void on_broken(void *arg, uint32_t lane, const struct pst_error *err)
{
	const struct pst_agent *a = arg;
	const struct pst_seat *seat = &a->seats[lane];

	if (seat->state == PST_SEAT_USED)
		seat->peer.broken(seat->peer.arg, err->text);
}

/* Takes what is scrubbed out of quarantine and has the next piece done. */
static void scrub(struct pst_agent *a)
{
	struct pst_span *s = &a->scrubbing;

	if (s->size) {
		if (!pst_scrubber_done(a->scrubber))
			return;
		pst_extents_scrubbed(a->extents, s);
		s->size = 0;
	}
	if (pst_extents_dirty(a->extents, PST_SCRUBBER_PIECE, s))
		pst_scrubber_give(a->scrubber, a->region.base + s->off,
				  s->size);
}

static void settle(struct pst_agent *a, uint64_t owner)
{
	if (a->scrub) {
		pst_extents_settle_dirty(a->extents, owner);
		scrub(a);
	} else {
		pst_extents_settle(a->extents, owner);
	}
	pst_tensors_settle(a->tensors, owner);
}

static void on_gone(void *arg, uint32_t lane)
{
	struct pst_agent *a = arg;
	struct pst_seat *seat = &a->seats[lane];

	settle(a, seat->peer.owner);
	*seat = (struct pst_seat){.state = PST_SEAT_FREE};
}

static int find_tensor(void *arg, uint64_t owner, uint64_t handle,
		       void **ret_mem, uint64_t *ret_size)
{
	const struct pst_agent *a = arg;

	return pst_tensor_find(a->tensors, owner, handle, ret_mem, ret_size);
}

static int find_model(void *arg, uint64_t handle, struct pst_op_model *ret)
{
	const struct pst_agent *a = arg;

	return pst_models_find(a->models, handle, ret);
}

static bool model_in_use(void *arg, const void *model)
{
	const struct pst_agent *a = arg;

	return pst_executor_uses(a->executor, model);
}

static int new_models(struct pst_agent *a)
{
	const struct pst_models_config config = {
		.ops = a->ops,
		.backend = a->backend,
		.max_models = a->max_models,
		.max_bytes = a->max_model_bytes ? a->max_model_bytes
						: a->limits.max_tensor_bytes,
		.epoch = a->epoch,
		.in_use = model_in_use,
		.arg = a,
	};

	return pst_models_new(&config, &a->models);
}

static int new_executor(struct pst_agent *a)
{
	const struct pst_executor_config config = {
		.ops = a->ops,
		.backend = a->backend,
		.limits = a->limits,
		.extents = a->extents,
		.tensor = find_tensor,
		.model = find_model,
		.hooks = {on_wake, on_broken, on_gone},
		.arg = a,
	};

	return pst_executor_new(&config, &a->executor);
}

/* Quotas that were not given: all of a card's memory, since only its driver
 * knows what is free; half of what this machine has to give; nothing. */
static void set_tensor_limits(struct pst_agent *a)
{
	struct pst_wire_limits *l = &a->limits;
	uint64_t bytes;

	if (!a->ops->alloc) {
		l->max_tensor_bytes = 0;
		l->max_tensors = 0;
	} else if (!l->max_tensor_bytes) {
		if (a->device.known & PST_DEVICE_MEM_TOTAL)
			l->max_tensor_bytes = a->device.mem_total;
		else if (pst_memory_available("", &bytes) == 0)
			l->max_tensor_bytes = bytes / 2;
	}
	pst_shm_write(&pst_region_header(&a->region)->limits, l, sizeof(*l));
}

int pst_agent_init(struct pst_agent *a, const char *sysfs,
		   struct pst_error *err)
{
	int r;

	r = pst_identity_read(sysfs, getenv("CREDENTIALS_DIRECTORY"),
			      &a->identity, err);
	if (r < 0)
		return r;
	r = pst_extents_new(PST_WIRE_CTL_SIZE,
			    a->region.size - PST_WIRE_CTL_SIZE, &a->extents);
	if (r < 0)
		return pst_error_set(err, r, "cannot keep a map of the arena");
	/* One that does not answer already shows in HEALTH. */
	if (pst_agent_device(a, &a->device, NULL) < 0)
		a->device = (struct pst_backend_device){0};
	set_tensor_limits(a);
	if (!a->turns.clock)
		a->turns.clock = pst_now_ns;
	r = pst_tensors_new(a->ops, a->backend, a->limits.max_tensor_bytes,
			    a->limits.max_tensors, &a->tensors);
	if (!r)
		r = new_models(a);
	if (!r)
		r = new_executor(a);
	if (!r && a->scrub)
		r = pst_scrubber_start(&a->scrubber);
	if (r < 0) {
		pst_agent_done(a);
		return pst_error_set(err, r, "out of memory or threads");
	}
	a->started_ns = pst_now_ns();
	a->ops->describe(a->backend, a->backend_text, sizeof(a->backend_text));
	return 0;
}

const char *pst_agent_registration(const struct pst_agent *a)
{
	return a->ops->registration ? a->ops->registration(a->backend) : "none";
}

const char *pst_agent_registration_why(const struct pst_agent *a)
{
	return a->ops->registration_why ? a->ops->registration_why(a->backend)
					: "";
}

int pst_agent_device(const struct pst_agent *a, struct pst_backend_device *ret,
		     struct pst_error *err)
{
	int r;

	*ret = (struct pst_backend_device){0};
	if (!a->ops->device_info)
		return 0;
	r = a->ops->device_info(a->backend, ret, err);
	return r < 0 ? r : 1;
}

void pst_agent_done(struct pst_agent *a)
{
	pst_scrubber_stop(a->scrubber);
	a->scrubber = NULL;
	a->scrubbing.size = 0;
	pst_executor_free(a->executor);
	a->executor = NULL;
	free(a->info_text);
	free(a->models_text);
	a->info_text = NULL;
	a->models_text = NULL;
	pst_models_free(a->models);
	pst_tensors_free(a->tensors);
	pst_extents_free(a->extents);
	a->models = NULL;
	a->tensors = NULL;
	a->extents = NULL;
}

int pst_agent_lane_acquire(struct pst_agent *a, const struct pst_peer *peer)
{
	uint32_t i;

	for (i = 0; i < a->limits.max_clients; i++) {
		if (a->seats[i].state != PST_SEAT_FREE)
			continue;
		a->seats[i] = (struct pst_seat){
			.state = PST_SEAT_USED,
			.peer = *peer,
		};
		pst_executor_attach(a->executor, i,
				    pst_region_lane(a->region.base, i),
				    peer->owner);
		return (int)i;
	}
	return -EBUSY;
}

void pst_agent_lane_release(struct pst_agent *a, uint32_t lane)
{
	struct pst_seat *seat = &a->seats[lane];
	struct pst_lane_stats stats;

	pst_executor_lane_stats(a->executor, lane, &stats);
	a->counters.ops_ended += stats.ops;
	a->counters.errors_ended += stats.errors;
	a->counters.compute_ns_ended += stats.compute_ns;
	pst_extents_release_owner(a->extents, seat->peer.owner);
	pst_tensors_release_owner(a->tensors, seat->peer.owner);
	seat->state = PST_SEAT_ENDING;
	pst_executor_detach(a->executor, lane);
}

void pst_agent_settle(struct pst_agent *a, uint32_t lane)
{
	struct pst_seat *seat = &a->seats[lane];

	seat->settle_after = pst_executor_running(a->executor, lane);
	if (!seat->settle_after)
		settle(a, seat->peer.owner);
}

void pst_agent_settle_late(struct pst_agent *a)
{
	struct pst_seat *seat;
	uint32_t i;

	pst_models_settle(a->models);
	if (a->scrub)
		scrub(a);
	/* The next operation was checked when the memory was released already:
	 * a lane that is never idle does not keep it. */
	for (i = 0; i < a->limits.max_clients; i++) {
		seat = &a->seats[i];
		if (!seat->settle_after ||
		    pst_executor_running(a->executor, i) == seat->settle_after)
			continue;
		seat->settle_after = 0;
		settle(a, seat->peer.owner);
	}
}

int pst_agent_back(struct pst_agent *a, const struct pst_span *span,
		   struct pst_error *err)
{
	const uint64_t n = pst_region_unbacked(&a->region, span);
	struct pst_error why;
	uint64_t room;

	if (!n)
		return 0;
	/* Filling it where there is no room calls the OOM killer. */
	if (pst_memory_available("", &room) == 0 && n > room)
		return pst_error_set(
			err, -ENOSPC,
			"%llu MiB of memory are wanted, %llu MiB are available",
			(unsigned long long)n >> 20,
			(unsigned long long)room >> 20);
	if (pst_region_back(&a->region, span, &why) < 0)
		return pst_error_set(err, -ENOSPC, "%s", why.text);
	return 0;
}

int pst_agent_nonce_acquire(struct pst_agent *a,
			    uint8_t ret[PST_WIRE_NONCE_SIZE])
{
	struct pst_wire_nonce *slots = pst_region_header(&a->region)->nonce;
	struct pst_agent_nonce *nonce;
	uint32_t i;
	int r;

	for (i = 0; i < PST_WIRE_NONCE_SLOTS; i++)
		if (!(a->nonce_used >> i & 1))
			break;
	if (i == PST_WIRE_NONCE_SLOTS) {
		i = a->nonce_last;
		nonce = &a->nonces[i];
	} else {
		nonce = &a->nonces[i];
		r = pst_random(nonce->bytes, sizeof(nonce->bytes));
		if (r < 0)
			return r;
		pst_shm_write(slots[i].bytes, nonce->bytes,
			      sizeof(nonce->bytes));
		/* Before CHALLENGE names the slot; the socket orders the
		 * rest. */
		pst_shm_store_fence();
		a->nonce_used |= 1U << i;
		a->nonce_last = i;
	}
	nonce->n_users++;
	memcpy(ret, nonce->bytes, sizeof(nonce->bytes));
	return (int)i;
}

void pst_agent_nonce_release(struct pst_agent *a, uint32_t slot)
{
	static const struct pst_wire_nonce zero;
	struct pst_wire_nonce *slots = pst_region_header(&a->region)->nonce;

	if (--a->nonces[slot].n_users > 0)
		return;
	pst_shm_write(&slots[slot], &zero, sizeof(zero));
	a->nonces[slot] = (struct pst_agent_nonce){0};
	a->nonce_used &= ~(1U << slot);
}
