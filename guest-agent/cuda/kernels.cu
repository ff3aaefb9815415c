/* SPDX-License-Identifier: MIT */
/* Kernels for what cuBLAS lacks. */
#include "guest-agent/cuda/kernels.h"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

/* Numbers of transport/wire.h, which is C and not C++. */
#define F32  1
#define F64  2
#define F16  3
#define BF16 4
#define I8   5
#define I32  6

#define ACT_RELU      1
#define ACT_GELU_TANH 2
#define ACT_GELU_ERF  3

#define THREADS	  256
#define MAX_BLOCKS 65535

/* The double of CUDA in the tests has another one: it runs these kernels on
 * the CPU (tests/fakecuda/emu.h). */
#ifndef LAUNCH
#define LAUNCH(kernel, grid, block, stream, ...)                               \
	kernel<<<grid, block, 0, stream>>>(__VA_ARGS__)
#endif

static unsigned int blocks_for(uint64_t n)
{
	uint64_t b = (n + THREADS - 1) / THREADS;

	return (unsigned int)(b > MAX_BLOCKS ? MAX_BLOCKS : b ? b : 1);
}

/* A block for each row, or for each of as many as a grid has. */
static unsigned int rows_of_blocks(uint64_t n)
{
	return (unsigned int)(n < MAX_BLOCKS ? n : MAX_BLOCKS);
}

/* The type a value is worked on in: double for F64 only. */
template <typename T> struct work {
	typedef float type;
};
template <> struct work<double> {
	typedef double type;
};

template <typename T, typename W> __device__ static W load(const T *p)
{
	return (W)*p;
}
template <> __device__ float load<__half, float>(const __half *p)
{
	return __half2float(*p);
}
template <>
__device__ float load<__nv_bfloat16, float>(const __nv_bfloat16 *p)
{
	return __bfloat162float(*p);
}

template <typename T, typename W> __device__ static void store(T *p, W v)
{
	*p = (T)v;
}
template <> __device__ void store<__half, float>(__half *p, float v)
{
	*p = __float2half_rn(v);
}
template <>
__device__ void store<__nv_bfloat16, float>(__nv_bfloat16 *p, float v)
{
	*p = __float2bfloat16_rn(v);
}

__device__ static float gelu_tanh(float x)
{
	const float c = 0.7978845608028654f; /* sqrt(2 / pi) */

	return 0.5f * x * (1 + tanhf(c * (x + 0.044715f * x * x * x)));
}
__device__ static double gelu_tanh(double x)
{
	const double c = 0.7978845608028654;

	return 0.5 * x * (1 + tanh(c * (x + 0.044715 * x * x * x)));
}
__device__ static float gelu_erf(float x)
{
	return 0.5f * x * (1 + erff(x * 0.7071067811865476f));
}
__device__ static double gelu_erf(double x)
{
	return 0.5 * x * (1 + erf(x * 0.7071067811865476));
}

template <typename W> __device__ static W activate(W x, int act)
{
	switch (act) {
	case ACT_RELU:
		/* Keeps NaN. */
		return x < 0 ? (W)0 : x;
	case ACT_GELU_TANH:
		return gelu_tanh(x);
	case ACT_GELU_ERF:
		return gelu_erf(x);
	default:
		return x;
	}
}

template <typename D, typename S>
__global__ static void finish_kernel(struct pst_cuda_k_finish f)
{
	typedef typename work<D>::type W;
	const uint64_t step = (uint64_t)gridDim.x * blockDim.x;
	const uint64_t all = f.rows * f.cols * f.batch;
	uint64_t e = (uint64_t)blockIdx.x * blockDim.x + threadIdx.x;
	uint64_t row, col, b;
	W x;

	for (; e < all; e += step) {
		row = e % f.rows;
		col = e / f.rows % f.cols;
		b = e / f.rows / f.cols;
		x = 0;
		if (f.scale != 0)
			x = (W)f.scale *
			    load<S, W>((const S *)f.src + b * f.stride_src +
				       col * f.ld_src + row);
		if (f.bias)
			x += load<D, W>((const D *)f.bias +
					(f.bias_of_rows ? row : col));
		store<D, W>((D *)f.dst + b * f.stride_dst + col * f.ld_dst +
				    row,
			    activate<W>(x, f.act));
	}
}

