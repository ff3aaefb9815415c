/* SPDX-License-Identifier: MIT */
/* A VM's configuration: what is refused, its limits, its endpoint. */
#include <string.h>

#include "libvirt-xml/config/argv.h"
#include "libvirt-xml/config/config.h"
#include "libvirt-xml/config/hint.h"
#include "tests/fixtures/unit.h"

#define GIB (1ULL << 30)

static struct pst_vm_config good(void)
{
	struct pst_vm_config c = {
		.name = "titan",
		.memory = 16 * GIB,
		.vcpus = 8,
		.disk = "/var/lib/titan.qcow2",
		.disk_format = "qcow2",
		.node = -1,
		.cid = 42,
		.port = 7070,
		.region = {.via = PST_VM_VIA_IVSHMEM,
			   .path = "/dev/hugepages/penstock-titan",
			   .size = 4 * GIB,
			   .node = -1},
		.pin = {.threads = 1},
	};

	return c;
}

static void refused(const struct pst_vm_config *c, const char *words)
{
	struct pst_error err = {0};

	ck_assert_int_eq(pst_vm_config_check(c, &err), -EINVAL);
	ck_assert_msg(strstr(err.text, words) != NULL, "%s", err.text);
}

START_TEST(a_whole_configuration_passes)
{
	struct pst_vm_config c = good();

	ck_assert_int_eq(pst_vm_config_check(&c, NULL), 0);
}
END_TEST

START_TEST(a_bar_is_a_power_of_two_and_an_nvdimm_need_not_be)
{
	struct pst_vm_config c = good();

	c.region.size = 3 * GIB;
	refused(&c, "power of two");
	c.region.via = PST_VM_VIA_NVDIMM;
	ck_assert_int_eq(pst_vm_config_check(&c, NULL), 0);
	c.region.size = 3 * GIB + 4096;
	refused(&c, "multiple of 2 MiB");
}
END_TEST

START_TEST(shmem_lies_in_dev_shm_only)
{
	struct pst_vm_config c = good();

	c.region.via = PST_VM_VIA_SHMEM;
	refused(&c, "/dev/shm");
	strcpy(c.region.path, "/dev/shm/a/b");
	refused(&c, "/dev/shm");
	strcpy(c.region.path, "/dev/shm/penstock-titan");
	ck_assert_int_eq(pst_vm_config_check(&c, NULL), 0);
	strcpy(c.region.path, "/dev/shm/");
	refused(&c, "directory");
}
END_TEST

START_TEST(texts_that_are_no_utf8_are_refused)
{
	static const char latin1[] = "/disks/\xe4.img";
	struct pst_vm_config c = good();
	struct pst_vm_argv argv = {0};

	c.disk_backing = latin1;
	refused(&c, "--disk-backing is not UTF-8");
	c = good();
	c.disk = latin1;
	refused(&c, "--disk is not UTF-8");
	c = good();
	strcpy(c.region.path, latin1);
	refused(&c, "the region's file is not UTF-8");
	/* Nor does QEMU's line leave out what it cannot say. */
	c = good();
	c.disk_backing = latin1;
	c.disk_backing_format = "raw";
	ck_assert_int_lt(pst_vm_argv_qemu(&c, &argv, NULL), 0);
	pst_vm_argv_done(&argv);
	c = good();
	strcpy(c.region.path, "/disks/\xc3\xa4.img");
	ck_assert_int_eq(pst_vm_config_check(&c, NULL), 0);
}
END_TEST

START_TEST(names_that_are_paths_or_options_are_refused)
{
	static const char *const names[] = {"",      "../x", "a b",     "-a",
					    ".conf", "a/b",  "\xc3\xa4"};
	struct pst_vm_config c = good();
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(names); i++) {
		c.name = names[i];
		refused(&c, "not a valid domain name");
	}
	c.name = NULL;
	refused(&c, "not a valid domain name");
}
END_TEST

START_TEST(control_characters_and_relative_paths_are_refused)
{
	struct pst_vm_config c = good();

	c.disk = "/var/a\nb";
	refused(&c, "control character");
	c.disk = "titan.qcow2";
	refused(&c, "absolute");
	c = good();
	c.append = "";
	c.kernel = "/k";
	c.append = "console=ttyS0\x01";
	refused(&c, "control character");
}
END_TEST

