/* SPDX-License-Identifier: MIT */
/* The one symbol of penstock-backend-cuda.so that the agent looks for. */
#ifndef PST_GUEST_AGENT_CUDA_MODULE_H
#define PST_GUEST_AGENT_CUDA_MODULE_H

#include "guest-agent/exec/backend.h"

extern const struct pst_backend_ops pst_backend_cuda_module;

#endif
