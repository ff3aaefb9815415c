/* SPDX-License-Identifier: MIT */
/* A request that is refused stays refused when memory for the answer is out:
 * libmicrohttpd's part is here, since its memory cannot run out on demand. */
#include <microhttpd.h>
#include <string.h>

#include "host-client/gateway/request_int.h"
#include "tests/fixtures/unit.h"

static struct pst_gw_conn *conn;
static unsigned int handled, queued;

struct MHD_Response *
MHD_create_response_from_buffer(size_t size, void *buffer,
				enum MHD_ResponseMemoryMode m)
{
	(void)size;
	(void)m;
	(void)buffer;
	return NULL;
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

int MHD_get_connection_values(struct MHD_Connection *c, enum MHD_ValueKind kind,
			      MHD_KeyValueIterator take, void *arg)
{
	(void)c;
	take(arg, kind, "Host", "localhost");
	return 1;
}

static void handle(struct pst_gw_request *r)
{
	(void)r;
	handled++;
}

static const struct pst_gw_route routes[] = {
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

static void add(TCase *tc)
{
	tcase_add_test(tc, what_is_refused_is_not_served_when_memory_is_out);
}

int main(void)
{
	return pst_unit_run("gateway_request", add, 10);
}
