/* SPDX-License-Identifier: MIT */
/* Writes ONNX models of known size, in the form of onnx.proto. */
#include "bench/onnxfile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Numbers of onnx.proto. */
#define FLOAT     1 /* TensorProto.DataType */
#define ATTR_INTS 7 /* AttributeProto.AttributeType */
#define OPSET     13
#define IR        8

#define SIDE  56
#define DEPTH 64

static void put(struct pst_bench_onnxfile *b, const void *data, size_t n)
{
	uint8_t *p = b->data;

	if (b->failed || n == 0)
		return;
	if (n > b->room - b->size) {
		p = realloc(p, 2 * (b->size + n));
		if (!p) {
			b->failed = true;
			return;
		}
		b->data = p;
		b->room = 2 * (b->size + n);
	}
	memcpy(p + b->size, data, n);
	b->size += n;
}

static void put_varint(struct pst_bench_onnxfile *b, uint64_t v)
{
	uint8_t byte;

	do {
		byte = (uint8_t)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
		put(b, &byte, 1);
		v >>= 7;
	} while (v);
}

static void put_int(struct pst_bench_onnxfile *b, unsigned int field,
		    uint64_t v)
{
	put_varint(b, field << 3);
	put_varint(b, v);
}

static void put_bytes(struct pst_bench_onnxfile *b, unsigned int field,
		      const void *data, size_t n)
{
	put_varint(b, field << 3 | 2);
	put_varint(b, n);
	put(b, data, n);
}

static void put_text(struct pst_bench_onnxfile *b, unsigned int field,
		     const char *text)
{
	put_bytes(b, field, text, strlen(text));
}

/* The message m as a field of b; m is empty then. */
static void put_message(struct pst_bench_onnxfile *b, unsigned int field,
			struct pst_bench_onnxfile *m)
{
	put_bytes(b, field, m->data, m->size);
	b->failed |= m->failed;
	free(m->data);
	*m = (struct pst_bench_onnxfile){0};
}

struct dims {
	unsigned int n;
	uint64_t dim[4];
};

/* ValueInfoProto of floats. */
static void put_value(struct pst_bench_onnxfile *graph, unsigned int field,
		      const char *name, const struct dims *d)
{
	struct pst_bench_onnxfile value = {0}, type = {0}, tensor = {0},
				  shape = {0}, dim = {0};
	unsigned int i;

	for (i = 0; i < d->n; i++) {
		put_int(&dim, 1, d->dim[i]);
		put_message(&shape, 1, &dim);
	}
	put_int(&tensor, 1, FLOAT);
	put_message(&tensor, 2, &shape);
	put_message(&type, 1, &tensor);
	put_text(&value, 1, name);
	put_message(&value, 2, &type);
	put_message(graph, field, &value);
}

/* TensorProto: small numbers of no pattern. */
static void put_weights(struct pst_bench_onnxfile *graph, const char *name,
			const struct dims *d)
{
	struct pst_bench_onnxfile tensor = {0}, raw = {0};
	uint64_t n = 1, i;
	float v;

	for (i = 0; i < d->n; i++) {
		put_int(&tensor, 1, d->dim[i]);
		n *= d->dim[i];
	}
	put_int(&tensor, 2, FLOAT);
	put_text(&tensor, 8, name);
	for (i = 0; i < n; i++) {
		v = ((float)(i * 7919 % 1013) - 506) / 10000;
		put(&raw, &v, sizeof(v));
	}
	put_message(&tensor, 9, &raw);
	put_message(graph, 5, &tensor);
}

static void begin_node(struct pst_bench_onnxfile *node, const char *in,
		       const char *weights, const char *out, const char *op)
{
	put_text(node, 1, in);
	if (weights)
		put_text(node, 1, weights);
	put_text(node, 2, out);
	put_text(node, 4, op);
}

/* ModelProto around a graph. */
static int finish(struct pst_bench_onnxfile *graph,
		  struct pst_bench_onnxfile *ret)
{
	struct pst_bench_onnxfile opset = {0};

	*ret = (struct pst_bench_onnxfile){0};
	put_text(graph, 2, "g");
	put_int(ret, 1, IR);
	put_message(ret, 7, graph);
	put_text(&opset, 1, "");
	put_int(&opset, 2, OPSET);
	put_message(ret, 8, &opset);
	if (!ret->failed)
		return 0;
	free(ret->data);
	return -ENOMEM;
}

int pst_bench_onnxfile_mlp(struct pst_bench_onnxfile *ret)
{
	static const struct {
		const char *in, *weights, *out, *op;
		struct dims dims;
	} layers[] = {
		{"x", "w0", "a0", "MatMul", {2, {64, 256}}},
		{"a0", NULL, "b0", "Relu", {0}},
		{"b0", "w1", "a1", "MatMul", {2, {256, 256}}},
		{"a1", NULL, "b1", "Relu", {0}},
		{"b1", "w2", "y", "MatMul", {2, {256, 10}}},
	};
	struct pst_bench_onnxfile graph = {0}, node = {0};
	size_t i;

	for (i = 0; i < sizeof(layers) / sizeof(*layers); i++) {
		begin_node(&node, layers[i].in, layers[i].weights,
			   layers[i].out, layers[i].op);
		put_message(&graph, 1, &node);
		if (layers[i].weights)
			put_weights(&graph, layers[i].weights, &layers[i].dims);
	}
	put_value(&graph, 11, "x", &(struct dims){2, {1, 64}});
	put_value(&graph, 12, "y", &(struct dims){2, {1, 10}});
	return finish(&graph, ret);
}

int pst_bench_onnxfile_cnn(struct pst_bench_onnxfile *ret, unsigned int n)
{
	const struct dims x = {4, {1, DEPTH, SIDE, SIDE}};
	const struct dims w = {4, {DEPTH, DEPTH, 3, 3}};
	struct pst_bench_onnxfile graph = {0}, node = {0}, pads = {0};
	char in[16] = "x", mid[16], out[16];
	unsigned int i, j;

	for (i = 0; i < n; i++) {
		snprintf(mid, sizeof(mid), "a%u", i);
		snprintf(out, sizeof(out), i + 1 < n ? "b%u" : "y", i);
		begin_node(&node, in, "w", mid, "Conv");
		put_text(&pads, 1, "pads");
		for (j = 0; j < 4; j++)
			put_int(&pads, 8, 1);
		put_int(&pads, 20, ATTR_INTS);
		put_message(&node, 5, &pads);
		put_message(&graph, 1, &node);
		begin_node(&node, mid, NULL, out, "Relu");
		put_message(&graph, 1, &node);
		memcpy(in, out, sizeof(in));
	}
	put_weights(&graph, "w", &w);
	put_value(&graph, 11, "x", &x);
	put_value(&graph, 12, "y", &x);
	return finish(&graph, ret);
}
