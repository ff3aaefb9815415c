/* SPDX-License-Identifier: MIT */
/* QEMU, libvirt and OVMF by their files. */
#include "kernel-params/config/software.h"
#include "tests/fixtures/hosttree.h"
#include "tests/fixtures/unit.h"

static struct pst_host_software s;

START_TEST(upstreams_version_has_no_epoch_and_no_revision)
{
	char v[8];

	pst_host_version_upstream("1:7.2+dfsg-7+deb12u3\n", v, sizeof(v));
	ck_assert_str_eq(v, "7.2");
	pst_host_version_upstream("10.1.0-2", v, sizeof(v));
	ck_assert_str_eq(v, "10.1.0");
	/* The colon of the next line is no epoch's. */
	pst_host_version_upstream("8.2.1\nArchitecture: amd64\n", v, sizeof(v));
	ck_assert_str_eq(v, "8.2.1");
	pst_host_version_upstream("", v, sizeof(v));
	ck_assert_str_eq(v, "");
	pst_host_version_upstream("123456789", v, sizeof(v));
	ck_assert_str_eq(v, "1234567");
}
END_TEST

START_TEST(debians_records_tell_versions)
{
	tree_make();
	tree_file("usr/bin/qemu-system-x86_64", "");
	tree_file("usr/sbin/libvirtd", "");
	tree_file("usr/share/OVMF/OVMF_CODE_4M.fd", "");
	tree_file("var/lib/dpkg/status",
		  "Package: qemu-system-x86-64\nVersion: 1\n\n"
		  "Package: qemu-system-x86\nStatus: install ok installed\n"
		  "Version: 1:7.2+dfsg-7\n\nPackage: libvirt-daemon\n\n"
		  "Package: ovmf\nVersion: 2022.11-6+deb12u1\n\n"
		  "Package: zlib\nVersion: 9.9\n");
	pst_host_software_scan(&tree, &s);
	ck_assert_str_eq(s.qemu.path, "usr/bin/qemu-system-x86_64");
	ck_assert_str_eq(s.qemu.version, "7.2");
	ck_assert_uint_eq(s.qemu.major, 7);
	ck_assert_uint_eq(s.qemu.minor, 2);
	ck_assert_str_eq(s.libvirt.path, "usr/sbin/libvirtd");
	ck_assert_str_eq(s.libvirt.version, "");
	ck_assert_str_eq(s.ovmf.path, "usr/share/OVMF/OVMF_CODE_4M.fd");
	ck_assert_str_eq(s.ovmf.version, "2022.11");
	ck_assert(!s.ovmf_descriptors);
	tree_remove();
}
END_TEST

START_TEST(pacmans_directories_tell_versions)
{
	tree_make();
	tree_file("usr/bin/qemu-system-x86_64", "");
	tree_file("usr/bin/virtqemud", "");
	tree_dir("var/lib/pacman/local/qemu-system-x86-firmware-9.0-1");
	tree_dir("var/lib/pacman/local/qemu-system-x86-9.2.1-1");
	tree_dir("var/lib/pacman/local/libvirt-python-1:11.0-1");
	tree_dir("var/lib/pacman/local/libvirt-1:10.10.0-1");
	tree_dir("var/lib/pacman/local/edk2-ovmf-202408-1");
	tree_file("usr/share/edk2/x64/OVMF_CODE.4m.fd", "");
	pst_host_software_scan(&tree, &s);
	ck_assert_str_eq(s.qemu.version, "9.2.1");
	ck_assert_str_eq(s.libvirt.version, "10.10.0");
	ck_assert_str_eq(s.ovmf.version, "202408");
	tree_remove();
}
END_TEST

START_TEST(nixos_has_them_in_its_store)
{
	tree_make();
	tree_link("run/current-system/sw/bin/qemu-system-x86_64",
		  "/nix/store/0a1-2b-qemu-8.2.6/bin/qemu-system-x86_64");
	tree_file("run/libvirt/nix-ovmf/OVMF_CODE.fd", "");
	pst_host_software_scan(&tree, &s);
	ck_assert_str_eq(s.qemu.version, "8.2.6");
	ck_assert_str_eq(s.ovmf.path, "run/libvirt/nix-ovmf/OVMF_CODE.fd");
	ck_assert(s.has_usr);
	ck_assert_str_eq(s.libvirt.path, "");
	tree_remove();
}
END_TEST

START_TEST(libvirts_library_tells_its_version_too)
{
	tree_make();
	tree_file("usr/sbin/virtqemud", "");
	tree_file("usr/lib64/libvirt.so.0", "");
	tree_file("usr/lib64/libvirt.so.0.x", "");
	tree_file("usr/lib64/libvirt.so.0.10010.2", "");
	pst_host_software_scan(&tree, &s);
	ck_assert_str_eq(s.libvirt.version, "10.10.2");
	ck_assert_uint_eq(s.libvirt.major, 10);
	ck_assert_uint_eq(s.libvirt.minor, 10);
	tree_remove();
}
END_TEST

START_TEST(nothing_is_found_in_an_empty_tree)
{
	tree_make();
	tree_file("usr/share/qemu/firmware/x.json", "{\"aarch64\": \"uefi\"}");
	pst_host_software_scan(&tree, &s);
	ck_assert_str_eq(s.qemu.path, "");
	ck_assert_str_eq(s.ovmf.path, "");
	ck_assert(!s.ovmf_descriptors);
	ck_assert(!s.has_usr);
	tree_remove();
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, upstreams_version_has_no_epoch_and_no_revision);
	tcase_add_test(tc, debians_records_tell_versions);
	tcase_add_test(tc, pacmans_directories_tell_versions);
	tcase_add_test(tc, nixos_has_them_in_its_store);
	tcase_add_test(tc, libvirts_library_tells_its_version_too);
	tcase_add_test(tc, nothing_is_found_in_an_empty_tree);
}

int main(void)
{
	return pst_unit_run("software", add, 10);
}
