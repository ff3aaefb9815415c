/* SPDX-License-Identifier: MIT */
/* Reads the settings of each maker of initramfs. */
#include "kernel-params/boot/initramfs_int.h"

#include <stdio.h>
#include <string.h>

#include "kernel-params/boot/mkinitcpio.h"
#include "kernel-params/syntax/cmdline.h"

void pst_host_early_done(struct pst_host_early *e)
{
	struct pst_host_early *next;

	for (next = e->next; next; next = e->next) {
		e->next = next->next;
		next->next = NULL;
		pst_host_early_done(next);
		free(next);
	}
	pst_host_names_done(&e->words);
	pst_host_names_done(&e->places);
	pst_host_names_done(&e->packed);
	pst_host_names_done(&e->omitted);
	pst_host_names_done(&e->files);
	free(e->ids);
	*e = (struct pst_host_early){0};
}

/* Takes e, if it is an image or tells why there is none. 0 or -ENOMEM. */
static int append(struct pst_host_early_list *l, struct pst_host_early *e,
		  int r)
{
	struct pst_host_early *copy = NULL;

	if (r == 0 && (e->maker || *e->stray)) {
		copy = malloc(sizeof(*copy));
		r = copy ? 0 : -ENOMEM;
	}
	if (!copy) {
		pst_host_early_done(e);
		return r;
	}
	*copy = *e;
	*(l->last ? &l->last->next : &l->first) = copy;
	l->last = copy;
	return 0;
}

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

int pst_host_early_nixos(const struct pst_host_root *root,
			 struct pst_host_early_list *l)
{
	static const char *const lists[] = {"initrd.kernelModules",
					    "kernelModules", NULL};
	PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};
	struct pst_host_early e = {0};
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
			e.maker = PST_HOST_EARLY_NIXOS;
			if (!*e.file)
				snprintf(e.file, sizeof(e.file), "%.127s",
					 path);
			r = pst_host_early_words(text, lists, &e.words);
		}
	return append(l, &e, r);
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

/* The first line about vfio that is no comment and names no file. */
static void find_mention(const char *text, const char *path,
			 struct pst_host_early *e)
{
	unsigned int n = 1;
	const char *line, *end;

	for (line = text; *line && !*e->mention; line = end, n++) {
		line += strspn(line, " \t");
		end = strchrnul(line, '\n');
		if (*line != '#' &&
		    memmem(line, (size_t)(end - line), "vfio", 4) &&
		    !memchr(line, '/', (size_t)(end - line)))
			snprintf(e->mention, sizeof(e->mention),
				 "%.120s line %u", path, n);
		end += *end == '\n';
	}
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
	find_mention(text, path, e);
	r = pst_host_settings_take(text, path, s, n, e->fault);
	if (r == 0)
		r = pst_host_early_find_places(text, path, s[0].name, e);
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

/* A hook of HOOKS or of a preset's options that no option leaves out. */
static bool has_hook(const struct pst_host_names *hooks,
		     const struct pst_host_mkinitcpio_image *im,
		     const char *hook)
{
	char word[32];

	snprintf(word, sizeof(word), ",%s,", hook);
	return !strstr(im->skip, word) &&
	       (has_word(hooks, hook) || strstr(im->add, word));
}

static int take_image(const struct pst_host_root *root,
		      const struct pst_host_mkinitcpio_image *im,
		      struct pst_host_early *e)
{
	static const char *const dirs[] = {"etc/mkinitcpio.conf.d", NULL};
	struct pst_host_setting s[] = {
		{.name = "MODULES"}, {.name = "FILES"}, {.name = "HOOKS"}};
	PST_HOST_CLEANUP_NAMES struct pst_host_names hooks = {0};
	size_t i;
	int r = take_file(root, im->conf, PST_HOST_EARLY_MKINITCPIO, e, s,
			  PST_ARRAY_SIZE(s));

	if (r == 0 && im->dropins)
		r = take_dirs(root, dirs, PST_HOST_EARLY_MKINITCPIO, e, s,
			      PST_ARRAY_SIZE(s));
	else if (r == 0 && !e->maker && !*e->fault) {
		e->maker = PST_HOST_EARLY_MKINITCPIO;
		snprintf(e->fault, sizeof(e->fault),
			 "a preset names %.100s, which is not there", im->conf);
	}
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
	e->modconf = has_hook(&hooks, im, "modconf");
	e->no_modconf = !e->modconf && (s[2].value || *im->skip);
	e->races = has_hook(&hooks, im, "systemd");
	e->kms_hook = has_hook(&hooks, im, "kms");
	e->usb_hook = has_hook(&hooks, im, "keyboard") ||
		      has_hook(&hooks, im, "block");
	pst_host_settings_done(s, PST_ARRAY_SIZE(s));
	return r;
}

int pst_host_early_mkinitcpio(const struct pst_host_root *root,
			      struct pst_host_early_list *l)
{
	PST_CLEANUP_FREE struct pst_host_mkinitcpio *m = calloc(1, sizeof(*m));
	char fault[PST_HOST_FAULT_MAX] = "";
	size_t i;
	int r = m ? pst_host_mkinitcpio_scan(root, m, fault) : -ENOMEM;

