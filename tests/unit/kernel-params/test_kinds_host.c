/* SPDX-License-Identifier: MIT */
/* Relatives of reported hosts: K4, budgets over all contributors; K5, no
 * evidence is no PASS; K8, formats that move. */
#include "tests/fixtures/hostkinds.h"
#include "tests/fixtures/unit.h"

#define LIMITS  "etc/security/limits.d/kvm.conf"
#define SYSTEMD "etc/systemd/"
#define CMDLINE "proc/cmdline"
#define GUEST   "etc/libvirt/qemu/a.xml"
#define STARTS  "etc/libvirt/qemu/autostart/a.xml"
/* Another guest of 8 GiB. */
#define GUEST_OF(pages)                                                        \
	"<domain><name>a</name><memory unit='GiB'>8</memory>"                  \
	"<memoryBacking><hugepages>" pages                                     \
	"</hugepages></memoryBacking></domain>"

static const struct kind_row rows[] = {
	{4,
	 "pages of another guest at boot",
	 {{CMDLINE, "hugepagesz=2M hugepages=4096\n"},
	  {GUEST, GUEST_OF("")},
	  {STARTS, "x"}},
	 "hugepages.boot",
	 WARN,
	 "the region, guest a take together 6144"},
	{4,
	 "another guest that does not start by itself",
	 {{CMDLINE, "hugepagesz=2M hugepages=4096\n"}, {GUEST, GUEST_OF("")}},
	 "hugepages.boot",
	 PASS,
	 "4096 pages"},
	{4,
	 "another guest of large pages, which nothing gives",
	 {{CMDLINE, "hugepagesz=2M hugepages=4096\n"},
	  {GUEST, GUEST_OF("<page size='1' unit='GiB'/>")},
	  {STARTS, "x"}},
	 "hugepages.boot",
	 WARN,
	 "8 GiB in pages larger than 2 MiB"},
	{4,
	 "the same with large pages",
	 {{CMDLINE, "hugepagesz=1G hugepages=8 hugepagesz=2M hugepages=2048\n"},
	  {GUEST, GUEST_OF("<page size='1' unit='GiB'/>")},
	  {STARTS, "x"}},
	 "hugepages.boot",
	 PASS,
	 "2048 pages"},
	{4,
	 "large pages by tmpfiles are none for the region",
	 {{CMDLINE, "quiet\n"},
	  {"etc/tmpfiles.d/h.conf",
	   "w /sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages - - - - 8192\n"}},
	 "hugepages.boot",
	 WARN,
	 "the region alone takes 2048"},
	{4,
	 "a soft limit that a later line lowers",
	 {{LIMITS, "@kvm - memlock unlimited\n@kvm soft memlock 64\n"}},
	 "memory.lock",
	 WARN,
	 "memlock 64"},
	{4,
	 "a hard limit alone",
	 {{LIMITS, "@kvm hard memlock unlimited\n"}},
	 "memory.lock",
	 WARN,
	 "no limit was seen"},
	{4,
	 "a file of limits of another name",
	 {{LIMITS, ""},
	  {"etc/security/limits.d/kvm.conf.bak", "* - memlock unlimited\n"}},
	 "memory.lock",
	 WARN,
	 "no limit was seen"},
	{4,
	 "libvirt's daemon",
	 {{LIMITS, ""},
	  {SYSTEMD "system/libvirtd.service.d/x.conf",
	   "[Service]\nLimitMEMLOCK=infinity\n"}},
	 "memory.lock",
	 PASS,
	 "LimitMEMLOCK=infinity"},
	{4,
	 "a drop-in of it that comes later",
	 {{LIMITS, ""},
	  {SYSTEMD "system/virtqemud.service.d/a.conf",
	   "[Service]\nLimitMEMLOCK=infinity\n"},
	  {SYSTEMD "system/virtqemud.service.d/b.conf",
	   "[Service]\nLimitMEMLOCK=64M\n"}},
	 "memory.lock",
	 WARN,
	 "b.conf: LimitMEMLOCK=64M"},
	{4,
	 "all of the user's services",
	 {{LIMITS, ""},
	  {SYSTEMD "user.conf",
	   "[Manager]\n#DefaultLimitMEMLOCK=8M\nDefaultLimitMEMLOCK = 32G:64G\n"}},
	 "memory.lock",
	 PASS,
	 "32G:64G"},
	{4,
	 "other guests with cards, more than there is memory",
	 {{GUEST,
	   "<domain><name>a</name><memory unit='GiB'>60</memory><devices>"
	   "<hostdev mode='subsystem' type='pci'/></devices></domain>"},
	  {STARTS, "x"}},
	 "memory.lock",
	 WARN,
	 "with other guests (guest a: 61440 MiB)"},
	{4,
	 "the same of memory that is locked by itself",
	 {{GUEST, "<domain><name>a</name><memory unit='GiB'>60</memory>"
		  "<memoryBacking><locked/></memoryBacking></domain>"},
	  {STARTS, "x"}},
	 "memory.lock",
	 WARN,
	 "guest a: 61440 MiB"},
	{4,
	 "another guest that locks nothing",
	 {{GUEST,
	   "<domain><name>a</name><memory unit='GiB'>60</memory></domain>"},
	  {STARTS, "x"}},
	 "memory.lock",
	 PASS,
	 ""},
	{4,
	 "guests of one user by iommufd",
	 {{GUEST,
	   "<domain><name>a</name><memory unit='GiB'>8</memory><devices>"
	   "<hostdev type='pci'><driver iommufd='yes'/></hostdev></devices>"
	   "</domain>"},
	  {STARTS, "x"},
	  {LIMITS, "@kvm - memlock 16777216\n"}},
	 "memory.lock",
	 WARN,
	 "counts the guests of a user together (guest a: 8192 MiB)"},
	{4,
	 "a guest of Proxmox with a card",
	 {{"etc/pve/qemu-server/100.conf",
	   "name: win\nonboot: 1\nmemory: 61440\nhostpci0: 0000:05:00\n"}},
	 "memory.lock",
	 WARN,
	 "guest win: 61440 MiB"},
	{5,
	 "a mount table that is not there",
	 {{"proc/mounts", NULL}},
	 "hugetlbfs.mount",
	 WARN,
	 "proc/mounts was not seen"},
	{5,
	 "a machine of unknown memory",
	 {{"proc/meminfo", NULL}},
	 "memory.total",
	 WARN,
	 "proc/meminfo was not seen"},
	{5,
	 "limits that are not there",
	 {{LIMITS, NULL}},
	 "memory.lock",
	 WARN,
	 "no limit was seen in this tree"},
	{5,
	 "zeros in iomem",
	 {{"proc/fb", "0 EFI VGA\n"},
	  {"sys/devices/pci0000:00/" GPU "/boot_vga", "1\n"},
	  {"sys/devices/pci0000:00/0000:30:00.0/boot_vga", "0\n"},
	  {"proc/iomem", "00000000-00000000 : System RAM\n"}},
	 "gpu.framebuffer",
	 FAIL,
	 "is the firmware's display"},
	{8,
	 "ids with any subsystem and a class",
	 {{VFIO,
	   "options vfio-pci ids=10de:2204:ffffffff:ffffffff:00030000:ffff00ff,10de:1aef:ffffffff:ffffffff\n"}},
	 "vfio.ids",
	 PASS,
	 "0000:01:00.1: ids in modprobe.d"},
	{8,
	 "a maker that stands for all its cards",
	 {{CMDLINE, "vfio-pci.ids=10de:ffffffff\n"}},
	 "vfio.ids",
	 PASS,
	 "0000:01:00.1: ids on the command line"},
	{8,
	 "a subsystem that is another",
	 {{VFIO, "options vfio-pci ids=10de:2204:1043:8536,10de:1aef\n"}},
	 "vfio.ids",
	 WARN,
	 "0000:01:00.0: nothing"},
	{8,
	 "modules packed by zstd",
	 {{"lib/modules/7.1.3-generic/modules.dep",
	   "kernel/drivers/vfio/pci/vfio-pci.ko.zst: kernel/drivers/vfio/vfio.ko.zst\n"},
	  {"lib/modules/7.1.3-generic/modules.builtin",
	   "kernel/drivers/iommu/iommufd/iommufd.ko\n"}},
	 "vfio.module",
	 WARN,
	 "vfio-pci not loaded"},
	{8,
	 "a kernel without vfio-pci",
	 {{"lib/modules/7.1.3-generic/modules.dep",
	   "kernel/fs/fuse/fuse.ko.zst:\n"},
	  {"lib/modules/7.1.3-generic/modules.builtin",
	   "kernel/fs/ext4/ext4.ko\n"}},
	 "vfio.module",
	 FAIL,
	 "vfio-pci not there"},
	{8,
	 "pages in KiB on the command line",
	 {{CMDLINE, "hugepagesz=2048K hugepages=2048\n"}},
	 "hugepages.boot",
	 PASS,
	 "2048 pages"},
	{8,
	 "NVIDIA's driver in Rust",
	 {{VFIO, OPTIONS
	   "softdep nouveau pre: vfio-pci\nsoftdep nvidia pre: vfio-pci\n"
	   "softdep snd_hda_intel pre: vfio-pci\n"},
	  {"proc/modules", "nova_core 1 0 - Live 0x0\n"}},
	 "vfio.early",
	 WARN,
	 "nova_core may load before"},
};

START_TEST(k4_budgets_are_over_all_contributors)
{
	kind_see_all(rows, PST_ARRAY_SIZE(rows), 4);
}
END_TEST

START_TEST(k5_no_evidence_is_no_pass)
{
	kind_see_all(rows, PST_ARRAY_SIZE(rows), 5);
}
END_TEST

START_TEST(k8_formats_move)
{
	kind_see_all(rows, PST_ARRAY_SIZE(rows), 8);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, k4_budgets_are_over_all_contributors);
	tcase_add_test(tc, k5_no_evidence_is_no_pass);
	tcase_add_test(tc, k8_formats_move);
}

int main(void)
{
	return pst_unit_run("kinds_host", add, 120);
}
