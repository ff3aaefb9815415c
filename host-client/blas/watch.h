/* SPDX-License-Identifier: MIT */
/* Which pages of this process were written since the last look: by userfaultfd
 * and PAGEMAP_SCAN, Linux 6.7 or newer, without any right. */
#ifndef PST_HOST_CLIENT_BLAS_WATCH_H
#define PST_HOST_CLIENT_BLAS_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#define PST_BLAS_PAGE 4096U

/* Whether this kernel can. False for ever once it was. */
bool pst_blas_watch_can(void);

/* Whether something may write to this process's memory that no page table sees:
 * registered buffers of io_uring, and devices that pin memory. */
bool pst_blas_watch_is_pinned(void);

/* Watches pages [start, end). Returns 0, or -EPERM where some are not private
 * anonymous memory, or another error. */
int pst_blas_watch_start(uintptr_t start, uintptr_t end);

/* Ends it. What shares a page with it is no longer watched either. */
void pst_blas_watch_stop(uintptr_t start, uintptr_t end);

/*
 * Calls written(arg, from, to) for all pages that were written, or are not in
 * memory, since the last call: [from, to), in order. Returns 0; -EPERM where a
 * part is not watched any more, since it was unmapped or moved.
 */
int pst_blas_watch_look(uintptr_t start, uintptr_t end,
			void (*written)(void *arg, uintptr_t from,
					uintptr_t to),
			void *arg);

/* In a child, which shares nothing of it. */
void pst_blas_watch_forked(void);

#endif
