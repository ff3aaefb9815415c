/* SPDX-License-Identifier: MIT */
/* Whether the gateway and its agents are well, and all that is known of them.
 */
#include "host-client/gateway/agents/status.h"
#include "host-client/gateway/http/routes.h"
#include "host-client/penstock.h"

static void live(struct pst_gw_request *r)
{
	static const char text[] = "{\"live\":true}\n";

	pst_gw_reply_static(r, "application/json", text, sizeof(text) - 1);
}

/* Takes the object; NULL: out of memory. */
static void reply(struct pst_gw_request *r, unsigned int status, json_t *o)
{
	struct pst_gw_text t = {0};
	char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;

	json_decref(o);
	if (text) {
		pst_gw_text_add(&t, text);
		pst_gw_text_add(&t, "\n");
		free(text);
	} else {
		t.failed = true;
	}
	pst_gw_reply(r, status, "application/json", &t);
}

static json_t *borrow(json_t *o)
{
	return o ? json_incref(o) : json_null();
}

/* all: with INFO and STATS. */
static json_t *agent(const struct pst_gw_status *s, bool all)
{
	json_t *o = json_pack(
		"{s:s, s:b, s:b, s:o, s:o?, s:o}", "name", s->name, "up", s->up,
		"healthy", pst_gw_status_is_well(s), "age_s",
		s->has_values ? json_real(s->age_s) : json_null(), "wrong",
		pst_gw_status_wrong(s), "health", borrow(s->health));

	if (o && all) {
		json_object_set_new(o, "info", borrow(s->info));
		json_object_set_new(o, "stats", borrow(s->stats));
	}
	return o;
}

static void answer(struct pst_gw_request *r, bool all)
{
	const struct pst_gw_agents *a = r->context->agents;
	const uint64_t now_ns = pst_now_ns();
	json_t *list = json_array(), *o;
	bool well = true;
	unsigned int i;

	for (i = 0; i < a->n; i++) {
		struct pst_gw_status s;

		pst_gw_status_read(&s, &a->list[i], now_ns);
		well = well && pst_gw_status_is_well(&s);
		json_array_append_new(list, agent(&s, all));
		pst_gw_status_done(&s);
	}
	/* One that is missing would look as if it were not there. */
	if (json_array_size(list) != a->n) {
		json_decref(list);
		list = NULL;
	}
	o = json_pack("{s:i, s:b, s:s, s:o?}", "schema", 1, "healthy", well,
		      "gateway_version", pst_version(), "agents", list);
	reply(r, all || well ? 200 : 503, o);
}

static void health(struct pst_gw_request *r)
{
	answer(r, false);
}

static void status(struct pst_gw_request *r)
{
	answer(r, true);
}

const struct pst_gw_route pst_gw_health_routes[] = {
	{.path = "/health/live", .methods = PST_GW_GET, .handle = live},
	{.path = "/health",
	 .methods = PST_GW_GET,
	 .shared = true,
	 .handle = health},
	{.path = "/api/status",
	 .methods = PST_GW_GET,
	 .shared = true,
	 .handle = status},
	{0},
};
