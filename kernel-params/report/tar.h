/* SPDX-License-Identifier: MIT */
/* Writes a tar: ustar, with GNU's entries for names that are longer. */
#ifndef PST_KERNEL_PARAMS_REPORT_TAR_H
#define PST_KERNEL_PARAMS_REPORT_TAR_H

#include <stddef.h>
#include <stdio.h>

/*
 * Each adds an entry, of nobody's and of no time. Errors are those of the
 * stream, which the caller asks for at the end.
 */
void pst_host_tar_dir(FILE *f, const char *path);
void pst_host_tar_link(FILE *f, const char *path, const char *target);
void pst_host_tar_file(FILE *f, const char *path, const char *data, size_t len);
/* The two empty blocks behind the last entry. */
void pst_host_tar_end(FILE *f);

#endif
