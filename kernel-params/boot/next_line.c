/* SPDX-License-Identifier: MIT */
/* Evaluates the command lines of the next boot. */
#include "kernel-params/boot/next_line.h"

#include <string.h>

#include "kernel-params/boot/initramfs.h"
#include "kernel-params/boot/mkinitcpio.h"
#include "kernel-params/syntax/loader_text.h"
#include "kernel-params/syntax/settings.h"

/* More command lines are no host's. */
#define MAX_LINES 256

struct reader {
	const struct pst_host_root *root;
	const struct pst_host_boot *boot;
	struct pst_host_next_lines *out;
};

/* Adds a line and takes text, in which newlines become blanks. */
static int add(struct reader *r, unsigned int target, const char *from,
	       char *text)
{
	struct pst_host_next_lines *l = r->out;
	struct pst_host_next_line *grown;
	char *p;

	if (l->n == MAX_LINES) {
		free(text);
		return 0;
	}
	grown = reallocarray(l->line, l->n + 1, sizeof(*grown));
	if (!grown) {
		free(text);
		return -ENOMEM;
	}
	l->line = grown;
	grown += l->n++;
	*grown = (struct pst_host_next_line){.text = text, .target = target};
	snprintf(grown->from, sizeof(grown->from), "/%.*s",
		 (int)sizeof(grown->from) - 2, from + strspn(from, "/"));
	for (p = text; p && (p = strpbrk(p, "\t\n"));)
		*p = ' ';
	return 0;
}

/* The text of a file, or NULL where there is none. */
static char *read_file(const struct reader *r, const char *path)
{
	char *text = NULL;
	size_t len;

	if (pst_host_root_read(r->root, path, PST_HOST_ROOT_TEXT_MAX, &text,
			       &len) < 0)
		return NULL;
	return text;
}

/* ---- Files with command lines in them ------------------------------------
 */

/* All spans of a text as one line, a blank behind each; to be freed. */
static char *join_spans(const char *text, enum pst_host_loader_text kind)
{
	struct pst_host_loader_span s = {0};
	char *line = NULL;
	size_t size;
	FILE *f = open_memstream(&line, &size);

	while (f && pst_host_loader_next(text, kind, &s))
		fprintf(f, "%.*s ", (int)s.len, text + s.off);
	if (f && fclose(f) == 0)
		return line;
	free(line);
	return NULL;
}

/* The lines of a file of somebody, or of a program. */
static int take_lines(struct reader *r, unsigned int target, const char *path,
		      enum pst_host_loader_text kind)
{
	PST_CLEANUP_FREE char *text = read_file(r, path);
	struct pst_host_loader_span s = {0};
	char *line;
	int rc = 0;

	if (!text ||
	    (kind == PST_HOST_LOADER_ENTRY && !pst_host_entry_is_linux(text)))
		return 0;
	if (pst_host_loader_is_joined(kind)) {
		line = join_spans(text, kind);
		return line ? add(r, target, path, line) : -ENOMEM;
	}
	while (rc == 0 && pst_host_loader_next(text, kind, &s)) {
		line = strndup(text + s.off, s.len);
		rc = line ? add(r, target, path, line) : -ENOMEM;
	}
	return rc;
}

static bool ends_in(const char *name, const char *ending)
{
	size_t n = strlen(name), k = strlen(ending);

	return *name != '.' && n > k && strcmp(name + n - k, ending) == 0;
}

static int take_entries(struct reader *r, const char *dir)
{
	PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};
	char path[PST_HOST_ROOT_PATH_MAX];
	size_t i;
	int rc = 0;

	if (pst_host_root_list(r->root, dir, &names) < 0)
		return 0;
	for (i = 0; rc == 0 && i < names.n; i++)
		if (ends_in(names.name[i], ".conf") &&
		    pst_host_path(path, "%s/%s", dir, names.name[i]) == 0)
			rc = take_lines(r, PST_HOST_TARGET_SYSTEMD_BOOT, path,
					PST_HOST_LOADER_ENTRY);
	return rc;
}

/* ---- Variables of shell-like files ---------------------------------------
 */

/* Files that set a variable: one, a folder's of an ending, one more. */
struct files {
	const char *first, *dir, *ending, *last;
};

static int take_file(const struct reader *r, const char *path,
		     struct pst_host_setting *s)
{
	char fault[PST_HOST_FAULT_MAX] = "";
	PST_CLEANUP_FREE char *text = path ? read_file(r, path) : NULL;

