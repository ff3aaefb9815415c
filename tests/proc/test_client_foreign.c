/* SPDX-License-Identifier: MIT */
/* Products whose operands lie anywhere, through an arena that is too small for
 * them, against one in double precision. */
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "host-client/lib/conn.h"
#include "tests/fixtures/agent_proc.h"
#include "tests/fixtures/unit.h"
#include "transport/dtype.h"
#include "transport/op.h"

#define MS    PST_NS_PER_MS
#define MIB   (1ULL << 20)
#define GUARD 0x5a
#define PAD   64U

static struct agent_proc agent;
static struct pst *c;
static char text[400];

static void open_agent(uint64_t size)
{
	int r;

	agent_open(&agent, size);
	r = pst_open(agent.uri, NULL, &c, text, sizeof(text));
	ck_assert_msg(r == 0, "%s", text);
}

static void setup(void)
{
	open_agent(8 * MIB); /* 4 MiB of arena */
}

static void teardown(void)
{
	pst_close(c);
	agent_close(&agent);
}

/* One operand: where it is, and a copy of what was in it. */
struct matrix {
	uint8_t *mem, *copy;
	uint64_t size;
	bool foreign;
};

static double get(const uint8_t *at, uint32_t dtype, uint64_t i)
{
	float f;

	if (dtype == PST_F64)
		return ((const double *)at)[i];
	if (dtype == PST_I32)
		return ((const int32_t *)at)[i];
	pst_floats_load(&f, at + i * pst_dtype_size(dtype), dtype, 1);
	return (double)f;
}

static void put(uint8_t *at, uint32_t dtype, uint64_t i, double v)
{
	const float f = (float)v;

	if (dtype == PST_F64)
		((double *)at)[i] = v;
	else if (dtype == PST_I32)
		((int32_t *)at)[i] = (int32_t)v;
	else if (dtype == PST_I8)
		((int8_t *)at)[i] = (int8_t)v;
	else
		pst_floats_store(at + i * pst_dtype_size(dtype), dtype, &f, 1);
}

static void make(struct matrix *x, uint32_t dtype, uint64_t elems, bool foreign,
		 unsigned int seed)
{
	const bool whole = dtype == PST_I8 || dtype == PST_I32;
	uint64_t i;
	void *p;

	x->size = elems * pst_dtype_size(dtype);
	x->foreign = foreign;
	if (foreign) {
		p = aligned_alloc(64, pst_round_up(x->size + 2 * PAD, 64));
		memset(p, GUARD, x->size + 2 * PAD);
		x->mem = (uint8_t *)p + PAD;
	} else {
		ck_assert_int_eq(pst_alloc(c, x->size, &p), 0);
		x->mem = p;
	}
	for (i = 0; i < elems; i++)
		put(x->mem, dtype, i,
		    whole ? floor(sin((double)(i * 7 + seed)) * 120)
			  : sin((double)(i * 7 + seed)));
	x->copy = malloc(x->size);
	memcpy(x->copy, x->mem, x->size);
}

static void destroy(struct matrix *x)
{
	unsigned int i;

	for (i = 0; x->foreign && i < PAD; i++) {
		ck_assert_uint_eq(x->mem[-1 - (int)i], GUARD);
		ck_assert_uint_eq(x->mem[x->size + i], GUARD);
	}
	if (x->foreign)
		free(x->mem - PAD);
	else
		ck_assert_int_eq(pst_free(c, x->mem), 0);
	free(x->copy);
}

static uint64_t at(const struct pst_gemm *g, uint64_t row, uint64_t col,
		   uint64_t ld)
{
	return g->order == PST_COL_MAJOR ? col * ld + row : row * ld + col;
}

struct job {
	struct pst_gemm g;
	struct matrix a, b, c, bias;
};

static uint32_t type_c(const struct pst_gemm *g)
{
	return g->dtype_c           ? g->dtype_c
	       : g->dtype == PST_I8 ? PST_I32
				    : g->dtype;
}

