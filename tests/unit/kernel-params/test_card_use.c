/* SPDX-License-Identifier: MIT */
/* What a host uses a card for, whichever of its functions is named. */
#include "kernel-params/check/verdict.h"
#include "tests/fixtures/hosttree.h"
#include "tests/fixtures/unit.h"

#define VGA    "0000:01:00.0"
#define AUDIO  "0000:01:00.1"
#define USB    "0000:01:00.2"
#define UCSI   "0000:01:00.3"
#define NVME   "0000:03:00.0"
#define NIC    "0000:04:00.0"
#define DPU    "0000:05:00.0" /* a network function with an accelerator */
#define DPU_AI "0000:05:00.1"
#define PCI    "sys/devices/pci0000:00"

static const char *const card[] = {VGA, AUDIO, USB, UCSI};
static struct pst_host_pci pci;
static struct pst_host_display display;
static struct pst_host_card_use use;

static void add(const char *addr, const char *class, const char *driver)
{
	tree_pci(&(struct tree_pci){addr, "0x10de", "0x1e07", class, driver, -1,
				    NULL});
}

static void setup(void)
{
	tree_make();
	add(VGA, "0x030000", "nvidia");
	add(AUDIO, "0x040300", "snd_hda_intel");
	add(USB, "0x0c0330", "xhci_hcd");
	add(UCSI, "0x0c8000", "nvidia-gpu");
	add(NVME, "0x010802", "nvme");
	add(NIC, "0x020000", "igb");
	add(DPU, "0x020000", "mlx5_core");
	add(DPU_AI, "0x120000", NULL);
	tree_file("proc/mounts", "proc /proc proc rw 0 0\n");
}

static void teardown(void)
{
	pst_host_pci_done(&pci);
	tree_remove();
}

static enum pst_host_card_use_kind use_of(const char *addr)
{
	const struct pst_host_pci_dev *dev;
	struct pst_error err;

	pst_host_pci_done(&pci);
	pci = (struct pst_host_pci){0};
	ck_assert_int_eq(pst_host_pci_scan(&tree, &pci, &err), 0);
	pst_host_display_scan(&tree, &display);
	ck_assert_int_eq(pst_host_pci_select_gpu(&pci, addr, &dev, &err), 0);
	pst_host_card_use_find(&tree, &pci, &display, dev, &use);
	if (use.kind != PST_HOST_CARD_FREE) {
		ck_assert_int_eq(pst_host_card_use_refuse(&use, dev, &err),
				 -EBUSY);
		ck_assert_ptr_nonnull(strstr(err.text, "--i-know"));
		ck_assert_ptr_nonnull(strstr(err.text, use.why));
		ck_assert_ptr_nonnull(strstr(err.text, use.fn->name));
	}
	return use.kind;
}

/* A disk below a function, with one partition. */
static void disk(const char *addr, const char *name, const char *part)
{
	char path[TREE_PATH], target[TREE_PATH];

	snprintf(path, sizeof(path), PCI "/%s/ctl/%s/%s/partition", addr, name,
		 part);
	tree_file(path, "1\n");
	snprintf(path, sizeof(path), "sys/class/block/%s", name);
	snprintf(target, sizeof(target), "../../devices/pci0000:00/%s/ctl/%s",
		 addr, name);
	tree_link(path, target);
	snprintf(path, sizeof(path), "sys/class/block/%s", part);
	snprintf(target, sizeof(target),
		 "../../devices/pci0000:00/%s/ctl/%s/%s", addr, name, part);
	tree_link(path, target);
}

/* A disk that the kernel makes of another one. */
static void made_disk(const char *name, const char *of)
{
	char path[TREE_PATH], target[TREE_PATH];

	snprintf(path, sizeof(path), "sys/devices/virtual/block/%s/slaves/%s",
		 name, of);
	snprintf(target, sizeof(target), "../../../../../class/block/%s", of);
	tree_link(path, target);
	snprintf(path, sizeof(path), "sys/class/block/%s", name);
	snprintf(target, sizeof(target), "../../devices/virtual/block/%s",
		 name);
	tree_link(path, target);
}

