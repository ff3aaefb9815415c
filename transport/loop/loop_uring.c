/* SPDX-License-Identifier: MIT */
/* The event loop over io_uring: multishot receive if the kernel has it, else
 * one-shot polls, and for listeners always. */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <liburing.h>

#include "transport/base/util.h"
#include "transport/loop/loop_impl.h"

#define SQ_ENTRIES 128U
/* Multishot requests complete more often than they are submitted. */
#define CQ_ENTRIES 1024U
/* Receive buffers, shared by all streams. Frames that an agent gets are
 * small: many small buffers serve more streams than few large ones. */
#define N_BUFS    128
#define BUF_SIZE  8192U
#define BUF_GROUP 0
/* How long closing waits for the kernel to let go of requests. */
#define CLOSE_NS (1 * PST_NS_PER_S)

static_assert(BUF_SIZE <= PST_LOOP_READ_SIZE, "one callback's limit");

/* The low bits of user_data, beside the source's address; 0 for a request
 * whose completion says nothing (cancel). */
#define UD_IN   1U
#define UD_OUT  2U
#define UD_MASK 7U

#define source_of_pending(l)                                                   \
	((struct pst_source *)(void *)((char *)(l)-offsetof(struct pst_source, \
							    uring.pending)))

struct uring_loop {
	struct io_uring ring;
	struct pst_link pending; /* sources with something to deliver or arm */
	unsigned int n_refs;     /* of all sources */
	struct io_uring_buf_ring *buf_ring; /* NULL: no multishot receive */
	uint8_t *bufs;
	struct {
		uint32_t len;
		int32_t next; /* the same source's, -1: none */
	} received[N_BUFS];
};

/* Everything queued goes to the kernel, or the kernel does not take it. */
static void submit(struct uring_loop *u)
{
	while (io_uring_sq_ready(&u->ring) > 0)
		if (io_uring_submit(&u->ring) <= 0)
			break;
}

static struct io_uring_sqe *get_sqe(struct uring_loop *u)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);

	if (sqe)
		return sqe;
	submit(u);
	return io_uring_get_sqe(&u->ring);
}

static void set_data(struct io_uring_sqe *sqe, struct pst_source *src,
		     unsigned int what)
{
	io_uring_sqe_set_data64(sqe, (uint64_t)(uintptr_t)src | what);
}

/* To be handled in the next round. */
static void put_off(struct uring_loop *u, struct pst_source *src)
{
	if (pst_link_empty(&src->uring.pending))
		pst_link_append(&u->pending, &src->uring.pending);
}

static void arm_in(struct pst_loop *loop, struct pst_source *src)
{
	struct uring_loop *u = loop->impl;
	struct pst_uring_source *us = &src->uring;
	bool multishot = !us->one_shot && !loop->no_multishot;
	struct io_uring_sqe *sqe = get_sqe(u);

	if (!sqe) {
		put_off(u, src);
		return;
	}
	if (src->type == PST_SOURCE_STREAM && multishot && u->buf_ring) {
		us->in = PST_URING_RECV;
		io_uring_prep_recv_multishot(sqe, src->fd, NULL, 0, 0);
		sqe->flags |= IOSQE_BUFFER_SELECT;
		sqe->buf_group = BUF_GROUP;
	} else {
		us->in = PST_URING_POLL;
		io_uring_prep_poll_add(sqe, src->fd, POLLIN);
	}
	set_data(sqe, src, UD_IN);
	us->in_armed = true;
	us->refs++;
	u->n_refs++;
}

static void uring_want_write(struct pst_loop *loop, struct pst_source *src)
{
	struct uring_loop *u = loop->impl;
	struct io_uring_sqe *sqe;

	if (src->uring.out_armed)
		return;
	sqe = get_sqe(u);
	if (!sqe) {
		put_off(u, src);
		return;
	}
	io_uring_prep_poll_add(sqe, src->fd, POLLOUT);
	set_data(sqe, src, UD_OUT);
	src->uring.out_armed = true;
	src->uring.refs++;
	u->n_refs++;
}

static void recycle(struct uring_loop *u, int bid)
{
	io_uring_buf_ring_add(u->buf_ring, u->bufs + (size_t)bid * BUF_SIZE,
			      BUF_SIZE, (unsigned short)bid,
			      io_uring_buf_ring_mask(N_BUFS), 0);
	io_uring_buf_ring_advance(u->buf_ring, 1);
}

static void push_received(struct uring_loop *u, struct pst_source *src, int bid,
			  uint32_t len)
{
	struct pst_uring_source *us = &src->uring;

	u->received[bid].len = len;
	u->received[bid].next = -1;
	if (us->first < 0)
		us->first = bid;
	else
		u->received[us->last].next = bid;
	us->last = bid;
}

