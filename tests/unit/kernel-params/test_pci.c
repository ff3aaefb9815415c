/* SPDX-License-Identifier: MIT */
/* PCI functions: addresses, resources, cards, doubles, and which is the GPU. */
#include "kernel-params/machine/pci.h"
#include "tests/fixtures/hosttree.h"
#include "tests/fixtures/unit.h"

static struct pst_host_pci pci;
static struct pst_error err;
static const struct pst_host_pci_dev *gpu;

START_TEST(an_address_is_hexadecimal_and_whole)
{
	static const char *const bad[] = {
		"",
		"1",
		"0000:01:00",
		"01:00.8",
		"01:20.0",
		"0000:01:00.0 ",
		"g:00.0",
		"0000:001:00.0",
		"123456789:01:00.0",
		"-1:00.0",
		"0x1:00.0",
		"1:00.0.0",
		"00:0000:01:00.0",
		":01:00.0",
		"01:.0",
		"01:00.",
	};
	struct pst_host_pci_addr a;
	char buf[PST_HOST_PCI_ADDR_LEN];
	size_t i;

	ck_assert_int_eq(pst_host_pci_addr_parse("0000:99:1f.7", &a), 0);
	ck_assert_str_eq(pst_host_pci_addr_format(&a, buf), "0000:99:1f.7");
	ck_assert_int_eq(pst_host_pci_addr_parse("1:0.0", &a), 0);
	ck_assert_str_eq(pst_host_pci_addr_format(&a, buf), "0000:01:00.0");
	ck_assert_int_eq(pst_host_pci_addr_parse("10000:E1:00.0", &a), 0);
	ck_assert_str_eq(pst_host_pci_addr_format(&a, buf), "10000:e1:00.0");
	for (i = 0; i < PST_ARRAY_SIZE(bad); i++)
		ck_assert_msg(pst_host_pci_addr_parse(bad[i], &a) == -EINVAL,
			      "\"%s\" was taken", bad[i]);
}
END_TEST

START_TEST(resources_are_numbers_or_nothing)
{
	struct pst_host_pci_bar bar[PST_HOST_PCI_BARS];

	ck_assert_int_eq(pst_host_pci_resource_parse(
				 "0x00000000fa000000 0x00000000faffffff "
				 "0x0000000000040200\n"
				 "0x0 0x0 0x0\n"
				 "0x38c000000000 0x38c00fffffff 0x14220c",
				 bar),
			 0);
	ck_assert_uint_eq(bar[0].end, 0xfaffffff);
	ck_assert_uint_eq(bar[2].start, 0x38c000000000);
	ck_assert_uint_eq(bar[3].flags, 0);
	bar[0].start = 1;
	ck_assert_int_eq(pst_host_pci_resource_parse("0x1 0x0 0x0\n", bar),
			 -EPROTO);
	ck_assert_int_eq(pst_host_pci_resource_parse("1 2 3\n", bar), -EPROTO);
	ck_assert_int_eq(pst_host_pci_resource_parse("0x0 0x1\n", bar),
			 -EPROTO);
	ck_assert_int_eq(
		pst_host_pci_resource_parse("0x0 0x00000000000000001 0x0", bar),
		-EPROTO);
	ck_assert_uint_eq(bar[0].start, 1);
	ck_assert_int_eq(pst_host_pci_resource_parse("", bar), 0);
}
END_TEST

/* A card with audio at bus, held by driver. */
static void card(const char *bus, const char *vendor, const char *device,
		 const char *driver)
{
	char vga[16], audio[16];

	snprintf(vga, sizeof(vga), "0000:%s:00.0", bus);
	snprintf(audio, sizeof(audio), "0000:%s:00.1", bus);
	tree_pci(&(struct tree_pci){vga, vendor, device, "0x030000", driver, 1,
				    NULL});
	tree_pci(&(struct tree_pci){audio, vendor, "0x0fb0", "0x040300",
				    "snd_hda_intel", 1, NULL});
}

static int select_of(const char *text)
{
	int r;

	pst_host_pci_done(&pci);
	ck_assert_int_eq(pst_host_pci_scan(&tree, &pci, &err), 0);
	gpu = NULL;
	r = pst_host_pci_select_gpu(&pci, text, &gpu, &err);
	return r;
}

START_TEST(functions_are_read_with_their_links)
{
	const struct pst_host_pci_dev *fn[PST_HOST_PCI_MAX_FN];

	tree_make();
	card("01", "0x10de\n", "0x17c2\n", "nouveau");
	tree_attr("0000:01:00.0", "boot_vga", "1\n");
	tree_attr("0000:01:00.0", "numa_node", "-1\n");
	tree_attr("0000:01:00.0", "reset_method", "flr bus\n");
	ck_assert_int_eq(select_of("01:00.0"), 0);
	ck_assert_uint_eq(gpu->vendor, 0x10de);
	ck_assert_str_eq(gpu->driver, "nouveau");
	ck_assert_str_eq(gpu->driver_override, "");
	ck_assert_int_eq(gpu->iommu_group, 1);
	ck_assert_int_eq(gpu->numa_node, -1);
	ck_assert(gpu->boot_vga);
	ck_assert_str_eq(gpu->reset_method, "flr bus");
	ck_assert_uint_eq(gpu->bad, 0);
	ck_assert_uint_eq(pst_host_pci_card(&pci, gpu, fn), 2);
	ck_assert_str_eq(pst_host_pci_kind(fn[0]), "VGA");
	ck_assert_str_eq(pst_host_pci_kind(fn[1]), "audio");
	pst_host_pci_done(&pci);
	tree_remove();
}
END_TEST