START_TEST(empty_paths_and_odd_groups_are_refused)
{
	struct pst_vm_config c = good();

	c.disk = "";
	refused(&c, "--disk is empty");
	c = good();
	c.firmware.uefi = true;
	refused(&c, "--nvram is empty");
	c = good();
	strcpy(c.region.group, "a\nARGS=");
	refused(&c, "no name of a group");
	strcpy(c.region.group, "kvm");
	ck_assert_int_eq(pst_vm_config_check(&c, NULL), 0);
}
END_TEST

START_TEST(cids_of_the_host_are_refused)
{
	struct pst_vm_config c = good();
	uint32_t cid;

	for (cid = 0; cid < 3; cid++) {
		c.cid = cid;
		refused(&c, "host");
	}
	c.cid = UINT32_MAX;
	refused(&c, "any");
}
END_TEST

START_TEST(vendor_ids_have_twelve_characters_at_most)
{
	struct pst_vm_config c = good();

	c.vendor_id = "AuthenticAMD";
	ck_assert_int_eq(pst_vm_config_check(&c, NULL), 0);
	c.vendor_id = "AuthenticAMD1";
	refused(&c, "vendor id");
	c.vendor_id = "a,kvm=on";
	refused(&c, "vendor id");
	c.vendor_id = "";
	refused(&c, "vendor id");
}
END_TEST

START_TEST(memory_and_vcpus_have_bounds)
{
	struct pst_vm_config c = good();

	c.memory = 0;
	refused(&c, "memory");
	c.memory = UINT64_MAX & ~((2ULL << 20) - 1);
	refused(&c, "memory");
	c = good();
	c.vcpus = 0;
	refused(&c, "vCPUs");
	c.vcpus = PST_VM_MAX_VCPUS + 1;
	refused(&c, "vCPUs");
}
END_TEST

START_TEST(the_lock_limit_covers_memory_region_and_bars)
{
	struct pst_vm_config c = good();

	ck_assert_uint_eq(pst_vm_memlock(&c), 0);
	c.n_gpu = 2;
	c.gpu[0].bars = 256ULL << 20;
	c.gpu[1].bars = 16384;
	ck_assert_uint_eq(pst_vm_memlock(&c), 16 * GIB + 4 * GIB + 2 * GIB +
						      (256ULL << 20) + 16384);
	c.gpu[1].bars = UINT64_MAX;
	ck_assert_uint_eq(pst_vm_memlock(&c), UINT64_MAX);
}
END_TEST

START_TEST(the_endpoint_names_cid_port_and_region)
{
	struct pst_vm_config c = good();
	char uri[256], small[40];

	ck_assert_int_eq(pst_vm_config_endpoint(&c, uri, sizeof(uri), NULL), 0);
	ck_assert_str_eq(uri, "vsock://42:7070?region="
			      "/dev/hugepages/penstock-titan");
	ck_assert_int_eq(pst_vm_config_endpoint(&c, small, sizeof(small), NULL),
			 -EMSGSIZE);
	c.vsock_socket = "/run/v";
	c.vsock_uds = "/run/a b:%?";
	ck_assert_int_eq(pst_vm_config_endpoint(&c, uri, sizeof(uri), NULL), 0);
	ck_assert_str_eq(uri, "vsock-uds:///run/a%20b%3A%25%3F:7070?region="
			      "/dev/hugepages/penstock-titan");
}
END_TEST

START_TEST(nvdimm_is_chosen_on_amd_and_with_uefi)
{
	ck_assert_int_eq(pst_vm_via_choose(false, false), PST_VM_VIA_IVSHMEM);
	ck_assert_int_eq(pst_vm_via_choose(true, false), PST_VM_VIA_NVDIMM);
	ck_assert_int_eq(pst_vm_via_choose(false, true), PST_VM_VIA_NVDIMM);
}
END_TEST

