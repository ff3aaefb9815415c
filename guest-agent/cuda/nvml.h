/* SPDX-License-Identifier: MIT */
/* Reads the card's health through NVML, if that can be loaded. */
#ifndef PST_GUEST_AGENT_CUDA_NVML_H
#define PST_GUEST_AGENT_CUDA_NVML_H

#include "guest-agent/exec/backend.h"

struct pst_cuda_nvml;

/* The library's name, or what PENSTOCK_NVML names (tests). */
const char *pst_cuda_nvml_library(void);

/*
 * Loads the library and reads the card at the PCI address once a second, on a
 * thread of its own: a reading takes milliseconds. Returns NULL if the library,
 * the card or memory is missing, which is no error.
 */
struct pst_cuda_nvml *pst_cuda_nvml_open(const char *library, const char *pci);

/* Adds the last reading to ret: temperature, power, utilisation, free memory,
 * the driver's version. NULL: nothing. */
void pst_cuda_nvml_read(struct pst_cuda_nvml *n,
			struct pst_backend_device *ret);

/* Ends the thread; waits for a reading to end. NULL does nothing. */
void pst_cuda_nvml_close(struct pst_cuda_nvml *n);

#endif
