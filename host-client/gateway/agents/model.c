/* SPDX-License-Identifier: MIT */
/* What is known of an agent's models: asked for when it is needed. */
#include "host-client/gateway/agents/model.h"

#include <string.h>

/* Names that are remembered, failures included. */
#define MAX_MODELS 128U

struct pst_gw_asking {
	struct pst_gw_job job; /* first */
	struct pst_gw_models *models;
	struct pst_gw_model *model; /* the answer; has the name */
};

void pst_gw_models_init(struct pst_gw_models *m)
{
	*m = (struct pst_gw_models){0};
	TAILQ_INIT(&m->list);
}

static void forget(struct pst_gw_models *m, struct pst_gw_model *e)
{
	TAILQ_REMOVE(&m->list, e, link);
	m->n--;
	pst_gw_model_put(e);
}

void pst_gw_models_done(struct pst_gw_models *m)
{
	while (!TAILQ_EMPTY(&m->list))
		forget(m, TAILQ_FIRST(&m->list));
}

void pst_gw_model_put(struct pst_gw_model *e)
{
	if (!e || --e->refs > 0)
		return;
	free(e->spec);
	free(e);
}

static struct pst_gw_model *find(const struct pst_gw_models *m,
				 const char *name)
{
	struct pst_gw_model *e;

	TAILQ_FOREACH(e, &m->list, link)
	if (strcmp(e->name, name) == 0)
		return e;
	return NULL;
}

static int ask(struct pst_gw_job *j, struct pst *c, struct pst_error *err)
{
	struct pst_gw_model *e = ((struct pst_gw_asking *)j)->model;
	int r = pst_model_info(c, e->name, &e->spec);

	/* The agent that went away may have come back. */
	if (r == -ECONNRESET)
		r = pst_model_info(c, e->name, &e->spec);
	if (r < 0)
		pst_last_error(c, err->text, sizeof(err->text));
	return r;
}

static void asked(struct pst_gw_job *j)
{
	struct pst_gw_asking *a = (struct pst_gw_asking *)j;
	struct pst_gw_models *m = a->models;
	struct pst_gw_model *old = find(m, a->model->name);

	m->asking = NULL;
	a->model->error = j->error;
	if (old)
		forget(m, old);
	if (m->n == MAX_MODELS)
		forget(m, TAILQ_LAST(&m->list, pst_gw_model_list));
	TAILQ_INSERT_HEAD(&m->list, a->model, link);
	m->n++;
	free(a);
}

static int begin(struct pst_gw_models *m, struct pst_gw_worker *w,
		 const char *name, struct pst_error *err)
{
	struct pst_gw_asking *a = calloc(1, sizeof(*a));
	struct pst_gw_model *e = calloc(1, sizeof(*e));

	if (!a || !e) {
		free(a);
		free(e);
		return pst_oom(err);
	}
	snprintf(e->name, sizeof(e->name), "%s", name);
	e->asked_ns = pst_now_ns();
	e->refs = 1;
	a->job.run = ask;
	a->job.done = asked;
	a->models = m;
	a->model = e;
	m->asking = a;
	pst_gw_worker_give(w, &a->job);
	return -EAGAIN;
}

int pst_gw_model_get(struct pst_gw_models *m, struct pst_gw_worker *w,
		     const char *name, uint64_t spec_ns, uint64_t error_ns,
		     struct pst_gw_model **ret, struct pst_error *err)
{
	struct pst_gw_model *e = find(m, name);

	if (e && e->spec && e->asked_ns >= spec_ns) {
		e->refs++;
		*ret = e;
		return 0;
	}
	if (e && !e->spec && e->asked_ns >= error_ns) {
		*err = e->error;
		return err->code;
	}
	return m->asking ? -EAGAIN : begin(m, w, name, err);
}
