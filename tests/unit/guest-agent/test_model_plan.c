/* SPDX-License-Identifier: MIT */
/* Lists of layers: those that fit become a plan, all else is refused with the
 * layer's name. */
#include <errno.h>

#include "guest-agent/model/model_plan.h"
#include "tests/fixtures/st_file.h"
#include "tests/fixtures/unit.h"

static uint8_t file[PST_AGENT_SAFETENSORS_MAX_HEADER];
static struct pst_agent_model_plan plan;
static struct pst_error err;

#define T(name, dtype, shape, begin, end)                                      \
	"\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape               \
	",\"data_offsets\":[" #begin "," #end "]}"

/* An 8-to-4-to-2 net's tensors, and what else the cases need. */
#define TENSORS                                                                   \
	T("w0", "F32", "[4,8]", 0, 128)                                           \
	"," T("b0", "F32", "[4]", 128, 144) "," T(                                \
		"w1", "F16", "[2,4]", 144,                                        \
		160) "," T("b1", "BF16", "[2]", 160,                              \
			   164) "," T("sq", "F32", "[4,4]", 164,                  \
				      228) "," T("i", "I32", "[4,8]", 228,        \
						 356) "," T("z", "F32",           \
							    "[0,8]", 356,         \
							    356) "," T("u4",      \
								       "F32",     \
								       "[1,4,8]", \
								       356,       \
								       484)
#define DATA 484

static int parse_with(const char *layers, const char *tensors, uint64_t data)
{
	struct pst_agent_safetensors st;
	size_t n = st_model(file, sizeof(file), layers, tensors);
	int r;

	memset(&err, 0, sizeof(err));
	ck_assert_uint_gt(n, 0);
	ck_assert_int_eq(pst_agent_safetensors_parse(file, n, data, &st, &err),
			 0);
	r = pst_agent_model_plan_parse(&st, &plan, &err);
	pst_agent_safetensors_done(&st);
	return r;
}

/* layers as they are in the header, escapes and all. */
static int parse_escaped(const char *layers)
{
	static char json[PST_AGENT_SAFETENSORS_MAX_JSON];
	struct pst_agent_safetensors st;
	size_t n;
	int r;

	snprintf(json, sizeof(json),
		 "{\"__metadata__\":{\"penstock.layers\":\"%s\"}}", layers);
	n = st_header(file, json);
	ck_assert_int_eq(pst_agent_safetensors_parse(file, n, 0, &st, &err), 0);
	r = pst_agent_model_plan_parse(&st, &plan, &err);
	pst_agent_safetensors_done(&st);
	return r;
}

static int parse(const char *layers)
{
	return parse_with(layers, TENSORS, DATA);
}

static void refused(const char *layers, const char *words)
{
	ck_assert_int_eq(parse(layers), -EINVAL);
	ck_assert_msg(strstr(err.text, words), "\"%s\" lacks \"%s\"", err.text,
		      words);
}

#define FC0                                                                    \
	"{\"type\":\"linear\",\"weight\":\"w0\",\"bias\":\"b0\",\"name\":\"fc0\"}"
#define FC1 "{\"type\":\"linear\",\"weight\":\"w1\",\"bias\":\"b1\"}"

