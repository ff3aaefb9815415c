/* SPDX-License-Identifier: MIT */
/* libpenstock's functions, loaded when they are needed. */
#include "host-client/blas/api.h"

#include <dlfcn.h>
#include <limits.h>
#include <link.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIBRARY "libpenstock.so.0"

static struct pst_blas_api functions;
static const struct pst_blas_api *_Atomic loaded;

static bool find(void *library, const char *name, void *ret, size_t size)
{
	void *p = dlsym(library, name);

	memcpy(ret, &p, size);
	return p;
}

#define FIND(member)                                                           \
	find(library, "pst_" #member, &functions.member,                       \
	     sizeof(functions.member))

static const struct pst_blas_api *take(void *library)
{
	if (!library || !FIND(open) || !FIND(close) || !FIND(query) ||
	    !FIND(gemm) || !FIND(gemm_or) || !FIND(owner) ||
	    !FIND(wait_buffer) || !FIND(c_touched) || !FIND(tensor_create) ||
	    !FIND(tensor_destroy) || !FIND(upload) || !FIND(last_error) ||
	    !FIND(after_fork))
		return NULL;
	atomic_store_explicit(&loaded, &functions, memory_order_release);
	return &functions;
}

/* Beside this library, as it was installed or built: DIR/NAME. */
static void *open_beside(const char *dir)
{
	char path[PATH_MAX];
	Dl_info info;
	const char *slash;

	if (!dladdr(&functions, &info) ||
	    !(slash = strrchr(info.dli_fname, '/')))
		return NULL;
	if (snprintf(path, sizeof(path), "%.*s/%s/" LIBRARY,
		     (int)(slash - info.dli_fname), info.dli_fname,
		     dir) >= (int)sizeof(path))
		return NULL;
	return dlopen(path, RTLD_NOW | RTLD_LOCAL);
}

const struct pst_blas_api *pst_blas_load_api(void)
{
	const struct pst_blas_api *api = pst_blas_api();
	const char *env = secure_getenv("PENSTOCK_LIBRARY");
	void *library = NULL;

	if (api)
		return api;
	if (env && *env)
		return take(dlopen(env, RTLD_NOW | RTLD_LOCAL));
	/* Installed in a folder below the library's, and that of the
	 * alternatives in one below. */
	library = open_beside("..");
	if (!library)
		library = open_beside("../..");
	/* In a build tree. */
	if (!library)
		library = open_beside("../../.libs");
	if (!library)
		library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	return take(library);
}

static int count_loaded(struct dl_phdr_info *info, size_t size, void *ret)
{
	*(unsigned long long *)ret = info->dlpi_adds;
	return 1;
}

/* Whether the program has loaded any library since the last look: to ask for
 * one by its name takes 20 us. */
static bool is_news(void)
{
	static atomic_ullong seen;
	unsigned long long n = 0;

	dl_iterate_phdr(count_loaded, &n);
	return atomic_exchange(&seen, n) != n;
}

const struct pst_blas_api *pst_blas_api(void)
{
	const struct pst_blas_api *api =
		atomic_load_explicit(&loaded, memory_order_acquire);

	if (api || !is_news())
		return api;
	return take(dlopen(LIBRARY, RTLD_NOW | RTLD_NOLOAD));
}
