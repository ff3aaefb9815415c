/* SPDX-License-Identifier: MIT */
/* Registers the region with the driver: tries three ways in order. */
#include "guest-agent/cuda/registration.h"

#include <stdio.h>
#include <string.h>

#include <cuda_runtime_api.h>

#include "transport/wire.h"

static const char *const names[] = {"plain", "iomemory", "staged"};

const char *pst_cuda_registration_name(enum pst_cuda_registration_how how)
{
	return names[how];
}

static void note(struct pst_cuda_registration *r,
		 enum pst_cuda_registration_how how, cudaError_t e)
{
	size_t n = strlen(r->why);

	snprintf(r->why + n, sizeof(r->why) - n, "%s%s: %s (%s)", n ? "; " : "",
		 names[how], cudaGetErrorString(e), cudaGetErrorName(e));
}

static bool try_register(struct pst_cuda_registration *r,
			 enum pst_cuda_registration_how how)
{
	unsigned int flags = cudaHostRegisterPortable | cudaHostRegisterMapped;
	uint64_t skip = 0;
	void *mapped = NULL;
	cudaError_t e;

	if (how == PST_CUDA_REGISTERED_IOMEMORY) {
		flags |= cudaHostRegisterIoMemory;
		skip = PST_WIRE_CTL_SIZE;
	}
	e = cudaHostRegister(r->base + skip, r->size - skip, flags);
	if (e == cudaSuccess) {
		e = cudaHostGetDevicePointer(&mapped, r->base + skip, 0);
		if (e != cudaSuccess)
			cudaHostUnregister(r->base + skip);
	}
	if (e != cudaSuccess) {
		/* The error of a failed registration is sticky: the next call
		 * of any kind would report it. */
		cudaGetLastError();
		note(r, how, e);
		return false;
	}
	r->how = how;
	r->mapped = (uint8_t *)mapped - skip;
	r->start = r->base + skip;
	return true;
}

void pst_cuda_registration_open(uint8_t *base, uint64_t size,
				enum pst_cuda_registration_how force,
				struct pst_cuda_registration *ret)
{
	*ret = (struct pst_cuda_registration){
		.how = PST_CUDA_REGISTERED_STAGED,
		.base = base,
		.size = size,
	};
	if (force <= PST_CUDA_REGISTERED_PLAIN &&
	    try_register(ret, PST_CUDA_REGISTERED_PLAIN))
		return;
	if (force <= PST_CUDA_REGISTERED_IOMEMORY && size > PST_WIRE_CTL_SIZE)
		try_register(ret, PST_CUDA_REGISTERED_IOMEMORY);
}

void pst_cuda_registration_close(struct pst_cuda_registration *r)
{
	if (!r->mapped)
		return;
	cudaHostUnregister(r->start);
	cudaGetLastError();
	r->mapped = NULL;
}
