/* SPDX-License-Identifier: MIT */
/* The list of backends. */
#include "guest-agent/backend.h"

#include <string.h>

const struct pst_backend_ops *pst_backend_find(const char *name)
{
	if (strcmp(name, "auto") == 0 || strcmp(name, "cpu") == 0)
		return &pst_backend_cpu;
	return NULL;
}
