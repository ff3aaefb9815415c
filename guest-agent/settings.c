/* SPDX-License-Identifier: MIT */
/* The agent's settings: names, help and meaning of each. */
#include "guest-agent/settings.h"

#include <inttypes.h>
#include <limits.h>
#include <string.h>

#include "guest-agent/backends/backend_load.h"
#include "guest-agent/exec/models.h"
#include "transport/base/util.h"
#include "transport/region/region.h"
#include "transport/wire.h"

/* Defaults of the limits. A side that fits in 20 bits times another is far
 * above any arena; the sizes of operands are bounded by max_elems and by what
 * is leased. */
#define DEFAULT_MAX_CLIENTS 16U
#define DEFAULT_MAX_DIM     (1U << 20)
#define DEFAULT_MAX_ELEMS   (1ULL << 32)
#define MAX_BATCH           65536U
#define DEFAULT_MAX_TENSORS 4096U
#define MAX_TENSORS         65536U
#define DEFAULT_MAX_MODELS  64U
#define DEFAULT_SPIN_NS     (50 * PST_NS_PER_US)
#define MAX_SPIN_NS         (PST_NS_PER_S)
#define DRAIN_NS            (10 * PST_NS_PER_S)
#define RUNNER_DRAIN_NS     (400 * PST_NS_PER_MS)
#define MAX_GPU             63U
#define MAX_LOAD_NS         (120 * PST_NS_PER_S)
#define LONGEST_NS          (24 * 3600 * PST_NS_PER_S)
#define MAX_THREADS         1024U
#define MAX_NODE            1023U

