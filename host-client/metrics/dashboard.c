/* SPDX-License-Identifier: MIT */
/* A dashboard of Grafana, made from the table of metrics. */
#include <string.h>

#include "host-client/metrics/metrics.h"
#include "host-client/metrics/table.h"

/* Grafana's grid has 24 columns. */
#define WIDTH  8
#define HEIGHT 7

#define OF_AGENT "{agent=~\"$agent\"}"

/* Grafana's unit, by the end of the metric's name. */
static const char *unit(const struct pst_metric *m)
{
	static const struct {
		const char *end, *unit;
	} units[] = {
		{"_bytes_total", "Bps"},
		{"_bytes_per_second", "Bps"},
		{"_flops_per_second", "flops"},
		{"_bytes", "bytes"},
		{"_seconds", "s"},
		{"_celsius", "celsius"},
		{"_watts", "watt"},
		{"_ratio", "percentunit"},
		{"_total", "cps"},
	};
	const size_t n = strlen(m->name);
	size_t i, k;

	for (i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		k = strlen(units[i].end);
		if (n > k && strcmp(m->name + n - k, units[i].end) == 0)
			return units[i].unit;
	}
	return "short";
}

static json_t *target(const char *id, json_t *expr, const char *legend)
{
	return json_pack("{s:s, s:o?, s:s}", "refId", id, "expr", expr,
			 "legendFormat", legend);
}

static json_t *quantile(const struct pst_metric *m, const char *q)
{
	return json_sprintf("histogram_quantile(%s, sum by (le, agent, op) "
			    "(rate(%s_bucket" OF_AGENT "[$__rate_interval])))",
			    q, m->name);
}

/* A label that tells the metric's series of one agent apart, for its legend. */
static const char *legend(const struct pst_metric *m)
{
	if (m->from == PST_METRIC_RESULTS)
		return "{{agent}} {{op}} {{result}}";
	if (m->from == PST_METRIC_OPERATIONS)
		return "{{agent}} {{op}}";
	if (m->from == PST_METRIC_RATES)
		return "{{agent}} {{dtype}}";
	if (!m->label)
		return "{{agent}}";
	if (strncmp(m->label, "state", 5) == 0)
		return "{{agent}} {{state}}";
	return "{{agent}} {{reason}}";
}

static json_t *targets(const struct pst_metric *m)
{
	switch (m->type) {
	case PST_METRIC_HISTOGRAM:
		return json_pack("[o?, o?]",
				 target("A", quantile(m, "0.5"),
					"{{agent}} {{op}} median"),
				 target("B", quantile(m, "0.99"),
					"{{agent}} {{op}} 99 %"));
	case PST_METRIC_COUNTER:
		return json_pack("[o?]",
				 target("A",
					json_sprintf("rate(%s" OF_AGENT
						     "[$__rate_interval])",
						     m->name),
					legend(m)));
	case PST_METRIC_GAUGE:
		break;
	}
	return json_pack(
		"[o?]",
		target("A", json_sprintf("%s" OF_AGENT, m->name), legend(m)));
}

static json_t *source(void)
{
	return json_pack("{s:s, s:s}", "type", "prometheus", "uid",
			 "${datasource}");
}

static json_t *panel(const struct pst_metric *m, int i)
{
	return json_pack(
		"{s:i, s:s, s:s, s:s, s:o?, s:{s:i, s:i, s:i, s:i}, "
		"s:{s:{s:s, s:i, s:{s:i, s:i, s:s}}, s:[]}, "
		"s:{s:{s:s, s:s}, s:{s:s, s:s}}, s:o?}",
		"id", i + 1, "type", "timeseries", "title", m->panel,
		"description", m->help, "datasource", source(), "gridPos", "x",
		i % (24 / WIDTH) * WIDTH, "y", i / (24 / WIDTH) * HEIGHT, "w",
		WIDTH, "h", HEIGHT, "fieldConfig", "defaults", "unit", unit(m),
		"min", 0, "custom", "lineWidth", 1, "fillOpacity", 10,
		"showPoints", "never", "overrides", "options", "legend",
		"displayMode", "list", "placement", "bottom", "tooltip", "mode",
		"multi", "sort", "desc", "targets", targets(m));
}

static json_t *variables(void)
{
	return json_pack("[{s:s, s:s, s:s, s:s}, "
			 "{s:s, s:s, s:s, s:o?, s:s, s:i, s:b, s:b, s:s}]",
			 "name", "datasource", "label", "Data source", "type",
			 "datasource", "query", "prometheus", "name", "agent",
			 "label", "Agent", "type", "query", "datasource",
			 source(), "query", "label_values(penstock_up, agent)",
			 "refresh", 2, "includeAll", 1, "multi", 1, "allValue",
			 ".*");
}

json_t *pst_metrics_dashboard(void)
{
	json_t *panels = json_array();
	const struct pst_metric *m;
	const char *last = "";
	int n = 0;

	for (m = pst_metrics; m->name; m++) {
		if (m->panel && strcmp(m->name, last) != 0)
			json_array_append_new(panels, panel(m, n++));
		last = m->name;
	}
	return json_pack("{s:s, s:s, s:[s], s:i, s:s, s:{s:s, s:s}, s:{s:o?}, "
			 "s:o?}",
			 "uid", "penstock", "title", "Penstock", "tags",
			 "penstock", "schemaVersion", 36, "refresh", "10s",
			 "time", "from", "now-1h", "to", "now", "templating",
			 "list", variables(), "panels", panels);
}
