/* SPDX-License-Identifier: MIT */
/* The serving thread: sets the agent up, serves lanes and sockets, drains. */
#ifndef PST_GUEST_AGENT_SERVE_SERVER_H
#define PST_GUEST_AGENT_SERVE_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "guest-agent/serve/conn.h"
#include "guest-agent/serve/listeners.h"
#include "guest-agent/serve/models/onnx.h"
#include "transport/base/error.h"
#include "transport/loop/loop.h"
#include "transport/sock.h"
#include "transport/wire.h"

struct pst_agent_server_config {
	struct pst_listen listens[PST_AGENT_MAX_LISTENERS];
	unsigned int n_listens;
	int passed[PST_AGENT_MAX_LISTENERS]; /* listening sockets */
	unsigned int n_passed;
	int serve_fd;       /* a connected socket, or -1 */
	const char *region; /* pst_region_open() */
	const char *sysfs;
	const struct pst_backend_ops *backend;
	const char *backend_options; /* checked; NULL: none */
	uint32_t threads;            /* 0: the backend's choice */
	int numa_node; /* whose CPUs all threads run on; -1: any */
	uint64_t spin_ns;
	uint64_t drain_ns; /* for operations in flight at the end */
	/* The serving thread gives a sign of life well within that time
	 * (pst_service_notify("WATCHDOG=1")); 0: none is wanted. */
	uint64_t watchdog_ns;
	uint32_t cids[PST_AGENT_CONN_MAX_CIDS];
	unsigned int n_cids;
	/* max_lease 0: the arena's size; max_tensor_bytes 0: by the memory
	 * there is. */
	struct pst_wire_limits limits;
	uint32_t max_models;
	uint64_t max_model_bytes; /* 0: as max_tensor_bytes */
	bool scrub;
	struct pst_agent_onnx_config onnx;
	enum pst_loop_kind loop;
};

struct pst_agent_server;

/*
 * Opens the region, claims and formats it, opens backend, loop and listeners,
 * starts the heartbeat, and logs one line that says what serves where.
 * serve_fd and the passed sockets are the server's from then on. Returns 0, or
 * the -errno of what failed with a sentence.
 */
int pst_agent_server_open(const struct pst_agent_server_config *config,
			  struct pst_agent_server **ret, struct pst_error *err);

/* Ends all sessions without a word. NULL does nothing. */
void pst_agent_server_close(struct pst_agent_server *s);

/* Runs stop_fd's handler: when that descriptor becomes readable, the server
 * drains. 0, -ENOMEM. */
int pst_agent_server_watch_stop(struct pst_agent_server *s, int stop_fd,
				struct pst_error *err);

/*
 * Serves until it was told to stop, or the connection of serve_fd ended and
 * nothing listens. Returns 0, -ETIMEDOUT (the backend did not let go of an
 * operation; only a new process helps), -errno of the loop.
 */
int pst_agent_server_run(struct pst_agent_server *s, struct pst_error *err);

#endif
