/* SPDX-License-Identifier: MIT */
/* What all sessions of one agent share. */
#ifndef PST_GUEST_AGENT_SERVE_AGENT_H
#define PST_GUEST_AGENT_SERVE_AGENT_H

#include <stdbool.h>
#include <stdint.h>

#include "guest-agent/exec/executor.h"
#include "guest-agent/exec/extent.h"
#include "guest-agent/exec/models.h"
#include "guest-agent/exec/scrubber.h"
#include "guest-agent/exec/tensor.h"
#include "guest-agent/region/dma_reach.h"
#include "guest-agent/region/heartbeat.h"
#include "guest-agent/region/measure.h"
#include "guest-agent/serve/turns.h"
#include "guest-agent/service/identity.h"
#include "transport/region/region.h"
#include "transport/wire.h"

/* Beats of the header's heartbeat word. */
#define PST_AGENT_HEARTBEAT_MS 100U

/* Counters for STATS, since the agent started. */
struct pst_counters {
	uint64_t connections;
	uint64_t sessions_started;
	uint64_t sessions_ended;
	uint64_t broken; /* sessions ended for breaking the protocol */
	uint64_t rejected_cid;
	uint64_t rejected_full; /* connections and sessions over a bound */
	uint64_t rejected_version;
	uint64_t rejected_nonce;
	uint64_t rejected_epoch;
	uint64_t rejected_late;
	uint64_t rejected_lanes;
	uint64_t rejected_frames; /* broken before HELLO */
	uint64_t frames;
	uint64_t leases;
	uint64_t releases;
	uint64_t cancels;
	uint64_t whys;
	uint64_t tensors_created;
	uint64_t tensors_destroyed; /* asked for; not at a session's end */
	uint64_t models_loaded;
	uint64_t models_unloaded;
	uint64_t wakes_sent;
	/* Of sessions that are gone; live ones are in their lanes. */
	uint64_t ops_ended;
	uint64_t errors_ended;
	uint64_t compute_ns_ended;
};

enum pst_seat_state {
	PST_SEAT_FREE,
	PST_SEAT_USED,
	PST_SEAT_ENDING, /* its session is gone, the backend not yet done */
};

/* Who holds a lane, as it says itself, and how to reach it. */
struct pst_peer {
	uint64_t owner; /* session id; owner of extents */
	uint32_t pid;
	char name[sizeof(((struct pst_wire_hello *)NULL)->name) + 1];
	/* A completion was posted, and the client sleeps. */
	void (*wake)(void *arg);
	/* The lane's shared state is impossible. */
	void (*broken)(void *arg, const char *sentence);
	void *arg;
};

/* The agent's side of a lane. */
struct pst_seat {
	enum pst_seat_state state;
	struct pst_peer peer;
	/* Memory was released while this operation ran
	 * (pst_executor_running()); 0: none was. */
	uint64_t settle_after;
};

/* What a nonce slot has, and how many connections it was named to. */
struct pst_agent_nonce {
	unsigned int n_users;
	uint8_t bytes[PST_WIRE_NONCE_SIZE];
};

/* Owned by the server; one thread. */
struct pst_agent {
	struct pst_region region;
	uint64_t epoch;
	uint64_t settled_ns; /* LEASE waits until then; 0: no more */
	uint64_t started_ns;
	struct pst_wire_limits limits;
	uint32_t max_models;
	uint64_t max_model_bytes; /* as max_tensor_bytes when 0 */
	bool scrub;
	bool draining;
	struct pst_identity identity;
	const struct pst_backend_ops *ops;
	struct pst_backend *backend;
	struct pst_backend_device device; /* at start; zero without a GPU */
	const struct pst_heartbeat *heartbeat; /* NULL in tests */
	struct pst_measure measure; /* of the arena's mapping, at start */
	struct pst_reach reach;     /* of the GPU, at start */
	char backend_text[64];
	char loop_text[160];
	char *info_text;   /* what INFO says that does not change; or NULL */
	char *models_text; /* the list of models; NULL: to be made */
	struct pst_extents *extents;
	struct pst_scrubber *scrubber; /* NULL: there is no scrub */
	struct pst_span scrubbing;     /* that it works on; size 0: nothing */
	struct pst_tensors *tensors;
	struct pst_models *models;
	uint64_t load_due_ns; /* no model is loaded before */
	struct pst_turns turns;
	struct pst_executor *executor;
	uint64_t last_session;
	unsigned int n_sessions; /* after HELLO */
	unsigned int n_control;  /* of those, without a lane */
	uint32_t nonce_used;     /* bit a slot */
	uint32_t nonce_last;     /* filled last */
	struct pst_agent_nonce nonces[PST_WIRE_NONCE_SLOTS];
	uint64_t wake_gen; /* private copy of header.agent_wake */
	struct pst_seat seats[PST_WIRE_MAX_LANES];
	struct pst_counters counters;
	/* One frame on its way out. */
	uint8_t scratch[sizeof(struct pst_wire_frame) + PST_WIRE_MAX_PAYLOAD];
};