const struct pst_agent_setting_desc pst_agent_settings[PST_AGENT_N_SETTINGS] = {
	[PST_AGENT_SET_LISTEN] = {"listen", PST_AGENT_SETTING_LIST, "WHERE",
				  "vsock:PORT or unix:PATH, may be repeated "
				  "[vsock:7070]"},
	[PST_AGENT_SET_REGION] =
		{"region", PST_AGENT_SETTING_KEY, "SPEC",
		 "auto, ivshmem[:ADDR], dax[:daxX.Y], file:PATH, "
		 "memfd:SIZE, fd:N or sparse:N [auto]"},
	[PST_AGENT_SET_BACKEND] = {"backend", PST_AGENT_SETTING_KEY, "NAME",
				   "auto, cpu, cuda or sim[:CARD] [auto]"},
	[PST_AGENT_SET_THREADS] = {"threads", PST_AGENT_SETTING_KEY, "N",
				   "threads of the backend [all CPUs]"},
	[PST_AGENT_SET_NUMA_NODE] =
		{"numa-node", PST_AGENT_SETTING_KEY, "N",
		 "run on this node's CPUs only, or any [any]"},
	[PST_AGENT_SET_SPIN] = {"spin", PST_AGENT_SETTING_KEY, "DURATION",
				"spin before sleeping [50us]"},
	[PST_AGENT_SET_ALLOW_CID] =
		{"allow-cid", PST_AGENT_SETTING_LIST, "CID",
		 "accept this vsock peer beside the host, may be "
		 "repeated"},
	[PST_AGENT_SET_MAX_CLIENTS] = {"max-clients", PST_AGENT_SETTING_KEY,
				       "N", "lanes, 1 to 31 [16]"},
	[PST_AGENT_SET_MAX_DIM] =
		{"max-dim", PST_AGENT_SETTING_KEY, "N",
		 "largest m, n, k, leading dimension [1048576]"},
	[PST_AGENT_SET_MAX_ELEMS] =
		{"max-elems", PST_AGENT_SETTING_KEY, "N",
		 "most elements of one operand [4294967296]"},
	[PST_AGENT_SET_MAX_LEASE] =
		{"max-lease", PST_AGENT_SETTING_KEY, "SIZE",
		 "most bytes leased to one client [the arena]"},
	[PST_AGENT_SET_MAX_TENSOR_BYTES] =
		{"max-tensor-bytes", PST_AGENT_SETTING_KEY, "SIZE",
		 "most bytes of one client's resident "
		 "tensors [by the memory there is]"},
	[PST_AGENT_SET_MAX_TENSORS] =
		{"max-tensors", PST_AGENT_SETTING_KEY, "N",
		 "most resident tensors of one client [4096]"},
	[PST_AGENT_SET_MAX_MODEL_BYTES] =
		{"max-model-bytes", PST_AGENT_SETTING_KEY, "SIZE",
		 "most bytes of all loaded models' weights "
		 "[as max-tensor-bytes]"},
	[PST_AGENT_SET_MAX_MODELS] = {"max-models", PST_AGENT_SETTING_KEY, "N",
				      "most loaded models [64]"},
	[PST_AGENT_SET_ORT_LIBRARY] =
		{"ort-library", PST_AGENT_SETTING_KEY, "FILE",
		 "ONNX Runtime's library [libonnxruntime.so.1]"},
	[PST_AGENT_SET_MODELS_DIR] =
		{"models-dir", PST_AGENT_SETTING_KEY, "DIR",
		 "load the models of DIR at the start [none]"},
	[PST_AGENT_SET_ALLOW_INSTALL] =
		{"allow-install", PST_AGENT_SETTING_KEY, "yes|no",
		 "let clients write to models-dir [no]"},
	[PST_AGENT_SET_RUNNER_PER] =
		{"runner-per", PST_AGENT_SETTING_KEY, "agent|model",
		 "one process for all ONNX models, or for each [agent]"},
	[PST_AGENT_SET_RUNNER_THREADS] =
		{"runner-threads", PST_AGENT_SETTING_KEY, "N",
		 "threads that compute an ONNX model [all CPUs]"},
	[PST_AGENT_SET_RUNNER_DRAIN] =
		{"runner-drain", PST_AGENT_SETTING_KEY, "DURATION",
		 "end a runner that goes on after a cancel [400ms]"},
	[PST_AGENT_SET_RUNNER_GPU] =
		{"runner-gpu", PST_AGENT_SETTING_KEY, "N",
		 "the card for ONNX models, as CUDA counts [0]"},
	[PST_AGENT_SET_MAX_GPU_MEMORY] =
		{"max-gpu-memory", PST_AGENT_SETTING_KEY, "SIZE",
		 "most memory of the card for each ONNX model [all]"},
	[PST_AGENT_SET_MAX_MODEL_MEMORY] =
		{"max-model-memory", PST_AGENT_SETTING_KEY, "SIZE",
		 "most memory of a runner [three quarters of what there is]"},
	[PST_AGENT_SET_MAX_RUN_BYTES] =
		{"max-run-bytes", PST_AGENT_SETTING_KEY, "SIZE",
		 "most bytes of the tensors of one call [the arena]"},
	[PST_AGENT_SET_MAX_LOAD] = {"max-load", PST_AGENT_SETTING_KEY,
				    "DURATION",
				    "give up a load after this time [120s]"},
	[PST_AGENT_SET_SCRUB] =
		{"scrub", PST_AGENT_SETTING_KEY, "yes|no",
		 "zero released memory before others get it [no]"},
	[PST_AGENT_SET_SYSFS] = {"sysfs", PST_AGENT_SETTING_KEY, "DIR",
				 "where sysfs is mounted [/sys]"},
	[PST_AGENT_SET_LOOP] = {"loop", PST_AGENT_SETTING_KEY, "KIND",
				"auto, uring or poll [auto]"},
	[PST_AGENT_SET_LOG_LEVEL] = {"log-level", PST_AGENT_SETTING_KEY,
				     "LEVEL",
				     "error, warning, info or debug [info]"},
	[PST_AGENT_SET_SERVE_FD] =
		{"serve-fd", PST_AGENT_SETTING_COMMAND, "N",
		 "serve the connected socket N, exit when it closes"},
	[PST_AGENT_SET_GRANT] =
		{"grant", PST_AGENT_SETTING_COMMAND, "GROUP",
		 "give the region's device files to GROUP and exit"},
	[PST_AGENT_SET_CONFIG] = {"config", PST_AGENT_SETTING_COMMAND, "FILE",
				  "read settings from FILE "
				  "[/etc/penstock/agent.conf]"},
	[PST_AGENT_SET_HELP] = {"help", PST_AGENT_SETTING_COMMAND, NULL,
				"print this and exit"},
	[PST_AGENT_SET_VERSION] = {"version", PST_AGENT_SETTING_COMMAND, NULL,
				   "print the version and exit"},
};

