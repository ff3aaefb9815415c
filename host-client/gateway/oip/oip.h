/* SPDX-License-Identifier: MIT */
/* What the routes of the Open Inference Protocol share. */
#ifndef PST_HOST_CLIENT_GATEWAY_OIP_OIP_H
#define PST_HOST_CLIENT_GATEWAY_OIP_OIP_H

#include "host-client/gateway/agents/engine.h"
#include "host-client/gateway/http/request.h"

/* The built-in model of products. */
#define PST_GW_GEMM "gemm"
/* The only version that any model has. */
#define PST_GW_VERSION "1"

/* Whether the version in the path, if any, is the one that models have. If not
 * that is answered. */
bool pst_gw_oip_version(struct pst_gw_request *r);

/* Answers with the status that says what -errno says. */
void pst_gw_oip_failure(struct pst_gw_request *r, const struct pst_error *err);

#endif
