/* SPDX-License-Identifier: MIT */
/* penstock vm patch: adds to a domain of others what Penstock needs. */
#include <inttypes.h>
#include <string.h>

#include "host-client/cli/cmds.h"
#include "host-client/cli/vm/cmd_vm.h"
#include "kernel-params/edit/diff.h"
#include "libvirt-xml/config/vm_files.h"
#include "transport/base/text.h"

enum { OPT_XML = PST_OPT_VM_END, OPT_APPLY, OPT_CONF_DIR };

/* libvirt takes no longer one. */
#define XML_MAX (4U << 20)

struct patch {
	struct pst_cmd_vm vm;
	const char *file; /* NULL: libvirt's */
	const char *dir;
	char *xml;
	struct pst_vm_info info;
};

static int read_file(struct patch *p)
{
	PST_CLEANUP_FILE FILE *f = fopen(p->file, "re");
	size_t n;

	p->xml = malloc(XML_MAX + 1);
	if (!f || !p->xml)
		return pst_cmd_fail(p->vm.ctx, "cannot read %s: %s", p->file,
				    strerror(errno));
	n = fread(p->xml, 1, XML_MAX + 1, f);
	if (ferror(f) || n > XML_MAX)
		return pst_cmd_fail(p->vm.ctx, "%s is no domain's XML",
				    p->file);
	p->xml[n] = '\0';
	return PST_EXIT_OK;
}

static int read_domain(struct patch *p)
{
	const struct pst_vm_ask *ask = &p->vm.ask;
	struct pst_error err;

	if (p->file)
		return read_file(p);
	if (ask->api->virt_xml(ask->virt, ask->q.name, PST_VM_VIRT_DEFINED,
			       &p->xml, &err))
		return pst_cmd_fail(p->vm.ctx, "%s", err.text);
	return PST_EXIT_OK;
}

/* What was asked for of a region that is there already, and is not what it
 * has: the option's name, or NULL. */
static const char *other_region(const struct pst_vm_request *q,
				const struct pst_vm_region *r)
{
	if (q->region_path && strcmp(q->region_path, r->path) != 0)
		return "--region-path";
	if (q->region_size && q->region_size != r->size)
		return "--region";
	if (q->via != PST_VM_VIA_AUTO && q->via != r->via)
		return "--region-via";
	if (q->group && strcmp(q->group, r->group) != 0)
		return "--group";
	return NULL;
}

static int keep_region(struct patch *p)
{
	const struct pst_vm_region *r = &p->info.region;
	struct pst_vm_request *q = &p->vm.ask.q;
	const char *other = other_region(q, r);

	if (other)
		return pst_cmd_fail(
			p->vm.ctx,
			"%s: %s has a region already, which stays: %s, %" PRIu64
			" MiB, %s, group %s",
			other, p->info.name, r->path, r->size >> 20,
			pst_vm_via_name(r->via),
			r->group[0] ? r->group : "unknown");
	q->region_path = r->path;
	q->region_size = r->size;
	q->via = r->via;
	if (r->group[0])
		q->group = r->group;
	return PST_EXIT_OK;
}

/* What was not asked for follows from the domain. */
static int suit(struct patch *p)
{
	struct pst_vm_request *q = &p->vm.ask.q;

	q->pin = "none";
	q->vcpus = 1;
	q->pool = PST_VM_POOL_LATER;
	q->memory = pst_round_up(p->info.memory ? p->info.memory : 1,
				 PST_HOST_HUGE_2M);
	if (!q->firmware)
		q->firmware = p->info.uefi ? "auto" : "bios";
	if (!q->cid && !p->info.cid_auto)
		q->cid = p->info.cid;
	return p->info.ours ? keep_region(p) : PST_EXIT_OK;
}

static int apply(const struct patch *p, const struct pst_vm_draft *d)
{
	struct pst_vm_defined defined;
	struct pst_error err;

	if (pst_vm_define_patch(d, p->dir, &defined, &err))
		return pst_cmd_fail(p->vm.ctx, "%s", err.text);
	return defined.complete ? PST_EXIT_OK : PST_EXIT_FAILED;
}

/* A limit that the domain has stays, and QEMU may not start with it. */
static void note_limit(const struct patch *p, const struct pst_vm_draft *d)
{
	struct pst_vm_config all = d->config;
	uint64_t want;

	all.memory = p->info.memory;
	if (!all.n_gpu && p->info.n_hostdevs)
		all.n_gpu = 1;
	want = pst_vm_memlock(&all);
	if (p->info.hard_limit && p->info.hard_limit < want)
		fprintf(stderr,
			"%s: note: the domain's hard_limit (%" PRIu64
			" MiB) is too low for memory, region and BARs, which "
			"need %" PRIu64
			" MiB: QEMU will not start; raise it by virsh edit\n",
			p->vm.ctx->path, p->info.hard_limit >> 20, want >> 20);
}

