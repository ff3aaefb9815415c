/* SPDX-License-Identifier: MIT */
/* The journal's file and lock, and its records of other files. */
#include "kernel-params/journal/journal.h"

#include <string.h>
#include <sys/file.h>

#include "kernel-params/edit/diff.h"
#include "kernel-params/journal/journal_int.h"
#include "kernel-params/root/hostfile.h"

#define FILE_PATH PST_HOST_JOURNAL_FILE

/* A file to be edited is at most that long. */
#define TEXT_MAX (1U << 20)

/* ---- The journal's file ---------------------------------------------------
 */

int pst_host_journal_step(const struct pst_host_journal *j, const char *what,
			  struct pst_error *err)
{
	int r = j->hook.step ? j->hook.step(j->hook.ctx, what) : 0;

	return r < 0 ? pst_error_set_errno(err, -r, "cannot %s", what) : 0;
}

/* Every directory above path, outermost first, that is missing. */
int pst_host_journal_each_missing(const struct pst_host_journal *j,
				  const char *path,
				  int (*act)(const struct pst_host_journal *j,
					     const char *dir, void *arg,
					     struct pst_error *err),
				  void *arg, struct pst_error *err)
{
	char dir[PST_HOST_ROOT_PATH_MAX];
	const char *p = path;
	int r = 0;

	while (r == 0 && (p = strchr(p + 1, '/'))) {
		r = pst_host_path(dir, "%.*s", (int)(p - path), path);
		if (r < 0)
			return pst_error_set(err, r, "%s is too long", path);
		if (!pst_host_root_exists(j->root, dir))
			r = act(j, dir, arg, err);
	}
	return r;
}

/* Notes a directory that will be made, once, in the journal arg. */
int pst_host_journal_note_dir(const struct pst_host_journal *j, const char *dir,
			      void *arg, struct pst_error *err)
{
	struct pst_host_journal *to = arg;
	size_t i;
	int r;

	for (i = 0; i < to->n_dirs; i++)
		if (strcmp(to->dir[i], dir) == 0)
			return 0;
	r = pst_host_journal_add_dir(to, dir);
	return r < 0 ? pst_oom(err) : 0;
}

int pst_host_journal_make_dir(const struct pst_host_journal *j, const char *dir,
			      void *arg, struct pst_error *err)
{
	int r = pst_host_journal_step(j, "make a directory", err);

	return r < 0 ? r : pst_host_file_mkdir(j->root, dir, err);
}

/* No journal: an empty one, whose directories are ours if nobody uses them. */
static int begin(struct pst_host_journal *j, struct pst_error *err)
{
	static char ours[] = "/" PST_HOST_JOURNAL_DIR;
	char *slash = strrchr(ours, '/');
	int r;

	j->request = strdup("");
	*slash = '\0';
	r = pst_host_journal_note_dir(j, ours, j, err);
	*slash = '/';
	if (r == 0)
		r = pst_host_journal_note_dir(j, ours, j, err);
	if (r < 0 || !j->request)
		return pst_oom(err);
	return 0;
}

static int load(struct pst_host_journal *j, struct pst_error *err)
{
	PST_CLEANUP_FREE char *bytes = NULL;
	size_t len;
	int r = pst_host_root_read(j->root, FILE_PATH, PST_HOST_JOURNAL_MAX,
				   &bytes, &len);

	if (r == -ENOENT || r == -ENOTDIR)
		return begin(j, err);
	if (r < 0)
		return pst_error_set_errno(err, -r, "cannot read %s",
					   FILE_PATH);
	r = pst_host_journal_parse(bytes, len, j);
	if (r == -EPROTO)
		pst_error_set(err, r,
			      "%s is damaged: put the files right by hand, "
			      "then remove it",
			      FILE_PATH);
	else if (r < 0)
		pst_oom(err);
	return r;
}

int pst_host_journal_save(const struct pst_host_journal *j, const char *what,
			  struct pst_error *err)
{
	PST_CLEANUP_FREE char *bytes = NULL;
	struct pst_host_file f;
	size_t len;
	int r = pst_host_journal_format(j, &bytes, &len);

	if (r < 0)
		return pst_oom(err);
	r = pst_host_file_open(j->root, FILE_PATH, &f, err);
	if (r < 0)
		return r;
	r = pst_host_journal_step(j, what, err);
	if (r == 0)
		r = pst_host_file_write(&f, bytes, 0600, err);
	if (r == 0)
		r = pst_host_journal_step(j, "put the journal in place", err);
	if (r == 0)
		r = pst_host_file_commit(&f, err);
	if (r < 0)
		pst_host_file_discard(&f);
	pst_host_file_close(&f);
	return r;
}

/* Whether the directory that is locked is the one that others will open: one
 * that an undo has removed in between locks nobody out. */
static bool is_in_place(const struct pst_host_journal *j)
{
	struct stat locked, there;

	return fstat(j->lock, &locked) == 0 &&
	       pst_host_root_stat(j->root, PST_HOST_JOURNAL_DIR, &there) == 0 &&
	       locked.st_dev == there.st_dev && locked.st_ino == there.st_ino;
}

