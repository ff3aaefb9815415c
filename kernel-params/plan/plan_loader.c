/* SPDX-License-Identifier: MIT */
/* The kernel's command line in the settings of GRUB and systemd-boot. */
#include <string.h>

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

static int plan_grub(struct pst_host_plan *p, const struct pst_host_journal *j,
		     struct pst_error *err)
{
	struct pst_host_plan_set *s = pst_host_plan_set_new(p, j);
	size_t own = SIZE_MAX;
	int r = s ? pst_host_plan_set_add(s, GRUB_FILE, err) : pst_oom(err);

	if (r == 0 && pst_host_boot_grub_drop_ins(p->host->root)) {
		r = pst_host_plan_set_add_dir(s, GRUB_DIR, ".cfg", GRUB_OWN,
					      err);
		/* One behind ours would have the last word. */
		if (r == 0 &&
		    strcmp(s->path[s->n - 1], GRUB_DIR "/" GRUB_OWN) < 0) {
			r = pst_host_plan_set_add(s, GRUB_DIR "/" GRUB_OWN,
						  err);
			own = s->n - 1;
		}
	}
	if (r == 0)
		r = pst_host_edit_grub(s->file, s->n, own, &p->params, err);
	if (r == 0)
		r = pst_host_plan_set_write(s, PST_HOST_TARGET_GRUB, own, err);
	pst_host_plan_set_free(s);
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

/* Whether its command would take out of the menu what the root is found by. */
static bool is_vital(const struct pst_host_plan *p)
{
	static const char *const begins[] = {
		"cryptdevice=", "crypt_root=", "cryptopts=", "rd.luks",
		"rd.lvm",       "rd.md",       "rd.dm",      "dolvm",
		"domdadm",      "dobtrfs",     "zfs=",       "boot=zfs",
		"rootfstype=",  "netroot=",    "nfsroot=",   "iscsi_",
		"rd.iscsi",     "ip=",
	};
	const char *lost = p->host->boot.menu_lost, *q;
	size_t i;

	if (p->request.i_know || p->request.compare_only ||
	    p->host->boot.proxmox ||
	    !pst_host_plan_changes_for(p, PST_HOST_TARGET_GRUB))
		return false;
	for (i = 0; i < PST_ARRAY_SIZE(begins); i++)
		for (q = lost; (q = strstr(q, begins[i])); q++)
			if (q == lost || q[-1] == ' ')
				return true;
	return false;
}

static int refuse_vital(const struct pst_host_plan *p, struct pst_error *err)
{
	return pst_error_set(err, -EBUSY,
			     "%s would take out of /%s what GRUB's settings do "
			     "not have: %s. The root file system may be behind "
			     "it: add it to GRUB_CMDLINE_LINUX in "
			     "/etc/default/grub first; --i-know plans anyway",
			     p->host->boot.grub, p->host->boot.menu,
			     p->host->boot.menu_lost);
}

/* ---- systemd-boot ---------------------------------------------------------
 */

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

static int plan_systemd_boot(struct pst_host_plan *p,
			     const struct pst_host_journal *j,
			     struct pst_error *err)
{
	PST_CLEANUP_FREE char *old = NULL;
	char *text = NULL;
	size_t before = p->n_files, notes = p->notes.n;
	int r = pst_host_journal_base(j, CMDLINE, &old, NULL, err);

	/* What the next kernel's entry would be made of. */
	if (r == 0 && !old && !p->host->boot.snippets &&
	    (p->host->boot.from_cmdline ||
	     pst_host_root_exists(p->host->root, PST_HOST_VENDOR_CMDLINE)))
		r = pst_host_plan_new_cmdline(p, &old, err);
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
	if (r == 0 && p->host->boot.sdboot_manage)
		r = pst_host_plan_sdboot_manage(p, j, err);
	if (r == 0 && p->host->boot.dracut_uefi)
		r = pst_host_plan_dracut_cmdline(p, j, err);
	if (r == 0 && !p->host->boot.rewritten)
		r = pst_host_plan_entries(p, j, err);
	if (r == 0 && p->n_files == before && p->notes.n == notes)
		r = pst_error_set(err, -EINVAL,
				  "there is neither " CMDLINE
				  " nor an entry of systemd-boot that boots "
				  "Linux");
	return r;
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
	if (r == 0 && is_vital(p))
		r = refuse_vital(p, err);
	if (r == 0 && p->targets & PST_HOST_TARGET_SYSTEMD_BOOT)
		r = plan_systemd_boot(p, j, err);
	if (r == 0 && p->targets & PST_HOST_TARGET_LIMINE)
		r = pst_host_plan_limine(p, j, err);
	if (r == 0 && p->targets & PST_HOST_TARGET_REFIND)
		r = pst_host_plan_refind(p, j, err);
	if (r == 0 && p->targets & PST_HOST_TARGET_EXTLINUX)
		r = pst_host_plan_extlinux(p, j, err);
	if (r == 0 &&
	    (!p->request.targets || p->targets & PST_HOST_TARGET_SYSTEMD_BOOT))
		r = pst_host_plan_note_keepers(p, j, &n, err);
	if (r == 0)
		r = pst_host_plan_note_others(p, &n, err);
	if (r == 0 && !(p->targets & PST_HOST_TARGETS_LOADER) &&
	    !p->request.targets && n == 0)
		r = pst_host_plan_by_hand(p, err);
	return r;
}
