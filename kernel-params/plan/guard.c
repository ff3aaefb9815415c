/* SPDX-License-Identifier: MIT */
/* Refuses plans that would leave the host without its root file system, its
 * network, its display or its boot entry. */
#include <string.h>

#include "kernel-params/check/verdict.h"
#include "kernel-params/plan/plan.h"
#include "kernel-params/scan/next_boot.h"
#include "kernel-params/scan/rivals.h"

/* ---- Devices --------------------------------------------------------------
 */

static bool is_given(const struct pst_host_plan *p,
		     const struct pst_host_pci_dev *dev)
{
	size_t i;

	for (i = 0; i < p->n_fn; i++)
		if (p->fn[i] == dev)
			return true;
	return false;
}

/* What the host needs a device for, "" nothing. */
static const char *needed_for(const struct pst_host *h,
			      const struct pst_host_pci_dev *dev,
			      struct pst_host_card_use *use)
{
	pst_host_card_use_find(h->root, &h->pci, &h->display, dev, use);
	if (use->fn && use->fn != dev)
		return "";
	switch (use->kind) {
	case PST_HOST_CARD_DISK:
		return "a disk";
	case PST_HOST_CARD_NETWORK:
		return "the network";
	case PST_HOST_CARD_DISPLAY:
		return "the display";
	default:
		return "";
	}
}

/* Ids or rules would give vfio-pci a device that stays. */
static int check_taken(const struct pst_host_pci_dev *dev,
		       const struct pst_host *h,
		       const struct pst_host_card_use *use, const char *what,
		       struct pst_error *err)
{
	const struct pst_host_modconf_line *l =
		pst_host_modconf_option_line(&h->modconf, "vfio-pci", "ids");
	struct pst_host_known known;
	char where[160] = "a rule";

	pst_host_next_boot_known(h, dev, &known);
	if (known.how == PST_HOST_VFIO_NO || known.lost)
		return 0;
	if (known.how == PST_HOST_VFIO_IDS_MODPROBE && l)
		snprintf(where, sizeof(where), "%.100s line %u", l->file,
			 l->line);
	else if (known.how == PST_HOST_VFIO_IDS_CMDLINE)
		strcpy(where, "vfio-pci.ids= on the command line");
	else if (known.how == PST_HOST_VFIO_IDS_INITRAMFS)
		snprintf(where, sizeof(where), "%.100s", h->early.file);
	return pst_error_set(
		err, -EBUSY,
		"%s would take %s (%04x:%04x) to vfio-pci, which "
		"is %s of this host (%s): take it out there first; "
		"--i-know plans anyway",
		where, dev->name, dev->vendor, dev->device, what, use->why);
}

/* A line keeps the driver out that a device needs. */
static int check_kept_out(const struct pst_host_pci_dev *dev,
			  const struct pst_host *h,
			  const struct pst_host_card_use *use, const char *what,
			  struct pst_error *err)
{
	char buf[64], where[160];
	const char *module = pst_host_module_of(dev->driver, buf, sizeof(buf));

	if (pst_host_module_is_listed_builtin(&h->modules, module) ||
	    pst_host_early_place(&h->early, module) >= 0 ||
	    !pst_host_module_kept_out(h, module))
		return 0;
	pst_host_module_kept_by(h, module, where, sizeof(where));
	return pst_error_set(err, -EBUSY,
			     "%s keeps %s from being loaded, which drives %s, "
			     "%s of this host (%s): a new initramfs would not "
			     "have it. Take that out first; --i-know plans "
			     "anyway",
			     where, module, dev->name, what, use->why);
}

static int check_devices(const struct pst_host_plan *p,
			 const struct pst_host *h, struct pst_error *err)
{
	size_t i;
	int r = 0;

	for (i = 0; i < h->pci.n && r == 0; i++) {
		const struct pst_host_pci_dev *dev = &h->pci.dev[i];
		struct pst_host_card_use use;
		const char *what;

		if (!pst_host_pci_is_held(dev) || pst_host_pci_is_bridge(dev) ||
		    pst_host_pci_same_card(dev, h->gpu))
			continue;
		what = needed_for(h, dev, &use);
		if (!*what)
			continue;
		if (is_given(p, dev))
			return pst_host_group_refuse(h, dev, err);
		r = check_taken(dev, h, &use, what, err);
		if (r == 0)
			r = check_kept_out(dev, h, &use, what, err);
	}
	return r;
}

/* ---- The display ----------------------------------------------------------
 */

/* Whether a card of a display stays that a driver may drive. */
static bool other_display_stays(const struct pst_host_plan *p,
				const struct pst_host *h)
{
	const struct pst_host_pci_dev *d;
	struct pst_host_known known;
	char buf[64];
	size_t i;

	for (i = 0; (d = pst_host_other_display(h, i)); i++) {
		pst_host_next_boot_known(h, d, &known);
		if (!is_given(p, d) &&
		    (known.how == PST_HOST_VFIO_NO || known.lost) &&
		    (!pst_host_pci_is_held(d) ||
		     !pst_host_module_kept_out(
			     h,
			     pst_host_module_of(d->driver, buf, sizeof(buf)))))
			return true;
	}
	return false;
}

/* Whether the kernel writes to a serial line or the network. */
static bool has_other_console(const struct pst_host *h)
{
	size_t i;

	for (i = 0; i < h->cmdline.n; i++) {
		const struct pst_host_param *q = &h->cmdline.param[i];

		if (q->value && strcmp(q->name, "console") == 0 &&
		    (strncmp(q->value, "ttyS", 4) == 0 ||
		     strncmp(q->value, "ttyAMA", 6) == 0 ||
		     strncmp(q->value, "ttyUSB", 6) == 0 ||
		     strncmp(q->value, "hvc", 3) == 0))
			return true;
	}
	return false;
}

