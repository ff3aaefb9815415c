/* SPDX-License-Identifier: MIT */
/* Applies and undoes changes. The journal records each step before it is done,
 * and when it is done. */
#include <string.h>

#include "kernel-params/edit/diff.h"
#include "kernel-params/journal/journal_int.h"
#include "kernel-params/root/hostfile.h"

/* ---- Changing files -------------------------------------------------------
 */

/* Each entry's file, its text now, and the one it shall have. */
struct change {
	struct pst_host_file f;
	char *now;
	const char *to;
	bool differs, written, done;
};

static void end_changes(struct change *c, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		pst_host_file_close(&c[i].f);
		free(c[i].now);
	}
	free(c);
}

/* What there is to do; to_former: an undo. *ret is always to be ended. */
static int find_changes(struct pst_host_journal *j, bool to_former,
			struct change **ret, struct pst_error *err)
{
	struct change *c = calloc(j->n + 1, sizeof(*c));
	size_t i;
	int r = 0;

	*ret = c;
	if (!c)
		return pst_oom(err);
	for (i = 0; i < j->n; i++)
		c[i].f.dir = -1;
	for (i = 0; r == 0 && i < j->n; i++) {
		const struct pst_host_journal_entry *e = &j->entry[i];

		c[i].to = to_former ? e->former : e->text;
		r = pst_host_journal_read(j->root, e->path, &c[i].now, err);
		c[i].differs = !e->left_alone &&
			       !pst_host_text_same(c[i].now, c[i].to);
		if (r == 0 && c[i].differs && c[i].to)
			r = pst_host_journal_each_missing(
				j, e->path, pst_host_journal_make_dir, NULL,
				err);
		if (r == 0)
			r = pst_host_file_open(j->root, e->path, &c[i].f, err);
		/* Left over from what was cut off. */
		if (r == 0)
			pst_host_file_discard(&c[i].f);
	}
	return r;
}

/* All new files beside the old ones. */
static int write_changes(struct pst_host_journal *j, struct change *c,
			 struct pst_error *err)
{
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && i < j->n; i++) {
		if (!c[i].differs || !c[i].to)
			continue;
		r = pst_host_journal_step(
			j, "write a new file beside the old one", err);
		if (r == 0)
			r = pst_host_file_write(&c[i].f, c[i].to,
						j->entry[i].mode, err);
		c[i].written = r == 0;
	}
	return r;
}

static int commit_changes(struct pst_host_journal *j, struct change *c,
			  size_t *ret_changed, struct pst_error *err)
{
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && i < j->n; i++) {
		if (!c[i].differs)
			continue;
		r = pst_host_journal_step(j, "replace a file", err);
		if (r == 0 && c[i].to)
			r = pst_host_file_commit(&c[i].f, err);
		else if (r == 0)
			r = pst_host_file_remove(&c[i].f, err);
		c[i].done = r == 0;
		*ret_changed += r == 0;
	}
	return r;
}

/* Puts back what was there before this change. 0, or -errno: some stayed. */
static int roll_back(struct pst_host_journal *j, struct change *c)
{
	size_t i;
	int r = 0;

	for (i = j->n; i-- > 0;) {
		pst_host_file_discard(&c[i].f);
		if (!c[i].done)
			continue;
		if (!c[i].now)
			r = pst_host_file_remove(&c[i].f, NULL);
		else
			r = pst_host_file_write(&c[i].f, c[i].now,
						j->entry[i].mode, NULL);
		if (r == 0 && c[i].now)
			r = pst_host_file_commit(&c[i].f, NULL);
		if (r < 0)
			return r;
	}
	return 0;
}

static int remove_journal(struct pst_host_journal *j, struct pst_error *err)
{
	struct pst_host_file f;
	int r = pst_host_file_open(j->root, PST_HOST_JOURNAL_FILE, &f, err);

	if (r < 0)
		return r;
	r = pst_host_journal_step(j, "remove the journal", err);
	if (r == 0)
		r = pst_host_file_remove(&f, err);
	pst_host_file_close(&f);
	return r;
}

/* ---- Apply ----------------------------------------------------------------
 */

static char *copy(const char *text, int *rc)
{
	char *ret = text ? strdup(text) : NULL;

	if (text && !ret)
		*rc = -ENOMEM;
	return ret;
}

/*
 * An entry of the new journal: what old knows of the file, and the text that
 * is wanted, or without one the former text. A file that was edited since is
 * left alone; when it would have to change, -EEXIST.
 */
static int add_entry(struct pst_host_journal *new,
		     const struct pst_host_journal *old,
		     const struct pst_host_journal_want *w, bool wanted,
		     struct pst_error *err)
{
	const struct pst_host_journal_entry *o =
		pst_host_journal_find(old, w->path);
	PST_CLEANUP_FREE char *now = NULL;
	const char *text = wanted || !o ? w->text : o->former;
	struct pst_host_journal_entry *e;
	bool edited;
	int r = pst_host_journal_read(new->root, w->path, &now, err);