/* foreign: bits of a, b, c, bias. g has sizes, types and so on. */
static void prepare(struct job *j, unsigned int foreign, uint32_t pad)
{
	struct pst_gemm *g = &j->g;
	const bool cm = g->order == PST_COL_MAJOR;
	const uint64_t ra = g->transa ? g->k : g->m,
		       ca = g->transa ? g->m : g->k;
	const uint64_t rb = g->transb ? g->n : g->k,
		       cb = g->transb ? g->k : g->n;
	const uint64_t batch = g->batch ? g->batch : 1;

	g->lda = (uint32_t)(cm ? ra : ca) + pad + !(cm ? ra : ca);
	g->ldb = (uint32_t)(cm ? rb : cb) + pad + !(cm ? rb : cb);
	g->ldc = (cm ? g->m : g->n) + pad;
	g->stride_a = g->lda * (cm ? ca : ra) + 1;
	g->stride_b = 0;
	g->stride_c = g->ldc * (uint64_t)(cm ? g->n : g->m) + 2;
	make(&j->a, g->dtype, g->stride_a * batch, foreign & 1, 1);
	make(&j->b, g->dtype, g->ldb * (cm ? cb : rb) + 1, foreign & 2, 2);
	make(&j->c, type_c(g), g->stride_c * batch, foreign & 4, 3);
	make(&j->bias, type_c(g), g->n, foreign & 8, 4);
	g->a = j->a.mem;
	g->b = j->b.mem;
	g->c = j->c.mem;
	g->bias = foreign & 16 ? j->bias.mem : NULL;
}

static double expected(const struct job *j, uint64_t p, uint64_t row,
		       uint64_t col, double *ret_size)
{
	const struct pst_gemm *g = &j->g;
	double sum = 0, v, x, y;
	uint64_t l;

	*ret_size = 1;
	for (l = 0; l < g->k && g->alpha != 0; l++) {
		x = get(j->a.copy, g->dtype,
			p * g->stride_a + (g->transa ? at(g, l, row, g->lda)
						     : at(g, row, l, g->lda)));
		y = get(j->b.copy, g->dtype,
			g->transb ? at(g, col, l, g->ldb)
				  : at(g, l, col, g->ldb));
		sum += x * y;
		*ret_size += fabs(x * y);
	}
	v = g->alpha * sum;
	if (g->beta != 0)
		v += g->beta * get(j->c.copy, type_c(g),
				   p * g->stride_c + at(g, row, col, g->ldc));
	if (g->bias)
		v += get(j->bias.copy, type_c(g), col);
	return g->act == PST_ACT_RELU && v < 0 ? 0 : v;
}

static void run(struct job *j)
{
	struct pst_gemm *g = &j->g;
	const unsigned int ec = pst_dtype_size(type_c(g));
	const double eps = type_c(g) == PST_F16    ? 0x1p-10
			   : type_c(g) == PST_BF16 ? 0x1p-7
			   : type_c(g) == PST_F32  ? 0x1p-22
						   : 0x1p-50;
	const double sum_eps = g->dtype == PST_F64 ? 0x1p-50 : 0x1p-22;
	double want, got, size, tol;
	uint64_t p, row, col, x;
	int r;

	r = pst_gemm(c, g, 60000 * MS, NULL);
	pst_last_error(c, text, sizeof(text));
	ck_assert_msg(r == 0, "%d: %s", r, text);
	for (p = 0; p < (g->batch ? g->batch : 1); p++)
		for (row = 0; row < g->m; row += 1 + g->m / 61)
			for (col = 0; col < g->n; col += 1 + g->n / 53) {
				x = p * g->stride_c + at(g, row, col, g->ldc);
				want = expected(j, p, row, col, &size);
				got = get(j->c.mem, type_c(g), x);
				tol = g->dtype == PST_I8
					      ? 0
					      : eps * fabs(want) +
							sum_eps * size *
								(g->k + 4.0);
				ck_assert_msg(fabs(got - want) <= tol,
					      "%llu (%llu, %llu): %g, not %g",
					      (unsigned long long)p,
					      (unsigned long long)row,
					      (unsigned long long)col, got,
					      want);
			}
	/* Between C's lines nothing has changed, in A and B nothing at all. */
	for (p = 0; p < (g->batch ? g->batch : 1); p++)
		for (row = 0; row < g->m; row++)
			for (col = 0; col < g->n; col++) {
				x = p * g->stride_c + at(g, row, col, g->ldc);
				memcpy(j->c.mem + x * ec, j->c.copy + x * ec,
				       ec);
			}
	ck_assert_mem_eq(j->c.mem, j->c.copy, j->c.size);
	ck_assert_mem_eq(j->a.mem, j->a.copy, j->a.size);
	ck_assert_mem_eq(j->b.mem, j->b.copy, j->b.size);
}

