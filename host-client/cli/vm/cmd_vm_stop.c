/* SPDX-License-Identifier: MIT */
/* penstock vm stop: asks the guest to end, and may end it. */
#include <inttypes.h>
#include <string.h>

#include "host-client/cli/cmd_progress.h"
#include "host-client/cli/cmds.h"
#include "host-client/cli/vm/cmd_vm.h"
#include "host-client/cli/vm/cmd_vm_card.h"

enum { OPT_FORCE = PST_OPT_OWN, OPT_TIMEOUT };

#define DEFAULT_TIMEOUT_NS (60 * PST_NS_PER_S)
/* QEMU's end after it was killed. */
#define DESTROY_NS (30 * PST_NS_PER_S)

struct stop {
	const struct pst_cmd_ctx *ctx;
	const struct pst_vm_api *api;
	struct pst_vm_virt *virt;
	const char *name, *root;
	uint64_t timeout_ns;
	bool force;
};

static int report(const struct stop *s, const char *how, const char *words,
		  uint64_t begin)
{
	double seconds = (double)(pst_now_ns() - begin) / PST_NS_PER_S;
	json_t *card;

	if (!s->ctx->json)
		printf("%s %s\n", s->name, words);
	card = pst_cmd_vm_card_compare(s->ctx, s->root, s->name);
	if (s->ctx->json)
		return pst_cmd_print_json(
			s->ctx, json_pack("{s:s, s:s, s:f, s:o*}", "name",
					  s->name, "how", how, "seconds",
					  seconds, "card", card));
	json_decref(card);
	return PST_EXIT_OK;
}

/* words: why, in the past tense. */
static int destroy(const struct stop *s, const char *words, uint64_t begin)
{
	struct pst_error err;
	int r;

	pst_cmd_progress(s->ctx, "destroying the domain");
	r = s->api->virt_destroy(s->virt, s->name, &err);
	/* It may have ended just now. */
	if (r == -EALREADY)
		r = 0;
	if (r == 0)
		r = s->api->virt_wait_off(s->virt, s->name, DESTROY_NS, NULL,
					  NULL, &err);
	pst_cmd_progress(s->ctx, NULL);
	if (r)
		return pst_cmd_fail(s->ctx, "%s", err.text);
	return report(s, "destroyed", words, begin);
}

static int stop(const struct stop *s)
{
	enum pst_vm_virt_how how = PST_VM_VIRT_BY_ACPI;
	uint64_t begin = pst_now_ns();
	struct pst_error err;
	int r;

	r = s->api->virt_shutdown(s->virt, s->name, &how, &err);
	if (r == -EALREADY)
		return report(s, "was off", "does not run", begin);
	if (r && r != -ECONNREFUSED && r != -ENOENT && s->force) {
		/* A guest that is paused cannot react. */
		fprintf(stderr, "%s: %s\n", s->ctx->path, err.text);
		return destroy(s, "could not be asked, and was destroyed",
			       begin);
	}
	if (r) {
		pst_cmd_fail(s->ctx, "%s", err.text);
		return pst_cmd_vm_exit(r);
	}
	fprintf(stderr, "%s: asked by %s, waiting up to %" PRIu64 " s\n",
		s->ctx->path,
		how == PST_VM_VIRT_BY_AGENT ? "the guest agent"
					    : "the ACPI power button",
		s->timeout_ns / PST_NS_PER_S);
	pst_cmd_progress(s->ctx, "waiting for the domain's end");
	r = s->api->virt_wait_off(s->virt, s->name, s->timeout_ns, NULL, NULL,
				  &err);
	pst_cmd_progress(s->ctx, NULL);
	if (r == 0)
		return report(
			s, how == PST_VM_VIRT_BY_AGENT ? "guest agent" : "acpi",
			"has ended", begin);
	if (r == -ETIMEDOUT && s->force)
		return destroy(
			s, "did not end by itself in time, and was destroyed",
			begin);
	pst_cmd_fail(s->ctx, "%s%s", err.text,
		     r == -ETIMEDOUT ? " and runs on; --force destroys it then"
				     : "");
	return pst_cmd_vm_exit(r);
}

static int run(const struct pst_cmd_ctx *ctx, int argc, char **argv)
{
	struct stop s = {
		.ctx = ctx, .root = "/", .timeout_ns = DEFAULT_TIMEOUT_NS};
	const char *uri = NULL;
	int opt, r;

	while ((opt = pst_cmd_getopt(ctx, argc, argv)) != -1) {
		if (opt == OPT_FORCE)
			s.force = true;
		else if (opt == PST_OPT_VM_URI)
			uri = optarg;
		else if (opt == PST_OPT_VM_ROOT)
			s.root = optarg;
		else if (!pst_cmd_arg_duration(ctx, "--timeout", optarg,
					       &s.timeout_ns))
			return PST_EXIT_USAGE;
	}
	s.name = argv[optind];
	r = pst_cmd_vm_connect(ctx, uri, &s.api, &s.virt);
	if (r)
		return r;
	r = stop(&s);
	s.api->virt_close(s.virt);
	return r;
}

static const struct pst_cmd_opt opts[] = {
	{OPT_TIMEOUT, "timeout", "T", "wait that long for its end [60s]"},
	{OPT_FORCE, "force", NULL, "then destroy it, as pulling the plug does"},
	PST_CMD_VM_OPT_ROOT,
	PST_CMD_VM_OPT_URI,
	PST_CMD_OPT_JSON,
	{0},
};

const struct pst_cmd pst_cmd_vm_stop = {
	.name = "stop",
	.args = "NAME",
	.summary = "Ask a domain to shut down, and wait for it",
	.help = "By its guest agent (qemu-guest-agent) when that is connected, "
		"else by the ACPI power\nbutton; it says which. Says also if the card that the guest had "
		"is not as it was\nwhen vm start started it.\n",
	.example = "penstock vm stop titan --timeout 2m --force\n",
	.opts = opts,
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