	if (r < 0)
		return r;
	edited = o && !pst_host_journal_known(old, o, now);
	if (edited && wanted && !pst_host_text_same(now, text))
		return -EEXIST;
	/* Neither ours before nor changed now. */
	if (!o && pst_host_text_same(now, text))
		return 0;
	e = pst_host_journal_add(new, w->path);
	if (!e)
		return pst_error_set(err, -ENOMEM,
				     "out of memory, or more than %d files",
				     PST_HOST_JOURNAL_MAX_FILES);
	e->mode = w->mode;
	e->left_alone = edited;
	e->former = copy(o ? o->former : now, &r);
	e->text = copy(edited ? o->text : text, &r);
	e->prev = copy(now, &r);
	if (r < 0)
		return pst_oom(err);
	return e->text ? pst_host_journal_each_missing(
				 new, e->path, pst_host_journal_note_dir, new,
				 err)
		       : 0;
}

static int make_entries(struct pst_host_journal *new,
			const struct pst_host_journal *old,
			const struct pst_host_journal_want *want, size_t n,
			struct pst_error *err)
{
	size_t i, k;
	int r = 0;

	for (i = 0; r == 0 && i < old->n_dirs; i++)
		r = pst_host_journal_add_dir(new, old->dir[i]);
	for (i = 0; r == 0 && i < n; i++)
		r = add_entry(new, old, &want[i], true, err);
	for (i = 0; r == 0 && i < old->n; i++) {
		const struct pst_host_journal_want gone = {
			.path = old->entry[i].path,
			.mode = old->entry[i].mode,
		};

		for (k = 0; k < n; k++)
			if (strcmp(want[k].path, gone.path) == 0)
				break;
		if (k == n)
			r = add_entry(new, old, &gone, false, err);
	}
	return r;
}

/* Whether the applied journal says the same already. */
static bool same_journal(const struct pst_host_journal *a,
			 const struct pst_host_journal *b)
{
	size_t i;

	if (a->state != PST_HOST_JOURNAL_APPLIED || a->n != b->n ||
	    strcmp(a->request, b->request) != 0)
		return false;
	for (i = 0; i < a->n; i++) {
		const struct pst_host_journal_entry *e =
			pst_host_journal_find(b, a->entry[i].path);

		if (!e || !pst_host_text_same(a->entry[i].text, e->text) ||
		    !pst_host_text_same(a->entry[i].former, e->former))
			return false;
	}
	return true;
}

/* Drops entries that are what they were before penstock. */
static void settle(struct pst_host_journal *j)
{
	size_t i, n = 0;

	for (i = 0; i < j->n; i++) {
		struct pst_host_journal_entry *e = &j->entry[i];

		free(e->prev);
		e->prev = NULL;
		if (!e->left_alone && pst_host_text_same(e->former, e->text)) {
			free(e->path);
			free(e->former);
			free(e->text);
			continue;
		}
		j->entry[n++] = *e;
	}
	j->n = n;
	j->state = PST_HOST_JOURNAL_APPLIED;
}

/* The change failed: everything back, and the old journal. */
static int give_up(struct pst_host_journal *j, struct pst_host_journal *old,
		   struct change *c, int r, struct pst_error *err)
{
	struct pst_error why = err ? *err : (struct pst_error){0};
	int back = c ? roll_back(j, c) : 0;

	if (back == 0)
		back = old->state == PST_HOST_JOURNAL_NONE
			       ? remove_journal(j, NULL)
			       : pst_host_journal_save(old, "", NULL);
	if (back < 0)
		return pst_error_set(err, r,
				     "%s; some files have changed already and "
				     "could not be restored: mend that, then "
				     "run undo or apply again",
				     why.text);
	/* The old journal does not know those that were made for this. */
	pst_host_journal_remove_dirs(j);
	if (old->state == PST_HOST_JOURNAL_NONE)
		j->state = PST_HOST_JOURNAL_NONE;
	return r;
}

static int carry_out(struct pst_host_journal *j, struct pst_host_journal *old,
		     size_t *ret_changed, struct pst_error *err)
{
	struct change *c = NULL;
	int r;

	j->state = PST_HOST_JOURNAL_PENDING;
	r = pst_host_journal_save(j, "write the journal", err);
	if (r < 0) {
		if (old->state == PST_HOST_JOURNAL_NONE)
			j->state = PST_HOST_JOURNAL_NONE;
		return r;
	}
	r = find_changes(j, false, &c, err);
	if (r == 0)
		r = write_changes(j, c, err);
	if (r == 0)
		r = commit_changes(j, c, ret_changed, err);
	if (r < 0) {
		*ret_changed = 0;
		r = give_up(j, old, c, r, err);
	}
	if (c)
		end_changes(c, j->n);
	if (r < 0)
		return r;
	settle(j);
	return pst_host_journal_save(j, "write that it is applied", err);
}

