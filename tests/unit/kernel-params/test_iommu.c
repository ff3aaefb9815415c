/* SPDX-License-Identifier: MIT */
/* The IOMMU: widths out of registers and tables, units, groups. */
#include "kernel-params/machine/iommu.h"
#include "tests/fixtures/hosttree.h"
#include "tests/fixtures/unit.h"

static struct pst_host_pci pci;
static struct pst_host_iommu iommu;
static struct pst_error err;

START_TEST(intels_width_is_the_smaller_of_address_and_levels)
{
	ck_assert_uint_eq(pst_host_iommu_intel_width(0xd2078c106f0466), 48);
	/* MGAW 39 (38 + 1), three levels, as consumer boards have it. */
	ck_assert_uint_eq(pst_host_iommu_intel_width(38ULL << 16 | 2 << 8), 39);
	ck_assert_uint_eq(pst_host_iommu_intel_width(47ULL << 16 | 2 << 8), 39);
	ck_assert_uint_eq(pst_host_iommu_intel_width(56ULL << 16 | 12 << 8),
			  57);
	ck_assert_uint_eq(pst_host_iommu_intel_width(0), 0);
}
END_TEST

START_TEST(amds_width_is_by_levels)
{
	ck_assert_uint_eq(pst_host_iommu_amd_width(0), 48);
	ck_assert_uint_eq(pst_host_iommu_amd_width(1 << 10), 57);
	ck_assert_uint_eq(pst_host_iommu_amd_width(2 << 10), 64);
	ck_assert_uint_eq(pst_host_iommu_amd_width(3 << 10), 0);
}
END_TEST

START_TEST(a_table_too_short_tells_no_width)
{
	uint8_t t[48] = "DMAR";

	t[36] = 38;
	ck_assert_uint_eq(pst_host_iommu_dmar_width(t, sizeof(t)), 39);
	ck_assert_uint_eq(pst_host_iommu_dmar_width(t, 4), 0);
	ck_assert_uint_eq(pst_host_iommu_dmar_width(t, 39), 0);
	ck_assert_uint_eq(pst_host_iommu_ivrs_width(t, sizeof(t)), 0);
	memcpy(t, "IVRS", 4);
	t[37] = 48 | 0x80;
	ck_assert_uint_eq(pst_host_iommu_ivrs_width(t, sizeof(t)), 48);
}
END_TEST

static void scan(void)
{
	pst_host_pci_done(&pci);
	pst_host_iommu_done(&iommu);
	ck_assert_int_eq(pst_host_pci_scan(&tree, &pci, &err), 0);
	ck_assert_int_eq(pst_host_iommu_scan(&tree, &pci, &iommu, &err), 0);
}

static void done(void)
{
	pst_host_pci_done(&pci);
	pst_host_iommu_done(&iommu);
	tree_remove();
}

START_TEST(units_and_groups_are_found)
{
	tree_make();
	scan();
	ck_assert_int_eq(iommu.kind, PST_HOST_IOMMU_NONE);
	ck_assert_uint_eq(iommu.n_groups, 0);
	tree_file("sys/class/iommu/.keep", "");
	tree_file("sys/devices/virtual/iommu/ivhd0/amd-iommu/features",
		  "58f77ef22294a5a:0\n");
	tree_link("sys/class/iommu/ivhd0", "../../devices/virtual/iommu/ivhd0");
	tree_file("sys/firmware/acpi/tables/IVRS", "IVRS");
	tree_pci(&(struct tree_pci){"0000:01:00.0", "0x10de", "0x2bb1",
				    "0x030000", NULL, 14, NULL});
	tree_dir("sys/kernel/iommu_groups/x");
	scan();
	ck_assert_int_eq(iommu.kind, PST_HOST_IOMMU_AMD);
	ck_assert_uint_eq(iommu.n_units, 1);
	ck_assert_uint_eq(iommu.width_bits, 64);
	ck_assert(iommu.has_ivrs && !iommu.has_dmar);
	ck_assert_uint_eq(iommu.table_bits, 0);
	ck_assert_uint_eq(iommu.n_groups, 1);
	ck_assert_int_eq(iommu.group[0].id, 14);
	ck_assert_str_eq(iommu.group[0].type, "DMA-FQ");
	done();
}
END_TEST

