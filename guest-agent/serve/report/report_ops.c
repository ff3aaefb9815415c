/* SPDX-License-Identifier: MIT */
/* Lists operations and kinds of products for INFO. */
#include "guest-agent/serve/report/report_ops.h"

#include "transport/base/util.h"
#include "transport/dtype.h"

static const char *const compute_names[] = {
	[PST_WIRE_COMPUTE_DEFAULT] = "default",
	[PST_WIRE_COMPUTE_TF32] = "tf32",
	[PST_WIRE_COMPUTE_FAST_F16] = "fast_f16",
};

static const char *const act_names[] = {
	[PST_WIRE_ACT_NONE] = "none",
	[PST_WIRE_ACT_RELU] = "relu",
	[PST_WIRE_ACT_GELU_TANH] = "gelu_tanh",
	[PST_WIRE_ACT_GELU_ERF] = "gelu_erf",
};
static_assert(PST_ARRAY_SIZE(act_names) == PST_WIRE_N_ACTS, "");

/* What the descriptor's check lets through. */
static const struct {
	enum pst_wire_dtype dtype, dtype_c;
	enum pst_wire_compute compute;
} kinds[] = {
	{PST_WIRE_F32, PST_WIRE_F32, PST_WIRE_COMPUTE_DEFAULT},
	{PST_WIRE_F32, PST_WIRE_F32, PST_WIRE_COMPUTE_TF32},
	{PST_WIRE_F32, PST_WIRE_F32, PST_WIRE_COMPUTE_FAST_F16},
	{PST_WIRE_F64, PST_WIRE_F64, PST_WIRE_COMPUTE_DEFAULT},
	{PST_WIRE_F16, PST_WIRE_F16, PST_WIRE_COMPUTE_DEFAULT},
	{PST_WIRE_F16, PST_WIRE_F32, PST_WIRE_COMPUTE_DEFAULT},
	{PST_WIRE_BF16, PST_WIRE_BF16, PST_WIRE_COMPUTE_DEFAULT},
	{PST_WIRE_BF16, PST_WIRE_F32, PST_WIRE_COMPUTE_DEFAULT},
	{PST_WIRE_I8, PST_WIRE_I32, PST_WIRE_COMPUTE_DEFAULT},
};

/* The activations of one kind. */
static json_t *acts(const struct pst_agent_compute *c,
		    struct pst_agent_gemm_kind kind, bool has_bias)
{
	json_t *list = json_array();
	unsigned int i;

	kind.has_bias = has_bias;
	for (i = 0; i < PST_WIRE_N_ACTS; i++) {
		kind.act = i;
		if (c->ops->can(c->backend, &kind, NULL))
			json_array_append_new(list, json_string(act_names[i]));
	}
	return list;
}

json_t *pst_agent_report_gemm(const struct pst_agent_compute *c)
{
	json_t *list = json_array(), *plain;
	struct pst_agent_gemm_kind kind;
	size_t i;

	for (i = 0; c->ops->can && i < PST_ARRAY_SIZE(kinds); i++) {
		kind = (struct pst_agent_gemm_kind){
			.dtype = kinds[i].dtype,
			.dtype_c = kinds[i].dtype_c,
			.compute = kinds[i].compute,
		};
		plain = acts(c, kind, false);
		if (json_array_size(plain) == 0) {
			json_decref(plain);
			continue;
		}
		json_array_append_new(
			list, json_pack("{s:s, s:s, s:s, s:o, s:o}", "dtype",
					pst_dtype_name(kind.dtype), "dtype_c",
					pst_dtype_name(kind.dtype_c), "compute",
					compute_names[kind.compute],
					"epilogues", plain, "bias_epilogues",
					acts(c, kind, true)));
	}
	return list;
}

/* Element types of products, each once. */
static json_t *gemm_dtypes(const struct pst_agent_compute *c)
{
	json_t *list = json_array();
	struct pst_agent_gemm_kind kind = {0};
	size_t i;

	for (i = 0; c->ops->can && i < PST_ARRAY_SIZE(kinds); i++) {
		if (kinds[i].dtype == kind.dtype)
			continue;
		kind.dtype = kinds[i].dtype;
		kind.dtype_c = kinds[i].dtype_c;
		if (c->ops->can(c->backend, &kind, NULL))
			json_array_append_new(
				list, json_string(pst_dtype_name(kind.dtype)));
	}
	return list;
}

json_t *pst_agent_report_ops(const struct pst_agent_compute *c)
{
	json_t *list = json_array(), *dtypes = gemm_dtypes(c);

	json_array_append_new(list,
			      json_pack("{s:s, s:[]}", "op", "NOP", "dtypes"));
	if (json_array_size(dtypes) > 0) {
		json_array_append_new(list,
				      json_pack("{s:s, s:O}", "op", "GEMM",
						"dtypes", dtypes));
		json_array_append_new(list, json_pack("{s:s, s:O}", "op",
						      "GEMM_STRIDED_BATCHED",
						      "dtypes", dtypes));
	}
	json_decref(dtypes);
	json_array_append_new(list, json_pack("{s:s, s:[s,s,s]}", "op", "FILL",
					      "dtypes", "i8", "f32", "f64"));
	json_array_append_new(list, json_pack("{s:s, s:[s]}", "op", "CHECKSUM",
					      "dtypes", "bytes"));
	if (c->ops->alloc)
		json_array_append_new(list,
				      json_pack("{s:s, s:[s]}", "op", "COPY",
						"dtypes", "bytes"));
	if (c->ops->model_new)
		json_array_append_new(list,
				      json_pack("{s:s, s:[s]}", "op", "INFER",
						"dtypes", "f32"));
	return list;
}
