/* SPDX-License-Identifier: MIT */
/* Copies large blocks in the fastest way of this machine. */
#include "host-client/lib/gemm/fastcopy.h"

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "transport/base/util.h"

/* The best of several measurements counts: others have noise of other
 * programs. */
#define REPEATS 3
/* Lines shorter than this are memcpy's: starting rep movsb costs some 30 ns,
 * and streaming writes half lines at both ends. */
#define MIN_LINE 1024U

#if defined(__x86_64__)

static void copy_movsb(void *dst, const void *src, uint64_t n)
{
	__asm__ volatile("rep movsb"
			 : "+D"(dst), "+S"(src), "+c"(n)
			 :
			 : "memory");
}

static void copy_stream(void *dst, const void *src, uint64_t n)
{
	uint8_t *d = dst;
	const uint8_t *s = src;
	uint64_t head = -(uintptr_t)d & 63, i;

	if (head > n)
		head = n;
	memcpy(d, s, head);
	d += head;
	s += head;
	n -= head;
	for (i = 0; i + 64 <= n; i += 64) {
		const __m128i *from = (const void *)(s + i);
		__m128i *to = (void *)(d + i);

		_mm_stream_si128(to, _mm_loadu_si128(from));
		_mm_stream_si128(to + 1, _mm_loadu_si128(from + 1));
		_mm_stream_si128(to + 2, _mm_loadu_si128(from + 2));
		_mm_stream_si128(to + 3, _mm_loadu_si128(from + 3));
	}
	memcpy(d + i, s + i, n - i);
	/* Streamed stores are weakly ordered: a release that follows, as
	 * pst_lane_client_submit()'s, would not wait for them. */
	_mm_sfence();
}

#else

static void copy_movsb(void *dst, const void *src, uint64_t n)
{
	memcpy(dst, src, n);
}

static void copy_stream(void *dst, const void *src, uint64_t n)
{
	memcpy(dst, src, n);
}

#endif

void pst_fastcopy_with(enum pst_fastcopy_how how, void *dst, const void *src,
		       uint64_t n)
{
	switch (how) {
	case PST_FASTCOPY_MOVSB:
		copy_movsb(dst, src, n);
		return;
	case PST_FASTCOPY_STREAM:
		copy_stream(dst, src, n);
		return;
	default:
		memcpy(dst, src, n);
	}
}

static pthread_once_t measured = PTHREAD_ONCE_INIT;
static enum pst_fastcopy_how best_medium, best_large;

static enum pst_fastcopy_how fastest(uint8_t *dst, const uint8_t *src,
				     uint64_t n)
{
	enum pst_fastcopy_how how, best = PST_FASTCOPY_MEMCPY;
	uint64_t start, took, least[PST_N_FASTCOPY];
	unsigned int i;

	for (how = 0; how < PST_N_FASTCOPY; how++)
		least[how] = UINT64_MAX;
	/* In turn, so that a disturbance meets all of them. */
	for (i = 0; i < REPEATS * PST_N_FASTCOPY; i++) {
		how = i % PST_N_FASTCOPY;
		start = pst_now_ns();
		pst_fastcopy_with(how, dst, src, n);
		took = pst_now_ns() - start;
		if (took < least[how])
			least[how] = took;
	}
	for (how = 0; how < PST_N_FASTCOPY; how++)
		if (least[how] < least[best])
			best = how;
	return best;
}

static void measure(void)
{
	const uint64_t n = PST_FASTCOPY_LARGE;
	uint8_t *mem;

	/* Without memory memcpy it is. */
	mem = mmap(NULL, 2 * n, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mem == MAP_FAILED)
		return;
	(void)madvise(mem, 2 * n, MADV_HUGEPAGE);
	memset(mem, 1, 2 * n);
	best_medium = fastest(mem, mem + n, PST_FASTCOPY_MEDIUM);
	best_large = fastest(mem, mem + n, n);
	munmap(mem, 2 * n);
}

enum pst_fastcopy_how pst_fastcopy_choose(uint64_t n)
{
	if (n < PST_FASTCOPY_MEDIUM)
		return PST_FASTCOPY_MEMCPY;
	pthread_once(&measured, measure);
	return n < PST_FASTCOPY_LARGE ? best_medium : best_large;
}

void pst_fastcopy_lines(void *dst, uint64_t dst_step, const void *src,
			uint64_t src_step, uint64_t length, uint64_t lines)
{
	enum pst_fastcopy_how how = PST_FASTCOPY_MEMCPY;
	uint8_t *d = dst;
	const uint8_t *s = src;
	uint64_t i;

	if (length == dst_step && length == src_step) {
		length *= lines;
		lines = lines ? 1 : 0;
	}
	if (length >= MIN_LINE)
		how = pst_fastcopy_choose(length * lines);
	for (i = 0; i < lines; i++)
		pst_fastcopy_with(how, d + i * dst_step, s + i * src_step,
				  length);
}
