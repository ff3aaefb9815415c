/* SPDX-License-Identifier: MIT */
/* The event loop's common part: sources, callbacks and the send queue. */
#include "transport/loop/loop.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "transport/base/util.h"
#include "transport/loop/loop_impl.h"

/* How long a listener rests when there are no descriptors: long enough not to
 * spin, short enough for a client's time limit. */
#define PAUSE_NS (50 * PST_NS_PER_MS)
/* Connections that a listener takes in one round: many, so that a full queue
 * has room again for those that wait beside it; not so many that streams
 * wait. */
#define ACCEPT_MOST 16U

#define source_of(l) ((struct pst_source *)(void *)(l))
static_assert(offsetof(struct pst_source, link) == 0, "for source_of()");

static void source_free(struct pst_source *src)
{
	pst_link_remove(&src->link);
	free(src->queue);
	free(src);
}

/* Frees what was removed and what no completion can name any more. */
static void reap(struct pst_loop *loop)
{
	struct pst_link *l = loop->dead.next, *next;

	for (; l != &loop->dead; l = next) {
		struct pst_source *src = source_of(l);

		next = l->next;
		if (src->uring.refs == 0)
			source_free(src);
		else
			loop->ops->remove(loop, src);
	}
}

void pst_loop_close(struct pst_loop *loop)
{
	if (!loop)
		return;
	assert(!loop->running);
	while (!pst_link_empty(&loop->sources))
		pst_loop_remove(loop, source_of(loop->sources.next));
	loop->ops->close(loop);
	while (!pst_link_empty(&loop->dead))
		source_free(source_of(loop->dead.next));
	free(loop);
}

enum pst_loop_kind pst_loop_kind(const struct pst_loop *loop)
{
	return loop->ops->kind;
}

const char *pst_loop_why(const struct pst_loop *loop)
{
	return loop->why;
}

static struct pst_source *add(struct pst_loop *loop, enum pst_source_type type,
			      int fd, void *arg)
{
	struct pst_source *src = calloc(1, sizeof(*src));

	if (!src)
		return NULL;
	src->type = type;
	src->fd = fd;
	src->arg = arg;
	pst_link_init(&src->uring.pending);
	src->uring.first = -1;
	src->uring.last = -1;
	pst_link_append(&loop->sources, &src->link);
	if (loop->ops->add(loop, src) < 0) {
		source_free(src);
		return NULL;
	}
	return src;
}

struct pst_source *pst_loop_add_listener(struct pst_loop *loop, int fd,
					 pst_loop_accept_fn *fn, void *arg)
{
	struct pst_source *src = add(loop, PST_SOURCE_LISTENER, fd, arg);

	if (src)
		src->fn.accept = fn;
	return src;
}

struct pst_source *pst_loop_add_stream(struct pst_loop *loop, int fd,
				       pst_loop_data_fn *fn, void *arg)
{
	struct pst_source *src = add(loop, PST_SOURCE_STREAM, fd, arg);

	if (src)
		src->fn.data = fn;
	return src;
}

struct pst_source *pst_loop_add_ready(struct pst_loop *loop, int fd,
				      pst_loop_ready_fn *fn, void *arg)
{
	struct pst_source *src = add(loop, PST_SOURCE_READY, fd, arg);

	if (src)
		src->fn.ready = fn;
	return src;
}

void pst_loop_remove(struct pst_loop *loop, struct pst_source *src)
{
	if (!src)
		return;
	assert(!src->removed);
	src->removed = true;
	if (src->paused_until_ns)
		loop->n_paused--;
	pst_link_remove(&src->link);
	pst_link_append(&loop->dead, &src->link);
	loop->ops->remove(loop, src);
	/* Inside a round its caller may still hold the pointer. */
	if (!loop->running)
		reap(loop);
}

/* A listener rests until then; 0: it does not. */
static void rest(struct pst_loop *loop, struct pst_source *src,
		 uint64_t until_ns)
{
	if (!until_ns || src->removed)
		return;
	if (!src->paused_until_ns)
		loop->n_paused++;
	if (until_ns > src->paused_until_ns)
		src->paused_until_ns = until_ns;
}

void pst_loop_give_data(struct pst_loop *loop, struct pst_source *src,
			const uint8_t *buf, int64_t n)
{
	if (src->removed || src->ended)
		return;
	if (n <= 0)
		src->ended = true;
	loop->n_calls++;
	src->fn.data(src->arg, buf, n);
}

static void give_ready(struct pst_loop *loop, struct pst_source *src)
{
	if (src->removed)
		return;
	loop->n_calls++;
	src->fn.ready(src->arg);
}

/* Whether accept4() says that there is nobody, or not yet, or no more. */
static bool is_nobody(int err)
{
	return err == EAGAIN || err == EINTR || err == ECONNABORTED ||
	       err == EPROTO;
}

static void read_listener(struct pst_loop *loop, struct pst_source *src)
{
	unsigned int i;
	int fd;

	for (i = 0; i < ACCEPT_MOST; i++) {
		fd = accept4(src->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd < 0) {
			if (!is_nobody(errno))
				rest(loop, src, pst_now_ns() + PAUSE_NS);
			return;
		}
		loop->n_calls++;
		rest(loop, src, src->fn.accept(src->arg, fd));
		if (src->removed || src->paused_until_ns)
			return;
	}
}

