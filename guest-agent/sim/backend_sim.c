/* SPDX-License-Identifier: MIT */
/* The sim backend: the cpu backend's results, when a card would have them. */
#include "guest-agent/sim/backend_sim.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "transport/base/util.h"
#include "transport/dtype.h"

/* Of the longest word of options. */
#define MAX_WORD 64U
#define MOST     1e9 /* GFLOPS, GB/s */

/* What is called struct pst_backend elsewhere: the pointer is passed on. */
struct sim {
	struct pst_backend *cpu;
	struct pst_sim_card card;
	/* One operation runs on the card at a time, in the order of begin. */
	uint64_t free_ns; /* when it has done all that was begun */
	struct flight {
		uint64_t took_ns, end_ns;
		bool computed;
	} flights[PST_WIRE_MAX_LANES];
};

static struct sim *sim_of(struct pst_backend *b)
{
	return (struct sim *)b;
}

/* ---- The card ---------------------------------------------------------- */

static double *rate_of(struct pst_sim_card *card, const char *key)
{
	uint32_t t;

	for (t = PST_WIRE_F32; t < PST_SIM_TYPES; t++)
		if (strcmp(key, pst_dtype_name(t)) == 0)
			return &card->flops[t];
	return strcmp(key, "h2d") == 0   ? &card->h2d
	       : strcmp(key, "d2h") == 0 ? &card->d2h
					 : NULL;
}

static int parse_word(struct pst_sim_card *card, char *word)
{
	char *value = strchr(word, '='), *end;
	double *rate;

	if (!value)
		return -EINVAL;
	*value++ = '\0';
	if (strcmp(word, "latency") == 0)
		return pst_parse_duration(value, &card->latency_ns) == 0 &&
				       card->latency_ns <= PST_NS_PER_S
			       ? 0
			       : -EINVAL;
	rate = rate_of(card, word);
	if (!rate)
		return -EINVAL;
	*rate = strtod(value, &end) * 1e9;
	return *value && !*end && *rate > 0 && *rate <= MOST * 1e9 ? 0
								   : -EINVAL;
}

int pst_sim_parse(const char *options, struct pst_sim_card *ret,
		  struct pst_error *err)
{
	char word[MAX_WORD];
	size_t n;

	*ret = (struct pst_sim_card){
		.flops = {[PST_WIRE_F32] = 6000e9,
			  [PST_WIRE_F64] = 190e9,
			  [PST_WIRE_F16] = 6000e9,
			  [PST_WIRE_BF16] = 6000e9,
			  [PST_WIRE_I8] = 6000e9},
		.h2d = 11e9,
		.d2h = 11e9,
		.latency_ns = 10 * PST_NS_PER_US,
	};
	for (; options; options = options[n] ? options + n + 1 : NULL) {
		n = strcspn(options, ",");
		snprintf(word, sizeof(word), "%.*s", (int)n, options);
		if (n >= sizeof(word) || parse_word(ret, word) < 0)
			return pst_error_set(
				err, -EINVAL,
				"'%.*s' is none of f32, f64, f16, bf16, i8 "
				"(=GFLOPS), h2d, d2h (=GB/s) and latency "
				"(=DURATION of at most 1s) for a card",
				n < sizeof(word) ? (int)n : (int)sizeof(word),
				options);
	}
	return 0;
}

/* What goes over the bus: tensors are there already. */
static double bus_bytes(const struct pst_operand *o)
{
	return o->mem ? 0 : (double)o->size;
}

/* Computing and both ways of the bus overlap. */
static uint64_t time_of(const struct sim *s, const struct pst_op *op)
{
	const double flops = pst_op_flops(op);
	double in = 0, out = 0, most, x;

	switch (op->op) {
	case PST_WIRE_OP_FILL:
		out = bus_bytes(&op->a);
		break;
	case PST_WIRE_OP_CHECKSUM:
		in = bus_bytes(&op->a);
		break;
	default:
		in = bus_bytes(&op->a) + bus_bytes(&op->b) +
		     bus_bytes(&op->bias);
		out = bus_bytes(&op->c);
		if (flops > 0 && op->beta != 0)
			in += out;
	}
	most = in / s->card.h2d;
	x = out / s->card.d2h;
	most = x > most ? x : most;
	x = flops > 0 ? flops / s->card.flops[op->dtype] : 0;
	most = x > most ? x : most;
	return s->card.latency_ns + (uint64_t)(most * (double)PST_NS_PER_S);
}

/* ---- The backend ------------------------------------------------------- */

int pst_sim_open(const struct pst_sim_card *card, uint8_t *base, uint64_t size,
		 uint32_t threads, struct pst_backend **ret,
		 struct pst_error *err)
{
	struct sim *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return pst_oom(err);
	s->card = *card;
	r = pst_backend_cpu.open(base, size, threads, &s->cpu, err);
	if (r < 0)
		free(s);
	else
		*ret = (struct pst_backend *)s;
	return r;
}

