/* SPDX-License-Identifier: MIT */
/* The kernel's command line in the settings of GRUB and systemd-boot. */
#include <string.h>

#include "kernel-params/check/finding.h"
#include "kernel-params/edit/edit_grub.h"
#include "kernel-params/edit/edit_loader.h"
#include "kernel-params/plan/plan.h"
#include "transport/base/text.h"

#define GRUB_FILE   "/etc/default/grub"
#define GRUB_DIR    "/etc/default/grub.d"
#define GRUB_OWN    "zz-penstock.cfg"
#define CMDLINE     "/etc/kernel/cmdline"
#define SNIPPETS    "/etc/cmdline.d"
#define SNIPPET_OWN "zz-penstock.conf"

/* Files that GRUB's settings are made of, at most. */
#define MAX_FILES 64

struct grub {
	struct pst_host_edit_file file[MAX_FILES];
	char path[MAX_FILES][PST_HOST_ROOT_PATH_MAX];
	size_t n, own;
};

/* Debian's grub-mkconfig reads the directory, upstream's does not. */
static bool reads_drop_ins(const struct pst_host_plan *p)
{
	static const char *const programs[] = {
		"usr/sbin/grub-mkconfig",
		"usr/bin/grub-mkconfig",
		"usr/sbin/grub2-mkconfig",
	};
	size_t i, len;

	if (!pst_host_root_exists(p->host->root, GRUB_DIR))
		return false;
	for (i = 0; i < PST_ARRAY_SIZE(programs); i++) {
		PST_CLEANUP_FREE char *text = NULL;

		if (pst_host_root_read(p->host->root, programs[i],
				       PST_HOST_ROOT_TEXT_MAX, &text,
				       &len) == 0)
			return strstr(text, "default/grub.d") != NULL;
	}
	return true;
}

static int grub_file(struct pst_host_plan *p, const struct pst_host_journal *j,
		     struct grub *g, const char *dir, const char *name,
		     struct pst_error *err)
{
	size_t i = g->n;

	if (i == MAX_FILES)
		return pst_error_set(err, -EINVAL,
				     "more than %d files are in " GRUB_DIR,
				     MAX_FILES);
	if (pst_host_path(g->path[i], "%s%s", dir, name) < 0)
		return pst_error_set(err, -EINVAL, "%s is too long", name);
	g->file[i].path = g->path[i];
	g->n++;
	return pst_host_journal_base(j, g->path[i], &g->file[i].text, NULL,
				     err);
}

static int grub_files(struct pst_host_plan *p, const struct pst_host_journal *j,
		      struct grub *g, struct pst_error *err)
{
	PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};
	size_t i, len;
	int r = grub_file(p, j, g, GRUB_FILE, "", err);

	g->own = SIZE_MAX;
	if (r < 0 || !reads_drop_ins(p))
		return r;
	r = pst_host_root_list(p->host->root, GRUB_DIR, &names);
	if (r < 0)
		return pst_error_set_errno(err, -r, "cannot read " GRUB_DIR);
	for (i = 0; r == 0 && i < names.n; i++) {
		len = strlen(names.name[i]);
		if (len > 4 && names.name[i][0] != '.' &&
		    strcmp(names.name[i] + len - 4, ".cfg") == 0 &&
		    strcmp(names.name[i], GRUB_OWN) != 0)
			r = grub_file(p, j, g, GRUB_DIR "/", names.name[i],
				      err);
	}
	if (r == 0)
		r = grub_file(p, j, g, GRUB_DIR "/", GRUB_OWN, err);
	g->own = g->n - 1;
	return r;
}

static int plan_grub(struct pst_host_plan *p, const struct pst_host_journal *j,
		     struct pst_error *err)
{
	struct grub *g = calloc(1, sizeof(*g));
	size_t i;
	int r = g ? grub_files(p, j, g, err) : pst_oom(err);

	if (r == 0)
		r = pst_host_edit_grub(g->file, g->n, g->own, &p->params, err);
	for (i = 0; r == 0 && i < g->n; i++) {
		r = pst_host_plan_file(p, j, PST_HOST_TARGET_GRUB, g->path[i],
				       g->file[i].text, 0644, i == g->own, err);
		g->file[i].text = NULL;
	}
	for (i = 0; g && i < g->n; i++)
		free(g->file[i].text);
	free(g);
	return r;
}

/* Its command would leave entries that may not find the root. */
static int refuse_loss(struct pst_host_plan *p, struct pst_error *err)
{
	return pst_error_set(err, -EINVAL,
			     "%s would take out of /boot/loader/entries what "
			     "GRUB_CMDLINE_LINUX does not have: %s. Add it "
			     "there first, or let the entries be edited: --for "
			     "systemd-boot",
			     p->host->boot.grub, p->host->boot.lost);
}

/* ---- systemd-boot ---------------------------------------------------------
 */

