/* SPDX-License-Identifier: MIT */
/* Measures the rates of card, bus and library once, at start. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "guest-agent/cuda/context.h"
#include "guest-agent/cuda/kernels.h"
#include "transport/base/util.h"
#include "transport/dtype.h"

/* Copied to find a bandwidth. */
#define COPY_BYTES (16ULL << 20)
/* Read in place by a kernel. */
#define MAPPED_BYTES (4ULL << 20)
/* Runs of each measurement; the fastest counts. */
#define RUNS 3
/* Copies of nothing much, to find what one costs beside its bytes. */
#define SMALL_COPIES 16
/* The side of a product grows until one takes this long. */
#define FIRST_SIDE 64U
#define LAST_SIDE  4096U
#define ENOUGH_NS  (500 * PST_NS_PER_US)

/* Warming up: runs of about this length, so many alike in a row, at most so
 * long. */
#define WARM_RUN_NS (5 * PST_NS_PER_MS)
#define WARM_SAME   2
#define WARM_NS     (300 * PST_NS_PER_MS)

/* Number of values for the GELU test, and the allowed error: F32's rounding of
 * such x. */
#define GELU_SIDE  64U
#define GELU_BOUND 2e-6

struct probe {
	struct pst_backend *b;
	cudaStream_t s;
	uint8_t *pinned; /* COPY_BYTES */
	uint64_t bytes;  /* that fit the pipe's memory and the region */
};

/* Whether three matrices of this side, of the widest elements, fit the pipe. */
static bool fits(const struct probe *p, uint32_t n)
{
	return (uint64_t)n * n * sizeof(double) <= p->b->pipe.size / 3 - 256;
}

/* One piece of work to be timed. */
typedef int probe_fn(const struct probe *p, struct pst_error *err);

/* Nanoseconds of the fastest of several runs, until the device has finished. */
static int time_of(const struct probe *p, probe_fn *fn, uint64_t *ret_ns,
		   struct pst_error *err)
{
	uint64_t start, ns;
	int i, r;

	*ret_ns = UINT64_MAX;
	for (i = 0; i < RUNS + 1; i++) {
		start = pst_now_ns();
		r = fn(p, err);
		if (r == 0)
			r = pst_cuda_ok(cudaStreamSynchronize(p->s),
					"waiting for a measurement", err);
		if (r < 0)
			return r;
		ns = pst_now_ns() - start;
		/* The first run includes the driver's set-up. */
		if (i > 0 && ns < *ret_ns)
			*ret_ns = ns ? ns : 1;
	}
	return 0;
}

static int launch(const struct probe *p, struct pst_error *err)
{
	return pst_cuda_ok(pst_cuda_k_convert(p->s, p->b->pipe.mem,
					      PST_WIRE_F32, p->b->pipe.mem,
					      PST_WIRE_F32, 1),
			   "starting a kernel", err);
}

/* Some in a row, as the pipe has them: one alone is mostly the way to the card
 * and back. */
static int copy_small(const struct probe *p, struct pst_error *err)
{
	int i, r = 0;

	for (i = 0; i < SMALL_COPIES && r == 0; i++)
		r = pst_cuda_ok(cudaMemcpyAsync(p->b->pipe.mem, p->pinned, 64,
						cudaMemcpyHostToDevice, p->s),
				"copying to the device", err);
	return r;
}

/* From the region itself, whose memory may be slower than other memory. */
static int copy_in(const struct probe *p, struct pst_error *err)
{
	const struct pst_cuda_lines l = {
		.off = p->b->size - p->bytes,
		.pitch = p->bytes,
		.dev = p->b->pipe.mem,
		.dev_pitch = p->bytes,
		.width = p->bytes,
		.n = 1,
		.to_device = true,
	};

	return pst_cuda_mover_copy(&p->b->pipe.in, &l, err);
}

