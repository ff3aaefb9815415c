/* SPDX-License-Identifier: MIT */
/* Detects a host's boot loader and initramfs generator by their files. */
#include <string.h>

#include "kernel-params/edit/shell_text.h"
#include "kernel-params/plan/plan.h"

static bool there(const struct pst_host_root *root, const char *path)
{
	return pst_host_root_exists(root, path);
}

/* Whether a directory has a name with this ending. */
static bool has_name(const struct pst_host_root *root, const char *dir,
		     const char *ending)
{
	PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};
	size_t i, len, n = strlen(ending);

	if (pst_host_root_list(root, dir, &names) < 0)
		return false;
	for (i = 0; i < names.n; i++) {
		len = strlen(names.name[i]);
		if (len > n && strcmp(names.name[i] + len - n, ending) == 0)
			return true;
	}
	return false;
}

bool pst_host_plan_has_snippets(const struct pst_host_root *root)
{
	return has_name(root, "etc/cmdline.d", ".conf");
}

bool pst_host_plan_grub_entries(const struct pst_host_root *root)
{
	static const char on[] = "true";
	PST_CLEANUP_FREE char *text = NULL;
	struct pst_host_shell_assign a;
	unsigned int line = 0;
	size_t len, pos = 0;
	bool bls = false;

	if (pst_host_root_exists(root, "boot/loader/loader.conf") ||
	    pst_host_root_read(root, "etc/default/grub", PST_HOST_ROOT_TEXT_MAX,
			       &text, &len) < 0)
		return false;
	while (pst_host_shell_next(text, "GRUB_ENABLE_BLSCFG", &pos, &line, &a))
		bls = a.clear && a.len == strlen(on) &&
		      memcmp(text + a.off, on, a.len) == 0;
	return bls;
}

static unsigned int loaders(const struct pst_host_root *root)
{
	unsigned int has = 0;

	/* ostree writes entries of its own, and keeps no other settings. */
	if (there(root, "ostree"))
		return 0;
	if (there(root, "etc/default/grub"))
		has |= PST_HOST_TARGET_GRUB;
	/* GRUB reads such entries too, with its own settings (Fedora). */
	if (has_name(root, "efi/loader/entries", ".conf") ||
	    has_name(root, "boot/efi/loader/entries", ".conf") ||
	    there(root, "etc/kernel/cmdline") ||
	    pst_host_plan_has_snippets(root) ||
	    (has_name(root, "boot/loader/entries", ".conf") &&
	     (!has || there(root, "boot/loader/loader.conf"))))
		has |= PST_HOST_TARGET_SYSTEMD_BOOT;
	return has;
}

static unsigned int initramfs(const struct pst_host_root *root)
{
	unsigned int has = 0, works = 0;

	if (there(root, "etc/mkinitcpio.conf"))
		has |= PST_HOST_TARGET_MKINITCPIO;
	if (there(root, "usr/bin/mkinitcpio"))
		works |= PST_HOST_TARGET_MKINITCPIO;
	if (there(root, "etc/dracut.conf") ||
	    there(root, "etc/dracut.conf.d") || there(root, "usr/lib/dracut"))
		has |= PST_HOST_TARGET_DRACUT;
	if (there(root, "usr/bin/dracut") || there(root, "usr/sbin/dracut"))
		works |= PST_HOST_TARGET_DRACUT;
	if (there(root, "etc/initramfs-tools"))
		has |= PST_HOST_TARGET_INITRAMFS_TOOLS;
	if (there(root, "usr/sbin/update-initramfs"))
		works |= PST_HOST_TARGET_INITRAMFS_TOOLS;
	/* Settings of one that is gone may be left. */
	return has & works ? has & works : has;
}

unsigned int pst_host_plan_detect(const struct pst_host_root *root)
{
	char id[PST_HOST_OS_ID_MAX];

	pst_host_os_read(root, id);
	if (strcmp(id, "nixos") == 0)
		return PST_HOST_TARGET_NIXOS;
	return PST_HOST_TARGET_MODPROBE | loaders(root) | initramfs(root);
}
