/* SPDX-License-Identifier: MIT */
/* Private memory of a known page size, faulted in. */
#ifndef PST_BENCH_MEM_H
#define PST_BENCH_MEM_H

#include <stddef.h>
#include <stdint.h>

#define PST_BENCH_MEM_SMALL 4096U
#define PST_BENCH_MEM_HUGE  (2U << 20)

struct pst_bench_mem {
	uint8_t *ptr; /* aligned to page */
	size_t size;
	uint64_t page; /* what it really has */
	void *map;     /* for pst_bench_mem_free() */
	size_t map_size;
};

/*
 * size bytes with pages of page bytes: PST_BENCH_MEM_SMALL, or
 * PST_BENCH_MEM_HUGE from the hugepage pool or, when that is empty, transparent
 * ones. Every byte has been written to, so no page fault is measured. Returns 0
 * or -ENOMEM (no memory, or no pages of that size).
 */
int pst_bench_mem_alloc(struct pst_bench_mem *m, size_t size, uint64_t page);

/* A zeroed m does nothing. */
void pst_bench_mem_free(struct pst_bench_mem *m);

#endif
