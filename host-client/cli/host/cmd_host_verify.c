/* SPDX-License-Identifier: MIT */
/* penstock host verify: compares the plan with the host after the reboot. */
#include <string.h>

#include "host-client/cli/cmds.h"
#include "host-client/cli/host/host_plan.h"

static const struct pst_cmd_opt opts[] = {
	PST_CMD_HOST_PLAN_OPTS,
	PST_CMD_HOST_ROOT_OPT,
	PST_CMD_OPT_JSON,
	{0},
};

static json_t *to_json(const struct pst_host_verdicts *v, bool good)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < v->n; i++)
		if (json_array_append_new(
			    list,
			    json_pack("{s:s, s:s, s:o}", "id", v->verdict[i].id,
				      "status",
				      v->verdict[i].good ? "OK" : "FAIL",
				      "seen",
				      pst_cmd_text(v->verdict[i].what)))) {
			json_decref(list);
			return NULL;
		}
	return json_pack("{s:b, s:o}", "ok", good, "verdicts", list);
}

static int verify(struct pst_cmd_host_job *job)
{
	struct pst_host_verdicts v;
	struct pst_error err = {0};
	bool good = true;
	size_t i;
	int r = pst_host_plan_verify(job->plan, &job->journal, &v, &err);

	if (r < 0)
		return pst_cmd_fail(job->ctx, "%s", err.text);
	for (i = 0; i < v.n; i++) {
		good &= v.verdict[i].good;
		if (!job->ctx->json)
			printf("%-4s  %-9s  %s\n",
			       v.verdict[i].good ? "OK" : "FAIL",
			       v.verdict[i].id, v.verdict[i].what);
	}
	r = PST_EXIT_OK;
	if (job->ctx->json)
		r = pst_cmd_print_json(job->ctx, to_json(&v, good));
	pst_host_verdicts_done(&v);
	return r == PST_EXIT_OK && !good ? PST_EXIT_FINDINGS : r;
}

static int run(const struct pst_cmd_ctx *ctx, int argc, char **argv)
{
	return pst_cmd_host_job_run(
		ctx, argc, argv,
		PST_CMD_HOST_JOB_PLAN | PST_CMD_HOST_JOB_LOOK_ONLY, verify);
}

const struct pst_cmd pst_cmd_host_verify = {
	.name = "verify",
	.args = "",
	.summary = "Check that the host is as it was applied",
	.help = "Run it after the reboot. It compares files, command line, "
		"drivers, hugepages and\nmodules with the last penstock host "
		"apply, or with the options. One line each;\nexit 3 where "
		"something differs.\n",
	.example = "penstock host verify\n",
	.opts = opts,
	.run = run,
};
