/* SPDX-License-Identifier: MIT */
/* Reads which modules initramfs generators are configured to load. */
#include "kernel-params/scan/initramfs.h"

#include <ctype.h>
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

/* Words up to the character end, past comments. Sets *p behind it. */
static int list_words(const char **p, const char *end,
		      struct pst_host_names *words)
{
	int r = 0;

	while (**p && !strchr(end, **p) && r == 0) {
		size_t n;

		if (**p == '#') {
			*p += strcspn(*p, "\n");
			continue;
		}
		n = strcspn(*p, " \t\r\n\"'()[];#");
		if (n)
			r = add_word(words, *p, n);
		*p += n;
		if (!n && **p && !strchr(end, **p))
			(*p)++;
	}
	if (**p)
		(*p)++;
	return r;
}

static bool is_ident(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '.' || c == '-';
}

/* A name with a dot may be the end of a longer one, others are whole. */
static bool wanted(const char *name, size_t n, const char *const *names)
{
	for (; *names; names++) {
		size_t k = strlen(*names);

		if (k > n || memcmp(name + n - k, *names, k) != 0)
			continue;
		if (k == n || (name[n - k - 1] == '.' && strchr(*names, '.')))
			return true;
	}
	return false;
}

/* What follows a wanted name: an optional '+', '=' and a list. */
static int value_words(const char **p, struct pst_host_names *words)
{
	size_t n;

	*p += strspn(*p, " \t");
	*p += **p == '+';
	if (**p != '=')
		return 0;
	(*p)++;
	*p += strspn(*p, " \t\n");
	/* Nix may have a function before the list: lib.mkBefore [ ... ]. */
	n = strcspn(*p, "[;\n\"'(#");
	if ((*p)[n] == '[')
		*p += n;
	switch (**p) {
	case '(':
		(*p)++;
		return list_words(p, ")", words);
	case '[':
		(*p)++;
		return list_words(p, "]", words);
	case '"':
		(*p)++;
		return list_words(p, "\"", words);
	case '\'':
		(*p)++;
		return list_words(p, "'", words);
	}
	return list_words(p, " \t\n;", words);
}

int pst_host_early_words(const char *text, const char *const *names,
			 struct pst_host_names *words)
{
	const char *p = text;
	int r = 0;

	while (*p && r == 0) {
		size_t n = 0;

		if (*p == '#') {
			p += strcspn(p, "\n");
			continue;
		}
		while (is_ident(p[n]))
			n++;
		if (!n) {
			p++;
			continue;
		}
		if (wanted(p, n, names)) {
			p += n;
			r = value_words(&p, words);
		} else {
			p += n;
		}
	}
	return r;
}

struct maker {
	enum pst_host_early_maker maker;
	const char *file;       /* or NULL */
	const char *dir;        /* or NULL */
	const char *ext;        /* of files in dir */
	const char *names[5];   /* of lists; NULL: every line is a module */
	const char *program[2]; /* that reads it; NULL: not looked for */
};

static const struct maker makers[] = {
	{PST_HOST_EARLY_NIXOS,
	 "etc/nixos/configuration.nix",
	 "etc/nixos",
	 ".nix",
	 {"initrd.kernelModules", "kernelModules"},
	 {NULL}},
	{PST_HOST_EARLY_MKINITCPIO,
	 "etc/mkinitcpio.conf",
	 "etc/mkinitcpio.conf.d",
	 ".conf",
	 {"MODULES"},
	 {"usr/bin/mkinitcpio"}},
	{PST_HOST_EARLY_DRACUT,
	 "etc/dracut.conf",
	 "etc/dracut.conf.d",
	 ".conf",
	 {"force_drivers"},
	 {"usr/bin/dracut", "usr/sbin/dracut"}},
	{PST_HOST_EARLY_INITRAMFS_TOOLS,
	 "etc/initramfs-tools/modules",
	 NULL,
	 NULL,
	 {NULL},
	 {"usr/sbin/update-initramfs"}},
};

static bool has_ext(const char *name, const char *ext)
{
	size_t n = strlen(name), k = strlen(ext);

	return n > k && strcmp(name + n - k, ext) == 0;
}

/* initramfs-tools: one module a line, its parameters behind it. */
static int line_words(const char *text, struct pst_host_names *words)
{
	int r = 0;

	while (*text && r == 0) {
		const char *word = text + strspn(text, " \t");
		size_t n = strcspn(word, " \t\r\n#");

		if (n)
			r = add_word(words, word, n);
		text += strcspn(text, "\n");
		text += *text == '\n';
	}
	return r;
}

/* Whether a file puts in vfio_virqfd, a module of kernels before 6.2:
 * mkinitcpio and dracut end with an error for one that they do not find. */
