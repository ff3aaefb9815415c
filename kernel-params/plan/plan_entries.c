/* SPDX-License-Identifier: MIT */
/* The kernel's command line in entries of the Boot Loader Specification. */
#include <string.h>

#include "kernel-params/edit/edit_loader.h"
#include "kernel-params/plan/plan.h"
#include "kernel-params/syntax/loader_text.h"

#define ENTRIES "loader/entries"

/* Whether a folder has a kernel or an initramfs at all: copies of a host often
 * have none. */
static bool has_kernels(const struct pst_host_root *root, const char *dir)
{
	static const char *const begins[] = {"vmlinu",  "linux", "kernel",
					     "bzImage", "initr", "initramfs"};
	PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};
	size_t i, k;

	if (pst_host_root_list(root, dir, &names) < 0)
		return false;
	for (i = 0; i < names.n; i++)
		for (k = 0; k < PST_ARRAY_SIZE(begins); k++)
			if (strncmp(names.name[i], begins[k],
				    strlen(begins[k])) == 0)
				return true;
	return false;
}

/* Whether a file that an entry names is missing for sure: neither on the file
 * system of the entries, below mount, nor on the root's is it, and others of
 * its kind are seen. */
static bool is_missing(const struct pst_host_root *root, const char *mount,
		       const char *name)
{
	static const char *const mounts[] = {"", "/boot", "/efi", "/boot/efi"};
	char path[PST_HOST_ROOT_PATH_MAX];
	struct stat st;
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(mounts); i++)
		if (pst_host_path(path, "%s/%s", mounts[i], name) < 0 ||
		    pst_host_root_stat(root, path, &st) != -ENOENT)
			return false;
	return root->live || has_kernels(root, mount) ||
	       has_kernels(root, "boot");
}

/* The files that an entry boots are there, or it is said which is not. */
static int note_missing(struct pst_host_plan *p, const char *mount,
			const char *path, const char *text,
			struct pst_error *err)
{
	static const char *const keys[] = {"linux", "initrd", "efi", "uki"};
	const char *line, *end, *value;
	size_t i;
	int r = 0;

	for (line = text; r == 0 && *line; line = end + (*end == '\n')) {
		end = strchrnul(line, '\n');
		line += strspn(line, " \t");
		for (i = 0; i < PST_ARRAY_SIZE(keys); i++) {
			PST_CLEANUP_FREE char *name = NULL;
			size_t n = strlen(keys[i]);

			if (strncmp(line, keys[i], n) != 0 ||
			    !strchr(" \t", line[n]) || !line[n])
				continue;
			value = line + n + strspn(line + n, " \t");
			name = strndup(value, strcspn(value, " \t\r\n"));
			if (!name)
				return pst_oom(err);
			/* Variables of GRUB are what it knows alone. */
			if (!*name || strchr(name, '$') ||
			    !is_missing(p->host->root, mount, name))
				continue;
			r = pst_host_plan_note(
				p, err,
				"%s names %.200s, which is not there: this "
				"entry does not boot",
				path, name);
		}
	}
	return r;
}

static int plan_entry(struct pst_host_plan *p, const struct pst_host_journal *j,
		      const char *mount, const char *path,
		      struct pst_error *err)
{
	PST_CLEANUP_FREE char *old = NULL;
	char *text = NULL;
	int r = pst_host_journal_base(j, path, &old, NULL, err);

	if (r < 0 || !old || !pst_host_entry_is_linux(old))
		return r;
	r = pst_host_edit_entry(old, &p->params, &text, err);
	if (r == 0)
		r = pst_host_plan_file(p, j, PST_HOST_TARGET_SYSTEMD_BOOT, path,
				       text, 0644, false, err);
	return r < 0 ? r : note_missing(p, mount, path, old, err);
}

static int plan_folder(struct pst_host_plan *p,
		       const struct pst_host_journal *j, const char *mount,
		       struct pst_error *err)
{
	PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};
	char path[PST_HOST_ROOT_PATH_MAX];
	size_t i, len;
	int r = pst_host_path(path, "%s/" ENTRIES, mount);

	if (r < 0 || pst_host_root_list(p->host->root, path, &names) < 0)
		return 0;
	for (i = 0; r == 0 && i < names.n; i++) {
		len = strlen(names.name[i]);
		if (names.name[i][0] == '.' || len < 6 ||
		    strcmp(names.name[i] + len - 5, ".conf") != 0)
			continue;
		if (pst_host_path(path, "%s/" ENTRIES "/%s", mount,
				  names.name[i]) < 0)
			return pst_error_set(err, -EINVAL, "%s is too long",
					     names.name[i]);
		r = plan_entry(p, j, mount, path, err);
	}
	return r;
}

int pst_host_plan_entries(struct pst_host_plan *p,
			  const struct pst_host_journal *j,
			  struct pst_error *err)
{
	const struct pst_host_boot *b = &p->host->boot;
	int r = 0;

	/* On request those that GRUB's settings make, too. */
	if (p->request.targets || !b->grub_entries || *b->lost)
		r = plan_folder(p, j, "/boot", err);
	if (r == 0)
		r = plan_folder(p, j, "/efi", err);
	if (r == 0)
		r = plan_folder(p, j, "/boot/efi", err);
	return r;
}
