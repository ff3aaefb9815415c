/* SPDX-License-Identifier: MIT */
/* Finds libpenstock-blas.so. */
#include "host-client/cli/blas/cmd_blas_library.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

#define LIBRARY "libpenstock-blas.so"

int pst_cmd_blas_library(const struct pst_cmd_ctx *ctx, char *ret, size_t size)
{
	static const char built[] = "blas/.libs/" LIBRARY;
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	self[n > 0 ? n : 0] = '\0';
	slash = strrchr(self, '/');
	if (slash &&
	    snprintf(ret, size, "%.*s/%s", (int)(slash - self), self, built) <
		    (int)size &&
	    access(ret, R_OK) == 0)
		return PST_EXIT_OK;
	if (snprintf(ret, size, "%s/" LIBRARY, PST_PKGLIBDIR) < (int)size &&
	    access(ret, R_OK) == 0)
		return PST_EXIT_OK;
	return pst_cmd_fail(ctx, "there is no " LIBRARY " in %s",
			    PST_PKGLIBDIR);
}