static int pop_received(struct uring_loop *u, struct pst_source *src)
{
	int bid = src->uring.first;

	if (bid >= 0)
		src->uring.first = u->received[bid].next;
	return bid;
}

static void complete_out(struct pst_loop *loop, struct pst_source *src, int res)
{
	src->uring.out_armed = false;
	pst_loop_flush(loop, src, res < 0 || (res & (POLLERR | POLLHUP)));
	if (!src->removed && src->queue_len)
		uring_want_write(loop, src);
}

static void complete_in(struct pst_loop *loop, struct pst_source *src, int res,
			uint32_t flags)
{
	struct uring_loop *u = loop->impl;
	struct pst_uring_source *us = &src->uring;
	bool more = flags & IORING_CQE_F_MORE;

	if (!more) {
		us->in_armed = false;
		us->in_ended = true;
		us->result = res;
	}
	if (flags & IORING_CQE_F_BUFFER) {
		int bid = (int)(flags >> IORING_CQE_BUFFER_SHIFT);

		if (src->removed || res <= 0)
			recycle(u, bid);
		else
			push_received(u, src, bid, (uint32_t)res);
	}
	if (!src->removed && (!more || us->first >= 0))
		put_off(u, src);
}

static void complete(struct pst_loop *loop, uint64_t data, int res,
		     uint32_t flags)
{
	struct uring_loop *u = loop->impl;
	struct pst_source *src =
		(struct pst_source *)(uintptr_t)(data & ~(uint64_t)UD_MASK);

	if (!src)
		return;
	/* Each request has exactly one completion without F_MORE; until then
	 * refs keeps src from being freed. */
	if (!(flags & IORING_CQE_F_MORE)) {
		src->uring.refs--;
		u->n_refs--;
	}
	if ((data & UD_MASK) == UD_OUT)
		complete_out(loop, src, res);
	else
		complete_in(loop, src, res, flags);
}

/* Takes completions, at most a ring full. Peeking enters the kernel only
 * when completions overflowed. */
static void drain(struct pst_loop *loop)
{
	struct uring_loop *u = loop->impl;
	struct io_uring_cqe *cqe;
	unsigned int i;

	for (i = 0; i < CQ_ENTRIES; i++) {
		uint64_t data;
		uint32_t flags;
		int res;

		if (io_uring_peek_cqe(&u->ring, &cqe) < 0)
			break;
		data = cqe->user_data;
		res = cqe->res;
		flags = cqe->flags;
		/* Before the callback: it may submit. */
		io_uring_cqe_seen(&u->ring, cqe);
		complete(loop, data, res, flags);
	}
}

/* A multishot request that this kernel or descriptor does not take. */
static bool refused(int res)
{
	return res == -EINVAL || res == -EOPNOTSUPP || res == -EAGAIN;
}

/* The input request is over: why, and what it had. */
static void in_ended(struct pst_loop *loop, struct pst_source *src)
{
	struct pst_uring_source *us = &src->uring;
	int res = us->result;

	us->in_ended = false;
	if (us->in == PST_URING_POLL && res >= 0) {
		pst_loop_readable(loop, src);
	} else if (us->in != PST_URING_POLL && refused(res)) {
		us->one_shot = true;
	} else if (res == -ECANCELED || res == -EINTR || res == -ENOBUFS ||
		   res > 0) {
		/* Out of buffers, or the kernel ended it: armed again. */
	} else if (src->type == PST_SOURCE_STREAM) {
		pst_loop_give_data(loop, src, NULL, res);
	} else if (res < 0) {
		src->ended = true;
	}
}

/* One source's turn: at most one callback, then whatever must be armed. */
static void take_turn(struct pst_loop *loop, struct pst_source *src)
{
	struct uring_loop *u = loop->impl;
	struct pst_uring_source *us = &src->uring;
	int bid;

	/* What there is to deliver stays. */
	if (src->held) {
		if (src->queue_len)
			uring_want_write(loop, src);
		return;
	}
	bid = pop_received(u, src);
	if (bid >= 0) {
		pst_loop_give_data(loop, src, u->bufs + (size_t)bid * BUF_SIZE,
				   u->received[bid].len);
		recycle(u, bid);
	} else if (us->in_ended) {
		in_ended(loop, src);
	}
	if (src->removed)
		return;
	if (src->queue_len)
		uring_want_write(loop, src);
	if (us->first >= 0 || us->in_ended)
		put_off(u, src);
	else if (!us->in_armed && !src->ended && !src->paused_until_ns)
		arm_in(loop, src);
}

