/* SPDX-License-Identifier: MIT */
/* Plans how a foreign product is cut into pieces that fit: a pure function of
 * sizes. */
#include "host-client/lib/gemm/foreign_plan.h"

#include <errno.h>

#include "transport/base/util.h"

/* Pieces are multiples of this where they can be: a BLAS's kernels see few
 * ragged edges. */
#define GRAIN 64U
/* Below this an operation's own cost is more than what overlap saves. */
#define WHOLE (1ULL << 20)
/* Parts that a product is cut into so that copies overlap with computing;
 * rows below MIN_ROWS do not pay for it. */
#define PARTS    8U
#define MIN_ROWS 64U
/* Terms of a sum in one piece, when it is cut. */
#define K_PIECE 512U
/* A slot's alignment. */
#define LINE 64U

static uint64_t parts_of(uint64_t total, uint64_t piece)
{
	return piece ? (total + piece - 1) / piece : 1;
}

/* Fills in the slots for pieces of m x n x k. */
static void with_pieces(const struct pst_foreign_job *job, uint64_t m,
			uint64_t n, uint64_t k, struct pst_foreign_plan *p)
{
	const bool split = k < job->k;
	const uint64_t parts_m = parts_of(job->m, m) * job->batch;
	const uint64_t pieces_a = parts_m * parts_of(job->k, k);
	const uint64_t pieces_b =
		parts_of(job->n, n) * parts_of(job->k, k) * job->batch;
	const uint64_t pieces_c = parts_m * parts_of(job->n, n);

	*p = (struct pst_foreign_plan){.m = m, .n = n, .k = k};
	p->elem_c = split ? job->elem_sum : job->elem_c;
	p->copy_c = job->copy_c || p->elem_c != job->elem_c;
	if (job->copy_a)
		p->slots_a =
			(unsigned int)pst_min_u64(pieces_a, PST_FOREIGN_SLOTS);
	if (job->copy_b)
		p->slots_b =
			(unsigned int)pst_min_u64(pieces_b, PST_FOREIGN_SLOTS);
	if (p->copy_c)
		p->slots_c =
			(unsigned int)pst_min_u64(pieces_c, PST_FOREIGN_SLOTS);
	p->size_a = p->slots_a ? pst_round_up(m * k * job->elem_ab, LINE) : 0;
	p->size_b = p->slots_b ? pst_round_up(k * n * job->elem_ab, LINE) : 0;
	p->size_c = p->slots_c ? pst_round_up(m * n * p->elem_c, LINE) : 0;
	p->total = p->slots_a * p->size_a + p->slots_b * p->size_b +
		   p->slots_c * p->size_c;
}

uint64_t pst_foreign_traffic(const struct pst_foreign_job *job,
			     const struct pst_foreign_plan *plan)
{
	const uint64_t rows = parts_of(job->m, plan->m);
	const uint64_t cols = parts_of(job->n, plan->n);
	const bool split = plan->k < job->k;
	uint64_t a = job->copy_a ? job->m * job->k * job->elem_ab : 0;
	uint64_t b = job->copy_b ? job->k * job->n * job->elem_ab : 0;

	/* Columns are the outer loop. A whole-k piece of B stays for a column;
	 * pieces of A are copied again for each. */
	a *= plan->slots_a && (rows > 1 || split) ? cols : 1;
	b *= split ? rows : 1;
	return a + b;
}

/* A side in parts that overlap. */
static uint64_t part_of(uint64_t side)
{
	const uint64_t part = pst_round_up(parts_of(side, PARTS), GRAIN);

	return pst_min_u64(side, part < MIN_ROWS ? MIN_ROWS : part);
}

/* Sums whole, B's piece as wide as it can be, A and C by rows; by columns
 * where rows are not to be cut. */
static bool plan_whole_k(const struct pst_foreign_job *job, uint64_t budget,
			 struct pst_foreign_plan *ret)
{
	uint64_t n = job->whole_m && !job->whole_n ? part_of(job->n) : job->n;
	uint64_t m;

	if (job->k > job->max_dim)
		return false;
	n = job->whole_n ? n : pst_min_u64(n, job->max_dim);
	for (;;) {
		m = pst_min_u64(part_of(job->m), job->max_dim);
		if (job->whole_m)
			m = job->m;
		for (;;) {
			with_pieces(job, m, n, job->k, ret);
			if (ret->total <= budget)
				return true;
			if (m <= MIN_ROWS || job->whole_m)
				break;
			m = pst_round_up(m / 2, GRAIN);
		}
		if (n <= GRAIN || job->whole_n)
			return false;
		n = pst_round_up(n / 2, GRAIN);
	}
}

/* Sums cut, pieces of C as square and as large as they can be. */
static bool plan_split_k(const struct pst_foreign_job *job, uint64_t budget,
			 struct pst_foreign_plan *ret)
{
	uint64_t k = pst_min_u64(pst_min_u64(job->k, K_PIECE), job->max_dim),
		 side;

	for (; k >= GRAIN; k /= 2) {
		side = job->m > job->n ? job->m : job->n;
		side = pst_round_up(pst_min_u64(side, job->max_dim), GRAIN);
		while (side >= GRAIN) {
			with_pieces(job, pst_min_u64(job->m, side),
				    pst_min_u64(job->n, side), k, ret);
			if (ret->total <= budget && ret->m <= job->max_dim &&
			    ret->n <= job->max_dim)
				return true;
			side = (side - side / 8 - 1) / GRAIN * GRAIN;
		}
		if (k == job->k)
			return false;
	}
	return false;
}

int pst_foreign_plan(const struct pst_foreign_job *job, uint64_t budget,
		     struct pst_foreign_plan *ret)
{
	struct pst_foreign_plan split;
	bool whole_ok, split_ok;

	with_pieces(job, job->m, job->n, job->k, ret);
	if (ret->total <= WHOLE && ret->total <= budget &&
	    job->m <= job->max_dim && job->n <= job->max_dim &&
	    job->k <= job->max_dim)
		return 0;
	whole_ok = plan_whole_k(job, budget, ret);
	split_ok = job->k > K_PIECE && !job->whole_m && !job->whole_n &&
		   !job->whole_k && plan_split_k(job, budget, &split);
	if (split_ok && (!whole_ok || pst_foreign_traffic(job, &split) <
					      pst_foreign_traffic(job, ret)))
		*ret = split;
	return whole_ok || split_ok ? 0 : -ENOSPC;
}