START_TEST(usual_failures_have_a_hint)
{
	static const struct {
		const char *text, *words;
	} cases[] = {
		{"unable to map backing store for guest RAM: Cannot allocate "
		 "memory",
		 "pool"},
		{"hugetlbfs filesystem is not mounted or disabled by "
		 "administrator config",
		 "-o pagesize=2M none"},
		{"VFIO_MAP_DMA failed: Cannot allocate memory", "hard_limit"},
		{"VFIO_MAP_DMA failed: Invalid argument", "IOMMU"},
		{"vhost-vsock: unable to set guest cid: Address already in use",
		 "--cid"},
		{"vfio 0000:01:00.0: group 1 is not viable", "IOMMU group"},
		{"can't open backing store /dev/hugepages/penstock-t for guest "
		 "RAM: Permission denied",
		 "AppArmor"},
		{"Requested operation is not valid: network 'default' is not "
		 "active",
		 "net-start"},
		{"Cannot access storage file '/root/t.qcow2' (as uid:64055, "
		 "gid:64055): Permission denied",
		 "/var/lib/libvirt/images"},
	};
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(cases); i++) {
		const char *hint = pst_vm_hint(cases[i].text);

		ck_assert_msg(hint && strstr(hint, cases[i].words), "%s: %s",
			      cases[i].text, hint ? hint : "none");
	}
	ck_assert_ptr_null(pst_vm_hint("no boot device"));
}
END_TEST

/* ---- Command lines ------------------------------------------------------ */

static const char *value_of(const struct pst_vm_argv *a, const char *option,
			    const char *containing)
{
	size_t i;

	for (i = 0; i + 1 < a->n; i++)
		if (strcmp(a->v[i], option) == 0 &&
		    strstr(a->v[i + 1], containing))
			return a->v[i + 1];
	return NULL;
}

START_TEST(qemu_gets_the_region_as_a_bar_and_commas_doubled)
{
	struct pst_vm_config c = good();
	struct pst_vm_argv a;

	strcpy(c.region.path, "/dev/hugepages/a,b");
	ck_assert_int_eq(pst_vm_argv_qemu(&c, &a, NULL), 0);
	ck_assert_str_eq(value_of(&a, "-object", "penstock-region"),
			 "memory-backend-file,id=penstock-region,share=on,"
			 "mem-path=/dev/hugepages/a,,b,size=4294967296");
	ck_assert_str_eq(value_of(&a, "-device", "ivshmem"),
			 "ivshmem-plain,id=penstock-shm,memdev=penstock-region,"
			 "bus=pcie.0,addr=0x1c");
	ck_assert_str_eq(value_of(&a, "-device", "vsock"),
			 "vhost-vsock-pci,guest-cid=42");
	pst_vm_argv_done(&a);
}
END_TEST

START_TEST(qemu_shares_memory_by_a_descriptor_with_a_vsock_daemon)
{
	struct pst_vm_config c = good();
	struct pst_vm_argv a;

	c.memory_from = PST_VM_MEMORY_PLAIN;
	c.vsock_socket = "/run/v";
	c.vsock_uds = "/run/u";
	ck_assert_int_eq(pst_vm_argv_qemu(&c, &a, NULL), 0);
	ck_assert_str_eq(value_of(&a, "-object", "id=ram"),
			 "memory-backend-memfd,id=ram,size=17179869184,"
			 "share=on");
	ck_assert_ptr_null(value_of(&a, "-device", "guest-cid"));
	pst_vm_argv_done(&a);
}
END_TEST

START_TEST(qemu_limits_address_bits_and_hides_kvm_when_asked)
{
	struct pst_vm_config c = good();
	struct pst_vm_argv a;

	c.phys_bits = 39;
	c.hide_kvm = true;
	c.vendor_id = "penstock";
	ck_assert_int_eq(pst_vm_argv_qemu(&c, &a, NULL), 0);
	ck_assert_str_eq(value_of(&a, "-cpu", ""),
			 "host,host-phys-bits=on,host-phys-bits-limit=39,"
			 "kvm=off,hv-vendor-id=penstock");
	pst_vm_argv_done(&a);
	c = good();
	c.topoext = true;
	ck_assert_int_eq(pst_vm_argv_qemu(&c, &a, NULL), 0);
	ck_assert_str_eq(value_of(&a, "-cpu", ""), "host,topoext=on");
	pst_vm_argv_done(&a);
	c = good();
	c.n_gpu = 1;
	ck_assert_int_eq(pst_vm_argv_qemu(&c, &a, NULL), 0);
	ck_assert_str_eq(value_of(&a, "-cpu", ""), "host,migratable=off");
	pst_vm_argv_done(&a);
}
END_TEST