static void finish(struct job *j)
{
	destroy(&j->a);
	destroy(&j->b);
	destroy(&j->c);
	destroy(&j->bias);
}

static const uint32_t types[][2] = {
	{PST_F32, PST_F32},   {PST_F64, PST_F64}, {PST_F16, PST_F16},
	{PST_BF16, PST_BF16}, {PST_F16, PST_F32}, {PST_I8, PST_I32},
};

START_TEST(small_products_of_every_type_and_place_are_right)
{
	unsigned int v;
	struct job j;

	for (v = 0; v < 64; v++) {
		j = (struct job){0};
		j.g.dtype = types[_i][0];
		j.g.dtype_c = types[_i][1];
		j.g.order = v & 1;
		j.g.transa = v & 2;
		j.g.transb = v & 4;
		j.g.m = 33;
		j.g.n = 20 + v;
		j.g.k = v % 8 == 7 ? 0 : 17;
		j.g.alpha = v % 16 == 15 ? 0 : 2;
		j.g.beta = v % 3;
		j.g.act = v & 8 ? PST_ACT_RELU : PST_ACT_NONE;
		prepare(&j, v % 31 + 1, v % 5);
		run(&j);
		finish(&j);
	}
}
END_TEST

/* A, B and C are each about as large as the arena: cut along m, n and k. */
START_TEST(products_larger_than_the_arena_are_right)
{
	unsigned int v;
	struct job j;

	for (v = 0; v < 4; v++) {
		j = (struct job){0};
		j.g.dtype = types[_i][0];
		j.g.dtype_c = types[_i][1];
		j.g.order = v & 1;
		j.g.transa = v & 2;
		j.g.transb = !(v & 1);
		j.g.m = 900;
		j.g.n = 700;
		j.g.k = 3000;
		j.g.alpha = 1;
		j.g.beta = v & 1 ? -1 : 0;
		j.g.act = v & 2 ? PST_ACT_RELU : PST_ACT_NONE;
		prepare(&j, v & 2 ? 31 : 15, v);
		run(&j);
		finish(&j);
	}
}
END_TEST

/* Whole operands in the region, computed while they come and go. */
START_TEST(products_that_fit_whole_are_right)
{
	unsigned int v;
	struct job j;

	for (v = 0; v < 16; v++) {
		j = (struct job){0};
		j.g.dtype = types[_i][0];
		j.g.dtype_c = types[_i][1];
		j.g.order = v & 1;
		j.g.transa = v & 2;
		j.g.transb = v & 4;
		j.g.m = v & 8 ? 300 : 256;
		j.g.n = 150 + v * 20;
		j.g.k = v & 1 ? 77 : 300;
		j.g.alpha = 1;
		j.g.beta = v % 3;
		prepare(&j, v % 31 + 1, v % 5);
		run(&j);
		finish(&j);
	}
}
END_TEST

START_TEST(batches_in_foreign_memory_are_right)
{
	struct job j = {
		.g = {.dtype = PST_F32,
		      .m = 30,
		      .n = 40,
		      .k = 50,
		      .batch = 40,
		      .alpha = 1,
		      .beta = 1},
	};

	prepare(&j, 31, 1);
	run(&j);
	finish(&j);
}
END_TEST

/* The step of a factorisation: the rest of a matrix less the product of two of
 * its panels, all in one array, which lies anywhere (_i) or in the region. */
START_TEST(parts_of_one_matrix_are_told_apart)
{
	enum { LD = 301, N = 300, K = 20 };
	struct pst_gemm g = {
		.dtype = PST_F64,
		.order = PST_COL_MAJOR,
		.m = N - K,
		.n = N - K,
		.k = K,
		.lda = LD,
		.ldb = LD,
		.ldc = LD,
		.alpha = -1,
		.beta = 1,
	};
	struct matrix x;
	double want, *mem, *old;
	uint32_t i, j, l;

	make(&x, PST_F64, LD * N, _i == 1, 5);
	mem = (double *)x.mem;
	old = (double *)x.copy;
	g.a = mem + K;
	g.b = mem + K * LD;
	g.c = mem + K * LD + K;
	ck_assert_int_eq(pst_gemm(c, &g, 60000 * MS, NULL), 0);
	for (j = K; j < N; j++)
		for (i = K; i < N; i++) {
			want = old[j * LD + i];
			for (l = 0; l < K; l++)
				want -= old[l * LD + i] * old[j * LD + l];
			ck_assert_double_eq_tol(mem[j * LD + i], want, 1e-12);
			old[j * LD + i] = mem[j * LD + i];
		}
	ck_assert_mem_eq(mem, old, x.size);
	/* One row lower it is no longer beside. */
	g.c = mem + K * LD + K - 1;
	ck_assert_int_eq(pst_gemm(c, &g, 60000 * MS, NULL), -EINVAL);
	ck_assert_mem_eq(mem, old, x.size);
	destroy(&x);
}
END_TEST

