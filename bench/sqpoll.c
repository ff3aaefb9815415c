/* SPDX-License-Identifier: MIT */
/* NOPs of io_uring by SQPOLL. */
#include "bench/sqpoll.h"

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>

#include "bench/clock.h"

/* The kernel's thread stays awake so long without work: for all of a run. */
#define IDLE_MS 1000U
/* Completions between two looks at the clock. */
#define DONE_A_CLOCK 1024U

struct pst_bench_sqpoll {
	struct io_uring ring;
};

int pst_bench_sqpoll_open(int cpu, struct pst_bench_sqpoll **ret)
{
	struct io_uring_params p = {
		.flags = IORING_SETUP_SQPOLL |
			 (cpu < 0 ? 0 : IORING_SETUP_SQ_AFF),
		.sq_thread_cpu = cpu < 0 ? 0 : (uint32_t)cpu,
		.sq_thread_idle = IDLE_MS,
	};
	struct pst_bench_sqpoll *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	r = io_uring_queue_init_params(PST_BENCH_SQPOLL_DEPTH, &s->ring, &p);
	if (r < 0) {
		free(s);
		return r;
	}
	*ret = s;
	return 0;
}

static int submit(struct pst_bench_sqpoll *s, unsigned int n)
{
	struct io_uring_sqe *sqe;
	int r;

	while (n > 0) {
		/* The kernel's thread may not have taken the last ones yet. */
		sqe = io_uring_get_sqe(&s->ring);
		if (sqe) {
			io_uring_prep_nop(sqe);
			n--;
			continue;
		}
		r = io_uring_submit(&s->ring);
		if (r < 0)
			return r;
	}
	r = io_uring_submit(&s->ring);
	return r < 0 ? r : 0;
}

static unsigned int take(struct pst_bench_sqpoll *s)
{
	struct io_uring_cqe *cqes[PST_BENCH_SQPOLL_DEPTH];
	unsigned int n =
		io_uring_peek_batch_cqe(&s->ring, cqes, PST_BENCH_SQPOLL_DEPTH);

	io_uring_cq_advance(&s->ring, n);
	return n;
}

int pst_bench_sqpoll_run(struct pst_bench_sqpoll *s, unsigned int depth,
			 uint64_t duration_ns, double *ret_ns)
{
	uint64_t begin, now, done = 0, counted = 0;
	unsigned int n, outstanding = depth;
	int r = submit(s, depth);

	begin = now = pst_bench_now_ns();
	while (r == 0 && now - begin < duration_ns) {
		n = take(s);
		done += n;
		if (n > 0)
			r = submit(s, n);
		if (done - counted >= DONE_A_CLOCK) {
			counted = done;
			now = pst_bench_now_ns();
		}
	}
	while (r == 0 && outstanding > 0)
		outstanding -= take(s);
	if (r == 0)
		*ret_ns = (double)(now - begin) / (double)counted;
	return r;
}

void pst_bench_sqpoll_close(struct pst_bench_sqpoll *s)
{
	if (!s)
		return;
	io_uring_queue_exit(&s->ring);
	free(s);
}
