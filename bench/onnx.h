/* SPDX-License-Identifier: MIT */
/* Loads ONNX Runtime into this process, as a reference: the same model and the
 * same inputs here and through an agent. */
#ifndef PST_BENCH_ONNX_H
#define PST_BENCH_ONNX_H

#include <stddef.h>
#include <stdint.h>

#include "host-client/penstock.h"

#define PST_BENCH_ONNX_IO 16

/* A model on both sides. */
struct pst_bench_onnx {
	struct pst *c;
	char name[64]; /* on the agent; "" is not loaded */
	struct pst_model_spec *spec;
	struct pst_io in[PST_BENCH_ONNX_IO], out[PST_BENCH_ONNX_IO];
	struct pst_run_args args;
	void *copy[2 * PST_BENCH_ONNX_IO]; /* operands of this process */
	void *session;                     /* NULL: no library here */
	void *value[2 * PST_BENCH_ONNX_IO];
	const char *names[2 * PST_BENCH_ONNX_IO];
	uint64_t compute_ns; /* of the last call */
	char error[256];
};

/* Finds the library, $PENSTOCK_ORT or where the loader finds one. One thread,
 * which does not spin. Returns its version, "1.30.0", or NULL. */
const char *pst_bench_onnx_library(void);

/*
 * Loads a file of n bytes on the agent and here, under a name of its own.
 * inputs: n_inputs texts "NAME=@SHAPE:NUMBER" as of penstock run; other
 * inputs have 1 for a dimension of any size, floats of no pattern, and
 * integers of 1. Runs both once and compares. Returns 0 or -errno with a
 * sentence in m->error; pst_bench_onnx_close() after a failure too.
 */
int pst_bench_onnx_open(struct pst_bench_onnx *m, struct pst *c,
			const void *data, size_t n, const char *const *inputs,
			unsigned int n_inputs);
void pst_bench_onnx_close(struct pst_bench_onnx *m);

/* Runs it once, and tells how long that took. Returns 0, -errno. */
int pst_bench_onnx_run(struct pst_bench_onnx *m, uint64_t *ret_ns);
int pst_bench_onnx_direct(struct pst_bench_onnx *m, uint64_t *ret_ns);

#endif
