/* SPDX-License-Identifier: MIT */
/* The difference of two texts, in the unified format that patch(1) takes. */
#ifndef PST_KERNEL_PARAMS_EDIT_DIFF_H
#define PST_KERNEL_PARAMS_EDIT_DIFF_H

#include <stdbool.h>
#include <stddef.h>

#include "transport/base/util.h"

/*
 * What makes b of a, with three lines around each change. a or b NULL: there
 * is no such file, and its name becomes /dev/null. path is written after "a/"
 * and "b/", without the slash it may begin with: `patch -p1` finds it. Texts
 * that are equal give an empty string. Beyond PST_HOST_DIFF_MAX_CELLS pairs of
 * lines that differ, everything between the first and the last change is one
 * change: still right, only longer. Returns 0 with *ret to be freed by the
 * caller, or -ENOMEM.
 */
PST_MUST_USE int pst_host_diff_unified(const char *path, const char *a,
				       const char *b, char **ret);

/*
 * The same for texts of which some lines must not be shown: secret has one
 * entry for each line of a. Those are no context; a hunk that they make shorter
 * has as little on its other side, where patch(1) wants it. -EACCES if such a
 * line would have to be shown as one that goes.
 */
PST_MUST_USE int pst_host_diff_without(const char *path, const char *a,
				       const char *b, const bool *secret,
				       char **ret);

#define PST_HOST_DIFF_MAX_CELLS (4U << 20)

/* Whether two texts, each possibly NULL (no file), are the same. */
bool pst_host_text_same(const char *a, const char *b);

#endif
