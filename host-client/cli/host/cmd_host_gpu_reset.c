/* SPDX-License-Identifier: MIT */
/* penstock host gpu reset: resets a card that nothing uses. */
#include <inttypes.h>
#include <string.h>

#include "host-client/cli/cmds.h"
#include "kernel-params/device/reset.h"

/* A link that trains anew takes a second, a card that starts a few. */
#define DEFAULT_TIMEOUT_NS (10 * PST_NS_PER_S)

enum {
	OPT_YES = PST_OPT_OWN,
	OPT_METHOD,
	OPT_SUSPEND,
	OPT_TIMEOUT,
	OPT_ROOT,
};

static const struct pst_cmd_opt opts[] = {
	{OPT_YES, "yes", NULL, "do it; else only what would be done is said"},
	{OPT_METHOD, "method", "auto|function|bus|rescan",
	 "only this way [auto: one after the other]"},
	{OPT_SUSPEND, "suspend", NULL,
	 "at last suspend the whole machine for 10 s"},
	{OPT_TIMEOUT, "timeout", "T", "wait that long for the card [10s]"},
	{OPT_ROOT, "root", "DIR",
	 "of a copy of another host: what would be done [/]"},
	PST_CMD_OPT_JSON,
	{0},
};

struct request {
	const char *addr, *root;
	unsigned int ways;
	uint64_t timeout_ns;
	bool yes;
};

static bool arg_method(const struct pst_cmd_ctx *ctx, unsigned int *ret)
{
	unsigned int i;

	if (strcmp(optarg, "auto") == 0)
		return true;
	for (i = 0; i < PST_HOST_RESET_WAYS - 1; i++)
		if (strcmp(optarg, pst_host_reset_way_name(i)) == 0) {
			*ret = (*ret & PST_HOST_RESET_SUSPEND) | 1U << i;
			return true;
		}
	pst_cmd_usage(ctx,
		      "--method %s is none of auto, function, bus and rescan",
		      optarg);
	return false;
}

static bool parse_option(const struct pst_cmd_ctx *ctx, int opt,
			 struct request *r)
{
	switch (opt) {
	case OPT_YES:
		r->yes = true;
		return true;
	case OPT_METHOD:
		return arg_method(ctx, &r->ways);
	case OPT_SUSPEND:
		r->ways |= PST_HOST_RESET_SUSPEND;
		return true;
	case OPT_TIMEOUT:
		return pst_cmd_arg_duration(ctx, "--timeout", optarg,
					    &r->timeout_ns);
	case OPT_ROOT:
		r->root = optarg;
		return true;
	}
	return false;
}

/* ---- What is shown ------------------------------------------------------- */

static const char *way_words(const struct pst_host_reset *p, unsigned int i)
{
	static const char *const words[] = {
		"reset each function by its own method",
		NULL,
		"remove the card and have the kernel find it again",
		"suspend the whole machine for 10 s",
	};

	if (1U << i != PST_HOST_RESET_BUS)
		return words[i];
	return p->subordinate ? "reset all below the bridge"
			      : "remove all below the bridge, reset its bus, "
				"find them again:";
}

static void print_plan(const struct pst_host_reset *p)
{
	unsigned int i, n = 0;
	size_t k;

	for (k = 0; k < p->n_touched; k++)
		printf("%s  %04x:%04x  %-8s %s\n", p->touched[k]->name,
		       p->touched[k]->vendor, p->touched[k]->device,
		       pst_host_pci_kind(p->touched[k]),
		       *p->touched[k]->driver ? p->touched[k]->driver
					      : "no driver");
	for (i = 0; i < PST_HOST_RESET_WAYS; i++)
		if (p->ways & 1U << i)
			printf("%u. %s: %s%s%s\n", ++n,
			       pst_host_reset_way_name(i), way_words(p, i),
			       1U << i == PST_HOST_RESET_BUS ? " " : "",
			       1U << i == PST_HOST_RESET_BUS
				       ? p->host->state.port->name
				       : "");
	for (i = 0; i < PST_HOST_RESET_WAYS; i++)
		if (*p->skipped[i])
			printf("not %s: %s\n", pst_host_reset_way_name(i),
			       p->skipped[i]);
	if (p->unseen)
		puts("note: processes of other users cannot be seen: run it as "
		     "root");
}

