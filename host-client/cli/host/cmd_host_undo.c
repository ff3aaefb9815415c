/* SPDX-License-Identifier: MIT */
/* penstock host undo: gives the files their former bytes. */
#include <string.h>

#include "host-client/cli/cmds.h"
#include "host-client/cli/host/host_plan.h"

static const struct pst_cmd_opt opts[] = {
	{PST_OPT_KEEP_EDITED, "keep-edited", NULL,
	 "leave files as they are that were edited since"},
	PST_CMD_HOST_ROOT_OPT,
	PST_CMD_OPT_JSON,
	{0},
};

static int report(const struct pst_cmd_host_job *job,
		  const struct pst_host_lines *files,
		  const struct pst_host_lines *kept,
		  const struct pst_host_lines *commands, size_t changed)
{
	size_t i;

	if (job->ctx->json)
		return pst_cmd_print_json(
			job->ctx,
			json_pack("{s:I, s:o, s:o, s:o}", "changed",
				  (json_int_t)changed, "files",
				  pst_cmd_host_lines_json(files), "kept",
				  pst_cmd_host_lines_json(kept), "commands",
				  pst_cmd_host_lines_json(commands)));
	for (i = 0; i < files->n; i++)
		printf("restored  %s\n", files->line[i]);
	for (i = 0; i < kept->n; i++)
		printf("kept      %s\n", kept->line[i]);
	if (!files->n && !kept->n)
		puts("Nothing is applied here.");
	for (i = 0; i < files->n; i++)
		if (strcmp(files->line[i], "/etc/nixos/penstock.nix") == 0)
			puts("note: take penstock.nix out of the imports of "
			     "configuration.nix");
	pst_cmd_host_print_commands(commands);
	return PST_EXIT_OK;
}

static int undo(struct pst_cmd_host_job *job)
{
	struct pst_host_lines files = {0}, kept = {0}, commands = {0};
	PST_CLEANUP_FREE char *diff = NULL;
	struct pst_error err = {0};
	size_t changed = 0, i;
	int r = pst_host_journal_undo(&job->journal, job->keep_edited, &changed,
				      &diff, &err);

	for (i = 0; r == 0 && i < job->journal.n; i++) {
		const struct pst_host_journal_entry *e = &job->journal.entry[i];

		r = pst_host_lines_add(e->left_alone ? &kept : &files, "%s",
				       e->path);
	}
	if (r == 0)
		r = pst_host_plan_commands(&job->root,
					   pst_host_lines_list(&files), files.n,
					   true, &commands);
	if (r == 0) {
		r = report(job, &files, &kept, &commands, changed);
	} else {
		if (diff)
			fputs(diff, stdout);
		r = pst_cmd_fail(job->ctx, "%s",
				 *err.text ? err.text : "out of memory");
	}
	pst_host_lines_done(&files);
	pst_host_lines_done(&kept);
	pst_host_lines_done(&commands);
	return r;
}

static int run(const struct pst_cmd_ctx *ctx, int argc, char **argv)
{
	return pst_cmd_host_job_run(ctx, argc, argv, PST_CMD_HOST_JOB_WRITE,
				    undo);
}

const struct pst_cmd pst_cmd_host_undo = {
	.name = "undo",
	.args = "",
	.summary = "Take back what penstock host apply changed",
	.help = "Every file gets the bytes back that it had before the first "
		"apply. Where one was\nedited since, nothing is changed, and "
		"the edits are shown; with\n--keep-edited such files stay as "
		"they are.\n",
	.example = "penstock host undo\n",
	.opts = opts,
	.run = run,
};
