/* SPDX-License-Identifier: MIT */
/* The reader of shell-like files, for settings.c and shell_place.c alone. */
#ifndef PST_KERNEL_PARAMS_SYNTAX_SHELL_INT_H
#define PST_KERNEL_PARAMS_SYNTAX_SHELL_INT_H

#include "kernel-params/syntax/settings.h"

/* What a tree made to waste memory may leave in one variable. */
#define PST_HOST_SHELL_VALUE_MAX (256 << 10)

struct pst_host_shell {
	const char *p;
	unsigned int line;
	struct pst_host_setting *s;
	size_t n;
	const char *path; /* NULL: faults are told without it */
	char *fault;
	bool open;        /* a quote, at the end */
	bool needs_shell; /* for what it read since this was cleared */
	/* Where it is among statements. */
	bool first;       /* the next word is the name of a command */
	bool unsets;      /* that command is unset */
	bool joined;      /* it is behind && or a pipe */
	const char *here; /* the end of a here-document to come, or NULL */
	size_t here_len;
	unsigned int depth; /* conditions, loops and functions around it */
};

/* One assignment of a setting, or that it is unset. */
struct pst_host_shell_found {
	struct pst_host_setting *to;
	const char *begin;
	bool adds, unset, joined;
};

/* Tells a cause in fault, if that is "" so far. */
void pst_host_shell_tell(const struct pst_host_shell *r, const char *cause);

/* One byte on. */
void pst_host_shell_step(struct pst_host_shell *r);

/* Whether a name may have it. */
bool pst_host_shell_is_name(char c);

/* One word, quotes taken off, up to white space or an operator; to may be NULL.
 * in_array: it is an element. */
void pst_host_shell_take_word(struct pst_host_shell *r, bool in_array,
			      FILE *to);

/* The words of an array, from behind its bracket to behind the other. sep: some
 * are there already. */
void pst_host_shell_take_array(struct pst_host_shell *r, bool sep, FILE *to);

/* Goes to behind the "=" of the next assignment of a setting. False: there is
 * none. */
bool pst_host_shell_find(struct pst_host_shell *r,
			 struct pst_host_shell_found *ret);

#endif