static int wait_or_submit(struct uring_loop *u, uint64_t timeout_ns)
{
	struct __kernel_timespec ts = {
		.tv_sec = (long long)(timeout_ns / PST_NS_PER_S),
		.tv_nsec = (long long)(timeout_ns % PST_NS_PER_S),
	};
	struct io_uring_cqe *cqe;
	int r;

	if (timeout_ns == 0 || !pst_link_empty(&u->pending)) {
		submit(u);
		return 0;
	}
	r = io_uring_submit_and_wait_timeout(
		&u->ring, &cqe, 1, timeout_ns == UINT64_MAX ? NULL : &ts, NULL);
	/* The last two are the kernel's shortage; taking completions helps. */
	if (r >= 0 || r == -ETIME || r == -EINTR || r == -EAGAIN || r == -EBUSY)
		return 0;
	return r;
}

static int uring_run(struct pst_loop *loop, uint64_t timeout_ns)
{
	struct uring_loop *u = loop->impl;
	struct pst_link round;
	int r = wait_or_submit(u, timeout_ns);

	if (r < 0)
		return r;
	drain(loop);
	/* This round's: what is put off from now on waits for the next. */
	pst_link_init(&round);
	pst_link_append(&u->pending, &round);
	pst_link_remove(&u->pending);
	while (!pst_link_empty(&round)) {
		struct pst_link *l = round.next;

		pst_link_remove(l);
		take_turn(loop, source_of_pending(l));
	}
	return 0;
}

static int uring_add(struct pst_loop *loop, struct pst_source *src)
{
	arm_in(loop, src);
	return 0;
}

static void uring_resume(struct pst_loop *loop, struct pst_source *src)
{
	put_off(loop->impl, src);
}

static bool cancel(struct uring_loop *u, struct pst_source *src,
		   unsigned int what)
{
	struct io_uring_sqe *sqe = get_sqe(u);

	if (!sqe)
		return false;
	io_uring_prep_cancel64(sqe, (uint64_t)(uintptr_t)src | what, 0);
	io_uring_sqe_set_data64(sqe, 0);
	return true;
}

/*
 * A stream that has to be held gives more than is wanted: the buffers, which
 * are everybody's, are not for it. From now on it is polled, and its bytes stay
 * in the socket.
 */
static void uring_hold(struct pst_loop *loop, struct pst_source *src)
{
	struct uring_loop *u = loop->impl;
	struct pst_uring_source *us = &src->uring;

	if (!src->held) {
		put_off(u, src);
		return;
	}
	us->one_shot = true;
	/* Refused, a few buffers more are lost to others. */
	if (us->in_armed && us->in == PST_URING_RECV)
		(void)cancel(u, src, UD_IN);
}

/*
 * Requests that the kernel did not take yet name the descriptor by its
 * number, which the caller may close and get again for another file.
 */
static void defuse(struct uring_loop *u, struct pst_source *src)
{
	struct io_uring_sq *sq = &u->ring.sq;
	unsigned int i;

	for (i = *sq->khead; i != sq->sqe_tail; i++) {
		struct io_uring_sqe *sqe = &sq->sqes[i & *sq->kring_mask];
		uint64_t data = sqe->user_data;

		if ((data & ~(uint64_t)UD_MASK) != (uint64_t)(uintptr_t)src)
			continue;
		io_uring_prep_nop(sqe);
		sqe->user_data = data;
	}
}

static void uring_remove(struct pst_loop *loop, struct pst_source *src)
{
	struct uring_loop *u = loop->impl;
	struct pst_uring_source *us = &src->uring;
	int bid;

	pst_link_remove(&us->pending);
	while ((bid = pop_received(u, src)) >= 0)
		recycle(u, bid);
	if (us->refs == 0 || us->cancelled)
		return;
	us->cancelled = (!us->in_armed || cancel(u, src, UD_IN)) &&
			(!us->out_armed || cancel(u, src, UD_OUT));
	/* Now: the caller may close the descriptor next, and the peer shall
	 * see that. */
	submit(u);
	if (io_uring_sq_ready(&u->ring) > 0)
		defuse(u, src);
}

/* What the loop cannot do without; multishot is tried by doing it. */
static bool has_operations(struct io_uring *ring)
{
	static const int ops[] = {IORING_OP_POLL_ADD, IORING_OP_ASYNC_CANCEL,
				  IORING_OP_RECV};
	struct io_uring_probe *probe = io_uring_get_probe_ring(ring);
	size_t i;

	if (!probe)
		return false;
	for (i = 0; i < PST_ARRAY_SIZE(ops); i++)
		if (!io_uring_opcode_supported(probe, ops[i]))
			break;
	io_uring_free_probe(probe);
	return i == PST_ARRAY_SIZE(ops);
}

