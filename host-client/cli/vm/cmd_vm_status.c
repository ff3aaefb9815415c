/* SPDX-License-Identifier: MIT */
/* penstock vm status: the domain, its region and its agent in one view. */
#include <inttypes.h>
#include <string.h>

#include "host-client/cli/cmd_open.h"
#include "host-client/cli/cmds.h"
#include "host-client/cli/vm/cmd_vm.h"
#include "host-client/cli/vm/cmd_vm_agent.h"
#include "transport/region/region.h"
#include "transport/region/region_pulse.h"

/* A heartbeat comes several times a second. */
#define PULSE_NS (1500 * PST_NS_PER_MS)
#define POLL_NS  (50 * PST_NS_PER_MS)
#define ASK_NS   (3 * PST_NS_PER_S)

struct status {
	const struct pst_cmd_ctx *ctx;
	const struct pst_vm_api *api;
	struct pst_vm_virt *virt;
	struct pst_vm_info info;
	enum pst_vm_virt_state state;
	bool autostart;
};

static json_t *region_view(const struct pst_vm_region *r)
{
	struct pst_region_map m;
	struct pst_error err = {0};
	char uuid[37] = "";
	json_t *v;
	int rc;

	rc = pst_region_map_open(r->path, &m, &err);
	if (rc == 0) {
		pst_uuid_format(m.uuid, uuid);
		if (m.file_size != r->size)
			rc = pst_error_set(&err, -EEXIST,
					   "its size is %" PRIu64
					   " MiB: remove it, "
					   "vm start makes it anew",
					   m.file_size >> 20);
		pst_region_map_close(&m);
	}
	v = json_pack("{s:o, s:s, s:I, s:b, s:b}", "path",
		      pst_cmd_text(r->path), "via", pst_vm_via_name(r->via),
		      "size", (json_int_t)r->size, "exists", rc != -ENOENT,
		      "usable", rc == 0);
	if (*uuid)
		json_object_set_new(v, "uuid", json_string(uuid));
	if (rc && rc != -ENOENT)
		json_object_set_new(v, "reason", pst_cmd_text(err.text));
	return v;
}

/* Whether something in the guest moves the region's heartbeat. */
static bool has_pulse(const char *region, struct pst_error *err)
{
	const struct timespec pause = {.tv_nsec = POLL_NS};
	uint64_t deadline = pst_now_ns() + PULSE_NS;
	struct pst_region_pulse p;

	if (pst_region_pulse_open(region, &p, err))
		return false;
	while (!pst_region_pulse_beats(&p) && pst_now_ns() < deadline)
		nanosleep(&pause, NULL);
	pst_region_pulse_close(&p);
	if (!p.beats)
		pst_error_set(err, -ETIMEDOUT,
			      "its heartbeat in the region stands still");
	return p.beats;
}

static json_t *agent_view(const struct status *s)
{
	struct pst_error err = {0};
	json_t *health = NULL;

	if (s->state != PST_VM_VIRT_RUNNING)
		pst_error_set(&err, -ENOENT, "the domain is %s",
			      s->api->virt_state_name(s->state));
	else if (has_pulse(s->info.region.path, &err) &&
		 pst_cmd_vm_health(s->info.endpoint, ASK_NS, &health, &err))
		health = NULL;
	if (!health)
		return json_pack("{s:b, s:b, s:o}", "reachable", 0, "healthy",
				 0, "reason", pst_cmd_text(err.text));
	json_object_set_new(health, "reachable", json_true());
	return health;
}

static int exit_of(const struct status *s, const json_t *agent)
{
	if (s->state == PST_VM_VIRT_OFF)
		return PST_EXIT_OK;
	if (s->info.ours && !json_is_true(json_object_get(agent, "reachable")))
		return PST_EXIT_UNREACHABLE;
	return s->state == PST_VM_VIRT_RUNNING &&
			       (!s->info.ours ||
				json_is_true(json_object_get(agent, "healthy")))
		       ? PST_EXIT_OK
		       : PST_EXIT_FAILED;
}

static int status(struct status *s, const char *name)
{
	json_t *view, *agent = NULL;
	struct pst_error err;
	int r, code;

	/* One that runs may have been defined anew: its own view counts. */
	r = s->api->virt_state(s->virt, name, &s->state, &err);
	if (r == 0)
		r = s->api->virt_info(s->virt, name,
				      s->state != PST_VM_VIRT_OFF, &s->info,
				      &err);
	if (r == 0)
		r = s->api->virt_get_autostart(s->virt, name, &s->autostart,
					       &err);
	if (r)
		return pst_cmd_fail(s->ctx, "%s", err.text);
	view = json_pack("{s:s, s:s, s:b, s:b}", "name", s->info.name, "state",
			 s->api->virt_state_name(s->state), "autostart",
			 s->autostart, "ours", s->info.ours);
	if (s->info.cid)
		json_object_set_new(view, "cid", json_integer(s->info.cid));
	if (s->info.ours) {
		json_object_set_new(view, "endpoint",
				    pst_cmd_text(s->info.endpoint));
		json_object_set_new(view, "region",
				    region_view(&s->info.region));
		agent = agent_view(s);
		json_object_set_new(view, "agent", agent);
	}
	code = exit_of(s, agent);
	if (s->ctx->json)
		return pst_cmd_print_json(s->ctx, view) ? PST_EXIT_FAILED
							: code;
	pst_cmd_print_object(view);
	json_decref(view);
	return code;
}

static int run(const struct pst_cmd_ctx *ctx, int argc, char **argv)
{
	PST_CLEANUP_FREE struct status *s = calloc(1, sizeof(*s));
	const char *uri = NULL;
	int r;

	if (!s)
		return pst_cmd_fail(ctx, "out of memory");
	s->ctx = ctx;
	while (pst_cmd_getopt(ctx, argc, argv) != -1)
		uri = optarg;
	r = pst_cmd_vm_connect(ctx, uri, &s->api, &s->virt);
	if (r)
		return r;
	r = status(s, argv[optind]);
	s->api->virt_close(s->virt);
	return r;
}

static const struct pst_cmd_opt opts[] = {
	PST_CMD_VM_OPT_URI,
	PST_CMD_OPT_JSON,
	{0},
};

const struct pst_cmd pst_cmd_vm_status = {
	.name = "status",
	.args = "NAME",
	.summary = "Show a domain, its region and the agent in it",
	.help = "Exits 0 when it is off, or runs with an agent that is well; "
		"1 when something is\ndegraded, 4 when it runs and the agent "
		"does not answer.\n",
	.example = "penstock vm status titan\n",
	.opts = opts,
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
