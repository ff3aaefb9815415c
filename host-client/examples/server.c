/* SPDX-License-Identifier: MIT */
/*
 * An inference server: rows come in over a Unix socket, go through a model of
 * the agent, and go back. One thread, one epoll loop, no copy of a row but the
 * one out of the socket and the one into it.
 *
 *	cc server.c $(pkg-config --cflags --libs penstock) -o server
 *	./server ENDPOINT MODEL-FILE /run/user/1000/rows.sock
 *
 * A client writes rows of float, as many as it likes. For each it gets an
 * int32_t, 0 or a negative errno, and behind a 0 the row that came out.
 */
/* accept4() */
#define _GNU_SOURCE
#include <errno.h>
#include <penstock.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MAX_CLIENTS 64
#define MODEL_NAME  "server"
#define MINUTE_NS   60000000000ULL
#define RETRY_MS    500

struct client {
	int fd;          /* -1: a free place */
	bool submitted;  /* the agent has its row */
	bool gone;       /* ... but nobody wants the answer any more */
	float *in, *out; /* its rows in the region */
	size_t n_in;     /* bytes of in that have come */
	char *answer;
	size_t n_answer, n_sent;
};

struct server {
	struct pst *c;
	struct pst_model model;
	const char *path; /* of the model's file */
	float *rows;      /* the buffer; NULL: there is no agent now */
	uint64_t session; /* whose buffer that is */
	int epoll, listener;
	bool listening; /* the listener is in epoll */
	bool told;      /* ... what is wrong */
	int n_clients, n_places;
	struct client clients[MAX_CLIENTS];
};

static volatile sig_atomic_t stopped;

static void stop(int signal)
{
	(void)signal;
	stopped = 1;
}

/* Signals are blocked but in epoll_pwait(): a call of the library that waits
 * looks for one now and then. */
static int is_signalled(void *arg)
{
	sigset_t pending;

	(void)arg;
	sigpending(&pending);
	return sigismember(&pending, SIGTERM) || sigismember(&pending, SIGINT);
}

static size_t in_size(const struct server *s)
{
	return s->model.n_in * sizeof(float);
}

static size_t out_size(const struct server *s)
{
	return s->model.n_out * sizeof(float);
}

/* ---- The agent --------------------------------------------------------- */

static int complain(struct server *s, const char *what, int error)
{
	char sentence[256];

	pst_last_error(s->c, sentence, sizeof(sentence));
	if (!s->told)
		fprintf(stderr, "server: %s: %s\n", what, sentence);
	s->told = true;
	return error;
}

/* A model may be there already, loaded by an earlier life of this server. */
static int open_model(struct server *s)
{
	int r = pst_model_open(s->c, MODEL_NAME, &s->model);

	if (r == -ENOENT)
		r = pst_model_load(s->c, MODEL_NAME, s->path, MINUTE_NS,
				   &s->model);
	return r < 0 ? complain(s, s->path, r) : 0;
}

/* Rows for as many clients as there is room for: other programs may have most
 * of the arena. */
static int get_rows(struct server *s)
{
	size_t row = s->model.n_in + s->model.n_out, n;
	void *mem = NULL;
	int r = -ENOSPC;

	for (n = MAX_CLIENTS; n && r == -ENOSPC; n /= 2) {
		r = pst_alloc(s->c, n * row * sizeof(float), &mem);
		s->n_places = (int)n;
	}
	if (r < 0)
		return complain(s, "no memory in the region", r);
	s->rows = mem;
	for (n = 0; n < (size_t)s->n_places; n++) {
		s->clients[n].in = s->rows + n * row;
		s->clients[n].out = s->clients[n].in + s->model.n_in;
	}
	return 0;
}

/* Also after a loss: the first of these calls opens a new session. */
static int begin(struct server *s)
{
	struct pst_info info = PST_INFO_INIT;
	int r;

	if ((r = open_model(s)) < 0 || (r = get_rows(s)) < 0)
		return r;
	s->told = false;
	if (pst_get_info(s->c, &info) == 0)
		s->session = info.session;
	return 0;
}

