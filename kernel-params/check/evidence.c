/* SPDX-License-Identifier: MIT */
/* Takes back a PASS for which nothing was seen. */
#include <stdio.h>
#include <string.h>

#include "kernel-params/check/check_int.h"

/* Files without which a PASS of that check would be a guess. */
static const struct {
	const char *id;
	enum pst_host_unseen unseen;
	const char *path;
} evidence[] = {
	{"iommu.acs", PST_HOST_UNSEEN_CMDLINE, "proc/cmdline"},
	{"iommu.interrupts", PST_HOST_UNSEEN_CMDLINE, "proc/cmdline"},
	{"nvidia.modeset", PST_HOST_UNSEEN_CMDLINE, "proc/cmdline"},
	{"gpu.host_use", PST_HOST_UNSEEN_MOUNTS, "proc/mounts"},
	{"gpu.host_use", PST_HOST_UNSEEN_ROUTES, "proc/net/route"},
	{"gpu.boot_display", PST_HOST_UNSEEN_BOOT_VGA, "boot_vga of the card"},
	{"hugepages.node", PST_HOST_UNSEEN_NODES, "sys/devices/system/node"},
};

void pst_host_finding_doubt(const struct pst_host *h,
			    struct pst_host_finding *f)
{
	char *seen, *fix;
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(evidence); i++) {
		if (f->status != PST_HOST_PASS ||
		    !(h->files.unseen & evidence[i].unseen) ||
		    strcmp(f->id, evidence[i].id) != 0)
			continue;
		f->status = PST_HOST_WARN;
		if (asprintf(&seen, "%s, but %s was not seen", f->seen,
			     evidence[i].path) < 0)
			return;
		free(f->seen);
		f->seen = seen;
		fix = strdup("look at it on that machine, or copy it too");
		if (!fix)
			return;
		free(f->fix);
		f->fix = fix;
	}
}
