/* SPDX-License-Identifier: MIT */
/* penstock demo: a product through a throw-away guest, from one command. */
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
};

static const struct pst_cmd_opt opts[] = {
	{OPT_N, "n", "N", "size of two random square matrices [1024]"},
	{OPT_A, "a", "A.npy", "left matrix, instead of a random one"},
	{OPT_B, "b", "B.npy", "right matrix"},
	{OPT_DTYPE, "dtype", "f32|f64", "elements of random matrices [f32]"},
	{OPT_KEEP, "keep", NULL,
	 "leave the guest running and print its endpoint"},
	{OPT_STOP, "stop", NULL,
	 "end all kept guests of this user, or the one\n"
	 "whose state directory is DIR"},
	{OPT_ACCEL, "accel", "auto|kvm|tcg",
	 "run the guest by KVM or emulate it [auto: try KVM]"},
	{OPT_NO_VM, "no-vm", NULL,
	 "no guest: an agent on this kernel (spawn:)"},
	{OPT_TIMEOUT, "timeout", "T",
	 "time the guest gets until its agent answers [60s]"},
	{OPT_REGION_SIZE, "region-size", "SIZE",
	 "at least that large a region [by the matrices]"},
	{OPT_REGION_VIA, "region-via", "ivshmem|nvdimm",
	 "what the region is to the guest [ivshmem]"},
	{OPT_APPEND, "append", "WORDS", "further words for the guest's kernel"},
	{OPT_DEBUG_CONSOLE, "debug-console", NULL,
	 "a root shell of the guest at console.sock in the\n"
	 "state directory: for tests"},
	PST_CMD_OPT_JSON,
	{0},
};

static bool parse_accel(const struct pst_cmd_ctx *ctx, const char *text,
			enum pst_demo_accel *ret)
{
	enum pst_demo_accel a;

	for (a = PST_DEMO_AUTO; a <= PST_DEMO_TCG; a++) {
		if (strcmp(text, pst_demo_accel_name(a)) == 0) {
			*ret = a;
			return true;
		}
	}
	pst_cmd_usage(ctx, "--accel: '%s' is not auto, kvm or tcg", text);
	return false;
}

static bool parse_via(const struct pst_cmd_ctx *ctx, const char *text,
		      enum pst_vm_via *ret)
{
	if (pst_vm_via_parse(text, ret) == 0 &&
	    (*ret == PST_VM_VIA_IVSHMEM || *ret == PST_VM_VIA_NVDIMM))
		return true;
	pst_cmd_usage(ctx, "--region-via: '%s' is not ivshmem or nvdimm", text);
	return false;
}

static bool parse_dtype(const struct pst_cmd_ctx *ctx, const char *text,
			uint32_t *ret)
{
	if (strcmp(text, "f32") == 0) {
		*ret = PST_F32;
	} else if (strcmp(text, "f64") == 0) {
		*ret = PST_F64;
	} else {
		pst_cmd_usage(ctx, "--dtype: '%s' is not f32 or f64", text);
		return false;
	}
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
		return parse_dtype(ctx, optarg, &o->dtype);
	case OPT_KEEP:
		o->keep = true;
		return true;
	case OPT_STOP:
		*stop = true;
		return true;
	case OPT_ACCEL:
		return parse_accel(ctx, optarg, &o->accel);
	case OPT_NO_VM:
		o->no_vm = true;
		return true;
	case OPT_TIMEOUT:
		return pst_cmd_arg_duration(ctx, "--timeout", optarg,
					    &o->timeout_ns);
	case OPT_REGION_SIZE:
		return pst_cmd_arg_size(ctx, "--region-size", optarg,
					&o->region_size);
	case OPT_REGION_VIA:
		return parse_via(ctx, optarg, &o->via);
	case OPT_APPEND:
		o->append = optarg;
		return true;
	case OPT_DEBUG_CONSOLE:
		o->debug_console = true;
		return true;
	default:
		o->json = true;
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
	bool stop = false;
	int c;

	while ((c = pst_cmd_getopt(ctx, argc, argv)) != -1)
		if (!parse_opt(ctx, c, &o, &stop))
			return PST_EXIT_USAGE;
	if (stop)
		return pst_demo_stop(ctx, argv[optind], o.json);
	if (argv[optind])
		return pst_cmd_usage(ctx, "unexpected argument '%s'",
				     argv[optind]);
	if (!o.a != !o.b)
		return pst_cmd_usage(ctx, "--a and --b come together");
	if (o.keep && o.no_vm)
		return pst_cmd_usage(ctx, "--keep needs a guest, --no-vm has "
					  "none");
	if (o.region_size & (o.region_size - 1))
		return pst_cmd_usage(ctx,
				     "--region-size must be a power of two");
	if (ctx->endpoint)
		return pst_cmd_usage(ctx, "demo makes its own endpoint");
	return pst_demo_run(ctx, &o);
}

const struct pst_cmd pst_cmd_demo = {
	.name = "demo",
	.args = "[--stop [DIR]]",
	.summary = "Multiply two matrices through a throw-away guest",
	.help = "Boots a small guest in QEMU whose memory holds a region, multiplies two\n"
		".npy matrices through it, checks the product against a "
		"double-precision one\n"
		"computed here, prints what was measured and leaves nothing "
		"behind.\n",
	.opts = opts,
	.max_args = 1,
	.run = run,
};
