/* SPDX-License-Identifier: MIT */
/* Reads the environment's settings of the cuda backend. */
#ifndef PST_GUEST_AGENT_CUDA_OPTIONS_H
#define PST_GUEST_AGENT_CUDA_OPTIONS_H

#include "guest-agent/cuda/context.h"

/*
 * PENSTOCK_CUDA_STRATEGY (auto, mapped, pipelined, whole),
 * PENSTOCK_CUDA_REGISTRATION (plain, iomemory, staged) and
 * PENSTOCK_CUDA_MEMORY (a size). Returns 0, or -EINVAL with a sentence.
 */
int pst_cuda_options_read(struct pst_cuda_options *ret, struct pst_error *err);

#endif
