/* SPDX-License-Identifier: MIT */
/* Finds lines about vfio-pci that have no effect, with the cause. */
#include "kernel-params/scan/vfio_faults.h"

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

/* Why an id of the list is none, or NULL. */
static const char *wrong_id(const char *id, size_t n)
{
	if (n == 0)
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

		if (strncmp(ids, "\xe2\x80", 2) == 0) {
			tell(f, "%s: it has typographic quotes", where);
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
	for (i = 0; i < args.n; i++)
		look_at_word(where, &args.param[i], f);
	pst_host_cmdline_done(&args);
}

static void look_at_line(const struct pst_host_modconf_line *l,
			 struct faults *f)
{
	char where[PST_HOST_ROOT_PATH_MAX];
	const bool ours = strstr(l->module, "vfio") || strstr(l->text, "vfio");

	if (pst_host_path(where, "%s line %u", l->file, l->line) < 0)
		return;
	if (strchr(l->module, '\r') || strchr(l->text, '\r'))
		tell(f,
		     "%s: it ends in CR LF, the line end of DOS, which "
		     "modprobe takes for a part of the last word",
		     where);
	else if (l->kind == PST_HOST_MODCONF_OTHER && ours)
		tell(f,
		     "%s: no line of modprobe.d begins so (options, softdep, "
		     "blacklist, install, alias)",
		     where);
	else if (l->kind == PST_HOST_MODCONF_OPTIONS)
		look_at_options(where, l, f);
	else if (l->kind == PST_HOST_MODCONF_SOFTDEP && ours &&
		 !strstr(l->text, "pre:") && !strstr(l->text, "post:"))
		tell(f, "%s: softdep has neither pre: nor post:", where);
	else if (l->kind == PST_HOST_MODCONF_ALIAS &&
		 strcmp(l->text, "off") == 0)
		tell(f,
		     "%s: \"alias %.40s off\" keeps nothing from being "
		     "loaded; \"blacklist\" does",
		     where, l->module);
}

/* Files that modprobe does not read for want of ".conf". */
static void look_at_names(const struct pst_host_root *root, struct faults *f)
{
	PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};
	char path[PST_HOST_ROOT_PATH_MAX];
	size_t i, n, len;

	if (pst_host_root_list(root, "etc/modprobe.d", &names) < 0)
		return;
	for (i = 0; i < names.n && i < PST_HOST_ROOT_CONF_FILES; i++) {
		PST_CLEANUP_FREE char *text = NULL;

		n = strlen(names.name[i]);
		if ((n > 5 && strcmp(names.name[i] + n - 5, ".conf") == 0) ||
		    pst_host_path(path, "etc/modprobe.d/%s", names.name[i]) <
			    0 ||
		    pst_host_root_read(root, path, PST_HOST_ROOT_CONF_MAX,
				       &text, &len) < 0 ||
		    !strstr(text, "vfio"))
			continue;
		tell(f, "%s lacks .conf at its end: modprobe does not read it",
		     path);
	}
}

static void look_at_cmdline(const struct pst_host_cmdline *c, struct faults *f)
{
	static const char where[] = "the command line";
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
		}
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
