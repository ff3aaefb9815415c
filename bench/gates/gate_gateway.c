/* SPDX-License-Identifier: MIT */
/* The gate's figures on the gateway: what an inference over its Unix socket
 * takes beside a bare reply of the same HTTP library, and the library's call.
 */
#include "bench/gates/gate.h"

#ifdef HAVE_GATEWAY
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <microhttpd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/clock.h"
#include "bench/stats.h"

/* Exchanges of a kind in a row; the next kind follows. */
#define EXCHANGES 100U
#define TURNS     9U
#define MAX_N     64U
#define MAX_BODY  (2 * MAX_N * MAX_N * 4 + 512)

struct http {
	int fd;
	char reply[MAX_BODY + 1024];
};

struct request {
	size_t n;
	char bytes[MAX_BODY + 512];
};

struct state {
	struct pst_bench_agentproc agent;
	pid_t bare, gateway;
	struct http to_bare, to_gateway;
	struct pst *c;
	struct pst_gemm_args small, large;
	struct request empty, infer_small, infer_large;
};

/* ---- Servers ------------------------------------------------------------ */

static enum MHD_Result answer(void *arg, struct MHD_Connection *conn,
			      const char *url, const char *method,
			      const char *version, const char *body,
			      size_t *size, void **seen)
{
	struct MHD_Response *r;
	enum MHD_Result result;

	(void)arg;
	(void)url;
	(void)method;
	(void)version;
	(void)body;
	if (!*seen || *size) {
		*seen = conn;
		*size = 0;
		return MHD_YES;
	}
	r = MHD_create_response_from_buffer(0, (void *)(uintptr_t) "",
					    MHD_RESPMEM_PERSISTENT);
	result = MHD_queue_response(conn, MHD_HTTP_OK, r);
	MHD_destroy_response(r);
	return result;
}

static int address(const struct state *s, const char *name,
		   struct sockaddr_un *ret)
{
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	return (size_t)snprintf(ret->sun_path, sizeof(ret->sun_path), "%s/%s",
				s->agent.dir, name) < sizeof(ret->sun_path)
		       ? 0
		       : -ENAMETOOLONG;
}

__attribute__((noreturn)) static void serve_bare(const struct sockaddr_un *at)
{
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (const void *)at, sizeof(*at)) < 0 ||
	    listen(fd, 8) < 0 ||
	    !MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL,
			      answer, NULL, MHD_OPTION_LISTEN_SOCKET, fd,
			      MHD_OPTION_CONNECTION_MEMORY_LIMIT,
			      (size_t)64 << 10, MHD_OPTION_END))
		_exit(1);
	for (;;)
		pause();
}

__attribute__((noreturn)) static void
serve_gateway(const struct pst_bench_gate *g, const struct state *s,
	      const struct sockaddr_un *at)
{
	const char *slash = strrchr(g->agent, '/');
	char program[PATH_MAX];

	snprintf(program, sizeof(program),
		 "%.*s/../host-client/gateway/penstock-gateway",
		 slash ? (int)(slash - g->agent) : 0, g->agent);
	/* What it says of itself is not the table's. */
	dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
	execl(program, program, "--endpoint", s->agent.endpoint, "--socket",
	      at->sun_path, (char *)NULL);
	_exit(1);
}

static int start(struct pst_bench_gate *g, const struct state *s,
		 const char *name, pid_t *ret)
{
	const pid_t parent = getpid();
	struct sockaddr_un at;
	const int r = address(s, name, &at);

	if (r < 0)
		return r;
	/* They may run wherever the agent does not. */
	pst_bench_cpus_unpin(&g->cpus);
	*ret = fork();
	if (*ret == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
		if (ret == &s->bare)
			serve_bare(&at);
		serve_gateway(g, s, &at);
	}
	pst_bench_cpus_pin(g->cpus.client);
	return *ret < 0 ? -errno : 0;
}

static void stop(pid_t pid, const struct state *s, const char *name)
{
	struct sockaddr_un at;

	if (pid <= 0)
		return;
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	if (address(s, name, &at) == 0)
		unlink(at.sun_path);
}

/* ---- A client ----------------------------------------------------------- */

