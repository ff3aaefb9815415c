/* SPDX-License-Identifier: MIT */
/* penstock ping: round trips over the control socket and through the ring. */
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "host-client/cli/cmd_open.h"
#include "host-client/cli/cmds.h"
#include "transport/base/util.h"

#define DEFAULT_COUNT 10
#define MAX_COUNT     1000000
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
	uint64_t i, start;
	int r;

	for (i = 0; i < control->n; i++) {
		r = pst_ping(c, &control->ns[i]);
		if (r < 0)
			return pst_cmd_fail_call(ctx, c, r);
	}
	for (i = 0; i < ring->n; i++) {
		start = pst_now_ns();
		r = pst_nop(c, NOP_TIMEOUT_NS, NULL);
		if (r < 0)
			return pst_cmd_fail_call(ctx, c, r);
		ring->ns[i] = pst_now_ns() - start;
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

static int report(const struct pst_cmd_ctx *ctx, const struct times *control,
		  const struct times *ring, bool json)
{
	double c[3], r[3];

	summary(control, c);
	summary(ring, r);
	if (json)
		return pst_cmd_print_json(
			ctx,
			json_pack("{s:o, s:I, s:{s:f, s:f, s:f}, s:{s:f, s:f, "
				  "s:f}}",
				  "endpoint",
				  pst_cmd_text(pst_cmd_endpoint(ctx)), "count",
				  (json_int_t)control->n, "control_us", "min",
				  c[0], "median", c[1], "max", c[2], "ring_us",
				  "min", r[0], "median", r[1], "max", r[2]));
	printf("%" PRIu64 " round trips, us      min     median        max\n",
	       control->n);
	printf("control socket    %10.1f %10.1f %10.1f\n", c[0], c[1], c[2]);
	printf("ring (NOP)        %10.2f %10.2f %10.2f\n", r[0], r[1], r[2]);
	return PST_EXIT_OK;
}

static int ping(const struct pst_cmd_ctx *ctx, uint64_t count, bool json)
{
	PST_CLEANUP_FREE uint64_t *control_ns = NULL, *ring_ns = NULL;
	struct times control, ring;
	struct pst *c;
	int r;

	control_ns = calloc(count, sizeof(*control_ns));
	ring_ns = calloc(count, sizeof(*ring_ns));
	if (!control_ns || !ring_ns)
		return pst_cmd_fail(ctx, "out of memory");
	control = (struct times){control_ns, count};
	ring = (struct times){ring_ns, count};
	r = pst_cmd_open(ctx, 0, &c);
	if (r)
		return r;
	r = measure(ctx, c, &control, &ring);
	pst_close(c);
	return r ? r : report(ctx, &control, &ring, json);
}

static int run(const struct pst_cmd_ctx *ctx, int argc, char **argv)
{
	uint64_t count = DEFAULT_COUNT;
	bool json = false;
	int opt;

	while ((opt = pst_cmd_getopt(ctx, argc, argv)) != -1) {
		if (opt == PST_OPT_JSON)
			json = true;
		else if (!pst_cmd_arg_u64(ctx, "--count", optarg, 1, MAX_COUNT,
					  &count))
			return PST_EXIT_USAGE;
	}
	return ping(ctx, count, json);
}

static const struct pst_cmd_opt opts[] = {
	{'c', "count", "N", "round trips of each kind [10]"},
	PST_CMD_OPT_JSON,
	{0},
};

const struct pst_cmd pst_cmd_ping = {
	.name = "ping",
	.args = "",
	.summary = "Measure round trips to the agent",
	.opts = opts,
	.run = run,
};
