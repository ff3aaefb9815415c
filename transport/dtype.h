/* SPDX-License-Identifier: MIT */
/* Types of elements, and conversion of 16-bit ones: IEEE 754 binary16,
 * bfloat16. */
#ifndef PST_TRANSPORT_DTYPE_H
#define PST_TRANSPORT_DTYPE_H

#include <stdint.h>

#include "transport/wire.h"

/* The type of C in a product that names none: that of A and B, of I8 I32. */
static inline uint32_t pst_dtype_of_c(uint32_t dtype)
{
	return dtype == PST_WIRE_I8 ? PST_WIRE_I32 : dtype;
}

/* An element type's name, "f32"; "?" for an unknown one. */
const char *pst_dtype_name(uint32_t dtype);

/* Exact. NaN stays NaN. */
float pst_f16_to_f32(uint16_t h);
float pst_bf16_to_f32(uint16_t h);

/* Rounded to nearest, ties to even; too large becomes infinity, NaN stays a
 * (quiet) NaN. */
uint16_t pst_f16_from_f32(float f);
uint16_t pst_bf16_from_f32(float f);

/* A float with the mantissa of TF32, 10 bits, rounded in the same way. */
float pst_tf32_round(float f);

/* n elements of dtype (F32, F16, BF16, I8) to floats, exactly; dst and src do
 * not overlap. Any n. */
void pst_floats_load(float *dst, const void *src, enum pst_wire_dtype dtype,
		     uint64_t n);

/* n floats to elements of dtype F32, F16 or BF16, rounded. */
void pst_floats_store(void *dst, enum pst_wire_dtype dtype, const float *src,
		      uint64_t n);

#endif
