/* SPDX-License-Identifier: MIT */
/* A plan from its request to its files; the request as text. */
#include "kernel-params/plan/plan.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "kernel-params/edit/diff.h"
#include "kernel-params/edit/edit_grub.h"

static const struct {
	unsigned int target;
	const char *name;
} target_names[] = {
	{PST_TARGET_GRUB, "grub"},
	{PST_TARGET_SYSTEMD_BOOT, "systemd-boot"},
	{PST_TARGET_MODPROBE, "modprobe"},
	{PST_TARGET_MKINITCPIO, "mkinitcpio"},
	{PST_TARGET_DRACUT, "dracut"},
	{PST_TARGET_INITRAMFS_TOOLS, "initramfs-tools"},
	{PST_TARGET_SYSCTL, "sysctl"},
	{PST_TARGET_TMPFILES, "tmpfiles"},
	{PST_TARGET_UDEV, "udev"},
	{PST_TARGET_NIXOS, "nixos"},
};

int pst_targets_parse(const char *text, unsigned int *ret)
{
	unsigned int got = 0;
	size_t i, len;

	*ret = 0;
	if (strcmp(text, "auto") == 0)
		return 0;
	for (;; text += len + 1) {
		len = strcspn(text, ",");
		for (i = 0; i < PST_ARRAY_SIZE(target_names); i++)
			if (strlen(target_names[i].name) == len &&
			    strncmp(target_names[i].name, text, len) == 0)
				break;
		if (i == PST_ARRAY_SIZE(target_names))
			return -EINVAL;
		got |= target_names[i].target;
		if (!text[len])
			break;
	}
	*ret = got;
	return 0;
}

const char *pst_target_name(unsigned int target)
{
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(target_names); i++)
		if (target_names[i].target == target)
			return target_names[i].name;
	return "auto";
}

/* ---- Lists ----------------------------------------------------------------
 */

__attribute__((format(printf, 2, 0))) static int
vadd(struct pst_lines *l, const char *fmt, va_list ap)
{
	char **grown, *line;
	size_t i;

	if (vasprintf(&line, fmt, ap) < 0)
		return -ENOMEM;
	for (i = 0; i < l->n; i++)
		if (strcmp(l->line[i], line) == 0) {
			free(line);
			return 0;
		}
	grown = reallocarray(l->line, l->n + 2, sizeof(*grown));
	if (!grown) {
		free(line);
		return -ENOMEM;
	}
	l->line = grown;
	l->line[l->n++] = line;
	l->line[l->n] = NULL;
	return 0;
}

int pst_lines_add(struct pst_lines *l, const char *fmt, ...)
{
	va_list ap;
	int rc;

	va_start(ap, fmt);
	rc = vadd(l, fmt, ap);
	va_end(ap);
	return rc;
}

const char *const *pst_lines_list(const struct pst_lines *l)
{
	static const char *const none[] = {NULL};

	return l->n ? (const char *const *)l->line : none;
}

void pst_lines_done(struct pst_lines *l)
{
	while (l->n > 0)
		free(l->line[--l->n]);
	free(l->line);
	l->line = NULL;
}

int pst_plan_note(struct pst_plan *p, struct pst_error *err, const char *fmt,
		  ...)
{
	va_list ap;
	int rc;

	va_start(ap, fmt);
	rc = vadd(&p->notes, fmt, ap);
	va_end(ap);
	return rc < 0 ? pst_error_set(err, rc, "out of memory") : 0;
}

/* ---- Files ----------------------------------------------------------------
 */

/* One of our name that somebody else wrote is not replaced. */
static int check_own(const struct pst_journal *j, const char *path,
		     struct pst_error *err)
{
	PST_CLEANUP_FREE char *former = NULL;
	int rc = pst_journal_base(j, path, &former, NULL, err);

	if (rc < 0 || !former || strstr(former, PST_EDIT_MARK))
		return rc;
	return pst_error_set(err, -EEXIST,
			     "%s is there, but not written by penstock: move "
			     "it away first",
			     path);
}

