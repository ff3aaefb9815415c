/* SPDX-License-Identifier: MIT */
/* The options that describe a domain, and the configuration out of them. */
#include <fcntl.h>
#include <linux/vhost.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <time.h>

#include "host-client/cli/vm/cmd_vm.h"
#include "libvirt-xml/schema.h"

#define MAX_VCPUS PST_VM_MAX_VCPUS
/* A CID of 2^32 - 1 is VMADDR_CID_ANY. */
#define MAX_CID (UINT32_MAX - 1)
/* Everybody can lock it, and it is there; how long another one may take. */
#define LOCK_DIR "/run"
#define LOCK_NS  (30 * PST_NS_PER_S)
/* Further CIDs tried above those that libvirt knows. */
#define N_CIDS 256

/* ---- Options ------------------------------------------------------------ */

static bool opt_cid(const struct pst_cmd_ctx *ctx, struct pst_cmd_vm_ask *ask)
{
	uint64_t cid;

	if (strcmp(optarg, "auto") == 0) {
		ask->cid_given = false;
		return true;
	}
	if (!pst_cmd_arg_u64(ctx, "--cid", optarg, PST_VM_FIRST_CID, MAX_CID,
			     &cid))
		return false;
	ask->q.cid = (uint32_t)cid;
	ask->cid_given = true;
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
	static const char *const names[] = {
		[PST_VM_POOL_NOW] = "now",
		[PST_VM_POOL_LATER] = "later",
		[PST_VM_POOL_NONE] = "no",
	};
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(names); i++) {
		if (strcmp(optarg, names[i]) == 0) {
			q->pool = (enum pst_vm_pool)i;
			return true;
		}
	}
	pst_cmd_usage(ctx, "--hugepages: \"%s\" is not now, later or no",
		      optarg);
	return false;
}

static bool opt_checked(const struct pst_cmd_ctx *ctx, int opt,
			struct pst_cmd_vm_ask *ask)
{
	struct pst_vm_request *q = &ask->q;
	uint64_t n;

	switch (opt) {
	case PST_OPT_VM_MEMORY:
		return pst_cmd_arg_size(ctx, "--memory", optarg, &q->memory);
	case PST_OPT_VM_REGION:
		return pst_cmd_arg_size(ctx, "--region", optarg,
					&q->region_size);
	case PST_OPT_VM_VCPUS:
		if (!pst_cmd_arg_u64(ctx, "--vcpus", optarg, 1, MAX_VCPUS, &n))
			return false;
		q->vcpus = (uint32_t)n;
		return true;
	case PST_OPT_VM_VIA:
		if (pst_vm_via_parse(optarg, &q->via) == 0)
			return true;
		pst_cmd_usage(ctx,
			      "--region-via: \"%s\" is not auto, ivshmem, "
			      "nvdimm or shmem",
			      optarg);
		return false;
	case PST_OPT_VM_CID:
		return opt_cid(ctx, ask);
	case PST_OPT_VM_VSOCK:
		return opt_vsock(ctx, q);
	case PST_OPT_VM_HUGEPAGES:
		return opt_hugepages(ctx, q);
	}
	return false;
}

