/* SPDX-License-Identifier: MIT */
/* A model in ONNX Runtime: made of files, described, run once. */
#ifndef PST_GUEST_AGENT_RUNNER_MODEL_H
#define PST_GUEST_AGENT_RUNNER_MODEL_H

#include <stdbool.h>

#include "guest-agent/runner/ort.h"
#include "guest-agent/runner/runner.h"
#include "transport/base/error.h"

struct pst_runner_model {
	struct ort_session *session;
	/* One of its outputs had not the form that the file promises. */
	bool never_in_place;
	struct pst_runner_loaded about;
};

/*
 * Makes a model of the files of fds, which it reads from their start. Returns
 * 0 with *ret for pst_runner_model_free(), or with a sentence: -EINVAL (no
 * model, or one that needs what RUN has not), -EPERM, -ENOTSUP
 * (pst_onnx_walk()), -ENODATA (a file is shorter than said), -ENOMEM, -EIO.
 */
PST_MUST_USE int pst_runner_model_load(const struct pst_runner_ort *ort,
				       const struct pst_runner_load *load,
				       const int *fds,
				       struct pst_runner_model **ret,
				       struct pst_error *err);

/* NULL does nothing. */
void pst_runner_model_free(const struct pst_runner_ort *ort,
			   struct pst_runner_model *m);

#endif
