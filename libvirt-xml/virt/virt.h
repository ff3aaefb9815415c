/* SPDX-License-Identifier: MIT */
/* Domains through libvirt: definition, lifecycle, events. */
#ifndef PST_LIBVIRT_XML_VIRT_VIRT_H
#define PST_LIBVIRT_XML_VIRT_VIRT_H

#include "libvirt-xml/xml/info.h"

/* When --uri is not given. */
#define PST_VM_VIRT_URI "qemu:///system"

/* A connection, with libvirt's event loop; used by one thread. */
struct pst_vm_virt;

/* States of a domain, fewer than libvirt's. */
enum pst_vm_virt_state {
	PST_VM_VIRT_OFF,
	PST_VM_VIRT_RUNNING,
	PST_VM_VIRT_PAUSED,
	PST_VM_VIRT_ENDING,  /* was asked to shut down */
	PST_VM_VIRT_CRASHED, /* or suspended by the guest's own power management
			      */
};

/* "off", "running", ... */
const char *pst_vm_virt_state_name(enum pst_vm_virt_state s);

/*
 * Errors common to all functions: -ENOENT (no such domain), -ECONNREFUSED
 * (nobody there, or gone), -EACCES, -EIO (anything else; the sentence is
 * libvirt's own), -ENOMEM.
 */

/*
 * Connects to uri, at most 30 s without an answer from then on. Returns
 * 0 and *ret, to be ended with pst_vm_virt_close().
 */
PST_MUST_USE int pst_vm_virt_open(const char *uri, struct pst_vm_virt **ret,
				  struct pst_error *err);
void pst_vm_virt_close(struct pst_vm_virt *v);

/* libvirt's version there, as virGetVersion() counts; 0: unknown. */
unsigned long pst_vm_virt_version(struct pst_vm_virt *v);
/* That of the library itself. */
unsigned long pst_vm_virt_library_version(void);

/* A domain's name and state, for list. */
struct pst_vm_virt_entry {
	char name[256];
	enum pst_vm_virt_state state;
	bool ours, autostart, persistent;
	uint32_t cid;
	char region[PATH_MAX]; /* of one of ours */
};

/* All domains there; the caller frees *ret. Returns their number. */
PST_MUST_USE int pst_vm_virt_list(struct pst_vm_virt *v,
				  struct pst_vm_virt_entry **ret,
				  struct pst_error *err);

/* Which XML of a domain. */
enum pst_vm_virt_text {
	PST_VM_VIRT_DEFINED, /* what is defined, without passwords: for reading
			      */
	PST_VM_VIRT_SECRETS, /* with them: for defining it again */
	PST_VM_VIRT_LIVE,    /* what runs */
};

/* XML as libvirt has it. The caller frees *ret. */
PST_MUST_USE int pst_vm_virt_xml(struct pst_vm_virt *v, const char *name,
				 enum pst_vm_virt_text which, char **ret,
				 struct pst_error *err);

/* The same, read; *ret is zero if there is none, and has ours where our
 * settings are damaged. */
PST_MUST_USE int pst_vm_virt_info(struct pst_vm_virt *v, const char *name,
				  bool live, struct pst_vm_info *ret,
				  struct pst_error *err);

/*
 * Defines (VIR_DOMAIN_DEFINE_VALIDATE; a driver that does not know the flag
 * gets none). A domain of that name is replaced, under its UUID, only when it
 * is ours, or any is true: else -EEXIST.
 */
PST_MUST_USE int pst_vm_virt_define(struct pst_vm_virt *v, const char *xml,
				    bool any, struct pst_error *err);
/* Removes the definition; with_nvram: its copy of the variables too. -EBUSY
 * while it runs; -EPERM when it is not ours. */
PST_MUST_USE int pst_vm_virt_undefine(struct pst_vm_virt *v, const char *name,
				      bool with_nvram, struct pst_error *err);

PST_MUST_USE int pst_vm_virt_state(struct pst_vm_virt *v, const char *name,
				   enum pst_vm_virt_state *ret,
				   struct pst_error *err);
/* -EALREADY when it runs. */
PST_MUST_USE int pst_vm_virt_start(struct pst_vm_virt *v, const char *name,
				   struct pst_error *err);

/* How a guest was asked to end. */
enum pst_vm_virt_how {
	PST_VM_VIRT_BY_AGENT, /* the QEMU guest agent in it */
	PST_VM_VIRT_BY_ACPI,  /* the power button */
};

/*
 * Asks the guest to shut down, by its guest agent when that is connected, else
 * by the power button; does not wait. -EALREADY when it does not run, -EBUSY
 * when it is paused.
 */
PST_MUST_USE int pst_vm_virt_shutdown(struct pst_vm_virt *v, const char *name,
				      enum pst_vm_virt_how *ret,
				      struct pst_error *err);
/* Ends it at once, as pulling the plug does. */
PST_MUST_USE int pst_vm_virt_destroy(struct pst_vm_virt *v, const char *name,
				     struct pst_error *err);

/*
 * Runs libvirt's event loop until the domain is off, or not; at most
 * timeout_ns. stop, when not NULL, is read every 200 ms and after each event:
 * true ends the wait. Returns 0, -ETIMEDOUT, -ECANCELED (stop).
 */
PST_MUST_USE int pst_vm_virt_wait_off(struct pst_vm_virt *v, const char *name,
				      uint64_t timeout_ns,
				      bool (*stop)(void *arg), void *arg,
				      struct pst_error *err);

PST_MUST_USE int pst_vm_virt_get_autostart(struct pst_vm_virt *v,
					   const char *name, bool *ret,
					   struct pst_error *err);
PST_MUST_USE int pst_vm_virt_set_autostart(struct pst_vm_virt *v,
					   const char *name, bool on,
					   struct pst_error *err);

/*
 * Connects in_fd and out_fd (a terminal in raw mode) with the guest's console
 * until the domain ends, in_fd ends, or Ctrl-] is typed. Returns 0.
 */
PST_MUST_USE int pst_vm_virt_console(struct pst_vm_virt *v, const char *name,
				     int in_fd, int out_fd,
				     struct pst_error *err);

#endif