static int find_virqfd(const char *text, const char *path,
		       struct pst_host_early *e)
{
	static const char *const packed[] = {"MODULES", "force_drivers",
					     "add_drivers", NULL};
	PST_HOST_CLEANUP_NAMES struct pst_host_names all = {0};
	int r = pst_host_early_words(text, packed, &all);
	size_t i;

	for (i = 0; r == 0 && i < all.n; i++)
		if (pst_host_param_name_eq(all.name[i], "vfio_virqfd"))
			snprintf(e->virqfd, sizeof(e->virqfd), "%s", path);
	return r;
}

static int read_conf(const struct pst_host_root *root, const struct maker *m,
		     const char *path, struct pst_host_early *e)
{
	PST_CLEANUP_FREE char *text = NULL;
	static const char *const hooks[] = {"HOOKS", NULL};
	struct pst_host_names hook = {0};
	size_t len, i;
	int r;

	if (pst_host_root_read(root, path, PST_HOST_ROOT_CONF_MAX, &text,
			       &len) < 0)
		return 0;
	e->maker = m->maker;
	if (!*e->file && strlen(path) < sizeof(e->file))
		strcpy(e->file, path);
	if (!m->names[0])
		return line_words(text, &e->words);
	r = pst_host_early_words(text, m->names, &e->words);
	if (r == 0)
		r = find_virqfd(text, path, e);
	if (r == 0 && m->maker == PST_HOST_EARLY_MKINITCPIO)
		r = pst_host_early_words(text, hooks, &hook);
	for (i = 0; i < hook.n; i++)
		e->kms_hook = e->kms_hook || strcmp(hook.name[i], "kms") == 0;
	pst_host_names_done(&hook);
	return r;
}

/* A file of dracut.conf.d that dracut never reads for want of ".conf". */
static void find_stray(const struct pst_host_root *root, const char *path,
		       struct pst_host_early *e)
{
	PST_CLEANUP_FREE char *text = NULL;
	size_t len;

	if (pst_host_root_read(root, path, PST_HOST_ROOT_CONF_MAX, &text,
			       &len) == 0 &&
	    strstr(text, "vfio") && strlen(path) < sizeof(e->stray))
		strcpy(e->stray, path);
}

static int read_maker(const struct pst_host_root *root, const struct maker *m,
		      struct pst_host_early *e)
{
	PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};
	char path[PST_HOST_ROOT_PATH_MAX];
	size_t i;
	int r = read_conf(root, m, m->file, e);

	if (r < 0 || !m->dir || pst_host_root_list(root, m->dir, &names) < 0)
		return r;
	for (i = 0; i < names.n && i < PST_HOST_ROOT_CONF_FILES && r == 0;
	     i++) {
		if (pst_host_path(path, "%s/%s", m->dir, names.name[i]) < 0 ||
		    strcmp(path, m->file) == 0)
			continue;
		if (has_ext(names.name[i], m->ext))
			r = read_conf(root, m, path, e);
		else if (m->maker == PST_HOST_EARLY_DRACUT)
			find_stray(root, path, e);
	}
	return r;
}

static void read_modules_load(const struct pst_host_root *root,
			      struct pst_host_early *e)
{
	static const char *const dirs[] = {"etc/modules-load.d",
					   "usr/lib/modules-load.d"};
	char path[PST_HOST_ROOT_PATH_MAX];
	size_t d, i, k, len;

	for (d = 0; d < PST_ARRAY_SIZE(dirs); d++) {
		PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};

		if (pst_host_root_list(root, dirs[d], &names) < 0)
			continue;
		for (i = 0; i < names.n && i < PST_HOST_ROOT_CONF_FILES; i++) {
			PST_HOST_CLEANUP_NAMES struct pst_host_names words = {
				0};
			PST_CLEANUP_FREE char *text = NULL;

			if (!has_ext(names.name[i], ".conf") ||
			    pst_host_path(path, "%s/%s", dirs[d],
					  names.name[i]) < 0 ||
			    pst_host_root_read(root, path,
					       PST_HOST_ROOT_CONF_MAX, &text,
					       &len) < 0 ||
			    line_words(text, &words) < 0)
				continue;
			for (k = 0; k < words.n; k++)
				if (pst_host_param_name_eq(words.name[k],
							   "vfio_pci"))
					e->loads_late = true;
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
			r = read_maker(root, &makers[i], &e);
	if (r < 0) {
		pst_host_early_done(&e);
		return r;
	}
	read_modules_load(root, &e);
	*ret = e;
	return 0;
}

void pst_host_early_done(struct pst_host_early *e)
{
	pst_host_names_done(&e->words);
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
