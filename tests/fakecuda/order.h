/* SPDX-License-Identifier: MIT */
/* What of a device's work comes before what: vector clocks of streams and
 * events, and what each piece of work reads and writes. */
#ifndef PST_TESTS_FAKECUDA_ORDER_H
#define PST_TESTS_FAKECUDA_ORDER_H

#include <stdbool.h>
#include <stdint.h>

#define FAKECUDA_STREAMS 128

/* How far each stream had come. */
struct fakecuda_clock {
	uint32_t at[FAKECUDA_STREAMS];
};

/* Bytes: n lines of width, pitch apart, batch times, stride apart. */
struct fakecuda_shape {
	const void *p;
	uint64_t width, n, pitch, batch, stride;
};

/*
 * Whether two pieces of work touch a byte of which one writes, and nothing says
 * which comes first, is known when the second is put on its stream, whatever
 * the streams' threads have done by then. Everything takes the caller's lock.
 */

/* A stream's number; -1: there are too many. */
int fakecuda_order_begin(void);
void fakecuda_order_end(int stream);

/* Work was put on a stream: the stream's clock goes on, after all that the
 * host knows to be over. */
void fakecuda_order_tick(int stream, struct fakecuda_clock *c);
void fakecuda_order_join(struct fakecuda_clock *c,
			 const struct fakecuda_clock *other);

/* The host has seen this. */
void fakecuda_order_seen(const struct fakecuda_clock *c);

/* The host has seen the end of everything. */
void fakecuda_order_all_seen(void);

/* The stream's newest work touches these bytes. Returns what was touched
 * before, without an order: NULL if nothing. what: of static storage. */
const char *fakecuda_order_touch(int stream, const struct fakecuda_clock *c,
				 const struct fakecuda_shape *shape, bool write,
				 const char *what);

/* The same for the host itself, which touches them now. */
const char *fakecuda_order_host(const void *p, uint64_t n, bool write);

void fakecuda_order_reset(void);

#endif
