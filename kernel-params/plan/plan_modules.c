/* SPDX-License-Identifier: MIT */
/* Modules of the running system: modprobe.d, modules-load.d, udev. */
#include <string.h>

#include "kernel-params/config/vfio_ids.h"
#include "kernel-params/edit/dropins.h"
#include "kernel-params/edit/edit_modprobe.h"
#include "kernel-params/plan/plan.h"

#define LOAD_FILE "/etc/modules-load.d/penstock.conf"

/* modprobe.d without our own file. The lines stay the host's, ret->line is to
 * be freed. */
static int without_ours(const struct pst_host_modconf *c,
			struct pst_host_modconf *ret)
{
	size_t i;

	*ret = (struct pst_host_modconf){
		.line = calloc(c->n + 1, sizeof(*ret->line)),
	};
	if (!ret->line)
		return -ENOMEM;
	for (i = 0; i < c->n; i++)
		if (strcmp(c->line[i].file, &PST_HOST_MODPROBE_FILE[1]) != 0)
			ret->line[ret->n++] = c->line[i];
	return 0;
}

/* Whether the ids that count in modprobe.d name all functions. */
static bool has_all_ids(const struct pst_host_plan *p,
			const struct pst_host_modconf *conf)
{
	PST_CLEANUP_FREE char *ids =
		pst_host_modconf_option(conf, "vfio-pci", "ids");
	size_t i;

	for (i = 0; ids && i < p->n_fn; i++)
		if (!pst_host_vfio_ids_cover(ids, p->fn[i]))
			return false;
	return ids;
}

/* Our ids that a line of the file's former text does not cover: one with a
 * subsystem or a class may cover the card, and narrower than ours. NULL: no
 * memory. */
static char *missing_ids(const struct pst_host_plan *p, const char *old,
			 const struct pst_host_modconf_line *line)
{
	PST_CLEANUP_FREE char *there = pst_host_modprobe_ids_there(old, line);
	const char *comma = "";
	char *ids = NULL;
	size_t size, i;
	FILE *f = there ? open_memstream(&ids, &size) : NULL;

	for (i = 0; f && i < p->n_fn; i++)
		if (!pst_host_vfio_ids_cover(there, p->fn[i])) {
			fprintf(f, "%s%04x:%04x", comma, p->fn[i]->vendor,
				p->fn[i]->device);
			comma = ",";
		}
	if (f && fclose(f) == 0)
		return ids;
	free(ids);
	return NULL;
}

/* Our ids come into the line that has some already. */
static int extend_ids(struct pst_host_plan *p,
		      const struct pst_host_modconf *conf,
		      const struct pst_host_journal *j, struct pst_error *err)
{
	const struct pst_host_modconf_line *line =
		pst_host_modprobe_ids_line(conf);
	PST_CLEANUP_FREE char *old = NULL, *ids = NULL;
	char path[PST_HOST_ROOT_PATH_MAX], *text = NULL;
	int r;

	if (!line)
		return 0;
	if (pst_host_path(path, "/%s", line->file) < 0)
		return pst_error_set(err, -EINVAL, "%s is too long",
				     line->file);
	r = pst_host_journal_base(j, path, &old, NULL, err);
	if (r < 0 || !old)
		return r;
	ids = missing_ids(p, old, line);
	if (!ids)
		return pst_oom(err);
	r = pst_host_edit_modprobe_ids(old, line, ids, &text, err);
	if (r == -EINVAL && has_all_ids(p, conf))
		return 0;
	if (r < 0)
		return r;
	return pst_host_plan_file(p, j, PST_HOST_TARGET_MODPROBE, path, text,
				  0644, false, err);
}

/* The first function that the ids take together with an equal one that stays,
 * or NULL. */
static const struct pst_host_pci_dev *takes_twin(const struct pst_host_plan *p,
						 const char *ids)
{
	size_t i;

	for (i = 0; ids && i < p->n_fn; i++)
		if (pst_host_vfio_ids_cover(ids, p->fn[i]) &&
		    pst_host_pci_twin(&p->host->pci, p->fn[i], NULL))
			return p->fn[i];
	return NULL;
}

