/* SPDX-License-Identifier: MIT */
/* Reads the environment's settings of the cuda backend. */
#include "guest-agent/cuda/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "transport/base/util.h"

/* With less there are no tiles worth the name. */
#define LEAST_MEMORY (256ULL << 10)

static int read_registration(const char *v, enum pst_cuda_registration_how *ret)
{
	int i;

	for (i = PST_CUDA_REGISTERED_PLAIN; i <= PST_CUDA_REGISTERED_STAGED;
	     i++) {
		if (strcmp(v, pst_cuda_registration_name(i)) == 0) {
			*ret = i;
			return 0;
		}
	}
	return -EINVAL;
}

int pst_cuda_options_read(struct pst_cuda_options *ret, struct pst_error *err)
{
	const char *v;

	*ret = (struct pst_cuda_options){.strategy = PST_CUDA_STRATEGY_AUTO};
	v = secure_getenv("PENSTOCK_CUDA_STRATEGY");
	if (v && pst_cuda_strategy_parse(v, &ret->strategy) < 0)
		return pst_error_set(err, -EINVAL,
				     "PENSTOCK_CUDA_STRATEGY=%s is not auto, "
				     "mapped, pipelined or whole",
				     v);
	v = secure_getenv("PENSTOCK_CUDA_REGISTRATION");
	if (v && read_registration(v, &ret->registration) < 0)
		return pst_error_set(err, -EINVAL,
				     "PENSTOCK_CUDA_REGISTRATION=%s is not "
				     "plain, iomemory or staged",
				     v);
	v = secure_getenv("PENSTOCK_CUDA_GPU");
	ret->gpu = v && *v ? v : NULL;
	v = secure_getenv("PENSTOCK_CUDA_MEMORY");
	if (v &&
	    (pst_parse_size(v, &ret->memory) < 0 || ret->memory < LEAST_MEMORY))
		return pst_error_set(err, -EINVAL,
				     "PENSTOCK_CUDA_MEMORY=%s is not a size of "
				     "at least 256K",
				     v);
	return 0;
}
