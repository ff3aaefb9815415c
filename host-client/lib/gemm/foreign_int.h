/* SPDX-License-Identifier: MIT */
/* Common declarations of the files foreign*.c. */
#ifndef PST_HOST_CLIENT_LIB_GEMM_FOREIGN_INT_H
#define PST_HOST_CLIENT_LIB_GEMM_FOREIGN_INT_H

#include "host-client/lib/gemm/foreign.h"
#include "host-client/lib/gemm/foreign_plan.h"

/* Operations on their way at most. */
#define PST_FOREIGN_PENDING 8U

/* Room for one piece of an operand in the region. */
struct pst_foreign_slot {
	uint8_t *mem;
	uint64_t row, col; /* of the piece in it */
	bool filled;
	uint64_t used; /* number of the last operation with it */
};

/* A part of a matrix in memory: its stored lines. */
struct pst_foreign_lines {
	uint8_t *at;                /* of its first element */
	uint64_t length, lines, ld; /* elements */
};

/* One piece of C. */
struct pst_foreign_piece {
	uint64_t q, i, j, m, n;
	struct pst_foreign_lines part; /* of the caller's C */
	struct pst_foreign_slot *slot; /* NULL: in place */
	uint64_t last; /* number of its last operation; 0: none yet */
};

/* How far the caller's C has come: all pieces before that of product q at (i,
 * j) are complete, and so many stored lines of it. */
struct pst_foreign_spot {
	uint64_t q, i, j, lines;
};

/* One call on its way. Operations are numbered from 1. */
struct pst_foreign {
	struct pst *c;
	const struct pst_gemm_args *g;
	struct pst_error *err;
	bool *touched; /* C may have been written, in whatever part */
	struct pst_foreign_spot next;
	uint8_t *bounce;                        /* pst_foreign_out() */
	bool copy_a, copy_b, copy_c, copy_bias; /* foreign ones */
	bool fits; /* in one piece each: no plan, whole operands in the region
		    */
	struct pst_foreign_plan plan;
	uint64_t deadline_ns;
	unsigned int elem_ab, elem_c; /* of the caller's operands */
	uint64_t k;                   /* terms of the sums; 0: A, B not read */
	uint8_t *mem;                 /* all slots */
	uint8_t *bias;
	struct pst_foreign_slot a[PST_FOREIGN_SLOTS], b[PST_FOREIGN_SLOTS],
		s[PST_FOREIGN_SLOTS];
	uint64_t submitted, finished;
	uint64_t tags[PST_FOREIGN_PENDING];
	/* The piece that is started, and the one before it, in turn. */
	struct pst_foreign_piece pieces[2];
	uint64_t n_pieces;
	/* The product of the batch that is worked on. */
	const uint8_t *pa, *pb;
	uint8_t *pc;
	struct pst_completion sum;
};

/* Bytes behind X, which is NULL where the operand is a tensor. */
static inline void *pst_foreign_behind(const void *x, uint64_t offset)
{
	return x ? (uint8_t *)x + offset : NULL;
}

/* Before the first byte is written to the caller's C. */
static inline void pst_foreign_touch(struct pst_foreign *t)
{
	*t->touched = true;
}

/* ---- foreign_ops.c: without the connection's lock; errors go to t->err ----
 */

/* Waits until operation number n is over, and all before it. */
int pst_foreign_wait(struct pst_foreign *t, uint64_t n);

/* Hands over one operation, number t->submitted from then on. */
int pst_foreign_submit(struct pst_foreign *t,
		       const struct pst_gemm_args *piece);

/* Hands over an operation that does nothing, so that the agent is awake when
 * the first that does something comes. */
int pst_foreign_wake(struct pst_foreign *t);

/* rows x cols of op(X) from (row, col) on, of a matrix at x. */
struct pst_foreign_lines pst_foreign_lines(const struct pst_gemm_args *g,
					   const void *x, uint64_t ld,
					   bool trans, unsigned int elem,
					   uint64_t row, uint64_t col,
					   uint64_t rows, uint64_t cols);

/* The lines of p, to and from places whose lines are dst_ld and src_ld
 * elements apart. */
void pst_foreign_copy(uint8_t *dst, uint64_t dst_ld, const uint8_t *src,
		      uint64_t src_ld, const struct pst_foreign_lines *p,
		      unsigned int elem);

/*
 * Lines of a result to their place in the caller's C, from src in the region,
 * and counts them. They pass through memory of the library's own: the session
 * may be lost while they are read, and then they are not the result. -ESTALE:
 * no line after those counted was written.
 */
int pst_foreign_out(struct pst_foreign *t, const struct pst_foreign_lines *p,
		    const uint8_t *src, uint64_t src_ld);

/* ---- foreign_rest.c ---- */

/* Has what is missing of C computed by the caller: the lines after t->next.
 * Returns how many calls that took, or the first error of one. */
int pst_foreign_rest(struct pst_foreign *t,
		     const struct pst_foreign_local *local);

/* ---- foreign_run.c ---- */

/* All products of the batch, cut as t->plan says. */
int pst_foreign_run(struct pst_foreign *t);

/* ---- foreign_whole.c ---- */

/* Bytes in the region for whole operands, bias not counted; 0 when the product
 * is better cut. */
uint64_t pst_foreign_whole_bytes(const struct pst_foreign *t);

/* Places whole operands at t->mem; returns what is behind them. */
uint8_t *pst_foreign_whole_place(struct pst_foreign *t);

/* The one product, operands copied whole, computed while they come and go. */
int pst_foreign_whole_run(struct pst_foreign *t);

#endif
