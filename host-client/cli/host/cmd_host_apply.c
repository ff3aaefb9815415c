/* SPDX-License-Identifier: MIT */
/* penstock host apply: writes what penstock host plan shows. */
#include <string.h>

#include "host-client/cli/cmds.h"
#include "host-client/cli/host/host_plan.h"

static int report(const struct pst_cmd_host_job *job, size_t changed)
{
	const struct pst_host_plan *p = job->plan;
	json_t *o;
	size_t i;

	if (job->ctx->json) {
		o = pst_cmd_host_job_json(job);
		if (o &&
		    json_object_set_new(o, "changed",
					json_integer((json_int_t)changed))) {
			json_decref(o);
			o = NULL;
		}
		return pst_cmd_print_json(job->ctx, o);
	}
	for (i = 0; i < p->n_files; i++) {
		const char *action = pst_host_plan_action(&p->file[i]);

		if (strcmp(action, "none") != 0)
			printf("%s  %s\n",
			       strcmp(action, "create") == 0   ? "created"
			       : strcmp(action, "remove") == 0 ? "removed"
							       : "changed",
			       p->file[i].path);
	}
	for (i = 0; i < p->notes.n; i++)
		printf("note: %s\n", p->notes.line[i]);
	if (!changed)
		pst_cmd_host_print_unchanged(p);
	pst_cmd_host_print_commands(&p->commands);
	if (changed)
		puts("Check with `penstock host verify`, revert with `penstock "
		     "host undo`.");
	return PST_EXIT_OK;
}

/* A system whose files are made elsewhere gets the text to paste there. */
static int paste(const struct pst_cmd_host_job *job,
		 const struct pst_error *err)
{
	const struct pst_host_plan *p = job->plan;
	size_t i;

	if (job->ctx->json)
		(void)pst_cmd_print_json(job->ctx, pst_cmd_host_job_json(job));
	for (i = 0; i < p->n_files && !job->ctx->json; i++)
		if (p->file[i].target == PST_HOST_TARGET_NIXOS &&
		    p->file[i].text)
			fputs(p->file[i].text, stdout);
	if (!(p->targets & PST_HOST_TARGET_NIXOS) && !job->ctx->json &&
	    pst_host_plan_print_diffs(p, stdout) < 0)
		return pst_cmd_fail(job->ctx, "out of memory");
	return pst_cmd_fail(job->ctx,
			    "%s; nothing is changed: put what is printed above "
			    "where this system's files are made",
			    err->text);
}

static int apply(struct pst_cmd_host_job *job)
{
	const struct pst_host_plan *p = job->plan;
	PST_CLEANUP_FREE char *request = NULL, *diff = NULL;
	struct pst_host_journal_want *want =
		calloc(p->n_files + 1, sizeof(*want));
	struct pst_error err = {0};
	size_t changed = 0, i;
	int r = want ? pst_host_plan_request_format(p, &request) : -ENOMEM;

	for (i = 0; r == 0 && i < p->n_files; i++)
		want[i] = (struct pst_host_journal_want){
			.path = p->file[i].path,
			.text = p->file[i].text,
			.mode = p->file[i].mode,
		};
	/* A NixOS whose configuration is kept elsewhere. */
	if (r == 0 && p->targets & PST_HOST_TARGET_NIXOS &&
	    !pst_host_root_exists(&job->root, "etc/nixos"))
		r = pst_error_set(&err, -EROFS, "there is no /etc/nixos");
	if (r == 0)
		r = pst_host_journal_apply(&job->journal, request, want,
					   p->n_files, &changed, &diff, &err);
	else if (!*err.text)
		pst_error_set(&err, r, "out of memory");
	free(want);
	if (r == 0)
		return report(job, changed);
	if (diff)
		fputs(diff, stdout);
	if (r == -EROFS)
		return paste(job, &err);
	return pst_cmd_fail(job->ctx, "%s", err.text);
}

static int run(const struct pst_cmd_ctx *ctx, int argc, char **argv)
{
	return pst_cmd_host_job_run(
		ctx, argc, argv, PST_CMD_HOST_JOB_WRITE | PST_CMD_HOST_JOB_PLAN,
		apply);
}

const struct pst_cmd pst_cmd_host_apply = {
	.name = "apply",
	.args = "",
	.summary = "Change this host so that a card can be passed through",
	.help = "Writes what penstock host plan shows, all or nothing, and "
		"keeps the former bytes\nfor penstock host undo. Without "
		"options it does what it did the last time: that\nends an "
		"apply which was cut off. Runs no commands and does not "
		"reboot.\n",
	.example = "penstock host apply --gpu auto --region 4G\n",
	.opts = pst_cmd_host_plan_opts,
	.run = run,
};
