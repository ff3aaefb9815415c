/* SPDX-License-Identifier: MIT */
/* The double's streams and events: threads, or a clock of its own. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/fakecuda/order.h"
#include "tests/fakecuda/streams.h"
#include "transport/base/util.h"

/* A fence is one recording of an event; it outlives the event while a stream
 * waits for it. */
struct fence {
	unsigned int refs;
	bool done;
	uint64_t done_ns; /* by the double's clock */
	struct fakecuda_clock clock;
};

struct CUevent_st {
	struct fence *fence; /* NULL: never recorded */
};

enum kind { RUN, WAIT, SIGNAL };

struct item {
	struct item *next;
	enum kind kind;
	fakecuda_fn *fn;
	struct fence *fence;
	max_align_t arg[];
};

struct CUstream_st {
	struct CUstream_st *next; /* of those that were given back */
	pthread_t thread;
	struct item *first, **last;
	bool busy, ending;
	int number;
	uint64_t free_ns; /* by the double's clock: all is done then */
	struct fakecuda_clock clock;
	struct fakecuda_capture *capture;
};

static struct CUstream_st *ended;
static unsigned int n_pending; /* items of all streams */
/* The double's clock, and when each engine is free. */
static uint64_t now_ns, engine_ns[FAKECUDA_N_ENGINES];

static void fence_unref(struct fence *f)
{
	if (f && --f->refs == 0)
		free(f);
}

static bool is_timed(void)
{
	return fakecuda_card();
}

uint64_t fakecuda_now(void)
{
	return now_ns;
}

uint64_t fakecuda_ends(void)
{
	uint64_t end = 0;
	unsigned int i;

	for (i = 0; i < FAKECUDA_N_ENGINES; i++)
		end = engine_ns[i] > end ? engine_ns[i] : end;
	return end;
}

void fakecuda_pass(uint64_t ns)
{
	now_ns += ns;
}

/* A call or question of the host takes this long. */
static void spend(bool question)
{
	const struct fakecuda_card *c = fakecuda_card();

	if (c)
		now_ns += question ? c->query_ns : c->call_ns;
}

static void run_item(struct item *it)
{
	const unsigned int us = fakecuda_delay_locked();
	bool skip;

	while (it->kind == WAIT && !it->fence->done && !fakecuda_lost_locked())
		pthread_cond_wait(&fakecuda_changed, &fakecuda_lock);
	skip = fakecuda_lost_locked();
	if (it->kind == RUN) {
		pthread_mutex_unlock(&fakecuda_lock);
		if (us)
			nanosleep(&(struct timespec){.tv_nsec = us * 1000L},
				  NULL);
		if (!skip)
			it->fn(it->arg);
		pthread_mutex_lock(&fakecuda_lock);
	}
	/* Of a lost context no event ever comes. */
	if (it->kind == SIGNAL && !fakecuda_lost_locked())
		it->fence->done = true;
	fence_unref(it->fence);
	free(it);
	n_pending--;
	pthread_cond_broadcast(&fakecuda_changed);
}

static void *serve(void *arg)
{
	struct CUstream_st *s = arg;
	struct item *it;

	pthread_mutex_lock(&fakecuda_lock);
	for (;;) {
		it = s->first;
		if ((!it && !s->ending) ||
		    (fakecuda_hangs_locked() && !s->ending)) {
			pthread_cond_wait(&fakecuda_changed, &fakecuda_lock);
			continue;
		}
		if (!it)
			break;
		s->first = it->next;
		if (!s->first)
			s->last = &s->first;
		s->busy = true;
		run_item(it);
		s->busy = false;
		pthread_cond_broadcast(&fakecuda_changed);
	}
	pthread_mutex_unlock(&fakecuda_lock);
	fakecuda_emu_done();
	return NULL;
}

/* By the double's clock: when the work is over. */
static void time_item(struct CUstream_st *s, const struct fakecuda_work *w)
{
	uint64_t *engine = &engine_ns[w->engine], start = now_ns;

	if (s->free_ns > start)
		start = s->free_ns;
	if (*engine > start)
		start = *engine;
	*engine = s->free_ns = start + w->ns;
}

static cudaError_t push(cudaStream_t s, enum kind kind, fakecuda_fn *fn,
			const void *arg, size_t size, struct fence *fence)
{
	struct item *it = calloc(1, sizeof(*it) + size);

	if (!it)
		return cudaErrorMemoryAllocation;
	it->kind = kind;
	it->fn = fn;
	it->fence = fence;
	if (size)
		memcpy(it->arg, arg, size);
	pthread_mutex_lock(&fakecuda_lock);
	if (fence)
		fence->refs++;
	*s->last = it;
	s->last = &it->next;
	n_pending++;
	pthread_cond_broadcast(&fakecuda_changed);
	pthread_mutex_unlock(&fakecuda_lock);
	return cudaSuccess;
}

