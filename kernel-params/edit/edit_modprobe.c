/* SPDX-License-Identifier: MIT */
/* modprobe.d: the drop-in, and ids in a line that somebody else wrote. */
#include "kernel-params/edit/edit_modprobe.h"

#include <string.h>

#include "kernel-params/edit/edit_grub.h"
#include "kernel-params/scan/shell_text.h"
#include "transport/base/text.h"

/* The value of ids= in an options text, to its end; NULL: none. */
static const char *ids_in(const char *text)
{
	const char *p;

	for (p = text; *p; p += strcspn(p, " \t"), p += strspn(p, " \t"))
		if (strncmp(p, "ids=", 4) == 0)
			return p + 4;
	return NULL;
}

const struct pst_host_modconf_line *
pst_host_modprobe_ids_line(const struct pst_host_modconf *now)
{
	size_t i;

	for (i = now->n; i-- > 0;) {
		const struct pst_host_modconf_line *l = &now->line[i];

		if (l->kind == PST_HOST_MODCONF_OPTIONS &&
		    pst_host_param_name_eq(l->module, "vfio-pci") &&
		    ids_in(l->text))
			return l;
	}
	return NULL;
}

/* The first softdep line of a module, or NULL. */
static const struct pst_host_modconf_line *
softdep_of(const struct pst_host_modconf *now, const char *module)
{
	size_t i;

	for (i = 0; i < now->n; i++)
		if (now->line[i].kind == PST_HOST_MODCONF_SOFTDEP &&
		    pst_host_param_name_eq(now->line[i].module, module))
			return &now->line[i];
	return NULL;
}

/* Whether a softdep's text has vfio-pci before the module. */
static bool has_vfio_pre(const char *text)
{
	bool pre = false;
	const char *p;

	for (p = text; *p; p += strcspn(p, " \t"), p += strspn(p, " \t")) {
		size_t len = strcspn(p, " \t");

		if (len == 4 && strncmp(p, "pre:", 4) == 0)
			pre = true;
		else if (len == 5 && strncmp(p, "post:", 5) == 0)
			pre = false;
		else if (pre && len == 8 &&
			 (strncmp(p, "vfio-pci", 8) == 0 ||
			  strncmp(p, "vfio_pci", 8) == 0))
			return true;
	}
	return false;
}

int pst_host_edit_modprobe(const struct pst_host_modconf *now,
			   const struct pst_host_modprobe_want *want,
			   char **ret)
{
	char *text = NULL;
	size_t size, i;
	FILE *f = open_memstream(&text, &size);
	bool any = false;

	if (!f)
		return -ENOMEM;
	fputs(PST_HOST_EDIT_MARK "; undo: penstock host undo\n", f);
	if (want->ids && !pst_host_modprobe_ids_line(now)) {
		fprintf(f, "options vfio-pci ids=%s\n", want->ids);
		any = true;
	}
	for (i = 0; want->modules[i]; i++) {
		const struct pst_host_modconf_line *l =
			softdep_of(now, want->modules[i]);

		if (l && has_vfio_pre(l->text))
			continue;
		fprintf(f, "softdep %s pre: vfio-pci", want->modules[i]);
		if (l && *l->text)
			fprintf(f, " %s",
				strncmp(l->text, "pre: ", 5) == 0 ? l->text + 5
								  : l->text);
		fputc('\n', f);
		any = true;
	}
	if (fclose(f)) {
		free(text);
		return -ENOMEM;
	}
	if (!any) {
		free(text);
		text = NULL;
	}
	*ret = text;
	return 0;
}

/* Where line number n begins, counted from 1. */
static const char *line_at(const char *text, unsigned int n)
{
	for (; n > 1 && *text; n--) {
		text = strchrnul(text, '\n');
		text += *text == '\n';
	}
	return text;
}

int pst_host_edit_modprobe_ids(const char *old,
			       const struct pst_host_modconf_line *line,
			       const char *ids, char **ret,
			       struct pst_error *err)
{
	const char *p = line_at(old, line->line), *v, *end = strchrnul(p, '\n');
	PST_CLEANUP_FREE char *raw = strndup(p, (size_t)(end - p));
	PST_CLEANUP_FREE char *value = NULL;
	size_t len;
	char *next;

	if (!raw)
		return pst_oom(err);
	v = ids_in(raw);
	if (!v || strpbrk(raw, "\\\"'"))
		return pst_error_set(err, -EINVAL,
				     "%s line %u gives vfio-pci its ids in a "
				     "way that cannot be edited safely: add %s "
				     "there by hand",
				     line->file, line->line, ids);
	value = strndup(v, strcspn(v, " \t\r"));
	len = value ? strlen(value) : 0;
	while (value && *ids) {
		size_t n = strcspn(ids, ",");
		char id[32];

		snprintf(id, sizeof(id), "%.*s", (int)n, ids);
		ids += n + (ids[n] == ',');
		if (pst_host_list_has(value, id))
			continue;
		next = pst_text_format("%s%s%s", value, *value ? "," : "", id);
		free(value);
		value = next;
	}
	*ret = value ? pst_host_text_replace(
			       old, (size_t)(p - old) + (size_t)(v - raw), len,
			       value)
		     : NULL;
	return *ret ? 0 : pst_oom(err);
}
