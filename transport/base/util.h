/* SPDX-License-Identifier: MIT */
/* Checked sums, clocks and cleanup attributes used everywhere. */
#ifndef PST_TRANSPORT_BASE_UTIL_H
#define PST_TRANSPORT_BASE_UTIL_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define PST_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define PST_MUST_USE      __attribute__((warn_unused_result))

#define PST_NS_PER_US UINT64_C(1000)
#define PST_NS_PER_MS UINT64_C(1000000)
#define PST_NS_PER_S  UINT64_C(1000000000)

/* True when the sum or product does not fit; *ret is written otherwise. */
static inline PST_MUST_USE bool pst_add_overflow(uint64_t a, uint64_t b,
						 uint64_t *ret)
{
	return __builtin_add_overflow(a, b, ret);
}

static inline PST_MUST_USE bool pst_mul_overflow(uint64_t a, uint64_t b,
						 uint64_t *ret)
{
	return __builtin_mul_overflow(a, b, ret);
}

static inline uint64_t pst_min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* a rounded up to a multiple of unit, a power of two; a is at most 2^63. */
static inline uint64_t pst_round_up(uint64_t a, uint64_t unit)
{
	return (a + unit - 1) & ~(unit - 1);
}

/* CLOCK_MONOTONIC in nanoseconds. */
static inline uint64_t pst_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * PST_NS_PER_S + (uint64_t)ts.tv_nsec;
}

static inline void pst_close_fd(int fd)
{
	int saved = errno;

	if (fd >= 0)
		close(fd);
	errno = saved;
}

static inline void pst_cleanup_fd(int *fd)
{
	pst_close_fd(*fd);
}

static inline void pst_cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void pst_cleanup_file(FILE **f)
{
	if (*f)
		fclose(*f);
}

#define PST_CLEANUP_FD   __attribute__((cleanup(pst_cleanup_fd)))
#define PST_CLEANUP_FREE __attribute__((cleanup(pst_cleanup_free)))
#define PST_CLEANUP_FILE __attribute__((cleanup(pst_cleanup_file)))

/*
 * Parses "4096", "2M", "1G" (binary units K M G T, an optional "iB" or "B"
 * after them) into bytes. Returns 0 or -EINVAL (not a size, or above 2^63).
 */
PST_MUST_USE int pst_parse_size(const char *s, uint64_t *ret);

/*
 * Parses "50us", "1ms", "10s", "1m" into nanoseconds; a unit is required
 * ("0" alone is allowed). Returns 0 or -EINVAL.
 */
PST_MUST_USE int pst_parse_duration(const char *s, uint64_t *ret_ns);

/* Parses a decimal integer, the whole string, min..max. 0 or -EINVAL. */
PST_MUST_USE int pst_parse_u64(const char *s, uint64_t min, uint64_t max,
			       uint64_t *ret);

/* Fills buf from getrandom(2). Returns 0 or -errno. */
PST_MUST_USE int pst_random(void *buf, size_t n);

/* Formats 16 bytes as a UUID (36 characters and NUL). */
void pst_uuid_format(const uint8_t uuid[16], char ret[37]);

/* Parses a UUID, any case, with dashes or without. 0 or -EINVAL. */
PST_MUST_USE int pst_uuid_parse(const char *s, uint8_t ret[16]);

/*
 * Reads a small file (sysfs, proc) into a NUL-terminated string without its
 * trailing newline. Returns the length, or -errno; -EMSGSIZE when it does not
 * fit.
 */
PST_MUST_USE int pst_read_text(const char *path, char *buf, size_t size);

#endif
