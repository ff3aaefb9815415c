/* SPDX-License-Identifier: MIT */
/* Makes a plan: from the request to the changed files. */
#include "kernel-params/plan/plan.h"

#include <string.h>

#include "kernel-params/edit/diff.h"

size_t pst_host_plan_changes(const struct pst_host_plan *p)
{
	size_t i, n = 0;

	for (i = 0; i < p->n_files; i++)
		n += !pst_host_text_same(p->file[i].now, p->file[i].text);
	return n;
}

/* Files of the last apply that this plan has not become what they were. */
static int take_back(struct pst_host_plan *p, const struct pst_host_journal *j,
		     struct pst_error *err)
{
	size_t i, k;
	int r = 0;

	for (i = 0; r == 0 && i < j->n; i++) {
		const struct pst_host_journal_entry *e = &j->entry[i];
		PST_CLEANUP_FREE char *base = NULL;
		bool edited;

		for (k = 0; k < p->n_files; k++)
			if (strcmp(p->file[k].path, e->path) == 0)
				break;
		if (k < p->n_files)
			continue;
		r = pst_host_journal_base(j, e->path, &base, &edited, err);
		if (r == 0 && !edited) {
			r = pst_host_plan_file(p, j, 0, e->path, base, e->mode,
					       false, err);
			base = NULL;
		}
	}
	return r;
}

static int find_commands(struct pst_host_plan *p, struct pst_error *err)
{
	const char **path = calloc(p->n_files + 1, sizeof(*path));
	size_t i, n = 0;
	int r;

	if (!path)
		return pst_oom(err);
	for (i = 0; i < p->n_files; i++)
		if (!pst_host_text_same(p->file[i].now, p->file[i].text))
			path[n++] = p->file[i].path;
	r = pst_host_plan_commands(p->host->root, path, n, false, &p->commands);
	free(path);
	return r < 0 ? pst_oom(err) : 0;
}

static int note_journal(struct pst_host_plan *p,
			const struct pst_host_journal *j, struct pst_error *err)
{
	size_t i;
	int r = 0;

	if (j->state == PST_HOST_JOURNAL_PENDING ||
	    j->state == PST_HOST_JOURNAL_UNDOING)
		r = pst_host_plan_note(
			p, err,
			"an apply or undo was cut off: apply ends "
			"it, undo goes back");
	for (i = 0; r == 0 && i < p->n_files; i++)
		if (!pst_host_text_same(p->file[i].now, p->file[i].text) &&
		    pst_host_root_is_link(p->host->root, p->file[i].path))
			r = pst_host_plan_note(
				p, err,
				"%s is a symbolic link, which apply does not "
				"replace: change its target by hand",
				p->file[i].path);
	for (i = 0; r == 0 && i < p->n_files; i++)
		if (p->file[i].edited)
			r = pst_host_plan_note(
				p, err, "%s was edited since the last apply",
				p->file[i].path);
	return r;
}

/* Its files in /etc are made of its configuration, which is a program. */
static int refuse_guix(struct pst_host_plan *p, struct pst_error *err)
{
	PST_CLEANUP_FREE char *words = NULL;
	int r = pst_host_plan_words(p, &words, err);

	if (r < 0)
		return r;
	return pst_error_set(
		err, -EOPNOTSUPP,
		"Guix makes this host of its configuration "
		"(/etc/config.scm), which no plan edits: add %s%svfio-pci.ids=%s "
		"to its kernel-arguments, and \"vfio-pci\" before all others "
		"of its initrd-modules; then run guix system reconfigure. "
		"--for writes single files anyway",
		words, *words ? " " : "", p->ids ? p->ids : "");
}

int pst_host_plan_make(struct pst_host_plan *p, const struct pst_host *h,
		       const struct pst_host_journal *j,
		       const struct pst_host_plan_request *request,
		       struct pst_error *err)
{
	int r;

	*p = (struct pst_host_plan){
		.request = *request,
		.host = h,
		.has = h->boot.has,
	};
	r = pst_host_plan_find(p, err);
	if (r == 0)
		r = pst_host_plan_want(p, err);
	if (r == 0 && strcmp(h->os_id, "guix") == 0 && !request->targets)
		r = refuse_guix(p, err);
	if (r == 0)
		r = pst_host_plan_loader(p, j, err);
	if (r == 0)
		r = pst_host_plan_modules(p, j, err);
	if (r == 0)
		r = pst_host_plan_card(p, j, err);
	if (r == 0)
		r = pst_host_plan_initramfs(p, j, err);
	if (r == 0)
		r = pst_host_plan_memory(p, j, err);
	if (r == 0)
		r = pst_host_plan_nixos(p, j, err);
	if (r == 0)
		r = take_back(p, j, err);
	if (r == 0)
		r = note_journal(p, j, err);
	if (r == 0 && !request->compare_only)
		r = pst_host_plan_prove(p, err);
	if (r == 0)
		r = find_commands(p, err);
	if (r < 0)
		pst_host_plan_done(p);
	return r;
}

void pst_host_plan_done(struct pst_host_plan *p)
{
	size_t i;

	for (i = 0; i < p->n_files; i++) {
		free(p->file[i].path);
		free(p->file[i].now);
		free(p->file[i].text);
	}
	free(p->file);
	p->file = NULL;
	p->n_files = 0;
	pst_host_lines_done(&p->commands);
	pst_host_lines_done(&p->notes);
	pst_host_lines_done(&p->modules);
	pst_host_lines_done(&p->addresses);
	pst_host_lines_done(&p->card_rules);
	pst_host_params_done(&p->params);
	free(p->ids);
	p->ids = NULL;
}
