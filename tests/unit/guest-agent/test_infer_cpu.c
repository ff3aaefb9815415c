/* SPDX-License-Identifier: MIT */
/* Models on the cpu backend against layers computed one element at a time in
 * double precision: every layer, type of weight, batch, whole and in slices. */
#include <errno.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "guest-agent/cpu/infer_cpu.h"
#include "tests/fixtures/unit.h"
#include "transport/dtype.h"

#define MAX_ELEMS (1U << 21)
#define PADDING   12345.0F /* behind rows, must be there after */

static struct pst_agent_layer layers[64];
static struct pst_agent_model_plan plan;
static uint8_t *weights; /* 4 MiB */
static uint64_t n_weights;
static float *region; /* in, then out */
static struct pst_agent_hostmem hostmem;
static uint64_t rng;

static void setup(void)
{
	weights = aligned_alloc(64, 4U << 20);
	region = aligned_alloc(64, 2ULL * MAX_ELEMS * sizeof(float));
	ck_assert(weights && region);
	pst_agent_hostmem_init(&hostmem, "");
	n_weights = 0;
	rng = 88172645463325252ULL;
	plan = (struct pst_agent_model_plan){.layers = layers};
}

static void teardown(void)
{
	free(weights);
	free(region);
}

/* In (-1, 1). */
static float noise(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (float)((double)(int64_t)rng / 9.3e18);
}

/* n random weights of a type; their offset. */
static uint64_t tensor(enum pst_wire_dtype dtype, uint64_t n, float scale)
{
	const uint64_t off = n_weights;
	uint64_t i;
	float f;

	ck_assert_uint_le(off + 4 * n, 4U << 20);
	for (i = 0; i < n; i++) {
		f = noise() * scale;
		pst_floats_store(weights + off + i * pst_dtype_size(dtype),
				 dtype, &f, 1);
	}
	n_weights = pst_round_up(off + n * pst_dtype_size(dtype), 4);
	return off;
}

static double weight(uint64_t off, enum pst_wire_dtype dtype, uint64_t i)
{
	float f;

	pst_floats_load(&f, weights + off + i * pst_dtype_size(dtype), dtype,
			1);
	return (double)f;
}

/* Appends a layer; widths follow from what is there. */
static struct pst_agent_layer *add_layer(enum pst_agent_layer_type type,
					 uint32_t n_out)
{
	struct pst_agent_layer *l = &layers[plan.n_layers++];

	*l = (struct pst_agent_layer){
		.type = type,
		.n_in = plan.n_out,
		.n_out = n_out ? n_out : plan.n_out,
		.weight = PST_AGENT_MODEL_NONE,
		.bias = PST_AGENT_MODEL_NONE,
	};
	plan.n_out = l->n_out;
	if (l->n_out > plan.max_width)
		plan.max_width = l->n_out;
	return l;
}

static void begin(uint32_t n_in)
{
	plan.n_layers = 0;
	plan.n_in = plan.n_out = plan.max_width = n_in;
	n_weights = 0;
}

static void add_linear(uint32_t n_out, enum pst_wire_dtype w,
		       enum pst_wire_dtype bias)
{
	struct pst_agent_layer *l = add_layer(PST_AGENT_LAYER_LINEAR, n_out);

	l->weight_dtype = w;
	l->weight =
		tensor(w, (uint64_t)n_out * l->n_in, 2 / sqrtf((float)l->n_in));
	l->bias_dtype = bias;
	if (bias)
		l->bias = tensor(bias, n_out, 1);
}

static void add_norm(enum pst_wire_dtype w, enum pst_wire_dtype bias)
{
	struct pst_agent_layer *l = add_layer(PST_AGENT_LAYER_LAYERNORM, 0);

	l->eps = 1e-5;
	l->weight_dtype = w;
	if (w)
		l->weight = tensor(w, l->n_out, 1);
	l->bias_dtype = bias;
	if (bias)
		l->bias = tensor(bias, l->n_out, 1);
}

/* ---- The reference ---- */

