/* SPDX-License-Identifier: MIT */
/* Turns a safetensors header with "penstock.layers" into a checked plan. */
#ifndef PST_GUEST_AGENT_MODEL_MODEL_PLAN_H
#define PST_GUEST_AGENT_MODEL_MODEL_PLAN_H

#include "guest-agent/model/model.h"
#include "guest-agent/model/safetensors.h"
#include "transport/base/error.h"
#include "transport/base/util.h"

/* The key in __metadata__ whose string is the JSON list of layers. */
#define PST_AGENT_MODEL_LAYERS "penstock.layers"
/* What "from" calls the model's input; no layer may have this name. */
#define PST_AGENT_MODEL_INPUT_NAME "input"
/* Bytes of that list, and of a layer's name. */
#define PST_AGENT_MODEL_MAX_LIST (128U << 10)
#define PST_AGENT_MODEL_MAX_NAME 64U

/*
 * Reads the list of layers and checks that each fits the one before it. A
 * layer is an object with "type", an optional unique "name", and by type:
 * linear: weight, optional bias; layernorm: optional weight and bias (a bias
 * needs a weight), optional eps [1e-5]; add: from, the name of an earlier
 * layer or "input"; the others nothing. Every other key is an error.
 * Tensors of the file that no layer uses are allowed.
 *
 * The caller ends *ret with pst_agent_model_plan_done(); it does not refer to
 * st. Returns 0, -EINVAL (malformed, unknown type or key, no such tensor or
 * layer, shapes that do not fit; the sentence names the layer), -EMSGSIZE
 * (above a bound), -ENOMEM.
 */
PST_MUST_USE int
pst_agent_model_plan_parse(const struct pst_agent_safetensors *st,
			   struct pst_agent_model_plan *ret,
			   struct pst_error *err);

/* Does nothing for a zeroed one. */
void pst_agent_model_plan_done(struct pst_agent_model_plan *plan);

#endif
