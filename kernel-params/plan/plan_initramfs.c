/* SPDX-License-Identifier: MIT */
/* vfio-pci in the initramfs, before the drivers of cards. */
#include <string.h>

#include "kernel-params/boot/mkinitcpio.h"
#include "kernel-params/edit/dropins.h"
#include "kernel-params/edit/edit_array.h"
#include "kernel-params/edit/edit_modprobe.h"
#include "kernel-params/plan/plan.h"
#include "kernel-params/scan/rivals.h"

#define MKINITCPIO      "/etc/mkinitcpio.conf"
#define MKINITCPIO_DIR  "/etc/mkinitcpio.conf.d"
#define MKINITCPIO_OURS "zz-penstock.conf"
#define DRACUT_FILE     "/etc/dracut.conf.d/penstock.conf"
#define TOOLS_LIST      "/etc/initramfs-tools/modules"
#define TOOLS_HOOK      "/etc/initramfs-tools/hooks/penstock-vfio"

/* ---- mkinitcpio -----------------------------------------------------------
 */

/* Whether the plan writes a file; an image cannot take one that is not there.
 */
static bool writes(const struct pst_host_plan *p, const char *path)
{
	size_t i;

	for (i = 0; i < p->n_files; i++)
		if (strcmp(p->file[i].path, path) == 0)
			return p->file[i].text != NULL;
	return false;
}

/* Files that the image lacks without being told. ours: of modprobe.d; others:
 * those of other people that vfio-pci's place depends on, too. */
static int extra_files(const struct pst_host_plan *p, bool ours, bool others,
		       struct pst_host_lines *ret)
{
	const struct pst_host_modconf *c = &p->host->modconf;
	size_t i;
	int r = 0;

	if (ours && writes(p, PST_HOST_MODPROBE_FILE))
		r = pst_host_lines_add(ret, "%s", PST_HOST_MODPROBE_FILE);
	for (i = 0; others && !p->by_address && i < c->n && r == 0; i++) {
		const struct pst_host_modconf_line *l = &c->line[i];

		if (strcmp(l->file, &PST_HOST_MODPROBE_FILE[1]) != 0 &&
		    ((l->kind == PST_HOST_MODCONF_OPTIONS &&
		      pst_host_param_name_eq(l->module, "vfio-pci")) ||
		     (l->kind == PST_HOST_MODCONF_SOFTDEP &&
		      pst_host_modconf_has_pre(l, "vfio-pci"))))
			r = pst_host_lines_add(ret, "/%s", l->file);
	}
	if (r == 0 && writes(p, PST_HOST_UDEV_FILE))
		r = pst_host_lines_add(ret, "%s", PST_HOST_UDEV_FILE);
	return r;
}

/* The main file with our words, whether or not it becomes it. */
static int edit_main(const char *old, const char *path,
		     const char *const *files, char **ret,
		     struct pst_error *err)
{
	PST_CLEANUP_FREE char *text = NULL;
	int r = pst_host_edit_array(old, path, "MODULES", pst_host_vfio_modules,
				    pst_host_module_is_rival, &text, err);

	if (r < 0 || !*files) {
		*ret = text;
		text = NULL;
		return r;
	}
	return pst_host_edit_array(text, path, "FILES", files, NULL, ret, err);
}

/* Whether another drop-in has a say in what the image gets. */
static bool has_other_dropins(const struct pst_host_plan *p)
{
	PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};
	size_t i;

	if (pst_host_root_list(p->host->root, MKINITCPIO_DIR, &names) < 0)
		return false;
	for (i = 0; i < names.n; i++)
		if (strcmp(names.name[i], MKINITCPIO_OURS) != 0)
			return true;
	return false;
}

/* The drop-in works with any main file, so also with an unclear one. */
static int plan_dropin(struct pst_host_plan *p,
		       const struct pst_host_journal *j,
		       const char *const *files, struct pst_error *err)
{
	char *text = pst_host_dropin_mkinitcpio(files);

	if (!text)
		return pst_oom(err);
	return pst_host_plan_file(p, j, PST_HOST_TARGET_MKINITCPIO,
				  MKINITCPIO_DIR "/" MKINITCPIO_OURS, text,
				  0644, true, err);
}

