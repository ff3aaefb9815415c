/* SPDX-License-Identifier: MIT */
/* Checks of vfio-pci: present, bound to the card, loaded first. */
#include <string.h>

#include "kernel-params/check/check_int.h"
#include "kernel-params/scan/next_boot.h"
#include "kernel-params/scan/rivals.h"

PST_HOST_CHECK(vfio_module)
{
	enum pst_host_module_state pci =
		pst_host_module_state(&h->modules, "vfio_pci");
	enum pst_host_module_state type1 =
		pst_host_module_state(&h->modules, "vfio_iommu_type1");
	bool iommufd = pst_host_module_is_in(&h->modules, "iommufd");
	struct pst_host_text seen = {0};

	pst_host_text_add(&seen, "vfio-pci %s, vfio_iommu_type1 %s%s",
			  pst_host_module_state_text(pci),
			  pst_host_module_state_text(type1),
			  iommufd ? ", iommufd" : "");
	if (pci >= PST_HOST_MODULE_BUILTIN &&
	    (type1 >= PST_HOST_MODULE_BUILTIN || iommufd))
		pst_host_finding_add(out, PST_HOST_PASS, NULL, "%s%s", seen.buf,
				     h->files.dev_vfio ? ", /dev/vfio/vfio"
						       : "");
	else if (pci == PST_HOST_MODULE_ABSENT)
		pst_host_finding_add(out, PST_HOST_FAIL,
				     "use a kernel with CONFIG_VFIO_PCI", "%s",
				     seen.buf);
	else if (pci >= PST_HOST_MODULE_BUILTIN)
		pst_host_finding_add(
			out, PST_HOST_WARN,
			"modprobe vfio_iommu_type1; QEMU's start does "
			"it too where modules can be loaded",
			"%s", seen.buf);
	else
		pst_host_finding_add(out, PST_HOST_WARN,
				     "have vfio-pci loaded at boot, before the "
				     "card's driver",
				     "%s", seen.buf);
}

static const char *how_text(enum pst_host_vfio_how how)
{
	switch (how) {
	case PST_HOST_VFIO_NO:
		break;
	case PST_HOST_VFIO_IDS_CMDLINE:
		return "ids on the command line";
	case PST_HOST_VFIO_IDS_INITRAMFS:
		return "ids in initramfs-tools' list";
	case PST_HOST_VFIO_IDS_MODPROBE:
		return "ids in modprobe.d";
	case PST_HOST_VFIO_OVERRIDE:
		return "its address";
	}
	return "nothing";
}

PST_HOST_CHECK(vfio_ids)
{
	const struct pst_host_pci_dev *fn[PST_HOST_PCI_MAX_FN];
	size_t n = pst_host_pci_card(&h->pci, h->gpu, fn), i, covered = 0;
	struct pst_host_text seen = {0}, fix = {0};
	struct pst_host_known known;

	for (i = 0; i < n; i++) {
		pst_host_next_boot_known(h, fn[i], &known);
		covered += known.how != PST_HOST_VFIO_NO && !known.lost;
		pst_host_text_add(&seen, "%s%s: %s%s%s", i ? ", " : "",
				  fn[i]->name, how_text(known.how),
				  known.lost ? ", " : "",
				  known.lost ? known.lost : "");
		if (known.how == PST_HOST_VFIO_NO &&
		    strcmp(fn[i]->driver_override, "vfio-pci") == 0)
			pst_host_text_add(&seen,
					  " (driver_override is set now)");
	}
	if (h->vfio.cmdline_ids && h->vfio.modprobe_ids)
		pst_host_text_add(&seen,
				  "; ids in modprobe.d do not count beside "
				  "those of the command line");
	if (h->vfio.faults)
		pst_host_text_add(&seen, "; without effect: %s",
				  h->vfio.faults);
	pst_host_text_add(&fix, "penstock host apply --gpu %s writes it",
			  h->gpu->name);
	if (strcmp(h->os_id, "nixos") == 0 &&
	    h->early.maker != PST_HOST_EARLY_NIXOS)
		pst_host_text_add(&fix,
				  "; what NixOS builds from was not seen");
	pst_host_finding_add(out, covered == n ? PST_HOST_PASS : PST_HOST_WARN,
			     covered == n ? NULL : fix.buf, "%s", seen.buf);
}

