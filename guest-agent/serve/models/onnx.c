/* SPDX-License-Identifier: MIT */
/* Models of files: which runner has which, and who waits for it. */
#include "guest-agent/serve/models/onnx.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guest-agent/serve/models/onnx_int.h"
#include "guest-agent/serve/report/report.h"
#include "guest-agent/serve/state/session_int.h"
#include "guest-agent/service/log.h"
#include "transport/base/meminfo.h"
#include "transport/status.h"

#define PROGRAM "penstock-runner-ort"

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

static void close_runner(struct pst_onnx_runner *r)
{
	if (!r->ort)
		return;
	pst_loop_remove(r->x->loop, r->source);
	pst_ort_free(r->ort);
	*r = (struct pst_onnx_runner){.x = r->x};
}

static struct pst_onnx_model *find_id(struct pst_onnx_runner *r, uint64_t id)
{
	uint32_t i;

	for (i = 0; i < PST_AGENT_MODELS_MAX; i++)
		if (r->x->models[i].handle && r->x->models[i].runner == r &&
		    r->x->models[i].id == id)
			return &r->x->models[i];
	return NULL;
}

/* Takes the waiter away: an answer may end its session. */
static struct pst_agent_session *waiter_of(struct pst_onnx_model *m,
					   struct pst_frame *to)
{
	struct pst_agent_session *s = m->waiter;

	m->waiter = NULL;
	*to = (struct pst_frame){.type = PST_WIRE_MODEL_LOAD_FILES,
				 .seq = m->seq};
	return s;
}

static void fail(struct pst_onnx_model *m, int status, const char *sentence)
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

static void reply(struct pst_agent_session *s, const struct pst_frame *to,
		  const struct pst_model_info *info)
{
	static uint8_t payload[PST_WIRE_MAX_PAYLOAD];
	const size_t n = pst_frame_model_info_encode(info, payload);

	pst_agent_session_reply(s, to, payload, n);
}

static void answer_ready(struct pst_onnx_model *m)
{
	static struct pst_model_info info;
	struct pst_frame to;
	struct pst_agent_session *s = waiter_of(m, &to);

	if (!s)
		return;
	pst_onnx_describe(m->runner->x, m, &info);
	reply(s, &to, &info);
}

/* A model of rows: the table has it from here on. */
static void answer_rows(struct pst_agent_onnx *x, struct pst_onnx_model *m)
{
	static struct pst_model_info info;
	struct pst_error err;
	struct pst_frame to;
	char name[PST_WIRE_MODEL_NAME];
	struct pst_agent_session *s = waiter_of(m, &to);

	memcpy(name, m->name, sizeof(name));
	*m = (struct pst_onnx_model){0};
	if (!s)
		return;
	if (pst_agent_onnx_describe(x->agent, name, &info, &err) == 0)
		reply(s, &to, &info);
	else
		pst_agent_session_fail(s, &to, PST_WIRE_ECANCELED, "%s",
				       "it was unloaded while it was "
				       "installed");
}

static void answer(struct pst_agent_onnx *x, struct pst_onnx_model *m)
{
	if (m->runner)
		answer_ready(m);
	else
		answer_rows(x, m);
}

static void give_up_install(struct pst_agent_onnx *x)
{
	uint32_t i;

	for (i = 0; i < x->n_install; i++)
		close(x->install_files[i].fd);
	x->n_install = 0;
	x->install_handle = 0;
}

/* It is ready, and wrong only where it was to be kept. */
static void fail_install(struct pst_agent_onnx *x, struct pst_onnx_model *m,
			 int status, const char *sentence)
{
	const uint64_t handle = m->handle;

	fail(m, status, sentence);
	if (!m->runner)
		*m = (struct pst_onnx_model){0};
	pst_agent_models_drop(x->agent->models, handle);
	pst_agent_report_models_changed(x->agent);
}

static void on_installed(void *arg)
{
	struct pst_agent_onnx *x = arg;
	struct pst_onnx_model *m = pst_onnx_find(x, x->install_handle);
	struct pst_error err;
	int r;

	pst_loop_remove(x->loop, x->install_source);
	r = pst_agent_install_end(x->install, &err);
	x->install = NULL;
	give_up_install(x);
	if (m && r < 0)
		fail_install(x, m, r, err.text);
	else if (m)
		answer(x, m);
}

static void install(struct pst_agent_onnx *x, struct pst_onnx_model *m)
{
	struct pst_error err;
	int r;

	r = pst_agent_install_begin(x->config.models_dir, m->name,
				    x->install_format, x->install_files,
				    x->n_install, &x->install, &err);
	if (r < 0) {
		give_up_install(x);
		fail_install(x, m, r, err.text);
		return;
	}
	x->install_source = pst_loop_add_ready(
		x->loop, pst_agent_install_fd(x->install), on_installed, x);
	/* Without memory it is waited for. */
	if (!x->install_source)
		on_installed(x);
}

