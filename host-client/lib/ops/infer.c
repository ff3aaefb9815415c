/* SPDX-License-Identifier: MIT */
/* Runs rows through a loaded model: in place if they lie in the region, else
 * through a buffer there. */
#include <errno.h>

#include "host-client/lib/ops/call.h"
#include "host-client/lib/ops/staging.h"
#include "host-client/lib/plain/args.h"

/* Bytes of rows, in and out, that go through the region at once. */
#define STAGE (4ULL << 20)

static uint32_t ld_in(const struct pst_infer_args *f)
{
	return f->ld_in ? f->ld_in : f->model->n_in;
}

static uint32_t ld_out(const struct pst_infer_args *f)
{
	return f->ld_out ? f->ld_out : f->model->n_out;
}

static int check_args(const struct pst_infer_args *f, struct pst_error *err)
{
	if (!f->model || !f->model->handle)
		return pst_error_set(err, -EINVAL, "no model was given");
	if (!f->model->n_in || !f->model->n_out)
		return pst_error_set(err, -EINVAL,
				     "model %.63s takes no rows of f32 but "
				     "named tensors: pst_run() calls it",
				     f->model->name);
	if (f->reserved)
		return pst_error_set(err, -EINVAL,
				     "reserved of struct pst_infer_args is "
				     "not 0");
	if (f->rows == 0)
		return pst_error_set(err, -EINVAL, "a batch of 0 rows");
	if (!f->in || !f->out)
		return pst_error_set(err, -EFAULT, "the %s is NULL",
				     f->in ? "output" : "input");
	if (ld_in(f) < f->model->n_in || ld_out(f) < f->model->n_out)
		return pst_error_set(
			err, -EINVAL,
			"rows of %u and %u elements do not fit %u and %u apart",
			f->model->n_in, f->model->n_out, ld_in(f), ld_out(f));
	return 0;
}

/* The arguments of a caller of any header. */
static int take_args(const void *f, struct pst_infer_args *ret,
		     struct pst_error *err)
{
	static const struct pst_args_kind kind = {
		.init = "PST_INFER_INIT",
		.size = sizeof(*ret),
		.least = offsetof(struct pst_infer_args, ld_in),
	};
	int r = pst_args_take(&kind, f, ret, err);

	return r < 0 ? r : check_args(ret, err);
}

/* Whether the model is one of the agent that is there now. */
static int check_epoch(const struct pst_liveness *session,
		       const struct pst_infer_args *f, struct pst_error *err)
{
	if (session->live && f->model->epoch != session->welcome.epoch)
		return pst_error_set(
			err, -ESTALE,
			"model %.63s was opened on an agent that is gone: load "
			"or open it again",
			f->model->name);
	return 0;
}

/* The descriptor for rows that lie in buffers. */
static int prepare(const struct pst *c, const struct pst_infer_args *f,
		   struct pst_call *call, struct pst_error *err)
{
	struct pst_wire_sqe *s = &call->sqe;
	struct pst_op op;
	int r;

	r = check_epoch(&c->session, f, err);
	if (r < 0)
		return r;
	if (f->rows > f->model->max_batch)
		return pst_error_set(err, -EMSGSIZE,
				     "a batch of %u rows; model %.63s takes at "
				     "most %u",
				     f->rows, f->model->name,
				     f->model->max_batch);
	*s = (struct pst_wire_sqe){
		.op = PST_WIRE_OP_INFER,
		.dtype = PST_WIRE_F32,
		.dtype_c = PST_WIRE_F32,
		.m = f->rows,
		.n = f->model->n_out,
		.k = f->model->n_in,
		.lda = ld_in(f),
		.ldc = ld_out(f),
		.off_b = f->model->handle,
	};
	call->writes = true;
	if ((r = pst_call_operand(&c->mem, call, PST_SLOT_A, "the input", f->in,
				  &s->off_a, err)) < 0 ||
	    (r = pst_call_operand(&c->mem, call, PST_SLOT_C, "the output",
				  f->out, &s->off_c, err)) < 0)
		return r;
	return pst_call_check(&c->mem, call, &op, err);
}

int pst_infer_prepare_args(struct pst *c, const void *f, struct pst_call *call,
			   struct pst_error *err)
{
	struct pst_infer_args own;
	int r = take_args(f, &own, err);

	return r < 0 ? r : prepare(c, &own, call, err);
}

int pst_submit_infer(struct pst *c, const struct pst_infer_args *f,
		     uint64_t user_data, uint64_t *ret_tag)
{
	return pst_call_async(c, pst_infer_prepare_args, f, user_data, ret_tag);
}

/* One operation, and its times added to done's. */
static int run(struct pst *c, const struct pst_infer_args *f,
	       const struct pst_waiter *w, struct pst_completion *done,
	       struct pst_error *err)
{
	struct pst_completion one = {0};
	struct pst_call call = {0};
	int r;

