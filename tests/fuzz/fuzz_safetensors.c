/* SPDX-License-Identifier: MIT */
/* Fuzz target: model files; what is taken has its weights inside the data, and
 * layers that fit each other. */
#include <string.h>

#include "guest-agent/model/model_plan.h"
#include "tests/fuzz/fuzz.h"
#include "transport/op.h"

static void check_tensors(const struct pst_agent_safetensors *st)
{
	const struct pst_agent_safetensor *t;
	unsigned __int128 bits;
	uint64_t end = 0;
	unsigned int i, j;

	for (i = 0; i < st->n_tensors; i++) {
		t = &st->tensors[i];
		bits = t->elem_bits;
		for (j = 0; j < t->rank && bits <= UINT64_MAX; j++)
			bits *= t->shape[j];
		FUZZ_CHECK(!t->elem_bits ||
			   bits == 8 * (unsigned __int128)t->size);
		FUZZ_CHECK(t->elem_bits || !t->dtype);
		FUZZ_CHECK(t->off == end);
		end += t->size;
		FUZZ_CHECK(end <= st->data_size);
		FUZZ_CHECK(pst_agent_safetensors_find(st, t->name) == t);
	}
	FUZZ_CHECK(end == st->data_size);
}

/* n elements at off lie in the data. */
static void check_span(const struct pst_agent_model_plan *p, uint64_t off,
		       uint32_t dtype, uint64_t n)
{
	const unsigned int elem = pst_dtype_size(dtype);

	if (off == PST_AGENT_MODEL_NONE)
		return;
	FUZZ_CHECK(elem == 2 || elem == 4);
	FUZZ_CHECK(off % elem == 0 && off <= p->weights_size);
	FUZZ_CHECK(n <= (p->weights_size - off) / elem);
}

static void check_plan(const struct pst_agent_model_plan *p)
{
	const struct pst_agent_layer *l;
	uint32_t width = p->n_in, i;
	uint64_t n;

	FUZZ_CHECK(p->n_layers >= 1 &&
		   p->n_layers <= PST_AGENT_MODEL_MAX_LAYERS);
	for (i = 0; i < p->n_layers; i++) {
		l = &p->layers[i];
		FUZZ_CHECK(l->type < PST_AGENT_N_LAYERS && l->n_in == width);
		width = l->n_out;
		FUZZ_CHECK(width >= 1 && width <= p->max_width);
		n = l->type == PST_AGENT_LAYER_LINEAR
			    ? (uint64_t)l->n_in * width
			    : width;
		check_span(p, l->weight, l->weight_dtype, n);
		check_span(p, l->bias, l->bias_dtype, width);
		FUZZ_CHECK(l->type != PST_AGENT_LAYER_LINEAR ||
			   l->weight != PST_AGENT_MODEL_NONE);
		FUZZ_CHECK(l->type != PST_AGENT_LAYER_ADD ||
			   l->from == PST_AGENT_MODEL_INPUT || l->from < i);
	}
	FUZZ_CHECK(p->n_out == width &&
		   p->max_width <= PST_AGENT_MODEL_MAX_WIDTH);
	FUZZ_CHECK(p->n_in >= 1 && p->dtype != 0);
	FUZZ_CHECK(pst_agent_model_max_batch(p) >= 256);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pst_agent_safetensors st;
	struct pst_agent_model_plan plan;
	struct pst_error err = {0};
	uint64_t length = 0, n;

	/* A whole file, as the library cuts it: header, data. */
	if (size < sizeof(length))
		n = size;
	else
		memcpy(&length, data, sizeof(length));
	n = length <= size && size - length >= 8 ? length + 8 : size;
	if (pst_agent_safetensors_parse(data, n, size - n, &st, &err) < 0) {
		FUZZ_CHECK(err.code < 0 && err.text[0]);
		return 0;
	}
	check_tensors(&st);
	if (pst_agent_model_plan_parse(&st, &plan, &err) < 0) {
		FUZZ_CHECK(err.code < 0 && err.text[0]);
	} else {
		check_plan(&plan);
		pst_agent_model_plan_done(&plan);
	}
	pst_agent_safetensors_done(&st);
	return 0;
}
