/* SPDX-License-Identifier: MIT */
/* The tree of a host in order, and looking for a single finding of it. */
#ifndef PST_TESTS_UNIT_HOSTGOOD_H
#define PST_TESTS_UNIT_HOSTGOOD_H

#include "kernel-params/check/check.h"
#include "tests/unit/hosttree.h"

#define GPU   "0000:01:00.0"
#define AUDIO "0000:01:00.1"

static struct pst_host host;
static struct pst_findings fs;
static struct pst_error err;
static struct pst_host_request request;

/* A card of 2 MiB of registers and 256 MiB of memory. */
static const char resource[] =
	"0x00000000fb000000 0x00000000fb1fffff 0x0000000000040200\n"
	"0x000000e000000000 0x000000e00fffffff 0x000000000014220c\n";

static inline void pages(const char *dir, const char *count)
{
	char path[TREE_PATH];

	snprintf(path, sizeof(path), "%s/hugepages-2048kB/nr_hugepages", dir);
	tree_file(path, count);
	snprintf(path, sizeof(path), "%s/hugepages-2048kB/free_hugepages", dir);
	tree_file(path, count);
}

static inline void good_devices(void)
{
	tree_pci(&(struct tree_pci){"0000:00:01.1", "0x1022", "0x1483",
				    "0x060400", "pcieport", 10, NULL});
	tree_pci(&(struct tree_pci){GPU, "0x10de", "0x2204", "0x030000",
				    "vfio-pci", 11, resource});
	tree_pci(&(struct tree_pci){AUDIO, "0x10de", "0x1aef", "0x040300",
				    "vfio-pci", 11, NULL});
	tree_attr(GPU, "reset_method", "flr bus\n");
	tree_pci(&(struct tree_pci){"0000:30:00.0", "0x1002", "0x164e",
				    "0x030000", "amdgpu", 30, NULL});
	tree_attr("0000:30:00.0", "boot_vga", "1\n");
	tree_pci(&(struct tree_pci){"0000:03:00.0", "0x144d", "0xa80a",
				    "0x010802", "nvme", 14, NULL});
	tree_file("sys/class/iommu/ivhd0/amd-iommu/features", "400\n");
	tree_file("sys/firmware/acpi/tables/IVRS", "IVRS");
}

static inline void good_kernel(void)
{
	tree_file("proc/cmdline", "root=/dev/nvme0n1p2 rw iommu=pt "
				  "hugepagesz=2M hugepages=10240\n");
	tree_file("proc/cpuinfo",
		  "vendor_id : AuthenticAMD\nmodel name : AMD Ryzen 9\n"
		  "flags : fpu svm npt\naddress sizes : 47 bits physical\n");
	tree_file("proc/meminfo", "MemTotal: 67108864 kB\n"
				  "Hugepagesize: 2048 kB\n");
	tree_file("proc/modules", "kvm_amd 1 0 - Live 0x0\n"
				  "vfio_pci 1 0 - Live 0x0\n"
				  "vfio_iommu_type1 1 0 - Live 0x0\n"
				  "vhost_vsock 1 0 - Live 0x0\n");
	tree_file("proc/mounts", "hugetlbfs /dev/hugepages hugetlbfs "
				 "rw,relatime,pagesize=2M 0 0\n");
	tree_file("proc/sys/kernel/osrelease", "7.1.3-generic\n");
	tree_file("proc/sys/kernel/io_uring_disabled", "0\n");
	tree_file("sys/kernel/security/lockdown",
		  "[none] integrity confidentiality\n");
	tree_file("sys/devices/system/cpu/online", "0-15\n");
	tree_file("sys/devices/system/node/online", "0\n");
	pages("sys/kernel/mm/hugepages", "10240\n");
	tree_file("dev/kvm", "");
	tree_file("dev/vfio/vfio", "");
	tree_file("dev/vhost-vsock", "");
	tree_file("dev/hugepages/penstock-vm", "");
	chmod(tmpdir_path("dev/hugepages/penstock-vm"), 0660);
}

static inline void good_programs(void)
{
	tree_file("etc/os-release", "NAME=\"Debian\"\nID=debian\n");
	tree_file("etc/modprobe.d/vfio.conf",
		  "options vfio-pci ids=10de:2204,10de:1aef\n"
		  "softdep nvidia pre: vfio-pci\n"
		  "softdep nouveau pre: vfio-pci\n");
	tree_file("etc/security/limits.d/kvm.conf",
		  "@kvm - memlock unlimited\n");
	tree_file("usr/bin/qemu-system-x86_64", "");
	tree_file("usr/sbin/libvirtd", "");
	tree_file("usr/share/OVMF/OVMF_CODE_4M.fd", "");
	tree_file("var/lib/dpkg/status",
		  "Package: qemu-system-x86\nVersion: 1:10.0.2\n\n"
		  "Package: libvirt-daemon\nVersion: 11.3.0-1\n");
}

static inline void make_good(void)
{
	request = (struct pst_host_request){
		.region = 4ULL << 30,
		.vm_memory = 16ULL << 30,
	};
	tree_make();
	good_devices();
	good_kernel();
	good_programs();
}

static inline void check(void)
{
	pst_findings_done(&fs);
	pst_host_done(&host);
	ck_assert_int_eq(pst_host_scan(&tree, &request, &host, &err), 0);
	pst_checks_run(&host, &fs);
	ck_assert(!fs.no_memory);
}

static inline void done(void)
{
	pst_findings_done(&fs);
	pst_host_done(&host);
	tree_remove();
}

/* The finding has that status, and seen or fix have these words. */
static inline void finding(const char *id, enum pst_finding_status status,
			   const char *words)
{
	const struct pst_finding *f;

	check();
	f = pst_findings_get(&fs, id);
	ck_assert_msg(f != NULL, "no %s", id);
	ck_assert_msg(f->status == status, "%s is %s: %s", id,
		      pst_finding_status_name(f->status), f->seen);
	ck_assert_msg(strstr(f->seen, words) || strstr(f->fix, words),
		      "no '%s' in %s: %s. %s", words, id, f->seen, f->fix);
	ck_assert_msg(status == PST_PASS || *f->fix, "%s has no cure", id);
}

static inline void second_card(const char *driver)
{
	tree_pci(&(struct tree_pci){"0000:05:00.0", "0x10de", "0x2204",
				    "0x030000", driver, 50, resource});
	tree_pci(&(struct tree_pci){"0000:05:00.1", "0x10de", "0x1aef",
				    "0x040300", "snd_hda_intel", 50, NULL});
}

#endif