/* A value on its way into the options. */
struct given {
	const char *where; /* for the sentence: "--threads 0" */
	const char *value;
	struct pst_error *err;
};

static int bad(const struct given *g, const char *expected)
{
	return pst_error_set(g->err, -EINVAL, "%s: expected %s", g->where,
			     expected);
}

/* A number in [min, max]. */
static int number(const struct given *g, uint64_t min, uint64_t max,
		  uint64_t *ret)
{
	char text[96];

	if (pst_parse_u64(g->value, min, max, ret) == 0)
		return 0;
	snprintf(text, sizeof(text), "a number from %" PRIu64 " to %" PRIu64,
		 min, max);
	return bad(g, text);
}

static int number32(const struct given *g, uint32_t min, uint32_t max,
		    uint32_t *ret)
{
	uint64_t v;
	int r = number(g, min, max, &v);

	if (r == 0)
		*ret = (uint32_t)v;
	return r;
}

static int too_many(const struct given *g, unsigned int max)
{
	return pst_error_set(g->err, -EINVAL, "%s: more than %u of them",
			     g->where, max);
}

static int add_listen(const struct given *g, struct pst_agent_server_config *c)
{
	struct pst_error why;

	if (c->n_listens == PST_AGENT_MAX_LISTENERS)
		return too_many(g, PST_AGENT_MAX_LISTENERS);
	if (pst_listen_parse(g->value, &c->listens[c->n_listens], &why) < 0)
		return pst_error_set(g->err, -EINVAL, "%s: %s", g->where,
				     why.text);
	c->n_listens++;
	return 0;
}

static int add_cid(const struct given *g, struct pst_agent_server_config *c)
{
	int r;

	if (c->n_cids == PST_AGENT_CONN_MAX_CIDS)
		return too_many(g, PST_AGENT_CONN_MAX_CIDS);
	r = number32(g, 0, UINT32_MAX - 1, &c->cids[c->n_cids]);
	if (r == 0)
		c->n_cids++;
	return r;
}

static int parse_region(const struct given *g, const char **ret)
{
	struct pst_error why;

	if (pst_region_check(g->value, &why) < 0)
		return pst_error_set(g->err, -EINVAL, "%s: %s", g->where,
				     why.text);
	*ret = g->value;
	return 0;
}

static int parse_node(const struct given *g, int *ret)
{
	uint32_t node;
	int r;

	if (strcmp(g->value, "any") == 0) {
		*ret = -1;
		return 0;
	}
	r = number32(g, 0, MAX_NODE, &node);
	if (r == 0)
		*ret = (int)node;
	return r;
}

static int parse_loop(const struct given *g, enum pst_loop_kind *ret)
{
	if (strcmp(g->value, "auto") == 0)
		*ret = PST_LOOP_AUTO;
	else if (strcmp(g->value, "uring") == 0)
		*ret = PST_LOOP_URING;
	else if (strcmp(g->value, "poll") == 0)
		*ret = PST_LOOP_POLL;
	else
		return bad(g, "auto, uring or poll");
	return 0;
}

static int parse_spin(const struct given *g, uint64_t *ret)
{
	if (pst_parse_duration(g->value, ret) < 0 || *ret > MAX_SPIN_NS)
		return bad(g, "a duration of at most 1s with its unit, or 0");
	return 0;
}

static int parse_time(const struct given *g, uint64_t *ret)
{
	if (pst_parse_duration(g->value, ret) < 0 || *ret == 0 ||
	    *ret > LONGEST_NS)
		return bad(g, "a duration of at most a day with its unit");
	return 0;
}

static int parse_bool(const struct given *g, bool *ret)
{
	*ret = strcmp(g->value, "yes") == 0;
	return *ret || strcmp(g->value, "no") == 0 ? 0 : bad(g, "yes or no");
}

