/* SPDX-License-Identifier: MIT */
/* Products of i8, whose sums are exact modulo 2^32 on every card. */
#include <errno.h>

#include "guest-agent/cuda/device.h"
#include "guest-agent/cuda/kernels.h"
#include "guest-agent/cuda/product_int.h"
#include "transport/base/util.h"

/* Up to here our one kernel is done before three others have been started. */
#define OWN_MOST (1U << 21)
/* Sides of padded copies are multiples of this: of 4 each card with products of
 * i8 takes them, of 16 its fast kernels do. */
#define GRAIN 16U
/* 128 * 128 * 1024 is 2^24: a sum of so many products is a whole number that
 * F32 has, in whatever order it comes about. */
#define EXACT_K 1024U
/* Sums that come about beside C at once: the other columns come later. */
#define SCRATCH_BYTES (256ULL << 20)

/* cuBLAS: products of i8 want operands and columns that begin at multiples of
 * 4 bytes. */
static bool is_aligned(const struct pst_cuda_product *p)
{
	return (uintptr_t)p->a % 4 == 0 && (uintptr_t)p->b % 4 == 0 &&
	       p->lda % 4 == 0 && p->ldb % 4 == 0 &&
	       (p->batch == 1 ||
		(p->stride_a % 4 == 0 && p->stride_b % 4 == 0));
}

static int by_our_kernel(const struct pst_cuda_product_env *env,
			 const struct pst_cuda_product *p,
			 struct pst_error *err)
{
	const struct pst_cuda_k_gemm_i8 g = {
		.a = p->a,
		.b = p->b,
		.c = p->c,
		.transa = p->transa,
		.transb = p->transb,
		.m = p->m,
		.n = p->n,
		.k = p->k,
		.batch = p->batch,
		.lda = p->lda,
		.ldb = p->ldb,
		.ldc = p->ldc,
		.stride_a = p->stride_a,
		.stride_b = p->stride_b,
		.stride_c = p->stride_c,
		.alpha = (int32_t)p->alpha,
		.beta = (int32_t)p->beta,
	};
	int r;

	r = pst_cuda_ok(pst_cuda_k_gemm_i8(env->stream, &g),
			"starting a product of i8", err);
	if (r == 0 && (p->act || p->bias))
		r = pst_cuda_product_finish(env, p, 1, err);
	return r;
}

bool pst_cuda_i8_padded(const struct pst_cuda_product *p,
			struct pst_cuda_i8_sides *ret)
{
	const uint32_t most = (uint32_t)INT32_MAX / GRAIN * GRAIN;

	if (p->m > most || p->n > most || p->k > most)
		return false;
	ret->m = (uint32_t)pst_round_up(p->m, GRAIN);
	ret->n = (uint32_t)pst_round_up(p->n, GRAIN);
	ret->k = (uint32_t)pst_round_up(p->k, GRAIN);
	return true;
}

/* An operand's copy in device memory, its lines close together. */
struct copy {
	void *mem;
	uint32_t ld;
	uint64_t stride;
};

/* Rows and columns of storage, then those of the copy; dtype I8 or F32. */
static int copy_operand(const struct pst_cuda_product_env *env,
			const struct pst_cuda_k_spread *from, void *mem,
			struct copy *ret, struct pst_error *err)
{
	struct pst_cuda_k_spread s = *from;

	/* One for all is copied once. */
	if (!s.stride_src)
		s.batch = 1;
	s.dst = mem;
	ret->mem = mem;
	ret->ld = (uint32_t)s.dst_rows;
	ret->stride = s.stride_src ? s.dst_rows * s.dst_cols : 0;
	return pst_cuda_ok(pst_cuda_k_spread(env->stream, &s),
			   "starting a copy of integers", err);
}

/* Parts l0 to l0 + kt of the sum, of A and of B; k, m, n: sides of the copies.
 */
