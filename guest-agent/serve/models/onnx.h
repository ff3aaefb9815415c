/* SPDX-License-Identifier: MIT */
/* Models of files: which runner has which, and who waits for it. */
#ifndef PST_GUEST_AGENT_SERVE_ONNX_H
#define PST_GUEST_AGENT_SERVE_ONNX_H

#include <stdbool.h>
#include <stdint.h>

#include "guest-agent/exec/models.h"
#include "guest-agent/ort/ort.h"
#include "transport/base/error.h"
#include "transport/frame.h"
#include "transport/loop/loop.h"
#include "transport/wire.h"

struct pst_agent;
struct pst_agent_session;
struct pst_agent_onnx;

struct pst_agent_onnx_config {
	const char *library;    /* of ONNX Runtime; NULL: it is looked for */
	const char *models_dir; /* loaded at the start; NULL: none */
	bool allow_install;     /* clients may write to models_dir */
	bool per_model;         /* a process for each model, not one for all */
	uint32_t threads;       /* that compute; 0: as the CPUs are */
	uint32_t gpu;           /* CUDA's number of the card that computes */
	uint64_t gpu_memory;    /* of a model there; 0: no bound */
	uint64_t max_memory;    /* of a process; 0: no bound */
	uint64_t max_run_bytes; /* of the tensors of one RUN */
	uint64_t max_load_ns;
	uint64_t drain_ns; /* a run that does not end when cancelled */
	/* Clients run on this kernel: on two CPUs, the runner shares the
	 * agent's. */
	bool local;
};

/* What the installed, or the just built, program is. */
const char *pst_agent_onnx_program(void);

/* Borrows config's strings and loop; a->region and a->models are there. Starts
 * no process. Returns 0, -ENOMEM. */
PST_MUST_USE int pst_agent_onnx_open(struct pst_agent *a,
				     const struct pst_agent_onnx_config *config,
				     struct pst_loop *loop,
				     struct pst_error *err);

/* Ends all runners; no operation may be with one. NULL does nothing. */
void pst_agent_onnx_close(struct pst_agent_onnx *x);

/* A load that a session asks for. */
struct pst_agent_onnx_load {
	const char *name;
	uint32_t format;   /* enum pst_wire_format */
	uint32_t provider; /* enum pst_wire_provider */
	uint32_t n;
	struct pst_ort_file files[PST_WIRE_MODEL_FILES];
	bool install;                     /* in models_dir, once it is ready */
	struct pst_agent_session *waiter; /* NULL: nobody is answered */
	uint32_t seq;                     /* of its frame */
};

/* Begins a load, whose descriptors it owns from then on, also on failure. The
 * waiter is answered when it has ended. Returns 0 or -errno with a sentence. */
PST_MUST_USE int pst_agent_onnx_load(struct pst_agent *a,
				     const struct pst_agent_onnx_load *l,
				     struct pst_error *err);

/* What is known of a model of any kind. Returns 0, -ENOENT with a sentence. */
PST_MUST_USE int pst_agent_onnx_describe(struct pst_agent *a, const char *name,
					 struct pst_model_info *ret,
					 struct pst_error *err);

/* Does what is due by time. Returns the time of the next such thing. */
uint64_t pst_agent_onnx_tick(struct pst_agent *a, uint64_t now_ns);

/* Whether the serving thread may spin while a runner computes. */
bool pst_agent_onnx_may_spin(const struct pst_agent *a);

#endif
