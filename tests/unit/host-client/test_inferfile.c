/* SPDX-License-Identifier: MIT */
/* Rows of files and streams through a model that is a sum, in more reads and
 * batches than one: each comes out once, and a failure half-way writes nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "host-client/files/inferfile.h"
#include "host-client/files/npyfile.h"
#include "tests/fixtures/fds.h"
#include "tests/fixtures/tmpdir.h"
#include "tests/fixtures/unit.h"
#include "transport/base/util.h"

/* Rows of 256 KiB: 31 make a batch of 8 MiB, four batches a read of 32 MiB. */
#define COLS  65536U
#define ROWS  150U
#define BATCH 31U

/* The library: a model without an agent. */
static struct {
	unsigned int n_calls;
	unsigned int fails_at;   /* the how manieth call; 0: none */
	unsigned int shrinks_at; /* the same for the cut of the input */
	uint32_t most;           /* rows of one call */
} lib;

static struct pst_model model;
static struct pst_inferfile job;
static struct pst_inferfile_result result;
static struct pst_error err;
static char in_path[80], out_path[80];

void pst_last_error(struct pst *c, char *buf, size_t size)
{
	snprintf(buf, size, "a failure");
}

const char *pst_strerror(int error)
{
	return "a failure";
}

int pst_alloc(struct pst *c, size_t size, void **ret)
{
	return -ENOSPC;
}

int pst_free(struct pst *c, void *ptr)
{
	return 0;
}

static void apply(const float *x, float y[2])
{
	double sum = 0, weighted = 0;
	uint32_t j;

	for (j = 0; j < COLS; j++) {
		sum += x[j];
		weighted += x[j] * (double)(j % 7);
	}
	y[0] = (float)sum;
	y[1] = (float)weighted;
}

int pst_infer(struct pst *c, const struct pst_infer_args *f,
	      uint64_t timeout_ns, struct pst_completion *done)
{
	uint32_t i;

	*done = (struct pst_completion){0};
	lib.n_calls++;
	if (lib.n_calls == lib.fails_at)
		return -EIO;
	if (lib.n_calls == lib.shrinks_at)
		ck_assert_int_eq(truncate(in_path, 1000), 0);
	if (f->rows > lib.most)
		lib.most = f->rows;
	for (i = 0; i < f->rows; i++)
		apply(f->in + (size_t)i * COLS, f->out + (size_t)i * 2);
	return 0;
}

static float element(uint32_t i, uint32_t j)
{
	return (float)((i * 7 + j * 3) % 101);
}

static void save(uint32_t rows, bool fortran)
{
	const size_t n = (size_t)rows * COLS;
	PST_CLEANUP_FREE float *data = malloc(n * sizeof(float) + 1);
	uint8_t header[PST_NPY_HEADER];
	FILE *f = fopen(in_path, "w");
	uint32_t i, j;

	ck_assert_ptr_nonnull(f);
	ck_assert_ptr_nonnull(data);
	for (i = 0; i < rows; i++)
		for (j = 0; j < COLS; j++)
			data[fortran ? (size_t)j * rows + i
				     : (size_t)i * COLS + j] = element(i, j);
	pst_npy_format(PST_F32, fortran, rows, COLS, header);
	ck_assert_uint_eq(fwrite(header, sizeof(header), 1, f), 1);
	ck_assert_uint_eq(fwrite(data, sizeof(float), n, f), n);
	ck_assert_int_eq(fclose(f), 0);
}

static void add_byte(void)
{
	FILE *f = fopen(in_path, "a");

	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(fputc('x', f), 'x');
	ck_assert_int_eq(fclose(f), 0);
}