/* Not into the region, which may be someone's. */
static int copy_out(const struct probe *p, struct pst_error *err)
{
	return pst_cuda_ok(cudaMemcpyAsync(p->pinned, p->b->pipe.mem, p->bytes,
					   cudaMemcpyDeviceToHost, p->s),
			   "copying from the device", err);
}

static uint64_t mapped_bytes(const struct probe *p)
{
	return p->bytes < MAPPED_BYTES ? p->bytes : MAPPED_BYTES;
}

static int read_mapped(const struct probe *p, struct pst_error *err)
{
	const struct pst_backend *b = p->b;

	return pst_cuda_ok(
		pst_cuda_k_convert(p->s, b->pipe.mem, PST_WIRE_F32,
				   b->region.mapped + b->size - mapped_bytes(p),
				   PST_WIRE_F32,
				   mapped_bytes(p) / sizeof(float)),
		"reading the region in place", err);
}

static int copy_device(const struct probe *p, struct pst_error *err)
{
	const uint64_t half = p->bytes / 2;

	return pst_cuda_ok(cudaMemcpyAsync(p->b->pipe.mem + half,
					   p->b->pipe.mem, half,
					   cudaMemcpyDeviceToDevice, p->s),
			   "copying on the device", err);
}

static double rate(double amount, uint64_t ns)
{
	return amount * (double)PST_NS_PER_S / (double)ns;
}

/* The region was registered, and the card's first access to it failed: it may
 * have fewer bits of an address than the region needs. */
static int out_of_reach(const struct probe *p, int r, struct pst_error *err)
{
	const struct pst_error why = *err;

	if (!p->b->region.mapped)
		return r;
	return pst_error_set(err, r,
			     "%s; if the card does not reach the region, "
			     "PENSTOCK_CUDA_REGISTRATION=staged goes without",
			     why.text);
}

static int measure_paths(struct probe *p, struct pst_error *err)
{
	struct pst_cuda_calibration *c = &p->b->calibration;
	const double bytes = (double)p->bytes;
	uint64_t ns;
	int r;

	c->multiprocessors = p->b->device.multiprocessors;
	if ((r = time_of(p, launch, &ns, err)) < 0)
		return r;
	c->launch_ns = (double)ns;
	if ((r = time_of(p, copy_small, &ns, err)) < 0)
		return r;
	c->copy_ns = (double)ns / SMALL_COPIES;
	if ((r = time_of(p, copy_in, &ns, err)) < 0)
		return out_of_reach(p, r, err);
	c->h2d = rate(bytes, ns);
	if ((r = time_of(p, copy_out, &ns, err)) < 0)
		return r;
	c->d2h = rate(bytes, ns);
	if ((r = time_of(p, copy_device, &ns, err)) < 0)
		return r;
	c->device = rate(bytes, ns);
	if (!p->b->region.mapped)
		return 0;
	if ((r = time_of(p, read_mapped, &ns, err)) < 0)
		return out_of_reach(p, r, err);
	c->mapped = rate((double)mapped_bytes(p), ns);
	return 0;
}

static struct pst_cuda_product product_of(const struct probe *p,
					  enum pst_cuda_rate which, uint32_t n)
{
	static const enum pst_wire_dtype types[PST_CUDA_N_RATES] = {
		[PST_CUDA_RATE_F64] = PST_WIRE_F64,
		[PST_CUDA_RATE_F32] = PST_WIRE_F32,
		[PST_CUDA_RATE_TF32] = PST_WIRE_F32,
		[PST_CUDA_RATE_FAST_F16] = PST_WIRE_F32,
		[PST_CUDA_RATE_F16] = PST_WIRE_F16,
		[PST_CUDA_RATE_BF16] = PST_WIRE_BF16,
		[PST_CUDA_RATE_I8] = PST_WIRE_I8,
	};
	const enum pst_wire_dtype t = types[which];
	const uint64_t third = p->b->pipe.size / 3 & ~(uint64_t)255;
	struct pst_cuda_product q = {
		.dtype = t,
		.dtype_c = pst_dtype_of_c(t),
		.m = n,
		.n = n,
		.k = n,
		.batch = 1,
		.lda = n,
		.ldb = n,
		.ldc = n,
		.native = true,
		.alpha = 1,
		.a = p->b->pipe.mem,
		.b = p->b->pipe.mem + third,
		.c = p->b->pipe.mem + 2 * third,
	};

