/* SPDX-License-Identifier: MIT */
/* What computes for requests: of each agent a session, its models, and threads
 * for calls that wait. */
#ifndef PST_HOST_CLIENT_GATEWAY_AGENTS_ENGINE_H
#define PST_HOST_CLIENT_GATEWAY_AGENTS_ENGINE_H

#include <jansson.h>

#include "host-client/gateway/agents/agent.h"
#include "host-client/gateway/agents/link.h"
#include "host-client/gateway/agents/model.h"

struct pst_gw_request;
struct pst_gw_engines;
struct pst_gw_opening;

/* Of one agent. The serving thread alone touches it. */
struct pst_gw_engine {
	struct pst_gw_engines *all;
	struct pst_gw_agent *agent;
	/* slow is for loads: a model's file takes long. */
	struct pst_gw_worker quick, slow;
	struct pst_gw_models models;
	struct pst_gw_link *link; /* NULL: there is none */
	uint64_t memory;          /* for tensors of requests, in the region */
	int epfd;
	struct pst_gw_opening *opening; /* under way, or NULL */
	uint64_t opened_ns;             /* when the last one began */
	struct pst_error error;         /* why it failed */
	json_t *listed;                 /* the agent's models */
	uint64_t listed_ns;
};

/* A request that waits for a change: a session, an answer, room. */
struct pst_gw_waiter {
	TAILQ_ENTRY(pst_gw_waiter) link;
	struct pst_gw_request *request;
	uint64_t until_ns; /* 0: it has not waited yet */
	bool waits;
};

struct pst_gw_engines {
	struct pst_gw_engine *list;
	unsigned int n;
	/* For what takes the processor long, of all requests. */
	struct pst_gw_worker converter;
	int wake_fd; /* of all workers */
	TAILQ_HEAD(, pst_gw_waiter) waiters;
};

/* One engine for each of agents, which stay valid. Descriptors go to the set
 * epfd, with e as their data. */
int pst_gw_engines_open(struct pst_gw_engines *e,
			const struct pst_gw_agents *agents, uint64_t memory,
			int epfd, struct pst_error *err);
/* Ends the threads, and calls done of all that they had to do: no request waits
 * for them any more. */
void pst_gw_engines_stop(struct pst_gw_engines *e);
void pst_gw_engines_close(struct pst_gw_engines *e);

/* Collects what has ended; woken: one of the descriptors was ready. */
void pst_gw_engines_poll(struct pst_gw_engines *e, bool woken);
/* Now and then: who waits for what does not come finds out. */
void pst_gw_engines_tick(struct pst_gw_engines *e, uint64_t now_ns);
/* Before sleeping. Returns true if there is something to collect already. */
bool pst_gw_engines_arm(struct pst_gw_engines *e);

/* Something has changed: those that waited longest look again. */
void pst_gw_engines_rouse(struct pst_gw_engines *e);
/* The request waits for a change. Returns false if it has waited too long. */
bool pst_gw_engines_wait(struct pst_gw_engines *e, struct pst_gw_waiter *w);
void pst_gw_engines_leave(struct pst_gw_engines *e, struct pst_gw_waiter *w);

/* Where a model is; all zero but the first line at first. */
struct pst_gw_lookup {
	const char *name; /* NULL: any agent will do, and there is no model */
	/* What was asked before these is out of date: of models, of failures.
	 */
	uint64_t spec_ns, error_ns;
	struct pst_gw_engine *engine;
	struct pst_gw_model *model; /* for pst_gw_model_put() */
	unsigned int tried;         /* a mask of engines that do not have it */
	bool stays;                 /* engine may not change any more */
};

/*
 * Looks for the model: at the engine with least to do, of an agent that
 * answers, where its list has it, else at one after the other. Returns 0;
 * -EAGAIN: it is being asked for, call again after a change; -ENOENT: nobody
 * has it; or why nobody can be asked, with a sentence.
 */
int pst_gw_engines_find(struct pst_gw_engines *e, struct pst_gw_lookup *l,
			struct pst_error *err);

/* The agent's models, as they were a second ago: JSON's list of
 * pst_model_list(), or NULL. Valid until the next call. */
const json_t *pst_gw_engine_models(struct pst_gw_engine *e);

/* The engine's session, for pst_gw_link_put(). since_ns: failures of before are
 * out of date. Returns 0; -EAGAIN: it is being opened; or why it cannot be. */
int pst_gw_engine_link(struct pst_gw_engine *e, uint64_t since_ns,
		       struct pst_gw_link **ret, struct pst_error *err);

#endif