static json_t *plan_json(const struct pst_host_reset *p)
{
	json_t *touched = json_array(), *ways = json_array(),
	       *blockers = json_array(), *skipped = json_object();
	unsigned int i;
	size_t k;
	int r = 0;

	for (k = 0; k < p->n_touched; k++)
		r |= json_array_append_new(
			touched,
			json_pack("{s:s, s:s}", "addr", p->touched[k]->name,
				  "driver", p->touched[k]->driver));
	for (i = 0; i < PST_HOST_RESET_WAYS; i++) {
		if (p->ways & 1U << i)
			r |= json_array_append_new(
				ways, json_string(pst_host_reset_way_name(i)));
		if (*p->skipped[i])
			r |= json_object_set_new(skipped,
						 pst_host_reset_way_name(i),
						 pst_cmd_text(p->skipped[i]));
	}
	for (k = 0; k < p->n_blockers; k++)
		r |= json_array_append_new(
			blockers,
			json_pack("{s:s, s:o}", "addr", p->blocker[k].dev->name,
				  "why", pst_cmd_text(p->blocker[k].why)));
	if (r) {
		json_decref(touched);
		json_decref(ways);
		json_decref(blockers);
		json_decref(skipped);
		return NULL;
	}
	return json_pack("{s:s, s:o, s:o, s:o, s:o, s:b}", "gpu",
			 p->host->gpu->name, "functions", touched, "methods",
			 ways, "skipped", skipped, "blockers", blockers,
			 "others_seen", !p->unseen);
}

static int refuse(const struct pst_cmd_ctx *ctx, const struct pst_host_reset *p)
{
	const bool bus = p->ways & PST_HOST_RESET_BUS;
	size_t i;

	for (i = 1; i < p->n_blockers; i++)
		fprintf(stderr, "%s: %s is in use: %s\n", ctx->path,
			p->blocker[i].dev->name, p->blocker[i].why);
	return pst_cmd_fail(
		ctx, "%s is in use: %s%s", p->blocker[0].dev->name,
		p->blocker[0].why,
		bus && !pst_host_pci_same_card(p->blocker[0].dev, p->host->gpu)
			? "; --method function and --method rescan leave "
			  "others below the bridge alone"
			: "");
}

/* ---- Doing it ------------------------------------------------------------ */

static json_t *result_json(const struct pst_host_reset *p,
			   const struct pst_host_reset_result *res)
{
	json_t *o = plan_json(p), *tried = json_array();
	size_t i;
	int r = 0;

	for (i = 0; i < res->n; i++)
		r |= json_array_append_new(
			tried,
			json_pack("{s:s, s:b, s:o}", "method",
				  pst_host_reset_way_name(res->tried[i].way),
				  "back", res->tried[i].back, "seen",
				  pst_cmd_text(res->tried[i].text)));
	if (!o || r || json_object_set_new(o, "tried", tried) ||
	    json_object_set_new(o, "back", json_boolean(res->back))) {
		json_decref(o);
		return NULL;
	}
	return o;
}

static int reset(const struct pst_cmd_ctx *ctx, const struct request *r,
		 const struct pst_host_reset *p)
{
	struct pst_host_reset_result *res = calloc(1, sizeof(*res));
	struct pst_error err = {0};
	const char *card = p->host->gpu->name;
	size_t i;
	int rc;

	if (!res)
		return pst_cmd_fail(ctx, "out of memory");
	if (pst_host_reset_run(p, r->timeout_ns, res, &err) < 0) {
		free(res);
		return pst_cmd_fail(ctx, "%s", err.text);
	}
	rc = ctx->json ? pst_cmd_print_json(ctx, result_json(p, res))
		       : PST_EXIT_OK;
	for (i = 0; i < res->n && !ctx->json; i++)
		printf("%s: %s%s%s\n",
		       pst_host_reset_way_name(res->tried[i].way),
		       res->tried[i].back ? "the card is back"
					  : "the card is not back",
		       *res->tried[i].text ? ": " : "", res->tried[i].text);
	if (rc == PST_EXIT_OK && !res->back)
		rc = pst_cmd_fail(ctx,
				  "%s did not come back: %sswitch the machine "
				  "off, since a warm reboot keeps its power",
				  card,
				  p->ways & PST_HOST_RESET_SUSPEND
					  ? ""
					  : "try --suspend, else ");
	free(res);
	return rc;
}

