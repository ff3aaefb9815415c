/* SPDX-License-Identifier: MIT */
/* The agents, and what each last said of itself. */
#ifndef PST_HOST_CLIENT_GATEWAY_AGENTS_AGENT_H
#define PST_HOST_CLIENT_GATEWAY_AGENTS_AGENT_H

#include <pthread.h>

#include "host-client/gateway/http/options.h"

/*
 * What the watcher of an agent saw. It asks once a second, in a thread of its
 * own, so who answers a request never waits for an agent. The texts are those
 * of the last look that succeeded: with up false they are old, and taken_ns
 * says how old.
 */
struct pst_gw_snapshot {
	bool up;
	/* CLOCK_MONOTONIC of the last look, and its begin; 0: none yet. */
	uint64_t looked_ns, began_ns;
	uint64_t taken_ns; /* of the texts; 0: there are none */
	/* JSON: pst_query() of each topic, pst_model_list(). NULL: none. */
	char *info, *health, *stats, *models;
	char error[384]; /* why it is not up, a sentence */
};

/* One agent. The serving thread reads name, uri and *seen. */
struct pst_gw_agent {
	const char *name;
	const char *uri;              /* NULL: $PENSTOCK_ENDPOINT */
	struct pst_gw_snapshot *seen; /* never NULL */
	/* Between the watcher and the serving thread. */
	pthread_mutex_t lock;
	pthread_cond_t cond;
	struct pst_gw_snapshot *next; /* newer than seen, or NULL */
	bool stop;
	bool hurry;  /* it looks at once */
	int wake_fd; /* an eventfd of the serving thread */
	pthread_t watcher;
	bool started;
};

struct pst_gw_agents {
	struct pst_gw_agent *list;
	unsigned int n;
	int wake_fd;        /* readable when pst_gw_agents_update() has work */
	uint64_t n_updates; /* how often something new was taken */
};

/* Starts a watcher for each endpoint. Returns 0 or -errno. */
int pst_gw_agents_open(struct pst_gw_agents *a, const struct pst_gw_options *o,
		       struct pst_error *err);
void pst_gw_agents_close(struct pst_gw_agents *a);

/* The watcher looks soon, and not in a second. */
void pst_gw_agent_hurry(struct pst_gw_agent *a);

/* Takes what the watchers saw. What seen pointed to before is freed. */
void pst_gw_agents_update(struct pst_gw_agents *a);

#endif
