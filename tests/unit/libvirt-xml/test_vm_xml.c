/* SPDX-License-Identifier: MIT */
/* A configuration as domain XML: its pieces, its escapes, the schema. */
#include <string.h>

#include "libvirt-xml/xml/domain.h"
#include "libvirt-xml/xml/info.h"
#include "libvirt-xml/xml/schema.h"
#include "tests/fixtures/unit.h"

#define GIB    (1ULL << 30)
#define OLD    9000000UL
#define MODERN 10000000UL

static struct pst_vm_config titan(enum pst_vm_via via)
{
	struct pst_vm_config c = {
		.name = "titan",
		.memory = 16 * GIB,
		.vcpus = 4,
		.disk = "/var/lib/titan.qcow2",
		.disk_format = "qcow2",
		.gpu = {{.addr = {.bus = 0x99}, .bars = 272ULL << 20},
			{.addr = {.bus = 0x99, .fn = 1}, .bars = 16384}},
		.n_gpu = 2,
		.node = 1,
		.phys_bits = 40,
		.cid = 42,
		.port = 7070,
		.region = {.via = via,
			   .path = "/dev/hugepages/penstock-titan",
			   .size = 4 * GIB,
			   .node = 1,
			   .group = "kvm"},
		.pin = {.n = 4, .cpu = {5, 13, 6, 14}, .threads = 2},
		.firmware = {.uefi = true,
			     .code = "/ovmf/code.fd",
			     .vars_template = "/ovmf/vars.fd",
			     .vars = "/nvram/titan_VARS.fd",
			     .format = "raw"},
	};

	pst_host_cpuset_add(&c.pin.emulator, 4);
	return c;
}

/* The domain's XML, valid for libvirt's schema where that is installed. */
static char *xml_of(const struct pst_vm_config *c, unsigned long version)
{
	struct pst_error err = {0};
	char *xml;
	int r;

	ck_assert_int_eq(pst_vm_config_check(c, NULL), 0);
	ck_assert_int_eq(pst_vm_domain_xml(c, version, &xml, &err), 0);
	if (version == OLD) {
		r = pst_vm_schema_check(xml, PST_VM_SCHEMA, &err);
		ck_assert_msg(r == 0 || r == -ENOENT, "%s\n%s", err.text, xml);
	}
	return xml;
}

static void has(const char *xml, const char *part)
{
	ck_assert_msg(strstr(xml, part) != NULL, "no %s in\n%s", part, xml);
}

static void has_not(const char *xml, const char *part)
{
	ck_assert_msg(strstr(xml, part) == NULL, "%s in\n%s", part, xml);
}

START_TEST(an_nvdimm_has_a_slot_a_node_and_shared_access)
{
	struct pst_vm_config c = titan(PST_VM_VIA_NVDIMM);
	char *xml = xml_of(&c, OLD);

	has(xml, "<maxMemory unit=\"KiB\" slots=\"1\">20971520</maxMemory>");
	has(xml, "<cell id=\"0\" cpus=\"0-3\" memory=\"16777216\" "
		 "unit=\"KiB\"/>");
	has(xml, "<memory model=\"nvdimm\" access=\"shared\">");
	has(xml, "<path>/dev/hugepages/penstock-titan</path>");
	has(xml, "<alignsize unit=\"KiB\">2048</alignsize>");
	has(xml, "<size unit=\"KiB\">4194304</size>");
	has_not(xml, "qemu:");
	free(xml);
}
END_TEST

START_TEST(what_lies_under_the_disk_is_said)
{
	struct pst_vm_config c = titan(PST_VM_VIA_NVDIMM);
	char *xml = xml_of(&c, OLD);

	has(xml, "<backingStore/>");
	free(xml);
	c.disk_backing = "/var/base.img";
	c.disk_backing_format = "raw";
	xml = xml_of(&c, OLD);
	has(xml, "<backingStore type=\"file\">");
	has(xml, "<format type=\"raw\"/>");
	has(xml, "<source file=\"/var/base.img\"/>");
	has(xml, "<backingStore/>");
	free(xml);
}
END_TEST

