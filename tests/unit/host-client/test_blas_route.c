/* SPDX-License-Identifier: MIT */
/* The way to the next BLAS, where a fork has left its lock held by a thread
 * that the child does not have. */
#include "host-client/blas/route.c"

#include "tests/fixtures/unit.h"
#include "transport/base/util.h"

/* The agent's BLAS: the linker leaves out what nobody calls. */
extern void cblas_dtrsm(void);
static void (*volatile const linked)(void) = cblas_dtrsm;

static const struct pst_blas_name names[] = {
	{"sgemm_", PST_BLAS_GEMM, PST_BLAS_F32, false, false},
	{"cblas_dtrsm", PST_BLAS_TRSM, PST_BLAS_F64, true, false},
};

START_TEST(a_lock_that_nobody_gives_back_is_not_waited_for)
{
	const struct pst_blas_library *lib;
	size_t i;

	ck_assert(linked);
	ck_assert_int_eq(pthread_mutex_lock(&lock), 0);
	for (i = 0; i < PST_ARRAY_SIZE(names); i++) {
		lib = pst_blas_route(&names[i], (void *)pst_blas_route);
		ck_assert_ptr_nonnull(lib->fn[names[i].routine]);
		ck_assert_int_eq(lib->type, names[i].type);
		ck_assert_int_eq(lib->cblas, names[i].cblas);
	}
	ck_assert_int_eq(pthread_mutex_unlock(&lock), 0);
	/* The same place is remembered now. */
	lib = pst_blas_route(&names[0], (void *)pst_blas_route);
	ck_assert_ptr_eq(lib,
			 pst_blas_route(&names[0], (void *)pst_blas_route));
	ck_assert_ptr_nonnull(lib->fn[PST_BLAS_GEMM]);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, a_lock_that_nobody_gives_back_is_not_waited_for);
}

int main(void)
{
	return pst_unit_run("blas_route", add, 10);
}