static void set_up(void)
{
	FILE *f;

	tmpdir_make();
	snprintf(in_path, sizeof(in_path), "%s/in", tmpdir);
	snprintf(out_path, sizeof(out_path), "%s/out", tmpdir);
	f = fopen(out_path, "w");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(fputs("old", f), 1);
	ck_assert_int_eq(fclose(f), 0);
	memset(&lib, 0, sizeof(lib));
	memset(&err, 0, sizeof(err));
	model = (struct pst_model){.n_in = COLS, .n_out = 2, .max_batch = 1000};
	strcpy(model.name, "sum");
	job = (struct pst_inferfile){
		.in = in_path,
		.out = out_path,
		.timeout_ns = PST_NS_PER_S,
	};
}

/* Runs with the input as standard input if stream; nothing stays open. */
static int run(bool stream)
{
	const int n_fds = count_fds();
	int saved = -1, fd, rc;

	if (stream) {
		job.in = "-";
		saved = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
		fd = open(in_path, O_RDONLY | O_CLOEXEC);
		ck_assert_int_ge(fd, 0);
		ck_assert_int_eq(dup2(fd, STDIN_FILENO), STDIN_FILENO);
		close(fd);
	}
	rc = pst_inferfile_run(NULL, &model, &job, &result, &err);
	if (stream && saved >= 0) {
		ck_assert_int_eq(dup2(saved, STDIN_FILENO), STDIN_FILENO);
		close(saved);
	}
	ck_assert_int_eq(count_fds(), n_fds);
	return rc;
}

static void expect_rows(uint32_t rows)
{
	PST_CLEANUP_FREE float *x = malloc(COLS * sizeof(float));
	PST_CLEANUP_FREE void *got = NULL;
	struct pst_npyfile f;
	uint32_t i, j;
	float want[2];

	ck_assert_ptr_nonnull(x);
	ck_assert_int_eq(pst_npyfile_open(out_path, &f, &err), 0);
	ck_assert_uint_eq(f.npy.rows, rows);
	ck_assert_uint_eq(f.npy.cols, 2);
	ck_assert_int_eq(pst_npyfile_copy(&f, &got, &err), 0);
	for (i = 0; i < rows; i++) {
		for (j = 0; j < COLS; j++)
			x[j] = element(i, j);
		apply(x, want);
		ck_assert_mem_eq((float *)got + (size_t)i * 2, want,
				 sizeof(want));
	}
	pst_npyfile_close(&f);
}

/* It failed as it should, and the old output is there. */
static void expect_failure(int r, int want, const char *words)
{
	char text[8] = "";
	FILE *f = fopen(out_path, "r");

	ck_assert_int_eq(r, want);
	ck_assert_msg(strstr(err.text, words), "%s", err.text);
	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fread(text, 1, sizeof(text) - 1, f), 3);
	ck_assert_str_eq(text, "old");
	ck_assert_int_eq(fclose(f), 0);
}

static const struct source {
	bool fortran, stream;
} sources[] = {{false, false}, {true, false}, {false, true}};

START_TEST(rows_of_several_reads_come_out_once_each)
{
	const struct source *s = &sources[_i];

	save(ROWS, s->fortran);
	ck_assert_int_eq(run(s->stream), 0);
	expect_rows(ROWS);
	ck_assert_uint_eq(result.rows, ROWS);
	ck_assert_uint_eq(result.batch, BATCH);
	ck_assert_uint_eq(result.batches, (ROWS + BATCH - 1) / BATCH);
	ck_assert_uint_eq(lib.most, BATCH);
}
END_TEST

START_TEST(a_batch_may_be_larger_than_a_read_otherwise_is)
{
	const struct source *s = &sources[_i];

	save(ROWS, s->fortran);
	job.batch = ROWS - 10;
	ck_assert_int_eq(run(s->stream), 0);
	expect_rows(ROWS);
	ck_assert_uint_eq(result.batches, 2);
	ck_assert_uint_eq(lib.most, ROWS - 10);
}
END_TEST

START_TEST(the_last_row_may_be_a_read_of_its_own)
{
	const struct source *s = &sources[_i];

	save(4 * BATCH + 1, s->fortran);
	ck_assert_int_eq(run(s->stream), 0);
	expect_rows(4 * BATCH + 1);
	ck_assert_uint_eq(result.batches, 5);
}
END_TEST

