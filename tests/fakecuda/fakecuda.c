/* SPDX-License-Identifier: MIT */
/* The double's settings, failures and accounts. */
#include "tests/fakecuda/fakecuda.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fakecuda/order.h"
#include "tests/fakecuda/streams.h"
#include "transport/base/util.h"

#define MAX_KERNELS 64U

pthread_mutex_t fakecuda_lock = PTHREAD_MUTEX_INITIALIZER;
pthread_cond_t fakecuda_changed = PTHREAD_COND_INITIALIZER;

static struct {
	struct fakecuda_config config;
	bool configured;
	uint64_t calls, fail_at, lose_at;
	cudaError_t fail_with, lost_with;
	bool lost, hang;
	unsigned int leaks, problems, blas, lt, heuristics, graphs, syncs,
		resets, trims;
	char problem[256];
	uint64_t in, out;
	uint64_t rng;
	unsigned int n_kernels;
	void (*kernels[MAX_KERNELS])(void);
} g;

static __thread int current_device;
static __thread cudaError_t last_error;
/* A host function runs on this thread. */
static __thread bool in_host_function;

struct fakecuda_config fakecuda_default(void)
{
	return (struct fakecuda_config){
		.driver = 13000,
		.runtime = 13000,
		.n_devices = 1,
		.major = 9,
		.minor = 0,
		.memory = 1ULL << 30,
		.multiprocessors = 4,
		.lost_with = cudaErrorLaunchFailure,
	};
}

static uint64_t env_number(const char *name, uint64_t otherwise)
{
	const char *v = getenv(name);

	return v ? strtoull(v, NULL, 10) : otherwise;
}

/* For an agent, which no test asks. */
static void report(void)
{
	if (g.problems)
		fprintf(stderr, "fakecuda: %u problems, first: %s\n",
			g.problems, g.problem);
}

static void configure(void)
{
	if (g.configured)
		return;
	g.configured = true;
	g.config = fakecuda_default();
	g.config.driver = (int)env_number("FAKECUDA_DRIVER", 13000);
	g.config.runtime = (int)env_number("FAKECUDA_RUNTIME", 13000);
	g.config.major = (int)env_number("FAKECUDA_MAJOR", 9);
	g.config.minor = (int)env_number("FAKECUDA_MINOR", 0);
	g.config.delay_us = (unsigned int)env_number("FAKECUDA_DELAY_US", 0);
	g.config.refuse_plain = env_number("FAKECUDA_REFUSE_PLAIN", 0);
	g.config.refuse_iomemory = env_number("FAKECUDA_REFUSE_IOMEMORY", 0);
	g.config.far_region = env_number("FAKECUDA_FAR_REGION", 0);
	g.config.no_capture = env_number("FAKECUDA_NO_CAPTURE", 0);
	g.config.memory = env_number("FAKECUDA_MEMORY", g.config.memory);
	if (getenv("FAKECUDA_REPORT"))
		atexit(report);
	g.lose_at = env_number("FAKECUDA_LOSE_AT", 0);
	g.rng = 88172645463325252ULL;
}

void fakecuda_reset(const struct fakecuda_config *c)
{
	pthread_mutex_lock(&fakecuda_lock);
	memset(&g, 0, sizeof(g));
	g.configured = true;
	g.config = *c;
	fakecuda_order_reset();
	g.rng = 88172645463325252ULL;
	pthread_mutex_unlock(&fakecuda_lock);
	last_error = cudaSuccess;
	current_device = 0;
	fakecuda_streams_reset();
	fakecuda_memory_reset();
}

const struct fakecuda_config *fakecuda_get(void)
{
	pthread_mutex_lock(&fakecuda_lock);
	configure();
	pthread_mutex_unlock(&fakecuda_lock);
	return &g.config;
}

const struct fakecuda_card *fakecuda_card(void)
{
	return g.config.card;
}

#define GETTER(type, name, field)                                              \
	type name(void)                                                        \
	{                                                                      \
		type v;                                                        \
                                                                               \
		pthread_mutex_lock(&fakecuda_lock);                            \
		v = g.field;                                                   \
		pthread_mutex_unlock(&fakecuda_lock);                          \
		return v;                                                      \
	}
GETTER(uint64_t, fakecuda_calls, calls)
GETTER(unsigned int, fakecuda_leaks, leaks)
GETTER(unsigned int, fakecuda_problems, problems)
GETTER(uint64_t, fakecuda_copied_in, in)
GETTER(uint64_t, fakecuda_copied_out, out)
GETTER(unsigned int, fakecuda_blas_products, blas)
GETTER(unsigned int, fakecuda_lt_products, lt)
GETTER(unsigned int, fakecuda_heuristics, heuristics)
GETTER(unsigned int, fakecuda_graph_launches, graphs)
GETTER(unsigned int, fakecuda_syncs, syncs)
GETTER(unsigned int, fakecuda_resets, resets)
GETTER(unsigned int, fakecuda_trims, trims)
GETTER(bool, fakecuda_is_lost, lost)
GETTER(cudaError_t, fakecuda_lost_with, lost_with)

const char *fakecuda_problem(void)
{
	return g.problem;
}

void fakecuda_fail(uint64_t n, cudaError_t e)
{
	pthread_mutex_lock(&fakecuda_lock);
	g.fail_at = n ? g.calls + n : 0;
	g.fail_with = e;
	pthread_mutex_unlock(&fakecuda_lock);
}

