/* SPDX-License-Identifier: MIT */
/* The Open Inference Protocol but for inference: the server, its models. */
#include "host-client/gateway/oip/oip.h"

#include <string.h>

#include "host-client/gateway/http/routes.h"
#include "host-client/gateway/oip/elements.h"

/* ---- What its routes share ---- */

bool pst_gw_oip_version(struct pst_gw_request *r)
{
	if (!r->word[1][0] || strcmp(r->word[1], PST_GW_VERSION) == 0)
		return true;
	pst_gw_reply_error(r, 404,
			   "there is no version %s: a model has version "
			   "" PST_GW_VERSION,
			   r->word[1]);
	return false;
}

static unsigned int status_of(int error)
{
	switch (error) {
	case -EINVAL:
	case -EMSGSIZE:
	case -EOVERFLOW:
	case -EOPNOTSUPP:
	case -ENODATA:
		return 400;
	case -EACCES:
		return 403;
	case -ENOENT:
		return 404;
	case -EIO:
	case -EPROTO:
	case -EFAULT:
		return 500;
	case -ETIMEDOUT:
		return 504;
	default:
		return 503;
	}
}

void pst_gw_oip_failure(struct pst_gw_request *r, const struct pst_error *err)
{
	pst_gw_reply_error(r, status_of(err->code), "%s", err->text);
}

static void reply(struct pst_gw_request *r, unsigned int status,
		  struct pst_gw_text *t)
{
	pst_gw_reply(r, status, "application/json", t);
}

/* ---- The server ---- */

static void server(struct pst_gw_request *r)
{
	struct pst_gw_text t = {0};

	pst_gw_text_add(&t, "{\"name\":\"penstock\",\"version\":");
	pst_gw_text_json(&t, pst_version());
	pst_gw_text_add(&t, ",\"extensions\":[\"binary_tensor_data\","
			    "\"model_repository\"]}\n");
	reply(r, 200, &t);
}

static void live(struct pst_gw_request *r)
{
	static const char text[] = "{\"live\":true}\n";

	pst_gw_reply_static(r, "application/json", text, sizeof(text) - 1);
}

static void ready(struct pst_gw_request *r)
{
	const struct pst_gw_agents *a = r->context->agents;
	struct pst_gw_text t = {0};
	bool all = true;
	unsigned int i;

	for (i = 0; i < a->n; i++)
		all = all && a->list[i].seen->up;
	pst_gw_text_format(&t, "{\"live\":true,\"ready\":%s}\n",
			   all ? "true" : "false");
	reply(r, all ? 200 : 503, &t);
}

static void refuse_memory(struct pst_gw_request *r)
{
	pst_gw_reply_error(r, 400,
			   "shared memory that a client names is refused: "
			   "send tensors in the body");
}

/* ---- The list of models ---- */

static void add_model(struct pst_gw_text *t, const char *name, bool first)
{
	pst_gw_text_add(t, first ? "[{\"name\":" : ",{\"name\":");
	pst_gw_text_json(t, name);
	pst_gw_text_add(t, ",\"version\":\"" PST_GW_VERSION
			   "\",\"state\":\"READY\",\"reason\":\"\"}");
}

static const char *name_of(const json_t *o)
{
	return json_string_value(json_object_get(o, "name"));
}

/* Whether an engine before n has a model of the name. */
static bool is_listed(struct pst_gw_engines *e, unsigned int n,
		      const char *name)
{
	const json_t *o;
	unsigned int i;
	size_t k;

	for (i = 0; i < n; i++) {
		json_array_foreach(pst_gw_engine_models(&e->list[i]), k, o)
		{
			if (name_of(o) && strcmp(name_of(o), name) == 0)
				return true;
		}
	}
	return false;
}

