/* SPDX-License-Identifier: MIT */
/* Finds lines about vfio-pci that have no effect, with the cause. */
#include "kernel-params/config/vfio_faults.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Told at most, so that a file full of them is no flood. */
#define MAX_FAULTS 6

struct faults {
	FILE *to;
	unsigned int n;
};

__attribute__((format(printf, 2, 3))) static void tell(struct faults *f,
						       const char *fmt, ...)
{
	va_list ap;

	if (f->n >= MAX_FAULTS)
		return;
	if (f->n++)
		fputs("; ", f->to);
	va_start(ap, fmt);
	vfprintf(f->to, fmt, ap);
	va_end(ap);
}

bool pst_host_vfio_ids_word(const char *word, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (!isxdigit((unsigned char)word[i]) && !strchr(":,", word[i]))
			return false;
	return len > 0 && memchr(word, ':', len);
}

/* A character that web pages put in the place of '-', a blank or a quote. */
static bool is_foreign(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text >= 0x80)
			return true;
	return false;
}

/* What is told of such a character. */
static const char *foreign(const char *text)
{
	if (strstr(text, "\xef\xbb\xbf"))
		return "it begins with a byte order mark, which becomes a part "
		       "of its first word";
	if (strstr(text, "\xe2\x80\x98") || strstr(text, "\xe2\x80\x99") ||
	    strstr(text, "\xe2\x80\x9c") || strstr(text, "\xe2\x80\x9d"))
		return "it has typographic quotes";
	if (strstr(text, "\xc2\xa0") || strstr(text, "\xe2\x80\xaf"))
		return "it has a no-break space, which parts no words";
	return "it has a character that is none of ASCII's, such as a dash in "
	       "the place of \"-\"";
}

/* Whether an id has the maker's number in decimal: NVIDIA, AMD, Intel. */
static bool is_decimal(const char *id)
{
	static const char *const makers[] = {"4318:", "4098:", "32902:"};
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(makers); i++)
		if (strncmp(id, makers[i], strlen(makers[i])) == 0)
			return true;
	return false;
}

/* Why an id of the list is none, or NULL. */
static const char *wrong_id(const char *id, size_t n)
{
	if (n == 0)
		return NULL;
	if (is_decimal(id))
		return "is decimal; ids are hexadecimal, as lspci -n shows "
		       "them";
	/* The kernel's %x takes "0x", too. */
	if (memchr(id, 'x', n) && memchr(id, ':', n))
		return NULL;
	if (memchr(id, '.', n))
		return "is an address; ids are VENDOR:DEVICE, as lspci -n "
		       "shows them";
	if (!pst_host_vfio_ids_word(id, n))
		return "is no id; ids are VENDOR:DEVICE in hexadecimal, with "
		       "commas between";
	return NULL;
}

/* The value of ids=. where: "FILE line N". */
static void look_at_ids(const char *where, const char *ids, struct faults *f)
{
	while (*ids) {
		size_t n = strcspn(ids, ",");
		const char *why = wrong_id(ids, n);

		if (is_foreign(ids)) {
			tell(f, "%s: %s", where, foreign(ids));
			return;
		}
		if (why)
			tell(f, "%s: \"%.*s\" %s", where, n > 40 ? 40 : (int)n,
			     ids, why);
		ids += n;
		ids += *ids == ',';
	}
}

/* Parameters of vfio-pci (drivers/vfio/pci/vfio_pci.c). */
static bool is_param(const char *name)
{
	static const char *const params[] = {
		"ids",          "nointxmask",      "disable_vga",
		"enable_sriov", "disable_idle_d3", "disable_denylist"};
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(params); i++)
		if (pst_host_param_name_eq(params[i], name))
			return true;
	return false;
}

/* One word of vfio-pci's options. */
static void look_at_word(const char *where, const struct pst_host_param *p,
			 struct faults *f)
{
	if (!p->value && pst_host_vfio_ids_word(p->name, strlen(p->name)))
		tell(f,
		     "%s: a blank stands in the list of ids, which ends it "
		     "before %.40s",
		     where, p->name);
	else if (!*p->name || strcmp(p->name, "=") == 0 ||
		 (strcmp(p->name, "ids") == 0 && !(p->value && *p->value)))
		tell(f, "%s: ids= has no value right behind it", where);
	else if (!is_param(p->name))
		tell(f, "%s: vfio-pci has no parameter \"%.40s\"", where,
		     p->name);
	else if (strcmp(p->name, "ids") == 0)
		look_at_ids(where, p->value, f);
}

