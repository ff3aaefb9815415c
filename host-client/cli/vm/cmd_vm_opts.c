/* SPDX-License-Identifier: MIT */
/* The options that describe a domain, and the draft of it. */
#include <assert.h>
#include <string.h>

#include "host-client/cli/vm/cmd_vm.h"
#include "kernel-params/machine/cpu.h"
#include "transport/base/text.h"
#include "transport/wire.h"

#define MAX_VCPUS PST_VM_MAX_VCPUS
/* A CID of 2^32 - 1 is VMADDR_CID_ANY. */
#define MAX_CID (UINT32_MAX - 1)

/* ---- Options ------------------------------------------------------------ */

static bool opt_cid(const struct pst_cmd_ctx *ctx, struct pst_vm_request *q)
{
	uint64_t cid;

	q->cid = 0;
	if (strcmp(optarg, "auto") == 0)
		return true;
	if (!pst_cmd_arg_u64(ctx, "--cid", optarg, PST_VM_FIRST_CID, MAX_CID,
			     &cid))
		return false;
	q->cid = (uint32_t)cid;
	return true;
}

static bool opt_vsock(const struct pst_cmd_ctx *ctx, struct pst_vm_request *q)
{
	static const char prefix[] = "vhost-user:";

	if (strncmp(optarg, prefix, sizeof(prefix) - 1) != 0) {
		pst_cmd_usage(ctx, "--vsock: \"%s\" is not vhost-user:PATH",
			      optarg);
		return false;
	}
	q->vsock_socket = optarg + sizeof(prefix) - 1;
	return true;
}

static bool opt_hugepages(const struct pst_cmd_ctx *ctx,
			  struct pst_vm_request *q)
{
	uint32_t i;

	static_assert(PST_VM_POOL_NONE == 2, "the words are in this order");
	if (!pst_cmd_arg_word(ctx, "--hugepages", PST_CMD_VM_POOLS, optarg, &i))
		return false;
	q->pool = (enum pst_vm_pool)i;
	return true;
}

static bool opt_via(const struct pst_cmd_ctx *ctx, struct pst_vm_request *q)
{
	uint32_t i;

	static_assert(PST_VM_VIA_SHMEM == 3, "the words are in this order");
	if (!pst_cmd_arg_word(ctx, "--region-via", PST_CMD_VM_VIAS, optarg, &i))
		return false;
	q->via = (enum pst_vm_via)i;
	return true;
}

static bool opt_pin(const struct pst_cmd_ctx *ctx, struct pst_vm_request *q)
{
	struct pst_host_cpuset set;

	q->pin = optarg;
	if (strcmp(optarg, "auto") == 0 || strcmp(optarg, "none") == 0 ||
	    pst_host_cpuset_parse(optarg, &set) == 0)
		return true;
	pst_cmd_usage(ctx,
		      "--pin: '%.80s' is not auto, none or a list of CPUs "
		      "such as 2-5,8",
		      optarg);
	return false;
}

static bool opt_checked(const struct pst_cmd_ctx *ctx, int opt,
			struct pst_vm_request *q)
{
	uint64_t n;

	switch (opt) {
	case PST_OPT_VM_GPU:
		return pst_cmd_arg_once(ctx, "--gpu", optarg, &q->gpu);
	case PST_OPT_VM_MEMORY:
		return pst_cmd_arg_size_not_0(ctx, "--memory", optarg,
					      &q->memory);
	case PST_OPT_VM_REGION:
		return pst_cmd_arg_region(ctx, "--region", optarg,
					  &q->region_size);
	case PST_OPT_VM_VCPUS:
		if (!pst_cmd_arg_u64(ctx, "--vcpus", optarg, 1, MAX_VCPUS, &n))
			return false;
		q->vcpus = (uint32_t)n;
		return true;
	case PST_OPT_VM_VIA:
		return opt_via(ctx, q);
	case PST_OPT_VM_CID:
		return opt_cid(ctx, q);
	case PST_OPT_VM_VSOCK:
		return opt_vsock(ctx, q);
	case PST_OPT_VM_HUGEPAGES:
		return opt_hugepages(ctx, q);
	case PST_OPT_VM_PIN:
		return opt_pin(ctx, q);
	}
	return false;
}

