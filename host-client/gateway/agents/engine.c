/* SPDX-License-Identifier: MIT */
/* What computes for requests: of each agent a session, its models, and threads
 * for calls that wait. */
#include "host-client/gateway/agents/engine.h"

#include <limits.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "host-client/gateway/http/log.h"
#include "host-client/gateway/http/request.h"

/* How long a request waits for others at most. */
#define WAIT_NS (5 * PST_NS_PER_S)
/* How old an agent's last answer is while it counts as late. */
#define LATE_NS (5 * PST_NS_PER_S)
/* Requests that look again after one change. What these leave, the next change
 * or the next look of all shows to others. */
#define ROUSED 8U

struct pst_gw_opening {
	struct pst_gw_job job; /* first */
	struct pst_gw_engine *engine;
	struct pst_gw_link *link;
};

/* ---- Sessions ---- */

static int open_link(struct pst_gw_job *j, struct pst *c, struct pst_error *err)
{
	struct pst_gw_opening *o = (struct pst_gw_opening *)j;
	const struct pst_gw_engine *e = o->engine;

	(void)c;
	return pst_gw_link_open(e->agent->uri, e->memory, &o->link, err);
}

static void link_opened(struct pst_gw_job *j)
{
	struct pst_gw_opening *o = (struct pst_gw_opening *)j;
	struct pst_gw_engine *e = o->engine;
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = e->all};

	e->opening = NULL;
	e->error = j->error;
	if (o->link &&
	    epoll_ctl(e->epfd, EPOLL_CTL_ADD, o->link->fd, &ev) < 0) {
		pst_error_set_errno(&e->error, errno, "epoll_ctl");
		pst_gw_link_put(o->link);
		o->link = NULL;
	}
	e->link = o->link;
	free(o);
}

static void lose_link(struct pst_gw_engine *e)
{
	pst_gw_log(PST_GW_LOG_WARNING, "the session of agent %s is lost",
		   e->agent->name);
	(void)epoll_ctl(e->epfd, EPOLL_CTL_DEL, e->link->fd, NULL);
	pst_gw_link_put(e->link);
	e->link = NULL;
	pst_error_clear(&e->error);
}

int pst_gw_engine_link(struct pst_gw_engine *e, uint64_t since_ns,
		       struct pst_gw_link **ret, struct pst_error *err)
{
	struct pst_gw_opening *o;

	/* An idle one is not watched. */
	if (e->link && pst_check(e->link->c) < 0)
		lose_link(e);
	if (e->link) {
		*ret = pst_gw_link_get(e->link);
		return 0;
	}
	if (e->opening)
		return -EAGAIN;
	if (e->error.code < 0 && e->opened_ns >= since_ns) {
		*err = e->error;
		return err->code;
	}
	o = calloc(1, sizeof(*o));
	if (!o)
		return pst_oom(err);
	o->job.run = open_link;
	o->job.done = link_opened;
	o->job.no_connection = true;
	o->engine = e;
	e->opening = o;
	e->opened_ns = pst_now_ns();
	pst_gw_worker_give(&e->quick, &o->job);
	return -EAGAIN;
}

/* ---- All of them ---- */

static int start(struct pst_gw_engines *all, struct pst_gw_engine *e,
		 struct pst_error *err)
{
	const char *uri = e->agent->uri;
	int r = pst_gw_worker_start(&e->quick, uri, all->wake_fd, err);

	return r < 0 ? r
		     : pst_gw_worker_start(&e->slow, uri, all->wake_fd, err);
}