void fakecuda_lose(uint64_t n)
{
	pthread_mutex_lock(&fakecuda_lock);
	g.lose_at = n ? g.calls + n : 0;
	pthread_mutex_unlock(&fakecuda_lock);
}

unsigned int fakecuda_delay_locked(void)
{
	if (!g.config.delay_us)
		return 0;
	g.rng ^= g.rng << 13;
	g.rng ^= g.rng >> 7;
	g.rng ^= g.rng << 17;
	return (unsigned int)(g.rng % g.config.delay_us);
}

bool fakecuda_lost_locked(void)
{
	return g.lost;
}

bool fakecuda_hangs_locked(void)
{
	return g.hang;
}

void fakecuda_hang(bool hang)
{
	pthread_mutex_lock(&fakecuda_lock);
	g.hang = hang;
	pthread_cond_broadcast(&fakecuda_changed);
	pthread_mutex_unlock(&fakecuda_lock);
}

void fakecuda_note_locked(const char *what)
{
	if (g.problems++ == 0)
		snprintf(g.problem, sizeof(g.problem), "%s", what);
}

/* What broke a context is told by whatever is called next, and for ever. */
static void lose_locked(cudaError_t with)
{
	if (g.lost)
		return;
	g.lost = true;
	g.lost_with = with;
	pthread_cond_broadcast(&fakecuda_changed);
}

void fakecuda_note(const char *what)
{
	pthread_mutex_lock(&fakecuda_lock);
	fakecuda_note_locked(what);
	pthread_mutex_unlock(&fakecuda_lock);
}

void fakecuda_break(const char *what)
{
	pthread_mutex_lock(&fakecuda_lock);
	fakecuda_note_locked(what);
	lose_locked(cudaErrorIllegalAddress);
	pthread_mutex_unlock(&fakecuda_lock);
}

void fakecuda_fall(void)
{
	pthread_mutex_lock(&fakecuda_lock);
	lose_locked(cudaErrorIllegalAddress);
	pthread_mutex_unlock(&fakecuda_lock);
}

void fakecuda_leak(int n)
{
	pthread_mutex_lock(&fakecuda_lock);
	g.leaks += (unsigned int)n;
	pthread_mutex_unlock(&fakecuda_lock);
}

void fakecuda_copied(uint64_t in, uint64_t out)
{
	pthread_mutex_lock(&fakecuda_lock);
	g.in += in;
	g.out += out;
	pthread_mutex_unlock(&fakecuda_lock);
}

#define COUNTER(name, field)                                                   \
	void name(void)                                                        \
	{                                                                      \
		pthread_mutex_lock(&fakecuda_lock);                            \
		g.field++;                                                     \
		pthread_mutex_unlock(&fakecuda_lock);                          \
	}
COUNTER(fakecuda_count_blas, blas)
COUNTER(fakecuda_count_lt, lt)
COUNTER(fakecuda_count_heuristic, heuristics)
COUNTER(fakecuda_count_graph, graphs)
COUNTER(fakecuda_count_sync, syncs)
COUNTER(fakecuda_count_reset, resets)
COUNTER(fakecuda_count_trim, trims)

void fakecuda_kernel_loaded(void (*kernel)(void))
{
	unsigned int i;

	pthread_mutex_lock(&fakecuda_lock);
	for (i = 0; i < g.n_kernels && g.kernels[i] != kernel; i++)
		;
	if (i == g.n_kernels && i < MAX_KERNELS) {
		g.kernels[g.n_kernels++] = kernel;
		g.syncs++;
	}
	pthread_mutex_unlock(&fakecuda_lock);
}

void fakecuda_refuse(const struct fakecuda_refusal *r)
{
	unsigned int i;

	pthread_mutex_lock(&fakecuda_lock);
	if (!r)
		memset(g.config.refusal, 0, sizeof(g.config.refusal));
	for (i = 0; i < FAKECUDA_REFUSALS && g.config.refusal[i].call; i++)
		;
	if (r && i < FAKECUDA_REFUSALS)
		g.config.refusal[i] = *r;
	pthread_mutex_unlock(&fakecuda_lock);
}

bool fakecuda_refused(enum fakecuda_blas_call call, cudaDataType_t type,
		      cudaDataType_t type_c, uint64_t n, cublasStatus_t *ret)
{
	struct fakecuda_refusal *r;
	bool found = false;
	unsigned int i;

	pthread_mutex_lock(&fakecuda_lock);
	for (i = 0; i < FAKECUDA_REFUSALS && !found; i++) {
		r = &g.config.refusal[i];
		if (r->call != call || (r->type_is && r->type != type) ||
		    (r->type_c_is && r->type_c != type_c) ||
		    (r->n_multiple && n % r->n_multiple == 0))
			continue;
		if (r->after) {
			r->after--;
			continue;
		}
		found = true;
		*ret = r->status;
	}
	pthread_mutex_unlock(&fakecuda_lock);
	return found;
}

void fakecuda_host_function(bool runs)
{
	in_host_function = runs;
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

	pthread_mutex_lock(&fakecuda_lock);
	configure();
	g.calls++;
	if (g.lose_at && g.calls >= g.lose_at)
		lose_locked(g.config.lost_with);
	if (in_host_function)
		fakecuda_note_locked("a call of CUDA in a host function");
	if (g.lost)
		e = g.lost_with;
	else if (g.calls == g.fail_at)
		e = g.fail_with;
	else if (current_device && current_device != g.config.device)
		fakecuda_note_locked("a call while another device is current");
	pthread_mutex_unlock(&fakecuda_lock);
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
	return fakecuda_is_lost() ? fakecuda_lost_with() : e;
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
