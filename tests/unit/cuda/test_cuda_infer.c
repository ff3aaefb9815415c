/* SPDX-License-Identifier: MIT */
/* Models on the cuda backend over the double, against layers computed one
 * element at a time in double precision. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "guest-agent/cuda/model.h"
#include "tests/fakecuda/fixture.h"
#include "tests/fakecuda/number.h"
#include "tests/fixtures/unit.h"
#include "transport/base/util.h"
#include "transport/op.h"

#define OFF_WEIGHTS (4ULL << 20)
#define OFF_IN      (8ULL << 20)
#define OFF_OUT     (20ULL << 20)
#define MAX_WIDTH   64U

static struct pst_error err;
static struct pst_agent_layer layers[32];
static struct pst_agent_model_plan plan;
static uint64_t n_weights;

/* n weights of a type in the region; where they lie in the file. */
static uint64_t weights(enum pst_wire_dtype t, uint64_t n, double scale)
{
	const uint64_t off = n_weights;
	uint64_t i;

	for (i = 0; i < n; i++)
		number_set(fix_mem + OFF_WEIGHTS + off, t, i,
			   scale * fix_noise());
	n_weights = pst_round_up(off + n * pst_dtype_size(t), 4);
	return off;
}

static struct pst_agent_layer *add(enum pst_agent_layer_type type,
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

static void linear(uint32_t n_out, enum pst_wire_dtype t, bool bias)
{
	struct pst_agent_layer *l = add(PST_AGENT_LAYER_LINEAR, n_out);

	l->weight_dtype = t;
	l->weight = weights(t, (uint64_t)n_out * l->n_in, 0.3);
	l->bias_dtype = t;
	if (bias)
		l->bias = weights(t, n_out, 1);
}

static void norm(enum pst_wire_dtype t, bool weight)
{
	struct pst_agent_layer *l = add(PST_AGENT_LAYER_LAYERNORM, 0);

	l->eps = 1e-5;
	l->weight_dtype = l->bias_dtype = t;
	if (weight)
		l->weight = weights(t, l->n_out, 1);
	l->bias = weights(t, l->n_out, 1);
}

static void new_plan(uint32_t n_in)
{
	memset(layers, 0, sizeof(layers));
	n_weights = 0;
	plan = (struct pst_agent_model_plan){
		.n_in = n_in,
		.n_out = n_in,
		.max_width = n_in,
		.layers = layers,
	};
}

/* Every layer, with activations that are fused and such that are not because
 * their input is added later. */
static void everything(enum pst_wire_dtype t)
{
	new_plan(24);
	linear(40, t, true);
	add(PST_AGENT_LAYER_RELU, 0);
	linear(40, t, true);
	add(PST_AGENT_LAYER_GELU_TANH, 0);
	add(PST_AGENT_LAYER_ADD, 0)->from = 1;
	norm(t, true);
	linear(24, t, false);
	add(PST_AGENT_LAYER_GELU, 0);
	add(PST_AGENT_LAYER_ADD, 0)->from = PST_AGENT_MODEL_INPUT;
	linear(24, t, true);
	add(PST_AGENT_LAYER_RELU, 0);
	add(PST_AGENT_LAYER_ADD, 0)->from = 9;
	add(PST_AGENT_LAYER_SILU, 0);
	norm(t, false);
	add(PST_AGENT_LAYER_TANH, 0);
	linear(17, t, true);
	add(PST_AGENT_LAYER_SIGMOID, 0);
	add(PST_AGENT_LAYER_SOFTMAX, 0);
	plan.dtype = t;
	plan.weights_size = n_weights;
}

static double weight(uint64_t off, enum pst_wire_dtype t, uint64_t i)
{
	return off == PST_AGENT_MODEL_NONE
		       ? 0
		       : number_get(fix_mem + OFF_WEIGHTS + off, t, i);
}

static double unary(enum pst_agent_layer_type t, double x)
{
	switch (t) {
	case PST_AGENT_LAYER_RELU:
		return number_act(x, PST_WIRE_ACT_RELU);
	case PST_AGENT_LAYER_GELU:
		return number_act(x, PST_WIRE_ACT_GELU_ERF);
	case PST_AGENT_LAYER_GELU_TANH:
		return number_act(x, PST_WIRE_ACT_GELU_TANH);
	case PST_AGENT_LAYER_SILU:
		return x / (1 + exp(-x));
	case PST_AGENT_LAYER_TANH:
		return tanh(x);
	default:
		return 1 / (1 + exp(-x));
	}
}

static void row_layer(const struct pst_agent_layer *l, const double *x,
		      double *y)
{
	double sum = 0, var = 0;
	uint32_t i;

	if (l->type == PST_AGENT_LAYER_SOFTMAX) {
		for (i = 0; i < l->n_out; i++)
			sum += exp(x[i]);
		for (i = 0; i < l->n_out; i++)
			y[i] = exp(x[i]) / sum;
		return;
	}
	for (i = 0; i < l->n_out; i++)
		sum += x[i] / l->n_out;
	for (i = 0; i < l->n_out; i++)
		var += (x[i] - sum) * (x[i] - sum) / l->n_out;
	for (i = 0; i < l->n_out; i++)
		y[i] = (x[i] - sum) / sqrt(var + l->eps) *
			       (l->weight == PST_AGENT_MODEL_NONE
					? 1
					: weight(l->weight, l->weight_dtype,
						 i)) +
		       weight(l->bias, l->bias_dtype, i);
}

/* One row through all layers; ret has plan.n_out elements. */
static void reference(const float *in, double *ret)
{
	static double out[32][MAX_WIDTH], input[MAX_WIDTH];
	const struct pst_agent_layer *l;
	const double *x = input, *z;
	uint32_t i, j, k;

	for (i = 0; i < plan.n_in; i++)
		input[i] = (double)in[i];
	for (k = 0; k < plan.n_layers; k++, x = out[k - 1]) {
		l = &layers[k];
		if (l->type == PST_AGENT_LAYER_LINEAR) {
			for (j = 0; j < l->n_out; j++) {
				out[k][j] = weight(l->bias, l->bias_dtype, j);
				for (i = 0; i < l->n_in; i++)
					out[k][j] +=
						x[i] *
						weight(l->weight,
						       l->weight_dtype,
						       (uint64_t)j * l->n_in +
							       i);
			}
		} else if (l->type == PST_AGENT_LAYER_ADD) {
			z = l->from == PST_AGENT_MODEL_INPUT ? input
							     : out[l->from];
			for (i = 0; i < l->n_out; i++)
				out[k][i] = x[i] + z[i];
		} else if (l->type == PST_AGENT_LAYER_SOFTMAX ||
			   l->type == PST_AGENT_LAYER_LAYERNORM) {
			row_layer(l, x, out[k]);
		} else {
			for (i = 0; i < l->n_out; i++)
				out[k][i] = unary(l->type, x[i]);
		}
	}
	memcpy(ret, x, plan.n_out * sizeof(*ret));
}

/* Copies the weights to a tensor and makes the model. */
static int load(void **ret)
{
	struct pst_op op = {.op = PST_WIRE_OP_COPY};
	void *t;
	int r;

	r = fix_ops->alloc(fix_backend, n_weights, &t, &err);
	if (r < 0)
		return r;
	op.a = (struct pst_operand){.off = OFF_WEIGHTS, .size = n_weights};
	op.c = (struct pst_operand){.size = n_weights, .mem = t};
	r = fix_run(&op, &err);
	if (r == 0)
		r = fix_ops->model_new(fix_backend, &plan, t, ret, &err);
	if (r < 0)
		fix_ops->release(fix_backend, t);
	return r;
}

static struct pst_op infer_op(void *model, uint32_t rows, uint32_t pad)
{
	struct pst_op op = {
		.op = PST_WIRE_OP_INFER,
		.m = rows,
		.n = plan.n_out,
		.k = plan.n_in,
		.lda = plan.n_in + pad,
		.ldc = plan.n_out + pad,
		.batch = 1,
		.model = model,
	};

	op.a = (struct pst_operand){.off = OFF_IN,
				    .size = 4ULL * op.lda * rows};
	op.c = (struct pst_operand){.off = OFF_OUT,
				    .size = 4ULL * op.ldc * rows};
	return op;
}

static void check_rows(const struct pst_op *op, double tolerance)
{
	const float *in = (float *)(void *)(fix_mem + op->a.off);
	const float *out = (float *)(void *)(fix_mem + op->c.off);
	double want[MAX_WIDTH], got;
	uint32_t i, j;

	for (i = 0; i < op->m; i++) {
		reference(in + (uint64_t)i * op->lda, want);
		for (j = 0; j < op->n; j++) {
			/* Each assertion is a write to a file. */
			got = (double)out[(uint64_t)i * op->ldc + j];
			if (fabs(got - want[j]) <= tolerance)
				continue;
			ck_abort_msg("row %u of %u, element %u: %g, not %g", i,
				     op->m, j, got, want[j]);
		}
	}
}

static void fill_in(const struct pst_op *op)
{
	uint64_t i;

	for (i = 0; i < op->a.size / 4; i++)
		number_set(fix_mem + op->a.off, PST_WIRE_F32, i, fix_noise());
	memset(fix_mem + op->c.off, 0xff, op->c.size);
}

static const struct {
	enum pst_wire_dtype t;
	double tolerance; /* of probabilities of 17 classes */
} types[] = {
	{PST_WIRE_F32, 1e-6},
	{PST_WIRE_F16, 1e-3},
	{PST_WIRE_BF16, 8e-3},
};

/* Types, each with a registered and a staged region. */
START_TEST(every_layer_gives_what_it_says)
{
	static const uint32_t rows[] = {1, 3, 1, 64, 1, 3, 1030, 3};
	struct fakecuda_config c = fakecuda_default();
	struct pst_op op;
	void *model;
	unsigned int i;

	c.refuse_plain = c.refuse_iomemory = _i % 2;
	c.delay_us = 30;
	c.refuse_lt = _i == 1;
	ck_assert_int_eq(fix_open(&c, NULL, NULL, NULL, &err), 0);
	everything(types[_i / 2].t);
	ck_assert_msg(load(&model) == 0, "%s", err.text);
	for (i = 0; i < PST_ARRAY_SIZE(rows); i++) {
		op = infer_op(model, rows[i], i % 3);
		fill_in(&op);
		ck_assert_msg(fix_run(&op, &err) == 0, "%s", err.text);
		ck_assert_msg(!fakecuda_problems(), "%s", fakecuda_problem());
		check_rows(&op, types[_i / 2].tolerance);
	}
	/* The third of 1 row and what came after it. */
	ck_assert_uint_ge(fakecuda_graph_launches(), 3);
	if (_i != 1)
		ck_assert_uint_ge(fakecuda_lt_products(), 2);
	fix_ops->model_free(fix_backend, model);
	fix_close();
}
END_TEST

START_TEST(two_clients_of_a_model_do_not_mix)
{
	struct fakecuda_config c = fakecuda_default();
	struct pst_backend_op bop[2];
	struct pst_op op[2];
	void *model;
	int i, r[2] = {0, 0};

	c.delay_us = 200;
	ck_assert_int_eq(fix_open(&c, NULL, NULL, NULL, &err), 0);
	everything(PST_WIRE_F32);
	ck_assert_int_eq(load(&model), 0);
	for (i = 0; i < 2; i++) {
		op[i] = infer_op(model, 40 + (uint32_t)i, 0);
		op[i].a.off += (uint64_t)i << 20;
		op[i].c.off += (uint64_t)i << 20;
		fill_in(&op[i]);
		ck_assert_int_eq(fix_begin(&bop[i], (uint32_t)i, &op[i], &err),
				 0);
	}
	while (r[0] != PST_AGENT_STEP_DONE || r[1] != PST_AGENT_STEP_DONE) {
		for (i = 0; i < 2; i++) {
			if (r[i] != PST_AGENT_STEP_DONE)
				r[i] = fix_ops->step(fix_backend, &bop[i],
						     &err);
			ck_assert_int_ge(r[i], 0);
		}
	}
	for (i = 0; i < 2; i++)
		check_rows(&op[i], 1e-6);
	fix_ops->model_free(fix_backend, model);
	fix_close();
}
END_TEST

/* A Turing card with weights of BF16, a Titan X with both types. */
START_TEST(a_card_without_the_type_runs_the_model_in_f32)
{
	struct fakecuda_config c = fakecuda_default();
	struct pst_op op;
	void *model;
	int i;

	c.major = _i ? 5 : 7;
	c.minor = _i ? 2 : 5;
	c.driver = c.runtime = 12080;
	ck_assert_int_eq(fix_open(&c, NULL, NULL, NULL, &err), 0);
	everything(_i == 1 ? PST_WIRE_F16 : PST_WIRE_BF16);
	ck_assert_msg(load(&model) == 0, "%s", err.text);
	for (i = 0; i < 4; i++) {
		op = infer_op(model, 7, 1);
		fill_in(&op);
		ck_assert_msg(fix_run(&op, &err) == 0, "%s", err.text);
		/* Nothing is rounded to 16 bits on the way. */
		check_rows(&op, 1e-6);
	}
	ck_assert_uint_ge(fakecuda_graph_launches(), 2);
	fix_ops->model_free(fix_backend, model);
	fix_close();
}
END_TEST

/* Loads, infers four times so that a graph is made, unloads; the n-th call of
 * CUDA after opening fails, 0: none. */
static void session(uint64_t n, struct fix_outcome *out)
{
	struct fakecuda_config c = fakecuda_default();
	struct pst_op op;
	void *model;
	int i;

	/* Little memory is calibrated soon, and little is filled. */
	c.major = 8;
	ck_assert_int_eq(fix_open(&c, NULL, NULL, "256K", &err), 0);
	everything(PST_WIRE_F32);
	out->calls = fakecuda_calls();
	fakecuda_fail(n, cudaErrorUnknown);
	err.text[0] = '\0';
	out->r = load(&model);
	if (out->r == 0) {
		op = infer_op(model, 5, 0);
		/* At last at other places. */
		for (i = 0; i < 4 && out->r == 0; i++) {
			op.a.off += i == 3 ? 64 : 0;
			op.c.off += i == 3 ? 1024 : 0;
			fill_in(&op);
			out->r = fix_run(&op, &err);
			if (out->r == 0)
				check_rows(&op, 1e-6);
		}
		fix_ops->model_free(fix_backend, model);
	}
	fakecuda_fail(0, cudaSuccess);
	fix_ops->close(fix_backend);
	memcpy(out->text, err.text, sizeof(out->text) - 1);
	out->left = fakecuda_leaks() != 0;
	out->calls = fakecuda_calls() - out->calls;
}

/* The n-th call after loading has no memory: five batches of one size. */
static void short_of_memory(uint64_t n, struct fix_outcome *out)
{
	struct fakecuda_config c = fakecuda_default();
	struct pst_op op;
	void *model;
	int i;

	c.major = 8;
	ck_assert_int_eq(fix_open(&c, NULL, NULL, "256K", &err), 0);
	everything(PST_WIRE_F32);
	ck_assert_int_eq(load(&model), 0);
	op = infer_op(model, 5, 0);
	out->calls = fakecuda_calls();
	fakecuda_fail(n, cudaErrorMemoryAllocation);
	for (i = 0; i < 5; i++) {
		op.c.off += 1024;
		fill_in(&op);
		if (fix_run(&op, &err) < 0)
			out->r = -1;
		else
			check_rows(&op, 1e-6);
	}
	fakecuda_fail(0, cudaSuccess);
	out->calls = fakecuda_calls() - out->calls;
	/* Whatever failed: a later batch has its graph. */
	ck_assert_uint_ge(fakecuda_graph_launches(), 1);
	fix_ops->model_free(fix_backend, model);
	fix_ops->close(fix_backend);
	out->left = fakecuda_leaks() != 0;
	memcpy(out->text, "no memory", 10);
}

START_TEST(a_graph_that_had_no_memory_is_made_later)
{
	const uint64_t n = fix_calls(short_of_memory);
	struct fix_outcome out;
	uint64_t i;

	for (i = 1; i <= n; i++)
		fix_apart(short_of_memory, i, &out);
}
END_TEST

/* So long rows that fewer than usual are a piece. */
START_TEST(buffers_of_a_model_are_aligned)
{
	const struct fakecuda_config c = fakecuda_default();
	const struct pst_cuda_model *m;
	void *model, *t;

	ck_assert_int_eq(fix_open(&c, NULL, NULL, "256K", &err), 0);
	new_plan(30001);
	add(PST_AGENT_LAYER_RELU, 0);
	ck_assert_int_eq(fix_ops->alloc(fix_backend, 256, &t, &err), 0);
	ck_assert_int_eq(
		fix_ops->model_new(fix_backend, &plan, t, &model, &err), 0);
	m = model;
	ck_assert_uint_lt(m->rows, 1024);
	ck_assert_uint_eq((uintptr_t)pst_cuda_buffer(m, 1) % 256, 0);
	ck_assert_uint_eq((uintptr_t)m->halves % 256, 0);
	fix_ops->model_free(fix_backend, model);
	fix_close();
}
END_TEST

/* Runs it and compares; returns the calls of CUDA that it took. */
static unsigned int calls_of(const struct pst_op *op)
{
	const uint64_t before = fakecuda_calls();
	unsigned int n;

	fill_in(op);
	ck_assert_msg(fix_run(op, &err) == 0, "%s", err.text);
	n = (unsigned int)(fakecuda_calls() - before);
	fakecuda_host_touch(fix_mem + op->c.off, op->c.size, false);
	ck_assert_msg(!fakecuda_problems(), "%s", fakecuda_problem());
	check_rows(op, 1e-6);
	return n;
}

/* Waiting for memory, launching, recording, and once looking at the end. */
#define CALLS_OF_A_LAUNCH 4U

START_TEST(a_batch_that_repeats_is_one_launch)
{
	const struct fakecuda_config c = fakecuda_default();
	struct pst_op op, copy = {.op = PST_WIRE_OP_COPY};
	unsigned int i, launches;
	void *model, *in, *out;

	ck_assert_int_eq(fix_open(&c, NULL, NULL, NULL, &err), 0);
	everything(PST_WIRE_F32);
	ck_assert_int_eq(load(&model), 0);
	op = infer_op(model, 7, 0);
	ck_assert_uint_gt(calls_of(&op), 10);
	calls_of(&op);
	launches = fakecuda_graph_launches();
	ck_assert_uint_eq(launches, 1);
	ck_assert_uint_eq(calls_of(&op), CALLS_OF_A_LAUNCH);
	/* Elsewhere: each copy is told, once. */
	op.a.off += 4;
	ck_assert_uint_eq(calls_of(&op), CALLS_OF_A_LAUNCH + 1);
	ck_assert_uint_eq(calls_of(&op), CALLS_OF_A_LAUNCH);
	op.a.off += 4096;
	op.c.off += 8192;
	ck_assert_uint_eq(calls_of(&op), CALLS_OF_A_LAUNCH + 2);
	ck_assert_uint_eq(calls_of(&op), CALLS_OF_A_LAUNCH);
	ck_assert_uint_eq(fakecuda_graph_launches() - launches, 5);
	/* Rows that lie apart are copied beside the graph, each way. */
	op = infer_op(model, 7, 3);
	calls_of(&op);
	calls_of(&op);
	ck_assert_uint_eq(calls_of(&op), CALLS_OF_A_LAUNCH + 2);
	op.lda = plan.n_in;
	calls_of(&op);
	calls_of(&op);
	ck_assert_uint_eq(calls_of(&op), CALLS_OF_A_LAUNCH + 1);
	/* One row has no distance to the next. */
	op = infer_op(model, 1, 3);
	calls_of(&op);
	calls_of(&op);
	ck_assert_uint_eq(calls_of(&op), CALLS_OF_A_LAUNCH);
	/* Operands on the card are another graph. */
	ck_assert_int_eq(fix_ops->alloc(fix_backend, 1 << 16, &in, &err), 0);
	ck_assert_int_eq(fix_ops->alloc(fix_backend, 1 << 16, &out, &err), 0);
	op = infer_op(model, 7, 0);
	fill_in(&op);
	copy.a = op.a;
	copy.c = (struct pst_operand){.size = op.a.size, .mem = in};
	ck_assert_int_eq(fix_run(&copy, &err), 0);
	op.a.mem = in;
	op.a.off = 0;
	op.c.mem = out;
	op.c.off = 0;
	launches = fakecuda_graph_launches();
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(fix_run(&op, &err), 0);
	ck_assert_uint_eq(fakecuda_graph_launches() - launches, 2);
	copy.a = op.c;
	op.a = (struct pst_operand){.off = OFF_IN, .size = op.a.size};
	op.c = (struct pst_operand){.off = OFF_OUT, .size = op.c.size};
	copy.c = op.c;
	ck_assert_int_eq(fix_run(&copy, &err), 0);
	check_rows(&op, 1e-6);
	fix_ops->release(fix_backend, in);
	fix_ops->release(fix_backend, out);
	fix_ops->model_free(fix_backend, model);
	fix_close();
}
END_TEST

/* A driver that does not change a captured copy, or does not say which it is:
 * all is right, and the copies are outside from then on. */
START_TEST(copies_that_cannot_be_moved_are_beside_the_graph)
{
	const struct fakecuda_config c = fakecuda_default();
	const struct pst_cuda_model *m;
	struct pst_op op;
	void *model;
	unsigned int i;

	ck_assert_int_eq(fix_open(&c, NULL, NULL, NULL, &err), 0);
	everything(PST_WIRE_F32);
	ck_assert_int_eq(load(&model), 0);
	m = model;
	op = infer_op(model, 7, 0);
	calls_of(&op);
	if (_i == 0)
		/* After waiting, beginning and the copy. */
		fakecuda_fail(4, cudaErrorNotSupported);
	calls_of(&op);
	ck_assert_int_eq(m->no_copies, _i == 0);
	for (i = 0; i < 4; i++) {
		op.a.off += 64;
		op.c.off += 4096;
		if (_i && i == 0)
			fakecuda_fail((unsigned int)_i + 1,
				      cudaErrorNotSupported);
		calls_of(&op);
	}
	ck_assert(m->no_copies);
	ck_assert(!m->no_graphs);
	ck_assert_uint_eq(calls_of(&op), CALLS_OF_A_LAUNCH + 2);
	fix_ops->model_free(fix_backend, model);
	fix_close();
}
END_TEST

START_TEST(any_call_may_fail_once)
{
	fix_each_call_fails(session, 0);
}
END_TEST

static void add_tests(TCase *tc)
{
	tcase_add_loop_test(tc, every_layer_gives_what_it_says, 0, 6);
	tcase_add_test(tc, two_clients_of_a_model_do_not_mix);
	tcase_add_loop_test(tc, a_card_without_the_type_runs_the_model_in_f32,
			    0, 3);
	tcase_add_test(tc, a_graph_that_had_no_memory_is_made_later);
	tcase_add_test(tc, buffers_of_a_model_are_aligned);
	tcase_add_test(tc, a_batch_that_repeats_is_one_launch);
	tcase_add_loop_test(
		tc, copies_that_cannot_be_moved_are_beside_the_graph, 0, 3);
	tcase_add_test(tc, any_call_may_fail_once);
}

int main(void)
{
	return pst_unit_run("cuda models", add_tests, 300);
}