	if (which == PST_CUDA_RATE_TF32)
		q.compute = PST_WIRE_COMPUTE_TF32;
	else if (which == PST_CUDA_RATE_FAST_F16)
		q.compute = PST_WIRE_COMPUTE_FAST_F16;
	return q;
}

static struct pst_cuda_product_env env_of(const struct probe *p)
{
	return pst_cuda_env(p->b, p->s, p->b->pipe.workspace);
}

static int time_product(const struct probe *p, const struct pst_cuda_product *q,
			uint64_t *ret_ns, struct pst_error *err)
{
	const struct pst_cuda_product_env env = env_of(p);
	uint64_t start;
	int i, r;

	*ret_ns = UINT64_MAX;
	for (i = 0; i < 2; i++) {
		start = pst_now_ns();
		r = pst_cuda_product_run(&env, q, err);
		if (r == 0)
			r = pst_cuda_ok(cudaStreamSynchronize(p->s),
					"waiting for a measurement", err);
		if (r < 0)
			return r;
		if (pst_now_ns() - start < *ret_ns)
			*ret_ns = pst_now_ns() - start + 1;
	}
	return 0;
}

/* A kind of product that fails while the context lives costs that kind, not the
 * card, whatever the library calls it. Without F32 there is nothing left. */
static int refused(struct pst_backend *b, enum pst_cuda_rate which, int r,
		   const struct pst_error *err)
{
	if (which == PST_CUDA_RATE_F32 || pst_cuda_check_lost(b, err))
		return r;
	b->no_rate[which] = true;
	b->refusal[which] = *err;
	return 0;
}

/* Measures rates by the largest product that fits and is not slow. Kinds that
 * the library refuses are recorded. */
static int measure_rate(const struct probe *p, enum pst_cuda_rate which,
			struct pst_error *err)
{
	struct pst_backend *b = p->b;
	struct pst_cuda_product q;
	uint64_t ns;
	uint32_t n;
	int r;

	for (n = FIRST_SIDE; n <= LAST_SIDE; n *= 2) {
		if (!fits(p, n))
			break;
		q = product_of(p, which, n);
		r = time_product(p, &q, &ns, err);
		if (r < 0)
			return refused(b, which, r, err);
		b->calibration.flops[which] =
			rate(2.0 * n * n * n,
			     ns > (uint64_t)b->calibration.launch_ns * 2
				     ? ns - (uint64_t)b->calibration.launch_ns
				     : ns);
		if (ns > ENOUGH_NS)
			break;
	}
	return 0;
}

/*
 * Whether cuBLASLt's GELU is the one by tanh to within F32's rounding. Its
 * documentation gives no bound, and hardware has a tanh of 11 bits. Values of
 * x from -4 to 4, as the products of a column and ones.
 */