static int copy_both(const struct pst_cuda_product_env *env,
		     const struct pst_cuda_product *p, int dtype, uint32_t l0,
		     uint32_t kt, const struct pst_cuda_i8_sides *to,
		     void *mem_a, void *mem_b, struct copy *a, struct copy *b,
		     struct pst_error *err)
{
	const uint64_t at_a = p->transa ? l0 : (uint64_t)l0 * p->lda;
	const uint64_t at_b = p->transb ? (uint64_t)l0 * p->ldb : l0;
	const struct pst_cuda_k_spread of_a = {
		.src = (const int8_t *)p->a + at_a,
		.dst_dtype = dtype,
		.rows = p->transa ? kt : p->m,
		.cols = p->transa ? p->m : kt,
		.dst_rows = p->transa ? to->k : to->m,
		.dst_cols = p->transa ? to->m : to->k,
		.batch = p->batch,
		.ld_src = p->lda,
		.stride_src = p->batch > 1 ? p->stride_a : 0,
	};
	const struct pst_cuda_k_spread of_b = {
		.src = (const int8_t *)p->b + at_b,
		.dst_dtype = dtype,
		.rows = p->transb ? p->n : kt,
		.cols = p->transb ? kt : p->n,
		.dst_rows = p->transb ? to->n : to->k,
		.dst_cols = p->transb ? to->k : to->n,
		.batch = p->batch,
		.ld_src = p->ldb,
		.stride_src = p->batch > 1 ? p->stride_b : 0,
	};
	int r;

	r = copy_operand(env, &of_a, mem_a, a, err);
	return r < 0 ? r : copy_operand(env, &of_b, mem_b, b, err);
}

/* Products of a batch that has one operand for all, or each its own. */
static uint64_t copies(const struct pst_cuda_product *p, uint64_t stride)
{
	return p->batch > 1 && stride ? p->batch : 1;
}

/* From sums close together: into them, or with the scales and the epilogue into
 * C. */
static int gather(const struct pst_cuda_product_env *env,
		  const struct pst_cuda_product *p, int32_t *dst,
		  const struct copy *sums, int dtype, bool more,
		  struct pst_error *err)
{
	const bool to_c = dst == p->c;
	const struct pst_cuda_k_gather g = {
		.dst = dst,
		.src = sums->mem,
		.bias = to_c ? p->bias : NULL,
		.src_dtype = dtype,
		.act = to_c ? p->act : PST_WIRE_ACT_NONE,
		.bias_of_rows = p->bias_of_rows,
		.rows = p->m,
		.cols = p->n,
		.batch = p->batch,
		.ld_dst = to_c ? p->ldc : p->m,
		.ld_src = sums->ld,
		.stride_dst = to_c ? p->stride_c : (uint64_t)p->m * p->n,
		.stride_src = sums->stride,
		.alpha = to_c ? (int32_t)p->alpha : 1,
		.beta = to_c ? (int32_t)p->beta : more,
	};

	int r;

	r = pst_cuda_ok(pst_cuda_k_gather(env->stream, &g),
			"starting a sum of integers", err);
	/* After C may have been written there is no other way. */
	return r == -ENOMEM && to_c ? -EIO : r;
}

/* Operands of other sides than the fast kernels' are copied, with zeros around
 * them. C is written by the last kernel. */
static int by_padded_copies(const struct pst_cuda_product_env *env,
			    const struct pst_cuda_product *p,
			    struct pst_error *err)
{
	struct pst_cuda_product q = *p;
	struct pst_cuda_i8_sides to;
	void *a = NULL, *b = NULL;
	struct copy ca, cb, sums = {0};
	int r;

