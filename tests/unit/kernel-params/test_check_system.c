/* SPDX-License-Identifier: MIT */
/* Findings about a host in order, and about its system: one fault at a time. */
#include "tests/fixtures/hostgood.h"
#include "tests/fixtures/unit.h"

/* With that file the finding has that status and words. */
static void given(const char *path, const char *text, const char *id,
		  enum pst_host_finding_status status, const char *words)
{
	tree_file(path, text);
	finding(id, status, words);
}

START_TEST(a_host_in_order_passes_but_for_what_is_live)
{
	size_t i;

	make_good();
	check();
	for (i = 0; i < fs.n; i++)
		ck_assert_msg(fs.f[i].status == PST_HOST_PASS ||
				      strcmp(fs.f[i].id, "kvm.open") == 0,
			      "%s: %s", fs.f[i].id, fs.f[i].seen);
	finding("kvm.open", PST_HOST_WARN, "cannot be opened from here");
	done();
}
END_TEST

START_TEST(each_name_is_given_once)
{
	size_t i, k;

	make_good();
	check();
	for (i = 0; i < fs.n; i++)
		for (k = i + 1; k < fs.n; k++)
			ck_assert_str_ne(fs.f[i].id, fs.f[k].id);
	for (i = 0; pst_host_checks[i].id; i++)
		ck_assert_msg(find(pst_host_checks[i].id) != NULL,
			      "%s has nothing to say", pst_host_checks[i].id);
	done();
}
END_TEST

START_TEST(a_processor_without_virtualisation_fails)
{
	make_good();
	given("proc/cpuinfo",
	      "vendor_id : GenuineIntel\nmodel name : Atom\nflags : fpu\n",
	      "cpu.virtualization", PST_HOST_FAIL, "neither vmx nor svm");
	tree_unlink("proc/cpuinfo");
	finding("cpu.virtualization", PST_HOST_WARN, "not seen");
	tree_unlink("dev/kvm");
	given("proc/modules", "x 1 0 - Live 0x0\n", "kvm.open", PST_HOST_FAIL,
	      "neither dev/kvm");
	done();
}
END_TEST

START_TEST(vfio_has_to_be_there)
{
	make_good();
	given("proc/modules", "kvm_amd 1 0 - Live 0x0\n", "vfio.module",
	      PST_HOST_WARN, "vfio-pci not loaded");
	tree_file("lib/modules/7.1.3-generic/modules.builtin", "");
	given("lib/modules/7.1.3-generic/modules.dep",
	      "kernel/drivers/vfio/pci/vfio-pci.ko.zst:\n", "vfio.module",
	      PST_HOST_WARN, "vfio-pci not loaded");
	given("lib/modules/7.1.3-generic/modules.dep", "x.ko:\n", "vfio.module",
	      PST_HOST_FAIL, "vfio-pci not there");
	finding("vsock.vhost", PST_HOST_PASS, "/dev/vhost-vsock");
	tree_unlink("dev/vhost-vsock");
	finding("vsock.vhost", PST_HOST_FAIL, "no vhost_vsock");
	given("lib/modules/7.1.3-generic/modules.builtin",
	      "kernel/drivers/vfio/pci/vfio-pci.ko\n"
	      "kernel/drivers/vfio/vfio_iommu_type1.ko\n",
	      "vfio.module", PST_HOST_PASS, "vfio-pci built in");
	finding("vfio.early", PST_HOST_PASS, "built in");
	/* Which knows only the ids of the command line. */
	finding("vfio.ids", PST_HOST_WARN, "does not reach");
	given("proc/cmdline", "vfio-pci.ids=10de:2204,10de:1aef\n", "vfio.ids",
	      PST_HOST_PASS, "command line");
	done();
}
END_TEST

