/* SPDX-License-Identifier: MIT */
/* The kernel's command line where a program keeps it in settings of its own. */
#include <string.h>

#include "kernel-params/boot/mkinitcpio.h"
#include "kernel-params/check/finding.h"
#include "kernel-params/edit/edit_loader.h"
#include "kernel-params/plan/plan.h"
#include "kernel-params/syntax/cmdline.h"
#include "transport/base/text.h"

#define LIMINE_VARIABLE "KERNEL_CMDLINE[default]"

int pst_host_plan_words(struct pst_host_plan *p, char **ret,
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

/* "SENTENCE: WORDS". */
static int note_words(struct pst_host_plan *p, const char *sentence,
		      struct pst_error *err)
{
	PST_CLEANUP_FREE char *words = NULL;
	int r = pst_host_plan_words(p, &words, err);

	if (r < 0 || !*words)
		return r;
	return pst_host_plan_note(p, err, "%s: %s", sentence, words);
}

/* Edits a variable of the set; where nothing sets it, says the sentence. */
static int edit_variable(struct pst_host_plan *p, struct pst_host_plan_set *s,
			 unsigned int target, const char *name,
			 const char *sentence, struct pst_error *err)
{
	int r = pst_host_edit_variable(s->file, s->n, name, &p->params, err);

	if (r == -ENOENT)
		return note_words(p, sentence, err);
	return r < 0 ? r : pst_host_plan_set_write(s, target, SIZE_MAX, err);
}

/* A file that somebody keeps by hand. */
static int edit_file(struct pst_host_plan *p, const struct pst_host_journal *j,
		     unsigned int target, const char *path,
		     int (*edit)(const char *old,
				 const struct pst_host_params *want, char **ret,
				 struct pst_error *err),
		     const char *sentence, struct pst_error *err)
{
	PST_CLEANUP_FREE char *old = NULL;
	char *text = NULL, whole[PST_HOST_ROOT_PATH_MAX];
	int r = pst_host_path(whole, "/%s", path);

	if (r == 0)
		r = pst_host_journal_base(j, whole, &old, NULL, err);
	if (r == 0)
		r = edit(old ? old : "", &p->params, &text, err);
	if (r == -ENOENT)
		return note_words(p, sentence, err);
	return r < 0 ? r
		     : pst_host_plan_file(p, j, target, whole, text, 0644,
					  false, err);
}

/* ---- Limine and rEFInd ----------------------------------------------------
 */

/* Another kernel's line is used instead of the default one. */
static int note_other_kernels(struct pst_host_plan *p,
			      const struct pst_host_plan_set *s,
			      struct pst_error *err)
{
	static const char begin[] = "KERNEL_CMDLINE[";
	size_t i, len;
	int r = 0;

	for (i = 0; i < s->n; i++) {
		const char *line = s->file[i].text, *name;

		for (; r == 0 && line && *line;
		     line = strchrnul(line, '\n'), line += *line == '\n') {
			if (strncmp(line, begin, strlen(begin)) != 0)
				continue;
			name = line + strlen(begin);
			name += strspn(name, "\"'");
			if (strncmp(name, "default", 7) == 0 &&
			    strchr("]\"'", name[7]))
				continue;
			len = strcspn(line, "]\n");
			r = pst_host_plan_note(
				p, err,
				"%s has %.*s], which is used for that kernel "
				"instead of the default one: add there what "
				"this plan adds to " LIMINE_VARIABLE
				" if you boot it",
				s->file[i].path, (int)len, line);
		}
	}
	return r;
}

static int plan_limine_tool(struct pst_host_plan *p,
			    const struct pst_host_journal *j,
			    struct pst_error *err)
{
	struct pst_host_plan_set *s = pst_host_plan_set_new(p, j);
	/* The last has the last word. */
	int r = s ? pst_host_plan_set_add(s, "/etc/limine-entry-tool.conf", err)
		  : pst_oom(err);

	if (r == 0)
		r = pst_host_plan_set_add_dir(s, "/etc/limine-entry-tool.d",
					      ".conf", "", err);
	if (r == 0)
		r = pst_host_plan_set_add(s, "/" PST_HOST_LIMINE_CONF, err);
	if (r == 0)
		r = note_other_kernels(p, s, err);
	if (r == 0)
		r = edit_variable(
			p, s, PST_HOST_TARGET_LIMINE, LIMINE_VARIABLE,
			pst_host_root_exists(p->host->root,
					     PST_HOST_KERNEL_CMDLINE)
				? "Limine's entries get /etc/kernel/cmdline, "
				  "since nothing sets " LIMINE_VARIABLE
				  "; it gets"
				: "nothing sets " LIMINE_VARIABLE
				  ", so Limine's entries get the running "
				  "kernel's command line: set it in "
				  "/etc/default/limine to all words of "
				  "/proc/cmdline that the machine needs, and",
			err);
	pst_host_plan_set_free(s);
	return r;
}

int pst_host_plan_limine(struct pst_host_plan *p,
			 const struct pst_host_journal *j,
			 struct pst_error *err)
{
	const struct pst_host_boot *b = &p->host->boot;
	const char *const *conf = b->limine_conf;
	int r = 0;

	if (b->limine_tool)
		return plan_limine_tool(p, j, err);
	if (!*conf)
		return pst_error_set(err, -EINVAL,
				     "there is neither /etc/default/limine nor "
				     "a limine.conf");
	for (; r == 0 && *conf; conf++)
		r = edit_file(p, j, PST_HOST_TARGET_LIMINE, *conf,
			      pst_host_edit_limine_conf,
			      "limine.conf has no cmdline: with a root=, so "
			      "add to what it boots",
			      err);
	return r;
}

int pst_host_plan_refind(struct pst_host_plan *p,
			 const struct pst_host_journal *j,
			 struct pst_error *err)
{
	const struct pst_host_boot *b = &p->host->boot;
	PST_CLEANUP_FREE char *sentence =
		pst_text_format("no line of /%s has a title and options in "
				"quotes: add there",
				b->refind_linux ? b->refind_linux : "");
	int r = 0;

	if (!sentence)
		return pst_oom(err);
	if (!b->refind_linux && !b->refind_conf)
		return pst_error_set(err, -EINVAL,
				     "there is neither a refind_linux.conf nor "
				     "a stanza with options in refind.conf");
	if (b->refind_linux)
		r = edit_file(p, j, PST_HOST_TARGET_REFIND, b->refind_linux,
			      pst_host_edit_refind_linux, sentence, err);
	if (r == 0 && b->refind_conf)
		r = edit_file(p, j, PST_HOST_TARGET_REFIND, b->refind_conf,
			      pst_host_edit_refind_conf,
			      "no stanza of refind.conf has options: add there",
			      err);
	return r;
}

/* ---- syslinux and its relatives -------------------------------------------
 */

int pst_host_plan_extlinux(struct pst_host_plan *p,
			   const struct pst_host_journal *j,
			   struct pst_error *err)
{
	const struct pst_host_extlinux *x = &p->host->boot.extlinux;
	PST_CLEANUP_FREE char *sentence = NULL;
	struct pst_host_plan_set *s;
	char path[PST_HOST_ROOT_PATH_MAX];
	int r;

	if (!x->file)
		return pst_error_set(err, -EINVAL,
				     "there is no extlinux.conf or "
				     "syslinux.cfg");
	if (!x->command)
		return edit_file(p, j, PST_HOST_TARGET_EXTLINUX, x->file,
				 pst_host_edit_extlinux_conf,
				 "no line \"append\" with a root= is in the "
				 "settings of syslinux: add to what it boots",
				 err);
	sentence = pst_text_format("nothing sets %s in /%s: set it there to "
				   "all words of /proc/cmdline that the "
				   "machine needs but root=, run %s, and add",
				   x->variable, x->settings, x->command);
	s = pst_host_plan_set_new(p, j);
	r = sentence && s ? pst_host_path(path, "/%s", x->settings)
			  : pst_oom(err);
	if (r == 0)
		r = pst_host_plan_set_add(s, path, err);
	if (r == 0 && x->folder)
		r = pst_host_path(path, "/%s", x->folder);
	if (r == 0 && x->folder)
		r = pst_host_plan_set_add_dir(s, path, ".conf", "", err);
	if (r == 0)
		r = edit_variable(p, s, PST_HOST_TARGET_EXTLINUX, x->variable,
				  sentence, err);
	pst_host_plan_set_free(s);
	return r;
}

/* ---- systemd-boot's helpers -----------------------------------------------
 */

int pst_host_plan_sdboot_manage(struct pst_host_plan *p,
				const struct pst_host_journal *j,
				struct pst_error *err)
{
	struct pst_host_plan_set *s = pst_host_plan_set_new(p, j);
	int r = s ? pst_host_plan_set_add(s, "/" PST_HOST_SDBOOT_CONF, err)
		  : pst_oom(err);

	if (r == 0)
		r = edit_variable(p, s, PST_HOST_TARGET_SYSTEMD_BOOT,
				  "LINUX_OPTIONS",
				  "nothing sets LINUX_OPTIONS in "
				  "/etc/sdboot-manage.conf: set it there, and "
				  "run sdboot-manage gen",
				  err);
	pst_host_plan_set_free(s);
	return r;
}

int pst_host_plan_dracut_cmdline(struct pst_host_plan *p,
				 const struct pst_host_journal *j,
				 struct pst_error *err)
{
	struct pst_host_plan_set *s = pst_host_plan_set_new(p, j);
	int r = s ? pst_host_plan_set_add(s, "/etc/dracut.conf", err)
		  : pst_oom(err);

	if (r == 0)
		r = pst_host_plan_set_add_dir(s, "/etc/dracut.conf.d", ".conf",
					      "penstock.conf", err);
	if (r == 0)
		r = edit_variable(
			p, s, PST_HOST_TARGET_SYSTEMD_BOOT, "kernel_cmdline",
			"dracut makes unified kernels, and nothing sets their "
			"kernel_cmdline, so that it finds it out by itself: "
			"set it in /etc/dracut.conf.d to all words of "
			"/proc/cmdline that the machine needs, and",
			err);
	pst_host_plan_set_free(s);
	return r;
}

/* What a loader adds for itself. */
static bool is_loaders(const char *word)
{
	return strncmp(word, "BOOT_IMAGE=", 11) == 0 ||
	       strncmp(word, "initrd=", 7) == 0;
}

int pst_host_plan_new_cmdline(struct pst_host_plan *p, char **ret,
			      struct pst_error *err)
{
	static const char vendor[] = PST_HOST_VENDOR_CMDLINE;
	PST_CLEANUP_FREE char *text = NULL;
	struct pst_host_text line = {0};
	char *word, *rest;
	bool root = false, of_vendor = false;
	size_t len;

	*ret = NULL;
	if (pst_host_root_read(p->host->root, vendor, PST_HOST_CMDLINE_MAX,
			       &text, &len) == 0)
		of_vendor = true;
	else
		text = strdup(p->host->cmdline_text);
	if (!text)
		return pst_oom(err);
	if (strlen(text) >= sizeof(line.buf))
		text[0] = '\0';
	for (word = strtok_r(text, " \t\n", &rest); word;
	     word = strtok_r(NULL, " \t\n", &rest)) {
		root |= strncmp(word, "root=", 5) == 0;
		if (!is_loaders(word))
			pst_host_text_add(&line, "%s%s", *line.buf ? " " : "",
					  word);
	}
	if (!root)
		return note_words(p,
				  "there is no /etc/kernel/cmdline, and no "
				  "root= on the command line to make it of: "
				  "write it with all that the machine needs, "
				  "and",
				  err);
	*ret = pst_text_format("%s\n", line.buf);
	if (!*ret)
		return pst_oom(err);
	if (of_vendor)
		return pst_host_plan_note(
			p, err,
			"the plan writes /etc/kernel/cmdline of the words of "
			"/" PST_HOST_VENDOR_CMDLINE " and its own, since a "
			"file there counts instead of that one");
	return pst_host_plan_note(
		p, err,
		"%s makes what boots with the running kernel's command line, "
		"since there is no /etc/kernel/cmdline: the plan writes one of "
		"the same words and its own. See that nothing is in it that "
		"you typed for this boot alone",
		p->host->boot.entries);
}

/* ---- What is said only ----------------------------------------------------
 */

/* A file that presets of mkinitcpio name instead of /etc/kernel/cmdline. */
static int plan_preset(struct pst_host_plan *p,
		       const struct pst_host_journal *j, const char *file,
		       const char *words, struct pst_error *err)
{
	PST_CLEANUP_FREE char *old = NULL;
	char path[PST_HOST_ROOT_PATH_MAX], *text = NULL;
	int r = pst_host_path(path, "/%s", file);

	if (r == 0 && strncmp(file, "proc/", 5) != 0)
		r = pst_host_journal_base(j, path, &old, NULL, err);
	if (r < 0)
		return r;
	if (!old)
		return pst_host_plan_note(
			p, err,
			"a preset of mkinitcpio names a command line of its "
			"own with --cmdline, %s, which %s: add there, too: %s",
			path,
			strncmp(file, "proc/", 5) ? "is not there"
						  : "is the running kernel's",
			words);
	r = pst_host_edit_kernel_cmdline(old, &p->params, &text, err);
	return r < 0 ? r
		     : pst_host_plan_file(p, j, PST_HOST_TARGET_SYSTEMD_BOOT,
					  path, text, 0644, false, err);
}

static int plan_presets(struct pst_host_plan *p,
			const struct pst_host_journal *j, const char *words,
			struct pst_error *err)
{
	PST_CLEANUP_FREE struct pst_host_mkinitcpio *m = calloc(1, sizeof(*m));
	char fault[PST_HOST_FAULT_MAX] = "";
	const char *file;
	size_t i, k;
	int r = m ? pst_host_mkinitcpio_scan(p->host->root, m, fault)
		  : pst_oom(err);

	for (i = 0; r == 0 && i < m->n; i++) {
		file = m->image[i].cmdline;
		for (k = 0; k < i && strcmp(m->image[k].cmdline, file); k++)
			;
		if (*file && k == i &&
		    strcmp(file, PST_HOST_KERNEL_CMDLINE) != 0)
			r = plan_preset(p, j, file, words, err);
	}
	return r;
}

/* The options of which kernelstub writes the entries at the next update. */
static int plan_kernelstub(struct pst_host_plan *p,
			   const struct pst_host_journal *j, const char *words,
			   struct pst_error *err)
{
	static const char file[] = "/etc/kernelstub/configuration";
	PST_CLEANUP_FREE char *old = NULL;
	char *text = NULL;
	int r = pst_host_journal_base(j, file, &old, NULL, err);

	if (r == 0)
		r = pst_host_edit_kernelstub(old ? old : "", &p->params, &text,
					     err);
	if (r == -ENOENT)
		return pst_host_plan_note(
			p, err,
			"kernelstub writes the entries again at the next "
			"update, tell it too: kernelstub --add-options \"%s\" "
			"(before an undo: --delete-options)",
			words);
	return r < 0 ? r
		     : pst_host_plan_file(p, j, PST_HOST_TARGET_SYSTEMD_BOOT,
					  file, text, 0644, false, err);
}

int pst_host_plan_note_keepers(struct pst_host_plan *p,
			       const struct pst_host_journal *j, size_t *ret_n,
			       struct pst_error *err)
{
	const struct pst_host_boot *b = &p->host->boot;
	PST_CLEANUP_FREE char *words = NULL;
	int r = pst_host_plan_words(p, &words, err);

	*ret_n = 0;
	if (r < 0 || !*words)
		return r;
	if (p->host->files.kernelstub) {
		++*ret_n;
		r = plan_kernelstub(p, j, words, err);
	}
	if (r == 0 && b->unified)
		r = plan_presets(p, j, words, err);
	if (r == 0 && b->unified && !b->from_cmdline && !b->dracut_uefi &&
	    !b->proxmox && !b->limine_tool) {
		++*ret_n;
		r = pst_host_plan_note(
			p, err,
			"a unified kernel is on the ESP, and what makes it is "
			"not known here: if it is what boots, its command line "
			"needs: %s",
			words);
	}
	return r;
}