START_TEST(the_driver_comes_from_uevent_where_the_link_is_lost)
{
	tree_make();
	card("01", "0x10de\n", "0x17c2\n", NULL);
	tree_attr("0000:01:00.0", "uevent",
		  "PCI_CLASS=30000\nDRIVER=vfio-pci\n");
	ck_assert_int_eq(select_of("auto"), 0);
	ck_assert_str_eq(gpu->driver, "vfio-pci");
	pst_host_pci_done(&pci);
	tree_remove();
}
END_TEST

START_TEST(garbage_in_attributes_is_marked)
{
	tree_make();
	card("01", "0x10de\n", "0x17c2\n", "nouveau");
	tree_attr("0000:01:00.0", "numa_node", "99999999\n");
	tree_attr("0000:01:00.0", "resource", "what\n");
	tree_attr("0000:01:00.1", "vendor", "0x10de0\n");
	tree_file("sys/bus/pci/devices/0000:02:00.0", "no link");
	tree_file("sys/bus/pci/devices/nonsense", "");
	tree_link("sys/bus/pci/devices/0000:03:00.0", "/etc");
	ck_assert_int_eq(select_of("auto"), 0);
	ck_assert_uint_eq(gpu->bad,
			  PST_HOST_PCI_BAD_NUMA | PST_HOST_PCI_BAD_RESOURCE);
	ck_assert_int_eq(gpu->numa_node, -1);
	ck_assert_uint_eq(gpu->bar[0].end, 0);
	ck_assert_uint_eq(pci.dev[1].bad, PST_HOST_PCI_BAD_IDS);
	ck_assert_uint_eq(pci.dev[1].vendor, 0);
	ck_assert_uint_eq(pci.n, 2);
	ck_assert_uint_eq(pci.n_skipped, 3);
	pst_host_pci_done(&pci);
	tree_remove();
}
END_TEST

START_TEST(auto_takes_the_card_that_the_host_does_not_boot_on)
{
	tree_make();
	card("01", "0x10de\n", "0x1e02\n", "nvidia");
	ck_assert_int_eq(select_of("auto"), 0);
	card("02", "0x10de\n", "0x17c2\n", "nouveau");
	ck_assert_int_eq(select_of("auto"), -EBUSY);
	ck_assert_ptr_nonnull(strstr(err.text, "0000:01:00.0 [10de:1e02]"));
	ck_assert_ptr_nonnull(strstr(err.text, "0000:02:00.0 [10de:17c2]"));
	tree_attr("0000:02:00.0", "boot_vga", "1\n");
	ck_assert_int_eq(select_of(NULL), 0);
	ck_assert_str_eq(gpu->name, "0000:01:00.0");
	/* vfio-pci's word counts more. */
	tree_driver("0000:02:00.0", "vfio-pci");
	ck_assert_int_eq(select_of("auto"), 0);
	ck_assert_str_eq(gpu->name, "0000:02:00.0");
	tree_attr("0000:01:00.0", "driver_override", "vfio-pci\n");
	ck_assert_int_eq(select_of("auto"), -EBUSY);
	pst_host_pci_done(&pci);
	tree_remove();
}
END_TEST

START_TEST(three_cards_stay_ambiguous_whatever_their_functions)
{
	tree_make();
	card("01", "0x10de\n", "0x17c2\n", NULL);
	card("02", "0x10de\n", "0x17c2\n", NULL);
	tree_pci(&(struct tree_pci){"0000:02:00.2", "0x10de", "0x1234",
				    "0x030200", NULL, -1, NULL});
	ck_assert_int_eq(select_of("auto"), -EBUSY);
	ck_assert_ptr_eq(pst_host_pci_twin(&pci, &pci.dev[0], NULL),
			 &pci.dev[2]);
	ck_assert_ptr_null(pst_host_pci_twin(&pci, &pci.dev[0], &pci.dev[2]));
	pst_host_pci_done(&pci);
	tree_remove();
}
END_TEST

START_TEST(displays_of_board_and_cpu_are_not_meant)
{
	tree_make();
	tree_pci(&(struct tree_pci){"0000:00:02.0", "0x8086", "0x3e92",
				    "0x030000", "i915", 0, NULL});
	tree_pci(&(struct tree_pci){"0000:05:00.0", "0x1a03", "0x2000",
				    "0x030000", "ast", 0, NULL});
	ck_assert_int_eq(select_of("auto"), -ENODEV);
	card("01", "0x1002\n", "0x73bf\n", "amdgpu");
	ck_assert_int_eq(select_of("auto"), 0);
	ck_assert_str_eq(gpu->name, "0000:01:00.0");
	ck_assert_int_eq(select_of("05:00.0"), 0);
	pst_host_pci_done(&pci);
	tree_remove();
}
END_TEST

