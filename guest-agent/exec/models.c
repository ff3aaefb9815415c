/* SPDX-License-Identifier: MIT */
/* The table of loaded models: names, handles, and the backend's state. */
#include "guest-agent/exec/models.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "guest-agent/model/model_plan.h"
#include "guest-agent/model/safetensors.h"

enum state {
	FREE,
	LOADING, /* it has a name only */
	READY,
	DYING, /* unloaded */
};

struct entry {
	enum state state;
	void *model; /* the backend's; NULL: others keep it */
	struct pst_wire_model wire;
	struct pst_run_model *shape; /* of a model of the backend */
	struct pst_agent_model_use use;
};

struct pst_agent_models {
	struct pst_agent_models_config config;
	uint32_t gen; /* of the next handle */
	uint32_t n;
	uint32_t n_dying;
	uint64_t bytes;
	void (*gone)(void *arg, uint64_t handle);
	void *gone_arg;
	struct entry entries[PST_AGENT_MODELS_MAX];
};

int pst_agent_models_new(const struct pst_agent_models_config *config,
			 struct pst_agent_models **ret)
{
	struct pst_agent_models *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	m->config = *config;
	if (m->config.max_models > PST_AGENT_MODELS_MAX)
		m->config.max_models = PST_AGENT_MODELS_MAX;
	m->gen = (uint32_t)(config->epoch ^ config->epoch >> 32);
	*ret = m;
	return 0;
}

/* As operations under way name it. */
static void *name_of(const struct entry *e)
{
	return e->model ? e->model : (void *)(uintptr_t)e;
}

static void drop(struct pst_agent_models *m, struct entry *e)
{
	const uint64_t handle = e->wire.handle;
	const bool kept = !e->model;

	if (e->model)
		m->config.ops->model_free(m->config.backend, e->model);
	free(e->shape);
	m->bytes -= e->wire.size;
	*e = (struct entry){0};
	if (kept && m->gone)
		m->gone(m->gone_arg, handle);
}

void pst_agent_models_free(struct pst_agent_models *m)
{
	uint32_t i;

	if (!m)
		return;
	for (i = 0; i < PST_AGENT_MODELS_MAX; i++)
		if (m->entries[i].state != FREE)
			drop(m, &m->entries[i]);
	free(m);
}

static const struct entry *find_name(const struct pst_agent_models *m,
				     const char *name)
{
	const struct entry *e;
	uint32_t i;

	for (i = 0; i < PST_AGENT_MODELS_MAX; i++) {
		e = &m->entries[i];
		if (e->state != FREE && e->state != DYING &&
		    strcmp(e->wire.name, name) == 0)
			return e;
	}
	return NULL;
}

static struct entry *find_free(struct pst_agent_models *m)
{
	uint32_t i;

	for (i = 0; i < PST_AGENT_MODELS_MAX; i++)
		if (m->entries[i].state == FREE)
			return &m->entries[i];
	return NULL;
}

static int check_bytes(struct pst_agent_models *m, uint64_t size,
		       struct pst_error *err)
{
	uint64_t bytes;

	if (pst_add_overflow(m->bytes, size, &bytes) ||
	    bytes > m->config.max_bytes)
		return pst_error_set(
			err, size > m->config.max_bytes ? -EMSGSIZE : -ENOSPC,
			"%" PRIu64 " bytes more than the %" PRIu64
			" of loaded models are "
			"above the limit of %" PRIu64 " (--max-model-bytes)",
			size, m->bytes, m->config.max_bytes);
	return 0;
}

/* Whether there is room for one more, in number and in bytes. */
static int check_room(struct pst_agent_models *m, const char *name,
		      uint64_t size, struct pst_error *err)
{
	if (find_name(m, name))
		return pst_error_set(err, -EBUSY,
				     "a model named %s is already loaded",
				     name);
	if (m->n >= m->config.max_models || !find_free(m))
		return pst_error_set(err, -ENOSPC,
				     "%u models are loaded, no more are "
				     "allowed (--max-models)",
				     m->n);
	return check_bytes(m, size, err);
}

int pst_agent_models_plan(const uint8_t *header, size_t n, uint64_t size,
			  struct pst_agent_model_plan *ret,
			  struct pst_error *err)
{
	struct pst_agent_safetensors st;
	int r;

	r = pst_agent_safetensors_parse(header, n, size, &st, err);
	if (r < 0)
		return r;
	r = pst_agent_model_plan_parse(&st, ret, err);
	pst_agent_safetensors_done(&st);
	return r;
}

/* Rows of n_in elements give as many of n_out. NULL: out of memory, and RUN
 * does not find the model. */
