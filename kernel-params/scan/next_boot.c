/* SPDX-License-Identifier: MIT */
/* Follows the settings of modules from the initramfs on. */
#include "kernel-params/scan/next_boot.h"

#include <string.h>

#include "kernel-params/scan/rivals.h"

static const char vfio[] = "vfio_pci";

/* Softdep lines on vfio-pci that are followed: a host has a dozen, and a tree
 * made to waste time thousands. */
#define MAX_SOFTDEPS 64

static bool vfio_is_builtin(const struct pst_host *h)
{
	return pst_host_module_state(&h->modules, vfio) ==
	       PST_HOST_MODULE_BUILTIN;
}

static bool never_loads(const struct pst_host *h, const char *module)
{
	return pst_host_module_kept_out(h, module) ||
	       pst_host_module_state(&h->modules, module) ==
		       PST_HOST_MODULE_ABSENT;
}

/* Whether a command of an install line loads vfio-pci before it loads what the
 * line is about. */
static bool loads_vfio(const char *command)
{
	const char *p = strstr(command, "modprobe vfio");

	return p && strncmp(p + strlen("modprobe vfio") + 1, "pci", 3) == 0 &&
	       !memmem(command, (size_t)(p - command), "ignore-install", 14) &&
	       !memmem(command, (size_t)(p - command), " -i ", 4);
}

/* The line that has a module wait for vfio-pci, or NULL. */
static const struct pst_host_modconf_line *waits_by(const struct pst_host *h,
						    const char *module)
{
	const struct pst_host_modconf *c = &h->modconf;
	const struct pst_host_modconf_line *l =
		pst_host_modconf_softdep(c, module);
	size_t i, tried = 0;

	if (pst_host_modconf_has_pre(l, vfio))
		return l;
	/* "install nouveau modprobe vfio-pci; modprobe -i nouveau" */
	for (i = 0; i < c->n; i++)
		if (c->line[i].kind == PST_HOST_MODCONF_INSTALL &&
		    pst_host_param_name_eq(c->line[i].module, module) &&
		    loads_vfio(c->line[i].text))
			return &c->line[i];
	/* modprobe follows the softdeps of what a module needs, too. */
	for (i = 0; i < c->n && tried < MAX_SOFTDEPS; i++) {
		l = &c->line[i];
		if (l->kind != PST_HOST_MODCONF_SOFTDEP ||
		    !pst_host_modconf_has_pre(l, vfio))
			continue;
		tried++;
		if (pst_host_modconf_softdep(c, l->module) == l &&
		    pst_host_module_needs(&h->modules, module, l->module))
			return l;
	}
	return NULL;
}

bool pst_host_module_waits(const struct pst_host *h, const char *module)
{
	return never_loads(h, module) || waits_by(h, module);
}

/* Whether dracut loads vfio-pci before udev by the command line, which needs
 * it in the image. */
static bool has_pre(const struct pst_host *h, const struct pst_host_early *e)
{
	size_t i;

	if (!pst_host_cmdline_has(&h->cmdline, "rd.driver.pre", "vfio-pci"))
		return false;
	if (e->maker != PST_HOST_EARLY_DRACUT)
		return e->maker == PST_HOST_EARLY_NONE;
	for (i = 0; i < e->packed.n; i++)
		if (pst_host_param_name_eq(e->packed.name[i], vfio))
			return true;
	/* What was not seen of dracut's settings may pack it. */
	return pst_host_early_place(e, vfio) >= 0 || !*e->file;
}

static bool loads_early(const struct pst_host *h,
			const struct pst_host_early *e)
{
	return has_pre(h, e) || pst_host_early_place(e, vfio) >= 0;
}

/* Whether a rival is one that this function has to fear: one that drives
 * displays always, another where it has the function now. */
static bool counts(const struct pst_host *h, const struct pst_host_pci_dev *fn,
		   const struct pst_host_rival *m)
{
	char buf[64];

	if (m->kind == PST_HOST_RIVAL_FOLLOWS)
		return false;
	if (m->kind == PST_HOST_RIVAL_RARE &&
	    !pst_host_module_is_in(&h->modules, m->module))
		return false;
	return pst_host_pci_is_display(fn) ||
	       strcmp(pst_host_module_of(fn->driver, buf, sizeof(buf)),
		      m->module) == 0;
}

/* Whether what a softdep line of a file names is in the image along with it:
 * mkinitcpio does not pack what only modprobe.d names. */
static bool works_inside(const struct pst_host_early *e,
			 const struct pst_host_modconf_line *l)
{
	return l && pst_host_early_has_conf(e, l->file) &&
	       (e->maker != PST_HOST_EARLY_MKINITCPIO ||
		pst_host_early_place(e, vfio) >= 0);
}

