/* SPDX-License-Identifier: MIT */
/* Maps an NVIDIA device id to architecture, drivers, CUDA and DMA width. */
#ifndef PST_KERNEL_PARAMS_MACHINE_GPU_ARCH_H
#define PST_KERNEL_PARAMS_MACHINE_GPU_ARCH_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Sources: ranges of device ids from the PCI ID database (pci-ids.ucw.cz, April
 * 2023) and, for Blackwell, gpu/devid_chips.py of NVIDIA/gpu-admin-tools. Last
 * driver branches from NVIDIA's "Unix graphics feature deprecation schedule"
 * and legacy driver lists; CUDA from the toolkit's release notes and nvcc's
 * supported architectures. DMA widths from the NVIDIA driver's README ("DMA
 * addressing", 40 bits) and /proc/driver/nvidia of newer cards (47); they are
 * lower bounds, the card itself may reach further.
 */
struct pst_host_gpu_arch {
	const char *name;          /* "Maxwell" */
	const char *sm;            /* compute capabilities, "5.x" */
	unsigned int first_branch; /* oldest driver branch, 0: before 390 */
	unsigned int last_branch; /* newest driver branch, 0: the current one */
	const char *first_cuda;   /* oldest toolkit that compiles for it */
	const char *last_cuda;    /* newest major, NULL: the current one */
	bool open_only;           /* the proprietary module refuses it */
	bool open_possible;       /* the open module supports it */
	unsigned int dma_bits;
};

/*
 * The architecture of an NVIDIA display function. NULL for an id that is not in
 * the table: say so, and assume nothing.
 */
const struct pst_host_gpu_arch *pst_host_gpu_arch_find(uint16_t vendor,
						       uint16_t device);

#endif
