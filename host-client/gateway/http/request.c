/* SPDX-License-Identifier: MIT */
/* A request from its head to its reply: the checks that all have to pass, and
 * libmicrohttpd's callbacks. */
#include <poll.h>
#include <stdarg.h>
#include <string.h>

#include "host-client/gateway/http/request_int.h"
#include "transport/base/text.h"

/* The rest of a body that is read although the answer is known, so that the
 * client sees the answer and not a reset. */
#define SWALLOW (1U << 20)
/* Of a body that its route does not look at. */
#define SMALL_BODY (64U << 10)
/* What a slow client may take: so long, and a second for so many bytes. */
#define SLOW_NS    (10 * PST_NS_PER_S)
#define SLOW_BYTES (64U << 10)
/* Of an operation; its own deadline is shorter. */
#define HANDLE_NS (3600 * PST_NS_PER_S)

/* As old may a reply be that is made once for several. */
#define SHARED_NS (250 * PST_NS_PER_MS)

/* Fields of a head that decide something. */
struct head {
	char target[256]; /* the host of a target in absolute form, or "" */
	const char *host, *origin, *type, *length, *coding, *token;
	const char *content, *json; /* Content-Encoding; where JSON ends */
	bool twice;                 /* one of them came twice */
	bool malformed;             /* the name of a field is, or its value */
};

static uint64_t slow_ns(uint64_t bytes)
{
	return SLOW_NS + bytes / SLOW_BYTES * PST_NS_PER_S;
}

/* ---- Replies ---- */

const char *pst_gw_header(const struct pst_gw_request *r, const char *name)
{
	return MHD_lookup_connection_value(r->mhd, MHD_HEADER_KIND, name);
}

static void drop_response(struct pst_gw_request *r)
{
	if (r->response && !r->is_shared)
		MHD_destroy_response(r->response);
	r->response = NULL;
	r->is_shared = false;
}

static void answer(struct pst_gw_request *r, unsigned int status,
		   const char *type, struct MHD_Response *response, uint64_t n)
{
	drop_response(r);
	r->response = response;
	r->status = status;
	r->reply_bytes = n;
	if (!response)
		return;
	MHD_add_response_header(response, "Content-Type", type);
	MHD_add_response_header(response, "Cache-Control", "no-store");
	MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
}

void pst_gw_reply(struct pst_gw_request *r, unsigned int status,
		  const char *type, struct pst_gw_text *t)
{
	struct MHD_Response *response;
	size_t n;

	if (t->failed) {
		pst_gw_text_done(t);
		pst_gw_reply_error(r, 503, "the gateway is out of memory");
		return;
	}
	n = t->n;
	response = MHD_create_response_from_buffer(n, t->at,
						   MHD_RESPMEM_MUST_FREE);
	if (response)
		*t = (struct pst_gw_text){0};
	else
		pst_gw_text_done(t);
	answer(r, status, type, response, n);
}

void pst_gw_reply_static(struct pst_gw_request *r, const char *type,
			 const void *data, size_t n)
{
	answer(r, 200, type,
	       MHD_create_response_from_buffer(n, (void *)(uintptr_t)data,
					       MHD_RESPMEM_PERSISTENT),
	       n);
}

