/* SPDX-License-Identifier: MIT */
/* The list of backends. */
#include "guest-agent/exec/backend.h"

#include <string.h>

#include "transport/base/util.h"

const struct pst_backend_ops pst_backend_auto = {
	.abi = PST_BACKEND_ABI,
	.name = "auto",
};

const struct pst_backend_ops pst_backend_cuda = {
	.abi = PST_BACKEND_ABI,
	.name = "cuda",
};

const struct pst_backend_ops *pst_backend_find(const char *name)
{
	static const struct pst_backend_ops *const all[] = {
		&pst_backend_auto, &pst_backend_cpu, &pst_backend_cuda};
	unsigned int i;

	for (i = 0; i < PST_ARRAY_SIZE(all); i++)
		if (strcmp(name, all[i]->name) == 0)
			return all[i];
	return NULL;
}
