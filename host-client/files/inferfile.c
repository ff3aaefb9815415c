/* SPDX-License-Identifier: MIT */
/* Runs the rows of a .npy file through a model, batch by batch, to another
 * file. */
#include "host-client/files/inferfile.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "host-client/files/npyfile.h"
#include "host-client/files/outfile.h"
#include "transport/dtype.h"

/* Bytes of a batch's rows, in and out, when its size is left to us. */
#define BATCH_BYTES (8U << 20)
/* Bytes of the file that are read at once. Of one in Fortran order that is a
 * piece of every column, so it is more than a batch needs. */
#define READ_BYTES (32U << 20)

/* One file on its way to the other. */
struct work {
	struct pst *c;
	const struct pst_model *m;
	const struct pst_inferfile *job;
	struct pst_npyfile file;
	struct pst_outfile out;
	void *block;     /* rows of the input, as in the file */
	uint64_t n_rows; /* how many of them */
	float *x, *y;    /* of a batch */
};

static int check(const struct work *w, struct pst_error *err)
{
	const struct pst_npy *npy = &w->file.npy;

	if (npy->cols != w->m->n_in)
		return pst_error_set(err, -EINVAL,
				     "%.160s has rows of %" PRIu64
				     " elements, model %.63s takes "
				     "%u",
				     w->file.path, npy->cols, w->m->name,
				     w->m->n_in);
	if (w->job->batch > w->m->max_batch)
		return pst_error_set(err, -EMSGSIZE,
				     "a batch of %u rows; model %.63s takes at "
				     "most %u",
				     w->job->batch, w->m->name,
				     w->m->max_batch);
	return 0;
}

/* Rows of one batch; at least 1. */
static uint32_t batch_rows(const struct work *w)
{
	const uint64_t row =
		((uint64_t)w->m->n_in + w->m->n_out) * sizeof(float);
	uint64_t rows = w->job->batch ? w->job->batch : BATCH_BYTES / row;

	if (rows > w->m->max_batch)
		rows = w->m->max_batch;
	if (rows > w->file.npy.rows)
		rows = w->file.npy.rows;
	return rows ? (uint32_t)rows : 1;
}

/* Rows that are read at once: whole batches, so that these are the same
 * however much is read. */
static uint64_t block_rows(const struct work *w, uint32_t batch)
{
	const struct pst_npy *npy = &w->file.npy;
	const uint64_t n = READ_BYTES / (npy->cols * npy->elem_size) / batch;
	const uint64_t rows = (n ? n : 1) * batch;

	return rows < npy->rows ? rows : npy->rows;
}

/* n elements from the block's i-th on in the file's own order, as floats. */
static void convert(const struct work *w, float *dst, uint64_t i, uint64_t n)
{
	const struct pst_npy *npy = &w->file.npy;
	const uint8_t *src = (const uint8_t *)w->block + i * npy->elem_size;
	uint64_t j;

	switch (npy->dtype) {
	case PST_F64:
		for (j = 0; j < n; j++)
			dst[j] = (float)((const double *)src)[j];
		break;
	case PST_I32:
		for (j = 0; j < n; j++)
			dst[j] = (float)((const int32_t *)src)[j];
		break;
	default:
		pst_floats_load(dst, src, (enum pst_wire_dtype)npy->dtype, n);
	}
}

/* n rows of the block from row on into x. */
static void load_rows(const struct work *w, uint64_t row, uint32_t n)
{
	const struct pst_npy *npy = &w->file.npy;
	uint64_t i, j;

	if (!npy->fortran) {
		convert(w, w->x, row * npy->cols, n * npy->cols);
		return;
	}
	for (j = 0; j < npy->cols; j++)
		for (i = 0; i < n; i++)
			convert(w, w->x + i * npy->cols + j,
				j * w->n_rows + row + i, 1);
}

