/* SPDX-License-Identifier: MIT */
/* Registers the region with the driver: tries three ways in order. */
#ifndef PST_GUEST_AGENT_CUDA_REGISTRATION_H
#define PST_GUEST_AGENT_CUDA_REGISTRATION_H

#include <stdbool.h>
#include <stdint.h>

#include "transport/base/error.h"

enum pst_cuda_registration_how {
	PST_CUDA_REGISTERED_PLAIN,    /* pinned pages */
	PST_CUDA_REGISTERED_IOMEMORY, /* a device's memory, mapped uncached */
	PST_CUDA_REGISTERED_STAGED, /* not at all: copies through pinned memory
				     */
};

struct pst_cuda_registration {
	enum pst_cuda_registration_how how;
	uint8_t *base;   /* of the process */
	uint8_t *mapped; /* the device's address of base; NULL: staged */
	uint8_t *start;  /* what was registered, to the region's end */
	uint64_t size;
	char why[384]; /* what failed on the way down; empty for plain */
};

/*
 * Registers the region (wire offset 0 at base): plain, else IoMemory, else
 * staged, which cannot fail. IoMemory is for the arena alone: the driver wants
 * a single mapping for it, and through sysfs the control area has one of its
 * own. No operand lies in the control area. Errors that the driver left behind
 * are cleared. force: how to begin, PST_CUDA_REGISTERED_PLAIN for the whole
 * ladder.
 */
void pst_cuda_registration_open(uint8_t *base, uint64_t size,
				enum pst_cuda_registration_how force,
				struct pst_cuda_registration *ret);

/* Nothing may use the region on the device any more. */
void pst_cuda_registration_close(struct pst_cuda_registration *r);

/* "plain", "iomemory", "staged". */
const char *pst_cuda_registration_name(enum pst_cuda_registration_how how);

#endif
