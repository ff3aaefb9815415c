/* SPDX-License-Identifier: MIT */
/* Calls of the runner's models: the device's part of a RUN. */
#include <inttypes.h>
#include <sched.h>
#include <string.h>

#include "guest-agent/ort/ort_int.h"
#include "transport/shm.h"

/* The runner's numbers of types by those of the wire. */
static const uint8_t elems[PST_WIRE_N_DTYPES] = {
	[PST_WIRE_F32] = PST_RUNNER_F32,   [PST_WIRE_F64] = PST_RUNNER_F64,
	[PST_WIRE_F16] = PST_RUNNER_F16,   [PST_WIRE_BF16] = PST_RUNNER_BF16,
	[PST_WIRE_I8] = PST_RUNNER_I8,     [PST_WIRE_I32] = PST_RUNNER_I32,
	[PST_WIRE_I64] = PST_RUNNER_I64,   [PST_WIRE_U8] = PST_RUNNER_U8,
	[PST_WIRE_BOOL] = PST_RUNNER_BOOL, [PST_WIRE_I16] = PST_RUNNER_I16,
	[PST_WIRE_U16] = PST_RUNNER_U16,   [PST_WIRE_U32] = PST_RUNNER_U32,
	[PST_WIRE_U64] = PST_RUNNER_U64,
};

static uint64_t load(const struct pst_runner_word *w)
{
	/* Partner: the runner's release of done. */
	return __atomic_load_n(&w->value, __ATOMIC_ACQUIRE);
}

static void ring(int eventfd)
{
	static const uint64_t one = 1;

	/* A runner that has made it full need not be woken. */
	if (write(eventfd, &one, sizeof(one)) < 0)
		return;
}

static void fill(const struct pst_ort *o, const struct pst_run *run,
		 uint64_t id, struct pst_runner_call *c)
{
	uint32_t i, j;

	c->id = id;
	c->n_in = run->n_in;
	c->n_out = run->n_out;
	for (i = 0; i < run->n_in + run->n_out; i++) {
		const struct pst_run_io *io = &run->io[i];

		c->io[i] = (struct pst_runner_io){
			.slot = io->slot,
			.elem = elems[io->dtype],
			.rank = io->rank,
			.off = io->span.size ? io->span.off - o->config.arena_at
					     : 0,
			.size = io->span.size,
		};
		for (j = 0; j < io->rank; j++)
			c->io[i].dim[j] = (int64_t)io->dim[j];
	}
}

/* On few CPUs the runner takes the one that the agent gives up by waiting, and
 * leaves the other one to the client. */
static void follow(struct pst_ort_process *p)
{
	const int cpu = sched_getcpu();
	cpu_set_t set;

	if (cpu < 0 || cpu == p->cpu)
		return;
	CPU_ZERO(&set);
	CPU_SET((unsigned int)cpu, &set);
	/* Where that is denied it goes on as it is. */
	(void)sched_setaffinity(p->tid, sizeof(set), &set);
	p->cpu = cpu;
}

/* Gives the oldest call to the runner, once it has nothing else. */
static void submit(struct pst_ort *o)
{
	struct pst_ort_flight *f = &o->flight;
	const struct pst_ort_model *m;
	struct pst_backend_op *bop;
	uint64_t number;

	if (f->number || o->n_queued == 0 ||
	    o->process.state != PST_ORT_RUNNING)
		return;
	bop = o->queue[0];
	m = pst_ort_find(o, bop->op.run_model);
	/* One whose model is gone ends in its step. */
	if (!m || m->state != PST_ORT_READY)
		return;
	o->n_queued--;
	memmove(o->queue, o->queue + 1, o->n_queued * sizeof(o->queue[0]));
	number = ++o->n_calls;
	fill(o, bop->op.run, bop->op.run_model,
	     &o->mailbox->call[number % PST_RUNNER_SLOTS]);
	*f = (struct pst_ort_flight){
		.bop = bop,
		.number = number,
		.since_ns = pst_ort_now(o),
		.due_ns = bop->cursor[0],
	};
	if (o->config.follow && o->process.tid > 0)
		follow(&o->process);
	__atomic_store_n(&o->mailbox->submitted.value, number,
			 __ATOMIC_RELEASE);
	ring(o->door);
}

static int begin(struct pst_backend *b, struct pst_backend_op *bop,
		 struct pst_error *err)
{
	struct pst_ort *o = (struct pst_ort *)b;
	const uint64_t limit_ns = bop->op.run->deadline_ns;

