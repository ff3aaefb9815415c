/* SPDX-License-Identifier: MIT */
/* Common to all foreign products: operations in flight, and copies of parts of
 * operands. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host-client/lib/gemm/fastcopy.h"
#include "host-client/lib/gemm/foreign_int.h"
#include "host-client/lib/gemm/gemm_op.h"
#include "host-client/lib/gemm/subop.h"
#include "host-client/lib/ops/staging.h"
#include "transport/dtype.h"

/* Places among the operations that are outstanding are asked for again so
 * often, so far apart. */
#define PLACE_TRIES 100U
#define PLACE_NS    PST_NS_PER_MS
/* Bytes of results that are taken at once: they stay in the first caches. */
#define BOUNCE (64ULL << 10)

/* ---- Operations in flight ---------------------------------------------- */

static uint64_t time_left(const struct pst_foreign *t)
{
	const uint64_t now = pst_now_ns();

	if (t->deadline_ns == UINT64_MAX)
		return PST_FOREVER;
	return t->deadline_ns > now ? t->deadline_ns - now : 0;
}

/* Waits until operation number n is over, and all before it. */
int pst_foreign_wait(struct pst_foreign *t, uint64_t n)
{
	struct pst_completion done;
	int r;

	if (n > t->finished + 1) {
		r = pst_subop_expect(t->c,
				     t->tags[(n - 1) % PST_FOREIGN_PENDING],
				     time_left(t), t->err);
		if (r < 0)
			return r;
	}
	while (t->finished < n) {
		r = pst_subop_wait(t->c,
				   t->tags[t->finished % PST_FOREIGN_PENDING],
				   time_left(t), &done, t->err);
		if (r < 0)
			return r;
		t->finished++;
		t->sum.compute_ns += done.compute_ns;
		t->sum.queue_ns += done.queue_ns;
	}
	return 0;
}

/* Room for one more among the tags. */
static int make_room(struct pst_foreign *t)
{
	return t->submitted - t->finished == PST_FOREIGN_PENDING
		       ? pst_foreign_wait(t, t->finished + 1)
		       : 0;
}

/* Other calls have all of the connection's places: until one of this call's own
 * is over, or for a moment. */
static int wait_for_place(struct pst_foreign *t, unsigned int tries)
{
	if (t->finished < t->submitted)
		return pst_foreign_wait(t, t->finished + 1);
	if (tries == PLACE_TRIES || time_left(t) == 0)
		return -EAGAIN;
	pst_lock(t->c);
	pst_sleep(t->c, PLACE_NS);
	pst_unlock(t->c);
	return 0;
}

/* Starts a piece, or a NOP. */
static int start(struct pst_foreign *t, const struct pst_gemm_args *piece)
{
	unsigned int tries;
	uint64_t *tag;
	int r;

	for (tries = 0;; tries++) {
		r = make_room(t);
		if (r < 0)
			return r;
		tag = &t->tags[t->submitted % PST_FOREIGN_PENDING];
		r = piece ? pst_subop_gemm(t->c, piece, tag, t->err)
			  : pst_subop_nop(t->c, tag, t->err);
		if (r == 0) {
			t->submitted++;
			/* It computes in C itself. */
			if (piece && !t->copy_c)
				pst_foreign_touch(t);
		}
		if (r != -EAGAIN)
			return r;
		r = wait_for_place(t, tries);
		if (r < 0)
			return r;
	}
}

int pst_foreign_submit(struct pst_foreign *t, const struct pst_gemm_args *piece)
{
	return start(t, piece);
}

int pst_foreign_wake(struct pst_foreign *t)
{
	return start(t, NULL);
}

/* ---- Copies ------------------------------------------------------------ */

/* rows x cols of op(X) from (row, col) on. */
struct pst_foreign_lines pst_foreign_lines(const struct pst_gemm_args *g,
					   const void *x, uint64_t ld,
					   bool trans, unsigned int elem,
					   uint64_t row, uint64_t col,
					   uint64_t rows, uint64_t cols)
{
	const bool along = (g->order == PST_COL_MAJOR) != trans;
	const uint64_t line = along ? col : row, first = along ? row : col;

	return (struct pst_foreign_lines){
		.at = pst_foreign_behind(x, (line * ld + first) * elem),
		.length = along ? rows : cols,
		.lines = along ? cols : rows,
		.ld = ld,
	};
}

void pst_foreign_copy(uint8_t *dst, uint64_t dst_ld, const uint8_t *src,
		      uint64_t src_ld, const struct pst_foreign_lines *p,
		      unsigned int elem)
{
	pst_fastcopy_lines(dst, dst_ld * elem, src, src_ld * elem,
			   p->length * elem, p->lines);
}

int pst_foreign_out(struct pst_foreign *t, const struct pst_foreign_lines *p,
		    const uint8_t *src, uint64_t src_ld)
{
	const unsigned int elem = t->fits ? t->elem_c : t->plan.elem_c;
	const uint64_t width = p->length * elem, step = p->ld * t->elem_c;
	uint64_t i, l, n = width < BOUNCE ? BOUNCE / width : 1;
	struct pst_lines lines = {
		.width = width,
		.dst_step = width,
		.src_step = src_ld * elem,
	};
	int r;

	if (n > p->lines)
		n = p->lines;
	/* Later pieces may be larger: at the edge of C come smaller ones. */
	free(t->bounce);
	t->bounce = malloc(n * width);
	if (!t->bounce)
		return pst_oom(t->err);
	for (l = 0; l < p->lines; l += lines.n) {
		lines.n = pst_min_u64(n, p->lines - l);
		r = pst_stage_take(t->c, t->bounce, src + l * lines.src_step,
				   &lines, t->err);
		if (r < 0)
			return r;
		pst_foreign_touch(t);
		for (i = 0; i < lines.n; i++) {
			if (elem == t->elem_c)
				memcpy(p->at + (l + i) * step,
				       t->bounce + i * width, width);
			else
				pst_floats_store(p->at + (l + i) * step,
						 pst_gemm_dtype_c(t->g),
						 (float *)(void *)t->bounce +
							 i * p->length,
						 p->length);
		}
		t->next.lines += lines.n;
	}
	return 0;
}