	/* Without any padding it is what was refused. */
	if (!pst_cuda_i8_padded(p, &to) ||
	    (is_aligned(p) && to.m == p->m && to.n == p->n && to.k == p->k))
		return -EOPNOTSUPP;
	sums.ld = to.m;
	sums.stride = (uint64_t)to.m * to.n;
	r = pst_cuda_scratch(
		env, (uint64_t)to.m * to.k * copies(p, p->stride_a), &a, err);
	if (r == 0)
		r = pst_cuda_scratch(
			env, (uint64_t)to.k * to.n * copies(p, p->stride_b), &b,
			err);
	if (r == 0)
		r = pst_cuda_scratch(env,
				     sums.stride * p->batch * sizeof(int32_t),
				     &sums.mem, err);
	if (r == 0)
		r = copy_both(env, p, PST_WIRE_I8, 0, p->k, &to, a, b, &ca, &cb,
			      err);
	if (r == 0) {
		q.m = to.m;
		q.n = to.n;
		q.k = to.k;
		q.a = ca.mem;
		q.lda = ca.ld;
		q.stride_a = ca.stride;
		q.b = cb.mem;
		q.ldb = cb.ld;
		q.stride_b = cb.stride;
		q.c = sums.mem;
		q.ldc = sums.ld;
		q.stride_c = sums.stride;
		q.alpha = 1;
		q.beta = 0;
		r = pst_cuda_blas_run(env, &q, err);
	}
	if (r == 0)
		r = gather(env, p, p->c, &sums, PST_WIRE_I32, false, err);
	pst_cuda_scratch_drop(env, a);
	pst_cuda_scratch_drop(env, b);
	pst_cuda_scratch_drop(env, sums.mem);
	return r;
}

/* What sums in F32 need: a part of A and of B, its sum, and the sum of all. */
struct f32_room {
	void *a, *b, *part, *all;
};

static int take_room(const struct pst_cuda_product_env *env,
		     const struct pst_cuda_product *p, uint64_t kt,
		     struct f32_room *ret, struct pst_error *err)
{
	const uint64_t c = (uint64_t)p->m * p->n * p->batch;
	int r;

	r = pst_cuda_scratch(env,
			     p->m * kt * copies(p, p->stride_a) * sizeof(float),
			     &ret->a, err);
	if (r == 0)
		r = pst_cuda_scratch(
			env, kt * p->n * copies(p, p->stride_b) * sizeof(float),
			&ret->b, err);
	if (r == 0)
		r = pst_cuda_scratch(env, c * sizeof(float), &ret->part, err);
	if (r == 0 && kt < p->k)
		r = pst_cuda_scratch(env, c * sizeof(int32_t), &ret->all, err);
	return r;
}

/* Part l0 to l0 + kt of all sums. */
static int f32_part(const struct pst_cuda_product_env *env,
		    const struct pst_cuda_product *p, uint32_t l0, uint32_t kt,
		    const struct f32_room *room, struct pst_error *err)
{
	const struct pst_cuda_i8_sides to = {p->m, p->n, kt};
	struct pst_cuda_product q = *p;
	struct copy a, b;
	int r;

	r = copy_both(env, p, PST_WIRE_F32, l0, kt, &to, room->a, room->b, &a,
		      &b, err);
	if (r < 0)
		return r;
	q.dtype = PST_WIRE_F32;
	q.dtype_c = PST_WIRE_F32;
	q.k = kt;
	q.a = a.mem;
	q.lda = a.ld;
	q.stride_a = a.stride;
	q.b = b.mem;
	q.ldb = b.ld;
	q.stride_b = b.stride;
	q.c = room->part;
	q.ldc = p->m;
	q.stride_c = (uint64_t)p->m * p->n;
	q.alpha = 1;
	q.beta = 0;
	return pst_cuda_blas_run(env, &q, err);
}

/* Parts of k that F32 sums exactly, added as integers beside C, which is
 * written once, at the end: whatever fails before, it is as it was. */
