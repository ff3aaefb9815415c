/* SPDX-License-Identifier: MIT */
/* penstock info: what the agent, its region and this connection are. */
#include <getopt.h>
#include <inttypes.h>
#include <string.h>

#include "host-client/cli/cmd_open.h"
#include "host-client/cli/cmds.h"
#include "transport/base/util.h"

enum { OPT_STATS = PST_OPT_OWN };

/* Of text behind a title. */
#define WIDTH 68

/* Numbers of 64 bits that are names, not quantities. */
static json_t *hex(uint64_t v)
{
	return json_sprintf("%016" PRIx64, v);
}

/* What the connection knows. */
static json_t *session_object(const struct pst_info *i)
{
	return json_pack(
		"{s:o, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, "
		"s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, "
		"s:I}",
		"epoch", hex(i->epoch), "session", (json_int_t)i->session,
		"vm_uuid", pst_cmd_text(i->vm_uuid), "region_uuid",
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

static int ask(const struct pst_cmd_ctx *ctx, struct pst *c, bool stats,
	       struct pst_info *i, json_t *root)
{
	json_t *agent, *counters;
	int r;

	r = pst_get_info(c, i);
	if (r < 0)
		return pst_cmd_fail_call(ctx, c, r);
	json_object_set_new(root, "endpoint",
			    pst_cmd_text(pst_cmd_endpoint(ctx)));
	json_object_set_new(root, "client_version", json_string(pst_version()));
	json_object_set_new(root, "session", session_object(i));
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

/* ---- For people --------------------------------------------------------- */

/* What is at path, "agent.region.caching", or NULL. */
static const json_t *at(const json_t *o, const char *path)
{
	char key[32];
	size_t n;

	for (; o && *path; path += n + (path[n] == '.')) {
		n = strcspn(path, ".");
		snprintf(key, sizeof(key), "%.*s", (int)n, path);
		o = json_object_get(o, key);
	}
	return o;
}

/* The agent's text, of at most 60 characters that cannot steer a terminal. */
static const char *text_at(const json_t *root, const char *path, char ret[64])
{
	const char *s = json_string_value(at(root, path));
	size_t i;

	for (i = 0; s && s[i] && i < 60; i++)
		ret[i] = s[i] >= ' ' && s[i] <= '~' ? s[i] : '?';
	ret[i] = '\0';
	return ret;
}

static double number_at(const json_t *root, const char *path)
{
	return json_number_value(at(root, path));
}

/* What cards compute how, from this compute capability (ten times it) on, and
 * how fast f64 is: CUDA C++ Programming Guide, arithmetic instructions. */
static const struct {
	unsigned int from;
	const char *words;
} cards[] = {
	{50, "f16, bf16, tf32, i8 by f32; f64 at 1/32 of f32"},
	{60, "f16, bf16, tf32, i8 by f32; f64 at 1/2 of f32"},
	{61, "i8 by dp4a; f16, bf16, tf32 by f32; f64 at 1/32 of f32"},
	{62, "f16, bf16, tf32, i8 by f32; f64 at 1/32 of f32"},
	{70, "f16 by tensor cores; i8 by dp4a; bf16, tf32 by f32; "
	     "f64 at 1/2 of f32"},
	{72, "f16, i8 by tensor cores; bf16, tf32 by f32; f64 at 1/32 of f32"},
	{80, "f16, bf16, tf32, i8 by tensor cores; f64 at 1/2 of f32"},
	{86, "f16, bf16, tf32, i8 by tensor cores; f64 at 1/64 of f32"},
	{90, "f16, bf16, tf32, i8 by tensor cores; f64 at 1/2 of f32"},
	{103, "f16, bf16, tf32, i8 by tensor cores; f64 at 1/64 of f32"},
};

static void print_card(const char *capability)
{
	unsigned int major, minor;
	size_t i = sizeof(cards) / sizeof(cards[0]);

	if (sscanf(capability, "%2u.%1u", &major, &minor) != 2)
		return;
	while (i > 0 && cards[i - 1].from > major * 10 + minor)
		i--;
	if (i > 0)
		printf("card       %s\n", cards[i - 1].words);
}

static void print_gpu(const json_t *root)
{
	char name[64], driver[64], cuda[64];

	if (!json_is_object(at(root, "agent.gpu"))) {
		puts("GPU        none");
		return;
	}
	printf("GPU        %s, driver %s, CUDA %s\n",
	       text_at(root, "agent.gpu.name", name),
	       text_at(root, "agent.gpu.driver", driver),
	       text_at(root, "agent.gpu.cuda", cuda));
	print_card(text_at(root, "agent.gpu.compute_capability", name));
}

/* The types that GEMM takes. */
static void print_types(const json_t *root)
{
	const json_t *op, *type;
	char word[64];
	size_t i, j;

	json_array_foreach(at(root, "agent.ops"), i, op)
	{
		if (strcmp(text_at(op, "op", word), "GEMM") != 0)
			continue;
		printf("products   of");
		json_array_foreach(json_object_get(op, "dtypes"), j, type)
			printf(" %s", text_at(type, "", word));
		printf(", sides to %.0f\n",
		       number_at(root, "agent.limits.max_dim"));
	}
}

static void print_models(const json_t *root)
{
	const json_t *list = at(root, "agent.models"), *model;
	char name[64];
	size_t i;

	printf("models     %zu", json_array_size(list));
	json_array_foreach(list, i, model)
	{
		if (i == 4) {
			printf(", ...");
			break;
		}
		printf("%s %s", i ? "," : ":", text_at(model, "name", name));
	}
	putchar('\n');
}

/* Characters of s that fit into a line, without half a word. */
static size_t line_length(const char *s)
{
	size_t n = strlen(s), i;

	if (n <= WIDTH)
		return n;
	for (i = WIDTH; i > 0; i--)
		if (s[i] == ' ')
			return i;
	return WIDTH;
}

/* A sentence of the agent's, which is only there when there is something to
 * say; no longer than the other lines together. */
static void print_if(const json_t *root, const char *title, const char *path)
{
	const char *s = json_string_value(at(root, path));
	size_t n, i, lines;

	for (lines = 0; s && *s && lines < 8; lines++) {
		n = line_length(s);
		printf("%-10s ", lines ? "" : title);
		for (i = 0; i < n; i++)
			putchar(s[i] >= ' ' && s[i] <= '~' ? s[i] : '?');
		putchar('\n');
		s += n + strspn(s + n, " ");
	}
}

static void print_short(const json_t *root, const struct pst_info *i)
{
	char a[64], b[64], c[64];

	printf("endpoint   %s\n", text_at(root, "endpoint", a));
	printf("agent      version %s on Linux %s%s\n",
	       text_at(root, "agent.version", a),
	       text_at(root, "agent.kernel", b),
	       json_is_true(at(root, "agent.emulated")) ? ", emulated" : "");
	printf("backend    %s\n", text_at(root, "agent.backend.describe", a));
	print_gpu(root);
	printf("region     %s, %" PRIu64 " MiB, of which %" PRIu64
	       " MiB at once\n",
	       text_at(root, "agent.provider", a), i->region_size >> 20,
	       i->max_lease >> 20);
	print_if(root, "file", "session.region_path");
	printf("mapping    %s, pages of %u KiB, GPU: %s\n",
	       text_at(root, "agent.caching", a),
	       (unsigned int)(i->page_size >> 10),
	       text_at(root, "agent.gpu_registration", c));
	printf("speed      reads %.1f GB/s, writes %.1f GB/s\n",
	       number_at(root, "agent.read_gbps"),
	       number_at(root, "agent.write_gbps"));
	print_if(root, "slow:", "agent.remedy");
	print_if(root, "warning", "agent.dma_warning");
	if (strcmp(text_at(root, "agent.loop", a), "io_uring") != 0)
		printf("loop       %s\n", a);
	print_types(root);
	print_models(root);
	printf("session    %" PRIu64 ", %u operations outstanding at most\n",
	       i->session, i->n_slots);
}

static int report(const struct pst_cmd_ctx *ctx, json_t *root,
		  const struct pst_info *i, bool verbose)
{
	if (ctx->json)
		return pst_cmd_print_json(ctx, json_incref(root));
	if (verbose)
		pst_cmd_print_object(root);
	else
		print_short(root, i);
	return PST_EXIT_OK;
}

static int run(const struct pst_cmd_ctx *ctx, int argc, char **argv)
{
	struct pst_info i = {.size = sizeof(i)};
	bool stats = false, verbose = false;
	json_t *root;
	struct pst *c;
	int opt, r;

	while ((opt = pst_cmd_getopt(ctx, argc, argv)) != -1) {
		stats |= opt == OPT_STATS;
		/* Counters are a program's, or an expert's. */
		verbose |= opt == 'v' || opt == OPT_STATS;
	}
	/* Questions need no lane: they are answered when all are taken. */
	r = pst_cmd_open(ctx, PST_OPEN_CONTROL_ONLY, &c);
	if (r)
		return r;
	root = json_object();
	r = ask(ctx, c, stats, &i, root);
	pst_close(c);
	if (!r)
		r = report(ctx, root, &i, verbose);
	json_decref(root);
	return r;
}

static const struct pst_cmd_opt opts[] = {
	{'v', "verbose", NULL, "all that is known, a line for each"},
	{OPT_STATS, "stats", NULL, "that, and the agent's counters"},
	PST_CMD_OPT_JSON,
	{0},
};

const struct pst_cmd pst_cmd_info = {
	.name = "info",
	.args = "",
	.summary = "Describe the agent, its backend and its region",
	.example = "penstock -e spawn: info\n",
	.opts = opts,
	.run = run,
};
