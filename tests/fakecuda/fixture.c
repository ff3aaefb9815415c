/* SPDX-License-Identifier: MIT */
/* The cuda backend over the double, driven as the executor drives it. */
#include "tests/fakecuda/fixture.h"

#include <check.h>
#include <inttypes.h>
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest-agent/cuda/module.h"
#include "tests/fakecuda/number.h"
#include "transport/base/util.h"

uint8_t *fix_mem;
uint64_t fix_size = FIX_SIZE;
struct pst_backend *fix_backend;
const struct pst_backend_ops *const fix_ops = &pst_backend_cuda_module;

static uint64_t rng = 88172645463325252ULL;

static void set(const char *name, const char *value)
{
	if (value)
		setenv(name, value, 1);
	else
		unsetenv(name);
}

void fix_unmap(void)
{
	if (fix_mem)
		munmap(fix_mem, fix_size);
	fix_mem = NULL;
}

int fix_open(const struct fakecuda_config *c, const char *strategy,
	     const char *registration, const char *memory,
	     struct pst_error *err)
{
	int r;

	set("PENSTOCK_CUDA_STRATEGY", strategy);
	set("PENSTOCK_CUDA_REGISTRATION", registration);
	set("PENSTOCK_CUDA_MEMORY", memory ? memory : "16M");
	fakecuda_reset(c);
	/* Pages that nobody touches cost nothing. Shared, as a region is. */
	fix_mem = mmap(NULL, fix_size, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(fix_mem, MAP_FAILED);
	fix_backend = NULL;
	r = fix_ops->open(fix_mem, fix_size, 0, &fix_backend, err);
	if (r < 0)
		fix_unmap();
	return r;
}

void fix_close(void)
{
	if (fix_backend)
		fix_ops->close(fix_backend);
	fix_backend = NULL;
	fakecuda_streams_join();
	fix_unmap();
	ck_assert_msg(fakecuda_problems() == 0, "%s", fakecuda_problem());
	ck_assert_uint_eq(fakecuda_leaks(), 0);
}

int fix_begin(struct pst_backend_op *bop, uint32_t lane,
	      const struct pst_op *op, struct pst_error *err)
{
	memset(bop, 0, sizeof(*bop));
	bop->op = *op;
	bop->lane = lane;
	return fix_ops->begin(fix_backend, bop, err);
}

int fix_finish(struct pst_backend_op *bop, struct pst_error *err)
{
	const uint64_t end = pst_now_ns() + 60 * PST_NS_PER_S;
	int r;

	do {
		r = fix_ops->step(fix_backend, bop, err);
		if (r < 0)
			return r;
		sched_yield();
	} while (r != PST_AGENT_STEP_DONE && pst_now_ns() < end);
	ck_assert_int_eq(r, PST_AGENT_STEP_DONE);
	return 0;
}

int fix_run(const struct pst_op *op, struct pst_error *err)
{
	struct pst_backend_op bop;
	int r;

	r = fix_begin(&bop, 0, op, err);
	return r < 0 ? r : fix_finish(&bop, err);
}

void fix_apart(void (*session)(uint64_t n, struct fix_outcome *out), uint64_t n,
	       struct fix_outcome *ret)
{
	struct fix_outcome *out;
	int status;
	pid_t pid;