START_TEST(every_rival_has_to_wait_or_stay_away)
{
	make_good();
	given("etc/modprobe.d/vfio.conf", "", "vfio.early", PST_HOST_WARN,
	      "nvidia may load before");
	tree_dir("sys/module/nouveau");
	given("proc/modules", "nouveau 1 0 - Live 0x0\n", "vfio.early",
	      PST_HOST_WARN, "nouveau may load before");
	tree_file("proc/cmdline", "rd.driver.pre=vfio-pci\n");
	given("etc/mkinitcpio.conf", "MODULES=()\n", "vfio.early",
	      PST_HOST_WARN, "nouveau may load before");
	tree_unlink("etc/mkinitcpio.conf");
	finding("vfio.early", PST_HOST_PASS, "rd.driver.pre=vfio-pci");
	tree_file("proc/cmdline", "quiet\n");
	given("etc/modprobe.d/vfio.conf",
	      "options vfio-pci ids=10de:2204\nsoftdep nvidia pre: "
	      "vfio-pci\n",
	      "vfio.ids", PST_HOST_WARN, AUDIO ": nothing");
	finding("vfio.early", PST_HOST_WARN, "nouveau may load before");
	given("etc/modprobe.d/no.conf", "blacklist nouveau\n", "vfio.early",
	      PST_HOST_PASS, "softdep or blacklist");
	/* An initramfs loads by name, whatever is blacklisted. */
	given("etc/mkinitcpio.conf", "MODULES=(nouveau)\n", "vfio.early",
	      PST_HOST_WARN, "loads nouveau and not vfio_pci");
	given("etc/mkinitcpio.conf", "MODULES=(vfio_pci nouveau)\n",
	      "vfio.early", PST_HOST_PASS, "mkinitcpio loads vfio_pci early");
	given("etc/mkinitcpio.conf", "MODULES=(nouveau vfio_pci)\n",
	      "vfio.early", PST_HOST_WARN, "loads nouveau before vfio_pci");
	given("etc/mkinitcpio.conf", "MODULES=(nvidiafb vfio_pci)\n",
	      "vfio.early", PST_HOST_WARN, "loads nvidiafb before vfio_pci");
	tree_driver(GPU, "nouveau");
	request.gpu = GPU;
	finding("vfio.early", PST_HOST_FAIL, "before it and run mkinitcpio -P");
	done();
}
END_TEST

START_TEST(what_keeps_vfio_pci_itself_away_is_said)
{
	make_good();
	given("etc/modprobe.d/no.conf", "blacklist vfio-pci\n", "vfio.early",
	      PST_HOST_WARN, "line 1 keeps vfio-pci from being loaded");
	given("etc/modprobe.d/no.conf", "install vfio_pci /bin/false\n",
	      "vfio.early", PST_HOST_WARN, "take the line about vfio-pci out");
	tree_driver(GPU, "nvidia");
	request.gpu = GPU;
	finding("vfio.early", PST_HOST_FAIL, "by blacklist or install");
	done();
}
END_TEST

START_TEST(the_audio_functions_driver_has_to_wait_too)
{
	make_good();
	tree_driver(AUDIO, "snd_hda_intel");
	request.gpu = GPU;
	finding("vfio.early", PST_HOST_WARN, "snd_hda_intel may load before");
	given("etc/modprobe.d/snd.conf",
	      "softdep snd_hda_intel pre: vfio-pci\n", "vfio.early",
	      PST_HOST_PASS, "softdep or blacklist");
	done();
}
END_TEST

START_TEST(a_module_that_is_gone_is_named)
{
	make_good();
	given("etc/mkinitcpio.conf", "MODULES=(vfio_pci vfio_virqfd)\n",
	      "vfio.early", PST_HOST_WARN, "take vfio_virqfd out there");
	given("proc/sys/kernel/osrelease", "6.1.50\n", "vfio.early",
	      PST_HOST_PASS, "mkinitcpio loads vfio_pci early");
	tree_unlink("etc/mkinitcpio.conf");
	tree_file("proc/sys/kernel/osrelease", "6.2.0\n");
	given("etc/dracut.conf.d/v.conf", "add_drivers+=\" vfio_virqfd \"\n",
	      "vfio.early", PST_HOST_WARN, "etc/dracut.conf.d/v.conf has");
	done();
}
END_TEST

