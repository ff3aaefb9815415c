/* SPDX-License-Identifier: MIT */
/* Reads which modules initramfs generators are configured to load. */
#include "kernel-params/scan/initramfs.h"

#include <string.h>

#include "kernel-params/scan/cmdline.h"

#define MAX_WORDS 2000

static int add_word(struct pst_host_names *l, const char *word, size_t n)
{
	if (l->n >= MAX_WORDS) {
		l->truncated = true;
		return 0;
	}
	return pst_host_names_add(l, word, n);
}

struct maker {
	enum pst_host_early_maker maker;
	const char *program[2]; /* that reads its settings; NULL: not sought */
	int (*read)(const struct pst_host_root *root, struct pst_host_early *e);
};

static bool has_ext(const char *name, const char *ext)
{
	size_t n = strlen(name), k = strlen(ext);

	return n > k && strcmp(name + n - k, ext) == 0;
}

static int read_conf(const struct pst_host_root *root, const char *path,
		     char **ret)
{
	size_t len;

	return pst_host_root_read(root, path, PST_HOST_ROOT_CONF_MAX, ret,
				  &len);
}

static bool has_word(const struct pst_host_names *l, const char *word)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		if (pst_host_param_name_eq(l->name[i], word))
			return true;
	return false;
}

/* ---- NixOS ----------------------------------------------------------------
 */

static int read_nixos(const struct pst_host_root *root,
		      struct pst_host_early *e)
{
	static const char *const lists[] = {"initrd.kernelModules",
					    "kernelModules", NULL};
	PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};
	char path[PST_HOST_ROOT_PATH_MAX];
	size_t i, k;
	int r = 0;

	if (pst_host_root_list(root, "etc/nixos", &names) < 0)
		return 0;
	/* The main file first, then the others by their names. */
	for (k = 0; k < 2; k++)
		for (i = 0;
		     i < names.n && i < PST_HOST_ROOT_CONF_FILES && r == 0;
		     i++) {
			PST_CLEANUP_FREE char *text = NULL;
			bool main_file =
				strcmp(names.name[i], "configuration.nix") == 0;

			if (main_file != (k == 0) ||
			    !has_ext(names.name[i], ".nix") ||
			    pst_host_path(path, "etc/nixos/%s", names.name[i]) <
				    0 ||
			    read_conf(root, path, &text) < 0)
				continue;
			e->maker = PST_HOST_EARLY_NIXOS;
			if (!*e->file)
				snprintf(e->file, sizeof(e->file), "%.127s",
					 path);
			r = pst_host_early_words(text, lists, &e->words);
		}
	return r;
}

/* ---- mkinitcpio and dracut ------------------------------------------------
 */

/* Whether a file puts in vfio_virqfd, a module of kernels before 6.2:
 * mkinitcpio and dracut end with an error for one that they do not find. */
static int find_virqfd(const char *text, const char *path,
		       struct pst_host_early *e)
{
	static const char *const packed[] = {"MODULES", "force_drivers",
					     "add_drivers", NULL};
	PST_HOST_CLEANUP_NAMES struct pst_host_names all = {0};
	int r = pst_host_early_words(text, packed, &all);

	if (r == 0 && has_word(&all, "vfio_virqfd"))
		snprintf(e->virqfd, sizeof(e->virqfd), "%.127s", path);
	return r;
}

/* One file, on top of those before it. */
static int take_file(const struct pst_host_root *root, const char *path,
		     enum pst_host_early_maker maker, struct pst_host_early *e,
		     struct pst_host_setting *s, size_t n)
{
	PST_CLEANUP_FREE char *text = NULL;
	int r = read_conf(root, path, &text);

	if (r < 0) {
		if (r != -ENOENT && r != -EINVAL && r != -ENOTDIR && !*e->fault)
			snprintf(e->fault, sizeof(e->fault),
				 "%.120s could not be read", path);
		return 0;
	}
	e->maker = maker;
	if (!*e->file && strlen(path) < sizeof(e->file))
		strcpy(e->file, path);
	r = pst_host_settings_take(text, path, s, n, e->fault);
	return r < 0 ? r : find_virqfd(text, path, e);
}

/* A file of dracut.conf.d that dracut never reads for want of ".conf". */
static void find_stray(const struct pst_host_root *root, const char *path,
		       struct pst_host_early *e)
{
	PST_CLEANUP_FREE char *text = NULL;

	if (read_conf(root, path, &text) == 0 && strstr(text, "vfio") &&
	    strlen(path) < sizeof(e->stray))
		strcpy(e->stray, path);
}

/* The *.conf of two directories (the second may be NULL) by their names; of two
 * with one name, the former's. */
