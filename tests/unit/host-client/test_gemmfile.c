/* SPDX-License-Identifier: MIT */
/* Products of files against a library that lies and fails: nothing wrong is
 * written, nothing is kept. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host-client/files/gemmfile.h"
#include "tests/fixtures/tmpdir.h"
#include "tests/fixtures/unit.h"
#include "transport/base/util.h"

/* The library: one connection without a region. */
static struct {
	int n_buffers;   /* allocated and not freed */
	int alloc_fails; /* the how manieth pst_alloc() fails; 0: none */
	int gemm_result;
	int take_result;
	float wrong; /* added to the first element */
	uint64_t arena_size;
	uint32_t max_dim;
	int n_calls; /* of pst_gemm() */
} lib;

const char *pst_strerror(int error)
{
	return "a failure";
}

void pst_last_error(struct pst *c, char *buf, size_t size)
{
	if (size)
		*buf = '\0';
}

int pst_get_info(struct pst *c, struct pst_info *info)
{
	info->arena_size = info->max_lease = lib.arena_size;
	info->max_dim = lib.max_dim;
	info->max_elems = 1U << 20;
	return 0;
}

int pst_alloc(struct pst *c, size_t size, void **ret)
{
	if (lib.alloc_fails && --lib.alloc_fails == 0)
		return -ENOSPC;
	*ret = aligned_alloc(64, (size + 63) / 64 * 64);
	ck_assert_ptr_nonnull(*ret);
	lib.n_buffers++;
	return 0;
}

int pst_free(struct pst *c, void *ptr)
{
	if (ptr)
		lib.n_buffers--;
	free(ptr);
	return 0;
}

int pst_take(struct pst *c, void *dst, const void *src, size_t n)
{
	memcpy(dst, src, n);
	return lib.take_result;
}

int pst_gemm(struct pst *c, const struct pst_gemm_args *g, uint64_t timeout_ns,
	     struct pst_completion *done)
{
	const float *a = g->a, *b = g->b;
	float *r = g->c;
	uint32_t i, j, k;

	lib.n_calls++;
	for (i = 0; i < g->m; i++)
		for (j = 0; j < g->n; j++) {
			/* BLAS does not read C when beta is 0. */
			r[i * g->ldc + j] =
				g->beta == 0 ? 0 : r[i * g->ldc + j];
			for (k = 0; k < g->k; k++)
				r[i * g->ldc + j] +=
					a[i * g->lda + k] * b[k * g->ldb + j];
		}
	r[0] += lib.wrong;
	return lib.gemm_result;
}

static struct pst_gemmfile job;
static struct pst_gemmfile_result result;
static struct pst_error err;
static char a_path[80], b_path[80], out_path[80];

static void save(const char *path, uint32_t rows, uint32_t cols, float first)
{
	uint8_t header[PST_NPY_HEADER];
	FILE *f = fopen(path, "w");
	float v;
	uint32_t i;

	ck_assert_ptr_nonnull(f);
	pst_npy_format(PST_F32, false, rows, cols, header);
	ck_assert_uint_eq(fwrite(header, sizeof(header), 1, f), 1);
	for (i = 0; i < rows * cols; i++) {
		v = first + (float)i;
		ck_assert_uint_eq(fwrite(&v, sizeof(v), 1, f), 1);
	}
	ck_assert_int_eq(fclose(f), 0);
}

static void set_up(void)
{
	tmpdir_make();
	snprintf(a_path, sizeof(a_path), "%s/a", tmpdir);
	snprintf(b_path, sizeof(b_path), "%s/b", tmpdir);
	snprintf(out_path, sizeof(out_path), "%s/out", tmpdir);
	save(a_path, 2, 3, 1);
	save(b_path, 3, 2, 1);
	memset(&lib, 0, sizeof(lib));
	lib.arena_size = 1 << 20;
	lib.max_dim = 1000;
	memset(&err, 0, sizeof(err));
	job = (struct pst_gemmfile){
		.a = a_path,
		.b = b_path,
		.c0 = NULL,
		.out = out_path,
		.alpha = 1,
		.beta = 1,
		.timeout_ns = PST_NS_PER_S,
	};
}

/* Runs; whatever came of it, nothing may stay allocated. */
static int run(void)
{
	int r = pst_gemmfile_run(NULL, &job, &result, &err);

	ck_assert_int_eq(lib.n_buffers, 0);
	if (r < 0)
		ck_assert_str_ne(err.text, "");
	return r;
}

/* The written product, of 2 x 2. */
static void expect_product(float c00, float c01, float c10, float c11)
{
	const float want[4] = {c00, c01, c10, c11};
	PST_CLEANUP_FREE void *got = NULL;
	struct pst_npyfile f;

	ck_assert_int_eq(pst_npyfile_open(out_path, &f, &err), 0);
	ck_assert_uint_eq(f.npy.rows, 2);
	ck_assert_uint_eq(f.npy.cols, 2);
	ck_assert_int_eq(pst_npyfile_copy(&f, &got, &err), 0);
	ck_assert_mem_eq(got, want, sizeof(want));
	pst_npyfile_close(&f);
}

