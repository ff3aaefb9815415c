/* SPDX-License-Identifier: MIT */
/* ONNX Runtime's CUDA provider, and the arena as memory that a card copies. */
#ifndef PST_GUEST_AGENT_RUNNER_CUDA_H
#define PST_GUEST_AGENT_RUNNER_CUDA_H

#include <stddef.h>

#include "guest-agent/runner/ort.h"
#include "transport/base/error.h"

/*
 * Loads the provider and registers the arena with the driver, so that the
 * provider's copies from and to it are DMA. ONNX Runtime's list of providers
 * has CUDA without a driver as well, so it is tried. Returns 0, also where the
 * arena could not be registered (*err then says why, else it is empty), or
 * -ENOTSUP with the reason why there is no CUDA.
 */
PST_MUST_USE int pst_runner_cuda_open(const struct pst_runner_ort *ort,
				      void *arena, size_t size,
				      struct pst_error *err);

/* Has a session use CUDA for what it can. Returns 0, -ENOTSUP with the reason.
 */
PST_MUST_USE int pst_runner_cuda_append(const struct pst_runner_ort *ort,
					struct ort_session_options *o,
					struct pst_error *err);

#endif
