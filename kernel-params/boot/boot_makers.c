/* SPDX-License-Identifier: MIT */
/* Who makes what boots, from which settings, and by which command. */
#include <ctype.h>
#include <string.h>

#include "kernel-params/boot/boot.h"
#include "kernel-params/boot/initramfs.h"
#include "kernel-params/syntax/cmdline.h"

static bool there(const struct pst_host_root *root, const char *path)
{
	return pst_host_root_exists(root, path);
}

bool pst_host_boot_has_name(const struct pst_host_root *root, const char *dir,
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

/* Whether a line of a file, behind blanks, begins with one of two texts. */
static bool file_has(const struct pst_host_root *root, const char *path,
		     const char *begin, const char *or_begin)
{
	PST_CLEANUP_FREE char *text = NULL;
	char *line, *rest;
	size_t len;

	if (pst_host_root_read(root, path, PST_HOST_ROOT_CONF_MAX, &text,
			       &len) < 0)
		return false;
	for (line = strtok_r(text, "\n", &rest); line;
	     line = strtok_r(NULL, "\n", &rest)) {
		line += strspn(line, " \t");
		if (strncmp(line, begin, strlen(begin)) == 0 ||
		    strncmp(line, or_begin, strlen(or_begin)) == 0)
			return true;
	}
	return false;
}

/* The same for a directory's files of an ending. */
static bool dir_has(const struct pst_host_root *root, const char *dir,
		    const char *ending, const char *begin, const char *or_begin)
{
	PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};
	char path[PST_HOST_ROOT_PATH_MAX];
	size_t i, len, n = strlen(ending);

	if (pst_host_root_list(root, dir, &names) < 0)
		return false;
	for (i = 0; i < names.n && i < PST_HOST_ROOT_CONF_FILES; i++) {
		len = strlen(names.name[i]);
		if (len > n && strcmp(names.name[i] + len - n, ending) == 0 &&
		    pst_host_path(path, "%s/%s", dir, names.name[i]) == 0 &&
		    file_has(root, path, begin, or_begin))
			return true;
	}
	return false;
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

/* kernel-install's own layout of unified kernels. */
static bool installs_unified(const struct pst_host_root *root)
{
	static const char own[] = "etc/kernel/install.conf";

	return file_has(root,
			there(root, own) ? own : "usr/lib/kernel/install.conf",
			"layout=uki", "layout = uki");
}

/* A preset of mkinitcpio's that makes a unified kernel: default_uki="...". */
static bool preset_unified(const struct pst_host_root *root)
{
	return dir_has(root, "etc/mkinitcpio.d", ".preset",
		       "default_uki=", "ALL_uki=");
}

static bool has_entries(const struct pst_host_root *root)
{
	return pst_host_boot_has_name(root, "boot/loader/entries", ".conf") ||
	       pst_host_boot_has_name(root, "efi/loader/entries", ".conf") ||
	       pst_host_boot_has_name(root, "boot/efi/loader/entries", ".conf");
}

/* It removes or overwrites the entries that are there, unless told not to. */
static bool sdboot_rewrites(const struct pst_host_root *root)
{
	return !file_has(root, PST_HOST_SDBOOT_CONF, "REMOVE_EXISTING=\"no\"",
			 "REMOVE_EXISTING=no") ||
	       file_has(root, PST_HOST_SDBOOT_CONF,
			"OVERWRITE_EXISTING=\"yes\"", "OVERWRITE_EXISTING=yes");
}

/* openSUSE's, where GRUB does not read settings of its own. */
static bool has_sdbootutil(const struct pst_host_root *root)
{
	static const char type[] = "etc/sysconfig/bootloader";

	if (!there(root, "usr/bin/sdbootutil"))
		return false;
	if (there(root, type))
		return file_has(root, type, "LOADER_TYPE=\"systemd-boot\"",
				"LOADER_TYPE=\"grub2-bls\"") ||
		       file_has(root, type, "LOADER_TYPE=systemd-boot",
				"LOADER_TYPE=grub2-bls");
	return has_entries(root) || there(root, PST_HOST_KERNEL_CMDLINE);
}

/* Debian's kernels are not where kernel-install add-all looks for them. */
static bool is_debian(const struct pst_host_root *root)
{
	return there(root, "usr/bin/dpkg") || there(root, "var/lib/dpkg");
}

static bool debian_hook(const struct pst_host_root *root)
{
	return there(root, "etc/kernel/postinst.d/zz-systemd-boot");
}

/* Since 10.3 Limine looks beside its own program first; before, and without
 * one there, in the order of these. */
#define LIMINE_PLACES(esp)                                                     \
	esp "limine.conf", esp "limine/limine.conf", esp "boot/limine.conf",   \
		esp "boot/limine/limine.conf", esp "EFI/limine/limine.conf",   \
		esp "EFI/arch-limine/limine.conf", esp "EFI/BOOT/limine.conf"

static void find_limine_confs(const struct pst_host_root *root,
			      struct pst_host_boot *b)
{
	static const char *const places[] = {LIMINE_PLACES("boot/"),
					     LIMINE_PLACES("efi/"),
					     LIMINE_PLACES("boot/efi/")};
	size_t i, n = 0;

	for (i = 0; i < PST_ARRAY_SIZE(places); i++)
		if (n < PST_HOST_LIMINE_FILES && there(root, places[i]))
			b->limine_conf[n++] = places[i];
}

/* ---- GRUB's menu ----------------------------------------------------------
 */

/* Whether grub-mkconfig has written it, and not somebody who leads to another
 * one. */
static bool is_made(const struct pst_host_root *root, const char *path)
{
	return file_has(root, path, "### BEGIN /etc/grub.d/", "### BEGIN /etc");
}

/* The menu that GRUB reads. With UEFI it was on the ESP before Fedora 34 and
 * RHEL 9, where nowadays a few lines lead to that in /boot. */
static const char *find_menu(const struct pst_host_root *root)
{
	static const char *const on_esp[] = {
		"boot/efi/EFI/fedora/grub.cfg",
		"boot/efi/EFI/redhat/grub.cfg",
		"boot/efi/EFI/centos/grub.cfg",
		"boot/efi/EFI/rocky/grub.cfg",
		"boot/efi/EFI/almalinux/grub.cfg",
		"boot/efi/EFI/ol/grub.cfg",
	};
	static const char *const places[] = {
		"boot/grub2/grub.cfg",
		"boot/grub/grub.cfg",
		"efi/grub/grub.cfg",
		"boot/efi/grub/grub.cfg",
	};
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(on_esp); i++)
		if (there(root, "sys/firmware/efi") && is_made(root, on_esp[i]))
			return on_esp[i];
	for (i = 0; i < PST_ARRAY_SIZE(places); i++)
		if (there(root, places[i]))
			return places[i];
	return NULL;
}