/* What makes vfio-pci come first, "" when nothing does. */
static void first_by(const struct pst_host_first *f, struct pst_host_text *t)
{
	if (f->by == PST_HOST_FIRST_BUILTIN)
		pst_host_text_add(t, "vfio-pci is built in");
	else if (f->by == PST_HOST_FIRST_PRE)
		pst_host_text_add(t, "rd.driver.pre=vfio-pci");
	else if (f->by == PST_HOST_FIRST_LIST)
		pst_host_text_add(t, "%s loads vfio_pci early (%s)",
				  pst_host_early_maker_name(f->image->maker),
				  f->image->file);
	else if (f->by == PST_HOST_FIRST_WAIT)
		pst_host_text_add(t,
				  "softdep or blacklist of the other drivers");
}

/* Whether the initramfs is to have a module that its maker does not find. */
static bool names_virqfd(const struct pst_host *h,
			 const struct pst_host_early *e)
{
	static const struct pst_host_kernel_version gone = {6, 2, 0};

	return h->has_version &&
	       pst_host_kernel_version_cmp(&h->version, &gone) >= 0 &&
	       *e->virqfd;
}

/* "and run what makes the initramfs". */
static void remake(const struct pst_host *h, const struct pst_host_early *e,
		   struct pst_host_text *fix)
{
	static const unsigned int targets[] = {
		[PST_HOST_EARLY_MKINITCPIO] = PST_HOST_TARGET_MKINITCPIO,
		[PST_HOST_EARLY_DRACUT] = PST_HOST_TARGET_DRACUT,
		[PST_HOST_EARLY_INITRAMFS_TOOLS] =
			PST_HOST_TARGET_INITRAMFS_TOOLS,
		[PST_HOST_EARLY_NIXOS] = PST_HOST_TARGET_NIXOS,
	};
	const char *command =
		pst_host_boot_initramfs(&h->boot, targets[e->maker]);

	pst_host_text_add(fix, " and run %s",
			  command ? command : "nixos-rebuild boot");
}

/* What is not as it was meant to be, though vfio-pci may come first. */
static void look_aside(const struct pst_host *h, const struct pst_host_early *e,
		       struct pst_host_text *seen, const char **fix)
{
	if (e->stray[0]) {
		pst_host_text_add(seen,
				  "; dracut ignores %s, which does not end "
				  "in .conf",
				  e->stray);
		*fix = "rename that file";
	}
	if (names_virqfd(h, e)) {
		pst_host_text_add(seen,
				  "; %s has vfio_virqfd, which is gone since "
				  "Linux 6.2, so that %s ends with an error",
				  e->virqfd,
				  pst_host_early_maker_name(e->maker));
		*fix = *fix ? *fix : "take vfio_virqfd out there";
	}
	if (*e->other) {
		pst_host_text_add(seen,
				  "; %s makes the initramfs%s, and what it "
				  "packs is not known here",
				  e->other, e->maker ? ", too" : "");
		*fix = *fix ? *fix
			    : "have it load vfio_pci vfio vfio_iommu_type1 "
			      "before any other driver";
	}
	if (*e->mention && !*e->fault && !e->packed.n &&
	    pst_host_early_place(e, "vfio_pci") < 0) {
		pst_host_text_add(seen,
				  "; %s names vfio, and no list that %s loads "
				  "has vfio_pci",
				  e->mention,
				  pst_host_early_maker_name(e->maker));
		*fix = *fix ? *fix : "look at the name before that \"=\"";
	}
	if (*e->fault && (e == &h->early || strcmp(e->fault, h->early.fault))) {
		pst_host_text_add(seen, "; not evaluated for sure: %s",
				  e->fault);
		*fix = *fix ? *fix : "write that line plainly";
	}
}

