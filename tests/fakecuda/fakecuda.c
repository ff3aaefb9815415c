/* SPDX-License-Identifier: MIT */
/* The double's streams, events, failures and accounts. */
#include "tests/fakecuda/fakecuda.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/fakecuda/streams.h"
#include "transport/base/util.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

static struct {
	struct fakecuda_config config;
	bool configured;
	uint64_t calls, fail_at, lose_at;
	cudaError_t fail_with;
	bool lost, hang;
	unsigned int leaks, problems, blas, lt, graphs;
	char problem[256];
	uint64_t in, out;
	uint64_t rng;
} g;

static __thread int current_device;
static __thread cudaError_t last_error;

struct fakecuda_config fakecuda_default(void)
{
	return (struct fakecuda_config){
		.driver = 13000,
		.runtime = 13000,
		.n_devices = 1,
		.major = 9,
		.minor = 0,
		.memory = 1ULL << 30,
	};
}

static uint64_t env_number(const char *name, uint64_t otherwise)
{
	const char *v = getenv(name);

	return v ? strtoull(v, NULL, 10) : otherwise;
}

static void configure(void)
{
	if (g.configured)
		return;
	g.configured = true;
	g.config = fakecuda_default();
	g.config.driver = (int)env_number("FAKECUDA_DRIVER", 13000);
	g.config.major = (int)env_number("FAKECUDA_MAJOR", 9);
	g.config.delay_us = (unsigned int)env_number("FAKECUDA_DELAY_US", 0);
	g.config.refuse_plain = env_number("FAKECUDA_REFUSE_PLAIN", 0);
	g.config.refuse_iomemory = env_number("FAKECUDA_REFUSE_IOMEMORY", 0);
	g.config.no_capture = env_number("FAKECUDA_NO_CAPTURE", 0);
	g.config.memory = env_number("FAKECUDA_MEMORY", g.config.memory);
	g.lose_at = env_number("FAKECUDA_LOSE_AT", 0);
	g.rng = 88172645463325252ULL;
}

void fakecuda_reset(const struct fakecuda_config *c)
{
	pthread_mutex_lock(&lock);
	memset(&g, 0, sizeof(g));
	g.configured = true;
	g.config = *c;
	g.rng = 88172645463325252ULL;
	pthread_mutex_unlock(&lock);
	last_error = cudaSuccess;
	current_device = 0;
	fakecuda_memory_reset();
}

const struct fakecuda_config *fakecuda_get(void)
{
	pthread_mutex_lock(&lock);
	configure();
	pthread_mutex_unlock(&lock);
	return &g.config;
}

#define GETTER(type, name, field)                                              \
	type name(void)                                                        \
	{                                                                      \
		type v;                                                        \
                                                                               \
		pthread_mutex_lock(&lock);                                     \
		v = g.field;                                                   \
		pthread_mutex_unlock(&lock);                                   \
		return v;                                                      \
	}
GETTER(uint64_t, fakecuda_calls, calls)
GETTER(unsigned int, fakecuda_leaks, leaks)
GETTER(unsigned int, fakecuda_problems, problems)
GETTER(uint64_t, fakecuda_copied_in, in)
GETTER(uint64_t, fakecuda_copied_out, out)
GETTER(unsigned int, fakecuda_blas_products, blas)
GETTER(unsigned int, fakecuda_lt_products, lt)
GETTER(unsigned int, fakecuda_graph_launches, graphs)
GETTER(bool, fakecuda_is_lost, lost)

const char *fakecuda_problem(void)
{
	return g.problem;
}

void fakecuda_fail(uint64_t n, cudaError_t e)
{
	pthread_mutex_lock(&lock);
	g.fail_at = n ? g.calls + n : 0;
	g.fail_with = e;
	pthread_mutex_unlock(&lock);
}

void fakecuda_lose(uint64_t n)
{
	pthread_mutex_lock(&lock);
	g.lose_at = n ? g.calls + n : 0;
	pthread_mutex_unlock(&lock);
}

