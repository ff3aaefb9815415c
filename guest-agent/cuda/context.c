/* SPDX-License-Identifier: MIT */
/* Checks whether the device's context is lost. */
#include "guest-agent/cuda/context.h"

#include <errno.h>

bool pst_cuda_check_lost(struct pst_backend *b, const struct pst_error *why)
{
	cudaError_t e;

	if (b->lost)
		return true;
	/* In a living context a stream is either busy or idle. */
	e = cudaStreamQuery(b->mem_stream);
	if (e == cudaSuccess || e == cudaErrorNotReady)
		return false;
	cudaGetLastError();
	b->lost = true;
	pst_error_set(&b->why, -EIO, "%s is lost to this agent: %s: %s (%s)",
		      b->device.name, why && why->text[0] ? why->text : "it",
		      cudaGetErrorString(e), cudaGetErrorName(e));
	return true;
}
