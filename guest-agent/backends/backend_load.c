/* SPDX-License-Identifier: MIT */
/* Opens a backend, from a module if need be. */
#include "guest-agent/backends/backend_load.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "guest-agent/service/log.h"

#define MODULE "penstock-backend-cuda.so"
#define SYMBOL "pst_backend_cuda_module"
/* The driver's tools create it if there is a card that it drives, on some
 * systems only when the first program asks CUDA for it. */
#define DEVICE "/dev/nvidiactl"
#define DRIVER "/sys/module/nvidia"

static const char *module_dir(void)
{
	const char *dir = secure_getenv("PENSTOCK_BACKEND_DIR");

	return dir && *dir ? dir : NULL;
}

/* The module's table, or NULL: then dlerror() has the reason. */
static int load(const struct pst_backend_ops **ret, struct pst_error *err)
{
	const char *dir = module_dir();
	const struct pst_backend_ops *ops;
	char path[4096];
	void *module;

	if (snprintf(path, sizeof(path), "%s/" MODULE,
		     dir ? dir : PST_PKGLIBDIR) >= (int)sizeof(path))
		return pst_error_set(err, -ENODEV,
				     "PENSTOCK_BACKEND_DIR is too long");
	/* RTLD_NOW: the loader names the first symbol that an old library
	 * lacks. */
	module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!module)
		return pst_error_set(err, -ENODEV,
				     "cannot load the cuda backend: %s",
				     dlerror());
	ops = dlsym(module, SYMBOL);
	if (!ops) {
		dlclose(module);
		return pst_error_set(err, -ENODEV, "%s is no backend", path);
	}
	if (ops->abi != PST_BACKEND_ABI) {
		pst_error_set(err, -ENODEV,
			      "%s has interface %u, this agent %u: they are "
			      "not of one build",
			      path, ops->abi, PST_BACKEND_ABI);
		dlclose(module);
		return -ENODEV;
	}
	*ret = ops;
	return 0;
}

static int open_cuda(uint8_t *base, uint64_t size, uint32_t threads,
		     const struct pst_backend_ops **ret_ops,
		     struct pst_backend **ret, struct pst_error *err)
{
	const struct pst_backend_ops *ops;
	int r;

	r = load(&ops, err);
	if (r == 0)
		r = ops->open(base, size, threads, ret, err);
	if (r == 0)
		*ret_ops = ops;
	return r;
}

static int open_auto(uint8_t *base, uint64_t size, uint32_t threads,
		     const struct pst_backend_ops **ret_ops,
		     struct pst_backend **ret, struct pst_error *err)
{
	if (!module_dir() && access(DEVICE, F_OK) < 0 &&
	    access(DRIVER, F_OK) < 0)
		pst_error_set(err, -ENODEV,
			      "there is neither " DEVICE " nor " DRIVER);
	else if (open_cuda(base, size, threads, ret_ops, ret, err) == 0)
		return 0;
	pst_agent_log(PST_AGENT_LOG_INFO,
		      "computing on the cpu, not on a GPU: %s", err->text);
	*ret_ops = &pst_backend_cpu;
	return pst_backend_cpu.open(base, size, threads, ret, err);
}

int pst_backend_open(const struct pst_backend_ops *want, uint8_t *base,
		     uint64_t size, uint32_t threads,
		     const struct pst_backend_ops **ret_ops,
		     struct pst_backend **ret, struct pst_error *err)
{
	if (want == &pst_backend_auto)
		return open_auto(base, size, threads, ret_ops, ret, err);
	if (want == &pst_backend_cuda)
		return open_cuda(base, size, threads, ret_ops, ret, err);
	*ret_ops = want;
	return want->open(base, size, threads, ret, err);
}