static int probe_gelu(const struct probe *p, struct pst_error *err)
{
	const uint64_t bytes = (uint64_t)GELU_SIDE * GELU_SIDE * sizeof(float);
	struct pst_cuda_product q = product_of(p, PST_CUDA_RATE_F32, GELU_SIDE);
	const struct pst_cuda_product_env env = env_of(p);
	float *x = (float *)(void *)p->pinned;
	double want, worst = 0;
	uint32_t i;
	int r;

	if (p->bytes < 3 * bytes || p->b->pipe.size / 3 < bytes + 256)
		return 0;
	memset(x, 0, 2 * bytes);
	for (i = 0; i < GELU_SIDE; i++) {
		x[i] = 8.0F * (float)i / GELU_SIDE - 4;
		x[GELU_SIDE * (GELU_SIDE + i)] = 1;
	}
	q.act = PST_WIRE_ACT_GELU_TANH;
	q.c = p->b->pipe.mem + 2 * bytes;
	q.b = p->b->pipe.mem + bytes;
	r = pst_cuda_ok(cudaMemcpyAsync(p->b->pipe.mem, x, 2 * bytes,
					cudaMemcpyHostToDevice, p->s),
			"copying to the device", err);
	if (r == 0)
		r = pst_cuda_lt_run(&env, &q, err);
	if (r <= 0)
		return r;
	x += GELU_SIDE * GELU_SIDE * 2;
	r = pst_cuda_ok(
		cudaMemcpyAsync(x, q.c, bytes, cudaMemcpyDeviceToHost, p->s),
		"copying from the device", err);
	if (r == 0)
		r = pst_cuda_ok(cudaStreamSynchronize(p->s),
				"waiting for a measurement", err);
	for (i = 0; r == 0 && i < GELU_SIDE; i++) {
		want = 8.0 * i / GELU_SIDE - 4;
		want = 0.5 * want *
		       (1 + tanh(0.79788456080286535588 *
				 (want + 0.044715 * want * want * want)));
		worst = fmax(worst, fabs((double)x[i] - want));
	}
	p->b->rough_gelu = worst > GELU_BOUND;
	return r;
}

static bool too_old(const struct pst_backend *b, enum pst_cuda_rate which)
{
	const uint32_t cc = b->device.major * 10 + b->device.minor;

	/* The library computes without them there, in F32. */
	return (which == PST_CUDA_RATE_TF32 && cc < 80) ||
	       (which == PST_CUDA_RATE_FAST_F16 && cc < 70);
}

/* A kernel is loaded when it is first started, and loading may wait for all
 * that is on the device: now, not beside another lane's work. */
static int load_kernels(const struct probe *p, struct pst_error *err)
{
	static const int types[][2] = {
		{PST_WIRE_F64, PST_WIRE_F64},  {PST_WIRE_I32, PST_WIRE_I32},
		{PST_WIRE_F32, PST_WIRE_F64},  {PST_WIRE_F32, PST_WIRE_F32},
		{PST_WIRE_F32, PST_WIRE_F16},  {PST_WIRE_F32, PST_WIRE_BF16},
		{PST_WIRE_F16, PST_WIRE_F64},  {PST_WIRE_F16, PST_WIRE_F32},
		{PST_WIRE_F16, PST_WIRE_F16},  {PST_WIRE_F16, PST_WIRE_BF16},
		{PST_WIRE_BF16, PST_WIRE_F64}, {PST_WIRE_BF16, PST_WIRE_F32},
		{PST_WIRE_BF16, PST_WIRE_F16}, {PST_WIRE_BF16, PST_WIRE_BF16},
	};
	uint8_t *mem = p->b->pipe.mem;
	float *x = (float *)(void *)mem;
	const struct pst_cuda_k_gemm_i8 i8 = {
		.a = (const int8_t *)mem,
		.b = (const int8_t *)mem,
		.c = (int32_t *)(void *)(mem + 8),
		.m = 1,
		.n = 1,
		.k = 1,
		.batch = 1,
		.lda = 1,
		.ldb = 1,
		.ldc = 1,
		.alpha = 1,
	};
	struct pst_cuda_k_spread spread = {
		.dst = mem + 8,
		.src = (const int8_t *)mem,
		.rows = 1,
		.cols = 1,
		.dst_rows = 1,
		.dst_cols = 1,
		.batch = 1,
	};
	struct pst_cuda_k_gather gather = {
		.dst = (int32_t *)(void *)(mem + 8),
		.src = mem,
		.rows = 1,
		.cols = 1,
		.batch = 1,
	};
	cudaError_t e = cudaSuccess;
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(types) && e == cudaSuccess; i++)
		e = pst_cuda_k_convert(p->s, mem + 8, types[i][0], mem,
				       types[i][1], 1);
	if (e == cudaSuccess)
		e = pst_cuda_k_gemm_i8(p->s, &i8);
	for (i = 0; i < 2 && e == cudaSuccess; i++) {
		spread.dst_dtype = i ? PST_WIRE_F32 : PST_WIRE_I8;
		gather.src_dtype = i ? PST_WIRE_F32 : PST_WIRE_I32;
		e = pst_cuda_k_spread(p->s, &spread);
		if (e == cudaSuccess)
			e = pst_cuda_k_gather(p->s, &gather);
	}
	if (e == cudaSuccess)
		e = pst_cuda_k_unary(p->s, PST_CUDA_K_RELU, x, x, 1);
	if (e == cudaSuccess)
		e = pst_cuda_k_add(p->s, x, x, x, 1);
	if (e == cudaSuccess)
		e = pst_cuda_k_softmax(p->s, x, x, 1, 1);
	if (e == cudaSuccess)
		e = pst_cuda_k_layernorm(p->s, x, x, NULL, NULL, 1, 1, 1);
	return pst_cuda_ok(e, "starting a kernel", err);
}