	out = mmap(NULL, sizeof(*out), PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(out, MAP_FAILED);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		alarm(60);
		session(n, out);
		out->problems = fakecuda_problems();
		memcpy(out->problem, fakecuda_problem(), sizeof(out->problem));
		/* What was left on purpose is no leak. */
		if (out->left)
			_exit(EXIT_SUCCESS);
		exit(EXIT_SUCCESS);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(!WIFSIGNALED(status) || WTERMSIG(status) != SIGALRM,
		      "call %" PRIu64 ": no end within a minute", n);
	ck_assert_msg(!WIFSIGNALED(status), "call %" PRIu64 ": signal %d", n,
		      WTERMSIG(status));
	ck_assert_msg(WEXITSTATUS(status) == EXIT_SUCCESS,
		      "call %" PRIu64 ": the session's process ended with %d",
		      n, WEXITSTATUS(status));
	*ret = *out;
	munmap(out, sizeof(*out));
	ck_assert_msg(!ret->problems, "call %" PRIu64 ": %s", n, ret->problem);
	ck_assert_msg(ret->r == 0 || ret->text[0],
		      "call %" PRIu64 ": no sentence", n);
}

uint64_t fix_calls(void (*session)(uint64_t n, struct fix_outcome *out))
{
	struct fix_outcome out;
	uint64_t least = UINT64_MAX;
	int i;

	for (i = 0; i < 3; i++) {
		fix_apart(session, 0, &out);
		ck_assert_int_eq(out.r, 0);
		ck_assert(!out.left);
		if (out.calls < least)
			least = out.calls;
	}
	return least;
}

void fix_each_call_fails(void (*session)(uint64_t n, struct fix_outcome *out),
			 uint64_t beyond)
{
	const uint64_t n = fix_calls(session) + beyond;
	unsigned int failed = 0, odd = 0, made = 0;
	struct fix_outcome out;
	uint64_t i;

	for (i = 1; i <= n; i++) {
		fix_apart(session, i, &out);
		/* Not each gets as far as its call. */
		made += out.calls >= i;
		failed += out.r < 0;
		odd += out.left;
	}
	ck_assert_uint_gt(made, n / 2);
	ck_assert_uint_gt(failed, made / 2);
	ck_assert_uint_le(odd, made / 5);
}

double fix_noise(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (double)(int64_t)rng / 9.3e18;
}

void fix_fill(uint64_t off, uint64_t n, enum pst_wire_dtype t)
{
	const bool whole = t == PST_WIRE_I8 || t == PST_WIRE_I32;
	uint64_t i;

	for (i = 0; i < n; i++)
		number_set(fix_mem + off, t, i,
			   whole ? nearbyint(127 * fix_noise()) : fix_noise());
}

struct pst_op fix_product(enum pst_wire_dtype t, enum pst_wire_dtype tc,
			  uint32_t m, uint32_t n, uint32_t k)
{
	const uint64_t e = pst_dtype_size(t), ec = pst_dtype_size(tc);

	return (struct pst_op){
		.op = PST_WIRE_OP_GEMM,
		.dtype = t,
		.dtype_c = tc,
		.m = m,
		.n = n,
		.k = k,
		.lda = k,
		.ldb = n,
		.ldc = n,
		.batch = 1,
		.alpha = 1,
		.a = {.off = FIX_A, .size = e * m * k},
		.b = {.off = FIX_B, .size = e * k * n},
		.c = {.off = FIX_C, .size = ec * m * n},
	};
}

static const void *at(const struct pst_operand *x)
{
	return (x->mem ? (uint8_t *)x->mem : fix_mem) + x->off;
}

/* Rounding of one input, relative. */
static double input_error(const struct pst_op *op)
{
	return op->compute ? ldexp(1, -10) : 0;
}

static double result_error(const struct pst_op *op)
{
	switch (op->dtype_c) {
	case PST_WIRE_F64:
		return ldexp(1, -52);
	case PST_WIRE_F16:
		return ldexp(1, -10);
	case PST_WIRE_BF16:
		return ldexp(1, -7);
	default:
		return ldexp(1, -23);
	}
}

static uint64_t index_of(bool cm, bool trans, uint64_t row, uint64_t col,
			 uint64_t ld)
{
	return cm != trans ? col * ld + row : row * ld + col;
}

static void expect_one(const struct pst_op *op, uint64_t z, uint64_t i,
		       uint64_t j, double *ret, double *bound)
{
	const uint64_t c = z * op->stride_c +
			   index_of(op->col_major, false, i, j, op->ldc);
	double sum = 0, size = 0, x, y, v;
	uint32_t l;

	for (l = 0; op->a.size && l < op->k; l++) {
		x = number_get(at(&op->a), op->dtype,
			       z * op->stride_a + index_of(op->col_major,
							   op->transa, i, l,
							   op->lda));
		y = number_get(at(&op->b), op->dtype,
			       z * op->stride_b + index_of(op->col_major,
							   op->transb, l, j,
							   op->ldb));
		sum += x * y;
		size += fabs(x * y);
	}
	v = op->a.size ? op->alpha * sum : 0;
	size *= fabs(op->alpha);
	if (op->beta != 0) {
		v += op->beta * ret[c];
		size += fabs(op->beta * ret[c]);
	}
	if (op->has_bias) {
		y = number_get(at(&op->bias), op->dtype_c, j);
		v += y;
		size += fabs(y);
	}
	if (op->dtype_c == PST_WIRE_I32)
		v = (int32_t)(uint32_t)(int64_t)v;
	ret[c] = number_act(v, (int)op->act);
	if (bound)
		bound[c] = size * (2 * input_error(op) +
				   (op->dtype == PST_WIRE_F64
					    ? ldexp(op->k + 4, -53)
					    : ldexp(op->k + 4, -24))) +
			   fabs(ret[c]) * result_error(op) +
			   1e-7 * result_error(op);
}

void fix_expect(const struct pst_op *op, double *ret, double *bound)
{
	const uint64_t n = op->c.size / pst_dtype_size(op->dtype_c);
	uint64_t z, i, j;

	for (i = 0; i < n; i++) {
		ret[i] = number_get(at(&op->c), op->dtype_c, i);
		if (bound)
			bound[i] = 0;
	}
	for (z = 0; z < op->batch; z++)
		for (i = 0; i < op->m; i++)
			for (j = 0; j < op->n; j++)
				expect_one(op, z, i, j, ret, bound);
}

void fix_compare(const struct pst_op *op, const double *want,
		 const double *bound)
{
	const uint64_t n = op->c.size / pst_dtype_size(op->dtype_c);
	double got;
	uint64_t i;

	if (!op->c.mem)
		fakecuda_host_touch(fix_mem + op->c.off, op->c.size, false);
	for (i = 0; i < n; i++) {
		got = number_get(at(&op->c), op->dtype_c, i);
		if (isnan(want[i]) && isnan(got))
			continue;
		/* Each assertion is a write to a file. */
		if (fabs(got - want[i]) <= (bound ? bound[i] : 0))
			continue;
		ck_abort_msg("element %" PRIu64
			     " of c (%u x %u x %u, batch %u, types "
			     "%u %u): %.17g, not %.17g within %g",
			     i, op->m, op->n, op->k, op->batch, op->dtype,
			     op->dtype_c, got, want[i], bound ? bound[i] : 0);
	}
}
