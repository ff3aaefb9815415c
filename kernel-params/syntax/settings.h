/* SPDX-License-Identifier: MIT */
/* What shell-like files of settings leave in variables, without a shell, and
 * where they set them. */
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
 * first element, $NAME of one of the settings is replaced, a later line wins,
 * also one that unsets it.
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

/* ---- For editing in place -------------------------------------------------
 */

/*
 * One assignment. Its value, without its quotes or brackets, is len bytes at
 * off; it may have "$" and escapes in it, which stay what they are. clear is
 * false where the line does more than assign one quoted or bare word or one
 * array for sure, or is in a condition; such a line must not be edited, why
 * tells the cause, and off and len mean nothing then.
 */
struct pst_host_shell_assign {
	size_t off, len;
	unsigned int line; /* counted from 1 */
	char open;         /* '"', '\'', '(' or 0 */
	bool clear;
	bool many_lines; /* why tells of a text in quotes, too */
	bool adds;       /* +=, or the value names its own variable */
	char why[PST_HOST_FAULT_MAX];
};

/* How far a text was read; zero before the first call. */
struct pst_host_shell_pos {
	size_t off;
	unsigned int line, depth;
	bool begun, first, unsets, joined;
};

/* The next assignment of the variable. False when there is none. */
bool pst_host_shell_next(const char *text, const char *name,
			 struct pst_host_shell_pos *pos,
			 struct pst_host_shell_assign *ret);

/* A word of an array or a text: where it stands with its quotes, and what the
 * shell makes of it, cut off where it is long. */
struct pst_host_shell_word {
	size_t off, len;
	char text[128];
};

/* The next word of a clear assignment; *pos begins at 0. */
bool pst_host_shell_word(const char *text,
			 const struct pst_host_shell_assign *a, size_t *pos,
			 struct pst_host_shell_word *ret);

/* Whether the last line goes on, or a condition or quote is open there, so that
 * no line can be put behind it. */
bool pst_host_shell_goes_on(const char *text);

void pst_host_settings_done(struct pst_host_setting *s, size_t n);

#endif
