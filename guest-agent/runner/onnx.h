/* SPDX-License-Identifier: MIT */
/* Walks an ONNX file for what it wants of other files. */
#ifndef PST_GUEST_AGENT_RUNNER_ONNX_H
#define PST_GUEST_AGENT_RUNNER_ONNX_H

#include <stddef.h>
#include <stdint.h>

#include "transport/base/error.h"
#include "transport/base/util.h"

/* A file that a model's tensors may lie in. */
struct pst_onnx_file {
	const char *name;
	uint64_t size; /* bytes */
};

/*
 * Checks a serialized ModelProto of n bytes (onnx.proto, IR version 3 and
 * later): every tensor, in graphs, attributes, functions and training steps,
 * whose data lies elsewhere has to name one of files, and bytes within it.
 * ONNX Runtime opens what a model names, so the walk refuses what it does not
 * understand: it never reads less than a reader of protobuf does.
 *
 * Returns 0, or with a sentence: -EINVAL (no such message, too deep), -EPERM (a
 * file that is not among files, or bytes behind its end), -ENOTSUP (a
 * compiled context of one machine).
 */
PST_MUST_USE int pst_onnx_walk(const uint8_t *data, size_t n,
			       const struct pst_onnx_file *files,
			       uint32_t n_files, struct pst_error *err);

#endif