START_TEST(ivshmem_goes_by_arguments_with_an_address)
{
	struct pst_vm_config c = titan(PST_VM_VIA_IVSHMEM);
	char *xml = xml_of(&c, OLD);

	has(xml, "xmlns:qemu=\"http://libvirt.org/schemas/domain/qemu/1.0\"");
	has(xml, "<qemu:arg value=\"memory-backend-file,id=penstock-region,"
		 "share=on,mem-path=/dev/hugepages/penstock-titan,"
		 "size=4294967296\"/>");
	has(xml, "memdev=penstock-region,bus=pcie.0,addr=0x1c\"/>");
	has_not(xml, "maxMemory");
	free(xml);
}
END_TEST

START_TEST(shmem_is_libvirts_own)
{
	struct pst_vm_config c = titan(PST_VM_VIA_SHMEM);
	char *xml;

	strcpy(c.region.path, "/dev/shm/penstock-titan");
	xml = xml_of(&c, OLD);
	has(xml, "<shmem name=\"penstock-titan\">");
	has(xml, "<size unit=\"M\">4096</size>");
	has_not(xml, "qemu:");
	free(xml);
}
END_TEST

START_TEST(every_function_is_passed_and_the_lock_limit_set)
{
	struct pst_vm_config c = titan(PST_VM_VIA_NVDIMM);
	char *xml;

	c.rom = "/roms/titan.rom";
	xml = xml_of(&c, OLD);
	has(xml, "<address domain=\"0x0000\" bus=\"0x99\" slot=\"0x00\" "
		 "function=\"0x0\"/>");
	has(xml, "<address domain=\"0x0000\" bus=\"0x99\" slot=\"0x00\" "
		 "function=\"0x1\"/>");
	/* 16 + 4 + 2 GiB, 272 MiB, 16 KiB */
	has(xml, "<hard_limit unit=\"KiB\">23347216</hard_limit>");
	has(xml, "<rom file=\"/roms/titan.rom\"/>");
	ck_assert_ptr_null(strstr(strstr(xml, "<rom ") + 1, "<rom "));
	has(xml, "<memballoon model=\"none\"/>");
	has(xml, "check=\"none\" migratable=\"off\"");
	has_not(xml, "<interface");
	free(xml);
}
END_TEST

START_TEST(without_a_card_there_is_no_limit)
{
	struct pst_vm_config c = titan(PST_VM_VIA_NVDIMM);
	char *xml;

	c.n_gpu = 0;
	xml = xml_of(&c, OLD);
	has_not(xml, "memtune");
	has_not(xml, "hostdev");
	free(xml);
}
END_TEST

START_TEST(address_bits_are_limited_where_libvirt_can)
{
	struct pst_vm_config c = titan(PST_VM_VIA_NVDIMM);
	struct pst_error err = {0};
	char *xml = xml_of(&c, OLD);

	has_not(xml, "maxphysaddr");
	ck_assert_int_eq(pst_vm_domain_limits(&c, OLD, &err), -EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(err.text, "9.0.0"));
	ck_assert_ptr_nonnull(strstr(err.text, "40 bits"));
	free(xml);
	xml = xml_of(&c, MODERN);
	has(xml, "<maxphysaddr mode=\"passthrough\" limit=\"40\"/>");
	ck_assert_int_eq(pst_vm_domain_limits(&c, MODERN, &err), 0);
	free(xml);
}
END_TEST

START_TEST(vcpus_are_pinned_with_their_topology)
{
	struct pst_vm_config c = titan(PST_VM_VIA_NVDIMM);
	char *xml = xml_of(&c, OLD);

	has(xml, "<vcpupin vcpu=\"1\" cpuset=\"13\"/>");
	has(xml, "<emulatorpin cpuset=\"4\"/>");
	has(xml, "cores=\"2\" threads=\"2\"/>");
	has(xml, "nodeset=\"1\"/>");
	free(xml);
}
END_TEST

