/* SPDX-License-Identifier: MIT */
/* Describes models for MODEL_DESCRIBE, of whatever kind. */
#include <stdio.h>
#include <string.h>

#include "guest-agent/serve/models/onnx_int.h"
#include "transport/base/text.h"

struct pst_onnx_model *pst_onnx_find(struct pst_agent_onnx *x, uint64_t handle)
{
	uint32_t i;

	for (i = 0; handle && i < PST_ARRAY_SIZE(x->models); i++)
		if (x->models[i].handle == handle)
			return &x->models[i];
	return NULL;
}

void pst_onnx_describe(const struct pst_agent_onnx *x,
		       const struct pst_onnx_model *m,
		       struct pst_model_info *ret)
{
	const struct pst_ort_model *o = pst_ort_find(m->runner->ort, m->id);
	struct pst_wire_model_info *h = &ret->head;

	memset(ret, 0, sizeof(*ret));
	memcpy(h->name, m->name, sizeof(h->name));
	h->handle = m->handle;
	h->size = m->size;
	h->format = PST_WIRE_ONNX;
	h->state = o->state == PST_ORT_READY ? PST_WIRE_MODEL_READY
					     : PST_WIRE_MODEL_LOADING;
	h->provider = o->provider;
	memcpy(h->note, o->note, sizeof(h->note));
	h->wanted = m->wanted;
	h->n_cpus = x->n_cpus;
	h->shared = x->shares;
	h->threads = x->config.threads;
	h->load_ns = o->load_ns;
	h->first_ns = o->first_ns;
	h->second_ns = o->second_ns;
	h->run_ns = o->run_ns;
	h->n_runs = o->n_runs;
	h->copied = o->copied;
	snprintf(h->runtime, sizeof(h->runtime), "%s",
		 pst_ort_describe(m->runner->ort));
	pst_text_clean(h->runtime);
	ret->shape = o->shape;
}

/* A model of the backend, which INFER runs as well. */
static int describe_rows(const struct pst_agent *a, const char *name,
			 struct pst_model_info *ret, struct pst_error *err)
{
	struct pst_op_run_model run;
	struct pst_wire_model w;
	int r = pst_agent_models_open(a->models, name, &w, err);

	if (r == -EOPNOTSUPP ||
	    (r == 0 && pst_agent_models_find_run(a->models, w.handle, &run)))
		r = pst_error_set(err, -ENOENT, "no model named %s is loaded",
				  name);
	if (r < 0)
		return r;
	memset(ret, 0, sizeof(*ret));
	memcpy(ret->head.name, w.name, sizeof(ret->head.name));
	ret->head.handle = w.handle;
	ret->head.size = w.size;
	ret->head.format = PST_WIRE_SAFETENSORS;
	snprintf(ret->head.runtime, sizeof(ret->head.runtime), "%s",
		 a->facts.backend_text);
	pst_text_clean(ret->head.runtime);
	ret->shape = *run.shape;
	return 0;
}

int pst_agent_onnx_describe(struct pst_agent *a, const char *name,
			    struct pst_model_info *ret, struct pst_error *err)
{
	const uint64_t handle = pst_agent_models_kept(a->models, name);
	const struct pst_onnx_model *m =
		handle && a->onnx ? pst_onnx_find(a->onnx, handle) : NULL;

	if (!m || !m->ready || !m->runner)
		return describe_rows(a, name, ret, err);
	pst_onnx_describe(a->onnx, m, ret);
	return 0;
}
