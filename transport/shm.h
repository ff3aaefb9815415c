/* SPDX-License-Identifier: MIT */
/* The only way to touch a word that another process can change. */
#ifndef PST_TRANSPORT_SHM_H
#define PST_TRANSPORT_SHM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__SANITIZE_THREAD__)
#define PST_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define PST_TSAN 1
#endif
#endif
#ifndef PST_TSAN
#define PST_TSAN 0
#endif

/*
 * A value is loaded once, into a local, and the local is what is checked and
 * used. Built with -DPST_SHM_HOOK, every load passes through
 * pst_shm_hook(), with which a fuzzer returns something else at each read.
 */
#ifdef PST_SHM_HOOK
uint64_t pst_shm_hook(const void *addr, uint64_t value);
#define PST_SHM_SEEN(p, v) pst_shm_hook((p), (v))
#else
#define PST_SHM_SEEN(p, v) (v)
#endif

static inline uint64_t pst_shm_load(const uint64_t *p)
{
	return PST_SHM_SEEN(p, __atomic_load_n(p, __ATOMIC_RELAXED));
}

/* Pairs with pst_shm_store_release() of the same word. */
static inline uint64_t pst_shm_load_acquire(const uint64_t *p)
{
	return PST_SHM_SEEN(p, __atomic_load_n(p, __ATOMIC_ACQUIRE));
}

static inline void pst_shm_store(uint64_t *p, uint64_t v)
{
	__atomic_store_n(p, v, __ATOMIC_RELAXED);
}

/* Pairs with pst_shm_load_acquire() of the same word. */
static inline void pst_shm_store_release(uint64_t *p, uint64_t v)
{
	__atomic_store_n(p, v, __ATOMIC_RELEASE);
}

/*
 * Full barrier: orders a store before it (a slot's seq, a need_wake word)
 * against a load after it (the peer's need_wake word, the slots). Each caller
 * names the two and its partner.
 */
static inline void pst_shm_fence(void)
{
#if PST_TSAN
	/* TSan knows no fences (-Wtsan); a locked RMW is one to the CPU. */
	static uint64_t word;
	__atomic_fetch_add(&word, 1, __ATOMIC_SEQ_CST);
#else
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

/*
 * Store fence: makes write-combining and non-temporal stores visible before
 * any store after it. On x86 the release store alone does not order those
 * (Intel SDM vol. 3, 9.2.2 "Memory Ordering in P6 and More Recent").
 */
static inline void pst_shm_store_fence(void)
{
#if defined(__x86_64__)
	__builtin_ia32_sfence();
#else
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

/* Copies n bytes, a multiple of 8, 8-aligned, out of shared memory: each word
 * is read exactly once. */
static inline void pst_shm_read(void *dst, const void *src, size_t n)
{
	const uint64_t *s = src;
	uint64_t v;
	size_t i;

#pragma GCC unroll 8
	for (i = 0; i < n / 8; i++) {
		v = pst_shm_load(&s[i]);
		memcpy((char *)dst + 8 * i, &v, 8);
	}
}

/* Copies n bytes, a multiple of 8, 8-aligned, into shared memory. */
static inline void pst_shm_write(void *dst, const void *src, size_t n)
{
	uint64_t *d = dst;
	uint64_t v;
	size_t i;

#pragma GCC unroll 8
	for (i = 0; i < n / 8; i++) {
		memcpy(&v, (const char *)src + 8 * i, 8);
		pst_shm_store(&d[i], v);
	}
}

static inline void pst_cpu_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#endif
}

#endif
