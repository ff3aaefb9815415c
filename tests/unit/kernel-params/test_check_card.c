/* SPDX-License-Identifier: MIT */
/* Findings about the card, its group and the displays: one fault at a time. */
#include "tests/fixtures/hostgood.h"
#include "tests/fixtures/unit.h"

START_TEST(an_iommu_that_is_off_fails)
{
	static const char *const devs[] = {GPU, AUDIO, "0000:00:01.1",
					   "0000:30:00.0", "0000:03:00.0"};
	char path[TREE_PATH];
	size_t i;

	make_good();
	finding("iommu.firmware", PST_HOST_PASS, "IVRS");
	ck_assert_int_eq(rename(tmpdir_path("sys/kernel/iommu_groups"),
				tmpdir_path("gone")),
			 0);
	for (i = 0; i < PST_ARRAY_SIZE(devs); i++) {
		snprintf(path, sizeof(path),
			 "sys/devices/pci0000:00/%s/iommu_group", devs[i]);
		tree_unlink(path);
	}
	finding("iommu.group", PST_HOST_FAIL, "in no IOMMU group");
	finding("iommu.enabled", PST_HOST_FAIL, "no IOMMU groups");
	tree_file("proc/cmdline", "amd_iommu=off\n");
	finding("iommu.enabled", PST_HOST_FAIL, "turns it off");
	tree_file("proc/cmdline", "quiet\n");
	finding("iommu.enabled", PST_HOST_FAIL, "comes on by itself");
	ck_assert_ptr_null(find("iommu.interrupts"));
	tree_unlink("sys/firmware/acpi/tables/IVRS");
	finding("iommu.firmware", PST_HOST_FAIL, "AMD-Vi");
	finding("iommu.enabled", PST_HOST_FAIL, "firmware's setup first");
	/* Intel's is asked for, which does not help where it is already. */
	tree_file("sys/firmware/acpi/tables/DMAR", "DMAR");
	tree_file("proc/cpuinfo", "vendor_id : GenuineIntel\n");
	finding("iommu.enabled", PST_HOST_FAIL, "add intel_iommu=on");
	tree_file("proc/cmdline", "intel_iommu=on\n");
	finding("iommu.enabled", PST_HOST_FAIL, "DMAR in dmesg");
	ck_assert_int_eq(
		rename(tmpdir_path("sys/kernel"), tmpdir_path("kernel")), 0);
	finding("iommu.enabled", PST_HOST_WARN, "not seen");
	finding("iommu.group", PST_HOST_WARN, "not seen");
	done();
}
END_TEST

START_TEST(groups_of_vfios_mode_without_an_iommu_isolate_nothing)
{
	make_good();
	tree_unlink("sys/class/iommu/ivhd0/amd-iommu/features");
	ck_assert_int_eq(
		rename(tmpdir_path("sys/class/iommu"), tmpdir_path("gone")), 0);
	finding("iommu.enabled", PST_HOST_PASS, "IOMMU, 4 groups");
	tree_file("sys/module/vfio/parameters/enable_unsafe_noiommu_mode",
		  "Y\n");
	finding("iommu.enabled", PST_HOST_FAIL, "no IOMMU drives the groups");
	done();
}
END_TEST

START_TEST(a_shared_group_is_listed_with_what_is_lost)
{
	make_good();
	tree_group("0000:03:00.0", 11);
	tree_group("0000:00:01.1", 11);
	finding("iommu.group", PST_HOST_FAIL,
		"0000:03:00.0 NVMe (nvme): the host loses its disks");
	finding("iommu.group", PST_HOST_FAIL,
		"bridges, which stay: 0000:00:01.1");
	tree_driver("0000:03:00.0", NULL);
	finding("iommu.group", PST_HOST_WARN, "0000:03:00.0 NVMe (-)");
	tree_group("0000:03:00.0", 14);
	finding("iommu.group", PST_HOST_PASS, "has the card alone; bridges");
	done();
}
END_TEST

START_TEST(each_function_of_the_card_needs_a_group)
{
	char path[TREE_PATH];

	make_good();
	snprintf(path, sizeof(path), "sys/devices/pci0000:00/%s/iommu_group",
		 AUDIO);
	ck_assert_int_eq(unlink(tmpdir_path(path)), 0);
	snprintf(path, sizeof(path), "sys/kernel/iommu_groups/11/devices/%s",
		 AUDIO);
	ck_assert_int_eq(unlink(tmpdir_path(path)), 0);
	finding("iommu.group", PST_HOST_FAIL, AUDIO " is in no IOMMU group");
	done();
}
END_TEST

