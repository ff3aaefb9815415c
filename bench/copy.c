/* SPDX-License-Identifier: MIT */
/* Copies memory in several ways. The fastest is the bound for any transport. */
#include "bench/copy.h"

#include <stdint.h>
#include <string.h>
#if defined(__x86_64__)
#include <emmintrin.h>
#endif

/* Streaming stores want this alignment, and go out a cache line at a time. */
#define VECTOR 16U
#define LINE   64U

const char *pst_bench_copy_name(enum pst_bench_copy_how how)
{
	static const char *const names[] = {"memcpy", "rep movsb",
					    "non-temporal"};

	return names[how];
}

bool pst_bench_copy_has(enum pst_bench_copy_how how)
{
#if defined(__x86_64__)
	return true;
#else
	return how == PST_BENCH_COPY_MEMCPY;
#endif
}

#if defined(__x86_64__)

static void rep_movsb(void *dst, const void *src, size_t n)
{
	__asm__ volatile("rep movsb"
			 : "+D"(dst), "+S"(src), "+c"(n)
			 :
			 : "memory");
}

static void non_temporal(void *dst, const void *src, size_t n)
{
	size_t head = (VECTOR - (uintptr_t)dst % VECTOR) % VECTOR, i;
	const char *s = src;
	char *d = dst;

	if (head > n)
		head = n;
	memcpy(d, s, head);
	for (i = head; i + LINE <= n; i += LINE) {
		const __m128i *from = (const __m128i *)(s + i);
		__m128i *to = (__m128i *)(d + i);
		__m128i a = _mm_loadu_si128(from);
		__m128i b = _mm_loadu_si128(from + 1);
		__m128i c = _mm_loadu_si128(from + 2);
		__m128i e = _mm_loadu_si128(from + 3);

		_mm_stream_si128(to, a);
		_mm_stream_si128(to + 1, b);
		_mm_stream_si128(to + 2, c);
		_mm_stream_si128(to + 3, e);
	}
	memcpy(d + i, s + i, n - i);
	_mm_sfence();
}

void pst_bench_copy_by(enum pst_bench_copy_how how, void *dst, const void *src,
		       size_t n)
{
	if (how == PST_BENCH_COPY_REP_MOVSB)
		rep_movsb(dst, src, n);
	else if (how == PST_BENCH_COPY_NON_TEMPORAL)
		non_temporal(dst, src, n);
	else
		memcpy(dst, src, n);
}

#else

void pst_bench_copy_by(enum pst_bench_copy_how how, void *dst, const void *src,
		       size_t n)
{
	memcpy(dst, src, n);
}

#endif