	return text ? pst_host_settings_take(text, path, s, 1, fault) : 0;
}

static int take_variable(struct reader *r, unsigned int target,
			 const char *name, const struct files *f)
{
	struct pst_host_setting s = {.name = name};
	PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};
	char path[PST_HOST_ROOT_PATH_MAX];
	size_t i;
	int rc = take_file(r, f->first, &s);

	if (!f->dir || pst_host_root_list(r->root, f->dir, &names) < 0)
		names.n = 0;
	for (i = 0; rc == 0 && i < names.n && i < PST_HOST_ROOT_CONF_FILES; i++)
		if (ends_in(names.name[i], f->ending) &&
		    pst_host_path(path, "%s/%s", f->dir, names.name[i]) == 0)
			rc = take_file(r, path, &s);
	if (rc == 0)
		rc = take_file(r, f->last, &s);
	if (rc < 0) {
		pst_host_settings_done(&s, 1);
		return rc;
	}
	return add(r, target, f->last ? f->last : f->first, s.value);
}

static int take_grub(struct reader *r)
{
	char fault[PST_HOST_FAULT_MAX] = "";
	char *words = pst_host_boot_grub_words(r->root, fault);

	return add(r, PST_HOST_TARGET_GRUB, "etc/default/grub", words);
}

/* ---- systemd-boot, unified kernels ---------------------------------------
 */

/* Puts the words of a file into f; whether it is there. */
static bool put_words(const struct reader *r, const char *path, FILE *f)
{
	PST_CLEANUP_FREE char *text = read_file(r, path);
	struct pst_host_loader_span s = {0};

	while (text && pst_host_loader_next(text, PST_HOST_LOADER_BARE, &s))
		fprintf(f, "%.*s ", (int)s.len, text + s.off);
	return text;
}

/* The snippets that mkinitcpio takes besides; whether there is any. */
static bool put_snippets(const struct reader *r, FILE *f)
{
	static const char dir[] = "etc/cmdline.d";
	PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};
	char path[PST_HOST_ROOT_PATH_MAX];
	bool any = false;
	size_t i;

	if (pst_host_root_list(r->root, dir, &names) < 0)
		return false;
	for (i = 0; i < names.n && i < PST_HOST_ROOT_CONF_FILES; i++)
		any |= ends_in(names.name[i], ".conf") &&
		       pst_host_path(path, "%s/%s", dir, names.name[i]) == 0 &&
		       put_words(r, path, f);
	return any;
}

/* etc/kernel/cmdline, or the distribution's. */
static int take_cmdline(struct reader *r)
{
	const char *from = PST_HOST_KERNEL_CMDLINE;
	char *line = NULL;
	size_t size;
	bool any;
	FILE *f = open_memstream(&line, &size);

	if (!f)
		return -ENOMEM;
	any = put_words(r, from, f);
	if (!any && r->boot->from_cmdline) {
		from = PST_HOST_VENDOR_CMDLINE;
		any = put_words(r, from, f);
	}
	if (r->boot->snippets)
		any |= put_snippets(r, f);
	if (fclose(f)) {
		free(line);
		return -ENOMEM;
	}
	if (any)
		return add(r, PST_HOST_TARGET_SYSTEMD_BOOT, from, line);
	free(line);
	return r->boot->from_cmdline
		       ? add(r, PST_HOST_TARGET_SYSTEMD_BOOT, from, NULL)
		       : 0;
}

/* Files that presets name instead of etc/kernel/cmdline. */
static int take_presets(struct reader *r)
{
	PST_CLEANUP_FREE struct pst_host_mkinitcpio *m = calloc(1, sizeof(*m));
	char fault[PST_HOST_FAULT_MAX] = "";
	size_t i;
	int rc = m ? pst_host_mkinitcpio_scan(r->root, m, fault) : -ENOMEM;

	for (i = 0; rc == 0 && i < m->n; i++)
		if (*m->image[i].cmdline &&
		    strcmp(m->image[i].cmdline, PST_HOST_KERNEL_CMDLINE) != 0 &&
		    strncmp(m->image[i].cmdline, "proc/", 5) != 0)
			rc = take_lines(r, PST_HOST_TARGET_SYSTEMD_BOOT,
					m->image[i].cmdline,
					PST_HOST_LOADER_BARE);
	return rc;
}

