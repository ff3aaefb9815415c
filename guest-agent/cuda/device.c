/* SPDX-License-Identifier: MIT */
/* The card and its driver: versions, their compatibility, texts of errors. */
#include "guest-agent/cuda/device.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "transport/base/util.h"

/* Of a CUDA version, 13020 for 13.2. */
#define MAJOR(v) ((v) / 1000)
#define MINOR(v) ((v) % 1000 / 10)

/* The cards a library of CUDA has code for: oldest compute capability, from
 * the release notes of CUDA 11.0, 12.0 and 13.0. */
static uint32_t oldest_card(int runtime)
{
	if (runtime >= 13000)
		return 75;
	if (runtime >= 12000)
		return 50;
	return 35;
}

/* The last major version that has code for the card; 0: the newest. */
static int last_for(uint32_t cc)
{
	if (cc < 50)
		return 11;
	return cc < 75 ? 12 : 0;
}

int pst_cuda_check_versions(int driver, int runtime, const char *card,
			    uint32_t major, uint32_t minor,
			    struct pst_error *err)
{
	const uint32_t cc = major * 10 + minor;

	/* Any driver of the same major version will do (minor version
	 * compatibility), and any newer one. */
	if (MAJOR(driver) < MAJOR(runtime))
		return pst_error_set(
			err, -ENODEV,
			"the NVIDIA driver knows CUDA up to %d.%d, this backend "
			"was built with %d.%d: install a newer driver, or a "
			"backend built with CUDA %d",
			MAJOR(driver), MINOR(driver), MAJOR(runtime),
			MINOR(runtime), MAJOR(driver));
	if (cc < oldest_card(runtime))
		return pst_error_set(
			err, -ENODEV,
			"%s (compute capability %u.%u) is too old for CUDA "
			"%d.%d, which begins at %u.%u: it needs a backend built "
			"with CUDA %d or older",
			card, major, minor, MAJOR(runtime), MINOR(runtime),
			oldest_card(runtime) / 10, oldest_card(runtime) % 10,
			last_for(cc));
	return 0;
}

/* The driver's own version, such as "580.95.05"; empty if it cannot be read. */
static void read_driver_text(char *buf, size_t size)
{
	char text[512], *p;
	size_t n;

	buf[0] = '\0';
	if (pst_read_text("/sys/module/nvidia/version", text, sizeof(text)) <=
	    0)
		return;
	p = text;
	n = strspn(p, "0123456789.");
	if (n >= size)
		n = size - 1;
	memcpy(buf, p, n);
	buf[n] = '\0';
}

static void format_uuid(const cudaUUID_t *u, char *buf, size_t size)
{
	char text[37];

	pst_uuid_format((const uint8_t *)u->bytes, text);
	snprintf(buf, size, "GPU-%s", text);
}

static int attribute(enum cudaDeviceAttr which, int device, int missing)
{
	int v;

	if (cudaDeviceGetAttribute(&v, which, device) == cudaSuccess)
		return v;
	cudaGetLastError();
	return missing;
}

static int read_properties(struct pst_cuda_device *d, struct pst_error *err)
{
	struct cudaDeviceProp prop;
	int r;

	r = pst_cuda_ok(cudaGetDeviceProperties(&prop, d->ordinal),
			"reading the card's properties", err);
	if (r < 0)
		return r;
	snprintf(d->name, sizeof(d->name), "%.*s", (int)sizeof(d->name) - 1,
		 prop.name);
	format_uuid(&prop.uuid, d->uuid, sizeof(d->uuid));
	snprintf(d->pci, sizeof(d->pci), "%04x:%02x:%02x.0",
		 (unsigned int)prop.pciDomainID, (unsigned int)prop.pciBusID,
		 (unsigned int)prop.pciDeviceID);
	d->major = (uint32_t)prop.major;
	d->minor = (uint32_t)prop.minor;
	d->multiprocessors = (uint32_t)prop.multiProcessorCount;
	d->mem_total = prop.totalGlobalMem;
	d->max_pitch = (uint64_t)attribute(cudaDevAttrMaxPitch, d->ordinal,
					   0x7fffffff);
	d->pools = attribute(cudaDevAttrMemoryPoolsSupported, d->ordinal, 0);
	return 0;
}

static int count_cards(struct pst_cuda_device *d, int *ret_n,
		       struct pst_error *err)
{
	cudaError_t e;
	int n = 0;