/* Small, whole in the region, and cut: C is NaN, and not read. */
START_TEST(c_is_not_read_at_beta_0)
{
	static const uint32_t sizes[][3] = {
		{9, 8, 7}, {256, 40, 400}, {700, 600, 2000}};
	uint64_t i, n;
	struct job j;

	j = (struct job){0};
	j.g.dtype = types[_i / 3][0];
	j.g.dtype_c = types[_i / 3][1];
	j.g.m = sizes[_i % 3][0];
	j.g.n = sizes[_i % 3][1];
	j.g.k = sizes[_i % 3][2];
	j.g.alpha = 1;
	prepare(&j, 15, 0);
	n = j.c.size / pst_dtype_size(type_c(&j.g));
	for (i = 0; i < n && type_c(&j.g) != PST_I32; i++)
		put(j.c.mem, type_c(&j.g), i, NAN);
	memcpy(j.c.copy, j.c.mem, j.c.size);
	run(&j);
	finish(&j);
}
END_TEST

START_TEST(bad_arguments_are_refused_before_anything_is_touched)
{
	static float a[100], b[100], d[200];
	struct pst_gemm g = {
		.dtype = PST_F32,
		.m = 10,
		.n = 10,
		.k = 10,
		.lda = 10,
		.ldb = 10,
		.ldc = 10,
		.alpha = 1,
		.a = a,
		.b = b,
		.c = d,
	};
	uint64_t tag;

	ck_assert_int_eq(pst_gemm(c, &g, 1000 * MS, NULL), 0);
	ck_assert_int_eq(pst_submit_gemm(c, &g, &tag), -EFAULT);
	g.lda = 9;
	ck_assert_int_eq(pst_gemm(c, &g, 1000 * MS, NULL), -EINVAL);
	g.lda = 10;
	g.c = a + 50;
	ck_assert_int_eq(pst_gemm(c, &g, 1000 * MS, NULL), -EINVAL);
	pst_last_error(c, text, sizeof(text));
	ck_assert_ptr_nonnull(strstr(text, "overlap"));
	g.c = d;
	g.dtype = 99;
	ck_assert_int_lt(pst_gemm(c, &g, 1000 * MS, NULL), 0);
	g.dtype = PST_F32;
	g.m = g.lda = g.ldc = UINT32_MAX;
	g.transa = 1;
	g.order = PST_COL_MAJOR;
	g.batch = UINT32_MAX;
	g.stride_a = g.stride_c = UINT64_MAX / 2;
	ck_assert_int_eq(pst_gemm(c, &g, 1000 * MS, NULL), -EOVERFLOW);
	ck_assert_int_eq(pst_gemm(c,
				  &(struct pst_gemm){.dtype = PST_F32,
						     .m = 1,
						     .n = 1,
						     .k = 1,
						     .lda = 1,
						     .ldb = 1,
						     .ldc = 1,
						     .alpha = 1},
				  1000 * MS, NULL),
			 -EFAULT);
}
END_TEST

/* What an operation in place is refused for, or not, goes for these as well. */
START_TEST(checks_are_those_of_operations_in_place)
{
	static float x[64], b[16], d[16];
	struct pst_gemm g = {
		.dtype = PST_F32,
		.m = 4,
		.n = 4,
		.k = 4,
		.lda = 4,
		.ldb = 4,
		.ldc = 4,
		.alpha = 1,
		.a = x,
		.b = b,
		.c = d,
	};
	void *mem;

	g.a = (const uint8_t *)x + 2;
	ck_assert_int_eq(pst_gemm(c, &g, 1000 * MS, NULL), -EINVAL);
	pst_last_error(c, text, sizeof(text));
	ck_assert_ptr_nonnull(strstr(text, "a is not aligned"));
	/* Zero in the type of the sums: A and B are not looked at. */
	g.alpha = 1e-60;
	g.a = NULL;
	ck_assert_int_eq(pst_gemm(c, &g, 1000 * MS, NULL), 0);
	ck_assert_int_eq(pst_alloc(c, sizeof(d), &mem), 0);
	g.c = mem;
	ck_assert_int_eq(pst_gemm(c, &g, 1000 * MS, NULL), 0);
	ck_assert_int_eq(pst_free(c, mem), 0);
	g.a = g.c = d;
	ck_assert_int_eq(pst_gemm(c, &g, 1000 * MS, NULL), 0);
}
END_TEST