	if (!pst_ort_find(o, bop->op.run_model))
		return pst_error_set(err, -ENOENT, "there is no such model");
	bop->cursor[0] = UINT64_MAX;
	if (limit_ns &&
	    pst_add_overflow(pst_ort_now(o), limit_ns, &bop->cursor[0]))
		bop->cursor[0] = UINT64_MAX;
	/* A lane has one operation, so that there is room. */
	o->queue[o->n_queued++] = bop;
	submit(o);
	return 0;
}

/* The call ends once the process is no more. */
static int lie(struct pst_ort *o)
{
	pst_ort_process_kill(o,
			     "the runner of models gave an impossible answer");
	return PST_AGENT_STEP_WAIT;
}

/* What the runner says of an output, believed as far as it can be. */
static int take_output(const struct pst_runner_io *said, struct pst_run_io *io)
{
	const uint32_t flags = said->flags, rank = said->rank;
	const uint64_t bytes = said->bytes;
	uint64_t dim[PST_WIRE_RUN_RANK] = {0}, n;
	uint32_t i;

	if (rank > PST_WIRE_RUN_RANK)
		return -EPROTO;
	for (i = 0; i < rank; i++)
		dim[i] = (uint64_t)said->dim[i];
	if (pst_run_bytes(io->dtype, rank, dim, &n) || n != bytes)
		return -EPROTO;
	if ((bytes > io->span.size) != !!(flags & PST_RUNNER_TOO_SMALL))
		return -EPROTO;
	io->rank = rank;
	memcpy(io->dim, dim, sizeof(io->dim));
	io->bytes = bytes;
	io->flags = (flags & PST_RUNNER_IN_PLACE ? PST_WIRE_IO_IN_PLACE : 0) |
		    (flags & PST_RUNNER_TOO_SMALL ? PST_WIRE_IO_TOO_SMALL : 0);
	return 0;
}

/* The runner's words, read once: it may go on to change them. */
struct answer {
	struct pst_runner_io out[PST_RUNNER_IO];
	struct {
		int32_t status;
		uint32_t cpu;
		uint64_t compute_ns, copied;
		char text[PST_RUNNER_TEXT];
	} end;
};

static_assert(sizeof(((struct answer *)NULL)->end) ==
		      sizeof(struct pst_runner_call) -
			      offsetof(struct pst_runner_call, status),
	      "the end of a call");

static void read_answer(const struct pst_runner_call *c,
			const struct pst_run *run, struct answer *ret)
{
	pst_shm_read(ret->out, &c->io[run->n_in],
		     run->n_out * sizeof(ret->out[0]));
	pst_shm_read(&ret->end, &c->status, sizeof(ret->end));
	ret->end.text[sizeof(ret->end.text) - 1] = '\0';
}

static int take_outputs(const struct answer *a, struct pst_run *run)
{
	uint32_t i;

	for (i = 0; i < run->n_out; i++)
		if (take_output(&a->out[i], &run->io[run->n_in + i]))
			return -EPROTO;
	return 0;
}

static int take_failure(const struct answer *a, bool cancelled,
			struct pst_error *err)
{
	int status = a->end.status;

	if (status == -ECANCELED && cancelled)
		return pst_error_set(err, -ECANCELED,
				     "the call was ended: its deadline has "
				     "passed");
	if (status != -EINVAL && status != -ENOTSUP && status != -ENOMEM)
		status = -EIO;
	return pst_error_set(err, status, "%s", a->end.text);
}

/* What people run is what a model that is loaded again is tried with. */
static void learn_shapes(struct pst_ort_entry *e, const struct pst_run *run)
{
	uint32_t i;

	for (i = 0; i < run->n_in; i++) {
		const struct pst_run_io *io = &run->io[i];
		struct pst_runner_shape *s = &e->warm[io->slot];

		s->known = 1;
		s->rank = io->rank;
		memcpy(s->dim, io->dim, sizeof(s->dim));
	}
}

/* The runner has ended the call of bop. */
static int finish(struct pst_ort *o, struct pst_backend_op *bop,
		  struct pst_error *err)
{
	const struct pst_ort_flight f = o->flight;
	const uint64_t took_ns = pst_ort_now(o) - f.since_ns;
	struct pst_ort_entry *e = pst_ort_entry_find(o, bop->op.run_model);
	struct answer a;
	int status, r = 0;