START_TEST(no_rows_are_no_rows)
{
	const struct source *s = &sources[_i];

	save(0, false);
	ck_assert_int_eq(run(s->stream), 0);
	expect_rows(0);
	ck_assert_uint_eq(lib.n_calls, 0);
}
END_TEST

START_TEST(a_failure_half_way_keeps_the_old_output)
{
	save(ROWS, false);
	lib.fails_at = 5;
	expect_failure(run(_i), -EIO, "a failure");
}
END_TEST

START_TEST(a_file_that_shrinks_under_us_is_told)
{
	save(ROWS, false);
	lib.shrinks_at = 1;
	expect_failure(run(false), -ENODATA, "shrank while it was read");
	ck_assert_uint_eq(lib.n_calls, 4);
}
END_TEST

START_TEST(a_truncated_file_is_told_before_any_work)
{
	save(ROWS, false);
	ck_assert_int_eq(truncate(in_path, 30 << 20), 0);
	expect_failure(run(false), -ENODATA, "is truncated: 31457280 bytes");
	ck_assert_uint_eq(lib.n_calls, 0);
}
END_TEST

/* In the header's block, in the first read and in the second. */
static const int cuts[] = {129, 60000, 65536, 65537, 30 << 20, 35 << 20};

START_TEST(a_truncated_stream_is_told_with_its_size)
{
	char words[64];

	save(ROWS, false);
	ck_assert_int_eq(truncate(in_path, cuts[_i]), 0);
	snprintf(words, sizeof(words), "is truncated: %d bytes", cuts[_i]);
	expect_failure(run(true), -ENODATA, words);
}
END_TEST

START_TEST(a_stream_that_goes_on_is_told)
{
	save(_i ? ROWS : 0, false);
	add_byte();
	expect_failure(run(true), -EMSGSIZE, "behind its");
}
END_TEST

START_TEST(a_stream_of_columns_is_refused)
{
	save(2, true);
	expect_failure(run(true), -EOPNOTSUPP, "Fortran order");
}
END_TEST

/* As a full disk: the last batch does not fit. */
START_TEST(an_output_that_cannot_grow_keeps_the_old_one)
{
	const struct rlimit small = {1200, RLIM_INFINITY};
	struct rlimit before;
	int r;

	save(ROWS, false);
	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
	r = run(false);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
	expect_failure(r, -EFBIG, "cannot write");
	ck_assert_uint_eq(lib.n_calls, 5);
}
END_TEST

static void add(TCase *tc)
{
	const int n = PST_ARRAY_SIZE(sources);

	tcase_add_checked_fixture(tc, set_up, tmpdir_remove);
	tcase_add_loop_test(tc, rows_of_several_reads_come_out_once_each, 0, n);
	tcase_add_loop_test(tc, a_batch_may_be_larger_than_a_read_otherwise_is,
			    0, n);
	tcase_add_loop_test(tc, the_last_row_may_be_a_read_of_its_own, 0, n);
	tcase_add_loop_test(tc, no_rows_are_no_rows, 0, n);
	tcase_add_loop_test(tc, a_failure_half_way_keeps_the_old_output, 0, 2);
	tcase_add_test(tc, a_file_that_shrinks_under_us_is_told);
	tcase_add_test(tc, a_truncated_file_is_told_before_any_work);
	tcase_add_loop_test(tc, a_truncated_stream_is_told_with_its_size, 0,
			    PST_ARRAY_SIZE(cuts));
	tcase_add_loop_test(tc, a_stream_that_goes_on_is_told, 0, 2);
	tcase_add_test(tc, a_stream_of_columns_is_refused);
	tcase_add_test(tc, an_output_that_cannot_grow_keeps_the_old_one);
}

int main(void)
{
	return pst_unit_run("inferfile", add, 30);
}
