/* SPDX-License-Identifier: MIT */
/* The models that the runner has, or is to have once more. */
#include "guest-agent/ort/ort.h"

#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "guest-agent/ort/ort_int.h"
#include "transport/base/text.h"

/* So many times a model that was ready may be what the process ended in. */
#define LOADS_LOST 3U

static int open_mailbox(struct pst_ort *o, struct pst_error *err)
{
	void *p;

	o->mailbox_fd = memfd_create("penstock-mailbox", MFD_CLOEXEC);
	if (o->mailbox_fd < 0 ||
	    ftruncate(o->mailbox_fd, sizeof(*o->mailbox)) < 0)
		return pst_error_set_errno(err, errno, "cannot make a mailbox");
	p = mmap(NULL, sizeof(*o->mailbox), PROT_READ | PROT_WRITE, MAP_SHARED,
		 o->mailbox_fd, 0);
	if (p == MAP_FAILED)
		return pst_error_set_errno(err, errno, "cannot map a mailbox");
	o->mailbox = p;
	return 0;
}

static int open_bells(struct pst_ort *o, struct pst_error *err)
{
	struct epoll_event event = {.events = EPOLLIN};

	/* The runner may fill them: nothing blocks the agent. */
	o->door = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	o->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	o->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	o->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (o->door < 0 || o->stop < 0 || o->bell < 0 || o->epoll < 0 ||
	    epoll_ctl(o->epoll, EPOLL_CTL_ADD, o->bell, &event))
		return pst_error_set_errno(err, errno,
					   "cannot make an eventfd");
	return 0;
}

int pst_ort_new(const struct pst_ort_config *config, struct pst_ort **ret,
		struct pst_error *err)
{
	struct pst_ort *o = calloc(1, sizeof(*o));
	int r;

	if (!o)
		return pst_oom(err);
	o->config = *config;
	if (!o->config.clock)
		o->config.clock = pst_now_ns;
	o->process.socket = -1;
	o->door = o->stop = o->bell = o->epoll = o->mailbox_fd = -1;
	o->entries = calloc(config->max_models, sizeof(*o->entries));
	r = o->entries ? open_mailbox(o, err) : pst_oom(err);
	if (r == 0)
		r = open_bells(o, err);
	if (r < 0) {
		pst_ort_free(o);
		return r;
	}
	*ret = o;
	return 0;
}

static void entry_done(struct pst_ort_entry *e)
{
	uint32_t i;

	for (i = 0; i < e->n_files; i++)
		close(e->file[i].fd);
	*e = (struct pst_ort_entry){0};
}

void pst_ort_free(struct pst_ort *o)
{
	uint32_t i;

	if (!o)
		return;
	pst_ort_process_kill(o, "the agent ends");
	if (o->process.state == PST_ORT_DYING)
		waitpid(o->process.pid, NULL, 0);
	for (i = 0; o->entries && i < o->config.max_models; i++)
		entry_done(&o->entries[i]);
	free(o->entries);
	if (o->mailbox)
		munmap(o->mailbox, sizeof(*o->mailbox));
	pst_close_fd(o->mailbox_fd);
	pst_close_fd(o->door);
	pst_close_fd(o->stop);
	pst_close_fd(o->bell);
	pst_close_fd(o->epoll);
	free(o);
}

int pst_ort_fd(const struct pst_ort *o)
{
	return o->epoll;
}

const char *pst_ort_describe(const struct pst_ort *o)
{
	return o->about;
}

static struct pst_ort_entry *find_state(const struct pst_ort *o,
					enum pst_ort_state state)
{
	struct pst_ort_entry *oldest = NULL;
	uint32_t i;

	for (i = 0; i < o->n_places; i++) {
		struct pst_ort_entry *e = &o->entries[i];

		if (e->model.id && e->model.state == state &&
		    (!oldest || e->model.id < oldest->model.id))
			oldest = e;
	}
	return oldest;
}

/* Ends a load. A model that cannot be had is forgotten. */
static void load_ended(struct pst_ort *o, struct pst_ort_entry *e, int status,
		       const char *sentence)
{
	const uint64_t id = e->model.id;
	struct pst_error err;

	/* The text may be what is about to go. */
	pst_error_set(&err, status, "%s", sentence);
	if (status < 0)
		entry_done(e);
	o->config.loaded(o->config.arg, id, status, err.text);
}

