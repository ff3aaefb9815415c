/* SPDX-License-Identifier: MIT */
/* One call of a model on operands that lie in the arena. */
#ifndef PST_GUEST_AGENT_RUNNER_RUN_H
#define PST_GUEST_AGENT_RUNNER_RUN_H

#include <stddef.h>
#include <stdint.h>

#include "guest-agent/runner/model.h"
#include "guest-agent/runner/ort.h"
#include "guest-agent/runner/runner.h"

/* Inputs of integers, of bool, and small ones are copied before a run. */
#define PST_RUNNER_COPY_BELOW (16U << 10)

/* What calls share: private memory for copied inputs. */
struct pst_runner_space {
	uint8_t *data;
	size_t size;
};

void pst_runner_space_done(struct pst_runner_space *s);

/*
 * Runs a call and writes its answer into it, all but cpu. arena has size bytes,
 * which clients may change at any time: inputs whose values ONNX Runtime uses
 * as addresses or counts are copied first, and outputs that it may read again
 * are made elsewhere. Blocks until the model is done; options' terminate flag
 * ends it between two nodes.
 */
void pst_runner_run(const struct pst_runner_ort *ort,
		    struct pst_runner_model *m,
		    const struct ort_run_options *options, uint8_t *arena,
		    uint64_t size, struct pst_runner_space *space,
		    struct pst_runner_call *call);

#endif