	pst_lock(c);
	r = prepare(c, f, &call, err);
	if (!r)
		r = pst_call_run(c, &call, w, &one, err);
	pst_unlock(c);
	done->tag = one.tag;
	done->status = r;
	done->compute_ns += one.compute_ns;
	done->queue_ns += one.queue_ns;
	return r;
}

/* Rows on their way through the region. */
struct stage {
	uint32_t most, rows;      /* at once: wanted, and what there is */
	uint64_t row_in, row_out; /* bytes; 0: the caller's is in a buffer */
	uint8_t *in, *out;        /* NULL: the caller's is in a buffer */
};

/* 1: in a buffer; 0: in the caller's own memory. */
static int in_buffer(struct pst *c, const char *name, const void *ptr,
		     struct pst_error *err)
{
	struct pst_block *b;
	int r;

	pst_lock(c);
	if (pst_heap_dangles(&c->mem.heap, ptr))
		r = pst_buffer_find(&c->mem, name, ptr, 0, &b, err);
	else
		r = pst_heap_find(&c->mem.heap, ptr, 0) != NULL;
	pst_unlock(c);
	return r;
}

/* A small arena, or one that others have filled, takes fewer rows. */
static uint64_t fewer_rows(void *arg, unsigned int tries)
{
	struct stage *s = arg;

	s->rows = s->most >> tries;
	return s->rows * (s->row_in + s->row_out);
}

static int open_stage(struct pst *c, const struct pst_infer_args *f,
		      uint64_t deadline_ns, struct stage *s,
		      struct pst_error *err)
{
	uint64_t row, rows = f->rows;
	void *mem;
	int r, in, out;

	in = in_buffer(c, "in", f->in, err);
	out = in < 0 ? in : in_buffer(c, "out", f->out, err);
	if (out < 0)
		return out;
	if (!in)
		s->row_in = f->model->n_in * sizeof(float);
	if (!out)
		s->row_out = f->model->n_out * sizeof(float);
	row = s->row_in + s->row_out;
	if (row && rows > STAGE / row)
		rows = STAGE / row;
	if (rows > f->model->max_batch)
		rows = f->model->max_batch;
	s->most = s->rows = rows ? (uint32_t)rows : 1;
	if (!row)
		return 0;
	r = pst_stage(c, fewer_rows, s, deadline_ns, &mem, err);
	if (r < 0)
		return r;
	if (s->row_in)
		s->in = mem;
	if (s->row_out)
		s->out = (uint8_t *)mem + s->rows * s->row_in;
	return 0;
}

/* n rows from row on. */
static int run_rows(struct pst *c, const struct pst_infer_args *f,
		    const struct stage *s, uint32_t row, uint32_t n,
		    const struct pst_waiter *w, struct pst_completion *done,
		    struct pst_error *err)
{
	const uint64_t step_in = ld_in(f) * sizeof(float);
	const uint64_t step_out = ld_out(f) * sizeof(float);
	const struct pst_lines in = {s->row_in, n, s->row_in, step_in};
	const struct pst_lines out = {s->row_out, n, step_out, s->row_out};
	struct pst_infer_args part = *f;
	int r;

	part.rows = n;
	part.in = f->in + (uint64_t)row * ld_in(f);
	part.out = f->out + (uint64_t)row * ld_out(f);
	if (s->in) {
		pst_stage_copy(s->in, part.in, &in);
		part.in = (const float *)(void *)s->in;
		part.ld_in = 0;
	}
	if (s->out) {
		part.out = (float *)(void *)s->out;
		part.ld_out = 0;
	}
	r = run(c, &part, w, done, err);
	if (!r && s->out)
		r = pst_stage_take(c, f->out + (uint64_t)row * ld_out(f),
				   s->out, &out, err);
	return r;
}

int pst_infer(struct pst *c, const struct pst_infer_args *args,
	      uint64_t timeout_ns, struct pst_completion *done)
{
	struct pst_infer_args own, *const f = &own;
	const struct pst_waiter w = pst_waiter_new(timeout_ns);
	struct pst_completion sum = {0};
	struct pst_error err = {0};
	struct stage s = {0};
	uint32_t row, n;
	int r;

	if (pst_is_forked(c))
		return pst_forked(c);
	r = take_args(args, f, &err);
	if (!r) {
		pst_lock(c);
		r = check_epoch(&c->session, f, &err);
		pst_unlock(c);
	}
	if (!r)
		r = open_stage(c, f, w.deadline_ns, &s, &err);
	for (row = 0; !r && row < f->rows; row += n) {
		n = f->rows - row < s.rows ? f->rows - row : s.rows;
		r = run_rows(c, f, &s, row, n, &w, &sum, &err);
	}
	(void)pst_free(c, s.in ? s.in : s.out);
	if (done)
		*done = sum;
	return pst_fail(c, r, &err);
}
