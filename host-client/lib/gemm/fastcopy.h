/* SPDX-License-Identifier: MIT */
/* Copies large blocks in the fastest way of this machine. */
#ifndef PST_HOST_CLIENT_LIB_GEMM_FASTCOPY_H
#define PST_HOST_CLIENT_LIB_GEMM_FASTCOPY_H

#include <stdint.h>

enum pst_fastcopy_how {
	PST_FASTCOPY_MEMCPY,
	PST_FASTCOPY_MOVSB,  /* rep movsb */
	PST_FASTCOPY_STREAM, /* non-temporal stores */
	PST_N_FASTCOPY
};

/* Sizes that are measured, each for the copies from there on; smaller ones are
 * memcpy's, which no other way beats there. */
#define PST_FASTCOPY_MEDIUM (512ULL << 10)
#define PST_FASTCOPY_LARGE  (8ULL << 20)

/* n bytes the given way; the blocks do not overlap. A way that this CPU does
 * not have is memcpy. All stores are ordered before later ones. */
void pst_fastcopy_with(enum pst_fastcopy_how how, void *dst, const void *src,
		       uint64_t n);

/*
 * The fastest way for blocks of n bytes. The first call with a large n times
 * all of them, once in a process, on private memory: some 20 ms. May be called
 * from any thread.
 */
enum pst_fastcopy_how pst_fastcopy_choose(uint64_t n);

/*
 * lines lines of length bytes each, dst_step and src_step bytes apart. What is
 * between the lines is neither read nor written.
 */
void pst_fastcopy_lines(void *dst, uint64_t dst_step, const void *src,
			uint64_t src_step, uint64_t length, uint64_t lines);

#endif
