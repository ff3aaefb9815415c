/* SPDX-License-Identifier: MIT */
/* Checks of vfio-pci: present, bound to the card, loaded first. */
#include <string.h>

#include "kernel-params/check/check_int.h"
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
	bool builtin = pst_host_module_state(&h->modules, "vfio_pci") ==
		       PST_HOST_MODULE_BUILTIN;
	struct pst_host_text seen = {0}, fix = {0};

	for (i = 0; i < n; i++) {
		enum pst_host_vfio_how how =
			pst_host_vfio_conf_how(&h->vfio, fn[i]);
		bool lost = builtin && how == PST_HOST_VFIO_IDS_MODPROBE;

		covered += how != PST_HOST_VFIO_NO && !lost;
		pst_host_text_add(
			&seen, "%s%s: %s%s", i ? ", " : "", fn[i]->name,
			how_text(how),
			lost ? ", which does not reach a vfio-pci that is "
			       "built in"
			     : "");
		if (how == PST_HOST_VFIO_NO &&
		    strcmp(fn[i]->driver_override, "vfio-pci") == 0)
			pst_host_text_add(&seen,
					  " (driver_override is set now)");
	}
	pst_host_text_add(&fix, "penstock host apply --gpu %s writes it",
			  h->gpu->name);
	if (strcmp(h->os_id, "nixos") == 0 &&
	    h->early.maker != PST_HOST_EARLY_NIXOS)
		pst_host_text_add(&fix,
				  "; what NixOS builds from was not seen");
	pst_host_finding_add(out, covered == n ? PST_HOST_PASS : PST_HOST_WARN,
			     covered == n ? NULL : fix.buf, "%s", seen.buf);
}

static bool never_loads(const struct pst_host *h, const char *module)
{
	return pst_host_module_kept_out(h, module) ||
	       pst_host_module_state(&h->modules, module) ==
		       PST_HOST_MODULE_ABSENT;
}

/* The driver of the card's audio function, where it has it and does not wait;
 * else NULL. */
static const char *audio_rival(const struct pst_host *h)
{
	static const char driver[] = "snd_hda_intel";
	const struct pst_host_pci_dev *fn[PST_HOST_PCI_MAX_FN];
	size_t n = pst_host_pci_card(&h->pci, h->gpu, fn), i;

	if (never_loads(h, driver) ||
	    pst_host_modconf_softdep_pre(&h->modconf, driver, "vfio-pci"))
		return NULL;
	for (i = 0; i < n; i++)
		if (strcmp(fn[i]->driver, driver) == 0)
			return driver;
	return NULL;
}

/*
 * The first rival that neither waits for vfio-pci nor stays away; one that is
 * loaded is told of before one that may be.
 */
static const char *free_rival(const struct pst_host *h)
{
	const struct pst_host_rival *m = NULL;
	const char *first = NULL;

	if (!pst_host_rival_next(h->gpu, NULL))
		return "its driver";
	while ((m = pst_host_rival_next(h->gpu, m))) {
		bool in = pst_host_module_is_in(&h->modules, m->module);

		/* What it loads first is checked by itself. */
		if (m->kind == PST_HOST_RIVAL_FOLLOWS ||
		    (m->kind == PST_HOST_RIVAL_RARE && !in))
			continue;
		if (never_loads(h, m->module) ||
		    pst_host_modconf_softdep_pre(&h->modconf, m->module,
						 "vfio-pci"))
			continue;
		if (in)
			return m->module;
		first = first ? first : m->module;
	}
	return first ? first : audio_rival(h);
}

/* A rival that the initramfs loads before vfio-pci, or NULL. */
static const char *early_rival(const struct pst_host *h, int place)
{
	const struct pst_host_rival *m = NULL;

	while ((m = pst_host_rival_next(h->gpu, m))) {
		int r = pst_host_early_place(&h->early, m->module);

		if (r >= 0 && (place < 0 || r < place) &&
		    !pst_host_modconf_softdep_pre(&h->modconf, m->module,
						  "vfio-pci"))
			return m->module;
	}
	return NULL;
}

