/* SPDX-License-Identifier: MIT */
/* The agents, and what each last said of itself. */
#include "host-client/gateway/agents/agent.h"

#include <string.h>
#include <sys/eventfd.h>

#include "host-client/gateway/http/log.h"
#include "host-client/penstock.h"
#include "transport/base/thread.h"

/* Between two looks, and the most that a request of one may take. */
#define LOOK_NS    PST_NS_PER_S
#define RETRY_NS   (250 * PST_NS_PER_MS)
#define TIMEOUT_NS PST_NS_PER_S

static void snapshot_free(struct pst_gw_snapshot *s)
{
	if (!s)
		return;
	free(s->info);
	free(s->health);
	free(s->stats);
	free(s->models);
	free(s);
}

static int is_stopping(void *arg)
{
	struct pst_gw_agent *a = arg;
	bool stop;

	pthread_mutex_lock(&a->lock);
	stop = a->stop;
	pthread_mutex_unlock(&a->lock);
	return stop;
}

/* Asks everything, or nothing is taken. */
static int ask(struct pst *c, struct pst_gw_snapshot *s)
{
	int r;

	if ((r = pst_query(c, PST_QUERY_INFO, &s->info)) < 0 ||
	    (r = pst_query(c, PST_QUERY_HEALTH, &s->health)) < 0 ||
	    (r = pst_query(c, PST_QUERY_STATS, &s->stats)) < 0)
		return r;
	r = pst_model_list(c, &s->models);
	/* A backend without models has an empty list. */
	return r == -EOPNOTSUPP ? 0 : r;
}

/* ret_late: it said nothing in time. */
static struct pst_gw_snapshot *look(struct pst_gw_agent *a, struct pst **c,
				    bool *ret_late)
{
	struct pst_options o = PST_OPTIONS_INIT;
	struct pst_gw_snapshot *s = calloc(1, sizeof(*s));
	int r = 0;

	if (!s)
		return NULL;
	s->began_ns = pst_now_ns();
	o.timeout_ns = TIMEOUT_NS;
	o.flags = PST_OPEN_CONTROL_ONLY;
	if (!*c)
		r = pst_open(a->uri, &o, c, s->error, sizeof(s->error));
	if (r == 0) {
		r = ask(*c, s);
		if (r < 0)
			pst_last_error(*c, s->error, sizeof(s->error));
	}
	s->looked_ns = pst_now_ns();
	s->up = r == 0;
	*ret_late = r == -ETIMEDOUT;
	if (r == 0)
		s->taken_ns = s->looked_ns;
	if (r < 0) {
		pst_close(*c);
		*c = NULL;
	}
	return s;
}

/* What s lacks is that of an older one; it has what it took before. */
static void keep_old(struct pst_gw_snapshot *s, struct pst_gw_snapshot *old)
{
	if (s->taken_ns || !old)
		return;
	free(s->info);
	free(s->health);
	free(s->stats);
	free(s->models);
	s->info = old->info;
	s->health = old->health;
	s->stats = old->stats;
	s->models = old->models;
	s->taken_ns = old->taken_ns;
	old->info = old->health = old->stats = old->models = NULL;
}

static void publish(struct pst_gw_agent *a, struct pst_gw_snapshot *s)
{
	const uint64_t one = 1;

	pthread_mutex_lock(&a->lock);
	keep_old(s, a->next);
	snapshot_free(a->next);
	a->next = s;
	pthread_mutex_unlock(&a->lock);
	if (write(a->wake_fd, &one, sizeof(one)) < 0) {
		/* Only a full counter fails, and that is readable. */
	}
}

static void rest(struct pst_gw_agent *a, uint64_t ns)
{
	const uint64_t until_ns = pst_now_ns() + ns;
	const struct timespec until = {
		.tv_sec = (time_t)(until_ns / PST_NS_PER_S),
		.tv_nsec = (long)(until_ns % PST_NS_PER_S),
	};

	pthread_mutex_lock(&a->lock);
	while (!a->stop && !a->hurry &&
	       pthread_cond_timedwait(&a->cond, &a->lock, &until) == 0)
		;
	a->hurry = false;
	pthread_mutex_unlock(&a->lock);
}

