/* SPDX-License-Identifier: MIT */
/* The list of backends. */
#include "guest-agent/exec/backend.h"

#include <string.h>

#include "guest-agent/sim/backend_sim.h"
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
		&pst_backend_auto, &pst_backend_cpu, &pst_backend_cuda,
		&pst_backend_sim};
	const size_t n = strcspn(name, ":");
	unsigned int i;

	for (i = 0; i < PST_ARRAY_SIZE(all); i++)
		if (strlen(all[i]->name) == n &&
		    memcmp(name, all[i]->name, n) == 0)
			return all[i];
	return NULL;
}