static void mount(const char *source, const char *type)
{
	char text[512];

	snprintf(text, sizeof(text),
		 "proc /proc proc rw 0 0\n"
		 "%s /srv %s rw 0 0\n",
		 source, type);
	tree_file("proc/mounts", text);
}

START_TEST(a_card_that_nobody_uses_is_free_by_each_function)
{
	size_t i;

	for (i = 0; i < 4; i++)
		ck_assert_int_eq(use_of(card[i]), PST_HOST_CARD_FREE);
	ck_assert_int_eq(use_of(DPU_AI), PST_HOST_CARD_FREE);
}
END_TEST

START_TEST(the_firmwares_display_is_told_by_each_function)
{
	size_t i;

	tree_attr(VGA, "boot_vga", "1\n");
	for (i = 0; i < 4; i++) {
		ck_assert_int_eq(use_of(card[i]), PST_HOST_CARD_DISPLAY);
		ck_assert_str_eq(use.fn->name, VGA);
	}
	tree_driver(VGA, NULL);
	ck_assert_int_eq(use_of(USB), PST_HOST_CARD_DISPLAY);
	/* Nothing of the host's is shown there any more. */
	tree_driver(VGA, "vfio-pci");
	for (i = 0; i < 4; i++)
		ck_assert_int_eq(use_of(card[i]), PST_HOST_CARD_FREE);
}
END_TEST

START_TEST(a_screen_that_is_lit_is_told_by_each_function)
{
	size_t i;

	tree_attr(VGA, "drm/card1/card1-DP-2/enabled", "enabled\n");
	for (i = 0; i < 4; i++) {
		ck_assert_int_eq(use_of(card[i]), PST_HOST_CARD_DISPLAY);
		ck_assert_ptr_nonnull(strstr(use.why, "card1-DP-2"));
	}
	tree_attr(VGA, "drm/card1/card1-DP-2/enabled", "disabled\n");
	ck_assert_int_eq(use_of(AUDIO), PST_HOST_CARD_FREE);
}
END_TEST

START_TEST(what_is_no_gpu_is_not_taken_for_one)
{
	ck_assert_int_eq(use_of(NVME), PST_HOST_CARD_NO_GPU);
	ck_assert_int_eq(use_of(NIC), PST_HOST_CARD_NO_GPU);
	tree_driver(NIC, "vfio-pci");
	ck_assert_int_eq(use_of(NIC), PST_HOST_CARD_NO_GPU);
}
END_TEST

START_TEST(a_mounted_disk_is_found_below_what_it_is_mounted_by)
{
	static const char *const sources[] = {
		"/dev/nvme0n1p2", "/dev/nvme0n1",
		"/dev/md0",       "/dev/md0p1",
		"/dev/dm-3",      "/dev/mapper/vg-root",
		"/dev/vg/root",   "/dev/disk/by-uuid/1-2",
		"/dev/bcache0",
	};
	size_t i;

	disk(NVME, "nvme0n1", "nvme0n1p2");
	made_disk("md0", "nvme0n1p2");
	/* A partition of an array. */
	tree_file("sys/devices/virtual/block/md0/md0p1/partition", "1\n");
	tree_link("sys/class/block/md0p1",
		  "../../devices/virtual/block/md0/md0p1");
	made_disk("dm-2", "md0p1");
	made_disk("dm-3", "dm-2");
	made_disk("bcache0", "dm-2");
	tree_file("sys/devices/virtual/block/dm-3/dm/name", "vg-root\n");
	tree_link("dev/vg/root", "../dm-3");
	tree_link("dev/disk/by-uuid/1-2", "../../nvme0n1p2");
	for (i = 0; i < sizeof(sources) / sizeof(*sources); i++) {
		mount(sources[i], "ext4");
		ck_assert_int_eq(use_of(NVME), PST_HOST_CARD_DISK);
		ck_assert_ptr_nonnull(strstr(use.why, "/srv"));
		ck_assert_int_eq(use_of(VGA), PST_HOST_CARD_FREE);
	}
	mount("/dev/sda1", "ext4");
	ck_assert_int_eq(use_of(NVME), PST_HOST_CARD_NO_GPU);
	mount("/dev/../../../etc", "ext4");
	ck_assert_int_eq(use_of(NVME), PST_HOST_CARD_NO_GPU);
}
END_TEST