static int ask(struct pst_ort *o, struct pst_ort_entry *e)
{
	struct pst_runner_load l = {
		.type = PST_RUNNER_LOAD,
		.n_files = e->n_files,
		.id = e->model.id,
		.provider = e->provider,
	};
	int fds[PST_RUNNER_FILES];
	uint32_t i;

	for (i = 0; i < e->n_files; i++) {
		memcpy(l.file[i].name, e->file[i].name, sizeof(l.file[i].name));
		l.file[i].size = e->file[i].size;
		fds[i] = e->file[i].fd;
	}
	memcpy(l.warm, e->warm, sizeof(l.warm));
	e->model.state = PST_ORT_LOADING;
	e->since_ns = pst_ort_now(o);
	return pst_ort_process_send(o, &l, sizeof(l), fds, e->n_files);
}

/* Asks for the next model that waits, if nothing is being loaded. */
static void ask_next(struct pst_ort *o)
{
	struct pst_ort_entry *e;

	if (o->process.state != PST_ORT_RUNNING ||
	    find_state(o, PST_ORT_LOADING))
		return;
	e = find_state(o, PST_ORT_WAITING);
	if (e && ask(o, e) < 0)
		pst_ort_process_kill(o, "the runner of models takes no "
					"message");
}

static void fail_waiting(struct pst_ort *o, int status, const char *sentence)
{
	struct pst_ort_entry *e;

	while ((e = find_state(o, PST_ORT_WAITING)))
		load_ended(o, e, status, sentence);
}

/* The process is over: a model that was being loaded is what ended it, the
 * others wait to be loaded again. */
static void process_lost(struct pst_ort *o)
{
	struct pst_ort_entry *loading = find_state(o, PST_ORT_LOADING);
	uint32_t i;

	pst_ort_calls_lost(o);
	for (i = 0; i < o->n_places; i++)
		if (o->entries[i].model.id)
			o->entries[i].model.state = PST_ORT_WAITING;
	/* One that was ready before may have been loaded by chance when it was
	 * killed. */
	if (loading && (++loading->n_lost == LOADS_LOST || !loading->was_ready))
		load_ended(o, loading, -EIO, o->about);
	if (!o->process.greeted)
		fail_waiting(o, -EIO, o->about);
}

static void start(struct pst_ort *o, uint64_t now_ns)
{
	struct pst_error err;
	int r;

	if (o->process.state != PST_ORT_NONE ||
	    now_ns < o->process.restart_ns || !find_state(o, PST_ORT_WAITING))
		return;
	r = pst_ort_process_start(o, &err);
	if (r == 0)
		return;
	o->process.restart_ns = now_ns + PST_NS_PER_S;
	fail_waiting(o, r, err.text);
}

int pst_ort_load(struct pst_ort *o, const struct pst_ort_file *files,
		 uint32_t n, uint32_t provider, uint64_t *ret_id,
		 struct pst_error *err)
{
	struct pst_ort_entry *e = NULL;
	bool graph = false;
	uint32_t i;
	int r = 0;

	for (i = 0; i < n && i < PST_RUNNER_FILES; i++)
		graph |= files[i].name[0] == '\0';
	for (i = 0; !e && i < o->config.max_models; i++)
		if (!o->entries[i].model.id)
			e = &o->entries[i];
	if (n == 0 || n > PST_RUNNER_FILES || !graph)
		r = pst_error_set(err, -EINVAL,
				  "a model has a graph and at most %u files",
				  PST_RUNNER_FILES);
	else if (!e)
		r = pst_error_set(err, -EMSGSIZE, "there are %u models already",
				  o->config.max_models);
	if (r < 0) {
		for (i = 0; i < n; i++)
			close(files[i].fd);
		return r;
	}
	*e = (struct pst_ort_entry){.n_files = n, .provider = provider};
	memcpy(e->file, files, n * sizeof(files[0]));
	if (o->n_places <= e - o->entries)
		o->n_places = (uint32_t)(e - o->entries) + 1;
	e->model.id = *ret_id = ++o->last_id;
	e->model.state = PST_ORT_WAITING;
	return 0;
}

