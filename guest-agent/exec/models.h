/* SPDX-License-Identifier: MIT */
/* The table of loaded models: names, handles, and the backend's state. */
#ifndef PST_GUEST_AGENT_EXEC_MODELS_H
#define PST_GUEST_AGENT_EXEC_MODELS_H

#include <stdbool.h>
#include <stdint.h>

#include "guest-agent/exec/backend.h"
#include "transport/base/error.h"
#include "transport/base/util.h"
#include "transport/op.h"
#include "transport/run.h"
#include "transport/wire.h"

/* So many fit one MODEL_LIST. */
#define PST_AGENT_MODELS_MAX 128U

/*
 * Models belong to the agent and outlive the session that loaded them. An
 * unloaded model is no longer found, but counts and stays with the backend as
 * long as an operation uses it. One thread calls everything here.
 */
struct pst_agent_models;

struct pst_agent_models_config {
	const struct pst_backend_ops *ops;
	struct pst_backend *backend;
	uint32_t max_models; /* at most PST_AGENT_MODELS_MAX */
	uint64_t max_bytes;  /* of all models' weights */
	/* Where generations begin, so that a handle of a former agent is none
	 * of this one's: the epoch. */
	uint64_t epoch;
	/* Whether an operation under way uses a model, by its pst_op.model. */
	bool (*in_use)(void *arg, const void *model);
	void *arg;
};

struct pst_agent_models_usage {
	uint32_t n;     /* loaded */
	uint64_t bytes; /* of weights, with those of unloaded ones in use */
};

/* Borrows ops and backend. Returns 0, -ENOMEM. */
PST_MUST_USE int
pst_agent_models_new(const struct pst_agent_models_config *config,
		     struct pst_agent_models **ret);

/* Ends all models; no operation may use one. NULL does nothing. */
void pst_agent_models_free(struct pst_agent_models *m);

/*
 * Makes a model. name: valid (pst_frame_model_load()). header: the file's, n
 * bytes, private memory. weights: size bytes of the backend's memory with the
 * data section; they are the model's when this returns 0, and stay the
 * caller's when it does not.
 *
 * Returns 0, or with a sentence: -EBUSY (the name is taken), -EINVAL, -ENODATA,
 * -EOVERFLOW (pst_agent_safetensors_parse(), pst_agent_model_plan_parse()),
 * -EMSGSIZE (a bound, max_models or max_bytes), -EOPNOTSUPP (the backend has no
 * models, or not such), -ENOMEM.
 */
PST_MUST_USE int pst_agent_models_load(struct pst_agent_models *m,
				       const char *name, const uint8_t *header,
				       size_t n, void *weights, uint64_t size,
				       struct pst_wire_model *ret,
				       struct pst_error *err);

/* What runs a model that others keep, and what it takes and gives; all three
 * live as long as the model. */
struct pst_agent_model_use {
	const struct pst_backend_use *device;
	uint64_t id; /* there */
	const struct pst_run_model *shape;
};

/*
 * Takes name and bytes for a model that its caller loads, and later runs by
 * RUN. Until pst_agent_models_ready() nobody finds it, but its name is taken.
 * Returns 0 and its handle, or -EBUSY, -ENOSPC, -EMSGSIZE with a sentence.
 */
PST_MUST_USE int pst_agent_models_reserve(struct pst_agent_models *m,
					  const char *name, uint64_t size,
					  uint64_t *ret_handle,
					  struct pst_error *err);

/* Calls gone when nothing uses such a model any more, and its handle is none.
 */
void pst_agent_models_watch(struct pst_agent_models *m,
			    void (*gone)(void *arg, uint64_t handle),
			    void *arg);

/* Checks the header of a safetensors file, n bytes, and of size bytes behind
 * it. The caller ends *ret with pst_agent_model_plan_done(). Returns 0, or what
 * pst_agent_models_load() returns of a file. */
PST_MUST_USE int pst_agent_models_plan(const uint8_t *header, size_t n,
				       uint64_t size,
				       struct pst_agent_model_plan *ret,
				       struct pst_error *err);

/* Makes a name that was reserved a model of the backend, of weights that are
 * its own from then on. Returns 0, or -EOPNOTSUPP, -ENOMEM with a sentence. */
PST_MUST_USE int
pst_agent_models_fill(struct pst_agent_models *m, uint64_t handle,
		      const struct pst_agent_model_plan *plan, void *weights,
		      struct pst_wire_model *ret, struct pst_error *err);

/* From now on, or once more, it is found. */
void pst_agent_models_ready(struct pst_agent_models *m, uint64_t handle,
			    const struct pst_agent_model_use *use);

/* Takes it out of use, as pst_agent_models_unload() does. */
void pst_agent_models_drop(struct pst_agent_models *m, uint64_t handle);

/* The handle of a model of that kind by its name; 0: there is none. */
uint64_t pst_agent_models_kept(const struct pst_agent_models *m,
			       const char *name);

/* What of the backend is loaded under a name. Returns 0, or with a sentence
 * -ENOENT, -EOPNOTSUPP (one that RUN runs only). */
PST_MUST_USE int pst_agent_models_open(const struct pst_agent_models *m,
				       const char *name,
				       struct pst_wire_model *ret,
				       struct pst_error *err);

/* Takes a name and its handle out of use. Returns 0, -ENOENT with a sentence.
 */
PST_MUST_USE int pst_agent_models_unload(struct pst_agent_models *m,
					 const char *name,
					 struct pst_error *err);

/* What INFER is checked against. Returns 0, -ENOENT. */
PST_MUST_USE int pst_agent_models_find(const struct pst_agent_models *m,
				       uint64_t handle,
				       struct pst_op_model *ret);

/* What RUN is checked against. Returns 0, -ENOENT. */
PST_MUST_USE int pst_agent_models_find_run(const struct pst_agent_models *m,
					   uint64_t handle,
					   struct pst_op_run_model *ret);

/* Bytes that files on their way to a model take of the limit. Returns 0, or
 * -EMSGSIZE, -ENOSPC with a sentence. */
PST_MUST_USE int pst_agent_models_take_bytes(struct pst_agent_models *m,
					     uint64_t size,
					     struct pst_error *err);
void pst_agent_models_give_bytes(struct pst_agent_models *m, uint64_t size);

/* Gives unloaded models that are no longer in use back to the backend; after
 * each slice. */
void pst_agent_models_settle(struct pst_agent_models *m);

/* Fills ret with the loaded models (of those that others keep, n_in and n_out
 * are inputs and outputs, and n_layers is 0), at most
 * PST_AGENT_MODELS_MAX, by name. Returns their number. */
uint32_t pst_agent_models_list(const struct pst_agent_models *m,
			       struct pst_wire_model ret[PST_AGENT_MODELS_MAX]);

void pst_agent_models_usage(const struct pst_agent_models *m,
			    struct pst_agent_models_usage *ret);

/* What the same may be at most. */
void pst_agent_models_limits(const struct pst_agent_models *m,
			     struct pst_agent_models_usage *ret);

#endif
