/* SPDX-License-Identifier: MIT */
/* Hugepage pools by size and node, and what is free of them. */
#include "kernel-params/machine/hugepages.h"
#include "tests/fixtures/hosttree.h"
#include "tests/fixtures/unit.h"

static void pool(const char *dir, const char *nr, const char *free_pages)
{
	char path[TREE_PATH];

	snprintf(path, sizeof(path), "%s/nr_hugepages", dir);
	tree_file(path, nr);
	snprintf(path, sizeof(path), "%s/free_hugepages", dir);
	tree_file(path, free_pages);
}

START_TEST(pools_are_read_by_size_and_node)
{
	struct pst_host_memory m;
	struct pst_error err;
	const struct pst_host_hugepool *p;

	tree_make();
	tree_file("proc/meminfo",
		  "MemTotal:   201326592 kB\n"
		  "HugePages_Total: 5\nHugepagesize: 2048 kB\n");
	pool("sys/kernel/mm/hugepages/hugepages-2048kB", "8192\n", "100\n");
	tree_file("sys/kernel/mm/hugepages/hugepages-2048kB/resv_hugepages",
		  "40\n");
	pool("sys/kernel/mm/hugepages/hugepages-1048576kB", "0", "0");
	pool("sys/kernel/mm/hugepages/hugepages-huge", "1", "1");
	pool("sys/devices/system/node/node1/hugepages/hugepages-2048kB", "4096",
	     "4096");
	tree_file("sys/devices/system/node/node1/meminfo",
		  "Node 1 MemFree: 5 kB\nNode 1 MemTotal: 100663296 kB\n");
	ck_assert_int_eq(pst_host_memory_scan(&tree, &m, &err), 0);
	ck_assert_uint_eq(m.total, 192ULL << 30);
	ck_assert_uint_eq(m.default_hugepage, PST_HOST_HUGE_2M);
	ck_assert_uint_eq(m.n_pools, 3);
	p = pst_host_memory_pool(&m, PST_HOST_HUGE_2M, -1);
	ck_assert_uint_eq(pst_host_hugepool_size(p), 16ULL << 30);
	ck_assert_uint_eq(pst_host_hugepool_unused(p), 60 * PST_HOST_HUGE_2M);
	p = pst_host_memory_pool(&m, PST_HOST_HUGE_2M, 1);
	ck_assert_uint_eq(p->nr, 4096);
	ck_assert_ptr_null(pst_host_memory_pool(&m, PST_HOST_HUGE_2M, 0));
	ck_assert_uint_eq(pst_host_memory_of_node(&m, 1), 96ULL << 30);
	ck_assert_uint_eq(pst_host_memory_of_node(&m, 0), 0);
	ck_assert_uint_eq(pst_host_hugepool_size(NULL), 0);
	pst_host_memory_done(&m);
	tree_remove();
}
END_TEST

START_TEST(garbage_makes_no_pool)
{
	struct pst_host_memory m;
	struct pst_error err;

	tree_make();
	tree_file("proc/meminfo", "MemTotal: lots\n");
	pool("sys/kernel/mm/hugepages/hugepages-2048kB", "-1", "0");
	pool("sys/kernel/mm/hugepages/hugepages-64kB", "1", "x");
	pool("sys/kernel/mm/hugepages/hugepages-0kB", "1", "1");
	pool("sys/kernel/mm/hugepages/hugepages-32kB", "99999999999999999",
	     "1");
	pool("sys/kernel/mm/hugepages/hugepages-2048kBx", "1", "1");
	pool("sys/devices/system/node/node/hugepages/hugepages-2048kB", "1",
	     "1");
	ck_assert_int_eq(pst_host_memory_scan(&tree, &m, &err), 0);
	ck_assert_uint_eq(m.total, 0);
	ck_assert_uint_eq(m.n_pools, 0);
	pst_host_memory_done(&m);
	tree_remove();
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, pools_are_read_by_size_and_node);
	tcase_add_test(tc, garbage_makes_no_pool);
}

int main(void)
{
	return pst_unit_run("hugepages", add, 10);
}
