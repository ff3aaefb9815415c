/* SPDX-License-Identifier: MIT */
/* The agent's settings: names, help and meaning of each. */
#ifndef PST_GUEST_AGENT_SETTINGS_H
#define PST_GUEST_AGENT_SETTINGS_H

#include "guest-agent/options.h"

/* In the order of --help. */
enum pst_agent_setting {
	PST_AGENT_SET_LISTEN,
	PST_AGENT_SET_REGION,
	PST_AGENT_SET_BACKEND,
	PST_AGENT_SET_THREADS,
	PST_AGENT_SET_NUMA_NODE,
	PST_AGENT_SET_SPIN,
	PST_AGENT_SET_ALLOW_CID,
	PST_AGENT_SET_MAX_CLIENTS,
	PST_AGENT_SET_MAX_DIM,
	PST_AGENT_SET_MAX_ELEMS,
	PST_AGENT_SET_MAX_LEASE,
	PST_AGENT_SET_MAX_TENSOR_BYTES,
	PST_AGENT_SET_MAX_TENSORS,
	PST_AGENT_SET_MAX_MODEL_BYTES,
	PST_AGENT_SET_MAX_MODELS,
	PST_AGENT_SET_ORT_LIBRARY,
	PST_AGENT_SET_MODELS_DIR,
	PST_AGENT_SET_ALLOW_INSTALL,
	PST_AGENT_SET_RUNNER_PER,
	PST_AGENT_SET_RUNNER_THREADS,
	PST_AGENT_SET_RUNNER_DRAIN,
	PST_AGENT_SET_RUNNER_GPU,
	PST_AGENT_SET_MAX_GPU_MEMORY,
	PST_AGENT_SET_MAX_MODEL_MEMORY,
	PST_AGENT_SET_MAX_RUN_BYTES,
	PST_AGENT_SET_MAX_LOAD,
	PST_AGENT_SET_SCRUB,
	PST_AGENT_SET_SYSFS,
	PST_AGENT_SET_LOOP,
	PST_AGENT_SET_LOG_LEVEL,
	PST_AGENT_SET_SERVE_FD,
	PST_AGENT_SET_GRANT,
	PST_AGENT_SET_CONFIG,
	PST_AGENT_SET_HELP,
	PST_AGENT_SET_VERSION,
	PST_AGENT_N_SETTINGS
};

/* Where a setting may be given, beside --NAME. */
enum pst_agent_setting_kind {
	PST_AGENT_SETTING_KEY,  /* a key of agent.conf */
	PST_AGENT_SETTING_LIST, /* a key with several words; --NAME for each */
	PST_AGENT_SETTING_COMMAND, /* nowhere */
};

struct pst_agent_setting_desc {
	const char *name; /* of the option and the key */
	enum pst_agent_setting_kind kind;
	const char *arg; /* NULL: none */
	const char *help;
};

extern const struct pst_agent_setting_desc
	pst_agent_settings[PST_AGENT_N_SETTINGS];

/* Every setting's default; no list has an entry. */
void pst_agent_settings_default(struct pst_agent_options *ret);

/* Adds the default listener, vsock:7070, if no socket was named. */
void pst_agent_settings_listen(struct pst_agent_server_config *c);

/*
 * Takes one value of a setting that has one (not CONFIG, GRANT, HELP, VERSION).
 * where: how it was given, for the sentence: "--threads 0". Strings are
 * borrowed. Returns 0 or -EINVAL.
 */
int pst_agent_setting_apply(struct pst_agent_options *o,
			    enum pst_agent_setting setting, const char *where,
			    const char *value, struct pst_error *err);

#endif