START_TEST(a_dracut_file_without_conf_is_named)
{
	make_good();
	given("etc/dracut.conf.d/vfio", "force_drivers+=\" vfio_pci \"\n",
	      "vfio.early", PST_HOST_WARN, "softdep");
	finding("vfio.early", PST_HOST_WARN, "dracut ignores");
	tree_file("etc/modprobe.d/vfio.conf", "");
	tree_file("proc/cmdline", "rd.driver.pre=vfio-pci\n");
	tree_unlink("etc/dracut.conf.d/vfio");
	finding("vfio.early", PST_HOST_PASS, "rd.driver.pre");
	done();
}
END_TEST

START_TEST(nixos_is_told_in_its_own_words)
{
	struct pst_host_boot boot;

	make_good();
	tree_file("etc/os-release", "ID=nixosish\n");
	pst_host_boot_scan(&tree, &boot);
	ck_assert_uint_ne(boot.has, PST_HOST_TARGET_NIXOS);
	tree_file("etc/os-release", "NAME=NixOS\nID=\"nixos\"\n");
	pst_host_boot_scan(&tree, &boot);
	ck_assert_uint_eq(boot.has, PST_HOST_TARGET_NIXOS);
	tree_file("etc/modprobe.d/vfio.conf", "");
	tree_file("etc/nixos/configuration.nix",
		  "{ boot.initrd.kernelModules = [ \"vfio_pci\" ];\n"
		  "boot.kernelParams = [ \"vfio-pci.ids=10de:2204,10de:1aef\" "
		  "]; }\n");
	given("proc/cmdline", "quiet\n", "iommu.mode", PST_HOST_WARN,
	      "boot.kernelParams");
	finding("vfio.early", PST_HOST_PASS, "NixOS loads vfio_pci early");
	finding("vfio.ids", PST_HOST_PASS, GPU);
	given("etc/nixos/configuration.nix", "{ }\n", "vfio.ids", PST_HOST_WARN,
	      "nothing");
	ck_assert_ptr_null(strstr(find("vfio.ids")->fix, "not seen"));
	tree_unlink("etc/os-release");
	given("etc/NIXOS", "", "iommu.mode", PST_HOST_WARN,
	      "boot.kernelParams");
	tree_unlink("etc/NIXOS");
	tree_dir("boot/loader/entries");
	finding("iommu.mode", PST_HOST_WARN, "/boot/loader/entries");
	given("etc/kernel/cmdline", "", "iommu.mode", PST_HOST_WARN,
	      "/etc/kernel/cmdline, run kernel-install add $(uname -r) "
	      "/boot/vmlinuz-$(uname -r)");
	given("etc/default/grub", "", "iommu.mode", PST_HOST_WARN,
	      "/etc/default/grub, run grub-mkconfig -o /boot/grub/grub.cfg "
	      "and");
	given("usr/sbin/update-grub", "", "iommu.mode", PST_HOST_WARN,
	      "/etc/default/grub, run update-grub and reboot");
	given("etc/kernelstub/configuration", "{}", "iommu.mode", PST_HOST_WARN,
	      "kernelstub --add-options \"iommu=pt\"");
	tree_dir("ostree");
	finding("iommu.mode", PST_HOST_WARN, "rpm-ostree kargs");
	done();
}
END_TEST