START_TEST(a_named_device_has_to_be_there_and_no_bridge)
{
	tree_make();
	card("01", "0x10de\n", "0x17c2\n", NULL);
	tree_pci(&(struct tree_pci){"0000:00:01.0", "0x8086", "0x2030",
				    "0x060400", "pcieport", 1, NULL});
	tree_pci(&(struct tree_pci){"0000:00:03.0", "0x1234", "0x11e8",
				    "0x00ff00", NULL, 1, NULL});
	ck_assert_int_eq(select_of("0000:09:00.0"), -ENODEV);
	ck_assert_ptr_nonnull(strstr(err.text, "0000:09:00.0"));
	ck_assert_int_eq(select_of("00:01.0"), -ENODEV);
	ck_assert_ptr_nonnull(strstr(err.text, "bridge"));
	ck_assert_int_eq(select_of("titan"), -EINVAL);
	ck_assert_int_eq(select_of("00:03.0"), 0);
	pst_host_pci_done(&pci);
	tree_remove();
}
END_TEST

START_TEST(a_host_without_pci_has_no_functions)
{
	tree_make();
	ck_assert_int_eq(select_of("auto"), -ENODEV);
	ck_assert_uint_eq(pci.n, 0);
	tree_file("sys/bus/pci/devices", "a file");
	ck_assert_int_eq(pst_host_pci_scan(&tree, &pci, &err), -ENOTDIR);
	ck_assert_ptr_nonnull(strstr(err.text, "sys/bus/pci/devices"));
	tree_remove();
}
END_TEST

START_TEST(a_virtual_function_is_a_card_of_its_own)
{
	const struct pst_host_pci_dev *fn[PST_HOST_PCI_MAX_FN];

	tree_make();
	tree_pci(&(struct tree_pci){"0000:00:02.0", "0x8086", "0x4680",
				    "0x030000", "i915", 0, NULL});
	tree_pci(&(struct tree_pci){"0000:00:02.1", "0x8086", "0x4680",
				    "0x030000", NULL, 21, NULL});
	tree_pci(&(struct tree_pci){"0000:00:02.2", "0x8086", "0x4680",
				    "0x030000", NULL, 22, NULL});
	tree_link("sys/devices/pci0000:00/0000:00:02.1/physfn",
		  "../0000:00:02.0");
	tree_dir("sys/devices/pci0000:00/0000:00:02.2/physfn");
	ck_assert_int_eq(select_of("auto"), -ENODEV);
	ck_assert_int_eq(select_of("00:02.1"), 0);
	ck_assert(gpu->is_vf);
	ck_assert_uint_eq(pst_host_pci_card(&pci, gpu, fn), 1);
	ck_assert_ptr_eq(fn[0], gpu);
	ck_assert_ptr_eq(pst_host_pci_twin(&pci, gpu, NULL), &pci.dev[0]);
	ck_assert_uint_eq(pst_host_pci_card(&pci, &pci.dev[0], fn), 1);
	ck_assert(!pci.dev[0].is_vf && pci.dev[2].is_vf);
	pst_host_pci_done(&pci);
	tree_remove();
}
END_TEST

START_TEST(a_drivers_name_has_no_character_that_means_something)
{
	tree_make();
	card("01", "0x10de\n", "0x17c2\n", "a\ninstall b /bin/c\033[31m");
	ck_assert_int_eq(select_of("auto"), 0);
	ck_assert_ptr_null(strpbrk(gpu->driver, "\n \033["));
	ck_assert_uint_eq(gpu->bad, PST_HOST_PCI_BAD_DRIVER);
	pst_host_pci_done(&pci);
	tree_remove();
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, an_address_is_hexadecimal_and_whole);
	tcase_add_test(tc, resources_are_numbers_or_nothing);
	tcase_add_test(tc, functions_are_read_with_their_links);
	tcase_add_test(tc, the_driver_comes_from_uevent_where_the_link_is_lost);
	tcase_add_test(tc, garbage_in_attributes_is_marked);
	tcase_add_test(tc, auto_takes_the_card_that_the_host_does_not_boot_on);
	tcase_add_test(tc, three_cards_stay_ambiguous_whatever_their_functions);
	tcase_add_test(tc, displays_of_board_and_cpu_are_not_meant);
	tcase_add_test(tc, a_named_device_has_to_be_there_and_no_bridge);
	tcase_add_test(tc, a_host_without_pci_has_no_functions);
	tcase_add_test(tc, a_virtual_function_is_a_card_of_its_own);
	tcase_add_test(tc,
		       a_drivers_name_has_no_character_that_means_something);
}

int main(void)
{
	return pst_unit_run("pci", add, 10);
}
