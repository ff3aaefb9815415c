/* SPDX-License-Identifier: MIT */
/* One operation: resolve its operands, check, submit, wait for its end. */
#include "host-client/lib/ops/call.h"

#include <errno.h>
#include <inttypes.h>

#include "host-client/lib/ops/failure.h"

int pst_call_operand(const struct pst_memory *m, struct pst_call *call,
		     enum pst_operand_slot slot, const char *what,
		     const void *ptr, uint64_t *ret_off, struct pst_error *err)
{
	struct pst_block *b;
	int r = pst_buffer_find(m, what, ptr, 0, &b, err);

	if (r < 0)
		return r;
	call->blocks[slot] = b;
	*ret_off = pst_block_wire_off(b, ptr);
	return 0;
}

int pst_call_tensor(const struct pst_memory *m, struct pst_call *call,
		    enum pst_operand_slot slot, const char *what, uint64_t id,
		    uint64_t *ret_handle, struct pst_error *err)
{
	struct pst_tentry *e;
	int r;

	if (!id)
		return 0;
	r = pst_tensor_lookup(m, what, id, &e, err);
	if (r < 0)
		return r;
	call->tensors[slot] = pst_tensor_table_place(&m->tensors, e) + 1;
	*ret_handle = e->handle;
	return 0;
}

/* Whether an operand's span ends within its buffer, which starts there. */
static int operand_fits(const char *what, const struct pst_block *b,
			uint64_t start, const struct pst_operand *span,
			struct pst_error *err)
{
	uint64_t at;

	if (span->size == 0)
		return 0;
	at = span->off - start;
	if (span->size > b->size - at)
		return pst_error_set(err, -EFAULT,
				     "%s has %" PRIu64
				     " bytes, its buffer ends after %" PRIu64,
				     what, span->size, b->size - at);
	return 0;
}

/* pst_op_check() asks for extents; buffers, which are smaller, are checked
 * right after it. */
static bool holds_any(void *arg, const struct pst_span *span)
{
	return true;
}

/* Memory does not wrap. */
static bool is_memory(void *arg, const struct pst_span *span)
{
	uint64_t end;

	return !pst_add_overflow(span->off, span->size, &end);
}

struct lookup {
	const struct pst_tensor_table *tensors;
	const struct pst_call *call;
};

/* The tensor that one of the call's operands has, by the agent's handle. Its
 * entry stands for its memory: only compared with others. */
static int find_tensor(void *arg, uint64_t handle, void **ret_mem,
		       uint64_t *ret_size)
{
	const struct lookup *l = arg;
	struct pst_tentry *e;
	int i;

	for (i = 0; i < PST_RECORD_BLOCKS; i++) {
		if (!l->call->tensors[i])
			continue;
		e = &l->tensors->entry[l->call->tensors[i] - 1];
		if (e->handle != handle)
			continue;
		*ret_mem = e;
		*ret_size = e->size;
		return 0;
	}
	return -ENOENT;
}

/* INFER's sizes were taken from the model; that it is still there, and of
 * these sizes, the agent knows. */
static int any_model(void *arg, uint64_t handle, struct pst_op_model *ret)
{
	const struct lookup *l = arg;

	*ret = (struct pst_op_model){
		.n_in = l->call->sqe.k,
		.n_out = l->call->sqe.n,
		.max_batch = UINT32_MAX,
	};
	return 0;
}

/* What an operand is called. */
static const char *operand_name(const struct pst_call *call,
				enum pst_operand_slot slot)
{
	static const char *const gemm[] = {"a", "b", "c", "bias"};

	if (call->sqe.op == PST_WIRE_OP_GEMM ||
	    call->sqe.op == PST_WIRE_OP_GEMM_STRIDED_BATCHED)
		return gemm[slot];
	if (call->sqe.op == PST_WIRE_OP_COPY)
		return slot == PST_SLOT_A ? "the source" : "the destination";
	if (call->sqe.op == PST_WIRE_OP_INFER)
		return slot == PST_SLOT_A ? "the input" : "the output";
	return "the span";
}

