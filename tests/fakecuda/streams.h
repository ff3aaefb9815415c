/* SPDX-License-Identifier: MIT */
/* What the double's files share among themselves. */
#ifndef PST_TESTS_FAKECUDA_STREAMS_H
#define PST_TESTS_FAKECUDA_STREAMS_H

#include <pthread.h>

#include "tests/fakecuda/fakecuda.h"
#include "tests/fakecuda/order.h"

/* Bytes between the lines of a 2D copy. Small, so that tests get beyond it. */
#define FAKECUDA_MAX_PITCH (1U << 20)

struct fakecuda_capture;

extern pthread_mutex_t fakecuda_lock;
extern pthread_cond_t fakecuda_changed;

/* With the lock held. */
void fakecuda_note_locked(const char *what);
unsigned int fakecuda_delay_locked(void);
bool fakecuda_lost_locked(void);
bool fakecuda_hangs_locked(void);

/* Remembers e for cudaGetLastError() and returns it. */
cudaError_t fakecuda_error(cudaError_t e);

/* Counts a call; what it should return instead of doing its work. */
cudaError_t fakecuda_call(void);

void fakecuda_note(const char *what);
const struct fakecuda_config *fakecuda_get(void);
/* Of the settings, which do not change meanwhile: takes no lock. */
const struct fakecuda_card *fakecuda_card(void);

/* A handle that counts as a leak until it is dropped. */
void *fakecuda_handle(size_t size);
void fakecuda_drop(void *handle);
void fakecuda_count_blas(void);
void fakecuda_count_lt(void);
void fakecuda_count_heuristic(void);

/* The address by which the host has what the device may have by another. */
const void *fakecuda_host_address(const void *p);

/* The context is lost because of this, or by no fault of the caller. */
void fakecuda_break(const char *what);
void fakecuda_fall(void);
bool fakecuda_is_lost(void);
cudaError_t fakecuda_lost_with(void);

void fakecuda_leak(int n);
void fakecuda_copied(uint64_t in, uint64_t out);
void fakecuda_count_graph(void);
/* A call that waits for the device, or makes others wait for it. */
void fakecuda_count_sync(void);
void fakecuda_count_reset(void);
void fakecuda_count_trim(void);
/* A kernel is started: the first time it is loaded. */
void fakecuda_kernel_loaded(void (*kernel)(void));

/* On a thread on which CUDA must not be called. */
void fakecuda_host_function(bool runs);

/* Whether cuBLAS has to refuse this, and how. */
bool fakecuda_refused(enum fakecuda_blas_call call, cudaDataType_t type,
		      cudaDataType_t type_c, uint64_t n, cublasStatus_t *ret);

/* What does a piece of work, and how long by the double's clock. */
enum fakecuda_engine {
	FAKECUDA_COMPUTE,
	FAKECUDA_IN,
	FAKECUDA_OUT,
	FAKECUDA_NO_ENGINE, /* of a host function: none of the card */
	FAKECUDA_N_ENGINES
};
struct fakecuda_work {
	enum fakecuda_engine engine;
	uint64_t ns;
};

/* Work of a stream: arg is copied. Runs on the stream's thread. */
typedef void fakecuda_fn(const void *arg);
cudaError_t fakecuda_enqueue(cudaStream_t s, const struct fakecuda_work *w,
			     fakecuda_fn *fn, const void *arg, size_t size);

/* The work that was just put on the stream touches this. */
void fakecuda_access(cudaStream_t s, const struct fakecuda_shape *shape,
		     bool write, const char *what);
/* The same, of a graph that is launched. */
void fakecuda_access_again(cudaStream_t s, const void *touch);

/* Of a graph: that touch is of other bytes from now on. */
void fakecuda_touch_move(void *touch, const void *p, uint64_t n);
/* The copy with this fn and arg is another one: false if it is no copy of one
 * line of that kind. */
bool fakecuda_copy_move(fakecuda_fn *fn, void *arg, void *dst, const void *src,
			size_t n, enum cudaMemcpyKind kind);

void fakecuda_streams_reset(void);
/* Until all that was put on any stream is over, as freeing does. */
void fakecuda_streams_wait(void);

/* Frees what this thread ran kernels with. */
void fakecuda_emu_done(void);

/* Unmaps memory that was freed and kept to see who uses it. */
void fakecuda_memory_reset(void);

/* Where a stream keeps what it captures; NULL: it does not. */
struct fakecuda_capture **fakecuda_capture_of(cudaStream_t s);
/* w NULL: a touch. */
cudaError_t fakecuda_capture_add(struct fakecuda_capture *c,
				 const struct fakecuda_work *w, fakecuda_fn *fn,
				 const void *arg, size_t size);
/* A call that may not be made while this thread captures, or on a stream that
 * does (c, or NULL): whether that is so; then nothing comes of the capture. */
bool fakecuda_capture_breaks(struct fakecuda_capture *c);

#endif