START_TEST(swap_pools_and_further_disks_of_a_file_system_count)
{
	disk(NVME, "nvme0n1", "nvme0n1p2");
	tree_file("proc/swaps", "Filename Type Size Used Priority\n"
				"/dev/nvme0n1p2 partition 100 0 -2\n");
	ck_assert_int_eq(use_of(NVME), PST_HOST_CARD_DISK);
	tree_file("proc/swaps", "Filename Type Size Used Priority\n");
	ck_assert_int_eq(use_of(NVME), PST_HOST_CARD_NO_GPU);
	tree_link("sys/fs/btrfs/1-2/devices/nvme0n1p2",
		  "../../../../class/block/nvme0n1p2");
	ck_assert_int_eq(use_of(NVME), PST_HOST_CARD_DISK);
	tree_unlink("sys/fs/btrfs/1-2/devices/nvme0n1p2");
	ck_assert_int_eq(use_of(NVME), PST_HOST_CARD_NO_GPU);
	mount("rpool/ROOT", "zfs");
	ck_assert_int_eq(use_of(NVME), PST_HOST_CARD_DISK);
	ck_assert_ptr_nonnull(strstr(use.why, "ZFS"));
	ck_assert_int_eq(use_of(VGA), PST_HOST_CARD_FREE);
}
END_TEST

START_TEST(a_disk_with_several_paths_is_found)
{
	tree_file("sys/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1/"
		  "nvme0n1p1/partition",
		  "1\n");
	tree_link("sys/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0",
		  "../../../pci0000:00/" NVME "/nvme/nvme0");
	tree_dir(PCI "/" NVME "/nvme/nvme0");
	tree_dir("sys/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1/"
		 "slaves");
	tree_link("sys/class/block/nvme0n1",
		  "../../devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1");
	tree_link("sys/class/block/nvme0n1p1",
		  "../../devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1/"
		  "nvme0n1p1");
	mount("/dev/nvme0n1", "xfs");
	ck_assert_int_eq(use_of(NVME), PST_HOST_CARD_DISK);
	mount("/dev/nvme0n1p1", "xfs");
	ck_assert_int_eq(use_of(NVME), PST_HOST_CARD_DISK);
}
END_TEST

/* An interface of a function, below what virtio and USB put in between. */
static void interface(const char *name, const char *addr)
{
	char path[TREE_PATH], target[TREE_PATH];

	snprintf(path, sizeof(path), PCI "/%s/virtio1/net/%s/mtu", addr, name);
	tree_file(path, "1500\n");
	snprintf(path, sizeof(path), "sys/class/net/%s", name);
	snprintf(target, sizeof(target),
		 "../../devices/pci0000:00/%s/virtio1/net/%s", addr, name);
	tree_link(path, target);
}

static void made_interface(const char *name, const char *of)
{
	char path[TREE_PATH], target[TREE_PATH];

	snprintf(path, sizeof(path), "sys/devices/virtual/net/%s/lower_%s",
		 name, of);
	snprintf(target, sizeof(target), "../../../../class/net/%s", of);
	tree_link(path, target);
	snprintf(path, sizeof(path), "sys/class/net/%s", name);
	snprintf(target, sizeof(target), "../../devices/virtual/net/%s", name);
	tree_link(path, target);
}

static void route(const char *name, const char *to, const char *flags,
		  const char *mask)
{
	char text[512];

	snprintf(text, sizeof(text),
		 "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\t"
		 "Mask\tMTU\tWindow\tIRTT\n"
		 "%s\t%s\t0101A8C0\t%s\t0\t0\t100\t%s\t0\t0\t0\n",
		 name, to, flags, mask);
	tree_file("proc/net/route", text);
}

