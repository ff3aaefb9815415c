/* SPDX-License-Identifier: MIT */
/* Reads which modules initramfs generators are configured to load. */
#include "kernel-params/boot/initramfs_int.h"

#include <string.h>

#include "kernel-params/boot/boot.h"
#include "kernel-params/boot/os.h"
#include "kernel-params/syntax/cmdline.h"

struct maker {
	enum pst_host_early_maker maker;
	const char *program[2]; /* that reads its settings; NULL: not sought */
	int (*read)(const struct pst_host_root *root,
		    struct pst_host_early_list *l);
};

static const struct maker makers[] = {
	{PST_HOST_EARLY_NIXOS, {NULL}, pst_host_early_nixos},
	{PST_HOST_EARLY_MKINITCPIO,
	 {"usr/bin/mkinitcpio"},
	 pst_host_early_mkinitcpio},
	{PST_HOST_EARLY_DRACUT,
	 {"usr/bin/dracut", "usr/sbin/dracut"},
	 pst_host_early_dracut},
	{PST_HOST_EARLY_INITRAMFS_TOOLS,
	 {"usr/sbin/update-initramfs"},
	 pst_host_early_tools},
};

/* ---- All of them ----------------------------------------------------------
 */

/* Whether a line is the name of a module (modules-load.d(5)). */
static bool has_line(const char *text, const char *module)
{
	char name[64];

	for (; *text; text = strchrnul(text, '\n'), text += *text == '\n') {
		const char *word = text + strspn(text, " \t");
		size_t n = strcspn(word, " \t\r\n#;");

		if (n == 0 || n >= sizeof(name))
			continue;
		memcpy(name, word, n);
		name[n] = '\0';
		if (pst_host_param_name_eq(name, module))
			return true;
	}
	return false;
}

static void read_modules_load(const struct pst_host_root *root,
			      struct pst_host_early *e)
{
	static const char *const dirs[] = {"etc/modules-load.d",
					   "usr/lib/modules-load.d"};
	char path[PST_HOST_ROOT_PATH_MAX];
	size_t d, i, n;

	for (d = 0; d < PST_ARRAY_SIZE(dirs); d++) {
		PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};

		if (pst_host_root_list(root, dirs[d], &names) < 0)
			continue;
		for (i = 0; i < names.n && i < PST_HOST_ROOT_CONF_FILES; i++) {
			PST_CLEANUP_FREE char *text = NULL;

			n = strlen(names.name[i]);
			if (n < 6 ||
			    strcmp(names.name[i] + n - 5, ".conf") != 0 ||
			    pst_host_path(path, "%s/%s", dirs[d],
					  names.name[i]) < 0 ||
			    pst_host_root_read(root, path,
					       PST_HOST_ROOT_CONF_MAX, &text,
					       &n) < 0)
				continue;
			e->loads_late |= has_line(text, "vfio_pci");
		}
	}
}

bool pst_host_early_has_tools(const struct pst_host_root *root)
{
	static const char program[] = "usr/sbin/update-initramfs";
	PST_CLEANUP_FREE char *text = NULL;
	size_t len;

	if (pst_host_root_read(root, program, PST_HOST_ROOT_TEXT_MAX, &text,
			       &len) < 0)
		return pst_host_root_exists(root, program);
	return !strstr(text, "dracut");
}

static bool has_program(const struct pst_host_root *root, const struct maker *m)
{
	size_t i;

	if (m->maker == PST_HOST_EARLY_INITRAMFS_TOOLS)
		return pst_host_early_has_tools(root);
	for (i = 0; i < PST_ARRAY_SIZE(m->program); i++)
		if (m->program[i] && pst_host_root_exists(root, m->program[i]))
			return true;
	return false;
}

/* One that kernel-install is told to use, or that is installed, and is none of
 * the above. */
static void find_other(const struct pst_host_root *root, char ret[32])
{
	static const struct {
		const char *file, *name;
	} others[] = {
		{"usr/bin/booster", "booster"},
		{"sbin/mkinitfs", "mkinitfs"},
		{"usr/bin/genkernel", "genkernel"},
		{"usr/bin/ugrd", "ugrd"},
		{"usr/bin/tinyramfs", "tinyramfs"},
		{"etc/mkinitrd.conf", "mkinitrd"},
	};
	static const char conf[] = "etc/kernel/install.conf";
	struct pst_host_setting s = {.name = "initrd_generator"};
	PST_CLEANUP_FREE char *text = NULL;
	char fault[PST_HOST_FAULT_MAX] = "", os[PST_HOST_OS_ID_MAX];
	size_t i, len;

	pst_host_os_read(root, os);
	if (strcmp(os, "guix") == 0)
		strcpy(ret, "guix system");
	for (i = 0; i < PST_ARRAY_SIZE(others) && !*ret; i++)
		if (pst_host_root_exists(root, others[i].file))
			strcpy(ret, others[i].name);
	if (pst_host_root_read(root, conf, PST_HOST_ROOT_CONF_MAX, &text,
			       &len) < 0 ||
	    pst_host_settings_take(text, conf, &s, 1, fault) < 0)
		return;
	if (s.value && strcmp(s.value, "dracut") != 0 &&
	    strcmp(s.value, "mkinitcpio") != 0 &&
	    strcmp(s.value, "initramfs-tools") != 0 &&
	    strcmp(s.value, "none") != 0)
		snprintf(ret, 32, "%.31s", s.value);
	pst_host_settings_done(&s, 1);
}