START_TEST(the_smallest_unit_counts)
{
	tree_make();
	tree_file("sys/class/iommu/dmar0/intel-iommu/cap", "d2078c106f0466");
	tree_file("sys/class/iommu/dmar1/intel-iommu/cap", "260206");
	tree_file("sys/class/iommu/dmar2/intel-iommu/cap", "not hex");
	scan();
	ck_assert_uint_eq(iommu.n_units, 3);
	ck_assert_uint_eq(iommu.width_bits, 39);
	done();
}
END_TEST

START_TEST(a_lost_link_is_found_in_the_groups_list)
{
	tree_make();
	tree_pci(&(struct tree_pci){"0000:01:00.0", "0x10de", "0x2bb1",
				    "0x030000", NULL, -1, NULL});
	tree_file("sys/kernel/iommu_groups/7/devices/0000:01:00.0", "");
	tree_file("sys/kernel/iommu_groups/7/devices/platform.0", "");
	scan();
	ck_assert_int_eq(pci.dev[0].iommu_group, 7);
	ck_assert_uint_eq(iommu.group[0].n_others, 1);
	done();
}
END_TEST

START_TEST(a_group_that_only_a_link_tells_of_counts)
{
	tree_make();
	tree_pci(&(struct tree_pci){"0000:01:00.0", "0x10de", "0x2bb1",
				    "0x030000", NULL, 5, NULL});
	tree_pci(&(struct tree_pci){"0000:01:00.1", "0x10de", "0x22e8",
				    "0x040300", NULL, 5, NULL});
	ck_assert_int_eq(rename(tmpdir_path("sys/kernel"), tmpdir_path("gone")),
			 0);
	scan();
	ck_assert_uint_eq(iommu.n_groups, 1);
	ck_assert_int_eq(iommu.group[0].id, 5);
	done();
}
END_TEST

START_TEST(the_closure_has_all_groups_of_the_cards_functions)
{
	const struct pst_host_pci_dev *m[8];

	tree_make();
	tree_pci(&(struct tree_pci){"0000:00:01.0", "0x8086", "0x1901",
				    "0x060400", "pcieport", 1, NULL});
	tree_pci(&(struct tree_pci){"0000:01:00.0", "0x10de", "0x17c2",
				    "0x030000", NULL, 1, NULL});
	tree_pci(&(struct tree_pci){"0000:01:00.1", "0x10de", "0x0fb0",
				    "0x040300", NULL, 2, NULL});
	tree_pci(&(struct tree_pci){"0000:02:00.0", "0x8086", "0x1533",
				    "0x020000", "igb", 2, NULL});
	tree_pci(&(struct tree_pci){"0000:03:00.0", "0x144d", "0xa808",
				    "0x010802", "nvme", 3, NULL});
	scan();
	ck_assert_uint_eq(pst_host_iommu_closure(&pci, &pci.dev[1], m, 8), 4);
	ck_assert_str_eq(m[0]->name, "0000:00:01.0");
	ck_assert_str_eq(m[3]->name, "0000:02:00.0");
	ck_assert_uint_eq(pst_host_iommu_closure(&pci, &pci.dev[1], m, 1), 4);
	done();
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, intels_width_is_the_smaller_of_address_and_levels);
	tcase_add_test(tc, amds_width_is_by_levels);
	tcase_add_test(tc, a_table_too_short_tells_no_width);
	tcase_add_test(tc, units_and_groups_are_found);
	tcase_add_test(tc, the_smallest_unit_counts);
	tcase_add_test(tc, a_lost_link_is_found_in_the_groups_list);
	tcase_add_test(tc, a_group_that_only_a_link_tells_of_counts);
	tcase_add_test(tc, the_closure_has_all_groups_of_the_cards_functions);
}

int main(void)
{
	return pst_unit_run("iommu", add, 10);
}