static void list_models(struct pst_gw_request *r)
{
	struct pst_gw_engines *e = r->context->engines;
	struct pst_gw_text t = {0};
	const json_t *o;
	const char *name;
	unsigned int i;
	size_t k;

	add_model(&t, PST_GW_GEMM, true);
	for (i = 0; i < e->n; i++) {
		if (!e->list[i].agent->seen->up)
			continue;
		json_array_foreach(pst_gw_engine_models(&e->list[i]), k, o)
		{
			name = name_of(o);
			if (name && !is_listed(e, i, name))
				add_model(&t, name, false);
		}
	}
	pst_gw_text_add(&t, "]\n");
	reply(r, 200, &t);
}

/* ---- A model ---- */

struct asking {
	struct pst_gw_waiter waiter;
	struct pst_gw_lookup at;
};

static void ask_done(struct pst_gw_request *r)
{
	struct asking *a = r->state;

	if (!a)
		return;
	pst_gw_engines_leave(r->context->engines, &a->waiter);
	pst_gw_model_put(a->at.model);
	free(a);
}

/* The model as its agent describes it now. NULL: the request was answered, or
 * waits. */
static const struct pst_model_spec *find(struct pst_gw_request *r)
{
	struct asking *a = r->state;
	struct pst_error err = {0};
	int e;

	if (!a) {
		a = calloc(1, sizeof(*a));
		if (!a) {
			pst_gw_reply_error(r, 503, "out of memory");
			return NULL;
		}
		r->state = a;
		a->waiter.request = r;
		a->at.name = r->word[0];
		a->at.spec_ns = a->at.error_ns = pst_now_ns();
	}
	e = pst_gw_engines_find(r->context->engines, &a->at, &err);
	if (e == 0)
		return a->at.model->spec;
	if (e != -EAGAIN)
		pst_gw_oip_failure(r, &err);
	else if (!pst_gw_engines_wait(r->context->engines, &a->waiter))
		pst_gw_reply_error(r, 503,
				   "the agent has not said yet what the model "
				   "is");
	return NULL;
}

static void add_dims(struct pst_gw_text *t, const char *key,
		     const struct pst_tensor_spec *s)
{
	uint32_t d;

	pst_gw_text_format(t, ",\"%s\":[", key);
	for (d = 0; d < s->rank; d++)
		pst_gw_text_format(t, "%s%lld", d ? "," : "",
				   (long long)s->dim[d]);
	pst_gw_text_add(t, "]");
}

/* As the protocol has them, or as Triton's configuration does. */
static void add_tensors(struct pst_gw_text *t, const char *key,
			const struct pst_tensor_spec *list, uint32_t n,
			bool triton)
{
	uint32_t i;

	pst_gw_text_format(t, ",\"%s\":[", key);
	for (i = 0; i < n; i++) {
		pst_gw_text_add(t, i ? ",{\"name\":" : "{\"name\":");
		pst_gw_text_json(t, list[i].name);
		pst_gw_text_format(t, ",\"%s%s\"",
				   triton ? "data_type\":\"TYPE_"
					  : "datatype\":\"",
				   pst_gw_dtype_name(list[i].dtype));
		add_dims(t, triton ? "dims" : "shape", &list[i]);
		pst_gw_text_add(t, "}");
	}
	pst_gw_text_add(t, "]");
}

/* The model that the path names. NULL: the request was answered, or waits. */
static const struct pst_model_spec *named(struct pst_gw_request *r)
{
	static const struct pst_tensor_spec in[] = {
		{.name = "A", .dtype = PST_F32, .rank = 2, .dim = {-1, -1}},
		{.name = "B", .dtype = PST_F32, .rank = 2, .dim = {-1, -1}},
	};
	static const struct pst_tensor_spec out = {
		.name = "C", .dtype = PST_F32, .rank = 2, .dim = {-1, -1}};
	static const struct pst_model_spec gemm = {.in = in,
						   .out = &out,
						   .n_in = 2,
						   .n_out = 1,
						   .format = "gemm",
						   .ready = true};

	if (!pst_gw_oip_version(r))
		return NULL;
	return strcmp(r->word[0], PST_GW_GEMM) == 0 ? &gemm : find(r);
}