/* What makes vfio-pci come first, "" when nothing does. */
static void first_by(const struct pst_host *h, struct pst_host_text *t)
{
	int place = pst_host_early_place(&h->early, "vfio_pci");

	if (pst_host_module_state(&h->modules, "vfio_pci") ==
	    PST_HOST_MODULE_BUILTIN)
		pst_host_text_add(t, "vfio-pci is built in");
	/* Only dracut reads it. */
	else if (pst_host_cmdline_has(&h->cmdline, "rd.driver.pre",
				      "vfio-pci") &&
		 (h->early.maker == PST_HOST_EARLY_DRACUT ||
		  h->early.maker == PST_HOST_EARLY_NONE))
		pst_host_text_add(t, "rd.driver.pre=vfio-pci");
	else if (place >= 0 && !early_rival(h, place))
		pst_host_text_add(t, "%s loads vfio_pci early (%s)",
				  pst_host_early_maker_name(h->early.maker),
				  h->early.file);
	else if (!early_rival(h, place) && !free_rival(h))
		pst_host_text_add(t,
				  "softdep or blacklist of the other drivers");
}

/* It would be loaded by its name, and such a line stands against that. */
static bool never_comes(const struct pst_host *h)
{
	return pst_host_module_state(&h->modules, "vfio_pci") !=
		       PST_HOST_MODULE_BUILTIN &&
	       (pst_host_modconf_disabled(&h->modconf, "vfio_pci") ||
		pst_host_modconf_blacklisted(&h->modconf, "vfio_pci"));
}

/* Whether the initramfs is to have a module that its maker does not find. */
static bool names_virqfd(const struct pst_host *h)
{
	static const struct pst_host_kernel_version gone = {6, 2, 0};

	return h->has_version &&
	       pst_host_kernel_version_cmp(&h->version, &gone) >= 0 &&
	       *h->early.virqfd;
}

/* "and run what makes the initramfs". */
static void remake(const struct pst_host *h, struct pst_host_text *fix)
{
	static const unsigned int targets[] = {
		[PST_HOST_EARLY_MKINITCPIO] = PST_HOST_TARGET_MKINITCPIO,
		[PST_HOST_EARLY_DRACUT] = PST_HOST_TARGET_DRACUT,
		[PST_HOST_EARLY_INITRAMFS_TOOLS] =
			PST_HOST_TARGET_INITRAMFS_TOOLS,
		[PST_HOST_EARLY_NIXOS] = PST_HOST_TARGET_NIXOS,
	};
	const char *command =
		pst_host_boot_initramfs(&h->boot, targets[h->early.maker]);

	pst_host_text_add(fix, " and run %s",
			  command ? command : "nixos-rebuild boot");
}

PST_HOST_CHECK(vfio_early)
{
	int place = pst_host_early_place(&h->early, "vfio_pci");
	const char *rival = early_rival(h, place);
	struct pst_host_text by = {0}, seen = {0}, fix = {0};

	if (never_comes(h)) {
		pst_host_finding_add(
			out,
			pst_host_pci_on_vfio(h->gpu) ? PST_HOST_WARN
						     : PST_HOST_FAIL,
			"take the line about vfio-pci out of modprobe.d",
			"modprobe.d keeps vfio-pci from being loaded, by "
			"blacklist or install");
		return;
	}
	first_by(h, &by);
	if (h->early.stray[0])
		pst_host_text_add(&seen,
				  "; dracut ignores %s, which does not end "
				  "in .conf",
				  h->early.stray);
	if (names_virqfd(h))
		pst_host_text_add(&seen,
				  "; %s has vfio_virqfd, which is gone since "
				  "Linux 6.2, so that %s ends with an error",
				  h->early.virqfd,
				  pst_host_early_maker_name(h->early.maker));
	if (by.len) {
		pst_host_finding_add(out,
				     seen.len ? PST_HOST_WARN : PST_HOST_PASS,
				     h->early.stray[0] ? "rename that file"
				     : seen.len ? "take vfio_virqfd out there"
						: NULL,
				     "%s%s", by.buf, seen.buf);
		return;
	}
	pst_host_text_add(&fix, "put vfio_pci vfio vfio_iommu_type1 before it");
	remake(h, &fix);
	if (rival)
		pst_host_finding_add(
			out,
			pst_host_pci_on_vfio(h->gpu) ? PST_HOST_WARN
						     : PST_HOST_FAIL,
			fix.buf, "%s loads %s%s (%s)%s",
			pst_host_early_maker_name(h->early.maker), rival,
			place < 0 ? " and not vfio_pci" : " before vfio_pci",
			h->early.file, seen.buf);
	else
		pst_host_finding_add(
			out, PST_HOST_WARN,
			"a softdep for each of them, or vfio_pci in the "
			"initramfs: penstock host apply writes both",
			"%s may load before vfio-pci%s%s%s", free_rival(h),
			h->early.kms_hook ? "; mkinitcpio's kms hook packs GPU "
					    "drivers"
					  : "",
			h->early.loads_late ? "; modules-load.d comes too late"
					    : "",
			seen.buf);
}