void pst_gw_reply_error(struct pst_gw_request *r, unsigned int status,
			const char *fmt, ...)
{
	struct pst_gw_text t = {0};
	char text[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	pst_text_clean(text);
	pst_gw_text_add(&t, "{\"error\":");
	pst_gw_text_json(&t, text);
	pst_gw_text_add(&t, "}\n");
	if (t.failed) {
		pst_gw_text_done(&t);
		answer(r, status, "application/json", NULL, 0);
		return;
	}
	pst_gw_reply(r, status, "application/json", &t);
}

void pst_gw_reply_header(struct pst_gw_request *r, const char *name,
			 const char *value)
{
	if (r->response)
		MHD_add_response_header(r->response, name, value);
}

/* ---- The head ---- */

static enum MHD_Result take_field(void *arg, enum MHD_ValueKind kind,
				  const char *name, size_t name_n,
				  const char *value, size_t value_n)
{
	struct head *h = arg;
	const struct {
		const char *name;
		const char **at;
	} known[] = {
		{"Host", &h->host},
		{"Origin", &h->origin},
		{"Content-Type", &h->type},
		{"Content-Length", &h->length},
		{"Authorization", &h->token},
		{"Transfer-Encoding", &h->coding},
		{"Content-Encoding", &h->content},
		{"Inference-Header-Content-Length", &h->json},
	};
	size_t i;

	(void)kind;
	h->malformed = h->malformed || strlen(name) != name_n ||
		       !pst_gw_field_is_good(name) ||
		       !pst_gw_value_is_good(value, value_n);
	for (i = 0; i < PST_ARRAY_SIZE(known); i++) {
		if (strcasecmp(name, known[i].name) != 0)
			continue;
		h->twice = h->twice || *known[i].at;
		*known[i].at = value ? value : "";
	}
	return MHD_YES;
}

static const struct pst_gw_route *find_route(const struct pst_gw_context *c,
					     const char *path,
					     char (*ret_words)[64])
{
	const struct pst_gw_route *const *table;
	const struct pst_gw_route *r;

	for (table = c->routes; *table; table++)
		for (r = *table; r->path; r++)
			if (pst_gw_path_match(r->path, path, PST_GW_WORDS,
					      ret_words))
				return r;
	return NULL;
}

/* Who it is, on TCP. */
static bool is_known(struct pst_gw_request *r, const struct head *h)
{
	char room[1024];
	const char *token = pst_gw_token_of(h->token, room, sizeof(room));
	int i = token ? pst_gw_tokens_find(&r->context->tokens, token) : -1;

	return i >= 0 && pst_gw_conn_is_token(&r->context->peers, r->conn,
					      (unsigned int)i) == 0;
}

static bool is_for_us(const struct pst_gw_request *r, const struct head *h)
{
	const struct pst_gw_names *names = &r->context->names;

	return pst_gw_host_is_ours(h->host, names) &&
	       (!h->target[0] || pst_gw_host_is_ours(h->target, names));
}

/* What is refused now may have room later. */
static void come_later(struct pst_gw_request *r, unsigned int status,
		       const char *why)
{
	pst_gw_reply_error(r, status, "%s", why);
	pst_gw_reply_header(r, "Retry-After", "1");
}

bool pst_gw_hold(struct pst_gw_request *r, uint64_t bytes)
{
	struct pst_gw_peers *p = &r->context->peers;
	int e = -EMSGSIZE;

	/* What does not fit even when its client has nothing else. */
	if (bytes <= p->max.body_bytes / 2 - r->held)
		e = pst_gw_body_take(p, r->conn, bytes);
	r->held += e == 0 ? bytes : 0;
	if (e == -EMSGSIZE)
		pst_gw_reply_error(r, 413, "a body has at most %llu bytes here",
				   (unsigned long long)p->max.body_bytes / 2);
	else if (e == -EAGAIN)
		come_later(r, 429,
			   "other bodies of this client are under way and "
			   "leave no room for this one");
	else if (e < 0)
		come_later(r, 503,
			   "bodies of other clients are under way and leave "
			   "no room for this one");
	return e == 0;
}

struct pst_gw_peer *pst_gw_take_op(struct pst_gw_request *r)
{
	struct pst_gw_peer *e =
		pst_gw_peer_take_op(&r->context->peers, r->conn);

	if (!e)
		come_later(r, 429,
			   "this client has as many operations under way as "
			   "it may");
	return e;
}

static void check_head(struct pst_gw_request *r, const char *method,
		       const struct head *h)
{
	const bool post = strcmp(method, "POST") == 0;
	const bool get =
		strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
	const unsigned int may = r->route ? r->route->methods : 0;

	if (h->length && pst_gw_length(h->length, &r->length) < 0)
		pst_gw_reply_error(r, 400, "Content-Length is no number");
	else if (h->twice)
		pst_gw_reply_error(r, 400, "a field of the head came twice");
	else if (h->malformed)
		pst_gw_reply_error(r, 400, "a field of the head is malformed");
	else if (!is_for_us(r, h))
		pst_gw_reply_error(r, 403,
				   "Host names another machine; a name of this "
				   "one is given by --host");
	else if (h->origin)
		pst_gw_reply_error(
			r, 403, "requests of web pages are refused (Origin)");
	else if (!r->conn->is_local && !is_known(r, h)) {
		pst_gw_reply_error(r, 401,
				   "a token is needed: "
				   "Authorization: Bearer TOKEN");
		pst_gw_reply_header(r, "WWW-Authenticate", "Bearer");
		pst_gw_reply_header(r, "WWW-Authenticate",
				    "Basic realm=\"the token is the "
				    "password\", charset=\"UTF-8\"");
	} else if (!r->route)
		pst_gw_reply_error(r, 404, "there is no such path");
	else if (!(post && (may & PST_GW_POST)) &&
		 !(get && (may & PST_GW_GET))) {
		pst_gw_reply_error(r, 405,
				   "the path does not take this method");
		pst_gw_reply_header(r, "Allow",
				    may == PST_GW_POST ? "POST" : "GET, HEAD");
	} else if (h->coding)
		pst_gw_reply_error(r, 411,
				   "a body needs a Content-Length, and no "
				   "Transfer-Encoding");
	else if (post && h->type && !pst_gw_type_is_good(h->type))
		pst_gw_reply_error(r, 415,
				   "a POST is of application/json or "
				   "application/octet-stream");
	else if (h->content && strcasecmp(h->content, "identity") != 0)
		pst_gw_reply_error(r, 415, "a body is not compressed here");
	else if (!r->route->body && r->length > SMALL_BODY)
		pst_gw_reply_error(r, 413, "the body is larger than %u bytes",
				   SMALL_BODY);
	else if (r->route->body)
		/* Before any of it is read. */
		(void)pst_gw_hold(r, r->length);
}

static struct pst_gw_request *begin(struct pst_gw_door *door,
				    struct MHD_Connection *mhd, const char *url,
				    const char *method)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
		mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct pst_gw_request *r = calloc(1, sizeof(*r));
	struct head h = {0};

	if (!r || !info || !info->socket_context) {
		free(r);
		return NULL;
	}
	r->context = door->context;
	r->mhd = mhd;
	r->conn = info->socket_context;
	url = pst_gw_path_of(url, h.target, sizeof(h.target));
	r->route = find_route(r->context, url, r->word);
	TAILQ_INSERT_TAIL(&r->context->requests, r, link);
	MHD_get_connection_values_n(mhd, MHD_HEADER_KIND, take_field, &h);
	check_head(r, method, &h);
	pst_gw_conn_expect(r->conn, !r->status, slow_ns(r->length));
	/* Nobody knows how long its body is, so none is read. */
	r->hasty = h.twice || h.malformed || h.coding;
	if (!r->status && r->route->begin)
		r->route->begin(r);
	return r;
}

