/* SPDX-License-Identifier: MIT */
/* /metrics: what the agents last said, for Prometheus. */
#include "host-client/metrics/metrics.h"
#include "host-client/gateway/agents/status.h"
#include "host-client/gateway/http/routes.h"

static void print(const struct pst_gw_agents *agents, FILE *to)
{
	struct pst_metrics_agent of[PST_GW_MAX_AGENTS];
	struct pst_gw_status s[PST_GW_MAX_AGENTS];
	const uint64_t now_ns = pst_now_ns();
	unsigned int i;

	for (i = 0; i < agents->n; i++) {
		pst_gw_status_read(&s[i], &agents->list[i], now_ns);
		of[i] = (struct pst_metrics_agent){
			.name = s[i].name,
			.up = s[i].up,
			.age_s = s[i].age_s,
			.info = s[i].info,
			.health = s[i].health,
			.stats = s[i].stats,
		};
	}
	pst_metrics_print(to, of, agents->n);
	for (i = 0; i < agents->n; i++)
		pst_gw_status_done(&s[i]);
}

static void metrics(struct pst_gw_request *r)
{
	struct pst_gw_text t = {0};
	FILE *to = open_memstream(&t.at, &t.n);

	if (to)
		print(r->context->agents, to);
	t.failed = !to || fclose(to) != 0;
	pst_gw_reply(r, 200, PST_METRICS_TYPE, &t);
}

const struct pst_gw_route pst_gw_metrics_routes[] = {
	{.path = "/metrics",
	 .methods = PST_GW_GET,
	 .shared = true,
	 .handle = metrics},
	{0},
};
