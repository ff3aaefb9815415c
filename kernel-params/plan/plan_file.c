/* SPDX-License-Identifier: MIT */
/* Puts files and notes into a plan, and shows them. */
#include <string.h>

#include "kernel-params/edit/diff.h"
#include "kernel-params/edit/edit_grub.h"
#include "kernel-params/plan/plan.h"

/* A file of our name that another program wrote is not replaced. */
static int check_own(const struct pst_host_journal *j, const char *path,
		     struct pst_error *err)
{
	PST_CLEANUP_FREE char *former = NULL;
	int r = pst_host_journal_base(j, path, &former, NULL, err);

	if (r < 0 || !former || strstr(former, PST_HOST_EDIT_MARK))
		return r;
	return pst_error_set(err, -EEXIST,
			     "%s exists and was not written by Penstock: move "
			     "it away first",
			     path);
}

int pst_host_plan_file(struct pst_host_plan *p,
		       const struct pst_host_journal *j, unsigned int target,
		       const char *path, char *text, unsigned int mode,
		       bool own, struct pst_error *err)
{
	struct pst_host_plan_file f = {
		.text = text, .mode = mode, .target = target};
	const struct pst_host_journal_entry *e = pst_host_journal_find(j, path);
	PST_CLEANUP_FREE char *base = NULL;
	struct pst_host_plan_file *grown;
	int r = 0;

	if (own && text && !p->request.compare_only)
		r = check_own(j, path, err);
	if (r == 0)
		r = pst_host_journal_base(j, path, &base, &f.edited, err);
	if (r == 0)
		r = pst_host_journal_read(p->host->root, path, &f.now, err);
	/* A file that there is not and need not be. */
	if (r < 0 || (!e && !text && !f.now)) {
		free(text);
		free(f.now);
		return r;
	}
	f.path = strdup(path);
	grown = reallocarray(p->file, p->n_files + 1, sizeof(*grown));
	if (grown)
		p->file = grown;
	if (!f.path || !grown) {
		free(f.path);
		free(f.now);
		free(text);
		return pst_oom(err);
	}
	p->file[p->n_files++] = f;
	return 0;
}

bool pst_host_plan_changes_for(const struct pst_host_plan *p,
			       unsigned int target)
{
	size_t i;

	for (i = 0; i < p->n_files; i++)
		if (p->file[i].target == target &&
		    !pst_host_text_same(p->file[i].now, p->file[i].text))
			return true;
	return false;
}

int pst_host_plan_note(struct pst_host_plan *p, struct pst_error *err,
		       const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = pst_host_lines_vadd(&p->notes, fmt, ap);
	va_end(ap);
	return r < 0 ? pst_oom(err) : 0;
}

const char *pst_host_plan_action(const struct pst_host_plan_file *f)
{
	if (pst_host_text_same(f->now, f->text))
		return "none";
	if (!f->now)
		return "create";
	return f->text ? "edit" : "remove";
}

int pst_host_plan_print_diffs(const struct pst_host_plan *p, FILE *to)
{
	size_t i;

	for (i = 0; i < p->n_files; i++) {
		const struct pst_host_plan_file *f = &p->file[i];
		PST_CLEANUP_FREE char *diff = NULL;

		if (pst_host_diff_unified(f->path, f->now, f->text, &diff) < 0)
			return -ENOMEM;
		fputs(diff, to);
	}
	return 0;
}
