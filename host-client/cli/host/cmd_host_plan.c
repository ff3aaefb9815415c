/* SPDX-License-Identifier: MIT */
/* penstock host plan: shows what would change on this host. */
#include <inttypes.h>
#include <string.h>

#include "host-client/cli/cmds.h"
#include "host-client/cli/host/host_plan.h"

static void print_card(const struct pst_host_plan *p)
{
	size_t i;

	for (i = 0; i < p->n_fn; i++)
		printf("%s  %04x:%04x  %-8s for vfio-pci%s%s%s\n",
		       p->fn[i]->name, p->fn[i]->vendor, p->fn[i]->device,
		       pst_host_pci_kind(p->fn[i]),
		       *p->fn[i]->driver ? ", now " : "", p->fn[i]->driver,
		       p->by_address ? ", by its address" : "");
	if (!p->params.pool_pages)
		return;
	printf("%" PRIu64 " hugepages of 2 MiB", p->params.pool_pages);
	if (p->params.pool_node >= 0)
		printf(" on NUMA node %d, the card's", p->params.pool_node);
	putchar('\n');
}

static int show(struct pst_cmd_host_job *job)
{
	const struct pst_host_plan *p = job->plan;
	size_t i;

	if (job->ctx->json)
		return pst_cmd_print_json(job->ctx, pst_cmd_host_job_json(job));
	print_card(p);
	for (i = 0; i < p->notes.n; i++)
		printf("note: %s\n", p->notes.line[i]);
	putchar('\n');
	if (pst_host_plan_print_diffs(p, stdout) < 0)
		return pst_cmd_fail(job->ctx, "out of memory");
	if (pst_host_plan_changes(p) == 0)
		pst_cmd_host_print_unchanged(p);
	else
		putchar('\n');
	pst_cmd_host_print_commands(&p->commands);
	return PST_EXIT_OK;
}

static int run(const struct pst_cmd_ctx *ctx, int argc, char **argv)
{
	return pst_cmd_host_job_run(ctx, argc, argv, PST_CMD_HOST_JOB_PLAN,
				    show);
}

const struct pst_cmd pst_cmd_host_plan = {
	.name = "plan",
	.args = "",
	.summary = "Show what to change so that a card can be passed through",
	.help = "Prints the difference that each file would get, as patch -p1 "
		"takes it, and the\ncommands to run afterwards: kernel "
		"parameters, modules in order, hugepages.\nChanges nothing. "
		"penstock-host(8) has the details.\n",
	.example = "penstock host plan --gpu auto --region 4G\n",
	.opts = pst_cmd_host_plan_opts,
	.run = run,
};