int pst_host_early_scan(const struct pst_host_root *root,
			struct pst_host_early *ret)
{
	struct pst_host_early_list l = {0};
	bool any = false;
	size_t i;
	int r = 0;

	for (i = 0; i < PST_ARRAY_SIZE(makers); i++)
		any |= has_program(root, &makers[i]);
	for (i = 0; i < PST_ARRAY_SIZE(makers) && r == 0; i++) {
		/* It has no program, and no other maker beside it. */
		if (l.first && l.first->maker == PST_HOST_EARLY_NIXOS)
			break;
		/* Settings of one that is gone may be left. */
		if (!makers[i].program[0] ||
		    (any ? has_program(root, &makers[i]) : !l.first))
			r = makers[i].read(root, &l);
	}
	*ret = l.first ? *l.first : (struct pst_host_early){0};
	free(l.first);
	if (r < 0) {
		pst_host_early_done(ret);
		return r;
	}
	find_other(root, ret->other);
	read_modules_load(root, ret);
	return 0;
}

int pst_host_early_place(const struct pst_host_early *e, const char *module)
{
	size_t i;

	for (i = 0; i < e->words.n; i++)
		if (pst_host_param_name_eq(e->words.name[i], module))
			return (int)i;
	return -1;
}

const char *pst_host_early_where(const struct pst_host_early *e,
				 const char *module)
{
	const char *place;
	char name[64];
	size_t i;

	for (i = e->places.n; i-- > 0;) {
		place = strchr(e->places.name[i], ' ');
		snprintf(name, sizeof(name), "%.*s",
			 (int)(place - e->places.name[i]), e->places.name[i]);
		if (pst_host_param_name_eq(name, module))
			return place + 1;
	}
	return e->file;
}

static bool has_file(const struct pst_host_early *e, const char *file)
{
	size_t i;

	for (i = 0; i < e->files.n; i++)
		if (strcmp(e->files.name[i] + strspn(e->files.name[i], "/"),
			   file + strspn(file, "/")) == 0)
			return true;
	return false;
}

static bool has_rule(const struct pst_host_early *e,
		     const struct pst_host_root *root, const char *file)
{
	static const char hooks[] = "etc/initramfs-tools/hooks";
	PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};
	char path[PST_HOST_ROOT_PATH_MAX];
	bool has = has_file(e, file);
	size_t i, len;

	/* Those two take the distribution's, dracut all of etc for this host.
	 */
	if (e->maker == PST_HOST_EARLY_MKINITCPIO)
		return has;
	if (e->maker != PST_HOST_EARLY_INITRAMFS_TOOLS)
		return has || e->maker != PST_HOST_EARLY_DRACUT ||
		       (!e->no_modconf && strncmp(file, "etc/", 4) == 0);
	if (pst_host_root_list(root, hooks, &names) < 0)
		return false;
	for (i = 0; i < names.n && i < PST_HOST_ROOT_CONF_FILES && !has; i++) {
		PST_CLEANUP_FREE char *text = NULL;

		has = pst_host_path(path, "%s/%s", hooks, names.name[i]) == 0 &&
		      pst_host_root_read(root, path, PST_HOST_ROOT_CONF_MAX,
					 &text, &len) == 0 &&
		      strstr(text, file);
	}
	return has;
}

bool pst_host_early_has_rule(const struct pst_host_early *e,
			     const struct pst_host_root *root, const char *file)
{
	for (; e; e = e->next)
		if (!has_rule(e, root, file))
			return false;
	return true;
}

bool pst_host_early_has_conf(const struct pst_host_early *e, const char *file)
{
	if (has_file(e, file))
		return true;
	/* initramfs-tools takes two of the directories only, dracut the
	 * distribution's in any case. */
	if (e->maker == PST_HOST_EARLY_INITRAMFS_TOOLS)
		return strncmp(file, "run/", 4) != 0 &&
		       strncmp(file, "usr/local/", 10) != 0;
	if (e->maker == PST_HOST_EARLY_DRACUT && strncmp(file, "etc/", 4) != 0)
		return true;
	return !e->no_modconf;
}

bool pst_host_early_packs(const struct pst_host_early *e, const char *module,
			  bool gpu)
{
	size_t i;

	for (i = 0; i < e->omitted.n; i++)
		if (pst_host_param_name_eq(e->omitted.name[i], module))
			return false;
	/* What drives displays is the kernel's own, not NVIDIA's. */
	if (gpu)
		return e->kms_hook && strncmp(module, "nvidia", 6) != 0;
	return e->usb_hook && strcmp(module, "xhci_pci") == 0;
}

const char *pst_host_early_maker_name(enum pst_host_early_maker m)
{
	static const char *const names[] = {
		[PST_HOST_EARLY_NONE] = "",
		[PST_HOST_EARLY_MKINITCPIO] = "mkinitcpio",
		[PST_HOST_EARLY_DRACUT] = "dracut",
		[PST_HOST_EARLY_INITRAMFS_TOOLS] = "initramfs-tools",
		[PST_HOST_EARLY_NIXOS] = "NixOS",
	};

	return names[m];
}