__global__ static void finish_i32(struct pst_cuda_k_finish f)
{
	const uint64_t step = (uint64_t)gridDim.x * blockDim.x;
	const uint64_t all = f.rows * f.cols * f.batch;
	uint64_t e = (uint64_t)blockIdx.x * blockDim.x + threadIdx.x;
	uint64_t row, col, b;
	uint32_t x;

	for (; e < all; e += step) {
		row = e % f.rows;
		col = e / f.rows % f.cols;
		b = e / f.rows / f.cols;
		x = 0;
		if (f.scale != 0)
			x = (uint32_t)(int32_t)f.scale *
			    ((const uint32_t *)f.src)[b * f.stride_src +
						      col * f.ld_src + row];
		if (f.bias)
			x += ((const uint32_t *)f.bias)[f.bias_of_rows ? row
								       : col];
		if (f.act == ACT_RELU && (int32_t)x < 0)
			x = 0;
		((uint32_t *)f.dst)[b * f.stride_dst + col * f.ld_dst + row] =
			x;
	}
}

template <typename D>
static cudaError_t finish_to(cudaStream_t s, const struct pst_cuda_k_finish *f)
{
	const unsigned int n = blocks_for(f->rows * f->cols * f->batch);

	switch (f->src_dtype) {
	case F64:
		LAUNCH((finish_kernel<D, double>), n, THREADS, s, *f);
		break;
	case F32:
		LAUNCH((finish_kernel<D, float>), n, THREADS, s, *f);
		break;
	case F16:
		LAUNCH((finish_kernel<D, __half>), n, THREADS, s, *f);
		break;
	case BF16:
		LAUNCH((finish_kernel<D, __nv_bfloat16>), n, THREADS, s, *f);
		break;
	default:
		return cudaErrorInvalidValue;
	}
	return cudaGetLastError();
}

extern "C" cudaError_t pst_cuda_k_finish(cudaStream_t s,
				    const struct pst_cuda_k_finish *f)
{
	switch (f->dst_dtype) {
	case F64:
		/* From F64 only. */
		LAUNCH((finish_kernel<double, double>),
		       blocks_for(f->rows * f->cols * f->batch), THREADS, s,
		       *f);
		return cudaGetLastError();
	case F32:
		return finish_to<float>(s, f);
	case F16:
		return finish_to<__half>(s, f);
	case BF16:
		return finish_to<__nv_bfloat16>(s, f);
	case I32:
		LAUNCH(finish_i32, blocks_for(f->rows * f->cols * f->batch),
		       THREADS, s, *f);
		return cudaGetLastError();
	default:
		return cudaErrorInvalidValue;
	}
}

#define SIDE 16

__global__ static void gemm_i8_kernel(struct pst_cuda_k_gemm_i8 g)
{
	__shared__ int8_t a[SIDE][SIDE + 4], b[SIDE][SIDE + 4];
	const uint64_t col = (uint64_t)blockIdx.y * SIDE + threadIdx.y;
	const int tx = threadIdx.x, ty = threadIdx.y;
	uint64_t row, z, l, i, j;
	uint32_t sum, *c;

	for (z = blockIdx.z; z < g.batch; z += gridDim.z) {
		row = (uint64_t)blockIdx.x * SIDE + threadIdx.x;
		sum = 0;
		for (l = 0; l < g.k; l += SIDE) {
			i = l + ty;
			a[ty][tx] = row < g.m && i < g.k
					    ? g.a[z * g.stride_a +
						  (g.transa ? row * g.lda + i
							    : i * g.lda + row)]
					    : 0;
			j = l + tx;
			b[ty][tx] = col < g.n && j < g.k
					    ? g.b[z * g.stride_b +
						  (g.transb ? j * g.ldb + col
							    : col * g.ldb + j)]
					    : 0;
			__syncthreads();
			for (int t = 0; t < SIDE; t++)
				sum += (uint32_t)((int32_t)a[t][tx] *
						  (int32_t)b[ty][t]);
			__syncthreads();
		}
		if (row >= g.m || col >= g.n)
			continue;
		c = (uint32_t *)g.c + z * g.stride_c + col * g.ldc + row;
		sum *= (uint32_t)g.alpha;
		if (g.beta)
			sum += (uint32_t)g.beta * *c;
		*c = sum;
	}
}

