/* SPDX-License-Identifier: MIT */
/* penstock demo: a product through a throw-away guest, from one command. */
#include <assert.h>
#include <string.h>

#include "host-client/cli/cmd.h"
#include "host-client/cli/cmds.h"
#include "host-client/cli/demo/demo_run.h"

#define DEFAULT_N  1024
#define MAX_N      32768
#define TIMEOUT_NS (60 * PST_NS_PER_S)

enum {
	OPT_N = PST_OPT_OWN,
	OPT_A,
	OPT_B,
	OPT_DTYPE,
	OPT_KEEP,
	OPT_STOP,
	OPT_ACCEL,
	OPT_NO_VM,
	OPT_TIMEOUT,
	OPT_REGION_SIZE,
	OPT_REGION_VIA,
	OPT_APPEND,
	OPT_DEBUG_CONSOLE,
	OPT_VAD,
};

/* Words of options, in the order of their values. */
#define DTYPES "f32|f64"
#define ACCELS "auto|kvm|tcg"
#define VIAS   "ivshmem|nvdimm"
static_assert(PST_DEMO_AUTO == 0 && PST_DEMO_KVM == 1 && PST_DEMO_TCG == 2,
	      "ACCELS");

/* In the order of their numbers. */
static const struct pst_cmd_opt opts[] = {
	{OPT_N, "n", "N", "size of two random square matrices [1024]"},
	{OPT_A, "a", "A.npy", "left matrix, instead of a random one"},
	{OPT_B, "b", "B.npy", "right matrix"},
	{OPT_DTYPE, "dtype", DTYPES, "elements of random matrices [f32]"},
	{OPT_KEEP, "keep", NULL,
	 "leave the guest running and print its endpoint"},
	{OPT_STOP, "stop", NULL,
	 "end all kept guests of this user, or the one\n"
	 "whose state directory is DIR"},
	{OPT_ACCEL, "accel", ACCELS,
	 "run the guest by KVM or emulate it [auto: try KVM]"},
	{OPT_NO_VM, "no-vm", NULL,
	 "no guest: an agent on this kernel (spawn:)"},
	{OPT_TIMEOUT, "timeout", "T",
	 "time the guest gets until its agent answers [60s]"},
	{OPT_REGION_SIZE, "region-size", "SIZE",
	 "at least that large a region [by the matrices]"},
	{OPT_REGION_VIA, "region-via", VIAS,
	 "what the region is to the guest [ivshmem]"},
	{OPT_APPEND, "append", "WORDS", "further words for the guest's kernel"},
	{OPT_DEBUG_CONSOLE, "debug-console", NULL,
	 "a root shell of the guest at console.sock in the\n"
	 "state directory: for tests"},
	{OPT_VAD, "vad", "FILE.onnx",
	 "instead: have the agent of -e, or a private one, hear\n"
	 "where somebody speaks, by Silero VAD; see penstock(1)"},
	PST_CMD_OPT_JSON,
	{0},
};

/* f64 as numpy has it too, float64. */
static bool parse_dtype(const struct pst_cmd_ctx *ctx, const char *text,
			uint32_t *ret)
{
	static const uint32_t types[] = {PST_F32, PST_F64};
	char name[] = "f??";
	uint32_t i;

	if (strncmp(text, "float", 5) == 0 && strlen(text) == 7) {
		memcpy(name + 1, text + 5, 2);
		text = name;
	}
	if (!pst_cmd_arg_word(ctx, "--dtype", DTYPES, text, &i))
		return false;
	*ret = types[i];
	return true;
}

static bool parse_word(const struct pst_cmd_ctx *ctx, int c,
		       struct pst_demo_options *o)
{
	static const enum pst_vm_via vias[] = {PST_VM_VIA_IVSHMEM,
					       PST_VM_VIA_NVDIMM};
	uint32_t i;

	if (c == OPT_DTYPE)
		return parse_dtype(ctx, optarg, &o->dtype);
	if (c == OPT_ACCEL) {
		if (!pst_cmd_arg_word(ctx, "--accel", ACCELS, optarg, &i))
			return false;
		o->accel = (enum pst_demo_accel)i;
		return true;
	}
	if (!pst_cmd_arg_word(ctx, "--region-via", VIAS, optarg, &i))
		return false;
	o->via = vias[i];
	return true;
}