/* The list of an image made by the main file at path. */
static int plan_array(struct pst_host_plan *p, const struct pst_host_journal *j,
		      const char *path, bool drop_in, const char *const *files,
		      struct pst_error *err)
{
	PST_CLEANUP_FREE char *old = NULL;
	char *text = NULL;
	bool same;
	int r = pst_host_journal_base(j, path, &old, NULL, err);

	if (r == 0 && !old)
		return pst_error_set(err, -EINVAL, "there is no %s", path);
	if (r < 0)
		return r;
	if (p->by_address && pst_host_array_has_rival(old, "MODULES") &&
	    pst_host_plan_note(p, err,
			       "MODULES in %s loads a driver before udev's "
			       "rules can tell equal devices apart: take it "
			       "out of there",
			       path) < 0)
		return -ENOMEM;
	r = edit_main(old, path, files, &text, err);
	if (r == 0 && !drop_in)
		return pst_host_plan_file(p, j, PST_HOST_TARGET_MKINITCPIO,
					  path, text, 0644, false, err);
	same = r == 0 && strcmp(text, old) == 0 && !has_other_dropins(p);
	free(text);
	if (same)
		return 0;
	if (r == -ENOMEM || (r < 0 && !drop_in))
		return r;
	return plan_dropin(p, j, files, err);
}

/* The first image of a maker, or NULL. */
static const struct pst_host_early *image_of(const struct pst_host *h,
					     enum pst_host_early_maker maker)
{
	const struct pst_host_early *e = &h->early;

	while (e && e->maker != maker)
		e = e->next;
	return e;
}

/* Whether every image of mkinitcpio has all of etc/modprobe.d. */
static bool all_modconf(const struct pst_host *h)
{
	const struct pst_host_early *e;

	for (e = &h->early; e; e = e->next)
		if (e->maker == PST_HOST_EARLY_MKINITCPIO && !e->modconf)
			return false;
	return image_of(h, PST_HOST_EARLY_MKINITCPIO);
}

/* Every configuration that an image is made from. */
static int plan_images(struct pst_host_plan *p,
		       const struct pst_host_journal *j,
		       const struct pst_host_mkinitcpio *m,
		       const char *const *files, struct pst_error *err)
{
	/* mkinitcpio reads no drop-ins when it is given a configuration. */
	const bool drop_ins =
		pst_host_root_exists(p->host->root, MKINITCPIO_DIR);
	char path[PST_HOST_ROOT_PATH_MAX];
	size_t i, k;
	int r = 0;

	for (i = 0; r == 0 && i < m->n; i++) {
		const struct pst_host_mkinitcpio_image *im = &m->image[i];

		for (k = 0; k < i; k++)
			if (strcmp(m->image[k].conf, im->conf) == 0 &&
			    (!drop_ins || m->image[k].dropins == im->dropins))
				break;
		if (k < i)
			continue;
		if (pst_host_path(path, "/%s", im->conf) < 0)
			return pst_error_set(err, -EMSGSIZE,
					     "a path is too long");
		r = plan_array(p, j, path, im->dropins && drop_ins, files, err);
	}
	return r;
}

static int plan_mkinitcpio(struct pst_host_plan *p,
			   const struct pst_host_journal *j,
			   struct pst_error *err)
{
	PST_CLEANUP_FREE struct pst_host_mkinitcpio *m = calloc(1, sizeof(*m));
	const bool modconf = all_modconf(p->host);
	char fault[PST_HOST_FAULT_MAX] = "";
	struct pst_host_lines files = {0};
	int r = m ? pst_host_mkinitcpio_scan(p->host->root, m, fault) : -ENOMEM;

	if (r == 0)
		r = extra_files(p, !modconf, !modconf, &files);
	r = r < 0 ? pst_oom(err)
		  : plan_images(p, j, m, pst_host_lines_list(&files), err);
	pst_host_lines_done(&files);
	return r;
}