/* It can be run. */
static void ready(struct pst_agent_onnx *x, struct pst_onnx_model *m)
{
	if (!m->ready)
		x->agent->counters.models_loaded++;
	m->ready = true;
	pst_agent_report_models_changed(x->agent);
	if (m->handle == x->install_handle && !x->install)
		install(x, m);
	else
		answer(x, m);
}

static void on_ready(struct pst_onnx_model *m)
{
	struct pst_agent_onnx *x = m->runner->x;
	const struct pst_ort_model *o = pst_ort_find(m->runner->ort, m->id);
	const struct pst_agent_model_use use = {&m->runner->use, m->id,
						&o->shape};

	pst_agent_models_ready(x->agent->models, m->handle, &use);
	pst_agent_log(PST_AGENT_LOG_INFO,
		      "model %s is loaded%s: %u inputs, %u outputs, %" PRIu64
		      " bytes, %s on %s",
		      m->name, m->ready ? " again" : "", o->shape.n_in,
		      o->shape.n_out, m->size, pst_ort_describe(m->runner->ort),
		      o->provider == PST_WIRE_PROVIDER_CUDA ? "cuda" : "cpu");
	ready(x, m);
}

static void end_rows(struct pst_agent_onnx *x, struct pst_onnx_model *m)
{
	x->n_rows -= m->rows != NULL;
	pst_rows_free(m->rows);
	m->rows = NULL;
}

/* Brings one piece of one model of rows. Returns whether there is more. */
static bool bring_rows(struct pst_agent_onnx *x)
{
	struct pst_onnx_model *m = x->models;
	struct pst_wire_model w;
	struct pst_error err;
	uint64_t handle;
	int r;

	if (x->n_rows == 0)
		return false;
	while (!m->rows)
		m++;
	r = pst_rows_step(m->rows, x->agent->models, m->handle, &w, &err);
	if (r > 0)
		return true;
	end_rows(x, m);
	handle = m->handle;
	if (r == 0) {
		pst_agent_log(PST_AGENT_LOG_INFO,
			      "model %s is loaded: %u to %u elements, %u "
			      "layers, %" PRIu64 " bytes",
			      m->name, w.n_in, w.n_out, w.n_layers, w.size);
		ready(x, m);
		return true;
	}
	fail(m, r, err.text);
	pst_agent_models_drop(x->agent->models, handle);
	return true;
}

static void on_loaded(void *arg, uint64_t id, int status, const char *sentence)
{
	struct pst_agent *a = ((struct pst_onnx_runner *)arg)->x->agent;
	struct pst_onnx_model *m = find_id(arg, id);
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
	struct pst_onnx_runner *r = arg;

	pst_ort_serve(r->ort);
}

static int open_runner(struct pst_agent_onnx *x, struct pst_onnx_runner *r,
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
		.gpu = x->config.gpu,
		.gpu_memory = x->config.gpu_memory,
		.max_models = PST_AGENT_MODELS_MAX,
		.max_memory = x->config.max_memory,
		.max_load_ns = x->config.max_load_ns,
		.drain_ns = x->config.drain_ns,
		.follow = x->shares,
		.loaded = on_loaded,
		.arg = r,
	};
	int e;

	/* A device-DAX begins behind the preamble. */
	if (region->provider != PST_PROVIDER_DAX)
		config.arena_off += PST_WIRE_PREAMBLE;
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
static struct pst_onnx_runner *find_runner(struct pst_agent_onnx *x,
					   struct pst_error *err)
{
	struct pst_onnx_runner *r = &x->runners[0];
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
				     "this agent runs no models of files");
	if (l->format != PST_WIRE_ONNX &&
	    (l->n != 1 || l->provider != PST_WIRE_PROVIDER_AUTO))
		return pst_error_set(err, -EINVAL,
				     "a safetensors model has one file, and "
				     "the agent's backend computes it");
	if (!l->install)
		return 0;
	if (!a->onnx->config.models_dir || !a->onnx->config.allow_install)
		return pst_error_set(err, -EOPNOTSUPP,
				     "this agent lets nobody install models "
				     "(--models-dir, --allow-install)");
	if (a->onnx->install_handle)
		return pst_error_set(err, -EBUSY,
				     "another model is being installed");
	return pst_agent_install_check(l->files, l->n, err);
}

/* Files of its own for later. */
static int plan_install(struct pst_agent_onnx *x, uint64_t handle,
			const struct pst_agent_onnx_load *l,
			struct pst_error *err)
{
	struct pst_ort_file *f;