START_TEST(a_default_route_is_followed_to_its_card)
{
	static const char *const names[] = {"eth0", "bond0", "vlan7", "br0"};
	size_t i;

	interface("eth0", NIC);
	made_interface("bond0", "eth0");
	made_interface("vlan7", "bond0");
	made_interface("br0", "vlan7");
	for (i = 0; i < sizeof(names) / sizeof(*names); i++) {
		route(names[i], "00000000", "0003", "00000000");
		ck_assert_int_eq(use_of(NIC), PST_HOST_CARD_NETWORK);
		ck_assert_int_eq(use_of(VGA), PST_HOST_CARD_FREE);
	}
	/* A network of its own, one that is down, one that leads nowhere. */
	route("eth0", "0001A8C0", "0001", "00FFFFFF");
	ck_assert_int_eq(use_of(NIC), PST_HOST_CARD_NO_GPU);
	route("eth0", "00000000", "0002", "00000000");
	ck_assert_int_eq(use_of(NIC), PST_HOST_CARD_NO_GPU);
	route("eth0", "00000000", "0201", "00000000");
	ck_assert_int_eq(use_of(NIC), PST_HOST_CARD_NO_GPU);
}
END_TEST

START_TEST(so_is_one_of_ipv6_and_one_by_a_function_beside_the_gpus)
{
	interface("eth0", DPU);
	tree_file("proc/net/ipv6_route",
		  "00000000000000000000000000000000 00 "
		  "00000000000000000000000000000000 00 "
		  "fe800000000000000000000000000001 00000400 00000001 00000000 "
		  "00000003     eth0\n");
	ck_assert_int_eq(use_of(DPU_AI), PST_HOST_CARD_NETWORK);
	ck_assert_str_eq(use.fn->name, DPU);
	/* What the kernel puts there for addresses without a route. */
	tree_file("proc/net/ipv6_route",
		  "00000000000000000000000000000000 00 "
		  "00000000000000000000000000000000 00 "
		  "00000000000000000000000000000000 ffffffff 00000001 00000000 "
		  "00200200     eth0\n");
	ck_assert_int_eq(use_of(DPU_AI), PST_HOST_CARD_FREE);
}
END_TEST

START_TEST(trees_made_to_lead_in_circles_end)
{
	made_disk("dm-1", "dm-2");
	made_disk("dm-2", "dm-1");
	made_interface("br0", "br1");
	made_interface("br1", "br0");
	mount("/dev/dm-1", "ext4");
	route("br0", "00000000", "0003", "00000000");
	ck_assert_int_eq(use_of(VGA), PST_HOST_CARD_FREE);
	tree_file("proc/mounts", "\n \n/dev/ / x\n/dev/.. / ext4\n");
	tree_file("proc/net/route", "a b c\n\n../.. 00000000 0 0003 0 0 0 0\n");
	tree_file("proc/net/ipv6_route", "0\n\n");
	ck_assert_int_eq(use_of(VGA), PST_HOST_CARD_FREE);
}
END_TEST

static void add_tests(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_card_that_nobody_uses_is_free_by_each_function);
	tcase_add_test(tc, the_firmwares_display_is_told_by_each_function);
	tcase_add_test(tc, a_screen_that_is_lit_is_told_by_each_function);
	tcase_add_test(tc, what_is_no_gpu_is_not_taken_for_one);
	tcase_add_test(tc, a_mounted_disk_is_found_below_what_it_is_mounted_by);
	tcase_add_test(tc, swap_pools_and_further_disks_of_a_file_system_count);
	tcase_add_test(tc, a_disk_with_several_paths_is_found);
	tcase_add_test(tc, a_default_route_is_followed_to_its_card);
	tcase_add_test(tc,
		       so_is_one_of_ipv6_and_one_by_a_function_beside_the_gpus);
	tcase_add_test(tc, trees_made_to_lead_in_circles_end);
}

int main(void)
{
	return pst_unit_run("card_use", add_tests, 60);
}
