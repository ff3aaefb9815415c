/* SPDX-License-Identifier: MIT */
/* Turns a user's request and a host's state into a configuration. */
#include "libvirt-xml/plan/plan.h"

#include <inttypes.h>
#include <string.h>

#include "kernel-params/check/verdict.h"
#include "libvirt-xml/plan/firmware.h"
#include "libvirt-xml/plan/pin.h"
#include "transport/base/group.h"

#define HUGE_DIR  "/dev/hugepages"
#define SHM_DIR   "/dev/shm"
#define TABLE_MAX (256U << 10)
/* Of a hugepage. */
#define PAGE_SHIFT 21

/* ---- The region --------------------------------------------------------- */

/* Whether the host has a group of that name. */
static bool has_group(const struct pst_host *h, const char *name)
{
	PST_CLEANUP_FREE char *text = NULL;
	size_t n, len = strlen(name);
	const char *p;

	if (pst_host_root_read(h->root, "/etc/group", TABLE_MAX, &text, &n) < 0)
		return false;
	for (p = text; p; p = strchr(p, '\n')) {
		p += *p == '\n';
		if (strncmp(p, name, len) == 0 && p[len] == ':')
			return true;
	}
	return false;
}

static int plan_region(const struct pst_vm_request *q, const struct pst_host *h,
		       struct pst_vm_config *c, struct pst_error *err)
{
	struct pst_vm_region *r = &c->region;
	const struct pst_host_hugetlbfs *huge =
		pst_host_mounts_2m(&h->files.mounts);
	const char *group = q->group, *dir = huge ? huge->path : HUGE_DIR;
	gid_t gid;
	int n;

	r->via = q->via;
	if (r->via == PST_VM_VIA_AUTO)
		r->via = pst_vm_via_choose(h->cpu.vendor == PST_HOST_CPU_AMD,
					   c->firmware.uefi);
	r->size = q->region_size;
	r->node = c->node;
	if (r->via == PST_VM_VIA_SHMEM)
		dir = SHM_DIR;
	n = q->region_path
		    ? snprintf(r->path, sizeof(r->path), "%s", q->region_path)
		    : snprintf(r->path, sizeof(r->path), "%s/penstock-%s", dir,
			       q->name);
	if (n < 0 || (size_t)n >= sizeof(r->path))
		return pst_error_set(err, -EINVAL,
				     "the region's path is too long");
	if (!group && has_group(h, "kvm"))
		group = "kvm";
	/* Not every group of a host is in its file, which is all that another
	 * machine's tree has. */
	if (group && h->root->live && pst_group_find(group, &gid) < 0)
		return pst_error_set(err, -EINVAL, "there is no group \"%s\"",
				     group);
	n = snprintf(r->group, sizeof(r->group), "%s", group ? group : "");
	if ((size_t)n >= sizeof(r->group))
		return pst_error_set(err, -EINVAL,
				     "the region's group is too long");
	return 0;
}

/* ---- Memory ------------------------------------------------------------- */

/* What of the pool the domain takes: its memory, and a region on hugetlbfs. */
static void pool_wants(const struct pst_vm_config *c, uint64_t *ret_memory,
		       uint64_t *ret_region)
{
	*ret_memory = c->memory_from == PST_VM_MEMORY_HUGEPAGES ? c->memory : 0;
	*ret_region = strncmp(c->region.path, SHM_DIR "/", 9) == 0
			      ? 0
			      : c->region.size;
}

static int check_pool(const struct pst_vm_request *q, const struct pst_host *h,
		      const struct pst_vm_config *c, struct pst_vm_notes *notes,
		      struct pst_error *err)
{
	const struct pst_host_hugepool *pool =
		pst_host_memory_pool(&h->memory, PST_HOST_HUGE_2M, -1);
	const struct pst_host_hugepool *own =
		pst_host_memory_pool(&h->memory, PST_HOST_HUGE_2M, c->node);
	uint64_t have = pst_host_hugepool_size(pool), memory, region, more;

