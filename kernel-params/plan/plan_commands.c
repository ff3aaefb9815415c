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

static int add_initramfs(const struct pst_host_boot *b, unsigned int parts,
			 bool undone, struct pst_host_lines *ret)
{
	static const struct {
		unsigned int part, target;
	} makers[] = {
		{PART_MKINITCPIO, PST_HOST_TARGET_MKINITCPIO},
		{PART_DRACUT, PST_HOST_TARGET_DRACUT},
		{PART_TOOLS, PST_HOST_TARGET_INITRAMFS_TOOLS},
	};
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && i < PST_ARRAY_SIZE(makers); i++) {
		if (!(parts & makers[i].part ||
		      (parts & PART_INITRAMFS && b->has & makers[i].target)))
			continue;
		if (b->ostree && undone && makers[i].part == PART_DRACUT)
			r = pst_host_lines_add(ret, "rpm-ostree initramfs "
						    "--disable");
		else
			r = pst_host_lines_add(
				ret, "%s",
				pst_host_boot_initramfs(b, makers[i].target));
	}
	return r;
}

/* Entries were edited as well, or GRUB makes them; else they have to be made
 * from it. */
static int add_cmdline(const struct pst_host_root *root,
		       const struct pst_host_boot *b, bool edited,
		       struct pst_host_lines *ret)
{
	if (!pst_host_root_exists(root, "etc/kernel/proxmox-boot-uuids") &&
	    (edited || b->grub_entries) && !b->unified)
		return 0;
	return pst_host_lines_add(ret, "%s", b->entries);
}

int pst_host_plan_commands(const struct pst_host_root *root,
			   const char *const *path, size_t n, bool undone,
			   struct pst_host_lines *ret)
{
	struct pst_host_boot boot;
	unsigned int parts = 0;
	size_t i;
	int r = 0;

	pst_host_boot_scan(root, &boot);
	for (i = 0; i < n; i++)
		parts |= parts_of(path[i]);
	if (parts & PART_GRUB)
		r = pst_host_lines_add(ret, "%s", boot.grub);
	if (r == 0)
		r = add_initramfs(&boot, parts, undone, ret);
	if (r == 0 && parts & PART_CMDLINE)
		r = add_cmdline(root, &boot, parts & PART_ENTRY, ret);
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
