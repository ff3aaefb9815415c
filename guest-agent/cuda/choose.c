/* SPDX-License-Identifier: MIT */
/* Chooses the way of a product to the device, by a pure cost model. */
#include "guest-agent/cuda/choose.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "guest-agent/cuda/tiles.h"
#include "transport/base/util.h"

/* Rows or columns that a block of a BLAS kernel covers: an operand in place is
 * read once for each such block of the other side. */
#define BLOCK 128.0
/* Copies that even the smallest pipelined product makes. */
#define COPIES 3.0

enum pst_cuda_rate pst_cuda_rate_of(const struct pst_op *op)
{
	switch (op->dtype) {
	case PST_WIRE_F64:
		return PST_CUDA_RATE_F64;
	case PST_WIRE_F16:
		return PST_CUDA_RATE_F16;
	case PST_WIRE_BF16:
		return PST_CUDA_RATE_BF16;
	case PST_WIRE_I8:
		return PST_CUDA_RATE_I8;
	default:
		break;
	}
	if (op->compute == PST_WIRE_COMPUTE_TF32)
		return PST_CUDA_RATE_TF32;
	if (op->compute == PST_WIRE_COMPUTE_FAST_F16)
		return PST_CUDA_RATE_FAST_F16;
	return PST_CUDA_RATE_F32;
}

static double seconds(double amount, double rate)
{
	return rate > 0 ? amount / rate : 0;
}

/* Bytes of the operand that lie in the region, 0 when it is resident. */
static double region_bytes(const struct pst_operand *x)
{
	return x->mem ? 0 : (double)x->size;
}

static double resident_bytes(const struct pst_operand *x)
{
	return x->mem ? (double)x->size : 0;
}

static double compute_s(const struct pst_cuda_calibration *c,
			const struct pst_op *op)
{
	double s = seconds(pst_op_flops(op), c->flops[pst_cuda_rate_of(op)]);
	double mem = seconds(resident_bytes(&op->a) + resident_bytes(&op->b) +
				     resident_bytes(&op->c),
			     c->device);

	return fmax(s, mem);
}

/* C's bytes that are read: for beta, and by an activation or bias that comes
 * after the product. */
static double c_read(const struct pst_op *op)
{
	return (op->beta != 0 ? region_bytes(&op->c) : 0);
}

double pst_cuda_cost_mapped(const struct pst_cuda_calibration *c,
			    const struct pst_op *op)
{
	double in = region_bytes(&op->a) * ceil(op->n / BLOCK) +
		    region_bytes(&op->b) * ceil(op->m / BLOCK) + c_read(op) +
		    region_bytes(&op->bias);
	double out = region_bytes(&op->c);

	if (op->act || op->has_bias) {
		in += region_bytes(&op->c);
		out *= 2;
	}
	return c->launch_ns +
	       1e9 * fmax(compute_s(c, op),
			  fmax(seconds(in, c->mapped), seconds(out, c->d2h)));
}

double pst_cuda_cost_pipelined(const struct pst_cuda_calibration *c,
			       const struct pst_op *op)
{
	double in = seconds(region_bytes(&op->a) + region_bytes(&op->b) +
				    c_read(op),
			    c->h2d);
	double out = seconds(region_bytes(&op->c), c->d2h);
	double work = compute_s(c, op);
	double longest = fmax(in, fmax(out, work));
	double alone;
	uint64_t mt, nt;

	/* The first tile's way in and the last one's out stand alone; a small
	 * product is one tile, and its stages follow one another. */
	pst_cuda_tiles_sides(op->m, op->n, c->multiprocessors, &mt, &nt);
	alone = 1 / sqrt(ceil(op->m / (double)mt) * ceil(op->n / (double)nt));

	return c->launch_ns + COPIES * c->copy_ns +
	       1e9 * (longest + alone * (in + out + work - longest));
}

static bool in_region(const struct pst_operand *x)
{
	return x->size && !x->mem;
}

enum pst_cuda_strategy pst_cuda_choose(const struct pst_cuda_calibration *c,
				       const struct pst_op *op, bool can_map,
				       enum pst_cuda_strategy forced)
{
	if (!in_region(&op->a) && !in_region(&op->b) && !in_region(&op->c) &&
	    (can_map || !in_region(&op->bias)))
		return PST_CUDA_STRATEGY_RESIDENT;
	if (forced == PST_CUDA_STRATEGY_WHOLE)
		return forced;
	if (!can_map || forced == PST_CUDA_STRATEGY_PIPELINED)
		return PST_CUDA_STRATEGY_PIPELINED;
	if (forced == PST_CUDA_STRATEGY_MAPPED)
		return PST_CUDA_STRATEGY_MAPPED;
	return pst_cuda_cost_mapped(c, op) <= pst_cuda_cost_pipelined(c, op)
		       ? PST_CUDA_STRATEGY_MAPPED
		       : PST_CUDA_STRATEGY_PIPELINED;
}

static const char *const names[] = {"auto", "mapped", "pipelined", "whole",
				    "resident"};

int pst_cuda_strategy_parse(const char *name, enum pst_cuda_strategy *ret)
{
	unsigned int i;

	for (i = 0; i < PST_CUDA_STRATEGY_RESIDENT; i++) {
		if (strcmp(name, names[i]) == 0) {
			*ret = (enum pst_cuda_strategy)i;
			return 0;
		}
	}
	return -EINVAL;
}
