/* SPDX-License-Identifier: MIT */
/* 16-bit elements: every one of them there and back, and rounding against
 * arithmetic that does not look at bits. */
#include <math.h>
#include <string.h>

#include "tests/fixtures/unit.h"
#include "transport/base/util.h"
#include "transport/dtype.h"
#include "transport/op.h"

/* The value of an F16 by its definition. */
static double f16_value(uint16_t h)
{
	const int e = h >> 10 & 31, m = h & 1023;
	const double sign = h & 0x8000 ? -1 : 1;

	if (e == 31)
		return m ? NAN : sign * INFINITY;
	return sign * (e ? ldexp(1024 + m, e - 25) : ldexp(m, -24));
}

START_TEST(every_f16_keeps_its_value)
{
	uint32_t h;
	float f;

	for (h = 0; h < 65536; h++) {
		f = pst_f16_to_f32((uint16_t)h);
		if (isnan(f16_value((uint16_t)h))) {
			ck_assert(isnan(f));
			ck_assert(isnan(f16_value(pst_f16_from_f32(f))));
			continue;
		}
		ck_assert((double)f == f16_value((uint16_t)h));
		ck_assert_uint_eq(pst_f16_from_f32(f), h);
	}
}
END_TEST

START_TEST(rounding_to_f16_takes_the_nearest_and_the_even_of_two)
{
	uint16_t h;
	double below, above, half;

	for (h = 0; h < 0x7bff; h++) {
		below = f16_value(h);
		above = f16_value((uint16_t)(h + 1));
		half = (below + above) / 2;
		ck_assert_uint_eq(pst_f16_from_f32((float)half),
				  h & 1 ? h + 1U : h);
		ck_assert_uint_eq(pst_f16_from_f32(nextafterf((float)half, 0)),
				  h);
		ck_assert_uint_eq(
			pst_f16_from_f32(nextafterf((float)half, INFINITY)),
			h + 1U);
		ck_assert_uint_eq(pst_f16_from_f32(-(float)half),
				  0x8000U | (h & 1 ? h + 1U : h));
	}
	ck_assert_uint_eq(pst_f16_from_f32(65519.996F), 0x7bff);
	ck_assert_uint_eq(pst_f16_from_f32(65520.0F), 0x7c00);
	ck_assert_uint_eq(pst_f16_from_f32(1e30F), 0x7c00);
	ck_assert_uint_eq(pst_f16_from_f32(-INFINITY), 0xfc00);
}
END_TEST

START_TEST(every_bf16_keeps_its_value_and_rounding_is_to_even)
{
	uint32_t h, u;
	uint16_t back;
	float f;

	for (h = 0; h < 65536; h++) {
		f = pst_bf16_to_f32((uint16_t)h);
		back = pst_bf16_from_f32(f);
		if (isnan(f))
			ck_assert(isnan(pst_bf16_to_f32(back)));
		else
			ck_assert_uint_eq(back, h);
	}
	for (h = 0x3f80; h < 0x4080; h++) {
		u = h << 16 | 0x8000;
		memcpy(&f, &u, 4);
		ck_assert_uint_eq(pst_bf16_from_f32(f), h & 1 ? h + 1 : h);
		ck_assert_uint_eq(pst_bf16_from_f32(nextafterf(f, 0)), h);
	}
	ck_assert_uint_eq(pst_bf16_from_f32(3.4e38F), 0x7f80);
}
END_TEST

START_TEST(tf32_keeps_ten_bits)
{
	ck_assert(pst_tf32_round(1 + 0x1p-10F) == 1 + 0x1p-10F);
	ck_assert(pst_tf32_round(1 + 0x1p-11F) == 1);
	ck_assert(pst_tf32_round(1 + 0x3p-11F) == 1 + 0x1p-9F);
	ck_assert(pst_tf32_round(-1 - 0x1.1p-11F) == -1 - 0x1p-10F);
	ck_assert(isinf(pst_tf32_round(INFINITY)));
	ck_assert(isnan(pst_tf32_round(NAN)));
}
END_TEST

/* Odd lengths and every alignment, so that fast and slow parts meet. */
START_TEST(arrays_convert_as_single_elements_do)
{
	static const enum pst_wire_dtype types[] = {PST_WIRE_F16, PST_WIRE_BF16,
						    PST_WIRE_F32};
	float in[320], out[300], want;
	uint16_t half[300 * 2];
	uint64_t i, n, t;

	for (i = 0; i < 320; i++)
		in[i] = (float)sin((double)i) *
			(float)pow(10, (double)(i % 17) - 9);
	for (t = 0; t < PST_ARRAY_SIZE(types); t++)
		for (n = 0; n < 40; n++) {
			memset(half, 0xee, sizeof(half));
			pst_floats_store(half, types[t], in + n, 7 * n);
			pst_floats_load(out, half, types[t], 7 * n);
			for (i = 0; i < 7 * n; i++) {
				want = in[n + i];
				if (types[t] == PST_WIRE_F16)
					want = pst_f16_to_f32(
						pst_f16_from_f32(want));
				else if (types[t] == PST_WIRE_BF16)
					want = pst_bf16_to_f32(
						pst_bf16_from_f32(want));
				ck_assert(out[i] == want);
			}
			ck_assert_uint_eq(
				half[7 * n * pst_dtype_size(types[t]) / 2],
				0xeeee);
		}
}
END_TEST

START_TEST(a_type_has_a_name_and_a_type_of_results)
{
	ck_assert_str_eq(pst_dtype_name(PST_WIRE_BF16), "bf16");
	ck_assert_str_eq(pst_dtype_name(PST_WIRE_I32), "i32");
	ck_assert_str_eq(pst_dtype_name(0), "?");
	ck_assert_str_eq(pst_dtype_name(UINT32_MAX), "?");
	ck_assert_uint_eq(pst_dtype_of_c(PST_WIRE_I8), PST_WIRE_I32);
	ck_assert_uint_eq(pst_dtype_of_c(PST_WIRE_BF16), PST_WIRE_BF16);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, a_type_has_a_name_and_a_type_of_results);
	tcase_add_test(tc, every_f16_keeps_its_value);
	tcase_add_test(tc,
		       rounding_to_f16_takes_the_nearest_and_the_even_of_two);
	tcase_add_test(tc, every_bf16_keeps_its_value_and_rounding_is_to_even);
	tcase_add_test(tc, tf32_keeps_ten_bits);
	tcase_add_test(tc, arrays_convert_as_single_elements_do);
}

int main(void)
{
	return pst_unit_run("dtype", add, 20);
}
