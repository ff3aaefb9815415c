/* SPDX-License-Identifier: MIT */
/* Cuts a product into tiles that fit a device: pure functions. */
#include "guest-agent/cuda/tiles.h"

#include <errno.h>
#include <string.h>

#include "transport/base/util.h"

/* Tiles along one side at least, where they are at least MIN_SIDE long: the
 * first tile's way in and the last one's way out are not overlapped. */
#define MIN_TILES 4U
#define MIN_SIDE  512U
/* Above this a longer side brings nothing. */
#define MAX_SIDE 8192U
/* Rows and columns of C that one block of a library's kernel makes. A card
 * makes as many blocks at once as it has multiprocessors, a round. */
#define BLOCK 128U
/* Rounds for one that would be without idle multiprocessors: enough is this. */
#define GOOD 1.08
/* Parts of a unit of the first tile, whose way in nothing else overlaps; and
 * the least of one part along k. */
#define HEAD       4U
#define HEAD_LEAST 256U
/* Below this nothing is cut for want of memory. */
#define SMALLEST 32U
/* Sides are multiples of this. */
#define GRAIN 32U
/* Products in a group at most; fewer where each takes a copy of its own. */
#define MAX_GROUP     4096U
#define MAX_SCATTERED 64U

static uint64_t div_up(uint64_t a, uint64_t b)
{
	return a / b + (a % b != 0);
}

uint64_t pst_cuda_tiles_pitch(uint64_t rows, unsigned int elem)
{
	return pst_round_up(rows * elem, PST_CUDA_TILES_ALIGN);
}

static uint64_t side(uint64_t total)
{
	uint64_t s = pst_round_up(div_up(total, MIN_TILES), GRAIN);

	if (s < MIN_SIDE)
		s = MIN_SIDE;
	if (s > MAX_SIDE)
		s = MAX_SIDE;
	return pst_min_u64(s, total);
}

/* Rounds of the last tiles of a row or column, and of the others. */
static uint64_t rounds(uint64_t m, uint64_t n, uint64_t mt, uint64_t nt,
		       uint64_t sm)
{
	const uint64_t b_m = div_up(mt, BLOCK), b_n = div_up(nt, BLOCK);
	const uint64_t last_m = div_up(m % mt, BLOCK);
	const uint64_t last_n = div_up(n % nt, BLOCK);

	return m / mt *
		       (n / nt * div_up(b_m * b_n, sm) +
			div_up(b_m * last_n, sm)) +
	       n / nt * div_up(last_m * b_n, sm) + div_up(last_m * last_n, sm);
}

/* The side along n with the fewest rounds: the first choice, if it is as good
 * as others, else one that is shorter, else longer. */
static uint64_t best_side(uint64_t m, uint64_t n, uint64_t mt, uint64_t sm,
			  uint64_t *ret_rounds)
{
	const uint64_t most = pst_min_u64(n, MAX_SIDE);
	uint64_t nt = side(n), s, r;

	*ret_rounds = rounds(m, n, mt, nt, sm);
	for (s = nt / BLOCK * BLOCK; s >= MIN_SIDE; s -= BLOCK) {
		r = rounds(m, n, mt, s, sm);
		if (r < *ret_rounds) {
			*ret_rounds = r;
			nt = s;
		}
	}
	for (s = side(n) / BLOCK * BLOCK; s < most;) {
		s = pst_min_u64(s + BLOCK, most);
		r = rounds(m, n, mt, s, sm);
		if (r < *ret_rounds) {
			*ret_rounds = r;
			nt = s;
		}
	}
	return nt;
}

void pst_cuda_tiles_sides(uint64_t m, uint64_t n, uint32_t multiprocessors,
			  uint64_t *ret_mt, uint64_t *ret_nt)
{
	const double ideal = (double)div_up(m, BLOCK) *
			     (double)div_up(n, BLOCK) / multiprocessors;
	uint64_t mt = side(m), nt, best = UINT64_MAX, r, n_i;

	*ret_mt = mt;
	*ret_nt = side(n);
	if (multiprocessors == 0)
		return;
	for (n_i = MIN_TILES; n_i; n_i--) {
		r = pst_round_up(div_up(m, n_i), GRAIN);
		mt = pst_min_u64(r > mt ? r : mt, pst_min_u64(m, MAX_SIDE));
		nt = best_side(m, n, mt, multiprocessors, &r);
		if (r >= best)
			continue;
		best = r;
		*ret_mt = mt;
		*ret_nt = nt;
		if ((double)r <= GOOD * ideal)
			return;
	}
}

