/* SPDX-License-Identifier: MIT */
/* Evaluates the tree as a plan would leave it: reaches it what is wanted? */
#include <string.h>

#include "kernel-params/boot/next_line.h"
#include "kernel-params/check/check.h"
#include "kernel-params/plan/plan.h"
#include "kernel-params/scan/next_boot.h"

/* The host as it will be: its settings read from root, which has the plan's
 * files over the host's; the rest is the host's own. */
struct after {
	struct pst_host_root root;
	struct pst_host host;
	struct pst_host_next_lines lines;
};

static void after_done(struct after *a)
{
	pst_host_cmdline_done(&a->host.cmdline);
	pst_host_modconf_done(&a->host.modconf);
	pst_host_early_done(&a->host.early);
	pst_host_vfio_conf_done(&a->host.vfio);
	pst_host_next_lines_done(&a->lines);
}

/* Where no file of a loader has the command line, what to add is told. */
static int merge_running(const struct pst_host_plan *p, char **ret)
{
	struct pst_host_params_part line = {
		.text = strdup(p->host->cmdline_text)};
	int r = line.text ? 0 : -ENOMEM;

	if (r == 0 &&
	    (p->targets & PST_HOST_TARGETS_LOADER || !p->request.targets))
		r = pst_host_params_merge(&line, 1, 0, &p->params, NULL);
	*ret = line.text;
	return r == -EINVAL ? 0 : r;
}

/* The command line of the next boot: what the loader of this one will read. */
static int read_cmdline(const struct pst_host_plan *p, const struct after *a,
			struct pst_host_cmdline *ret)
{
	const struct pst_host_next_line *l =
		pst_host_next_lines_main(&a->lines, &p->host->boot);
	PST_CLEANUP_FREE char *text = NULL;
	int r = 0;

	if (!l)
		r = merge_running(p, &text);
	else if (!(text = strdup(l->text)))
		r = -ENOMEM;
	return r < 0 ? r : pst_host_cmdline_parse(text, strlen(text), ret);
}

static int read_after(const struct pst_host_plan *p,
		      const struct pst_host_overlay *over, struct after *a)
{
	struct pst_host *h = &a->host;
	int r;

	a->root = *p->host->root;
	a->root.over = over;
	a->root.n_over = p->n_files;
	*h = *p->host;
	h->root = &a->root;
	h->cmdline = (struct pst_host_cmdline){0};
	h->modconf = (struct pst_host_modconf){0};
	h->early = (struct pst_host_early){0};
	h->vfio = (struct pst_host_vfio_conf){0};
	r = pst_host_next_lines_read(&a->root, &p->host->boot, p->targets,
				     &a->lines);
	if (r == 0)
		r = read_cmdline(p, a, &h->cmdline);
	if (r == 0)
		r = pst_host_modconf_read(&a->root, &h->modconf);
	if (r == 0)
		r = pst_host_early_scan(&a->root, &h->early);
	if (r == 0)
		r = pst_host_vfio_conf_scan(&a->root, &h->cmdline, &h->modconf,
					    &h->early, &h->vfio);
	return r;
}

/* ---- The command line -----------------------------------------------------
 */

/* What of the wanted words a line does not have. */
static int lacks(const struct pst_host_plan *p, const char *line,
		 struct pst_host_text *ret)
{
	char pool[PST_HOST_POOL_TEXT_LEN];
	size_t i, n = p->params.n + pst_host_params_have_pool(&p->params);
	int holds;

	pst_host_pool_text(p->params.pool_node, p->params.pool_pages, pool);
	for (i = 0; i < n; i++) {
		holds = pst_host_params_holds(line, &p->params, i);
		if (holds == -ENOMEM)
			return holds;
		if (holds <= 0)
			pst_host_text_add(ret, "%s%s", ret->len ? " " : "",
					  i < p->params.n ? p->params.word[i]
							  : pool);
	}
	return 0;
}

/* Refuses a plan after which a loader would not hand over what is wanted. Where
 * nothing sets a line, the plan has said what to do. */
static int refuse_lines(const struct pst_host_plan *p,
			const struct pst_host_next_lines *l,
			struct pst_error *err)
{
	size_t i;
	int r;

	for (i = 0; i < l->n; i++) {
		struct pst_host_text words = {0};

		if (!l->line[i].text)
			continue;
		r = lacks(p, l->line[i].text, &words);
		if (r < 0)
			return pst_oom(err);
		if (words.len)
			return pst_error_set(
				err, -EINVAL,
				"these files would not give %s to the kernel: "
				"after them, %s still says \"%.300s\". Nothing "
				"is changed: correct it by hand",
				words.buf, l->line[i].from, l->line[i].text);
	}
	return 0;
}

/* ---- The card -------------------------------------------------------------
 */

/* What check would still say, as notes. */
static int note_open(struct pst_host_plan *p, const struct pst_host *h,
		     struct pst_error *err)
{
	static const char *const ids[] = {"vfio.ids", "vfio.early"};
	const struct pst_host_check *c;
	struct pst_host_findings fs = {0};
	size_t i;
	int r = 0;

