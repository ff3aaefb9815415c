/* SPDX-License-Identifier: MIT */
/* Runs kernels on the CPU: blocks one after the other, their threads as
 * fibers. */
#undef _FORTIFY_SOURCE
#include "tests/fakecuda/emu.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "tests/fakecuda/streams.h"

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#include <sanitizer/common_interface_defs.h>
#else
#define __sanitizer_start_switch_fiber(save, bottom, size)  ((void)0)
#define __sanitizer_finish_switch_fiber(save, bottom, size) ((void)0)
#endif

/* Of every card since 3.0. */
#define MAX_THREADS 1024U
#define MAX_BLOCK_Z 64U
#define MAX_GRID_X  2147483647U
#define MAX_GRID_YZ 65535U
#define STACK       (64UL << 10)

struct fiber {
	jmp_buf env;
	bool started, done;
	uint8_t *stack;
	void *asan; /* the sanitizer's, of this stack */
};

/* Of one stream's thread. */
struct emu {
	struct fakecuda_place at;
	struct fiber fiber[MAX_THREADS];
	struct fiber *self;
	jmp_buf back;
	void *asan;
	const void *asan_bottom;
	size_t asan_size;
	fakecuda_thread_fn *fn;
	const void *arg;
};

struct launch {
	dim3 grid, block;
	fakecuda_thread_fn *fn;
	max_align_t arg[];
};

static __thread struct emu *emu;
static int order;

void fakecuda_set_order(int o)
{
	order = o;
}

const struct fakecuda_place *fakecuda_place(void)
{
	return &emu->at;
}

static void leave(struct fiber *f)
{
	if (_setjmp(f->env) == 0) {
		__sanitizer_start_switch_fiber(&f->asan, emu->asan_bottom,
					       emu->asan_size);
		_longjmp(emu->back, 1);
	}
	__sanitizer_finish_switch_fiber(f->asan, NULL, NULL);
}

void fakecuda_barrier(void)
{
	leave(emu->self);
}

static void fiber_main(void)
{
	struct fiber *f = emu->self;

	__sanitizer_finish_switch_fiber(NULL, &emu->asan_bottom,
					&emu->asan_size);
	for (;;) {
		emu->fn(emu->arg);
		f->done = true;
		leave(f);
	}
}

/* The first time; from then on fiber_main() goes round and round. */
static void start(struct fiber *f)
{
	ucontext_t u;

	f->started = true;
	f->stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (f->stack == MAP_FAILED)
		abort();
	getcontext(&u);
	u.uc_stack.ss_sp = f->stack;
	u.uc_stack.ss_size = STACK;
	u.uc_link = NULL;
	makecontext(&u, fiber_main, 0);
	__sanitizer_start_switch_fiber(&emu->asan, f->stack, STACK);
	setcontext(&u);
}

/* Up to the thread's next barrier or end. */
static void resume(struct fiber *f)
{
	emu->self = f;
	if (_setjmp(emu->back) == 0) {
		if (!f->started)
			start(f);
		__sanitizer_start_switch_fiber(&emu->asan, f->stack, STACK);
		_longjmp(f->env, 1);
	}
	__sanitizer_finish_switch_fiber(emu->asan, NULL, NULL);
}

/* The i-th thread of a block that gets its turn. */
static unsigned int nth(unsigned int i, unsigned int n)
{
	if (order == 1)
		return n - 1 - i;
	/* A bijection where n is no multiple of 167. */
	return order == 2 && n % 167 ? (i * 167 + 13) % n : i;
}

static void run_block(unsigned int n)
{
	const dim3 d = emu->at.block_dim;
	unsigned int i, t, done = 0;

	for (i = 0; i < n; i++)
		emu->fiber[i].done = false;
	while (done < n) {
		/* All or none end between two barriers. */
		if (done)
			fakecuda_break(
				"a barrier that not all threads of a block "
				"reach");
		for (i = 0; i < n; i++) {
			t = nth(i, n);
			if (emu->fiber[t].done)
				continue;
			emu->at.thread =
				(uint3){t % d.x, t / d.x % d.y, t / d.x / d.y};
			resume(&emu->fiber[t]);
			done += emu->fiber[t].done;
		}
	}
}

static void run_item(const void *arg)
{
	const struct launch *l = arg;
	const unsigned int n = l->block.x * l->block.y * l->block.z;
	uint3 *b;

	if (!emu)
		emu = calloc(1, sizeof(*emu));
	emu->fn = l->fn;
	emu->arg = l->arg;
	emu->at.grid = l->grid;
	emu->at.block_dim = l->block;
	b = &emu->at.block;
	for (b->z = 0; b->z < l->grid.z; b->z++)
		for (b->y = 0; b->y < l->grid.y; b->y++)
			for (b->x = 0; b->x < l->grid.x; b->x++)
				run_block(n);
}

void fakecuda_emu_done(void)
{
	unsigned int i;

	for (i = 0; emu && i < MAX_THREADS; i++)
		if (emu->fiber[i].started)
			munmap(emu->fiber[i].stack, STACK);
	free(emu);
	emu = NULL;
}

static bool fits(dim3 grid, dim3 block)
{
	return grid.x && grid.y && grid.z && block.x && block.y && block.z &&
	       grid.x <= MAX_GRID_X && grid.y <= MAX_GRID_YZ &&
	       grid.z <= MAX_GRID_YZ && block.z <= MAX_BLOCK_Z &&
	       block.x <= MAX_THREADS && block.y <= MAX_THREADS &&
	       block.x * block.y * block.z <= MAX_THREADS;
}

void fakecuda_launch(cudaStream_t s, dim3 grid, dim3 block,
		     void (*kernel)(void), fakecuda_thread_fn *fn,
		     const void *arg, size_t size)
{
	const struct fakecuda_card *c = fakecuda_get()->card;
	const struct fakecuda_work w = {FAKECUDA_COMPUTE, c ? c->kernel_ns : 0};
	struct launch *l;

	if (fakecuda_call() != cudaSuccess)
		return;
	if (fakecuda_get()->no_code) {
		fakecuda_error(cudaErrorNoKernelImageForDevice);
		return;
	}
	if (!fits(grid, block)) {
		fakecuda_note("a grid or block beyond the card's limits");
		fakecuda_error(cudaErrorInvalidConfiguration);
		return;
	}
	fakecuda_kernel_loaded(kernel);
	l = calloc(1, sizeof(*l) + size);
	l->grid = grid;
	l->block = block;
	l->fn = fn;
	memcpy(l->arg, arg, size);
	fakecuda_error(fakecuda_enqueue(s, &w, run_item, l, sizeof(*l) + size));
	free(l);
}