/* Ids that another file gives vfio-pci would also take the card that stays. */
static int check_ids(struct pst_host_plan *p,
		     const struct pst_host_modconf *conf, struct pst_error *err)
{
	const struct pst_host_modconf_line *line =
		pst_host_modprobe_ids_line(conf);
	PST_CLEANUP_FREE char *ids =
		pst_host_modconf_option(conf, "vfio-pci", "ids");
	const struct pst_host_pci_dev *fn = takes_twin(p, ids), *on_line;

	if (fn && line && !p->request.compare_only)
		return pst_error_set(err, -EINVAL,
				     "%s line %u gives vfio-pci the id "
				     "%04x:%04x, which another device that "
				     "stays has too: take it out there first",
				     line->file, line->line, fn->vendor,
				     fn->device);
	on_line = takes_twin(p, p->host->vfio.cmdline_ids);
	if (!on_line)
		return 0;
	return pst_host_plan_note(
		p, err,
		"the running kernel has vfio-pci.ids= with "
		"%04x:%04x, which another device that stays has "
		"too: take it off the command line",
		on_line->vendor, on_line->device);
}

static int plan_modprobe(struct pst_host_plan *p,
			 const struct pst_host_modconf *conf,
			 const struct pst_host_journal *j,
			 struct pst_error *err)
{
	const struct pst_host_modprobe_want want = {
		.ids = p->by_address ? NULL : p->ids,
		.modules = pst_host_lines_list(&p->modules),
	};
	const struct pst_host_modconf_line *against =
		pst_host_modconf_against(conf, "vfio-pci");
	char *text;
	int r = 0;

	if (against && !p->request.compare_only)
		return pst_error_set(err, -EINVAL,
				     "%s line %u keeps vfio-pci from being "
				     "loaded (blacklist or install): take that "
				     "out first",
				     against->file, against->line);
	if (!p->by_address)
		r = extend_ids(p, conf, j, err);
	if (r < 0)
		return r;
	if (pst_host_edit_modprobe(conf, &want, &text) < 0)
		return pst_oom(err);
	r = pst_host_plan_file(p, j, PST_HOST_TARGET_MODPROBE,
			       PST_HOST_MODPROBE_FILE, text, 0644, true, err);
	if (r < 0)
		return r;
	text = pst_host_dropin_modules_load();
	if (!text)
		return pst_oom(err);
	return pst_host_plan_file(p, j, PST_HOST_TARGET_MODPROBE, LOAD_FILE,
				  text, 0644, true, err);
}

static int plan_udev(struct pst_host_plan *p, const struct pst_host_journal *j,
		     struct pst_error *err)
{
	char *text = pst_host_dropin_udev(pst_host_lines_list(&p->addresses));

	if (!text)
		return pst_oom(err);
	return pst_host_plan_file(p, j, PST_HOST_TARGET_UDEV,
				  PST_HOST_UDEV_FILE, text, 0644, true, err);
}

int pst_host_plan_modules(struct pst_host_plan *p,
			  const struct pst_host_journal *j,
			  struct pst_error *err)
{
	struct pst_host_modconf conf;
	int r = without_ours(&p->host->modconf, &conf);

	if (r < 0)
		return pst_oom(err);
	if (p->by_address)
		r = check_ids(p, &conf, err);
	if (r == 0 && p->by_address && p->targets & PST_HOST_TARGET_MODPROBE &&
	    !(p->targets & PST_HOST_TARGET_UDEV))
		r = pst_host_plan_note(
			p, err,
			"another device has the same ids: only a "
			"udev rule (--for udev) tells them apart");
	if (r == 0 && p->targets & PST_HOST_TARGET_MODPROBE)
		r = plan_modprobe(p, &conf, j, err);
	if (r == 0 && p->targets & PST_HOST_TARGET_UDEV)
		r = plan_udev(p, j, err);
	free(conf.line);
	return r;
}