/* A rival that the initramfs loads by name before vfio-pci, or NULL. */
static const char *listed_rival(const struct pst_host *h,
				const struct pst_host_early *e,
				const struct pst_host_pci_dev *fn, int place)
{
	const struct pst_host_rival *m = NULL;

	while ((m = pst_host_rival_next(fn, m))) {
		int r = pst_host_early_place(e, m->module);

		if (r >= 0 && (place < 0 || r < place) &&
		    !works_inside(e, waits_by(h, m->module)))
			return m->module;
	}
	return NULL;
}

static bool is_packed(const struct pst_host_early *e,
		      const struct pst_host_pci_dev *fn, const char *module)
{
	return pst_host_early_packs(e, module, pst_host_pci_is_display(fn));
}

/* Whether a rival that udev finds in the initramfs waits for vfio-pci there. */
static bool waits_inside(const struct pst_host *h,
			 const struct pst_host_early *e, const char *module)
{
	return never_loads(h, module) || works_inside(e, waits_by(h, module));
}

/* A rival that a softdep of vfio-pci's own loads before it, or NULL. */
static const char *pulled_rival(const struct pst_host *h,
				const struct pst_host_pci_dev *fn)
{
	const struct pst_host_rival *m = NULL;

	while ((m = pst_host_rival_next(fn, m)))
		if (pst_host_modconf_softdep_pre(&h->modconf, vfio,
						 m->module) &&
		    !pst_host_modconf_disabled(&h->modconf, m->module))
			return m->module;
	return NULL;
}

/* A rival that udev may load from the initramfs first, or NULL. */
static const char *packed_rival(const struct pst_host *h,
				const struct pst_host_early *e,
				const struct pst_host_pci_dev *fn)
{
	const struct pst_host_rival *m = NULL;

	while ((m = pst_host_rival_next(fn, m)))
		if (counts(h, fn, m) && is_packed(e, fn, m->module) &&
		    !waits_inside(h, e, m->module))
			return m->module;
	return NULL;
}

/* Whether the initramfs has a rival that takes what no rule keeps from it. */
static bool packs_rival(const struct pst_host *h,
			const struct pst_host_early *e,
			const struct pst_host_pci_dev *fn)
{
	const struct pst_host_rival *m = NULL;

	while ((m = pst_host_rival_next(fn, m)))
		if (counts(h, fn, m) && is_packed(e, fn, m->module) &&
		    !never_loads(h, m->module))
			return true;
	return false;
}

/* Why one of the images does not have what tells vfio-pci of a function; NULL:
 * it has. */
static const char *lost_in(const struct pst_host *h,
			   const struct pst_host_early *e,
			   const struct pst_host_pci_dev *fn,
			   enum pst_host_vfio_how how)
{
	const struct pst_host_modconf_line *l =
		pst_host_modconf_option_line(&h->modconf, vfio, "ids");

	if (pst_host_vfio_conf_is_late(&h->vfio, fn) && packs_rival(h, e, fn))
		return "in a rule of udev that the initramfs lacks, which has "
		       "another driver for it";
	if (how == PST_HOST_VFIO_IDS_INITRAMFS && !e->ids)
		return "which another initramfs of this host lacks";
	if (how != PST_HOST_VFIO_IDS_MODPROBE)
		return NULL;
	if (vfio_is_builtin(h))
		return "which does not reach a vfio-pci that is built in";
	if (l && loads_early(h, e) && !pst_host_early_has_conf(e, l->file))
		return "which is not in the initramfs that loads vfio-pci "
		       "without it";
	return NULL;
}

void pst_host_next_boot_known(const struct pst_host *h,
			      const struct pst_host_pci_dev *fn,
			      struct pst_host_known *ret)
{
	const struct pst_host_early *e;

	*ret = (struct pst_host_known){
		.how = pst_host_vfio_conf_how(&h->vfio, fn)};
	for (e = &h->early; e && !ret->lost; e = e->next)
		ret->lost = lost_in(h, e, fn, ret->how);
}

/* A rival that the booted system may load first, one that is loaded before one
 * that may be; or NULL. */
static const char *free_rival(const struct pst_host *h,
			      const struct pst_host_pci_dev *fn)
{
	const struct pst_host_rival *m = NULL;
	const char *first = NULL;

	if (pst_host_pci_is_display(fn) && !pst_host_rival_next(fn, NULL))
		return "its driver";
	while ((m = pst_host_rival_next(fn, m))) {
		if (!counts(h, fn, m) || pst_host_module_waits(h, m->module))
			continue;
		if (pst_host_module_is_in(&h->modules, m->module))
			return m->module;
		first = first ? first : m->module;
	}
	return first;
}

