/* SPDX-License-Identifier: MIT */
/* The state that all sessions of one agent share. */
#ifndef PST_GUEST_AGENT_SERVE_AGENT_H
#define PST_GUEST_AGENT_SERVE_AGENT_H

#include <stdbool.h>
#include <stdint.h>

#include "guest-agent/exec/executor.h"
#include "guest-agent/exec/models.h"
#include "guest-agent/exec/staged.h"
#include "guest-agent/region/dma_reach.h"
#include "guest-agent/region/heartbeat.h"
#include "guest-agent/region/measure.h"
#include "guest-agent/serve/state/holdings.h"
#include "guest-agent/serve/state/nonces.h"
#include "guest-agent/serve/state/turns.h"
#include "guest-agent/service/identity.h"
#include "transport/region/region.h"
#include "transport/wire.h"

/* Beats of the header's heartbeat word. */
#define PST_AGENT_HEARTBEAT_MS 100U

/* Counters for STATS, since the agent started. */
struct pst_agent_counters {
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
	uint64_t failures;
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

enum pst_agent_seat_state {
	PST_AGENT_SEAT_FREE,
	PST_AGENT_SEAT_USED,
	PST_AGENT_SEAT_ENDING, /* its session is gone, the backend not yet done
				*/
};

/* The client of a lane, by its own words, and how to reach its session. */
struct pst_agent_peer {
	uint64_t owner; /* session id; owner of extents */
	uint32_t pid;
	char name[sizeof(((struct pst_wire_hello *)NULL)->name) + 1];
	/* A completion was posted, and the client sleeps. */
	void (*wake)(void *arg);
	/* The lane's shared state is corrupt. */
	void (*broken)(void *arg, const char *sentence);
	void *arg;
};

/* The agent's side of a lane. */
struct pst_agent_seat {
	enum pst_agent_seat_state state;
	struct pst_agent_peer peer;
	/* Released memory waits for the end of this operation, the oldest one
	 * of the session (pst_agent_executor_running()); 0: it does not. */
	uint64_t settle_after;
};

/* What the command line says. limits: what clients are told, complete after
 * pst_agent_init(). */
struct pst_agent_config {
	struct pst_wire_limits limits;
	uint32_t max_models;
	uint64_t max_model_bytes; /* 0: as max_tensor_bytes */
	bool scrub;
	uint64_t max_run_bytes; /* of the tensors of one RUN */
};

/* What computes. */
struct pst_agent_compute {
	const struct pst_backend_ops *ops;
	struct pst_backend *backend;
};

/* What was found at the start. */
struct pst_agent_facts {
	uint64_t started_ns;
	struct pst_agent_identity identity;
	struct pst_backend_device device; /* zero without a GPU */
	struct pst_agent_measure measure; /* of the arena's mapping */
	struct pst_agent_reach reach;     /* of the GPU */
	char backend_text[64];
	char loop_text[160];
};

/* Of report.c: what is kept of one report for the next. */
struct pst_agent_texts {
	char *info;   /* what INFO says that does not change; or NULL */
	char *models; /* the list of models; NULL: to be made */
};

/* Who has a session. */
struct pst_agent_seats {
	struct pst_agent_seat lanes[PST_WIRE_MAX_LANES];
	uint64_t last_session;
	unsigned int n_sessions; /* after HELLO */
	unsigned int n_control;  /* of those, without a lane */
};

/* Owned by the server; one thread. */
struct pst_agent {
	struct pst_region region;
	uint64_t epoch;
	uint64_t settled_ns; /* LEASE waits until then; 0: no more */
	bool draining;
	const struct pst_agent_heartbeat *heartbeat; /* NULL in tests */
	struct pst_agent_config config;
	struct pst_agent_compute compute;
	struct pst_agent_facts facts;
	struct pst_agent_texts texts;
	struct pst_agent_holdings holdings;
	struct pst_agent_models *models;
	struct pst_agent_staged staged;
	struct pst_agent_onnx *onnx; /* NULL: there is none */
	/* Told of each session that ends, if it is not NULL. */
	void (*ended)(struct pst_agent *a, const struct pst_agent_session *s);
	uint64_t load_due_ns; /* no model is loaded before */
	struct pst_agent_turns turns;
	struct pst_agent_executor *executor;
	struct pst_agent_seats seats;
	struct pst_agent_nonces nonces;
	struct pst_agent_counters counters;
	/* One frame on its way out. */
	uint8_t scratch[sizeof(struct pst_wire_frame) + PST_WIRE_MAX_PAYLOAD];
};

/*
 * Sets up extents, tensors, executor and identity for a formatted region and
 * an open backend; both stay the caller's. a is zero except for region, epoch,
 * settled_ns, config, compute. Returns 0, -ENOMEM, -EINVAL (the service
 * manager's credential is none).
 */
int pst_agent_init(struct pst_agent *a, const char *sysfs,
		   struct pst_error *err);

/* How the region is registered with the GPU's driver: "plain", "iomemory",
 * "staged", or "none". */
const char *pst_agent_compute_registration(const struct pst_agent_compute *c);

/* Why that is not "plain", in the driver's words for each way that failed; ""
 * where none did, or there is no GPU. */
const char *
pst_agent_compute_registration_why(const struct pst_agent_compute *c);

/*
 * The GPU as it is now. Returns 1 and *ret, 0 when there is none, or -ENODEV,
 * -EIO with a sentence when it does not answer.
 */
int pst_agent_compute_device(const struct pst_agent_compute *c,
			     struct pst_backend_device *ret,
			     struct pst_error *err);

/* The sessions must be gone. */
void pst_agent_done(struct pst_agent *a);

/* The most lanes that one process gets: a quarter of four and more is kept for
 * others. This protects from clients that forget to close, not from clients
 * that lie about their pid. */
static inline uint32_t pst_agent_lanes_each(const struct pst_wire_limits *l)
{
	const uint32_t n = l->max_clients;

	return n - n / 4;
}

/* What one session may lease of an arena unless --max-lease says otherwise: an
 * eighth is kept for others. */
static inline uint64_t pst_agent_lease_each(const struct pst_wire_limits *l,
					    uint64_t arena)
{
	if (l->max_clients < 2)
		return arena;
	return arena - arena / 8 / PST_WIRE_UNIT * PST_WIRE_UNIT;
}

/* Gives a free lane to a session, which is called back through peer until it
 * releases it. Returns its index, or -EBUSY. */
int pst_agent_lane_acquire(struct pst_agent *a,
			   const struct pst_agent_peer *peer);

/* Ends the session's use of a lane, as of all its others at the same time: its
 * extents and tensors go to quarantine. The lane is free once the backend has
 * let go of it, and they are once it has of all. */
void pst_agent_lane_release(struct pst_agent *a, uint32_t lane);

/* Makes released extents and tensors of a session free, each now or as soon as
 * no operation that could still use it runs in any lane of the session. */
void pst_agent_settle(struct pst_agent *a, uint64_t owner);

/* The later part of pst_agent_settle(); after each slice. */
void pst_agent_settle_late(struct pst_agent *a);

#endif
