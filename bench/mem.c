/* SPDX-License-Identifier: MIT */
/* Private memory of a known page size, faulted in. */
#include "bench/mem.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MAP_HUGE_2MB
#define MAP_HUGE_2MB (21 << 26)
#endif

static void *map(size_t size, int flags)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* Bytes of huge pages in the mapping that begins at map, by the kernel. */
static uint64_t huge_bytes(const void *map_start)
{
	unsigned long start, end, kb;
	char *line = NULL;
	size_t size = 0;
	uint64_t sum = 0;
	bool ours = false;
	FILE *f = fopen("/proc/self/smaps", "re");

	if (!f)
		return 0;
	while (getline(&line, &size, f) > 0) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			ours = start <= (uintptr_t)map_start &&
			       (uintptr_t)map_start < end;
		else if (ours && sscanf(line, "AnonHugePages: %lu", &kb) == 1)
			sum = (uint64_t)kb << 10;
	}
	free(line);
	fclose(f);
	return sum;
}

/* From the pool. */
static int alloc_pool(struct pst_bench_mem *m, size_t rounded)
{
	m->map = map(rounded, MAP_HUGETLB | MAP_HUGE_2MB | MAP_POPULATE);
	if (!m->map)
		return -ENOMEM;
	m->map_size = rounded;
	m->ptr = m->map;
	return 0;
}

/* Ordinary memory, aligned for huge pages, with or without them. */
static int alloc_pages(struct pst_bench_mem *m, size_t rounded, bool huge)
{
	m->map_size = rounded + PST_BENCH_MEM_HUGE;
	m->map = map(m->map_size, MAP_NORESERVE);
	if (!m->map)
		return -ENOMEM;
	m->ptr = (uint8_t *)(((uintptr_t)m->map + PST_BENCH_MEM_HUGE - 1) &
			     ~(uintptr_t)(PST_BENCH_MEM_HUGE - 1));
	(void)madvise(m->map, m->map_size,
		      huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	memset(m->ptr, 1, rounded);
	/* Nearly all of it: an allocation may fail here and there. */
	if (!huge || huge_bytes(m->ptr) >= rounded - rounded / 16)
		return 0;
	munmap(m->map, m->map_size);
	return -ENOMEM;
}

int pst_bench_mem_alloc(struct pst_bench_mem *m, size_t size, uint64_t page)
{
	const bool huge = page > PST_BENCH_MEM_SMALL;
	const size_t unit = huge ? PST_BENCH_MEM_HUGE : PST_BENCH_MEM_SMALL;
	size_t rounded;
	int r = -ENOMEM;

	*m = (struct pst_bench_mem){0};
	if (size == 0 || size > SIZE_MAX / 2)
		return -ENOMEM;
	rounded = (size + unit - 1) & ~(unit - 1);
	if (huge)
		r = alloc_pool(m, rounded);
	if (r < 0)
		r = alloc_pages(m, rounded, huge);
	if (r < 0) {
		*m = (struct pst_bench_mem){0};
		return r;
	}
	memset(m->ptr, 1, rounded);
	m->size = size;
	m->page = unit;
	return 0;
}

void pst_bench_mem_free(struct pst_bench_mem *m)
{
	if (m->map)
		munmap(m->map, m->map_size);
	*m = (struct pst_bench_mem){0};
}
