/* SPDX-License-Identifier: MIT */
/* Writes ONNX models of known size: perceptrons and stacks of convolutions. */
#ifndef PST_BENCH_ONNXFILE_H
#define PST_BENCH_ONNXFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A file in memory; data is for free(). */
struct pst_bench_onnxfile {
	uint8_t *data;
	size_t size, room;
	bool failed; /* out of memory */
};

/*
 * Input x of 1 x 64, two hidden layers of 256 with relu, output y of 1 x 10:
 * some 5 us. Returns 0, -ENOMEM.
 */
int pst_bench_onnxfile_mlp(struct pst_bench_onnxfile *ret);

/*
 * n convolutions of 3 x 3 with relu on x of 1 x 64 x 56 x 56: what ResNet has
 * most of, some ms each. Returns 0, -ENOMEM.
 */
int pst_bench_onnxfile_cnn(struct pst_bench_onnxfile *ret, unsigned int n);

#endif