static int parse_backend(const struct given *g,
			 struct pst_agent_server_config *c)
{
	const char *colon = strchr(g->value, ':');
	struct pst_error why;

	c->backend = pst_backend_find(g->value);
	if (!c->backend)
		return bad(g, "the NAME of a backend (see --help)");
	c->backend_options = colon ? colon + 1 : NULL;
	if (pst_backend_check(c->backend, c->backend_options, &why) < 0)
		return pst_error_set(g->err, -EINVAL, "%s: %s", g->where,
				     why.text);
	return 0;
}

static int parse_fd(const struct given *g, int *ret)
{
	uint32_t fd;
	int r = number32(g, 0, INT_MAX, &fd);

	if (r == 0)
		*ret = (int)fd;
	return r;
}

static int parse_lease(const struct given *g, uint64_t *ret)
{
	if (pst_parse_size(g->value, ret) < 0 || *ret < PST_WIRE_UNIT)
		return bad(g, "a size of at least 2M");
	return 0;
}

static int parse_tensor_bytes(const struct given *g, uint64_t *ret)
{
	if (pst_parse_size(g->value, ret) < 0 || *ret == 0)
		return bad(g, "a size of at least 1");
	return 0;
}

static int parse_level(const struct given *g, enum pst_agent_log_level *ret)
{
	return pst_agent_log_level_parse(g->value, ret)
		       ? 0
		       : bad(g, "error, warning, info or debug");
}

static int parse_per(const struct given *g, bool *ret_model)
{
	*ret_model = strcmp(g->value, "model") == 0;
	return *ret_model || strcmp(g->value, "agent") == 0
		       ? 0
		       : bad(g, "agent or model");
}

/* The settings of ONNX models. */
static int parse_onnx(const struct given *g, enum pst_agent_setting setting,
		      struct pst_agent_onnx_config *c)
{
	switch (setting) {
	case PST_AGENT_SET_ORT_LIBRARY:
		c->library = g->value;
		return 0;
	case PST_AGENT_SET_MODELS_DIR:
		c->models_dir = g->value;
		return 0;
	case PST_AGENT_SET_ALLOW_INSTALL:
		return parse_bool(g, &c->allow_install);
	case PST_AGENT_SET_RUNNER_PER:
		return parse_per(g, &c->per_model);
	case PST_AGENT_SET_RUNNER_THREADS:
		return number32(g, 1, MAX_THREADS, &c->threads);
	case PST_AGENT_SET_RUNNER_DRAIN:
		return parse_time(g, &c->drain_ns);
	case PST_AGENT_SET_RUNNER_GPU:
		return number32(g, 0, MAX_GPU, &c->gpu);
	case PST_AGENT_SET_MAX_GPU_MEMORY:
		return parse_tensor_bytes(g, &c->gpu_memory);
	case PST_AGENT_SET_MAX_MODEL_MEMORY:
		return parse_tensor_bytes(g, &c->max_memory);
	case PST_AGENT_SET_MAX_RUN_BYTES:
		return parse_tensor_bytes(g, &c->max_run_bytes);
	default:
		return parse_time(g, &c->max_load_ns);
	}
}

/* The settings that shape the server's limits. */
static int parse_limit(const struct given *g, enum pst_agent_setting setting,
		       struct pst_wire_limits *l)
{
	switch (setting) {
	case PST_AGENT_SET_MAX_CLIENTS:
		return number32(g, 1, PST_WIRE_MAX_LANES, &l->max_clients);
	case PST_AGENT_SET_MAX_DIM:
		/* A BLAS takes dimensions as int. */
		return number32(g, 1, INT_MAX, &l->max_dim);
	case PST_AGENT_SET_MAX_ELEMS:
		return number(g, 1, PST_WIRE_MAX_FILE, &l->max_elems);
	case PST_AGENT_SET_MAX_TENSOR_BYTES:
		return parse_tensor_bytes(g, &l->max_tensor_bytes);
	case PST_AGENT_SET_MAX_TENSORS:
		return number32(g, 1, MAX_TENSORS, &l->max_tensors);
	default:
		return parse_lease(g, &l->max_lease);
	}
}