cudaError_t fakecuda_enqueue(cudaStream_t s, const struct fakecuda_work *w,
			     fakecuda_fn *fn, const void *arg, size_t size)
{
	if (!s) {
		fakecuda_note("work on the default stream");
		return fakecuda_error(cudaErrorInvalidValue);
	}
	if (s->capture)
		return fakecuda_capture_add(s->capture, w, fn, arg, size);
	pthread_mutex_lock(&fakecuda_lock);
	fakecuda_order_tick(s->number, &s->clock);
	pthread_mutex_unlock(&fakecuda_lock);
	if (!is_timed())
		return fakecuda_error(push(s, RUN, fn, arg, size, NULL));
	spend(false);
	time_item(s, w);
	if (!fakecuda_card()->dry && !fakecuda_is_lost())
		fn(arg);
	return cudaSuccess;
}

struct touch {
	struct fakecuda_shape shape;
	bool write;
	const char *what;
};

/* Of a graph: the launch is what is put on the stream. */
static void touch_captured(const void *arg)
{
	(void)arg;
}

void fakecuda_access(cudaStream_t s, const struct fakecuda_shape *shape,
		     bool write, const char *what)
{
	struct touch t = {*shape, write, what};
	const char *before;
	char text[192];

	if (!s || !shape->p)
		return;
	t.shape.p = fakecuda_host_address(shape->p);
	if (s->capture) {
		fakecuda_capture_add(s->capture, NULL, touch_captured, &t,
				     sizeof(t));
		return;
	}
	pthread_mutex_lock(&fakecuda_lock);
	before = fakecuda_order_touch(s->number, &s->clock, &t.shape, write,
				      what);
	if (before && !fakecuda_lost_locked()) {
		snprintf(text, sizeof(text), "%s and %s, in no order", before,
			 what);
		fakecuda_note_locked(text);
	}
	pthread_mutex_unlock(&fakecuda_lock);
}

void fakecuda_access_again(cudaStream_t s, const void *touch)
{
	const struct touch *t = touch;

	fakecuda_access(s, &t->shape, t->write, t->what);
}

void fakecuda_touch_move(void *touch, const void *p, uint64_t n)
{
	struct touch *t = touch;

	t->shape = (struct fakecuda_shape){p, n, 1, n, 1, 0};
}

void fakecuda_host_touch(const void *p, uint64_t n, bool write)
{
	const char *before;
	char text[192];

	pthread_mutex_lock(&fakecuda_lock);
	before = fakecuda_order_host(p, n, write);
	if (before) {
		snprintf(text, sizeof(text),
			 "%s, and the host, which has not seen its end",
			 before);
		fakecuda_note_locked(text);
	}
	pthread_mutex_unlock(&fakecuda_lock);
}

struct fakecuda_capture **fakecuda_capture_of(cudaStream_t s)
{
	return &s->capture;
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t *ret, unsigned int flags,
					 int priority)
{
	cudaError_t e = fakecuda_call();
	struct CUstream_st *s;

	(void)priority;
	if (e != cudaSuccess)
		return e;
	s = fakecuda_handle(sizeof(*s));
	s->last = &s->first;
	if (flags != cudaStreamNonBlocking)
		fakecuda_note("a stream that waits for others");
	pthread_mutex_lock(&fakecuda_lock);
	s->number = fakecuda_order_begin();
	if (s->number < 0)
		fakecuda_note_locked("more streams than the double counts");
	pthread_mutex_unlock(&fakecuda_lock);
	if (!is_timed())
		pthread_create(&s->thread, NULL, serve, s);
	*ret = s;
	return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *ret, unsigned int flags)
{
	return cudaStreamCreateWithPriority(ret, flags, 0);
}

cudaError_t cudaDeviceGetStreamPriorityRange(int *ret_least, int *ret_greatest)
{
	*ret_least = 0;
	*ret_greatest = -5;
	return fakecuda_call();
}

/* Returns at once; what is on the stream goes on. */
cudaError_t cudaStreamDestroy(cudaStream_t s)
{
	fakecuda_leak(-1);
	pthread_mutex_lock(&fakecuda_lock);
	s->ending = true;
	s->next = ended;
	ended = s;
	fakecuda_order_end(s->number);
	pthread_cond_broadcast(&fakecuda_changed);
	pthread_mutex_unlock(&fakecuda_lock);
	return cudaSuccess;
}

void fakecuda_streams_join(void)
{
	struct CUstream_st *s;

	while ((s = ended)) {
		ended = s->next;
		if (!is_timed())
			pthread_join(s->thread, NULL);
		free(s);
	}
}

void fakecuda_streams_wait(void)
{
	pthread_mutex_lock(&fakecuda_lock);
	while (n_pending && !fakecuda_lost_locked())
		pthread_cond_wait(&fakecuda_changed, &fakecuda_lock);
	if (fakecuda_ends() > now_ns)
		now_ns = fakecuda_ends();
	fakecuda_order_all_seen();
	pthread_mutex_unlock(&fakecuda_lock);
}

