/* SPDX-License-Identifier: MIT */
/* Calls models with named tensors: in place where they lie in the region, else
 * through room there. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "host-client/lib/ops/call.h"
#include "host-client/lib/ops/lease.h"
#include "host-client/lib/ops/run.h"
#include "host-client/lib/ops/staging.h"
#include "transport/run.h"

/* A call on its way. */
struct run {
	struct pst *c;
	struct pst_run_operands o;
	uint64_t deadline_ns;
	uint8_t *block; /* in the region: the call block, then what is copied */
	uint64_t need;  /* bytes of all that */
	unsigned int tries;
	bool made[PST_WIRE_RUN_IO]; /* outputs that were allocated here */
	/* Where an operand lies in the region: what the caller has, or a place
	 * behind the call block. */
	void *at[PST_RUN_ALL];
	uint64_t copy_off[PST_RUN_ALL]; /* in block; 0: it is used in place */
};

static uint32_t n_all(const struct pst_run_operands *o)
{
	return o->n_in + o->n_out;
}

/* ---- The call block ---- */

static void fill_io(struct pst_wire_io *w, const struct pst_io *io, bool in,
		    uint64_t off)
{
	uint32_t i;

	*w = (struct pst_wire_io){
		.slot = (uint16_t)io->index,
		.dtype = (uint8_t)io->dtype,
		.rank = in ? (uint8_t)io->rank : PST_WIRE_IO_ANY,
		.off = io->bytes ? off : 0,
		.size = io->bytes,
	};
	for (i = 0; in && i < io->rank; i++)
		w->dim[i] = (uint64_t)io->dim[i];
}

static int find_operand(const struct run *r, uint32_t i, struct pst_run_use *u,
			uint64_t *ret_off, struct pst_error *err)
{
	const struct pst_io *io = &r->o.io[i];
	struct pst_block *b;
	int e;

	*ret_off = 0;
	if (r->copy_off[i] || !io->bytes) {
		*ret_off = pst_block_wire_off(u->block[0], r->block) +
			   r->copy_off[i];
		return 0;
	}
	e = pst_buffer_find(&r->c->mem, pst_run_name(&r->o, i), r->at[i],
			    io->bytes, &b, err);
	if (e < 0)
		return e;
	*ret_off = pst_block_wire_off(b, r->at[i]);
	if (*ret_off % PST_WIRE_LINE)
		return pst_error_set(err, -EFAULT,
				     "%.120s begins at no multiple of %u in "
				     "the region",
				     pst_run_name(&r->o, i), PST_WIRE_LINE);
	u->block[u->n_blocks++] = b;
	return 0;
}

/* Whether the model is one of the agent that is there now. */
static int check_session(const struct pst *c, const struct pst_model *m,
			 struct pst_error *err)
{
	if (!c->session.live)
		return 0;
	if (m->epoch != c->session.welcome.epoch)
		return pst_error_set(err, -ESTALE,
				     "model %.63s was opened on an agent that "
				     "is gone: load or open it again",
				     m->name);
	if (!(c->session.welcome.features & PST_WIRE_FEATURE_RUN))
		return pst_error_set(err, -EOPNOTSUPP,
				     "the agent is older than models with "
				     "named tensors");
	return 0;
}

/* Writes the block and fills in call. With the lock held. */
static int prepare(struct run *r, uint64_t timeout_ns, struct pst_call *call,
		   struct pst_error *err)
{
	const struct pst_run_operands *o = &r->o;
	struct pst_wire_call *w = (void *)r->block;
	struct pst_wire_io *wio = (void *)(w + 1);
	struct pst_run_use *u;
	uint64_t off;
	uint32_t i;
	int e;