/* A rival that is in the kernel itself, or NULL. */
static const char *builtin_rival(const struct pst_host *h,
				 const struct pst_host_pci_dev *fn)
{
	const struct pst_host_rival *m = NULL;

	/* Of what is built in, vfio comes before USB and sound. */
	if (vfio_is_builtin(h) && !pst_host_pci_is_display(fn))
		return NULL;
	while ((m = pst_host_rival_next(fn, m)))
		if (pst_host_module_is_listed_builtin(&h->modules, m->module))
			return m->module;
	return NULL;
}

/* It would be loaded by its name, and such a line stands against that. */
static bool never_comes(const struct pst_host *h)
{
	return !vfio_is_builtin(h) && pst_host_module_kept_out(h, vfio);
}

static void first_in(const struct pst_host *h, const struct pst_host_early *e,
		     const struct pst_host_pci_dev *fn,
		     struct pst_host_first *ret)
{
	int place = pst_host_early_place(e, vfio);
	const char *rival = listed_rival(h, e, fn, place);

	*ret = (struct pst_host_first){.why = "", .image = e};
	if (!rival) {
		ret->rival = pulled_rival(h, fn);
		ret->why = ret->rival ? ", by a softdep of vfio-pci's own" : "";
		if (ret->rival)
			return;
	}
	/* dracut has the words of its files before the command line's. */
	if (!rival && has_pre(h, e)) {
		ret->by = PST_HOST_FIRST_PRE;
		return;
	}
	if (rival) {
		ret->by = PST_HOST_FIRST_LATE;
		ret->rival = rival;
		return;
	}
	rival = place < 0 || e->races ? packed_rival(h, e, fn) : NULL;
	if (rival) {
		ret->rival = rival;
		ret->why = place < 0 ? ""
				     : ", which udev finds in the initramfs as "
				       "early";
		return;
	}
	if (place >= 0) {
		ret->by = PST_HOST_FIRST_LIST;
		return;
	}
	ret->rival = free_rival(h, fn);
	if (!ret->rival)
		ret->by = PST_HOST_FIRST_WAIT;
}

static const int badness[] = {
	[PST_HOST_FIRST_NEVER] = 4,   [PST_HOST_FIRST_LATE] = 3,
	[PST_HOST_FIRST_NOT] = 1,     [PST_HOST_FIRST_BUILTIN_RIVAL] = 2,
	[PST_HOST_FIRST_BUILTIN] = 0, [PST_HOST_FIRST_PRE] = 0,
	[PST_HOST_FIRST_LIST] = 0,    [PST_HOST_FIRST_WAIT] = 0,
};

void pst_host_next_boot_first(const struct pst_host *h,
			      const struct pst_host_pci_dev *fn,
			      struct pst_host_first *ret)
{
	const struct pst_host_early *e;
	struct pst_host_first one;

	*ret = (struct pst_host_first){.why = "", .image = &h->early};
	if (never_comes(h)) {
		ret->by = PST_HOST_FIRST_NEVER;
		return;
	}
	ret->rival = builtin_rival(h, fn);
	if (ret->rival) {
		ret->by = PST_HOST_FIRST_BUILTIN_RIVAL;
		return;
	}
	if (vfio_is_builtin(h)) {
		ret->by = PST_HOST_FIRST_BUILTIN;
		return;
	}
	first_in(h, &h->early, fn, ret);
	for (e = h->early.next; e; e = e->next) {
		first_in(h, e, fn, &one);
		if (badness[one.by] > badness[ret->by])
			*ret = one;
	}
}

const struct pst_host_pci_dev *
pst_host_next_boot_worst(const struct pst_host *h, struct pst_host_first *ret)
{
	const struct pst_host_pci_dev *fn[PST_HOST_PCI_MAX_FN];
	size_t n = pst_host_pci_card(&h->pci, h->gpu, fn), i;
	const struct pst_host_pci_dev *worst = h->gpu;
	struct pst_host_first one;

	pst_host_next_boot_first(h, h->gpu, ret);
	for (i = 0; i < n; i++) {
		pst_host_next_boot_first(h, fn[i], &one);
		if (badness[one.by] > badness[ret->by]) {
			*ret = one;
			worst = fn[i];
		}
	}
	return worst;
}

bool pst_host_next_boot_gives(const struct pst_host *h)
{
	const struct pst_host_pci_dev *fn[PST_HOST_PCI_MAX_FN];
	size_t n = pst_host_pci_card(&h->pci, h->gpu, fn), i;
	struct pst_host_known known;
	struct pst_host_first first;

	for (i = 0; i < n; i++) {
		pst_host_next_boot_known(h, fn[i], &known);
		pst_host_next_boot_first(h, fn[i], &first);
		if (known.how == PST_HOST_VFIO_NO || known.lost ||
		    first.by < PST_HOST_FIRST_BUILTIN)
			return false;
	}
	return true;
}