/* Says that a softdep on drm is none where drm is no module. */
static void note_drm(const struct pst_host *h, const char *rival,
		     struct pst_host_text *seen)
{
	if (rival &&
	    pst_host_modconf_softdep_pre(&h->modconf, "drm", "vfio-pci") &&
	    !pst_host_module_needs(&h->modules, rival, "drm"))
		pst_host_text_add(seen,
				  "; softdep drm has no effect: drm is %s",
				  h->modules.loaded || h->modules.dep
					  ? "built in"
					  : "not seen as a module");
}

/* What the list of the initramfs has before vfio-pci. */
static void late(const struct pst_host *h, const struct pst_host_first *f,
		 const char *seen, struct pst_host_findings *out)
{
	int place = pst_host_early_place(f->image, "vfio_pci");
	struct pst_host_text fix = {0};

	pst_host_text_add(&fix, "put vfio_pci vfio vfio_iommu_type1 before it");
	remake(h, f->image, &fix);
	pst_host_finding_add(
		out,
		pst_host_pci_on_vfio(h->gpu) ? PST_HOST_WARN : PST_HOST_FAIL,
		fix.buf, "%s loads %s%s (%s)%s",
		pst_host_early_maker_name(f->image->maker), f->rival,
		place < 0 ? " and not vfio_pci" : " before vfio_pci",
		pst_host_early_where(f->image, f->rival), seen);
}

PST_HOST_CHECK(vfio_early)
{
	struct pst_host_text by = {0}, seen = {0};
	const struct pst_host_pci_dev *fn;
	struct pst_host_first f;
	const struct pst_host_early *e;
	const char *fix = NULL;
	char where[160];

	fn = pst_host_next_boot_worst(h, &f);
	if (f.by == PST_HOST_FIRST_NEVER) {
		pst_host_module_kept_by(h, "vfio_pci", where, sizeof(where));
		pst_host_finding_add(
			out,
			pst_host_pci_on_vfio(h->gpu) ? PST_HOST_WARN
						     : PST_HOST_FAIL,
			"take the line about vfio-pci out there",
			"%s keeps vfio-pci from being loaded, by blacklist or "
			"install",
			where);
		return;
	}
	first_by(&f, &by);
	for (e = &h->early; e; e = e->next)
		look_aside(h, e, &seen, &fix);
	if (by.len)
		pst_host_finding_add(out,
				     seen.len ? PST_HOST_WARN : PST_HOST_PASS,
				     fix, "%s%s", by.buf, seen.buf);
	else if (f.by == PST_HOST_FIRST_LATE)
		late(h, &f, seen.buf, out);
	else if (f.by == PST_HOST_FIRST_BUILTIN_RIVAL)
		pst_host_finding_add(
			out, PST_HOST_WARN,
			"libvirt's managed='yes' moves it when the guest "
			"starts; nothing of the host may use it then",
			"%s is built in, and takes %s before vfio-pci can "
			"come%s",
			f.rival, fn->name, seen.buf);
	else {
		note_drm(h, f.rival, &seen);
		pst_host_finding_add(
			out, PST_HOST_WARN,
			"a softdep for each of them, or vfio_pci in the "
			"initramfs: penstock host apply writes both",
			"%s may load before vfio-pci%s%s%s%s%s%s", f.rival,
			f.why, h->early.next ? ": " : "",
			h->early.next ? f.image->file : "",
			f.image->kms_hook && f.image->maker ==
						     PST_HOST_EARLY_MKINITCPIO
				? "; mkinitcpio's kms hook packs GPU drivers"
				: "",
			h->early.loads_late ? "; modules-load.d comes too late"
					    : "",
			seen.buf);
	}
}
