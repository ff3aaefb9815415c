/* SPDX-License-Identifier: MIT */
/* The words of a command line that lies in several pieces, to be edited. */
#ifndef PST_KERNEL_PARAMS_EDIT_PARAM_WORDS_H
#define PST_KERNEL_PARAMS_EDIT_PARAM_WORDS_H

#include "kernel-params/edit/edit_params.h"

/* A word and the white space before it; quotes keep white space in a word. */
struct pst_host_word {
	char *lead, *text; /* both owned */
	size_t part;
};

/*
 * The words the kernel takes for itself: those of all pieces, up to a "--".
 * What is behind that is kept aside with the white space of each piece's end.
 */
struct pst_host_words {
	struct pst_host_word *word;
	size_t n, cap;
	char **tail; /* of each piece */
	size_t n_parts, add_to;
};

/*
 * Takes the pieces apart. w is to be ended with pst_host_words_done(), also
 * after an error: -EINVAL ("--" before piece add_to, an open quote) and
 * -EMSGSIZE (more than PST_HOST_PARAMS_MAX_WORDS) with a sentence, -ENOMEM
 * without.
 */
PST_MUST_USE int pst_host_words_init(struct pst_host_words *w,
				     const struct pst_host_params_part *part,
				     size_t n_parts, size_t add_to,
				     struct pst_error *err);
void pst_host_words_done(struct pst_host_words *w);

/* A new word at the end of piece add_to; another text for a word; none more
 * of it. 0 or -ENOMEM. */
PST_MUST_USE int pst_host_words_add(struct pst_host_words *w, const char *fmt,
				    ...) __attribute__((format(printf, 2, 3)));
PST_MUST_USE int pst_host_words_set(struct pst_host_words *w, size_t i,
				    const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void pst_host_words_remove(struct pst_host_words *w, size_t i);

/* Writes the pieces anew, and whether each changed. 0, or -ENOMEM with none
 * changed. */
PST_MUST_USE int pst_host_words_write(const struct pst_host_words *w,
				      struct pst_host_params_part *part);

#endif
