/* SPDX-License-Identifier: MIT */
/* What the double's files share among themselves. */
#ifndef PST_TESTS_FAKECUDA_STREAMS_H
#define PST_TESTS_FAKECUDA_STREAMS_H

#include "tests/fakecuda/fakecuda.h"

struct fakecuda_capture;

/* Remembers e for cudaGetLastError() and returns it. */
cudaError_t fakecuda_error(cudaError_t e);

/* The context is lost because of this. */
void fakecuda_break(const char *what);
bool fakecuda_is_lost(void);

void fakecuda_leak(int n);
void fakecuda_copied(uint64_t in, uint64_t out);
void fakecuda_count_graph(void);

/* Unmaps memory that was freed and kept to see who uses it. */
void fakecuda_memory_reset(void);

/* Where a stream keeps what it captures; NULL: it does not. */
struct fakecuda_capture **fakecuda_capture_of(cudaStream_t s);
cudaError_t fakecuda_capture_add(struct fakecuda_capture *c, fakecuda_fn *fn,
				 const void *arg, size_t size);

#endif
