/* SPDX-License-Identifier: MIT */
/* A domain's life through libvirt, with the driver that only pretends. */
#include <string.h>

#include "libvirt-xml/virt/virt.h"
#include "libvirt-xml/xml/domain.h"
#include "tests/fixtures/unit.h"

/* It has one domain, "test", that is running and not ours, and it drops what
 * belongs to QEMU. */
#define URI "test:///default"

static struct pst_vm_virt *virt;
static struct pst_error err;

static void connect_test(void)
{
	ck_assert_msg(pst_vm_virt_open(URI, &virt, &err) == 0, "%s", err.text);
}

static void disconnect_test(void)
{
	pst_vm_virt_close(virt);
}

static char *titan(uint64_t memory)
{
	struct pst_vm_config c = {
		.name = "titan",
		.memory = memory,
		.vcpus = 2,
		.disk = "/var/lib/titan.qcow2",
		.disk_format = "qcow2",
		.node = -1,
		.cid = 42,
		.port = 7070,
		.memory_from = PST_VM_MEMORY_PLAIN,
		.region = {.via = PST_VM_VIA_NVDIMM,
			   .path = "/dev/hugepages/penstock-titan",
			   .size = 64ULL << 20,
			   .node = -1},
		.pin = {.threads = 1},
	};
	char *xml;

	ck_assert_int_eq(pst_vm_domain_xml(&c, 9000000, &xml, NULL), 0);
	return xml;
}

/* The driver wants its own domain type; the rest is as it was. */
static char *for_test(char *xml)
{
	char *kvm = strstr(xml, "type=\"kvm\""), *ret;

	ck_assert_ptr_nonnull(kvm);
	ck_assert(asprintf(&ret, "%.*stype=\"test\"%s", (int)(kvm - xml), xml,
			   kvm + strlen("type=\"kvm\"")) > 0);
	free(xml);
	return ret;
}

static void define(uint64_t memory)
{
	char *xml = for_test(titan(memory));

	ck_assert_msg(pst_vm_virt_define(virt, xml, false, &err) == 0, "%s",
		      err.text);
	free(xml);
}

static enum pst_vm_virt_state state_of(const char *name)
{
	enum pst_vm_virt_state s;

	ck_assert_int_eq(pst_vm_virt_state(virt, name, &s, &err), 0);
	return s;
}

START_TEST(a_domain_is_defined_started_stopped_and_undefined)
{
	enum pst_vm_virt_how how;

	define(512ULL << 20);
	ck_assert_int_eq(state_of("titan"), PST_VM_VIRT_OFF);
	ck_assert_int_eq(pst_vm_virt_start(virt, "titan", &err), 0);
	ck_assert_int_eq(state_of("titan"), PST_VM_VIRT_RUNNING);
	ck_assert_int_eq(pst_vm_virt_start(virt, "titan", &err), -EALREADY);
	ck_assert_int_eq(pst_vm_virt_undefine(virt, "titan", true, &err),
			 -EBUSY);
	ck_assert_int_eq(pst_vm_virt_shutdown(virt, "titan", &how, &err), 0);
	ck_assert_int_eq(how, PST_VM_VIRT_BY_ACPI);
	ck_assert_int_eq(pst_vm_virt_wait_off(virt, "titan", PST_NS_PER_S, NULL,
					      NULL, &err),
			 0);
	ck_assert_int_eq(pst_vm_virt_shutdown(virt, "titan", &how, &err),
			 -EALREADY);
	ck_assert_int_eq(pst_vm_virt_destroy(virt, "titan", &err), -EALREADY);
	ck_assert_int_eq(pst_vm_virt_undefine(virt, "titan", true, &err), 0);
	ck_assert_int_eq(pst_vm_virt_undefine(virt, "titan", true, &err),
			 -ENOENT);
	ck_assert_ptr_nonnull(strstr(err.text, "no domain \"titan\""));
}
END_TEST

START_TEST(defining_again_keeps_the_uuid_and_takes_the_rest)
{
	struct pst_vm_info info;
	char uuid[40];

	define(512ULL << 20);
	ck_assert_int_eq(pst_vm_virt_info(virt, "titan", false, &info, &err),
			 0);
	ck_assert(info.ours);
	strcpy(uuid, info.uuid);
	ck_assert_uint_eq(strlen(uuid), 36);
	define(1024ULL << 20);
	ck_assert_int_eq(pst_vm_virt_info(virt, "titan", false, &info, &err),
			 0);
	ck_assert_str_eq(info.uuid, uuid);
	ck_assert_uint_eq(info.memory, (1024ULL + 64) << 20);
	ck_assert_str_eq(info.region.path, "/dev/hugepages/penstock-titan");
	ck_assert_int_eq(pst_vm_virt_undefine(virt, "titan", false, &err), 0);
}
END_TEST

START_TEST(a_domain_of_others_is_neither_replaced_nor_undefined)
{
	static const char xml[] =
		"<domain type='test'><name>test</name><memory>1024</memory>"
		"<os><type>hvm</type></os></domain>";

	ck_assert_int_eq(pst_vm_virt_define(virt, xml, false, &err), -EEXIST);
	ck_assert_ptr_nonnull(strstr(err.text, "not Penstock's"));
	ck_assert_int_eq(pst_vm_virt_undefine(virt, "test", false, &err),
			 -EPERM);
	ck_assert_int_eq(state_of("test"), PST_VM_VIRT_RUNNING);
	/* Unless somebody says so, as patch does. */
	ck_assert_int_eq(pst_vm_virt_define(virt, xml, true, &err), 0);
}
END_TEST

