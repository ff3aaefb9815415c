/* SPDX-License-Identifier: MIT */
/* What tests of the event loop share: the kinds of loop, a stream whose other
 * end is the test's. */
#ifndef PST_TESTS_UNIT_LOOP_ENV_H
#define PST_TESTS_UNIT_LOOP_ENV_H

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/unit.h"
#include "transport/base/util.h"
#include "transport/loop/loop_impl.h"

#define SOON (15 * PST_NS_PER_S)

/* Every test runs over each; the last as on a kernel without multishot. */
static const enum pst_loop_kind kinds[] = {PST_LOOP_POLL, PST_LOOP_URING,
					   PST_LOOP_URING};
static struct pst_loop *loop;
static struct pst_error err;

/* One end in the loop, the other the test's. */
struct stream {
	struct pst_source *src;
	int mine, theirs;
	uint64_t n_bytes;
	uint64_t largest;
	uint64_t order; /* bytes expected to count up from here */
	int n_calls, n_ends;
	int64_t end; /* 0 or -errno; 1 while there was none */
	bool remove_on_data, remove_on_end;
};

static inline void open_loop(int i)
{
	ck_assert_int_eq(pst_loop_open(kinds[i], &loop, &err), 0);
	ck_assert_int_eq(pst_loop_kind(loop), kinds[i]);
	ck_assert_str_eq(pst_loop_why(loop), "");
	loop->no_multishot = i == 2;
}

static inline void on_data(void *arg, const uint8_t *buf, int64_t n)
{
	struct stream *s = arg;
	int64_t i, bad = 0;

	s->n_calls++;
	if (n > 0) {
		/* An assertion a byte takes libcheck too long. */
		for (i = 0; i < n; i++)
			bad += buf[i] != (uint8_t)(s->order++ % 251);
		ck_assert_int_eq(bad, 0);
		s->n_bytes += (uint64_t)n;
		if ((uint64_t)n > s->largest)
			s->largest = (uint64_t)n;
	} else {
		s->n_ends++;
		s->end = n;
	}
	if (n > 0 ? s->remove_on_data : s->remove_on_end) {
		pst_loop_remove(loop, s->src);
		s->src = NULL;
	}
}

static inline void stream_open(struct stream *s)
{
	int sv[2];

	*s = (struct stream){.end = 1};
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv),
			 0);
	s->theirs = sv[0];
	s->mine = sv[1];
	s->src = pst_loop_add_stream(loop, s->theirs, on_data, s);
	ck_assert_ptr_nonnull(s->src);
}

static inline void stream_close(struct stream *s)
{
	pst_loop_remove(loop, s->src);
	close(s->theirs);
	if (s->mine >= 0)
		close(s->mine);
}

/* The test's end sends n bytes of the counting pattern from byte at. */
static inline void say(struct stream *s, uint64_t at, size_t n)
{
	uint8_t *buf = malloc(n);
	size_t i;

	for (i = 0; i < n; i++)
		buf[i] = (uint8_t)((at + i) % 251);
	ck_assert_int_eq(send(s->mine, buf, n, MSG_NOSIGNAL), (ssize_t)n);
	free(buf);
}

/* Rounds until the condition holds, at most SOON. */
#define RUN_UNTIL(condition)                                                   \
	do {                                                                   \
		uint64_t until_ = pst_now_ns() + SOON;                         \
                                                                               \
		while (!(condition) && pst_now_ns() < until_)                  \
			ck_assert_int_ge(                                      \
				pst_loop_run(loop, 10 * PST_NS_PER_MS), 0);    \
		ck_assert(condition);                                          \
	} while (0)

/* A few rounds in which nothing is expected. */
static inline void run_idle(void)
{
	int i;

	for (i = 0; i < 5; i++)
		ck_assert_int_eq(pst_loop_run(loop, PST_NS_PER_MS), 0);
}

static inline int lowest_fd(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	close(fd);
	return fd;
}

/* How many of kinds there are here; says why if not all. */
static inline int n_kinds(void)
{
	if (pst_loop_open(PST_LOOP_URING, &loop, &err) < 0) {
		fprintf(stderr, "# not tested over io_uring: %s\n", err.text);
		return 1;
	}
	pst_loop_close(loop);
	return (int)PST_ARRAY_SIZE(kinds);
}

#endif