/* ---- The others -----------------------------------------------------------
 */

static int plan_dracut(struct pst_host_plan *p,
		       const struct pst_host_journal *j, struct pst_error *err)
{
	const struct pst_host_early *e =
		image_of(p->host, PST_HOST_EARLY_DRACUT);
	struct pst_host_lines files = {0};
	char *text = NULL;

	if (extra_files(p, true, e && e->no_modconf, &files) == 0)
		text = pst_host_dropin_dracut(pst_host_lines_list(&files));
	pst_host_lines_done(&files);
	if (!text)
		return pst_oom(err);
	return pst_host_plan_file(p, j, PST_HOST_TARGET_DRACUT, DRACUT_FILE,
				  text, 0644, true, err);
}

static int plan_initramfs_tools(struct pst_host_plan *p,
				const struct pst_host_journal *j,
				struct pst_error *err)
{
	PST_CLEANUP_FREE char *old = NULL;
	char *text = NULL;
	int r = pst_host_journal_base(j, TOOLS_LIST, &old, NULL, err);

	if (r < 0)
		return r;
	if (pst_host_edit_module_list(old, pst_host_vfio_modules,
				      pst_host_module_is_rival, &text) < 0)
		return pst_oom(err);
	r = pst_host_plan_file(p, j, PST_HOST_TARGET_INITRAMFS_TOOLS,
			       TOOLS_LIST, text, 0644, false, err);
	if (r < 0 || !writes(p, PST_HOST_UDEV_FILE))
		return r;
	text = pst_host_dropin_initramfs_hook();
	if (!text)
		return pst_oom(err);
	return pst_host_plan_file(p, j, PST_HOST_TARGET_INITRAMFS_TOOLS,
				  TOOLS_HOOK, text, 0755, true, err);
}

/* Alpine's, Gentoo's and other makers are not known here. */
static int note_other_maker(struct pst_host_plan *p, struct pst_error *err)
{
	const unsigned int known =
		PST_HOST_TARGET_MKINITCPIO | PST_HOST_TARGET_DRACUT |
		PST_HOST_TARGET_INITRAMFS_TOOLS | PST_HOST_TARGET_NIXOS;

	if (p->request.targets || p->targets & known ||
	    pst_host_module_state(&p->host->modules, "vfio-pci") ==
		    PST_HOST_MODULE_BUILTIN)
		return 0;
	return pst_host_plan_note(
		p, err,
		"no settings of mkinitcpio, dracut or "
		"initramfs-tools were found: where something else "
		"makes the initramfs, have it load vfio_pci vfio "
		"vfio_iommu_type1 before any other driver");
}

/* The maker ends with an error for a module that it does not find. */
static int note_virqfd(struct pst_host_plan *p, struct pst_error *err)
{
	static const struct pst_host_kernel_version gone = {6, 2, 0};
	const struct pst_host *h = p->host;
	const struct pst_host_early *e = &h->early;

	while (e && !*e->virqfd)
		e = e->next;
	if (!e || !h->has_version ||
	    pst_host_kernel_version_cmp(&h->version, &gone) < 0)
		return 0;
	return pst_host_plan_note(
		p, err,
		"take vfio_virqfd out of %s: it is gone since "
		"Linux 6.2, and %s ends with an error for it",
		e->virqfd, pst_host_early_maker_name(e->maker));
}

int pst_host_plan_initramfs(struct pst_host_plan *p,
			    const struct pst_host_journal *j,
			    struct pst_error *err)
{
	int r = note_other_maker(p, err);

	if (r == 0)
		r = note_virqfd(p, err);

	if (r == 0 && p->targets & PST_HOST_TARGET_MKINITCPIO)
		r = plan_mkinitcpio(p, j, err);
	if (r == 0 && p->targets & PST_HOST_TARGET_DRACUT)
		r = plan_dracut(p, j, err);
	if (r == 0 && p->targets & PST_HOST_TARGET_INITRAMFS_TOOLS)
		r = plan_initramfs_tools(p, j, err);
	return r;
}