static bool begins(const char *text, const char *with)
{
	char head[32];
	size_t n = strlen(with);

	snprintf(head, sizeof(head), "%.*s", (int)n, text);
	return pst_host_param_name_eq(head, with);
}

static void look_at_options(const char *where,
			    const struct pst_host_modconf_line *l,
			    struct faults *f)
{
	struct pst_host_cmdline args;
	size_t i;

	if (begins(l->module, "vfio-pci.")) {
		tell(f,
		     "%s: \"%.40s\" is how the kernel's command line has it; "
		     "here it is: options vfio-pci ids=...",
		     where, l->module);
		return;
	}
	if (!pst_host_param_name_eq(l->module, "vfio-pci") ||
	    pst_host_cmdline_parse(l->text, strlen(l->text), &args) < 0)
		return;
	for (i = 0; i < args.n; i++) {
		const char *name = args.param[i].name;

		if (*name == '#') {
			tell(f,
			     "%s: a comment behind a line becomes a part of it",
			     where);
			break;
		}
		if (strcmp(name, "\\") == 0) {
			tell(f,
			     "%s: the line ends here, since %s stands behind "
			     "its backslash",
			     where,
			     i + 1 < args.n ? "more" : "a blank or nothing");
			break;
		}
		look_at_word(where, &args.param[i], f);
	}
	pst_host_cmdline_done(&args);
}

/* Whether it is about the modules that matter here. */
static bool is_about_cards(const char *text)
{
	static const char *const words[] = {"vfio",   "nouveau", "nvidia",
					    "amdgpu", "radeon",  "snd_hda",
					    "snd-hda"};
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(words); i++)
		if (strstr(text, words[i]))
			return true;
	return false;
}

/* Ids that another module than vfio-pci gets. */
static void look_at_other_ids(const char *where,
			      const struct pst_host_modconf_line *l,
			      struct faults *f)
{
	if (strncmp(l->text, "ids=", 4) != 0 && !strstr(l->text, " ids="))
		return;
	if (pst_host_param_name_eq(l->module, "pci-stub"))
		tell(f, "%s: pci-stub gets these ids, and keeps the cards",
		     where);
	else if (begins(l->module, "vfio"))
		tell(f,
		     "%s: \"%.40s\" has no ids; it is: options vfio-pci "
		     "ids=...",
		     where, l->module);
}

static void look_at_blacklist(const char *where,
			      const struct pst_host_modconf_line *l,
			      struct faults *f)
{
	size_t n = strlen(l->module);

	if (strpbrk(l->module, ",=;\"'"))
		tell(f,
		     "%s: \"%.40s\" is no module; blacklist takes one name a "
		     "line",
		     where, l->module);
	else if (n > 3 && strcmp(l->module + n - 3, ".ko") == 0)
		tell(f, "%s: the name of a module has no .ko", where);
	else if (*l->text && *l->text != '#')
		tell(f,
		     "%s: blacklist takes one name a line, and leaves \"%.40s\"",
		     where, l->text);
}

static void look_at_softdep(const char *where,
			    const struct pst_host_modconf_line *l,
			    struct faults *f)
{
	const char *pre = strstr(l->text, "pre:"), *p = pre;

	if (!pre && !strstr(l->text, "post:"))
		tell(f, "%s: softdep has neither pre: nor post:", where);
	else if (pre && pre[4] && !strchr(" \t", pre[4]))
		tell(f, "%s: no blank stands behind pre:", where);
	else if (pre && pst_host_param_name_eq(l->module, "vfio-pci") &&
		 is_about_cards(p + 4) && !begins(p + 5, "vfio"))
		tell(f,
		     "%s: it has vfio-pci wait for the others; they shall wait "
		     "for it: softdep nouveau pre: vfio-pci",
		     where);
}

static void look_at_line(const struct pst_host_modconf_line *l,
			 struct faults *f)
{
	char where[PST_HOST_ROOT_PATH_MAX];
	const bool ours = is_about_cards(l->module) || is_about_cards(l->text);

