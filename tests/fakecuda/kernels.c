/* SPDX-License-Identifier: MIT */
/* The functions of guest-agent/cuda/kernels.h: check what a kernel touches,
 * then start the real one of kernels.cu, as C++ of the CPU (emu.h). */
#include "guest-agent/cuda/kernels.h"

#include "tests/fakecuda/emu.h"
#include "tests/fakecuda/kernels.h"
#include "tests/fakecuda/streams.h"
#include "transport/op.h"

struct range {
	struct fakecuda_shape shape;
	const char *what;
};

static void range_item(const void *arg)
{
	const struct range *r = arg;
	const struct fakecuda_shape *s = &r->shape;

	fakecuda_touch(s->p,
		       (s->batch - 1) * s->stride + (s->n - 1) * s->pitch +
			       s->width,
		       r->what);
}

/* Lines of width elements; checked when the stream comes to it, as the kernel
 * is. A pointer that is NULL is an operand that is not there. */
static void touch(cudaStream_t s, const void *p, int dtype, uint64_t width,
		  uint64_t n, uint64_t ld, uint64_t batch, uint64_t stride,
		  bool write, const char *what)
{
	static const struct fakecuda_work at_once = {FAKECUDA_NO_ENGINE, 0};
	const unsigned int e = pst_dtype_size((uint32_t)dtype);
	const struct range r = {
		{p, width * e, n, ld * e, stride ? batch : 1, stride * e},
		what};

	if (!p || !width || !n || !batch)
		return;
	fakecuda_enqueue(s, &at_once, range_item, &r, sizeof(r));
	fakecuda_access(s, &r.shape, write, what);
}

cudaError_t pst_cuda_k_finish(cudaStream_t s, const struct pst_cuda_k_finish *f)
{
	if (f->scale != 0)
		touch(s, f->src, f->src_dtype, f->rows, f->cols, f->ld_src,
		      f->batch, f->stride_src, false, "a kernel's operand");
	touch(s, f->bias, f->dst_dtype, f->bias_of_rows ? f->rows : f->cols, 1,
	      0, 1, 0, false, "a kernel's bias");
	touch(s, f->dst, f->dst_dtype, f->rows, f->cols, f->ld_dst, f->batch,
	      f->stride_dst, true, "a kernel's result");
	return fakecuda_k_finish(s, f);
}

cudaError_t pst_cuda_k_gemm_i8(cudaStream_t s,
			       const struct pst_cuda_k_gemm_i8 *g)
{
	touch(s, g->a, PST_WIRE_I8, g->transa ? g->k : g->m,
	      g->transa ? g->m : g->k, g->lda, g->batch, g->stride_a, false,
	      "A of i8");
	touch(s, g->b, PST_WIRE_I8, g->transb ? g->n : g->k,
	      g->transb ? g->k : g->n, g->ldb, g->batch, g->stride_b, false,
	      "B of i8");
	touch(s, g->c, PST_WIRE_I32, g->m, g->n, g->ldc, g->batch, g->stride_c,
	      true, "C of i8");
	return fakecuda_k_gemm_i8(s, g);
}

cudaError_t pst_cuda_k_spread(cudaStream_t s, const struct pst_cuda_k_spread *p)
{
	touch(s, p->src, PST_WIRE_I8, p->rows, p->cols, p->ld_src, p->batch,
	      p->stride_src, false, "integers to be copied");
	touch(s, p->dst, p->dst_dtype, p->dst_rows, p->dst_cols, p->dst_rows,
	      p->batch, p->dst_rows * p->dst_cols, true, "a copy of integers");
	return fakecuda_k_spread(s, p);
}

cudaError_t pst_cuda_k_gather(cudaStream_t s, const struct pst_cuda_k_gather *p)
{
	touch(s, p->src, p->src_dtype, p->rows, p->cols, p->ld_src, p->batch,
	      p->stride_src, false, "sums of integers");
	touch(s, p->bias, PST_WIRE_I32, p->bias_of_rows ? p->rows : p->cols, 1,
	      0, 1, 0, false, "a sum's bias");
	touch(s, p->dst, PST_WIRE_I32, p->rows, p->cols, p->ld_dst, p->batch,
	      p->stride_dst, true, "integers");
	return fakecuda_k_gather(s, p);
}

cudaError_t pst_cuda_k_convert(cudaStream_t s, void *dst, int dst_dtype,
			       const void *src, int src_dtype, uint64_t n)
{
	touch(s, src, src_dtype, n, 1, n, 1, 0, false, "a kernel's operand");
	touch(s, dst, dst_dtype, n, 1, n, 1, 0, true, "a kernel's result");
	return fakecuda_k_convert(s, dst, dst_dtype, src, src_dtype, n);
}

static void touch_f32(cudaStream_t s, const float *p, uint64_t n, bool write,
		      const char *what)
{
	touch(s, p, PST_WIRE_F32, n, 1, n, 1, 0, write, what);
}

cudaError_t pst_cuda_k_unary(cudaStream_t s, enum pst_cuda_k_unary f, float *y,
			     const float *x, uint64_t n)
{
	touch_f32(s, x, n, false, "a function's operand");
	touch_f32(s, y, n, true, "a function's result");
	return fakecuda_k_unary(s, f, y, x, n);
}

cudaError_t pst_cuda_k_add(cudaStream_t s, float *y, const float *x,
			   const float *z, uint64_t n)
{
	touch_f32(s, x, n, false, "a sum's operand");
	touch_f32(s, z, n, false, "a summand");
	touch_f32(s, y, n, true, "a sum");
	return fakecuda_k_add(s, y, x, z, n);
}

cudaError_t pst_cuda_k_softmax(cudaStream_t s, float *y, const float *x,
			       uint64_t rows, uint64_t n)
{
	touch_f32(s, x, rows * n, false, "rows read");
	touch_f32(s, y, rows * n, true, "rows written");
	return fakecuda_k_softmax(s, y, x, rows, n);
}

cudaError_t pst_cuda_k_layernorm(cudaStream_t s, float *y, const float *x,
				 const float *w, const float *b, double eps,
				 uint64_t rows, uint64_t n)
{
	touch_f32(s, x, rows * n, false, "rows read");
	touch_f32(s, w, n, false, "a norm's weight");
	touch_f32(s, b, n, false, "a norm's bias");
	touch_f32(s, y, rows * n, true, "rows written");
	return fakecuda_k_layernorm(s, y, x, w, b, eps, rows, n);
}