void fakecuda_streams_reset(void)
{
	fakecuda_streams_join();
	now_ns = 0;
	memset(engine_ns, 0, sizeof(engine_ns));
}

static bool stream_busy(const struct CUstream_st *s)
{
	return is_timed() ? s->free_ns > now_ns : s->first || s->busy;
}

/* Questions and waits are not allowed while the asking thread captures. */
static bool breaks_capture(const struct CUstream_st *s)
{
	return fakecuda_capture_breaks(s ? s->capture : NULL);
}

cudaError_t cudaStreamQuery(cudaStream_t s)
{
	cudaError_t e;
	bool busy;

	if (breaks_capture(s))
		return fakecuda_error(cudaErrorStreamCaptureUnsupported);
	spend(true);
	pthread_mutex_lock(&fakecuda_lock);
	busy = stream_busy(s) && !fakecuda_lost_locked();
	if (!busy)
		fakecuda_order_seen(&s->clock);
	pthread_mutex_unlock(&fakecuda_lock);
	e = busy ? cudaErrorNotReady : fakecuda_call();
	return e;
}

cudaError_t cudaStreamSynchronize(cudaStream_t s)
{
	cudaError_t e = fakecuda_call();

	if (breaks_capture(s))
		return fakecuda_error(cudaErrorStreamCaptureUnsupported);
	if (e != cudaSuccess)
		return e;
	fakecuda_count_sync();
	pthread_mutex_lock(&fakecuda_lock);
	if (is_timed() && s->free_ns > now_ns)
		now_ns = s->free_ns;
	while (stream_busy(s) && !fakecuda_lost_locked())
		pthread_cond_wait(&fakecuda_changed, &fakecuda_lock);
	if (fakecuda_lost_locked())
		e = cudaErrorUnknown;
	fakecuda_order_seen(&s->clock);
	pthread_mutex_unlock(&fakecuda_lock);
	return fakecuda_error(e == cudaSuccess ? e : fakecuda_lost_with());
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *ret, unsigned int flags)
{
	cudaError_t e = fakecuda_call();

	if (e != cudaSuccess)
		return e;
	if (!(flags & cudaEventDisableTiming))
		fakecuda_note("an event that takes the time");
	*ret = fakecuda_handle(sizeof(struct CUevent_st));
	return e;
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
	pthread_mutex_lock(&fakecuda_lock);
	fence_unref(event->fence);
	pthread_mutex_unlock(&fakecuda_lock);
	fakecuda_drop(event);
	return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t s)
{
	cudaError_t e = fakecuda_call();
	struct fence *f;

	if (e != cudaSuccess)
		return e;
	/* Allowed there, but not what the backend means. */
	if (s->capture) {
		fakecuda_capture_breaks(s->capture);
		return fakecuda_error(cudaErrorStreamCaptureUnsupported);
	}
	f = calloc(1, sizeof(*f));
	f->refs = 1;
	spend(true);
	pthread_mutex_lock(&fakecuda_lock);
	fence_unref(event->fence);
	event->fence = f;
	fakecuda_order_tick(s->number, &s->clock);
	f->clock = s->clock;
	f->done_ns = s->free_ns > now_ns ? s->free_ns : now_ns;
	pthread_mutex_unlock(&fakecuda_lock);
	return is_timed() ? cudaSuccess
			  : fakecuda_error(push(s, SIGNAL, NULL, NULL, 0, f));
}

cudaError_t cudaEventQuery(cudaEvent_t event)
{
	const struct fence *f = event->fence;
	bool busy;

	if (breaks_capture(NULL))
		return fakecuda_error(cudaErrorStreamCaptureUnsupported);
	spend(true);
	pthread_mutex_lock(&fakecuda_lock);
	busy = f && (is_timed() ? f->done_ns > now_ns : !f->done) &&
	       !fakecuda_lost_locked();
	if (f && !busy)
		fakecuda_order_seen(&f->clock);
	pthread_mutex_unlock(&fakecuda_lock);
	return busy ? cudaErrorNotReady : fakecuda_call();
}

cudaError_t cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t event,
				unsigned int flags)
{
	cudaError_t e = fakecuda_call();

	(void)flags;
	if (e != cudaSuccess || !event->fence)
		return e;
	if (s->capture) {
		fakecuda_note("an event of outside in a captured stream");
		return fakecuda_error(cudaErrorStreamCaptureIsolation);
	}
	spend(true);
	pthread_mutex_lock(&fakecuda_lock);
	fakecuda_order_join(&s->clock, &event->fence->clock);
	if (event->fence->done_ns > s->free_ns)
		s->free_ns = event->fence->done_ns;
	pthread_mutex_unlock(&fakecuda_lock);
	return is_timed() ? cudaSuccess
			  : fakecuda_error(
				    push(s, WAIT, NULL, NULL, 0, event->fence));
}