int pst_plan_file(struct pst_plan *p, const struct pst_journal *j,
		  unsigned int target, const char *path, char *text,
		  unsigned int mode, bool own, struct pst_error *err)
{
	struct pst_plan_file f = {.text = text, .mode = mode, .target = target};
	const struct pst_journal_entry *e = pst_journal_find(j, path);
	PST_CLEANUP_FREE char *base = NULL;
	struct pst_plan_file *grown;
	int rc = 0;

	if (own && text && !p->request.look_only)
		rc = check_own(j, path, err);
	if (rc == 0)
		rc = pst_journal_base(j, path, &base, &f.edited, err);
	if (rc == 0)
		rc = pst_journal_read(p->root, path, &f.now, err);
	/* A file that there is not and need not be. */
	if (rc < 0 || (!e && !text && !f.now)) {
		free(text);
		free(f.now);
		return rc;
	}
	f.path = strdup(path);
	grown = reallocarray(p->file, p->n_files + 1, sizeof(*grown));
	if (grown)
		p->file = grown;
	if (!f.path || !grown) {
		free(f.path);
		free(f.now);
		free(text);
		return pst_error_set(err, -ENOMEM, "out of memory");
	}
	p->file[p->n_files++] = f;
	return 0;
}

size_t pst_plan_changes(const struct pst_plan *p)
{
	size_t i, n = 0;

	for (i = 0; i < p->n_files; i++)
		n += !pst_text_same(p->file[i].now, p->file[i].text);
	return n;
}

/* Files of the last apply that this plan has not become what they were. */
static int take_back(struct pst_plan *p, const struct pst_journal *j,
		     struct pst_error *err)
{
	size_t i, k;
	int rc = 0;

	for (i = 0; rc == 0 && i < j->n; i++) {
		const struct pst_journal_entry *e = &j->entry[i];
		PST_CLEANUP_FREE char *base = NULL;
		bool edited;

		for (k = 0; k < p->n_files; k++)
			if (strcmp(p->file[k].path, e->path) == 0)
				break;
		if (k < p->n_files)
			continue;
		rc = pst_journal_base(j, e->path, &base, &edited, err);
		if (rc == 0 && !edited) {
			rc = pst_plan_file(p, j, 0, e->path, base, e->mode,
					   false, err);
			base = NULL;
		}
	}
	return rc;
}

/* ---- The whole ------------------------------------------------------------
 */

static int scan(struct pst_plan *p, struct pst_error *err)
{
	char *text;
	size_t len;
	int rc = pst_pci_scan(p->root, &p->pci, err);

	if (rc == 0)
		rc = pst_iommu_scan(p->root, &p->pci, &p->iommu, err);
	if (rc == 0)
		rc = pst_cpu_scan(p->root, &p->cpu, err);
	if (rc == 0)
		rc = pst_memory_scan(p->root, &p->memory, err);
	if (rc < 0)
		return rc;
	rc = pst_modconf_read(p->root, &p->modconf);
	if (rc < 0)
		return pst_error_set(err, rc, "modprobe.d is too large");
	if (pst_root_read_text(p->root, "proc/sys/kernel/osrelease", p->release,
			       sizeof(p->release)) < 0)
		*p->release = '\0';
	pst_modules_scan(p->root, p->release, &p->loaded);
	pst_display_scan(p->root, &p->display);
	if (pst_root_read(p->root, "proc/cmdline", PST_CMDLINE_MAX, &text,
			  &len) < 0)
		text = strdup("");
	p->cmdline = text;
	return text ? 0 : pst_error_set(err, -ENOMEM, "out of memory");
}

static int find_commands(struct pst_plan *p, struct pst_error *err)
{
	const char **path = calloc(p->n_files + 1, sizeof(*path));
	size_t i, n = 0;
	int rc;

	if (!path)
		return pst_error_set(err, -ENOMEM, "out of memory");
	for (i = 0; i < p->n_files; i++)
		if (!pst_text_same(p->file[i].now, p->file[i].text))
			path[n++] = p->file[i].path;
	rc = pst_plan_commands(p->root, path, n, false, &p->commands);
	free(path);
	return rc < 0 ? pst_error_set(err, rc, "out of memory") : 0;
}

static int note_journal(struct pst_plan *p, const struct pst_journal *j,
			struct pst_error *err)
{
	size_t i;
	int rc = 0;

	if (j->state == PST_JOURNAL_PENDING || j->state == PST_JOURNAL_UNDOING)
		rc = pst_plan_note(p, err,
				   "an apply or undo was cut off: apply ends "
				   "it, undo goes back");
	for (i = 0; rc == 0 && i < p->n_files; i++)
		if (!pst_text_same(p->file[i].now, p->file[i].text) &&
		    pst_root_is_link(p->root, p->file[i].path))
			rc = pst_plan_note(p, err,
					   "%s is a symbolic link, which apply "
					   "does not replace: change what it "
					   "leads to by hand",
					   p->file[i].path);
	for (i = 0; rc == 0 && i < p->n_files; i++)
		if (p->file[i].edited)
			rc = pst_plan_note(p, err,
					   "%s was edited since the last apply",
					   p->file[i].path);
	return rc;
}

