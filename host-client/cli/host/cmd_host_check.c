/* SPDX-License-Identifier: MIT */
/* penstock host check: what a host lacks before it can give a card away. */
#include <string.h>

#include "host-client/cli/cmd_progress.h"
#include "host-client/cli/cmds.h"
#include "kernel-params/check/check.h"
#include "transport/base/util.h"

/* Examples, where nothing is said: too little for them is a warning. */
#define DEFAULT_REGION    (4ULL << 30)
#define DEFAULT_VM_MEMORY (16ULL << 30)

enum {
	OPT_GPU = PST_OPT_OWN,
	OPT_REGION,
	OPT_VM_MEMORY,
	OPT_ROOT,
};

static const struct pst_cmd_opt opts[] = {
	{OPT_GPU, "gpu", "ADDR",
	 "card for the guest, such as 0000:01:00.0 [auto]"},
	{OPT_REGION, "region", "S", "size of the region [4G]"},
	{OPT_VM_MEMORY, "vm-memory", "S", "memory of the guest [16G]"},
	{OPT_ROOT, "root", "DIR",
	 "the root of a host, or a copy of another's /proc, /sys, /etc [/]"},
	{'v', "verbose", NULL, "say of what passes, too, why it matters"},
	PST_CMD_OPT_JSON,
	{0},
};

struct request {
	struct pst_host_request host;
	const char *root;
	bool verbose;
};

static bool arg_gpu(const struct pst_cmd_ctx *ctx, struct request *r)
{
	struct pst_host_pci_addr a;

	if (strcmp(optarg, "auto") != 0 &&
	    pst_host_pci_addr_parse(optarg, &a) < 0) {
		pst_cmd_usage(ctx,
			      "--gpu %s is neither auto nor an address "
			      "like 0000:01:00.0",
			      optarg);
		return false;
	}
	return pst_cmd_arg_once(ctx, "--gpu", optarg, &r->host.gpu);
}

static bool parse_option(const struct pst_cmd_ctx *ctx, int opt,
			 struct request *r)
{
	switch (opt) {
	case OPT_GPU:
		return arg_gpu(ctx, r);
	case OPT_REGION:
		r->host.sizes_given = true;
		return pst_cmd_arg_region(ctx, "--region", optarg,
					  &r->host.region);
	case OPT_VM_MEMORY:
		r->host.sizes_given = true;
		return pst_cmd_arg_size_not_0(ctx, "--vm-memory", optarg,
					      &r->host.vm_memory);
	case OPT_ROOT:
		r->root = optarg;
		return true;
	case 'v':
		r->verbose = true;
		return true;
	}
	return false;
}

static int print_json(const struct pst_cmd_ctx *ctx,
		      const struct pst_host_findings *fs)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < fs->n; i++) {
		const struct pst_host_finding *f = &fs->f[i];
		json_t *o = json_pack(
			"{s:s, s:s, s:s, s:s, s:s}", "id", f->id, "status",
			pst_host_finding_status_name(f->status), "seen",
			f->seen, "why", f->why, "remedy", f->fix);

		if (json_array_append_new(list, o) < 0) {
			json_decref(list);
			return pst_cmd_print_json(ctx, NULL);
		}
	}
	return pst_cmd_print_json(ctx, json_pack("{s:o}", "findings", list));
}

static void print_finding(const struct pst_host_finding *f, bool why)
{
	/* Green, yellow, red; on a terminal only. */
	static const char *const colours[] = {"32", "33", "31"};
	const char *name = pst_host_finding_status_name(f->status);

	if (isatty(STDOUT_FILENO) && !getenv("NO_COLOR"))
		printf("\033[%sm%s\033[0m", colours[f->status], name);
	else
		printf("%s", name);
	printf("  %-18s  %s.", f->id, f->seen);
	if (why)
		printf(" Why: %s.", f->why);
	if (*f->fix)
		printf(" Remedy: %s.", f->fix);
	putchar('\n');
}

/* First what matters most: a sentence, then the worst. */
static void print_text(const struct pst_host *h,
		       const struct pst_host_findings *fs, bool verbose)
{
	const size_t n_fail = pst_host_findings_count(fs, PST_HOST_FAIL);
	int status;
	size_t i;

	printf("%s %s%s: %zu FAIL, %zu WARN, %zu PASS\n",
	       n_fail ? "A guest would not come up"
		      : "Nothing keeps this host from a guest",
	       h->gpu ? "with " : "without a card", h->gpu ? h->gpu->name : "",
	       n_fail, pst_host_findings_count(fs, PST_HOST_WARN),
	       pst_host_findings_count(fs, PST_HOST_PASS));
	for (status = PST_HOST_FAIL; status >= PST_HOST_PASS; status--)
		for (i = 0; i < fs->n; i++)
			if ((int)fs->f[i].status == status)
				print_finding(&fs->f[i],
					      verbose ||
						      status != PST_HOST_PASS);
}

static int check(const struct pst_cmd_ctx *ctx, const struct request *r,
		 const struct pst_host_root *root, struct pst_host *h)
{
	struct pst_host_findings *fs = calloc(1, sizeof(*fs));
	struct pst_error err;
	int rc = PST_EXIT_OK;

	if (!fs)
		return pst_cmd_fail(ctx, "out of memory");
	pst_cmd_progress(ctx, "reading the host");
	if (pst_host_scan(root, &r->host, h, &err) < 0) {
		free(fs);
		return pst_cmd_fail(ctx, "%s: %s", r->root, err.text);
	}
	pst_host_checks_run(h, fs);
	pst_cmd_progress(ctx, NULL);
	if (fs->no_memory)
		rc = pst_cmd_fail(ctx, "out of memory");
	else if (ctx->json)
		rc = print_json(ctx, fs);
	else
		print_text(h, fs, r->verbose);
	if (rc == PST_EXIT_OK && pst_host_findings_count(fs, PST_HOST_FAIL))
		rc = PST_EXIT_FINDINGS;
	pst_host_findings_done(fs);
	pst_host_done(h);
	free(fs);
	return rc;
}

static int run(const struct pst_cmd_ctx *ctx, int argc, char **argv)
{
	struct request r = {
		.host = {.region = DEFAULT_REGION,
			 .vm_memory = DEFAULT_VM_MEMORY},
		.root = "/",
	};
	struct pst_host *h;
	struct pst_host_root root;
	struct pst_error err;
	int opt, rc;

	while ((opt = pst_cmd_getopt(ctx, argc, argv)) != -1)
		if (!parse_option(ctx, opt, &r))
			return PST_EXIT_USAGE;
	if (pst_host_root_open(r.root, &root, &err) < 0)
		return pst_cmd_fail(ctx, "%s", err.text);
	h = calloc(1, sizeof(*h));
	rc = h ? check(ctx, &r, &root, h) : pst_cmd_fail(ctx, "out of memory");
	free(h);
	pst_host_root_close(&root);
	return rc;
}

const struct pst_cmd pst_cmd_host_check = {
	.name = "check",
	.args = "",
	.summary = "Check whether this host can give a card to a guest",
	.help = "A summary, then one line a finding, FAIL first, then WARN and "
		"PASS: its name, what was\nseen, why it matters, what to do. "
		"Nothing is changed. Of a copied tree (--root)\neverything is "
		"read from files; what only the running machine could tell is a "
		"WARN.\npenstock-host(8) lists the names. Exits 0 without a "
		"FAIL, 3 with one, 1 when there\nis nothing to look at.\n",
	.example = "penstock host check --gpu auto --region 4G\n",
	.opts = opts,
	.run = run,
};
