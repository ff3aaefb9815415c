/* SPDX-License-Identifier: MIT */
/* Framebuffers of the firmware, and screens in use. */
#include "kernel-params/machine/display.h"
#include "tests/fixtures/hosttree.h"
#include "tests/fixtures/unit.h"

static struct pst_host_display d;

START_TEST(a_framebuffer_is_found_in_a_bar)
{
	struct pst_host_pci_dev dev = {0};
	unsigned int bar = 9;

	d = (struct pst_host_display){0};
	dev.bar[1] =
		(struct pst_host_pci_bar){0xe0000000, 0xefffffff, 0x14220c};
	pst_host_display_parse_iomem("00000000-00000fff : Reserved\n"
				     "e0000000-efffffff : PCI Bus 0000:01\n"
				     "  e0000000-e0ffffff : 0000:01:00.0\n"
				     "    e0000000-e02fffff : BOOTFB\n",
				     &d);
	ck_assert(!d.hidden);
	ck_assert_uint_eq(d.n_ranges, 1);
	ck_assert_str_eq(d.range[0].name, "BOOTFB");
	ck_assert_ptr_eq(pst_host_display_in_bar(&d, &dev, &bar), &d.range[0]);
	ck_assert_uint_eq(bar, 1);
	dev.bar[1] =
		(struct pst_host_pci_bar){0xd0000000, 0xdfffffff, 0x14220c};
	ck_assert_ptr_null(pst_host_display_in_bar(&d, &dev, &bar));
}
END_TEST

START_TEST(zeros_and_garbage_hide_addresses)
{
	d = (struct pst_host_display){0};
	pst_host_display_parse_iomem("00000000-00000000 : System RAM\n"
				     "00000000-00000000 : efifb\n",
				     &d);
	ck_assert(d.hidden);
	pst_host_display_parse_iomem("", &d);
	ck_assert(d.hidden);
	d = (struct pst_host_display){0};
	pst_host_display_parse_iomem(
		"x-y : efifb\n5-3 : efifb\n1- : efifb\n-:\n", &d);
	ck_assert(d.hidden);
	ck_assert_uint_eq(d.n_ranges, 0);
}
END_TEST

START_TEST(names_tell_the_device_where_addresses_are_hidden)
{
	struct pst_host_pci_dev dev = {0};
	unsigned int bar = 0;

	d = (struct pst_host_display){0};
	pst_host_display_parse_iomem("00000000-00000000 : PCI Bus 0000:00\n"
				     "  00000000-00000000 : 0000:00:02.0\n"
				     "  00000000-00000000 : PCI Bus 0000:01\n"
				     "    00000000-00000000 : 0000:01:00.0\n"
				     "      00000000-00000000 : BOOTFB\n"
				     "    00000000-00000000 : 0000:01:00.1\n"
				     "00000000-00000000 : System RAM\n"
				     "  00000000-00000000 : efifb\n",
				     &d);
	ck_assert(d.hidden && !d.seen);
	ck_assert_uint_eq(d.n_ranges, 2);
	ck_assert(d.range[0].owned && !d.range[1].owned);
	ck_assert_int_eq(pst_host_pci_addr_parse("0000:01:00.0", &dev.addr), 0);
	ck_assert_ptr_eq(pst_host_display_in_bar(&d, &dev, &bar), &d.range[0]);
	ck_assert_uint_eq(bar, PST_HOST_PCI_BARS);
	dev.addr.fn = 1;
	ck_assert_ptr_null(pst_host_display_in_bar(&d, &dev, &bar));
}
END_TEST

START_TEST(only_the_firmwares_framebuffers_count)
{
	tree_make();
	pst_host_display_scan(&tree, &d);
	ck_assert_str_eq(d.fb, "");
	tree_file("proc/fb", "0 i915drmfb\n");
	pst_host_display_scan(&tree, &d);
	ck_assert_str_eq(d.fb, "");
	tree_file("proc/fb", "0 EFI VGA\n1 nvidia-drmdrmfb\n");
	tree_file("sys/devices/virtual/graphics/fb0/name", "EFI VGA\n");
	tree_link("sys/class/graphics/fb0",
		  "../../devices/virtual/graphics/fb0");
	tree_dir("sys/bus/platform/devices/simple-framebuffer.0");
	pst_host_display_scan(&tree, &d);
	ck_assert_str_eq(d.fb, "EFI VGA");
	ck_assert_str_eq(d.platform, "simple-framebuffer.0");
	tree_file("sys/bus/platform/drivers/efi-framebuffer/"
		  "efi-framebuffer.0",
		  "");
	pst_host_display_scan(&tree, &d);
	ck_assert_str_eq(d.platform, "simple-framebuffer.0, efi-framebuffer.0");
	tree_remove();
}
END_TEST

START_TEST(a_screen_in_use_is_found_with_its_card)
{
	static const char dir[] =
		"sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/drm/card1/"
		"card1-DP-1";
	char path[TREE_PATH];

	tree_make();
	snprintf(path, sizeof(path), "%s/status", dir);
	tree_file(path, "connected\n");
	snprintf(path, sizeof(path), "%s/enabled", dir);
	tree_file(path, "disabled\n");
	snprintf(path, sizeof(path), "../../../%s", dir);
	tree_link("sys/class/drm/card1-DP-1", path);
	tree_dir("sys/class/drm/card1");
	pst_host_display_scan(&tree, &d);
	ck_assert_str_eq(d.connected, "");
	snprintf(path, sizeof(path), "%s/enabled", dir);
	tree_file(path, "enabled\n");
	pst_host_display_scan(&tree, &d);
	ck_assert_str_eq(d.connected, "card1-DP-1 of 0000:01:00.0");
	ck_assert_uint_eq(d.connected_addr.bus, 1);
	tree_remove();
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, a_framebuffer_is_found_in_a_bar);
	tcase_add_test(tc, zeros_and_garbage_hide_addresses);
	tcase_add_test(tc, names_tell_the_device_where_addresses_are_hidden);
	tcase_add_test(tc, only_the_firmwares_framebuffers_count);
	tcase_add_test(tc, a_screen_in_use_is_found_with_its_card);
}

int main(void)
{
	return pst_unit_run("display", add, 10);
}