/* The edits that others made to files, or "". Marks such files left_alone. */
static int find_edits(struct pst_host_journal *j, char **ret,
		      struct pst_error *err)
{
	size_t size, i;
	FILE *f = open_memstream(ret, &size);
	int r = f ? 0 : -ENOMEM;

	for (i = 0; r == 0 && i < j->n; i++) {
		struct pst_host_journal_entry *e = &j->entry[i];
		PST_CLEANUP_FREE char *now = NULL, *diff = NULL;

		r = pst_host_journal_read(j->root, e->path, &now, err);
		e->left_alone = r == 0 && !pst_host_journal_known(j, e, now);
		if (r < 0 || !e->left_alone)
			continue;
		r = pst_host_diff_unified(e->path, e->text, now, &diff);
		if (r == 0)
			fputs(diff, f);
	}
	if (f && fclose(f))
		r = -ENOMEM;
	if (r < 0 && f) {
		free(*ret);
		*ret = NULL;
	}
	return r == -ENOMEM ? pst_oom(err) : r;
}

static int refuse_edited(const char *but, struct pst_error *err)
{
	return pst_error_set(err, -EEXIST,
			     "files were edited since the last apply, and "
			     "nothing was changed: remove the edits, run this "
			     "again, and make them again%s",
			     but);
}

/* Whether every file holds what the journal says. */
static bool nothing_to_do(const struct pst_host_journal *j)
{
	size_t i;

	for (i = 0; i < j->n; i++)
		if (!j->entry[i].left_alone &&
		    !pst_host_text_same(j->entry[i].prev, j->entry[i].text))
			return false;
	return true;
}

int pst_host_journal_apply(struct pst_host_journal *j, const char *request,
			   const struct pst_host_journal_want *want, size_t n,
			   size_t *ret_changed, char **ret_diff,
			   struct pst_error *err)
{
	struct pst_host_journal new = {
		.root = j->root, .hook = j->hook, .lock = -1};
	int r;

	*ret_changed = 0;
	*ret_diff = NULL;
	new.request = strdup(request);
	r = new.request ? make_entries(&new, j, want, n, err) : -ENOMEM;
	if (r == -ENOMEM)
		pst_oom(err);
	if (r == -EEXIST) {
		r = find_edits(j, ret_diff, err);
		r = r < 0 ? r : refuse_edited("", err);
	}
	if (r == 0 && same_journal(j, &new) && nothing_to_do(&new)) {
		pst_host_journal_clear(&new);
		return 0;
	}
	if (r == 0)
		r = carry_out(&new, j, ret_changed, err);
	/* After a failure an old journal is in force again. */
	if (r < 0 && j->state != PST_HOST_JOURNAL_NONE) {
		pst_host_journal_clear(&new);
		return r;
	}
	new.lock = j->lock;
	pst_host_journal_clear(j);
	*j = new;
	return r;
}

/* ---- Undo -----------------------------------------------------------------
 */

int pst_host_journal_undo(struct pst_host_journal *j, bool keep_edited,
			  size_t *ret_changed, char **ret_diff,
			  struct pst_error *err)
{
	struct change *c = NULL;
	bool was_applied;
	size_t i;
	int r;

	*ret_changed = 0;
	*ret_diff = NULL;
	if (j->state == PST_HOST_JOURNAL_NONE)
		return 0;
	r = find_edits(j, ret_diff, err);
	if (r == 0 && **ret_diff && !keep_edited)
		return refuse_edited("; or keep them: --keep-edited", err);
	free(*ret_diff);
	*ret_diff = NULL;
	if (r < 0)
		return r;
	/* From here on only forward: an undo that is cut off is gone on with.
	 */
	was_applied = j->state == PST_HOST_JOURNAL_APPLIED;
	if (was_applied) {
		j->state = PST_HOST_JOURNAL_UNDOING;
		r = pst_host_journal_save(j, "write the journal", err);
	}
	if (r == 0)
		r = find_changes(j, true, &c, err);
	if (r == 0)
		r = write_changes(j, c, err);
	if (r == 0)
		r = commit_changes(j, c, ret_changed, err);
	if (r < 0 && c)
		for (i = 0; i < j->n; i++)
			pst_host_file_discard(&c[i].f);
	if (c)
		end_changes(c, j->n);
	if (r < 0 && was_applied && *ret_changed == 0) {
		/* Nothing happened; should this fail, an undo goes on. */
		j->state = PST_HOST_JOURNAL_APPLIED;
		(void)!pst_host_journal_save(j, "write the journal", NULL);
	}
	/* While the journal still knows them. */
	if (r == 0)
		pst_host_journal_remove_dirs(j);
	if (r == 0)
		r = remove_journal(j, err);
	if (r == 0)
		j->state = PST_HOST_JOURNAL_NONE;
	return r;
}
