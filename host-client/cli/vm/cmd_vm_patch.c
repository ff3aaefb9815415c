/* SPDX-License-Identifier: MIT */
/* penstock vm patch: adds to a domain of others what Penstock needs. */
#include <string.h>

#include "host-client/cli/vm/cmd_vm.h"
#include "host-client/cli/vm/cmd_vm_files.h"
#include "kernel-params/edit/diff.h"

extern const struct pst_cmd pst_cmd_vm_patch;

enum { OPT_XML = PST_OPT_VM_END, OPT_APPLY, OPT_CONF_DIR };

/* libvirt takes no longer one. */
#define XML_MAX (4U << 20)

struct patch {
	const struct pst_cmd_ctx *ctx;
	const struct pst_vm_api *api;
	struct pst_cmd_vm_ask ask;
	const char *file; /* NULL: libvirt's */
	const char *dir;
	bool apply;
	char *xml;
	struct pst_vm_info info;
};

static int read_file(struct patch *p)
{
	PST_CLEANUP_FILE FILE *f = fopen(p->file, "re");
	size_t n;

	p->xml = malloc(XML_MAX + 1);
	if (!f || !p->xml)
		return pst_cmd_fail(p->ctx, "cannot read %s: %s", p->file,
				    strerror(errno));
	n = fread(p->xml, 1, XML_MAX + 1, f);
	if (ferror(f) || n > XML_MAX)
		return pst_cmd_fail(p->ctx, "%s is no domain's XML", p->file);
	p->xml[n] = '\0';
	return PST_EXIT_OK;
}

static int read_domain(struct patch *p)
{
	const struct pst_vm_api *api;
	struct pst_error err;
	struct pst_virt *virt;
	int rc;

	rc = pst_cmd_vm_connect(p->ctx, p->ask.uri, &api, &virt);
	if (rc)
		return rc;
	rc = api->virt_xml(virt, p->ask.q.name, PST_VIRT_DEFINED, &p->xml,
			   &err);
	api->virt_close(virt);
	return rc ? pst_cmd_fail(p->ctx, "%s", err.text) : PST_EXIT_OK;
}

/* What the domain has decides what was not asked for. */
static void suit(struct patch *p)
{
	struct pst_vm_request *q = &p->ask.q;

	q->is_part = true;
	q->pin = "none";
	q->vcpus = 1;
	q->pool = PST_VM_POOL_LATER;
	q->memory = pst_round_up(p->info.memory ? p->info.memory : 1,
				 PST_WIRE_UNIT);
	if (!q->firmware)
		q->firmware = p->info.uefi ? "auto" : "bios";
	if (p->info.cid && !p->ask.cid_given) {
		q->cid = p->info.cid;
		p->ask.cid_given = true;
	}
	if (!p->info.ours)
		return;
	q->region_path = p->info.region.path;
	q->region_size = p->info.region.size;
	q->via = p->info.region.via;
	if (p->info.region.group[0])
		q->group = p->info.region.group;
}

/* What was shown has no passwords (of a VNC display); what is defined keeps
 * them. */
static int apply(struct patch *p, const struct pst_cmd_vm_plan *plan)
{
	PST_CLEANUP_FREE char *xml = NULL, *before = NULL, *after = NULL;
	struct pst_error err;

	if (p->api->virt_xml(plan->virt, plan->config.name, PST_VIRT_SECRETS,
			     &xml, &err) ||
	    p->api->patch(xml, &plan->config, &before, &after, &err) ||
	    p->api->virt_define(plan->virt, after, true, &err))
		return pst_cmd_fail(p->ctx, "%s", err.text);
	return pst_cmd_vm_install(p->ctx, p->dir, &plan->config)
		       ? PST_EXIT_OK
		       : PST_EXIT_FAILED;
}

static int patch(struct patch *p, const struct pst_cmd_vm_plan *plan)
{
	PST_CLEANUP_FREE char *before = NULL, *after = NULL, *diff = NULL;
	char name[PST_VM_NAME_MAX + 8];
	struct pst_error err;

	if (p->api->patch(p->xml, &plan->config, &before, &after, &err))
		return pst_cmd_fail(p->ctx, "%s", err.text);
	snprintf(name, sizeof(name), "%s.xml", plan->config.name);
	if (pst_diff_unified(name, before, after, &diff))
		return pst_cmd_fail(p->ctx, "out of memory");
	fputs(diff, stdout);
	if (!*diff)
		fprintf(stderr, "%s: nothing is missing\n", p->ctx->path);
	return p->apply ? apply(p, plan) : PST_EXIT_OK;
}

static int run_patch(struct patch *p)
{
	PST_CLEANUP_FREE struct pst_cmd_vm_plan *plan =
		calloc(1, sizeof(*plan));
	struct pst_error err;
	int rc;

	if (!plan)
		return pst_cmd_fail(p->ctx, "out of memory");
	plan->api = p->api = pst_cmd_vm_api(p->ctx, false);
	if (!p->api)
		return PST_EXIT_FAILED;
	rc = p->file ? read_file(p) : read_domain(p);
	if (rc)
		return rc;
	if (p->api->info_parse(p->xml, &p->info, &err))
		return pst_cmd_fail(p->ctx, "%s", err.text);
	suit(p);
	p->ask.defines = p->apply;
	rc = pst_cmd_vm_plan(p->ctx, &p->ask, plan);
	if (rc == PST_EXIT_OK)
		rc = patch(p, plan);
	pst_cmd_vm_unplan(plan);
	return rc;
}

static int run(const struct pst_cmd_ctx *ctx, int argc, char **argv)
{
	PST_CLEANUP_FREE struct patch *p = calloc(1, sizeof(*p));
	int opt, rc;

	if (!p)
		return pst_cmd_fail(ctx, "out of memory");
	p->ctx = ctx;
	p->ask = (struct pst_cmd_vm_ask)PST_CMD_VM_ASK;
	p->dir = PST_VM_CONF_DIR;
	while ((opt = pst_cmd_getopt(ctx, argc, argv)) != -1) {
		if (opt == OPT_XML)
			p->file = optarg;
		else if (opt == OPT_APPLY)
			p->apply = true;
		else if (opt == OPT_CONF_DIR)
			p->dir = optarg;
		else if (!pst_cmd_vm_opt(ctx, opt, &p->ask))
			return PST_EXIT_USAGE;
	}
	p->ask.q.name = argv[optind];
	if (p->file && p->apply)
		return pst_cmd_usage(ctx, "--xml and --apply exclude each "
					  "other");
	rc = run_patch(p);
	free(p->xml);
	return rc;
}

/* Of the options of a domain, those of what is added. */
static const struct pst_cmd_opt opts[] = {
	PST_CMD_VM_PART_OPTS,
	{OPT_XML, "xml", "FILE", "this XML instead of libvirt's"},
	{OPT_APPLY, "apply", NULL, "and define it so"},
	{OPT_CONF_DIR, "conf-dir", "DIR",
	 "where endpoint and region are written [/etc/penstock]"},
	{0, NULL, NULL, NULL},
};

const struct pst_cmd pst_cmd_vm_patch = {
	.name = "patch",
	.args = "NAME [--gpu ADDR]",
	.summary = "Show what an existing domain lacks, and add it",
	.help = "Adds the region, a vsock device, missing functions of the "
		"card, the limit of locked\nmemory, the guest agent's channel, "
		"and our settings. Nothing else is touched; prints a\nunified "
		"diff.\n",
	.opts = opts,
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
