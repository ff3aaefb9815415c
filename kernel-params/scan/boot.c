/* SPDX-License-Identifier: MIT */
/* Finds what a host boots with, and the commands that make it from settings. */
#include "kernel-params/scan/boot.h"

#include <string.h>

#include "kernel-params/scan/cmdline.h"
#include "kernel-params/scan/shell_text.h"
#include "transport/base/text.h"

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
}

static bool has_word(const char *words, const char *word, size_t len)
{
	const char *p;

	for (p = words; (p = strstr(p, word)); p++)
		if ((p == words || p[-1] == ' ') && strchr(" ", p[len]))
			return true;
	return false;
}

/* The words of GRUB_CMDLINE_LINUX and its _DEFAULT, with blanks between. */
static char *grub_words(const char *text)
{
	static const char *const names[] = {"GRUB_CMDLINE_LINUX",
					    "GRUB_CMDLINE_LINUX_DEFAULT"};
	char *all = strdup("");
	size_t i;

	for (i = 0; all && i < PST_ARRAY_SIZE(names); i++) {
		PST_CLEANUP_FREE char *before = all;
		struct pst_host_shell_assign a;
		char *more, *value = strdup("");
		unsigned int line = 0;
		size_t pos = 0;

		while (value &&
		       pst_host_shell_next(text, names[i], &pos, &line, &a)) {
			more = pst_text_format("%s %.*s", a.adds ? value : "",
					       a.clear ? (int)a.len : 0,
					       text + a.off);
			free(value);
			value = more;
		}
		all = value ? pst_text_format("%s %s", before, value) : NULL;
		free(value);
	}
	return all;
}

/* Words that grub2-mkconfig itself puts in, or that stand for others. */
static bool is_remade(const char *word)
{
	static const char *const begins[] = {"root=", "rootflags=", "$"};
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(begins); i++)
		if (strncmp(word, begins[i], strlen(begins[i])) == 0)
			return true;
	return strcmp(word, "ro") == 0 || strcmp(word, "rw") == 0;
}

static void add_lost(struct pst_host_boot *b, const char *words, char *options)
{
	char *word, *rest;
	size_t n;

	for (word = strtok_r(options, " \t", &rest); word;
	     word = strtok_r(NULL, " \t", &rest)) {
		n = strlen(b->lost);
		if (is_remade(word) || has_word(words, word, strlen(word)) ||
		    has_word(b->lost, word, strlen(word)) ||
		    n + strlen(word) + 2 > sizeof(b->lost))
			continue;
		snprintf(b->lost + n, sizeof(b->lost) - n, "%s%s", n ? " " : "",
			 word);
	}
}

/* The words behind a key in a file's lines. True if they name kernelopts. */
static bool add_lines(const struct pst_host_root *root, const char *path,
		      const char *key, const char *words,
		      struct pst_host_boot *b)
{
	PST_CLEANUP_FREE char *text = NULL;
	const size_t n = strlen(key);
	bool kernelopts = false;
	char *line, *rest;
	size_t len;

	if (pst_host_root_read(root, path, PST_HOST_ROOT_TEXT_MAX, &text,
			       &len) < 0)
		return false;
	for (line = strtok_r(text, "\n", &rest); line;
	     line = strtok_r(NULL, "\n", &rest)) {
		line += strspn(line, " \t");
		if (strncmp(line, key, n) != 0 || !line[n] ||
		    !strchr("= \t", line[n]))
			continue;
		kernelopts |= strstr(line, "$kernelopts") != NULL;
		add_lost(b, words, line + n + 1);
	}
	return kernelopts;
}

static void find_lost(const struct pst_host_root *root, struct pst_host_boot *b)
{
	static const char dir[] = "boot/loader/entries";
	PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};
	PST_CLEANUP_FREE char *text = NULL, *words = NULL;
	char path[PST_HOST_ROOT_PATH_MAX];
	bool kernelopts = false;
	size_t i, len;

	if (pst_host_root_read(root, "etc/default/grub", PST_HOST_ROOT_TEXT_MAX,
			       &text, &len) == 0)
		words = grub_words(text);
	if (!words || pst_host_root_list(root, dir, &names) < 0)
		return;
	for (i = 0; i < names.n && i < PST_HOST_ROOT_CONF_FILES; i++)
		if (pst_host_path(path, "%s/%s", dir, names.name[i]) == 0)
			kernelopts |=
				add_lines(root, path, "options", words, b);
	/* RHEL 8 keeps what all entries share there, which its grub2-mkconfig
	 * sets anew. */
	if (kernelopts)
		add_lines(root, "boot/grub2/grubenv", "kernelopts", words, b);
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
	if (b->limine_tool || b->limine_conf)
		has |= PST_HOST_TARGET_LIMINE;
	if (there(root, PST_HOST_REFIND_CONF))
		has |= PST_HOST_TARGET_REFIND;
	/* GRUB reads such entries too, with its own settings (Fedora). */
	if (pst_host_boot_has_name(root, "efi/loader/entries", ".conf") ||
	    pst_host_boot_has_name(root, "boot/efi/loader/entries", ".conf") ||
	    there(root, PST_HOST_KERNEL_CMDLINE) || b->snippets ||
	    b->rewritten || b->sdboot_manage || b->dracut_uefi ||
	    (pst_host_boot_has_name(root, "boot/loader/entries", ".conf") &&
	     (!(has & PST_HOST_TARGET_GRUB) ||
	      there(root, "boot/loader/loader.conf"))))
		has |= PST_HOST_TARGET_SYSTEMD_BOOT;
	return has;
}

/* Not where dracut has a program of the same name (Ubuntu 25.10). */
static bool has_initramfs_tools(const struct pst_host_root *root)
{
	static const char program[] = "usr/sbin/update-initramfs";
	PST_CLEANUP_FREE char *text = NULL;
	size_t len;

	if (pst_host_root_read(root, program, PST_HOST_ROOT_TEXT_MAX, &text,
			       &len) < 0)
		return there(root, program);
	return !strstr(text, "dracut");
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
	if (has_initramfs_tools(root))
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
	if (ret->grub_entries)
		find_lost(root, ret);
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
