/* SPDX-License-Identifier: MIT */
/* The table of NVIDIA device ids. */
#include "kernel-params/machine/gpu_arch.h"

#include <stddef.h>

#include "kernel-params/machine/pci.h"

static const struct pst_host_gpu_arch fermi = {
	.name = "Fermi",
	.sm = "2.x",
	.last_branch = 390,
	.first_cuda = "3.0",
	.last_cuda = "8",
	.dma_bits = 40,
};
static const struct pst_host_gpu_arch kepler = {
	.name = "Kepler",
	.sm = "3.x",
	.last_branch = 470,
	.first_cuda = "5.0",
	.last_cuda = "11",
	.dma_bits = 40,
};
static const struct pst_host_gpu_arch maxwell = {
	.name = "Maxwell",
	.sm = "5.x",
	.last_branch = 580,
	.first_cuda = "6.5",
	.last_cuda = "12",
	.dma_bits = 40,
};
static const struct pst_host_gpu_arch pascal = {
	.name = "Pascal",
	.sm = "6.x",
	.last_branch = 580,
	.first_cuda = "8.0",
	.last_cuda = "12",
	.dma_bits = 47,
};
static const struct pst_host_gpu_arch volta = {
	.name = "Volta",
	.sm = "7.0",
	.last_branch = 580,
	.first_cuda = "9.0",
	.last_cuda = "12",
	.dma_bits = 47,
};
static const struct pst_host_gpu_arch turing = {
	.name = "Turing",
	.sm = "7.5",
	.first_branch = 410,
	.first_cuda = "10.0",
	.open_possible = true,
	.dma_bits = 47,
};
static const struct pst_host_gpu_arch ampere = {
	.name = "Ampere",
	.sm = "8.0 or 8.6",
	.first_branch = 450,
	.first_cuda = "11.1",
	.open_possible = true,
	.dma_bits = 47,
};
static const struct pst_host_gpu_arch ada = {
	.name = "Ada Lovelace",
	.sm = "8.9",
	.first_branch = 525,
	.first_cuda = "11.8",
	.open_possible = true,
	.dma_bits = 47,
};
static const struct pst_host_gpu_arch hopper = {
	.name = "Hopper",
	.sm = "9.0",
	.first_branch = 525,
	.first_cuda = "11.8",
	.open_possible = true,
	.dma_bits = 47,
};
static const struct pst_host_gpu_arch blackwell = {
	.name = "Blackwell",
	.sm = "10.x or 12.x",
	.first_branch = 570,
	.first_cuda = "12.8",
	.open_only = true,
	.open_possible = true,
	.dma_bits = 47,
};

/* Blocks that NVIDIA gives to one chip each; sorted. */
static const struct {
	uint16_t first, last;
	const struct pst_host_gpu_arch *arch;
} ranges[] = {
	{0x06c0, 0x06df, &fermi},     /* GF100 */
	{0x0dc0, 0x0dff, &fermi},     /* GF106, GF108 */
	{0x0e20, 0x0e3f, &fermi},     /* GF104 */
	{0x0f00, 0x0f1f, &fermi},     /* GF108 */
	{0x0fc0, 0x0fff, &kepler},    /* GK107 */
	{0x1000, 0x103f, &kepler},    /* GK110, GK180, GK210 */
	{0x1040, 0x109f, &fermi},     /* GF119, GF110 */
	{0x1140, 0x117f, &fermi},     /* GF117 */
	{0x1180, 0x11ff, &kepler},    /* GK104, GK106 */
	{0x1200, 0x125f, &fermi},     /* GF114, GF116 */
	{0x1280, 0x12bf, &kepler},    /* GK208 */
	{0x1340, 0x143f, &maxwell},   /* GM108, GM107, GM204, GM206 */
	{0x15f0, 0x15ff, &pascal},    /* GP100 */
	{0x1600, 0x167f, &maxwell},   /* GM204 of laptops */
	{0x1725, 0x172f, &pascal},    /* GP100 */
	{0x1740, 0x177f, &maxwell},   /* GM108 of laptops */
	{0x1789, 0x179f, &maxwell},   /* GM107 of laptops */
	{0x17c0, 0x17ff, &maxwell},   /* GM200 */
	{0x1b00, 0x1d7f, &pascal},    /* GP102 to GP108 */
	{0x1d80, 0x1dff, &volta},     /* GV100 */
	{0x1e00, 0x1fff, &turing},    /* TU102, TU104, TU106, TU117 */
	{0x2080, 0x20ff, &ampere},    /* GA100 */
	{0x2180, 0x21ff, &turing},    /* TU116 */
	{0x2200, 0x227f, &ampere},    /* GA102 */
	{0x2300, 0x237f, &hopper},    /* GH100 */
	{0x2400, 0x25ff, &ampere},    /* GA103, GA104, GA106, GA107 */
	{0x2680, 0x28ff, &ada},       /* AD102 to AD107 */
	{0x2900, 0x29ff, &blackwell}, /* GB100, GB102 */
	{0x2b80, 0x2bff, &blackwell}, /* GB202 */
	{0x2c00, 0x2c7f, &blackwell}, /* GB203 */
	{0x2d00, 0x2dff, &blackwell}, /* GB206, GB207 */
	{0x2f00, 0x2f7f, &blackwell}, /* GB205 */
	{0x3180, 0x31ff, &blackwell}, /* GB110 */
	{0x3200, 0x327f, &blackwell}, /* GB112 */
};

const struct pst_host_gpu_arch *pst_host_gpu_arch_find(uint16_t vendor,
						       uint16_t device)
{
	size_t i;

	if (vendor != PST_HOST_PCI_NVIDIA)
		return NULL;
	for (i = 0; i < PST_ARRAY_SIZE(ranges); i++)
		if (device >= ranges[i].first && device <= ranges[i].last)
			return ranges[i].arch;
	return NULL;
}