static struct pst_run_model *shape_of(const struct pst_agent_model_plan *plan)
{
	struct pst_run_model *shape = calloc(1, sizeof(*shape));

	if (!shape)
		return NULL;
	*shape = (struct pst_run_model){
		.n_in = 1,
		.n_out = 1,
		.n_symbols = 1,
		.io = {{.name = "input",
			.dtype = PST_WIRE_F32,
			.rank = 2,
			.dim = {-1, plan->n_in},
			.symbol = {1}},
		       {.name = "output",
			.dtype = PST_WIRE_F32,
			.rank = 2,
			.dim = {-1, plan->n_out},
			.symbol = {1}}},
		.symbol = {"batch"},
	};
	return shape;
}

/* Never 0: the low half is the place + 1. */
static uint64_t new_handle(struct pst_agent_models *m, const struct entry *e)
{
	return (uint64_t)m->gen++ << 32 | (uint64_t)(e - m->entries + 1);
}

static int make(struct pst_agent_models *m, struct entry *e,
		const struct pst_agent_model_plan *plan, void *weights,
		struct pst_error *err)
{
	void *model;
	int r;

	pst_backend_no_reason(err);
	r = m->config.ops->model_new(m->config.backend, plan, weights, &model,
				     err);
	if (r < 0)
		return r;
	e->state = READY;
	e->model = model;
	e->shape = shape_of(plan);
	e->use.shape = e->shape;
	e->wire.n_in = plan->n_in;
	e->wire.n_out = plan->n_out;
	e->wire.max_batch = pst_agent_model_max_batch(plan);
	e->wire.n_layers = plan->n_layers;
	e->wire.dtype = plan->dtype;
	return 0;
}

static void take(struct pst_agent_models *m, struct entry *e, const char *name,
		 uint64_t size)
{
	e->wire.handle = new_handle(m, e);
	e->wire.size = size;
	snprintf(e->wire.name, sizeof(e->wire.name), "%s", name);
	m->n++;
	m->bytes += size;
}

int pst_agent_models_load(struct pst_agent_models *m, const char *name,
			  const uint8_t *header, size_t n, void *weights,
			  uint64_t size, struct pst_wire_model *ret,
			  struct pst_error *err)
{
	struct pst_agent_model_plan plan;
	struct entry *e = find_free(m);
	int r;

	if (!m->config.ops->model_new)
		return pst_error_set(err, -EOPNOTSUPP,
				     "the %s backend runs no models",
				     m->config.ops->name);
	if ((r = check_room(m, name, size, err)) < 0 ||
	    (r = pst_agent_models_plan(header, n, size, &plan, err)) < 0)
		return r;
	r = make(m, e, &plan, weights, err);
	if (r == 0) {
		take(m, e, name, size);
		*ret = e->wire;
	}
	pst_agent_model_plan_done(&plan);
	return r;
}

static int unknown(const char *name, struct pst_error *err)
{
	return pst_error_set(err, -ENOENT, "no model named %s is loaded", name);
}

int pst_agent_models_open(const struct pst_agent_models *m, const char *name,
			  struct pst_wire_model *ret, struct pst_error *err)
{
	const struct entry *e = find_name(m, name);

	if (!e || e->state != READY)
		return unknown(name, err);
	if (!e->model)
		return pst_error_set(err, -EOPNOTSUPP,
				     "model %s takes named tensors: it is run "
				     "by RUN",
				     name);
	*ret = e->wire;
	return 0;
}

static void retire(struct pst_agent_models *m, struct entry *e)
{
	e->state = DYING;
	m->n--;
	m->n_dying++;
	pst_agent_models_settle(m);
}

int pst_agent_models_unload(struct pst_agent_models *m, const char *name,
			    struct pst_error *err)
{
	const struct entry *found = find_name(m, name);

	if (!found)
		return unknown(name, err);
	retire(m, &m->entries[found - m->entries]);
	return 0;
}

/* NULL: it is none, or was unloaded. */
static struct entry *find_handle(const struct pst_agent_models *m,
				 uint64_t handle)
{
	const uint64_t place = handle & UINT32_MAX;
	const struct entry *e;

	if (place == 0 || place > PST_AGENT_MODELS_MAX)
		return NULL;
	e = &m->entries[place - 1];
	if (e->state == FREE || e->state == DYING || e->wire.handle != handle)
		return NULL;
	return (struct entry *)(uintptr_t)e;
}

int pst_agent_models_reserve(struct pst_agent_models *m, const char *name,
			     uint64_t size, uint64_t *ret_handle,
			     struct pst_error *err)
{
	struct entry *e = find_free(m);
	int r = check_room(m, name, size, err);