START_TEST(hugepages_have_to_be_enough)
{
	make_good();
	pages("sys/kernel/mm/hugepages", "4096\n");
	finding("hugepages.pool", PST_HOST_WARN, "would want more");
	request.sizes_given = true;
	finding("hugepages.pool", PST_HOST_FAIL, "would want more");
	pages("sys/kernel/mm/hugepages", "2047\n");
	request.sizes_given = false;
	finding("hugepages.pool", PST_HOST_FAIL, "the region alone");
	pages("sys/kernel/mm/hugepages", "2048\n");
	tree_file("sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages",
		  "16");
	given("sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages",
	      "16", "hugepages.pool", PST_HOST_PASS, "16 pages of 1024 MiB");
	pages("sys/kernel/mm/hugepages", "10240\n");
	given("sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "10",
	      "hugepages.pool", PST_HOST_WARN, "10 free");
	finding("hugepages.boot", PST_HOST_PASS, "10240 pages of 2 MiB");
	given("proc/cmdline", "hugepagesz=1G hugepages=16\n", "hugepages.boot",
	      PST_HOST_WARN, "sets 0 pages of 2 MiB aside");
	given("proc/cmdline",
	      "hugepagesz=1G hugepages=16 hugepagesz=2M "
	      "hugepages=0:1024,1:1024\n",
	      "hugepages.boot", PST_HOST_PASS, "2048 pages of 2 MiB");
	given("proc/cmdline", "hugepages=0:2048,1:x\n", "hugepages.boot",
	      PST_HOST_WARN, "sets 0 pages of 2 MiB aside");
	given("proc/cmdline", "hugepages=7,4096\n", "hugepages.boot",
	      PST_HOST_WARN, "sets 7 pages of 2 MiB aside");
	given("proc/cmdline", "hugepagesz=2M hugepages=7 hugepages=4096\n",
	      "hugepages.boot", PST_HOST_WARN, "sets 7 pages of 2 MiB aside");
	given("proc/cmdline", "default_hugepagesz=1G hugepages=4096\n",
	      "hugepages.boot", PST_HOST_WARN, "2048");
	given("proc/cmdline", "iommu=pt\n", "hugepages.boot", PST_HOST_WARN,
	      "gone then");
	given("etc/sysctl.d/h.conf", "vm.nr_hugepages = 10240\n",
	      "hugepages.boot", PST_HOST_PASS, "h.conf");
	tree_unlink("etc/sysctl.d/h.conf");
	given("etc/tmpfiles.d/h.conf",
	      "w /sys/devices/system/node/node0/hugepages/"
	      "hugepages-2048kB/nr_hugepages - - - - 10240\n",
	      "hugepages.boot", PST_HOST_PASS, "tmpfiles.d");
	request.vm_memory = 80ULL << 30;
	finding("memory.total", PST_HOST_WARN, "80 GiB for the guest");
	done();
}
END_TEST

/* A file or folder, and what cannot be in order without it. */
static const struct {
	const char *path, *id, *words;
} unseen[] = {
	{"proc/cmdline", "iommu.acs", "but proc/cmdline was not seen"},
	{"proc/cmdline", "iommu.interrupts", "but proc/cmdline was not seen"},
	{"proc/cmdline", "nvidia.modeset", "but proc/cmdline was not seen"},
	{"proc/cmdline", "iommu.mode", "no iommu=pt"},
	{"proc/mounts", "gpu.host_use", "but proc/mounts was not seen"},
	{"proc/mounts", "hugetlbfs.mount", "proc/mounts was not seen"},
	{"proc/net/route", "gpu.host_use", "but proc/net/route was not seen"},
	{"proc/modules", "nvidia.modules", "proc/modules was not seen"},
	{"proc/fb", "gpu.framebuffer", "neither proc/fb nor"},
	{"proc/meminfo", "memory.total", "proc/meminfo was not seen"},
	{"sys/bus/pci/devices/" GPU "/boot_vga", "gpu.boot_display",
	 "boot_vga of the card was not seen"},
	{"sys/devices/system/node", "hugepages.node", "was not seen"},
	{"sys/kernel/mm", "hugepages.pool", "was not seen"},
	{"sys/kernel/security", "kernel.lockdown", "was not seen"},
	{"proc/sys/kernel", "kernel.io_uring", "was not seen"},
	{"proc/sys/kernel", "kernel.version", "was not seen"},
	{"dev", "region.file", "no region file"},
};