	pool_wants(c, &memory, &region);
	if (q->pool == PST_VM_POOL_NOW && memory > have)
		return pst_error_set(
			err, -ENOSPC,
			"%" PRIu64 " MiB of memory are more than the pool of 2 "
			"MiB hugepages has (%" PRIu64 " MiB): penstock host "
			"plan --vm-memory, --hugepages later when a hook "
			"reserves them at start, or --hugepages no",
			memory >> 20, have >> 20);
	more = memory + region;
	if (q->pool != PST_VM_POOL_LATER && more > have)
		pst_vm_note(notes,
			    "memory and region together want %" PRIu64
			    " hugepages of 2 MiB, and the pool has %" PRIu64
			    ": %" PRIu64
			    " more are needed before the domain starts "
			    "(vm.nr_hugepages, or penstock host plan)",
			    more >> PAGE_SHIFT, have >> PAGE_SHIFT,
			    (more - have) >> PAGE_SHIFT);
	else if (c->node >= 0 && own && more > pst_host_hugepool_size(own) &&
		 q->pool != PST_VM_POOL_LATER)
		pst_vm_note(notes,
			    "NUMA node %d, the card's, has %" PRIu64
			    " of the %" PRIu64 " hugepages that memory and "
			    "region want: the rest comes from other nodes",
			    c->node, own->nr, more >> PAGE_SHIFT);
	return 0;
}

static int check_memory(const struct pst_host *h, const struct pst_vm_config *c,
			struct pst_vm_notes *notes, struct pst_error *err)
{
	static const struct pst_host_claims none;
	const uint64_t want = c->memory + c->region.size;
	struct pst_host_room room, all;

	pst_host_room_judge(h, &none, -1, want, &room);
	pst_host_room_judge(h, &h->claims, -1, want, &all);
	if (room.state == PST_HOST_ROOM_NONE)
		return pst_error_set(err, -ENOSPC,
				     "%" PRIu64 " MiB of memory and region are "
				     "more than the host has (%" PRIu64 " MiB)",
				     want >> 20, room.total >> 20);
	if (room.state == PST_HOST_ROOM_LITTLE)
		pst_vm_note(notes,
			    "%" PRIu64 " MiB of memory and region leave less "
			    "than an eighth of the host's %" PRIu64
			    " MiB to it: take less --memory or --region",
			    want >> 20, room.total >> 20);
	/* They need not run at the same time, and the guest may have the large
	 * pages. */
	else if (all.state != PST_HOST_ROOM_ENOUGH)
		pst_vm_note(notes,
			    "%" PRIu64 " MiB of memory and region and what "
			    "others take (%s) leave little of the host's "
			    "%" PRIu64 " MiB",
			    want >> 20, all.why, all.total >> 20);
	return 0;
}

/* ---- Processors, firmware ----------------------------------------------- */

static int plan_pin(const struct pst_vm_request *q, const struct pst_host *h,
		    struct pst_vm_config *c, struct pst_vm_notes *notes,
		    struct pst_error *err)
{
	const struct pst_host_cpu *cpu = &h->cpu;
	const bool wanted = q->pin && strcmp(q->pin, "auto") == 0;
	int r;

	c->pin.threads = 1;
	if (cpu->n_threads && q->vcpus > cpu->n_threads)
		pst_vm_note(notes, "%u vCPUs are more than the %zu CPUs here",
			    q->vcpus, cpu->n_threads);
	if (q->pin && strcmp(q->pin, "none") == 0)
		return 0;
	if (q->pin && !wanted)
		return pst_vm_pin_list(cpu->thread, cpu->n_threads, q->pin,
				       q->vcpus, &c->pin, err);
	if (!q->gpu && !wanted)
		return 0;
	r = pst_vm_pin_choose(cpu->thread, cpu->n_threads, c->node, q->vcpus,
			      &c->pin, err);
	if (r == 0 || wanted || r == -EINVAL)
		return r;
	/* Nobody asked: unpinned vCPUs work too. */
	pst_vm_note(notes, "vCPUs are not pinned: %s", err->text);
	return 0;
}

/* CODE:VARS */
static int named_firmware(const char *text, struct pst_vm_firmware *f,
			  struct pst_error *err)
{
	const char *colon = strchr(text, ':');
	size_t n = colon ? (size_t)(colon - text) : 0;

	if (!n || n >= sizeof(f->code) || text[0] != '/' || colon[1] != '/' ||
	    strlen(colon + 1) >= sizeof(f->vars_template))
		return pst_error_set(err, -EINVAL,
				     "--firmware: \"%s\" is neither auto, bios "
				     "nor two paths, CODE:VARS",
				     text);
	memcpy(f->code, text, n);
	strcpy(f->vars_template, colon + 1);
	f->uefi = true;
	return 0;
}

static int plan_firmware(const struct pst_vm_request *q,
			 const struct pst_host *h, struct pst_vm_config *c,
			 struct pst_vm_notes *notes, struct pst_error *err)
{
	const char *home = h->root->live ? secure_getenv("HOME") : NULL;
	struct pst_vm_firmware *f = &c->firmware;
	const char *what = q->firmware;
	char config[256] = "";
	int r = 0;

