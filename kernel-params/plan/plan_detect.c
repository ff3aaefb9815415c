/* SPDX-License-Identifier: MIT */
/* What a host boots with, told by the files that it has. */
#include <string.h>

#include "kernel-params/edit/shell_text.h"
#include "kernel-params/plan/plan.h"

static bool there(const struct pst_plan *p, const char *path)
{
	return pst_root_exists(p->root, path);
}

/* Whether a directory has a name with this ending. */
static bool has_name(const struct pst_plan *p, const char *dir,
		     const char *ending)
{
	PST_CLEANUP_NAMES struct pst_names names = {0};
	size_t i, len, n = strlen(ending);

	if (pst_root_list(p->root, dir, &names) < 0)
		return false;
	for (i = 0; i < names.n; i++) {
		len = strlen(names.name[i]);
		if (len > n && strcmp(names.name[i] + len - n, ending) == 0)
			return true;
	}
	return false;
}

static bool is_nixos(const struct pst_plan *p)
{
	char text[4096];

	if (there(p, "etc/NIXOS"))
		return true;
	if (pst_root_read_text(p->root, "etc/os-release", text, sizeof(text)) <
	    0)
		return false;
	return strncmp(text, "ID=nixos", 8) == 0 || strstr(text, "\nID=nixos");
}

bool pst_plan_has_snippets(const struct pst_plan *p)
{
	return has_name(p, "etc/cmdline.d", ".conf");
}

bool pst_plan_grub_entries(const struct pst_root *root)
{
	static const char on[] = "true";
	PST_CLEANUP_FREE char *text = NULL;
	struct pst_shell_assign a;
	unsigned int line = 0;
	size_t len, pos = 0;
	bool bls = false;

	if (pst_root_exists(root, "boot/loader/loader.conf") ||
	    pst_root_read(root, "etc/default/grub", PST_ROOT_TEXT_MAX, &text,
			  &len) < 0)
		return false;
	while (pst_shell_next(text, "GRUB_ENABLE_BLSCFG", &pos, &line, &a))
		bls = a.clear && a.len == strlen(on) &&
		      memcmp(text + a.off, on, a.len) == 0;
	return bls;
}

static unsigned int loaders(const struct pst_plan *p)
{
	unsigned int has = 0;

	/* ostree writes entries of its own, and keeps no other settings. */
	if (there(p, "ostree"))
		return 0;
	if (there(p, "etc/default/grub"))
		has |= PST_TARGET_GRUB;
	/* GRUB reads such entries too, with its own settings (Fedora). */
	if (has_name(p, "efi/loader/entries", ".conf") ||
	    has_name(p, "boot/efi/loader/entries", ".conf") ||
	    there(p, "etc/kernel/cmdline") || pst_plan_has_snippets(p) ||
	    (has_name(p, "boot/loader/entries", ".conf") &&
	     (!has || there(p, "boot/loader/loader.conf"))))
		has |= PST_TARGET_SYSTEMD_BOOT;
	return has;
}

static unsigned int initramfs(const struct pst_plan *p)
{
	unsigned int has = 0, works = 0;

	if (there(p, "etc/mkinitcpio.conf"))
		has |= PST_TARGET_MKINITCPIO;
	if (there(p, "usr/bin/mkinitcpio"))
		works |= PST_TARGET_MKINITCPIO;
	if (there(p, "etc/dracut.conf") || there(p, "etc/dracut.conf.d") ||
	    there(p, "usr/lib/dracut"))
		has |= PST_TARGET_DRACUT;
	if (there(p, "usr/bin/dracut") || there(p, "usr/sbin/dracut"))
		works |= PST_TARGET_DRACUT;
	if (there(p, "etc/initramfs-tools"))
		has |= PST_TARGET_INITRAMFS_TOOLS;
	if (there(p, "usr/sbin/update-initramfs"))
		works |= PST_TARGET_INITRAMFS_TOOLS;
	/* Settings of one that is gone may be left. */
	return has & works ? has & works : has;
}

void pst_plan_detect(struct pst_plan *p)
{
	if (is_nixos(p)) {
		p->has = PST_TARGET_NIXOS;
		return;
	}
	p->has = PST_TARGET_MODPROBE | loaders(p) | initramfs(p);
}