START_TEST(a_buffer_that_ends_early_is_found_before_c_is_touched)
{
	static float b[16 * 16], d[8 * 16 * 16];
	struct pst_gemm g = {
		.dtype = PST_F32,
		.m = 16,
		.n = 16,
		.k = 16,
		.lda = 16,
		.ldb = 16,
		.ldc = 16,
		.alpha = 1,
		.b = b,
		.c = d,
		.batch = 8,
		.stride_a = 256,
		.stride_c = 256,
	};
	void *mem;

	ck_assert_int_eq(pst_alloc(c, 8 * 1024 - 64, &mem), 0);
	g.a = mem;
	ck_assert_int_eq(pst_gemm(c, &g, 1000 * MS, NULL), -EFAULT);
	ck_assert_int_eq(pst_c_touched(c), 0);
	ck_assert_int_eq(pst_free(c, mem), 0);
}
END_TEST

/* Such a sum is cut for its length alone. */
START_TEST(the_first_product_of_a_new_session_knows_the_limits)
{
	enum { TERMS = (1 << 20) + 64 };
	struct pst_info info = {.size = sizeof(info)};
	static int8_t a[TERMS], b[TERMS];
	int32_t d = 0;
	const struct pst_gemm g = {
		.dtype = PST_I8,
		.m = 1,
		.n = 1,
		.k = TERMS,
		.lda = TERMS,
		.ldb = 1,
		.ldc = 1,
		.alpha = 1,
		.a = a,
		.b = b,
		.c = &d,
	};
	int i;

	ck_assert_int_eq(pst_get_info(c, &info), 0);
	ck_assert_uint_lt(info.max_dim, g.k);
	a[0] = b[0] = 2;
	a[TERMS - 1] = b[TERMS - 1] = 3;
	agent_kill(&agent);
	agent_start(&agent);
	for (i = 0; i < 500 && !pst_get_info(c, &info); i++)
		usleep(10000);
	ck_assert_int_eq(pst_gemm(c, &g, 5000 * MS, NULL), 0);
	ck_assert_int_eq(d, 13);
}
END_TEST

START_TEST(a_deadline_ends_the_call_and_c_is_left_alone_from_then_on)
{
	struct job j = {
		.g = {.dtype = PST_F64,
		      .m = 1500,
		      .n = 1500,
		      .k = 1500,
		      .alpha = 1},
	};
	uint8_t *now;

	prepare(&j, 7, 0);
	ck_assert_int_eq(pst_gemm(c, &j.g, 20 * MS, NULL), -ETIMEDOUT);
	now = malloc(j.c.size);
	memcpy(now, j.c.mem, j.c.size);
	/* All that is still on its way is over when this is. */
	ck_assert_int_eq(pst_nop(c, 30000 * MS, NULL), 0);
	ck_assert_mem_eq(now, j.c.mem, j.c.size);
	free(now);
	memcpy(j.c.mem, j.c.copy, j.c.size);
	j.g.m = j.g.n = 100;
	run(&j);
	finish(&j);
}
END_TEST

static void *kill_soon(void *arg)
{
	const struct timespec ts = {.tv_nsec = 100 * (long)MS};

	nanosleep(&ts, NULL);
	agent_kill(&agent);
	return NULL;
}

START_TEST(an_agent_that_dies_in_the_middle_ends_the_call)
{
	struct job j = {
		.g = {.dtype = PST_F64,
		      .m = 3000,
		      .n = 3000,
		      .k = 1500,
		      .alpha = 1},
	};
	pthread_t t;
	int r;

	prepare(&j, 15, 0);
	pthread_create(&t, NULL, kill_soon, NULL);
	r = pst_gemm(c, &j.g, 60000 * MS, NULL);
	ck_assert_msg(r == -ECONNRESET || r == -ESTALE, "%d", r);
	pthread_join(t, NULL);
	agent_start(&agent);
	memcpy(j.c.mem, j.c.copy, j.c.size);
	j.g.m = j.g.n = 50;
	run(&j);
	finish(&j);
}
END_TEST

