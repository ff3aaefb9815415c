/* SPDX-License-Identifier: MIT */
/* What is added to a domain of others, and that nothing else changes. */
#include <string.h>

#include "kernel-params/edit/diff.h"
#include "libvirt-xml/xml/info.h"
#include "libvirt-xml/xml/patch.h"
#include "libvirt-xml/xml/schema.h"
#include "tests/fixtures/unit.h"

#define GIB (1ULL << 30)

/* As virt-manager leaves one, with a card that has its first function only. */
static const char win[] =
	"<domain type='kvm'>\n"
	"  <name>win</name>\n"
	"  <memory unit='KiB'>8388608</memory>\n"
	"  <vcpu placement='static'>6</vcpu>\n"
	"  <os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>\n"
	"  <features><acpi/></features>\n"
	"  <cpu mode='host-passthrough'/>\n"
	"  <devices>\n"
	"    <emulator>/usr/bin/qemu-system-x86_64</emulator>\n"
	"    <hostdev mode='subsystem' type='pci' managed='yes'>\n"
	"      <source>\n"
	"        <address domain='0x0000' bus='0x99' slot='0x00' "
	"function='0x0'/>\n"
	"      </source>\n"
	"    </hostdev>\n"
	"    <memballoon model='virtio'/>\n"
	"  </devices>\n"
	"</domain>\n";

static struct pst_vm_config config(enum pst_vm_via via)
{
	struct pst_vm_config c = {
		.name = "win",
		.memory = GIB,
		.vcpus = 1,
		.node = -1,
		.gpu = {{.addr = {.bus = 0x99}, .bars = 272ULL << 20},
			{.addr = {.bus = 0x99, .fn = 1}, .bars = 16384}},
		.n_gpu = 2,
		.cid = 7,
		.port = 7070,
		.region = {.via = via,
			   .path = "/dev/hugepages/penstock-win",
			   .size = 4 * GIB,
			   .node = -1},
	};

	return c;
}

/* The patched text: no line of it goes but the root element's own, and those of
 * elements that got children. */
static char *patched(const char *xml, const struct pst_vm_config *c)
{
	PST_VM_CLEANUP_PATCHED struct pst_vm_patched p = {0};
	struct pst_error err = {0};
	char *diff, *after;
	int r;

	r = pst_vm_patch(xml, c, &p, &err);
	ck_assert_msg(r == 0, "%s", err.text);
	ck_assert(!p.normalised);
	ck_assert_str_eq(p.before, xml);
	r = pst_vm_schema_check(p.after, PST_VM_SCHEMA, &err);
	ck_assert_msg(r == 0 || r == -ENOENT, "%s\n%s", err.text, p.after);
	ck_assert_int_eq(
		pst_host_diff_without("win", xml, p.after, p.secret, &diff), 0);
	ck_assert_ptr_null(strstr(diff, "\n-    <"));
	ck_assert_ptr_null(strstr(diff, "\n-      <"));
	free(diff);
	after = p.after;
	p.after = NULL;
	return after;
}

static void has(const char *xml, const char *part)
{
	ck_assert_msg(strstr(xml, part) != NULL, "no %s in\n%s", part, xml);
}

static int count(const char *xml, const char *part)
{
	int n = 0;

	for (; (xml = strstr(xml, part)); xml++)
		n++;
	return n;
}

START_TEST(what_is_missing_comes_and_what_is_there_stays)
{
	struct pst_vm_config c = config(PST_VM_VIA_IVSHMEM);
	struct pst_vm_info info;
	char *xml = patched(win, &c);

	has(xml, "<memballoon model='virtio'/>");
	ck_assert_int_eq(count(xml, "<hostdev "), 2);
	has(xml, "function='0x1'");
	/* Of the domain's own memory: 8 + 4 + 2 GiB and the BARs. */
	has(xml, "<hard_limit unit='KiB'>14958608</hard_limit>");
	has(xml, "<cid auto='no' address='7'/>");
	has(xml, "ivshmem-plain,id=penstock-shm");
	has(xml, "org.qemu.guest_agent.0");
	ck_assert_int_eq(pst_vm_info_parse(xml, &info, NULL), 0);
	ck_assert(info.ours);
	free(xml);
}
END_TEST

START_TEST(an_nvdimm_brings_a_slot_and_a_node_of_the_domains_size)
{
	struct pst_vm_config c = config(PST_VM_VIA_NVDIMM);
	char *xml = patched(win, &c);

	has(xml, "<maxMemory unit='KiB' slots='1'>12582912</maxMemory>");
	has(xml, "<cell id='0' cpus='0-5' memory='8388608'");
	has(xml, "<memory unit='KiB'>8388608</memory>");
	free(xml);
}
END_TEST