/* ---- All of them ----------------------------------------------------------
 */

void pst_host_boot_makers(const struct pst_host_root *root,
			  struct pst_host_boot *b)
{
	bool dracut = pst_host_early_dracut_uefi(root),
	     sdbootutil = has_sdbootutil(root);
	bool kernel_install = installs_unified(root) || debian_hook(root) ||
			      there(root, "usr/bin/reinstall-kernels");

	b->proxmox = there(root, "etc/kernel/proxmox-boot-uuids");
	b->unified = has_unified(root) || preset_unified(root) ||
		     installs_unified(root) || dracut;
	b->dracut_uefi = dracut;
	b->sdboot_manage =
		there(root, PST_HOST_SDBOOT_CONF) &&
		(there(root, "usr/bin/sdboot-manage") || has_entries(root));
	b->limine_tool = there(root, PST_HOST_LIMINE_CONF) ||
			 there(root, "usr/bin/limine-entry-tool");
	if (!b->limine_tool)
		find_limine_confs(root, b);
	b->from_cmdline = !b->proxmox && (sdbootutil || kernel_install ||
					  preset_unified(root));
	b->rewritten =
		b->from_cmdline || (b->sdboot_manage && sdboot_rewrites(root));
	b->own_grub = !sdbootutil;
	b->menu = find_menu(root);
	b->signs = dir_has(root, "etc/dracut.conf.d", ".conf",
			   "uefi_secureboot_key", "uefi_secureboot_cert");
}

/* ---- Commands -------------------------------------------------------------
 */

/* Whether grub2-mkconfig leaves the entries alone unless it is told. Before
 * Fedora 37 and RHEL 9.3 it did not. */
static bool asks_for_update(const struct pst_host_root *root)
{
	static const char *const programs[] = {"usr/sbin/grub2-mkconfig",
					       "usr/bin/grub2-mkconfig"};
	size_t i, len;

	for (i = 0; i < PST_ARRAY_SIZE(programs); i++) {
		PST_CLEANUP_FREE char *text = NULL;

		if (pst_host_root_read(root, programs[i],
				       PST_HOST_ROOT_TEXT_MAX, &text,
				       &len) == 0)
			return strstr(text, "--update-bls-cmdline");
	}
	return true;
}