struct many {
	float x;
	uint32_t n;
};

/* Thirty products with x times the unit matrix; what went wrong, or NULL. */
static void *many(void *arg)
{
	const struct many *w = arg;
	const uint32_t n = w->n;
	float *a = calloc(3, sizeof(float) * n * n);
	struct pst_gemm g = {
		.dtype = PST_F32,
		.m = n,
		.n = n,
		.k = n,
		.lda = n,
		.ldb = n,
		.ldc = n,
		.alpha = 1,
		.a = a,
		.b = a + n * n,
		.c = a + 2 * n * n,
	};
	uint32_t i;
	int r, k;

	for (i = 0; i < n * n; i++)
		a[i] = 1;
	for (i = 0; i < n; i++)
		a[n * n + i * n + i] = w->x;
	for (k = 0; k < 30; k++) {
		memset(a + 2 * n * n, 0, sizeof(float) * n * n);
		r = pst_gemm(c, &g, 60000 * MS, NULL);
		if (r < 0) {
			pst_last_error(c, text, sizeof(text));
			return strdup(text);
		}
		for (i = 0; i < n * n; i++)
			if (a[2 * n * n + i] != w->x)
				return strdup("a wrong element");
	}
	free(a);
	return NULL;
}

START_TEST(threads_may_do_so_at_the_same_time)
{
	struct many w[3] = {{2, 200}, {3, 200}, {4, 200}};
	pthread_t t[3];
	void *why;
	int i;

	for (i = 0; i < 3; i++)
		pthread_create(&t[i], NULL, many, &w[i]);
	for (i = 0; i < 3; i++) {
		pthread_join(t[i], &why);
		ck_assert_msg(!why, "%s", (char *)why);
	}
}
END_TEST

/* What such a call is made of is its own: an application that polls, or has
 * operations of its own on their way, sees none of it. */
START_TEST(a_thread_that_polls_gets_nothing_of_it)
{
	struct pst_completion done[8];
	struct many w = {5, 300};
	uint64_t tag, own = 0;
	pthread_t t;
	void *why;
	int i, n, r;

	pthread_create(&t, NULL, many, &w);
	while (pthread_tryjoin_np(t, &why) != 0) {
		r = pst_submit_nop(c, &tag);
		ck_assert_int_eq(r, 0);
		do {
			n = pst_poll(c, done, 8);
			for (i = 0; i < n; i++)
				ck_assert_uint_eq(done[i].tag, tag);
		} while (n == 0);
		ck_assert_int_eq(n, 1);
		own++;
	}
	ck_assert_msg(!why, "%s", (char *)why);
	ck_assert_uint_gt(own, 0);
}
END_TEST

static void add(TCase *tc)
{
	const int n = (int)PST_ARRAY_SIZE(types);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(
		tc, small_products_of_every_type_and_place_are_right, 0, n);
	tcase_add_loop_test(tc, products_larger_than_the_arena_are_right, 0, n);
	tcase_add_loop_test(tc, products_that_fit_whole_are_right, 0, n);
	tcase_add_test(tc, batches_in_foreign_memory_are_right);
	tcase_add_loop_test(tc, parts_of_one_matrix_are_told_apart, 0, 2);
	tcase_add_loop_test(tc, c_is_not_read_at_beta_0, 0, 3 * n);
	tcase_add_test(tc,
		       bad_arguments_are_refused_before_anything_is_touched);
	tcase_add_test(tc, checks_are_those_of_operations_in_place);
	tcase_add_test(tc,
		       a_buffer_that_ends_early_is_found_before_c_is_touched);
	tcase_add_test(tc, the_first_product_of_a_new_session_knows_the_limits);
	tcase_add_test(
		tc, a_deadline_ends_the_call_and_c_is_left_alone_from_then_on);
	tcase_add_test(tc, an_agent_that_dies_in_the_middle_ends_the_call);
	tcase_add_test(tc, threads_may_do_so_at_the_same_time);
	tcase_add_test(tc, a_thread_that_polls_gets_nothing_of_it);
}

int main(void)
{
	return pst_unit_run("client_foreign", add, 120);
}
