/* SPDX-License-Identifier: MIT */
/* Pinning: whole cores of the card's node, and something left for the host. */
#include <string.h>

#include "libvirt-xml/plan/pin.h"
#include "tests/fixtures/unit.h"

/* Two nodes of four cores with two threads each: CPUs n and n + 8. */
static size_t two_nodes(struct pst_host_cpu_thread *t)
{
	unsigned int i;

	for (i = 0; i < 16; i++)
		t[i] = (struct pst_host_cpu_thread){
			.cpu = i,
			.node = (int)(i % 8 / 4),
			.package = (int)(i % 8 / 4),
			.core = (int)(i % 4),
			.first_sibling = (int)(i % 8),
		};
	return 16;
}

static const char *emulator(const struct pst_vm_pin *pin)
{
	static char text[256];

	return pst_host_cpuset_format(&pin->emulator, text, sizeof(text));
}

START_TEST(siblings_are_neighbours_and_the_first_core_is_the_hosts)
{
	struct pst_host_cpu_thread t[16];
	struct pst_vm_pin pin;
	size_t n = two_nodes(t);

	ck_assert_int_eq(pst_vm_pin_choose(t, n, 1, 4, &pin, NULL), 0);
	ck_assert_uint_eq(pin.n, 4);
	ck_assert_uint_eq(pin.cpu[0], 5);
	ck_assert_uint_eq(pin.cpu[1], 13);
	ck_assert_uint_eq(pin.cpu[2], 6);
	ck_assert_uint_eq(pin.cpu[3], 14);
	ck_assert_uint_eq(pin.threads, 2);
	ck_assert_str_eq(emulator(&pin), "4,7,12,15");
}
END_TEST

START_TEST(an_odd_number_of_vcpus_has_cores_of_one_thread)
{
	struct pst_host_cpu_thread t[16];
	struct pst_vm_pin pin;
	size_t n = two_nodes(t);

	ck_assert_int_eq(pst_vm_pin_choose(t, n, 0, 3, &pin, NULL), 0);
	ck_assert_uint_eq(pin.threads, 1);
	ck_assert_uint_eq(pin.cpu[0], 1);
	ck_assert_uint_eq(pin.cpu[1], 9);
	ck_assert_uint_eq(pin.cpu[2], 2);
}
END_TEST

START_TEST(a_whole_node_is_too_much)
{
	struct pst_host_cpu_thread t[16];
	struct pst_error err = {0};
	struct pst_vm_pin pin;
	size_t n = two_nodes(t);

	ck_assert_int_eq(pst_vm_pin_choose(t, n, 0, 6, &pin, &err), 0);
	ck_assert_str_eq(emulator(&pin), "0,8");
	ck_assert_int_eq(pst_vm_pin_choose(t, n, 0, 7, &pin, &err), -ENOSPC);
	ck_assert_ptr_nonnull(strstr(err.text, "8 CPUs"));
	ck_assert_int_eq(pst_vm_pin_choose(t, n, -1, 14, &pin, NULL), 0);
	ck_assert_int_eq(pst_vm_pin_choose(t, n, -1, 15, &pin, NULL), -ENOSPC);
	ck_assert_int_eq(pst_vm_pin_choose(t, n, 2, 1, &pin, NULL), -ENOENT);
	ck_assert_int_eq(pst_vm_pin_choose(t, 0, -1, 1, &pin, NULL), -ENOENT);
	ck_assert_int_eq(pst_vm_pin_choose(t, n, 0, 0, &pin, NULL), -EINVAL);
}
END_TEST

START_TEST(cores_of_different_sizes_are_shown_as_single_threads)
{
	/* A hybrid CPU: two cores with two threads, four with one. */
	static const int sibling[] = {0, 0, 2, 2, 4, 5, 6, 7};
	struct pst_host_cpu_thread t[8];
	struct pst_vm_pin pin;
	unsigned int i;

	for (i = 0; i < 8; i++)
		t[i] = (struct pst_host_cpu_thread){
			.cpu = i,
			.node = 0,
			.first_sibling = sibling[i],
		};
	ck_assert_int_eq(pst_vm_pin_choose(t, 8, 0, 4, &pin, NULL), 0);
	ck_assert_uint_eq(pin.threads, 1);
	ck_assert_uint_eq(pin.cpu[0], 2);
	ck_assert_uint_eq(pin.cpu[2], 4);
}
END_TEST

