/* SPDX-License-Identifier: MIT */
/* Models of files: which runner has which, and who waits for it. */
#include "guest-agent/serve/onnx.h"

#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guest-agent/serve/report.h"
#include "guest-agent/serve/session_int.h"
#include "guest-agent/service/log.h"
#include "transport/base/meminfo.h"
#include "transport/base/text.h"
#include "transport/status.h"

#define PROGRAM "penstock-runner-ort"

struct runner {
	struct pst_agent_onnx *x;
	struct pst_ort *ort; /* NULL: the place is free */
	struct pst_source *source;
	struct pst_backend_use use;
	unsigned int n; /* models */
	bool over;      /* has had its last model */
};

struct model {
	uint64_t handle; /* of the table; 0: the place is free */
	char name[PST_WIRE_MODEL_NAME];
	struct runner *runner;
	uint64_t id; /* 0: the runner does not have it any more */
	uint64_t size;
	uint32_t wanted;
	bool ready; /* has been */
	struct pst_agent_session *waiter;
	uint32_t seq;
};

struct pst_agent_onnx {
	struct pst_agent *agent;
	struct pst_agent_onnx_config config;
	struct pst_loop *loop;
	const char *library;
	uint32_t n_cpus;
	bool shares; /* the runner has the agent's CPU */
	int cpu;     /* that they share; -1: any */
	struct runner runners[PST_AGENT_MODELS_MAX];
	struct model models[PST_AGENT_MODELS_MAX];
};

const char *pst_agent_onnx_program(void)
{
	static char path[PATH_MAX];
	const ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	char *slash;

	/* Beside the agent: they are of one build. */
	path[n > 0 ? n : 0] = '\0';
	slash = strrchr(path, '/');
	if (slash &&
	    (size_t)(slash - path) + sizeof("/" PROGRAM) < sizeof(path)) {
		strcpy(slash + 1, PROGRAM);
		if (access(path, X_OK) == 0)
			return path;
	}
	return PST_PKGLIBEXECDIR "/" PROGRAM;
}

static uint32_t count_cpus(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set)
		       ? 1
		       : (uint32_t)CPU_COUNT(&set);
}

static void close_runner(struct runner *r)
{
	if (!r->ort)
		return;
	pst_loop_remove(r->x->loop, r->source);
	pst_ort_free(r->ort);
	*r = (struct runner){.x = r->x};
}

void pst_agent_onnx_close(struct pst_agent_onnx *x)
{
	uint32_t i;

	if (!x)
		return;
	for (i = 0; i < PST_AGENT_MODELS_MAX; i++)
		close_runner(&x->runners[i]);
	free(x);
}

static struct model *find_handle(struct pst_agent_onnx *x, uint64_t handle)
{
	uint32_t i;

	for (i = 0; handle && i < PST_AGENT_MODELS_MAX; i++)
		if (x->models[i].handle == handle)
			return &x->models[i];
	return NULL;
}

static struct model *find_id(struct runner *r, uint64_t id)
{
	uint32_t i;

	for (i = 0; i < PST_AGENT_MODELS_MAX; i++)
		if (r->x->models[i].handle && r->x->models[i].runner == r &&
		    r->x->models[i].id == id)
			return &r->x->models[i];
	return NULL;
}

/* Takes the waiter away: an answer may end its session. */
static struct pst_agent_session *waiter_of(struct model *m,
					   struct pst_frame *to)
{
	struct pst_agent_session *s = m->waiter;

	m->waiter = NULL;
	*to = (struct pst_frame){.type = PST_WIRE_MODEL_LOAD_FILES,
				 .seq = m->seq};
	return s;
}

static void fail(struct model *m, int status, const char *sentence)
{
	struct pst_frame to;
	struct pst_agent_session *s = waiter_of(m, &to);

	pst_agent_log(PST_AGENT_LOG_WARNING, "model %s is not %s: %s", m->name,
		      m->ready ? "there any more" : "loaded", sentence);
	/* Of a file that it may not have. */
	if (status == -EPERM)
		status = -EINVAL;
	if (s)
		pst_agent_session_fail(s, &to, pst_status_from_errno(status),
				       "%s", sentence);
}

