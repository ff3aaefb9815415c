/* SPDX-License-Identifier: MIT */
/* The check functions of check.c's table, and their helpers. */
#ifndef PST_KERNEL_PARAMS_CHECK_CHECK_INT_H
#define PST_KERNEL_PARAMS_CHECK_CHECK_INT_H

#include <inttypes.h>

#include "kernel-params/check/check.h"
#include "kernel-params/check/verdict.h"

#define PST_HOST_CHECK(name)                                                   \
	void pst_host_check_##name(const struct pst_host *h,                   \
				   struct pst_host_findings *out)

/* check_cpu.c */
PST_HOST_CHECK(cpu);
PST_HOST_CHECK(kvm);
/* check_iommu.c */
PST_HOST_CHECK(iommu_firmware);
PST_HOST_CHECK(iommu_enabled);
PST_HOST_CHECK(iommu_mode);
PST_HOST_CHECK(iommu_acs);
PST_HOST_CHECK(iommu_interrupts);
PST_HOST_CHECK(iommu_group);
/* check_gpu.c */
PST_HOST_CHECK(gpu_selected);
PST_HOST_CHECK(gpu_functions);
PST_HOST_CHECK(gpu_twins);
PST_HOST_CHECK(gpu_driver);
PST_HOST_CHECK(gpu_bars);
PST_HOST_CHECK(gpu_dma_width);
/* check_reset.c */
PST_HOST_CHECK(gpu_answer);
PST_HOST_CHECK(gpu_reset);
PST_HOST_CHECK(gpu_power);
PST_HOST_CHECK(gpu_link);
/* check_display.c */
PST_HOST_CHECK(boot_display);
PST_HOST_CHECK(host_use);
PST_HOST_CHECK(framebuffer);
PST_HOST_CHECK(host_gpu);
PST_HOST_CHECK(nvidia_modules);
PST_HOST_CHECK(nvidia_modeset);
/* check_vfio.c */
PST_HOST_CHECK(vfio_module);
PST_HOST_CHECK(vfio_ids);
PST_HOST_CHECK(vfio_early);
/* check_memory.c */
PST_HOST_CHECK(memory_total);
PST_HOST_CHECK(hugepages_pool);
PST_HOST_CHECK(hugepages_node);
PST_HOST_CHECK(hugepages_boot);
PST_HOST_CHECK(hugetlbfs);
PST_HOST_CHECK(region_file);
PST_HOST_CHECK(memlock);
/* check_system.c */
PST_HOST_CHECK(vhost_vsock);
PST_HOST_CHECK(qemu);
PST_HOST_CHECK(libvirt);
PST_HOST_CHECK(ovmf);
PST_HOST_CHECK(lockdown);
PST_HOST_CHECK(kernel_version);
PST_HOST_CHECK(io_uring);
PST_HOST_CHECK(tree);

/* ---- evidence.c ---- */

/* Makes a PASS a WARN where the files are not there that would tell. */
void pst_host_finding_doubt(const struct pst_host *h,
			    struct pst_host_finding *f);

/* ---- check_common.c ---- */

/*
 * "add PARAMS to the kernel's command line ..." as this system does it, and the
 * plan that shows it, with its further arguments.
 */
void pst_host_fix_cmdline(const struct pst_host *h, const char *params,
			  const char *plan, struct pst_host_text *ret);

/* What the request takes together; UINT64_MAX when it does not fit. */
uint64_t pst_host_wanted_bytes(const struct pst_host *h);

/* Bytes as GiB with one decimal where it matters. */
static inline double pst_host_gib(uint64_t bytes)
{
	return (double)bytes / (double)(1ULL << 30);
}

#endif
