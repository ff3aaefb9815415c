/* SPDX-License-Identifier: MIT */
/* Finds what a host boots with, and the commands that make it from settings. */
#ifndef PST_KERNEL_PARAMS_BOOT_BOOT_H
#define PST_KERNEL_PARAMS_BOOT_BOOT_H

#include "kernel-params/root/root.h"
#include "kernel-params/syntax/settings.h"

/* What files are written for. */
enum pst_host_target {
	PST_HOST_TARGET_GRUB = 1U << 0,
	PST_HOST_TARGET_SYSTEMD_BOOT = 1U << 1,
	PST_HOST_TARGET_MODPROBE = 1U << 2,
	PST_HOST_TARGET_MKINITCPIO = 1U << 3,
	PST_HOST_TARGET_DRACUT = 1U << 4,
	PST_HOST_TARGET_INITRAMFS_TOOLS = 1U << 5,
	PST_HOST_TARGET_SYSCTL = 1U << 6,
	PST_HOST_TARGET_TMPFILES = 1U << 7,
	PST_HOST_TARGET_UDEV = 1U << 8,
	PST_HOST_TARGET_NIXOS = 1U << 9,
	PST_HOST_TARGET_LIMINE = 1U << 10,
	PST_HOST_TARGET_REFIND = 1U << 11,
	PST_HOST_TARGET_EXTLINUX = 1U << 12,
};

/* Those that have the kernel's command line. */
#define PST_HOST_TARGETS_LOADER                                                \
	(PST_HOST_TARGET_GRUB | PST_HOST_TARGET_SYSTEMD_BOOT |                 \
	 PST_HOST_TARGET_LIMINE | PST_HOST_TARGET_REFIND |                     \
	 PST_HOST_TARGET_EXTLINUX | PST_HOST_TARGET_NIXOS)

/* Settings that more than one part looks at. */
#define PST_HOST_KERNEL_CMDLINE "etc/kernel/cmdline"
#define PST_HOST_VENDOR_CMDLINE "usr/lib/kernel/cmdline"
#define PST_HOST_SDBOOT_CONF    "etc/sdboot-manage.conf"
#define PST_HOST_LIMINE_CONF    "etc/default/limine"
#define PST_HOST_LIMINE_FILES   4
#define PST_HOST_REFIND_CONF    "boot/refind_linux.conf"

/* The entry of the firmware's own menu that has booted. */
struct pst_host_boot_entry {
	char name[9];           /* "Boot0003", "" not seen */
	char label[64];         /* "Arch Linux" */
	char loader[128];       /* what it starts: "\\vmlinuz-linux" */
	unsigned int partition; /* where that lies, 0: not told */
	char words[1024];       /* what it hands over, "" nothing */
};

/* Reads it; from the report of another machine, too. */
void pst_host_boot_entry_read(const struct pst_host_root *root,
			      struct pst_host_boot_entry *ret);
/* As a report has it, since the variable has serial numbers; to be freed. */
char *pst_host_boot_entry_format(const struct pst_host_boot_entry *e);

/* syslinux and its relatives: extlinux, the menu of U-Boot. */
struct pst_host_extlinux {
	const char *file; /* that has the command lines, NULL: none */
	/* The command that writes it, of this variable of its settings and
	 * their folder (or NULL); NULL: somebody keeps it by hand. */
	const char *command, *variable, *settings, *folder;
};

