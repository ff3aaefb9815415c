/* SPDX-License-Identifier: MIT */
/* penstock vm xml: prints a domain, for libvirt or another one's command line.
 */
#include <inttypes.h>
#include <string.h>

#include "host-client/cli/cmds.h"
#include "host-client/cli/vm/cmd_vm.h"
#include "libvirt-xml/config/argv.h"

/* Cloud Hypervisor's vsock socket, unless --vsock-uds names one. */
#define UDS_DIR "/run/penstock"

enum { OPT_FORMAT = PST_OPT_VM_END };

enum format { LIBVIRT, QEMU, CLOUD_HYPERVISOR, FIRECRACKER };

#define FORMATS "libvirt|qemu|cloud-hypervisor|firecracker"

static const char *const formats[] = {
	[LIBVIRT] = "libvirt",
	[QEMU] = "qemu",
	[CLOUD_HYPERVISOR] = "cloud-hypervisor",
};

static int print_xml(const struct pst_cmd_ctx *ctx,
		     const struct pst_vm_draft *d)
{
	PST_CLEANUP_FREE char *xml = NULL;
	struct pst_error err;

	if (pst_vm_draft_xml(d, &xml, &err))
		return pst_cmd_fail(ctx, "%s", err.text);
	if (ctx->json)
		return pst_cmd_print_json(
			ctx,
			json_pack("{s:s, s:s, s:s}", "name", d->config.name,
				  "format", formats[LIBVIRT], "xml", xml));
	fputs(xml, stdout);
	return PST_EXIT_OK;
}

/* The command that makes a region's file, for a shell: it is called
 * penstock-NAME, and given another name where that is wanted. */
static void say_create(const struct pst_vm_config *c)
{
	static const char prefix[] = "penstock-";
	const char *base = strrchr(c->region.path, '/') + 1;
	bool fits = strncmp(base, prefix, sizeof(prefix) - 1) == 0;
	const char *name = fits ? base + sizeof(prefix) - 1 : c->name;
	/* Without the slash, unless it is the root. */
	size_t n = (size_t)(base - c->region.path);
	PST_CLEANUP_FREE char *dir = strndup(c->region.path, n > 1 ? n - 1 : n);

	fprintf(stderr, "penstock host region create ");
	pst_vm_argv_print_word(name, stderr);
	fprintf(stderr, " --size %" PRIu64 "M --path ", c->region.size >> 20);
	pst_vm_argv_print_word(dir ? dir : "", stderr);
	if (fits)
		return;
	fprintf(stderr, " && mv ");
	pst_vm_argv_print_word(dir ? dir : "", stderr);
	fprintf(stderr, "/%s%s ", prefix, name);
	pst_vm_argv_print_word(c->region.path, stderr);
}

/* What the domain's definition does and a command line cannot. */
static void say_region(const struct pst_cmd_ctx *ctx,
		       const struct pst_vm_config *c)
{
	const struct pst_vm_firmware *f = &c->firmware;

	fprintf(stderr, "%s: note: first: ", ctx->path);
	say_create(c);
	fputc('\n', stderr);
	if (!f->uefi || f->by_libvirt)
		return;
	fprintf(stderr, "%s: note: and, once: cp ", ctx->path);
	pst_vm_argv_print_word(f->vars_template, stderr);
	fputc(' ', stderr);
	pst_vm_argv_print_word(f->vars, stderr);
	fputc('\n', stderr);
}

/* QEMU's threads have their numbers only once it runs. */
static void say_pins(const struct pst_cmd_ctx *ctx,
		     const struct pst_vm_config *c)
{
	uint32_t i;

	if (!c->pin.n)
		return;
	fprintf(stderr,
		"%s: note: a command line cannot pin vCPUs: taskset -p, for "
		"the threads that query-cpus-fast of QMP names, to host CPUs",
		ctx->path);
	for (i = 0; i < c->pin.n; i++)
		fprintf(stderr, "%s%u", i ? "," : " ", c->pin.cpu[i]);
	fputc('\n', stderr);
}

static void say_memmap(const struct pst_cmd_ctx *ctx,
		       const struct pst_vm_config *c)
{
	char memmap[64];

	pst_vm_argv_memmap(c, memmap);
	if (!c->kernel)
		fprintf(stderr,
			"%s: note: in the guest, the kernel's command line "
			"needs %s: it makes the region /dev/dax0.0\n",
			ctx->path, memmap);
}