static bool is_lost(struct server *s)
{
	struct pst_info info = PST_INFO_INIT;

	return pst_get_info(s->c, &info) < 0 || info.session != s->session;
}

/* ---- Clients ----------------------------------------------------------- */

static void watch(struct server *s, struct client *k, uint32_t events)
{
	struct epoll_event e = {.events = events, .data = {.ptr = k}};

	epoll_ctl(s->epoll, EPOLL_CTL_MOD, k->fd, &e);
}

/* More clients than places wait in the listener's queue. */
static void listen_if_free(struct server *s)
{
	struct epoll_event e = {.events = EPOLLIN, .data = {.ptr = NULL}};
	bool want = s->rows && s->n_clients < s->n_places;

	if (want != s->listening)
		epoll_ctl(s->epoll, want ? EPOLL_CTL_ADD : EPOLL_CTL_DEL,
			  s->listener, &e);
	s->listening = want;
}

/* Its place is free only when the agent no longer writes to its row. */
static void drop(struct server *s, struct client *k)
{
	if (k->fd >= 0)
		close(k->fd);
	k->fd = -1;
	k->gone = k->submitted;
	if (k->gone)
		return;
	free(k->answer);
	k->answer = NULL;
	s->n_clients--;
}

static void accept_client(struct server *s)
{
	struct epoll_event e = {.events = EPOLLIN};
	struct client *k = s->clients;
	int fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return;
	while (k->fd >= 0 || k->gone)
		k++;
	k->fd = fd;
	k->n_in = k->n_answer = k->n_sent = 0;
	k->answer = malloc(sizeof(int32_t) + out_size(s));
	s->n_clients++;
	e.data.ptr = k;
	if (!k->answer || epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &e) < 0)
		drop(s, k);
}

static void send_answer(struct server *s, struct client *k)
{
	ssize_t n = send(k->fd, k->answer + k->n_sent, k->n_answer - k->n_sent,
			 MSG_NOSIGNAL);

	if (n < 0 && errno != EAGAIN) {
		drop(s, k);
		return;
	}
	k->n_sent += n > 0 ? (size_t)n : 0;
	if (k->n_sent < k->n_answer) {
		watch(s, k, EPOLLOUT);
		return;
	}
	k->n_in = k->n_answer = k->n_sent = 0;
	watch(s, k, EPOLLIN);
}

static void answer(struct server *s, struct client *k, int32_t status)
{
	/* Out of the region first: the guest can still write there. */
	if (status == 0)
		status = pst_take(s->c, k->answer + sizeof(status), k->out,
				  out_size(s));
	/* What a loss has taken may be sent again. */
	if (status == -ECONNRESET || status == -ESTALE)
		status = -EAGAIN;
	memcpy(k->answer, &status, sizeof(status));
	k->n_answer = sizeof(status) + (status ? 0 : out_size(s));
	send_answer(s, k);
}

/* A whole row has come. */
static void submit(struct server *s, struct client *k)
{
	struct pst_infer_args f = PST_INFER_INIT;
	int r;

	f.model = &s->model;
	f.in = k->in;
	f.out = k->out;
	f.rows = 1;
	r = pst_submit_infer(s->c, &f, (uintptr_t)k, NULL);
	if (r < 0) {
		answer(s, k, r);
		return;
	}
	k->submitted = true;
	watch(s, k, 0);
}

static void receive(struct server *s, struct client *k)
{
	ssize_t n =
		recv(k->fd, (char *)k->in + k->n_in, in_size(s) - k->n_in, 0);

	if (n == 0 || (n < 0 && errno != EAGAIN)) {
		drop(s, k);
		return;
	}
	k->n_in += n > 0 ? (size_t)n : 0;
	if (k->n_in == in_size(s))
		submit(s, k);
}

static void client_event(struct server *s, struct client *k, uint32_t events)
{
	if (k->fd < 0)
		return; /* dropped since */
	if (events & (EPOLLHUP | EPOLLERR))
		drop(s, k);
	else if (events & EPOLLOUT)
		send_answer(s, k);
	else if (events & EPOLLIN)
		receive(s, k);
}

/* The session is over: its buffer is private memory now. Rows that were half
 * here are lost, and their clients cannot send the same half again. */
