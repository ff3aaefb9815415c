/* SPDX-License-Identifier: MIT */
/* What agents say of themselves, in the text format of Prometheus. */
#ifndef PST_HOST_CLIENT_METRICS_METRICS_H
#define PST_HOST_CLIENT_METRICS_METRICS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* An agent, and the objects that it last answered with. Nothing in them is
 * trusted: what is not what it should be is left out. */
struct pst_metrics_agent {
	const char *name; /* the label "agent" */
	bool up;
	double age_s;                        /* of the objects */
	const json_t *info, *health, *stats; /* NULL: none */
};

/* The media type of the text. */
#define PST_METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* Prints the table's metrics of n agents. The caller looks at ferror(). */
void pst_metrics_print(FILE *to, const struct pst_metrics_agent *agents,
		       size_t n);

/* A dashboard of Grafana with the table's panels. NULL: out of memory. */
json_t *pst_metrics_dashboard(void);

#endif