START_TEST(what_was_not_seen_is_no_pass)
{
	char command[TREE_PATH + 32];

	make_good();
	snprintf(command, sizeof(command), "rm -r '%s'",
		 tmpdir_path(unseen[_i].path));
	ck_assert_int_eq(system(command), 0);
	finding(unseen[_i].id, PST_HOST_WARN, unseen[_i].words);
	done();
}
END_TEST

START_TEST(what_others_take_of_the_memory_counts)
{
	make_good();
	given("proc/cmdline",
	      "iommu=pt hugepagesz=2M hugepages=10240 hugepagesz=1G "
	      "hugepages=40\n",
	      "memory.total", PST_HOST_WARN,
	      "beside what others take (40 pages of 1 GiB: 40960 MiB) leave "
	      "little");
	tree_file("proc/cmdline", "iommu=pt\n");
	tree_file("etc/libvirt/qemu/autostart/web.xml", "");
	given("etc/libvirt/qemu/web.xml",
	      "<domain><name>web</name><memory unit='GiB'>60</memory></domain>",
	      "memory.total", PST_HOST_WARN, "guest web: 61440 MiB");
	request.sizes_given = true;
	finding("memory.total", PST_HOST_FAIL, "guest web: 61440 MiB");
	done();
}
END_TEST

START_TEST(a_later_writer_of_the_pool_is_named)
{
	make_good();
	given("etc/sysctl.d/h.conf", "vm.nr_hugepages = 100\n",
	      "hugepages.boot", PST_HOST_WARN,
	      "h.conf: vm.nr_hugepages = 100 comes after the command line");
	done();
}
END_TEST

START_TEST(hugepages_belong_on_the_cards_node)
{
	make_good();
	tree_file("sys/devices/system/node/online", "0-1\n");
	pages("sys/devices/system/node/node0/hugepages", "10240\n");
	pages("sys/devices/system/node/node1/hugepages", "0\n");
	finding("hugepages.node", PST_HOST_PASS, "node 0");
	finding("memory.total", PST_HOST_PASS, "64 GiB");
	given("sys/devices/system/node/node0/meminfo",
	      "Node 0 MemTotal: 22020096 kB\n", "memory.total", PST_HOST_WARN,
	      "NUMA node 0 has 21 GiB");
	tree_attr(GPU, "numa_node", "1\n");
	finding("hugepages.node", PST_HOST_WARN, "node1/hugepages");
	/* What the others advise is the same. */
	given("proc/cmdline", "iommu=pt\n", "hugepages.boot", PST_HOST_WARN,
	      "hugepagesz=2M hugepages=1:10240");
	given("proc/sys/kernel/osrelease", "5.10.0\n", "hugepages.boot",
	      PST_HOST_WARN, "hugepagesz=2M hugepages=10240");
	/* Which take the node for the count. */
	given("proc/cmdline", "hugepages=1:10240\n", "hugepages.boot",
	      PST_HOST_WARN, "sets 1 pages of 2 MiB aside");
	tree_attr(GPU, "numa_node", "-1\n");
	finding("hugepages.node", PST_HOST_WARN, "tells none");
	done();
}
END_TEST

