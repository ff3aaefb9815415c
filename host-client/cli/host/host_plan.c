/* SPDX-License-Identifier: MIT */
/* Common to penstock host plan, apply, verify and undo: options, opening,
 * printing a plan. */
#include "host-client/cli/host/host_plan.h"

#include <string.h>

#include "host-client/cli/cmd_progress.h"
#include "kernel-params/edit/diff.h"
#include "kernel-params/syntax/cmdline.h"
#include "transport/base/text.h"

const struct pst_cmd_opt pst_cmd_host_plan_opts[] = {
	PST_CMD_HOST_PLAN_OPTS,
	{PST_OPT_I_KNOW, "i-know", NULL, "take the host's own display too"},
	PST_CMD_HOST_ROOT_OPT,
	PST_CMD_OPT_JSON,
	{0},
};

static bool take_option(struct pst_cmd_host_job *job, int opt)
{
	struct pst_host_plan_request *r = &job->request;
	struct pst_host_pci_addr addr;
	struct pst_host_cpuset cpus;

	job->has_request |= opt < PST_OPT_I_KNOW;
	switch (opt) {
	case PST_OPT_GPU:
		if (strcmp(optarg, "auto") == 0 ||
		    pst_host_pci_addr_parse(optarg, &addr) == 0)
			return pst_cmd_arg_once(job->ctx, "--gpu", optarg,
						&r->gpu);
		pst_cmd_usage(job->ctx,
			      "--gpu %s is neither auto nor a PCI address like "
			      "0000:01:00.0",
			      optarg);
		return false;
	case PST_OPT_REGION:
		return pst_cmd_arg_region(job->ctx, "--region", optarg,
					  &r->region);
	case PST_OPT_VM_MEMORY:
		return pst_cmd_arg_size_not_0(job->ctx, "--vm-memory", optarg,
					      &r->vm_memory);
	case PST_OPT_ISOLATE:
		r->isolate_cpus = optarg;
		if (pst_host_cpuset_parse(optarg, &cpus) == 0)
			return true;
		pst_cmd_usage(job->ctx,
			      "--isolate-cpus: '%.80s' is not a list of CPUs "
			      "such as 2-5,8",
			      optarg);
		return false;
	case PST_OPT_FOR:
		if (pst_host_targets_parse(optarg, &r->targets) == 0)
			return true;
		pst_cmd_usage(
			job->ctx,
			"--for: '%.80s' is neither auto nor a list "
			"of grub, systemd-boot, limine, refind, modprobe, "
			"mkinitcpio, dracut, initramfs-tools, sysctl, "
			"tmpfiles, udev and nixos",
			optarg);
		return false;
	case PST_OPT_I_KNOW:
		r->i_know = true;
		return true;
	case PST_OPT_KEEP_EDITED:
		job->keep_edited = true;
		return true;
	case PST_OPT_ROOT:
		job->root_dir = optarg;
		return true;
	}
	return false;
}

static int read_options(struct pst_cmd_host_job *job,
			const struct pst_cmd_ctx *ctx, int argc, char **argv)
{
	int opt;

	*job = (struct pst_cmd_host_job){
		.ctx = ctx,
		.root_dir = "/",
		.root.fd = -1,
		.journal.lock = -1,
	};
	while ((opt = pst_cmd_getopt(ctx, argc, argv)) != -1)
		if (!take_option(job, opt))
			return PST_EXIT_USAGE;
	return PST_EXIT_OK;
}

/* Without options, the request is that of the last apply. */
static int recall(struct pst_cmd_host_job *job)
{
	bool i_know = job->request.i_know;

	if (job->has_request || !*job->journal.request)
		return 0;
	if (pst_host_plan_request_parse(job->journal.request, &job->request,
					&job->text) < 0)
		return -EPROTO;
	job->request.i_know |= i_know;
	return 0;
}

static int make_plan(struct pst_cmd_host_job *job, struct pst_error *err)
{
	const struct pst_host_request request = {.gpu = job->request.gpu};
	struct pst_host *h = calloc(1, sizeof(*h));
	struct pst_host_plan *p = calloc(1, sizeof(*p));
	int r = h && p ? pst_host_scan(&job->root, &request, h, err)
		       : pst_oom(err);

	if (r < 0) {
		free(h);
		free(p);
		/* The files of another host. */
		if (strcmp(job->root_dir, "/") != 0)
			pst_error_prefix(err, job->root_dir);
		return r;
	}
	job->host = h;
	r = pst_host_plan_make(p, h, &job->journal, &job->request, err);
	if (r == 0)
		job->plan = p;
	else
		free(p);
	return r;
}

