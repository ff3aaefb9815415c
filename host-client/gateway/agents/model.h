/* SPDX-License-Identifier: MIT */
/* What is known of an agent's models: asked for when it is needed. */
#ifndef PST_HOST_CLIENT_GATEWAY_AGENTS_MODEL_H
#define PST_HOST_CLIENT_GATEWAY_AGENTS_MODEL_H

#include "host-client/gateway/agents/work.h"

/* An answer of the agent about a name. */
struct pst_gw_model {
	TAILQ_ENTRY(pst_gw_model) link;
	char name[64];
	uint64_t asked_ns;
	struct pst_model_spec *spec; /* NULL: error says why */
	struct pst_error error;
	unsigned int refs;
};

struct pst_gw_asking;

struct pst_gw_models {
	TAILQ_HEAD(pst_gw_model_list, pst_gw_model) list; /* the newest first */
	unsigned int n;
	struct pst_gw_asking *asking; /* the question under way, or NULL */
};

void pst_gw_models_init(struct pst_gw_models *m);
void pst_gw_models_done(struct pst_gw_models *m);

/*
 * The model of a name, for which the caller owes pst_gw_model_put(). spec_ns:
 * what was asked for before that is out of date; 0: nothing is. error_ns: the
 * same of failures. Returns 0; -EAGAIN: worker w is asking, try again after a
 * change; or why there is none, with a sentence (-ENOENT: no such model).
 */
int pst_gw_model_get(struct pst_gw_models *m, struct pst_gw_worker *w,
		     const char *name, uint64_t spec_ns, uint64_t error_ns,
		     struct pst_gw_model **ret, struct pst_error *err);
/* NULL does nothing. */
void pst_gw_model_put(struct pst_gw_model *e);

#endif