	if ((e = check_session(r->c, &o->model->model, err)) < 0)
		return e;
	u = malloc(sizeof(*u));
	if (!u)
		return pst_oom(err);
	u->out = NULL;
	u->n_out = o->n_out;
	u->n_blocks = 1;
	u->answers = wio + o->n_in;
	e = pst_buffer_find(&r->c->mem, "the call", r->block, r->need,
			    &u->block[0], err);
	for (i = 0; e == 0 && i < n_all(o); i++) {
		e = find_operand(r, i, u, &off, err);
		if (e == 0)
			fill_io(&wio[i], &o->io[i], i < o->n_in, off);
		if (i >= o->n_in) {
			u->room[i - o->n_in] = o->io[i].bytes;
			u->dtype[i - o->n_in] = (uint8_t)o->io[i].dtype;
		}
	}
	if (e < 0) {
		free(u);
		return e;
	}
	*w = (struct pst_wire_call){
		.n_in = o->n_in,
		.n_out = o->n_out,
		.deadline_ns = timeout_ns == PST_FOREVER ? 0 : timeout_ns,
	};
	call->sqe = (struct pst_wire_sqe){
		.op = PST_WIRE_OP_RUN,
		.off_a = pst_block_wire_off(u->block[0], r->block),
		.off_b = o->model->model.handle,
		.length = pst_run_block_size(o->n_in, o->n_out),
	};
	call->writes = true;
	call->run = u;
	return 0;
}

/* ---- Calls that wait ---- */

/* What is used where it lies, and where the rest has its place. */
static int place(struct run *r, struct pst_error *err)
{
	const struct pst_run_operands *o = &r->o;
	struct pst_block *b;
	uint32_t i;
	int bad;

	r->need = pst_run_block_size(o->n_in, o->n_out);
	for (i = 0; i < n_all(o); i++) {
		r->at[i] = o->io[i].data;
		r->copy_off[i] = 0;
		if (!o->io[i].bytes)
			continue;
		pst_lock(r->c);
		b = pst_heap_find(&r->c->mem.heap, r->at[i], 0);
		bad = pst_heap_dangles(&r->c->mem.heap, r->at[i])
			      ? pst_buffer_find(&r->c->mem, "a tensor",
						r->at[i], 0, &b, err)
			      : 0;
		pst_unlock(r->c);
		if (bad < 0)
			return bad;
		if (b && (uintptr_t)r->at[i] % PST_WIRE_LINE == 0)
			continue;
		r->copy_off[i] = r->need;
		if (pst_add_overflow(r->need, o->io[i].bytes, &r->need) ||
		    r->need > PST_WIRE_MAX_FILE)
			return pst_error_set(err, -EMSGSIZE,
					     "the tensors have no room in any "
					     "region");
		r->need = pst_round_up(r->need, PST_HEAP_ALIGN);
	}
	return 0;
}

static uint64_t room(void *arg, unsigned int tries)
{
	const struct run *r = arg;

	return tries ? 0 : r->need;
}

static void copy_in(const struct run *r)
{
	uint32_t i;

	for (i = 0; i < r->o.n_in; i++)
		if (r->copy_off[i])
			memcpy(r->block + r->copy_off[i], r->o.io[i].data,
			       r->o.io[i].bytes);
}

/* Time that is left, at least 1 ns. */
static uint64_t left(uint64_t deadline_ns)
{
	const uint64_t now = pst_now_ns();

	if (deadline_ns == UINT64_MAX)
		return PST_FOREVER;
	return deadline_ns > now ? deadline_ns - now : 1;
}

static int submit_and_wait(struct run *r, struct pst_completion *done,
			   struct pst_error *err)
{
	const struct pst_waiter w = {
		.start_ns = pst_now_ns(),
		.deadline_ns = r->deadline_ns,
	};
	struct pst_call call = {0};
	struct pst_record *rec;
	int e;

	pst_lock(r->c);
	e = prepare(r, left(r->deadline_ns), &call, err);
	if (e == 0) {
		e = pst_call_submit(r->c, &call, true, &rec, err);
		if (e < 0)
			free(call.run);
		else
			e = pst_call_finish(r->c, rec, &w, done, err);
	}
	pst_unlock(r->c);
	/* The agent kept the deadline. */
	if (e == -ECANCELED && pst_now_ns() >= r->deadline_ns)
		e = pst_error_set(err, -ETIMEDOUT,
				  "the deadline passed, and the agent has "
				  "ended the run");
	return e;
}

