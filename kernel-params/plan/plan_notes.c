/* SPDX-License-Identifier: MIT */
/* Says what boots that no settings here reach, and what may not boot. */
#include <string.h>

#include "kernel-params/check/finding.h"
#include "kernel-params/edit/param_words.h"
#include "kernel-params/plan/plan.h"

/* Whether the running kernel has all that is wanted already. */
static bool is_running(const struct pst_host_plan *p)
{
	struct pst_host_params_part line = {
		.text = strdup(p->host->cmdline_text)};
	bool is = line.text &&
		  pst_host_params_merge(&line, 1, 0, &p->params, NULL) == 0 &&
		  !line.changed;

	free(line.text);
	return is;
}

/* ---- Who keeps the command line elsewhere ---------------------------------
 */

/* It is to be pasted. */
static bool is_plain(const char *word)
{
	return strspn(word, "abcdefghijklmnopqrstuvwxyz"
			    "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			    "0123456789=,/_.:-") == strlen(word);
}

/* The words of a that b lacks, each behind an option; false: a shell would act
 * on one. */
static bool put_lacking(struct pst_host_text *ret, const char *option,
			const struct pst_host_words *a,
			const struct pst_host_words *b)
{
	size_t i, k;

	for (i = 0; i < a->n; i++) {
		for (k = 0; k < b->n; k++)
			if (strcmp(a->word[i].text, b->word[k].text) == 0)
				break;
		if (k < b->n)
			continue;
		if (!is_plain(a->word[i].text))
			return false;
		pst_host_text_add(ret, "%s%s", option, a->word[i].text);
	}
	return true;
}

/* What makes the wanted line of the running one, as options: others stay, such
 * as the ids of a card that somebody else has given away. */
static int put_changes(const struct pst_host_plan *p, const char *add,
		       const char *drop, struct pst_host_text *ret,
		       struct pst_error *err)
{
	const struct pst_host_params_part old = {.text = p->host->cmdline_text};
	struct pst_host_params_part line = {.text = strdup(old.text)};
	struct pst_host_words is = {0}, to_be = {0};
	int r = line.text ? pst_host_params_merge(&line, 1, 0, &p->params, err)
			  : pst_oom(err);

	if (r == 0)
		r = pst_host_words_init(&is, &old, 1, 0, err);
	if (r == 0)
		r = pst_host_words_init(&to_be, &line, 1, 0, err);
	if (r == 0 && !(put_lacking(ret, add, &to_be, &is) &&
			put_lacking(ret, drop, &is, &to_be)))
		r = pst_error_set(err, -EINVAL,
				  "/proc/cmdline has a parameter that "
				  "contradicts the plan, with characters that "
				  "no command can be given: take it out first");
	pst_host_words_done(&is);
	pst_host_words_done(&to_be);
	free(line.text);
	return r;
}

/* The file system that is the root, of which the property is. */
static void root_dataset(const struct pst_host *h, char *ret, size_t size)
{
	const struct pst_host_param *q =
		pst_host_cmdline_get(&h->cmdline, "root");
	const char *name = q && q->value ? q->value : "";

	if (strncasecmp(name, "zfs:", 4) == 0 ||
	    strncasecmp(name, "zfs=", 4) == 0)
		name += 4;
	else
		name = "";
	if (!*name || !is_plain(name))
		name = "DATASET";
	snprintf(ret, size, "%s", name);
}

static int note_zfsbootmenu(struct pst_host_plan *p, struct pst_error *err)
{
	struct pst_host_text args = {0};
	char dataset[128];
	int r = put_changes(p, " -a ", " -r ", &args, err);

	root_dataset(p->host, dataset, sizeof(dataset));
	return r < 0 ? r
		     : pst_host_plan_note(
			       p, err,
			       "ZFSBootMenu takes the command line from the property "
			       "org.zfsbootmenu:commandline of %s, which no file has: "
			       "zbm-kcl%s %s (or zfs set, with all that zfs get shows; before "
			       "an undo: zbm-kcl -r)",
			       dataset, args.buf, dataset);
}

/* The firmware's own entry has the command line. */
static int note_firmware(struct pst_host_plan *p, struct pst_error *err)
{
	const struct pst_host_boot_entry *e = &p->host->boot.entry;
	struct pst_host_params_part line = {.text = strdup(e->words)};
	char partition[16] = "N";
	int r = line.text ? pst_host_params_merge(&line, 1, 0, &p->params, err)
			  : pst_oom(err);

	if (e->partition)
		snprintf(partition, sizeof(partition), "%u", e->partition);
	if (r == 0 && line.changed)
		r = pst_host_plan_note(
			p, err,
			"the firmware starts the kernel itself, and only its "
			"entry %s (%s) has the command line: make one more of "
			"it, and keep the old one until the new one has "
			"booted: efibootmgr --create --disk DISK --part %s "
			"--label 'Linux with vfio' --loader '%s' --unicode "
			"'%s'",
			e->name, e->label, partition, e->loader, line.text);
	free(line.text);
	return r;
}

/* ---- What is left as it is ------------------------------------------------
 */

static int note_grub(struct pst_host_plan *p, const char *words,
		     struct pst_error *err)
{
	const struct pst_host_boot *b = &p->host->boot;
	int r = 0;

	if (*b->menu_lost && !b->proxmox &&
	    pst_host_plan_changes_for(p, PST_HOST_TARGET_GRUB))
		r = pst_host_plan_note(
			p, err,
			"%s will take out of /%s what GRUB's settings do not "
			"have: %s. Add it to GRUB_CMDLINE_LINUX first if the "
			"machine needs it",
			b->grub, b->menu, b->menu_lost);
	if (r == 0 && *b->own_entry)
		r = pst_host_plan_note(
			p, err,
			"%s boots a kernel with words of its own, which no "
			"settings reach: if you boot it, add there: %s",
			b->own_entry, words);
	if (r == 0 && b->xen)
		r = pst_host_plan_note(
			p, err,
			"Xen is in /boot, too: below it there is no VFIO, so "
			"boot the entry without Xen");
	return r;
}

/* Secure Boot takes what is signed alone. */
static int note_signature(struct pst_host_plan *p, struct pst_error *err)
{
	const struct pst_host_boot *b = &p->host->boot;

	if (!b->unified || p->host->files.secure_boot != 1 || b->signs)
		return 0;
	return pst_host_plan_note(
		p, err,
		"Secure Boot is on, and nothing seen here signs a new unified "
		"kernel (sbctl, SecureBootPrivateKey in /etc/kernel/uki.conf, "
		"uefi_secureboot_key of dracut): sign it before the reboot, "
		"else the firmware refuses it");
}

/* Whether what tells of the boot is a loader whose settings are changed. */
static bool is_covered(const struct pst_host_plan *p)
{
	const unsigned int has = p->targets;
	const struct pst_host_boot *b = &p->host->boot;

	/* What is not told, or by two, says nothing. */
	if (!*p->host->cmdline_text || b->by_grub == b->by_stub || b->ostree ||
	    has & PST_HOST_TARGET_NIXOS)
		return true;
	if (b->by_grub)
		return has & (PST_HOST_TARGET_GRUB |
			      PST_HOST_TARGET_EXTLINUX) ||
		       (has & PST_HOST_TARGET_SYSTEMD_BOOT &&
			(*b->lost || !b->own_grub));
	return has & ~PST_HOST_TARGET_GRUB & PST_HOST_TARGETS_LOADER;
}

static int note_uncovered(struct pst_host_plan *p, const char *words,
			  struct pst_error *err)
{
	const struct pst_host_boot *b = &p->host->boot;

	return pst_host_plan_note(
		p, err,
		"by the kernel's command line %s has booted this host, whose "
		"settings are not among those changed here: find out what "
		"boots, and add there: %s",
		b->by_grub ? "GRUB (BOOT_IMAGE=)"
			   : "the kernel's own stub (initrd=\\...)",
		words);
}

int pst_host_plan_note_others(struct pst_host_plan *p, size_t *n,
			      struct pst_error *err)
{
	const struct pst_host_boot *b = &p->host->boot;
	PST_CLEANUP_FREE char *words = NULL;
	int r = pst_host_plan_words(p, &words, err);
	size_t before = *n;

	if (r < 0 || !*words)
		return r;
	if (!p->request.targets && !is_running(p)) {
		if (b->zfsbootmenu) {
			++*n;
			r = note_zfsbootmenu(p, err);
		}
		if (r == 0 && *b->entry.words) {
			++*n;
			r = note_firmware(p, err);
		}
		if (r == 0 && *n == before &&
		    p->targets & PST_HOST_TARGETS_LOADER && !is_covered(p))
			r = note_uncovered(p, words, err);
	}
	if (r == 0 && p->targets & PST_HOST_TARGET_GRUB)
		r = note_grub(p, words, err);
	return r < 0 ? r : note_signature(p, err);
}

/* ---- Where there are no settings ------------------------------------------
 */

/* The command that changes the words. */
static int note_ostree(struct pst_host_plan *p, struct pst_error *err)
{
	struct pst_host_text args = {0};
	int r = put_changes(p, " --append-if-missing=", " --delete-if-present=",
			    &args, err);

	return r < 0 ? r
		     : pst_host_plan_note(
			       p, err,
			       "ostree keeps the kernel's command line: "
			       "rpm-ostree kargs%s (before an undo: "
			       "--delete-if-present=...)",
			       args.buf);
}

int pst_host_plan_by_hand(struct pst_host_plan *p, struct pst_error *err)
{
	PST_CLEANUP_FREE char *words = NULL;
	int r = pst_host_plan_words(p, &words, err);

	if (r < 0 || is_running(p))
		return r;
	if (p->host->boot.ostree)
		return note_ostree(p, err);
	return pst_host_plan_note(
		p, err,
		"no settings of GRUB or systemd-boot were found: "
		"add to the kernel's command line: %s%s",
		words,
		p->host->boot.refind
			? " (rEFInd: mkrlconf writes a "
			  "/boot/refind_linux.conf that it can be added to)"
			: "");
}
