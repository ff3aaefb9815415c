/* SPDX-License-Identifier: MIT */
/* Turns a safetensors header with "penstock.layers" into a checked plan. */
#include "guest-agent/model/model_plan.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

#define DEFAULT_EPS 1e-5

/* The keys of a layer beside its type and name. */
#define KEY_WEIGHT (1U << 0)
#define KEY_BIAS   (1U << 1)
#define KEY_EPS    (1U << 2)
#define KEY_FROM   (1U << 3)

static const struct {
	const char *name;
	unsigned int bit;
} keys[] = {
	{"type", 0},        {"name", 0},      {"weight", KEY_WEIGHT},
	{"bias", KEY_BIAS}, {"eps", KEY_EPS}, {"from", KEY_FROM},
};

static const struct {
	const char *name;
	unsigned int keys;
} types[PST_AGENT_N_LAYERS] = {
	[PST_AGENT_LAYER_LINEAR] = {"linear", KEY_WEIGHT | KEY_BIAS},
	[PST_AGENT_LAYER_RELU] = {"relu", 0},
	[PST_AGENT_LAYER_GELU] = {"gelu", 0},
	[PST_AGENT_LAYER_GELU_TANH] = {"gelu_tanh", 0},
	[PST_AGENT_LAYER_SILU] = {"silu", 0},
	[PST_AGENT_LAYER_TANH] = {"tanh", 0},
	[PST_AGENT_LAYER_SIGMOID] = {"sigmoid", 0},
	[PST_AGENT_LAYER_SOFTMAX] = {"softmax", 0},
	[PST_AGENT_LAYER_LAYERNORM] = {"layernorm",
				       KEY_WEIGHT | KEY_BIAS | KEY_EPS},
	[PST_AGENT_LAYER_ADD] = {"add", KEY_FROM},
};

/* The plan while it grows. */
struct build {
	const struct pst_agent_safetensors *st;
	const json_t *list;
	struct pst_agent_model_plan *plan;
	unsigned int at; /* the current layer */
	struct pst_error *err;
};