static int plan_entry(struct pst_host_plan *p, const struct pst_host_journal *j,
		      const char *path, struct pst_error *err)
{
	PST_CLEANUP_FREE char *old = NULL;
	char *text = NULL;
	int r = pst_host_journal_base(j, path, &old, NULL, err);

	if (r < 0 || !old || !pst_host_entry_is_linux(old))
		return r;
	r = pst_host_edit_entry(old, &p->params, &text, err);
	if (r < 0)
		return r;
	return pst_host_plan_file(p, j, PST_HOST_TARGET_SYSTEMD_BOOT, path,
				  text, 0644, false, err);
}

static int plan_entries(struct pst_host_plan *p,
			const struct pst_host_journal *j, const char *dir,
			struct pst_error *err)
{
	PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};
	char path[PST_HOST_ROOT_PATH_MAX];
	size_t i, len;
	int r = 0;

	if (pst_host_root_list(p->host->root, dir, &names) < 0)
		return 0;
	for (i = 0; r == 0 && i < names.n; i++) {
		len = strlen(names.name[i]);
		if (names.name[i][0] == '.' || len < 6 ||
		    strcmp(names.name[i] + len - 5, ".conf") != 0)
			continue;
		if (pst_host_path(path, "%s/%s", dir, names.name[i]) < 0)
			return pst_error_set(err, -EINVAL, "%s is too long",
					     names.name[i]);
		r = plan_entry(p, j, path, err);
	}
	return r;
}

/* The words of a file of mkinitcpio's for unified kernels, added to f. */
static int add_snippet(struct pst_host_plan *p,
		       const struct pst_host_journal *j, const char *path,
		       FILE *f, struct pst_error *err)
{
	PST_CLEANUP_FREE char *text = NULL;
	const char *line, *end;
	int r = pst_host_journal_base(j, path, &text, NULL, err);

	for (line = text; r == 0 && line && *line;
	     line = end + (*end == '\n')) {
		end = strchrnul(line, '\n');
		if (*line != '#')
			fprintf(f, "%.*s ", (int)(end - line), line);
	}
	return r;
}

/* All of them but ours, as one line. */
static int read_snippets(struct pst_host_plan *p,
			 const struct pst_host_journal *j, char **ret,
			 struct pst_error *err)
{
	PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};
	char path[PST_HOST_ROOT_PATH_MAX];
	size_t i, len, size;
	FILE *f = open_memstream(ret, &size);
	int r = f ? pst_host_root_list(p->host->root, SNIPPETS, &names)
		  : -ENOMEM;

	for (i = 0; r == 0 && i < names.n; i++) {
		len = strlen(names.name[i]);
		if (len < 6 || strcmp(names.name[i] + len - 5, ".conf") != 0 ||
		    strcmp(names.name[i], SNIPPET_OWN) == 0 ||
		    pst_host_path(path, SNIPPETS "/%s", names.name[i]) < 0)
			continue;
		r = add_snippet(p, j, path, f, err);
	}
	if (f && fclose(f))
		r = -ENOMEM;
	if (r < 0 && f) {
		free(*ret);
		*ret = NULL;
	}
	return r == -ENOMEM ? pst_oom(err) : r;
}

/* mkinitcpio builds /etc/cmdline.d into unified kernels, if there is any. */
static int plan_snippets(struct pst_host_plan *p,
			 const struct pst_host_journal *j,
			 struct pst_error *err)
{
	struct pst_host_params_part part[2] = {{.text = NULL}};
	char *text = NULL;
	int r = read_snippets(p, j, &part[0].text, err);

	part[1].text = strdup("");
	if (r == 0)
		r = part[1].text
			    ? pst_host_params_merge(part, 2, 1, &p->params, err)
			    : pst_oom(err);
	if (r == 0 && part[0].changed)
		r = pst_error_set(err, -EINVAL,
				  "a file in " SNIPPETS " has a parameter "
				  "that contradicts the plan: correct it by "
				  "hand (wanted: %s)",
				  part[0].text);
	if (r == 0 && *part[1].text) {
		text = pst_text_format(PST_HOST_EDIT_MARK
				       "; undo: penstock host undo\n%s\n",
				       part[1].text);
		r = text ? 0 : pst_oom(err);
	}
	if (r == 0)
		r = pst_host_plan_file(p, j, PST_HOST_TARGET_SYSTEMD_BOOT,
				       SNIPPETS "/" SNIPPET_OWN, text, 0644,
				       true, err);
	free(part[0].text);
	free(part[1].text);
	return r;
}

/* All that is wanted, as one line. */
static int wanted_words(struct pst_host_plan *p, char **ret,
			struct pst_error *err)
{
	struct pst_host_params_part part = {.text = strdup("")};
	int r;

	if (!part.text)
		return pst_oom(err);
	r = pst_host_params_merge(&part, 1, 0, &p->params, err);
	*ret = part.text;
	return r;
}

/*
 * Programs that write what boots from settings of their own: without a word
 * there, ours are gone at the next update. *ret_n: how many there are.
 */