static bool parse_opt(const struct pst_cmd_ctx *ctx, int c,
		      struct pst_demo_options *o, bool *stop)
{
	switch (c) {
	case OPT_N:
		return pst_cmd_arg_u64(ctx, "--n", optarg, 1, MAX_N, &o->n);
	case OPT_A:
		o->a = optarg;
		return true;
	case OPT_B:
		o->b = optarg;
		return true;
	case OPT_DTYPE:
	case OPT_ACCEL:
	case OPT_REGION_VIA:
		return parse_word(ctx, c, o);
	case OPT_KEEP:
		o->keep = true;
		return true;
	case OPT_STOP:
		*stop = true;
		return true;
	case OPT_NO_VM:
		o->no_vm = true;
		return true;
	case OPT_TIMEOUT:
		return pst_cmd_arg_duration(ctx, "--timeout", optarg,
					    &o->timeout_ns);
	case OPT_REGION_SIZE:
		return pst_cmd_arg_region(ctx, "--region-size", optarg,
					  &o->region_size);
	case OPT_APPEND:
		o->append = optarg;
		return true;
	case OPT_VAD:
		o->vad = optarg;
		return true;
	case OPT_DEBUG_CONSOLE:
		o->debug_console = true;
		return true;
	default:
		return true;
	}
}

static int run(const struct pst_cmd_ctx *ctx, int argc, char **argv)
{
	struct pst_demo_options o = {
		.n = DEFAULT_N,
		.dtype = PST_F32,
		.timeout_ns = TIMEOUT_NS,
		.via = PST_VM_VIA_IVSHMEM,
	};
	const char *random = NULL, *guest = NULL; /* options of such */
	bool stop = false;
	int c;

	while ((c = pst_cmd_getopt(ctx, argc, argv)) != -1) {
		if (!parse_opt(ctx, c, &o, &stop))
			return PST_EXIT_USAGE;
		if (c == OPT_N || c == OPT_DTYPE)
			random = opts[c - OPT_N].name;
		else if (c == OPT_KEEP || c == OPT_ACCEL ||
			 (c >= OPT_REGION_VIA && c != OPT_VAD))
			guest = opts[c - OPT_N].name;
	}
	if (o.vad)
		return (random || guest || o.a || o.no_vm || stop ||
			argv[optind])
			       ? pst_cmd_usage(ctx, "--vad stands alone")
			       : pst_demo_vad(ctx, o.vad);
	if (stop)
		return pst_demo_stop(ctx, argv[optind]);
	if (argv[optind])
		return pst_cmd_usage(ctx, "unexpected argument '%s'",
				     argv[optind]);
	if (!o.a != !o.b)
		return pst_cmd_usage(ctx, "--a and --b come together");
	if (o.a && random)
		return pst_cmd_usage(ctx,
				     "--%s is of random matrices, and --a "
				     "and --b name files",
				     random);
	if (o.no_vm && guest)
		return pst_cmd_usage(ctx,
				     "--%s needs a guest, --no-vm has "
				     "none",
				     guest);
	if (o.region_size & (o.region_size - 1))
		return pst_cmd_usage(ctx,
				     "--region-size must be a power of two");
	if (ctx->endpoint)
		return pst_cmd_usage(ctx, "demo makes its own endpoint");
	return pst_demo_run(ctx, &o);
}

const struct pst_cmd pst_cmd_demo = {
	.name = "demo",
	.heading = "for this machine",
	.args = "[--stop [DIR]]",
	.summary = "Multiply two matrices through a throw-away guest",
	.help = "Boots a small guest in QEMU whose memory holds a region, multiplies two\n"
		".npy matrices through it, checks the product against a "
		"double-precision one\n"
		"computed here, prints what was measured and leaves nothing "
		"behind.\n",
	.example = "penstock demo --no-vm --n 256\n",
	.opts = opts,
	.max_args = 1,
	.run = run,
};
