/* SPDX-License-Identifier: MIT */
/* Relatives of reported domains: K7, the domain does it another way. Each row
 * is a domain but for some text, and what becomes of it. */
#include <string.h>

#include "libvirt-xml/xml/patch.h"
#include "tests/fixtures/unit.h"

#define GIB (1ULL << 30)

struct row {
	const char *name;
	const char *head, *inner, *devices, *behind;
	const char *refused; /* by these words; NULL: it is not */
	const char *has, *lacks;
};

#define KVM "<domain type='kvm'>"
#define ARG(ns, a)                                                             \
	"<" ns ":commandline><" ns ":arg value='-device'/><" ns                \
	":arg value='" a "'/></" ns ":commandline>"
#define XMLNS(ns)                                                              \
	"<domain type='kvm' xmlns:" ns                                         \
	"='http://libvirt.org/schemas/domain/qemu/1.0'>"
#define HOSTDEV(attrs, driver)                                                 \
	"<hostdev mode='subsystem' type='pci' " attrs ">" driver               \
	"<source><address domain='0' bus='0x99' slot='0' function='0'/>"       \
	"</source></hostdev>"
#define BUS_99 "bus='0x99' slot='0x00' function='0x0'"

static const struct row rows[] = {
	{"a card that its owner moves himself", KVM, "",
	 HOSTDEV("managed='no'", ""), "", NULL, "managed='no'", BUS_99},
	{"a card behind iommufd", KVM, "",
	 HOSTDEV("managed='yes'", "<driver iommufd='yes'/>"), "", NULL,
	 "iommufd='yes'", BUS_99},
	{"a driver of its own maker", KVM, "",
	 HOSTDEV("managed='yes'", "<driver model='nvgrace_gpu_vfio_pci'/>"), "",
	 NULL, "nvgrace", BUS_99},
	{"a card by an argument for QEMU", XMLNS("qemu"), "", "",
	 ARG("qemu", "vfio-pci,host=99:00.0,multifunction=on"),
	 "has 99:00.0 by an argument", NULL, NULL},
	{"the same with the domain and another prefix", XMLNS("q"), "", "",
	 ARG("q", "vfio-pci,sysfsdev=/sys/bus/pci/devices/0000:99:00.0"),
	 "has 99:00.0 by an argument", NULL, NULL},
	{"the same as JSON", XMLNS("qemu"), "", "",
	 ARG("qemu", "{&quot;driver&quot;:&quot;vfio-pci&quot;,"
		     "&quot;host&quot;:&quot;0000:99:00.0&quot;}"),
	 "has 99:00.0 by an argument", NULL, NULL},
	{"another card by an argument", XMLNS("qemu"), "", "",
	 ARG("qemu", "vfio-pci,host=0001:99:00.0"), NULL, BUS_99, NULL},
	{"a vsock by an argument", XMLNS("qemu"), "", "",
	 ARG("qemu", "vhost-vsock-pci,guest-cid=9"),
	 "has its vsock by an argument", NULL, NULL},
	{"memory by memfd", KVM,
	 "<memoryBacking><source type='memfd'/><access mode='shared'/>"
	 "</memoryBacking>",
	 "", "", NULL, "type='memfd'", NULL},
	{"other limits of memory", KVM,
	 "<memtune><soft_limit unit='GiB'>4</soft_limit></memtune>", "", "",
	 NULL, "<hard_limit", NULL},
	{"a domain of bhyve", "<domain type='bhyve'>", "", "", "",
	 "of type bhyve", NULL, NULL},
};

static char *domain(const struct row *r)
{
	static char xml[4096];

	snprintf(xml, sizeof(xml),
		 "%s\n<name>win</name>\n<memory unit='GiB'>8</memory>\n"
		 "<vcpu>4</vcpu>\n%s\n"
		 "<os><type arch='x86_64' machine='pc-q35-8.2'>hvm</type></os>"
		 "\n<devices>\n%s\n</devices>\n%s\n</domain>\n",
		 r->head, r->inner, r->devices, r->behind);
	return xml;
}

static void see(const struct row *r)
{
	const struct pst_vm_config c = {
		.name = "win",
		.memory = GIB,
		.vcpus = 1,
		.node = -1,
		.gpu = {{.addr = {.bus = 0x99}, .bars = 272ULL << 20}},
		.n_gpu = 1,
		.cid = 7,
		.port = 7070,
		.region = {.via = PST_VM_VIA_IVSHMEM,
			   .path = "/dev/hugepages/penstock-win",
			   .size = 4 * GIB,
			   .node = -1},
	};
	PST_VM_CLEANUP_PATCHED struct pst_vm_patched p = {0};
	struct pst_error err = {0};
	int rc = pst_vm_patch(domain(r), &c, &p, &err);
	char *quote;

	if (r->refused) {
		ck_assert_msg(rc < 0 && strstr(err.text, r->refused),
			      "%s: %d %s", r->name, rc, err.text);
		return;
	}
	ck_assert_msg(rc == 0, "%s: %s", r->name, err.text);
	/* A normalised copy has the other quotes. */
	for (quote = p.after; (quote = strchr(quote, '"'));)
		*quote = '\'';
	ck_assert_msg(!r->has || strstr(p.after, r->has), "%s: no %s in %s",
		      r->name, r->has, p.after);
	ck_assert_msg(!r->lacks || !strstr(p.after, r->lacks), "%s: %s in %s",
		      r->name, r->lacks, p.after);
}

START_TEST(k7_a_domain_may_do_it_another_way)
{
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(rows); i++)
		see(&rows[i]);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, k7_a_domain_may_do_it_another_way);
}

int main(void)
{
	return pst_unit_run("vm_kinds", add, 10);
}
