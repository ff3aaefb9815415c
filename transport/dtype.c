/* SPDX-License-Identifier: MIT */
/* Names types of elements, and converts those of 16 bits to floats and back:
 * IEEE 754 binary16, bfloat16. */
#include "transport/dtype.h"

#include <stddef.h>
#include <string.h>

#include "transport/base/util.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

#define SIGN 0x80000000U
#define INF  0x7f800000U
/* Where F16's numbers begin and end, as floats' bits. */
#define F16_NORMAL   0x38800000U /* 2^-14 */
#define F16_OVERFLOW 0x47800000U /* 2^16: infinity from there on */
/* Exponents differ by 127 - 15. */
#define F16_REBIAS ((127U - 15U) << 23)
/* F16's infinity, as the bits of a float a mantissa's width lower. */
#define F16_INF 0x7c00U
#define F16_NAN 0x7e00U

const char *pst_dtype_name(uint32_t dtype)
{
	static const char *const names[] = {
		[PST_WIRE_F32] = "f32",   [PST_WIRE_F64] = "f64",
		[PST_WIRE_F16] = "f16",   [PST_WIRE_BF16] = "bf16",
		[PST_WIRE_I8] = "i8",     [PST_WIRE_I32] = "i32",
		[PST_WIRE_I64] = "i64",   [PST_WIRE_U8] = "u8",
		[PST_WIRE_BOOL] = "bool", [PST_WIRE_I16] = "i16",
		[PST_WIRE_U16] = "u16",   [PST_WIRE_U32] = "u32",
		[PST_WIRE_U64] = "u64",
	};

	return dtype < PST_ARRAY_SIZE(names) && names[dtype] ? names[dtype]
							     : "?";
}

static uint32_t bits_of(float f)
{
	uint32_t u;

	memcpy(&u, &f, sizeof(u));
	return u;
}

static float float_of(uint32_t u)
{
	float f;

	memcpy(&f, &u, sizeof(f));
	return f;
}

/* Drops the lowest bits, to nearest, ties to even. A carry goes into the
 * exponent, which is right. */
static uint32_t round_off(uint32_t u, unsigned int bits)
{
	return u + (1U << (bits - 1)) - 1 + (u >> bits & 1);
}

float pst_f16_to_f32(uint16_t h)
{
	const uint32_t sign = (uint32_t)(h & 0x8000U) << 16;
	const uint32_t rest = (uint32_t)(h & 0x7fffU) << 13;

	if ((h & F16_INF) == F16_INF)
		return float_of(sign | INF | rest | (h & 0x3ff ? 1U << 22 : 0));
	if (h & F16_INF)
		return float_of(sign | (rest + F16_REBIAS));
	/* Subnormal: 2^-24 times the mantissa, exact. */
	return float_of(sign | bits_of((float)(h & 0x3ff) * 0x1p-24F));
}

uint16_t pst_f16_from_f32(float f)
{
	const uint32_t u = bits_of(f), abs = u & ~SIGN;
	const uint16_t sign = (uint16_t)((u & SIGN) >> 16);

	if (abs > INF)
		return sign | F16_NAN;
	if (abs >= F16_OVERFLOW)
		return sign | F16_INF;
	if (abs >= F16_NORMAL)
		return sign | (uint16_t)(round_off(abs - F16_REBIAS, 13) >> 13);
	/* Subnormal: adding 0.5 leaves the rounded mantissa at the bottom. */
	return sign | (uint16_t)(bits_of(float_of(abs) + 0.5F) - bits_of(0.5F));
}

float pst_bf16_to_f32(uint16_t h)
{
	return float_of((uint32_t)h << 16);
}

uint16_t pst_bf16_from_f32(float f)
{
	const uint32_t u = bits_of(f);

	if ((u & ~SIGN) > INF)
		return (uint16_t)(u >> 16 | 0x40);
	return (uint16_t)(round_off(u, 16) >> 16);
}

