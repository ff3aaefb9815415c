/* SPDX-License-Identifier: MIT */
/* penstock-vm.so: the table of what needs libvirt and libxml2. */
#include "libvirt-xml/api.h"
#include "libvirt-xml/xml/domain.h"
#include "libvirt-xml/xml/patch.h"
#include "libvirt-xml/xml/schema.h"

__attribute__((visibility("default"))) const struct pst_vm_api pst_vm_api = {
	.abi = PACKAGE_VERSION,
	.domain_limits = pst_vm_domain_limits,
	.domain_xml = pst_vm_domain_xml,
	.schema_check = pst_vm_schema_check,
	.info_parse = pst_vm_info_parse,
	.patch = pst_vm_patch,
#ifdef HAVE_LIBVIRT
	.has_libvirt = true,
	.virt_open = pst_vm_virt_open,
	.virt_close = pst_vm_virt_close,
	.virt_version = pst_vm_virt_version,
	.virt_library_version = pst_vm_virt_library_version,
	.virt_list = pst_vm_virt_list,
	.virt_xml = pst_vm_virt_xml,
	.virt_info = pst_vm_virt_info,
	.virt_define = pst_vm_virt_define,
	.virt_undefine = pst_vm_virt_undefine,
	.virt_state_name = pst_vm_virt_state_name,
	.virt_state = pst_vm_virt_state,
	.virt_start = pst_vm_virt_start,
	.virt_shutdown = pst_vm_virt_shutdown,
	.virt_destroy = pst_vm_virt_destroy,
	.virt_wait_off = pst_vm_virt_wait_off,
	.virt_get_autostart = pst_vm_virt_get_autostart,
	.virt_set_autostart = pst_vm_virt_set_autostart,
	.virt_console = pst_vm_virt_console,
#endif
};
