/* SPDX-License-Identifier: MIT */
/* States of kernel modules. */
#include "kernel-params/machine/modules.h"
#include "tests/fixtures/hosttree.h"
#include "tests/fixtures/unit.h"

START_TEST(a_module_is_loaded_built_in_available_or_absent)
{
	struct pst_host_modules m;

	tree_make();
	tree_file("proc/modules", "nvidia_drm 16384 0 - Live 0x0\n"
				  "kvm_intel 1 0 - Live 0x0\n");
	tree_file("sys/module/vfio/refcnt", "0");
	tree_file("lib/modules/6.1.0/modules.builtin",
		  "kernel/drivers/vfio/pci/vfio-pci.ko\n");
	tree_file("lib/modules/6.1.0/modules.dep",
		  "kernel/drivers/vhost/vhost_vsock.ko.zst: "
		  "kernel/net/vsock.ko.zst\nextra/nouveau.ko.xz:\n");
	pst_host_modules_scan(&tree, "6.1.0", &m);
	ck_assert_int_eq(pst_host_module_state(&m, "nvidia-drm"),
			 PST_HOST_MODULE_LOADED);
	ck_assert_int_eq(pst_host_module_state(&m, "vfio_pci"),
			 PST_HOST_MODULE_BUILTIN);
	ck_assert_int_eq(pst_host_module_state(&m, "vfio"),
			 PST_HOST_MODULE_BUILTIN);
	ck_assert_int_eq(pst_host_module_state(&m, "vhost_vsock"),
			 PST_HOST_MODULE_AVAILABLE);
	ck_assert_int_eq(pst_host_module_state(&m, "nouveau"),
			 PST_HOST_MODULE_AVAILABLE);
	ck_assert_int_eq(pst_host_module_state(&m, "nvidia"),
			 PST_HOST_MODULE_ABSENT);
	ck_assert_int_eq(pst_host_module_state(&m, "vsock"),
			 PST_HOST_MODULE_ABSENT);
	ck_assert(pst_host_module_is_in(&m, "vfio"));
	ck_assert(!pst_host_module_is_in(&m, "nouveau"));
	pst_host_modules_done(&m);
	tree_remove();
}
END_TEST

START_TEST(without_the_kernels_lists_a_module_may_be_there)
{
	struct pst_host_modules m;

	tree_make();
	pst_host_modules_scan(&tree, "", &m);
	ck_assert_int_eq(pst_host_module_state(&m, "vfio"),
			 PST_HOST_MODULE_UNKNOWN);
	pst_host_modules_done(&m);
	tree_file("sys/module/vfio/refcnt", "0");
	tree_file("lib/modules/6.1.0/modules.dep", "\n\n:\nvfio\n");
	pst_host_modules_scan(&tree, "../modules/6.1.0", &m);
	ck_assert_ptr_null(m.dep);
	pst_host_modules_done(&m);
	pst_host_modules_scan(&tree, "6.1.0", &m);
	ck_assert_int_eq(pst_host_module_state(&m, "vfio"),
			 PST_HOST_MODULE_LOADED);
	ck_assert_int_eq(pst_host_module_state(&m, "vfio_pci"),
			 PST_HOST_MODULE_OUT);
	pst_host_modules_done(&m);
	tree_remove();
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, a_module_is_loaded_built_in_available_or_absent);
	tcase_add_test(tc, without_the_kernels_lists_a_module_may_be_there);
}

int main(void)
{
	return pst_unit_run("modules", add, 10);
}