/* "layer 3 (linear "fc1"): ..."; layers count from 0, as in the list. */
static __attribute__((format(printf, 3, 4))) int
layer_bad(const struct build *b, int code, const char *fmt, ...)
{
	const json_t *layer = json_array_get(b->list, b->at);
	const char *type = json_string_value(json_object_get(layer, "type"));
	const char *name = json_string_value(json_object_get(layer, "name"));
	char what[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	if (name)
		return pst_error_set(b->err, code,
				     "layer %u (%.32s \"%.64s\"): %s", b->at,
				     type ? type : "?", name, what);
	return pst_error_set(b->err, code, "layer %u (%.32s): %s", b->at,
			     type ? type : "?", what);
}

static int find_type(const char *name)
{
	int i;

	for (i = 0; i < PST_AGENT_N_LAYERS; i++)
		if (strcmp(types[i].name, name) == 0)
			return i;
	return -1;
}

/* Whether the layer has only keys of its type. */
static int check_keys(const struct build *b, json_t *layer,
		      enum pst_agent_layer_type type)
{
	const char *key;
	json_t *value;
	size_t i;

	json_object_foreach(layer, key, value)
	{
		for (i = 0; i < PST_ARRAY_SIZE(keys); i++)
			if (strcmp(keys[i].name, key) == 0)
				break;
		if (i == PST_ARRAY_SIZE(keys) ||
		    (keys[i].bit && !(types[type].keys & keys[i].bit)))
			return layer_bad(b, -EINVAL, "unknown key \"%.64s\"",
					 key);
		if (keys[i].bit != KEY_EPS && !json_is_string(value))
			return layer_bad(b, -EINVAL, "its %s is no text", key);
	}
	return 0;
}

/* The place of an earlier layer of that name, or -1. */
static int find_layer(const struct build *b, const char *name)
{
	const char *other;
	unsigned int i;

	for (i = 0; i < b->at; i++) {
		other = json_string_value(
			json_object_get(json_array_get(b->list, i), "name"));
		if (other && strcmp(other, name) == 0)
			return (int)i;
	}
	return -1;
}

static int check_name(const struct build *b, const char *name)
{
	if (!name)
		return 0;
	if (!*name || strlen(name) > PST_AGENT_MODEL_MAX_NAME)
		return layer_bad(b, -EINVAL, "a name has 1 to %u characters",
				 PST_AGENT_MODEL_MAX_NAME);
	if (strcmp(name, PST_AGENT_MODEL_INPUT_NAME) == 0)
		return layer_bad(b, -EINVAL,
				 "this name means the model's input");
	if (find_layer(b, name) >= 0)
		return layer_bad(b, -EINVAL, "an earlier layer has this name");
	return 0;
}

/* The tensor at one of the layer's keys; *ret NULL: the layer does not have
 * the key. */
static int find_tensor(const struct build *b, json_t *layer, const char *key,
		       const struct pst_agent_safetensor **ret)
{
	const char *name = json_string_value(json_object_get(layer, key));

	*ret = NULL;
	if (!name)
		return 0;
	*ret = pst_agent_safetensors_find(b->st, name);
	if (!*ret)
		return layer_bad(b, -EINVAL,
				 "the file has no tensor \"%.64s\", its %s",
				 name, key);
	switch ((*ret)->dtype) {
	case PST_WIRE_F32:
	case PST_WIRE_F16:
	case PST_WIRE_BF16:
		break;
	default:
		return layer_bad(b, -EINVAL,
				 "%s is %.32s; F32, F16 and BF16 can be used",
				 key, (*ret)->dtype_name);
	}
	if ((*ret)->off % ((*ret)->elem_bits / 8))
		return layer_bad(b, -EINVAL,
				 "%s \"%.64s\" begins at byte %" PRIu64
				 " of the data, which is no multiple of its "
				 "elements: save the file with the largest "
				 "elements first",
				 key, name, (*ret)->off);
	return 0;
}

/* A vector of n elements. */
static int check_vector(const struct build *b, const char *what,
			const struct pst_agent_safetensor *t, uint32_t n)
{
	if (t->rank != 1)
		return layer_bad(b, -EINVAL, "%s has %u dimensions, not 1",
				 what, t->rank);
	if (t->shape[0] != n)
		return layer_bad(b, -EINVAL,
				 "%s has %" PRIu64
				 " elements, the layer's output %u",
				 what, t->shape[0], n);
	return 0;
}

static void put_weight(struct pst_agent_layer *l,
		       const struct pst_agent_safetensor *w)
{
	l->weight = w ? w->off : PST_AGENT_MODEL_NONE;
	l->weight_dtype = w ? w->dtype : 0;
}

static void put_bias(struct pst_agent_layer *l,
		     const struct pst_agent_safetensor *bias)
{
	l->bias = bias ? bias->off : PST_AGENT_MODEL_NONE;
	l->bias_dtype = bias ? bias->dtype : 0;
}

static int check_width(const struct build *b, uint64_t n)
{
	if (n == 0)
		return layer_bad(b, -EINVAL, "a dimension of its weight is 0");
	if (n > PST_AGENT_MODEL_MAX_WIDTH)
		return layer_bad(b, -EMSGSIZE,
				 "%" PRIu64 " elements in a row, above %u", n,
				 PST_AGENT_MODEL_MAX_WIDTH);
	return 0;
}

static int add_linear(struct build *b, json_t *layer, struct pst_agent_layer *l)
{
	const struct pst_agent_safetensor *w, *bias;
	int r;

	if ((r = find_tensor(b, layer, "weight", &w)) < 0 ||
	    (r = find_tensor(b, layer, "bias", &bias)) < 0)
		return r;
	if (!w)
		return layer_bad(b, -EINVAL, "it has no weight");
	if (w->rank != 2)
		return layer_bad(b, -EINVAL, "weight has %u dimensions, not 2",
				 w->rank);
	if ((r = check_width(b, w->shape[0])) < 0 ||
	    (r = check_width(b, w->shape[1])) < 0)
		return r;
	if (w->shape[1] != l->n_in)
		return layer_bad(b, -EINVAL,
				 "weight is %" PRIu64 " x %" PRIu64
				 ", its input has %u elements",
				 w->shape[0], w->shape[1], l->n_in);
	l->n_out = (uint32_t)w->shape[0];
	put_weight(l, w);
	put_bias(l, bias);
	return bias ? check_vector(b, "bias", bias, l->n_out) : 0;
}

static int add_layernorm(struct build *b, json_t *layer,
			 struct pst_agent_layer *l)
{
	const struct pst_agent_safetensor *w, *bias;
	json_t *eps = json_object_get(layer, "eps");
	int r;

	if ((r = find_tensor(b, layer, "weight", &w)) < 0 ||
	    (r = find_tensor(b, layer, "bias", &bias)) < 0)
		return r;
	if (bias && !w)
		return layer_bad(b, -EINVAL, "it has a bias and no weight");
	if ((w && (r = check_vector(b, "weight", w, l->n_in)) < 0) ||
	    (bias && (r = check_vector(b, "bias", bias, l->n_in)) < 0))
		return r;
	l->eps = eps ? json_number_value(eps) : DEFAULT_EPS;
	if ((eps && !json_is_number(eps)) || !isfinite(l->eps) || l->eps < 0)
		return layer_bad(b, -EINVAL,
				 "its eps is no number of at least 0");
	put_weight(l, w);
	put_bias(l, bias);
	return 0;
}

static int add_add(struct build *b, json_t *layer, struct pst_agent_layer *l)
{
	const char *from = json_string_value(json_object_get(layer, "from"));
	uint32_t width = b->plan->n_in;
	int at;

	if (!from)
		return layer_bad(b, -EINVAL, "it has no \"from\"");
	l->from = PST_AGENT_MODEL_INPUT;
	if (strcmp(from, PST_AGENT_MODEL_INPUT_NAME) != 0) {
		at = find_layer(b, from);
		if (at < 0)
			return layer_bad(b, -EINVAL,
					 "no layer before it is named "
					 "\"%.64s\"",
					 from);
		l->from = (uint32_t)at;
		width = b->plan->layers[at].n_out;
	}
	if (width != l->n_in)
		return layer_bad(b, -EINVAL,
				 "\"%.64s\" has %u elements, its input has %u",
				 from, width, l->n_in);
	return 0;
}

static int add_layer(struct build *b, json_t *layer)
{
	struct pst_agent_model_plan *plan = b->plan;
	struct pst_agent_layer *l = &plan->layers[b->at];
	const char *type = json_string_value(json_object_get(layer, "type"));
	const int known = type ? find_type(type) : -1;
	int r;

	if (!json_is_object(layer) || !type)
		return layer_bad(b, -EINVAL, "it is no object with a \"type\"");
	if (known < 0)
		return layer_bad(b, -EINVAL, "this type is unknown");
	*l = (struct pst_agent_layer){
		.type = (enum pst_agent_layer_type)known,
		.n_in = b->at ? l[-1].n_out : plan->n_in,
		.weight = PST_AGENT_MODEL_NONE,
		.bias = PST_AGENT_MODEL_NONE,
	};
	l->n_out = l->n_in;
	if ((r = check_keys(b, layer, l->type)) < 0 ||
	    (r = check_name(
		     b, json_string_value(json_object_get(layer, "name")))) < 0)
		return r;
	if (l->type == PST_AGENT_LAYER_LINEAR)
		r = add_linear(b, layer, l);
	else if (l->type == PST_AGENT_LAYER_LAYERNORM)
		r = add_layernorm(b, layer, l);
	else if (l->type == PST_AGENT_LAYER_ADD)
		r = add_add(b, layer, l);
	if (r < 0)
		return r;
	if (l->n_out > plan->max_width)
		plan->max_width = l->n_out;
	return 0;
}

/* Elements of the model's input: what the first layer with a weight takes. */
static int find_input(struct build *b, uint32_t *ret)
{
	const struct pst_agent_safetensor *w;
	const char *name;
	json_t *layer;

	for (b->at = 0; b->at < json_array_size(b->list); b->at++) {
		layer = json_array_get(b->list, b->at);
		name = json_string_value(json_object_get(layer, "weight"));
		w = name ? pst_agent_safetensors_find(b->st, name) : NULL;
		if (!w || w->rank == 0)
			continue;
		*ret = (uint32_t)w->shape[w->rank - 1];
		return check_width(b, w->shape[w->rank - 1]);
	}
	return 0;
}

/* Of the first linear layer's weight; without one, of the first weight. */
static enum pst_wire_dtype find_dtype(const struct pst_agent_model_plan *plan)
{
	enum pst_wire_dtype any = 0;
	uint32_t i;

	for (i = 0; i < plan->n_layers; i++) {
		if (plan->layers[i].type == PST_AGENT_LAYER_LINEAR)
			return plan->layers[i].weight_dtype;
		if (!any)
			any = plan->layers[i].weight_dtype;
	}
	return any;
}

static int add_layers(struct build *b)
{
	struct pst_agent_model_plan *plan = b->plan;
	int r;

	r = find_input(b, &plan->n_in);
	plan->max_width = plan->n_in;
	for (b->at = 0; r == 0 && b->at < plan->n_layers; b->at++)
		r = add_layer(b, json_array_get(b->list, b->at));
	if (r < 0)
		return r;
	if (plan->n_in == 0)
		return pst_error_set(b->err, -EINVAL,
				     "no layer has a weight, which would say "
				     "how long the input is");
	plan->n_out = plan->layers[plan->n_layers - 1].n_out;
	plan->dtype = find_dtype(plan);
	return 0;
}

/* The list of layers as JSON; the caller drops it. */
static int load_list(const struct pst_agent_safetensors *st, json_t **ret,
		     struct pst_error *err)
{
	const char *text =
		pst_agent_safetensors_metadata(st, PST_AGENT_MODEL_LAYERS);
	json_error_t why;

	if (!text)
		return pst_error_set(err, -EINVAL,
				     "the file's __metadata__ has no "
				     "\"" PST_AGENT_MODEL_LAYERS
				     "\": it is no model for Penstock");
	if (!pst_agent_json_is_small(text, strlen(text)))
		return pst_error_set(err, -EMSGSIZE,
				     PST_AGENT_MODEL_LAYERS
				     " has more than %u commas, colons and "
				     "brackets",
				     PST_AGENT_SAFETENSORS_MAX_TOKENS);
	if (strlen(text) > PST_AGENT_MODEL_MAX_LIST)
		return pst_error_set(err, -EMSGSIZE,
				     PST_AGENT_MODEL_LAYERS
				     " has %zu bytes, above %u",
				     strlen(text), PST_AGENT_MODEL_MAX_LIST);
	*ret = json_loads(text, JSON_REJECT_DUPLICATES, &why);
	if (!*ret)
		return pst_error_set(
			err,
			json_error_code(&why) == json_error_out_of_memory
				? -ENOMEM
				: -EINVAL,
			PST_AGENT_MODEL_LAYERS " is no JSON: %s (byte %d)",
			why.text, why.position);
	return 0;
}

int pst_agent_model_plan_parse(const struct pst_agent_safetensors *st,
			       struct pst_agent_model_plan *ret,
			       struct pst_error *err)
{
	struct pst_agent_model_plan plan = {.weights_size = st->data_size};
	struct build b = {.st = st, .plan = &plan, .err = err};
	json_t *list = NULL;
	size_t n;
	int r;

	r = load_list(st, &list, err);
	if (r < 0)
		return r;
	b.list = list;
	n = json_array_size(list);
	if (!json_is_array(list) || n == 0 || n > PST_AGENT_MODEL_MAX_LAYERS) {
		r = pst_error_set(err, n ? -EMSGSIZE : -EINVAL,
				  PST_AGENT_MODEL_LAYERS
				  " is no list of 1 to %u layers",
				  PST_AGENT_MODEL_MAX_LAYERS);
	} else {
		plan.n_layers = (uint32_t)n;
		plan.layers = calloc(n, sizeof(*plan.layers));
		r = plan.layers ? add_layers(&b) : pst_oom(err);
	}
	json_decref(list);
	if (r < 0)
		pst_agent_model_plan_done(&plan);
	else
		*ret = plan;
	return r;
}

void pst_agent_model_plan_done(struct pst_agent_model_plan *plan)
{
	free(plan->layers);
	*plan = (struct pst_agent_model_plan){0};
}