START_TEST(amd_shows_threads_only_with_a_word_of_its_own)
{
	struct pst_vm_config c = titan(PST_VM_VIA_NVDIMM);
	char *xml = xml_of(&c, OLD);

	has_not(xml, "topoext");
	free(xml);
	c.topoext = true;
	xml = xml_of(&c, OLD);
	has(xml, "<feature policy=\"require\" name=\"topoext\"/>");
	free(xml);
}
END_TEST

START_TEST(kvm_is_hidden_only_when_asked)
{
	struct pst_vm_config c = titan(PST_VM_VIA_NVDIMM);
	char *xml = xml_of(&c, OLD);

	has_not(xml, "hidden");
	has_not(xml, "vendor_id");
	free(xml);
	c.hide_kvm = true;
	c.vendor_id = "penstock";
	c.network = "default";
	xml = xml_of(&c, OLD);
	has(xml, "<hidden state=\"on\"/>");
	has(xml, "<vendor_id state=\"on\" value=\"penstock\"/>");
	has(xml, "<source network=\"default\"/>");
	free(xml);
}
END_TEST

START_TEST(a_vhost_user_vsock_makes_memory_shared)
{
	struct pst_vm_config c = titan(PST_VM_VIA_IVSHMEM);
	char *xml;

	c.vsock_socket = "/run/vhost.sock";
	c.vsock_uds = "/run/vsock";
	c.memory_from = PST_VM_MEMORY_PLAIN;
	c.emulated = true;
	c.n_gpu = 0;
	xml = xml_of(&c, OLD);
	has(xml, "<domain xmlns:qemu=");
	has(xml, "type=\"qemu\"");
	has(xml, "<source type=\"memfd\"/>");
	has(xml, "<access mode=\"shared\"/>");
	has(xml, "vhost-user-vsock-pci,id=penstock-vsock0,"
		 "chardev=penstock-vsock,bus=pcie.0,addr=0x1d");
	has(xml, "mode=\"maximum\"");
	has_not(xml, "<cid");
	free(xml);
}
END_TEST

START_TEST(libvirt_may_choose_the_firmware)
{
	struct pst_vm_config c = titan(PST_VM_VIA_NVDIMM);
	struct pst_vm_info info;
	char *xml;

	c.firmware.by_libvirt = true;
	c.firmware.code[0] = '\0';
	xml = xml_of(&c, OLD);
	has(xml, "<os firmware=\"efi\">");
	has(xml, "<nvram>/nvram/titan_VARS.fd</nvram>");
	has_not(xml, "<loader");
	ck_assert_int_eq(pst_vm_info_parse(xml, &info, NULL), 0);
	ck_assert(info.uefi);
	free(xml);
	c.firmware.uefi = false;
	xml = xml_of(&c, OLD);
	has_not(xml, "nvram");
	ck_assert_int_eq(pst_vm_info_parse(xml, &info, NULL), 0);
	ck_assert(!info.uefi);
	free(xml);
}
END_TEST

START_TEST(texts_of_users_are_escaped)
{
	struct pst_vm_config c = titan(PST_VM_VIA_IVSHMEM);
	struct pst_vm_info info;
	char *xml;

	c.disk = "/var/<disk> & \"co\"'.qcow2";
	c.kernel = "/k&k";
	c.append = "a=\"<b>\" ]]> &amp;";
	strcpy(c.region.path, "/dev/hugepages/\"/><evil/>&,x");
	xml = xml_of(&c, OLD);
	has_not(xml, "<evil");
	has_not(xml, "<disk> ");
	has(xml, "&lt;disk&gt; &amp; ");
	has(xml, "&amp;amp;");
	ck_assert_int_eq(pst_vm_info_parse(xml, &info, NULL), 0);
	ck_assert_str_eq(info.region.path, c.region.path);
	free(xml);
}
END_TEST