int pst_plan_make(struct pst_plan *p, const struct pst_journal *j,
		  const struct pst_plan_request *request, struct pst_error *err)
{
	int rc;

	*p = (struct pst_plan){.request = *request, .root = j->root};
	rc = scan(p, err);
	if (rc == 0)
		pst_plan_detect(p);
	if (rc == 0)
		rc = pst_plan_find(p, err);
	if (rc == 0)
		rc = pst_plan_want(p, err);
	if (rc == 0)
		rc = pst_plan_loader(p, j, err);
	if (rc == 0)
		rc = pst_plan_modules(p, j, err);
	if (rc == 0)
		rc = pst_plan_initramfs(p, j, err);
	if (rc == 0)
		rc = pst_plan_memory(p, j, err);
	if (rc == 0)
		rc = pst_plan_nixos(p, j, err);
	if (rc == 0)
		rc = take_back(p, j, err);
	if (rc == 0)
		rc = note_journal(p, j, err);
	if (rc == 0)
		rc = find_commands(p, err);
	if (rc < 0)
		pst_plan_done(p);
	return rc;
}

void pst_plan_done(struct pst_plan *p)
{
	size_t i;

	for (i = 0; i < p->n_files; i++) {
		free(p->file[i].path);
		free(p->file[i].now);
		free(p->file[i].text);
	}
	free(p->file);
	p->file = NULL;
	p->n_files = 0;
	pst_lines_done(&p->commands);
	pst_lines_done(&p->notes);
	pst_lines_done(&p->modules);
	pst_lines_done(&p->addresses);
	pst_params_done(&p->params);
	free(p->ids);
	free(p->cmdline);
	p->ids = p->cmdline = NULL;
	pst_modules_done(&p->loaded);
	pst_modconf_done(&p->modconf);
	pst_memory_done(&p->memory);
	pst_cpu_done(&p->cpu);
	pst_iommu_done(&p->iommu);
	pst_pci_done(&p->pci);
}

/* ---- The request as text --------------------------------------------------
 */

int pst_plan_request_format(const struct pst_plan *p, char **ret)
{
	const struct pst_plan_request *r = &p->request;
	char name[256] = "";
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(target_names); i++)
		if (r->targets & target_names[i].target)
			snprintf(name + strlen(name),
				 sizeof(name) - strlen(name), "%s%s",
				 *name ? "," : "", target_names[i].name);
	if (asprintf(ret,
		     "gpu=%s\nregion=%" PRIu64 "\nvm-memory=%" PRIu64
		     "\nisolate-cpus=%s\nfor=%s\n%s",
		     p->gpu->name, r->region, r->vm_memory,
		     r->isolate_cpus ? r->isolate_cpus : "",
		     *name ? name : "auto", r->i_know ? "i-know=1\n" : "") < 0)
		return -ENOMEM;
	return 0;
}

static int take_line(struct pst_plan_request *r, const char *key, char *value)
{
	if (strcmp(key, "gpu") == 0)
		r->gpu = value;
	else if (strcmp(key, "region") == 0)
		return pst_parse_u64(value, 0, UINT64_MAX, &r->region);
	else if (strcmp(key, "vm-memory") == 0)
		return pst_parse_u64(value, 0, UINT64_MAX, &r->vm_memory);
	else if (strcmp(key, "isolate-cpus") == 0)
		r->isolate_cpus = *value ? value : NULL;
	else if (strcmp(key, "i-know") == 0)
		r->i_know = true;
	else if (strcmp(key, "for") == 0)
		return pst_targets_parse(value, &r->targets);
	return 0;
}

int pst_plan_request_parse(const char *text, struct pst_plan_request *ret,
			   char **ret_text)
{
	char *copy = strdup(text), *line, *rest, *eq;

	*ret = (struct pst_plan_request){0};
	if (!copy)
		return -ENOMEM;
	for (line = strtok_r(copy, "\n", &rest); line;
	     line = strtok_r(NULL, "\n", &rest)) {
		eq = strchr(line, '=');
		if (eq)
			*eq++ = '\0';
		if (!eq || take_line(ret, line, eq) < 0)
			break;
	}
	if (!line && ret->gpu) {
		*ret_text = copy;
		return 0;
	}
	free(copy);
	return -EPROTO;
}
