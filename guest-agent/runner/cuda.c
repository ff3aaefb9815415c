/* SPDX-License-Identifier: MIT */
/* Tries ONNX Runtime's CUDA provider, and registers the arena by the driver. */
#include "guest-agent/runner/cuda.h"

#include <dlfcn.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* CU_MEMHOSTREGISTER_PORTABLE and _DEVICEMAP, and _IOMEMORY: a device's memory,
 * as the region is in a guest. */
#define PINNED   3U
#define IOMEMORY 4U

/* The driver's functions in use, of cuda.h. 0 is success. */
struct driver {
	int (*init)(unsigned int flags);
	int (*device)(int *ret, int ordinal);
	int (*retain)(void **ret_context, int device);
	int (*enter)(void *context);
	int (*reg)(void *p, size_t size, unsigned int flags);
	int (*name)(int code, const char **ret);
};

int pst_runner_cuda_append(const struct pst_runner_ort *ort,
			   struct ort_session_options *o, struct pst_error *err)
{
	/* No trial of all algorithms at the first shape, and no memory kept
	 * beyond what was asked for. */
	static const char *const keys[] = {
		"device_id", "cudnn_conv_algo_search", "arena_extend_strategy",
		"gpu_mem_limit"};
	char card[12], limit[24];
	const char *const values[] = {card, "HEURISTIC", "kSameAsRequested",
				      limit};
	/* Without a bound the library's own stays. */
	const size_t n = PST_ARRAY_SIZE(keys) - (ort->gpu_memory == 0);
	struct ort_cuda_options *cuda = NULL;
	struct pst_error all;
	const char *why;
	int r;

	snprintf(card, sizeof(card), "%u", ort->gpu);
	snprintf(limit, sizeof(limit), "%" PRIu64, ort->gpu_memory);
	r = pst_runner_ort_check(ort, ort->create_cuda_options(&cuda),
				 "CUDA cannot be had", err);
	if (r == 0)
		r = pst_runner_ort_check(
			ort, ort->update_cuda_options(cuda, keys, values, n),
			"CUDA cannot be had", err);
	if (r == 0)
		r = pst_runner_ort_check(ort, ort->append_cuda(o, cuda),
					 "CUDA cannot be had", err);
	if (cuda)
		ort->release_cuda_options(cuda);
	if (r == 0)
		return 0;
	/* Before it stands where in its source it happened. */
	all = *err;
	why = strstr(all.text, ": FAIL : ");
	return why ? pst_error_set(err, -ENOTSUP, "CUDA cannot be had: %.300s",
				   why + strlen(": FAIL : "))
		   : (err->code = -ENOTSUP);
}

static bool find(void *h, const char *name, void *ret)
{
	void *p = dlsym(h, name);

	memcpy(ret, &p, sizeof(p));
	return p;
}

static int driver_open(struct driver *d, struct pst_error *err)
{
	void *h = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);

	if (!h)
		return pst_error_set(err, -ENOTSUP, "%s", dlerror());
	if (!find(h, "cuInit", &d->init) ||
	    !find(h, "cuDeviceGet", &d->device) ||
	    !find(h, "cuDevicePrimaryCtxRetain", &d->retain) ||
	    !find(h, "cuCtxSetCurrent", &d->enter) ||
	    !find(h, "cuMemHostRegister_v2", &d->reg) ||
	    !find(h, "cuGetErrorName", &d->name))
		return pst_error_set(err, -ENOTSUP,
				     "libcuda.so.1 is no driver of CUDA");
	return 0;
}

/* The primary context is the one that the provider uses. It stays. */
static int driver_register(uint32_t gpu, void *arena, size_t size,
			   struct pst_error *err)
{
	const char *what = "cuInit", *name = NULL;
	struct driver d = {0};
	void *context;
	int device, e;

	if (driver_open(&d, err) < 0)
		return err->code;
	e = d.init(0);
	if (e == 0) {
		what = "cuDeviceGet";
		e = d.device(&device, (int)gpu);
	}
	if (e == 0) {
		what = "cuDevicePrimaryCtxRetain";
		e = d.retain(&context, device);
	}
	if (e == 0) {
		what = "cuCtxSetCurrent";
		e = d.enter(context);
	}
	if (e == 0) {
		what = "cuMemHostRegister";
		e = d.reg(arena, size, PINNED);
		if (e)
			e = d.reg(arena, size, PINNED | IOMEMORY);
	}
	if (e == 0)
		return 0;
	return pst_error_set(err, -EIO, "%s: %s", what,
			     d.name(e, &name) == 0 && name ? name
							   : "unknown error");
}

int pst_runner_cuda_open(const struct pst_runner_ort *ort, void *arena,
			 size_t size, struct pst_error *err)
{
	struct ort_session_options *o;
	struct pst_error why;
	int r;

	r = pst_runner_ort_check(ort, ort->create_session_options(&o),
				 "cannot make options", err);
	if (r < 0)
		return r;
	r = pst_runner_cuda_append(ort, o, err);
	ort->release_session_options(o);
	if (r < 0)
		return r;
	*err = (struct pst_error){0};
	if (driver_register(ort->gpu, arena, size, &why) < 0)
		pst_error_set(err, why.code,
			      "copies to the card are staged, since the region "
			      "cannot be registered: %s",
			      why.text);
	return 0;
}
