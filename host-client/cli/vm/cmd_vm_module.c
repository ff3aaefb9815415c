/* SPDX-License-Identifier: MIT */
/* Loads the part of "penstock vm" that needs libvirt and libxml2. */
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "host-client/cli/vm/cmd_vm.h"

#define BESIDE "/../libvirt-xml/.libs/penstock-vm.so"

/* The one of the build tree that this program lies in, else the installed. */
static void find_module(char *ret, size_t size)
{
	ssize_t n = readlink("/proc/self/exe", ret, size - sizeof(BESIDE));
	char *slash;

	if (n > 0) {
		ret[n] = '\0';
		slash = strrchr(ret, '/');
		if (slash) {
			strcpy(slash, BESIDE);
			if (access(ret, R_OK) == 0 || errno == EACCES)
				return;
		}
	}
	snprintf(ret, size, "%s", PST_PKGLIBDIR "/penstock-vm.so");
}

/* What this program was built without, or NULL. */
static const char *not_built(void)
{
#if !defined(HAVE_LIBXML2) && !defined(HAVE_LIBVIRT)
	return "libxml2 and libvirt";
#elif !defined(HAVE_LIBXML2)
	return "libxml2";
#else
	return NULL;
#endif
}

static const struct pst_vm_api *load(const struct pst_cmd_ctx *ctx)
{
	const struct pst_vm_api *api = NULL;
	char path[PATH_MAX + sizeof(BESIDE)];
	void *module;

	if (not_built()) {
		pst_cmd_fail(ctx,
			     "this penstock was built without %s: of vm, only "
			     "xml --format qemu, cloud-hypervisor and "
			     "firecracker works",
			     not_built());
		return NULL;
	}
	find_module(path, sizeof(path));
	if (access(path, R_OK) < 0) {
		pst_cmd_fail(ctx, "vm needs its module %s: %s", path,
			     strerror(errno));
		return NULL;
	}
	/* Not closed: libvirt has threads and handlers of its own. */
	module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (module)
		api = dlsym(module, PST_VM_API_SYMBOL);
	if (!api)
		pst_cmd_fail(ctx,
			     "vm needs a module that cannot be loaded: %s "
			     "(Debian: packages libvirt0 and libxml2)",
			     dlerror());
	else if (strcmp(api->abi, PACKAGE_VERSION) != 0)
		pst_cmd_fail(ctx, "%s is of version %s, this is %s", path,
			     api->abi, PACKAGE_VERSION);
	else
		return api;
	return NULL;
}

const struct pst_vm_api *pst_cmd_vm_api(const struct pst_cmd_ctx *ctx,
					bool with_libvirt)
{
	static const struct pst_vm_api *api;

	if (!api)
		api = load(ctx);
	if (api && with_libvirt && !api->has_libvirt) {
		pst_cmd_fail(ctx, "this penstock was built without libvirt");
		return NULL;
	}
	return api;
}

int pst_cmd_vm_connect(const struct pst_cmd_ctx *ctx, const char *uri,
		       const struct pst_vm_api **ret_api,
		       struct pst_vm_virt **ret)
{
	struct pst_error err;
	int r;

	*ret = NULL;
	*ret_api = pst_cmd_vm_api(ctx, true);
	if (!*ret_api)
		return PST_EXIT_FAILED;
	r = (*ret_api)->virt_open(uri, ret, &err);
	if (r == 0)
		return PST_EXIT_OK;
	pst_cmd_fail(ctx, "%s", err.text);
	return pst_cmd_vm_exit(r);
}

bool pst_cmd_vm_is_local(const struct pst_cmd_ctx *ctx, const char *uri)
{
	const char *host = uri ? strstr(uri, "://") : NULL;

	/* qemu:///system, qemu+ssh://host/system */
	if (!uri || (host && (host[3] == '/' || !host[3])))
		return true;
	if (!host)
		pst_cmd_usage(ctx,
			      "--uri: %s is an alias, which may be of another "
			      "machine: name the URI itself",
			      uri);
	else
		pst_cmd_usage(
			ctx,
			"--uri: %s is of another machine, and the region would "
			"be on this one: run penstock there",
			uri);
	return false;
}

int pst_cmd_vm_exit(int r)
{
	switch (r) {
	case 0:
		return PST_EXIT_OK;
	case -EINVAL:
		return PST_EXIT_USAGE;
	case -ECONNREFUSED:
		return PST_EXIT_UNREACHABLE;
	default:
		return PST_EXIT_FAILED;
	}
}