static void expect_nothing(void)
{
	ck_assert_int_eq(access(out_path, F_OK), -1);
}

START_TEST(a_product_is_written)
{
	ck_assert_int_eq(run(), 0);
	expect_product(22, 28, 49, 64);
	ck_assert_uint_eq(result.m, 2);
	ck_assert_uint_eq(result.n, 2);
	ck_assert_uint_eq(result.k, 3);
}
END_TEST

START_TEST(an_input_c_is_added_and_not_written_to)
{
	char c0_path[80];
	struct pst_npyfile f;
	PST_CLEANUP_FREE void *got = NULL;
	const float was[4] = {5, 6, 7, 8};

	snprintf(c0_path, sizeof(c0_path), "%s/c0", tmpdir);
	save(c0_path, 2, 2, 5);
	job.c0 = c0_path;
	job.verify = true;
	ck_assert_int_eq(run(), 0);
	ck_assert(result.reference.verified);
	expect_product(27, 34, 56, 72);
	ck_assert_int_eq(pst_npyfile_open(c0_path, &f, &err), 0);
	ck_assert_int_eq(pst_npyfile_copy(&f, &got, &err), 0);
	ck_assert_mem_eq(got, was, sizeof(was));
	pst_npyfile_close(&f);
}
END_TEST

START_TEST(a_wrong_product_is_found_and_not_written)
{
	job.verify = true;
	lib.wrong = 0.001f;
	ck_assert_int_eq(run(), 0);
	ck_assert(!result.reference.verified);
	ck_assert_uint_eq(result.reference.row, 0);
	ck_assert_uint_eq(result.reference.col, 0);
	expect_nothing();
	lib.wrong = 0;
	ck_assert_int_eq(run(), 0);
	ck_assert(result.reference.verified);
	expect_product(22, 28, 49, 64);
}
END_TEST

START_TEST(a_failed_product_is_not_written)
{
	lib.gemm_result = -ECONNRESET;
	ck_assert_int_eq(run(), -ECONNRESET);
	expect_nothing();
}
END_TEST

START_TEST(a_result_that_cannot_be_taken_is_not_written)
{
	job.verify = true;
	lib.take_result = -ESTALE;
	ck_assert_int_eq(run(), -ESTALE);
	expect_nothing();
}
END_TEST

START_TEST(when_the_region_is_full_private_memory_does)
{
	lib.alloc_fails = _i + 1;
	job.verify = true;
	ck_assert_int_eq(run(), 0);
	ck_assert(!result.zero_copy);
	ck_assert(result.reference.verified);
	ck_assert_int_eq(lib.n_calls, 1);
	expect_product(22, 28, 49, 64);
}
END_TEST

START_TEST(what_does_not_fit_is_multiplied_from_private_memory)
{
	ck_assert_int_eq(run(), 0);
	ck_assert(result.zero_copy);
	lib.max_dim = 2;
	ck_assert_int_eq(run(), 0);
	ck_assert(!result.zero_copy);
	lib.max_dim = 1000;
	lib.arena_size = 8192;
	lib.alloc_fails = 1; /* nothing is asked for */
	ck_assert_int_eq(run(), 0);
	ck_assert(!result.zero_copy);
	expect_product(22, 28, 49, 64);
	/* Not an operand, but their product has too many elements. */
	lib.alloc_fails = 0;
	lib.max_dim = 1U << 20;
	lib.arena_size = UINT64_MAX;
	save(a_path, 2000, 1, 0);
	save(b_path, 1, 2000, 0);
	ck_assert_int_eq(run(), 0);
	ck_assert(!result.zero_copy);
}
END_TEST

START_TEST(an_output_that_cannot_be_written_stops_the_work)
{
	job.out = "/no/such/directory/out";
	ck_assert_int_eq(run(), -ENOENT);
	ck_assert_int_eq(lib.n_calls, 0);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, set_up, tmpdir_remove);
	tcase_add_test(tc, a_product_is_written);
	tcase_add_test(tc, an_input_c_is_added_and_not_written_to);
	tcase_add_test(tc, a_wrong_product_is_found_and_not_written);
	tcase_add_test(tc, a_failed_product_is_not_written);
	tcase_add_test(tc, a_result_that_cannot_be_taken_is_not_written);
	tcase_add_loop_test(tc, when_the_region_is_full_private_memory_does, 0,
			    3);
	tcase_add_test(tc, what_does_not_fit_is_multiplied_from_private_memory);
	tcase_add_test(tc, an_output_that_cannot_be_written_stops_the_work);
}

int main(void)
{
	return pst_unit_run("gemmfile", add, 10);
}
