/* SPDX-License-Identifier: MIT */
/* The agent's event loop: io_uring where the kernel allows it, else poll. */
#ifndef PST_TRANSPORT_LOOP_LOOP_H
#define PST_TRANSPORT_LOOP_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "transport/base/error.h"

/*
 * One thread owns a loop. Callbacks run inside pst_loop_run() and may add and
 * remove sources, their own too: after pst_loop_remove() no callback of that
 * source runs again. Received bytes lie in the loop's own buffers and are
 * valid during the callback only. No source can starve the rest: each gets at
 * most one callback of 8 KiB a round, a listener 16 connections.
 *
 * io_uring: multishot receive with provided buffers where the kernel has it
 * (6.0), single-shot otherwise. Listeners are polled: a multishot accept could
 * not be told to rest before it has taken more. Sends are plain non-blocking
 * send(2) and, when the socket is full, a queue in the loop. IORING_OP_SEND_ZC
 * is never used (CVE-2026-53365).
 */
struct pst_loop;
struct pst_source;

enum pst_loop_kind { PST_LOOP_AUTO, PST_LOOP_URING, PST_LOOP_POLL };

/* A new connection; the callee owns fd (non-blocking, close-on-exec). Returns
 * 0, or the pst_now_ns() time until which the listener rests: connections that
 * come meanwhile wait in the kernel. */
typedef uint64_t pst_loop_accept_fn(void *arg, int fd);

/*
 * n > 0: bytes arrived. n == 0: the peer closed. n < 0: -errno. After 0 or an
 * error nothing more comes; the callee removes the source.
 */
typedef void pst_loop_data_fn(void *arg, const uint8_t *buf, int64_t n);

/* fd is readable (signalfd, eventfd). */
typedef void pst_loop_ready_fn(void *arg);

/*
 * kind AUTO tries io_uring, then poll; pst_loop_why() tells why it is poll.
 * Returns 0, -ENOMEM, -EOPNOTSUPP (URING asked for and denied), -errno.
 */
int pst_loop_open(enum pst_loop_kind kind, struct pst_loop **ret,
		  struct pst_error *err);
/* Removes all sources; descriptors stay the callers', queued bytes are
 * dropped. */
void pst_loop_close(struct pst_loop *loop);

/* PST_LOOP_URING or PST_LOOP_POLL; and, for poll after AUTO, one sentence
 * with the reason, else "". */
enum pst_loop_kind pst_loop_kind(const struct pst_loop *loop);
const char *pst_loop_why(const struct pst_loop *loop);

/* Each returns a source, or NULL when memory is out. fd stays the caller's
 * and must outlive the source. */
struct pst_source *pst_loop_add_listener(struct pst_loop *loop, int fd,
					 pst_loop_accept_fn *fn, void *arg);
struct pst_source *pst_loop_add_stream(struct pst_loop *loop, int fd,
				       pst_loop_data_fn *fn, void *arg);
struct pst_source *pst_loop_add_ready(struct pst_loop *loop, int fd,
				      pst_loop_ready_fn *fn, void *arg);
/* NULL does nothing. */
void pst_loop_remove(struct pst_loop *loop, struct pst_source *src);

/*
 * Sends on a stream source: at once as far as the socket takes it, the rest
 * queued in order. Returns 0, -EMSGSIZE (queue above 1 MiB: the peer does not
 * read; nothing was queued), -ECONNRESET, -ENOMEM, -errno.
 */
int pst_loop_send(struct pst_loop *loop, struct pst_source *src,
		  const void *buf, size_t n);

/*
 * Whether a stream gives nothing for now: what comes then stays in the socket,
 * but for what the loop has taken out already. The end of such a stream is seen
 * once it is held no more. src NULL: nothing is done.
 */
void pst_loop_hold(struct pst_loop *loop, struct pst_source *src, bool hold);

/* Bytes still queued on a stream. */
size_t pst_loop_pending(const struct pst_source *src);

/*
 * Handles what is there; waits for something at most timeout_ns (0: does not
 * wait, and is cheap enough to call between two scans of the lanes;
 * UINT64_MAX: no limit); a signal may end the wait early. Returns the number
 * of callbacks made, or -errno; -EINTR is not returned.
 */
int pst_loop_run(struct pst_loop *loop, uint64_t timeout_ns);

#endif