static uint64_t half(uint64_t s)
{
	return pst_round_up(div_up(s, 2), GRAIN);
}

/* Bytes of a tile that may lie either way round: the larger of both. */
static uint64_t tile_bytes(uint64_t rows, uint64_t cols, unsigned int elem)
{
	uint64_t a = pst_cuda_tiles_pitch(rows, elem) * cols;
	uint64_t b = pst_cuda_tiles_pitch(cols, elem) * rows;

	return pst_round_up(a > b ? a : b, PST_CUDA_TILES_ALIGN);
}

static void slot_sizes(const struct pst_cuda_tiles_problem *p,
		       struct pst_cuda_tiles *t)
{
	uint64_t g = t->group;

	t->a_bytes = tile_bytes(t->mt, t->kt, p->elem);
	t->b_bytes = tile_bytes(t->kt, t->nt, p->elem);
	t->c_bytes = tile_bytes(t->mt, t->nt, p->elem_c);
	if (g > 1) {
		if (!p->shared_a)
			t->a_bytes *= g;
		if (!p->shared_b)
			t->b_bytes *= g;
		t->c_bytes *= g;
	}
	t->n_i = div_up(p->m, t->mt);
	t->n_j = div_up(p->n, t->nt);
	t->n_l = div_up(p->k, t->kt);
	t->n_g = div_up(p->batch, g);
	t->wide_bytes = 0;
	if (p->widen && (t->n_l > 1 || p->widen_all))
		t->wide_bytes = tile_bytes(t->mt, t->nt, sizeof(float)) * g;
}

/* Tiles of A: of all groups when each has its own. */
static uint64_t total_a(const struct pst_cuda_tiles_problem *p,
			const struct pst_cuda_tiles *t)
{
	return t->n_i * t->n_l * (p->shared_a ? 1 : t->n_g);
}

static uint64_t total_b(const struct pst_cuda_tiles_problem *p,
			const struct pst_cuda_tiles *t)
{
	return t->n_j * t->n_l * (p->shared_b ? 1 : t->n_g);
}

/* The fewest slots that overlap copies and computing. */
static void least_slots(const struct pst_cuda_tiles_problem *p,
			struct pst_cuda_tiles *t)
{
	slot_sizes(p, t);
	t->n_a = p->copy_a ? (uint32_t)pst_min_u64(2, total_a(p, t)) : 0;
	t->n_b = p->copy_b ? (uint32_t)pst_min_u64(2, total_b(p, t)) : 0;
	t->n_c = p->copy_c || t->wide_bytes
			 ? (uint32_t)pst_min_u64(2, t->n_i * t->n_j * t->n_g)
			 : 0;
	if (!p->copy_c)
		t->c_bytes = 0;
	t->bytes = t->n_a * t->a_bytes + t->n_b * t->b_bytes +
		   t->n_c * (t->c_bytes + t->wide_bytes);
}

/* Halves the longest side that is above its least. Returns false when there
 * is none. */
static bool shrink(struct pst_cuda_tiles *t, uint64_t least, bool cut_k)
{
	uint64_t *s = &t->mt;

	if (t->nt > *s)
		s = &t->nt;
	if (cut_k && t->kt > *s)
		s = &t->kt;
	if (*s <= least)
		return false;
	*s = half(*s);
	return true;
}

/* How many more slots of this size fit. */
static uint32_t more(struct pst_cuda_tiles *t, uint64_t budget, uint64_t size,
		     uint64_t have, uint64_t want)
{
	uint64_t n;

	want = pst_min_u64(want, PST_CUDA_TILES_MAX_SLOTS);
	if (have == 0 || want <= have)
		return 0;
	n = pst_min_u64(want - have, (budget - t->bytes) / size);
	t->bytes += n * size;
	return (uint32_t)n;
}

static double unit_flops(const struct pst_cuda_tiles *t)
{
	return 2.0 * (double)t->mt * (double)t->nt * (double)t->kt *
	       (double)t->group;
}