extern "C" cudaError_t pst_cuda_k_gemm_i8(cudaStream_t s,
				     const struct pst_cuda_k_gemm_i8 *g)
{
	/* The second side of a grid is short: columns in bands. */
	const uint64_t band = (uint64_t)MAX_BLOCKS * SIDE;
	struct pst_cuda_k_gemm_i8 p = *g;
	uint64_t col;
	cudaError_t e;

	for (col = 0; col < g->n; col += band) {
		p.n = g->n - col < band ? g->n - col : band;
		p.b = g->b + (g->transb ? col : col * g->ldb);
		p.c = g->c + col * g->ldc;
		LAUNCH(gemm_i8_kernel,
		       dim3((unsigned int)((p.m + SIDE - 1) / SIDE),
			    (unsigned int)((p.n + SIDE - 1) / SIDE),
			    rows_of_blocks(p.batch)),
		       dim3(SIDE, SIDE), s, p);
		e = cudaGetLastError();
		if (e != cudaSuccess)
			return e;
	}
	return cudaSuccess;
}

template <typename D>
__global__ static void spread_kernel(struct pst_cuda_k_spread p)
{
	const uint64_t step = (uint64_t)gridDim.x * blockDim.x;
	const uint64_t all = p.dst_rows * p.dst_cols * p.batch;
	uint64_t e = (uint64_t)blockIdx.x * blockDim.x + threadIdx.x;
	uint64_t row, col, b;

	for (; e < all; e += step) {
		row = e % p.dst_rows;
		col = e / p.dst_rows % p.dst_cols;
		b = e / p.dst_rows / p.dst_cols;
		((D *)p.dst)[e] = row < p.rows && col < p.cols
					  ? (D)p.src[b * p.stride_src +
						     col * p.ld_src + row]
					  : (D)0;
	}
}

extern "C" cudaError_t pst_cuda_k_spread(cudaStream_t s,
				    const struct pst_cuda_k_spread *p)
{
	const unsigned int n = blocks_for(p->dst_rows * p->dst_cols * p->batch);

	if (p->dst_dtype == F32)
		LAUNCH(spread_kernel<float>, n, THREADS, s, *p);
	else
		LAUNCH(spread_kernel<int8_t>, n, THREADS, s, *p);
	return cudaGetLastError();
}

template <typename S>
__global__ static void gather_kernel(struct pst_cuda_k_gather p)
{
	const uint64_t step = (uint64_t)gridDim.x * blockDim.x;
	const uint64_t all = p.rows * p.cols * p.batch;
	uint64_t e = (uint64_t)blockIdx.x * blockDim.x + threadIdx.x;
	uint64_t row, col, b;
	uint32_t *d, x;

	for (; e < all; e += step) {
		row = e % p.rows;
		col = e / p.rows % p.cols;
		b = e / p.rows / p.cols;
		d = (uint32_t *)p.dst + b * p.stride_dst + col * p.ld_dst + row;
		x = (uint32_t)p.alpha *
		    (uint32_t)(int32_t)((const S *)p.src)[b * p.stride_src +
							  col * p.ld_src + row];
		if (p.beta)
			x += (uint32_t)p.beta * *d;
		if (p.bias)
			x += (uint32_t)p.bias[p.bias_of_rows ? row : col];
		*d = p.act == ACT_RELU && (int32_t)x < 0 ? 0 : x;
	}
}

extern "C" cudaError_t pst_cuda_k_gather(cudaStream_t s,
				    const struct pst_cuda_k_gather *p)
{
	const unsigned int n = blocks_for(p->rows * p->cols * p->batch);

	if (p->src_dtype == F32)
		LAUNCH(gather_kernel<float>, n, THREADS, s, *p);
	else
		LAUNCH(gather_kernel<int32_t>, n, THREADS, s, *p);
	return cudaGetLastError();
}

extern "C" cudaError_t pst_cuda_k_convert(cudaStream_t s, void *dst, int dst_dtype,
				     const void *src, int src_dtype, uint64_t n)
{
	struct pst_cuda_k_finish f = {};

	f.dst = dst;
	f.src = src;
	f.dst_dtype = dst_dtype;
	f.src_dtype = src_dtype;
	f.rows = f.ld_dst = f.ld_src = n;
	f.cols = f.batch = 1;
	f.scale = 1;
	return pst_cuda_k_finish(s, &f);
}

__device__ static float unary(enum pst_cuda_k_unary f, float x)
{
	switch (f) {
	case PST_CUDA_K_RELU:
		return x < 0 ? 0 : x;
	case PST_CUDA_K_GELU_ERF:
		return gelu_erf(x);
	case PST_CUDA_K_GELU_TANH:
		return gelu_tanh(x);
	case PST_CUDA_K_SILU:
		return x / (1 + expf(-x));
	case PST_CUDA_K_TANH:
		return tanhf(x);
	default:
		return 1 / (1 + expf(-x));
	}
}

