/* SPDX-License-Identifier: MIT */
/* Files of a host changed as one: with a journal that outlives a crash, and an
 * undo that restores their former bytes. */
#ifndef PST_KERNEL_PARAMS_JOURNAL_JOURNAL_H
#define PST_KERNEL_PARAMS_JOURNAL_JOURNAL_H

#include "kernel-params/root/root.h"

/* Below the root. */
#define PST_HOST_JOURNAL_DIR "var/lib/penstock/host-plan"
/* Files in one journal, and bytes of it. */
#define PST_HOST_JOURNAL_MAX_FILES 256
#define PST_HOST_JOURNAL_MAX       (16U << 20)

enum pst_host_journal_state {
	PST_HOST_JOURNAL_NONE,    /* nothing is applied */
	PST_HOST_JOURNAL_PENDING, /* an apply was cut off */
	PST_HOST_JOURNAL_APPLIED,
	PST_HOST_JOURNAL_UNDOING, /* an undo was cut off */
};

/*
 * A file that is not what it was. Texts are owned; NULL is "no such file".
 * former: before penstock ever touched it; prev: before the change that is
 * pending; text: after it.
 */
struct pst_host_journal_entry {
	char *path;
	char *former, *prev, *text;
	unsigned int mode; /* of a file that is new */
	bool left_alone;   /* edited by others since: not touched */
};

/*
 * Called before each step that changes something, with what it will be. It may
 * return -errno, and the step fails with that; or never return (tests).
 */
struct pst_host_journal_hook {
	int (*step)(void *ctx, const char *what);
	void *ctx;
};

struct pst_host_journal {
	const struct pst_host_root *root; /* borrowed */
	struct pst_host_journal_hook hook;
	enum pst_host_journal_state state;
	char *request; /* what the caller said at the apply; "" at first */
	struct pst_host_journal_entry *entry;
	size_t n;
	char **dir; /* directories we made, outermost first */
	size_t n_dirs;
	int lock; /* the journal's directory, locked; -1 */
};

/* A file as a plan wants it. */
struct pst_host_journal_want {
	const char *path;  /* "/etc/default/grub" */
	const char *text;  /* NULL: no such file */
	unsigned int mode; /* if it is new; one that is there keeps its own */
};

/*
 * Reads the journal. write: makes its directory and locks it until
 * pst_host_journal_close(). 0, or -errno with a sentence: -EBUSY (somebody else
 * holds the lock), -EPROTO (it is damaged), -EROFS, -EACCES, -ENOSPC, -EIO,
 * -ENOMEM.
 */
PST_MUST_USE int pst_host_journal_open(const struct pst_host_root *root,
				       bool write, struct pst_host_journal *ret,
				       struct pst_error *err);
void pst_host_journal_close(struct pst_host_journal *j);

/*
 * The text that a plan begins with: the former one where the file holds what
 * the journal knows of, else (not in the journal, or edited since; *ret_edited
 * if not NULL) what it holds now. *ret is NULL when there is none, else the
 * caller frees it. 0, or -errno with a sentence: -EINVAL (not a regular file,
 * or not a text), -EMSGSIZE, -EACCES, -EIO, -ENOMEM.
 */
PST_MUST_USE int pst_host_journal_base(const struct pst_host_journal *j,
				       const char *path, char **ret,
				       bool *ret_edited, struct pst_error *err);

/* What a file holds now; as above. */
PST_MUST_USE int pst_host_journal_read(const struct pst_host_root *root,
				       const char *path, char **ret,
				       struct pst_error *err);

/*
 * Makes the files so. Those of an earlier apply that are not wanted any more
 * get their former text back, unless they were edited. All temporary files are
 * written before the first takes its place; owner, mode and extended attributes
 * stay. *ret_changed: how many files changed, 0 for a repetition. After an
 * error nothing has changed, except where the sentence says that it has; the
 * journal then knows and an undo or apply ends it. -EEXIST: a file that has to
 * change was edited since the last apply, *ret_diff (to be freed) shows how.
 * Else -errno as pst_host_journal_open(), -EINVAL as pst_host_journal_base()
 * and for a symbolic link.
 */
PST_MUST_USE int
pst_host_journal_apply(struct pst_host_journal *j, const char *request,
		       const struct pst_host_journal_want *want, size_t n,
		       size_t *ret_changed, char **ret_diff,
		       struct pst_error *err);

/*
 * Gives every file its former bytes and ends the journal. -EEXIST with a
 * sentence when files were edited since: nothing is changed then, and
 * *ret_diff (to be freed) shows what was done to each. keep_edited: those files
 * keep their edits, are left_alone in their entries, and the others change.
 * *ret_changed: how many files changed. Else as pst_host_journal_apply().
 */
PST_MUST_USE int pst_host_journal_undo(struct pst_host_journal *j,
				       bool keep_edited, size_t *ret_changed,
				       char **ret_diff, struct pst_error *err);

/* The entry of a path, or NULL. */
const struct pst_host_journal_entry *
pst_host_journal_find(const struct pst_host_journal *j, const char *path);

/* ---- The journal as bytes (pure) ------------------------------------------
 */

/* Writes state, request, entries and dirs. 0 with *ret to be freed; -ENOMEM. */
PST_MUST_USE int pst_host_journal_format(const struct pst_host_journal *j,
					 char **ret, size_t *ret_len);

/* Fills them from bytes. 0, -EPROTO (damaged) or -ENOMEM; j is to be emptied
 * with pst_host_journal_clear() also after an error. */
PST_MUST_USE int pst_host_journal_parse(const char *bytes, size_t len,
					struct pst_host_journal *j);
void pst_host_journal_clear(struct pst_host_journal *j);

/* A new, empty entry for path. NULL: out of memory, or too many. */
struct pst_host_journal_entry *pst_host_journal_add(struct pst_host_journal *j,
						    const char *path);
/* Notes a directory we made. 0 or -ENOMEM. */
PST_MUST_USE int pst_host_journal_add_dir(struct pst_host_journal *j,
					  const char *path);

#endif
