/* SPDX-License-Identifier: MIT */
/* Whether the gateway itself runs. */
#include "host-client/gateway/routes.h"

static void live(struct pst_gw_request *r)
{
	static const char text[] = "{\"live\":true}\n";

	pst_gw_reply_static(r, "application/json", text, sizeof(text) - 1);
}

const struct pst_gw_route pst_gw_health_routes[] = {
	{.path = "/health/live", .methods = PST_GW_GET, .handle = live},
	{0},
};
