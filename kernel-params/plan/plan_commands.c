/* SPDX-License-Identifier: MIT */
/* Lists the commands to run after files have changed, by their paths. */
#include <string.h>

#include "kernel-params/edit/dropins.h"
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
	PART_SDBOOT = 1U << 12,
	PART_LIMINE = 1U << 13,
	PART_EXTLINUX = 1U << 14,
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
		{"/etc/sdboot-manage.conf", PART_SDBOOT},
		{"/etc/default/limine", PART_LIMINE},
		{"/etc/limine-entry-tool", PART_LIMINE},
		{"/etc/default/u-boot", PART_EXTLINUX},
		{"/etc/u-boot-menu/", PART_EXTLINUX},
		{"/etc/default/extlinux", PART_EXTLINUX},
		{"/etc/update-extlinux.conf", PART_EXTLINUX},
		{"/boot/", PART_ENTRY},
		{"/efi/", PART_ENTRY},
		{"/etc/mkinitcpio", PART_MKINITCPIO},
		{"/etc/dracut", PART_DRACUT},
		{"/etc/initramfs-tools/", PART_TOOLS},
		{"/etc/modprobe.d/", PART_INITRAMFS},
		{"/" PST_HOST_CARD_RULES_FILE, PART_BOOT},
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

/* A command that does two things is run once. */
static int add(struct pst_host_lines *ret, const char *command)
{
	size_t i;

	for (i = 0; i < ret->n; i++)
		if (strcmp(ret->line[i], command) == 0)
			return 0;
	return pst_host_lines_add(ret, "%s", command);
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
			r = add(ret, "rpm-ostree initramfs --disable");
		else
			r = add(ret,
				pst_host_boot_initramfs(b, makers[i].target));
	}
	return r;
}

/* Entries were edited as well, or GRUB makes them; else they have to be made
 * from it. */
static int add_cmdline(const struct pst_host_boot *b, bool edited,
		       struct pst_host_lines *ret)
{
	if (!b->proxmox && !b->from_cmdline && !b->unified &&
	    (edited || b->grub_entries))
		return 0;
	return add(ret, b->entries);
}

/* What makes what boots of settings other than entries. */
static int add_loader(const struct pst_host_boot *b, unsigned int parts,
		      struct pst_host_lines *ret)
{
	int r = 0;

	if (parts & PART_CMDLINE)
		r = add_cmdline(b, parts & PART_ENTRY, ret);
	/* Its copy of GRUB's menu is behind the initramfs that it copies. */
	if (r == 0 && b->proxmox && parts & PART_GRUB)
		r = add(ret, b->grub);
	if (r == 0 && parts & PART_SDBOOT && b->rewritten)
		r = add(ret, "sdboot-manage gen");
	if (r == 0 && parts & PART_LIMINE)
		r = add(ret, b->limine);
	if (r == 0 && parts & PART_EXTLINUX && b->extlinux.command)
		r = add(ret, b->extlinux.command);
	return r;
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
	if (parts & PART_GRUB && !boot.proxmox)
		r = add(ret, boot.grub);
	if (r == 0)
		r = add_initramfs(&boot, parts, undone, ret);
	if (r == 0)
		r = add_loader(&boot, parts, ret);
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
