/* SPDX-License-Identifier: MIT */
/* Loads libpenstock with dlopen and looks its functions up. */
#include "host-client/node/addon/library.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SONAME "libpenstock.so.0"

struct pst_node_library pst_node;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int loaded;

/* Before 1.0.0 a minor version may change what it has; after it only a major
 * one, which has another soname. */
static int fits(const char *version)
{
	char *end;
	unsigned long major = strtoul(version, &end, 10), minor;

	if (*end != '.')
		return 0;
	minor = strtoul(end + 1, NULL, 10);
	if (major != PST_VERSION_MAJOR)
		return 0;
	return major == 0 ? minor == PST_VERSION_MINOR
			  : minor >= PST_VERSION_MINOR;
}

static int load(const char *path, char *text, size_t size)
{
	static const char *const names[] = {
#define X(name) #name,
		PST_NODE_FUNCTIONS(X)
#undef X
	};
	void **slots = (void **)&pst_node;
	void *handle = dlopen(path ? path : SONAME, RTLD_NOW | RTLD_LOCAL);
	size_t i;

	if (!handle) {
		snprintf(
			text, size,
			"The library %s cannot be loaded: %s. Install Penstock, "
			"or name the library in PENSTOCK_LIBRARY.",
			path ? path : SONAME, dlerror());
		return -1;
	}
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		slots[i] = dlsym(handle, names[i]);
		if (slots[i])
			continue;
		snprintf(text, size, "The library %s has no function %s.",
			 path ? path : SONAME, names[i]);
		dlclose(handle);
		return -1;
	}
	if (!fits(pst_node.pst_version())) {
		snprintf(text, size,
			 "The library %s has version %s; this package needs "
			 "%d.%d.",
			 path ? path : SONAME, pst_node.pst_version(),
			 PST_VERSION_MAJOR, PST_VERSION_MINOR);
		dlclose(handle);
		return -1;
	}
	return 0;
}

int pst_node_library_load(const char *path, char *text, size_t size)
{
	int r = 0;

	pthread_mutex_lock(&lock);
	if (!loaded) {
		r = load(path, text, size);
		loaded = r == 0;
	}
	pthread_mutex_unlock(&lock);
	return r;
}