void pst_ort_unload(struct pst_ort *o, uint64_t id)
{
	struct pst_ort_entry *e = pst_ort_entry_find(o, id);
	const struct pst_runner_unload u = {.type = PST_RUNNER_UNLOAD,
					    .id = id};

	if (!e)
		return;
	/* A load cannot be taken back, and its process does nothing else. */
	if (e->model.state == PST_ORT_LOADING ||
	    (e->model.state == PST_ORT_READY &&
	     pst_ort_process_send(o, &u, sizeof(u), NULL, 0) < 0)) {
		pst_ort_process_kill(o, "a model was unloaded while it was "
					"being loaded");
	}
	entry_done(e);
}

/* The wire's number of a runner's type; 0: none. */
static uint32_t dtype_of(uint32_t elem)
{
	switch (elem) {
	case PST_RUNNER_F32:
		return PST_WIRE_F32;
	case PST_RUNNER_F64:
		return PST_WIRE_F64;
	case PST_RUNNER_F16:
		return PST_WIRE_F16;
	case PST_RUNNER_BF16:
		return PST_WIRE_BF16;
	case PST_RUNNER_I8:
		return PST_WIRE_I8;
	case PST_RUNNER_I16:
		return PST_WIRE_I16;
	case PST_RUNNER_I32:
		return PST_WIRE_I32;
	case PST_RUNNER_I64:
		return PST_WIRE_I64;
	case PST_RUNNER_U8:
		return PST_WIRE_U8;
	case PST_RUNNER_U16:
		return PST_WIRE_U16;
	case PST_RUNNER_U32:
		return PST_WIRE_U32;
	case PST_RUNNER_U64:
		return PST_WIRE_U64;
	case PST_RUNNER_BOOL:
		return PST_WIRE_BOOL;
	default:
		return 0;
	}
}

static int take_shape(const struct pst_runner_loaded *l,
		      struct pst_run_model *ret, struct pst_error *err)
{
	uint32_t i;

	static_assert(
		(int)PST_RUNNER_AUTO == (int)PST_WIRE_PROVIDER_AUTO &&
			(int)PST_RUNNER_CPU == (int)PST_WIRE_PROVIDER_CPU &&
			(int)PST_RUNNER_CUDA == (int)PST_WIRE_PROVIDER_CUDA,
		"one number each");
	static_assert(PST_RUNNER_IO == PST_WIRE_RUN_IO &&
			      PST_RUNNER_RANK == PST_WIRE_RUN_RANK &&
			      PST_RUNNER_SYMBOLS == PST_RUN_SYMBOLS &&
			      sizeof(l->symbol) == sizeof(ret->symbol) &&
			      sizeof(l->io[0].name) == sizeof(ret->io[0].name),
		      "one limit each");
	*ret = (struct pst_run_model){
		.n_in = l->n_in, .n_out = l->n_out, .n_symbols = l->n_symbols};
	for (i = 0; i < PST_ARRAY_SIZE(ret->io); i++) {
		memcpy(ret->io[i].name, l->io[i].name, sizeof(l->io[i].name));
		ret->io[i].dtype = dtype_of(l->io[i].elem);
		ret->io[i].rank = l->io[i].rank;
		memcpy(ret->io[i].dim, l->io[i].dim, sizeof(l->io[i].dim));
		memcpy(ret->io[i].symbol, l->io[i].symbol,
		       sizeof(l->io[i].symbol));
	}
	memcpy(ret->symbol, l->symbol, sizeof(l->symbol));
	return pst_run_model_check(ret, err);
}

