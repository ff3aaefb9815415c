/* SPDX-License-Identifier: MIT */
/* A double of the CUDA runtime, cuBLAS and cuBLASLt calls that the backend
 * uses, over the CPU's memory. Linked by tests only; installed nowhere. */
#ifndef PST_TESTS_FAKECUDA_H
#define PST_TESTS_FAKECUDA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cublas_v2.h>
#include <cuda_runtime_api.h>

/*
 * Streams are threads with a queue; with delay_us each piece of work first
 * sleeps up to that long. What a real device would not forgive is noted as a
 * problem, at whatever time it is done: work of two streams on the same bytes
 * without an order between them (order.h), memory of the host that is not
 * registered, memory beyond an allocation's end or freed, attributes that
 * contradict a product, calls that break a capture, calls while another device
 * is current. New memory is full of NaN. Registered memory that is mapped as
 * shared has another address on the device: kernels take that one only, copies
 * only the host's.
 */

/* A card with a clock of its own, in nanoseconds: no threads, and what is put
 * on a stream is done at once, but over only when that clock says so. */
struct fakecuda_card {
	double h2d, d2h, device;    /* bytes a second */
	double flops;               /* of all multiprocessors together */
	uint64_t call_ns, query_ns; /* of the host, for a call and a question */
	uint64_t kernel_ns, copy_ns; /* of a kernel and a copy, beside work */
	bool dry; /* only the times: nothing is computed or copied */
};

/* What cuBLAS refuses, beside what no card has. */
enum fakecuda_blas_call {
	FAKECUDA_NO_CALL,
	FAKECUDA_GEMM,      /* cublasGemmEx and the batched one */
	FAKECUDA_HEURISTIC, /* status SUCCESS: it finds no algorithm */
	FAKECUDA_MATMUL,
};
struct fakecuda_refusal {
	enum fakecuda_blas_call call;
	bool type_is, type_c_is; /* only products of these */
	cudaDataType_t type, type_c;
	unsigned int n_multiple; /* only where n is no multiple of it; 0: all */
	unsigned int after;      /* so many pass before */
	cublasStatus_t status;
};
#define FAKECUDA_REFUSALS 8U

struct fakecuda_config {
	int driver, runtime; /* 13000; driver 0: none is loaded */
	int n_devices;
	int device;                         /* the one that is to be used */
	int major, minor;                   /* compute capability */
	uint64_t memory;                    /* bytes of device memory */
	bool no_pools;                      /* no cudaMallocAsync */
	bool refuse_plain, refuse_iomemory; /* registrations fail */
	bool far_region; /* is registered, and faults when it is first used */
	bool refuse_lt;  /* cuBLASLt has no algorithm for anything */
	bool refuse_i8;  /* cuBLAS has no product of i8 */
	bool i8_fours;   /* nor one whose m and k are no multiples of 4 */
	bool no_code;    /* our kernels have none for this card */
	bool no_blas;    /* nor has cuBLAS */
	bool no_capture; /* cuBLAS fails on a stream that is captured */
	/* cuBLASLt's GELU is as good as a tanh of 11 bits lets it be. */
	bool rough_gelu;
	unsigned int delay_us;
	int multiprocessors;
	cudaError_t lost_with; /* what every call says of a lost card */
	const struct fakecuda_card *card; /* NULL: threads */
	struct fakecuda_refusal refusal[FAKECUDA_REFUSALS];
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
unsigned int fakecuda_heuristics(void);
unsigned int fakecuda_graph_launches(void);

/* Calls since reset that make the host or the device wait: synchronising,
 * allocating, a kernel's first start. */
unsigned int fakecuda_syncs(void);

/* Contexts given up; pools asked to give memory back. */
unsigned int fakecuda_resets(void);
unsigned int fakecuda_trims(void);

/* From now on cuBLAS refuses this, too; NULL: nothing. */
void fakecuda_refuse(const struct fakecuda_refusal *r);

/* The host reads or writes [p, p + n) now: a problem unless it has seen the end
 * of all work there. */
void fakecuda_host_touch(const void *p, uint64_t n, bool write);

/* The double's clock, with a card; and more of it for the host. */
uint64_t fakecuda_now(void);
/* When, by it, all that was put on any stream so far is over. */
uint64_t fakecuda_ends(void);
void fakecuda_pass(uint64_t ns);

/* Threads of a block run forwards (0), backwards (1), or mixed (2). */
void fakecuda_set_order(int order);

/* Waits for the threads of streams that were given back. */
void fakecuda_streams_join(void);

/* Whether the device may touch [p, p + n): device memory, pinned or registered
 * memory. Notes a problem if not, and the context is lost. */
bool fakecuda_touch(const void *p, uint64_t n, const char *what);

#endif