/*
 * Sets up extents, tensors, executor and identity for a formatted region and
 * an open backend; both stay the caller's. a is zero except for region, epoch,
 * settled_ns, limits, max_models, max_model_bytes, scrub, ops, backend. Returns
 * 0, -ENOMEM, -EINVAL (the service manager's credential is none).
 */
int pst_agent_init(struct pst_agent *a, const char *sysfs,
		   struct pst_error *err);

/* How the GPU's driver has the region: "plain", "iomemory", "staged", or
 * "none". */
const char *pst_agent_registration(const struct pst_agent *a);

/* Why that is not "plain", in the driver's words for each way that failed; ""
 * where none did, or there is no GPU. */
const char *pst_agent_registration_why(const struct pst_agent *a);

/*
 * The GPU as it is now. Returns 1 and *ret, 0 when there is none, or -ENODEV,
 * -EIO with a sentence when it does not answer.
 */
int pst_agent_device(const struct pst_agent *a, struct pst_backend_device *ret,
		     struct pst_error *err);

/* The sessions must be gone. */
void pst_agent_done(struct pst_agent *a);

/* Whether released memory is being scrubbed; looked at by
 * pst_agent_settle_late(). */
static inline bool pst_agent_scrubs(const struct pst_agent *a)
{
	return a->scrubbing.size > 0;
}

/* The most lanes that one process gets: a quarter of four and more is kept for
 * others. No protection from who lies about its pid, but from who forgets to
 * close. */
static inline uint32_t pst_agent_lanes_each(const struct pst_agent *a)
{
	const uint32_t n = a->limits.max_clients;

	return n - n / 4;
}

/* What one session may lease of an arena unless --max-lease says otherwise: an
 * eighth is kept for others. */
static inline uint64_t pst_agent_lease_each(const struct pst_agent *a,
					    uint64_t arena)
{
	if (a->limits.max_clients < 2)
		return arena;
	return arena - arena / 8 / PST_WIRE_UNIT * PST_WIRE_UNIT;
}

/* Gives a free lane to a session, which is called back through peer until it
 * releases it. Returns its index, or -EBUSY. */
int pst_agent_lane_acquire(struct pst_agent *a, const struct pst_peer *peer);

/* Ends the session's use of a lane: its extents and tensors go to quarantine,
 * and all become free once the backend has let go of them. */
void pst_agent_lane_release(struct pst_agent *a, uint32_t lane);

/* Makes released extents and tensors of a lane free, now or as soon as no
 * operation that could still use them runs. */
void pst_agent_settle(struct pst_agent *a, uint32_t lane);

/* The later part of pst_agent_settle(); after each slice. */
void pst_agent_settle_late(struct pst_agent *a);

/*
 * Gives an extent its memory before it is handed out, where the region is
 * sparse. Returns 0, or -ENOSPC with a sentence: the machine, or this process's
 * control group, has no more.
 */
int pst_agent_back(struct pst_agent *a, const struct pst_span *span,
		   struct pst_error *err);

/*
 * A nonce slot filled with random bytes, which also go to ret. A free one;
 * when there is none, the one that was filled last, as it is: the bytes prove
 * that their reader maps the region, and are sent to nobody. Since only that
 * one gets new users, another is free once its users are gone, and no bytes
 * stay longer than two handshakes may take. Returns its index, -errno of
 * getrandom.
 */
int pst_agent_nonce_acquire(struct pst_agent *a,
			    uint8_t ret[PST_WIRE_NONCE_SIZE]);

/* One user less; the last one wipes the slot. */
void pst_agent_nonce_release(struct pst_agent *a, uint32_t slot);

#endif