	if (pst_host_path(where, "%s line %u", l->file, l->line) < 0)
		return;
	if (strchr(l->module, '\r') || strchr(l->text, '\r'))
		tell(f,
		     "%s: it ends in CR LF, the line end of DOS, which "
		     "modprobe takes for a part of the last word",
		     where);
	else if (ours && is_foreign(l->module))
		tell(f, "%s: %s", where, foreign(l->module));
	else if (l->kind == PST_HOST_MODCONF_OTHER && ours)
		tell(f,
		     "%s: no line of modprobe.d begins so (options, softdep, "
		     "blacklist, install, alias)",
		     where);
	else if (l->kind == PST_HOST_MODCONF_OPTIONS) {
		look_at_options(where, l, f);
		if (!pst_host_param_name_eq(l->module, "vfio-pci"))
			look_at_other_ids(where, l, f);
	} else if (l->kind == PST_HOST_MODCONF_BLACKLIST && ours)
		look_at_blacklist(where, l, f);
	else if (l->kind == PST_HOST_MODCONF_SOFTDEP && ours)
		look_at_softdep(where, l, f);
	else if (l->kind == PST_HOST_MODCONF_ALIAS &&
		 strcmp(l->text, "off") == 0)
		tell(f,
		     "%s: \"alias %.40s off\" keeps nothing from being "
		     "loaded; \"blacklist\" does",
		     where, l->module);
}

/* Lists of ids that a later line sets anew. */
static void look_at_lists(const struct pst_host_modconf *c, struct faults *f)
{
	const struct pst_host_modconf_line *last =
		pst_host_modconf_option_line(c, "vfio-pci", "ids");
	const struct pst_host_modconf_line *l;

	for (l = c->line; last && l < last; l++)
		if (l->kind == PST_HOST_MODCONF_OPTIONS &&
		    pst_host_param_name_eq(l->module, "vfio-pci") &&
		    (strncmp(l->text, "ids=", 4) == 0 ||
		     strstr(l->text, " ids=")) &&
		    strcmp(l->text, last->text) != 0)
			tell(f,
			     "%s line %u: %s line %u sets ids= anew, and the "
			     "last one counts",
			     l->file, l->line, last->file, last->line);
}

/* Whether a text is of two bytes a character. */
static bool is_utf16(const char *text, size_t len)
{
	return len > 3 && (memcmp(text, "\xff\xfe", 2) == 0 ||
			   memcmp(text, "\xfe\xff", 2) == 0);
}

/* A file of etc/modprobe.d that modprobe does not read, or not as text. */
static void look_at_name(const struct pst_host_root *root, const char *name,
			 struct faults *f)
{
	PST_CLEANUP_FREE char *text = NULL;
	char path[PST_HOST_ROOT_PATH_MAX];
	size_t n = strlen(name), len;
	const bool conf = n > 5 && strcmp(name + n - 5, ".conf") == 0;

	if (pst_host_path(path, "etc/modprobe.d/%s", name) < 0 ||
	    pst_host_root_read(root, path, PST_HOST_ROOT_CONF_MAX, &text,
			       &len) < 0)
		return;
	if (conf && is_utf16(text, len))
		tell(f, "%s is UTF-16, of which modprobe reads nothing", path);
	else if (!strstr(text, "vfio"))
		return;
	else if (*name == '.')
		tell(f, "%s begins with a dot: modprobe does not read it",
		     path);
	else if (!conf)
		tell(f, "%s lacks .conf at its end: modprobe does not read it",
		     path);
}

/* A folder in etc/modprobe.d. */
static void look_at_folder(const struct pst_host_root *root, const char *name,
			   struct faults *f)
{
	PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};
	char path[PST_HOST_ROOT_PATH_MAX];

	if (pst_host_path(path, "etc/modprobe.d/%s", name) == 0 &&
	    pst_host_root_list(root, path, &names) == 0 && names.n)
		tell(f, "%s is a folder, in which modprobe reads nothing",
		     path);
}

/* Lines of vfio's options in files that do not take them. */
static void look_elsewhere(const struct pst_host_root *root, const char *path,
			   const char *why, struct faults *f)
{
	PST_CLEANUP_FREE char *text = NULL;
	unsigned int n = 0;
	char *line, *rest;
	size_t len;

	if (pst_host_root_read(root, path, PST_HOST_ROOT_CONF_MAX, &text,
			       &len) < 0)
		return;
	for (line = text; line && *line; line = rest) {
		rest = strchr(line, '\n');
		if (rest)
			*rest++ = '\0';
		n++;
		line += strspn(line, " \t");
		if (*line != '#' && strstr(line, "vfio") &&
		    strstr(line, "ids="))
			tell(f, "%s line %u: %s", path, n, why);
	}
}