static int take_dirs(const struct pst_host_root *root, const char *const dir[2],
		     enum pst_host_early_maker maker, struct pst_host_early *e,
		     struct pst_host_setting *s, size_t n)
{
	PST_HOST_CLEANUP_NAMES struct pst_host_names one = {0}, two = {0};
	char path[PST_HOST_ROOT_PATH_MAX];
	size_t i = 0, k = 0, files = 0;
	int r = 0;

	(void)!pst_host_root_list(root, dir[0], &one);
	if (dir[1])
		(void)!pst_host_root_list(root, dir[1], &two);
	while (r == 0 && (i < one.n || k < two.n) &&
	       files++ < PST_HOST_ROOT_CONF_FILES) {
		int cmp = i == one.n   ? 1
			  : k == two.n ? -1
				       : strcmp(one.name[i], two.name[k]);
		const char *name = cmp <= 0 ? one.name[i] : two.name[k];

		if (pst_host_path(path, "%s/%s", dir[cmp > 0], name) == 0) {
			if (has_ext(name, ".conf"))
				r = take_file(root, path, maker, e, s, n);
			else if (maker == PST_HOST_EARLY_DRACUT)
				find_stray(root, path, e);
		}
		i += cmp <= 0;
		k += cmp >= 0;
	}
	return r;
}

bool pst_host_early_preset(const struct pst_host_root *root,
			   char path[PST_HOST_ROOT_PATH_MAX])
{
	PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};
	size_t i;

	if (pst_host_root_list(root, "etc/mkinitcpio.d", &names) < 0)
		return false;
	for (i = 0; i < names.n && i < PST_HOST_ROOT_CONF_FILES; i++) {
		struct pst_host_setting s[] = {{.name = "ALL_config"},
					       {.name = "default_config"}};
		PST_CLEANUP_FREE char *text = NULL;
		char fault[PST_HOST_FAULT_MAX] = "";
		const char *got;
		bool is = false;

		if (pst_host_path(path, "etc/mkinitcpio.d/%s", names.name[i]) <
			    0 ||
		    read_conf(root, path, &text) < 0)
			continue;
		if (pst_host_settings_take(text, path, s, PST_ARRAY_SIZE(s),
					   fault) == 0) {
			got = s[1].value ? s[1].value : s[0].value;
			is = got && pst_host_path(path, "%s",
						  got + strspn(got, "/")) == 0;
		}
		pst_host_settings_done(s, PST_ARRAY_SIZE(s));
		if (is)
			return true;
	}
	return false;
}

static int read_mkinitcpio(const struct pst_host_root *root,
			   struct pst_host_early *e)
{
	static const char *const dirs[] = {"etc/mkinitcpio.conf.d", NULL};
	struct pst_host_setting s[] = {
		{.name = "MODULES"}, {.name = "FILES"}, {.name = "HOOKS"}};
	PST_HOST_CLEANUP_NAMES struct pst_host_names hooks = {0};
	char main_file[PST_HOST_ROOT_PATH_MAX];
	const bool named = pst_host_early_preset(root, main_file);
	size_t i;
	int r = take_file(root, named ? main_file : "etc/mkinitcpio.conf",
			  PST_HOST_EARLY_MKINITCPIO, e, s, PST_ARRAY_SIZE(s));

	if (r == 0 && !named)
		r = take_dirs(root, dirs, PST_HOST_EARLY_MKINITCPIO, e, s,
			      PST_ARRAY_SIZE(s));
	if (r == 0)
		r = pst_host_setting_words(s[0].value, &e->words);
	/* "?": it may be missing. */
	for (i = 0; i < e->words.n; i++)
		e->words.name[i][strcspn(e->words.name[i], "?")] = '\0';
	if (r == 0)
		r = pst_host_setting_words(s[1].value, &e->files);
	if (r == 0)
		r = pst_host_setting_words(s[2].value, &hooks);
	/* A tree that shows no HOOKS may have the default ones. */
	e->modconf = has_word(&hooks, "modconf");
	e->no_modconf = s[2].value && !e->modconf;
	e->races = has_word(&hooks, "systemd");
	e->kms_hook = has_word(&hooks, "kms");
	e->usb_hook = has_word(&hooks, "keyboard") || has_word(&hooks, "block");
	pst_host_settings_done(s, PST_ARRAY_SIZE(s));
	return r;
}

/* Whether dracut leaves out of the image what only is to be packed. */
static bool is_omitted(const char *module, const struct pst_host_names *omitted,
		       const struct pst_host_early *e)
{
	return has_word(omitted, module) && !has_word(&e->words, module);
}

static const char *const dracut_dirs[] = {"etc/dracut.conf.d",
					  "usr/lib/dracut/dracut.conf.d"};