	for (c = pst_host_checks; c->id; c++)
		for (i = 0; i < PST_ARRAY_SIZE(ids); i++)
			if (strcmp(c->id, ids[i]) == 0) {
				fs.id = c->id;
				fs.why = c->why;
				c->run(h, &fs);
			}
	for (i = 0; i < fs.n && r == 0; i++) {
		if (fs.f[i].status == PST_HOST_PASS)
			continue;
		p->n_open++;
		r = pst_host_plan_note(p, err, "%s: still open after this: %s",
				       fs.f[i].id, fs.f[i].seen);
	}
	if (r == 0 && fs.no_memory)
		r = pst_oom(err);
	pst_host_findings_done(&fs);
	return r;
}

/* Why a function would not be vfio-pci's, though files alone decide; nothing if
 * it is. */
static void missed(const struct pst_host *h, const struct pst_host_pci_dev *fn,
		   struct pst_host_text *why)
{
	struct pst_host_known known;
	struct pst_host_first first;

	pst_host_next_boot_known(h, fn, &known);
	pst_host_next_boot_first(h, fn, &first);
	if (known.how == PST_HOST_VFIO_NO)
		pst_host_text_add(why, "no setting that counts names it");
	else if (known.lost)
		pst_host_text_add(why, "its %s, %s",
				  known.how == PST_HOST_VFIO_OVERRIDE
					  ? "address stands"
					  : "id is in modprobe.d",
				  known.lost);
	else if (first.by == PST_HOST_FIRST_NOT)
		pst_host_text_add(why, "%s may come first", first.rival);
	else if (first.by == PST_HOST_FIRST_LATE)
		pst_host_text_add(
			why, "the initramfs loads %s first, by %s of %s",
			first.rival,
			pst_host_early_where(first.image, first.rival),
			pst_host_early_maker_name(first.image->maker));
	else if (first.by == PST_HOST_FIRST_NEVER)
		pst_host_text_add(why, "vfio-pci is kept from being loaded");
}

/* Refuses a plan that leaves a function to another driver. */
static int refuse_missed(const struct pst_host *h, struct pst_error *err)
{
	const struct pst_host_pci_dev *fn[PST_HOST_PCI_MAX_FN];
	size_t n = pst_host_pci_card(&h->pci, h->gpu, fn), i;
	struct pst_host_text why = {0};

	for (i = 0; i < n; i++) {
		missed(h, fn[i], &why);
		if (!why.len)
			continue;
		return pst_error_set(
			err, -EINVAL,
			"these files would not give %s to vfio-pci at the next "
			"boot: %s%s%s%s%.300s. Nothing is changed: put that "
			"right, or plan a part with --for",
			fn[i]->name, why.buf, *h->early.fault ? "; " : "",
			h->early.fault, h->vfio.faults ? "; " : "",
			h->vfio.faults ? h->vfio.faults : "");
	}
	return 0;
}

/* The guards look at the running line, too: what it has and no settings may
 * come from where nothing here looks. */
static int guard_running(const struct pst_host_plan *p, const struct after *a,
			 struct pst_error *err)
{
	PST_CLEANUP_FREE struct pst_host *h = malloc(sizeof(*h));
	PST_CLEANUP_FREE char *text = NULL;
	int r = h ? merge_running(p, &text) : -ENOMEM;

	if (r == 0) {
		*h = a->host;
		r = pst_host_cmdline_parse(text, strlen(text), &h->cmdline);
	}
	if (r < 0)
		return pst_oom(err);
	r = pst_host_vfio_conf_scan(&a->root, &h->cmdline, &h->modconf,
				    &h->early, &h->vfio);
	if (r == 0) {
		r = pst_host_plan_guard(p, h, err);
		pst_host_vfio_conf_done(&h->vfio);
	} else {
		pst_oom(err);
	}
	pst_host_cmdline_done(&h->cmdline);
	return r;
}

int pst_host_plan_prove(struct pst_host_plan *p, struct pst_error *err)
{
	struct pst_host_overlay *over = calloc(p->n_files + 1, sizeof(*over));
	struct after *a = calloc(1, sizeof(*a));
	size_t i;
	int r = over && a ? 0 : -ENOMEM;

	for (i = 0; r == 0 && i < p->n_files; i++)
		over[i] = (struct pst_host_overlay){p->file[i].path,
						    p->file[i].text};
	if (r == 0)
		r = read_after(p, over, a);
	if (r < 0)
		pst_error_set_errno(err, -r,
				    "cannot evaluate the changed "
				    "files");
	if (r == 0)
		r = refuse_lines(p, &a->lines, err);
	/* A part of a plan does not claim the whole. */
	if (r == 0 && !p->request.targets)
		r = refuse_missed(&a->host, err);
	if (r == 0)
		r = pst_host_plan_guard(p, &a->host, err);
	if (r == 0)
		r = guard_running(p, a, err);
	if (r == 0)
		r = note_open(p, &a->host, err);
	if (a)
		after_done(a);
	free(a);
	free(over);
	return r;
}