static int check_display(const struct pst_host_plan *p,
			 const struct pst_host *h, struct pst_error *err)
{
	/* A 3D controller shows nothing: such a host is served from afar. */
	if (h->gpu->class >> 8 != 0x0300 || !pst_host_pci_is_held(h->gpu) ||
	    other_display_stays(p, h) || has_other_console(h))
		return 0;
	return pst_error_set(err, -EBUSY,
			     "%s is the last display of this host, and no "
			     "console=ttyS... is on the command line: without "
			     "ssh or a serial line nobody could log in; "
			     "--i-know plans anyway",
			     h->gpu->name);
}

/* ---- The initramfs --------------------------------------------------------
 */

static bool has(const struct pst_host_early *e, const char *module)
{
	size_t i;

	for (i = 0; i < e->packed.n; i++)
		if (pst_host_param_name_eq(e->packed.name[i], module))
			return true;
	return pst_host_early_place(e, module) >= 0;
}

/* What the initramfs loads or packs now, it does afterwards. */
static int check_image(const struct pst_host_early *before,
		       const struct pst_host_early *e, struct pst_error *err)
{
	const struct pst_host_names *l[] = {&before->words, &before->packed};
	size_t i, k;

	if (before->maker != e->maker)
		return 0;
	for (k = 0; k < PST_ARRAY_SIZE(l); k++)
		for (i = 0; i < l[k]->n; i++)
			if (strncmp(l[k]->name[i], "vfio", 4) != 0 &&
			    !has(e, l[k]->name[i]))
				return pst_error_set(
					err, -EBUSY,
					"%s would not have %s in the initramfs "
					"any more, which is there now: the "
					"root file system may be behind it. "
					"Nothing is changed",
					pst_host_early_maker_name(e->maker),
					l[k]->name[i]);
	return 0;
}

static int check_initramfs(const struct pst_host *before,
			   const struct pst_host *h, struct pst_error *err)
{
	const struct pst_host_early *b = &before->early, *e = &h->early;
	int r = 0;

	for (; b && e && r == 0; b = b->next, e = e->next)
		r = check_image(b, e, err);
	return r;
}

/* ---- Boot entries ---------------------------------------------------------
 */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\0';
}

/* The word at the beginning of which a text has one of the prefixes, with its
 * length; NULL: none. */
static const char *find_word(const char *text, const char *prefix, size_t *len)
{
	const char *p = text;

	while ((p = strstr(p, prefix))) {
		if (p == text || is_blank(p[-1]) || p[-1] == '"' ||
		    p[-1] == '\'') {
			*len = strcspn(p, " \t\n\"'");
			return p;
		}
		p++;
	}
	return NULL;
}

static bool has_word(const char *text, const char *word, size_t len)
{
	const char *p;

	for (p = text; p && *p; p++) {
		p = memmem(p, strlen(p), word, len);
		if (!p)
			return false;
		if ((p == text || is_blank(p[-1]) || strchr("\"'", p[-1])) &&
		    (is_blank(p[len]) || strchr("\"'", p[len])))
			return true;
	}
	return false;
}

static bool is_line_of_root(const char *path)
{
	return strcmp(path, "/etc/kernel/cmdline") == 0 ||
	       strncmp(path, "/etc/cmdline.d/", 15) == 0;
}

/* What a kernel finds its root by, and an entry its kernel. */
static int check_entry(const struct pst_host_plan *p,
		       const struct pst_host_plan_file *f,
		       struct pst_error *err)
{
	static const char *const vital[] = {
		"root=",   "rootflags=", "rootfstype=", "cryptdevice=",
		"rd.luks", "rd.lvm",     "rd.md",       "zfs=",
		"linux",   "initrd",     "efi",         "uki"};
	size_t i, len;

	for (i = 0; i < PST_ARRAY_SIZE(vital); i++) {
		const char *w = find_word(f->now, vital[i], &len);

		if (w && !has_word(f->text, w, len))
			return pst_error_set(
				err, -EBUSY,
				"%s would lose %.*s, without which it may not "
				"boot. Nothing is changed",
				f->path, len > 80 ? 80 : (int)len, w);
	}
	if (strcmp(f->path, "/etc/kernel/cmdline") == 0 && !p->request.i_know &&
	    !p->host->boot.ostree && !find_word(f->text, "root=", &len) &&
	    find_word(p->host->cmdline_text, "root=", &len))
		return pst_error_set(
			err, -EBUSY,
			"%s has no root=, and the kernel was booted with one: "
			"entries made of it would not find the root file "
			"system. Put it there first; --i-know plans anyway",
			f->path);
	return 0;
}

static int check_entries(const struct pst_host_plan *p, struct pst_error *err)
{
	size_t i;
	int r = 0;

	for (i = 0; i < p->n_files && r == 0; i++) {
		const struct pst_host_plan_file *f = &p->file[i];

		if (f->now && f->text &&
		    (strstr(f->path, "/loader/entries/") ||
		     is_line_of_root(f->path)))
			r = check_entry(p, f, err);
	}
	return r;
}

int pst_host_plan_guard(const struct pst_host_plan *p,
			const struct pst_host *after, struct pst_error *err)
{
	int r = check_initramfs(p->host, after, err);

	if (r == 0)
		r = check_entries(p, err);
	if (r == 0 && !p->request.i_know)
		r = check_devices(p, after, err);
	if (r == 0 && !p->request.i_know)
		r = check_display(p, after, err);
	return r;
}