static int by_f32(const struct pst_cuda_product_env *env,
		  const struct pst_cuda_product *p, struct pst_error *err)
{
	const uint32_t most = p->k < EXACT_K ? p->k : EXACT_K;
	struct copy sums = {.ld = p->m, .stride = (uint64_t)p->m * p->n};
	struct f32_room room = {0};
	uint32_t l0, kt;
	int r;

	r = take_room(env, p, most, &room, err);
	sums.mem = room.part;
	for (l0 = 0; l0 < p->k && r == 0; l0 += kt) {
		kt = p->k - l0 < most ? p->k - l0 : most;
		r = f32_part(env, p, l0, kt, &room, err);
		if (r == 0 && room.all)
			r = gather(env, p, room.all, &sums, PST_WIRE_F32,
				   l0 > 0, err);
	}
	if (room.all)
		sums.mem = room.all;
	if (r == 0)
		r = gather(env, p, p->c, &sums,
			   room.all ? PST_WIRE_I32 : PST_WIRE_F32, false, err);
	pst_cuda_scratch_drop(env, room.a);
	pst_cuda_scratch_drop(env, room.b);
	pst_cuda_scratch_drop(env, room.part);
	pst_cuda_scratch_drop(env, room.all);
	return r;
}

/* Whether C is as it was, and another way may do. */
static bool is_refused(int r)
{
	return r == -EOPNOTSUPP || r == -ENOMEM;
}

/* By copies in device memory, or if there is none without. */
static int by_copies(const struct pst_cuda_product_env *env,
		     const struct pst_cuda_product *p, struct pst_error *err)
{
	int r = -EOPNOTSUPP;

	if (!env->lacks->i8)
		r = by_padded_copies(env, p, err);
	if (is_refused(r))
		r = by_f32(env, p, err);
	return is_refused(r) ? by_our_kernel(env, p, err) : r;
}

/* Columns j to j + n of products z to z + batch. */
static struct pst_cuda_product some_of(const struct pst_cuda_product *p,
				       uint32_t j, uint32_t n, uint32_t z,
				       uint32_t batch)
{
	struct pst_cuda_product q = *p;
	const uint64_t at_b = p->transb ? j : (uint64_t)j * p->ldb;
	const uint64_t at_c = (uint64_t)j * p->ldc;

	q.n = n;
	q.batch = batch;
	q.a = (const int8_t *)p->a + z * p->stride_a;
	q.b = (const int8_t *)p->b + z * p->stride_b + at_b;
	q.c = (int32_t *)p->c + z * p->stride_c + at_c;
	if (p->bias && !p->bias_of_rows)
		q.bias = (const int32_t *)p->bias + j;
	return q;
}

/* Each part by itself: what fails or is refused is that part, once. */
static int in_parts(const struct pst_cuda_product_env *env,
		    const struct pst_cuda_product *p, struct pst_error *err)
{
	/* Two sums of 4 bytes for an element of C. */
	const uint64_t column = 8ULL * p->m;
	uint64_t cols = pst_min_u64(SCRATCH_BYTES, env->scratch_most) / column;
	const uint64_t products = cols > p->n ? cols / p->n : 1;
	struct pst_cuda_product q;
	uint32_t j, z, n, batch;
	int r = 0;

	cols = cols > GRAIN ? cols & ~(uint64_t)(GRAIN - 1) : GRAIN;
	for (z = 0; z < p->batch && r == 0; z += batch) {
		batch = (uint32_t)pst_min_u64(p->batch - z, products);
		for (j = 0; j < p->n && r == 0; j += n) {
			n = (uint32_t)pst_min_u64(p->n - j, cols);
			q = some_of(p, j, n, z, batch);
			r = by_copies(env, &q, err);
		}
	}
	return r;
}

int pst_cuda_i8_run(const struct pst_cuda_product_env *env,
		    const struct pst_cuda_product *p, struct pst_error *err)
{
	int r = -EOPNOTSUPP;

	if (!env->lacks->i8 && is_aligned(p))
		r = pst_cuda_blas_run(env, p, err);
	if (r == 0 && (p->act || p->bias))
		return pst_cuda_product_finish(env, p, 1, err);
	if (r != -EOPNOTSUPP || p->native)
		return r;
	if ((double)p->m * p->n * p->k * p->batch <= OWN_MOST)
		return by_our_kernel(env, p, err);
	return in_parts(env, p, err);
}