static int take_dracut(const struct pst_host_root *root,
		       struct pst_host_early *e, struct pst_host_setting *s,
		       size_t n)
{
	int r = take_file(root, "etc/dracut.conf", PST_HOST_EARLY_DRACUT, e, s,
			  n);

	return r < 0 ? r
		     : take_dirs(root, dracut_dirs, PST_HOST_EARLY_DRACUT, e, s,
				 n);
}

bool pst_host_early_dracut_uefi(const struct pst_host_root *root)
{
	struct pst_host_setting uefi = {.name = "uefi"};
	struct pst_host_early e = {0};
	bool is = take_dracut(root, &e, &uefi, 1) == 0 && uefi.value &&
		  strcmp(uefi.value, "yes") == 0;

	pst_host_settings_done(&uefi, 1);
	return is;
}

static int read_dracut(const struct pst_host_root *root,
		       struct pst_host_early *e)
{
	enum { FORCE, ADD, DRIVERS, OMIT, ITEMS, MAYBE, HOST, N };
	struct pst_host_setting s[N] = {
		[FORCE] = {.name = "force_drivers"},
		[ADD] = {.name = "add_drivers"},
		[DRIVERS] = {.name = "drivers"},
		[OMIT] = {.name = "omit_drivers"},
		[ITEMS] = {.name = "install_items"},
		[MAYBE] = {.name = "install_optional_items"},
		[HOST] = {.name = "hostonly"},
	};
	PST_HOST_CLEANUP_NAMES struct pst_host_names omitted = {0}, add = {0};
	size_t i;
	int r = take_dracut(root, e, s, N);

	if (r == 0)
		r = pst_host_setting_words(s[FORCE].value, &e->words);
	if (r == 0)
		r = pst_host_setting_words(s[OMIT].value, &omitted);
	if (r == 0)
		r = pst_host_setting_words(s[ADD].value, &add);
	if (r == 0)
		r = pst_host_setting_words(s[DRIVERS].value, &add);
	if (r == 0)
		r = pst_host_setting_words(s[ITEMS].value, &e->files);
	if (r == 0)
		r = pst_host_setting_words(s[MAYBE].value, &e->files);
	for (i = 0; i < add.n && r == 0; i++)
		if (!is_omitted(add.name[i], &omitted, e))
			r = add_word(&e->packed, add.name[i],
				     strlen(add.name[i]));
	/* Without "hostonly" dracut leaves etc/modprobe.d out; a distribution
	 * that sets it does so in a file that a tree may lack. */
	e->no_modconf = s[HOST].value
				? strcmp(s[HOST].value, "yes") != 0 &&
					  strcmp(s[HOST].value, "1") != 0
				: pst_host_root_exists(root, dracut_dirs[1]);
	e->modconf = s[HOST].value && !e->no_modconf;
	pst_host_settings_done(s, N);
	return r;
}

/* ---- initramfs-tools ------------------------------------------------------
 */

/* One module a line, its parameters behind it. */
static int line_words(const char *text, struct pst_host_early *e)
{
	int r = 0;

	while (*text && r == 0) {
		const char *word = text + strspn(text, " \t"), *end;
		size_t n = strcspn(word, " \t\r\n#");

		text = strchrnul(text, '\n');
		if (n)
			r = add_word(&e->words, word, n);
		if (r == 0 && n &&
		    pst_host_param_name_eq(e->words.name[e->words.n - 1],
					   "vfio_pci")) {
			word = memmem(word, (size_t)(text - word), " ids=", 5);
			end = word ? word + 5 + strcspn(word + 5, " \t\r\n")
				   : NULL;
			free(e->ids);
			e->ids = word ? strndup(word + 5,
						(size_t)(end - word - 5))
				      : NULL;
		}
		text += *text == '\n';
	}
	return r;
}

static int read_initramfs_tools(const struct pst_host_root *root,
				struct pst_host_early *e)
{
	static const char list[] = "etc/initramfs-tools/modules";
	static const char more[] = "usr/share/initramfs-tools/modules.d";
	PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};
	PST_CLEANUP_FREE char *text = NULL;
	char path[PST_HOST_ROOT_PATH_MAX];
	size_t i;
	int r;

	if (read_conf(root, list, &text) < 0)
		return 0;
	e->maker = PST_HOST_EARLY_INITRAMFS_TOOLS;
	strcpy(e->file, list);
	/* Its udev runs in init-top, before the list is loaded. */
	e->races = true;
	e->usb_hook = true;
	e->kms_hook = pst_host_root_exists(
		root, "usr/share/initramfs-tools/hooks/plymouth");
	r = line_words(text, e);
	if (r < 0 || pst_host_root_list(root, more, &names) < 0)
		return r;
	for (i = 0; i < names.n && i < PST_HOST_ROOT_CONF_FILES && r == 0;
	     i++) {
		PST_CLEANUP_FREE char *other = NULL;

		if (pst_host_path(path, "%s/%s", more, names.name[i]) == 0 &&
		    read_conf(root, path, &other) == 0)
			r = line_words(other, e);
	}
	return r;
}

