/* SPDX-License-Identifier: MIT */
/* Kernels of CUDA as C++ of the CPU: included before kernels.cu. */
#ifndef PST_TESTS_FAKECUDA_EMU_H
#define PST_TESTS_FAKECUDA_EMU_H

#include <stddef.h>

#include <cuda_runtime_api.h>

#ifdef __cplusplus
#include <math.h>
extern "C" {
#endif

/* Where a thread of a kernel is. */
struct fakecuda_place {
	uint3 thread, block;
	dim3 block_dim, grid;
};

/* One thread of a kernel, with the kernel's arguments. */
typedef void fakecuda_thread_fn(const void *arg);

/*
 * Puts a kernel on the stream; arg is copied. The threads of a block are
 * fibers, one after the other up to their next barrier, in the order of
 * fakecuda_set_order(). A grid or block that is too large, and a barrier that
 * some threads of a block do not reach, are problems. kernel: its address.
 */
void fakecuda_launch(cudaStream_t s, dim3 grid, dim3 block,
		     void (*kernel)(void), fakecuda_thread_fn *fn,
		     const void *arg, size_t size);

/* Of the thread that runs. */
const struct fakecuda_place *fakecuda_place(void);
void fakecuda_barrier(void);

#ifdef __cplusplus
}

#undef __shared__
#define __shared__      static thread_local
#define threadIdx       (fakecuda_place()->thread)
#define blockIdx        (fakecuda_place()->block)
#define blockDim        (fakecuda_place()->block_dim)
#define gridDim         (fakecuda_place()->grid)
#define __syncthreads() fakecuda_barrier()

static inline float rsqrtf(float x)
{
	return 1 / sqrtf(x);
}

template <typename F> static void fakecuda_one(const void *f)
{
	(*(const F *)f)();
}

template <typename... P, typename... A>
static void fakecuda_start(void (*kernel)(P...), dim3 grid, dim3 block,
			   cudaStream_t s, A... args)
{
	const auto one = [=] { kernel(args...); };

	fakecuda_launch(s, grid, block, (void (*)(void))kernel,
			fakecuda_one<decltype(one)>, &one, sizeof(one));
}

#define LAUNCH(kernel, grid, block, stream, ...)                               \
	fakecuda_start(kernel, grid, block, stream, __VA_ARGS__)

/* The double's own functions of these names check what is touched, then call
 * these. */
#define pst_cuda_k_finish    fakecuda_k_finish
#define pst_cuda_k_gemm_i8   fakecuda_k_gemm_i8
#define pst_cuda_k_spread    fakecuda_k_spread
#define pst_cuda_k_gather    fakecuda_k_gather
#define pst_cuda_k_convert   fakecuda_k_convert
#define pst_cuda_k_unary     fakecuda_k_unary
#define pst_cuda_k_add       fakecuda_k_add
#define pst_cuda_k_softmax   fakecuda_k_softmax
#define pst_cuda_k_layernorm fakecuda_k_layernorm
#endif

#endif