START_TEST(the_region_lies_on_pages_of_2_mib)
{
	make_good();
	given("proc/mounts",
	      "none /mnt/h\\040p hugetlbfs rw,pagesize=1024M "
	      "0 0\n",
	      "hugetlbfs.mount", PST_HOST_FAIL,
	      "/mnt/h p has pages of 1024 MiB");
	finding("region.file", PST_HOST_WARN, "no region file");
	given("proc/mounts", "proc /proc proc rw 0 0\n", "hugetlbfs.mount",
	      PST_HOST_FAIL, "no hugetlbfs");
	tree_unlink("proc/mounts");
	finding("hugetlbfs.mount", PST_HOST_WARN, "not seen");
	/* Without an option it has the default size. */
	given("proc/mounts", "h /dev/hugepages hugetlbfs rw 0 0\n",
	      "hugetlbfs.mount", PST_HOST_PASS, "/dev/hugepages");
	finding("region.file", PST_HOST_PASS, "penstock-vm");
	chmod(tmpdir_path("dev/hugepages/penstock-vm"), 0666);
	finding("region.file", PST_HOST_FAIL, "mode 0666");
	chmod(tmpdir_path("dev/hugepages/penstock-vm"), 0660);
	request.sizes_given = true;
	finding("region.file", PST_HOST_WARN, "--replace");
	request.sizes_given = false;
	given("etc/penstock/regions.d/vm.conf", "# x\nSIZE=4G\nNODE=0\n",
	      "region.file", PST_HOST_FAIL, "its SIZE");
	ck_assert_int_eq(
		truncate(tmpdir_path("dev/hugepages/penstock-vm"), 4LL << 30),
		0);
	finding("region.file", PST_HOST_PASS, "4 GiB, mode 0660");
	given("etc/penstock/regions.d/other.conf", "SIZE=1G\n", "region.file",
	      PST_HOST_WARN, "other of /etc/penstock/regions.d");
	tree_unlink("dev/hugepages/penstock-vm");
	tree_file("dev/shm/penstock-other", "");
	tree_file("dev/shm/elsewhere", "");
	tree_file("etc/penstock/regions.d/other.conf", "SIZE=none\n");
	tree_unlink("etc/penstock/regions.d/vm.conf");
	finding("region.file", PST_HOST_PASS, "dev/shm/penstock-other");
	done();
}
END_TEST

START_TEST(programs_are_found_by_their_files)
{
	make_good();
	given("var/lib/dpkg/status",
	      "Package: qemu-system-x86\nVersion: 1:5.2\n\n"
	      "Package: libvirt-daemon\nVersion: 9.0.0-4\n",
	      "qemu.version", PST_HOST_WARN, "5.2");
	finding("libvirt.version", PST_HOST_WARN, "9.3");
	tree_unlink("var/lib/dpkg/status");
	finding("qemu.version", PST_HOST_WARN, "not seen");
	tree_unlink("usr/bin/qemu-system-x86_64");
	finding("qemu.version", PST_HOST_FAIL, "no qemu-system-x86_64");
	tree_unlink("usr/sbin/libvirtd");
	finding("libvirt.version", PST_HOST_WARN, "neither libvirtd");
	tree_unlink("usr/share/OVMF/OVMF_CODE_4M.fd");
	finding("ovmf.files", PST_HOST_WARN, "no OVMF");
	done();
}
END_TEST

START_TEST(lockdown_versions_and_sysctls_are_warnings)
{
	static const uint8_t on[] = {6, 0, 0, 0, 1};

	make_good();
	tree_bytes("sys/firmware/efi/efivars/SecureBoot-"
		   "8be4df61-93ca-11d2-aa0d-00e098032b8c",
		   on, sizeof(on));
	tree_file("sys/kernel/security/lockdown",
		  "none [integrity] confidentiality\n");
	finding("kernel.lockdown", PST_HOST_WARN, "integrity; Secure Boot on");
	given("proc/sys/kernel/osrelease", "6.12.7\n", "kernel.version",
	      PST_HOST_WARN, "CVE-2025-21756");
	given("proc/sys/kernel/io_uring_disabled", "2\n", "kernel.io_uring",
	      PST_HOST_WARN, "is 2");
	tree_unlink("proc/sys/kernel/io_uring_disabled");
	finding("kernel.io_uring", PST_HOST_WARN, "not seen");
	tree_unlink("proc/sys/kernel/osrelease");
	finding("kernel.version", PST_HOST_WARN, "not seen");
	given("proc/version", "Linux version 5.4.0-1 (x) #1\n",
	      "kernel.io_uring", PST_HOST_PASS, "no sysctl");
	tree_unlink("etc/security/limits.d/kvm.conf");
	finding("memory.lock", PST_HOST_WARN, "no limit was seen");
	tree_unlink("sys/kernel/security/lockdown");
	given("proc/cmdline", "lockdown=confidentiality\n", "kernel.lockdown",
	      PST_HOST_WARN, "asks for confidentiality");
	done();
}
END_TEST