/* Noise in the operands of products: a card computes zeros with less power, and
 * so at higher clocks. 0x3f8 to 0x3ff and 0xbf8 begin numbers around 1 in each
 * type. */
static int fill(const struct probe *p, struct pst_error *err)
{
	const uint64_t part = p->b->pipe.size / 3 & ~(uint64_t)255;
	const uint64_t n = p->bytes < part ? p->bytes : part;
	uint64_t x = 88172645463325252ULL, i, at;
	int r = 0;

	for (i = 0; i + 8 <= p->bytes; i += 8) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		at = (x & 0x8007807f8007807fULL) | 0x3f803f803f803f80ULL;
		memcpy(p->pinned + i, &at, sizeof(at));
	}
	for (at = 0; at < 3 * part && r == 0; at += i) {
		i = 3 * part - at < n ? 3 * part - at : n;
		r = pst_cuda_ok(cudaMemcpyAsync(p->b->pipe.mem + at, p->pinned,
						i, cudaMemcpyHostToDevice,
						p->s),
				"copying to the device", err);
	}
	return r;
}

/* A card that slept is at a fraction of its clocks, and its bus as well. Until
 * three runs in a row take the same time, or long enough. */
static int warm_up(const struct probe *p, struct pst_error *err)
{
	const uint64_t end = pst_now_ns() + WARM_NS;
	struct pst_cuda_product q;
	uint64_t ns, last = 0;
	uint32_t n = FIRST_SIDE;
	int r = 0, same = 0;

	while (r == 0 && same < WARM_SAME && pst_now_ns() < end) {
		q = product_of(p, PST_CUDA_RATE_F32, n);
		r = time_product(p, &q, &ns, err);
		if (ns < WARM_RUN_NS && n < LAST_SIDE && fits(p, 2 * n)) {
			n *= 2;
			continue;
		}
		same = ns < last + last / 20 && last < ns + ns / 20 ? same + 1
								    : 0;
		last = ns;
	}
	return r;
}

/* A type of 16 bits or i8 without products of its own goes by F32. */
static void by_f32(struct pst_backend *b, enum pst_cuda_rate which,
		   bool *ret_lacks)
{
	*ret_lacks = b->no_rate[which];
	if (!b->no_rate[which])
		return;
	b->no_rate[which] = false;
	b->calibration.flops[which] = b->calibration.flops[PST_CUDA_RATE_F32];
}