static void lose(struct server *s)
{
	struct client *k;

	fprintf(stderr, "server: the agent is gone\n");
	pst_free(s->c, s->rows);
	s->rows = NULL;
	for (k = s->clients; k < s->clients + MAX_CLIENTS; k++)
		if (k->fd >= 0)
			drop(s, k);
}

/* ---- The loop ---------------------------------------------------------- */

static void complete(struct server *s)
{
	struct pst_completion done[16];
	struct client *k;
	int i, n;

	do {
		n = pst_poll(s->c, done, 16);
		for (i = 0; i < n; i++) {
			k = (struct client *)(uintptr_t)done[i].user_data;
			k->submitted = false;
			if (k->gone)
				drop(s, k);
			else
				answer(s, k, done[i].status);
		}
	} while (n == 16);
}

/* Returns whether there is an agent. */
static bool look_at_agent(struct server *s)
{
	/* 1: there are completions, or the session was lost. */
	while (pst_arm(s->c) == 1)
		complete(s);
	if (s->rows && is_lost(s))
		lose(s);
	return s->rows || begin(s) == 0;
}

static int serve(struct server *s, const sigset_t *unblocked)
{
	struct epoll_event events[64];
	bool someone, there;
	struct client *k;
	int i, n;

	while (!stopped) {
		there = look_at_agent(s);
		listen_if_free(s);
		n = epoll_pwait(s->epoll, events, 64, there ? -1 : RETRY_MS,
				unblocked);
		if (n < 0 && errno != EINTR)
			return -errno;
		someone = false;
		for (i = 0; i < n; i++) {
			k = events[i].data.ptr;
			if (!k)
				someone = true;
			else if (k != (void *)s)
				client_event(s, k, events[i].events);
		}
		/* Last: above a client's place must not be a new one's. */
		if (someone && s->n_clients < s->n_places)
			accept_client(s);
	}
	return 0;
}

static int open_listener(struct server *s, const char *path)
{
	struct epoll_event e = {.events = EPOLLIN, .data = {.ptr = s}};
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = pst_fd(s->c);

	if (fd < 0)
		return fd;
	if (strlen(path) >= sizeof(a.sun_path))
		return -ENAMETOOLONG;
	strcpy(a.sun_path, path);
	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	s->listener =
		socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->epoll < 0 || s->listener < 0 ||
	    epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &e) < 0 ||
	    bind(s->listener, (struct sockaddr *)&a, sizeof(a)) < 0 ||
	    listen(s->listener, 64) < 0)
		return -errno;
	return 0;
}

int main(int argc, char **argv)
{
	struct pst_options options = PST_OPTIONS_INIT;
	struct sigaction action = {.sa_handler = stop};
	static struct server s;
	char sentence[256];
	sigset_t blocked, unblocked;
	int i, r;

	if (argc != 4) {
		fprintf(stderr, "usage: server ENDPOINT MODEL-FILE SOCKET\n");
		return 2;
	}
	s.path = argv[2];
	for (i = 0; i < MAX_CLIENTS; i++)
		s.clients[i].fd = -1;
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	sigaddset(&blocked, SIGINT);
	sigprocmask(SIG_BLOCK, &blocked, &unblocked);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	pst_set_interrupt(is_signalled, NULL);

	/* The guest may still be booting. */
	options.flags = PST_OPEN_WAIT;
	options.timeout_ns = MINUTE_NS;
	r = pst_open(argv[1], &options, &s.c, sentence, sizeof(sentence));
	if (r < 0) {
		fprintf(stderr, "server: %s\n", sentence);
		return 1;
	}
	r = begin(&s);
	if (!r)
		r = open_listener(&s, argv[3]);
	if (!r) {
		printf("ready\n");
		fflush(stdout);
		r = serve(&s, &unblocked);
		unlink(argv[3]);
	}
	if (r < 0)
		fprintf(stderr, "server: %s\n", strerror(-r));
	for (i = 0; i < MAX_CLIENTS; i++)
		free(s.clients[i].answer);
	pst_close(s.c);
	return r < 0;
}