static int print_argv_json(const struct pst_cmd_ctx *ctx, enum format format,
			   const char *name, const struct pst_vm_argv *argv)
{
	json_t *words = json_array();
	size_t i;

	for (i = 0; i < argv->n; i++)
		json_array_append_new(words, json_string(argv->v[i]));
	return pst_cmd_print_json(
		ctx, json_pack("{s:s, s:s, s:o}", "name", name, "format",
			       formats[format], "argv", words));
}

static int print_argv(const struct pst_cmd_ctx *ctx, enum format format,
		      const struct pst_vm_config *c)
{
	struct pst_vm_argv argv = {0};
	struct pst_error err;
	int r;

	if (format == QEMU)
		r = pst_vm_argv_qemu(c, &argv, &err);
	else
		r = pst_vm_argv_cloud_hypervisor(c, &argv, &err);
	if (r == 0) {
		say_region(ctx, c);
		if (format == CLOUD_HYPERVISOR)
			say_memmap(ctx, c);
		else
			say_pins(ctx, c);
		if (!ctx->json)
			pst_vm_argv_print(&argv, stdout);
		else if (print_argv_json(ctx, format, c->name, &argv))
			r = -ENOMEM;
	}
	pst_vm_argv_done(&argv);
	if (r == 0)
		return PST_EXIT_OK;
	return r == -EINVAL ? pst_cmd_usage(ctx, "%s", err.text)
			    : pst_cmd_fail(ctx, "%s", err.text);
}

/* Cloud Hypervisor boots without QEMU's firmware, and maps the region as
 * memory: so it is neither a BAR nor an nvdimm. */
static void suit(enum format format, struct pst_vm_request *q, char *uds,
		 size_t size)
{
	if (format != CLOUD_HYPERVISOR)
		return;
	q->firmware = "bios";
	q->via = PST_VM_VIA_NVDIMM;
	if (q->vsock_uds)
		return;
	snprintf(uds, size, UDS_DIR "/%s.vsock", q->name);
	q->vsock_uds = uds;
}

static int run(const struct pst_cmd_ctx *ctx, int argc, char **argv)
{
	PST_CLEANUP_FREE struct pst_vm_draft *d = calloc(1, sizeof(*d));
	struct pst_cmd_vm vm;
	uint32_t format = LIBVIRT;
	struct pst_error err;
	char uds[256];
	int opt, r;

	if (!d)
		return pst_cmd_fail(ctx, "out of memory");
	pst_cmd_vm_init(&vm, ctx);
	while ((opt = pst_cmd_getopt(ctx, argc, argv)) != -1) {
		if (!(opt == OPT_FORMAT
			      ? pst_cmd_arg_word(ctx, "--format", FORMATS,
						 optarg, &format)
			      : pst_cmd_vm_opt(ctx, opt, &vm.ask)))
			return PST_EXIT_USAGE;
	}
	vm.ask.q.name = argv[optind];
	if (format == FIRECRACKER) {
		pst_vm_argv_firecracker(&err);
		return pst_cmd_fail(ctx, "%s", err.text);
	}
	suit(format, &vm.ask.q, uds, sizeof(uds));
	if (format == LIBVIRT) {
		vm.ask.api = pst_cmd_vm_api(ctx, false);
		if (!vm.ask.api)
			return PST_EXIT_FAILED;
	}
	r = pst_cmd_vm_begin(&vm, false);
	if (r == PST_EXIT_OK)
		r = pst_cmd_vm_draft(&vm, d);
	if (r == PST_EXIT_OK) {
		r = format == LIBVIRT ? print_xml(ctx, d)
				      : print_argv(ctx, format, &d->config);
		pst_vm_draft_done(d);
	}
	pst_cmd_vm_end(&vm);
	return r;
}

static const struct pst_cmd_opt opts[] = {
	PST_CMD_VM_OPTS,
	{OPT_FORMAT, "format", FORMATS, "what it is printed for [libvirt]"},
	PST_CMD_OPT_JSON,
	{0},
};

const struct pst_cmd pst_cmd_vm_xml = {
	.name = "xml",
	.args = "NAME --memory S --vcpus N --disk PATH [--gpu ADDR]",
	.summary = "Print a domain with a region, changing nothing",
	.help = "A q35 machine with all functions of the card, the region, and "
		"a vsock device. Checked\nagainst this host first, then "
		"against libvirt's schema where that is installed.\n",
	.example = "penstock vm xml titan --memory 16G "
		   "--vcpus 6 --disk /var/titan.qcow2\n",
	.opts = opts,
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