static int make_diff(const struct patch *p, const struct pst_vm_draft *d,
		     const struct pst_vm_patched *done, char **ret)
{
	char name[PST_NAME_MAX + 8];
	int r;

	snprintf(name, sizeof(name), "%s.xml", d->config.name);
	r = pst_host_diff_without(p->file ? p->file : name, done->before,
				  done->after, done->secret, ret);
	if (r == -EACCES)
		return pst_cmd_fail(p->vm.ctx,
				    "a line with a secret would change, which "
				    "is not shown: put what is behind it on "
				    "lines of their own");
	if (r)
		return pst_cmd_fail(p->vm.ctx, "out of memory");
	if (!**ret)
		fprintf(stderr, "%s: nothing is missing\n", p->vm.ctx->path);
	else if (done->normalised)
		fprintf(stderr,
			"%s: note: this is the difference of a copy that is "
			"indented anew: patch(1) does not apply it; use "
			"--apply or virsh edit\n",
			p->vm.ctx->path);
	return PST_EXIT_OK;
}

static int patch(const struct patch *p, const struct pst_vm_draft *d)
{
	PST_VM_CLEANUP_PATCHED struct pst_vm_patched done = {0};
	PST_CLEANUP_FREE char *diff = NULL;
	struct pst_error err;
	int r;

	if (d->ask.api->patch(p->xml, &d->config, &done, &err))
		return pst_cmd_fail(p->vm.ctx, "%s", err.text);
	r = make_diff(p, d, &done, &diff);
	if (r)
		return r;
	if (!p->vm.ctx->json)
		fputs(diff, stdout);
	note_limit(p, d);
	r = p->vm.defines ? apply(p, d) : PST_EXIT_OK;
	if (r || !p->vm.ctx->json)
		return r;
	return pst_cmd_print_json(
		p->vm.ctx,
		json_pack("{s:s, s:o, s:b}", "name", d->config.name, "diff",
			  pst_cmd_text(diff), "applied", p->vm.defines));
}

/* With the lock, if any: what is read is still so when it is defined. */
static int run_patch(struct patch *p)
{
	PST_CLEANUP_FREE struct pst_vm_draft *d = calloc(1, sizeof(*d));
	struct pst_error err;
	int r;

	if (!d)
		return pst_cmd_fail(p->vm.ctx, "out of memory");
	r = read_domain(p);
	if (r)
		return r;
	if (p->vm.ask.api->info_parse(p->xml, &p->info, &err))
		return pst_cmd_fail(p->vm.ctx, "%s: %s",
				    p->file ? p->file : p->vm.ask.q.name,
				    err.text);
	r = suit(p);
	if (r == PST_EXIT_OK)
		r = pst_cmd_vm_draft(&p->vm, d);
	if (r)
		return r;
	r = patch(p, d);
	pst_vm_draft_done(d);
	return r;
}

static int run(const struct pst_cmd_ctx *ctx, int argc, char **argv)
{
	PST_CLEANUP_FREE struct patch *p = calloc(1, sizeof(*p));
	int opt, r;

	if (!p)
		return pst_cmd_fail(ctx, "out of memory");
	pst_cmd_vm_init(&p->vm, ctx);
	p->vm.ask.q.is_part = true;
	p->dir = PST_VM_CONF_DIR;
	while ((opt = pst_cmd_getopt(ctx, argc, argv)) != -1) {
		if (opt == OPT_XML)
			p->file = optarg;
		else if (opt == OPT_APPLY)
			p->vm.defines = true;
		else if (opt == OPT_CONF_DIR)
			p->dir = optarg;
		else if (!pst_cmd_vm_opt(ctx, opt, &p->vm.ask))
			return PST_EXIT_USAGE;
	}
	p->vm.ask.q.name = argv[optind];
	if (p->file && p->vm.defines)
		return pst_cmd_usage(ctx, "--xml and --apply exclude each "
					  "other");
	p->vm.ask.api = pst_cmd_vm_api(ctx, false);
	if (!p->vm.ask.api)
		return PST_EXIT_FAILED;
	r = pst_cmd_vm_begin(&p->vm, !p->file);
	if (r == PST_EXIT_OK)
		r = run_patch(p);
	pst_cmd_vm_end(&p->vm);
	free(p->xml);
	return r;
}

/* Of the options of a domain, those of what is added. */
static const struct pst_cmd_opt opts[] = {
	PST_CMD_VM_PART_OPTS,
	{OPT_XML, "xml", "FILE", "this XML instead of libvirt's"},
	{OPT_APPLY, "apply", NULL, "and define it so"},
	{OPT_CONF_DIR, "conf-dir", "DIR",
	 "where endpoint and region are written [/etc/penstock]"},
	PST_CMD_OPT_JSON,
	{0},
};

const struct pst_cmd pst_cmd_vm_patch = {
	.name = "patch",
	.args = "NAME [--gpu ADDR]",
	.summary = "Show what an existing domain lacks, and add it",
	.help = "Adds the region, a vsock device, missing functions of the "
		"card, the limit of locked\nmemory, the guest agent's channel, "
		"and our settings. Nothing else is touched; prints a\nunified "
		"diff.\n",
	.example = "penstock vm patch titan --gpu auto\n",
	.opts = opts,
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