/* A sandbox may allow a ring and not its use. Returns 0 or -errno. */
static int try_ring(struct io_uring *ring)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
	struct io_uring_cqe *cqe;
	int r;

	if (!sqe)
		return -EIO;
	/* A NOP completes while it is submitted: nothing to wait for. */
	io_uring_prep_nop(sqe);
	r = io_uring_submit(ring);
	if (r < 0)
		return r;
	r = io_uring_peek_cqe(ring, &cqe);
	if (r < 0)
		return r;
	io_uring_cqe_seen(ring, cqe);
	return 0;
}

/* Registers the receive buffers; without them streams are polled. */
static void open_buffers(struct uring_loop *u)
{
	size_t ring_size = N_BUFS * sizeof(struct io_uring_buf);
	size_t size = pst_round_up(ring_size, 4096) + N_BUFS * BUF_SIZE;
	struct io_uring_buf_reg reg = {.ring_entries = N_BUFS,
				       .bgid = BUF_GROUP};
	/* All at once: buffers are used in turn, and each one's first use would
	 * cost a fault, and look like a leak. */
	void *mem = mmap(NULL, size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	int i;

	if (mem == MAP_FAILED)
		return;
	reg.ring_addr = (uint64_t)(uintptr_t)mem;
	if (io_uring_register_buf_ring(&u->ring, &reg, 0) < 0) {
		munmap(mem, size);
		return;
	}
	u->buf_ring = mem;
	u->bufs = (uint8_t *)mem + pst_round_up(ring_size, 4096);
	io_uring_buf_ring_init(u->buf_ring);
	for (i = 0; i < N_BUFS; i++)
		recycle(u, i);
}

static void close_buffers(struct uring_loop *u)
{
	size_t ring_size = N_BUFS * sizeof(struct io_uring_buf);

	if (!u->buf_ring)
		return;
	/* From here on no receive finds a buffer to write to. */
	(void)io_uring_unregister_buf_ring(&u->ring, BUF_GROUP);
	munmap(u->buf_ring, pst_round_up(ring_size, 4096) + N_BUFS * BUF_SIZE);
}

static int cannot(int r, struct pst_error *err)
{
	if (r == -EPERM || r == -EACCES)
		return pst_error_set(err, -EOPNOTSUPP,
				     "the kernel denies io_uring (sysctl "
				     "kernel.io_uring_disabled, or a seccomp "
				     "filter)");
	if (r == -ENOSYS)
		return pst_error_set(err, -EOPNOTSUPP,
				     "this kernel has no io_uring");
	if (r == -EOPNOTSUPP)
		return pst_error_set(err, -EOPNOTSUPP,
				     "this kernel's io_uring lacks receive, "
				     "poll or cancel (Linux 5.6 has them)");
	return pst_error_set(err, -EOPNOTSUPP, "io_uring cannot be set up: %s",
			     strerror(-r));
}

static int uring_open(struct pst_loop *loop, struct pst_error *err)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
		.cq_entries = CQ_ENTRIES,
	};
	struct uring_loop *u = calloc(1, sizeof(*u));
	int r;

	if (!u)
		return pst_oom(err);
	/* No COOP_TASKRUN, no DEFER_TASKRUN: a thread that only polls the
	 * completion ring would never see anything arrive. */
	r = io_uring_queue_init_params(SQ_ENTRIES, &u->ring, &params);
	if (r < 0) {
		free(u);
		return cannot(r, err);
	}
	r = try_ring(&u->ring);
	if (r == 0 && !has_operations(&u->ring))
		r = -EOPNOTSUPP;
	if (r < 0) {
		io_uring_queue_exit(&u->ring);
		free(u);
		return cannot(r, err);
	}
	pst_link_init(&u->pending);
	open_buffers(u);
	loop->impl = u;
	return 0;
}

static void uring_close(struct pst_loop *loop)
{
	struct uring_loop *u = loop->impl;
	uint64_t deadline_ns = pst_now_ns() + CLOSE_NS;
	struct __kernel_timespec ts = {.tv_nsec = 20 * PST_NS_PER_MS};
	struct io_uring_cqe *cqe;
	int r = 0;

	/* So that what was accepted and not delivered is closed. */
	drain(loop);
	while (u->n_refs > 0 && pst_now_ns() < deadline_ns &&
	       (r >= 0 || r == -ETIME || r == -EINTR)) {
		r = io_uring_submit_and_wait_timeout(&u->ring, &cqe, 1, &ts,
						     NULL);
		drain(loop);
	}
	close_buffers(u);
	io_uring_queue_exit(&u->ring);
	free(u);
}

const struct pst_loop_ops pst_loop_uring_ops = {
	.kind = PST_LOOP_URING,
	.open = uring_open,
	.close = uring_close,
	.add = uring_add,
	.remove = uring_remove,
	.want_write = uring_want_write,
	.resume = uring_resume,
	.hold = uring_hold,
	.run = uring_run,
};
