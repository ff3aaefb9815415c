/* SPDX-License-Identifier: MIT */
/* Asks the agent what a model takes and gives. */
#include "host-client/lib/ops/model_info.h"

#include <errno.h>
#include <string.h>

#include "host-client/lib/ops/model.h"
#include "host-client/lib/session/request.h"
#include "host-client/lib/session/session_open.h"

static const char *const formats[] = {
	[PST_WIRE_SAFETENSORS] = "safetensors",
	[PST_WIRE_ONNX] = "onnx",
};

static const char *const providers[] = {
	[PST_WIRE_PROVIDER_AUTO] = "auto",
	[PST_WIRE_PROVIDER_CPU] = "cpu",
	[PST_WIRE_PROVIDER_CUDA] = "cuda",
};
static_assert((int)PST_EP_CUDA == (int)PST_WIRE_PROVIDER_CUDA &&
		      PST_ARRAY_SIZE(providers) == PST_WIRE_N_PROVIDERS &&
		      PST_ARRAY_SIZE(formats) == PST_WIRE_N_FORMATS,
	      "the same on the wire");

/* All of a description in one piece of memory. */
struct spec {
	struct pst_model_spec spec;
	struct pst_model_info info; /* whose texts are pointed to */
	struct pst_tensor_spec io[2 * PST_WIRE_RUN_IO];
};

static void fill_tensor(struct pst_tensor_spec *t,
			const struct pst_run_tensor *r,
			const struct pst_run_model *m)
{
	uint32_t i;

	t->name = r->name;
	t->dtype = r->dtype;
	t->rank = r->rank;
	for (i = 0; i < r->rank; i++) {
		t->dim[i] = r->dim[i];
		if (r->symbol[i])
			t->dim_name[i] = m->symbol[r->symbol[i] - 1];
	}
}

/* INFER takes a model of one input and one output, both rows of f32. */
static uint32_t row(const struct pst_run_tensor *t)
{
	const int64_t n = t->rank == 2 ? t->dim[1] : 0;

	return n > 0 && n <= UINT32_MAX ? (uint32_t)n : 0;
}

static void fill_model(struct pst_model *m, const struct pst_model_info *info,
		       uint64_t epoch)
{
	const struct pst_run_model *shape = &info->shape;

	m->handle = info->head.handle;
	m->epoch = epoch;
	m->bytes = info->head.size;
	memcpy(m->name, info->head.name, sizeof(m->name));
	if (info->head.format != PST_WIRE_SAFETENSORS || shape->n_in != 1 ||
	    shape->n_out != 1)
		return;
	m->n_in = row(&shape->io[0]);
	m->n_out = row(&shape->io[1]);
}

struct pst_model_spec *pst_model_spec_make(const struct pst_model_info *info,
					   uint64_t epoch)
{
	const struct pst_wire_model_info *h;
	struct spec *s = calloc(1, sizeof(*s));
	struct pst_model_spec *p;
	uint32_t i;

	if (!s)
		return NULL;
	p = &s->spec;
	s->info = *info;
	h = &s->info.head;
	fill_model(&p->model, info, epoch);
	for (i = 0; i < h->n_in + h->n_out; i++)
		fill_tensor(&s->io[i], &s->info.shape.io[i], &s->info.shape);
	p->in = s->io;
	p->out = s->io + h->n_in;
	p->n_in = h->n_in;
	p->n_out = h->n_out;
	p->format = formats[h->format];
	p->provider = providers[h->provider];
	p->runtime = h->runtime;
	p->note = h->note;
	p->meta = s->info.meta;
	p->ready = h->state == PST_WIRE_MODEL_READY;
	p->wanted = h->wanted;
	p->n_cpus = h->n_cpus;
	p->shared = h->shared;
	p->threads = h->threads;
	p->load_ns = h->load_ns;
	p->first_ns = h->first_ns;
	p->second_ns = h->second_ns;
	p->run_ns = h->run_ns;
	p->n_runs = h->n_runs;
	p->copied = h->copied;
	return p;
}

int pst_model_spec_take(struct pst *c, uint16_t type, const char *name,
			const uint8_t *payload, uint32_t n,
			struct pst_model_spec **ret, struct pst_error *err)
{
	const struct pst_frame f = {
		.type = type,
		.reply = true,
		.payload = payload,
		.length = n,
	};
	/* Too large for a stack. */
	PST_CLEANUP_FREE struct pst_model_info *info = malloc(sizeof(*info));
	int r;

	if (!info)
		return pst_oom(err);
	r = pst_frame_model_info(&f, info, err);
	if (!r && strcmp(info->head.name, name) != 0)
		r = pst_error_set(err, -EPROTO,
				  "the agent answered with another model");
	if (r < 0) {
		pst_channel_fail(&c->channel, r, "%s", err->text);
		return r;
	}
	*ret = pst_model_spec_make(info, c->session.welcome.epoch);
	return *ret ? 0 : pst_oom(err);
}

int pst_model_describe(struct pst *c, const char *name,
		       struct pst_model_spec **ret, struct pst_error *err)
{
	const uint64_t deadline = pst_control_deadline(c);
	PST_CLEANUP_FREE uint8_t *payload = NULL;
	struct pst_wire_model m = {0};
	uint64_t serial;
	uint32_t n = 0;
	int r;

	if ((r = pst_model_name_check(name, err)) < 0 ||
	    (r = pst_session_ensure(c, deadline, err)) < 0)
		return r;
	if (!(c->session.welcome.features & PST_WIRE_FEATURE_RUN))
		return pst_error_set(err, -EOPNOTSUPP,
				     "the agent is older than descriptions of "
				     "models");
	serial = c->session.serial;
	memcpy(m.name, name, strlen(name));
	r = pst_request(c, PST_WIRE_MODEL_DESCRIBE, &m, sizeof(m), deadline,
			&payload, &n, err);
	if (r < 0)
		return r;
	if (!c->session.live || c->session.serial != serial)
		return pst_session_gone(&c->session, err);
	return pst_model_spec_take(c, PST_WIRE_MODEL_DESCRIBE, name, payload, n,
				   ret, err);
}

int pst_model_info(struct pst *c, const char *name, struct pst_model_spec **ret)
{
	struct pst_error err = {0};
	int r;

	if (pst_is_forked(c))
		return pst_forked(c);
	pst_lock(c);
	r = pst_model_describe(c, name, ret, &err);
	pst_unlock(c);
	return pst_fail(c, r, &err);
}