	x->install_handle = handle;
	x->install_format = l->format;
	for (; x->n_install < l->n; x->n_install++) {
		f = &x->install_files[x->n_install];
		*f = l->files[x->n_install];
		f->fd = fcntl(f->fd, F_DUPFD_CLOEXEC, 0);
		if (f->fd < 0) {
			give_up_install(x);
			return pst_error_set_errno(err, errno,
						   "cannot keep the files");
		}
	}
	return 0;
}

static int open_rows(struct pst_agent *a, const struct pst_agent_onnx_load *l,
		     struct pst_rows **ret, struct pst_error *err)
{
	const struct pst_backend_use use = {
		.ops = a->compute.ops,
		.backend = a->compute.backend,
	};

	return pst_rows_new(&use, l->files[0].fd, l->files[0].size, ret, err);
}

int pst_agent_onnx_load(struct pst_agent *a,
			const struct pst_agent_onnx_load *l,
			struct pst_error *err)
{
	struct pst_agent_onnx *x = a->onnx;
	struct pst_onnx_runner *r = NULL;
	struct pst_rows *rows = NULL;
	uint64_t handle = 0, size = 0;
	struct pst_onnx_model *m;
	uint32_t i;
	int e;

	for (i = 0; i < l->n; i++)
		size += l->files[i].size;
	e = check_load(a, l, err);
	if (e == 0 && l->format != PST_WIRE_ONNX) {
		e = open_rows(a, l, &rows, err);
		size = e == 0 ? pst_rows_size(rows) : 0;
	}
	if (e == 0)
		e = pst_agent_models_reserve(a->models, l->name, size, &handle,
					     err);
	if (e == 0 && !rows) {
		r = find_runner(x, err);
		e = r ? 0 : err->code;
	}
	if (e == 0 && l->install)
		e = plan_install(x, handle, l, err);
	if (e < 0) {
		if (rows)
			pst_rows_free(rows);
		else
			close_files(l);
		if (handle)
			pst_agent_models_drop(a->models, handle);
		return e;
	}
	for (m = x->models; m->handle; m++)
		;
	*m = (struct pst_onnx_model){
		.handle = handle,
		.runner = r,
		.rows = rows,
		.size = size,
		.wanted = l->provider,
		.waiter = l->waiter,
		.seq = l->seq,
	};
	snprintf(m->name, sizeof(m->name), "%s", l->name);
	/* Piece by piece, by the tick. */
	x->n_rows += rows != NULL;
	if (rows)
		return 0;
	r->n++;
	e = pst_ort_load(r->ort, l->files, l->n, l->provider, &m->id, err);
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
	struct pst_onnx_model *m =
		a->onnx ? pst_onnx_find(a->onnx, handle) : NULL;
	struct pst_onnx_runner *r;

	if (!m)
		return;
	r = m->runner;
	if (m->id)
		pst_ort_unload(r->ort, m->id);
	end_rows(a->onnx, m);
	if (m->waiter)
		fail(m, -ECANCELED, "it was unloaded while it was loaded");
	if (handle == a->onnx->install_handle && !a->onnx->install)
		give_up_install(a->onnx);
	*m = (struct pst_onnx_model){0};
	/* Not now: this may be called by it. */
	if (r)
		r->over = --r->n == 0 && a->onnx->config.per_model;
}

/* A session waits no longer: its loads are given up. */
static void forget(struct pst_agent *a, const struct pst_agent_session *s)
{
	uint32_t i;

	for (i = 0; a->onnx && i < PST_ARRAY_SIZE(a->onnx->models); i++) {
		struct pst_onnx_model *m = &a->onnx->models[i];

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
	/* What a model asks for is its own number: something is left. */
	if (!x->config.max_memory &&
	    pst_meminfo_available("", &x->config.max_memory) == 0)
		x->config.max_memory = x->config.max_memory / 4 * 3;
	/* One that shares a CPU leaves the other to the client. */
	if (!x->config.threads)
		x->config.threads = x->shares ? 1 : x->n_cpus;
	a->onnx = x;
	a->ended = forget;
	pst_agent_models_watch(a->models, on_gone, a);
	return 0;
}

void pst_agent_onnx_close(struct pst_agent_onnx *x)
{
	uint32_t i;

	if (!x)
		return;
	if (x->install)
		on_installed(x);
	give_up_install(x);
	for (i = 0; i < PST_AGENT_MODELS_MAX; i++)
		close_runner(&x->runners[i]);
	for (i = 0; i < PST_ARRAY_SIZE(x->models); i++)
		pst_rows_free(x->models[i].rows);
	free(x);
}

uint64_t pst_agent_onnx_tick(struct pst_agent *a, uint64_t now_ns)
{
	uint64_t due = UINT64_MAX;
	struct pst_onnx_runner *r;
	uint32_t i;

	if (a->onnx && bring_rows(a->onnx))
		due = now_ns;
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
