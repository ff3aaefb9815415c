/* SPDX-License-Identifier: MIT */
/* What of a device's work comes before what: vector clocks of streams and
 * events, and what each piece of work reads and writes. */
#include "tests/fakecuda/order.h"

#include <stdlib.h>
#include <string.h>

struct access {
	struct fakecuda_shape shape;
	const char *what;
	uint32_t time;
	int stream;
	bool write;
};

static struct {
	struct fakecuda_clock host;
	uint32_t last[FAKECUDA_STREAMS]; /* outlives a stream's number */
	bool used[FAKECUDA_STREAMS];
	struct access *list;
	size_t n, room;
} o;

void fakecuda_order_reset(void)
{
	free(o.list);
	memset(&o, 0, sizeof(o));
}

int fakecuda_order_begin(void)
{
	int i;

	for (i = 0; i < FAKECUDA_STREAMS; i++) {
		if (o.used[i])
			continue;
		o.used[i] = true;
		return i;
	}
	return -1;
}

void fakecuda_order_end(int stream)
{
	if (stream >= 0)
		o.used[stream] = false;
}

void fakecuda_order_join(struct fakecuda_clock *c,
			 const struct fakecuda_clock *other)
{
	int i;

	for (i = 0; i < FAKECUDA_STREAMS; i++)
		if (other->at[i] > c->at[i])
			c->at[i] = other->at[i];
}

void fakecuda_order_tick(int stream, struct fakecuda_clock *c)
{
	fakecuda_order_join(c, &o.host);
	if (stream >= 0)
		c->at[stream] = ++o.last[stream];
}

void fakecuda_order_seen(const struct fakecuda_clock *c)
{
	fakecuda_order_join(&o.host, c);
}

void fakecuda_order_all_seen(void)
{
	memcpy(o.host.at, o.last, sizeof(o.host.at));
}

static uint64_t start_of(const struct fakecuda_shape *s)
{
	return (uint64_t)(uintptr_t)s->p;
}

static uint64_t end_of(const struct fakecuda_shape *s)
{
	return start_of(s) + (s->batch - 1) * s->stride +
	       (s->n - 1) * s->pitch + s->width;
}

/* Whether a line of s lies in [from, to), too. */
static bool has_line(const struct fakecuda_shape *s, uint64_t from, uint64_t to)
{
	uint64_t z, at, i;

	for (z = 0; z < s->batch; z++) {
		at = start_of(s) + z * s->stride;
		if (at >= to || at + (s->n - 1) * s->pitch + s->width <= from)
			continue;
		/* The first that ends behind from. */
		i = from < at + s->width || !s->pitch
			    ? 0
			    : (from - at - s->width) / s->pitch + 1;
		if (i < s->n && at + i * s->pitch < to)
			return true;
	}
	return false;
}

static bool overlap(const struct fakecuda_shape *a,
		    const struct fakecuda_shape *b)
{
	const struct fakecuda_shape *t;
	uint64_t z, i, at;

	if (start_of(a) >= end_of(b) || start_of(b) >= end_of(a))
		return false;
	if (a->n * a->batch > b->n * b->batch) {
		t = a;
		a = b;
		b = t;
	}
	for (z = 0; z < a->batch; z++) {
		for (i = 0; i < a->n; i++) {
			at = start_of(a) + z * a->stride + i * a->pitch;
			if (has_line(b, at, at + a->width))
				return true;
		}
	}
	return false;
}

/* What the host knows to be over comes before all that is still to come. */
static void forget(void)
{
	size_t i, n = 0;

	for (i = 0; i < o.n; i++)
		if (o.list[i].time > o.host.at[o.list[i].stream])
			o.list[n++] = o.list[i];
	o.n = n;
}

static const char *conflict(int stream, const struct fakecuda_clock *c,
			    const struct fakecuda_shape *shape, bool write)
{
	const struct access *a;
	size_t i;

	for (i = 0; i < o.n; i++) {
		a = &o.list[i];
		if (a->stream != stream && (write || a->write) &&
		    a->time > c->at[a->stream] && overlap(&a->shape, shape))
			return a->what;
	}
	return NULL;
}

const char *fakecuda_order_touch(int stream, const struct fakecuda_clock *c,
				 const struct fakecuda_shape *shape, bool write,
				 const char *what)
{
	const char *before;

	if (stream < 0 || !shape->width || !shape->n || !shape->batch)
		return NULL;
	forget();
	before = conflict(stream, c, shape, write);
	if (o.n == o.room) {
		o.room = o.room ? 2 * o.room : 64;
		o.list = realloc(o.list, o.room * sizeof(*o.list));
		if (!o.list)
			abort();
	}
	o.list[o.n++] = (struct access){.shape = *shape,
					.what = what,
					.time = c->at[stream],
					.stream = stream,
					.write = write};
	return before;
}

const char *fakecuda_order_host(const void *p, uint64_t n, bool write)
{
	const struct fakecuda_shape shape = {p, n, 1, n, 1, 0};

	return n ? conflict(-1, &o.host, &shape, write) : NULL;
}