START_TEST(autostart_is_set_and_told)
{
	bool on = true;

	define(512ULL << 20);
	ck_assert_int_eq(pst_vm_virt_get_autostart(virt, "titan", &on, &err),
			 0);
	ck_assert(!on);
	ck_assert_int_eq(pst_vm_virt_set_autostart(virt, "titan", true, &err),
			 0);
	ck_assert_int_eq(pst_vm_virt_get_autostart(virt, "titan", &on, &err),
			 0);
	ck_assert(on);
	ck_assert_int_eq(pst_vm_virt_undefine(virt, "titan", false, &err), 0);
}
END_TEST

START_TEST(a_list_tells_ours_from_others)
{
	struct pst_vm_virt_entry *list;
	int n, i, seen = 0;

	define(512ULL << 20);
	n = pst_vm_virt_list(virt, &list, &err);
	ck_assert_int_eq(n, 2);
	for (i = 0; i < n; i++) {
		if (strcmp(list[i].name, "titan") == 0) {
			seen++;
			ck_assert(list[i].ours && list[i].persistent);
			ck_assert_int_eq(list[i].state, PST_VM_VIRT_OFF);
			ck_assert_uint_eq(list[i].cid, 42);
			ck_assert_str_eq(list[i].region,
					 "/dev/hugepages/penstock-titan");
		} else {
			ck_assert(!list[i].ours);
			ck_assert_int_eq(list[i].state, PST_VM_VIRT_RUNNING);
		}
	}
	ck_assert_int_eq(seen, 1);
	free(list);
	ck_assert_int_eq(pst_vm_virt_undefine(virt, "titan", false, &err), 0);
}
END_TEST

START_TEST(passwords_are_only_in_what_is_to_be_defined_again)
{
	static const char xml[] =
		"<domain type='test'><name>other</name><memory>1024</memory>"
		"<os><type>hvm</type></os><devices><graphics type='vnc' "
		"port='5900' passwd='s3cret'/></devices></domain>";
	char *text;

	ck_assert_int_eq(pst_vm_virt_define(virt, xml, false, &err), 0);
	ck_assert_int_eq(pst_vm_virt_xml(virt, "other", PST_VM_VIRT_DEFINED,
					 &text, &err),
			 0);
	ck_assert_ptr_null(strstr(text, "s3cret"));
	free(text);
	ck_assert_int_eq(pst_vm_virt_xml(virt, "other", PST_VM_VIRT_SECRETS,
					 &text, &err),
			 0);
	ck_assert_ptr_nonnull(strstr(text, "passwd='s3cret'"));
	free(text);
}
END_TEST

static bool third_check(void *arg)
{
	return ++*(int *)arg >= 3;
}

START_TEST(a_wait_is_bounded_and_can_be_ended)
{
	uint64_t begin = pst_now_ns();
	int looks = 0;

	ck_assert_int_eq(pst_vm_virt_wait_off(virt, "test", 300 * PST_NS_PER_MS,
					      NULL, NULL, &err),
			 -ETIMEDOUT);
	ck_assert_uint_ge(pst_now_ns() - begin, 300 * PST_NS_PER_MS);
	ck_assert_int_eq(pst_vm_virt_wait_off(virt, "test", 60 * PST_NS_PER_S,
					      third_check, &looks, &err),
			 -ECANCELED);
	ck_assert_int_eq(looks, 3);
	ck_assert_uint_lt(pst_now_ns() - begin, 10 * PST_NS_PER_S);
}
END_TEST

/* Ends the domain from inside the wait, as the guest would. */
static bool end_it(void *arg)
{
	ck_assert_int_eq(pst_vm_virt_destroy(virt, "test", &err), 0);
	return false;
}

START_TEST(an_event_ends_the_wait)
{
	uint64_t begin = pst_now_ns();
	bool (*stop)(void *) = end_it;

	ck_assert_int_eq(pst_vm_virt_wait_off(virt, "test", 60 * PST_NS_PER_S,
					      stop, NULL, &err),
			 0);
	ck_assert_uint_lt(pst_now_ns() - begin, 10 * PST_NS_PER_S);
}
END_TEST

START_TEST(nobody_there_is_said)
{
	struct pst_vm_virt *v;

	ck_assert_int_eq(
		pst_vm_virt_open("qemu:///system?socket=/nowhere", &v, &err),
		-ECONNREFUSED);
	ck_assert_ptr_null(v);
	ck_assert_int_eq(pst_vm_virt_open("bogus:///", &v, &err),
			 -ECONNREFUSED);
	pst_vm_virt_close(NULL);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, connect_test, disconnect_test);
	tcase_add_test(tc, a_domain_is_defined_started_stopped_and_undefined);
	tcase_add_test(tc, defining_again_keeps_the_uuid_and_takes_the_rest);
	tcase_add_test(tc,
		       a_domain_of_others_is_neither_replaced_nor_undefined);
	tcase_add_test(tc, autostart_is_set_and_told);
	tcase_add_test(tc, a_list_tells_ours_from_others);
	tcase_add_test(tc, passwords_are_only_in_what_is_to_be_defined_again);
	tcase_add_test(tc, a_wait_is_bounded_and_can_be_ended);
	tcase_add_test(tc, an_event_ends_the_wait);
	tcase_add_test(tc, nobody_there_is_said);
}

int main(void)
{
	return pst_unit_run("vm_virt", add, 60);
}
