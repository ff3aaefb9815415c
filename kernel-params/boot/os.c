/* SPDX-License-Identifier: MIT */
/* Reads which system a root is of. */
#include "kernel-params/boot/os.h"

#include <stdio.h>
#include <string.h>

#include "kernel-params/syntax/cmdline.h"

void pst_host_os_read(const struct pst_host_root *root,
		      char ret[PST_HOST_OS_ID_MAX])
{
	PST_CLEANUP_FREE char *text = NULL;
	struct pst_host_cmdline vars;
	const struct pst_host_param *id;
	size_t len;

	*ret = '\0';
	/* There os-release is a link into a store that may not be here. */
	if (pst_host_root_exists(root, "etc/NIXOS")) {
		strcpy(ret, "nixos");
		return;
	}
	if (pst_host_root_read(root, "etc/os-release", 4096, &text, &len) < 0 &&
	    pst_host_root_read(root, "usr/lib/os-release", 4096, &text, &len) <
		    0)
		return;
	/* Assignments in quotes, one a line: the same rules do. */
	if (pst_host_cmdline_parse(text, len, &vars) < 0)
		return;
	id = pst_host_cmdline_get(&vars, "ID");
	if (id && id->value)
		snprintf(ret, PST_HOST_OS_ID_MAX, "%s", id->value);
	pst_host_cmdline_done(&vars);
}