static int check(const struct pst_memory *m, const struct pst_call *call,
		 bool by_address, const struct pst_wire_limits *limits,
		 struct pst_op *ret, struct pst_error *err)
{
	struct lookup lookup = {&m->tensors, call};
	const struct pst_op_env env = {
		.limits = limits,
		.holds = by_address ? is_memory : holds_any,
		.tensor = find_tensor,
		.model = any_model,
		.arg = &lookup,
	};
	const struct pst_operand *operands[PST_RECORD_BLOCKS] = {
		&ret->a, &ret->b, &ret->c, &ret->bias};
	const struct pst_block *b;
	int i, r = pst_op_check(&call->sqe, &env, ret, err);

	for (i = 0; i < PST_RECORD_BLOCKS && !r; i++) {
		b = call->blocks[i];
		if (b)
			r = operand_fits(operand_name(call, i), b,
					 by_address
						 ? (uintptr_t)pst_block_addr(b)
						 : b->extent->off + b->off,
					 operands[i], err);
	}
	return r;
}

int pst_call_check(const struct pst_memory *m, const struct pst_call *call,
		   struct pst_op *ret, struct pst_error *err)
{
	return check(m, call, false, m->limits, ret, err);
}

int pst_call_check_whole(const struct pst_memory *m,
			 const struct pst_call *call, struct pst_error *err)
{
	static const struct pst_wire_limits none = {
		.max_elems = UINT64_MAX,
		.max_dim = UINT32_MAX,
		.max_batch = UINT32_MAX,
	};
	struct pst_op op;

	return check(m, call, true, &none, &op, err);
}

static int full(struct pst_error *err)
{
	return pst_error_set(
		err, -EAGAIN,
		"the queue is full, %u operations are outstanding: "
		"collect completions first",
		PST_WIRE_SLOTS);
}

/* A record of a queue that has one, after completions of abandoned operations
 * have made room. */
static __attribute__((noinline)) int
make_room(struct pst *c, struct pst_queue *q, bool claimed,
	  struct pst_record **ret, struct pst_error *err)
{
	pst_reap(c);
	pst_settle(c);
	if (!c->session.live)
		return pst_session_gone(&c->session, err);
	*ret = pst_pending_new(&q->ops, claimed);
	return *ret ? 0 : full(err);
}

static void use_operands(struct pst_memory *m, struct pst_record *rec,
			 const struct pst_call *call)
{
	int i;

	rec->uses = true;
	rec->run = call->run;
	for (i = 0; rec->run && i < (int)rec->run->n_blocks; i++)
		rec->run->block[i]->busy++;
	for (i = 0; i < PST_RECORD_BLOCKS; i++) {
		rec->blocks[i] = call->blocks[i];
		if (rec->blocks[i])
			rec->blocks[i]->busy++;
		rec->tensors[i] = call->tensors[i];
		if (rec->tensors[i])
			m->tensors.entry[rec->tensors[i] - 1].busy++;
	}
}

int pst_call_put(struct pst *c, struct pst_call *call, bool claimed,
		 struct pst_record **ret, struct pst_error *err)
{
	struct pst_record *rec;
	struct pst_queue *q;
	int r;

	r = pst_conf_check_data(&c->conf, err);
	if (r < 0)
		return r;
	if (!c->session.live)
		return pst_session_gone(&c->session, err);
	q = pst_call_queue(c, call);
	rec = pst_pending_new(&q->ops, claimed);
	if (!rec) {
		r = make_room(c, q, claimed, &rec, err);
		if (r < 0)
			return r;
	}
	call->sqe.tag = rec->done.tag;
	if (pst_lane_client_submit(&q->lane, &call->sqe) < 0) {
		pst_pending_put(&q->ops, rec);
		return full(err);
	}
	rec->done.user_data = call->user_data;
	rec->writes = call->writes;
	/* Who always spins, or never does, expects nothing. */
	if (c->conf.spin_ns && c->conf.spin_ns != UINT64_MAX) {
		rec->key = pst_forecast_key(&call->sqe);
		rec->start.asked_ns = 0;
	}
	if (call->sqe.op != PST_WIRE_OP_NOP)
		use_operands(&c->mem, rec, call);
	*ret = rec;
	return 0;
}