static int take_systemd_boot(struct reader *r)
{
	static const struct files sdboot = {.first = PST_HOST_SDBOOT_CONF};
	const struct pst_host_boot *b = r->boot;
	char *value = NULL;
	int rc = take_cmdline(r);

	if (rc == 0 && b->sdboot_manage)
		rc = take_variable(r, PST_HOST_TARGET_SYSTEMD_BOOT,
				   "LINUX_OPTIONS", &sdboot);
	if (rc == 0 && b->dracut_uefi) {
		rc = pst_host_early_dracut_value(r->root, "kernel_cmdline",
						 &value);
		if (rc == 0)
			rc = add(r, PST_HOST_TARGET_SYSTEMD_BOOT,
				 "etc/dracut.conf.d", value);
	}
	if (rc == 0 && b->unified)
		rc = take_presets(r);
	if (rc < 0 || b->rewritten)
		return rc;
	if (!b->grub_entries || *b->lost)
		rc = take_entries(r, "boot/loader/entries");
	if (rc == 0)
		rc = take_entries(r, "efi/loader/entries");
	return rc < 0 ? rc : take_entries(r, "boot/efi/loader/entries");
}

/* ---- Others ---------------------------------------------------------------
 */

static int take_limine(struct reader *r)
{
	static const struct files tool = {"etc/limine-entry-tool.conf",
					  "etc/limine-entry-tool.d", ".conf",
					  PST_HOST_LIMINE_CONF};

	const char *const *conf = r->boot->limine_conf;
	int rc = 0;

	if (r->boot->limine_tool)
		return take_variable(r, PST_HOST_TARGET_LIMINE,
				     "KERNEL_CMDLINE[default]", &tool);
	for (; rc == 0 && *conf; conf++)
		rc = take_lines(r, PST_HOST_TARGET_LIMINE, *conf,
				PST_HOST_LOADER_LIMINE);
	return rc;
}

static int take_refind(struct reader *r)
{
	const struct pst_host_boot *b = r->boot;
	int rc = 0;

	if (b->refind_linux)
		rc = take_lines(r, PST_HOST_TARGET_REFIND, b->refind_linux,
				PST_HOST_LOADER_REFIND);
	if (rc == 0 && b->refind_conf)
		rc = take_lines(r, PST_HOST_TARGET_REFIND, b->refind_conf,
				PST_HOST_LOADER_STANZA);
	return rc;
}

static int take_extlinux(struct reader *r)
{
	const struct pst_host_extlinux *x = &r->boot->extlinux;
	const struct files f = {
		.first = x->settings, .dir = x->folder, .ending = ".conf"};

	if (!x->file)
		return 0;
	return x->command ? take_variable(r, PST_HOST_TARGET_EXTLINUX,
					  x->variable, &f)
			  : take_lines(r, PST_HOST_TARGET_EXTLINUX, x->file,
				       PST_HOST_LOADER_APPEND);
}

int pst_host_next_lines_read(const struct pst_host_root *root,
			     const struct pst_host_boot *b,
			     unsigned int targets,
			     struct pst_host_next_lines *ret)
{
	static const struct {
		unsigned int target;
		int (*take)(struct reader *r);
	} takers[] = {
		{PST_HOST_TARGET_GRUB, take_grub},
		{PST_HOST_TARGET_SYSTEMD_BOOT, take_systemd_boot},
		{PST_HOST_TARGET_LIMINE, take_limine},
		{PST_HOST_TARGET_REFIND, take_refind},
		{PST_HOST_TARGET_EXTLINUX, take_extlinux},
	};
	struct reader r = {root, b, ret};
	size_t i;
	int rc = 0;

	*ret = (struct pst_host_next_lines){0};
	for (i = 0; rc == 0 && i < PST_ARRAY_SIZE(takers); i++)
		if (targets & takers[i].target)
			rc = takers[i].take(&r);
	if (rc < 0)
		pst_host_next_lines_done(ret);
	return rc;
}

void pst_host_next_lines_done(struct pst_host_next_lines *l)
{
	while (l->n > 0)
		free(l->line[--l->n].text);
	free(l->line);
	l->line = NULL;
}

const struct pst_host_next_line *
pst_host_next_lines_main(const struct pst_host_next_lines *l,
			 const struct pst_host_boot *b)
{
	const struct pst_host_next_line *first = NULL;
	size_t i;

	for (i = 0; i < l->n; i++) {
		const struct pst_host_next_line *q = &l->line[i];

		if (!q->text)
			continue;
		if (q->target == PST_HOST_TARGET_GRUB ? b->by_grub : b->by_stub)
			return q;
		if (!first)
			first = q;
	}
	return first;
}