static void sim_close(struct pst_backend *b)
{
	pst_backend_cpu.close(sim_of(b)->cpu);
	free(sim_of(b));
}

static void sim_describe(struct pst_backend *b, char *buf, size_t size)
{
	const struct pst_sim_card *c = &sim_of(b)->card;

	snprintf(buf, size, "sim: f32 %g, f64 %g GFLOPS, %g/%g GB/s, %g us",
		 c->flops[PST_WIRE_F32] / 1e9, c->flops[PST_WIRE_F64] / 1e9,
		 c->h2d / 1e9, c->d2h / 1e9, (double)c->latency_ns / 1e3);
}

static uint32_t sim_threads(struct pst_backend *b)
{
	return pst_backend_cpu.threads(sim_of(b)->cpu);
}

static bool sim_can(struct pst_backend *b,
		    const struct pst_agent_gemm_kind *kind,
		    struct pst_error *why)
{
	return pst_backend_cpu.can(sim_of(b)->cpu, kind, why);
}

static int sim_begin(struct pst_backend *b, struct pst_backend_op *bop,
		     struct pst_error *err)
{
	struct sim *s = sim_of(b);
	struct flight *f = &s->flights[bop->lane];
	const uint64_t now = pst_now_ns();
	int r = pst_backend_cpu.begin(s->cpu, bop, err);

	if (r < 0)
		return r;
	if (s->free_ns < now)
		s->free_ns = now;
	f->took_ns = time_of(s, &bop->op);
	s->free_ns += f->took_ns;
	f->end_ns = s->free_ns;
	f->computed = false;
	return 0;
}

/* Only the card's time is told, at the end: on the card no slice of another
 * operation comes between. A model has no rate: it takes what it takes. */
static int sim_step(struct pst_backend *b, struct pst_backend_op *bop,
		    struct pst_error *err)
{
	struct sim *s = sim_of(b);
	struct flight *f = &s->flights[bop->lane];
	int r;

	if (!f->computed) {
		r = pst_backend_cpu.step(s->cpu, bop, err);
		if (r < 0 || bop->op.op == PST_WIRE_OP_INFER)
			return r;
		bop->compute_ns = 0;
		f->computed = r == PST_AGENT_STEP_DONE;
		if (!f->computed)
			return PST_AGENT_STEP_MORE;
	}
	bop->end_ns = pst_now_ns();
	if (bop->end_ns < f->end_ns)
		return PST_AGENT_STEP_WAIT;
	bop->compute_ns = f->took_ns;
	return PST_AGENT_STEP_DONE;
}

static int sim_cancel(struct pst_backend *b, struct pst_backend_op *bop)
{
	struct sim *s = sim_of(b);
	struct flight *f = &s->flights[bop->lane];

	/* The last that was begun takes no time from others. */
	if (s->free_ns == f->end_ns)
		s->free_ns = pst_now_ns();
	return f->computed || pst_backend_cpu.cancel(s->cpu, bop);
}

static uint64_t sim_estimate_ns(struct pst_backend *b, const struct pst_op *op)
{
	return time_of(sim_of(b), op);
}

static int sim_alloc(struct pst_backend *b, uint64_t size, void **ret,
		     struct pst_error *err)
{
	return pst_backend_cpu.alloc(sim_of(b)->cpu, size, ret, err);
}

static void sim_release(struct pst_backend *b, void *mem)
{
	pst_backend_cpu.release(sim_of(b)->cpu, mem);
}

static int sim_upload(struct pst_backend *b, void *mem, uint64_t off,
		      const void *data, uint64_t n, struct pst_error *err)
{
	return pst_backend_cpu.upload(sim_of(b)->cpu, mem, off, data, n, err);
}

static int sim_model_new(struct pst_backend *b,
			 const struct pst_agent_model_plan *plan, void *weights,
			 void **ret, struct pst_error *err)
{
	return pst_backend_cpu.model_new(sim_of(b)->cpu, plan, weights, ret,
					 err);
}

static void sim_model_free(struct pst_backend *b, void *model)
{
	pst_backend_cpu.model_free(sim_of(b)->cpu, model);
}

const struct pst_backend_ops pst_backend_sim = {
	.abi = PST_BACKEND_ABI,
	.name = "sim",
	.close = sim_close,
	.describe = sim_describe,
	.threads = sim_threads,
	.can = sim_can,
	.begin = sim_begin,
	.step = sim_step,
	.cancel = sim_cancel,
	.estimate_ns = sim_estimate_ns,
	.model_new = sim_model_new,
	.model_free = sim_model_free,
	.alloc = sim_alloc,
	.release = sim_release,
	.upload = sim_upload,
};
