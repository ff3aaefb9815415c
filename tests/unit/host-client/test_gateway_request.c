/* SPDX-License-Identifier: MIT */
/* What the head of a request decides, and that a request that is refused stays
 * refused when memory for the answer is out: libmicrohttpd's part is here,
 * since its memory cannot run out on demand. */
#include <microhttpd.h>
#include <string.h>

#include "host-client/gateway/http/request_int.h"
#include "tests/fixtures/unit.h"

static struct pst_gw_conn *conn;
static unsigned int handled, queued, made, destroyed;
static struct MHD_Response *response; /* what each is; NULL: out of memory */
/* Fields of the head, besides Host. */
static struct {
	const char *name, *value;
} field[4];

struct MHD_Response *
MHD_create_response_from_buffer(size_t size, void *buffer,
				enum MHD_ResponseMemoryMode m)
{
	(void)size;
	if (!response)
		return NULL;
	made++;
	if (m == MHD_RESPMEM_MUST_FREE)
		free(buffer);
	return response;
}

void MHD_destroy_response(struct MHD_Response *r)
{
	(void)r;
	destroyed++;
}

enum MHD_Result MHD_add_response_header(struct MHD_Response *r,
					const char *name, const char *value)
{
	(void)r;
	(void)name;
	(void)value;
	return MHD_YES;
}

enum MHD_Result MHD_queue_response(struct MHD_Connection *c,
				   unsigned int status, struct MHD_Response *r)
{
	(void)c;
	(void)status;
	(void)r;
	queued++;
	return MHD_YES;
}

const union MHD_ConnectionInfo *
MHD_get_connection_info(struct MHD_Connection *c,
			enum MHD_ConnectionInfoType type, ...)
{
	static union MHD_ConnectionInfo info;

	(void)c;
	(void)type;
	info.socket_context = conn;
	return &info;
}

int MHD_get_connection_values_n(struct MHD_Connection *c,
				enum MHD_ValueKind kind,
				MHD_KeyValueIteratorN take, void *arg)
{
	size_t i;

	(void)c;
	take(arg, kind, "Host", 4, "localhost", 9);
	for (i = 0; i < 4 && field[i].name; i++)
		take(arg, kind, field[i].name, strlen(field[i].name),
		     field[i].value,
		     field[i].value ? strlen(field[i].value) : 0);
	return 1;
}

static void handle(struct pst_gw_request *r)
{
	(void)r;
	handled++;
}

static size_t body(struct pst_gw_request *r, const char *data, size_t n)
{
	(void)r;
	(void)data;
	return n;
}

static void no_handle(struct pst_gw_request *r)
{
	(void)r;
}

static void tell(struct pst_gw_request *r)
{
	handled++;
	pst_gw_reply_static(r, "text/plain", "x", 1);
}

static const struct pst_gw_route routes[] = {
	{.path = "/shared",
	 .methods = PST_GW_GET,
	 .shared = true,
	 .handle = tell},
	{.path = "/post",
	 .methods = PST_GW_POST,
	 .body = body,
	 .handle = no_handle},
	{.path = "/x",
	 .methods = PST_GW_GET,
	 .begin = handle,
	 .handle = handle},
	{0},
};
static const struct pst_gw_route *const table[] = {routes, NULL};

/* Returns what the last of its two calls returned. */
static enum MHD_Result ask(const char *path)
{
	struct pst_gw_context c = {.routes = table};
	struct pst_gw_door door = {.context = &c};
	struct pst_gw_conn is = {0};
	enum MHD_Result ok;
	void *request = NULL;
	size_t n = 0;

	TAILQ_INIT(&c.requests);
	conn = &is;
	ok = pst_gw_on_request(&door, NULL, path, "GET", "HTTP/1.1", NULL, &n,
			       &request);
	if (ok == MHD_YES)
		ok = pst_gw_on_request(&door, NULL, path, "GET", "HTTP/1.1",
				       NULL, &n, &request);
	pst_gw_on_completed(&door, NULL, &request,
			    MHD_REQUEST_TERMINATED_WITH_ERROR);
	return ok;
}

START_TEST(what_is_refused_is_not_served_when_memory_is_out)
{
	ck_assert_int_eq(ask("/x"), MHD_NO);
	ck_assert_int_eq(ask("/none"), MHD_NO);
	ck_assert_uint_eq(handled, 0);
	ck_assert_uint_eq(queued, 0);
}
END_TEST

static uint64_t n_updates;
static struct pst_gw_context context = {
	.routes = table,
	.n_updates = &n_updates,
};