void fakecuda_hang(bool hang)
{
	pthread_mutex_lock(&lock);
	g.hang = hang;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

static void note_locked(const char *what)
{
	if (g.problems++ == 0)
		snprintf(g.problem, sizeof(g.problem), "%s", what);
}

void fakecuda_note(const char *what)
{
	pthread_mutex_lock(&lock);
	note_locked(what);
	pthread_mutex_unlock(&lock);
}

void fakecuda_break(const char *what)
{
	pthread_mutex_lock(&lock);
	note_locked(what);
	g.lost = true;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

void fakecuda_leak(int n)
{
	pthread_mutex_lock(&lock);
	g.leaks += (unsigned int)n;
	pthread_mutex_unlock(&lock);
}

void fakecuda_copied(uint64_t in, uint64_t out)
{
	pthread_mutex_lock(&lock);
	g.in += in;
	g.out += out;
	pthread_mutex_unlock(&lock);
}

void fakecuda_count_blas(void)
{
	pthread_mutex_lock(&lock);
	g.blas++;
	pthread_mutex_unlock(&lock);
}

void fakecuda_count_lt(void)
{
	pthread_mutex_lock(&lock);
	g.lt++;
	pthread_mutex_unlock(&lock);
}

void fakecuda_count_graph(void)
{
	pthread_mutex_lock(&lock);
	g.graphs++;
	pthread_mutex_unlock(&lock);
}

cudaError_t fakecuda_error(cudaError_t e)
{
	if (e != cudaSuccess && e != cudaErrorNotReady)
		last_error = e;
	return e;
}

cudaError_t fakecuda_call(void)
{
	cudaError_t e = cudaSuccess;

	pthread_mutex_lock(&lock);
	configure();
	g.calls++;
	if (g.lose_at && g.calls >= g.lose_at && !g.lost) {
		g.lost = true;
		pthread_cond_broadcast(&changed);
	}
	if (g.lost)
		e = cudaErrorUnknown;
	else if (g.calls == g.fail_at)
		e = g.fail_with;
	else if (current_device != 0)
		note_locked("a call while another device is current");
	pthread_mutex_unlock(&lock);
	return fakecuda_error(e);
}

void *fakecuda_handle(size_t size)
{
	void *p = calloc(1, size);

	if (p)
		fakecuda_leak(1);
	return p;
}

void fakecuda_drop(void *handle)
{
	free(handle);
	fakecuda_leak(-1);
}

cudaError_t cudaGetLastError(void)
{
	cudaError_t e = last_error;

	last_error = cudaSuccess;
	/* What broke the context stays. */
	return fakecuda_is_lost() ? cudaErrorUnknown : e;
}

cudaError_t cudaSetDevice(int device)
{
	cudaError_t e = fakecuda_call();

	if (e == cudaSuccess && device >= fakecuda_get()->n_devices)
		e = fakecuda_error(cudaErrorInvalidDevice);
	if (e == cudaSuccess)
		current_device = device;
	return e;
}

/* Events: what was recorded last. A fence outlives its event while a stream
 * waits for it. */
struct fence {
	unsigned int refs;
	bool done;
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
	pthread_t thread;
	struct item *first, **last;
	bool busy, ending;
	struct fakecuda_capture *capture;
};

static void fence_unref(struct fence *f)
{
	if (f && --f->refs == 0)
		free(f);
}

static unsigned int delay_locked(void)
{
	if (!g.config.delay_us)
		return 0;
	g.rng ^= g.rng << 13;
	g.rng ^= g.rng >> 7;
	g.rng ^= g.rng << 17;
	return (unsigned int)(g.rng % g.config.delay_us);
}

static void run_item(struct item *it)
{
	const unsigned int us = delay_locked();
	bool skip;

	while (it->kind == WAIT && !it->fence->done && !g.lost)
		pthread_cond_wait(&changed, &lock);
	skip = g.lost;
	if (it->kind == RUN) {
		pthread_mutex_unlock(&lock);
		if (us)
			nanosleep(&(struct timespec){.tv_nsec = us * 1000L},
				  NULL);
		if (!skip)
			it->fn(it->arg);
		pthread_mutex_lock(&lock);
	}
	/* Of a lost context no event ever comes. */
	if (it->kind == SIGNAL && !g.lost)
		it->fence->done = true;
	fence_unref(it->fence);
	free(it);
	pthread_cond_broadcast(&changed);
}

static void *serve(void *arg)
{
	struct CUstream_st *s = arg;
	struct item *it;

	pthread_mutex_lock(&lock);
	for (;;) {
		it = s->first;
		if ((!it && !s->ending) || (g.hang && !s->ending)) {
			pthread_cond_wait(&changed, &lock);
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
		pthread_cond_broadcast(&changed);
	}
	pthread_mutex_unlock(&lock);
	return NULL;
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
	pthread_mutex_lock(&lock);
	if (fence)
		fence->refs++;
	*s->last = it;
	s->last = &it->next;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	return cudaSuccess;
}

cudaError_t fakecuda_enqueue(cudaStream_t s, fakecuda_fn *fn, const void *arg,
			     size_t size)
{
	if (s->capture)
		return fakecuda_capture_add(s->capture, fn, arg, size);
	return fakecuda_error(push(s, RUN, fn, arg, size, NULL));
}

struct fakecuda_capture **fakecuda_capture_of(cudaStream_t s)
{
	return &s->capture;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *ret, unsigned int flags)
{
	cudaError_t e = fakecuda_call();
	struct CUstream_st *s;

	if (e != cudaSuccess)
		return e;
	s = fakecuda_handle(sizeof(*s));
	s->last = &s->first;
	if (flags != cudaStreamNonBlocking)
		fakecuda_note("a stream that waits for others");
	pthread_create(&s->thread, NULL, serve, s);
	*ret = s;
	return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t s)
{
	pthread_mutex_lock(&lock);
	s->ending = true;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	pthread_join(s->thread, NULL);
	fakecuda_drop(s);
	return cudaSuccess;
}

static bool stream_busy(const struct CUstream_st *s)
{
	return s->first || s->busy;
}

cudaError_t cudaStreamQuery(cudaStream_t s)
{
	bool busy;

	pthread_mutex_lock(&lock);
	busy = stream_busy(s) && !g.lost;
	pthread_mutex_unlock(&lock);
	return busy ? cudaErrorNotReady : fakecuda_call();
}

cudaError_t cudaStreamSynchronize(cudaStream_t s)
{
	cudaError_t e = fakecuda_call();

	if (e != cudaSuccess)
		return e;
	pthread_mutex_lock(&lock);
	while (stream_busy(s) && !g.lost)
		pthread_cond_wait(&changed, &lock);
	if (g.lost)
		e = cudaErrorUnknown;
	pthread_mutex_unlock(&lock);
	return fakecuda_error(e);
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *ret, unsigned int flags)
{
	cudaError_t e = fakecuda_call();

	(void)flags;
	if (e == cudaSuccess)
		*ret = fakecuda_handle(sizeof(struct CUevent_st));
	return e;
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
	pthread_mutex_lock(&lock);
	fence_unref(event->fence);
	pthread_mutex_unlock(&lock);
	fakecuda_drop(event);
	return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t s)
{
	cudaError_t e = fakecuda_call();
	struct fence *f;

	if (e != cudaSuccess)
		return e;
	f = calloc(1, sizeof(*f));
	f->refs = 1;
	pthread_mutex_lock(&lock);
	fence_unref(event->fence);
	event->fence = f;
	pthread_mutex_unlock(&lock);
	return fakecuda_error(push(s, SIGNAL, NULL, NULL, 0, f));
}

cudaError_t cudaEventQuery(cudaEvent_t event)
{
	bool busy;

	pthread_mutex_lock(&lock);
	busy = event->fence && !event->fence->done && !g.lost;
	pthread_mutex_unlock(&lock);
	return busy ? cudaErrorNotReady : fakecuda_call();
}

cudaError_t cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t event,
				unsigned int flags)
{
	cudaError_t e = fakecuda_call();

	(void)flags;
	if (e != cudaSuccess || !event->fence)
		return e;
	if (s->capture)
		fakecuda_note("an event of outside in a captured stream");
	return fakecuda_error(push(s, WAIT, NULL, NULL, 0, event->fence));
}
