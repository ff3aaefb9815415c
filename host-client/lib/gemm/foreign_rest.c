/* SPDX-License-Identifier: MIT */
/* Has what is missing of a foreign product computed by the caller. */
#include "host-client/lib/gemm/foreign_int.h"

/* m x n of product q from (i, j) on. Returns 1, 0 for nothing, or an error. */
static int part(struct pst_foreign *t, const struct pst_foreign_local *local,
		uint64_t q, uint64_t i, uint64_t j, uint64_t m, uint64_t n)
{
	const struct pst_gemm_args *g = t->g;
	struct pst_gemm_args x = *g;
	int r;

	if (m == 0 || n == 0)
		return 0;
	x.batch = 1;
	x.stride_a = x.stride_b = x.stride_c = 0;
	x.m = (uint32_t)m;
	x.n = (uint32_t)n;
	x.a = pst_foreign_lines(
		      g, pst_foreign_behind(g->a, q * g->stride_a * t->elem_ab),
		      g->lda, g->transa, t->elem_ab, i, 0, m, g->k)
		      .at;
	x.b = pst_foreign_lines(
		      g, pst_foreign_behind(g->b, q * g->stride_b * t->elem_ab),
		      g->ldb, g->transb, t->elem_ab, 0, j, g->k, n)
		      .at;
	x.c = pst_foreign_lines(
		      g, pst_foreign_behind(g->c, q * g->stride_c * t->elem_c),
		      g->ldc, false, t->elem_c, i, j, m, n)
		      .at;
	x.bias = pst_foreign_behind(g->bias, j * t->elem_c);
	pst_foreign_touch(t);
	r = local->fn(local->arg, &x);
	return r < 0 ? r : 1;
}

int pst_foreign_rest(struct pst_foreign *t,
		     const struct pst_foreign_local *local)
{
	const struct pst_gemm_args *g = t->g;
	const uint64_t batch = g->batch ? g->batch : 1;
	const bool pieces = !t->fits && t->plan.m && t->plan.n;
	const struct pst_foreign_spot *s = &t->next;
	const uint64_t m = pieces ? pst_min_u64(t->plan.m, g->m - s->i) : g->m;
	const uint64_t n = pieces ? pst_min_u64(t->plan.n, g->n - s->j) : g->n;
	const bool by_cols = g->order == PST_COL_MAJOR;
	/* Of the piece at s: its lines left, and what lies below it. */
	const uint64_t di = by_cols ? 0 : s->lines, dj = by_cols ? s->lines : 0;
	const struct {
		uint64_t i, j, m, n;
	} parts[] = {
		{s->i + di, s->j + dj, m - di, n - dj},
		{s->i + m, s->j, g->m - s->i - m, n},
		{0, s->j + n, g->m, g->n - s->j - n},
	};
	uint64_t q;
	size_t i;
	int r, calls = 0;

	for (i = 0; i < PST_ARRAY_SIZE(parts) && s->q < batch; i++) {
		r = part(t, local, s->q, parts[i].i, parts[i].j, parts[i].m,
			 parts[i].n);
		if (r < 0)
			return r;
		calls += r;
	}
	for (q = s->q + 1; q < batch; q++) {
		r = part(t, local, q, 0, 0, g->m, g->n);
		if (r < 0)
			return r;
		calls += r;
	}
	return calls;
}