	read_answer(&o->mailbox->call[f.number % PST_RUNNER_SLOTS], bop->op.run,
		    &a);
	status = a.end.status;
	o->flight = (struct pst_ort_flight){0};
	bop->compute_ns = pst_min_u64(a.end.compute_ns, took_ns);
	if (e) {
		uint64_t *about = &e->model.run_ns;

		*about = *about ? (3 * *about + took_ns) / 4 : took_ns;
		e->model.n_runs++;
		e->model.copied += a.end.copied;
		if (status == 0)
			learn_shapes(e, bop->op.run);
	}
	if (status == 0 || status == -EMSGSIZE)
		r = take_outputs(&a, bop->op.run);
	if (r < 0)
		return lie(o);
	if (status == 0)
		r = PST_AGENT_STEP_DONE;
	else if (status == -EMSGSIZE)
		r = pst_error_set(err, -EMSGSIZE,
				  "an output does not fit its room");
	else
		r = take_failure(&a, f.cancel_ns, err);
	submit(o);
	return r;
}

/* Whether a process that was killed is no more, and so writes nothing: until
 * pst_ort_tick() has seen it end. */
static bool is_over(const struct pst_ort *o)
{
	return o->process.state != PST_ORT_DYING;
}

static int lost(const struct pst_ort *o, struct pst_error *err)
{
	if (!is_over(o))
		return PST_AGENT_STEP_WAIT;
	return pst_error_set(err, -EIO,
			     "the call was lost: %s; it is started "
			     "anew",
			     o->about);
}

static int step(struct pst_backend *b, struct pst_backend_op *bop,
		struct pst_error *err)
{
	struct pst_ort *o = (struct pst_ort *)b;
	unsigned int i;

	if (o->flight.bop == bop) {
		if (load(&o->mailbox->done) < o->flight.number)
			return PST_AGENT_STEP_WAIT;
		return finish(o, bop, err);
	}
	for (i = 0; i < o->n_queued; i++) {
		if (o->queue[i] != bop)
			continue;
		if (pst_ort_find(o, bop->op.run_model)) {
			submit(o);
			return PST_AGENT_STEP_WAIT;
		}
		o->n_queued--;
		memmove(o->queue + i, o->queue + i + 1,
			(o->n_queued - i) * sizeof(o->queue[0]));
		submit(o);
		return pst_error_set(err, -EIO, "the model is gone: %s",
				     o->about);
	}
	return lost(o, err);
}

static void tell_cancel(struct pst_ort *o)
{
	if (o->flight.cancel_ns)
		return;
	o->flight.cancel_ns = pst_ort_now(o);
	__atomic_store_n(&o->mailbox->cancel.value, o->flight.number,
			 __ATOMIC_RELEASE);
	ring(o->stop);
}

static int cancel(struct pst_backend *b, struct pst_backend_op *bop)
{
	struct pst_ort *o = (struct pst_ort *)b;
	unsigned int i;

	for (i = 0; i < o->n_queued; i++) {
		if (o->queue[i] != bop)
			continue;
		o->n_queued--;
		memmove(o->queue + i, o->queue + i + 1,
			(o->n_queued - i) * sizeof(o->queue[0]));
		return 1;
	}
	if (o->flight.bop == bop) {
		if (load(&o->mailbox->done) >= o->flight.number) {
			o->flight = (struct pst_ort_flight){0};
			submit(o);
			return 1;
		}
		tell_cancel(o);
		pst_ort_calls_tick(o, pst_ort_now(o));
		return 0;
	}
	/* Lost with its process, which may still write until it is reaped. */
	return is_over(o);
}

void pst_ort_calls_lost(struct pst_ort *o)
{
	o->flight = (struct pst_ort_flight){0};
}

uint64_t pst_ort_calls_tick(struct pst_ort *o, uint64_t now_ns)
{
	struct pst_ort_flight *f = &o->flight;

	if (!f->number)
		return UINT64_MAX;
	if (!f->cancel_ns && now_ns >= f->due_ns)
		tell_cancel(o);
	if (!f->cancel_ns)
		return f->due_ns;
	/* It may have been cancelled after now. */
	if (now_ns < f->cancel_ns + o->config.drain_ns)
		return f->cancel_ns + o->config.drain_ns;
	pst_ort_process_kill(o, "the runner of models did not end a call that "
				"was cancelled");
	pst_ort_calls_lost(o);
	return now_ns;
}

static uint64_t estimate_ns(struct pst_backend *b, const struct pst_op *op)
{
	const struct pst_ort_entry *e =
		pst_ort_entry_find((struct pst_ort *)b, op->run_model);

	return e ? e->model.run_ns : 0;
}

const struct pst_backend_ops pst_backend_ort = {
	.abi = PST_BACKEND_ABI,
	.name = "ort",
	.begin = begin,
	.step = step,
	.cancel = cancel,
	.estimate_ns = estimate_ns,
};
