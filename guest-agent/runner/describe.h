/* SPDX-License-Identifier: MIT */
/* Reads from a session what a model takes and gives. */
#ifndef PST_GUEST_AGENT_RUNNER_DESCRIBE_H
#define PST_GUEST_AGENT_RUNNER_DESCRIBE_H

#include "guest-agent/runner/ort.h"
#include "guest-agent/runner/runner.h"
#include "transport/base/error.h"

/*
 * Fills the inputs, outputs and symbols of *ret. Returns 0, or with a sentence
 * that names the tensor -ENOTSUP: no tensor of numbers, too many dimensions,
 * too long a name, too many tensors.
 */
PST_MUST_USE int pst_runner_describe(const struct pst_runner_ort *ort,
				     const struct ort_session *session,
				     struct pst_runner_loaded *ret,
				     struct pst_error *err);

#endif