START_TEST(a_second_time_nothing_is_missing)
{
	enum pst_vm_via via;

	for (via = PST_VM_VIA_IVSHMEM; via <= PST_VM_VIA_SHMEM; via++) {
		struct pst_vm_config c = config(via);
		char *once = patched(win, &c), *twice = patched(once, &c);

		ck_assert_str_eq(once, twice);
		free(once);
		free(twice);
	}
}
END_TEST

START_TEST(a_limit_that_is_there_stays)
{
	static const char limited[] =
		"<domain type='kvm'><name>win</name><memory>1048576</memory>"
		"<memtune><hard_limit unit='KiB'>5</hard_limit></memtune>"
		"<os><type>hvm</type></os><devices/></domain>";
	struct pst_vm_config c = config(PST_VM_VIA_SHMEM);
	char *xml = patched(limited, &c);

	has(xml, "<hard_limit unit='KiB'>5</hard_limit>");
	ck_assert_int_eq(count(xml, "<hard_limit"), 1);
	free(xml);
}
END_TEST

START_TEST(texts_with_white_space_are_kept)
{
	static const char titled[] =
		"<domain type='kvm'><name>win</name><title>a  b</title>"
		"<description>\n  two\n  lines\n</description>"
		"<memory>1048576</memory><os><type>hvm</type>"
		"<cmdline>a  b </cmdline></os>\n<devices/></domain>";
	struct pst_vm_config c = config(PST_VM_VIA_SHMEM);
	char *xml = patched(titled, &c);

	has(xml, "<title>a  b</title>");
	has(xml, "<description>\n  two\n  lines\n</description>");
	has(xml, "<cmdline>a  b </cmdline>");
	free(xml);
}
END_TEST

static void refused(const char *xml, const struct pst_vm_config *c, int code,
		    const char *words)
{
	struct pst_error err = {0};
	struct pst_vm_patched p;

	ck_assert_int_eq(pst_vm_patch(xml, c, &p, &err), code);
	ck_assert_msg(strstr(err.text, words) != NULL, "%s", err.text);
}

/* A domain with a vsock device, whose <cid> has these attributes. */
#define WITH_CID(attributes)                                                   \
	"<domain type='kvm'><name>win</name><memory>1</memory><devices>"       \
	"<vsock model='virtio'><cid " attributes "/></vsock></devices>"        \
	"</domain>"

START_TEST(another_name_or_cid_is_refused)
{
	struct pst_vm_config c = config(PST_VM_VIA_SHMEM);

	refused(WITH_CID("auto='no' address='9'"), &c, -EEXIST, "CID 9");
	/* One that changes at each start, whatever the last one was. */
	refused(WITH_CID("auto='yes'"), &c, -EEXIST, "auto='no' address='7'");
	refused(WITH_CID("auto='yes' address='7'"), &c, -EEXIST, "auto='no'");
	c.name = "lin";
	refused(win, &c, -EEXIST, "the XML of \"win\"");
	refused("<x", &c, -EINVAL, "");
}
END_TEST

/* A machine of virt-manager's older kind, which uses the usual slot. */
static const char i440fx[] =
	"<domain type='kvm'><name>win</name><memory>1048576</memory>"
	"<os><type machine='pc-i440fx-7.2'>hvm</type></os><devices>"
	"<controller type='pci' index='0' model='pci-root'/>"
	"<controller type='usb' index='0' model='ich9-ehci1'>"
	"<address type='pci' domain='0x0000' bus='0x00' slot='0x1c' "
	"function='0x7'/></controller>"
	"<controller type='sata' index='0'>"
	"<address type='pci' domain='0x0000' bus='0x01' slot='0x1b' "
	"function='0x0'/></controller></devices></domain>";

START_TEST(the_bar_goes_to_the_machines_own_bus_and_a_free_slot)
{
	struct pst_vm_config c = config(PST_VM_VIA_IVSHMEM);
	char *xml = patched(i440fx, &c), *more;

	has(xml, "memdev=penstock-region,bus=pci.0,addr=0x1b'");
	/* What is there by argument is in the way too. */
	c.region.via = PST_VM_VIA_IVSHMEM;
	c.vsock_socket = "/v";
	c.vsock_uds = "/u";
	more = patched(xml, &c);
	has(more, "chardev=penstock-vsock,bus=pci.0,addr=0x1d'");
	free(more);
	free(xml);
}
END_TEST