START_TEST(our_own_settings_come_back)
{
	struct pst_vm_config c = titan(PST_VM_VIA_NVDIMM);
	char *xml = xml_of(&c, OLD);
	struct pst_vm_info info;

	ck_assert_int_eq(pst_vm_info_parse(xml, &info, NULL), 0);
	ck_assert(info.ours);
	ck_assert_str_eq(info.name, "titan");
	ck_assert_int_eq(info.region.via, PST_VM_VIA_NVDIMM);
	ck_assert_uint_eq(info.region.size, 4 * GIB);
	ck_assert_int_eq(info.region.node, 1);
	ck_assert_str_eq(info.region.group, "kvm");
	ck_assert_uint_eq(info.cid, 42);
	ck_assert_uint_eq(info.n_hostdevs, 2);
	ck_assert_uint_eq(info.hostdev[1].fn, 1);
	ck_assert(info.agent_channel && !info.agent_connected);
	ck_assert_str_eq(info.nvram, "/nvram/titan_VARS.fd");
	ck_assert_str_eq(info.endpoint, "vsock://42:7070?region="
					"/dev/hugepages/penstock-titan");
	free(xml);
}
END_TEST

START_TEST(xml_of_others_is_read_and_not_ours)
{
	struct pst_vm_info info;
	struct pst_error err = {0};

	ck_assert_int_eq(pst_vm_info_parse("<domain><name>x</name></domain>",
					   &info, NULL),
			 0);
	ck_assert(!info.ours);
	ck_assert_int_eq(pst_vm_info_parse("<network/>", &info, &err), -EINVAL);
	ck_assert_int_eq(pst_vm_info_parse("<domain>", &info, &err), -EINVAL);
	ck_assert_int_eq(
		pst_vm_info_parse("<domain><name>x</name><metadata><p:domain "
				  "xmlns:p='urn:penstock:domain:1'><p:region "
				  "via='x'/></p:domain></metadata></domain>",
				  &info, &err),
		-EINVAL);
	ck_assert(info.ours);
	ck_assert_ptr_nonnull(strstr(err.text, "damaged"));
}
END_TEST

START_TEST(the_schema_refuses_what_is_no_domain)
{
	struct pst_error err = {0};
	int r;

	r = pst_vm_schema_check("<domain type='kvm'><name>x</name>"
				"<memory>1024</memory><bogus/></domain>",
				PST_VM_SCHEMA, &err);
	ck_assert(r == -EINVAL || r == -ENOENT);
	ck_assert_int_eq(pst_vm_schema_check("<domain/>", "/nowhere.rng", &err),
			 -ENOENT);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, an_nvdimm_has_a_slot_a_node_and_shared_access);
	tcase_add_test(tc, what_lies_under_the_disk_is_said);
	tcase_add_test(tc, ivshmem_goes_by_arguments_with_an_address);
	tcase_add_test(tc, shmem_is_libvirts_own);
	tcase_add_test(tc, every_function_is_passed_and_the_lock_limit_set);
	tcase_add_test(tc, without_a_card_there_is_no_limit);
	tcase_add_test(tc, address_bits_are_limited_where_libvirt_can);
	tcase_add_test(tc, vcpus_are_pinned_with_their_topology);
	tcase_add_test(tc, amd_shows_threads_only_with_a_word_of_its_own);
	tcase_add_test(tc, kvm_is_hidden_only_when_asked);
	tcase_add_test(tc, a_vhost_user_vsock_makes_memory_shared);
	tcase_add_test(tc, libvirt_may_choose_the_firmware);
	tcase_add_test(tc, texts_of_users_are_escaped);
	tcase_add_test(tc, our_own_settings_come_back);
	tcase_add_test(tc, xml_of_others_is_read_and_not_ours);
	tcase_add_test(tc, the_schema_refuses_what_is_no_domain);
}

int main(void)
{
	return pst_unit_run("vm_xml", add, 20);
}
