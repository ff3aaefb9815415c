/* SPDX-License-Identifier: MIT */
/* A product of foreign operands on its way: what the files
 * foreign*.c share. */
#ifndef PST_HOST_CLIENT_LIB_GEMM_FOREIGN_INT_H
#define PST_HOST_CLIENT_LIB_GEMM_FOREIGN_INT_H

#include "host-client/lib/gemm/foreign.h"
#include "host-client/lib/gemm/foreign_plan.h"

/* Operations on their way at most. */
#define PST_TILE_PENDING 8U

/* Room for one piece of an operand in the region. */
struct pst_tile_slot {
	uint8_t *mem;
	uint64_t row, col; /* of the piece in it */
	bool filled;
	uint64_t used; /* number of the last operation with it */
};

/* A part of a matrix in memory: its stored lines. */
struct pst_tile_part {
	uint8_t *at;                /* of its first element */
	uint64_t length, lines, ld; /* elements */
};

/* One piece of C. */
struct pst_tile_piece {
	uint64_t i, j, m, n;
	struct pst_tile_part part;  /* of the caller's C */
	struct pst_tile_slot *slot; /* NULL: in place */
	uint64_t last; /* number of its last operation; 0: none yet */
};

/* One call on its way. Operations are numbered from 1. */
struct pst_tile {
	bool touched; /* C may have been written, in whatever part */
	struct pst *c;
	const struct pst_gemm *g;
	const struct pst_foreign *f;
	bool fits; /* in one piece each: no plan, whole operands in the region
		    */
	struct pst_tile_plan plan;
	uint64_t deadline_ns;
	unsigned int elem_ab, elem_c; /* of the caller's operands */
	uint64_t k;                   /* terms of the sums; 0: A, B not read */
	uint8_t *mem;                 /* all slots */
	uint8_t *bias;
	struct pst_tile_slot a[PST_TILE_SLOTS], b[PST_TILE_SLOTS],
		s[PST_TILE_SLOTS];
	uint64_t submitted, finished;
	uint64_t tags[PST_TILE_PENDING];
	/* The piece that is started, and the one before it, in turn. */
	struct pst_tile_piece pieces[2];
	uint64_t n_pieces;
	/* The product of the batch that is worked on. */
	const uint8_t *pa, *pb;
	uint8_t *pc;
	struct pst_completion sum;
};

/* Bytes behind X, which is NULL where the operand is a tensor. */
static inline void *pst_tile_behind(const void *x, uint64_t offset)
{
	return x ? (uint8_t *)x + offset : NULL;
}

/* Before the first byte is written to the caller's C. */
static inline void pst_tile_touch(struct pst_tile *t)
{
	t->touched = true;
}

/* ---- foreign_ops.c: without the connection's lock; each sets the thread's
 * last error ---- */

/* Waits until operation number n is over, and all before it. */
int pst_tile_wait(struct pst_tile *t, uint64_t n);

/* Hands over one operation, number t->submitted from then on. */
int pst_tile_submit(struct pst_tile *t, const struct pst_gemm *piece);

/* Hands over an operation that does nothing, so that the agent is awake when
 * the first that does something comes. */
int pst_tile_rouse(struct pst_tile *t);

/* rows x cols of op(X) from (row, col) on, of a matrix at x. */
struct pst_tile_part pst_tile_part(const struct pst_gemm *g, const void *x,
				   uint64_t ld, bool trans, unsigned int elem,
				   uint64_t row, uint64_t col, uint64_t rows,
				   uint64_t cols);

/* The lines of p, to and from places whose lines are dst_ld and src_ld
 * elements apart. */
void pst_tile_copy(uint8_t *dst, uint64_t dst_ld, const uint8_t *src,
		   uint64_t src_ld, const struct pst_tile_part *p,
		   unsigned int elem);

/* ---- foreign_run.c ---- */

/* All products of the batch, cut as t->plan says. */
int pst_tile_run(struct pst_tile *t);

/* ---- foreign_whole.c ---- */

/* Bytes in the region for whole operands, bias not counted; 0 when the product
 * is better cut. */
uint64_t pst_tile_fit_bytes(const struct pst_tile *t);

/* Places whole operands at t->mem; returns what is behind them. */
uint8_t *pst_tile_fit_place(struct pst_tile *t);

/* The one product, operands copied whole, computed while they come and go. */
int pst_tile_fit_run(struct pst_tile *t);

#endif
