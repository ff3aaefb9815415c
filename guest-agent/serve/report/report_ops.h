/* SPDX-License-Identifier: MIT */
/* Lists operations and kinds of products for INFO. */
#ifndef PST_GUEST_AGENT_SERVE_REPORT_OPS_H
#define PST_GUEST_AGENT_SERVE_REPORT_OPS_H

#include <jansson.h>

#include "guest-agent/serve/state/agent.h"

/* "ops": a list of {"op", "dtypes"}. NULL when out of memory. */
json_t *pst_agent_report_ops(const struct pst_agent_compute *c);

/*
 * "gemm": a list of {"dtype", "dtype_c", "compute", "epilogues",
 * "bias_epilogues"}, one for each pair of types and compute mode of which the
 * backend has any product; epilogues are the activations it puts on it, alone
 * and with a bias.
 */
json_t *pst_agent_report_gemm(const struct pst_agent_compute *c);

#endif
