/* SPDX-License-Identifier: MIT */
/* Reads files of settings line by line. */
#ifndef PST_KERNEL_PARAMS_CONFIG_CONF_LINES_H
#define PST_KERNEL_PARAMS_CONFIG_CONF_LINES_H

#include "kernel-params/root/root.h"

typedef void pst_host_take_line(void *ctx, const char *path, char *line);

/* Calls take for each line of a file that is neither empty nor a comment ('#',
 * ';'), without white space at its ends; for none where it cannot be read. */
void pst_host_conf_lines(const struct pst_host_root *root, const char *path,
			 pst_host_take_line *take, void *ctx);

/* Whether a name ends in ".conf" and has something before it. */
bool pst_host_conf_is_name(const char *name);

#endif