/* What the agent says of the outputs, for the caller's structures. */
static int take_answers(struct run *r, int status, struct pst_io *ret,
			struct pst_error *err)
{
	struct pst_wire_io w[PST_WIRE_RUN_IO];
	const struct pst_lines lines = {
		.width = r->o.n_out * sizeof(w[0]),
		.n = 1,
	};
	const uint8_t *answers = r->block + sizeof(struct pst_wire_call) +
				 r->o.n_in * sizeof(w[0]);
	uint32_t i;
	int e;

	if (r->o.n_out == 0)
		return 0;
	e = pst_stage_take(r->c, w, answers, &lines, err);
	for (i = 0; e == 0 && i < r->o.n_out; i++) {
		ret[i] = r->o.io[r->o.n_in + i];
		ret[i].flags = 0;
		e = pst_run_use_answer(&w[i], ret[i].dtype, ret[i].bytes,
				       status, &ret[i], err);
	}
	return e;
}

static int copy_out(const struct run *r, const struct pst_io *answers,
		    struct pst_error *err)
{
	struct pst_lines lines = {.n = 1};
	uint32_t i, at;
	int e = 0;

	for (i = 0; e == 0 && i < r->o.n_out; i++) {
		at = r->o.n_in + i;
		lines.width = answers[i].bytes;
		if (r->copy_off[at] && lines.width)
			e = pst_stage_take(r->c, answers[i].data,
					   r->block + r->copy_off[at], &lines,
					   err);
	}
	return e;
}

/* One attempt. answers: of the outputs, when it returns 0 or -EMSGSIZE. */
static int attempt(struct run *r, struct pst_io *answers,
		   struct pst_completion *done, struct pst_error *err)
{
	struct pst_error other = {0};
	void *mem;
	int e, status;

	if ((e = place(r, err)) < 0 ||
	    (e = pst_stage(r->c, room, r, r->deadline_ns, &mem, err)) < 0)
		return e;
	r->block = mem;
	copy_in(r);
	e = submit_and_wait(r, done, err);
	if (e == 0 || e == -EMSGSIZE) {
		status = e;
		e = take_answers(r, status, answers, e ? &other : err);
		if (e == 0 && status == 0)
			e = copy_out(r, answers, err);
		if (status < 0)
			e = status;
	}
	/* While an operation uses it, it is freed when that is over. */
	(void)pst_free(r->c, r->block);
	return e;
}

/* ---- Outputs that the library allocates ---- */

static void drop_outputs(struct run *r)
{
	struct pst_io *io = r->o.io + r->o.n_in;
	uint32_t i;

	for (i = 0; i < r->o.n_out; i++) {
		if (!r->made[i])
			continue;
		(void)pst_free(r->c, io[i].data);
		io[i].data = NULL;
		r->made[i] = false;
	}
}

static int make_outputs(struct run *r, struct pst_error *err)
{
	struct pst_io *io = r->o.io + r->o.n_in;
	struct pst_block *b;
	uint32_t i;
	int e = 0;

	for (i = 0; e == 0 && i < r->o.n_out; i++) {
		if (io[i].data)
			continue;
		pst_lock(r->c);
		e = pst_buffer_alloc(r->c, io[i].bytes ? io[i].bytes : 1,
				     r->deadline_ns, &b, err);
		if (e == 0) {
			io[i].data = pst_block_addr(b);
			r->made[i] = true;
		}
		pst_unlock(r->c);
	}
	return e;
}

/* Whether another attempt can do better: only outputs that were allocated here
 * were too small. Asks for what they need. */
static bool grow(struct run *r, const struct pst_io *answers)
{
	struct pst_io *io = r->o.io + r->o.n_in;
	bool any = false;
	uint32_t i;

	for (i = 0; i < r->o.n_out; i++) {
		if (!(answers[i].flags & PST_IO_TOO_SMALL))
			continue;
		if (!r->made[i])
			return false;
		io[i].bytes = answers[i].bytes;
		any = true;
	}
	return any;
}

