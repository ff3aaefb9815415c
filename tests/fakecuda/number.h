/* SPDX-License-Identifier: MIT */
/* Elements of matrices as doubles, for the double's arithmetic. */
#ifndef PST_TESTS_FAKECUDA_NUMBER_H
#define PST_TESTS_FAKECUDA_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

#include "transport/wire.h"

/* Bits of a half or bfloat16, and back, rounded to nearest even. */
double number_from_f16(uint16_t h);
uint16_t number_to_f16(double v);
double number_from_bf16(uint16_t h);
uint16_t number_to_bf16(double v);

/* Element i of an array of this type. I32 is exact in a double. */
double number_get(const void *p, enum pst_wire_dtype t, uint64_t i);
void number_set(void *p, enum pst_wire_dtype t, uint64_t i, double v);

/* D = act(x), each as the names of wire.h say. */
double number_act(double x, int act);

#endif
