/* SPDX-License-Identifier: MIT */
/* The double's card, versions and error texts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fakecuda/streams.h"

cudaError_t cudaRuntimeGetVersion(int *ret)
{
	const struct fakecuda_config *c = fakecuda_get();

	*ret = c->runtime;
	/* As CUDA 11.8 was seen to. */
	if (c->runtime < 12000 && (!c->driver || !c->n_devices))
		return fakecuda_error(c->driver ? cudaErrorNoDevice
						: cudaErrorInsufficientDriver);
	return fakecuda_call();
}

cudaError_t cudaDriverGetVersion(int *ret)
{
	*ret = fakecuda_get()->driver;
	return fakecuda_call();
}

cudaError_t cudaGetDeviceCount(int *ret)
{
	const struct fakecuda_config *c = fakecuda_get();
	cudaError_t e = fakecuda_call();

	*ret = c->n_devices;
	if (e != cudaSuccess)
		return e;
	if (c->driver < c->runtime / 1000 * 1000)
		return fakecuda_error(cudaErrorInsufficientDriver);
	return c->n_devices ? cudaSuccess : fakecuda_error(cudaErrorNoDevice);
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *p, int device)
{
	const struct fakecuda_config *c = fakecuda_get();

	memset(p, 0, sizeof(*p));
	snprintf(p->name, sizeof(p->name), "Fake GPU 9000");
	p->uuid.bytes[0] = (char)(0x12 + device);
	p->pciBusID = 1 + device;
	p->totalGlobalMem = c->memory;
	p->major = c->major;
	p->minor = c->minor;
	p->multiProcessorCount = c->multiprocessors;
	return fakecuda_call();
}

cudaError_t cudaDeviceGetAttribute(int *ret, enum cudaDeviceAttr a, int device)
{
	(void)device;
	switch (a) {
	case cudaDevAttrMaxPitch:
		/* Small, so that tests get beyond it. */
		*ret = FAKECUDA_MAX_PITCH;
		break;
	case cudaDevAttrMemoryPoolsSupported:
		*ret = !fakecuda_get()->no_pools;
		break;
	default:
		fakecuda_note("an attribute the double does not know");
		*ret = 0;
	}
	return fakecuda_call();
}

cudaError_t cudaDeviceReset(void)
{
	fakecuda_count_reset();
	return cudaSuccess;
}

cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t *ret, int device)
{
	(void)device;
	*ret = NULL;
	return fakecuda_call();
}

cudaError_t cudaMemPoolTrimTo(cudaMemPool_t pool, size_t keep)
{
	(void)pool;
	(void)keep;
	fakecuda_count_trim();
	return fakecuda_call();
}

const char *cudaGetErrorString(cudaError_t e)
{
	switch (e) {
	case cudaSuccess:
		return "no error";
	case cudaErrorMemoryAllocation:
		return "out of memory";
	case cudaErrorNotSupported:
		return "operation not supported";
	case cudaErrorInvalidValue:
		return "invalid argument";
	case cudaErrorUnknown:
		return "unknown error";
	case cudaErrorLaunchFailure:
		return "unspecified launch failure";
	case cudaErrorIllegalAddress:
		return "an illegal memory access was encountered";
	case cudaErrorECCUncorrectable:
		return "uncorrectable ECC error encountered";
	default:
		return "some error";
	}
}

const char *cudaGetErrorName(cudaError_t e)
{
	switch (e) {
	case cudaSuccess:
		return "cudaSuccess";
	case cudaErrorMemoryAllocation:
		return "cudaErrorMemoryAllocation";
	case cudaErrorNotSupported:
		return "cudaErrorNotSupported";
	case cudaErrorInvalidValue:
		return "cudaErrorInvalidValue";
	case cudaErrorUnknown:
		return "cudaErrorUnknown";
	case cudaErrorLaunchFailure:
		return "cudaErrorLaunchFailure";
	case cudaErrorIllegalAddress:
		return "cudaErrorIllegalAddress";
	case cudaErrorECCUncorrectable:
		return "cudaErrorECCUncorrectable";
	default:
		return "cudaErrorSome";
	}
}
