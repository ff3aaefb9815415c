/* SPDX-License-Identifier: MIT */
/* What a failure at any call does to a product, by each of the four strategies:
 * the result is right or an error in words, what comes next is right, and
 * nothing is left. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "guest-agent/cuda/context.h"
#include "tests/fakecuda/fixture.h"
#include "tests/fixtures/unit.h"
#include "transport/base/util.h"

#define M 70U
#define N 66U
#define K 90U

static struct pst_error err;
static double want[M * N], bound[M * N];
static void *tensor[3];

enum { RESIDENT = 3, N_WAYS };
static const char *const ways[N_WAYS] = {"mapped", "pipelined", "whole",
					 "mapped"};

static void open_card(int way)
{
	static const uint64_t sizes[3] = {M * K * 4, K * N * 4, M * N * 4};
	struct fakecuda_config c = fakecuda_default();
	int i;

	c.major = 8; /* smaller workspaces, which the double fills */
	ck_assert_msg(fix_open(&c, ways[way], NULL, "256K", &err) == 0, "%s",
		      err.text);
	for (i = 0; way == RESIDENT && i < 3; i++)
		ck_assert_int_eq(
			fix_ops->alloc(fix_backend, sizes[i], &tensor[i], &err),
			0);
}

static void close_card(int way)
{
	int i;

	fakecuda_refuse(NULL);
	fakecuda_fail(0, cudaSuccess);
	for (i = 0; way == RESIDENT && i < 3; i++)
		fix_ops->release(fix_backend, tensor[i]);
	fix_close();
}

/* An answer to "are you idle" that is a failure looks like a loss: the process
 * of an agent ends then, and here a new double begins. */
static bool reopen_if_lost(int way)
{
	if (!fix_ops->lost(fix_backend, NULL))
		return false;
	fix_ops->close(fix_backend);
	fix_backend = NULL;
	fix_mem = NULL;
	open_card(way);
	return true;
}

static void copy(uint64_t off, void *mem, uint64_t size, bool in)
{
	const struct pst_operand host = {.off = off, .size = size};
	const struct pst_operand dev = {.size = size, .mem = mem};
	struct pst_op op = {.op = PST_WIRE_OP_COPY};

	op.a = in ? host : dev;
	op.c = in ? dev : host;
	ck_assert_int_eq(fix_run(&op, &err), 0);
}

static struct pst_op begin(int way, enum pst_wire_dtype t)
{
	struct pst_op op = fix_product(t, t, M, N, K);

	op.beta = 3;
	op.act = PST_WIRE_ACT_RELU;
	op.has_bias = true;
	op.bias = (struct pst_operand){.off = FIX_BIAS,
				       .size = (uint64_t)N * pst_dtype_size(t)};
	fix_fill(FIX_A, M * K, t);
	fix_fill(FIX_B, K * N, t);
	fix_fill(FIX_C, M * N, t);
	fix_fill(FIX_BIAS, N, t);
	fix_expect(&op, want, bound);
	if (way == RESIDENT) {
		copy(FIX_A, tensor[0], op.a.size, true);
		copy(FIX_B, tensor[1], op.b.size, true);
		copy(FIX_C, tensor[2], op.c.size, true);
		op.a = (struct pst_operand){.size = op.a.size,
					    .mem = tensor[0]};
		op.b = (struct pst_operand){.size = op.b.size,
					    .mem = tensor[1]};
		op.c = (struct pst_operand){.size = op.c.size,
					    .mem = tensor[2]};
	}
	return op;
}

/* Whether it is right; it failed with r otherwise. */
static bool is_right(int way, struct pst_op *op, int r, const char *what)
{
	const uint64_t size = op->c.size;

	fakecuda_fail(0, cudaSuccess);
	ck_assert_msg(r <= 0, "%s", what);
	ck_assert_msg(r == 0 || err.text[0], "%s: no sentence", what);
	ck_assert_msg(!fakecuda_problems(), "%s: %s", what, fakecuda_problem());
	if (r < 0)
		return false;
	if (way == RESIDENT)
		copy(FIX_C, tensor[2], size, false);
	op->c = (struct pst_operand){.off = FIX_C, .size = size};
	fix_compare(op, want, bound);
	return true;
}

