/* SPDX-License-Identifier: MIT */
/* vfio-pci in the initramfs, before the drivers of cards. */
#include <string.h>

#include "kernel-params/edit/dropins.h"
#include "kernel-params/edit/edit_array.h"
#include "kernel-params/edit/edit_modprobe.h"
#include "kernel-params/plan/plan.h"
#include "kernel-params/scan/rivals.h"

#define MKINITCPIO     "/etc/mkinitcpio.conf"
#define MKINITCPIO_DIR "/etc/mkinitcpio.conf.d"
#define DRACUT_FILE    "/etc/dracut.conf.d/penstock.conf"
#define TOOLS_LIST     "/etc/initramfs-tools/modules"
#define TOOLS_HOOK     "/etc/initramfs-tools/hooks/penstock-vfio"

/* ---- mkinitcpio -----------------------------------------------------------
 */

/* Whether a preset names its configuration: mkinitcpio reads no drop-ins then.
 */
static bool preset_names_config(const struct pst_host_plan *p)
{
	PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};
	char path[PST_HOST_ROOT_PATH_MAX];
	size_t i, len;

	if (pst_host_root_list(p->host->root, "etc/mkinitcpio.d", &names) < 0)
		return false;
	for (i = 0; i < names.n; i++) {
		PST_CLEANUP_FREE char *text = NULL;
		const char *line, *eq;

		if (pst_host_path(path, "etc/mkinitcpio.d/%s", names.name[i]) <
			    0 ||
		    pst_host_root_read(p->host->root, path,
				       PST_HOST_ROOT_TEXT_MAX, &text, &len) < 0)
			continue;
		for (line = text; *line;
		     line = strchrnul(line, '\n'), line += *line == '\n') {
			eq = line + strcspn(line, "=\n#");
			if (*eq == '=' && eq - line > 7 &&
			    strncmp(eq - 7, "_config", 7) == 0)
				return true;
		}
	}
	return false;
}

/* Whether the hook that takes modprobe.d into the image is there. */
static bool has_modconf(const char *conf)
{
	const char *line, *end, *hit;

	for (line = conf; *line; line = end + (*end == '\n')) {
		end = strchrnul(line, '\n');
		hit = strstr(line, "modconf");
		if (*line != '#' && hit && hit < end)
			return true;
	}
	return false;
}

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

/* Files that the image lacks without being told; at most two and NULL. */
static void extra_files(const struct pst_host_plan *p, bool modprobe,
			const char *ret[3])
{
	size_t n = 0;

	if (modprobe && writes(p, PST_HOST_MODPROBE_FILE))
		ret[n++] = PST_HOST_MODPROBE_FILE;
	if (writes(p, PST_HOST_UDEV_FILE))
		ret[n++] = PST_HOST_UDEV_FILE;
	ret[n] = NULL;
}

/* The main file with our words, whether or not it becomes it. */
static int edit_main(const char *old, const char *const *files, char **ret,
		     struct pst_error *err)
{
	PST_CLEANUP_FREE char *text = NULL;
	int r = pst_host_edit_array(old, MKINITCPIO, "MODULES",
				    pst_host_vfio_modules,
				    pst_host_module_is_rival, &text, err);

	if (r < 0 || !*files) {
		*ret = text;
		text = NULL;
		return r;
	}
	return pst_host_edit_array(text, MKINITCPIO, "FILES", files, NULL, ret,
				   err);
}

static int plan_mkinitcpio(struct pst_host_plan *p,
			   const struct pst_host_journal *j,
			   struct pst_error *err)
{
	bool drop_in = pst_host_root_exists(p->host->root, MKINITCPIO_DIR) &&
		       !preset_names_config(p);
	PST_CLEANUP_FREE char *old = NULL;
	const char *files[3];
	char *text = NULL;
	int r = pst_host_journal_base(j, MKINITCPIO, &old, NULL, err);

	if (r == 0 && !old)
		return pst_error_set(err, -EINVAL, "there is no " MKINITCPIO);
	if (r < 0)
		return r;
	extra_files(p, !has_modconf(old), files);
	if (p->by_address && pst_host_array_has_rival(old, "MODULES") &&
	    pst_host_plan_note(
		    p, err,
		    "MODULES in " MKINITCPIO " loads a driver before "
		    "udev's rules can tell equal devices apart: take it "
		    "out of there") < 0)
		return -ENOMEM;
	r = edit_main(old, files, &text, err);
	if (r == 0 && !drop_in)
		return pst_host_plan_file(p, j, PST_HOST_TARGET_MKINITCPIO,
					  MKINITCPIO, text, 0644, false, err);
	/* The drop-in works with any main file, so also with an unclear one. */
	if (r == 0 && strcmp(text, old) == 0) {
		free(text);
		return 0;
	}
	free(text);
	if (r == -ENOMEM || (r < 0 && !drop_in))
		return r;
	text = pst_host_dropin_mkinitcpio(files);
	if (!text)
		return pst_oom(err);
	return pst_host_plan_file(p, j, PST_HOST_TARGET_MKINITCPIO,
				  MKINITCPIO_DIR "/zz-penstock.conf", text,
				  0644, true, err);
}

/* ---- The others -----------------------------------------------------------
 */

static int plan_dracut(struct pst_host_plan *p,
		       const struct pst_host_journal *j, struct pst_error *err)
{
	const char *files[3];
	char *text;

	extra_files(p, true, files);
	text = pst_host_dropin_dracut(files);
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

	if (!h->has_version ||
	    pst_host_kernel_version_cmp(&h->version, &gone) < 0 ||
	    !*h->early.virqfd)
		return 0;
	return pst_host_plan_note(
		p, err,
		"take vfio_virqfd out of %s: it is gone since "
		"Linux 6.2, and %s ends with an error for it",
		h->early.virqfd, pst_host_early_maker_name(h->early.maker));
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