/* What the running machine would answer, put into what was read. */
static void live(const char *id, enum pst_host_finding_status status,
		 const char *words)
{
	const struct pst_host_finding *f;

	pst_host_findings_done(&fs);
	host.live.tested = true;
	pst_host_checks_run(&host, &fs);
	f = find(id);
	ck_assert_ptr_nonnull(f);
	ck_assert_msg(f->status == status && strstr(f->seen, words),
		      "%s %s: %s", pst_host_finding_status_name(f->status), id,
		      f->seen);
}

START_TEST(the_limits_of_a_tree_have_to_be_high_enough)
{
	make_good();
	finding("memory.lock", PST_HOST_PASS, "unlimited");
	given("etc/security/limits.d/kvm.conf", "* soft memlock 64 \n",
	      "memory.lock", PST_HOST_WARN, "memlock 64");
	given("etc/security/limits.d/kvm.conf", "*\t-\tmemlock\t67108864",
	      "memory.lock", PST_HOST_PASS, "67108864");
	given("etc/security/limits.conf",
	      "* hard memlock 64\n# x\n"
	      "@kvm - memlock unlimited\r\n",
	      "memory.lock", PST_HOST_PASS, "unlimited");
	given("proc/cmdline", "iommu.passthrough=0\n", "iommu.mode",
	      PST_HOST_WARN, "no iommu=pt");
	given("proc/cmdline", "iommu.passthrough=1\n", "iommu.mode",
	      PST_HOST_PASS, "iommu=pt");
	done();
}
END_TEST

START_TEST(the_running_machines_answers_are_told_apart)
{
	make_good();
	tree_file("proc/cpuinfo", "vendor_id : AuthenticAMD\nflags : fpu\n");
	check();
	host.live.kvm_api = 12;
	live("kvm.open", PST_HOST_PASS, "API version 12");
	live("cpu.virtualization", PST_HOST_PASS, "KVM answers");
	host.live.kvm_api = 11;
	live("kvm.open", PST_HOST_FAIL, "API version 11");
	host.live.kvm_error = EACCES;
	live("kvm.open", PST_HOST_FAIL, "Permission denied");
	live("cpu.virtualization", PST_HOST_WARN, "may not be asked");
	host.live.kvm_error = ENOENT;
	live("kvm.open", PST_HOST_FAIL, "no /dev/kvm");
	live("cpu.virtualization", PST_HOST_FAIL, "neither vmx nor svm");
	host.live.kvm_error = ENXIO;
	live("kvm.open", PST_HOST_FAIL, "does not answer");
	live("vsock.vhost", PST_HOST_PASS, "/dev/vhost-vsock");
	host.live.vhost_error = EACCES;
	live("vsock.vhost", PST_HOST_WARN, "Permission denied");
	live("memory.lock", PST_HOST_WARN, "0 KiB");
	host.live.memlock = 21ULL << 30;
	live("memory.lock", PST_HOST_PASS, "21504 MiB");
	host.live.memlock = UINT64_MAX;
	live("memory.lock", PST_HOST_PASS, "unlimited");
	done();
}
END_TEST

START_TEST(distributions_tell_the_version_behind_theirs)
{
	make_good();
	given("proc/sys/kernel/osrelease", "6.1.0-13-amd64\n", "kernel.version",
	      PST_HOST_WARN, "6.1.0 lacks");
	tree_file(
		"proc/version",
		"Linux version 6.1.0-13-amd64 (debian-kernel@lists.debian.org) "
		"(gcc-12 (Debian 12.2.0-14) 12.2.0, GNU ld 2.40) #1 SMP "
		"PREEMPT_DYNAMIC Debian 6.1.164-1 (2026-02-01)\n");
	finding("kernel.version", PST_HOST_WARN,
		"6.1.164 lacks CVE-2026-46214");
	given("proc/version_signature", "Ubuntu 7.0.0-4.4-generic 7.1.2\n",
	      "kernel.version", PST_HOST_PASS, "6.1.0-13-amd64");
	given("proc/version_signature", "Ubuntu x\n", "kernel.version",
	      PST_HOST_WARN, "6.1.0 lacks");
	done();
}
END_TEST

