/* SPDX-License-Identifier: MIT */
/* penstock ping: round trips over the control socket and through the ring. */
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "host-client/cli/cmd_open.h"
#include "host-client/cli/cmd_progress.h"
#include "host-client/cli/cmds.h"
#include "transport/base/util.h"

#define DEFAULT_COUNT 1000
#define MAX_COUNT     1000000
/* A round trip over the socket takes long, and varies little. */
#define MAX_CONTROL 100
/* Thrown away: both sides wake up, and caches get warm. */
#define WARM_UP 100
/* Of one NOP; it does no work. */
#define NOP_TIMEOUT_NS (5 * PST_NS_PER_S)

struct times {
	uint64_t *ns;
	uint64_t n;
};

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static int measure(const struct pst_cmd_ctx *ctx, struct pst *c,
		   struct times *control, struct times *ring)
{
	uint64_t i, start, ns;
	int r;

	for (i = 0; i < control->n; i++) {
		r = pst_ping(c, &control->ns[i]);
		if (r < 0)
			return pst_cmd_fail_call(ctx, c, r);
	}
	for (i = 0; i < WARM_UP + ring->n; i++) {
		start = pst_now_ns();
		r = pst_nop(c, NOP_TIMEOUT_NS, NULL);
		ns = pst_now_ns() - start;
		if (r < 0)
			return pst_cmd_fail_call(ctx, c, r);
		if (i >= WARM_UP)
			ring->ns[i - WARM_UP] = ns;
	}
	qsort(control->ns, control->n, sizeof(*control->ns), by_value);
	qsort(ring->ns, ring->n, sizeof(*ring->ns), by_value);
	return PST_EXIT_OK;
}

/* In microseconds: smallest, middle, largest. */
static void summary(const struct times *t, double ret[3])
{
	ret[0] = (double)t->ns[0] / PST_NS_PER_US;
	ret[1] = (double)t->ns[t->n / 2] / PST_NS_PER_US;
	ret[2] = (double)t->ns[t->n - 1] / PST_NS_PER_US;
}

static json_t *times_object(const struct times *t)
{
	double us[3];

	summary(t, us);
	return json_pack("{s:I, s:f, s:f, s:f}", "count", (json_int_t)t->n,
			 "min", us[0], "median", us[1], "max", us[2]);
}

static void print_times(const char *what, const struct times *t)
{
	double us[3];

	summary(t, us);
	printf("%-18s%8" PRIu64 " %10.2f %10.2f %10.2f\n", what, t->n, us[0],
	       us[1], us[2]);
}

static int report(const struct pst_cmd_ctx *ctx, const struct times *control,
		  const struct times *ring)
{
	if (ctx->json)
		return pst_cmd_print_json(
			ctx, json_pack("{s:o, s:I, s:o, s:o}", "endpoint",
				       pst_cmd_text(pst_cmd_endpoint(ctx)),
				       "count", (json_int_t)ring->n,
				       "control_us", times_object(control),
				       "ring_us", times_object(ring)));
	puts("round trips, us      count        min     median        max");
	print_times("control socket", control);
	print_times("ring (NOP)", ring);
	return PST_EXIT_OK;
}

static int ping(const struct pst_cmd_ctx *ctx, uint64_t count)
{
	PST_CLEANUP_FREE uint64_t *control_ns = NULL, *ring_ns = NULL;
	struct times control, ring;
	struct pst *c;
	int r;

	ring = (struct times){NULL, count};
	control = (struct times){NULL, pst_min_u64(count, MAX_CONTROL)};
	control.ns = control_ns = calloc(control.n, sizeof(*control_ns));
	ring.ns = ring_ns = calloc(ring.n, sizeof(*ring_ns));
	if (!control_ns || !ring_ns)
		return pst_cmd_fail(ctx, "out of memory");
	r = pst_cmd_open(ctx, 0, &c);
	if (r)
		return r;
	pst_cmd_progress(ctx, "measuring round trips");
	r = measure(ctx, c, &control, &ring);
	pst_cmd_progress(ctx, NULL);
	pst_close(c);
	return r ? r : report(ctx, &control, &ring);
}

static int run(const struct pst_cmd_ctx *ctx, int argc, char **argv)
{
	uint64_t count = DEFAULT_COUNT;
	int opt;

	while ((opt = pst_cmd_getopt(ctx, argc, argv)) != -1)
		if (opt == 'c' && !pst_cmd_arg_u64(ctx, "--count", optarg, 1,
						   MAX_COUNT, &count))
			return PST_EXIT_USAGE;
	return ping(ctx, count);
}

static const struct pst_cmd_opt opts[] = {
	{'c', "count", "N",
	 "round trips through the ring [1000]; at most 100 of\n"
	 "them over the socket"},
	PST_CMD_OPT_JSON,
	{0},
};

const struct pst_cmd pst_cmd_ping = {
	.name = "ping",
	.args = "",
	.heading = "that ask an agent",
	.summary = "Measure round trips to the agent",
	.help = "Both are measured one after the other, the ring after a "
		"warm-up.\n",
	.example = "penstock -e spawn: ping\n",
	.opts = opts,
	.run = run,
};
