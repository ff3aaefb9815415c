/* SPDX-License-Identifier: MIT */
/* Finds what a host boots with, and the commands that make it from settings. */
#include "kernel-params/boot/boot.h"

#include <string.h>

#include "kernel-params/boot/initramfs.h"
#include "kernel-params/boot/os.h"
#include "kernel-params/syntax/cmdline.h"
#include "kernel-params/syntax/settings.h"
#include "transport/base/text.h"

static bool there(const struct pst_host_root *root, const char *path)
{
	return pst_host_root_exists(root, path);
}

static bool has_grub_entries(const struct pst_host_root *root)
{
	static const char on[] = "true";
	PST_CLEANUP_FREE char *text = NULL;
	struct pst_host_shell_assign a;
	struct pst_host_shell_pos at = {0};
	size_t len;
	bool bls = false;

	if (pst_host_root_exists(root, "boot/loader/loader.conf") ||
	    pst_host_root_read(root, "etc/default/grub", PST_HOST_ROOT_TEXT_MAX,
			       &text, &len) < 0)
		return false;
	while (pst_host_shell_next(text, "GRUB_ENABLE_BLSCFG", &at, &a))
		bls = a.clear && a.len == strlen(on) &&
		      memcmp(text + a.off, on, a.len) == 0;
	return bls;
}

/* What the loader left of itself: four bytes of attributes, its name in UTF-16
 * (systemd's Boot Loader Interface). */
static void read_loader(const struct pst_host_root *root,
			struct pst_host_boot *b)
{
	static const char file[] =
		"sys/firmware/efi/efivars/"
		"LoaderInfo-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
	PST_CLEANUP_FREE char *text = NULL;
	char name[16] = "";
	size_t i, len;

	if (pst_host_root_read(root, file, 256, &text, &len) < 0)
		return;
	for (i = 0; i < sizeof(name) - 1 && 4 + 2 * i < len; i++)
		name[i] = text[4 + 2 * i];
	if (!*name)
		return;
	b->by_grub = strncmp(name, "GRUB", 4) == 0;
	b->by_stub = !b->by_grub;
}

/* What the kernel's command line and os-release tell of a host whose files may
 * be copied in part. */
static void read_booted(const struct pst_host_root *root,
			struct pst_host_boot *b)
{
	static const char *const files[] = {"proc/cmdline", "etc/os-release",
					    "usr/lib/os-release"};
	size_t i, len;

	b->ostree = there(root, "ostree");
	for (i = 0; i < PST_ARRAY_SIZE(files); i++) {
		PST_CLEANUP_FREE char *text = NULL;
		const struct pst_host_param *p;
		struct pst_host_cmdline vars;

		if (pst_host_root_read(root, files[i], PST_HOST_CMDLINE_MAX,
				       &text, &len) < 0 ||
		    pst_host_cmdline_parse(text, len, &vars) < 0)
			continue;
		b->ostree |= pst_host_cmdline_get(&vars, "ostree") ||
			     pst_host_cmdline_get(&vars, "OSTREE_VERSION");
		/* systemd-boot and the like name it by the path of an ESP. */
		p = pst_host_cmdline_get(&vars, "initrd");
		b->by_stub |= p && p->value && *p->value == '\\';
		b->by_grub |= pst_host_cmdline_get(&vars, "BOOT_IMAGE") != NULL;
		pst_host_cmdline_done(&vars);
	}
	read_loader(root, b);
	pst_host_boot_entry_read(root, &b->entry);
}

static unsigned int loaders(const struct pst_host_root *root,
			    const struct pst_host_boot *b)
{
	unsigned int has = 0;

	/* It writes entries of its own, and keeps no other settings. */
	if (b->ostree)
		return 0;
	if (there(root, "etc/default/grub") && !*b->lost && b->own_grub)
		has |= PST_HOST_TARGET_GRUB;
	if (b->limine_tool || *b->limine_conf)
		has |= PST_HOST_TARGET_LIMINE;
	if (b->refind_linux || b->refind_conf)
		has |= PST_HOST_TARGET_REFIND;
	if (b->extlinux.file)
		has |= PST_HOST_TARGET_EXTLINUX;
	/* GRUB reads such entries too, with its own settings (Fedora). */
	if (pst_host_boot_has_name(root, "efi/loader/entries", ".conf") ||
	    pst_host_boot_has_name(root, "boot/efi/loader/entries", ".conf") ||
	    there(root, PST_HOST_KERNEL_CMDLINE) ||
	    there(root, PST_HOST_VENDOR_CMDLINE) || b->snippets ||
	    b->rewritten || b->sdboot_manage || b->dracut_uefi ||
	    (pst_host_boot_has_name(root, "boot/loader/entries", ".conf") &&
	     (!(has & PST_HOST_TARGET_GRUB) ||
	      there(root, "boot/loader/loader.conf"))))
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
	if (pst_host_early_has_tools(root))
		works |= PST_HOST_TARGET_INITRAMFS_TOOLS;
	/* Settings of one that is gone may be left. */
	return has & works ? has & works : has;
}

void pst_host_boot_scan(const struct pst_host_root *root,
			struct pst_host_boot *ret)
{
	char id[PST_HOST_OS_ID_MAX];

	*ret = (struct pst_host_boot){
		.snippets =
			pst_host_boot_has_name(root, "etc/cmdline.d", ".conf"),
		.grub_entries = has_grub_entries(root),
	};
	read_booted(root, ret);
	pst_host_boot_makers(root, ret);
	pst_host_boot_others(root, ret);
	pst_host_boot_losses(root, ret);
	pst_host_boot_commands(root, ret);
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
		return b->initcpio;
	case PST_HOST_TARGET_DRACUT:
		return b->dracut;
	case PST_HOST_TARGET_INITRAMFS_TOOLS:
		return "update-initramfs -u -k all";
	}
	return NULL;
}
