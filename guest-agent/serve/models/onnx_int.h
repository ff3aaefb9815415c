/* SPDX-License-Identifier: MIT */
/* Common declarations of the files about models of files. */
#ifndef PST_GUEST_AGENT_SERVE_ONNX_INT_H
#define PST_GUEST_AGENT_SERVE_ONNX_INT_H

#include "guest-agent/serve/models/onnx.h"
#include "guest-agent/serve/models/onnx_install.h"
#include "guest-agent/serve/models/rows.h"
#include "guest-agent/serve/state/agent.h"

struct pst_onnx_runner {
	struct pst_agent_onnx *x;
	struct pst_ort *ort; /* NULL: the place is free */
	struct pst_source *source;
	struct pst_backend_use use;
	unsigned int n; /* models */
	bool over;      /* has had its last model */
};

struct pst_onnx_model {
	uint64_t handle; /* of the table; 0: the place is free */
	char name[PST_WIRE_MODEL_NAME];
	struct pst_onnx_runner *runner; /* NULL: a model of rows */
	struct pst_rows *rows;          /* on their way to the backend */
	uint64_t id; /* 0: the runner does not have it any more */
	uint64_t size;
	uint32_t wanted;
	bool ready; /* has been */
	struct pst_agent_session *waiter;
	uint32_t seq;
};

struct pst_agent_onnx {
	struct pst_agent *agent;
	struct pst_agent_onnx_config config;
	struct pst_loop *loop;
	const char *library;
	uint32_t n_cpus;
	bool shares; /* the runner has the agent's CPU */
	/* The files of the model that is to be installed, or is being. */
	uint64_t install_handle; /* 0: none */
	uint32_t n_install;
	uint32_t install_format;
	struct pst_ort_file install_files[PST_WIRE_MODEL_FILES];
	unsigned int n_rows;               /* models on their way */
	struct pst_agent_install *install; /* NULL: it is not ready yet */
	struct pst_source *install_source;
	struct pst_onnx_runner runners[PST_AGENT_MODELS_MAX];
	/* One that is being installed may be unloaded meanwhile. */
	struct pst_onnx_model models[PST_AGENT_MODELS_MAX + 1];
};

/* The model of a handle of the table; NULL: there is none. */
struct pst_onnx_model *pst_onnx_find(struct pst_agent_onnx *x, uint64_t handle);

/* What is known of a model that is ready, or was. */
void pst_onnx_describe(const struct pst_agent_onnx *x,
		       const struct pst_onnx_model *m,
		       struct pst_model_info *ret);

#endif