bool pst_cmd_vm_opt(const struct pst_cmd_ctx *ctx, int opt,
		    struct pst_vm_ask *ask)
{
	struct pst_vm_request *q = &ask->q;
	const struct {
		int opt;
		const char **to;
	} texts[] = {
		{PST_OPT_VM_DISK, &q->disk},
		{PST_OPT_VM_DISK_FORMAT, &q->disk_format},
		{PST_OPT_VM_DISK_BACKING, &q->disk_backing},
		{PST_OPT_VM_REGION_PATH, &q->region_path},
		{PST_OPT_VM_GROUP, &q->group},
		{PST_OPT_VM_ROM, &q->rom},
		{PST_OPT_VM_VENDOR_ID, &q->vendor_id},
		{PST_OPT_VM_FIRMWARE, &q->firmware},
		{PST_OPT_VM_NVRAM, &q->nvram},
		{PST_OPT_VM_NETWORK, &q->network},
		{PST_OPT_VM_KERNEL, &q->kernel},
		{PST_OPT_VM_INITRD, &q->initrd},
		{PST_OPT_VM_APPEND, &q->append},
		{PST_OPT_VM_VSOCK_UDS, &q->vsock_uds},
		{PST_OPT_VM_SERIAL_LOG, &q->serial_log},
		{PST_OPT_VM_EMULATOR, &q->emulator},
		{PST_OPT_VM_ROOT, &ask->root},
		{PST_OPT_VM_URI, &ask->uri},
	};
	const struct {
		int opt;
		bool *to;
	} flags[] = {
		{PST_OPT_VM_HIDE_KVM, &q->hide_kvm},
		{PST_OPT_VM_EMULATED, &q->emulated},
		{PST_OPT_VM_I_KNOW, &q->i_know},
	};
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(texts); i++) {
		if (texts[i].opt == opt) {
			*texts[i].to = optarg;
			return true;
		}
	}
	for (i = 0; i < PST_ARRAY_SIZE(flags); i++) {
		if (flags[i].opt == opt) {
			*flags[i].to = true;
			return true;
		}
	}
	return opt_checked(ctx, opt, q);
}

/* ---- The draft ---------------------------------------------------------- */

static void say_note(void *arg, const char *text)
{
	const struct pst_cmd_ctx *ctx = arg;

	fprintf(stderr, "%s: note: %s\n", ctx->path, text);
}

static void say_failure(void *arg, const char *text)
{
	pst_cmd_fail(arg, "%s", text);
}

void pst_cmd_vm_init(struct pst_cmd_vm *vm, const struct pst_cmd_ctx *ctx)
{
	*vm = (struct pst_cmd_vm){
		.ctx = ctx,
		.ask =
			{
				.q = {.port = PST_VSOCK_PORT},
				.root = "/",
				.talk = {.note = say_note,
					 .fail = say_failure,
					 .arg = (void *)ctx},
			},
		.lock_fd = -1,
	};
}

/* Without --uri, and with another machine's files, a libvirt that is not there
 * is none. */
static int connect_virt(struct pst_cmd_vm *vm, bool must)
{
	struct pst_vm_ask *ask = &vm->ask;

	if (must || vm->defines || ask->uri)
		return pst_cmd_vm_connect(vm->ctx, ask->uri, &ask->api,
					  &ask->virt);
	if (!ask->api || !ask->api->has_libvirt || strcmp(ask->root, "/") != 0)
		return PST_EXIT_OK;
	(void)ask->api->virt_open(NULL, &ask->virt, &vm->no_virt);
	return PST_EXIT_OK;
}

int pst_cmd_vm_begin(struct pst_cmd_vm *vm, bool must)
{
	const struct pst_vm_request *q = &vm->ask.q;
	int r;

	if (vm->defines && !pst_cmd_vm_is_local(vm->ctx, vm->ask.uri))
		return PST_EXIT_USAGE;
	if (!q->is_part && (!q->memory || !q->vcpus))
		return pst_cmd_usage(vm->ctx,
				     "--memory and --vcpus are needed");
	if (!q->is_part && !pst_name_is_good(q->name))
		return pst_cmd_usage(vm->ctx,
				     "\"%.80s\" is not a valid domain name: 1 "
				     "to %u letters, digits, \"-\", \"_\" and "
				     "\".\", a letter or digit first",
				     q->name, PST_NAME_MAX);
	r = connect_virt(vm, must);
	if (r == PST_EXIT_OK && vm->defines)
		vm->lock_fd = pst_vm_lock(PST_VM_LOCK, &vm->ask.talk);
	return r;
}

void pst_cmd_vm_end(struct pst_cmd_vm *vm)
{
	pst_close_fd(vm->lock_fd);
	if (vm->ask.virt)
		vm->ask.api->virt_close(vm->ask.virt);
}

int pst_cmd_vm_draft(const struct pst_cmd_vm *vm, struct pst_vm_draft *ret)
{
	struct pst_vm_ask ask = vm->ask;
	struct pst_error err;
	int r;

	if (!ask.q.region_size)
		ask.q.region_size = PST_CMD_VM_REGION;
	r = pst_vm_draft_make(&ask, ret, &err);
	/* As all notes: not beside what is wrong by itself. */
	if (r != -EINVAL && vm->no_virt.code)
		fprintf(stderr,
			"%s: note: %s; the CIDs of its domains are unknown\n",
			vm->ctx->path, vm->no_virt.text);
	if (r == 0)
		return PST_EXIT_OK;
	if (r == -EINVAL)
		return pst_cmd_usage(vm->ctx, "%s", err.text);
	pst_cmd_fail(vm->ctx, "%s", err.text);
	return pst_cmd_vm_exit(r);
}
