/* SPDX-License-Identifier: MIT */
/* Rows of a .npy file through a model, batch after batch, to another file. */
#include "host-client/inferfile.h"

#include <errno.h>

#include "host-client/npyfile.h"
#include "host-client/outfile.h"
#include "transport/half.h"

/* Bytes of a batch's rows, in and out, when its size is left to us. */
#define BATCH_BYTES (8U << 20)

/* One file on its way to the other. */
struct work {
	struct pst *c;
	const struct pst_model *m;
	const struct pst_inferfile *job;
	struct pst_npyfile file;
	struct pst_outfile out;
	void *data; /* the input's, as in the file */
	float *x, *y;
};

static int check(const struct work *w, struct pst_error *err)
{
	const struct pst_npy *npy = &w->file.npy;

	if (npy->cols != w->m->n_in)
		return pst_error_set(
			err, -EINVAL,
			"%.160s has rows of %llu elements, model %.63s takes "
			"%u",
			w->job->in, (unsigned long long)npy->cols, w->m->name,
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

/* n elements from the i-th on in the file's own order, as floats. */
static void convert(const struct work *w, float *dst, uint64_t i, uint64_t n)
{
	const struct pst_npy *npy = &w->file.npy;
	const uint8_t *src = (const uint8_t *)w->data + i * npy->elem_size;
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

/* n rows from row on into x. */
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
				j * npy->rows + row + i, 1);
}

static int run_batch(struct work *w, uint64_t row, uint32_t n,
		     struct pst_inferfile_result *res, struct pst_error *err)
{
	const struct pst_infer f = {
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

static int run(struct work *w, struct pst_inferfile_result *res,
	       struct pst_error *err)
{
	const uint64_t rows = w->file.npy.rows;
	uint8_t header[PST_NPY_HEADER];
	uint64_t row, n;
	int r;

	res->dtype = w->file.npy.dtype;
	res->rows = rows;
	res->batch = batch_rows(w);
	w->x = malloc((uint64_t)res->batch * w->m->n_in * sizeof(float));
	w->y = malloc((uint64_t)res->batch * w->m->n_out * sizeof(float));
	if (!w->x || !w->y)
		return pst_error_set(err, -ENOMEM,
				     "no memory for a batch of %u rows",
				     res->batch);
	r = pst_npyfile_copy(&w->file, &w->data, err);
	if (r < 0)
		return r;
	pst_npy_format(PST_F32, false, rows, w->m->n_out, header);
	r = pst_outfile_write(&w->out, header, sizeof(header), err);
	for (row = 0; !r && row < rows; row += n) {
		n = rows - row < res->batch ? rows - row : res->batch;
		r = run_batch(w, row, (uint32_t)n, res, err);
	}
	return r ? r : pst_outfile_commit(&w->out, err);
}

int pst_inferfile_run(struct pst *c, const struct pst_model *m,
		      const struct pst_inferfile *job,
		      struct pst_inferfile_result *ret, struct pst_error *err)
{
	struct work w = {.c = c, .m = m, .job = job};
	int r;

	*ret = (struct pst_inferfile_result){0};
	r = pst_npyfile_open(job->in, &w.file, err);
	if (r < 0)
		return r;
	r = check(&w, err);
	if (!r)
		r = pst_outfile_open(job->out, &w.out, err);
	if (!r)
		r = run(&w, ret, err);
	pst_outfile_abandon(&w.out);
	pst_npyfile_close(&w.file);
	free(w.data);
	free(w.x);
	free(w.y);
	return r;
}