int pst_agent_setting_apply(struct pst_agent_options *o,
			    enum pst_agent_setting setting, const char *where,
			    const char *value, struct pst_error *err)
{
	const struct given g = {where, value, err};
	struct pst_agent_server_config *c = &o->server;

	switch (setting) {
	case PST_AGENT_SET_LISTEN:
		return add_listen(&g, c);
	case PST_AGENT_SET_REGION:
		return parse_region(&g, &c->region);
	case PST_AGENT_SET_SYSFS:
		c->sysfs = value;
		return 0;
	case PST_AGENT_SET_BACKEND:
		return parse_backend(&g, c);
	case PST_AGENT_SET_THREADS:
		return number32(&g, 1, MAX_THREADS, &c->threads);
	case PST_AGENT_SET_NUMA_NODE:
		return parse_node(&g, &c->numa_node);
	case PST_AGENT_SET_SPIN:
		return parse_spin(&g, &c->spin_ns);
	case PST_AGENT_SET_ALLOW_CID:
		return add_cid(&g, c);
	case PST_AGENT_SET_MAX_MODEL_BYTES:
		return parse_tensor_bytes(&g, &c->max_model_bytes);
	case PST_AGENT_SET_MAX_MODELS:
		return number32(&g, 0, PST_AGENT_MODELS_MAX, &c->max_models);
	case PST_AGENT_SET_ORT_LIBRARY:
	case PST_AGENT_SET_MODELS_DIR:
	case PST_AGENT_SET_ALLOW_INSTALL:
	case PST_AGENT_SET_RUNNER_PER:
	case PST_AGENT_SET_RUNNER_THREADS:
	case PST_AGENT_SET_RUNNER_DRAIN:
	case PST_AGENT_SET_RUNNER_GPU:
	case PST_AGENT_SET_MAX_GPU_MEMORY:
	case PST_AGENT_SET_MAX_MODEL_MEMORY:
	case PST_AGENT_SET_MAX_RUN_BYTES:
	case PST_AGENT_SET_MAX_LOAD:
		return parse_onnx(&g, setting, &c->onnx);
	case PST_AGENT_SET_SCRUB:
		return parse_bool(&g, &c->scrub);
	case PST_AGENT_SET_LOOP:
		return parse_loop(&g, &c->loop);
	case PST_AGENT_SET_LOG_LEVEL:
		return parse_level(&g, &o->log_level);
	case PST_AGENT_SET_SERVE_FD:
		return parse_fd(&g, &c->serve_fd);
	default:
		return parse_limit(&g, setting, &c->limits);
	}
}

void pst_agent_settings_default(struct pst_agent_options *ret)
{
	*ret = (struct pst_agent_options){
		.log_level = PST_AGENT_LOG_INFO,
		.server =
			{
				.serve_fd = -1,
				.numa_node = -1,
				.region = "auto",
				.sysfs = "/sys",
				.backend = pst_backend_find("auto"),
				.spin_ns = DEFAULT_SPIN_NS,
				.drain_ns = DRAIN_NS,
				.max_models = DEFAULT_MAX_MODELS,
				.onnx =
					{
						.drain_ns = RUNNER_DRAIN_NS,
						.max_load_ns = MAX_LOAD_NS,
					},
				.limits =
					{
						.max_clients =
							DEFAULT_MAX_CLIENTS,
						.max_dim = DEFAULT_MAX_DIM,
						.max_elems = DEFAULT_MAX_ELEMS,
						.max_batch = MAX_BATCH,
						.max_tensors =
							DEFAULT_MAX_TENSORS,
					},
			},
	};
}

void pst_agent_settings_listen(struct pst_agent_server_config *c)
{
	if (c->n_listens || c->n_passed || c->serve_fd >= 0)
		return;
	c->n_listens = 1;
	c->listens[0] = (struct pst_listen){.scheme = PST_SCHEME_VSOCK,
					    .port = PST_VSOCK_PORT};
}