static void describe(const struct pst_agent_onnx *x, const struct model *m,
		     struct pst_model_info *ret)
{
	const struct pst_ort_model *o = pst_ort_find(m->runner->ort, m->id);
	struct pst_wire_model_info *h = &ret->head;

	memset(ret, 0, sizeof(*ret));
	memcpy(h->name, m->name, sizeof(h->name));
	h->handle = m->handle;
	h->size = m->size;
	h->format = PST_WIRE_ONNX;
	h->state = o->state == PST_ORT_READY ? PST_WIRE_MODEL_READY
					     : PST_WIRE_MODEL_LOADING;
	h->provider = PST_WIRE_PROVIDER_CPU;
	h->wanted = m->wanted;
	h->n_cpus = x->n_cpus;
	h->shared = x->shares;
	h->threads = x->config.threads;
	h->load_ns = o->load_ns;
	h->first_ns = o->first_ns;
	h->second_ns = o->second_ns;
	h->run_ns = o->run_ns;
	h->n_runs = o->n_runs;
	h->copied = o->copied;
	snprintf(h->runtime, sizeof(h->runtime), "%s",
		 pst_ort_describe(m->runner->ort));
	pst_text_clean(h->runtime);
	ret->shape = o->shape;
}

static void reply(struct pst_agent_session *s, const struct pst_frame *to,
		  const struct pst_model_info *info)
{
	static uint8_t payload[PST_WIRE_MAX_PAYLOAD];
	const size_t n = pst_frame_model_info_encode(info, payload);

	pst_agent_session_reply(s, to, payload, n);
}

static void on_ready(struct model *m)
{
	struct pst_agent_onnx *x = m->runner->x;
	const struct pst_ort_model *o = pst_ort_find(m->runner->ort, m->id);
	const struct pst_agent_model_use use = {&m->runner->use, m->id,
						&o->shape};
	static struct pst_model_info info;
	struct pst_agent_session *s;
	struct pst_frame to;

	pst_agent_models_ready(x->agent->models, m->handle, &use);
	pst_agent_log(PST_AGENT_LOG_INFO,
		      "model %s is loaded%s: %u inputs, %u outputs, %" PRIu64
		      " bytes, %s",
		      m->name, m->ready ? " again" : "", o->shape.n_in,
		      o->shape.n_out, m->size,
		      pst_ort_describe(m->runner->ort));
	if (!m->ready)
		x->agent->counters.models_loaded++;
	m->ready = true;
	pst_agent_report_models_changed(x->agent);
	s = waiter_of(m, &to);
	if (!s)
		return;
	describe(x, m, &info);
	reply(s, &to, &info);
}

static void on_loaded(void *arg, uint64_t id, int status, const char *sentence)
{
	struct pst_agent *a = ((struct runner *)arg)->x->agent;
	struct model *m = find_id(arg, id);
	uint64_t handle;

	if (!m)
		return;
	if (status == 0) {
		on_ready(m);
		return;
	}
	handle = m->handle;
	m->id = 0;
	fail(m, status, sentence);
	pst_agent_models_drop(a->models, handle);
	pst_agent_report_models_changed(a);
}

static void on_readable(void *arg)
{
	struct runner *r = arg;

	pst_ort_serve(r->ort);
}