static void on_loaded(struct pst_ort *o, struct pst_runner_loaded *l)
{
	struct pst_ort_entry *e = find_state(o, PST_ORT_LOADING);
	struct pst_error err = {0};

	if (!e || e->model.id != l->id) {
		pst_ort_process_kill(o, "the runner of models answered what "
					"nobody asked");
		return;
	}
	l->text[sizeof(l->text) - 1] = '\0';
	if (l->status < 0) {
		/* Of numbers that are none of ours nothing is known. */
		load_ended(o, e, l->status > -4096 ? l->status : -EIO, l->text);
		return;
	}
	l->note[sizeof(l->note) - 1] = '\0';
	pst_text_clean(l->note);
	if ((l->provider != PST_RUNNER_CPU && l->provider != PST_RUNNER_CUDA) ||
	    take_shape(l, &e->model.shape, &err) < 0) {
		load_ended(o, e, -EIO,
			   err.code ? err.text
				    : "nobody knows who computes the model");
		pst_ort_process_kill(o, "the runner of models described one "
					"that cannot be");
		return;
	}
	e->model.state = PST_ORT_READY;
	e->was_ready = true;
	e->n_lost = 0;
	e->model.provider = l->provider;
	memcpy(e->model.note, l->note, sizeof(e->model.note));
	e->model.load_ns = l->load_ns;
	e->model.first_ns = l->first_ns;
	e->model.second_ns = l->second_ns;
	e->model.run_ns = l->second_ns;
	load_ended(o, e, 0, "");
}

static void on_ready(struct pst_ort *o, struct pst_runner_ready *r)
{
	r->text[sizeof(r->text) - 1] = '\0';
	r->version[sizeof(r->version) - 1] = '\0';
	if (r->status == 0) {
		o->process.state = PST_ORT_RUNNING;
		o->process.greeted = true;
		/* No model has spoken yet: it is one of its own. */
		o->process.tid = r->tid;
		o->process.cpu = -1;
		snprintf(o->about, sizeof(o->about), "ONNX Runtime %s",
			 r->version);
		return;
	}
	/* No other start would fare better: whoever waits is told. */
	pst_ort_process_kill(o, r->text);
	fail_waiting(o,
		     r->status == -ENOENT || r->status == -ENOTSUP ? r->status
								   : -EIO,
		     o->about);
}

/* Takes a message. Returns false when there is none. */
static bool receive(struct pst_ort *o)
{
	static union {
		uint32_t type;
		struct pst_runner_ready ready;
		struct pst_runner_loaded loaded;
		struct pst_runner_unloaded unloaded;
	} m;
	ssize_t n;

	if (o->process.socket < 0)
		return false;
	n = recv(o->process.socket, &m, sizeof(m), MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n == sizeof(m.ready) && m.type == PST_RUNNER_READY &&
	    o->process.state == PST_ORT_STARTING) {
		on_ready(o, &m.ready);
	} else if (n == sizeof(m.loaded) && m.type == PST_RUNNER_LOADED) {
		on_loaded(o, &m.loaded);
	} else if (n != sizeof(m.unloaded) || m.type != PST_RUNNER_UNLOADED) {
		/* It is gone, or worse. */
		pst_ort_process_kill(o, NULL);
		return false;
	}
	return true;
}

void pst_ort_serve(struct pst_ort *o)
{
	uint64_t n;

	/* What has ended shows in the mailbox. If there is a message as well,
	 * the descriptor goes on to be readable. */
	if (read(o->bell, &n, sizeof(n)) == sizeof(n))
		return;
	if (errno != EAGAIN)
		pst_ort_process_kill(o, "its bell is broken");
	while (receive(o))
		;
	ask_next(o);
}

static uint64_t loads_tick(struct pst_ort *o, uint64_t now_ns)
{
	const struct pst_ort_entry *e = find_state(o, PST_ORT_LOADING);

	if (!e)
		return UINT64_MAX;
	if (now_ns - e->since_ns >= o->config.max_load_ns)
		pst_ort_process_kill(o, "a model was not loaded in time");
	return e->since_ns + o->config.max_load_ns;
}

uint64_t pst_ort_tick(struct pst_ort *o, uint64_t now_ns)
{
	uint64_t due = pst_min_u64(pst_ort_calls_tick(o, now_ns),
				   loads_tick(o, now_ns));

	/* Then at once: the call that it had is over. */
	if (pst_ort_process_reap(o)) {
		process_lost(o);
		due = now_ns;
	}
	start(o, now_ns);
	ask_next(o);
	/* Nothing tells when a killed process is gone. */
	if (o->process.state == PST_ORT_DYING)
		due = pst_min_u64(due, now_ns + PST_NS_PER_MS);
	else if (o->process.state == PST_ORT_NONE &&
		 find_state(o, PST_ORT_WAITING))
		due = pst_min_u64(due, o->process.restart_ns);
	return due;
}
