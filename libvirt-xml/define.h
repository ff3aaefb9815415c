/* SPDX-License-Identifier: MIT */
/* Turns a user's request into a defined domain with its files. */
#ifndef PST_LIBVIRT_XML_DEFINE_H
#define PST_LIBVIRT_XML_DEFINE_H

#include "libvirt-xml/api.h"
#include "libvirt-xml/plan/plan.h"

/* Only root may create or open it, so no user can hold up a definition. */
#define PST_VM_LOCK "/run/penstock-vm.lock"

/*
 * Takes what a user should read. note: nothing failed; fail: something has to
 * be done by hand. A text may have several lines; the last has no newline.
 */
struct pst_vm_talk {
	void (*note)(void *arg, const char *text);
	void (*fail)(void *arg, const char *text);
	void *arg;
};

/* What a draft is made from. */
struct pst_vm_ask {
	struct pst_vm_request q; /* its cid is 0: choose one */
	const char *root;        /* of the host's files */
	const char *uri;         /* of virt; NULL: the default */
	struct pst_vm_talk talk;
	const struct pst_vm_api *api; /* NULL: the module was not loaded */
	struct pst_vm_virt *virt;     /* NULL: not connected */
};

/*
 * Waits until no other process defines a domain; path is PST_VM_LOCK. To be
 * held from before the domains are listed until one is defined: libvirt finds
 * two domains of one CID only when the second one starts. Returns a descriptor
 * to close, possibly -1; where it is not locked, a note says so.
 */
int pst_vm_lock(const char *path, const struct pst_vm_talk *talk);

/* A configuration, and what it was made from. config borrows from the rest. */
struct pst_vm_draft {
	struct pst_vm_config config;
	struct pst_vm_ask ask;
	struct pst_host_root root;
	struct pst_host *host;
	unsigned long libvirt_version; /* 0: unknown */
	char disk_format[16];          /* that the domain has already */
};

/*
 * Asks the host and, if connected, libvirt; chooses a CID,
 * refuses the region of another domain, and makes the configuration. Borrows
 * *ask's strings.
 * Returns 0 (to be ended with pst_vm_draft_done()), -EADDRINUSE (a CID),
 * -EEXIST (a region), or -errno of pst_vm_plan() and pst_vm_virt_list().
 */
PST_MUST_USE int pst_vm_draft_make(const struct pst_vm_ask *ask,
				   struct pst_vm_draft *ret,
				   struct pst_error *err);
void pst_vm_draft_done(struct pst_vm_draft *d);

/* The domain's XML, checked with libvirt's schema where that is installed; the
 * caller frees *ret. Needs the module. 0 or -errno. */
PST_MUST_USE int pst_vm_draft_xml(const struct pst_vm_draft *d, char **ret,
				  struct pst_error *err);

/* What became of a definition. */
struct pst_vm_defined {
	bool complete; /* nothing is left to be done by hand */
	/* The region of the replaced domain, which is unused now; empty:
	 * none. */
	char old_region[PATH_MAX];
};

/*
 * Defines the domain with libvirt, writes endpoint and region settings below
 * conf_dir, enables the region's unit and says what AppArmor needs. Returns 0
 * when the domain is defined, or -errno.
 */
PST_MUST_USE int pst_vm_define(const struct pst_vm_draft *d,
			       const char *conf_dir, struct pst_vm_defined *ret,
			       struct pst_error *err);

/* The same for a domain of others: what is missing is added to its XML. */
PST_MUST_USE int pst_vm_define_patch(const struct pst_vm_draft *d,
				     const char *conf_dir,
				     struct pst_vm_defined *ret,
				     struct pst_error *err);

#endif
