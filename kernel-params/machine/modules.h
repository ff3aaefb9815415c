/* SPDX-License-Identifier: MIT */
/* A host's kernel modules: loaded, built in, available. */
#ifndef PST_KERNEL_PARAMS_MACHINE_MODULES_H
#define PST_KERNEL_PARAMS_MACHINE_MODULES_H

#include "kernel-params/root/root.h"

enum pst_host_module_state {
	PST_HOST_MODULE_UNKNOWN, /* the tree shows too little */
	PST_HOST_MODULE_ABSENT,  /* this kernel has none */
	PST_HOST_MODULE_OUT, /* not loaded; whether it is there is unknown */
	PST_HOST_MODULE_AVAILABLE, /* a file to be loaded */
	PST_HOST_MODULE_BUILTIN,
	PST_HOST_MODULE_LOADED,
};

struct pst_host_modules {
	char *loaded;  /* proc/modules, NULL when it could not be read */
	char *builtin; /* modules.builtin of the running kernel, or NULL */
	char *dep;     /* modules.dep of the running kernel, or NULL */
	struct pst_host_names sys; /* names in sys/module: loaded or built in */
	bool has_sys;
};

/*
 * Reads proc/modules, sys/module and the lists of kernel release (may be "",
 * then they stay unknown) in lib/modules, usr/lib/modules or NixOS's place.
 * To be ended with pst_host_modules_done().
 */
void pst_host_modules_scan(const struct pst_host_root *root,
			   const char *release, struct pst_host_modules *ret);
void pst_host_modules_done(struct pst_host_modules *m);

/* The state of a module; '-' and '_' in its name are equal. */
enum pst_host_module_state
pst_host_module_state(const struct pst_host_modules *m, const char *name);

/* Whether the kernel's own list has it as built in. */
bool pst_host_module_is_listed_builtin(const struct pst_host_modules *m,
				       const char *name);

/* Whether dep is a module that the module name needs, by modules.dep or, where
 * that was not seen, by the modules that are loaded. */
bool pst_host_module_needs(const struct pst_host_modules *m, const char *name,
			   const char *dep);

/* Whether it is loaded or built in. */
bool pst_host_module_is_in(const struct pst_host_modules *m, const char *name);

/* "loaded", "built in", "not loaded", "not there", "not seen". Static. */
const char *pst_host_module_state_text(enum pst_host_module_state s);

#endif
