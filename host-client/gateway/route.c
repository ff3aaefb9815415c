/* SPDX-License-Identifier: MIT */
/* The table of routes: the only place that knows all of them. */
#include "host-client/gateway/http/routes.h"

const struct pst_gw_route *const pst_gw_routes[] = {
	pst_gw_health_routes,
	pst_gw_infer_routes,
	pst_gw_load_routes,
	pst_gw_metrics_routes,
	pst_gw_oip_routes,
	pst_gw_page_routes,
	NULL,
};