static void begin_peers(void)
{
	const struct pst_gw_limits max = {
		.conns = 8,
		.ops = 1,
		.body_bytes = 2000,
	};

	pst_gw_peers_init(&context.peers, &max);
	TAILQ_INIT(&context.requests);
}

/* A request of a peer, whose head is read; its body never comes. */
static struct pst_gw_request *post(struct pst_gw_conn *c, const char *target,
				   const char *type, const char *length)
{
	struct pst_gw_door door = {.context = &context};
	void *request = NULL;
	size_t n = 0;

	conn = c;
	memset(field, 0, sizeof(field));
	field[0].name = "Content-Length";
	field[0].value = length;
	if (type) {
		field[1].name = "Content-Type";
		field[1].value = type;
	}
	pst_gw_on_request(&door, NULL, target, "POST", "HTTP/1.1", NULL, &n,
			  &request);
	ck_assert_ptr_nonnull(request);
	return request;
}

static void finish(struct pst_gw_request *r)
{
	void *request = r;

	pst_gw_on_completed(NULL, NULL, &request,
			    MHD_REQUEST_TERMINATED_COMPLETED_OK);
}

static unsigned int status_of(struct pst_gw_conn *c, const char *target,
			      const char *type, const char *length)
{
	struct pst_gw_request *r = post(c, target, type, length);
	unsigned int status = r->status;

	finish(r);
	return status;
}

START_TEST(what_a_form_of_a_page_can_send_is_refused)
{
	static const char *const bad[] = {
		"text/plain", "application/x-www-form-urlencoded",
		"multipart/form-data; boundary=x", ""};
	struct pst_gw_peer peer = {.n_refs = 1};
	struct pst_gw_conn c = {.is_local = true, .peer = &peer};
	size_t i;

	begin_peers();
	for (i = 0; i < PST_ARRAY_SIZE(bad); i++)
		ck_assert_uint_eq(status_of(&c, "/post", bad[i], "5"), 415);
	ck_assert_uint_eq(status_of(&c, "/post", "application/json", "5"), 0);
	/* Programs that say none; a page sends Origin with it. */
	ck_assert_uint_eq(status_of(&c, "/post", NULL, "5"), 0);
}
END_TEST

/* Of a request with these fields. */
static unsigned int status_with(const char *a, const char *of_a, const char *b,
				const char *of_b)
{
	struct pst_gw_peer peer = {.n_refs = 1};
	struct pst_gw_conn c = {.is_local = true, .peer = &peer};
	struct pst_gw_door door = {.context = &context};
	unsigned int status;
	void *request = NULL;
	size_t n = 0;

	begin_peers();
	conn = &c;
	memset(field, 0, sizeof(field));
	field[0].name = a;
	field[0].value = of_a;
	field[1].name = b;
	field[1].value = of_b;
	pst_gw_on_request(&door, NULL, "/post", "POST", "HTTP/1.1", NULL, &n,
			  &request);
	ck_assert_ptr_nonnull(request);
	status = ((struct pst_gw_request *)request)->status;
	finish(request);
	return status;
}

START_TEST(what_says_how_to_read_a_body_says_it_once_and_plainly)
{
	static const char *const binary = "Inference-Header-Content-Length";

	ck_assert_uint_eq(status_with(binary, "0", NULL, NULL), 0);
	ck_assert_uint_eq(status_with(binary, "0", binary, "0"), 400);
	ck_assert_uint_eq(
		status_with("Content-Encoding", "identity", NULL, NULL), 0);
	ck_assert_uint_eq(status_with("Content-Encoding", "gzip", NULL, NULL),
			  415);
	ck_assert_uint_eq(status_with("Content-Encoding", "identity",
				      "content-encoding", "gzip"),
			  400);
}
END_TEST

START_TEST(a_target_in_absolute_form_names_the_host)
{
	struct pst_gw_peer peer = {.n_refs = 1};
	struct pst_gw_conn c = {.is_local = true, .peer = &peer};

	begin_peers();
	ck_assert_uint_eq(status_of(&c, "http://localhost/post", NULL, "5"), 0);
	ck_assert_uint_eq(status_of(&c, "http://evil/post", NULL, "5"), 403);
	ck_assert_uint_eq(status_of(&c, "http:///post", NULL, "5"), 403);
	ck_assert_uint_eq(status_of(&c, "http://localhost/none", NULL, "5"),
			  404);
}
END_TEST