static int connect_to(const struct state *s, const char *name, struct http *ret)
{
	const struct timespec nap = {.tv_nsec = 10 * 1000 * 1000};
	struct sockaddr_un at;
	int i, r = address(s, name, &at);

	for (i = 0; i < 500 && r == 0; i++) {
		ret->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (ret->fd < 0)
			return -errno;
		if (connect(ret->fd, (const void *)&at, sizeof(at)) == 0)
			return 0;
		close(ret->fd);
		ret->fd = -1;
		nanosleep(&nap, NULL);
	}
	return r ? r : -ETIMEDOUT;
}

/* One exchange. Returns its status, or -EIO. */
static int exchange(struct http *h, const struct request *q)
{
	size_t n = 0, head = 0, body = 0;
	const char *p;
	ssize_t r;

	if (send(h->fd, q->bytes, q->n, MSG_NOSIGNAL) != (ssize_t)q->n)
		return -EIO;
	do {
		r = recv(h->fd, h->reply + n, sizeof(h->reply) - 1 - n, 0);
		if (r <= 0)
			return -EIO;
		n += (size_t)r;
		h->reply[n] = '\0';
		p = head ? NULL : strstr(h->reply, "\r\n\r\n");
		if (p) {
			head = (size_t)(p - h->reply) + 4;
			p = strstr(h->reply, "Content-Length: ");
			body = p ? strtoul(p + 16, NULL, 10) : 0;
		}
	} while (!head || n < head + body);
	return (int)strtol(h->reply + strlen("HTTP/1.1 "), NULL, 10);
}

/* Microseconds of an exchange. */
static int time_exchanges(struct http *h, const struct request *q,
			  double *ret_us)
{
	const uint64_t begin = pst_bench_now_ns();
	unsigned int i;

	for (i = 0; i < EXCHANGES; i++)
		if (exchange(h, q) != 200)
			return -EIO;
	*ret_us = (double)(pst_bench_now_ns() - begin) / EXCHANGES /
		  (double)PST_BENCH_US;
	return 0;
}

/* An inference of gemm, n x n, with binary tensors both ways. */
static void make_infer(struct request *q, uint32_t n,
		       const struct pst_gemm_args *gemm)
{
	const unsigned int bytes = n * n * 4;
	char head[512];
	int length, at;

	length = snprintf(
		head, sizeof(head),
		"{\"inputs\":[{\"name\":\"A\",\"shape\":[%u,%u],\"datatype\":"
		"\"FP32\",\"parameters\":{\"binary_data_size\":%u}},"
		"{\"name\":\"B\",\"shape\":[%u,%u],\"datatype\":\"FP32\","
		"\"parameters\":{\"binary_data_size\":%u}}],\"outputs\":[{"
		"\"name\":\"C\",\"parameters\":{\"binary_data\":true}}]}",
		n, n, bytes, n, n, bytes);
	at = snprintf(q->bytes, sizeof(q->bytes),
		      "POST /v2/models/gemm/infer HTTP/1.1\r\n"
		      "Host: localhost\r\n"
		      "Content-Type: application/octet-stream\r\n"
		      "Inference-Header-Content-Length: %d\r\n"
		      "Content-Length: %u\r\n\r\n%s",
		      length, (unsigned int)length + 2 * bytes, head);
	memcpy(q->bytes + at, gemm->a, bytes);
	memcpy(q->bytes + at + bytes, gemm->b, bytes);
	q->n = (size_t)at + 2 * bytes;
}

/* ---- The group ---------------------------------------------------------- */

static void close_state(struct pst_bench_gate *g, void *arg)
{
	struct state *s = arg;

	(void)g;
	if (!s)
		return;
	stop(s->gateway, s, "gateway");
	stop(s->bare, s, "bare");
	if (s->to_bare.fd >= 0)
		close(s->to_bare.fd);
	if (s->to_gateway.fd >= 0)
		close(s->to_gateway.fd);
	pst_close(s->c);
	pst_bench_agentproc_stop(&s->agent);
	free(s);
}

/* The gateway's socket is there before it knows the agent. */
static int wait_until_ready(struct state *s)
{
	const struct timespec nap = {.tv_nsec = 10 * 1000 * 1000};
	int i;

	for (i = 0; i < 500; i++) {
		if (exchange(&s->to_gateway, &s->infer_small) == 200)
			return 0;
		nanosleep(&nap, NULL);
	}
	return -ETIMEDOUT;
}