START_TEST(a_list_of_every_type_becomes_a_plan)
{
	static const enum pst_agent_layer_type want[] = {
		PST_AGENT_LAYER_TANH,      PST_AGENT_LAYER_LINEAR,
		PST_AGENT_LAYER_RELU,      PST_AGENT_LAYER_GELU,
		PST_AGENT_LAYER_SILU,      PST_AGENT_LAYER_SIGMOID,
		PST_AGENT_LAYER_LAYERNORM, PST_AGENT_LAYER_ADD,
		PST_AGENT_LAYER_GELU_TANH, PST_AGENT_LAYER_LINEAR,
		PST_AGENT_LAYER_SOFTMAX,
	};
	uint32_t i;

	ck_assert_int_eq(
		parse("[{\"type\":\"tanh\"}," FC0
		      ",{\"type\":\"relu\"},{\"type\":\"gelu\"},"
		      "{\"type\":\"silu\"},{\"type\":\"sigmoid\"},"
		      "{\"type\":\"layernorm\",\"weight\":\"b0\",\"bias\":"
		      "\"b0\",\"eps\":1e-3},"
		      "{\"type\":\"add\",\"from\":\"fc0\"},"
		      "{\"type\":\"gelu_tanh\"}," FC1
		      ",{\"type\":\"softmax\"}]"),
		0);
	ck_assert_uint_eq(plan.n_layers, PST_ARRAY_SIZE(want));
	for (i = 0; i < plan.n_layers; i++)
		ck_assert_int_eq(plan.layers[i].type, want[i]);
	ck_assert_uint_eq(plan.n_in, 8);
	ck_assert_uint_eq(plan.n_out, 2);
	ck_assert_uint_eq(plan.max_width, 8);
	ck_assert_uint_eq(plan.dtype, PST_WIRE_F32);
	ck_assert_uint_eq(plan.weights_size, DATA);
	ck_assert_uint_eq(plan.layers[0].n_out, 8);
	ck_assert_uint_eq(plan.layers[1].weight, 0);
	ck_assert_uint_eq(plan.layers[1].bias, 128);
	ck_assert_double_eq(plan.layers[6].eps, 1e-3);
	ck_assert_uint_eq(plan.layers[7].from, 1);
	ck_assert_uint_eq(plan.layers[9].weight, 144);
	ck_assert_uint_eq(plan.layers[9].weight_dtype, PST_WIRE_F16);
	ck_assert_uint_eq(plan.layers[9].bias_dtype, PST_WIRE_BF16);
	ck_assert_uint_eq(pst_agent_model_max_batch(&plan),
			  PST_AGENT_MODEL_MAX_BATCH);
	pst_agent_model_plan_done(&plan);
	pst_agent_model_plan_done(&plan);
}
END_TEST

START_TEST(what_may_be_left_out_is)
{
	ck_assert_int_eq(parse("[{\"type\":\"layernorm\"},"
			       "{\"type\":\"linear\",\"weight\":\"sq\"},"
			       "{\"type\":\"add\",\"from\":\"input\"},"
			       "{\"type\":\"layernorm\",\"weight\":\"b0\","
			       "\"eps\":0}]"),
			 0);
	ck_assert_uint_eq(plan.layers[0].weight, PST_AGENT_MODEL_NONE);
	ck_assert_double_eq(plan.layers[0].eps, 1e-5);
	ck_assert_uint_eq(plan.layers[1].bias, PST_AGENT_MODEL_NONE);
	ck_assert_uint_eq(plan.layers[2].from, PST_AGENT_MODEL_INPUT);
	ck_assert_double_eq(plan.layers[3].eps, 0);
	pst_agent_model_plan_done(&plan);
}
END_TEST

START_TEST(a_layernorm_alone_says_how_wide_the_input_is)
{
	ck_assert_int_eq(parse("[{\"type\":\"layernorm\",\"weight\":\"b0\"}]"),
			 0);
	ck_assert_uint_eq(plan.n_in, 4);
	ck_assert_uint_eq(plan.dtype, PST_WIRE_F32);
	pst_agent_model_plan_done(&plan);
}
END_TEST

START_TEST(shapes_that_do_not_fit_name_the_layer)
{
	refused("[" FC0 ",{\"type\":\"linear\",\"weight\":\"w0\","
		"\"name\":\"fc1\"}]",
		"layer 1 (linear \"fc1\"): weight is 4 x 8, its input has 4 "
		"elements");
	refused("[{\"type\":\"linear\",\"weight\":\"w0\",\"bias\":\"b1\"}]",
		"layer 0 (linear): bias has 2 elements, the layer's output 4");
	refused("[{\"type\":\"linear\",\"weight\":\"w0\",\"bias\":\"w0\"}]",
		"bias has 2 dimensions, not 1");
	refused("[{\"type\":\"linear\",\"weight\":\"b0\"}]",
		"weight has 1 dimensions, not 2");
	refused("[{\"type\":\"linear\",\"weight\":\"u4\"}]",
		"weight has 3 dimensions, not 2");
	refused("[{\"type\":\"linear\",\"weight\":\"z\"}]", "is 0");
	refused("[" FC0 ",{\"type\":\"layernorm\",\"weight\":\"b1\"}]",
		"layer 1 (layernorm): weight has 2 elements");
	refused("[" FC0 "," FC1 ",{\"type\":\"add\",\"from\":\"fc0\"}]",
		"layer 2 (add): \"fc0\" has 4 elements, its input has 2");
	refused("[" FC0 ",{\"type\":\"add\",\"from\":\"input\"}]",
		"\"input\" has 8 elements, its input has 4");
}
END_TEST

