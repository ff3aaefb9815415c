/* SPDX-License-Identifier: MIT */
/* Common declarations of the journal's files. */
#ifndef PST_KERNEL_PARAMS_JOURNAL_JOURNAL_INT_H
#define PST_KERNEL_PARAMS_JOURNAL_JOURNAL_INT_H

#include "kernel-params/journal/journal.h"

#define PST_HOST_JOURNAL_FILE "/" PST_HOST_JOURNAL_DIR "/journal"

/* Tells the hook what comes. 0, or its -errno with a sentence. */
PST_MUST_USE int pst_host_journal_step(const struct pst_host_journal *j,
				       const char *what, struct pst_error *err);

/* Writes the journal, whole or not at all; what is for the hook. */
PST_MUST_USE int pst_host_journal_save(const struct pst_host_journal *j,
				       const char *what, struct pst_error *err);

/* Whether the text of a file now is one that its entry knows of. */
bool pst_host_journal_known(const struct pst_host_journal *j,
			    const struct pst_host_journal_entry *e,
			    const char *now);

/*
 * Calls act for every directory above path that is missing, outermost first,
 * until it fails.
 */
PST_MUST_USE int pst_host_journal_each_missing(
	const struct pst_host_journal *j, const char *path,
	int (*act)(const struct pst_host_journal *j, const char *dir, void *arg,
		   struct pst_error *err),
	void *arg, struct pst_error *err);
/* Acts: notes it, once, in the journal arg; makes it. */
int pst_host_journal_note_dir(const struct pst_host_journal *j, const char *dir,
			      void *arg, struct pst_error *err);
int pst_host_journal_make_dir(const struct pst_host_journal *j, const char *dir,
			      void *arg, struct pst_error *err);

/* Those of the directories we made that are empty go. */
void pst_host_journal_remove_dirs(const struct pst_host_journal *j);

#endif