static const struct maker makers[] = {
	{PST_HOST_EARLY_NIXOS, {NULL}, read_nixos},
	{PST_HOST_EARLY_MKINITCPIO, {"usr/bin/mkinitcpio"}, read_mkinitcpio},
	{PST_HOST_EARLY_DRACUT,
	 {"usr/bin/dracut", "usr/sbin/dracut"},
	 read_dracut},
	{PST_HOST_EARLY_INITRAMFS_TOOLS,
	 {"usr/sbin/update-initramfs"},
	 read_initramfs_tools},
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
	size_t d, i;

	for (d = 0; d < PST_ARRAY_SIZE(dirs); d++) {
		PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};

		if (pst_host_root_list(root, dirs[d], &names) < 0)
			continue;
		for (i = 0; i < names.n && i < PST_HOST_ROOT_CONF_FILES; i++) {
			PST_CLEANUP_FREE char *text = NULL;

			if (!has_ext(names.name[i], ".conf") ||
			    pst_host_path(path, "%s/%s", dirs[d],
					  names.name[i]) < 0 ||
			    read_conf(root, path, &text) < 0)
				continue;
			e->loads_late |= has_line(text, "vfio_pci");
		}
	}
}

static bool has_program(const struct pst_host_root *root, const struct maker *m)
{
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(m->program); i++)
		if (m->program[i] && pst_host_root_exists(root, m->program[i]))
			return true;
	return false;
}

/* Those of Arch, Alpine and Gentoo beside the above. */
static const char *other_maker(const struct pst_host_root *root)
{
	static const char *const programs[] = {
		"usr/bin/booster", "sbin/mkinitfs", "usr/bin/genkernel",
		"usr/bin/ugrd"};
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(programs); i++)
		if (pst_host_root_exists(root, programs[i]))
			return strrchr(programs[i], '/') + 1;
	return NULL;
}

int pst_host_early_scan(const struct pst_host_root *root,
			struct pst_host_early *ret)
{
	struct pst_host_early e = {0};
	bool any = false;
	size_t i;
	int r = 0;

	/* Settings of one that is gone may be left. */
	for (i = 0; i < PST_ARRAY_SIZE(makers); i++)
		any |= has_program(root, &makers[i]);
	for (i = 0; i < PST_ARRAY_SIZE(makers) && r == 0 && !e.maker; i++)
		if (!any || !makers[i].program[0] ||
		    has_program(root, &makers[i]))
			r = makers[i].read(root, &e);
	if (r < 0) {
		pst_host_early_done(&e);
		return r;
	}
	e.other = e.maker ? NULL : other_maker(root);
	read_modules_load(root, &e);
	*ret = e;
	return 0;
}

void pst_host_early_done(struct pst_host_early *e)
{
	pst_host_names_done(&e->words);
	pst_host_names_done(&e->packed);
	pst_host_names_done(&e->files);
	free(e->ids);
	*e = (struct pst_host_early){0};
}

int pst_host_early_place(const struct pst_host_early *e, const char *module)
{
	size_t i;

	for (i = 0; i < e->words.n; i++)
		if (pst_host_param_name_eq(e->words.name[i], module))
			return (int)i;
	return -1;
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

bool pst_host_early_has_rule(const struct pst_host_early *e,
			     const struct pst_host_root *root, const char *file)
{
	static const char hooks[] = "etc/initramfs-tools/hooks";
	PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};
	char path[PST_HOST_ROOT_PATH_MAX];
	bool has = has_file(e, file);
	size_t i;

	/* Those two take the distribution's, dracut all for this host. */
	if (e->maker == PST_HOST_EARLY_MKINITCPIO)
		return has;
	if (e->maker != PST_HOST_EARLY_INITRAMFS_TOOLS)
		return has || e->maker != PST_HOST_EARLY_DRACUT ||
		       !e->no_modconf;
	if (pst_host_root_list(root, hooks, &names) < 0)
		return false;
	for (i = 0; i < names.n && i < PST_HOST_ROOT_CONF_FILES && !has; i++) {
		PST_CLEANUP_FREE char *text = NULL;

		has = pst_host_path(path, "%s/%s", hooks, names.name[i]) == 0 &&
		      read_conf(root, path, &text) == 0 && strstr(text, file);
	}
	return has;
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
	/* mkinitcpio's hook takes the kernel's own ones, not NVIDIA's. */
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
