/* SPDX-License-Identifier: MIT */
/* The check functions of check.c's table, and what they share. */
#ifndef PST_KERNEL_PARAMS_CHECK_CHECK_INT_H
#define PST_KERNEL_PARAMS_CHECK_CHECK_INT_H

#include <inttypes.h>

#include "kernel-params/check/check.h"
#include "kernel-params/check/verdict.h"

#define PST_CHECK(name)                                                        \
	void pst_check_##name(const struct pst_host *h,                        \
			      struct pst_findings *out)

/* check_cpu.c */
PST_CHECK(cpu);
PST_CHECK(kvm);
/* check_iommu.c */
PST_CHECK(iommu_firmware);
PST_CHECK(iommu_enabled);
PST_CHECK(iommu_mode);
PST_CHECK(iommu_acs);
PST_CHECK(iommu_interrupts);
PST_CHECK(iommu_group);
/* check_gpu.c */
PST_CHECK(gpu_selected);
PST_CHECK(gpu_functions);
PST_CHECK(gpu_twins);
PST_CHECK(gpu_driver);
PST_CHECK(gpu_reset);
PST_CHECK(gpu_bars);
PST_CHECK(gpu_dma_width);
/* check_display.c */
PST_CHECK(boot_display);
PST_CHECK(host_use);
PST_CHECK(framebuffer);
PST_CHECK(host_gpu);
PST_CHECK(nvidia_modules);
PST_CHECK(nvidia_modeset);
/* check_vfio.c */
PST_CHECK(vfio_module);
PST_CHECK(vfio_ids);
PST_CHECK(vfio_early);
/* check_memory.c */
PST_CHECK(memory_total);
PST_CHECK(hugepages_pool);
PST_CHECK(hugepages_node);
PST_CHECK(hugepages_boot);
PST_CHECK(hugetlbfs);
PST_CHECK(region_file);
PST_CHECK(memlock);
/* check_system.c */
PST_CHECK(vhost_vsock);
PST_CHECK(qemu);
PST_CHECK(libvirt);
PST_CHECK(ovmf);
PST_CHECK(lockdown);
PST_CHECK(kernel_version);
PST_CHECK(io_uring);
PST_CHECK(tree);

/* ---- check_common.c ---- */

/*
 * "add PARAMS to the kernel's command line ..." as this system does it, and the
 * plan that shows it, with its further arguments.
 */
void pst_fix_cmdline(const struct pst_host *h, const char *params,
		     const char *plan, struct pst_text *ret);

/* What the request takes together; UINT64_MAX when it does not fit. */
uint64_t pst_wanted_bytes(const struct pst_host *h);

/* Bytes as GiB with one decimal where it matters. */
static inline double pst_gib(uint64_t bytes)
{
	return (double)bytes / (double)(1ULL << 30);
}

#endif
