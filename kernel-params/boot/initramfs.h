/* SPDX-License-Identifier: MIT */
/* Modules loaded early at boot, by the configuration of initramfs
 * generators. */
#ifndef PST_KERNEL_PARAMS_BOOT_INITRAMFS_H
#define PST_KERNEL_PARAMS_BOOT_INITRAMFS_H

#include "kernel-params/syntax/settings.h"

enum pst_host_early_maker {
	PST_HOST_EARLY_NONE,
	PST_HOST_EARLY_MKINITCPIO,
	PST_HOST_EARLY_DRACUT,
	PST_HOST_EARLY_INITRAMFS_TOOLS,
	PST_HOST_EARLY_NIXOS,
};

struct pst_host_early {
	enum pst_host_early_maker maker;
	char file[128];                /* its first configuration file, or "" */
	struct pst_host_names words;   /* modules it loads early, in order */
	struct pst_host_names places;  /* "MODULE FILE line N", the last counts
					*/
	struct pst_host_names packed;  /* modules it only puts into the image */
	struct pst_host_names files;   /* single files that it puts in */
	struct pst_host_names omitted; /* modules that are kept out of it */
	bool no_modconf; /* of etc/modprobe.d only `files` are in the image */
	bool modconf;    /* all of it is, for sure */
	/* udev is in the image and as early as what loads words, so that their
	 * order says nothing of modules that udev finds there. */
	bool races;
	bool kms_hook; /* a hook takes GPU drivers into the image */
	bool usb_hook; /* or those of USB controllers */
	char *ids;     /* of vfio-pci, behind its name in words; or NULL */
	/* Another maker of initramfs, whose settings are not read; or "". */
	char other[32];
	char stray[160]; /* a dracut file about vfio that has no .conf, or "" */
	char virqfd[128];  /* a file that puts vfio_virqfd in, or "" */
	char mention[160]; /* "FILE line N", which names vfio, or "" */
	char fault[PST_HOST_FAULT_MAX]; /* what could not be evaluated, or "" */
	bool loads_late;                /* vfio-pci is in modules-load.d */
	/* Another image that may boot: of another preset or maker. NULL: none.
	 */
	struct pst_host_early *next;
};

/*
 * Reads etc/mkinitcpio.conf(.d), or what presets name; dracut.conf and
 * dracut.conf.d in etc and usr/lib/dracut; etc/initramfs-tools; etc/nixos.
 * Each generator that is installed makes images; where none is, the first one
 * whose configuration exists. Files are evaluated in the order in which the
 * generator sources them (pst_host_settings_take()). 0 (to be ended with
 * pst_host_early_done()) or -ENOMEM.
 */
PST_MUST_USE int pst_host_early_scan(const struct pst_host_root *root,
				     struct pst_host_early *ret);
void pst_host_early_done(struct pst_host_early *e);

/*
 * Adds the words of every NAME=(...), NAME="...", NAME+=... and `NAME = [ ...
 * ]` in text, whose name is one of names, a list that NULL ends, or ends in a
 * dot and one that has a dot itself. Comments begin with '#'. 0 or -ENOMEM.
 */
PST_MUST_USE int pst_host_early_words(const char *text,
				      const char *const *names,
				      struct pst_host_names *words);

/* Place of a module in the order, or -1. */
int pst_host_early_place(const struct pst_host_early *e, const char *module);

/* "FILE line N" of the last line that lists a module, or the image's first
 * file. */
const char *pst_host_early_where(const struct pst_host_early *e,
				 const char *module);

/* Whether a file of modprobe.d ("etc/modprobe.d/vfio.conf") is in this image.
 */
bool pst_host_early_has_conf(const struct pst_host_early *e, const char *file);

/* The same of udev's rules ("etc/udev/rules.d/10-vfio.rules") and of this image
 * and all that follow. */
bool pst_host_early_has_rule(const struct pst_host_early *e,
			     const struct pst_host_root *root,
			     const char *file);

/* Whether udev may find a module in this image and load it. gpu: it drives
 * displays. */
bool pst_host_early_packs(const struct pst_host_early *e, const char *module,
			  bool gpu);

/* Whether update-initramfs is that of initramfs-tools; dracut has a program of
 * the same name (Ubuntu 25.10). */
bool pst_host_early_has_tools(const struct pst_host_root *root);

/* What dracut's settings leave in a variable, to be freed; NULL: not set. 0 or
 * -ENOMEM. */
PST_MUST_USE int pst_host_early_dracut_value(const struct pst_host_root *root,
					     const char *name, char **ret);

/* Whether dracut makes unified kernels (uefi=yes). */
bool pst_host_early_dracut_uefi(const struct pst_host_root *root);

/* "mkinitcpio", "dracut", ...; "" for none. Static. */
const char *pst_host_early_maker_name(enum pst_host_early_maker m);

#endif
