/* SPDX-License-Identifier: MIT */
/* Finds what a host boots with, and the commands that make it from settings. */
#include "kernel-params/scan/boot.h"

#include <string.h>

#include "kernel-params/scan/cmdline.h"
#include "kernel-params/scan/shell_text.h"

void pst_host_os_read(const struct pst_host_root *root,
		      char ret[PST_HOST_OS_ID_MAX])
{
	PST_CLEANUP_FREE char *text = NULL;
	struct pst_host_cmdline vars;
	const struct pst_host_param *id;
	size_t len;

	*ret = '\0';
	/* There os-release is a link into a store that may not be here. */
	if (pst_host_root_exists(root, "etc/NIXOS")) {
		strcpy(ret, "nixos");
		return;
	}
	if (pst_host_root_read(root, "etc/os-release", 4096, &text, &len) < 0 &&
	    pst_host_root_read(root, "usr/lib/os-release", 4096, &text, &len) <
		    0)
		return;
	/* Assignments in quotes, one a line: the same rules do. */
	if (pst_host_cmdline_parse(text, len, &vars) < 0)
		return;
	id = pst_host_cmdline_get(&vars, "ID");
	if (id && id->value)
		snprintf(ret, PST_HOST_OS_ID_MAX, "%s", id->value);
	pst_host_cmdline_done(&vars);
}

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

static bool has_grub_entries(const struct pst_host_root *root)
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

static unsigned int loaders(const struct pst_host_root *root,
			    const struct pst_host_boot *b)
{
	unsigned int has = 0;

	/* It writes entries of its own, and keeps no other settings. */
	if (b->ostree)
		return 0;
	if (there(root, "etc/default/grub"))
		has |= PST_HOST_TARGET_GRUB;
	/* GRUB reads such entries too, with its own settings (Fedora). */
	if (has_name(root, "efi/loader/entries", ".conf") ||
	    has_name(root, "boot/efi/loader/entries", ".conf") ||
	    there(root, "etc/kernel/cmdline") || b->snippets ||
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

/* Whether a kernel with its command line inside lies on the ESP. */
static bool has_unified(const struct pst_host_root *root)
{
	static const char *const places[] = {
		"boot/EFI/Linux",
		"efi/EFI/Linux",
		"boot/efi/EFI/Linux",
	};
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(places); i++) {
		PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};

		if (pst_host_root_list(root, places[i], &names) == 0 && names.n)
			return true;
	}
	return false;
}

/* With " --update-bls-cmdline" where entries get the command line only so. */
static const char *grub2(const struct pst_host_root *root, bool entries)
{
	static const char plain[] = "grub2-mkconfig -o /boot/grub2/grub.cfg";
	static const char update[] =
		"grub2-mkconfig -o /boot/grub2/grub.cfg --update-bls-cmdline";
	static const char *const programs[] = {"usr/sbin/grub2-mkconfig",
					       "usr/bin/grub2-mkconfig"};
	size_t i, len;

	if (!entries)
		return plain;
	for (i = 0; i < PST_ARRAY_SIZE(programs); i++) {
		PST_CLEANUP_FREE char *text = NULL;

		/* Before Fedora 37 and RHEL 9.3 it did so unasked. */
		if (pst_host_root_read(root, programs[i],
				       PST_HOST_ROOT_TEXT_MAX, &text,
				       &len) == 0)
			return strstr(text, "--update-bls-cmdline") ? update
								    : plain;
	}
	return update;
}

static const char *grub(const struct pst_host_root *root, bool entries)
{
	if (there(root, "usr/sbin/update-grub"))
		return "update-grub";
	if (!there(root, "boot/grub2"))
		return "grub-mkconfig -o /boot/grub/grub.cfg";
	return grub2(root, entries);
}

static const char *entries(const struct pst_host_root *root)
{
	if (there(root, "etc/kernel/proxmox-boot-uuids"))
		return "proxmox-boot-tool refresh";
	if (there(root, "etc/mkinitcpio.conf"))
		return "mkinitcpio -P";
	return "kernel-install add-all";
}

void pst_host_boot_scan(const struct pst_host_root *root,
			struct pst_host_boot *ret)
{
	char id[PST_HOST_OS_ID_MAX];

	*ret = (struct pst_host_boot){
		.ostree = there(root, "ostree"),
		.snippets = has_name(root, "etc/cmdline.d", ".conf"),
		.grub_entries = has_grub_entries(root),
		.unified = has_unified(root),
		.entries = entries(root),
	};
	ret->grub = grub(root, ret->grub_entries);
	pst_host_os_read(root, id);
	ret->has = strcmp(id, "nixos") == 0
			   ? PST_HOST_TARGET_NIXOS
			   : PST_HOST_TARGET_MODPROBE | loaders(root, ret) |
				     initramfs(root);
}

const char *pst_host_boot_initramfs(const struct pst_host_boot *b,
				    unsigned int target)
{
	switch (target) {
	case PST_HOST_TARGET_MKINITCPIO:
		return "mkinitcpio -P";
	case PST_HOST_TARGET_DRACUT:
		/* It comes with the image, unless it is asked for. */
		return b->ostree ? "rpm-ostree initramfs --enable"
				 : "dracut -f --regenerate-all";
	case PST_HOST_TARGET_INITRAMFS_TOOLS:
		return "update-initramfs -u -k all";
	}
	return NULL;
}
