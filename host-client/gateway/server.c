/* SPDX-License-Identifier: MIT */
/* The serving thread: waits for connections, agents and the end. */
#include "host-client/gateway/server.h"

#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#include "host-client/gateway/agents/engine.h"
#include "host-client/gateway/http/listen.h"
#include "host-client/gateway/http/log.h"
#include "host-client/gateway/http/request_int.h"
#include "host-client/gateway/http/routes.h"
#include "transport/base/listen_fds.h"
#include "transport/base/text.h"

/* Unix socket, TCP, and as many that the service manager passes. */
#define MAX_DOORS (1U + 2 * PST_GW_MAX_LISTEN)
/* Of a connection: its head has to fit, and a body is read in such pieces. */
#define CONN_MEMORY (64U << 10)
/* How often slow connections are looked for. */
#define SWEEP_NS (250 * PST_NS_PER_MS)
#define PEM_MAX  65536
/* What requests under way have when it is to end. */
#define DRAIN_NS (5 * PST_NS_PER_S)

struct pst_gw_server {
	struct pst_gw_context context;
	struct pst_gw_agents agents;
	struct pst_gw_engines engines;
	struct pst_gw_door door[MAX_DOORS];
	unsigned int n_doors;
	struct pst_gw_address address[PST_GW_MAX_LISTEN];
	const char *name[PST_GW_MAX_HOSTS + PST_GW_MAX_LISTEN];
	char *cert, *key;
	int epfd;
	uint64_t swept_ns;
	uint64_t end_ns; /* 0: it is not to end */
};

/* ---- Doors ---- */

static void log_mhd(void *arg, const char *fmt, va_list args)
	__attribute__((format(printf, 2, 0)));

/* What clients cause is not worth a line; what it cannot do is. */
static void log_mhd(void *arg, const char *fmt, va_list args)
{
	(void)arg;
	(void)fmt;
	(void)args;
}

static size_t unescape(void *arg, struct MHD_Connection *mhd, char *text)
{
	(void)arg;
	(void)mhd;
	return pst_gw_unescape(text);
}

static int read_pem(const char *path, bool is_secret, char **ret,
		    struct pst_error *err)
{
	char *text;
	struct stat st;
	int r;

	if (is_secret && stat(path, &st) == 0 && (st.st_mode & 0007) != 0)
		return pst_error_set(err, -EPERM,
				     "%s: a private key, and others can read "
				     "it (chmod o=)",
				     path);
	text = malloc(PEM_MAX);
	if (!text)
		return pst_oom(err);
	r = pst_read_text(path, text, PEM_MAX);
	if (r < 0) {
		free(text);
		return pst_error_set_errno(err, -r, "cannot read %s", path);
	}
	*ret = text;
	return 0;
}

static int open_door(struct pst_gw_server *s, int fd, struct pst_error *err)
{
	struct pst_gw_door *d = &s->door[s->n_doors];
	const bool is_local = pst_gw_listen_is_unix(fd);
	const bool tls = !is_local && s->cert;
	struct MHD_OptionItem more[] = {
		{MHD_OPTION_HTTPS_MEM_CERT, 0, s->cert},
		{MHD_OPTION_HTTPS_MEM_KEY, 0, s->key},
		{MHD_OPTION_HTTPS_PRIORITIES, 0,
		 (void *)(uintptr_t) "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"},
		{MHD_OPTION_END, 0, NULL},
	};
	const union MHD_DaemonInfo *info;
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = d};

	if (!is_local && s->context.tokens.n == 0)
		return pst_error_set(err, -EINVAL, "TCP needs --token-file");
	if (!is_local && !tls && !pst_gw_listen_is_loopback(fd))
		return pst_error_set(err, -EINVAL,
				     "other addresses than the loopback's need "
				     "--tls-cert and --tls-key");
	*d = (struct pst_gw_door){
		.context = &s->context,
		.fd = fd,
		.is_local = is_local,
	};
	d->daemon = MHD_start_daemon(
		MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG |
			MHD_USE_SUPPRESS_DATE_NO_CLOCK |
			(tls ? MHD_USE_TLS : 0U),
		0, NULL, NULL, pst_gw_on_request, d, MHD_OPTION_EXTERNAL_LOGGER,
		log_mhd, NULL, MHD_OPTION_UNESCAPE_CALLBACK, unescape, NULL,
		MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
		s->context.peers.max.conns + 64,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONN_MEMORY,
		MHD_OPTION_CONNECTION_TIMEOUT, 0U, MHD_OPTION_STRICT_FOR_CLIENT,
		1, MHD_OPTION_NOTIFY_COMPLETED, pst_gw_on_completed, d,
		MHD_OPTION_NOTIFY_CONNECTION, pst_gw_on_connection, d,
		MHD_OPTION_ARRAY, tls ? more : more + 3, MHD_OPTION_END);
	if (!d->daemon)
		return pst_error_set(err, -EIO,
				     tls ? "cannot serve: is the certificate "
					   "good, and the key its own?"
					 : "cannot serve");
	s->n_doors++;
	info = MHD_get_daemon_info(d->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	if (epoll_ctl(s->epfd, EPOLL_CTL_ADD, info->epoll_fd, &ev) < 0)
		return pst_error_set_errno(err, errno, "epoll_ctl");
	return 0;
}

