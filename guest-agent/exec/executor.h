/* SPDX-License-Identifier: MIT */
/* The executor: takes operations from lanes, checks, schedules, completes. */
#ifndef PST_GUEST_AGENT_EXEC_EXECUTOR_H
#define PST_GUEST_AGENT_EXEC_EXECUTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "guest-agent/exec/backend.h"
#include "guest-agent/exec/extent.h"
#include "guest-agent/exec/meters.h"
#include "guest-agent/exec/rates.h"
#include "transport/base/error.h"
#include "transport/wire.h"

/*
 * One thread, the serving thread, calls everything here. Operations of one
 * lane run strictly in order, one at a time; lanes share by deficit round
 * robin over the time they used, in turns of less than 1 ms where operations
 * are short. Each call of pst_agent_executor_run() does at most one slice
 * (about 10 ms) of one operation, or a burst of short ones of one lane (about
 * 20 us).
 */
struct pst_agent_executor;

/* The number of a lane's failed operations whose reasons are stored. */
#define PST_AGENT_EXECUTOR_FAILURES 16U

/* Called from inside the executor's functions. They may attach and detach
 * lanes. */
struct pst_agent_executor_hooks {
	/* A completion was posted and the client sleeps. */
	void (*wake)(void *arg, uint32_t lane);
	/* The lane's shared state is corrupt; it is no longer scanned. */
	void (*broken)(void *arg, uint32_t lane, const struct pst_error *err);
	/* After pst_agent_executor_detach(): nothing of the lane runs any more.
	 */
	void (*gone)(void *arg, uint32_t lane);
};

struct pst_agent_executor_config {
	const struct pst_backend_ops *ops;
	struct pst_backend *backend;
	struct pst_wire_limits limits;
	const struct pst_agent_extents *extents;
	/* Operands that are handles, of operations of the session owner, and
	 * models: as pst_op_tensor_fn, pst_op_model_fn. NULL: there are none.
	 */
	int (*tensor)(void *arg, uint64_t owner, uint64_t handle,
		      void **ret_mem, uint64_t *ret_size);
	pst_op_model_fn *model;
	/* Models of named tensors, as pst_op_run_model_fn: device is a struct
	 * pst_backend_use, which lives as long as the model. base: wire offset
	 * 0 of the region. */
	pst_op_run_model_fn *run_model;
	uint8_t *base;
	uint64_t max_run_bytes;
	struct pst_agent_executor_hooks hooks;
	void *arg;               /* for all of these */
	uint64_t (*clock)(void); /* NULL: pst_now_ns() */
};

/* What a lane has done since it was attached. */
struct pst_agent_lane_stats {
	uint64_t ops;    /* completed, errors included */
	uint64_t errors; /* completed with another status than OK */
	uint64_t compute_ns;
	const char *last_error; /* sentence, "" when there was none */
};

/* Returns 0 or -ENOMEM. Borrows ops, backend and extents. */
int pst_agent_executor_new(const struct pst_agent_executor_config *config,
			   struct pst_agent_executor **ret);

/* All lanes must be gone. NULL does nothing. */
void pst_agent_executor_free(struct pst_agent_executor *ex);

/* Zeroes the lane and serves it from now on, for a session that holds the
 * extents of owner. lane < PST_WIRE_MAX_LANES, not attached. */
void pst_agent_executor_attach(struct pst_agent_executor *ex, uint32_t lane,
			       struct pst_wire_lane *shared, uint64_t owner);

/* Gives up the lane's operations without completing them, and calls gone()
 * as soon as nothing of them can write: now, or in a later run. */
void pst_agent_executor_detach(struct pst_agent_executor *ex, uint32_t lane);

/*
 * The operation with this tag completes with ECANCELED, if it is running,
 * waiting, or still in the ring. Returns 0, -ENOENT (no such tag: it has
 * completed, or never was).
 */
int pst_agent_executor_cancel(struct pst_agent_executor *ex, uint32_t lane,
			      uint64_t tag);

/*
 * Takes what lanes hold and does at most one slice of one operation, or a burst
 * of short ones. Returns 1 when it did something, 0 when there is nothing to
 * do.
 */
int pst_agent_executor_run(struct pst_agent_executor *ex);

/* How fast products were computed so far. */
const struct pst_agent_rates *
pst_agent_executor_rates(const struct pst_agent_executor *ex);

/* What operations of each kind took and moved so far. */
const struct pst_agent_meters *
pst_agent_executor_meters(const struct pst_agent_executor *ex);

/* Operations that were taken and are not completed: *ret_running of them in a
 * backend. */
uint64_t pst_agent_executor_taken(const struct pst_agent_executor *ex,
				  uint64_t *ret_running);

/* The pst_now_ns() time of the executor's last reading of the clock. After run
 * has returned 0, it is the current time, which saves the caller a reading. */
uint64_t pst_agent_executor_now(const struct pst_agent_executor *ex);

/* The backend's time in what the last pst_agent_executor_run() did; 0 for an
 * operation that does not reach it. */
uint64_t pst_agent_executor_slice(const struct pst_agent_executor *ex);

/* The caller is going to do something that takes time: to sleep (before it
 * arms), or to serve sockets. Clients that sleep are woken, and the last
 * reading of the clock counts no more. */
void pst_agent_executor_away(struct pst_agent_executor *ex);

/* Whether run would find something. Polls every lane. */
bool pst_agent_executor_ready(const struct pst_agent_executor *ex);

/* Whether a device works on an operation: its end wakes nobody, so a sleeping
 * caller has to poll. */
bool pst_agent_executor_waits(const struct pst_agent_executor *ex);

/* Whether one works on an operation that will tell when it has ended. */
bool pst_agent_executor_is_told(const struct pst_agent_executor *ex);

/* When, by the backend's estimate, the first of the operations that devices
 * work on ends, but for those that tell; 0 if there is none. *ret_begun_ns:
 * when it began there. */
uint64_t pst_agent_executor_due(const struct pst_agent_executor *ex,
				uint64_t *ret_begun_ns);

/* The operation that began last in the backend, of any lane: the number of
 * those that did. */
uint64_t pst_agent_executor_begun(const struct pst_agent_executor *ex);

/*
 * The operation of the lane that runs in the backend, so that memory the
 * session has just released may still be written: its number, larger than those
 * of all that began before, or 0 when none runs.
 */
uint64_t pst_agent_executor_running(const struct pst_agent_executor *ex,
				    uint32_t lane);

/* Whether an operation that runs in the backend, of any lane, has mem (memory
 * of alloc()) as an operand or as its model. */
bool pst_agent_executor_uses(const struct pst_agent_executor *ex,
			     const void *mem);

/* The sentence of the lane's operation with this tag, one of the last
 * PST_AGENT_EXECUTOR_FAILURES that failed; NULL when there is none. Valid until
 * the next call. */
const char *pst_agent_executor_failure(const struct pst_agent_executor *ex,
				       uint32_t lane, uint64_t tag);

/* From now on every operation that has not started completes with
 * ESHUTDOWN. */
void pst_agent_executor_drain(struct pst_agent_executor *ex);

/* Whether no operation runs. */
bool pst_agent_executor_drained(const struct pst_agent_executor *ex);

/*
 * The pst_now_ns() time since which the backend has not given up a cancelled
 * operation, the oldest one; 0 when there is none. Past a limit only a new
 * process (with a new device context) helps.
 */
uint64_t pst_agent_executor_stuck_since(const struct pst_agent_executor *ex);

void pst_agent_executor_lane_stats(const struct pst_agent_executor *ex,
				   uint32_t lane,
				   struct pst_agent_lane_stats *ret);

#endif