static int act(const struct pst_cmd_ctx *ctx, const struct request *r,
	       const struct pst_host *h)
{
	struct pst_host_reset *p = calloc(1, sizeof(*p));
	struct pst_error err = {0};
	int rc;

	if (!p)
		return pst_cmd_fail(ctx, "out of memory");
	if (pst_host_reset_plan(h, r->ways, p, &err) < 0) {
		free(p);
		return pst_cmd_fail(ctx, "%s", err.text);
	}
	rc = PST_EXIT_OK;
	if (r->yes && !p->n_blockers) {
		rc = reset(ctx, r, p);
	} else {
		if (ctx->json)
			rc = pst_cmd_print_json(ctx, plan_json(p));
		else
			print_plan(p);
		if (p->n_blockers)
			rc = refuse(ctx, p);
		else if (!ctx->json)
			puts("Nothing is done yet: --yes does it, one after "
			     "the other until the card is back.");
	}
	free(p);
	return rc;
}

static int run(const struct pst_cmd_ctx *ctx, int argc, char **argv)
{
	struct request r = {
		.root = "/",
		.ways = PST_HOST_RESET_FUNCTION | PST_HOST_RESET_BUS |
			PST_HOST_RESET_RESCAN,
		.timeout_ns = DEFAULT_TIMEOUT_NS,
	};
	struct pst_host_pci_addr addr;
	struct pst_host_root root;
	struct pst_host *h;
	struct pst_error err;
	int opt, rc;

	while ((opt = pst_cmd_getopt(ctx, argc, argv)) != -1)
		if (!parse_option(ctx, opt, &r))
			return PST_EXIT_USAGE;
	r.addr = argv[optind];
	if (pst_host_pci_addr_parse(r.addr, &addr) < 0)
		return pst_cmd_usage(
			ctx, "%s is no PCI address like 0000:01:00.0", r.addr);
	if (pst_host_root_open(r.root, &root, &err) < 0)
		return pst_cmd_fail(ctx, "%s", err.text);
	h = calloc(1, sizeof(*h));
	if (!h) {
		rc = pst_cmd_fail(ctx, "out of memory");
	} else if (r.yes && !root.live) {
		rc = pst_cmd_usage(ctx,
				   "--yes resets a card of the running machine "
				   "only, not one of --root %s",
				   r.root);
	} else if (pst_host_scan(&root,
				 &(struct pst_host_request){.gpu = r.addr}, h,
				 &err) < 0) {
		rc = pst_cmd_fail(ctx, "%s: %s", r.root, err.text);
	} else {
		rc = h->gpu ? act(ctx, &r, h)
			    : pst_cmd_fail(ctx, "%s", h->gpu_err.text);
		pst_host_done(h);
	}
	free(h);
	pst_host_root_close(&root);
	return rc;
}

const struct pst_cmd pst_cmd_host_gpu_reset = {
	.name = "reset",
	.args = "ADDR",
	.summary = "Reset a card that nothing uses, and see if it comes back",
	.help = "Says what would be reset and how; --yes does it. The ways are "
		"tried one after the\nother until the card answers as before: "
		"each function by its own method, the bus\nbelow the bridge, "
		"removal and rescan. Refuses while a driver other than "
		"vfio-pci,\na file system, the default route or a virtual "
		"machine uses anything that would be\nreset. Exits 1 when the "
		"card is not back.\n",
	.example = "penstock host gpu reset 0000:01:00.0\n",
	.opts = opts,
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