static void tell(const struct run *r, const struct pst_io *answers, int e)
{
	struct pst_io *out;
	uint32_t i;

	for (i = 0; i < r->o.n_out; i++) {
		out = (void *)((uint8_t *)r->o.out + i * r->o.step);
		out->flags = answers[i].flags;
		if (e < 0 && !(answers[i].flags & PST_IO_TOO_SMALL))
			continue;
		out->dtype = answers[i].dtype;
		out->rank = answers[i].rank;
		out->bytes = answers[i].bytes;
		memcpy(out->dim, answers[i].dim, sizeof(out->dim));
		if (e == 0)
			out->data = answers[i].data;
	}
}

int pst_run(struct pst *c, const struct pst_run_args *args, uint64_t timeout_ns,
	    struct pst_completion *done)
{
	struct run r; /* large: what is not used is not set */
	struct pst_io answers[PST_WIRE_RUN_IO];
	struct pst_error err = {0};
	bool again;
	int e;

	if (pst_is_forked(c))
		return pst_forked(c);
	r.c = c;
	r.tries = 0;
	memset(r.made, 0, sizeof(r.made));
	r.deadline_ns = pst_deadline(pst_now_ns(), timeout_ns);
	e = pst_run_take(args, &r.o, &err);
	if (e < 0)
		return pst_fail(c, e, &err);
	pst_lock(c);
	e = check_session(c, &args->model->model, &err);
	pst_unlock(c);
	if (e < 0)
		return pst_fail(c, e, &err);
	memset(answers, 0, r.o.n_out * sizeof(answers[0]));
	/* A model whose outputs have another size at each run is not chased. */
	do {
		e = make_outputs(&r, &err);
		if (e == 0)
			e = attempt(&r, answers, done, &err);
		again = e == -EMSGSIZE && grow(&r, answers);
		if (e < 0)
			drop_outputs(&r);
	} while (again && r.tries++ == 0);
	if (e == 0 || e == -EMSGSIZE)
		tell(&r, answers, e);
	return pst_fail(c, e, &err);
}

/* ---- Calls that do not wait ---- */

/* Room for the block, which is the operation's from then on, and the call in
 * it (unlocks). */
static int submit(struct run *r, uint64_t user_data, uint64_t *ret_tag,
		  struct pst_error *err)
{
	struct pst_call call = {.user_data = user_data};
	struct pst_block *b;
	int e;

	e = pst_buffer_alloc(r->c, r->need, r->deadline_ns, &b, err);
	if (e < 0)
		return e;
	r->block = pst_block_addr(b);
	b->busy++;
	e = prepare(r, PST_FOREVER, &call, err);
	if (e == 0) {
		call.run->out = r->o.out;
		call.run->step = r->o.step;
		e = pst_call_run_async(r->c, &call, false, ret_tag, err);
		if (e < 0)
			free(call.run);
	}
	b->freed = true;
	pst_buffer_unref(&r->c->mem, b);
	return e;
}

int pst_submit_run(struct pst *c, const struct pst_run_args *args,
		   uint64_t user_data, uint64_t *ret_tag)
{
	struct pst_error err = {0};
	struct run r;
	uint32_t i;
	int e;

	if (pst_is_forked(c))
		return pst_forked(c);
	r.c = c;
	r.deadline_ns = UINT64_MAX;
	e = pst_run_take(args, &r.o, &err);
	r.need = e ? 0 : pst_run_block_size(r.o.n_in, r.o.n_out);
	for (i = 0; e == 0 && i < n_all(&r.o); i++) {
		r.copy_off[i] = 0;
		r.at[i] = r.o.io[i].data;
		if (!r.at[i])
			e = pst_error_set(&err, -EFAULT, "%.120s is NULL",
					  pst_run_name(&r.o, i));
	}
	pst_lock(c);
	if (e == 0)
		e = c->session.live ? submit(&r, user_data, ret_tag, &err)
				    : pst_session_gone(&c->session, &err);
	pst_unlock(c);
	return pst_fail(c, e, &err);
}