int pst_gw_engines_open(struct pst_gw_engines *e,
			const struct pst_gw_agents *agents, uint64_t memory,
			int epfd, struct pst_error *err)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = e};
	unsigned int i;
	int r = 0;

	*e = (struct pst_gw_engines){.wake_fd = -1};
	TAILQ_INIT(&e->waiters);
	e->list = calloc(agents->n, sizeof(*e->list));
	if (!e->list)
		return pst_oom(err);
	e->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (e->wake_fd < 0 ||
	    epoll_ctl(epfd, EPOLL_CTL_ADD, e->wake_fd, &ev) < 0)
		r = pst_error_set_errno(err, errno, "eventfd");
	if (r == 0)
		r = pst_gw_worker_start(&e->converter, NULL, e->wake_fd, err);
	for (i = 0; r == 0 && i < agents->n; i++) {
		e->list[i].all = e;
		e->list[i].agent = &agents->list[i];
		e->list[i].memory = memory;
		e->list[i].epfd = epfd;
		pst_gw_models_init(&e->list[i].models);
		e->n++;
		r = start(e, &e->list[i], err);
	}
	return r;
}

void pst_gw_engines_stop(struct pst_gw_engines *e)
{
	unsigned int i;

	pst_gw_worker_stop(&e->converter);
	(void)pst_gw_worker_collect(&e->converter);
	for (i = 0; i < e->n; i++) {
		pst_gw_worker_stop(&e->list[i].quick);
		pst_gw_worker_stop(&e->list[i].slow);
		(void)pst_gw_worker_collect(&e->list[i].quick);
		(void)pst_gw_worker_collect(&e->list[i].slow);
	}
}

void pst_gw_engines_close(struct pst_gw_engines *e)
{
	unsigned int i;

	for (i = 0; i < e->n; i++) {
		if (e->list[i].link)
			pst_gw_link_abandon(e->list[i].link);
		pst_gw_link_put(e->list[i].link);
		json_decref(e->list[i].listed);
		pst_gw_models_done(&e->list[i].models);
	}
	free(e->list);
	pst_close_fd(e->wake_fd);
	*e = (struct pst_gw_engines){.wake_fd = -1};
}

static void take_wakes(struct pst_gw_engines *e)
{
	uint64_t n;

	if (read(e->wake_fd, &n, sizeof(n)) < 0) {
		/* It was for a link. */
	}
}

void pst_gw_engines_poll(struct pst_gw_engines *e, bool woken)
{
	struct pst_gw_engine *g;
	bool any = false;
	unsigned int i;

	if (woken) {
		take_wakes(e);
		any = pst_gw_worker_collect(&e->converter);
	}
	for (i = 0; i < e->n; i++) {
		g = &e->list[i];
		if (woken) {
			any |= pst_gw_worker_collect(&g->quick);
			any |= pst_gw_worker_collect(&g->slow);
		}
		if (!g->link || (!woken && g->link->n_ops == 0))
			continue;
		any |= pst_gw_link_poll(g->link);
		if (g->link->lost)
			lose_link(g);
	}
	if (any)
		pst_gw_engines_rouse(e);
}

bool pst_gw_engines_arm(struct pst_gw_engines *e)
{
	const struct pst_gw_link *l;
	unsigned int i;

	for (i = 0; i < e->n; i++) {
		l = e->list[i].link;
		if (l && l->n_ops > 0 && pst_arm(l->c) != 0)
			return true;
	}
	return false;
}

/* ---- Who waits ---- */

void pst_gw_engines_leave(struct pst_gw_engines *e, struct pst_gw_waiter *w)
{
	if (w->waits)
		TAILQ_REMOVE(&e->waiters, w, link);
	w->waits = false;
}

bool pst_gw_engines_wait(struct pst_gw_engines *e, struct pst_gw_waiter *w)
{
	const uint64_t now_ns = pst_now_ns();

	if (!w->until_ns)
		w->until_ns = now_ns + WAIT_NS;
	if (now_ns > w->until_ns)
		return false;
	if (!w->waits)
		TAILQ_INSERT_TAIL(&e->waiters, w, link);
	w->waits = true;
	pst_gw_wait(w->request);
	return true;
}

static void rouse(struct pst_gw_engines *e, unsigned int max)
{
	struct pst_gw_waiter *w;

	while (max-- > 0 && (w = TAILQ_FIRST(&e->waiters))) {
		pst_gw_engines_leave(e, w);
		pst_gw_go_on(w->request);
	}
}