START_TEST(a_list_is_taken_in_its_order)
{
	struct pst_host_cpu_thread t[16];
	struct pst_vm_pin pin;
	size_t n = two_nodes(t);

	ck_assert_int_eq(pst_vm_pin_list(t, n, "9,2-4", 3, &pin, NULL), 0);
	ck_assert_uint_eq(pin.cpu[0], 9);
	ck_assert_uint_eq(pin.cpu[1], 2);
	ck_assert_uint_eq(pin.cpu[2], 3);
	ck_assert_uint_eq(pin.threads, 1);
	ck_assert_str_eq(emulator(&pin), "0-1,4-8,10-15");
}
END_TEST

START_TEST(siblings_that_are_neighbours_in_a_list_are_a_core)
{
	static const struct {
		const char *list;
		uint32_t vcpus, threads;
	} cases[] = {
		{"5,13,6,14", 4, 2}, {"13,5", 2, 2},     {"5,13,6", 3, 1},
		{"5,6,13,14", 4, 1}, {"5,13,6,7", 4, 1}, {"6,5,13,7", 4, 1},
		{"5", 1, 1},
	};
	struct pst_host_cpu_thread t[16];
	struct pst_vm_pin pin;
	size_t n = two_nodes(t), i;

	for (i = 0; i < PST_ARRAY_SIZE(cases); i++) {
		ck_assert_int_eq(pst_vm_pin_list(t, n, cases[i].list,
						 cases[i].vcpus, &pin, NULL),
				 0);
		ck_assert_msg(pin.threads == cases[i].threads, "%s: %u",
			      cases[i].list, pin.threads);
	}
}
END_TEST

START_TEST(lists_that_are_none_are_refused)
{
	static const char *const bad[] = {
		"",   "x",   "1,",    ",1", "3-1",         "1-",  "1,,2",
		"1 ", "2,2", "1-3,2", "-1", "99999999999", "0x1", "1;2"};
	struct pst_host_cpu_thread t[16];
	struct pst_error err = {0};
	struct pst_vm_pin pin;
	size_t n = two_nodes(t), i;

	for (i = 0; i < PST_ARRAY_SIZE(bad); i++)
		ck_assert_msg(pst_vm_pin_list(t, n, bad[i], 1, &pin, NULL) ==
				      -EINVAL,
			      "\"%s\" is taken", bad[i]);
	/* Not "0 CPUs for 1 vCPUs". */
	for (i = 4; i < 6; i++) {
		ck_assert_int_eq(pst_vm_pin_list(t, n, bad[i], 1, &pin, &err),
				 -EINVAL);
		ck_assert_ptr_nonnull(strstr(err.text, "neither"));
	}
	ck_assert_int_eq(pst_vm_pin_list(t, n, "16", 1, &pin, NULL), -ENOENT);
	ck_assert_int_eq(pst_vm_pin_list(t, n, "1-3", 4, &pin, NULL), -EINVAL);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc,
		       siblings_are_neighbours_and_the_first_core_is_the_hosts);
	tcase_add_test(tc, an_odd_number_of_vcpus_has_cores_of_one_thread);
	tcase_add_test(tc, a_whole_node_is_too_much);
	tcase_add_test(tc,
		       cores_of_different_sizes_are_shown_as_single_threads);
	tcase_add_test(tc, a_list_is_taken_in_its_order);
	tcase_add_test(tc, siblings_that_are_neighbours_in_a_list_are_a_core);
	tcase_add_test(tc, lists_that_are_none_are_refused);
}

int main(void)
{
	return pst_unit_run("vm_pin", add, 10);
}
