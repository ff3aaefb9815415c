/* SPDX-License-Identifier: MIT */
/* Loaders beside GRUB and systemd-boot, and who signs what boots. */
#include <string.h>

#include "kernel-params/boot/boot.h"
#include "kernel-params/syntax/loader_text.h"

static bool there(const struct pst_host_root *root, const char *path)
{
	return pst_host_root_exists(root, path);
}

/* The first of n paths that there is, or NULL. */
static const char *first_of(const struct pst_host_root *root,
			    const char *const *path, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (there(root, path[i]))
			return path[i];
	return NULL;
}

#define FIRST_OF(root, list) first_of(root, list, PST_ARRAY_SIZE(list))

static void find_extlinux(const struct pst_host_root *root,
			  struct pst_host_extlinux *ret)
{
	static const char *const files[] = {
		"boot/extlinux/extlinux.conf",
		"boot/extlinux.conf",
		"boot/syslinux/syslinux.cfg",
		"boot/syslinux/extlinux.conf",
		"boot/syslinux.cfg",
		"boot/EFI/syslinux/syslinux.cfg",
		"efi/EFI/syslinux/syslinux.cfg",
		"boot/efi/EFI/syslinux/syslinux.cfg",
	};
	static const struct {
		const char *program;
		struct pst_host_extlinux found;
	} tools[] = {
		/* Debian's menu of U-Boot, and its extlinux; Alpine's. */
		{"usr/sbin/u-boot-update",
		 {"boot/extlinux/extlinux.conf", "u-boot-update",
		  "U_BOOT_PARAMETERS", "etc/default/u-boot",
		  "etc/u-boot-menu/conf.d"}},
		{"usr/sbin/extlinux-update",
		 {"boot/extlinux/linux.cfg", "extlinux-update",
		  "EXTLINUX_PARAMETERS", "etc/default/extlinux", NULL}},
		{"usr/sbin/update-extlinux",
		 {"boot/extlinux.conf", "update-extlinux",
		  "default_kernel_opts", "etc/update-extlinux.conf", NULL}},
		{"sbin/update-extlinux",
		 {"boot/extlinux.conf", "update-extlinux",
		  "default_kernel_opts", "etc/update-extlinux.conf", NULL}},
	};
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(tools); i++)
		if (there(root, tools[i].program)) {
			*ret = tools[i].found;
			return;
		}
	ret->file = FIRST_OF(root, files);
}

/* ---- Stanzas of rEFInd ----------------------------------------------------
 */

static bool has_stanza(const char *text)
{
	struct pst_host_loader_span s = {0};

	return pst_host_loader_next(text, PST_HOST_LOADER_STANZA, &s);
}

static void find_refind(const struct pst_host_root *root,
			struct pst_host_boot *b)
{
	/* Beside the kernel. */
	static const char *const linux_files[] = {
		PST_HOST_REFIND_CONF,
		"efi/refind_linux.conf",
		"efi/EFI/arch/refind_linux.conf",
		"boot/efi/refind_linux.conf",
		"boot/efi/EFI/arch/refind_linux.conf",
		"boot/EFI/arch/refind_linux.conf",
	};
	static const char *const files[] = {
		"boot/EFI/refind/refind.conf",
		"efi/EFI/refind/refind.conf",
		"boot/efi/EFI/refind/refind.conf",
		"boot/EFI/BOOT/refind.conf",
		"efi/EFI/BOOT/refind.conf",
		"boot/efi/EFI/BOOT/refind.conf",
	};
	const char *conf = FIRST_OF(root, files);
	PST_CLEANUP_FREE char *text = NULL;
	size_t len;

	b->refind_linux = FIRST_OF(root, linux_files);
	b->refind = conf || b->refind_linux;
	if (conf &&
	    pst_host_root_read(root, conf, PST_HOST_ROOT_TEXT_MAX, &text,
			       &len) == 0 &&
	    has_stanza(text))
		b->refind_conf = conf;
}

/* ---- The others -----------------------------------------------------------
 */

static bool has_zfsbootmenu(const struct pst_host_root *root)
{
	static const char *const marks[] = {
		"etc/zfsbootmenu",      "boot/efi/EFI/zbm",
		"boot/efi/EFI/ZBM",     "boot/efi/EFI/zfsbootmenu",
		"efi/EFI/zbm",          "efi/EFI/ZBM",
		"efi/EFI/zfsbootmenu",  "boot/EFI/zbm",
		"boot/EFI/zfsbootmenu",
	};

	return FIRST_OF(root, marks) != NULL;
}

/* Xen says so of itself; of its dom0 it tells no UUID, or that it controls. */
static bool is_dom0(const struct pst_host_root *root)
{
	static const char none[] = "00000000-0000-0000-0000-000000000000";
	char text[64];

	if (pst_host_root_read_text(root, "proc/xen/capabilities", text,
				    sizeof(text)) > 0)
		return strstr(text, "control_d") != NULL;
	return pst_host_root_read_text(root, "sys/hypervisor/type", text,
				       sizeof(text)) > 0 &&
	       strcmp(text, "xen") == 0 &&
	       pst_host_root_read_text(root, "sys/hypervisor/uuid", text,
				       sizeof(text)) > 0 &&
	       strcmp(text, none) == 0;
}

/* Whether a name in /boot begins with "xen". */
static bool has_xen(const struct pst_host_root *root)
{
	PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};
	size_t i;

	if (pst_host_root_list(root, "boot", &names) < 0)
		return false;
	for (i = 0; i < names.n; i++)
		if (strncmp(names.name[i], "xen", 3) == 0)
			return true;
	return false;
}

static bool has_signer(const struct pst_host_root *root)
{
	static const char *const marks[] = {
		"usr/bin/sbctl",
		"etc/initcpio/post",
		"etc/kernel/secure-boot-private-key.pem",
		"etc/secureboot/keys",
	};
	PST_CLEANUP_FREE char *text = NULL;
	size_t len;

	return FIRST_OF(root, marks) ||
	       (pst_host_root_read(root, "etc/kernel/uki.conf",
				   PST_HOST_ROOT_CONF_MAX, &text, &len) == 0 &&
		strstr(text, "SecureBootPrivateKey"));
}

void pst_host_boot_others(const struct pst_host_root *root,
			  struct pst_host_boot *b)
{
	find_extlinux(root, &b->extlinux);
	find_refind(root, b);
	b->zfsbootmenu = has_zfsbootmenu(root);
	b->dom0 = is_dom0(root);
	b->xen = has_xen(root);
	b->signs |= has_signer(root);
}
