/* SPDX-License-Identifier: MIT */
/* penstock bench gemm: products through the agent, beside the same products in
 * this process. */
#include <errno.h>

#include "bench/bench.h"
#include "bench/clock.h"
#include "bench/mem.h"

#define MIN_N 16U
#define MAX_N 4096U
/* Skinny products: this many in one direction, SKINNY_N in the others. */
#define SKINNY   16U
#define SKINNY_N 2048U
/* A call in the region, the same BLAS here, a call with foreign pointers. */
#define MAX_TASKS 3

struct shape {
	uint32_t m, n, k;
};

struct places {
	void *a, *b, *c;
};

struct gemm {
	struct pst_bench_blas blas;
	bool has_blas;
	bool no_foreign; /* this library takes pointers of its own only */
	struct places region;
	struct pst_bench_mem mem[3]; /* the caller's own */
	double ns_per_flop;          /* of the last shape, of all its tasks */
	struct pst_bench_task tasks[MAX_TASKS];
	unsigned int n;
};

static int once_call(struct pst_bench_task *t, uint64_t *ret_ns,
		     uint64_t *ret_extra_ns)
{
	struct pst_completion done;
	uint64_t start = pst_bench_now_ns();
	int r = pst_gemm(t->c, &t->gemm, PST_BENCH_TIMEOUT_NS, &done);

	*ret_ns = pst_bench_now_ns() - start;
	/* Two clocks of two machines may differ by a hair. */
	if (r == 0)
		*ret_extra_ns = *ret_ns > done.compute_ns
					? *ret_ns - done.compute_ns
					: 0;
	return r;
}

static int once_blas(struct pst_bench_task *t, uint64_t *ret_ns,
		     uint64_t *ret_extra_ns)
{
	const struct pst_gemm_args *g = &t->gemm;
	uint64_t start;

	if (t->cpus)
		(void)pst_bench_cpus_unpin(t->cpus);
	start = pst_bench_now_ns();
	pst_bench_blas_product(t->blas, g->m, g->n, g->k, g->a, g->b, g->c);
	*ret_ns = pst_bench_now_ns() - start;
	if (t->cpus)
		(void)pst_bench_cpus_pin(t->cpus->client);
	return 0;
}

static struct pst_gemm_args product(const struct shape *s,
				    const struct places *p)
{
	return (struct pst_gemm_args){
		.size = sizeof(struct pst_gemm_args),
		.dtype = PST_F32,
		.m = s->m,
		.n = s->n,
		.k = s->k,
		.lda = s->k,
		.ldb = s->n,
		.ldc = s->n,
		.alpha = 1,
		.a = p->a,
		.b = p->b,
		.c = p->c,
	};
}

static struct pst_bench_row *add_row(struct pst_bench *b, const struct shape *s,
				     enum pst_bench_row_kind kind,
				     const char *name)
{
	struct pst_bench_row *row =
		pst_bench_new_row(b, "gemm", kind, PST_BENCH_ROW_US, name);

	if (!row)
		return NULL;
	row->m = s->m;
	row->n = s->n;
	row->k = s->k;
	return row;
}

/* A row that is not measured. */
static int note(struct pst_bench *b, const struct shape *s, const char *name,
		const char *why)
{
	struct pst_bench_row *row = add_row(b, s, PST_BENCH_ROW_PENSTOCK, name);

	if (!row)
		return -ENOMEM;
	snprintf(row->note, sizeof(row->note), "%s", why);
	return 0;
}

static int add(struct pst_bench *b, struct gemm *g, const struct shape *s,
	       enum pst_bench_row_kind kind, const char *name,
	       const char *extra, const struct pst_bench_task *task)
{
	struct pst_bench_task *t = &g->tasks[g->n];

	*t = *task;
	t->row = add_row(b, s, kind, name);
	if (!t->row)
		return -ENOMEM;
	if (extra) {
		t->extra = add_row(b, s, kind, extra);
		if (!t->extra)
			return -ENOMEM;
	}
	g->n++;
	return 0;
}

/* Whether the library takes pointers outside the region. */
static int probe_foreign(struct pst_bench *b, struct gemm *g)
{
	const struct shape s = {MIN_N, MIN_N, MIN_N};
	const struct places own = {g->mem[0].ptr, g->mem[1].ptr, g->mem[2].ptr};
	struct pst_gemm_args p = product(&s, &own);
	int r = pst_gemm(b->c, &p, PST_BENCH_TIMEOUT_NS, NULL);

	g->no_foreign = r == -EFAULT;
	return r < 0 && !g->no_foreign ? pst_bench_failed(b, b->c, r) : 0;
}

static int add_shape(struct pst_bench *b, struct gemm *g, const struct shape *s)
{
	const struct places own = {g->mem[0].ptr, g->mem[1].ptr, g->mem[2].ptr};
	struct pst_bench_task t = {
		.c = b->c,
		.once = once_call,
		.gemm = product(s, &g->region),
	};
	int r;

	g->n = 0;
	r = add(b, g, s, PST_BENCH_ROW_PENSTOCK, "call", "overhead", &t);
	t = (struct pst_bench_task){
		.once = once_blas,
		.blas = &g->blas,
		.cpus = b->threads > 1 ? &b->result.cpus : NULL,
		.gemm = product(s, &own),
	};
	if (!r)
		r = g->has_blas ? add(b, g, s, PST_BENCH_ROW_BLAS, "in process",
				      NULL, &t)
				: note(b, s, "in process",
				       "there is no CBLAS in this process");
	t = (struct pst_bench_task){
		.c = b->c,
		.once = once_call,
		.gemm = product(s, &own),
	};
	if (!r)
		r = g->no_foreign
			    ? note(b, s, "call, foreign pointers",
				   "the library takes its own memory only")
			    : add(b, g, s, PST_BENCH_ROW_PENSTOCK,
				  "call, foreign pointers",
				  "overhead, foreign pointers", &t);
	return r;
}

