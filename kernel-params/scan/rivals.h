/* SPDX-License-Identifier: MIT */
/* The modules that drive cards as vfio-pci shall, so that it has to come first.
 */
#ifndef PST_KERNEL_PARAMS_SCAN_RIVALS_H
#define PST_KERNEL_PARAMS_SCAN_RIVALS_H

#include "kernel-params/scan/host.h"

enum pst_host_rival_kind {
	PST_HOST_RIVAL_USUAL,   /* takes a function by itself */
	PST_HOST_RIVAL_RARE,    /* it too, but seldom is there */
	PST_HOST_RIVAL_FOLLOWS, /* loads another one first, or needs it */
};

struct pst_host_rival {
	const char *module;
	uint16_t vendor;   /* 0: any */
	uint16_t class[3]; /* 16 bits each; none: it asks for no PCI id */
	enum pst_host_rival_kind kind;
};

/* The rival after `after` (NULL: from the first one) that may take dev, NULL:
 * there is none. dev NULL: the next of all. */
const struct pst_host_rival *
pst_host_rival_next(const struct pst_host_pci_dev *dev,
		    const struct pst_host_rival *after);

/* Whether a module is one of them; "-" and "_" are equal. */
bool pst_host_module_is_rival(const char *name);

/* The module of a driver, which may have another name; in buf or static. */
const char *pst_host_module_of(const char *driver, char *buf, size_t size);

/* Whether modprobe.d or the command line keeps a module from being loaded. */
bool pst_host_module_kept_out(const struct pst_host *h, const char *module);

/* What keeps a module out that is: "etc/modprobe.d/no.conf line 1". */
void pst_host_module_kept_by(const struct pst_host *h, const char *module,
			     char *ret, size_t size);

#endif
