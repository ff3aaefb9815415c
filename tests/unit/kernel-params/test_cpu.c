/* SPDX-License-Identifier: MIT */
/* Processors: sets, cpuinfo, topology. */
#include "kernel-params/machine/cpu.h"
#include "tests/fixtures/hosttree.h"
#include "tests/fixtures/unit.h"

START_TEST(a_set_is_a_list_of_ranges)
{
	static const char *const bad[] = {"a",    "1-",     "-1",   "3-1",
					  "1,,2", "1,",     "4096", "0-4096",
					  "1 2",  "999999", "1;2"};
	struct pst_host_cpuset s;
	char buf[64];
	size_t i;

	ck_assert_int_eq(pst_host_cpuset_parse("0-3,8,10-11", &s), 0);
	ck_assert_uint_eq(pst_host_cpuset_count(&s), 7);
	ck_assert(pst_host_cpuset_has(&s, 8) && !pst_host_cpuset_has(&s, 9));
	ck_assert(!pst_host_cpuset_has(&s, 100000));
	ck_assert_str_eq(pst_host_cpuset_format(&s, buf, sizeof(buf)),
			 "0-3,8,10-11");
	ck_assert_str_eq(pst_host_cpuset_format(&s, buf, 4), "0-3");
	ck_assert_int_eq(pst_host_cpuset_parse("", &s), 0);
	ck_assert_uint_eq(pst_host_cpuset_count(&s), 0);
	ck_assert_int_eq(pst_host_cpuset_parse("4095", &s), 0);
	ck_assert_str_eq(pst_host_cpuset_format(&s, buf, sizeof(buf)), "4095");
	for (i = 0; i < PST_ARRAY_SIZE(bad); i++)
		ck_assert_msg(pst_host_cpuset_parse(bad[i], &s) == -EINVAL,
			      "\"%s\" was taken", bad[i]);
}
END_TEST

START_TEST(a_processor_is_read)
{
	struct pst_host_cpu cpu;
	struct pst_error err;

	tree_make();
	tree_file("proc/cpuinfo",
		  "processor\t: 0\nvendor_id\t: AuthenticAMD\n"
		  "model name\t: AMD Ryzen\nflags\t\t: fpu svml svm npt\n"
		  "address sizes\t: 48 bits physical, 48 bits virtual\n\n"
		  "processor\t: 1\nvendor_id\t: GenuineIntel\n");
	tree_file("sys/devices/system/cpu/online", "0-1,4-5\n");
	tree_file("sys/devices/system/node/online", "0-1\n");
	tree_file("sys/devices/system/node/node1/cpulist", "4-5\n");
	tree_file("sys/devices/system/cpu/cpu5/topology/core_id", "2\n");
	tree_file("sys/devices/system/cpu/cpu5/topology/thread_siblings_list",
		  "1,5\n");
	ck_assert_int_eq(pst_host_cpu_scan(&tree, &cpu, &err), 0);
	ck_assert_int_eq(cpu.vendor, PST_HOST_CPU_AMD);
	ck_assert(cpu.svm && !cpu.vmx && !cpu.hypervisor);
	ck_assert_uint_eq(cpu.phys_bits, 48);
	ck_assert_uint_eq(cpu.n_threads, 4);
	ck_assert_uint_eq(cpu.thread[3].cpu, 5);
	ck_assert_int_eq(cpu.thread[3].node, 1);
	ck_assert_int_eq(cpu.thread[3].core, 2);
	ck_assert_int_eq(cpu.thread[3].first_sibling, 1);
	ck_assert_int_eq(cpu.thread[0].node, -1);
	ck_assert_int_eq(cpu.thread[0].first_sibling, 0);
	pst_host_cpu_done(&cpu);
	tree_remove();
}
END_TEST

START_TEST(a_part_of_a_word_is_no_flag)
{
	struct pst_host_cpu cpu;
	struct pst_error err;

	tree_make();
	tree_file("proc/cpuinfo",
		  "flags : vmxx xvmx svm_lock\naddress sizes : 999999 bits\n");
	tree_file("sys/devices/system/cpu/online", "0-99999\n");
	ck_assert_int_eq(pst_host_cpu_scan(&tree, &cpu, &err), 0);
	ck_assert(!cpu.vmx && !cpu.svm);
	ck_assert_uint_eq(cpu.phys_bits, 0);
	ck_assert_uint_eq(cpu.n_threads, 0);
	pst_host_cpu_done(&cpu);
	tree_remove();
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, a_set_is_a_list_of_ranges);
	tcase_add_test(tc, a_processor_is_read);
	tcase_add_test(tc, a_part_of_a_word_is_no_flag);
}

int main(void)
{
	return pst_unit_run("cpu", add, 10);
}