static double act(enum pst_agent_layer_type type, double x)
{
	switch (type) {
	case PST_AGENT_LAYER_RELU:
		return x < 0 ? 0 : x;
	case PST_AGENT_LAYER_GELU:
		return 0.5 * x * (1 + erf(x / sqrt(2)));
	case PST_AGENT_LAYER_GELU_TANH:
		return 0.5 * x *
		       (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
	case PST_AGENT_LAYER_SILU:
		return x / (1 + exp(-x));
	case PST_AGENT_LAYER_TANH:
		return tanh(x);
	case PST_AGENT_LAYER_SIGMOID:
		return 1 / (1 + exp(-x));
	default:
		return x;
	}
}

static void ref_linear(const struct pst_agent_layer *l, const double *x,
		       double *y)
{
	uint32_t i, j;

	for (i = 0; i < l->n_out; i++) {
		y[i] = l->bias == PST_AGENT_MODEL_NONE
			       ? 0
			       : weight(l->bias, l->bias_dtype, i);
		for (j = 0; j < l->n_in; j++)
			y[i] += x[j] * weight(l->weight, l->weight_dtype,
					      (uint64_t)i * l->n_in + j);
	}
}

static void ref_softmax(double *x, uint32_t n)
{
	double max = -INFINITY, sum = 0;
	uint32_t i;

	for (i = 0; i < n; i++)
		max = fmax(max, x[i]);
	for (i = 0; i < n; i++)
		sum += exp(x[i] - max);
	for (i = 0; i < n; i++)
		x[i] = exp(x[i] - max) / sum;
}

static void ref_norm(const struct pst_agent_layer *l, double *x, uint32_t n)
{
	double mean = 0, var = 0;
	uint32_t i;

	for (i = 0; i < n; i++)
		mean += x[i] / n;
	for (i = 0; i < n; i++)
		var += (x[i] - mean) * (x[i] - mean) / n;
	for (i = 0; i < n; i++) {
		x[i] = (x[i] - mean) / sqrt(var + l->eps);
		if (l->weight != PST_AGENT_MODEL_NONE)
			x[i] *= weight(l->weight, l->weight_dtype, i);
		if (l->bias != PST_AGENT_MODEL_NONE)
			x[i] += weight(l->bias, l->bias_dtype, i);
	}
}

/* One row through the plan; returns malloc'ed outputs of all layers, the
 * last's are the result's. */
static void reference(const float *in, double *ret)
{
	static double outs[64][2048];
	static double input[2048];
	const struct pst_agent_layer *l;
	const double *x = input;
	uint32_t i, j;

	for (j = 0; j < plan.n_in; j++)
		input[j] = (double)in[j];
	for (i = 0; i < plan.n_layers; i++, x = outs[i - 1]) {
		l = &layers[i];
		if (l->type == PST_AGENT_LAYER_LINEAR) {
			ref_linear(l, x, outs[i]);
			continue;
		}
		for (j = 0; j < l->n_out; j++)
			outs[i][j] = act(l->type, x[j]);
		if (l->type == PST_AGENT_LAYER_SOFTMAX)
			ref_softmax(outs[i], l->n_out);
		else if (l->type == PST_AGENT_LAYER_LAYERNORM)
			ref_norm(l, outs[i], l->n_out);
		for (j = 0; l->type == PST_AGENT_LAYER_ADD && j < l->n_out; j++)
			outs[i][j] += l->from == PST_AGENT_MODEL_INPUT
					      ? input[j]
					      : outs[l->from][j];
	}
	memcpy(ret, x, plan.n_out * sizeof(*ret));
}

/* ---- Running ---- */

static struct pst_agent_infer_model *new_model(void)
{
	struct pst_agent_infer_model *m = NULL;
	struct pst_error err = {0};

	plan.weights_size = n_weights;
	ck_assert_int_eq(
		pst_agent_infer_model_new(&plan, weights, &hostmem, &m, &err),
		0);
	ck_assert_ptr_eq(pst_agent_infer_model_weights(m), weights);
	return m;
}

static struct pst_op make_op(uint32_t rows, uint32_t pad)
{
	const uint32_t ld_in = plan.n_in + pad, ld_out = plan.n_out + pad;
	uint64_t i;

	ck_assert_uint_le((uint64_t)rows * ld_in, MAX_ELEMS);
	ck_assert_uint_le((uint64_t)rows * ld_out, MAX_ELEMS);
	for (i = 0; i < (uint64_t)rows * ld_in; i++)
		region[i] = i % ld_in < plan.n_in ? noise() * 3 : NAN;
	for (i = 0; i < MAX_ELEMS; i++)
		region[MAX_ELEMS + i] = PADDING;
	return (struct pst_op){
		.op = PST_WIRE_OP_INFER,
		.m = rows,
		.k = plan.n_in,
		.n = plan.n_out,
		.lda = ld_in,
		.ldc = ld_out,
		.c = {.off = MAX_ELEMS * sizeof(float)},
	};
}

/* Runs to the end; returns the steps it took. */
static int run_op(struct pst_agent_infer_model *m, const struct pst_op *op,
		  uint64_t slice_ns)
{
	struct pst_agent_infer_run *run;
	struct pst_error err;
	int n = 1;

	ck_assert_int_eq(
		pst_agent_infer_begin(m, op, (uint8_t *)region, &run, &err), 0);
	while (!pst_agent_infer_step(run, slice_ns))
		ck_assert_int_lt(++n, 10000000);
	pst_agent_infer_end(run);
	return n;
}

static void check_rows(const struct pst_op *op, double tolerance)
{
	static double want[2048];
	const float *out = region + MAX_ELEMS;
	uint32_t i, j;

	for (i = 0; i < op->m; i++) {
		reference(region + (uint64_t)i * op->lda, want);
		for (j = 0; j < op->n; j++)
			ck_assert_double_eq_tol(
				(double)out[(uint64_t)i * op->ldc + j], want[j],
				tolerance * (1 + fabs(want[j])));
		for (; j < op->ldc; j++)
			ck_assert_float_eq(out[(uint64_t)i * op->ldc + j],
					   PADDING);
	}
	for (i = 0; i < 64; i++)
		ck_assert_float_eq(out[(uint64_t)op->m * op->ldc + i], PADDING);
}

static void check(uint32_t rows, uint32_t pad, uint64_t slice_ns)
{
	struct pst_agent_infer_model *m = new_model();
	const struct pst_op op = make_op(rows, pad);

	run_op(m, &op, slice_ns);
	check_rows(&op, 2e-5);
	pst_agent_infer_model_free(m);
}

#define LONG (1000 * PST_NS_PER_MS)

START_TEST(each_layer_alone_is_right)
{
	const enum pst_agent_layer_type type = (enum pst_agent_layer_type)_i;

	begin(37);
	add_linear(29, PST_WIRE_F32, PST_WIRE_F32);
	if (type == PST_AGENT_LAYER_LINEAR)
		add_linear(11, PST_WIRE_F32, 0);
	else if (type == PST_AGENT_LAYER_LAYERNORM)
		add_norm(PST_WIRE_F32, PST_WIRE_F32);
	else
		add_layer(type, 0)->from = 0;
	check(1, 0, LONG);
	check(5, 3, LONG);
}
END_TEST

START_TEST(an_activation_may_come_first_and_nothing_after)
{
	begin(16);
	add_layer(PST_AGENT_LAYER_TANH, 0);
	add_norm(0, 0);
	add_layer(PST_AGENT_LAYER_ADD, 0)->from = PST_AGENT_MODEL_INPUT;
	check(7, 1, LONG);
	add_norm(PST_WIRE_F32, 0);
	check(7, 0, LONG);
}
END_TEST

static void deep_model(enum pst_wire_dtype w, enum pst_wire_dtype bias)
{
	begin(50);
	add_linear(64, w, bias);            /* 0 */
	add_layer(PST_AGENT_LAYER_GELU, 0); /* 1 */
	add_norm(w, bias);                  /* 2 */
	add_linear(64, w, bias);            /* 3 */
	add_layer(PST_AGENT_LAYER_SILU, 0); /* 4 */
	add_layer(PST_AGENT_LAYER_ADD, 0)->from = 2;
	add_linear(50, w, 0); /* 6 */
	add_layer(PST_AGENT_LAYER_ADD, 0)->from = PST_AGENT_MODEL_INPUT;
	add_layer(PST_AGENT_LAYER_ADD, 0)->from = 6;
	add_layer(PST_AGENT_LAYER_ADD, 0)->from = 8 - 1;
	add_linear(10, w, bias);
	add_layer(PST_AGENT_LAYER_SOFTMAX, 0);
}

START_TEST(residuals_take_what_a_layer_gave_then)
{
	deep_model(PST_WIRE_F32, PST_WIRE_F32);
	check(33, 2, LONG);
	/* So few that each goes alone. */
	check(3, 1, LONG);
	check(2, 0, 1);
}
END_TEST

START_TEST(weights_of_16_bits_are_used_exactly)
{
	deep_model(PST_WIRE_F16, PST_WIRE_F32);
	check(9, 0, LONG);
	deep_model(PST_WIRE_BF16, PST_WIRE_BF16);
	check(9, 0, LONG);
	deep_model(PST_WIRE_F32, PST_WIRE_F16);
	check(9, 0, LONG);
}
END_TEST

START_TEST(many_rows_are_done_in_blocks)
{
	deep_model(PST_WIRE_F32, PST_WIRE_F32);
	check(1024, 0, LONG);
	check(1025, 0, LONG);
	check(2500, 1, LONG);
}
END_TEST

START_TEST(slices_change_nothing)
{
	struct pst_agent_infer_model *m;
	struct pst_op op;
	int steps;

	deep_model(PST_WIRE_F16, PST_WIRE_F32);
	m = new_model();
	op = make_op(1500, 0);
	/* Every reading of the clock ends a step. */
	steps = run_op(m, &op, 1);
	ck_assert_int_gt(steps, 40);
	check_rows(&op, 2e-5);
	/* And again, with the memory of the last run. */
	op = make_op(700, 3);
	run_op(m, &op, 1);
	check_rows(&op, 2e-5);
	pst_agent_infer_model_free(m);
}
END_TEST

START_TEST(two_runs_of_a_model_do_not_disturb_each_other)
{
	struct pst_agent_infer_run *a, *b;
	struct pst_agent_infer_model *m;
	struct pst_error err;
	struct pst_op op, other;
	bool done_a = false, done_b = false;

	deep_model(PST_WIRE_BF16, PST_WIRE_F32);
	m = new_model();
	op = make_op(64, 0);
	other = op;
	other.c.off += op.m * op.ldc * sizeof(float);
	ck_assert_int_eq(
		pst_agent_infer_begin(m, &op, (uint8_t *)region, &a, &err), 0);
	ck_assert_int_eq(
		pst_agent_infer_begin(m, &other, (uint8_t *)region, &b, &err),
		0);
	while (!done_a || !done_b) {
		done_a = done_a || pst_agent_infer_step(a, 1);
		done_b = done_b || pst_agent_infer_step(b, 1);
	}
	pst_agent_infer_end(a);
	pst_agent_infer_end(b);
	other.c.off = op.c.off;
	ck_assert_mem_eq(region + MAX_ELEMS, region + MAX_ELEMS + 64 * op.ldc,
			 64 * op.ldc * sizeof(float));
	pst_agent_infer_model_free(m);
}
END_TEST

START_TEST(a_run_may_be_given_up)
{
	struct pst_agent_infer_run *run;
	struct pst_agent_infer_model *m;
	struct pst_error err;
	struct pst_op op;

	deep_model(PST_WIRE_F32, PST_WIRE_F32);
	m = new_model();
	op = make_op(1500, 0);
	ck_assert_int_eq(
		pst_agent_infer_begin(m, &op, (uint8_t *)region, &run, &err),
		0);
	ck_assert(!pst_agent_infer_step(run, 1));
	pst_agent_infer_end(run);
	run_op(m, &op, LONG);
	check_rows(&op, 2e-5);
	pst_agent_infer_model_free(m);
}
END_TEST

START_TEST(nan_and_infinity_go_through)
{
	static const enum pst_agent_layer_type types[] = {
		PST_AGENT_LAYER_RELU,      PST_AGENT_LAYER_GELU,
		PST_AGENT_LAYER_SILU,      PST_AGENT_LAYER_TANH,
		PST_AGENT_LAYER_SIGMOID,   PST_AGENT_LAYER_SOFTMAX,
		PST_AGENT_LAYER_LAYERNORM, PST_AGENT_LAYER_GELU_TANH,
	};
	struct pst_agent_infer_model *m;
	struct pst_op op;
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(types); i++) {
		begin(4);
		add_layer(types[i], 0);
		m = new_model();
		op = make_op(2, 0);
		region[1] = NAN;
		run_op(m, &op, LONG);
		ck_assert(isnan(region[MAX_ELEMS + 1]));
		/* The other row knows nothing of it. */
		ck_assert(!isnan(region[MAX_ELEMS + 5]));
		pst_agent_infer_model_free(m);
	}
	begin(4);
	add_layer(PST_AGENT_LAYER_SOFTMAX, 0);
	m = new_model();
	op = make_op(1, 0);
	region[0] = 1e30F;
	region[1] = -INFINITY;
	run_op(m, &op, LONG);
	ck_assert_float_eq(region[MAX_ELEMS], 1);
	ck_assert_float_eq(region[MAX_ELEMS + 1], 0);
	pst_agent_infer_model_free(m);
}
END_TEST