static int open_state(struct pst_bench_gate *g, void **ret)
{
	struct state *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return pst_bench_gate_why(g, -ENOMEM, "out of memory");
	*ret = s;
	g->in_turn = true;
	s->to_bare.fd = s->to_gateway.fd = -1;
	r = pst_bench_gate_agent(g, &s->agent, false, 1, NULL, 0);
	if (!r)
		r = pst_bench_gate_connect(g, &s->agent, 0, 0, &s->c);
	if (!r)
		r = pst_bench_gate_square(g, s->c, 8, &s->small);
	if (!r)
		r = pst_bench_gate_square(g, s->c, MAX_N, &s->large);
	if (r)
		return r;
	s->empty.n = (size_t)snprintf(s->empty.bytes, sizeof(s->empty.bytes),
				      "GET / HTTP/1.1\r\nHost: localhost\r\n"
				      "\r\n");
	make_infer(&s->infer_small, 8, &s->small);
	make_infer(&s->infer_large, MAX_N, &s->large);
	if ((r = start(g, s, "bare", &s->bare)) < 0 ||
	    (r = start(g, s, "gateway", &s->gateway)) < 0 ||
	    (r = connect_to(s, "bare", &s->to_bare)) < 0 ||
	    (r = connect_to(s, "gateway", &s->to_gateway)) < 0 ||
	    (r = wait_until_ready(s)) < 0)
		return pst_bench_gate_why(
			g, r, "the gateway does not answer: %s", strerror(-r));
	return 0;
}

/* Microseconds of an exchange with the bare server and a call, which alternate:
 * the agent, which sleeps soon, has the same time between two calls. */
static int time_both(struct pst_bench_gate *g, struct state *s,
		     const struct request *q, const struct pst_gemm_args *gemm,
		     double *ret_us)
{
	const uint64_t begin = pst_bench_now_ns();
	unsigned int i;
	double ignored;

	for (i = 0; i < EXCHANGES; i++)
		if (exchange(&s->to_bare, q) != 200 ||
		    pst_bench_gate_product_once(g, s->c, gemm, &ignored) < 0)
			return -EIO;
	*ret_us = (double)(pst_bench_now_ns() - begin) / EXCHANGES /
		  (double)PST_BENCH_US;
	return 0;
}

/* One size, three ways in turn. */
static int measure(struct pst_bench_gate *g, struct state *s,
		   const struct request *infer,
		   const struct pst_gemm_args *gemm,
		   struct pst_bench_sample *ret)
{
	double ours[TURNS], empty[TURNS], same[TURNS];
	unsigned int i;
	int r = 0;

	for (i = 0; i < TURNS && !r; i++) {
		r = time_exchanges(&s->to_gateway, infer, &ours[i]);
		if (!r)
			r = time_both(g, s, &s->empty, gemm, &empty[i]);
		if (!r)
			r = time_both(g, s, infer, gemm, &same[i]);
	}
	if (r)
		return pst_bench_gate_why(g, r, "an exchange failed");
	ret[0].value = ret[1].value = pst_bench_median(ours, TURNS);
	ret[0].reference = pst_bench_median(empty, TURNS);
	ret[1].reference = pst_bench_median(same, TURNS);
	return 0;
}

static int pair(struct pst_bench_gate *g, void *arg,
		struct pst_bench_sample *ret)
{
	struct state *s = arg;
	int r = measure(g, s, &s->infer_small, &s->small, &ret[0]);

	return r ? r : measure(g, s, &s->infer_large, &s->large, &ret[2]);
}

const struct pst_bench_gate_group pst_bench_gate_gateway[] = {
	{"gateway",
	 5,
	 open_state,
	 pair,
	 close_state,
	 {{"gateway: infer 8x8 / empty reply of libmicrohttpd + call",
	   "us",
	   {1.3, false}},
	  /* Without a bound: what the request's own bytes take. */
	  {"gateway: infer 8x8 / empty reply to the same bytes + call",
	   "us",
	   {INFINITY, false}},
	  {"gateway: infer 64x64 / empty reply of libmicrohttpd + call",
	   "us",
	   {1.3, false}},
	  {"gateway: infer 64x64 / empty reply to the same bytes + call",
	   "us",
	   {INFINITY, false}}}},
	{0},
};
#else
const struct pst_bench_gate_group pst_bench_gate_gateway[] = {{0}};
#endif