	/* A kernel that QEMU loads itself needs no boot loader. */
	if (!what)
		what = q->kernel ? "bios" : "auto";
	if (strcmp(what, "bios") == 0)
		return 0;
	if (home && strlen(home) < 200)
		snprintf(config, sizeof(config), "%s/.config", home);
	if (strcmp(what, "auto") != 0)
		r = named_firmware(what, f, err);
	else
		r = pst_vm_firmware_find(h->root, *config ? config : NULL, f,
					 err);
	if (r < 0)
		return r;
	/* libvirt 9 then defines a domain without a loader, which does not
	 * boot, and later ones speak of a configuration. */
	if (f->by_libvirt && q->is_final)
		return pst_error_set(
			err, -ENOENT,
			"there is no UEFI firmware (OVMF) for a q35 guest "
			"here: install the package ovmf (Debian, Ubuntu) or "
			"edk2-ovmf (Arch, Fedora), name one with --firmware "
			"CODE:VARS, or boot by BIOS: --firmware bios");
	if (f->by_libvirt)
		pst_vm_note(notes, "no OVMF was found here (package ovmf, or "
				   "edk2-ovmf): libvirt chooses one itself "
				   "where the domain is defined (--firmware "
				   "names one, or is bios)");
	if (snprintf(f->vars, sizeof(f->vars), "%s%s%s",
		     q->nvram ? q->nvram : PST_VM_NVRAM_DIR "/",
		     q->nvram ? "" : q->name,
		     q->nvram ? "" : "_VARS.fd") >= (int)sizeof(f->vars))
		return pst_error_set(err, -EINVAL, "--nvram is too long");
	return 0;
}

/* Files and devices that QEMU opens; a tree of another machine may lack them.
 */
static void note_devices(const struct pst_vm_request *q,
			 const struct pst_host *h, struct pst_vm_notes *notes)
{
	const char *const files[] = {q->rom, q->kernel, q->initrd};
	size_t i;

	if (!q->emulated && !pst_host_root_exists(h->root, "/dev/kvm"))
		pst_vm_note(notes, "there is no /dev/kvm: the processor's "
				   "virtualisation is off, or modprobe "
				   "kvm_intel or kvm_amd");
	for (i = 0; i < PST_ARRAY_SIZE(files); i++)
		if (files[i] && files[i][0] == '/' &&
		    !pst_host_root_exists(h->root, files[i]))
			pst_vm_note(notes, "%s does not exist", files[i]);
	if (!q->vsock_uds && !pst_host_root_exists(h->root, "/dev/vhost-vsock"))
		pst_vm_note(notes, "there is no /dev/vhost-vsock: modprobe "
				   "vhost_vsock before the domain starts");
}

int pst_vm_plan(const struct pst_vm_request *q, const struct pst_host *h,
		struct pst_vm_config *ret, struct pst_vm_notes *notes,
		struct pst_error *err)
{
	struct pst_vm_config *c = ret;
	int r;

	*c = (struct pst_vm_config){
		.name = q->name,
		.emulated = q->emulated,
		.memory = q->memory,
		.memory_from = q->pool == PST_VM_POOL_NONE
				       ? PST_VM_MEMORY_PLAIN
				       : PST_VM_MEMORY_HUGEPAGES,
		.vcpus = q->vcpus,
		.rom = q->rom,
		.hide_kvm = q->hide_kvm,
		.vendor_id = q->vendor_id,
		.cid = q->cid,
		.vsock_socket = q->vsock_socket,
		.vsock_uds = q->vsock_uds,
		.port = q->port,
		.network = q->network,
		.kernel = q->kernel,
		.initrd = q->initrd,
		.append = q->append,
		.serial_log = q->serial_log,
		.emulator = q->emulator,
	};
	if (!q->disk && !q->kernel && !q->is_part)
		return pst_error_set(err, -EINVAL,
				     "nothing to boot from: --disk (or "
				     "--kernel) is needed");
	note_devices(q, h, notes);
	r = pst_vm_plan_disk(q, h, c, notes, err);
	if (r == 0)
		r = pst_vm_plan_gpu(q, h, c, notes, err);
	if (r == 0)
		r = plan_firmware(q, h, c, notes, err);
	if (r == 0)
		r = plan_region(q, h, c, err);
	if (r == 0)
		r = pst_vm_config_check(c, err);
	if (r == 0)
		r = check_memory(h, c, notes, err);
	if (r == 0)
		r = check_pool(q, h, c, notes, err);
	if (r == 0)
		r = plan_pin(q, h, c, notes, err);
	/* QEMU's "host" leaves it out: [qemu: target/i386/cpu.c, TOPOEXT]. */
	c->topoext = h->cpu.vendor == PST_HOST_CPU_AMD && !q->emulated &&
		     c->pin.threads > 1;
	return r;
}