/* What is to be pasted has nothing in it that a shell would act on. */
static bool is_plain(const char *path)
{
	return strspn(path, "abcdefghijklmnopqrstuvwxyz"
			    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/+-") ==
	       strlen(path);
}

/* "PROGRAM -o MENU": where the menu is a link, what that leads to, since some
 * write a new file in its place. */
static const char *mkconfig(const struct pst_host_root *root,
			    const char *program, const char *menu,
			    struct pst_host_boot *b)
{
	char to[PST_HOST_ROOT_PATH_MAX];
	const char *dir = menu;

	if (!pst_host_root_is_link(root, menu) ||
	    pst_host_root_readlink(root, menu, to, sizeof(to)) <= 0 ||
	    !is_plain(to) || strlen(to) > 80)
		*to = '\0';
	snprintf(b->grub_text, sizeof(b->grub_text), "%s -o %s%.*s%.80s%s",
		 program, *to == '/' ? "" : "/",
		 *to == '/' ? 0
		 : *to      ? (int)(strrchr(dir, '/') + 1 - dir)
			    : (int)strlen(dir),
		 dir, to,
		 b->grub_entries && asks_for_update(root)
			 ? " --update-bls-cmdline"
			 : "");
	return b->grub_text;
}

static const char *grub(const struct pst_host_root *root,
			struct pst_host_boot *b)
{
	const char *menu = b->menu;
	bool two = menu ? strncmp(menu, "boot/grub2/", 11) == 0 ||
				   strstr(menu, "/EFI/")
			: there(root, "boot/grub2");

	/* GRUB reads the copy that this writes. */
	if (b->proxmox)
		return "proxmox-boot-tool refresh";
	if (there(root, "usr/sbin/update-grub") ||
	    there(root, "usr/bin/update-grub"))
		return "update-grub";
	if (two)
		return mkconfig(root, "grub2-mkconfig",
				menu ? menu : "boot/grub2/grub.cfg", b);
	return mkconfig(root, "grub-mkconfig",
			menu ? menu : "boot/grub/grub.cfg", b);
}

static const char *entries(const struct pst_host_root *root,
			   const struct pst_host_boot *b)
{
	if (b->proxmox)
		return "proxmox-boot-tool refresh";
	if (has_sdbootutil(root))
		return "sdbootutil update-all-entries";
	/* It takes the file where its own settings have nothing. */
	if (there(root, "usr/sbin/u-boot-update") && !has_entries(root))
		return "u-boot-update";
	if (there(root, "etc/mkinitcpio.conf"))
		return b->initcpio;
	if (there(root, "usr/bin/reinstall-kernels"))
		return "reinstall-kernels";
	if (b->dracut_uefi)
		return b->dracut;
	/* systemd-boot's hook runs kernel-install behind it. */
	if (debian_hook(root) && there(root, "usr/sbin/update-initramfs"))
		return "update-initramfs -u -k all";
	if (is_debian(root))
		return "kernel-install add $(uname -r) /boot/vmlinuz-$(uname -r) "
		       "/boot/initrd.img-$(uname -r)";
	return "kernel-install add-all";
}

/* dracut alone writes images under names that not every loader boots. */
static const char *dracut(const struct pst_host_root *root,
			  const struct pst_host_boot *b)
{
	/* It comes with the image, unless it is asked for. */
	if (b->ostree)
		return "rpm-ostree initramfs --enable";
	if (has_sdbootutil(root))
		return "sdbootutil mkinitrd";
	/* EndeavourOS: with GRUB, and with systemd-boot. */
	if (there(root, "usr/bin/dracut-rebuild"))
		return "dracut-rebuild";
	if (there(root, "usr/bin/reinstall-kernels"))
		return "reinstall-kernels";
	if (there(root, "usr/bin/limine-dracut"))
		return "limine-dracut";
	/* Its hooks make the image and install it where the entries say. */
	if (is_debian(root) && (debian_hook(root) || installs_unified(root)))
		return "dpkg-reconfigure linux-image-$(uname -r)";
	if (installs_unified(root))
		return "kernel-install add-all";
	return "dracut -f --regenerate-all";
}

void pst_host_boot_commands(const struct pst_host_root *root,
			    struct pst_host_boot *b)
{
	/* What writes the images that Limine boots, or kernel-install's, which
	 * no preset makes. */
	b->initcpio = there(root, "usr/bin/limine-mkinitcpio")
			      ? "limine-mkinitcpio"
		      : installs_unified(root) && !preset_unified(root)
			      ? "kernel-install add-all"
			      : "mkinitcpio -P";
	b->limine = there(root, "usr/bin/limine-mkinitcpio")
			    ? "limine-mkinitcpio"
		    : there(root, "usr/bin/limine-dracut") ? "limine-dracut"
							   : "limine-update";
	b->grub = grub(root, b);
	b->dracut = dracut(root, b);
	b->entries = entries(root, b);
}
