/* SPDX-License-Identifier: MIT */
/* A thread for calls that wait for an agent, on behalf of the serving one. */
#ifndef PST_HOST_CLIENT_GATEWAY_AGENTS_WORK_H
#define PST_HOST_CLIENT_GATEWAY_AGENTS_WORK_H

#include <pthread.h>
#include <sys/queue.h>

#include "host-client/penstock.h"
#include "transport/base/error.h"
#include "transport/base/util.h"

/* A piece of work; part of a larger structure of its owner. */
struct pst_gw_job {
	STAILQ_ENTRY(pst_gw_job) link;
	/* In the worker's thread; c is a connection for requests only. Returns
	 * 0 or -errno with a sentence. */
	int (*run)(struct pst_gw_job *j, struct pst *c, struct pst_error *err);
	/* In the serving thread, afterwards: error.code is 0 or -errno. */
	void (*done)(struct pst_gw_job *j);
	struct pst_error error;
	bool no_connection; /* run is called with c NULL */
};

STAILQ_HEAD(pst_gw_jobs, pst_gw_job);

struct pst_gw_worker {
	const char *uri;
	int wake_fd;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	struct pst_gw_jobs todo, finished;
	pthread_t thread;
	bool started, stop;
};

int pst_gw_worker_start(struct pst_gw_worker *w, const char *uri, int wake_fd,
			struct pst_error *err);
/* Ends the thread. Work that was not done ends with -ECANCELED: collect it. */
void pst_gw_worker_stop(struct pst_gw_worker *w);
void pst_gw_worker_give(struct pst_gw_worker *w, struct pst_gw_job *j);
/* Calls done of all work that is. Returns whether there was any. */
bool pst_gw_worker_collect(struct pst_gw_worker *w);

#endif
