/* SPDX-License-Identifier: MIT */
/* penstock health: whether the agent can be reached and is well. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>

#include "host-client/cli/cmd_open.h"
#include "host-client/cli/cmds.h"

/* Reports an agent that gives no answer; text is why. */
static int unreachable(const struct pst_cmd_ctx *ctx, int r, const char *text)
{
	pst_cmd_fail(ctx, "%s", text);
	if (ctx->json && r == PST_EXIT_UNREACHABLE)
		pst_cmd_print_json(ctx, json_pack("{s:b, s:b, s:o}", "healthy",
						  0, "reachable", 0, "reason",
						  pst_cmd_text(text)));
	return r;
}

static int report(const struct pst_cmd_ctx *ctx, json_t *health)
{
	bool well = json_is_true(json_object_get(health, "healthy"));

	if (ctx->json) {
		json_object_set_new(health, "reachable", json_true());
		pst_cmd_print_json(ctx, json_incref(health));
	} else {
		pst_cmd_print_object(health);
	}
	return well ? PST_EXIT_OK : PST_EXIT_FAILED;
}

static int run(const struct pst_cmd_ctx *ctx, int argc, char **argv)
{
	char text[PST_CMD_TEXT] = "";
	char *answer = NULL;
	json_t *health;
	struct pst *c;
	int r;

	while (pst_cmd_getopt(ctx, argc, argv) != -1)
		;
	r = pst_cmd_connect(ctx, PST_OPEN_CONTROL_ONLY, &c, text, sizeof(text));
	if (r)
		return unreachable(ctx, r, text);
	r = pst_query(c, PST_QUERY_HEALTH, &answer);
	if (r < 0)
		pst_last_error(c, text, sizeof(text));
	pst_close(c);
	if (r < 0)
		return unreachable(ctx,
				   r == -ETIMEDOUT || r == -ECONNRESET
					   ? PST_EXIT_UNREACHABLE
					   : PST_EXIT_FAILED,
				   *text ? text : pst_strerror(r));
	health = json_loads(answer, JSON_REJECT_DUPLICATES, NULL);
	free(answer);
	if (json_is_object(health))
		r = report(ctx, health);
	else
		r = pst_cmd_fail(ctx, "the agent's answer is not a JSON "
				      "object");
	json_decref(health);
	return r;
}

static const struct pst_cmd_opt opts[] = {
	PST_CMD_OPT_JSON,
	{0},
};

const struct pst_cmd pst_cmd_health = {
	.name = "health",
	.args = "",
	.summary = "Say whether the agent is well",
	.help = "Exits 0 when it is, 1 when it is degraded, 4 when no agent "
		"answers.\n",
	.example = "penstock -e spawn: health\n",
	.opts = opts,
	.run = run,
};
