/* SPDX-License-Identifier: MIT */
/* Common declarations of the event loop's two implementations. */
#ifndef PST_TRANSPORT_LOOP_LOOP_IMPL_H
#define PST_TRANSPORT_LOOP_LOOP_IMPL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "transport/base/error.h"
#include "transport/loop/loop.h"

/* Most that one data callback gets. */
#define PST_LOOP_READ_SIZE (8U << 10)
/* Most that is queued for a peer that does not read. */
#define PST_LOOP_QUEUE_MAX (1U << 20)

/* A place in a circular list; the head is one too. */
struct pst_link {
	struct pst_link *prev, *next;
};

static inline void pst_link_init(struct pst_link *l)
{
	l->prev = l;
	l->next = l;
}

static inline bool pst_link_empty(const struct pst_link *head)
{
	return head->next == head;
}

/* Takes l out of whichever list it is in; doing it twice is harmless. */
static inline void pst_link_remove(struct pst_link *l)
{
	l->prev->next = l->next;
	l->next->prev = l->prev;
	pst_link_init(l);
}

static inline void pst_link_append(struct pst_link *head, struct pst_link *l)
{
	l->prev = head->prev;
	l->next = head;
	head->prev->next = l;
	head->prev = l;
}

enum pst_source_type {
	PST_SOURCE_LISTENER,
	PST_SOURCE_STREAM,
	PST_SOURCE_READY
};

/* What a source's input request in the ring is. */
enum pst_uring_in { PST_URING_POLL, PST_URING_RECV };

/* The io_uring implementation's part of a source. */
struct pst_uring_source {
	struct pst_link pending; /* in the ring's list of things to do */
	unsigned int refs;       /* requests whose last completion is to come */
	bool in_armed, out_armed;
	bool in_ended;  /* the input request's last completion is in result */
	bool one_shot;  /* multishot was refused for this descriptor, or it was
			   held once */
	bool cancelled; /* cancel requests are on their way */
	enum pst_uring_in in;
	int32_t result;
	int32_t first, last; /* received buffers in order, -1: none */
};

struct pst_source {
	struct pst_link link; /* in the loop's sources or dead */
	enum pst_source_type type;
	int fd;
	union {
		pst_loop_accept_fn *accept;
		pst_loop_data_fn *data;
		pst_loop_ready_fn *ready;
	} fn;
	void *arg;
	bool removed;
	bool held;                /* gives nothing */
	bool ended;               /* end of stream or an error was reported */
	uint64_t paused_until_ns; /* a listener that rests; 0: it does not */
	int send_err;             /* what every further send returns */
	uint8_t *queue;           /* bytes to send are [queue + off, +len) */
	size_t queue_off, queue_len, queue_size;
	struct pst_uring_source uring;
};

struct pst_loop_ops {
	enum pst_loop_kind kind;
	/* Makes loop->impl. Returns 0, -EOPNOTSUPP, -errno. */
	int (*open)(struct pst_loop *loop, struct pst_error *err);
	/* After all sources were removed. */
	void (*close)(struct pst_loop *loop);
	/* Begins to watch a source for input. Returns 0 or -ENOMEM. */
	int (*add)(struct pst_loop *loop, struct pst_source *src);
	/* Stops; called again while the source has references. */
	void (*remove)(struct pst_loop *loop, struct pst_source *src);
	/* src's queue is no longer empty. */
	void (*want_write)(struct pst_loop *loop, struct pst_source *src);
	/* src's pause is over. */
	void (*resume)(struct pst_loop *loop, struct pst_source *src);
	/* src->held has changed. */
	void (*hold)(struct pst_loop *loop, struct pst_source *src);
	/* One round. Returns 0 or -errno, never -EINTR. */
	int (*run)(struct pst_loop *loop, uint64_t timeout_ns);
};

struct pst_loop {
	const struct pst_loop_ops *ops;
	void *impl;
	struct pst_link sources;
	struct pst_link dead; /* removed, not yet free of references */
	bool running;
	bool no_multishot; /* as an older kernel; set by tests */
	unsigned int n_paused;
	int n_calls; /* callbacks of this round */
	char why[256];
	uint8_t buf[PST_LOOP_READ_SIZE];
};

extern const struct pst_loop_ops pst_loop_poll_ops;
extern const struct pst_loop_ops pst_loop_uring_ops;

/*
 * What a readable descriptor means, by type: some accepts, one receive into
 * loop->buf, or the ready callback. For callers that know it to be readable
 * or broken; does nothing if it is neither.
 */
void pst_loop_readable(struct pst_loop *loop, struct pst_source *src);

/* Sends what is queued. broken: the descriptor reported an error or hang-up,
 * and what it does not take now is dropped. */
void pst_loop_flush(struct pst_loop *loop, struct pst_source *src, bool broken);

/* Makes the callback, unless the source was removed. */
void pst_loop_give_data(struct pst_loop *loop, struct pst_source *src,
			const uint8_t *buf, int64_t n);

#endif