static int open_unix(struct pst_gw_server *s, const char *path,
		     struct pst_error *err)
{
	struct stat file;
	int fd = pst_gw_listen_unix(path, &file, err), r;

	if (fd < 0)
		return fd;
	r = open_door(s, fd, err);
	if (r < 0) {
		pst_gw_listen_unlink(path, &file);
		return r;
	}
	s->door[s->n_doors - 1].path = path;
	s->door[s->n_doors - 1].file = file;
	pst_gw_log(PST_GW_LOG_INFO, "listens on unix:%s", path);
	return 0;
}

static int open_tcp(struct pst_gw_server *s, unsigned int i,
		    struct pst_error *err)
{
	const char *text = s->context.options->listen[i];
	int fd = pst_gw_listen_tcp(text, &s->address[i], err), r;

	if (fd < 0)
		return fd;
	s->name[s->context.names.n++] = s->address[i].host;
	r = open_door(s, fd, err);
	if (r == 0)
		pst_gw_log(PST_GW_LOG_INFO, "listens on %s", text);
	return r;
}

static int open_doors(struct pst_gw_server *s, struct pst_error *err)
{
	const struct pst_gw_options *o = s->context.options;
	int fds[PST_GW_MAX_LISTEN], i, n, r = 0;
	unsigned int k;

	n = pst_activation_take(fds, PST_GW_MAX_LISTEN, true, err);
	if (n < 0)
		return n;
	for (i = 0; r == 0 && i < n; i++)
		r = open_door(s, fds[i], err);
	for (k = 0; r == 0 && k < o->n_listen; k++)
		r = open_tcp(s, k, err);
	if (r == 0 && (o->socket || (n == 0 && o->n_listen == 0)))
		r = open_unix(s, o->socket ? o->socket : PST_GW_SOCKET, err);
	return r;
}

/* ---- The server ---- */

/* A connection is a descriptor; the rest is for doors and agents. Returns how
 * many connections there may be: one too many has to find a descriptor, so that
 * an older one is ended for it. */
static unsigned int raise_files(const struct pst_gw_options *o)
{
	const uint64_t rest = 24 + 16 * o->n_endpoints;
	const uint64_t want = o->n_conns + rest + 512;
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) < 0)
		return o->n_conns;
	if (l.rlim_cur < want) {
		l.rlim_cur = pst_min_u64(want, l.rlim_max);
		(void)setrlimit(RLIMIT_NOFILE, &l);
	}
	if (l.rlim_cur < 2 * rest)
		return (unsigned int)(l.rlim_cur / 2 + 1);
	return (unsigned int)pst_min_u64(o->n_conns, l.rlim_cur - rest);
}

static int fill_context(struct pst_gw_server *s, const struct pst_gw_options *o,
			struct pst_error *err)
{
	const struct pst_gw_limits max = {
		.conns = raise_files(o),
		.ops = o->n_ops,
		.body_bytes = o->body_bytes,
	};
	int r;

	s->context.options = o;
	s->context.routes = pst_gw_routes;
	s->context.agents = &s->agents;
	s->context.engines = &s->engines;
	s->context.n_updates = &s->agents.n_updates;
	pst_gw_peers_init(&s->context.peers, &max);
	TAILQ_INIT(&s->context.requests);
	memcpy(s->name, o->host, o->n_hosts * sizeof(o->host[0]));
	s->context.names.name = s->name;
	s->context.names.n = o->n_hosts;
	if (o->token_file && (r = pst_gw_tokens_read(&s->context.tokens,
						     o->token_file, err)) < 0)
		return r;
	if (o->tls_cert &&
	    ((r = read_pem(o->tls_cert, false, &s->cert, err)) < 0 ||
	     (r = read_pem(o->tls_key, true, &s->key, err)) < 0))
		return r;
	return pst_gw_agents_open(&s->agents, o, err);
}

int pst_gw_server_open(const struct pst_gw_options *o,
		       struct pst_gw_server **ret, struct pst_error *err)
{
	struct pst_gw_server *s = calloc(1, sizeof(*s));
	struct epoll_event ev = {.events = EPOLLIN};
	int r;

