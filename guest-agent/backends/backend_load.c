/* SPDX-License-Identifier: MIT */
/* Opens a backend, from a module if need be. */
#include "guest-agent/backends/backend_load.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guest-agent/service/log.h"
#include "guest-agent/sim/backend_sim.h"
#include "transport/base/util.h"

#define MODULE "penstock-backend-cuda.so"
#define SYMBOL "pst_backend_cuda_module"
/* The driver's tools create it if there is a card that it drives, on some
 * systems only when the first program asks CUDA for it. */
#define DEVICE  "/dev/nvidiactl"
#define DRIVER  "module/nvidia"
#define DEVICES "bus/pci/devices"
/* Of PCI: the vendor, and the class of display controllers. */
#define NVIDIA  "0x10de"
#define DISPLAY "0x03"

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

/* A small file of a PCI function's in sysfs; false: there is none. */
static bool read_function(const char *sysfs, const char *addr, const char *name,
			  char *ret, size_t size)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/" DEVICES "/%.16s/%s", sysfs, addr,
		 name);
	return pst_read_text(path, ret, size) >= 0;
}

/* Whether a function is a card of NVIDIA's that this kernel does not leave to a
 * virtual machine. ret_driver: what it is bound to. */
static bool is_gpu(const char *sysfs, const char *addr, char *ret_driver,
		   size_t size)
{
	char path[PATH_MAX], text[PATH_MAX] = "";
	const char *name;

	if (!read_function(sysfs, addr, "vendor", text, sizeof(text)) ||
	    strcmp(text, NVIDIA) != 0 ||
	    !read_function(sysfs, addr, "class", text, sizeof(text)) ||
	    strncmp(text, DISPLAY, strlen(DISPLAY)) != 0)
		return false;
	memset(text, 0, sizeof(text));
	snprintf(path, sizeof(path), "%s/" DEVICES "/%.16s/driver", sysfs,
		 addr);
	if (readlink(path, text, sizeof(text) - 1) < 0)
		snprintf(text, sizeof(text), "none");
	name = strrchr(text, '/') ? strrchr(text, '/') + 1 : text;
	snprintf(ret_driver, size, "%.32s", name);
	return strcmp(name, "vfio-pci") != 0 && strcmp(name, "pci-stub") != 0;
}

/* Says of the first card that is there to be used that it cannot be; false:
 * there is none. */
static bool find_gpu(const char *sysfs, char *ret, size_t size)
{
	char path[PATH_MAX], driver[64];
	bool found = false;
	struct dirent *de;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/" DEVICES, sysfs);
	dir = opendir(path);
	if (!dir)
		return false;
	while (!found && (de = readdir(dir)))
		found = is_gpu(sysfs, de->d_name, driver, sizeof(driver));
	if (found)
		snprintf(ret, size,
			 "the NVIDIA card %.16s (driver: %s) cannot be used "
			 "(--backend cpu computes without it)",
			 de->d_name, driver);
	closedir(dir);
	return found;
}

/* Whether there is anything that the module could find. */
static int look_for_driver(const char *sysfs, struct pst_error *err)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/" DRIVER, sysfs);
	if (module_dir() || access(DEVICE, F_OK) == 0 ||
	    access(path, F_OK) == 0)
		return 0;
	return pst_error_set(err, -ENODEV, "there is neither " DEVICE " nor %s",
			     path);
}

/* A card that is there and cannot be used is no reason to compute without it
 * silently: its driver may come up yet, and a new start looks again. */
static int open_auto(const char *sysfs, uint8_t *base, uint64_t size,
		     uint32_t threads, const struct pst_backend_ops **ret_ops,
		     struct pst_backend **ret, struct pst_error *err)
{
	char gpu[192];
	int r;

	r = look_for_driver(sysfs, err);
	if (r == 0)
		r = open_cuda(base, size, threads, ret_ops, ret, err);
	if (r == 0)
		return 0;
	if (find_gpu(sysfs, gpu, sizeof(gpu)))
		return pst_error_prefix(err, gpu);
	pst_agent_log(PST_AGENT_LOG_INFO,
		      "computing on the cpu, not on a GPU: %s", err->text);
	*ret_ops = &pst_backend_cpu;
	return pst_backend_cpu.open(base, size, threads, ret, err);
}

int pst_backend_check(const struct pst_backend_ops *want, const char *options,
		      struct pst_error *err)
{
	struct pst_sim_card card;

	if (want == &pst_backend_sim)
		return pst_sim_parse(options, &card, err);
	return !options ? 0
			: pst_error_set(err, -EINVAL,
					"the %s backend has no options",
					want->name);
}

int pst_backend_open(const struct pst_backend_ops *want, const char *options,
		     const char *sysfs, uint8_t *base, uint64_t size,
		     uint32_t threads, const struct pst_backend_ops **ret_ops,
		     struct pst_backend **ret, struct pst_error *err)
{
	struct pst_sim_card card;
	int r;

	if (want == &pst_backend_auto)
		return open_auto(sysfs, base, size, threads, ret_ops, ret, err);
	if (want == &pst_backend_cuda)
		return open_cuda(base, size, threads, ret_ops, ret, err);
	*ret_ops = want;
	if (want != &pst_backend_sim)
		return want->open(base, size, threads, ret, err);
	r = pst_sim_parse(options, &card, err);
	return r < 0 ? r : pst_sim_open(&card, base, size, threads, ret, err);
}