void pst_gw_agent_hurry(struct pst_gw_agent *a)
{
	pthread_mutex_lock(&a->lock);
	a->hurry = true;
	pthread_cond_signal(&a->cond);
	pthread_mutex_unlock(&a->lock);
}

static void *watch(void *arg)
{
	struct pst_gw_agent *a = arg;
	struct pst_gw_snapshot *s;
	struct pst *c = NULL;
	bool up = false, late = false;

	pst_set_interrupt(is_stopping, a);
	while (!is_stopping(a)) {
		s = look(a, &c, &late);
		/* A busy agent may be late once. One that rests is so again,
		 * and is asked at once. */
		if (s && up && late) {
			up = false;
			snapshot_free(s);
			continue;
		}
		up = s && s->up;
		if (s)
			publish(a, s);
		rest(a, up ? LOOK_NS : RETRY_NS);
	}
	pst_close(c);
	return NULL;
}

static int start(struct pst_gw_agent *a, const struct pst_gw_endpoint *e,
		 int wake_fd, struct pst_error *err)
{
	pthread_condattr_t attr;
	int r;

	a->name = e->name;
	a->uri = e->uri;
	a->wake_fd = wake_fd;
	a->seen = calloc(1, sizeof(*a->seen));
	if (!a->seen)
		return pst_oom(err);
	snprintf(a->seen->error, sizeof(a->seen->error),
		 "the agent was not asked yet");
	pthread_mutex_init(&a->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&a->cond, &attr);
	pthread_condattr_destroy(&attr);
	r = pst_thread_start(&a->watcher, NULL, watch, a);
	if (r < 0)
		return pst_error_set_errno(err, -r, "cannot start a thread");
	a->started = true;
	return 0;
}

int pst_gw_agents_open(struct pst_gw_agents *a, const struct pst_gw_options *o,
		       struct pst_error *err)
{
	unsigned int i;
	int r = 0;

	*a = (struct pst_gw_agents){.wake_fd = -1};
	a->list = calloc(o->n_endpoints, sizeof(*a->list));
	if (!a->list)
		return pst_oom(err);
	a->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (a->wake_fd < 0)
		r = pst_error_set_errno(err, errno, "eventfd");
	for (i = 0; r == 0 && i < o->n_endpoints; i++) {
		a->n++;
		r = start(&a->list[i], &o->endpoint[i], a->wake_fd, err);
	}
	if (r < 0)
		pst_gw_agents_close(a);
	return r;
}

void pst_gw_agents_close(struct pst_gw_agents *a)
{
	struct pst_gw_agent *g;
	unsigned int i;

	for (i = 0; i < a->n; i++) {
		g = &a->list[i];
		if (!g->started)
			continue;
		pthread_mutex_lock(&g->lock);
		g->stop = true;
		pthread_cond_signal(&g->cond);
		pthread_mutex_unlock(&g->lock);
	}
	for (i = 0; i < a->n; i++) {
		g = &a->list[i];
		if (g->started)
			pthread_join(g->watcher, NULL);
		snapshot_free(g->next);
		snapshot_free(g->seen);
	}
	free(a->list);
	pst_close_fd(a->wake_fd);
	*a = (struct pst_gw_agents){.wake_fd = -1};
}

void pst_gw_agents_update(struct pst_gw_agents *a)
{
	struct pst_gw_snapshot *s;
	struct pst_gw_agent *g;
	unsigned int i;
	uint64_t n;

	if (read(a->wake_fd, &n, sizeof(n)) < 0)
		return;
	for (i = 0; i < a->n; i++) {
		g = &a->list[i];
		pthread_mutex_lock(&g->lock);
		s = g->next;
		g->next = NULL;
		pthread_mutex_unlock(&g->lock);
		if (!s)
			continue;
		a->n_updates++;
		if (s->up && !g->seen->up)
			pst_gw_log(PST_GW_LOG_INFO, "agent %s answers",
				   g->name);
		else if (!s->up && strcmp(s->error, g->seen->error) != 0)
			pst_gw_log(PST_GW_LOG_WARNING,
				   "agent %s does not answer: %s", g->name,
				   s->error);
		keep_old(s, g->seen);
		snapshot_free(g->seen);
		g->seen = s;
	}
}