bool pst_cmd_vm_opt(const struct pst_cmd_ctx *ctx, int opt,
		    struct pst_cmd_vm_ask *ask)
{
	struct pst_vm_request *q = &ask->q;
	const struct {
		int opt;
		const char **to;
	} texts[] = {
		{PST_OPT_VM_GPU, &q->gpu},
		{PST_OPT_VM_DISK, &q->disk},
		{PST_OPT_VM_DISK_FORMAT, &q->disk_format},
		{PST_OPT_VM_DISK_BACKING, &q->disk_backing},
		{PST_OPT_VM_REGION_PATH, &q->region_path},
		{PST_OPT_VM_GROUP, &q->group},
		{PST_OPT_VM_ROM, &q->rom},
		{PST_OPT_VM_VENDOR_ID, &q->vendor_id},
		{PST_OPT_VM_PIN, &q->pin},
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
	return opt_checked(ctx, opt, ask);
}

/* ---- The CID ------------------------------------------------------------ */

/* Whether a guest of this host has it now; only the kernel knows those that
 * libvirt did not start. */
static bool cid_runs(int vhost_fd, uint32_t cid)
{
	uint64_t v = cid;

	return vhost_fd >= 0 &&
	       ioctl(vhost_fd, VHOST_VSOCK_SET_GUEST_CID, &v) < 0 &&
	       errno == EADDRINUSE;
}

/* The domain that has it, other than name; NULL: none. */
static const struct pst_virt_entry *cid_owner(const struct pst_virt_entry *list,
					      int n, uint32_t cid,
					      const char *name)
{
	int i;

	for (i = 0; i < n; i++)
		if (list[i].cid == cid && strcmp(list[i].name, name) != 0)
			return &list[i];
	return NULL;
}

static uint32_t own_cid(const struct pst_virt_entry *list, int n,
			const char *name)
{
	int i;

	for (i = 0; i < n; i++)
		if (strcmp(list[i].name, name) == 0)
			return list[i].cid;
	return 0;
}

/* Two domains with one region would write over each other. */
static int check_region(const struct pst_cmd_ctx *ctx,
			const struct pst_vm_request *q,
			const struct pst_virt_entry *list, int n)
{
	int i;

	for (i = 0; i < n && q->region_path; i++)
		if (strcmp(list[i].name, q->name) != 0 &&
		    strcmp(list[i].region, q->region_path) == 0)
			return pst_cmd_fail(ctx,
					    "the region %s is domain %s's "
					    "already",
					    q->region_path, list[i].name);
	return PST_EXIT_OK;
}

static int choose_cid(const struct pst_cmd_ctx *ctx, struct pst_cmd_vm_ask *ask,
		      const struct pst_virt_entry *list, int n)
{
	PST_CLEANUP_FD int fd = -1;
	const struct pst_virt_entry *owner;
	struct pst_vm_request *q = &ask->q;
	uint32_t cid, own;

	/* Such a device's CID is its daemon's matter. */
	if (q->vsock_socket)
		return PST_EXIT_OK;
	if (strcmp(ask->root, "/") == 0)
		fd = open("/dev/vhost-vsock", O_RDWR | O_CLOEXEC);
	own = own_cid(list, n, q->name);
	if (ask->cid_given) {
		owner = cid_owner(list, n, q->cid, q->name);
		if (owner)
			return pst_cmd_fail(ctx,
					    "CID %u is domain %s's already",
					    q->cid, owner->name);
		if (q->cid != own && cid_runs(fd, q->cid))
			return pst_cmd_fail(ctx, "CID %u is a running guest's",
					    q->cid);
		return PST_EXIT_OK;
	}
	q->cid = own;
	if (own)
		return PST_EXIT_OK;
	for (cid = PST_VM_FIRST_CID;
	     cid < PST_VM_FIRST_CID + (uint32_t)n + N_CIDS; cid++) {
		if (cid_owner(list, n, cid, q->name) || cid_runs(fd, cid))
			continue;
		q->cid = cid;
		return PST_EXIT_OK;
	}
	return pst_cmd_fail(ctx, "no CID is free: name one with --cid");
}

/* ---- The plan ----------------------------------------------------------- */

/* Without --uri, and with another machine's files, a libvirt that is not there
 * is none. */
static int connect_virt(const struct pst_cmd_ctx *ctx,
			struct pst_cmd_vm_ask *ask, struct pst_cmd_vm_plan *p)
{
	const bool wanted = ask->defines || ask->uri;
	struct pst_error err;
	int rc;

	if (!wanted && (!p->api || strcmp(ask->root, "/") != 0))
		return PST_EXIT_OK;
	if (wanted)
		return pst_cmd_vm_connect(ctx, ask->uri, &p->api, &p->virt);
	if (!p->api->has_libvirt)
		return PST_EXIT_OK;
	rc = p->api->virt_open(ask->uri, &p->virt, &err);
	if (rc)
		pst_vm_note(&p->notes,
			    "%s; the CIDs of its domains are not "
			    "looked at",
			    err.text);
	return PST_EXIT_OK;
}

static int ask_virt(const struct pst_cmd_ctx *ctx, struct pst_cmd_vm_ask *ask,
		    struct pst_cmd_vm_plan *p)
{
	PST_CLEANUP_FREE struct pst_virt_entry *list = NULL;
	struct pst_error err;
	int n = 0;

