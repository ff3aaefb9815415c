/* SPDX-License-Identifier: MIT */
/* Chooses the way of a product to the device, by a pure cost model. */
#ifndef PST_GUEST_AGENT_CUDA_CHOOSE_H
#define PST_GUEST_AGENT_CUDA_CHOOSE_H

#include <stdbool.h>
#include <stdint.h>

#include "transport/op.h"

enum pst_cuda_strategy {
	PST_CUDA_STRATEGY_AUTO,
	PST_CUDA_STRATEGY_MAPPED,    /* the device reads the region in place */
	PST_CUDA_STRATEGY_PIPELINED, /* tiles through device memory */
	PST_CUDA_STRATEGY_WHOLE,     /* the same, as one unit */
	PST_CUDA_STRATEGY_RESIDENT,  /* all operands lie in device memory */
};

/* Rates of products are measured for these. */
enum pst_cuda_rate {
	PST_CUDA_RATE_F64,
	PST_CUDA_RATE_F32,
	PST_CUDA_RATE_TF32,
	PST_CUDA_RATE_FAST_F16,
	PST_CUDA_RATE_F16,
	PST_CUDA_RATE_BF16,
	PST_CUDA_RATE_I8,
	PST_CUDA_N_RATES
};

/* What was measured at start. */
struct pst_cuda_calibration {
	double h2d;       /* bytes a second, region to device */
	double d2h;       /* and back */
	double mapped;    /* bytes a second that kernels read in place */
	double launch_ns; /* from issuing a product to seeing its end */
	double copy_ns;   /* what one copy costs beside its bytes */
	double device;    /* bytes a second of device memory */
	uint32_t multiprocessors;
	double flops[PST_CUDA_N_RATES]; /* a second; 0: not measured */
};

/* The rate that a product goes by. */
enum pst_cuda_rate pst_cuda_rate_of(const struct pst_op *op);

/* Expected nanoseconds of the product each way. The region must be mapped for
 * the first. */
double pst_cuda_cost_mapped(const struct pst_cuda_calibration *c,
			    const struct pst_op *op);
double pst_cuda_cost_pipelined(const struct pst_cuda_calibration *c,
			       const struct pst_op *op);

/*
 * Chooses. RESIDENT when no operand that is read or written lies in the region,
 * whatever is forced; else forced, when it is not AUTO; MAPPED only if can_map;
 * else the cheaper one.
 */
enum pst_cuda_strategy pst_cuda_choose(const struct pst_cuda_calibration *c,
				       const struct pst_op *op, bool can_map,
				       enum pst_cuda_strategy forced);

/* The strategy of a name: "auto", "mapped", "pipelined" or "whole"; -EINVAL for
 * another. */
int pst_cuda_strategy_parse(const char *name, enum pst_cuda_strategy *ret);

#endif