	for (i = 0; r == 0 && i < m->n; i++) {
		struct pst_host_early e = {0};

		strcpy(e.fault, fault);
		r = append(l, &e, take_image(root, &m->image[i], &e));
	}
	return r;
}

/* Whether dracut leaves out of the image what only is to be packed. */
static bool is_omitted(const char *module, const struct pst_host_early *e)
{
	return has_word(&e->omitted, module) && !has_word(&e->words, module);
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

int pst_host_early_dracut_value(const struct pst_host_root *root,
				const char *name, char **ret)
{
	struct pst_host_setting s = {.name = name};
	struct pst_host_early e = {0};
	int r = take_dracut(root, &e, &s, 1);

	pst_host_early_done(&e);
	if (r < 0)
		pst_host_settings_done(&s, 1);
	else
		*ret = s.value;
	return r;
}

bool pst_host_early_dracut_uefi(const struct pst_host_root *root)
{
	PST_CLEANUP_FREE char *uefi = NULL;

	return pst_host_early_dracut_value(root, "uefi", &uefi) == 0 && uefi &&
	       strcmp(uefi, "yes") == 0;
}

/* Whether dracut packs the kernel's drivers of displays: its module drm does,
 * which plymouth brings along. */
static bool packs_drm(const struct pst_host_root *root,
		      const struct pst_host_setting *listed,
		      const struct pst_host_setting *omit)
{
	PST_HOST_CLEANUP_NAMES struct pst_host_names in = {0}, out = {0};
	size_t i;

	for (i = 0; i < 3; i++)
		(void)!pst_host_setting_words(listed[i].value, &in);
	(void)!pst_host_setting_words(omit->value, &out);
	if (has_word(&out, "drm"))
		return false;
	return has_word(&in, "drm") ||
	       (!has_word(&out, "plymouth") &&
		(has_word(&in, "plymouth") ||
		 pst_host_root_exists(root, "usr/sbin/plymouthd") ||
		 pst_host_root_exists(root, "usr/bin/plymouthd")));
}

static int take_dracut_words(const struct pst_host_root *root,
			     struct pst_host_early *e)
{
	enum {
		FORCE,
		ADD,
		DRIVERS,
		OMIT,
		ITEMS,
		MAYBE,
		HOST,
		MODULES,
		MORE,
		ALWAYS,
		LESS,
		N
	};
	struct pst_host_setting s[N] = {
		[FORCE] = {.name = "force_drivers"},
		[ADD] = {.name = "add_drivers"},
		[DRIVERS] = {.name = "drivers"},
		[OMIT] = {.name = "omit_drivers"},
		[ITEMS] = {.name = "install_items"},
		[MAYBE] = {.name = "install_optional_items"},
		[HOST] = {.name = "hostonly"},
		[MODULES] = {.name = "dracutmodules"},
		[MORE] = {.name = "add_dracutmodules"},
		[ALWAYS] = {.name = "force_add_dracutmodules"},
		[LESS] = {.name = "omit_dracutmodules"},
	};
	PST_HOST_CLEANUP_NAMES struct pst_host_names add = {0};
	size_t i;
	int r = take_dracut(root, e, s, N);

	if (r == 0)
		r = pst_host_setting_words(s[FORCE].value, &e->words);
	if (r == 0)
		r = pst_host_setting_words(s[OMIT].value, &e->omitted);
	if (r == 0)
		r = pst_host_setting_words(s[ADD].value, &add);
	if (r == 0)
		r = pst_host_setting_words(s[DRIVERS].value, &add);
	if (r == 0)
		r = pst_host_setting_words(s[ITEMS].value, &e->files);
	if (r == 0)
		r = pst_host_setting_words(s[MAYBE].value, &e->files);
	for (i = 0; i < add.n && r == 0; i++)
		if (!is_omitted(add.name[i], e))
			r = pst_host_early_add_word(&e->packed, add.name[i],
						    strlen(add.name[i]));
	/* Without "hostonly" dracut leaves etc/modprobe.d out; a distribution
	 * that sets it does so in a file that a tree may lack. */
	e->no_modconf = s[HOST].value
				? strcmp(s[HOST].value, "yes") != 0 &&
					  strcmp(s[HOST].value, "1") != 0
				: pst_host_root_exists(root, dracut_dirs[1]);
	e->modconf = s[HOST].value && !e->no_modconf;
	e->kms_hook = packs_drm(root, &s[MODULES], &s[LESS]);
	e->usb_hook = true;
	pst_host_settings_done(s, N);
	return r;
}

int pst_host_early_dracut(const struct pst_host_root *root,
			  struct pst_host_early_list *l)
{
	struct pst_host_early e = {0};

	return append(l, &e, take_dracut_words(root, &e));
}

/* ---- initramfs-tools ------------------------------------------------------
 */

/* One module a line, its parameters behind it. */
static int line_words(const char *text, const char *path,
		      struct pst_host_early *e)
{
	unsigned int line = 0;
	int r = 0;

	for (; *text && r == 0; line++) {
		const char *word = text + strspn(text, " \t");
		size_t n = strcspn(word, " \t\r\n#");

		text = strchrnul(text, '\n');
		if (n)
			r = pst_host_early_add_word(&e->words, word, n);
		if (r == 0 && n)
			r = pst_host_early_add_place(e, word, n, path,
						     line + 1);
		if (r == 0 && n &&
		    pst_host_param_name_eq(e->words.name[e->words.n - 1],
					   "vfio_pci")) {
			do {
				word += strcspn(word, " \t\r\n");
				word += strspn(word, " \t\r");
			} while (word < text && strncmp(word, "ids=", 4) != 0);
			free(e->ids);
			e->ids = word < text
					 ? strndup(word + 4,
						   strcspn(word + 4, " \t\r\n"))
					 : NULL;
		}
		text += *text == '\n';
	}
	return r;
}

/* One of its files of settings, which may be missing. */
static int take_more(const struct pst_host_root *root, const char *path,
		     struct pst_host_early *e, struct pst_host_setting s[2])
{
	PST_CLEANUP_FREE char *text = NULL;

	return read_conf(root, path, &text) < 0
		       ? 0
		       : pst_host_settings_take(text, path, s, 2, e->fault);
}

/* MODULES= and FRAMEBUFFER= of initramfs-tools, in the order of mkinitramfs. */
static int take_tools_conf(const struct pst_host_root *root,
			   struct pst_host_early *e)
{
	static const char hooks[] = "usr/share/initramfs-tools/conf-hooks.d";
	const char *const dirs[] = {"usr/share/initramfs-tools/conf.d", hooks,
				    "etc/initramfs-tools/conf.d"};
	static const char main_file[] = "etc/initramfs-tools/initramfs.conf";
	struct pst_host_setting s[] = {{.name = "MODULES"},
				       {.name = "FRAMEBUFFER"}};
	char path[PST_HOST_ROOT_PATH_MAX];
	size_t d, i;
	int r = take_more(root, main_file, e, s);

	for (d = 0; r == 0 && d < PST_ARRAY_SIZE(dirs); d++) {
		PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};

		if (pst_host_root_list(root, dirs[d], &names) < 0)
			continue;
		for (i = 0; i < names.n && i < PST_HOST_ROOT_CONF_FILES; i++)
			if (r == 0 && pst_host_path(path, "%s/%s", dirs[d],
						    names.name[i]) == 0)
				r = take_more(root, path, e, s);
	}
	/* "list": only what is listed. "dep": what drives the console, too. */
	e->usb_hook = !s[0].value || strcmp(s[0].value, "list") != 0;
	e->kms_hook = (s[0].value && strcmp(s[0].value, "dep") == 0) ||
		      (s[1].value && strchr("yY", *s[1].value)) ||
		      pst_host_root_exists(
			      root, "usr/share/initramfs-tools/hooks/plymouth");
	pst_host_settings_done(s, PST_ARRAY_SIZE(s));
	return r;
}

static int take_tools_lists(const struct pst_host_root *root,
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
	r = take_tools_conf(root, e);
	if (r == 0)
		r = line_words(text, list, e);
	if (r < 0 || pst_host_root_list(root, more, &names) < 0)
		return r;
	for (i = 0; i < names.n && i < PST_HOST_ROOT_CONF_FILES && r == 0;
	     i++) {
		PST_CLEANUP_FREE char *other = NULL;

		if (pst_host_path(path, "%s/%s", more, names.name[i]) == 0 &&
		    read_conf(root, path, &other) == 0)
			r = line_words(other, path, e);
	}
	return r;
}

int pst_host_early_tools(const struct pst_host_root *root,
			 struct pst_host_early_list *l)
{
	struct pst_host_early e = {0};

	return append(l, &e, take_tools_lists(root, &e));
}
