/* SPDX-License-Identifier: MIT */
/* Epilogues: adds a bias to the elements of a product, and applies an
 * activation. */
#include "guest-agent/cpu/epilogue.h"

#include <math.h>
#include <stddef.h>

/* sqrt(2 / pi) and the cubic term of gelu's form by tanh (Hendrycks and
 * Gimpel, "Gaussian Error Linear Units", section 2). */
#define GELU_SCALE 0.79788456080286535588
#define GELU_CUBE  0.044715

bool pst_agent_epilogue_needed(const struct pst_op *op)
{
	return op->has_bias || op->act != PST_WIRE_ACT_NONE;
}

static float act_f32(enum pst_wire_act act, float x)
{
	switch (act) {
	case PST_WIRE_ACT_RELU:
		/* NaN stays: it is not below 0. */
		return x < 0 ? 0 : x;
	case PST_WIRE_ACT_GELU_TANH:
		return 0.5F * x *
		       (1 + tanhf((float)GELU_SCALE *
				  (x + (float)GELU_CUBE * x * x * x)));
	case PST_WIRE_ACT_GELU_ERF:
		return 0.5F * x * (1 + erff(x * (float)M_SQRT1_2));
	default:
		return x;
	}
}

static double act_f64(enum pst_wire_act act, double x)
{
	switch (act) {
	case PST_WIRE_ACT_RELU:
		return x < 0 ? 0 : x;
	case PST_WIRE_ACT_GELU_TANH:
		return 0.5 * x *
		       (1 + tanh(GELU_SCALE * (x + GELU_CUBE * x * x * x)));
	case PST_WIRE_ACT_GELU_ERF:
		return 0.5 * x * (1 + erf(x * M_SQRT1_2));
	default:
		return x;
	}
}

void pst_agent_epilogue_f32(enum pst_wire_act act, float *x, uint64_t n,
			    const float *bias, unsigned int step)
{
	uint64_t i;

	if (bias)
		for (i = 0; i < n; i++)
			x[i] += bias[i * step];
	if (act != PST_WIRE_ACT_NONE)
		for (i = 0; i < n; i++)
			x[i] = act_f32(act, x[i]);
}

static void line_f64(enum pst_wire_act act, double *x, uint64_t n,
		     const double *bias, unsigned int step)
{
	uint64_t i;

	if (bias)
		for (i = 0; i < n; i++)
			x[i] += bias[i * step];
	if (act != PST_WIRE_ACT_NONE)
		for (i = 0; i < n; i++)
			x[i] = act_f64(act, x[i]);
}

void pst_agent_epilogue_line(const struct pst_op *op, void *c, const void *bias,
			     uint64_t i, uint64_t j, uint64_t n)
{
	const uint64_t at = op->col_major ? j * op->ldc + i : i * op->ldc + j;
	const unsigned int step = op->col_major ? 0 : 1;

	if (op->dtype_c == PST_WIRE_F32)
		pst_agent_epilogue_f32(
			op->act, (float *)c + at, n,
			op->has_bias ? (const float *)bias + j : NULL, step);
	else
		line_f64(op->act, (double *)c + at, n,
			 op->has_bias ? (const double *)bias + j : NULL, step);
}