void pst_gw_engines_rouse(struct pst_gw_engines *e)
{
	rouse(e, ROUSED);
}

void pst_gw_engines_tick(struct pst_gw_engines *e, uint64_t now_ns)
{
	unsigned int i;

	for (i = 0; i < e->n; i++)
		if (e->list[i].link)
			pst_gw_link_look(e->list[i].link, now_ns);
	rouse(e, UINT_MAX);
}

/* ---- Which one ---- */

const json_t *pst_gw_engine_models(struct pst_gw_engine *e)
{
	const struct pst_gw_snapshot *seen = e->agent->seen;

	if (e->listed_ns != seen->taken_ns) {
		json_decref(e->listed);
		e->listed = seen->models
				    ? json_loads(seen->models,
						 JSON_REJECT_DUPLICATES, NULL)
				    : NULL;
		e->listed_ns = seen->taken_ns;
	}
	return json_object_get(e->listed, "models");
}

static bool has(struct pst_gw_engine *e, const char *model)
{
	const json_t *list = pst_gw_engine_models(e), *o;
	const char *name;
	size_t i;

	json_array_foreach(list, i, o)
	{
		name = json_string_value(json_object_get(o, "name"));
		if (name && strcmp(name, model) == 0)
			return true;
	}
	return false;
}

/* Whether it answers. Where none does, one that is late may still compute: it,
 * or this machine, is busy. Its death would have ended the session. */
static bool answers(const struct pst_gw_engine *g, bool late)
{
	const struct pst_gw_snapshot *seen = g->agent->seen;

	if (!late)
		return seen->up;
	return g->link && !g->link->lost && pst_check(g->link->c) == 0 &&
	       pst_now_ns() - seen->taken_ns < LATE_NS;
}

static bool any_answers(const struct pst_gw_engines *e)
{
	unsigned int i;

	for (i = 0; i < e->n; i++)
		if (answers(&e->list[i], false))
			return true;
	return false;
}

/* Returns 0; -EAGAIN: some agent was not asked yet; -ENOENT: all that answer
 * were tried; or why none answers. */
static int choose(struct pst_gw_engines *e, struct pst_gw_lookup *l,
		  struct pst_error *err)
{
	struct pst_gw_engine *g;
	unsigned int i, n_ops, best_ops = 0;
	bool late = !any_answers(e), new = false, g_has, best_has = false;

	for (i = 0; i < e->n; i++) {
		g = &e->list[i];
		new = new || !g->agent->seen->looked_ns;
		if (!answers(g, late) || (l->tried & 1U << i))
			continue;
		n_ops = g->link ? g->link->n_ops : 0;
		g_has = !l->name || e->n == 1 || has(g, l->name);
		if (!l->engine || (g_has && !best_has) ||
		    (g_has == best_has && n_ops < best_ops)) {
			l->engine = g;
			best_has = g_has;
			best_ops = n_ops;
		}
	}
	if (l->engine)
		return 0;
	if (new)
		return -EAGAIN;
	if (l->tried)
		return -ENOENT;
	return pst_error_set(err, -ECONNREFUSED, "agent %s does not answer: %s",
			     e->list[0].agent->name,
			     e->list[0].agent->seen->error);
}

int pst_gw_engines_find(struct pst_gw_engines *e, struct pst_gw_lookup *l,
			struct pst_error *err)
{
	int r;

	for (;;) {
		if (!l->engine && (r = choose(e, l, err)) < 0)
			return r;
		if (!l->name || l->model)
			return 0;
		r = pst_gw_model_get(&l->engine->models, &l->engine->quick,
				     l->name, l->spec_ns, l->error_ns,
				     &l->model, err);
		if (r != -ENOENT || l->stays)
			return r;
		l->tried |= 1U << (l->engine - e->list);
		l->engine = NULL;
	}
}
