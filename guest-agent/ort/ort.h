/* SPDX-License-Identifier: MIT */
/* Models of ONNX Runtime: the runner's process, as a device that computes. */
#ifndef PST_GUEST_AGENT_ORT_ORT_H
#define PST_GUEST_AGENT_ORT_ORT_H

#include <stdbool.h>
#include <stdint.h>

#include "guest-agent/exec/backend.h"
#include "transport/base/error.h"
#include "transport/base/util.h"
#include "transport/run.h"

/*
 * One thread, the serving thread, calls everything here, and nothing blocks.
 * The process is started at the first load, and anew when it dies: models that
 * were ready are then loaded again from the files that were given.
 */
struct pst_ort;

struct pst_ort_config {
	const char *program; /* penstock-runner-ort */
	const char *library; /* of ONNX Runtime; "": the runner looks */
	/* The arena in its descriptor, which is borrowed. */
	int arena_fd;
	uint64_t arena_off; /* in the descriptor */
	uint64_t arena_at;  /* wire offset */
	uint64_t arena_size;
	uint32_t threads;        /* 0: the runner's choice */
	uint32_t gpu;            /* CUDA's number of a card */
	uint64_t gpu_memory;     /* of each model there; 0: no bound */
	bool follow;             /* calls are computed on the agent's CPU */
	uint32_t max_models;     /* at most PST_RUNNER_MODELS */
	uint64_t max_memory;     /* of the process, bytes; 0: no bound */
	uint64_t max_load_ns;    /* a load that takes longer is given up */
	uint64_t drain_ns;       /* a run that does not end when cancelled */
	uint64_t (*clock)(void); /* NULL: pst_now_ns() */
	/* A load has ended, or one of a model that was ready before. */
	void (*loaded)(void *arg, uint64_t id, int status,
		       const char *sentence);
	void *arg;
};

/* A file of a model: "" is the graph, others have the names that it knows. */
struct pst_ort_file {
	char name[64];
	int fd;
	uint64_t size; /* bytes */
};

enum pst_ort_state {
	PST_ORT_WAITING, /* for its load: the first, or one more */
	PST_ORT_LOADING,
	PST_ORT_READY,
};

/* A model. Whoever runs a call has checked it with shape. */
struct pst_ort_model {
	uint64_t id; /* never 0, never used twice */
	enum pst_ort_state state;
	struct pst_run_model shape;
	uint32_t provider; /* enum pst_runner_provider: that computes it */
	char note[256];    /* why it is not the best one, or "" */
	uint64_t load_ns, first_ns, second_ns;
	uint64_t run_ns; /* about what a call takes */
	uint64_t n_runs;
	uint64_t copied; /* bytes of operands not used in place */
};

/* Borrows config's strings. Starts nothing. Returns 0, -ENOMEM, -errno of an
 * eventfd with a sentence. */
PST_MUST_USE int pst_ort_new(const struct pst_ort_config *config,
			     struct pst_ort **ret, struct pst_error *err);

/* Ends the process; no call may be begun. NULL does nothing. */
void pst_ort_free(struct pst_ort *o);

/*
 * Loads a model of n files for a provider (enum pst_runner_provider, which is
 * enum pst_wire_provider). It owns the descriptors from then on, also on
 * failure. loaded() tells the end. Returns 0 and the model's id, or with a
 * sentence: -EINVAL (no graph), -EMSGSIZE (too many models), -ENOMEM, -errno of
 * starting the process.
 */
PST_MUST_USE int pst_ort_load(struct pst_ort *o,
			      const struct pst_ort_file *files, uint32_t n,
			      uint32_t provider, uint64_t *ret_id,
			      struct pst_error *err);

/* Ends a model, or its load: loaded() is not called for it any more. A call
 * that runs it fails. */
void pst_ort_unload(struct pst_ort *o, uint64_t id);

/* NULL: there is none. Valid until the next call but steps. */
const struct pst_ort_model *pst_ort_find(const struct pst_ort *o, uint64_t id);

/* Readable when pst_ort_serve() has something to do: an epoll descriptor of the
 * runner's messages, of its calls' ends, and of its own end. */
int pst_ort_fd(const struct pst_ort *o);

/* Reads what the runner has said. Never blocks. */
void pst_ort_serve(struct pst_ort *o);

/* Does what is due by time: restarts, bounds of loads and of cancelled runs.
 * Returns the time of the next such thing, UINT64_MAX: none. */
uint64_t pst_ort_tick(struct pst_ort *o, uint64_t now_ns);

/* For a report: ONNX Runtime's version, or why there is none; "": it was not
 * needed yet. */
const char *pst_ort_describe(const struct pst_ort *o);

/*
 * The device of RUN: begin, step, cancel and estimate_ns. Its backend is a
 * struct pst_ort *; bop->op.run is the call, bop->op.run_model its model's id.
 * The answers of the outputs are in bop->op.run->io after the step that ended
 * it: dim, rank, span.size (bytes, or those it needs) and flags.
 */
extern const struct pst_backend_ops pst_backend_ort;

#endif
