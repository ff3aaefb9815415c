/* SPDX-License-Identifier: MIT */
/* Products of arrays in buffers that an agent leaves half done: each element is
 * right if the agent lives, and none is a number if it does not. */
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host-client/blas/agent.h"
#include "host-client/blas/api.h"
#include "tests/fixtures/fake_agent.h"
#include "tests/fixtures/unit.h"

#define N     24
#define ELEMS (N * N)

static struct fake fake;
static struct pst *c;
static float *a, *b, *mine;
static unsigned int computed;
/* Functions that the interposer does not need. */
static __typeof__(&pst_alloc) alloc;
static __typeof__(&pst_set_interrupt) set_interrupt;

/* The next BLAS, for the products here. */
static void gemm(const char *ta, const char *tb, const int *m, const int *n,
		 const int *k, const float *alpha, const float *x,
		 const int *ldx, const float *y, const int *ldy,
		 const float *beta, float *z, const int *ldz, size_t l0,
		 size_t l1)
{
	float sum;
	int i, j, l;

	ck_assert(*ta == 'N' && *tb == 'N' && l0 == 1 && l1 == 1);
	for (j = 0; j < *n; j++)
		for (i = 0; i < *m; i++) {
			for (sum = 0, l = 0; l < *k; l++)
				sum += x[l * *ldx + i] * y[j * *ldy + l];
			z[j * *ldz + i] =
				*alpha * sum +
				(*beta == 0 ? 0 : *beta * z[j * *ldz + i]);
		}
	computed++;
}

static struct pst_blas_library lib = {.type = PST_BLAS_F32};

static void take(void *library, const char *name, void *ret)
{
	void *p = dlsym(library, name);

	ck_assert_msg(p, "%s", name);
	memcpy(ret, &p, sizeof(p));
}

static float *buffer(void)
{
	void *p;

	ck_assert_int_eq(alloc(c, ELEMS * sizeof(float), &p), 0);
	return p;
}

static void setup(void)
{
	void (*fn)(const char *, const char *, const int *, const int *,
		   const int *, const float *, const float *, const int *,
		   const float *, const int *, const float *, float *,
		   const int *, size_t, size_t) = gemm;
	const struct pst_blas_api *api;
	char path[4096], text[400];
	void *library;

	snprintf(path, sizeof(path), "%s/host-client/.libs/libpenstock.so.0",
		 getenv("PST_TOP_BUILDDIR"));
	setenv("PENSTOCK_LIBRARY", path, 1);
	memcpy(&lib.fn[PST_BLAS_GEMM], &fn, sizeof(fn));
	memset(&fake, 0, sizeof(fake));
	fake_open(&fake);
	api = pst_blas_load_api();
	ck_assert_ptr_nonnull(api);
	library = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
	ck_assert_ptr_nonnull(library);
	take(library, "pst_alloc", &alloc);
	take(library, "pst_set_interrupt", &set_interrupt);
	ck_assert_int_eq(api->open(fake.uri, NULL, &c, text, sizeof(text)), 0);
	a = buffer();
	b = buffer();
	mine = malloc(ELEMS * sizeof(float));
	computed = 0;
}

static void teardown(void)
{
	set_interrupt(NULL, NULL);
	pst_blas_api()->close(c);
	fake_close(&fake);
	free(mine);
}

/* As a card fails that has computed some of it: the fake agent has written to
 * C's first byte. */
static void spoil_c(struct pst_wire_cqe *cqe)
{
	cqe->status = PST_WIRE_EIO;
}

static int interrupt(void *arg)
{
	(void)arg;
	fake.hold = false;
	return 1;
}

/* Small integers, so that every sum is exact. */
static void fill(float *p, int seed)
{
	int i;

	for (i = 0; i < ELEMS; i++)
		p[i] = (float)((i * 7 + seed) % 11 - 5);
}

static enum pst_blas_end product(double beta, const float *x, float *to,
				 float *ret_want)
{
	const float alpha = 1, fbeta = (float)beta;
	const int n = N;
	const struct pst_blas_args g = {
		.routine = PST_BLAS_GEMM,
		.type = PST_BLAS_F32,
		.m = N,
		.n = N,
		.k = N,
		.lda = N,
		.ldb = N,
		.ldc = N,
		.alpha = 1,
		.beta = beta,
		.a = x,
		.b = b,
		.c = to,
	};

	fill((float *)x, 1);
	fill(b, 2);
	fill(to, 3);
	memcpy(ret_want, to, ELEMS * sizeof(float));
	gemm("N", "N", &n, &n, &n, &alpha, x, &n, b, &n, &fbeta, ret_want, &n,
	     1, 1);
	computed = 0;
	return pst_blas_agent_gemm(&lib, &g);
}

static void check_right(double beta, float *to)
{
	float want[ELEMS];

	ck_assert_int_eq(product(beta, a, to, want), PST_BLAS_FINISHED);
	ck_assert_mem_eq(to, want, sizeof(want));
	ck_assert_uint_eq(computed, 1);
}

START_TEST(what_an_agent_that_lives_has_spoiled_is_computed_here)
{
	static const double betas[] = {0, 1, -0.5};
	float *to = buffer();

	fake.complete = spoil_c;
	check_right(betas[_i], to);
	ck_assert_uint_ge(fake.taken, 1);
}
END_TEST

START_TEST(an_interrupted_product_in_a_buffer_is_finished)
{
	float *to = buffer();

	fake.hold = true;
	set_interrupt(interrupt, NULL);
	check_right(-0.5, to);
}
END_TEST

START_TEST(an_interrupted_product_in_own_memory_is_finished)
{
	fake.hold = true;
	set_interrupt(interrupt, NULL);
	check_right(1, mine);
}
END_TEST

static void check_nan(float *to)
{
	float want[ELEMS];
	int i;

	setenv("PENSTOCK_BLAS_LOG", "/dev/null", 1);
	fake.hold = true;
	fake.hang_up = true;
	ck_assert_int_eq(product(1, a, to, want), PST_BLAS_FINISHED);
	for (i = 0; i < ELEMS; i++)
		ck_assert(isnan(to[i]));
}

START_TEST(a_buffer_that_is_lost_gives_no_number)
{
	check_nan(buffer());
}
END_TEST

START_TEST(an_operand_that_is_lost_gives_no_number)
{
	check_nan(mine);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(
		tc, what_an_agent_that_lives_has_spoiled_is_computed_here, 0,
		3);
	tcase_add_test(tc, an_interrupted_product_in_a_buffer_is_finished);
	tcase_add_test(tc, an_interrupted_product_in_own_memory_is_finished);
	tcase_add_test(tc, a_buffer_that_is_lost_gives_no_number);
	tcase_add_test(tc, an_operand_that_is_lost_gives_no_number);
}

int main(void)
{
	return pst_unit_run("blas_finish", add, 30);
}