START_TEST(declared_sizes_are_added_up_and_given_back)
{
	struct pst_gw_peer peer[3] = {
		{.n_refs = 1}, {.n_refs = 1}, {.n_refs = 1}};
	struct pst_gw_conn a = {.is_local = true, .peer = &peer[0]},
			   b = {.is_local = true, .peer = &peer[1]},
			   other = {.is_local = true, .peer = &peer[2]};
	struct pst_gw_request *r[3];

	begin_peers();
	ck_assert_uint_eq(status_of(&a, "/post", NULL, "1001"), 413);
	r[0] = post(&a, "/post", NULL, "600");
	r[1] = post(&b, "/post", NULL, "900");
	ck_assert_uint_eq(r[0]->status | r[1]->status, 0);
	ck_assert_uint_eq(status_of(&a, "/post", NULL, "401"), 429);
	ck_assert_uint_eq(status_of(&other, "/post", NULL, "501"), 503);
	/* What is refused for another reason takes no room. */
	ck_assert_uint_eq(status_of(&a, "/post", "text/plain", "400"), 415);
	r[2] = post(&a, "/post", NULL, "400");
	ck_assert_uint_eq(r[2]->status, 0);
	finish(r[0]);
	finish(r[1]);
	finish(r[2]);
	ck_assert_uint_eq(context.peers.body_bytes, 0);
	ck_assert_uint_eq(peer[0].body_bytes | peer[1].body_bytes, 0);
}
END_TEST

static void get_shared(struct pst_gw_conn *c)
{
	struct pst_gw_door door = {.context = &context};
	void *request = NULL;
	size_t n = 0;
	int i;

	conn = c;
	memset(field, 0, sizeof(field));
	for (i = 0; i < 2; i++)
		ck_assert_int_eq(pst_gw_on_request(&door, NULL, "/shared",
						   "GET", "HTTP/1.1", NULL, &n,
						   &request),
				 MHD_YES);
	finish(request);
}

START_TEST(a_reply_is_made_once_for_all_who_ask_in_a_quarter_of_a_second)
{
	static int place;
	struct pst_gw_peer peer = {.n_refs = 1};
	struct pst_gw_conn c = {.is_local = true, .peer = &peer};
	struct pst_gw_shared *s = context.shared;

	begin_peers();
	response = (void *)&place;
	get_shared(&c);
	ck_assert_uint_eq(handled, 1);
	/* It would be as new as that on any machine. */
	s->made_ns = pst_now_ns() + PST_NS_PER_S;
	get_shared(&c);
	ck_assert_uint_eq(handled, 1);
	ck_assert_uint_eq(queued, 2);
	n_updates++;
	get_shared(&c);
	ck_assert_uint_eq(handled, 2);
	s->made_ns = pst_now_ns() - PST_NS_PER_S;
	get_shared(&c);
	ck_assert_uint_eq(handled, 3);
	ck_assert_uint_eq(made - destroyed, 1);
	pst_gw_shared_done(&context);
	ck_assert_uint_eq(made, destroyed);
}
END_TEST

START_TEST(one_operation_too_many_is_answered_429)
{
	struct pst_gw_peer peer = {.n_refs = 1};
	struct pst_gw_conn c = {.is_local = true, .peer = &peer};
	struct pst_gw_request *r;

	begin_peers();
	r = post(&c, "/post", NULL, "5");
	ck_assert_ptr_eq(pst_gw_take_op(r), &peer);
	ck_assert_uint_eq(r->status, 0);
	ck_assert_ptr_null(pst_gw_take_op(r));
	ck_assert_uint_eq(r->status, 429);
	pst_gw_peer_give_op(&peer);
	finish(r);
	ck_assert_uint_eq(peer.n_ops, 0);
}
END_TEST

START_TEST(a_refused_request_does_not_make_its_connection_busy)
{
	struct pst_gw_peer peer = {.n_refs = 1};
	struct pst_gw_conn c = {.is_local = true, .peer = &peer};
	struct pst_gw_request *r;

	begin_peers();
	r = post(&c, "/none", NULL, "5");
	ck_assert(r->status == 404 && !c.busy);
	finish(r);
	r = post(&c, "/post", NULL, "5");
	ck_assert(c.busy);
	finish(r);
	ck_assert(!c.busy);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, what_is_refused_is_not_served_when_memory_is_out);
	tcase_add_test(tc, what_a_form_of_a_page_can_send_is_refused);
	tcase_add_test(tc, a_target_in_absolute_form_names_the_host);
	tcase_add_test(tc,
		       what_says_how_to_read_a_body_says_it_once_and_plainly);
	tcase_add_test(tc, declared_sizes_are_added_up_and_given_back);
	tcase_add_test(
		tc,
		a_reply_is_made_once_for_all_who_ask_in_a_quarter_of_a_second);
	tcase_add_test(tc, one_operation_too_many_is_answered_429);
	tcase_add_test(tc, a_refused_request_does_not_make_its_connection_busy);
}

int main(void)
{
	return pst_unit_run("gateway_request", add, 10);
}