__global__ static void unary_kernel(enum pst_cuda_k_unary f, float *y,
				    const float *x, uint64_t n)
{
	const uint64_t step = (uint64_t)gridDim.x * blockDim.x;
	uint64_t i = (uint64_t)blockIdx.x * blockDim.x + threadIdx.x;

	for (; i < n; i += step)
		y[i] = unary(f, x[i]);
}

extern "C" cudaError_t pst_cuda_k_unary(cudaStream_t s, enum pst_cuda_k_unary f, float *y,
				   const float *x, uint64_t n)
{
	LAUNCH(unary_kernel, blocks_for(n), THREADS, s, f, y, x, n);
	return cudaGetLastError();
}

__global__ static void add_kernel(float *y, const float *x, const float *z,
				  uint64_t n)
{
	const uint64_t step = (uint64_t)gridDim.x * blockDim.x;
	uint64_t i = (uint64_t)blockIdx.x * blockDim.x + threadIdx.x;

	for (; i < n; i += step)
		y[i] = x[i] + z[i];
}

extern "C" cudaError_t pst_cuda_k_add(cudaStream_t s, float *y, const float *x,
				 const float *z, uint64_t n)
{
	LAUNCH(add_kernel, blocks_for(n), THREADS, s, y, x, z, n);
	return cudaGetLastError();
}

/* Over the block's values; every thread gets the result. */
template <bool MAX> __device__ static float reduce(float v)
{
	__shared__ float part[THREADS];
	unsigned int i;

	__syncthreads();
	part[threadIdx.x] = v;
	for (i = THREADS / 2; i > 0; i /= 2) {
		__syncthreads();
		if (threadIdx.x < i) {
			v = part[threadIdx.x + i];
			part[threadIdx.x] = MAX ? fmaxf(part[threadIdx.x], v)
						: part[threadIdx.x] + v;
		}
	}
	__syncthreads();
	return part[0];
}

__global__ static void softmax_kernel(float *y, const float *x, uint64_t rows,
				      uint64_t n)
{
	uint64_t row, i;
	float top, sum;

	for (row = blockIdx.x; row < rows; row += gridDim.x) {
		const float *in = x + row * n;
		float *out = y + row * n;

		top = -INFINITY;
		for (i = threadIdx.x; i < n; i += THREADS)
			top = fmaxf(top, in[i]);
		top = reduce<true>(top);
		sum = 0;
		for (i = threadIdx.x; i < n; i += THREADS)
			sum += expf(in[i] - top);
		sum = reduce<false>(sum);
		for (i = threadIdx.x; i < n; i += THREADS)
			out[i] = expf(in[i] - top) / sum;
	}
}

extern "C" cudaError_t pst_cuda_k_softmax(cudaStream_t s, float *y, const float *x,
				     uint64_t rows, uint64_t n)
{
	LAUNCH(softmax_kernel, rows_of_blocks(rows), THREADS, s, y, x, rows,
	       n);
	return cudaGetLastError();
}

__global__ static void layernorm_kernel(float *y, const float *x,
					const float *w, const float *b,
					float eps, uint64_t rows, uint64_t n)
{
	uint64_t row, i;
	float mean, var, d;

	for (row = blockIdx.x; row < rows; row += gridDim.x) {
		const float *in = x + row * n;
		float *out = y + row * n;

		mean = 0;
		for (i = threadIdx.x; i < n; i += THREADS)
			mean += in[i];
		mean = reduce<false>(mean) / (float)n;
		var = 0;
		for (i = threadIdx.x; i < n; i += THREADS) {
			d = in[i] - mean;
			var += d * d;
		}
		var = reduce<false>(var) / (float)n;
		d = rsqrtf(var + eps);
		for (i = threadIdx.x; i < n; i += THREADS)
			out[i] = (in[i] - mean) * d * (w ? w[i] : 1.0f) +
				 (b ? b[i] : 0.0f);
	}
}

extern "C" cudaError_t pst_cuda_k_layernorm(cudaStream_t s, float *y, const float *x,
				       const float *w, const float *b,
				       double eps, uint64_t rows, uint64_t n)
{
	LAUNCH(layernorm_kernel, rows_of_blocks(rows), THREADS, s, y, x, w, b,
	       (float)eps, rows, n);
	return cudaGetLastError();
}