static void read_stream(struct pst_loop *loop, struct pst_source *src)
{
	ssize_t n = recv(src->fd, loop->buf, sizeof(loop->buf), MSG_DONTWAIT);

	if (n >= 0)
		pst_loop_give_data(loop, src, loop->buf, n);
	else if (errno != EAGAIN && errno != EINTR)
		pst_loop_give_data(loop, src, loop->buf, -errno);
}

void pst_loop_readable(struct pst_loop *loop, struct pst_source *src)
{
	switch (src->type) {
	case PST_SOURCE_LISTENER:
		read_listener(loop, src);
		break;
	case PST_SOURCE_STREAM:
		read_stream(loop, src);
		break;
	case PST_SOURCE_READY:
		give_ready(loop, src);
		break;
	}
}

static void drop_queue(struct pst_source *src)
{
	free(src->queue);
	src->queue = NULL;
	src->queue_off = 0;
	src->queue_len = 0;
	src->queue_size = 0;
}

/* Sends what the socket takes at once. Returns the bytes, or -errno. */
static int64_t send_now(struct pst_source *src, const uint8_t *p, size_t n)
{
	size_t sent = 0;

	while (sent < n) {
		ssize_t r = send(src->fd, p + sent, n - sent,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (r >= 0) {
			sent += (size_t)r;
			continue;
		}
		if (errno == EAGAIN)
			break;
		if (errno != EINTR)
			return errno == EPIPE ? -ECONNRESET : -errno;
	}
	return (int64_t)sent;
}

void pst_loop_flush(struct pst_loop *loop, struct pst_source *src, bool broken)
{
	int64_t n;

	if (src->removed || src->queue_len == 0)
		return;
	n = send_now(src, src->queue + src->queue_off, src->queue_len);
	if (n >= 0) {
		src->queue_off += (size_t)n;
		src->queue_len -= (size_t)n;
		if (src->queue_len && broken)
			n = -ECONNRESET;
	}
	/* The reading side tells the owner of the end: what the peer said
	 * before it comes first. */
	if (n < 0)
		src->send_err = (int)n;
	if (n < 0 || src->queue_len == 0)
		drop_queue(src);
}

/* Room for n more bytes at the queue's end. */
static int reserve(struct pst_source *src, size_t n)
{
	size_t size = src->queue_size ? src->queue_size : 4096;
	uint8_t *queue;

	if (src->queue_off + src->queue_len + n <= src->queue_size)
		return 0;
	if (src->queue_len)
		memmove(src->queue, src->queue + src->queue_off,
			src->queue_len);
	src->queue_off = 0;
	while (size < src->queue_len + n)
		size *= 2;
	if (size == src->queue_size)
		return 0;
	queue = realloc(src->queue, size);
	if (!queue)
		return -ENOMEM;
	src->queue = queue;
	src->queue_size = size;
	return 0;
}

int pst_loop_send(struct pst_loop *loop, struct pst_source *src,
		  const void *buf, size_t n)
{
	const uint8_t *p = buf;
	bool was_empty = src->queue_len == 0;
	int64_t sent = 0;
	int r;

	assert(src->type == PST_SOURCE_STREAM && !src->removed);
	if (src->send_err)
		return src->send_err;
	if (n > PST_LOOP_QUEUE_MAX - src->queue_len)
		return -EMSGSIZE;
	if (was_empty)
		sent = send_now(src, p, n);
	if (sent < 0) {
		src->send_err = (int)sent;
		return src->send_err;
	}
	p += sent;
	n -= (size_t)sent;
	if (n == 0)
		return 0;
	r = reserve(src, n);
	if (r < 0) {
		/* Half a message was sent: nothing can follow it. */
		if (sent > 0)
			src->send_err = r;
		return r;
	}
	memcpy(src->queue + src->queue_off + src->queue_len, p, n);
	src->queue_len += n;
	if (was_empty)
		loop->ops->want_write(loop, src);
	return 0;
}

void pst_loop_hold(struct pst_loop *loop, struct pst_source *src, bool hold)
{
	if (!src || src->held == hold)
		return;
	src->held = hold;
	loop->ops->hold(loop, src);
}

size_t pst_loop_pending(const struct pst_source *src)
{
	return src->queue_len;
}

/* Wakes listeners whose rest is over. Returns how long a round may wait. */
static uint64_t resume_paused(struct pst_loop *loop, uint64_t timeout_ns)
{
	uint64_t now = pst_now_ns();
	struct pst_link *l;

	for (l = loop->sources.next; l != &loop->sources; l = l->next) {
		struct pst_source *src = source_of(l);

		if (!src->paused_until_ns)
			continue;
		if (src->paused_until_ns <= now) {
			src->paused_until_ns = 0;
			loop->n_paused--;
			loop->ops->resume(loop, src);
		} else if (src->paused_until_ns - now < timeout_ns) {
			timeout_ns = src->paused_until_ns - now;
		}
	}
	return timeout_ns;
}

int pst_loop_run(struct pst_loop *loop, uint64_t timeout_ns)
{
	int r;

	assert(!loop->running);
	loop->running = true;
	loop->n_calls = 0;
	if (loop->n_paused)
		timeout_ns = resume_paused(loop, timeout_ns);
	r = loop->ops->run(loop, timeout_ns);
	loop->running = false;
	reap(loop);
	return r < 0 && loop->n_calls == 0 ? r : loop->n_calls;
}