START_TEST(cloud_hypervisor_gets_a_shared_zone_and_hybrid_vsock)
{
	struct pst_vm_config c = good();
	struct pst_vm_argv a;

	c.vsock_uds = "/run/penstock/titan.vsock";
	c.node = 1;
	ck_assert_int_eq(pst_vm_argv_cloud_hypervisor(&c, &a, NULL), 0);
	ck_assert_str_eq(value_of(&a, "--memory", ""), "size=0");
	ck_assert_str_eq(value_of(&a, "--memory-zone", "id=ram"),
			 "id=ram,size=17179869184,shared=on,hugepages=on,"
			 "hugepage_size=2M,host_numa_node=1");
	ck_assert_str_eq(value_of(&a, value_of(&a, "--memory-zone", ""), ""),
			 "id=region,size=4294967296,"
			 "file=/dev/hugepages/penstock-titan,shared=on");
	ck_assert_str_eq(value_of(&a, "--vsock", ""),
			 "cid=42,socket=/run/penstock/titan.vsock");
	ck_assert_ptr_null(value_of(&a, "--cmdline", ""));
	pst_vm_argv_done(&a);
	/* 4 GiB behind 16 GiB, of which 13 lie above the hole. */
	c.kernel = "/k";
	c.append = "quiet";
	ck_assert_int_eq(pst_vm_argv_cloud_hypervisor(&c, &a, NULL), 0);
	ck_assert_str_eq(value_of(&a, "--cmdline", ""),
			 "quiet memmap=4096M!17408M");
	pst_vm_argv_done(&a);
}
END_TEST

START_TEST(cloud_hypervisor_refuses_what_it_does_not_have)
{
	struct pst_vm_config c = good();
	struct pst_error err = {0};
	struct pst_vm_argv a;

	c.vsock_uds = "/run/s";
	c.hide_kvm = true;
	ck_assert_int_eq(pst_vm_argv_cloud_hypervisor(&c, &a, &err),
			 -EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(err.text, "--hide-kvm"));
	pst_vm_argv_done(&a);
	c.hide_kvm = false;
	c.disk = "/a,readonly=on";
	ck_assert_int_eq(pst_vm_argv_cloud_hypervisor(&c, &a, &err), -EINVAL);
	pst_vm_argv_done(&a);
	ck_assert_int_eq(pst_vm_argv_firecracker(&err), -EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(err.text, "VFIO"));
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, a_whole_configuration_passes);
	tcase_add_test(tc, a_bar_is_a_power_of_two_and_an_nvdimm_need_not_be);
	tcase_add_test(tc, shmem_lies_in_dev_shm_only);
	tcase_add_test(tc, texts_that_are_no_utf8_are_refused);
	tcase_add_test(tc, names_that_are_paths_or_options_are_refused);
	tcase_add_test(tc, control_characters_and_relative_paths_are_refused);
	tcase_add_test(tc, empty_paths_and_odd_groups_are_refused);
	tcase_add_test(tc, cids_of_the_host_are_refused);
	tcase_add_test(tc, vendor_ids_have_twelve_characters_at_most);
	tcase_add_test(tc, memory_and_vcpus_have_bounds);
	tcase_add_test(tc, the_lock_limit_covers_memory_region_and_bars);
	tcase_add_test(tc, the_endpoint_names_cid_port_and_region);
	tcase_add_test(tc, nvdimm_is_chosen_on_amd_and_with_uefi);
	tcase_add_test(tc, usual_failures_have_a_hint);
	tcase_add_test(tc, qemu_gets_the_region_as_a_bar_and_commas_doubled);
	tcase_add_test(tc,
		       qemu_shares_memory_by_a_descriptor_with_a_vsock_daemon);
	tcase_add_test(tc, qemu_limits_address_bits_and_hides_kvm_when_asked);
	tcase_add_test(tc,
		       cloud_hypervisor_gets_a_shared_zone_and_hybrid_vsock);
	tcase_add_test(tc, cloud_hypervisor_refuses_what_it_does_not_have);
}

int main(void)
{
	return pst_unit_run("vm_config", add, 10);
}
