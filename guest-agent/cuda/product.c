/* SPDX-License-Identifier: MIT */
/* One matrix product on addresses the device reaches: cuBLAS, cuBLASLt or our
 * kernels, with the epilogue. */
#include "guest-agent/cuda/product.h"

#include <errno.h>

#include "guest-agent/cuda/device.h"
#include "guest-agent/cuda/kernels.h"
#include "guest-agent/cuda/product_int.h"

static bool is_16(enum pst_wire_dtype t)
{
	return t == PST_WIRE_F16 || t == PST_WIRE_BF16;
}

/* Lines of one operand in F32, close together. */
struct f32 {
	void *mem;
	uint32_t ld;
	uint64_t stride;
};

/* From a matrix of 16 bits to F32, times scale. */
static int widen(const struct pst_cuda_product_env *env,
		 enum pst_wire_dtype dtype, const void *src, uint64_t rows,
		 uint64_t cols, uint32_t ld, uint64_t stride, uint32_t batch,
		 double scale, struct f32 *ret, struct pst_error *err)
{
	struct pst_cuda_k_finish f = {
		.src = src,
		.dst_dtype = PST_WIRE_F32,
		.src_dtype = dtype,
		.rows = rows,
		.cols = cols,
		.batch = stride ? batch : 1,
		.ld_dst = rows,
		.ld_src = ld,
		.stride_dst = stride ? rows * cols : 0,
		.stride_src = stride,
		.scale = scale,
	};
	int r;

	r = pst_cuda_scratch(env, rows * cols * f.batch * sizeof(float),
			     &ret->mem, err);
	if (r < 0)
		return r;
	ret->ld = (uint32_t)rows;
	ret->stride = f.stride_dst;
	f.dst = ret->mem;
	/* A C that is not read needs the room only. */
	return scale == 0 ? 0
			  : pst_cuda_ok(pst_cuda_k_finish(env->stream, &f),
					"starting a conversion", err);
}

/* The product with its sums, and with inputs its operands too, in F32 on the
 * device: a result of 16 bits is rounded once, at the end. */
static int by_f32(const struct pst_cuda_product_env *env,
		  const struct pst_cuda_product *p, bool inputs,
		  struct pst_error *err)
{
	const bool wide_c = is_16(p->dtype_c);
	struct pst_cuda_product q = *p;
	struct pst_cuda_k_finish f = {
		.dst = p->c,
		.bias = p->bias,
		.dst_dtype = p->dtype_c,
		.src_dtype = PST_WIRE_F32,
		.act = p->act,
		.bias_of_rows = p->bias_of_rows,
		.rows = p->m,
		.cols = p->n,
		.batch = p->batch,
		.ld_dst = p->ldc,
		.stride_dst = p->stride_c,
		.scale = 1,
	};
	struct f32 a = {0}, b = {0}, c = {p->c, p->ldc, p->stride_c};
	int r = 0;

	if (inputs)
		r = widen(env, p->dtype, p->a, p->transa ? p->k : p->m,
			  p->transa ? p->m : p->k, p->lda, p->stride_a,
			  p->batch, 1, &a, err);
	if (r == 0 && inputs)
		r = widen(env, p->dtype, p->b, p->transb ? p->n : p->k,
			  p->transb ? p->k : p->n, p->ldb, p->stride_b,
			  p->batch, 1, &b, err);
	if (r == 0 && wide_c) {
		c.mem = NULL;
		/* A batch of one has no stride that would tell. */
		r = widen(env, p->dtype_c, p->c, p->m, p->n, p->ldc,
			  p->batch > 1 ? p->stride_c : 0, p->batch, p->beta, &c,
			  err);
		q.beta = p->beta != 0;
	}
	q.dtype_c = PST_WIRE_F32;
	q.act = PST_WIRE_ACT_NONE;
	q.bias = NULL;
	if (inputs) {
		q.dtype = PST_WIRE_F32;
		q.a = a.mem;
		q.lda = a.ld;
		q.stride_a = a.stride;
		q.b = b.mem;
		q.ldb = b.ld;
		q.stride_b = b.stride;
	}
	q.c = c.mem;
	q.ldc = c.ld;
	q.stride_c = c.stride;
	if (r == 0)
		r = pst_cuda_blas_run(env, &q, err);
	f.src = c.mem;
	f.ld_src = c.ld;
	f.stride_src = c.stride;
	if (r == 0 && (wide_c || p->act || p->bias))
		r = pst_cuda_ok(pst_cuda_k_finish(env->stream, &f),
				"starting a conversion", err);
	pst_cuda_scratch_drop(env, a.mem);
	pst_cuda_scratch_drop(env, b.mem);
	if (wide_c)
		pst_cuda_scratch_drop(env, c.mem);
	return r;
}

static bool lacks_type(const struct pst_cuda_product_env *env,
		       enum pst_wire_dtype t)
{
	return (t == PST_WIRE_F16 && env->lacks->f16) ||
	       (t == PST_WIRE_BF16 && env->lacks->bf16);
}

int pst_cuda_product_run(const struct pst_cuda_product_env *env,
			 const struct pst_cuda_product *p,
			 struct pst_error *err)
{
	int r;

	if (p->m == 0 || p->n == 0 || p->batch == 0)
		return 0;
	if (p->k == 0 || p->alpha == 0)
		return pst_cuda_product_finish(env, p, p->beta, err);
	if (p->dtype == PST_WIRE_I8)
		return pst_cuda_i8_run(env, p, err);
	if (lacks_type(env, p->dtype))
		return by_f32(env, p, true, err);
	if (p->act || p->bias) {
		r = pst_cuda_lt_run(env, p, err);
		if (r)
			return r < 0 ? r : 0;
	}
	if ((p->act || p->bias) && is_16(p->dtype_c))
		r = by_f32(env, p, false, err);
	else
		r = pst_cuda_blas_run(env, p, err);
	/* The library may have a type, and not for each shape. */
	if (r == -EOPNOTSUPP && is_16(p->dtype) && !p->native)
		return by_f32(env, p, true, err);
	if (r == 0 && (p->act || p->bias) && !is_16(p->dtype_c))
		r = pst_cuda_product_finish(env, p, 1, err);
	return r;
}