	if (r < 0)
		return r;
	*e = (struct entry){.state = LOADING};
	take(m, e, name, size);
	*ret_handle = e->wire.handle;
	return 0;
}

int pst_agent_models_fill(struct pst_agent_models *m, uint64_t handle,
			  const struct pst_agent_model_plan *plan,
			  void *weights, struct pst_wire_model *ret,
			  struct pst_error *err)
{
	struct entry *e = find_handle(m, handle);
	int r;

	if (!e)
		return pst_error_set(err, -ENOENT, "its place is gone");
	r = make(m, e, plan, weights, err);
	if (r == 0)
		*ret = e->wire;
	return r;
}

void pst_agent_models_watch(struct pst_agent_models *m,
			    void (*gone)(void *arg, uint64_t handle), void *arg)
{
	m->gone = gone;
	m->gone_arg = arg;
}

void pst_agent_models_ready(struct pst_agent_models *m, uint64_t handle,
			    const struct pst_agent_model_use *use)
{
	struct entry *e = find_handle(m, handle);

	if (!e)
		return;
	e->state = READY;
	e->use = *use;
}

void pst_agent_models_drop(struct pst_agent_models *m, uint64_t handle)
{
	struct entry *e = find_handle(m, handle);

	if (e)
		retire(m, e);
}

uint64_t pst_agent_models_kept(const struct pst_agent_models *m,
			       const char *name)
{
	const struct entry *e = find_name(m, name);

	return e && !e->model ? e->wire.handle : 0;
}

int pst_agent_models_take_bytes(struct pst_agent_models *m, uint64_t size,
				struct pst_error *err)
{
	const int r = check_bytes(m, size, err);

	if (r == 0)
		m->bytes += size;
	return r;
}

void pst_agent_models_give_bytes(struct pst_agent_models *m, uint64_t size)
{
	m->bytes -= size;
}

int pst_agent_models_find(const struct pst_agent_models *m, uint64_t handle,
			  struct pst_op_model *ret)
{
	const struct entry *e = find_handle(m, handle);

	if (!e || !e->model)
		return -ENOENT;
	*ret = (struct pst_op_model){
		.model = e->model,
		.n_in = e->wire.n_in,
		.n_out = e->wire.n_out,
		.max_batch = e->wire.max_batch,
	};
	return 0;
}

int pst_agent_models_find_run(const struct pst_agent_models *m, uint64_t handle,
			      struct pst_op_run_model *ret)
{
	const struct entry *e = find_handle(m, handle);

	if (!e || e->state != READY || !e->use.shape)
		return -ENOENT;
	*ret = (struct pst_op_run_model){
		.shape = e->use.shape,
		.model = name_of(e),
		.device = e->use.device,
		.id = e->use.id,
		.max_batch = e->wire.max_batch,
	};
	return 0;
}

void pst_agent_models_settle(struct pst_agent_models *m)
{
	struct entry *e;
	uint32_t i;

	for (i = 0; m->n_dying && i < PST_AGENT_MODELS_MAX; i++) {
		e = &m->entries[i];
		if (e->state != DYING ||
		    m->config.in_use(m->config.arg, name_of(e)))
			continue;
		m->n_dying--;
		drop(m, e);
	}
}

static int by_name(const void *a, const void *b)
{
	const struct pst_wire_model *x = a, *y = b;

	return strcmp(x->name, y->name);
}

uint32_t pst_agent_models_list(const struct pst_agent_models *m,
			       struct pst_wire_model ret[PST_AGENT_MODELS_MAX])
{
	const struct entry *e;
	uint32_t i, n = 0;

	for (i = 0; i < PST_AGENT_MODELS_MAX; i++) {
		e = &m->entries[i];
		if (e->state != READY)
			continue;
		ret[n] = e->wire;
		if (!e->model) {
			ret[n].n_in = e->use.shape->n_in;
			ret[n].n_out = e->use.shape->n_out;
		}
		n++;
	}
	qsort(ret, n, sizeof(ret[0]), by_name);
	return n;
}

void pst_agent_models_usage(const struct pst_agent_models *m,
			    struct pst_agent_models_usage *ret)
{
	*ret = (struct pst_agent_models_usage){.n = m->n, .bytes = m->bytes};
}

void pst_agent_models_limits(const struct pst_agent_models *m,
			     struct pst_agent_models_usage *ret)
{
	*ret = (struct pst_agent_models_usage){
		.n = m->config.max_models,
		.bytes = m->config.max_bytes,
	};
}
