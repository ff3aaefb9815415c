/* SPDX-License-Identifier: MIT */
/* penstock bench run: an ONNX model through the agent, beside the same model in
 * this process. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/clock.h"
#include "bench/onnx.h"
#include "bench/onnxfile.h"

static int once_run(struct pst_bench_task *t, uint64_t *ret_ns,
		    uint64_t *ret_extra_ns)
{
	struct pst_bench_onnx *m = t->dst;
	int r = pst_bench_onnx_run(m, ret_ns);

	if (r == 0)
		*ret_extra_ns =
			*ret_ns > m->compute_ns ? *ret_ns - m->compute_ns : 0;
	return r;
}

static int once_direct(struct pst_bench_task *t, uint64_t *ret_ns,
		       uint64_t *ret_extra_ns)
{
	(void)ret_extra_ns;
	return pst_bench_onnx_direct(t->dst, ret_ns);
}

static struct pst_bench_row *add(struct pst_bench *b,
				 enum pst_bench_row_kind kind, const char *name)
{
	return pst_bench_new_row(b, "run", kind, PST_BENCH_ROW_US, name);
}

/* The file, or a small network of our own. */
static int read_model(struct pst_bench *b, struct pst_bench_onnxfile *ret)
{
	FILE *f;
	long n = 0;

	if (!b->model)
		return pst_bench_onnxfile_mlp(ret);
	f = fopen(b->model, "re");
	if (f && fseek(f, 0, SEEK_END) == 0)
		n = ftell(f);
	if (n > 0) {
		rewind(f);
		ret->data = malloc((size_t)n);
		if (ret->data)
			ret->size = fread(ret->data, 1, (size_t)n, f);
	}
	if (f)
		fclose(f);
	if (ret->size && ret->size == (size_t)n)
		return 0;
	snprintf(b->error, sizeof(b->error), "cannot read %.200s: %s", b->model,
		 strerror(errno ? errno : EINVAL));
	return -EIO;
}

static int measure(struct pst_bench *b, struct pst_bench_onnx *m)
{
	struct pst_bench_task tasks[2] = {
		{.once = once_run, .c = b->c, .dst = m},
		{.once = once_direct, .dst = m},
	};

	tasks[0].row = add(b, PST_BENCH_ROW_PENSTOCK, "call");
	tasks[0].extra = add(b, PST_BENCH_ROW_PENSTOCK, "overhead");
	tasks[1].row = add(b, PST_BENCH_ROW_ONNX, "in process");
	if (!tasks[0].row || !tasks[0].extra || !tasks[1].row)
		return -ENOMEM;
	if (!m->session)
		snprintf(tasks[1].row->note, sizeof(tasks[1].row->note),
			 "this process finds no ONNX Runtime (PENSTOCK_ORT)");
	return pst_bench_rounds(b, "run", tasks, m->session ? 2 : 1,
				b->budget_ns);
}

int pst_bench_run(struct pst_bench *b)
{
	struct pst_bench_onnxfile file = {0};
	struct pst_bench_onnx m = {0};
	struct pst_bench_row *row;
	int r;

	r = read_model(b, &file);
	if (r == 0) {
		r = pst_bench_onnx_open(&m, b->c, file.data, file.size,
					b->inputs, b->n_inputs);
		if (r == 0)
			r = measure(b, &m);
		if (r < 0 && m.error[0])
			snprintf(b->error, sizeof(b->error), "%.200s%s",
				 b->model && strchr(" :", m.error[0]) ? b->model
								      : "",
				 m.error);
		pst_bench_onnx_close(&m);
	}
	free(file.data);
	/* As part of all, where models are no more than possible. */
	if (b->model || (r != -EOPNOTSUPP && r != -ENOENT))
		return r;
	row = add(b, PST_BENCH_ROW_PENSTOCK, "call");
	if (!row)
		return -ENOMEM;
	snprintf(row->note, sizeof(row->note), "%.95s", b->error);
	return 0;
}