static int note_keepers(struct pst_host_plan *p, size_t *ret_n,
			struct pst_error *err)
{
	static const struct {
		const char *file, *begin, *end;
	} keepers[] = {
		{"etc/kernelstub/configuration",
		 "kernelstub writes the entries again at the next update, tell "
		 "it too: kernelstub --add-options \"",
		 "\" (before an undo: --delete-options)"},
		{"etc/sdboot-manage.conf",
		 "sdboot-manage writes the entries again at the next update of "
		 "a kernel: add to LINUX_OPTIONS in /etc/sdboot-manage.conf, "
		 "too: ",
		 ""},
		{"etc/default/limine",
		 "Limine's entries get KERNEL_CMDLINE[default] of "
		 "/etc/default/limine: add there, and run limine-mkinitcpio: ",
		 ""},
		{"boot/refind_linux.conf",
		 "rEFInd boots with the options of /boot/refind_linux.conf: add "
		 "to those of its lines that you boot: ",
		 ""},
	};
	PST_CLEANUP_FREE char *words = NULL;
	size_t i;
	int r = wanted_words(p, &words, err);

	*ret_n = 0;
	for (i = 0; r == 0 && *words && i < PST_ARRAY_SIZE(keepers); i++) {
		if (!pst_host_root_exists(p->host->root, keepers[i].file))
			continue;
		++*ret_n;
		r = pst_host_plan_note(p, err, "%s%s%s", keepers[i].begin,
				       words, keepers[i].end);
	}
	return r;
}

static int plan_systemd_boot(struct pst_host_plan *p,
			     const struct pst_host_journal *j,
			     struct pst_error *err)
{
	PST_CLEANUP_FREE char *old = NULL;
	char *text = NULL;
	size_t before = p->n_files;
	int r = pst_host_journal_base(j, CMDLINE, &old, NULL, err);

	/* Behind /etc/default/grub: grub2-mkconfig replaces one that is older.
	 */
	if (r == 0 && old) {
		r = pst_host_edit_kernel_cmdline(old, &p->params, &text, err);
		if (r == 0)
			r = pst_host_plan_file(p, j,
					       PST_HOST_TARGET_SYSTEMD_BOOT,
					       CMDLINE, text, 0644, false, err);
	}
	if (r == 0 && p->host->boot.snippets)
		r = plan_snippets(p, j, err);
	/* On request those that GRUB's settings make, too. */
	if (r == 0 && (p->request.targets || !p->host->boot.grub_entries ||
		       *p->host->boot.lost))
		r = plan_entries(p, j, "/boot/loader/entries", err);
	if (r == 0)
		r = plan_entries(p, j, "/efi/loader/entries", err);
	if (r == 0)
		r = plan_entries(p, j, "/boot/efi/loader/entries", err);
	if (r == 0 && p->n_files == before)
		r = pst_error_set(err, -EINVAL,
				  "there is neither " CMDLINE
				  " nor an entry of systemd-boot that boots "
				  "Linux");
	return r;
}

/* The command that adds the words, which it takes apart. */
static int note_ostree(struct pst_host_plan *p, char *words,
		       struct pst_error *err)
{
	struct pst_host_text args = {0};
	char *word, *rest;

	for (word = strtok_r(words, " ", &rest); word;
	     word = strtok_r(NULL, " ", &rest))
		pst_host_text_add(&args, " --append-if-missing=%s", word);
	return pst_host_plan_note(p, err,
				  "ostree keeps the kernel's command line: "
				  "rpm-ostree kargs%s (before an undo: "
				  "--delete-if-present=...)",
				  args.buf);
}

/* What to add by hand where no settings were found. */
static int plan_by_hand(struct pst_host_plan *p, struct pst_error *err)
{
	PST_CLEANUP_FREE char *words = NULL;
	int r = wanted_words(p, &words, err);

	if (r < 0)
		return r;
	if (p->host->boot.ostree)
		return note_ostree(p, words, err);
	return pst_host_plan_note(
		p, err,
		"no settings of GRUB or systemd-boot were found: "
		"add to the kernel's command line: %s",
		words);
}

int pst_host_plan_loader(struct pst_host_plan *p,
			 const struct pst_host_journal *j,
			 struct pst_error *err)
{
	const struct pst_host_boot *b = &p->host->boot;
	size_t n = 0;
	int r = 0;

	if (p->targets & PST_HOST_TARGET_GRUB)
		r = *b->lost && !p->request.compare_only ? refuse_loss(p, err)
							 : plan_grub(p, j, err);
	else if (*b->lost && p->targets & PST_HOST_TARGET_SYSTEMD_BOOT)
		r = pst_host_plan_note(
			p, err,
			"a grub2-mkconfig of yours would take out of "
			"/boot/loader/entries what GRUB_CMDLINE_LINUX does not "
			"have: %s. So the entries are edited, and it is not "
			"among the commands",
			b->lost);
	if (r == 0 && p->targets & PST_HOST_TARGET_SYSTEMD_BOOT)
		r = plan_systemd_boot(p, j, err);
	if (r == 0 &&
	    (!p->request.targets || p->targets & PST_HOST_TARGET_SYSTEMD_BOOT))
		r = note_keepers(p, &n, err);
	if (r == 0 && !(p->targets & PST_HOST_TARGETS_LOADER) &&
	    !p->request.targets && n == 0)
		r = plan_by_hand(p, err);
	return r;
}