static int run_batch(struct work *w, uint64_t row, uint32_t n,
		     struct pst_inferfile_result *res, struct pst_error *err)
{
	const struct pst_infer_args f = {
		.size = sizeof(struct pst_infer_args),
		.model = w->m,
		.in = w->x,
		.out = w->y,
		.rows = n,
	};
	struct pst_completion done;
	const uint64_t start = pst_now_ns();
	int r;

	load_rows(w, row, n);
	r = pst_infer(w->c, &f, w->job->timeout_ns, &done);
	if (r < 0) {
		err->code = r;
		pst_last_error(w->c, err->text, sizeof(err->text));
		return r;
	}
	res->call_ns += pst_now_ns() - start;
	res->compute_ns += done.compute_ns;
	res->batches++;
	return pst_outfile_write(&w->out, w->y,
				 (size_t)n * w->m->n_out * sizeof(float), err);
}

/* The next rows of the file, that are w->n_rows from row on. */
static int run_block(struct work *w, uint64_t row,
		     struct pst_inferfile_result *res, struct pst_error *err)
{
	uint64_t at, n;
	int r;

	r = pst_npyfile_rows(&w->file, row, w->n_rows, w->block, err);
	for (at = 0; !r && at < w->n_rows; at += n) {
		n = w->n_rows - at < res->batch ? w->n_rows - at : res->batch;
		if (w->job->step)
			w->job->step(w->job->arg, row + at, res->rows);
		r = run_batch(w, at, (uint32_t)n, res, err);
	}
	return r;
}

static int alloc(struct work *w, uint64_t block, uint32_t batch,
		 struct pst_error *err)
{
	const struct pst_npy *npy = &w->file.npy;

	/* One more, for an empty matrix. */
	w->block = malloc(block * npy->cols * npy->elem_size + 1);
	/* The agent's sizes: calloc() knows when their product overflows. */
	w->x = calloc(batch, w->m->n_in * sizeof(float));
	w->y = calloc(batch, w->m->n_out * sizeof(float));
	if (!w->block || !w->x || !w->y)
		return pst_error_set(err, -ENOMEM,
				     "no memory for a batch of %u rows", batch);
	return 0;
}

static int run(struct work *w, struct pst_inferfile_result *res,
	       struct pst_error *err)
{
	const uint64_t rows = w->file.npy.rows;
	uint8_t header[PST_NPY_HEADER];
	uint64_t row, block;
	int r;

	res->dtype = w->file.npy.dtype;
	res->rows = rows;
	res->batch = batch_rows(w);
	block = block_rows(w, res->batch);
	r = alloc(w, block, res->batch, err);
	if (r < 0)
		return r;
	pst_npy_format(PST_F32, false, rows, w->m->n_out, header);
	r = pst_outfile_write(&w->out, header, sizeof(header), err);
	for (row = 0; !r && row < rows; row += w->n_rows) {
		w->n_rows = rows - row < block ? rows - row : block;
		r = run_block(w, row, res, err);
	}
	if (!r)
		r = pst_npyfile_end(&w->file, err);
	return r ? r : pst_outfile_commit(&w->out, err);
}

int pst_inferfile_run(struct pst *c, const struct pst_model *m,
		      const struct pst_inferfile *job,
		      struct pst_inferfile_result *ret, struct pst_error *err)
{
	struct work w = {.c = c, .m = m, .job = job};
	int r;

	*ret = (struct pst_inferfile_result){0};
	r = strcmp(job->in, "-") == 0
		    ? pst_npyfile_open_stream(STDIN_FILENO, "standard input",
					      &w.file, err)
		    : pst_npyfile_open(job->in, &w.file, err);
	if (r < 0)
		return r;
	r = check(&w, err);
	if (!r)
		r = pst_outfile_open(job->out, &w.out, err);
	if (!r)
		r = run(&w, ret, err);
	pst_outfile_abandon(&w.out);
	pst_npyfile_close(&w.file);
	free(w.block);
	free(w.x);
	free(w.y);
	return r;
}
