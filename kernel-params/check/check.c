/* SPDX-License-Identifier: MIT */
/* The table of checks. */
#include "kernel-params/check/check_int.h"

const struct pst_host_check pst_host_checks[] = {
	{"tree.readable", "what cannot be read cannot be checked", false,
	 pst_host_check_tree},
	{"cpu.virtualization", "KVM needs VT-x or AMD-V", false,
	 pst_host_check_cpu},
	{"kvm.open",
	 "without KVM the guest is emulated, and no card can be passed to it",
	 false, pst_host_check_kvm},
	{"iommu.firmware", "the firmware has to hand the IOMMU to the kernel",
	 false, pst_host_check_iommu_firmware},
	{"iommu.enabled", "VFIO gives a device away only behind an IOMMU",
	 false, pst_host_check_iommu_enabled},
	{"iommu.mode", "the host's own devices should not pay for translation",
	 false, pst_host_check_iommu_mode},
	{"iommu.acs",
	 "with the override, groups are a claim and not what the hardware "
	 "isolates",
	 false, pst_host_check_iommu_acs},
	{"iommu.interrupts",
	 "without interrupt remapping a guest's card can send the host any "
	 "interrupt",
	 false, pst_host_check_iommu_interrupts},
	{"gpu.selected", "the checks below are about one card", false,
	 pst_host_check_gpu_selected},
	{"iommu.group",
	 "a group goes to the guest as a whole: what else is in it is lost to "
	 "the host",
	 true, pst_host_check_iommu_group},
	{"gpu.functions",
	 "QEMU starts only when vfio-pci holds every function of the card",
	 true, pst_host_check_gpu_functions},
	{"gpu.twins", "vfio-pci's ids take every card that has them", false,
	 pst_host_check_gpu_twins},
	{"gpu.boot_display",
	 "a card that the host draws on is in use before vfio-pci comes", true,
	 pst_host_check_boot_display},
	{"gpu.host_use",
	 "a card that carries the host's disks or network takes them along",
	 true, pst_host_check_host_use},
	{"gpu.framebuffer",
	 "a framebuffer of the firmware holds the card's memory, and mapping "
	 "it for the guest fails",
	 true, pst_host_check_framebuffer},
	{"host.gpu", "the host should keep a display with its driver", true,
	 pst_host_check_host_gpu},
	{"nvidia.modules",
	 "an NVIDIA module that serves no card can take the guest's at the "
	 "next boot",
	 true, pst_host_check_nvidia_modules},
	{"nvidia.modeset",
	 "modesetting makes the NVIDIA module take a console on the card", true,
	 pst_host_check_nvidia_modeset},
	{"vfio.module", "vfio-pci is what holds the card for the guest", false,
	 pst_host_check_vfio_module},
	{"vfio.ids", "after the next boot vfio-pci has to know its card", true,
	 pst_host_check_vfio_ids},
	{"vfio.early",
	 "the driver that comes first takes the card, and some never give it "
	 "back",
	 true, pst_host_check_vfio_early},
	{"gpu.dma_width",
	 "the card and the IOMMU reach addresses of so many bits; memory of "
	 "the guest above them cannot be mapped",
	 true, pst_host_check_gpu_dma_width},
	{"gpu.answer", "a card that has fallen off the bus starts in no guest",
	 true, pst_host_check_gpu_answer},
	{"gpu.reset",
	 "a card that cannot be reset alone may not start in a second guest",
	 true, pst_host_check_gpu_reset},
	{"gpu.power", "some cards do not come back from D3cold", true,
	 pst_host_check_gpu_power},
	{"gpu.link",
	 "with half of its lanes a card moves half of the bytes a second", true,
	 pst_host_check_gpu_link},
	{"gpu.bars", "the guest sees the card's memory through its BARs", true,
	 pst_host_check_gpu_bars},
	{"gpu.driver",
	 "the guest's driver and CUDA have to be ones that know the card", true,
	 pst_host_check_gpu_driver},
	{"memory.total", "guest and region take their memory from the host's",
	 false, pst_host_check_memory_total},
	{"hugepages.pool",
	 "guest and region lie in hugepages, which have to be set aside", false,
	 pst_host_check_hugepages_pool},
	{"hugepages.node",
	 "memory of another NUMA node is reached through the other processor",
	 true, pst_host_check_hugepages_node},
	{"hugepages.boot",
	 "later than at boot, memory may be too fragmented for hugepages",
	 false, pst_host_check_hugepages_boot},
	{"hugetlbfs.mount", "the region is a file on hugetlbfs, pages of 2 MiB",
	 false, pst_host_check_hugetlbfs},
	{"region.file",
	 "a region of another size stops the guest, one that all may write "
	 "protects nothing",
	 false, pst_host_check_region_file},
	{"memory.lock",
	 "VFIO locks the guest's memory, the region and the BARs included",
	 false, pst_host_check_memlock},
	{"vsock.vhost", "control connections go through vhost-vsock", false,
	 pst_host_check_vhost_vsock},
	{"qemu.version", "QEMU runs the guest", false, pst_host_check_qemu},
	{"libvirt.version", "penstock vm works through libvirt", false,
	 pst_host_check_libvirt},
	{"ovmf.files", "a guest with a current card boots by UEFI", false,
	 pst_host_check_ovmf},
	{"kernel.lockdown",
	 "lockdown refuses unsigned modules and raw access to PCI", false,
	 pst_host_check_lockdown},
	{"kernel.version", "older kernels have known faults in vsock", false,
	 pst_host_check_kernel_version},
	{"kernel.io_uring",
	 "without io_uring penstock uses poll, which costs system calls", false,
	 pst_host_check_io_uring},
	{0},
};

void pst_host_checks_run(const struct pst_host *h,
			 struct pst_host_findings *out)
{
	const struct pst_host_check *c;
	size_t first;

	for (c = pst_host_checks; c->id; c++) {
		if (c->needs_gpu && !h->gpu)
			continue;
		out->id = c->id;
		out->why = c->why;
		first = out->n;
		c->run(h, out);
		for (; first < out->n; first++)
			pst_host_finding_doubt(h, &out->f[first]);
	}
}
