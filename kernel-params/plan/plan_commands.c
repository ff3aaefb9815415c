/* SPDX-License-Identifier: MIT */
/* Lists the commands to run after files have changed, by their paths. */
#include <string.h>

#include "kernel-params/plan/plan.h"

/* What a path belongs to; several may be. */
enum part {
	PART_GRUB = 1U << 0,
	PART_CMDLINE = 1U << 1,
	PART_ENTRY = 1U << 2,
	PART_INITRAMFS = 1U << 3,
	PART_SYSCTL = 1U << 4,
	PART_TMPFILES = 1U << 5,
	PART_MOUNT = 1U << 6,
	PART_NIXOS = 1U << 7,
	PART_BOOT = 1U << 8, /* read at the next boot */
	PART_MKINITCPIO = 1U << 9,
	PART_DRACUT = 1U << 10,
	PART_TOOLS = 1U << 11,
};

static unsigned int parts_of(const char *path)
{
	static const struct {
		const char *begin;
		unsigned int part;
	} known[] = {
		{"/etc/default/grub", PART_GRUB},
		{"/etc/kernel/cmdline", PART_CMDLINE},
		{"/etc/cmdline.d/", PART_CMDLINE},
		{"/boot/", PART_ENTRY},
		{"/efi/", PART_ENTRY},
		{"/etc/mkinitcpio", PART_MKINITCPIO},
		{"/etc/dracut", PART_DRACUT},
		{"/etc/initramfs-tools/", PART_TOOLS},
		{"/etc/modprobe.d/", PART_INITRAMFS},
		{"/etc/udev/", PART_INITRAMFS},
		{"/etc/modules-load.d/", PART_BOOT},
		{"/etc/sysctl.d/", PART_SYSCTL},
		{"/etc/tmpfiles.d/", PART_TMPFILES},
		{"/etc/systemd/", PART_MOUNT},
		{"/etc/nixos/", PART_NIXOS},
	};
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(known); i++)
		if (strncmp(path, known[i].begin, strlen(known[i].begin)) == 0)
			return known[i].part;
	return PART_BOOT;
}

/* " --update-bls-cmdline" where entries get the command line only so. */
static const char *bls_option(const struct pst_host_root *root)
{
	static const char option[] = " --update-bls-cmdline";
	static const char *const programs[] = {"usr/sbin/grub2-mkconfig",
					       "usr/bin/grub2-mkconfig"};
	size_t i, len;

	if (!pst_host_plan_grub_entries(root))
		return "";
	for (i = 0; i < PST_ARRAY_SIZE(programs); i++) {
		PST_CLEANUP_FREE char *text = NULL;

		/* Before Fedora 37 and RHEL 9.3 it did so unasked. */
		if (pst_host_root_read(root, programs[i],
				       PST_HOST_ROOT_TEXT_MAX, &text,
				       &len) == 0)
			return strstr(text, option + 1) ? option : "";
	}
	return option;
}

static int add_grub(const struct pst_host_root *root,
		    struct pst_host_lines *ret)
{
	if (pst_host_root_exists(root, "usr/sbin/update-grub"))
		return pst_host_lines_add(ret, "update-grub");
	if (!pst_host_root_exists(root, "boot/grub2"))
		return pst_host_lines_add(
			ret, "grub-mkconfig -o /boot/grub/grub.cfg");
	return pst_host_lines_add(ret,
				  "grub2-mkconfig -o /boot/grub2/grub.cfg%s",
				  bls_option(root));
}

/* What makes this host's initramfs, as parts. */
static unsigned int makers(const struct pst_host_root *root)
{
	const unsigned int has = pst_host_plan_detect(root);

	return (has & PST_HOST_TARGET_MKINITCPIO ? PART_MKINITCPIO : 0) |
	       (has & PST_HOST_TARGET_DRACUT ? PART_DRACUT : 0) |
	       (has & PST_HOST_TARGET_INITRAMFS_TOOLS ? PART_TOOLS : 0);
}

static int add_initramfs(const struct pst_host_root *root, unsigned int parts,
			 bool undone, struct pst_host_lines *ret)
{
	int r = 0;

	/* It comes with the image, unless it is asked to make its own. */
	if (parts & PART_DRACUT && pst_host_root_exists(root, "ostree"))
		return pst_host_lines_add(ret, "rpm-ostree initramfs --%s",
					  undone ? "disable" : "enable");
	if (parts & PART_MKINITCPIO)
		r = pst_host_lines_add(ret, "mkinitcpio -P");
	if (r == 0 && parts & PART_DRACUT)
		r = pst_host_lines_add(ret, "dracut -f --regenerate-all");
	if (r == 0 && parts & PART_TOOLS)
		r = pst_host_lines_add(ret, "update-initramfs -u -k all");
	return r;
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

/* Entries were edited as well, or GRUB makes them; else they have to be made
 * from it. */
static int add_cmdline(const struct pst_host_root *root, bool entries,
		       struct pst_host_lines *ret)
{
	if (pst_host_root_exists(root, "etc/kernel/proxmox-boot-uuids"))
		return pst_host_lines_add(ret, "proxmox-boot-tool refresh");
	if ((entries || pst_host_plan_grub_entries(root)) && !has_unified(root))
		return 0;
	if (pst_host_root_exists(root, "etc/mkinitcpio.conf"))
		return pst_host_lines_add(ret, "mkinitcpio -P");
	return pst_host_lines_add(ret, "kernel-install add-all");
}

int pst_host_plan_commands(const struct pst_host_root *root,
			   const char *const *path, size_t n, bool undone,
			   struct pst_host_lines *ret)
{
	unsigned int parts = 0;
	size_t i;
	int r = 0;

	for (i = 0; i < n; i++)
		parts |= parts_of(path[i]);
	if (parts & PART_INITRAMFS)
		parts |= makers(root);
	if (parts & PART_GRUB)
		r = add_grub(root, ret);
	if (r == 0)
		r = add_initramfs(root, parts, undone, ret);
	if (r == 0 && parts & PART_CMDLINE)
		r = add_cmdline(root, parts & PART_ENTRY, ret);
	if (r == 0 && parts & PART_SYSCTL)
		r = pst_host_lines_add(ret, "sysctl --system");
	if (r == 0 && parts & PART_TMPFILES)
		r = pst_host_lines_add(ret, "systemd-tmpfiles --create");
	if (r == 0 && parts & PART_MOUNT)
		r = pst_host_lines_add(ret, "systemctl daemon-reload");
	if (r == 0 && parts & PART_MOUNT)
		r = pst_host_lines_add(ret, "systemctl %s",
				       undone ? "disable dev-hugepages2M.mount"
					      : "enable --now "
						"dev-hugepages2M.mount");
	if (r == 0 && parts & PART_NIXOS)
		r = pst_host_lines_add(ret, "nixos-rebuild boot");
	if (r == 0 &&
	    parts & ~(unsigned int)(PART_SYSCTL | PART_TMPFILES | PART_MOUNT))
		r = pst_host_lines_add(ret, "reboot");
	return r;
}