START_TEST(what_the_host_can_do_without_is_told_from_what_it_needs)
{
	make_good();
	tree_pci(&(struct tree_pci){"0000:06:00.0", "0x1102", "0x0012",
				    "0x040100", "snd_emu10k1", 11, NULL});
	finding("iommu.group", PST_HOST_FAIL, "gives them to vfio-pci");
	tree_driver("0000:06:00.0", "emu_vfio_pci");
	finding("iommu.group", PST_HOST_WARN, "nobody holds them");
	tree_group("0000:03:00.0", 11);
	finding("iommu.group", PST_HOST_FAIL, "put the card into another slot");
	ck_assert_ptr_null(strstr(find("iommu.group")->fix, "do without"));
	done();
}
END_TEST

START_TEST(acs_override_is_a_warning)
{
	make_good();
	tree_file("proc/cmdline",
		  "iommu=pt pcie_acs_override=downstream,multifunction "
		  "hugepages=10240\n");
	finding("iommu.acs", PST_HOST_WARN, "downstream,multifunction");
	done();
}
END_TEST

START_TEST(unsafe_interrupts_are_a_warning)
{
	make_good();
	tree_file("sys/module/vfio_iommu_type1/parameters/"
		  "allow_unsafe_interrupts",
		  "Y\n");
	finding("iommu.interrupts", PST_HOST_WARN, "allow_unsafe_interrupts");
	done();
}
END_TEST

START_TEST(a_function_that_another_driver_holds_fails)
{
	make_good();
	tree_driver(AUDIO, "snd_hda_intel");
	finding("gpu.functions", PST_HOST_FAIL, AUDIO " audio: snd_hda_intel");
	tree_driver(AUDIO, NULL);
	finding("gpu.functions", PST_HOST_WARN, AUDIO " audio: no driver");
	tree_driver(AUDIO, "vfio-pci");
	tree_driver(GPU, "nvidia");
	request.gpu = GPU;
	finding("gpu.functions", PST_HOST_FAIL, GPU " VGA: nvidia");
	tree_pci(&(struct tree_pci){"0000:01:00.3", "0x10de", "0x1ad7",
				    "0x0c8000", "nvidia-gpu", 11, NULL});
	finding("gpu.functions", PST_HOST_FAIL,
		"0000:01:00.3 UCSI: nvidia-gpu");
	tree_pci(&(struct tree_pci){"0000:01:00.2", "0x10de", "0x1ad6",
				    "0x0c0330", "xhci_hcd", 11, NULL});
	finding("gpu.functions", PST_HOST_FAIL, "managed='yes'");
	done();
}
END_TEST

START_TEST(ids_that_take_an_equal_card_fail)
{
	make_good();
	second_card("nvidia");
	finding("gpu.twins", PST_HOST_FAIL,
		GPU " and 0000:05:00.0 are both 10de:2204");
	tree_file("etc/modprobe.d/vfio.conf", "");
	finding("gpu.twins", PST_HOST_WARN, "driver_override");
	/* By address all is well. */
	tree_file("etc/udev/rules.d/10-vfio.rules",
		  "KERNEL==\"" GPU "\", ATTR{driver_override}=\"vfio-pci\"\n"
		  "KERNEL==\"" AUDIO "\", "
		  "ATTR{driver_override}=\"vfio-pci\"\n");
	finding("gpu.twins", PST_HOST_PASS, "by its address");
	finding("vfio.ids", PST_HOST_PASS, "its address");
	done();
}
END_TEST

START_TEST(two_equal_cards_without_a_choice_are_named)
{
	make_good();
	second_card("vfio-pci");
	finding("gpu.selected", PST_HOST_FAIL, "several cards");
	finding("gpu.twins", PST_HOST_WARN, "0000:05:00.0");
	ck_assert_ptr_null(find("gpu.functions"));
	request.gpu = "0000:05:00.0";
	finding("gpu.selected", PST_HOST_PASS, "0000:05:00.0");
	done();
}
END_TEST

START_TEST(the_display_of_the_firmware_is_a_warning)
{
	make_good();
	tree_attr(GPU, "boot_vga", "1\n");
	finding("gpu.boot_display", PST_HOST_WARN, "firmware");
	tree_unlink("sys/bus/pci/devices/0000:30:00.0");
	finding("gpu.boot_display", PST_HOST_WARN, "no screen");
	finding("host.gpu", PST_HOST_WARN, "headless");
	done();
}
END_TEST