START_TEST(activations_beyond_a_bound_are_refused)
{
	struct pst_agent_infer_model *m = NULL;
	struct pst_error err = {0};
	uint32_t i;

	begin(1U << 20);
	for (i = 0; i < 15; i++)
		add_layer(PST_AGENT_LAYER_ADD, 0)->from =
			i ? i - 1 : PST_AGENT_MODEL_INPUT;
	ck_assert_int_eq(
		pst_agent_infer_model_new(&plan, weights, &hostmem, &m, &err),
		-EMSGSIZE);
	ck_assert_ptr_nonnull(strstr(err.text, "one row"));
	plan.n_layers = 14;
	ck_assert_int_eq(
		pst_agent_infer_model_new(&plan, weights, &hostmem, &m, &err),
		0);
	pst_agent_infer_model_free(m);
	pst_agent_infer_model_free(NULL);
}
END_TEST

#ifdef HAVE_CBLAS
#define HAS_CBLAS true
#else
#define HAS_CBLAS false
#endif

START_TEST(without_a_cblas_there_are_no_models)
{
	struct pst_agent_infer_model *m = NULL;
	struct pst_error err = {0};

	begin(4);
	ck_assert_int_eq(
		pst_agent_infer_model_new(&plan, weights, &hostmem, &m, &err),
		-EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(err.text, "CBLAS"));
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	if (!HAS_CBLAS) {
		tcase_add_test(tc, without_a_cblas_there_are_no_models);
		return;
	}
	tcase_add_loop_test(tc, each_layer_alone_is_right, 0,
			    PST_AGENT_N_LAYERS);
	tcase_add_test(tc, an_activation_may_come_first_and_nothing_after);
	tcase_add_test(tc, residuals_take_what_a_layer_gave_then);
	tcase_add_test(tc, weights_of_16_bits_are_used_exactly);
	tcase_add_test(tc, many_rows_are_done_in_blocks);
	tcase_add_test(tc, slices_change_nothing);
	tcase_add_test(tc, two_runs_of_a_model_do_not_disturb_each_other);
	tcase_add_test(tc, a_run_may_be_given_up);
	tcase_add_test(tc, nan_and_infinity_go_through);
	tcase_add_test(tc, activations_beyond_a_bound_are_refused);
}

int main(void)
{
	return pst_unit_run("infer_cpu", add, 120);
}