struct pst_host_boot {
	unsigned int has; /* targets that the host has, told by its files */
	bool ostree;      /* which keeps the command line itself */
	bool snippets; /* mkinitcpio takes the command line from etc/cmdline.d
			*/
	/* grub2-mkconfig writes the options of boot/loader/entries by
	 * etc/default/grub (GRUB_ENABLE_BLSCFG, as on Fedora), so that nobody
	 * else should. */
	bool grub_entries;
	bool unified; /* a kernel with its command line inside is on the ESP */
	/* The entries of systemd-boot, or unified kernels, are made anew from
	 * settings by one of the commands below: those settings are what is
	 * edited. from_cmdline: they are etc/kernel/cmdline, and the running
	 * kernel's command line where that is missing. */
	bool rewritten, from_cmdline;
	bool sdboot_manage; /* from etc/sdboot-manage.conf */
	bool limine_tool;   /* limine-entry-tool writes limine.conf */
	bool own_grub;      /* GRUB, where it is, has its own settings */
	bool proxmox;       /* proxmox-boot-tool writes what boots */
	/* Each limine.conf that somebody keeps by hand: which one is read
	 * differs between Limine's versions. The first NULL ends them. */
	const char *limine_conf[PST_HOST_LIMINE_FILES + 1];
	/* The variable of dracut.conf that becomes a unified kernel's command
	 * line is read (uefi=yes). */
	bool dracut_uefi;
	/* Words of those entries that the command `grub` would take out, since
	 * etc/default/grub does not have them; "" none. The entries are what
	 * is edited then. */
	char lost[256];
	/* The same of a grub.cfg in which somebody, or grubby, has put them. */
	char menu_lost[256];
	const char *menu; /* that grub.cfg, NULL: not seen */
	/* "FILE line N": an entry of GRUB's menu that somebody wrote, which has
	 * words of its own; "" none. */
	char own_entry[PST_HOST_ROOT_PATH_MAX];
	struct pst_host_extlinux extlinux;
	const char *refind_linux, *refind_conf; /* with options, NULL: none */
	bool refind;                            /* it is there */
	/* It takes them from a property of the file system. */
	bool zfsbootmenu;
	struct pst_host_boot_entry entry;
	/* This kernel is Xen's dom0, which has no VFIO; it may be booted so. */
	bool dom0, xen;
	bool signs; /* something signs new unified kernels */
	/* What has booted, as the firmware's LoaderInfo or the command line
	 * tells: systemd-boot and the like, or GRUB. */
	bool by_stub, by_grub;
	const char *initcpio; /* makes the initramfs by mkinitcpio */
	const char *dracut;   /* by dracut */
	const char *grub;     /* makes grub.cfg; it may be grub_text */
	char grub_text[160];
	const char *entries; /* makes entries or unified kernels */
	const char *limine;  /* makes limine.conf */
};

/* Reads it, into the place where it stays. Texts are static. */
void pst_host_boot_scan(const struct pst_host_root *root,
			struct pst_host_boot *ret);

/* Whether grub-mkconfig reads etc/default/grub.d: Debian's does, upstream's
 * does not. */
bool pst_host_boot_grub_drop_ins(const struct pst_host_root *root);

/* The command that makes the initramfs by one target's settings; NULL: the
 * target has none. Static. */
const char *pst_host_boot_initramfs(const struct pst_host_boot *b,
				    unsigned int target);

/* ---- For boot*.c alone ----------------------------------------------------
 */

/* Who makes what boots from settings of its own; before the loaders. */
void pst_host_boot_makers(const struct pst_host_root *root,
			  struct pst_host_boot *b);
/* Other loaders: syslinux, rEFInd, ZFSBootMenu, Xen; who signs. */
void pst_host_boot_others(const struct pst_host_root *root,
			  struct pst_host_boot *b);
/* What GRUB's command would take out of what boots. */
void pst_host_boot_losses(const struct pst_host_root *root,
			  struct pst_host_boot *b);
/* The commands, where all else is known. */
void pst_host_boot_commands(const struct pst_host_root *root,
			    struct pst_host_boot *b);
/* The words of GRUB_CMDLINE_LINUX and its _DEFAULT, with blanks between; NULL:
 * there are no settings. What a shell would be needed for is in fault. */
char *pst_host_boot_grub_words(const struct pst_host_root *root,
			       char fault[PST_HOST_FAULT_MAX]);
/* Whether a directory has a name with this ending. */
bool pst_host_boot_has_name(const struct pst_host_root *root, const char *dir,
			    const char *ending);

#endif