static double flops_of(const struct shape *s)
{
	return 2.0 * s->m * s->n * s->k;
}

static int run_shape(struct pst_bench *b, struct gemm *g, const struct shape *s,
		     uint64_t budget_ns)
{
	double expected = g->ns_per_flop * flops_of(s);
	uint64_t sum = 0;
	char text[48];
	unsigned int i;
	int r;

	if (expected * (PST_BENCH_REPEATS + 1) > 2.0 * (double)b->budget_ns)
		return note(b, s, "call",
			    "it would take more time than was given "
			    "(--seconds)");
	r = add_shape(b, g, s);
	if (r < 0)
		return r;
	snprintf(text, sizeof(text), "gemm, %u x %u x %u", s->m, s->n, s->k);
	r = pst_bench_rounds(b, text, g->tasks, g->n, budget_ns);
	if (r < 0)
		return r;
	for (i = 0; i < g->n; i++)
		sum += pst_bench_hist_percentile(&g->tasks[i].row->all, 50);
	g->ns_per_flop = (double)sum / flops_of(s);
	return 0;
}

static int run(struct pst_bench *b, struct gemm *g, uint32_t max)
{
	/* Vectors last: what they need is memory, not operations. */
	const struct shape skinny[] = {
		{SKINNY, SKINNY_N, SKINNY_N},
		{SKINNY_N, SKINNY, SKINNY_N},
		{SKINNY_N, SKINNY_N, SKINNY},
		{1, SKINNY_N, SKINNY_N},
	};
	const unsigned int n_skinny = sizeof(skinny) / sizeof(*skinny);
	unsigned int n_shapes = SKINNY_N > max ? 0 : n_skinny, i;
	struct shape s;
	uint32_t n;
	int r = 0;

	for (n = MIN_N; n <= max; n *= 2)
		n_shapes++;
	for (n = MIN_N; n <= MAX_N && !r; n *= 2) {
		s = (struct shape){n, n, n};
		r = n > max ? note(b, &s, "call", "the arena is too small")
			    : run_shape(b, g, &s, b->budget_ns / n_shapes);
	}
	for (i = 0; i < n_skinny && !r; i++)
		r = SKINNY_N > max ? note(b, &skinny[i], "call",
					  "the arena is too small")
				   : run_shape(b, g, &skinny[i],
					       b->budget_ns / n_shapes);
	return r;
}

static void fill(float *p, uint64_t n)
{
	uint64_t i;

	/* Small, and no denormals on the way. */
	for (i = 0; i < n; i++)
		p[i] = (float)(i % 7) - 3;
}

/* Three matrices of the largest size that fits. Returns its side. */
static int get_memory(struct pst_bench *b, struct gemm *g, uint32_t *ret_max)
{
	void **ptr[] = {&g->region.a, &g->region.b, &g->region.c};
	const uint64_t page = b->info.page_size;
	uint64_t size;
	uint32_t n;
	int i, r;

	for (n = MAX_N; n > MIN_N; n /= 2)
		if (4ULL * n * n * 3 <= b->info.max_lease)
			break;
	size = 4ULL * n * n;
	for (i = 0; i < 3; i++) {
		r = pst_alloc(b->c, size, ptr[i]);
		if (r < 0)
			return pst_bench_failed(b, b->c, r);
		fill(*ptr[i], size / 4);
		if (pst_bench_mem_alloc(&g->mem[i], size, page) < 0 &&
		    pst_bench_mem_alloc(&g->mem[i], size, PST_BENCH_MEM_SMALL) <
			    0)
			return pst_bench_failed(b, NULL, -ENOMEM);
		fill((float *)g->mem[i].ptr, size / 4);
	}
	*ret_max = n;
	return 0;
}

int pst_bench_gemm(struct pst_bench *b)
{
	struct gemm g = {0};
	uint32_t max = 0;
	int i, r;

	/* Its threads inherit the CPUs of this one. */
	if (b->threads > 1)
		(void)pst_bench_cpus_unpin(&b->result.cpus);
	g.has_blas = pst_bench_blas_open(&g.blas, b->threads) == 0;
	(void)pst_bench_cpus_pin(b->result.cpus.client);
	if (g.has_blas)
		snprintf(b->result.blas, sizeof(b->result.blas), "%s",
			 g.blas.name);
	r = get_memory(b, &g, &max);
	if (!r)
		r = probe_foreign(b, &g);
	if (!r)
		r = run(b, &g, max);
	pst_free(b->c, g.region.a);
	pst_free(b->c, g.region.b);
	pst_free(b->c, g.region.c);
	for (i = 0; i < 3; i++)
		pst_bench_mem_free(&g.mem[i]);
	return r;
}