START_TEST(a_framebuffer_in_the_bar_fails)
{
	make_good();
	tree_file("proc/iomem", "e000000000-e00fffffff : 0000:01:00.0\n"
				"  e000000000-e0002fffff : BOOTFB\n");
	finding("gpu.framebuffer", PST_HOST_FAIL, "BAR 1 of " GPU);
	request.gpu = AUDIO;
	finding("gpu.framebuffer", PST_HOST_FAIL, "BAR 1 of " GPU);
	request.gpu = NULL;
	/* The same elsewhere is none of the card's. */
	tree_file("proc/iomem", "d0000000-d02fffff : BOOTFB\n");
	tree_file("proc/fb", "0 EFI VGA\n");
	finding("gpu.framebuffer", PST_HOST_PASS, "not in the memory");
	/* Without addresses the firmware's display is believed to hold it. */
	tree_file("proc/iomem", "00000000-00000000 : BOOTFB\n");
	finding("gpu.framebuffer", PST_HOST_PASS, "not in the memory");
	tree_attr(GPU, "boot_vga", "1\n");
	finding("gpu.framebuffer", PST_HOST_FAIL, "firmware's display");
	tree_file("proc/fb", "0 amdgpudrmfb\n");
	finding("gpu.framebuffer", PST_HOST_FAIL, "firmware's display");
	tree_file("proc/iomem", "00000000-00000000 : System RAM\n");
	finding("gpu.framebuffer", PST_HOST_PASS, "no framebuffer");
	tree_dir("sys/bus/platform/devices/simple-framebuffer.0");
	finding("gpu.framebuffer", PST_HOST_FAIL, "simple-framebuffer.0");
	done();
}
END_TEST

START_TEST(names_in_iomem_tell_whose_framebuffer_it_is)
{
	make_good();
	unlink(tmpdir_path("proc/fb"));
	tree_file("proc/iomem", "00000000-00000000 : PCI Bus 0000:01\n"
				"  00000000-00000000 : 0000:01:00.0\n"
				"    00000000-00000000 : BOOTFB\n");
	finding("gpu.framebuffer", PST_HOST_FAIL,
		"BOOTFB lies in 0000:01:00.0");
	tree_file("proc/iomem", "00000000-00000000 : PCI Bus 0000:30\n"
				"  00000000-00000000 : 0000:30:00.0\n"
				"    00000000-00000000 : BOOTFB\n");
	finding("gpu.framebuffer", PST_HOST_PASS, "not in the memory");
	done();
}
END_TEST

START_TEST(no_sight_of_a_framebuffer_is_no_pass)
{
	make_good();
	unlink(tmpdir_path("proc/fb"));
	tree_file("proc/iomem", "00000000-00000000 : System RAM\n");
	finding("gpu.framebuffer", PST_HOST_WARN, "neither proc/fb nor");
	tree_dir("sys/class/graphics");
	finding("gpu.framebuffer", PST_HOST_PASS, "is left");
	/* Another display says nothing while the firmware used neither. */
	tree_attr("0000:30:00.0", "boot_vga", "0\n");
	tree_dir("sys/bus/platform/devices/simple-framebuffer.0");
	finding("gpu.framebuffer", PST_HOST_WARN, "simple-framebuffer.0");
	done();
}
END_TEST

START_TEST(a_card_that_stays_needs_its_driver)
{
	make_good();
	tree_driver("0000:30:00.0", NULL);
	finding("host.gpu", PST_HOST_FAIL, "no driver");
	tree_file("etc/modprobe.d/b.conf", "blacklist amdgpu\n");
	finding("host.gpu", PST_HOST_FAIL, "blacklisted: amdgpu");
	second_card("nvidia");
	request.gpu = GPU;
	finding("host.gpu", PST_HOST_WARN, "0000:05:00.0 [10de:2204] nvidia");
	done();
}
END_TEST

START_TEST(nvidia_modules_need_a_card_that_stays)
{
	make_good();
	tree_file("proc/modules", "nova_core 1 0 - Live 0x0\n"
				  "nvidia_peermem 1 0 - Live 0x0\n"
				  "i2c_nvidia_gpu 1 0 - Live 0x0\n");
	finding("nvidia.modules", PST_HOST_WARN,
		"nvidia_peermem nova_core loaded");
	make_good();
	tree_file("sys/module/nvidia_drm/refcnt", "0\n");
	tree_file("etc/modprobe.d/nv.conf", "options nvidia-drm modeset=1\n");
	finding("nvidia.modules", PST_HOST_WARN, "nvidia_drm loaded");
	finding("nvidia.modeset", PST_HOST_WARN,
		"nvidia-drm.modeset in modprobe.d");
	tree_file("proc/cmdline", "iommu=pt nvidia_drm.modeset=0\n");
	finding("nvidia.modeset", PST_HOST_PASS, "not asked for");
	tree_file("proc/cmdline", "iommu=pt nvidia-drm.modeset=1\n");
	finding("nvidia.modeset", PST_HOST_WARN, "the command line");
	second_card("nvidia");
	request.gpu = GPU;
	finding("nvidia.modules", PST_HOST_PASS, "0000:05:00.0, which stays");
	finding("nvidia.modeset", PST_HOST_PASS, "0000:05:00.0, which stays");
	done();
}
END_TEST

