/* SPDX-License-Identifier: MIT */
/* The routes of each part of the gateway; {0} ends a table. */
#ifndef PST_HOST_CLIENT_GATEWAY_HTTP_ROUTES_H
#define PST_HOST_CLIENT_GATEWAY_HTTP_ROUTES_H

#include "host-client/gateway/http/request.h"

extern const struct pst_gw_route pst_gw_health_routes[];
extern const struct pst_gw_route pst_gw_infer_routes[];
extern const struct pst_gw_route pst_gw_load_routes[];
extern const struct pst_gw_route pst_gw_metrics_routes[];
extern const struct pst_gw_route pst_gw_oip_routes[];
extern const struct pst_gw_route pst_gw_page_routes[];

/* All of them; NULL ends it. */
extern const struct pst_gw_route *const pst_gw_routes[];

#endif