/* As lock(); -ENOENT when the directory goes at that moment. */
static int try_lock(struct pst_host_journal *j, struct pst_error *err)
{
	struct pst_host_file f;
	int r = pst_host_journal_each_missing(
		j, FILE_PATH, pst_host_journal_note_dir, j, err);

	if (r == 0)
		r = pst_host_journal_each_missing(
			j, FILE_PATH, pst_host_journal_make_dir, NULL, err);
	if (r == 0)
		r = pst_host_file_open(j->root, FILE_PATH, &f, err);
	if (r < 0)
		return r;
	j->lock = f.dir;
	if (j->lock < 0)
		return pst_error_set(err, -ENOENT, "/%s is gone",
				     PST_HOST_JOURNAL_DIR);
	if (flock(j->lock, LOCK_EX | LOCK_NB) < 0)
		return pst_error_set(err, -EBUSY,
				     "another penstock host is changing the "
				     "files now");
	if (!is_in_place(j)) {
		pst_close_fd(j->lock);
		j->lock = -1;
		return pst_error_set(err, -ENOENT, "/%s is gone",
				     PST_HOST_JOURNAL_DIR);
	}
	/* Left over from what was cut off. */
	pst_host_file_discard(&f);
	return 0;
}

/* An undo that ends takes the directory away: then once more. */
static int lock(struct pst_host_journal *j, struct pst_error *err)
{
	int r = -ENOENT, tries;

	for (tries = 0; r == -ENOENT && tries < 16; tries++)
		r = try_lock(j, err);
	return r;
}

int pst_host_journal_open(const struct pst_host_root *root, bool write,
			  struct pst_host_journal *ret, struct pst_error *err)
{
	struct pst_host_journal made = {.root = root, .lock = -1};
	size_t i;
	int r;

	*ret = (struct pst_host_journal){.root = root, .lock = -1};
	r = write ? lock(&made, err) : 0;
	ret->lock = made.lock;
	/* Those of a first time, outermost first; a journal that is there
	 * knows its own. */
	for (i = 0; r == 0 && i < made.n_dirs; i++)
		r = pst_host_journal_note_dir(ret, made.dir[i], ret, err);
	if (r == 0)
		r = load(ret, err);
	pst_host_journal_clear(&made);
	if (r < 0)
		pst_host_journal_close(ret);
	return r;
}

/* The directories we made go if nothing is in them any more. */
void pst_host_journal_remove_dirs(const struct pst_host_journal *j)
{
	size_t i;

	for (i = j->n_dirs; i-- > 0;)
		pst_host_file_rmdir(j->root, j->dir[i]);
}

void pst_host_journal_close(struct pst_host_journal *j)
{
	if (j->lock >= 0 && j->state == PST_HOST_JOURNAL_NONE)
		pst_host_journal_remove_dirs(j);
	pst_close_fd(j->lock);
	j->lock = -1;
	pst_host_journal_clear(j);
}

/* ---- Reading --------------------------------------------------------------
 */

int pst_host_journal_read(const struct pst_host_root *root, const char *path,
			  char **ret, struct pst_error *err)
{
	size_t len;
	int r = pst_host_root_read(root, path, TEXT_MAX, ret, &len);

	if (r == -ENOENT || r == -ENOTDIR) {
		*ret = NULL;
		return 0;
	}
	if (r == -EINVAL)
		return pst_error_set(err, r, "%s is no regular file", path);
	if (r == -EMSGSIZE)
		return pst_error_set(err, r, "%s is larger than %u KiB", path,
				     TEXT_MAX >> 10);
	if (r < 0)
		return pst_error_set_errno(err, -r, "cannot read %s", path);
	if (strlen(*ret) == len)
		return 0;
	free(*ret);
	*ret = NULL;
	return pst_error_set(err, -EINVAL, "%s is not text: it has a NUL byte",
			     path);
}

const struct pst_host_journal_entry *
pst_host_journal_find(const struct pst_host_journal *j, const char *path)
{
	size_t i;

	for (i = 0; i < j->n; i++)
		if (strcmp(j->entry[i].path, path) == 0)
			return &j->entry[i];
	return NULL;
}

/* Whether a file holds what the journal knows of. */
bool pst_host_journal_known(const struct pst_host_journal *j,
			    const struct pst_host_journal_entry *e,
			    const char *now)
{
	return pst_host_text_same(now, e->text) ||
	       pst_host_text_same(now, e->former) ||
	       (j->state == PST_HOST_JOURNAL_PENDING &&
		pst_host_text_same(now, e->prev));
}

int pst_host_journal_base(const struct pst_host_journal *j, const char *path,
			  char **ret, bool *ret_edited, struct pst_error *err)
{
	const struct pst_host_journal_entry *e = pst_host_journal_find(j, path);
	bool edited;
	int r = pst_host_journal_read(j->root, path, ret, err);

	if (r < 0)
		return r;
	edited = e && !pst_host_journal_known(j, e, *ret);
	if (ret_edited)
		*ret_edited = edited;
	if (!e || edited)
		return 0;
	free(*ret);
	*ret = e->former ? strdup(e->former) : NULL;
	if (e->former && !*ret)
		return pst_oom(err);
	return 0;
}
