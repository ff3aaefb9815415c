/* SPDX-License-Identifier: MIT */
/* penstock vm start: the region if it is missing, then the domain. */
#include <inttypes.h>
#include <string.h>

#include "host-client/cli/cmd_progress.h"
#include "host-client/cli/cmds.h"
#include "host-client/cli/vm/cmd_vm.h"
#include "host-client/cli/vm/cmd_vm_agent.h"
#include "host-client/cli/vm/cmd_vm_card.h"
#include "host-client/cli/vm/cmd_vm_region.h"
#include "libvirt-xml/config/hint.h"
#include "transport/region/region_pulse.h"

enum { OPT_WAIT = PST_OPT_OWN, OPT_TIMEOUT };

#define DEFAULT_TIMEOUT_NS (120 * PST_NS_PER_S)
/* Of one attempt to reach the agent; libvirt's events wait meanwhile. */
#define ASK_NS (2 * PST_NS_PER_S)

struct start {
	const struct pst_cmd_ctx *ctx;
	const struct pst_vm_api *api;
	struct pst_vm_virt *virt;
	const char *root;
	struct pst_vm_info info;
	struct pst_region_pulse pulse;
	bool wait;
	uint64_t timeout_ns;
	bool created;
	bool answered;
	json_t *health;
	struct pst_error why; /* the agent's last refusal */
};

/* Called by the wait for the domain's end: true when the agent answers. */
static bool agent_answers(void *arg)
{
	struct start *s = arg;

	if (s->pulse.ctl && !pst_region_pulse_beats(&s->pulse)) {
		pst_error_set(&s->why, -EAGAIN,
			      "its heartbeat in the region did not begin");
		return false;
	}
	s->answered = pst_cmd_vm_health(s->info.endpoint, ASK_NS, &s->health,
					&s->why) == 0;
	return s->answered;
}

static int wait_agent(struct start *s)
{
	struct pst_error err;
	int r;

	pst_cmd_progress(s->ctx, "waiting for the agent");
	r = s->api->virt_wait_off(s->virt, s->info.name, s->timeout_ns,
				  agent_answers, s, &err);
	pst_cmd_progress(s->ctx, NULL);
	if (r == -ECANCELED)
		return PST_EXIT_OK;
	if (r == 0)
		return pst_cmd_fail(s->ctx,
				    "%s ended before its agent answered: %s",
				    s->info.name, s->why.text);
	if (r != -ETIMEDOUT) {
		pst_cmd_fail(s->ctx, "%s", err.text);
		return pst_cmd_vm_exit(r);
	}
	pst_cmd_fail(s->ctx,
		     "%s runs, but its agent does not answer within %" PRIu64
		     " s: "
		     "%s",
		     s->info.name, s->timeout_ns / PST_NS_PER_S,
		     s->why.code ? s->why.text : "no reason");
	return PST_EXIT_UNREACHABLE;
}

static int report(struct start *s, uint64_t begin)
{
	double seconds = (double)(pst_now_ns() - begin) / PST_NS_PER_S;

	if (s->ctx->json)
		return pst_cmd_print_json(
			s->ctx,
			json_pack("{s:s, s:b, s:b, s:O?, s:f}", "name",
				  s->info.name, "region_created", s->created,
				  "agent_answers", s->answered, "health",
				  s->health, "seconds", seconds));
	if (s->created)
		printf("made the region %s\n", s->info.region.path);
	if (s->answered)
		printf("%s runs, its agent answers after %.1f s\n",
		       s->info.name, seconds);
	else
		printf("%s runs\n", s->info.name);
	return PST_EXIT_OK;
}

static int fail_start(const struct start *s, const struct pst_error *err)
{
	const char *hint = pst_vm_hint(err->text);

	pst_cmd_fail(s->ctx, "%s", err->text);
	if (hint)
		fprintf(stderr, "%s: hint: %s\n", s->ctx->path, hint);
	return PST_EXIT_FAILED;
}

static int start(struct start *s, const char *name)
{
	uint64_t begin = pst_now_ns();
	enum pst_vm_virt_state state;
	struct pst_error err;
	int r;

	r = s->api->virt_state(s->virt, name, &state, &err);
	if (r == 0)
		r = s->api->virt_info(s->virt, name, state != PST_VM_VIRT_OFF,
				      &s->info, &err);
	if (r == 0 && !s->info.ours)
		r = pst_error_set(&err, -EPERM,
				  "domain \"%s\" is not Penstock's: virsh "
				  "start %s, or penstock vm patch",
				  name, name);
	pst_cmd_progress(s->ctx, "making the region");
	if (r == 0)
		r = pst_cmd_vm_region_make(&s->info.region, &s->created, &err);
	if (r)
		return pst_cmd_fail(s->ctx, "%s", err.text);
	/* Before the start: the first beat is one that it has not yet. */
	if (s->wait &&
	    pst_region_pulse_open(s->info.region.path, &s->pulse, &err))
		return pst_cmd_fail(s->ctx, "%s", err.text);
	pst_cmd_progress(s->ctx, "starting the domain");
	if (state == PST_VM_VIRT_OFF)
		pst_cmd_vm_card_keep(s->ctx, s->root, &s->info);
	r = s->api->virt_start(s->virt, name, &err);
	pst_cmd_progress(s->ctx, NULL);
	if (r == -EALREADY && s->wait)
		r = 0;
	if (r)
		return fail_start(s, &err);
	if (pst_cmd_vm_region_regroup(&s->info.region, &err) < 0)
		fprintf(stderr, "%s: note: %s\n", s->ctx->path, err.text);
	r = s->wait ? wait_agent(s) : PST_EXIT_OK;
	return r ? r : report(s, begin);
}

static int run(const struct pst_cmd_ctx *ctx, int argc, char **argv)
{
	PST_CLEANUP_FREE struct start *s = calloc(1, sizeof(*s));
	const char *uri = NULL;
	int opt, r;

	if (!s)
		return pst_cmd_fail(ctx, "out of memory");
	s->ctx = ctx;
	s->root = "/";
	s->timeout_ns = DEFAULT_TIMEOUT_NS;
	while ((opt = pst_cmd_getopt(ctx, argc, argv)) != -1) {
		if (opt == OPT_WAIT)
			s->wait = true;
		else if (opt == PST_OPT_VM_URI)
			uri = optarg;
		else if (opt == PST_OPT_VM_ROOT)
			s->root = optarg;
		else if (!pst_cmd_arg_duration(ctx, "--timeout", optarg,
					       &s->timeout_ns))
			return PST_EXIT_USAGE;
	}
	if (!pst_cmd_vm_is_local(ctx, uri))
		return PST_EXIT_USAGE;
	r = pst_cmd_vm_connect(ctx, uri, &s->api, &s->virt);
	if (r)
		return r;
	r = start(s, argv[optind]);
	pst_region_pulse_close(&s->pulse);
	json_decref(s->health);
	s->api->virt_close(s->virt);
	return r;
}

static const struct pst_cmd_opt opts[] = {
	{OPT_WAIT, "wait", NULL, "until the agent in it answers"},
	{OPT_TIMEOUT, "timeout", "T", "with --wait: at most that long [2m]"},
	PST_CMD_VM_OPT_ROOT,
	PST_CMD_VM_OPT_URI,
	PST_CMD_OPT_JSON,
	{0},
};

const struct pst_cmd pst_cmd_vm_start = {
	.name = "start",
	.args = "NAME",
	.summary = "Start a domain, making its region if need be",
	.help = "Exits 4 when --wait saw no answer in time; the domain runs on "
		"then.\n",
	.example = "penstock vm start titan --wait\n",
	.opts = opts,
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
