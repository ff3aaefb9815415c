/* SPDX-License-Identifier: MIT */
/* The interface of penstock-vm.so, the part that needs libvirt and libxml2. */
#ifndef PST_LIBVIRT_XML_API_H
#define PST_LIBVIRT_XML_API_H

#include "libvirt-xml/config/config.h"
#include "libvirt-xml/virt/virt.h"
#include "libvirt-xml/xml/info.h"
#include "libvirt-xml/xml/patch.h"

/*
 * libvirt and libxml2 bring 50 libraries and 40 MB with them, which only `vm`
 * needs: they come with this module, loaded when the first function is wanted.
 * abi is the version of the package, so that a module of another build is
 * refused. Members are the functions of the headers named above.
 */
struct pst_vm_api {
	const char *abi;
	bool has_libvirt; /* else all virt_ members are NULL */
	int (*domain_limits)(const struct pst_vm_config *c,
			     unsigned long libvirt_version,
			     struct pst_error *err);
	int (*domain_xml)(const struct pst_vm_config *c,
			  unsigned long libvirt_version, char **ret,
			  struct pst_error *err);
	int (*schema_check)(const char *xml, const char *schema,
			    struct pst_error *err);
	int (*info_parse)(const char *xml, struct pst_vm_info *ret,
			  struct pst_error *err);
	int (*patch)(const char *xml, const struct pst_vm_config *c,
		     struct pst_vm_patched *ret, struct pst_error *err);
	int (*virt_open)(const char *uri, struct pst_vm_virt **ret,
			 struct pst_error *err);
	void (*virt_close)(struct pst_vm_virt *v);
	unsigned long (*virt_version)(struct pst_vm_virt *v);
	unsigned long (*virt_library_version)(void);
	int (*virt_list)(struct pst_vm_virt *v, struct pst_vm_virt_entry **ret,
			 struct pst_error *err);
	int (*virt_xml)(struct pst_vm_virt *v, const char *name,
			enum pst_vm_virt_text which, char **ret,
			struct pst_error *err);
	int (*virt_info)(struct pst_vm_virt *v, const char *name, bool live,
			 struct pst_vm_info *ret, struct pst_error *err);
	int (*virt_define)(struct pst_vm_virt *v, const char *xml, bool any,
			   struct pst_error *err);
	int (*virt_undefine)(struct pst_vm_virt *v, const char *name,
			     bool with_nvram, struct pst_error *err);
	const char *(*virt_state_name)(enum pst_vm_virt_state s);
	int (*virt_state)(struct pst_vm_virt *v, const char *name,
			  enum pst_vm_virt_state *ret, struct pst_error *err);
	int (*virt_start)(struct pst_vm_virt *v, const char *name,
			  struct pst_error *err);
	int (*virt_shutdown)(struct pst_vm_virt *v, const char *name,
			     enum pst_vm_virt_how *ret, struct pst_error *err);
	int (*virt_destroy)(struct pst_vm_virt *v, const char *name,
			    struct pst_error *err);
	int (*virt_wait_off)(struct pst_vm_virt *v, const char *name,
			     uint64_t timeout_ns, bool (*stop)(void *arg),
			     void *arg, struct pst_error *err);
	int (*virt_get_autostart)(struct pst_vm_virt *v, const char *name,
				  bool *ret, struct pst_error *err);
	int (*virt_set_autostart)(struct pst_vm_virt *v, const char *name,
				  bool on, struct pst_error *err);
	int (*virt_console)(struct pst_vm_virt *v, const char *name, int in_fd,
			    int out_fd, struct pst_error *err);
};

/* The module's only symbol. */
#define PST_VM_API_SYMBOL "pst_vm_api"

extern const struct pst_vm_api pst_vm_api;

#endif