/* Agent and runner share the CPU on which the serving thread is now. */
static void share_cpu(struct pst_agent_onnx *x)
{
	cpu_set_t set;

	if (!x->shares || x->cpu >= 0)
		return;
	x->cpu = sched_getcpu();
	if (x->cpu < 0)
		return;
	CPU_ZERO(&set);
	CPU_SET((unsigned int)x->cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		x->cpu = -1;
}

static int open_runner(struct pst_agent_onnx *x, struct runner *r,
		       struct pst_error *err)
{
	const struct pst_region *region = &x->agent->region;
	struct pst_ort_config config = {
		.program = pst_agent_onnx_program(),
		.library = x->library,
		.arena_fd = region->fd,
		.arena_off = PST_WIRE_CTL_SIZE,
		.arena_at = PST_WIRE_CTL_SIZE,
		.arena_size = region->size - PST_WIRE_CTL_SIZE,
		.threads = x->config.threads,
		.max_models = PST_AGENT_MODELS_MAX,
		.max_memory = x->config.max_memory,
		.max_load_ns = x->config.max_load_ns,
		.drain_ns = x->config.drain_ns,
		.loaded = on_loaded,
		.arg = r,
	};
	int e;

	/* A device-DAX begins behind the preamble. */
	if (region->provider != PST_PROVIDER_DAX)
		config.arena_off += PST_WIRE_PREAMBLE;
	share_cpu(x);
	config.cpu = (uint32_t)(x->cpu + 1);
	r->x = x;
	e = pst_ort_new(&config, &r->ort, err);
	if (e < 0)
		return e;
	r->source =
		pst_loop_add_ready(x->loop, pst_ort_fd(r->ort), on_readable, r);
	if (!r->source) {
		close_runner(r);
		return pst_oom(err);
	}
	r->use = (struct pst_backend_use){&pst_backend_ort,
					  (struct pst_backend *)r->ort, true};
	return 0;
}

/* A runner for one more model; NULL with a sentence. */
static struct runner *find_runner(struct pst_agent_onnx *x,
				  struct pst_error *err)
{
	struct runner *r = &x->runners[0];
	uint32_t i;

	for (i = 0; x->config.per_model && r->ort; i++)
		r = &x->runners[i];
	if (!r->ort && open_runner(x, r, err) < 0)
		return NULL;
	return r;
}

static void close_files(const struct pst_agent_onnx_load *l)
{
	uint32_t i;

	for (i = 0; i < l->n; i++)
		close(l->files[i].fd);
}

/* Whether a load can be begun at all. */
static int check_load(const struct pst_agent *a,
		      const struct pst_agent_onnx_load *l,
		      struct pst_error *err)
{
	if (!a->onnx)
		return pst_error_set(err, -EOPNOTSUPP,
				     "this agent runs no ONNX models");
	if (l->provider == PST_WIRE_PROVIDER_CUDA)
		return pst_error_set(err, -EOPNOTSUPP,
				     "the runner of this agent computes on "
				     "the CPU only");
	return 0;
}

int pst_agent_onnx_load(struct pst_agent *a,
			const struct pst_agent_onnx_load *l,
			struct pst_error *err)
{
	struct pst_agent_onnx *x = a->onnx;
	struct runner *r = NULL;
	uint64_t handle = 0, size = 0;
	struct model *m;
	uint32_t i;
	int e;

	for (i = 0; i < l->n; i++)
		size += l->files[i].size;
	e = check_load(a, l, err);
	if (e == 0)
		e = pst_agent_models_reserve(a->models, l->name, size, &handle,
					     err);
	if (e == 0) {
		r = find_runner(x, err);
		e = r ? 0 : err->code;
	}
	if (e < 0) {
		close_files(l);
		if (handle)
			pst_agent_models_drop(a->models, handle);
		return e;
	}
	for (m = x->models; m->handle; m++)
		;
	*m = (struct model){
		.handle = handle,
		.runner = r,
		.size = size,
		.wanted = l->provider,
		.waiter = l->waiter,
		.seq = l->seq,
	};
	snprintf(m->name, sizeof(m->name), "%s", l->name);
	r->n++;
	e = pst_ort_load(r->ort, l->files, l->n, &m->id, err);
	if (e < 0) {
		m->waiter = NULL;
		pst_agent_models_drop(a->models, handle);
		return e;
	}
	pst_agent_onnx_tick(a, pst_now_ns());
	return 0;
}

/* The table has let go of a model. */
static void on_gone(void *arg, uint64_t handle)
{
	struct pst_agent *a = arg;
	struct model *m = a->onnx ? find_handle(a->onnx, handle) : NULL;
	struct runner *r;

	if (!m)
		return;
	r = m->runner;
	if (m->id)
		pst_ort_unload(r->ort, m->id);
	if (m->waiter)
		fail(m, -ECANCELED, "it was unloaded while it was loaded");
	*m = (struct model){0};
	/* Not now: this may be called by it. */
	r->over = --r->n == 0 && a->onnx->config.per_model;
}

/* A session waits no longer: its loads are given up. */
static void forget(struct pst_agent *a, const struct pst_agent_session *s)
{
	uint32_t i;

	for (i = 0; a->onnx && i < PST_AGENT_MODELS_MAX; i++) {
		struct model *m = &a->onnx->models[i];

		if (!m->handle || m->waiter != s)
			continue;
		m->waiter = NULL;
		pst_agent_models_drop(a->models, m->handle);
	}
}

int pst_agent_onnx_open(struct pst_agent *a,
			const struct pst_agent_onnx_config *config,
			struct pst_loop *loop, struct pst_error *err)
{
	struct pst_agent_onnx *x = calloc(1, sizeof(*x));
	const char *library = secure_getenv("PENSTOCK_ORT");

	if (!x)
		return pst_oom(err);
	x->agent = a;
	x->config = *config;
	x->loop = loop;
	x->library = config->library ? config->library : library ? library : "";
	x->n_cpus = count_cpus();
	/* Three that spin on two CPUs are in each other's way. */
	x->shares = x->n_cpus == 1 || (x->n_cpus == 2 && config->local);
	x->cpu = -1;
	/* What a model asks for is its own number: something is left. */
	if (!x->config.max_memory &&
	    pst_meminfo_available("", &x->config.max_memory) == 0)
		x->config.max_memory = x->config.max_memory / 4 * 3;
	if (!x->config.threads)
		x->config.threads = x->n_cpus;
	a->onnx = x;
	a->ended = forget;
	pst_agent_models_watch(a->models, on_gone, a);
	return 0;
}

/* A model of the backend, which INFER runs as well. */
static int describe_rows(const struct pst_agent *a, const char *name,
			 struct pst_model_info *ret, struct pst_error *err)
{
	struct pst_op_run_model run;
	struct pst_wire_model w;
	int r = pst_agent_models_open(a->models, name, &w, err);

	if (r == -EOPNOTSUPP ||
	    (r == 0 && pst_agent_models_find_run(a->models, w.handle, &run)))
		r = pst_error_set(err, -ENOENT, "no model named %s is loaded",
				  name);
	if (r < 0)
		return r;
	memset(ret, 0, sizeof(*ret));
	memcpy(ret->head.name, w.name, sizeof(ret->head.name));
	ret->head.handle = w.handle;
	ret->head.size = w.size;
	ret->head.format = PST_WIRE_SAFETENSORS;
	snprintf(ret->head.runtime, sizeof(ret->head.runtime), "%s",
		 a->facts.backend_text);
	pst_text_clean(ret->head.runtime);
	ret->shape = *run.shape;
	return 0;
}

int pst_agent_onnx_describe(struct pst_agent *a, const char *name,
			    struct pst_model_info *ret, struct pst_error *err)
{
	const uint64_t handle = pst_agent_models_kept(a->models, name);
	const struct model *m =
		handle && a->onnx ? find_handle(a->onnx, handle) : NULL;

	if (!m || !m->ready)
		return describe_rows(a, name, ret, err);
	describe(a->onnx, m, ret);
	return 0;
}

uint64_t pst_agent_onnx_tick(struct pst_agent *a, uint64_t now_ns)
{
	uint64_t due = UINT64_MAX;
	struct runner *r;
	uint32_t i;

	for (i = 0; a->onnx && i < PST_AGENT_MODELS_MAX; i++) {
		r = &a->onnx->runners[i];
		if (r->ort && r->over)
			close_runner(r);
		else if (r->ort)
			due = pst_min_u64(due, pst_ort_tick(r->ort, now_ns));
		if (!a->onnx->config.per_model)
			break;
	}
	return due;
}

bool pst_agent_onnx_may_spin(const struct pst_agent *a)
{
	return a->onnx && !a->onnx->shares;
}