	e = cudaGetDeviceCount(&n);
	if (e == cudaErrorNoDevice || (e == cudaSuccess && n == 0)) {
		cudaGetLastError();
		return pst_error_set(err, -ENODEV,
				     "the NVIDIA driver (CUDA %d.%d) sees no "
				     "card",
				     MAJOR(d->driver), MINOR(d->driver));
	}
	/* The driver reports it if the major versions differ. */
	if (e == cudaErrorInsufficientDriver) {
		cudaGetLastError();
		return pst_error_set(err, -ENODEV,
				     "the NVIDIA driver (CUDA %d.%d) is too "
				     "old for this backend's CUDA %d.%d",
				     MAJOR(d->driver), MINOR(d->driver),
				     MAJOR(d->runtime), MINOR(d->runtime));
	}
	*ret_n = n;
	return pst_cuda_ok(e, "looking for a card", err);
}

static int find_card(const char *gpu, struct pst_cuda_device *d,
		     struct pst_error *err)
{
	int n = 0, i, r;

	r = count_cards(d, &n, err);
	for (i = 0; r == 0 && i < n; i++) {
		d->ordinal = i;
		r = read_properties(d, err);
		if (r < 0 || !gpu || strcasecmp(gpu, d->uuid) == 0 ||
		    strcasecmp(gpu, d->pci) == 0)
			return r;
	}
	return r < 0 ? r
		     : pst_error_set(err, -ENODEV,
				     "PENSTOCK_CUDA_GPU=%s is none of the %d "
				     "cards here, of which the last is %s at "
				     "%s",
				     gpu, n, d->uuid, d->pci);
}

int pst_cuda_device_open(const char *gpu, struct pst_cuda_device *ret,
			 struct pst_error *err)
{
	struct pst_cuda_device d = {.ordinal = 0};
	int r;

	/* Before CUDA 12 it wants a card for that, whose lack has better words
	 * below. */
	if (cudaRuntimeGetVersion(&d.runtime) != cudaSuccess) {
		cudaGetLastError();
		d.runtime = CUDART_VERSION;
	}
	r = pst_cuda_ok(cudaDriverGetVersion(&d.driver),
			"asking for the driver's version", err);
	if (r < 0)
		return r;
	if (d.driver == 0)
		return pst_error_set(err, -ENODEV,
				     "no NVIDIA driver is loaded (this backend "
				     "was built with CUDA %d.%d)",
				     MAJOR(d.runtime), MINOR(d.runtime));
	if (MAJOR(d.driver) < MAJOR(d.runtime))
		return pst_cuda_check_versions(d.driver, d.runtime, "", 99, 0,
					       err);
	r = find_card(gpu, &d, err);
	if (r < 0)
		return r;
	r = pst_cuda_check_versions(d.driver, d.runtime, d.name, d.major,
				    d.minor, err);
	if (r < 0)
		return r;
	read_driver_text(d.driver_text, sizeof(d.driver_text));
	r = pst_cuda_ok(cudaSetDevice(d.ordinal), "taking the card", err);
	if (r < 0)
		return r;
	d.taken = true;
	*ret = d;
	return 0;
}

int pst_cuda_ok(cudaError_t e, const char *what, struct pst_error *err)
{
	int code = -EIO;

	if (e == cudaSuccess)
		return 0;
	/* A sticky error is returned by the next call as well, and is handled
	 * there. */
	cudaGetLastError();
	if (e == cudaErrorMemoryAllocation)
		code = -ENOMEM;
	else if (e == cudaErrorNoDevice || e == cudaErrorInsufficientDriver)
		code = -ENODEV;
	if (e == cudaErrorNoKernelImageForDevice)
		return pst_error_set(err, -ENODEV,
				     "%s: this backend has no code for the "
				     "card's compute capability (CUDA %d.%d)",
				     what, CUDART_VERSION / 1000,
				     CUDART_VERSION % 1000 / 10);
	return pst_error_set(err, code, "%s: %s (%s)", what,
			     cudaGetErrorString(e), cudaGetErrorName(e));
}

int pst_cuda_cublas_ok(cublasStatus_t s, const char *what,
		       struct pst_error *err)
{
	int code;

	switch (s) {
	case CUBLAS_STATUS_SUCCESS:
		return 0;
	case CUBLAS_STATUS_NOT_SUPPORTED:
	case CUBLAS_STATUS_ARCH_MISMATCH:
		code = -EOPNOTSUPP;
		break;
	case CUBLAS_STATUS_ALLOC_FAILED:
		code = -ENOMEM;
		break;
	default:
		code = -EIO;
		break;
	}
	cudaGetLastError();
	return pst_error_set(err, code, "%s: cuBLAS %d.%d: %s", what,
			     CUBLAS_VER_MAJOR, CUBLAS_VER_MINOR,
			     cublasGetStatusString(s));
}