/* ---- The way to the reply ---- */

bool pst_gw_is_left(const struct pst_gw_request *r)
{
	struct pollfd p = {.fd = r->conn->fd, .events = POLLRDHUP};

	return poll(&p, 1, 0) > 0;
}

void pst_gw_wait(struct pst_gw_request *r)
{
	if (r->waiting)
		return;
	r->waiting = true;
	r->conn->waiting = true;
	MHD_suspend_connection(r->mhd);
}

void pst_gw_go_on(struct pst_gw_request *r)
{
	if (!r->waiting)
		return;
	r->waiting = false;
	r->conn->waiting = false;
	MHD_resume_connection(r->mhd);
}

/* The place of the request's route; NULL: it shares nothing. */
static struct pst_gw_shared *shared_of(const struct pst_gw_request *r)
{
	struct pst_gw_shared *s = r->context->shared;
	unsigned int i;

	if (!r->route->shared)
		return NULL;
	for (i = 0; i < PST_GW_MAX_SHARED; i++)
		if (!s[i].route || s[i].route == r->route)
			return &s[i];
	return NULL;
}

static void handle(struct pst_gw_request *r)
{
	const uint64_t now_ns = pst_now_ns();
	struct pst_gw_shared *s = shared_of(r);

	if (!s) {
		r->route->handle(r);
		return;
	}
	if (!s->response || s->n_updates != *r->context->n_updates ||
	    now_ns > s->made_ns + SHARED_NS) {
		r->route->handle(r);
		if (!r->response)
			return;
		if (s->response)
			MHD_destroy_response(s->response);
		*s = (struct pst_gw_shared){
			.route = r->route,
			.response = r->response,
			.bytes = r->reply_bytes,
			.made_ns = now_ns,
			.n_updates = *r->context->n_updates,
			.status = r->status,
		};
	}
	r->response = s->response;
	r->reply_bytes = s->bytes;
	r->status = s->status;
	r->is_shared = true;
}