static const char *platform(const struct pst_model_spec *s)
{
	return strcmp(s->format, "onnx") == 0   ? "onnx_onnxv1"
	       : strcmp(s->format, "gemm") == 0 ? "penstock_gemm"
						: "penstock_layers";
}

static void model(struct pst_gw_request *r)
{
	const struct pst_model_spec *s = named(r);
	struct pst_gw_text t = {0};

	if (!s)
		return;
	pst_gw_text_add(&t, "{\"name\":");
	pst_gw_text_json(&t, r->word[0]);
	pst_gw_text_add(&t,
			",\"versions\":[\"" PST_GW_VERSION "\"],\"platform\":");
	pst_gw_text_json(&t, platform(s));
	add_tensors(&t, "inputs", s->in, s->n_in, false);
	add_tensors(&t, "outputs", s->out, s->n_out, false);
	pst_gw_text_add(&t, "}\n");
	reply(r, 200, &t);
}

/* Triton's: its clients ask for it before they do anything. */
static void model_config(struct pst_gw_request *r)
{
	const struct pst_model_spec *s = named(r);
	struct pst_gw_text t = {0};

	if (!s)
		return;
	pst_gw_text_add(&t, "{\"name\":");
	pst_gw_text_json(&t, r->word[0]);
	pst_gw_text_add(&t, ",\"platform\":");
	pst_gw_text_json(&t, platform(s));
	pst_gw_text_add(&t, ",\"backend\":\"penstock\",\"max_batch_size\":0");
	add_tensors(&t, "input", s->in, s->n_in, true);
	add_tensors(&t, "output", s->out, s->n_out, true);
	pst_gw_text_add(&t, "}\n");
	reply(r, 200, &t);
}

static void model_ready(struct pst_gw_request *r)
{
	const struct pst_model_spec *s = named(r);
	struct pst_gw_text t = {0};
	bool is;

	if (!s)
		return;
	is = s->ready;
	pst_gw_text_add(&t, "{\"name\":");
	pst_gw_text_json(&t, r->word[0]);
	pst_gw_text_format(&t, ",\"ready\":%s}\n", is ? "true" : "false");
	reply(r, is ? 200 : 503, &t);
}

#define MODEL_ROUTE(p, h)                                                      \
	{                                                                      \
		.path = (p), .methods = PST_GW_GET, .handle = (h),             \
		.done = ask_done                                               \
	}
#define MEMORY_ROUTE(p)                                                        \
	{                                                                      \
		.path = (p), .methods = PST_GW_GET | PST_GW_POST,              \
		.handle = refuse_memory                                        \
	}

const struct pst_gw_route pst_gw_oip_routes[] = {
	{.path = "/v2", .methods = PST_GW_GET, .handle = server},
	{.path = "/v2/", .methods = PST_GW_GET, .handle = server},
	{.path = "/v2/health/live", .methods = PST_GW_GET, .handle = live},
	{.path = "/v2/health/ready", .methods = PST_GW_GET, .handle = ready},
	{.path = "/v2/repository/index",
	 .methods = PST_GW_POST,
	 .handle = list_models},
	MODEL_ROUTE("/v2/models/*", model),
	MODEL_ROUTE("/v2/models/*/versions/*", model),
	MODEL_ROUTE("/v2/models/*/config", model_config),
	MODEL_ROUTE("/v2/models/*/versions/*/config", model_config),
	MODEL_ROUTE("/v2/models/*/ready", model_ready),
	MODEL_ROUTE("/v2/models/*/versions/*/ready", model_ready),
	MEMORY_ROUTE("/v2/systemsharedmemory/*"),
	MEMORY_ROUTE("/v2/systemsharedmemory/region/*/*"),
	MEMORY_ROUTE("/v2/cudasharedmemory/*"),
	MEMORY_ROUTE("/v2/cudasharedmemory/region/*/*"),
	{0},
};
