/* SPDX-License-Identifier: MIT */
/* Cuts a product into tiles that fit a device: pure functions. */
#ifndef PST_GUEST_AGENT_CUDA_TILES_H
#define PST_GUEST_AGENT_CUDA_TILES_H

#include <stdbool.h>
#include <stdint.h>

/* Slots of one operand's tiles at most. */
#define PST_CUDA_TILES_MAX_SLOTS 256U
/* Columns of a tile begin at multiples of this many bytes. */
#define PST_CUDA_TILES_ALIGN 256U

/* A column-major product C = op(A) op(B), batch times. */
struct pst_cuda_tiles_problem {
	uint64_t m, n, k, batch;   /* each at least 1 */
	unsigned int elem, elem_c; /* bytes of an element of A and B, of C */
	/* Which operands go through device memory; the others are used where
	 * they are. */
	bool copy_a, copy_b, copy_c;
	bool shared_a, shared_b; /* one A (B) for the whole batch: stride 0 */
	/* Sums of parts of k need an F32 buffer beside C's tile (F16, BF16). */
	bool widen;
	/* That buffer is needed even for a whole sum, for an epilogue in F32.
	 */
	bool widen_all;
	/* Each product of a group is copied by itself: groups are small. */
	bool scattered;
	bool whole;               /* one unit a product, whatever it takes */
	uint32_t multiprocessors; /* of the card; 0: not known */
	uint64_t budget;          /* bytes of device memory */
	double max_flops;         /* what one unit should not exceed by far */
};

struct pst_cuda_tiles {
	uint64_t mt, nt, kt; /* size of a tile; the last ones are smaller */
	uint64_t group;      /* products in one unit; above 1 the tile is all of
			      * a product */
	uint64_t n_i, n_j, n_l, n_g; /* tiles along m, n, k; groups */
	uint64_t head; /* pieces of each unit of the first tile, along k */
	uint32_t n_a, n_b, n_c; /* slots; 0: not copied */
	uint64_t a_bytes, b_bytes, c_bytes, wide_bytes; /* of one slot */
	uint64_t bytes; /* of device memory in all, at most budget */
};

/* One piece of work: tile (i, j) of C, part l of the sum, of the products of
 * group g; of the first tile's units only a part. */
struct pst_cuda_unit {
	uint64_t g, i, j, l;
	uint64_t part, parts; /* along k, within l; parts 1: all */
	bool first, last;     /* part of the tile's sum */
};

/* Chooses sides of tiles of C, by its size and the card's. */
void pst_cuda_tiles_sides(uint64_t m, uint64_t n, uint32_t multiprocessors,
			  uint64_t *ret_mt, uint64_t *ret_nt);

/*
 * Plans. Tiles are as large as max_flops lets them be, but a large product has
 * at least 4 x 4 of them, so that copies and computing overlap, where such
 * tiles keep all multiprocessors busy; else fewer, down to one. k is cut only
 * where something is copied. What is left of the budget goes to slots, so that
 * tiles need not be copied again: first one row of A's, then B's, then the
 * other A's. Returns 0, or -ENOMEM when not even two tiles of 32 x 32 fit.
 */
int pst_cuda_tiles_plan(const struct pst_cuda_tiles_problem *p,
			struct pst_cuda_tiles *ret);

/* Pieces of the plan, g * i * j * l and more for the first tile; does not
 * overflow for sizes that passed pst_op_check(). */
uint64_t pst_cuda_tiles_count(const struct pst_cuda_tiles *t);

/*
 * The u-th piece. Rows of tiles one after the other; along n and k the way back
 * and forth, so that the tiles used last are used again.
 */
void pst_cuda_tiles_unit(const struct pst_cuda_tiles *t, uint64_t u,
			 struct pst_cuda_unit *ret);

/* Bytes of one column of a tile, rows elements long, with its padding. */
uint64_t pst_cuda_tiles_pitch(uint64_t rows, unsigned int elem);

/* Which tile lies in which slot; the one used longest ago is replaced. */
struct pst_cuda_tile_cache {
	uint32_t n_slots;
	uint64_t clock;
	struct {
		uint64_t key;  /* 0: empty */
		uint64_t used; /* clock */
	} slot[PST_CUDA_TILES_MAX_SLOTS];
};

/* Empties it. n_slots <= PST_CUDA_TILES_MAX_SLOTS. */
void pst_cuda_tile_cache_init(struct pst_cuda_tile_cache *c, uint32_t n_slots);

/* The slot of the tile with this key (not 0); *ret_hit: it lies there,
 * otherwise it is to be copied there now. n_slots must not be 0. */
uint32_t pst_cuda_tile_cache_get(struct pst_cuda_tile_cache *c, uint64_t key,
				 bool *ret_hit);

#endif
