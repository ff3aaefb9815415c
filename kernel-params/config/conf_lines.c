/* SPDX-License-Identifier: MIT */
/* Reads files of settings line by line. */
#include "kernel-params/config/conf_lines.h"

#include <string.h>

#include "transport/base/util.h"

void pst_host_conf_lines(const struct pst_host_root *root, const char *path,
			 pst_host_take_line *take, void *ctx)
{
	PST_CLEANUP_FREE char *text = NULL;
	char *line, *save;
	size_t len;

	if (pst_host_root_read(root, path, PST_HOST_ROOT_CONF_MAX, &text,
			       &len) < 0)
		return;
	for (line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		line += strspn(line, " \t");
		for (len = strlen(line);
		     len > 0 && strchr(" \t\r", line[len - 1]);)
			line[--len] = '\0';
		if (*line && *line != '#' && *line != ';')
			take(ctx, path, line);
	}
}

bool pst_host_conf_is_name(const char *name)
{
	size_t n = strlen(name);

	return n > 5 && strcmp(name + n - 5, ".conf") == 0;
}
