/* SPDX-License-Identifier: MIT */
/* A double of the CUDA runtime, cuBLAS and cuBLASLt calls that the backend
 * uses, over the CPU's memory. Linked by tests only; installed nowhere. */
#ifndef PST_TESTS_FAKECUDA_H
#define PST_TESTS_FAKECUDA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cuda_runtime_api.h>

/*
 * Streams are threads with a queue, so that a missing event shows as a wrong
 * result; with delay_us each piece of work first sleeps up to that long. What a
 * real device would not forgive is noted as a problem: copies from or to host
 * memory that is not registered, beyond an allocation's end, of freed memory,
 * calls while another device is current.
 */
struct fakecuda_config {
	int driver, runtime; /* 13000; driver 0: none is loaded */
	int n_devices;
	int major, minor;                   /* compute capability */
	uint64_t memory;                    /* bytes of device memory */
	bool no_pools;                      /* no cudaMallocAsync */
	bool refuse_plain, refuse_iomemory; /* registrations fail */
	bool refuse_lt;  /* cuBLASLt has no algorithm for anything */
	bool refuse_i8;  /* cuBLAS has no product of i8 */
	bool no_code;    /* our kernels have none for this card */
	bool no_blas;    /* nor has cuBLAS */
	bool no_capture; /* cuBLAS fails on a stream that is captured */
	/* cuBLASLt's GELU is as good as a tanh of 11 bits lets it be. */
	bool rough_gelu;
	unsigned int delay_us;
};

/* Begins anew; nothing may be in use. Without a call, the values are those of
 * fakecuda_default() and FAKECUDA_* of the environment. */
void fakecuda_reset(const struct fakecuda_config *c);
struct fakecuda_config fakecuda_default(void);

/* Calls so far that can fail; questions that were answered with "not yet" are
 * none, as their number depends on the clock. */
uint64_t fakecuda_calls(void);

/* The n-th call from now (1: the next) fails once with e. 0: none. */
void fakecuda_fail(uint64_t n, cudaError_t e);

/* The card falls off the bus at the n-th call from now, for good: that call
 * and all later ones fail, work on streams is not done. 0: never. */
void fakecuda_lose(uint64_t n);

/* While set, no stream goes on. */
void fakecuda_hang(bool hang);

/* Allocations, registrations, streams, events, graphs and handles not given
 * back. */
unsigned int fakecuda_leaks(void);

/* What was done wrong, and the first of it in words. */
unsigned int fakecuda_problems(void);
const char *fakecuda_problem(void);

/* Bytes copied to the device and back since reset. */
uint64_t fakecuda_copied_in(void);
uint64_t fakecuda_copied_out(void);

/* Products that went through cuBLAS and cuBLASLt since reset; launches of
 * graphs. */
unsigned int fakecuda_blas_products(void);
unsigned int fakecuda_lt_products(void);
unsigned int fakecuda_graph_launches(void);

/* For the double's other files. */

/* Work of a stream: arg is copied. Runs on the stream's thread. */
typedef void fakecuda_fn(const void *arg);
cudaError_t fakecuda_enqueue(cudaStream_t s, fakecuda_fn *fn, const void *arg,
			     size_t size);

/* Counts a call; what it should return instead of doing its work. */
cudaError_t fakecuda_call(void);

/* Whether the device may touch [p, p + n): device memory, pinned or registered
 * memory. Notes a problem if not, and the context is lost. */
bool fakecuda_touch(const void *p, uint64_t n, const char *what);

void fakecuda_note(const char *what);
const struct fakecuda_config *fakecuda_get(void);

/* A handle that counts as a leak until it is dropped. */
void *fakecuda_handle(size_t size);
void fakecuda_drop(void *handle);
void fakecuda_count_blas(void);
void fakecuda_count_lt(void);

#endif