static int measure(struct probe *p, struct pst_error *err)
{
	struct pst_backend *b = p->b;
	int i, r;

	r = load_kernels(p, err);
	if (r == 0)
		r = fill(p, err);
	if (r == 0)
		r = warm_up(p, err);
	if (r == 0)
		r = measure_paths(p, err);
	for (i = 0; i < PST_CUDA_N_RATES && r == 0; i++) {
		if (too_old(b, (enum pst_cuda_rate)i))
			b->no_rate[i] = true;
		else
			r = measure_rate(p, (enum pst_cuda_rate)i, err);
	}
	if (r < 0)
		return r;
	by_f32(b, PST_CUDA_RATE_F16, &b->lacks.f16);
	by_f32(b, PST_CUDA_RATE_BF16, &b->lacks.bf16);
	by_f32(b, PST_CUDA_RATE_I8, &b->lacks.i8);
	r = probe_gelu(p, err);
	if (r == 0 || pst_cuda_check_lost(b, err))
		return r;
	b->rough_gelu = true;
	return 0;
}

/* Neither kernels nor cuBLAS have code for the card: names both versions. */
static int no_code(const struct pst_backend *b, const char *what,
		   struct pst_error *err)
{
	return pst_error_set(
		err, -ENODEV,
		"%s (compute capability %u.%u) does not work with this "
		"backend's CUDA %d.%d and cuBLAS %s: %s",
		b->device.name, b->device.major, b->device.minor,
		b->device.runtime / 1000, b->device.runtime % 1000 / 10,
		b->cublas_text, what);
}

int pst_cuda_calibrate(struct pst_backend *b, struct pst_error *err)
{
	struct pst_error why;
	struct probe p = {.b = b, .s = b->pipe.h2d, .bytes = COPY_BYTES};
	int r;

	if (p.bytes > b->pipe.size)
		p.bytes = b->pipe.size;
	/* From the arena, which alone needs registration. */
	if (p.bytes > b->size - PST_WIRE_CTL_SIZE)
		p.bytes = b->size - PST_WIRE_CTL_SIZE;
	p.bytes &= ~(uint64_t)255;
	r = pst_cuda_ok(cudaHostAlloc((void **)&p.pinned, p.bytes,
				      cudaHostAllocPortable),
			"allocating pinned memory", err);
	if (r < 0)
		return r;
	memset(p.pinned, 0, p.bytes);
	r = measure(&p, err);
	/* After a failure a copy may still be running there. */
	if (cudaStreamSynchronize(p.s) != cudaSuccess)
		cudaGetLastError();
	cudaFreeHost(p.pinned);
	if (r == -EOPNOTSUPP)
		return no_code(b, "it has no products of f32", err);
	if (r != -ENODEV)
		return r;
	why = *err;
	return no_code(b, why.text, err);
}

void pst_cuda_calibration(struct pst_backend *b, struct pst_backend_figure *ret)
{
	static const char *const names[PST_CUDA_N_RATES] = {
		[PST_CUDA_RATE_F64] = "f64_gflops",
		[PST_CUDA_RATE_F32] = "f32_gflops",
		[PST_CUDA_RATE_TF32] = "tf32_gflops",
		[PST_CUDA_RATE_FAST_F16] = "fast_f16_gflops",
		[PST_CUDA_RATE_F16] = "f16_gflops",
		[PST_CUDA_RATE_BF16] = "bf16_gflops",
		[PST_CUDA_RATE_I8] = "i8_gflops",
	};
	const struct pst_cuda_calibration *c = &b->calibration;
	const struct pst_backend_figure all[] = {
		{"h2d_gbps", c->h2d / 1e9},
		{"d2h_gbps", c->d2h / 1e9},
		{"mapped_gbps", c->mapped / 1e9},
		{"device_gbps", c->device / 1e9},
		{"launch_us", c->launch_ns / 1e3},
		{"copy_us", c->copy_ns / 1e3},
	};
	size_t n = 0, i;

	for (i = 0; i < PST_ARRAY_SIZE(all); i++)
		if (all[i].value > 0)
			ret[n++] = all[i];
	for (i = 0; i < PST_CUDA_N_RATES; i++)
		if (c->flops[i] > 0)
			ret[n++] = (struct pst_backend_figure){
				names[i], c->flops[i] / 1e9};
	ret[n].name = NULL;
}
