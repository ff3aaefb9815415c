/* SPDX-License-Identifier: MIT */
/* Chooses the UEFI firmware of a q35 domain. */
#ifndef PST_LIBVIRT_XML_PLAN_FIRMWARE_H
#define PST_LIBVIRT_XML_PLAN_FIRMWARE_H

#include "kernel-params/root/root.h"
#include "libvirt-xml/config/config.h"

/* Where libvirt keeps the domains' own variables. */
#define PST_VM_NVRAM_DIR "/var/lib/libvirt/qemu/nvram"

/*
 * Reads one firmware descriptor [QEMU: docs/interop/firmware.json]. Returns 1
 * and code, vars_template and format when it describes UEFI for x86-64 on q35
 * in split flash, without Secure Boot and without SMM (the guest loads a module
 * that nobody signed); 0 when it describes something else; -EPROTO when it is
 * no descriptor. A pure function.
 */
PST_MUST_USE int pst_vm_firmware_parse(const char *text, size_t n,
				       struct pst_vm_firmware *ret,
				       struct pst_error *err);

/*
 * Finds one below root: descriptors of the user's directory (config_dir, such
 * as /root/.config, or NULL), of /etc/qemu/firmware and
 * /usr/share/qemu/firmware, in the order of their file names, a file of an
 * earlier directory hiding its namesake of a later one; then the places where
 * distributions put OVMF. Files that a descriptor names but root does not have
 * are passed over. *ret gets uefi and, when nothing was found, by_libvirt.
 * Returns 0 (found), 1 (not found), -ENOMEM.
 */
PST_MUST_USE int pst_vm_firmware_find(const struct pst_host_root *root,
				      const char *config_dir,
				      struct pst_vm_firmware *ret,
				      struct pst_error *err);

#endif
