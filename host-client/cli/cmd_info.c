/* SPDX-License-Identifier: MIT */
/* penstock info: what the agent, its region and this connection are. */
#include <getopt.h>
#include <inttypes.h>

#include "host-client/cli/cmd_open.h"
#include "host-client/cli/cmds.h"
#include "transport/base/util.h"

/* Numbers of 64 bits that are names, not quantities. */
static json_t *hex(uint64_t v)
{
	return json_sprintf("%016" PRIx64, v);
}

/* What the connection knows. Text of the agent may be no UTF-8: then the
 * field is null. */
static json_t *session_object(const struct pst_info *i)
{
	return json_pack(
		"{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, "
		"s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, "
		"s:I}",
		"epoch", hex(i->epoch), "session", hex(i->session), "vm_uuid",
		pst_cmd_text(i->vm_uuid), "region_uuid",
		pst_cmd_text(i->region_uuid), "boot_id",
		pst_cmd_text(i->boot_id), "agent_version",
		pst_cmd_text(i->agent_version), "provider",
		pst_cmd_text(i->provider), "backend", pst_cmd_text(i->backend),
		"driver", pst_cmd_text(i->driver), "cuda",
		pst_cmd_text(i->cuda), "cublas", pst_cmd_text(i->cublas),
		"region_path", pst_cmd_text(i->region_path), "region_size",
		(json_int_t)i->region_size, "arena_size",
		(json_int_t)i->arena_size, "max_lease",
		(json_int_t)i->max_lease, "max_elems", (json_int_t)i->max_elems,
		"max_dim", (json_int_t)i->max_dim, "max_tensor_bytes",
		(json_int_t)i->max_tensor_bytes, "max_tensors",
		(json_int_t)i->max_tensors, "max_batch",
		(json_int_t)i->max_batch, "n_slots", (json_int_t)i->n_slots,
		"emulated", i->emulated != 0, "page_size",
		(json_int_t)i->page_size);
}

static int info(const struct pst_cmd_ctx *ctx, struct pst *c, bool stats,
		json_t *root)
{
	struct pst_info i = {.size = sizeof(i)};
	json_t *agent, *counters;
	int r;

	r = pst_get_info(c, &i);
	if (r < 0)
		return pst_cmd_fail_call(ctx, c, r);
	json_object_set_new(root, "endpoint",
			    pst_cmd_text(pst_cmd_endpoint(ctx)));
	json_object_set_new(root, "client_version", json_string(pst_version()));
	json_object_set_new(root, "session", session_object(&i));
	r = pst_cmd_query(ctx, c, PST_QUERY_INFO, &agent);
	if (r)
		return r;
	json_object_set_new(root, "agent", agent);
	if (!stats)
		return PST_EXIT_OK;
	r = pst_cmd_query(ctx, c, PST_QUERY_STATS, &counters);
	if (r)
		return r;
	json_object_set_new(root, "stats", counters);
	return PST_EXIT_OK;
}

static int run(const struct pst_cmd_ctx *ctx, int argc, char **argv)
{
	bool json = false, stats = false;
	json_t *root;
	struct pst *c;
	int opt, r;

	while ((opt = pst_cmd_getopt(ctx, argc, argv)) != -1) {
		if (opt == PST_OPT_JSON)
			json = true;
		else
			stats = true;
	}
	/* Questions need no lane: they are answered when all are taken. */
	r = pst_cmd_open(ctx, PST_OPEN_CONTROL_ONLY, &c);
	if (r)
		return r;
	root = json_object();
	r = info(ctx, c, stats, root);
	pst_close(c);
	if (r) {
		json_decref(root);
		return r;
	}
	if (json)
		return pst_cmd_print_json(ctx, root);
	pst_cmd_print_object(root);
	json_decref(root);
	return PST_EXIT_OK;
}

static const struct pst_cmd_opt opts[] = {
	{PST_OPT_OWN, "stats", NULL, "also the agent's counters"},
	PST_CMD_OPT_JSON,
	{0},
};

const struct pst_cmd pst_cmd_info = {
	.name = "info",
	.args = "",
	.summary = "Describe the agent, its backend and its region",
	.opts = opts,
	.run = run,
};
