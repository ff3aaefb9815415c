/* SPDX-License-Identifier: MIT */
/* penstock metrics: what the agent says of itself, for Prometheus. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "host-client/cli/cmd_open.h"
#include "host-client/cli/cmds.h"
#include "host-client/files/outfile.h"
#include "host-client/metrics/metrics.h"

enum {
	OPT_TEXTFILE = PST_OPT_OWN,
	OPT_DASHBOARD,
};

/* node_exporter runs as a user of its own. */
#define TEXTFILE_MODE 0644

/* The objects of an agent that answers. */
struct answers {
	json_t *info, *health, *stats;
};

static int ask(const struct pst_cmd_ctx *ctx, struct answers *ret)
{
	struct pst *c;
	int r = pst_cmd_open(ctx, PST_OPEN_CONTROL_ONLY, &c);

	if (r)
		return r;
	if ((r = pst_cmd_query(ctx, c, PST_QUERY_INFO, &ret->info)) == 0 &&
	    (r = pst_cmd_query(ctx, c, PST_QUERY_HEALTH, &ret->health)) == 0)
		r = pst_cmd_query(ctx, c, PST_QUERY_STATS, &ret->stats);
	pst_close(c);
	return r;
}

/* Replaces the file as a whole: node_exporter may read it at any time. */
static int write_file(const struct pst_cmd_ctx *ctx, const char *path,
		      const char *text, size_t n)
{
	struct pst_outfile out = {0};
	struct pst_error err;
	int r;

	if ((r = pst_outfile_open(path, &out, &err)) < 0)
		return pst_cmd_fail(ctx, "%s", err.text);
	if (fchmod(out.fd, TEXTFILE_MODE) < 0)
		r = pst_error_set_errno(&err, errno, "%s", path);
	if (r == 0)
		r = pst_outfile_write(&out, text, n, &err);
	if (r == 0)
		r = pst_outfile_commit(&out, &err);
	if (r == 0)
		return PST_EXIT_OK;
	pst_outfile_abandon(&out);
	return pst_cmd_fail(ctx, "%s", err.text);
}

static int print(const struct pst_cmd_ctx *ctx, const char *path,
		 const struct pst_metrics_agent *a)
{
	char *text = NULL;
	size_t n = 0;
	FILE *to = open_memstream(&text, &n);
	int r;

	if (to)
		pst_metrics_print(to, a, 1);
	if (!to || fclose(to) != 0) {
		free(text);
		return pst_cmd_fail(ctx, "out of memory");
	}
	if (path) {
		r = write_file(ctx, path, text, n);
	} else {
		fputs(text, stdout);
		r = PST_EXIT_OK;
	}
	free(text);
	return r;
}

static int dashboard(const struct pst_cmd_ctx *ctx)
{
	json_t *o = pst_metrics_dashboard();
	int r = o ? json_dumpf(o, stdout, JSON_INDENT(2)) : -1;

	json_decref(o);
	if (r < 0)
		return pst_cmd_fail(ctx, "out of memory");
	putchar('\n');
	return PST_EXIT_OK;
}

/* An agent that does not answer is a value of its own: a file that stayed as it
 * was would say that all is well. */
static int metrics(const struct pst_cmd_ctx *ctx, const char *path)
{
	struct answers of = {0};
	struct pst_metrics_agent a = {0};
	int r, written;

	r = ask(ctx, &of);
	if (r == PST_EXIT_USAGE)
		return r;
	a.name = pst_cmd_endpoint(ctx);
	a.up = r == PST_EXIT_OK;
	if (a.up) {
		a.info = of.info;
		a.health = of.health;
		a.stats = of.stats;
	}
	written = print(ctx, path, &a);
	json_decref(of.info);
	json_decref(of.health);
	json_decref(of.stats);
	return r ? r : written;
}

static int run(const struct pst_cmd_ctx *ctx, int argc, char **argv)
{
	const char *path = NULL;
	bool want_dashboard = false;
	int opt;

	while ((opt = pst_cmd_getopt(ctx, argc, argv)) != -1) {
		if (opt == OPT_TEXTFILE)
			path = optarg;
		want_dashboard |= opt == OPT_DASHBOARD;
	}
	if (want_dashboard && path)
		return pst_cmd_usage(ctx, "--dashboard goes to standard "
					  "output, not to --textfile");
	return want_dashboard ? dashboard(ctx) : metrics(ctx, path);
}

static const struct pst_cmd_opt opts[] = {
	{OPT_TEXTFILE, "textfile", "FILE",
	 "write FILE, as a whole: for node_exporter"},
	{OPT_DASHBOARD, "dashboard", NULL,
	 "print a dashboard for Grafana; asks no agent"},
	{0},
};

const struct pst_cmd pst_cmd_metrics = {
	.name = "metrics",
	.args = "",
	.summary = "Print the agent's metrics for Prometheus",
	.help = "An agent that does not answer is penstock_up 0, and exit "
		"status 4.\n",
	.example = "penstock -e spawn: metrics\n"
		   "penstock metrics --dashboard\n",
	.opts = opts,
	.run = run,
};