/* As many whole products in one unit as time and memory allow. */
static void plan_group(const struct pst_cuda_tiles_problem *p,
		       struct pst_cuda_tiles *t)
{
	uint64_t g =
		pst_min_u64(p->batch, p->scattered ? MAX_SCATTERED : MAX_GROUP);

	if (t->mt < p->m || t->nt < p->n || t->kt < p->k)
		return;
	if (unit_flops(t) * (double)g > p->max_flops)
		g = (uint64_t)(p->max_flops / unit_flops(t));
	t->group = g ? g : 1;
	least_slots(p, t);
	while (t->group > 1 && t->bytes > p->budget) {
		t->group /= 2;
		least_slots(p, t);
	}
}

int pst_cuda_tiles_plan(const struct pst_cuda_tiles_problem *p,
			struct pst_cuda_tiles *ret)
{
	const bool copies = p->copy_a || p->copy_b;
	struct pst_cuda_tiles t = {
		.group = 1, .head = 1, .mt = p->m, .nt = p->n, .kt = p->k};

	if (!p->whole && (copies || p->copy_c))
		pst_cuda_tiles_sides(p->m, p->n, p->multiprocessors, &t.mt,
				     &t.nt);
	if (!p->whole && copies)
		t.kt = pst_min_u64(p->k, MAX_SIDE);
	while (!p->whole && unit_flops(&t) > p->max_flops &&
	       shrink(&t, MIN_SIDE, copies))
		;
	least_slots(p, &t);
	while (t.bytes > p->budget) {
		if (!shrink(&t, SMALLEST, copies))
			return -ENOMEM;
		least_slots(p, &t);
	}
	if (p->batch > 1)
		plan_group(p, &t);
	t.n_a += more(&t, p->budget, t.a_bytes, t.n_a,
		      pst_min_u64(total_a(p, &t), t.n_l + 1));
	t.n_b += more(&t, p->budget, t.b_bytes, t.n_b, total_b(p, &t));
	t.n_a += more(&t, p->budget, t.a_bytes, t.n_a, total_a(p, &t));
	if (copies && t.group == 1 && t.n_i * t.n_j * t.n_l > 1 &&
	    p->k - (t.n_l - 1) * t.kt >= HEAD * HEAD_LEAST &&
	    (!p->widen || t.wide_bytes))
		t.head = HEAD;
	*ret = t;
	return 0;
}

uint64_t pst_cuda_tiles_count(const struct pst_cuda_tiles *t)
{
	return t->n_g * t->n_i * t->n_j * t->n_l + t->n_l * (t->head - 1);
}

void pst_cuda_tiles_unit(const struct pst_cuda_tiles *t, uint64_t u,
			 struct pst_cuda_unit *ret)
{
	const uint64_t pieces = t->n_l * t->head; /* of the first tile */
	const bool in_first = u < pieces;
	const uint64_t at = in_first ? u / t->head : u - pieces + t->n_l;
	const uint64_t l = at % t->n_l;
	const uint64_t ij = at / t->n_l;
	const uint64_t j = ij % t->n_j;
	const uint64_t gi = ij / t->n_j;

	ret->part = in_first ? u % t->head : 0;
	ret->parts = in_first ? t->head : 1;
	ret->first = l == 0 && ret->part == 0;
	ret->last = l == t->n_l - 1 && ret->part == ret->parts - 1;
	ret->l = ij % 2 ? t->n_l - 1 - l : l;
	ret->j = gi % 2 ? t->n_j - 1 - j : j;
	ret->i = gi % t->n_i;
	ret->g = gi / t->n_i;
}

void pst_cuda_tile_cache_init(struct pst_cuda_tile_cache *c, uint32_t n_slots)
{
	memset(c, 0, sizeof(*c));
	c->n_slots = n_slots;
}

uint32_t pst_cuda_tile_cache_get(struct pst_cuda_tile_cache *c, uint64_t key,
				 bool *ret_hit)
{
	uint32_t i, oldest = 0;

	c->clock++;
	for (i = 0; i < c->n_slots; i++) {
		if (c->slot[i].key == key) {
			c->slot[i].used = c->clock;
			*ret_hit = true;
			return i;
		}
		if (c->slot[i].used < c->slot[oldest].used)
			oldest = i;
	}
	c->slot[oldest].key = key;
	c->slot[oldest].used = c->clock;
	*ret_hit = false;
	return oldest;
}