START_TEST(tensors_must_be_there_and_of_a_float_type)
{
	refused("[{\"type\":\"linear\",\"weight\":\"none\"}]",
		"layer 0 (linear): the file has no tensor \"none\"");
	refused("[{\"type\":\"linear\",\"weight\":\"w0\",\"bias\":\"none\"}]",
		"no tensor \"none\", its bias");
	refused("[{\"type\":\"linear\",\"weight\":\"i\"}]",
		"weight is I32; F32, F16 and BF16 can be used");
	refused("[{\"type\":\"linear\"}]", "it has no weight");
	refused("[{\"type\":\"layernorm\",\"bias\":\"b0\"}]",
		"a bias and no weight");
	refused("[{\"type\":\"relu\"}]", "no layer has a weight");
}
END_TEST

START_TEST(only_what_a_layer_uses_has_to_be_aligned_and_of_a_known_type)
{
	static const char tensors[] = T("w0", "F32", "[2,2]", 0, 16) "," T(
		"u1", "U8", "[1]", 16,
		17) "," T("i8", "I64", "[1]", 17,
			  25) "," T("q", "F2_E1M0", "[3]", 25,
				    26) "," T("b", "F16", "[2]", 26,
					      30) "," T("odd", "F32", "[2]", 30,
							38);

	ck_assert_int_eq(parse_with("[{\"type\":\"linear\",\"weight\":\"w0\","
				    "\"bias\":\"b\"}]",
				    tensors, 38),
			 0);
	pst_agent_model_plan_done(&plan);
	ck_assert_int_eq(parse_with("[{\"type\":\"linear\",\"weight\":\"w0\","
				    "\"bias\":\"odd\"}]",
				    tensors, 38),
			 -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text,
				     "layer 0 (linear): bias \"odd\" begins at "
				     "byte 30 of the data"));
	ck_assert_int_eq(parse_with("[{\"type\":\"linear\",\"weight\":\"q\"}]",
				    tensors, 38),
			 -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "weight is F2_E1M0; F32"));
}
END_TEST

START_TEST(unknown_types_and_keys_are_errors)
{
	refused("[{\"type\":\"conv\"}]", "layer 0 (conv): this type");
	refused("[{\"type\":\"Linear\",\"weight\":\"w0\"}]", "unknown");
	refused("[{}]", "layer 0 (?)");
	refused("[1]", "layer 0 (?)");
	refused("[{\"type\":1}]", "no object with a \"type\"");
	refused("[" FC0 ",{\"type\":\"relu\",\"weight\":\"w0\"}]",
		"layer 1 (relu): unknown key \"weight\"");
	refused("[{\"type\":\"linear\",\"weight\":\"w0\",\"eps\":1}]",
		"unknown key \"eps\"");
	refused("[{\"type\":\"linear\",\"weight\":\"w0\",\"dropout\":1}]",
		"unknown key \"dropout\"");
	refused("[{\"type\":\"linear\",\"weight\":7}]", "weight is no text");
	refused("[" FC0 ",{\"type\":\"softmax\",\"from\":\"fc0\"}]",
		"unknown key \"from\"");
}
END_TEST

START_TEST(an_eps_is_a_number_of_at_least_0)
{
	refused("[{\"type\":\"layernorm\",\"weight\":\"b0\",\"eps\":-1}]",
		"eps");
	refused("[{\"type\":\"layernorm\",\"weight\":\"b0\",\"eps\":\"1\"}]",
		"eps");
	refused("[{\"type\":\"layernorm\",\"weight\":\"b0\",\"eps\":null}]",
		"eps");
}
END_TEST

START_TEST(an_add_takes_an_earlier_layer)
{
	refused("[" FC0 ",{\"type\":\"add\"}]", "it has no \"from\"");
	refused("[" FC0 ",{\"type\":\"add\",\"from\":\"fc1\"}]",
		"no layer before it is named \"fc1\"");
	refused("[" FC0 ",{\"type\":\"add\",\"from\":\"me\",\"name\":\"me\"}]",
		"no layer before it is named \"me\"");
	refused("[" FC0 ",{\"type\":\"add\",\"from\":\"late\"},"
		"{\"type\":\"relu\",\"name\":\"late\"}]",
		"no layer before it is named \"late\"");
}
END_TEST