	if (p->virt) {
		p->libvirt_version = p->api->virt_version(p->virt);
		n = p->api->virt_list(p->virt, &list, &err);
		if (n < 0) {
			pst_cmd_fail(ctx, "%s", err.text);
			return pst_cmd_vm_exit(n);
		}
	} else if (p->api && p->api->has_libvirt) {
		p->libvirt_version = p->api->virt_library_version();
	}
	if (check_region(ctx, &ask->q, list, n))
		return PST_EXIT_FAILED;
	return choose_cid(ctx, ask, list, n);
}

/* A guest writes what it likes into a raw disk: one that is there keeps its
 * format. */
static void keep_format(struct pst_cmd_vm_ask *ask,
			const struct pst_cmd_vm_plan *p)
{
	PST_CLEANUP_FREE struct pst_vm_info *info = calloc(1, sizeof(*info));

	if (!info || !p->virt || !ask->q.disk ||
	    p->api->virt_info(p->virt, ask->q.name, false, info, NULL) ||
	    !info->ours || strcmp(info->disk, ask->q.disk) != 0 ||
	    !info->disk_format[0])
		return;
	strcpy(ask->disk_format, info->disk_format);
	ask->q.known_disk_format = ask->disk_format;
}

/* From the choice of a CID to the definition there is one of us: until the
 * descriptor is closed. libvirt finds a clash only when domains start. */
static int lock(struct pst_vm_notes *notes)
{
	const struct timespec pause = {.tv_nsec = 100 * PST_NS_PER_MS};
	uint64_t deadline = pst_now_ns() + LOCK_NS;
	int fd = open(LOCK_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	while (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0 &&
	       errno == EWOULDBLOCK) {
		if (pst_now_ns() >= deadline) {
			pst_vm_note(notes, "somebody else has locked " LOCK_DIR
					   " for long: another definition may "
					   "choose the same CID");
			break;
		}
		nanosleep(&pause, NULL);
	}
	return fd;
}

static void print_notes(const struct pst_cmd_ctx *ctx,
			const struct pst_vm_notes *notes)
{
	size_t i;

	for (i = 0; i < notes->n; i++)
		fprintf(stderr, "%s: note: %s\n", ctx->path, notes->text[i]);
}

int pst_cmd_vm_plan(const struct pst_cmd_ctx *ctx, struct pst_cmd_vm_ask *ask,
		    struct pst_cmd_vm_plan *p)
{
	struct pst_error err;
	int rc;

	p->lock_fd = -1;
	if (ask->defines && !pst_cmd_vm_is_local(ctx, ask->uri))
		return PST_EXIT_USAGE;
	if (!ask->q.memory || !ask->q.vcpus)
		return pst_cmd_usage(ctx, "--memory and --vcpus are needed");
	rc = pst_vm_host_open(ask->root, &p->host, &err);
	if (rc)
		return pst_cmd_fail(ctx, "%s", err.text);
	rc = connect_virt(ctx, ask, p);
	if (rc == PST_EXIT_OK && ask->defines)
		p->lock_fd = lock(&p->notes);
	if (rc == PST_EXIT_OK)
		rc = ask_virt(ctx, ask, p);
	if (rc)
		return rc;
	keep_format(ask, p);
	rc = pst_vm_plan(&ask->q, &p->host, &p->config, &p->notes, &err);
	if (rc == -EINVAL)
		return pst_cmd_usage(ctx, "%s", err.text);
	print_notes(ctx, &p->notes);
	if (rc)
		return pst_cmd_fail(ctx, "%s", err.text);
	return PST_EXIT_OK;
}

void pst_cmd_vm_unplan(struct pst_cmd_vm_plan *p)
{
	if (p->virt)
		p->api->virt_close(p->virt);
	pst_close_fd(p->lock_fd);
	pst_vm_host_close(&p->host);
}

int pst_cmd_vm_domain(const struct pst_cmd_ctx *ctx,
		      const struct pst_cmd_vm_plan *p, char **ret)
{
	struct pst_error err;
	int rc;

	if (p->libvirt_version &&
	    p->api->domain_limits(&p->config, p->libvirt_version, &err))
		fprintf(stderr, "%s: note: %s\n", ctx->path, err.text);
	rc = p->api->domain_xml(&p->config, p->libvirt_version, ret, &err);
	if (rc)
		return pst_cmd_fail(ctx, "%s", err.text);
	rc = p->api->schema_check(*ret, PST_VM_SCHEMA, &err);
	if (rc == 0 || rc == -ENOENT)
		return PST_EXIT_OK;
	free(*ret);
	*ret = NULL;
	return pst_cmd_fail(ctx, "%s", err.text);
}