void pst_gw_shared_done(struct pst_gw_context *c)
{
	unsigned int i;

	for (i = 0; i < PST_GW_MAX_SHARED; i++) {
		if (c->shared[i].response)
			MHD_destroy_response(c->shared[i].response);
		c->shared[i] = (struct pst_gw_shared){0};
	}
}

/* With first, an answer may be given before the body was read. */
static enum MHD_Result go(struct pst_gw_request *r, bool first)
{
	const uint64_t left = r->length - r->received;
	enum MHD_Result ok;

	if (r->waiting)
		return MHD_YES;
	/* Whoever answers before the body was read closes the connection, even
	 * if there is none: the next call is the time. */
	if (first ? !r->status || (left <= SWALLOW && !r->hasty) : left > 0)
		return MHD_YES;
	if (!r->status) {
		pst_gw_conn_expect(r->conn, true, HANDLE_NS);
		handle(r);
		if (r->waiting)
			return MHD_YES;
	}
	/* No memory for the answer: it was one all the same. */
	if (!r->response)
		return MHD_NO;
	pst_gw_conn_expect(r->conn, r->conn->busy, slow_ns(r->reply_bytes));
	ok = MHD_queue_response(r->mhd, r->status, r->response);
	drop_response(r);
	return ok;
}

static size_t take_body(struct pst_gw_request *r, const char *data, size_t n)
{
	/* More than was announced: libmicrohttpd passes none. */
	n = pst_min_u64(n, r->length - r->received);
	if (!r->status && r->route->body)
		n = r->route->body(r, data, n);
	r->received += n;
	return n;
}

enum MHD_Result pst_gw_on_request(void *arg, struct MHD_Connection *mhd,
				  const char *url, const char *method,
				  const char *version, const char *data,
				  size_t *size, void **ctx)
{
	struct pst_gw_request *r = *ctx;

	(void)version;
	if (!r) {
		r = begin(arg, mhd, url, method);
		*ctx = r;
		return r ? go(r, true) : MHD_NO;
	}
	if (*size == 0)
		return go(r, r->received == 0 && r->length > 0);
	*size -= take_body(r, data, *size);
	return MHD_YES;
}

void pst_gw_on_completed(void *arg, struct MHD_Connection *mhd, void **ctx,
			 enum MHD_RequestTerminationCode why)
{
	struct pst_gw_request *r = *ctx;

	(void)arg;
	(void)mhd;
	(void)why;
	if (!r)
		return;
	if (r->route && r->route->done)
		r->route->done(r);
	if (r->held)
		pst_gw_body_give(&r->context->peers, r->conn, r->held);
	drop_response(r);
	pst_gw_conn_expect(r->conn, false, 0);
	TAILQ_REMOVE(&r->context->requests, r, link);
	free(r);
	*ctx = NULL;
}

void pst_gw_on_connection(void *arg, struct MHD_Connection *mhd, void **conn,
			  enum MHD_ConnectionNotificationCode what)
{
	struct pst_gw_door *door = arg;
	const union MHD_ConnectionInfo *info;

	if (what == MHD_CONNECTION_NOTIFY_STARTED) {
		info = MHD_get_connection_info(
			mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
		*conn = pst_gw_conn_new(&door->context->peers, info->connect_fd,
					door->is_local);
	} else if (*conn) {
		pst_gw_conn_free(&door->context->peers, *conn);
		*conn = NULL;
	}
}