	if (!s)
		return pst_oom(err);
	s->agents.wake_fd = -1;
	s->engines.wake_fd = -1;
	s->epfd = epoll_create1(EPOLL_CLOEXEC);
	r = s->epfd < 0 ? pst_error_set_errno(err, errno, "epoll_create1")
			: fill_context(s, o, err);
	ev.data.ptr = &s->agents;
	if (r == 0 &&
	    epoll_ctl(s->epfd, EPOLL_CTL_ADD, s->agents.wake_fd, &ev) < 0)
		r = pst_error_set_errno(err, errno, "epoll_ctl");
	if (r == 0)
		r = pst_gw_engines_open(&s->engines, &s->agents, o->memory,
					s->epfd, err);
	if (r == 0)
		r = open_doors(s, err);
	if (r < 0) {
		pst_gw_server_close(s);
		return r;
	}
	*ret = s;
	return 0;
}

/* Nobody comes any more. A socket's file goes before the socket. */
static void close_doors(struct pst_gw_server *s)
{
	struct pst_gw_door *d;

	for (d = s->door; d < s->door + s->n_doors; d++) {
		if (d->fd < 0)
			continue;
		if (d->path)
			pst_gw_listen_unlink(d->path, &d->file);
		(void)MHD_quiesce_daemon(d->daemon);
		pst_close_fd(d->fd);
		d->fd = -1;
	}
}

void pst_gw_server_close(struct pst_gw_server *s)
{
	struct pst_gw_request *r;
	unsigned int i;

	close_doors(s);
	pst_gw_engines_stop(&s->engines);
	/* No connection may rest when its daemon ends. */
	TAILQ_FOREACH(r, &s->context.requests, link)
	{
		if (!r->waiting)
			continue;
		pst_gw_reply_error(r, 503, "the gateway ends");
		pst_gw_go_on(r);
	}
	for (i = 0; i < s->n_doors; i++) {
		MHD_run(s->door[i].daemon);
		MHD_stop_daemon(s->door[i].daemon);
	}
	pst_gw_shared_done(&s->context);
	pst_gw_engines_close(&s->engines);
	pst_gw_agents_close(&s->agents);
	pst_gw_peers_done(&s->context.peers);
	pst_gw_tokens_done(&s->context.tokens);
	free(s->cert);
	if (s->key)
		explicit_bzero(s->key, strlen(s->key));
	free(s->key);
	pst_close_fd(s->epfd);
	free(s);
}

/* In milliseconds, for epoll_wait(). */
static int timeout(struct pst_gw_server *s)
{
	MHD_UNSIGNED_LONG_LONG ms;
	unsigned int i;

	if (pst_gw_engines_arm(&s->engines))
		return 0;
	for (i = 0; i < s->n_doors; i++)
		if (MHD_get_timeout(s->door[i].daemon, &ms) == MHD_YES &&
		    ms == 0)
			return 0;
	return s->context.peers.n_conns ? (int)(SWEEP_NS / PST_NS_PER_MS) : -1;
}

static void sweep(struct pst_gw_server *s)
{
	const uint64_t now_ns = pst_now_ns();

	if (now_ns - s->swept_ns < SWEEP_NS)
		return;
	s->swept_ns = now_ns;
	pst_gw_peers_sweep(&s->context.peers, now_ns);
	pst_gw_engines_tick(&s->engines, now_ns);
}

int pst_gw_server_run(struct pst_gw_server *s, int stop_fd,
		      struct pst_error *err)
{
	struct epoll_event ev[MAX_DOORS + 4] = {{.events = EPOLLIN}};
	bool woken = false;
	unsigned int k;
	int i, n;

	if (epoll_ctl(s->epfd, EPOLL_CTL_ADD, stop_fd, &ev[0]) < 0)
		return pst_error_set_errno(err, errno, "epoll_ctl");
	for (;;) {
		n = epoll_wait(s->epfd, ev, PST_ARRAY_SIZE(ev), timeout(s));
		if (n < 0 && errno != EINTR)
			return pst_error_set_errno(err, errno, "epoll_wait");
		for (i = 0; i < n; i++) {
			if (!ev[i].data.ptr) {
				(void)epoll_ctl(s->epfd, EPOLL_CTL_DEL, stop_fd,
						NULL);
				close_doors(s);
				s->end_ns = pst_now_ns() + DRAIN_NS;
			}
			if (ev[i].data.ptr == &s->agents) {
				pst_gw_agents_update(&s->agents);
				pst_gw_engines_rouse(&s->engines);
			}
			woken = woken || ev[i].data.ptr == &s->engines;
		}
		pst_gw_engines_poll(&s->engines, woken);
		woken = false;
		for (k = 0; k < s->n_doors; k++)
			MHD_run(s->door[k].daemon);
		sweep(s);
		if (s->end_ns && (TAILQ_EMPTY(&s->context.requests) ||
				  pst_now_ns() > s->end_ns))
			return 0;
	}
}
