/* SPDX-License-Identifier: MIT */
/* Plans the pool of hugepages without the command line, and its mount. */
#include <inttypes.h>
#include <string.h>

#include "kernel-params/check/verdict.h"
#include "kernel-params/edit/dropins.h"
#include "kernel-params/plan/plan.h"
#include "kernel-params/syntax/cmdline.h"

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

/* The pool beside all that others take, by the command lines as they will be.
 */
static int check_fits(const struct pst_host_plan *p, struct pst_error *err)
{
	const uint64_t bytes = p->params.pool_pages * PST_HOST_HUGE_2M;
	struct pst_host_claims claims = p->host->claims;
	struct pst_host_room room;
	size_t i;

	for (i = 0; i < p->n_files; i++)
		if (p->file[i].target & PST_HOST_TARGETS_LOADER &&
		    p->file[i].text)
			pst_host_claims_file(&claims, p->file[i].text,
					     !p->params.plain_pool);
	pst_host_room_judge(p->host, &claims, p->params.pool_node, bytes,
			    &room);
	if (room.state == PST_HOST_ROOM_ENOUGH)
		return 0;
	return pst_error_set(
		err, -ENOSPC,
		"%" PRIu64 " MiB of hugepages are wanted%s%s%s, but %s has "
		"%" PRIu64 " MiB of memory, of which an eighth stays for the "
		"host: take less --vm-memory or --region%s",
		bytes >> 20, *room.why ? ", beside what others take (" : "",
		room.why, *room.why ? ")" : "", room.where, room.total >> 20,
		*room.why ? ", or give the others less" : "");
}

/* What sets the same pool after the command line, and before us. */
static int check_later(const struct pst_host_plan *p, unsigned int targets,
		       struct pst_error *err)
{
	static const char dir[] = "sysctl.d/";
	const struct pst_host_claims *c = &p->host->claims;
	const char *name = strstr(c->later, dir);

	if (!*c->later || c->later_pages >= p->params.pool_pages)
		return 0;
	/* sysctl.d is read in the order of names. */
	if (targets & PST_HOST_TARGET_SYSCTL && name &&
	    strcmp(name, strstr(SYSCTL_FILE, dir)) < 0)
		return 0;
	return pst_error_set(err, -EINVAL,
			     "/%s gives the pool of 2 MiB that many pages at "
			     "boot, whatever the command line says, and "
			     "%" PRIu64 " are wanted: take the line out, or "
			     "write that number there",
			     c->later, p->params.pool_pages);
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

	r = w->pool_pages && !p->request.compare_only ? check_fits(p, err) : 0;
	if (r < 0 || !w->pool_pages || p->targets & PST_HOST_TARGET_NIXOS)
		return r;
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
	r = p->request.compare_only ? 0 : check_later(p, targets, err);
	if (r == 0 && targets & PST_HOST_TARGET_SYSCTL)
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
