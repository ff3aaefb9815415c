/* SPDX-License-Identifier: MIT */
/* What shell-like files of settings leave in variables, without a shell. */
#ifndef PST_KERNEL_PARAMS_SYNTAX_SETTINGS_H
#define PST_KERNEL_PARAMS_SYNTAX_SETTINGS_H

#include "kernel-params/root/root.h"

/* A variable, and what it holds after the files that were read. */
struct pst_host_setting {
	const char *name;
	/* Elements of an array have PST_HOST_SETTING_SEP behind them, but for
	 * the last; NULL: not set. */
	char *value;
	bool array;
	size_t work; /* bytes that were built for it */
};

#define PST_HOST_SETTING_SEP '\037'

/*
 * Takes in one file's text on top of what the n settings hold, as a shell does
 * that sources one file after the other: "=" sets, "+=" puts behind (a text as
 * it is, without a blank), "(...)" is an array, of which a plain text is the
 * first element, $NAME of one of the settings is replaced, a later line wins.
 * Conditions count as true, so what stands below "if" is taken. What a shell is
 * needed for, and what is no shell at all (CR LF, typographic quotes), is told
 * in fault, "FILE line N: CAUSE", if that is
 * "" so far. 0 or -ENOMEM.
 */
#define PST_HOST_FAULT_MAX 200

PST_MUST_USE int pst_host_settings_take(const char *text, const char *path,
					struct pst_host_setting *s, size_t n,
					char fault[PST_HOST_FAULT_MAX]);

/* The words of a value (NULL: none), added to words. 0 or -ENOMEM. */
PST_MUST_USE int pst_host_setting_words(const char *value,
					struct pst_host_names *words);

void pst_host_settings_done(struct pst_host_setting *s, size_t n);

#endif