static void run_clean(int way, enum pst_wire_dtype t)
{
	struct pst_op op = begin(way, t);

	ck_assert(is_right(way, &op, fix_run(&op, &err), "after a failure"));
}

/* By strategy and type; each call of it, in four words. */
START_TEST(a_call_that_fails_gives_a_right_result_or_an_error)
{
	static const cudaError_t codes[] = {
		cudaErrorMemoryAllocation,
		cudaErrorInvalidValue,
		cudaErrorNotSupported,
		cudaErrorUnknown,
	};
	const enum pst_wire_dtype t = _i / N_WAYS ? PST_WIRE_F16 : PST_WIRE_F32;
	const int way = _i % N_WAYS;
	unsigned int n, i, right = 0, failed = 0, lost = 0;
	struct pst_op op;
	uint64_t before, calls;
	char what[64];
	int r;

	open_card(way);
	run_clean(way, t);
	op = begin(way, t);
	before = fakecuda_calls();
	ck_assert_int_eq(fix_run(&op, &err), 0);
	calls = fakecuda_calls() - before;
	ck_assert_uint_gt(calls, 4);
	for (n = 1; n <= calls; n++) {
		for (i = 0; i < PST_ARRAY_SIZE(codes); i++) {
			snprintf(what, sizeof(what), "call %u, error %d", n,
				 codes[i]);
			op = begin(way, t);
			err.text[0] = '\0';
			fakecuda_fail(n, codes[i]);
			r = fix_run(&op, &err);
			if (is_right(way, &op, r, what))
				right++;
			else
				failed++;
			lost += reopen_if_lost(way);
		}
		run_clean(way, t);
	}
	/* What no other way makes good is told. */
	ck_assert_uint_gt(failed, right);
	ck_assert_uint_lt(lost, failed);
	close_card(way);
}
END_TEST

/* The libraries' words, for each of their calls, at once and later. */
START_TEST(a_refusal_gives_a_right_result_or_an_error)
{
	static const cublasStatus_t statuses[] = {
		CUBLAS_STATUS_NOT_SUPPORTED,   CUBLAS_STATUS_ARCH_MISMATCH,
		CUBLAS_STATUS_INVALID_VALUE,   CUBLAS_STATUS_INTERNAL_ERROR,
		CUBLAS_STATUS_ALLOC_FAILED,    CUBLAS_STATUS_NOT_INITIALIZED,
		CUBLAS_STATUS_EXECUTION_FAILED};
	const enum pst_wire_dtype t = _i / N_WAYS ? PST_WIRE_F16 : PST_WIRE_F32;
	const int way = _i % N_WAYS;
	struct fakecuda_refusal no = {.call = FAKECUDA_NO_CALL};
	unsigned int call, i, right = 0, failed = 0;
	struct pst_op op;
	char what[64];

	open_card(way);
	for (call = FAKECUDA_GEMM; call <= FAKECUDA_MATMUL; call++) {
		for (i = 0; i < 2 * PST_ARRAY_SIZE(statuses); i++) {
			no.call = (enum fakecuda_blas_call)call;
			no.status = statuses[i / 2];
			no.after = i % 2;
			snprintf(what, sizeof(what), "call %u, status %d", call,
				 no.status);
			/* Nothing is known of what may be had. */
			memset(&fix_backend->lt_cache, 0,
			       sizeof(fix_backend->lt_cache));
			fix_backend->lacks.lt = call == FAKECUDA_GEMM;
			op = begin(way, t);
			err.text[0] = '\0';
			fakecuda_refuse(&no);
			if (is_right(way, &op, fix_run(&op, &err), what))
				right++;
			else
				failed++;
			fakecuda_refuse(NULL);
			ck_assert_msg(!fix_ops->lost(fix_backend, NULL), "%s",
				      what);
		}
		run_clean(way, t);
	}
	ck_assert_uint_gt(failed, 0);
	ck_assert_uint_gt(right, failed);
	close_card(way);
}
END_TEST

static void add_tests(TCase *tc)
{
	tcase_add_loop_test(tc,
			    a_call_that_fails_gives_a_right_result_or_an_error,
			    0, 2 * N_WAYS);
	tcase_add_loop_test(tc, a_refusal_gives_a_right_result_or_an_error, 0,
			    2 * N_WAYS);
}

int main(void)
{
	return pst_unit_run("cuda faults", add_tests, 120);
}