float pst_tf32_round(float f)
{
	const uint32_t u = bits_of(f);

	if ((u & INF) == INF)
		return f;
	return float_of(round_off(u, 13) & ~0x1fffU);
}

static void load_f16(float *dst, const uint16_t *src, uint64_t n)
{
	uint64_t i;

	for (i = 0; i < n; i++)
		dst[i] = pst_f16_to_f32(src[i]);
}

static void store_f16(uint16_t *dst, const float *src, uint64_t n)
{
	uint64_t i;

	for (i = 0; i < n; i++)
		dst[i] = pst_f16_from_f32(src[i]);
}

#if defined(__x86_64__)
__attribute__((target("avx,f16c"))) static uint64_t
load_f16_fast(float *dst, const uint16_t *src, uint64_t n)
{
	uint64_t i;

	for (i = 0; i + 8 <= n; i += 8)
		_mm256_storeu_ps(dst + i, _mm256_cvtph_ps(_mm_loadu_si128(
						  (const void *)(src + i))));
	return i;
}

__attribute__((target("avx,f16c"))) static uint64_t
store_f16_fast(uint16_t *dst, const float *src, uint64_t n)
{
	uint64_t i;

	for (i = 0; i + 8 <= n; i += 8)
		_mm_storeu_si128((void *)(dst + i),
				 _mm256_cvtps_ph(_mm256_loadu_ps(src + i),
						 _MM_FROUND_TO_NEAREST_INT));
	return i;
}

/* Asked once: cpuid leaves a virtual machine. */
static int has_f16c(void)
{
	static int known; /* 0: not yet, 1: no, 2: yes */
	unsigned int a, b, c = 0, d;
	int v = __atomic_load_n(&known, __ATOMIC_RELAXED);

	if (!v) {
		v = __get_cpuid(1, &a, &b, &c, &d) && c & bit_F16C &&
				    __builtin_cpu_supports("avx")
			    ? 2
			    : 1;
		__atomic_store_n(&known, v, __ATOMIC_RELAXED);
	}
	return v == 2;
}
#else
static uint64_t load_f16_fast(float *dst, const uint16_t *src, uint64_t n)
{
	return 0;
}

static uint64_t store_f16_fast(uint16_t *dst, const float *src, uint64_t n)
{
	return 0;
}

static int has_f16c(void)
{
	return 0;
}
#endif

static void load_bf16(float *dst, const uint16_t *src, uint64_t n)
{
	uint64_t i;

	for (i = 0; i < n; i++)
		dst[i] = pst_bf16_to_f32(src[i]);
}

static void load_i8(float *dst, const int8_t *src, uint64_t n)
{
	uint64_t i;

	for (i = 0; i < n; i++)
		dst[i] = (float)src[i];
}

void pst_floats_load(float *dst, const void *src, enum pst_wire_dtype dtype,
		     uint64_t n)
{
	uint64_t done;

	switch (dtype) {
	case PST_WIRE_F16:
		done = has_f16c() ? load_f16_fast(dst, src, n) : 0;
		load_f16(dst + done, (const uint16_t *)src + done, n - done);
		return;
	case PST_WIRE_BF16:
		load_bf16(dst, src, n);
		return;
	case PST_WIRE_I8:
		load_i8(dst, src, n);
		return;
	default:
		memcpy(dst, src, n * sizeof(*dst));
	}
}

void pst_floats_store(void *dst, enum pst_wire_dtype dtype, const float *src,
		      uint64_t n)
{
	uint16_t *half = dst;
	uint64_t i, done;

	switch (dtype) {
	case PST_WIRE_F16:
		done = has_f16c() ? store_f16_fast(dst, src, n) : 0;
		store_f16(half + done, src + done, n - done);
		return;
	case PST_WIRE_BF16:
		for (i = 0; i < n; i++)
			half[i] = pst_bf16_from_f32(src[i]);
		return;
	default:
		memcpy(dst, src, n * sizeof(*src));
	}
}