static void look_at_names(const struct pst_host_root *root, struct faults *f)
{
	static const char loads[] =
		"systemd takes the whole line for a name; options of a module "
		"are in etc/modprobe.d";
	static const char dir[] = "etc/modules-load.d";
	PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0}, more = {0};
	char path[PST_HOST_ROOT_PATH_MAX];
	size_t i;

	if (pst_host_root_list(root, "etc/modprobe.d", &names) < 0)
		names.n = 0;
	for (i = 0; i < names.n && i < PST_HOST_ROOT_CONF_FILES; i++) {
		look_at_name(root, names.name[i], f);
		look_at_folder(root, names.name[i], f);
	}
	if (pst_host_root_list(root, dir, &more) < 0)
		more.n = 0;
	for (i = 0; i < more.n && i < PST_HOST_ROOT_CONF_FILES; i++)
		if (pst_host_path(path, "%s/%s", dir, more.name[i]) == 0)
			look_elsewhere(root, path, loads, f);
	if (!more.n)
		look_elsewhere(root, "etc/modules", loads, f);
	look_elsewhere(root, "etc/modprobe.conf",
		       "modprobe reads etc/modprobe.d/*.conf alone", f);
}

/* A parameter that was meant for vfio-pci. */
static void look_at_param(const char *where, const struct pst_host_param *p,
			  struct faults *f)
{
	const char *dot = strchr(p->name, '.');

	if (is_foreign(p->name) && strstr(p->name, "vfio"))
		tell(f, "%s: %s", where, foreign(p->name));
	else if (begins(p->name, "pci-stub.") && p->value)
		tell(f, "%s: pci-stub gets these ids, and keeps the cards",
		     where);
	else if (dot && strcmp(dot, ".ids") == 0 && begins(p->name, "vfio"))
		tell(f, "%s: \"%.40s\" is no parameter; it is vfio-pci.ids=",
		     where, p->name);
	else if (strcmp(p->name, "ids") == 0 && p->value &&
		 pst_host_vfio_ids_word(p->value, strlen(p->value)))
		tell(f, "%s: \"ids=\" is nobody's; it is vfio-pci.ids=", where);
}

/* Lists of ids, of which the last one counts. */
static bool is_list(const struct pst_host_param *p)
{
	return pst_host_param_name_eq(p->name, "vfio-pci.ids") && p->value;
}

static void look_at_cmdline(const struct pst_host_cmdline *c, struct faults *f)
{
	static const char where[] = "the command line";
	const struct pst_host_param *last = NULL;
	size_t i;

	for (i = 0; i < c->n; i++) {
		const struct pst_host_param *p = &c->param[i];
		struct pst_host_param inner = *p;

		if (begins(p->name, "vfio-pci.")) {
			inner.name += strlen("vfio-pci.");
			look_at_word(where, &inner, f);
		} else if (begins(p->name, "vfio-pci") && p->value) {
			tell(f,
			     "%s: \"%.40s\" is no parameter; it is "
			     "vfio-pci.ids=",
			     where, p->name);
		} else if (!p->value && i &&
			   begins(c->param[i - 1].name, "vfio-pci.") &&
			   pst_host_vfio_ids_word(p->name, strlen(p->name))) {
			look_at_word(where, p, f);
		} else {
			look_at_param(where, p, f);
		}
		if (is_list(p) && last && strcmp(last->value, p->value) != 0)
			tell(f,
			     "%s: vfio-pci.ids= is there twice, and the last "
			     "one counts",
			     where);
		last = is_list(p) ? p : last;
	}
}

int pst_host_vfio_faults(const struct pst_host_root *root,
			 const struct pst_host_cmdline *cmdline,
			 const struct pst_host_modconf *modconf, char **ret)
{
	struct faults f = {0};
	char *text = NULL;
	size_t size, i;

	f.to = open_memstream(&text, &size);
	if (!f.to)
		return -ENOMEM;
	for (i = 0; i < modconf->n; i++)
		look_at_line(&modconf->line[i], &f);
	look_at_lists(modconf, &f);
	look_at_names(root, &f);
	look_at_cmdline(cmdline, &f);
	if (fclose(f.to)) {
		free(text);
		return -ENOMEM;
	}
	if (!*text) {
		free(text);
		text = NULL;
	}
	*ret = text;
	return 0;
}