START_TEST(addresses_have_to_fit_into_the_dma_width)
{
	make_good();
	finding("gpu.dma_width", PST_HOST_PASS, "IOMMU 57 bits, card 47");
	tree_file("sys/class/iommu/ivhd0/amd-iommu/features", "nonsense\n");
	finding("gpu.dma_width", PST_HOST_WARN, "width not seen");
	tree_unlink("sys/class/iommu/ivhd0/amd-iommu/features");
	tree_file("sys/class/iommu/dmar0/intel-iommu/cap", "260206\n");
	finding("gpu.dma_width", PST_HOST_WARN, "limit='39'");
	request.vm_memory = 1ULL << 40;
	finding("gpu.dma_width", PST_HOST_FAIL, "would need 41");
	request.vm_memory = UINT64_MAX;
	finding("gpu.dma_width", PST_HOST_FAIL, "would need 64");
	request.vm_memory = 16ULL << 30;
	tree_file("proc/driver/nvidia/gpus/" GPU "/information",
		  "Model: x\nDMA Size: \t 36 bits\n");
	finding("gpu.dma_width", PST_HOST_WARN, "card 36,");
	done();
}
END_TEST

START_TEST(a_blackwell_wants_the_open_module)
{
	make_good();
	tree_attr(GPU, "device", "0x2bb1\n");
	tree_attr(GPU, "resource",
		  "0x0 0x0 0x0\n0x8000000000 0x9fffffffff 0x14220c\n");
	finding("gpu.driver", PST_HOST_WARN, "open kernel module");
	finding("gpu.driver", PST_HOST_WARN, "570");
	finding("gpu.bars", PST_HOST_WARN, "131072 MiB");
	tree_attr(GPU, "device", "0x17c2\n");
	finding("gpu.driver", PST_HOST_WARN, "branch 580");
	tree_attr(GPU, "device", "0x0001\n");
	finding("gpu.driver", PST_HOST_WARN, "not in penstock's table");
	tree_attr(GPU, "vendor", "0x1002\n");
	finding("gpu.driver", PST_HOST_WARN, "not NVIDIA");
	tree_attr(GPU, "resource", "garbage");
	finding("gpu.bars", PST_HOST_WARN, "invalid resources");
	done();
}
END_TEST

START_TEST(a_stand_in_device_may_be_checked)
{
	make_good();
	tree_pci(&(struct tree_pci){"0000:00:04.0", "0x1234", "0x11e8",
				    "0x00ff00", "vfio-pci", 4, resource});
	request.gpu = "00:04.0";
	finding("gpu.selected", PST_HOST_WARN, "no display");
	ck_assert_uint_eq(pst_host_findings_count(&fs, PST_HOST_FAIL), 0);
	done();
}
END_TEST

START_TEST(a_long_list_is_cut_off)
{
	char addr[32];
	int i;

	make_good();
	for (i = 0; i < 80; i++) {
		snprintf(addr, sizeof(addr), "0000:4%x:%02x.0", i / 32, i % 32);
		tree_pci(&(struct tree_pci){addr, "0x8086", "0x1533",
					    "0x020000", "igb", 11, NULL});
	}
	finding("iommu.group", PST_HOST_FAIL,
		"0000:41:1b.0 network (igb): the host loses its "
		"network and 20 more");
	done();
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, an_iommu_that_is_off_fails);
	tcase_add_test(tc,
		       groups_of_vfios_mode_without_an_iommu_isolate_nothing);
	tcase_add_test(tc, a_shared_group_is_listed_with_what_is_lost);
	tcase_add_test(tc, each_function_of_the_card_needs_a_group);
	tcase_add_test(tc,
		       what_the_host_can_do_without_is_told_from_what_it_needs);
	tcase_add_test(tc, acs_override_is_a_warning);
	tcase_add_test(tc, unsafe_interrupts_are_a_warning);
	tcase_add_test(tc, a_function_that_another_driver_holds_fails);
	tcase_add_test(tc, ids_that_take_an_equal_card_fail);
	tcase_add_test(tc, two_equal_cards_without_a_choice_are_named);
	tcase_add_test(tc, the_display_of_the_firmware_is_a_warning);
	tcase_add_test(tc, a_framebuffer_in_the_bar_fails);
	tcase_add_test(tc, names_in_iomem_tell_whose_framebuffer_it_is);
	tcase_add_test(tc, no_sight_of_a_framebuffer_is_no_pass);
	tcase_add_test(tc, a_card_that_stays_needs_its_driver);
	tcase_add_test(tc, nvidia_modules_need_a_card_that_stays);
	tcase_add_test(tc, addresses_have_to_fit_into_the_dma_width);
	tcase_add_test(tc, a_blackwell_wants_the_open_module);
	tcase_add_test(tc, a_stand_in_device_may_be_checked);
	tcase_add_test(tc, a_long_list_is_cut_off);
}

int main(void)
{
	return pst_unit_run("check_card", add, 20);
}
