/* SPDX-License-Identifier: MIT */
/* Plans the pool of hugepages without the command line, and its mount. */
#include <string.h>

#include "kernel-params/edit/dropins.h"
#include "kernel-params/plan/plan.h"
#include "kernel-params/scan/cmdline.h"

#define SYSCTL_FILE   "/etc/sysctl.d/90-penstock.conf"
#define TMPFILES_FILE "/etc/tmpfiles.d/penstock.conf"
#define MOUNT_FILE    "/etc/systemd/system/dev-hugepages2M.mount"

static int add(struct pst_host_plan *p, const struct pst_host_journal *j,
	       unsigned int target, const char *path, char *text,
	       struct pst_error *err)
{
	if (!text)
		return pst_oom(err);
	return pst_host_plan_file(p, j, target, path, text, 0644, true, err);
}

/* /dev/hugepages has pages of the default size. */
static int plan_mount(struct pst_host_plan *p, const struct pst_host_journal *j,
		      struct pst_error *err)
{
	if (p->host->memory.default_hugepage <= PST_HOST_HUGE_2M ||
	    !p->request.region)
		return 0;
	if (pst_host_plan_note(
		    p, err,
		    "the default hugepage is larger than 2 MiB, which a "
		    "region file cannot use: it gets a mount of its own, "
		    "/dev/hugepages2M") < 0)
		return -ENOMEM;
	return add(p, j, PST_HOST_TARGET_TMPFILES, MOUNT_FILE,
		   pst_host_dropin_mount(), err);
}

int pst_host_plan_memory(struct pst_host_plan *p,
			 const struct pst_host_journal *j,
			 struct pst_error *err)
{
	const struct pst_host_params *w = &p->params;
	bool loader = p->targets & PST_HOST_TARGETS_LOADER &&
		      pst_host_params_have_pool(w);
	bool by_node = w->pool_node >= 0;
	unsigned int targets = p->targets;
	int r;

	if (!w->pool_pages || p->targets & PST_HOST_TARGET_NIXOS)
		return 0;
	if (targets & PST_HOST_TARGET_SYSCTL && by_node)
		return pst_error_set(err, -EINVAL,
				     "sysctl spreads hugepages over all NUMA "
				     "nodes, and the card is on node %d: "
				     "--for tmpfiles",
				     w->pool_node);
	/* By itself it is only for what the command line cannot give. */
	if (!loader && !p->request.targets)
		targets |= by_node ? PST_HOST_TARGET_TMPFILES
				   : PST_HOST_TARGET_SYSCTL;
	r = 0;
	if (targets & PST_HOST_TARGET_SYSCTL)
		r = add(p, j, PST_HOST_TARGET_SYSCTL, SYSCTL_FILE,
			pst_host_dropin_sysctl(w->pool_pages), err);
	if (r == 0 && targets & PST_HOST_TARGET_TMPFILES)
		r = add(p, j, PST_HOST_TARGET_TMPFILES, TMPFILES_FILE,
			pst_host_dropin_tmpfiles(w->pool_node, w->pool_pages),
			err);
	if (r == 0 &&
	    (targets & PST_HOST_TARGET_TMPFILES || !p->request.targets))
		r = plan_mount(p, j, err);
	return r;
}