/* A machine whose root bus has only these slots left, below 0x1e. */
static void crowd(char *xml, size_t size, uint32_t left)
{
	size_t n = (size_t)snprintf(
		xml, size,
		"<domain type='kvm'><name>win</name><memory>1048576</memory>"
		"<os><type machine='pc-i440fx-7.2'>hvm</type></os>\n<devices>");
	unsigned int slot;

	for (slot = 0; slot < 0x1e; slot++)
		if (!(left & 1U << slot))
			n += (size_t)snprintf(
				xml + n, size - n,
				"<controller type='usb' index='%u'>"
				"<address type='pci' domain='0x0000' "
				"bus='0x00' slot='%#x' function='0x0'/>"
				"</controller>\n",
				slot, slot);
	snprintf(xml + n, size - n, "</devices></domain>");
}

START_TEST(a_root_bus_without_a_free_slot_is_refused)
{
	struct pst_vm_config c = config(PST_VM_VIA_IVSHMEM);
	char xml[8192], *after;

	crowd(xml, sizeof(xml), 0);
	refused(xml, &c, -EEXIST, "no slot of the root bus below 0x1e is free");
	crowd(xml, sizeof(xml), 1U << 0x1d);
	after = patched(xml, &c);
	has(after, "bus=pci.0,addr=0x1d");
	free(after);
	c.vsock_socket = "/v";
	c.vsock_uds = "/u";
	refused(xml, &c, -EEXIST, "and 2 are wanted");
	crowd(xml, sizeof(xml), 1U << 0x1d | 1U << 5);
	after = patched(xml, &c);
	has(after, "memdev=penstock-region,bus=pci.0,addr=0x5");
	has(after, "chardev=penstock-vsock,bus=pci.0,addr=0x1d");
	free(after);
	c = config(PST_VM_VIA_SHMEM);
	crowd(xml, sizeof(xml), 0);
	free(patched(xml, &c));
}
END_TEST

/* A domain with a <maxMemory> and these devices. */
#define WITH_MEMORY(max, devices)                                              \
	"<domain type='kvm'><name>win</name>" max                              \
	"<memory unit='GiB'>1</memory><os><type>hvm</type></os>"               \
	"<devices>" devices "</devices></domain>"

START_TEST(an_nvdimm_needs_a_free_slot)
{
	static const char dimm[] = WITH_MEMORY(
		"<maxMemory slots='1' unit='GiB'>9</maxMemory>",
		"<memory model='dimm'><target><size unit='MiB'>512</size>"
		"<node>0</node></target></memory>");
	struct pst_vm_config c = config(PST_VM_VIA_NVDIMM);

	refused(dimm, &c, -EEXIST, "all 1 slots of <maxMemory> are taken");
	refused(WITH_MEMORY("<maxMemory slots='2' unit='GiB'>4</maxMemory>",
			    ""),
		&c, -EEXIST, "memory and region together (5120 MiB)");
	free(patched(
		WITH_MEMORY("<maxMemory slots='1' unit='GiB'>5</maxMemory>",
			    ""),
		&c));
	c.region.via = PST_VM_VIA_IVSHMEM;
	free(patched(dimm, &c));
}
END_TEST

START_TEST(a_domain_of_another_hypervisor_is_refused)
{
	static const char *const types[] = {"xen", "lxc", "bhyve"};
	struct pst_vm_config c = config(PST_VM_VIA_SHMEM);
	char xml[sizeof(win) + 8];
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(types); i++) {
		snprintf(xml, sizeof(xml), "<domain type='%s'%s", types[i],
			 strchr(win, '>'));
		refused(xml, &c, -EOPNOTSUPP, types[i]);
	}
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, what_is_missing_comes_and_what_is_there_stays);
	tcase_add_test(tc,
		       an_nvdimm_brings_a_slot_and_a_node_of_the_domains_size);
	tcase_add_test(tc, a_second_time_nothing_is_missing);
	tcase_add_test(tc, a_limit_that_is_there_stays);
	tcase_add_test(tc, texts_with_white_space_are_kept);
	tcase_add_test(tc, another_name_or_cid_is_refused);
	tcase_add_test(tc, a_root_bus_without_a_free_slot_is_refused);
	tcase_add_test(tc, an_nvdimm_needs_a_free_slot);
	tcase_add_test(tc, a_domain_of_another_hypervisor_is_refused);
	tcase_add_test(tc,
		       the_bar_goes_to_the_machines_own_bus_and_a_free_slot);
}

int main(void)
{
	return pst_unit_run("vm_patch", add, 20);
}
