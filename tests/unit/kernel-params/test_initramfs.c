/* SPDX-License-Identifier: MIT */
/* What initramfs makers load early. */
#include "kernel-params/boot/initramfs.h"
#include "tests/fixtures/hosttree.h"
#include "tests/fixtures/unit.h"

static struct pst_host_early e;

static void scan(void)
{
	pst_host_early_done(&e);
	ck_assert_int_eq(pst_host_early_scan(&tree, &e), 0);
}

START_TEST(mkinitcpios_array_keeps_its_order)
{
	tree_make();
	tree_file("etc/mkinitcpio.conf",
		  "# MODULES=(no)\nMODULES=(vfio_pci  \"vfio\" # first\n"
		  "  nvidia)\nHOOKS=(base kms)\n");
	scan();
	ck_assert_int_eq(e.maker, PST_HOST_EARLY_MKINITCPIO);
	ck_assert_uint_eq(e.words.n, 3);
	ck_assert_int_eq(pst_host_early_place(&e, "vfio-pci"), 0);
	ck_assert_int_eq(pst_host_early_place(&e, "nvidia"), 2);
	ck_assert_int_eq(pst_host_early_place(&e, "nouveau"), -1);
	ck_assert(e.kms_hook);
	tree_file("etc/mkinitcpio.conf.d/x.conf", "MODULES+=(more)\n");
	scan();
	ck_assert_int_eq(pst_host_early_place(&e, "more"), 3);
	pst_host_early_done(&e);
	tree_remove();
}
END_TEST

START_TEST(dracut_reads_only_files_that_end_in_conf)
{
	tree_make();
	tree_file("etc/dracut.conf", "hostonly=yes\n");
	tree_file("etc/dracut.conf.d/vfio", "force_drivers+=\" vfio_pci \"\n");
	scan();
	ck_assert_int_eq(e.maker, PST_HOST_EARLY_DRACUT);
	ck_assert_int_eq(pst_host_early_place(&e, "vfio_pci"), -1);
	ck_assert_str_eq(e.stray, "etc/dracut.conf.d/vfio");
	tree_file("etc/dracut.conf.d/vfio.conf",
		  "force_drivers+=\" vfio_pci vfio \"\n");
	scan();
	ck_assert_int_eq(pst_host_early_place(&e, "vfio_pci"), 0);
	ck_assert_str_eq(e.file, "etc/dracut.conf");
	pst_host_early_done(&e);
	tree_remove();
}
END_TEST

START_TEST(initramfs_tools_has_one_module_a_line)
{
	tree_make();
	tree_file("etc/initramfs-tools/modules",
		  "# vfio\nvfio_pci ids=10de:17c2\n\nnouveau\n");
	tree_file("etc/modules-load.d/vfio.conf", "vfio-pci\n");
	scan();
	ck_assert_int_eq(e.maker, PST_HOST_EARLY_INITRAMFS_TOOLS);
	ck_assert_uint_eq(e.words.n, 2);
	ck_assert_int_eq(pst_host_early_place(&e, "vfio_pci"), 0);
	ck_assert(e.loads_late);
	pst_host_early_done(&e);
	tree_remove();
}
END_TEST

START_TEST(settings_of_a_maker_that_is_gone_do_not_count)
{
	tree_make();
	tree_file("etc/mkinitcpio.conf", "MODULES=(nvidia)\n");
	tree_file("etc/dracut.conf.d/v.conf",
		  "force_drivers+=\" vfio_pci \"\n");
	scan();
	ck_assert_int_eq(e.maker, PST_HOST_EARLY_MKINITCPIO);
	pst_host_early_done(&e);
	tree_file("usr/bin/dracut", "");
	scan();
	ck_assert_int_eq(e.maker, PST_HOST_EARLY_DRACUT);
	ck_assert_int_eq(pst_host_early_place(&e, "vfio_pci"), 0);
	ck_assert_int_eq(pst_host_early_place(&e, "nvidia"), -1);
	pst_host_early_done(&e);
	tree_remove();
}
END_TEST

START_TEST(nixos_has_two_lists_of_which_one_is_early)
{
	tree_make();
	tree_file("etc/nixos/configuration.nix",
		  "{ boot.kernelModules = [ \"late\" ];\n"
		  "  boot.initrd.kernelModules = [\n \"vfio_pci\" # x\n"
		  " \"vfio\" ]; }\n");
	tree_file(
		"etc/nixos/gpu.nix",
		"{ boot.initrd = { kernelModules = lib.mkBefore [ \"nouveau\" ];"
		" }; }");
	scan();
	ck_assert_int_eq(e.maker, PST_HOST_EARLY_NIXOS);
	ck_assert_int_eq(pst_host_early_place(&e, "vfio-pci"), 0);
	ck_assert_int_eq(pst_host_early_place(&e, "nouveau"), 2);
	ck_assert_int_eq(pst_host_early_place(&e, "late"), -1);
	pst_host_early_done(&e);
	tree_remove();
}
END_TEST

START_TEST(lists_without_an_end_are_taken_to_the_end)
{
	static const char *const names[] = {"A", NULL};
	PST_HOST_CLEANUP_NAMES struct pst_host_names words = {0};

	ck_assert_int_eq(pst_host_early_words("A=(x y", names, &words), 0);
	ck_assert_uint_eq(words.n, 2);
	ck_assert_int_eq(pst_host_early_words("A=\"", names, &words), 0);
	ck_assert_int_eq(pst_host_early_words("A", names, &words), 0);
	ck_assert_int_eq(pst_host_early_words("AA=(z) BA=(z)", names, &words),
			 0);
	ck_assert_uint_eq(words.n, 2);
	ck_assert_int_eq(pst_host_early_words("A='q' A=w;", names, &words), 0);
	ck_assert_uint_eq(words.n, 4);
	ck_assert_str_eq(words.name[3], "w");
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, mkinitcpios_array_keeps_its_order);
	tcase_add_test(tc, dracut_reads_only_files_that_end_in_conf);
	tcase_add_test(tc, initramfs_tools_has_one_module_a_line);
	tcase_add_test(tc, settings_of_a_maker_that_is_gone_do_not_count);
	tcase_add_test(tc, nixos_has_two_lists_of_which_one_is_early);
	tcase_add_test(tc, lists_without_an_end_are_taken_to_the_end);
}

int main(void)
{
	return pst_unit_run("initramfs", add, 10);
}
