/* SPDX-License-Identifier: MIT */
/* The table of metrics: names, types, meaning, and where values come from. */
#ifndef PST_HOST_CLIENT_METRICS_TABLE_H
#define PST_HOST_CLIENT_METRICS_TABLE_H

enum pst_metric_type {
	PST_METRIC_GAUGE,
	PST_METRIC_COUNTER,
	PST_METRIC_HISTOGRAM,
};

enum pst_metric_from {
	PST_METRIC_UP,     /* whether the agent answered */
	PST_METRIC_AGE,    /* of its last answer */
	PST_METRIC_ABOUT,  /* 1, with labels that say what the agent is */
	PST_METRIC_INFO,   /* a number at path of INFO */
	PST_METRIC_HEALTH, /* a number, or a truth, at path of HEALTH */
	PST_METRIC_STATS,  /* a number at path of STATS */
	/* For each operation of STATS: */
	PST_METRIC_RESULTS,    /* completions by result */
	PST_METRIC_OPERATIONS, /* the number or the times at path */
	PST_METRIC_RATES,      /* for each type of element in INFO */
};

/* Rows with one name follow each other, and differ in label. */
struct pst_metric {
	const char *name;
	const char *help;
	const char *panel; /* the title of its panel in Grafana, or NULL */
	enum pst_metric_type type;
	enum pst_metric_from from;
	const char *path;  /* "gpu.power_w" */
	double scale;      /* 0: 1 */
	const char *label; /* "reason=\"nonce\"", or NULL */
};

/* A name of NULL ends it. */
extern const struct pst_metric pst_metrics[];

#endif
