/* SPDX-License-Identifier: MIT */
/* penstock-runner-ort: runs models for the agent, which starts it. */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guest-agent/runner/cuda.h"
#include "guest-agent/runner/model.h"
#include "guest-agent/runner/narrow.h"
#include "guest-agent/runner/ort.h"
#include "guest-agent/runner/run.h"
#include "guest-agent/runner/runner.h"
#include "transport/base/error.h"
#include "transport/base/thread.h"

/* Behind the agent, which has 0. */
#define NICE 5

struct runner {
	struct pst_runner_ort ort;
	uint8_t *arena;
	uint64_t arena_size;
	struct pst_runner_mailbox *mailbox;
	int door, bell, stop;
	struct ort_run_options *options;
	/* Guards the table, and running with the options' flag. */
	pthread_mutex_t lock;
	struct pst_runner_model *models[PST_RUNNER_MODELS];
	struct pst_runner_model *running; /* the model of the call */
	uint64_t running_call;            /* 0: none */
	int32_t tid;                      /* of the thread that computes */
};

/* A message and its descriptors. Returns its bytes, 0: the agent has gone, or
 * -errno. */
static ssize_t receive(void *buf, size_t size, int *fds, size_t max_fds,
		       size_t *ret_n_fds)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int) * PST_RUNNER_FILES)];
	} control;
	struct iovec iov = {buf, size};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = sizeof(control)};
	struct cmsghdr *c;
	ssize_t n;

	*ret_n_fds = 0;
	do {
		n = recvmsg(PST_RUNNER_SOCKET, &msg, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n < 0 ? -errno : 0;
	for (c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		const size_t k = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		memcpy(fds, CMSG_DATA(c),
		       sizeof(int) * (k < max_fds ? k : max_fds));
		*ret_n_fds = k;
	}
	return n;
}

static void answer(const void *message, size_t size)
{
	const struct iovec iov = {(void *)(uintptr_t)message, size};
	const struct msghdr msg = {.msg_iov = (struct iovec *)&iov,
				   .msg_iovlen = 1};

	while (sendmsg(PST_RUNNER_SOCKET, &msg, MSG_NOSIGNAL) < 0)
		if (errno != EINTR)
			_exit(0);
}

/* The end of a list of a call's number, as the agent sees it. */
static uint64_t load(const struct pst_runner_word *w)
{
	return __atomic_load_n(&w->value, __ATOMIC_ACQUIRE);
}

static void wait_for(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	uint64_t n;

	while (read(fd, &n, sizeof(n)) < 0) {
		if (errno != EINTR && errno != EAGAIN)
			_exit(1);
		poll(&p, 1, -1);
	}
}

static struct pst_runner_model **find(struct runner *r, uint64_t id)
{
	size_t i;

	for (i = 0; i < PST_RUNNER_MODELS; i++)
		if (r->models[i] && r->models[i]->about.id == id)
			return &r->models[i];
	return NULL;
}

/* Takes the model of a call, so that it is not unloaded, and clears the flag
 * that ended an earlier one. Returns false: it was cancelled already. */
static bool enter(struct runner *r, uint64_t i, const struct pst_runner_call *c)
{
	struct pst_runner_model **m;
	bool go;

	pthread_mutex_lock(&r->lock);
	m = find(r, c->id);
	r->running = m ? *m : NULL;
	r->running_call = i;
	r->ort.release_status(r->ort.unset_terminate(r->options));
	go = load(&r->mailbox->cancel) != i;
	pthread_mutex_unlock(&r->lock);
	return go;
}

static void leave(struct runner *r)
{
	pthread_mutex_lock(&r->lock);
	r->running = NULL;
	r->running_call = 0;
	pthread_mutex_unlock(&r->lock);
}

static void fail(struct pst_runner_call *c, int status, const char *text)
{
	c->status = status;
	snprintf(c->text, sizeof(c->text), "%s", text);
}

static void run_call(struct runner *r, uint64_t i)
{
	struct pst_runner_call *c = &r->mailbox->call[i % PST_RUNNER_SLOTS];
	static struct pst_runner_space space;

	if (!enter(r, i, c))
		fail(c, -ECANCELED, "cancelled");
	else if (!r->running)
		fail(c, -ENOENT, "there is no such model");
	else
		pst_runner_run(&r->ort, r->running, r->options, r->arena,
			       r->arena_size, &space, c);
	leave(r);
	if (c->status < 0 && load(&r->mailbox->cancel) == i)
		fail(c, -ECANCELED, "cancelled");
	c->cpu = (uint32_t)sched_getcpu();
	__atomic_store_n(&r->mailbox->done.value, i, __ATOMIC_RELEASE);
	while (write(r->bell, &(uint64_t){1}, sizeof(uint64_t)) < 0)
		if (errno != EINTR)
			_exit(1);
}

/* The thread that computes. */
static void *serve_calls(void *arg)
{
	struct runner *r = arg;
	uint64_t done = 0;

	__atomic_store_n(&r->tid, gettid(), __ATOMIC_RELEASE);
	for (;;) {
		while (load(&r->mailbox->submitted) > done)
			run_call(r, ++done);
		wait_for(r->door);
	}
	return NULL;
}

/* The thread that ends a call. */
static void *serve_cancels(void *arg)
{
	struct runner *r = arg;
	uint64_t i;

	pst_thread_wake_soon();
	for (;;) {
		wait_for(r->stop);
		pthread_mutex_lock(&r->lock);
		i = load(&r->mailbox->cancel);
		if (i && i == r->running_call)
			r->ort.release_status(r->ort.set_terminate(r->options));
		pthread_mutex_unlock(&r->lock);
	}
	return NULL;
}

static int keep(struct runner *r, struct pst_runner_model *m,
		struct pst_error *err)
{
	size_t i;
	int e = -EMSGSIZE;

	pthread_mutex_lock(&r->lock);
	for (i = 0; e && i < PST_RUNNER_MODELS; i++) {
		if (!r->models[i]) {
			r->models[i] = m;
			e = 0;
		}
	}
	pthread_mutex_unlock(&r->lock);
	return e ? pst_error_set(err, e, "there are too many models") : 0;
}

static void load_model(struct runner *r, struct pst_runner_load *l,
		       const int *fds, size_t n_fds)
{
	static struct pst_runner_loaded failed;
	struct pst_runner_model *m = NULL;
	struct pst_error err = {0};
	size_t i;
	int e;

	for (i = 0; i < PST_RUNNER_FILES; i++)
		l->file[i].name[sizeof(l->file[i].name) - 1] = '\0';
	if (l->n_files == 0 || l->n_files != n_fds ||
	    n_fds > PST_RUNNER_FILES || l->id == 0)
		e = pst_error_set(&err, -EINVAL, "the request is malformed");
	else
		e = pst_runner_model_load(&r->ort, l, fds, &m, &err);
	for (i = 0; i < n_fds && i < PST_RUNNER_FILES; i++)
		close(fds[i]);
	if (e == 0)
		e = keep(r, m, &err);
	if (e == 0) {
		answer(&m->about, sizeof(m->about));
		return;
	}
	pst_runner_model_free(&r->ort, m);
	failed = (struct pst_runner_loaded){
		.type = PST_RUNNER_LOADED, .status = e, .id = l->id};
	snprintf(failed.text, sizeof(failed.text), "%s", err.text);
	answer(&failed, sizeof(failed));
}

static void unload_model(struct runner *r, const struct pst_runner_unload *u)
{
	struct pst_runner_unloaded reply = {
		.type = PST_RUNNER_UNLOADED, .status = -ENOENT, .id = u->id};
	struct pst_runner_model **m, *gone = NULL;

	pthread_mutex_lock(&r->lock);
	m = find(r, u->id);
	if (m && *m == r->running) {
		reply.status = -EBUSY;
	} else if (m) {
		reply.status = 0;
		gone = *m;
		*m = NULL;
	}
	pthread_mutex_unlock(&r->lock);
	pst_runner_model_free(&r->ort, gone);
	answer(&reply, sizeof(reply));
}

/* The thread that loads, so that calls of other models go on meanwhile. Ends
 * the process with the agent. */
static _Noreturn void serve_socket(struct runner *r)
{
	static union {
		uint32_t type;
		struct pst_runner_load load;
		struct pst_runner_unload unload;
	} m;
	int fds[PST_RUNNER_FILES];
	size_t n_fds;
	ssize_t n;

	for (;;) {
		memset(&m, 0, sizeof(m));
		n = receive(&m, sizeof(m), fds, PST_RUNNER_FILES, &n_fds);
		if (n <= 0)
			_exit(0);
		if (m.type == PST_RUNNER_LOAD && n == sizeof(m.load))
			load_model(r, &m.load, fds, n_fds);
		else if (m.type == PST_RUNNER_UNLOAD && n == sizeof(m.unload))
			unload_model(r, &m.unload);
		else
			_exit(1);
	}
}

static int map(struct runner *r, const struct pst_runner_start *s,
	       const int *fds, struct pst_error *err)
{
	void *p;

	p = mmap(NULL, s->map_size, PROT_READ | PROT_WRITE, MAP_SHARED,
		 fds[PST_RUNNER_FD_ARENA], (off_t)s->map_off);
	if (p == MAP_FAILED)
		return pst_error_set_errno(err, errno, "cannot map the arena");
	r->arena = p;
	r->arena_size = s->map_size;
	p = mmap(NULL, sizeof(*r->mailbox), PROT_READ | PROT_WRITE, MAP_SHARED,
		 fds[PST_RUNNER_FD_MAILBOX], 0);
	if (p == MAP_FAILED)
		return pst_error_set_errno(err, errno,
					   "cannot map the mailbox");
	r->mailbox = p;
	close(fds[PST_RUNNER_FD_ARENA]);
	close(fds[PST_RUNNER_FD_MAILBOX]);
	r->door = fds[PST_RUNNER_FD_DOOR];
	r->bell = fds[PST_RUNNER_FD_BELL];
	r->stop = fds[PST_RUNNER_FD_STOP];
	return 0;
}

static uint32_t count_threads(uint32_t wanted)
{
	cpu_set_t set;

	if (wanted)
		return wanted;
	return sched_getaffinity(0, sizeof(set), &set)
		       ? 1
		       : (uint32_t)CPU_COUNT(&set);
}

static int start(struct runner *r, const struct pst_runner_start *s,
		 const int *fds, uint32_t threads, struct pst_error *err)
{
	pthread_t t;
	int e;

	e = map(r, s, fds, err);
	if (e < 0)
		return e;
	/* Not behind the thread that it is to interrupt. */
	e = pst_thread_start(&t, NULL, serve_cancels, r);
	pst_thread_step_back(NICE);
	if (e == 0)
		e = pst_runner_ort_open(&r->ort, s->library, threads, err);
	if (e == 0)
		e = pst_runner_ort_check(&r->ort,
					 r->ort.create_run_options(&r->options),
					 "cannot make options", err);
	if (e < 0)
		return e;
	r->ort.gpu = s->gpu;
	r->ort.gpu_memory = s->gpu_memory;
	r->ort.cuda = pst_runner_cuda_open(&r->ort, r->arena, r->arena_size,
					   &r->ort.cuda_note) == 0;
	/* From here on models have a say in what is printed: Debian's 1.21
	 * prints a line for each operator at the first one. */
	e = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (e >= 0) {
		dup2(e, STDERR_FILENO);
		close(e);
	}
	e = pst_thread_start(&t, NULL, serve_calls, r);
	if (e < 0)
		return pst_error_set_errno(err, -e, "cannot start a thread");
	while (__atomic_load_n(&r->tid, __ATOMIC_ACQUIRE) == 0)
		sched_yield();
	return pst_runner_narrow(s->max_memory, r->ort.cuda, err);
}

int main(void)
{
	static struct runner r = {.lock = PTHREAD_MUTEX_INITIALIZER};
	struct pst_runner_ready ready = {.type = PST_RUNNER_READY};
	struct pst_runner_start s;
	struct pst_error err = {0};
	int fds[PST_RUNNER_FILES];
	size_t n_fds;

	if (receive(&s, sizeof(s), fds, PST_RUNNER_FILES, &n_fds) !=
		    sizeof(s) ||
	    s.type != PST_RUNNER_START || s.version != PST_RUNNER_VERSION ||
	    n_fds != PST_RUNNER_N_FDS) {
		fputs("penstock-runner-ort: started by penstock-agent only\n",
		      stderr);
		return 2;
	}
	s.library[sizeof(s.library) - 1] = '\0';
	ready.threads = count_threads(s.threads);
	ready.status = start(&r, &s, fds, ready.threads, &err);
	ready.api = r.ort.api;
	ready.tid = r.tid;
	snprintf(ready.text, sizeof(ready.text), "%s", err.text);
	if (r.ort.version)
		snprintf(ready.version, sizeof(ready.version), "%s",
			 r.ort.version);
	answer(&ready, sizeof(ready));
	if (ready.status < 0)
		return 1;
	serve_socket(&r);
}