START_TEST(garbage_is_reported_and_made_printable)
{
	const struct pst_host_finding *f;
	const char *p;

	make_good();
	tree_attr(GPU, "numa_node", "9999999999999999999999\n");
	tree_bytes("proc/cmdline", "a\0b", 3);
	given("sys/bus/pci/devices/0000:77:00.0", "x", "tree.readable",
	      PST_HOST_WARN, "proc/cmdline");
	finding("tree.readable", PST_HOST_WARN, "1 entries");
	finding("tree.readable", PST_HOST_WARN, "invalid attributes of " GPU);
	given("proc/cmdline", "pcie_acs_override=\033[2J\377x\n", "iommu.acs",
	      PST_HOST_WARN, "=?[2J?x");
	f = find("iommu.acs");
	for (p = f->seen; *p; p++)
		ck_assert(*p >= ' ' && *p <= '~');
	done();
}
END_TEST

START_TEST(an_empty_tree_is_no_host)
{
	tree_make();
	ck_assert_int_eq(pst_host_scan(&tree, &request, &host, &err), -ENOENT);
	ck_assert_ptr_nonnull(strstr(err.text, "neither proc nor sys"));
	tree_dir("proc");
	request.gpu = NULL;
	finding("gpu.selected", PST_HOST_FAIL, "no PCI device was seen");
	tree_pci(&(struct tree_pci){"0000:03:00.0", "0x144d", "0xa80a",
				    "0x010802", "nvme", -1, NULL});
	finding("gpu.selected", PST_HOST_FAIL, "no graphics card");
	finding("iommu.enabled", PST_HOST_WARN, "not seen");
	finding("hugepages.pool", PST_HOST_WARN, "not seen");
	finding("kvm.open", PST_HOST_WARN, "not seen");
	done();
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, a_host_in_order_passes_but_for_what_is_live);
	tcase_add_test(tc, each_name_is_given_once);
	tcase_add_test(tc, a_processor_without_virtualisation_fails);
	tcase_add_test(tc, vfio_has_to_be_there);
	tcase_add_test(tc, every_rival_has_to_wait_or_stay_away);
	tcase_add_test(tc, what_keeps_vfio_pci_itself_away_is_said);
	tcase_add_test(tc, the_audio_functions_driver_has_to_wait_too);
	tcase_add_test(tc, a_module_that_is_gone_is_named);
	tcase_add_test(tc, a_dracut_file_without_conf_is_named);
	tcase_add_test(tc, nixos_is_told_in_its_own_words);
	tcase_add_test(tc, hugepages_have_to_be_enough);
	tcase_add_loop_test(tc, what_was_not_seen_is_no_pass, 0,
			    PST_ARRAY_SIZE(unseen));
	tcase_add_test(tc, what_others_take_of_the_memory_counts);
	tcase_add_test(tc, a_later_writer_of_the_pool_is_named);
	tcase_add_test(tc, hugepages_belong_on_the_cards_node);
	tcase_add_test(tc, the_region_lies_on_pages_of_2_mib);
	tcase_add_test(tc, programs_are_found_by_their_files);
	tcase_add_test(tc, lockdown_versions_and_sysctls_are_warnings);
	tcase_add_test(tc, the_limits_of_a_tree_have_to_be_high_enough);
	tcase_add_test(tc, the_running_machines_answers_are_told_apart);
	tcase_add_test(tc, distributions_tell_the_version_behind_theirs);
	tcase_add_test(tc, garbage_is_reported_and_made_printable);
	tcase_add_test(tc, an_empty_tree_is_no_host);
}

int main(void)
{
	return pst_unit_run("check_system", add, 20);
}
