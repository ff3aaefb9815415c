/* SPDX-License-Identifier: MIT */
/* A thread for calls that wait for an agent, on behalf of the serving one. */
#include "host-client/gateway/agents/work.h"

#include "transport/base/thread.h"

/* To connect, and of each request. */
#define TIMEOUT_NS (5 * PST_NS_PER_S)

static int is_stopping(void *arg)
{
	struct pst_gw_worker *w = arg;
	bool stop;

	pthread_mutex_lock(&w->lock);
	stop = w->stop;
	pthread_mutex_unlock(&w->lock);
	return stop;
}

static int connect_agent(struct pst_gw_worker *w, struct pst **c,
			 struct pst_error *err)
{
	struct pst_options o = PST_OPTIONS_INIT;

	if (*c && pst_check(*c) == 0)
		return 0;
	pst_close(*c);
	*c = NULL;
	o.timeout_ns = TIMEOUT_NS;
	o.flags = PST_OPEN_CONTROL_ONLY;
	err->code = pst_open(w->uri, &o, c, err->text, sizeof(err->text));
	return err->code;
}

static void finish(struct pst_gw_worker *w, struct pst_gw_job *j)
{
	const uint64_t one = 1;

	pthread_mutex_lock(&w->lock);
	STAILQ_INSERT_TAIL(&w->finished, j, link);
	pthread_mutex_unlock(&w->lock);
	if (write(w->wake_fd, &one, sizeof(one)) < 0) {
		/* Only a full counter fails, and that is readable. */
	}
}

static void *work(void *arg)
{
	struct pst_gw_worker *w = arg;
	struct pst_gw_job *j;
	struct pst *c = NULL;

	pst_set_interrupt(is_stopping, w);
	for (;;) {
		pthread_mutex_lock(&w->lock);
		while (!w->stop && STAILQ_EMPTY(&w->todo))
			pthread_cond_wait(&w->cond, &w->lock);
		j = w->stop ? NULL : STAILQ_FIRST(&w->todo);
		if (j)
			STAILQ_REMOVE_HEAD(&w->todo, link);
		pthread_mutex_unlock(&w->lock);
		if (!j)
			break;
		pst_error_clear(&j->error);
		if (j->no_connection || connect_agent(w, &c, &j->error) == 0)
			j->error.code = j->run(j, j->no_connection ? NULL : c,
					       &j->error);
		finish(w, j);
	}
	pst_close(c);
	return NULL;
}

int pst_gw_worker_start(struct pst_gw_worker *w, const char *uri, int wake_fd,
			struct pst_error *err)
{
	int r;

	*w = (struct pst_gw_worker){.uri = uri, .wake_fd = wake_fd};
	STAILQ_INIT(&w->todo);
	STAILQ_INIT(&w->finished);
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->cond, NULL);
	r = pst_thread_start(&w->thread, NULL, work, w);
	if (r < 0)
		return pst_error_set_errno(err, -r, "cannot start a thread");
	w->started = true;
	return 0;
}

void pst_gw_worker_stop(struct pst_gw_worker *w)
{
	struct pst_gw_job *j;

	if (!w->started)
		return;
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);
	w->started = false;
	while ((j = STAILQ_FIRST(&w->todo))) {
		STAILQ_REMOVE_HEAD(&w->todo, link);
		pst_error_set(&j->error, -ECANCELED, "the gateway ends");
		STAILQ_INSERT_TAIL(&w->finished, j, link);
	}
}

void pst_gw_worker_give(struct pst_gw_worker *w, struct pst_gw_job *j)
{
	pthread_mutex_lock(&w->lock);
	STAILQ_INSERT_TAIL(&w->todo, j, link);
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->lock);
}

bool pst_gw_worker_collect(struct pst_gw_worker *w)
{
	struct pst_gw_jobs done = STAILQ_HEAD_INITIALIZER(done);
	struct pst_gw_job *j;
	bool any = false;

	pthread_mutex_lock(&w->lock);
	STAILQ_CONCAT(&done, &w->finished);
	pthread_mutex_unlock(&w->lock);
	while ((j = STAILQ_FIRST(&done))) {
		STAILQ_REMOVE_HEAD(&done, link);
		any = true;
		j->done(j);
	}
	return any;
}
