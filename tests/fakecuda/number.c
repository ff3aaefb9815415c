/* SPDX-License-Identifier: MIT */
/* Elements of matrices as doubles, for the double's arithmetic. */
#include "tests/fakecuda/number.h"

#include <math.h>
#include <string.h>

double number_from_f16(uint16_t h)
{
	const int e = h >> 10 & 31, m = h & 1023;
	double v;

	if (e == 31)
		v = m ? NAN : INFINITY;
	else if (e == 0)
		v = ldexp(m, -24);
	else
		v = ldexp(1024 + m, e - 25);
	return h & 0x8000 ? -v : v;
}

uint16_t number_to_f16(double v)
{
	const uint16_t sign = signbit(v) ? 0x8000 : 0;
	double a = fabs(v);
	int e;

	if (isnan(v))
		return 0x7e00;
	if (a >= 65520)
		return sign | 0x7c00;
	if (a < ldexp(1, -14))
		return sign | (uint16_t)nearbyint(ldexp(a, 24));
	frexp(a, &e);
	/* Rounding up to the next power carries into the exponent. */
	return sign | (uint16_t)(((e + 14) << 10) +
				 (int)nearbyint(ldexp(a, 11 - e)) - 1024);
}

double number_from_bf16(uint16_t h)
{
	uint32_t bits = (uint32_t)h << 16;
	float f;

	memcpy(&f, &bits, sizeof(f));
	return f;
}

uint16_t number_to_bf16(double v)
{
	float f = (float)v;
	uint32_t bits;

	memcpy(&bits, &f, sizeof(bits));
	if (isnan(f))
		return 0x7fc0;
	return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

double number_get(const void *p, enum pst_wire_dtype t, uint64_t i)
{
	switch (t) {
	case PST_WIRE_F64:
		return ((const double *)p)[i];
	case PST_WIRE_F16:
		return number_from_f16(((const uint16_t *)p)[i]);
	case PST_WIRE_BF16:
		return number_from_bf16(((const uint16_t *)p)[i]);
	case PST_WIRE_I8:
		return ((const int8_t *)p)[i];
	case PST_WIRE_I32:
		return ((const int32_t *)p)[i];
	default:
		return ((const float *)p)[i];
	}
}

void number_set(void *p, enum pst_wire_dtype t, uint64_t i, double v)
{
	switch (t) {
	case PST_WIRE_F64:
		((double *)p)[i] = v;
		break;
	case PST_WIRE_F16:
		((uint16_t *)p)[i] = number_to_f16(v);
		break;
	case PST_WIRE_BF16:
		((uint16_t *)p)[i] = number_to_bf16(v);
		break;
	case PST_WIRE_I8:
		((int8_t *)p)[i] = (int8_t)v;
		break;
	case PST_WIRE_I32:
		((int32_t *)p)[i] = (int32_t)v;
		break;
	default:
		((float *)p)[i] = (float)v;
	}
}

double number_act(double x, int act)
{
	switch (act) {
	case PST_WIRE_ACT_RELU:
		return x < 0 ? 0 : x;
	case PST_WIRE_ACT_GELU_TANH:
		return 0.5 * x *
		       (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
	case PST_WIRE_ACT_GELU_ERF:
		return 0.5 * x * (1 + erf(x / sqrt(2)));
	default:
		return x;
	}
}
