/* SPDX-License-Identifier: MIT */
/* Which way a product takes to the device: a pure cost model. */
#ifndef PST_GUEST_AGENT_CUDA_CHOOSE_H
#define PST_GUEST_AGENT_CUDA_CHOOSE_H

#include <stdbool.h>
#include <stdint.h>

#include "transport/op.h"

enum pst_strategy {
	PST_STRATEGY_AUTO,
	PST_STRATEGY_MAPPED,    /* the device reads the region in place */
	PST_STRATEGY_PIPELINED, /* tiles through device memory */
	PST_STRATEGY_RESIDENT,  /* all operands lie in device memory */
};

/* Rates of products are measured for these. */
enum pst_rate {
	PST_RATE_F64,
	PST_RATE_F32,
	PST_RATE_TF32,
	PST_RATE_FAST_F16,
	PST_RATE_F16,
	PST_RATE_BF16,
	PST_RATE_I8,
	PST_N_RATES
};

/* What was measured at start. */
struct pst_calibration {
	double h2d;       /* bytes a second, region to device */
	double d2h;       /* and back */
	double mapped;    /* bytes a second that kernels read in place */
	double launch_ns; /* from issuing a product to seeing its end */
	double copy_ns;   /* what one copy costs beside its bytes */
	double device;    /* bytes a second of device memory */
	double flops[PST_N_RATES]; /* a second; 0: not measured */
};

/* The rate that a product goes by. */
enum pst_rate pst_rate_of(const struct pst_op *op);

/* Expected nanoseconds of the product each way. The region must be mapped for
 * the first. */
double pst_cost_mapped(const struct pst_calibration *c,
		       const struct pst_op *op);
double pst_cost_pipelined(const struct pst_calibration *c,
			  const struct pst_op *op);
/* Without copies: all operands in device memory. */
double pst_cost_resident(const struct pst_calibration *c,
			 const struct pst_op *op);

/*
 * Chooses. RESIDENT when no operand that is read or written lies in the
 * region, whatever is forced; else forced, when it is not AUTO; MAPPED only if
 * can_map; else the cheaper one.
 */
enum pst_strategy pst_choose(const struct pst_calibration *c,
			     const struct pst_op *op, bool can_map,
			     enum pst_strategy forced);

/* Name of a strategy, "auto", "mapped" ..., and back: -EINVAL for another. */
const char *pst_strategy_name(enum pst_strategy s);
int pst_strategy_parse(const char *name, enum pst_strategy *ret);

#endif