static int open_job(struct pst_cmd_host_job *job, unsigned int flags)
{
	const bool write = flags & PST_CMD_HOST_JOB_WRITE;
	const bool plan = flags & PST_CMD_HOST_JOB_PLAN;
	struct pst_error err = {0};
	int r = pst_host_root_open(job->root_dir, &job->root, &err);

	if (r == 0)
		r = pst_host_journal_open(&job->root, write, &job->journal,
					  &err);
	if (r < 0 && write && (r == -EROFS || r == -EACCES))
		return pst_cmd_fail(job->ctx, "%s; nothing is changed%s",
				    err.text,
				    r == -EACCES ? ": run it as root"
				    : plan       ? ". penstock host plan shows "
						   "what to paste"
						 : "");
	if (r == 0 && plan) {
		r = recall(job);
		job->request.compare_only = flags & PST_CMD_HOST_JOB_LOOK_ONLY;
		if (r < 0)
			pst_error_set(&err, r,
				      "the last apply's request cannot be "
				      "read: give the options again");
	}
	if (r == 0 && plan) {
		pst_cmd_progress(job->ctx, "reading the host");
		r = make_plan(job, &err);
		pst_cmd_progress(job->ctx, NULL);
	}
	return r < 0 ? pst_cmd_fail(job->ctx, "%s", err.text) : PST_EXIT_OK;
}

static void close_job(struct pst_cmd_host_job *job)
{
	if (job->plan)
		pst_host_plan_done(job->plan);
	free(job->plan);
	if (job->host)
		pst_host_done(job->host);
	free(job->host);
	pst_host_journal_close(&job->journal);
	free(job->text);
	pst_host_root_close(&job->root);
}

int pst_cmd_host_job_run(const struct pst_cmd_ctx *ctx, int argc, char **argv,
			 unsigned int flags,
			 int (*run)(struct pst_cmd_host_job *job))
{
	struct pst_cmd_host_job job;
	int r = read_options(&job, ctx, argc, argv);

	if (r != PST_EXIT_OK)
		return r;
	r = open_job(&job, flags);
	if (r == PST_EXIT_OK)
		r = run(&job);
	close_job(&job);
	return r;
}

/* ---- How a plan is shown --------------------------------------------------
 */

json_t *pst_cmd_host_lines_json(const struct pst_host_lines *lines)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; list && i < lines->n; i++)
		if (json_array_append_new(list, pst_cmd_text(lines->line[i]))) {
			json_decref(list);
			return NULL;
		}
	return list;
}

static json_t *file_json(const struct pst_host_plan_file *f)
{
	PST_CLEANUP_FREE char *diff = NULL;
	char mode[16];

	if (pst_host_diff_unified(f->path, f->now, f->text, &diff) < 0)
		return NULL;
	snprintf(mode, sizeof(mode), "%04o", f->mode);
	return json_pack("{s:o, s:s, s:s, s:s, s:o, s:o}", "path",
			 pst_cmd_text(f->path), "for",
			 pst_host_target_name(f->target), "action",
			 pst_host_plan_action(f), "mode", mode, "text",
			 pst_cmd_text(f->text), "diff", pst_cmd_text(diff));
}

json_t *pst_cmd_host_job_json(const struct pst_cmd_host_job *job)
{
	const struct pst_host_plan *p = job->plan;
	json_t *files = json_array(), *words = json_array();
	char pool[PST_HOST_POOL_TEXT_LEN];
	size_t i;
	int r = 0;

	for (i = 0; i < p->n_files; i++)
		r |= json_array_append_new(files, file_json(&p->file[i]));
	for (i = 0; i < p->params.n; i++)
		/* "amd_iommu=" only says what must not be there. */
		if (p->params.word[i][strlen(p->params.word[i]) - 1] != '=')
			r |= json_array_append_new(
				words, json_string(p->params.word[i]));
	pst_host_pool_text(p->params.pool_node, p->params.pool_pages, pool);
	if (pst_host_params_have_pool(&p->params))
		r |= json_array_append_new(words, json_string(pool));
	if (r) {
		json_decref(files);
		json_decref(words);
		return NULL;
	}
	return json_pack(
		"{s:s, s:o, s:b, s:I, s:i, s:o, s:o, s:o, s:o}", "gpu",
		p->host->gpu->name, "functions",
		pst_cmd_host_lines_json(&p->addresses), "by_address",
		p->by_address, "hugepages", (json_int_t)p->params.pool_pages,
		"node", p->params.pool_node, "parameters", words, "files",
		files, "commands", pst_cmd_host_lines_json(&p->commands),
		"notes", pst_cmd_host_lines_json(&p->notes));
}

void pst_cmd_host_print_unchanged(const struct pst_host_plan *p)
{
	puts(p->n_open ? "No file has to change, but the next boot is not as "
			 "wanted: the notes say what is open."
		       : "Nothing to change.");
}

void pst_cmd_host_print_commands(const struct pst_host_lines *commands)
{
	size_t i;

	if (commands->n)
		puts("Then run:");
	for (i = 0; i < commands->n; i++)
		printf("    %s\n", commands->line[i]);
}