int pst_call_submit(struct pst *c, struct pst_call *call, bool claimed,
		    struct pst_record **ret, struct pst_error *err)
{
	const int r = pst_call_put(c, call, claimed, ret, err);

	if (!r)
		pst_call_tell(c, pst_queue_of(c, *ret), 1);
	return r;
}

int pst_call_collect(struct pst *c, struct pst_record *rec,
		     const struct pst_waiter *w, struct pst_completion *done,
		     struct pst_error *err)
{
	const int r = rec->done.status;
	const uint64_t tag = rec->done.tag;
	const bool lost = rec->lost;

	if (done)
		*done = rec->done;
	pst_pending_put(&pst_queue_of(c, rec)->ops, rec);
	if (r < 0 && lost)
		pst_error_set(err, r, "the operation was lost: %s",
			      c->session.lost.text);
	else if (r < 0)
		pst_failure_explain(c, tag, r, w->deadline_ns, err);
	return r;
}

int pst_call_finish(struct pst *c, struct pst_record *rec,
		    const struct pst_waiter *w, struct pst_completion *done,
		    struct pst_error *err)
{
	int r = pst_wait_record(c, rec, w, err);

	return r < 0 ? r : pst_call_collect(c, rec, w, done, err);
}

int pst_call_run(struct pst *c, struct pst_call *call,
		 const struct pst_waiter *w, struct pst_completion *done,
		 struct pst_error *err)
{
	struct pst_record *rec;
	int r = pst_call_submit(c, call, true, &rec, err);

	return r < 0 ? r : pst_call_finish(c, rec, w, done, err);
}

int pst_call_run_for(struct pst *c, struct pst_call *call, uint64_t timeout_ns,
		     struct pst_completion *done, struct pst_error *err)
{
	struct pst_waiter w;
	struct pst_record *rec;
	int r = pst_call_submit(c, call, true, &rec, err);

	if (r < 0)
		return r;
	w = pst_waiter_new(timeout_ns);
	return pst_call_finish(c, rec, &w, done, err);
}

int pst_call_put_async(struct pst *c, struct pst_call *call, bool claimed,
		       uint64_t *ret_tag, struct pst_error *err)
{
	struct pst_record *rec;
	struct pst_queue *q;
	int r = pst_call_put(c, call, claimed, &rec, err);

	if (r)
		return r;
	if (ret_tag)
		*ret_tag = rec->done.tag;
	if (!rec->key)
		return 0;
	q = pst_queue_of(c, rec);
	if (pst_forecast_matters(&q->forecast, rec->key, c->conf.spin_ns)) {
		rec->order = q->lane.sq_tail - 1;
		pst_forecast_start(&q->forecast, rec->key, pst_now_ns(),
				   &rec->start);
	}
	return 0;
}

int pst_call_run_async(struct pst *c, struct pst_call *call, bool claimed,
		       uint64_t *ret_tag, struct pst_error *err)
{
	const int r = pst_call_put_async(c, call, claimed, ret_tag, err);

	if (!r)
		pst_call_tell(c, pst_call_queue(c, call), 1);
	return r;
}

int pst_call_sync(struct pst *c, pst_prepare_fn *prepare, const void *arg,
		  uint64_t timeout_ns, struct pst_completion *done)
{
	const struct pst_waiter w = pst_waiter_new(timeout_ns);
	struct pst_error err = {0};
	struct pst_call call = {0};
	int r;

	if (pst_is_forked(c))
		return pst_forked(c);
	pst_lock(c);
	r = prepare(c, arg, &call, &err);
	if (!r)
		r = pst_call_run(c, &call, &w, done, &err);
	pst_unlock(c);
	return pst_fail(c, r, &err);
}

int pst_call_async(struct pst *c, pst_prepare_fn *prepare, const void *arg,
		   uint64_t user_data, uint64_t *ret_tag)
{
	struct pst_call call = {.user_data = user_data};
	struct pst_error err;
	int r;

	if (pst_is_forked(c))
		return pst_forked(c);
	pst_error_clear(&err);
	pst_lock(c);
	r = prepare(c, arg, &call, &err);
	if (!r)
		r = pst_call_run_async(c, &call, false, ret_tag, &err);
	pst_unlock(c);
	return pst_fail(c, r, &err);
}