START_TEST(names_are_unique)
{
	refused("[" FC0 ",{\"type\":\"relu\",\"name\":\"fc0\"}]",
		"layer 1 (relu \"fc0\"): an earlier layer has this name");
	refused("[" FC0 ",{\"type\":\"relu\",\"name\":\"input\"}]",
		"the model's input");
	refused("[" FC0 ",{\"type\":\"relu\",\"name\":\"\"}]", "1 to 64");
}
END_TEST

START_TEST(the_list_is_a_json_list_of_a_bounded_length)
{
	static char many[64 * PST_AGENT_MODEL_MAX_LAYERS];
	static char wide[PST_AGENT_MODEL_MAX_LIST + 2];
	size_t n = 0;
	int i;

	refused("", "no JSON");
	refused("[", "no JSON");
	refused("[{\"type\":\"relu\",\"type\":\"relu\"}]", "no JSON");
	refused("[]", "no list of 1 to 256");
	refused("{}", "no list of 1 to 256");
	n += (size_t)sprintf(many, "[" FC0);
	for (i = 0; i < (int)PST_AGENT_MODEL_MAX_LAYERS - 1; i++)
		n += (size_t)sprintf(many + n, ",{\"type\":\"relu\"}");
	strcpy(many + n, "]");
	ck_assert_int_eq(parse(many), 0);
	ck_assert_uint_eq(plan.n_layers, PST_AGENT_MODEL_MAX_LAYERS);
	pst_agent_model_plan_done(&plan);
	strcpy(many + n, ",{\"type\":\"relu\"}]");
	ck_assert_int_eq(parse(many), -EMSGSIZE);
	memset(wide, ' ', sizeof(wide) - 1);
	ck_assert_int_eq(parse(wide), -EMSGSIZE);
	/* Written with escapes, it is as long to read. */
	for (n = 0; n < (PST_AGENT_SAFETENSORS_MAX_TOKENS + 1) * 6; n += 6)
		memcpy(wide + n, "\\u002c", 6);
	wide[n] = '\0';
	ck_assert_int_eq(parse_escaped(wide), -EMSGSIZE);
	ck_assert_ptr_nonnull(strstr(err.text, "brackets"));
}
END_TEST

START_TEST(a_file_without_a_list_is_no_model)
{
	struct pst_agent_safetensors st;
	size_t n = st_header(file, "{" T("w", "F32", "[1,1]", 0, 4) "}");

	ck_assert_int_eq(pst_agent_safetensors_parse(file, n, 4, &st, &err), 0);
	ck_assert_int_eq(pst_agent_model_plan_parse(&st, &plan, &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "penstock.layers"));
	pst_agent_safetensors_done(&st);
}
END_TEST

START_TEST(rows_that_are_too_wide_are_refused)
{
	ck_assert_int_eq(parse_with("[{\"type\":\"layernorm\",\"weight\":"
				    "\"w\"}]",
				    T("w", "F32", "[1048577]", 0, 4194308),
				    4194308),
			 -EMSGSIZE);
	ck_assert_int_eq(parse_with("[{\"type\":\"layernorm\",\"weight\":"
				    "\"w\"}]",
				    T("w", "F32", "[1048576]", 0, 4194304),
				    4194304),
			 0);
	ck_assert_uint_eq(pst_agent_model_max_batch(&plan), 256);
	pst_agent_model_plan_done(&plan);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, a_list_of_every_type_becomes_a_plan);
	tcase_add_test(tc, what_may_be_left_out_is);
	tcase_add_test(tc, a_layernorm_alone_says_how_wide_the_input_is);
	tcase_add_test(tc, shapes_that_do_not_fit_name_the_layer);
	tcase_add_test(tc, tensors_must_be_there_and_of_a_float_type);
	tcase_add_test(
		tc,
		only_what_a_layer_uses_has_to_be_aligned_and_of_a_known_type);
	tcase_add_test(tc, unknown_types_and_keys_are_errors);
	tcase_add_test(tc, an_eps_is_a_number_of_at_least_0);
	tcase_add_test(tc, an_add_takes_an_earlier_layer);
	tcase_add_test(tc, names_are_unique);
	tcase_add_test(tc, the_list_is_a_json_list_of_a_bounded_length);
	tcase_add_test(tc, a_file_without_a_list_is_no_model);
	tcase_add_test(tc, rows_that_are_too_wide_are_refused);
}

int main(void)
{
	return pst_unit_run("model_plan", add, 60);
}
