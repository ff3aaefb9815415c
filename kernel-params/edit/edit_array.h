/* SPDX-License-Identifier: MIT */
/* Edits arrays of shell configuration files: puts words first. */
#ifndef PST_KERNEL_PARAMS_EDIT_EDIT_ARRAY_H
#define PST_KERNEL_PARAMS_EDIT_EDIT_ARRAY_H

#include <stdbool.h>

#include "transport/base/error.h"
#include "transport/base/util.h"

/*
 * Brings words (ended by NULL) into the array var of a file such as
 * mkinitcpio.conf, old form VAR="a b" included; a line is added where nothing
 * assigns it. They come first, in their order, unless they are there already
 * and none stands behind a word for which rival() is true (rival NULL: no
 * order is wanted). Comments, other words and their order stay. path is for
 * sentences. 0 with *ret to be freed, or -errno with a sentence: -EINVAL (it
 * cannot be edited safely), -ENOMEM.
 */
PST_MUST_USE int pst_host_edit_array(const char *old, const char *path,
				     const char *var, const char *const *words,
				     bool (*rival)(const char *word),
				     char **ret, struct pst_error *err);

/*
 * The same for initramfs-tools' list of modules, one a line with options
 * behind it. old may be NULL. 0 with *ret to be freed, or -ENOMEM.
 */
PST_MUST_USE int pst_host_edit_module_list(const char *old,
					   const char *const *words,
					   bool (*rival)(const char *word),
					   char **ret);

/* Whether such an array, if it can be read, has a word that is a rival. */
bool pst_host_array_has_rival(const char *text, const char *var);

#endif
