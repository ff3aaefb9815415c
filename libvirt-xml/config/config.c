/* SPDX-License-Identifier: MIT */
/* The configuration of a virtual machine, for any VMM. */
#include "libvirt-xml/config/config.h"

#include <inttypes.h>
#include <string.h>

#include "kernel-params/machine/hugepages.h"
#include "transport/base/region_size.h"
#include "transport/base/text.h"
#include "transport/base/uri.h"

/* A guest with a kernel in it, and one that libvirt counts in KiB. */
#define MEMORY_MIN (64ULL << 20)
#define MEMORY_MAX (1ULL << 46)
/*
 * What QEMU locks or allocates beside the guest's memory: 1 GiB is what libvirt
 * itself allows for VFIO (qemuDomainGetMemLockLimitBytes); another one is for
 * the hard limit being a limit of QEMU's whole memory, where the cgroup counts
 * it: heap, page tables, I/O buffers.
 */
#define OVERHEAD (2ULL << 30)
/* PCI BARs are powers of two; libvirt's shmem wants 1 MiB at least. */
#define BAR_MIN (1ULL << 20)

static const char *const via_names[] = {
	[PST_VM_VIA_AUTO] = "auto",
	[PST_VM_VIA_IVSHMEM] = "ivshmem",
	[PST_VM_VIA_NVDIMM] = "nvdimm",
	[PST_VM_VIA_SHMEM] = "shmem",
};

const char *pst_vm_via_name(enum pst_vm_via via)
{
	return via_names[via];
}

int pst_vm_via_parse(const char *text, enum pst_vm_via *ret)
{
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(via_names); i++) {
		if (strcmp(text, via_names[i]) == 0) {
			*ret = (enum pst_vm_via)i;
			return 0;
		}
	}
	return -EINVAL;
}

enum pst_vm_via pst_vm_via_choose(bool amd, bool uefi)
{
	return amd || uefi ? PST_VM_VIA_NVDIMM : PST_VM_VIA_IVSHMEM;
}

static int check_name(const char *name, struct pst_error *err)
{
	if (name && pst_name_is_good(name))
		return 0;
	return pst_error_set(err, -EINVAL,
			     "\"%.80s\" is not a valid domain name: 1 to %u "
			     "letters, digits, \"-\", \"_\" and \".\", a "
			     "letter or digit first",
			     name ? name : "", PST_NAME_MAX);
}

/* XML 1.0 has no control characters, and QEMU's options no line breaks. XML,
 * JSON and systemd take no text that is no UTF-8. */
static int check_text(const char *what, const char *text, bool is_path,
		      struct pst_error *err)
{
	const char *p;

	if (!text)
		return 0;
	if (!*text && is_path)
		return pst_error_set(err, -EINVAL, "%s is empty", what);
	for (p = text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return pst_error_set(err, -EINVAL,
					     "%s has a control character: %s",
					     what, text);
	if (!pst_utf8_is_valid(text))
		return pst_error_set(err, -EINVAL, "%s is not UTF-8: %s", what,
				     text);
	if (is_path && text[0] != '/')
		return pst_error_set(err, -EINVAL,
				     "%s has to be an absolute path, not "
				     "\"%s\"",
				     what, text);
	return 0;
}

static const char *unless_empty(const char *text)
{
	return *text ? text : NULL;
}

static int check_texts(const struct pst_vm_config *c, struct pst_error *err)
{
	const struct pst_vm_firmware *f = &c->firmware;
	const struct {
		const char *what, *text;
		bool is_path;
	} texts[] = {
		{"--disk", c->disk, true},
		{"--disk-backing", c->disk_backing, true},
		{"--rom", c->rom, true},
		{"the region's file", c->region.path, true},
		{"the firmware", unless_empty(f->code), true},
		{"the firmware's variables", unless_empty(f->vars_template),
		 true},
		{"--nvram", f->uefi ? f->vars : NULL, true},
		{"--kernel", c->kernel, true},
		{"--initrd", c->initrd, true},
		{"--append", c->append, false},
		{"--network", c->network, false},
		{"--serial-log", c->serial_log, true},
		{"--emulator", c->emulator, true},
		{"--vsock", c->vsock_socket, true},
		{"--vsock-uds", c->vsock_uds, true},
	};
	size_t i;
	int r = 0;

	for (i = 0; i < PST_ARRAY_SIZE(texts) && r == 0; i++)
		r = check_text(texts[i].what, texts[i].text, texts[i].is_path,
			       err);
	return r;
}

/* It is a word of the unit's settings too. */
static int check_group(const char *group, struct pst_error *err)
{
	static const char set[] = "abcdefghijklmnopqrstuvwxyz"
				  "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				  "0123456789._-";

	if (strspn(group, set) == strlen(group) && group[0] != '-')
		return 0;
	return pst_error_set(err, -EINVAL,
			     "--group: \"%s\" is no name of a group", group);
}

static int check_region(const struct pst_vm_region *r, struct pst_error *err)
{
	const bool bar = r->via != PST_VM_VIA_NVDIMM;
	const char *slash = strrchr(r->path, '/');

	if (!slash || !slash[1])
		return pst_error_set(err, -EINVAL,
				     "the region is a file, and \"%s\" names a "
				     "directory",
				     r->path);
	if (pst_region_check_size(r->size, err) < 0)
		return -EINVAL;
	if (bar && ((r->size & (r->size - 1)) || r->size < BAR_MIN))
		return pst_error_set(err, -EINVAL,
				     "a region of %" PRIu64
				     " MiB cannot be a PCI BAR, which is a "
				     "power of two; nvdimm takes any multiple "
				     "of 2 MiB",
				     r->size >> 20);
	if (r->via == PST_VM_VIA_SHMEM &&
	    (strncmp(r->path, "/dev/shm/", 9) != 0 || strchr(r->path + 9, '/')))
		return pst_error_set(err, -EINVAL,
				     "libvirt's shmem is a file in /dev/shm, "
				     "not %s",
				     r->path);
	return 0;
}

static int check_vendor_id(const char *id, struct pst_error *err)
{
	const char *p;

	if (!id)
		return 0;
	for (p = id; *p; p++)
		if (*p <= ' ' || *p > '~' || *p == ',')
			break;
	if (*p || p == id || p - id > PST_VM_VENDOR_ID_MAX)
		return pst_error_set(err, -EINVAL,
				     "a vendor id has 1 to %u printable "
				     "characters and no comma: \"%s\"",
				     PST_VM_VENDOR_ID_MAX, id);
	return 0;
}

static int check_sizes(const struct pst_vm_config *c, struct pst_error *err)
{
	if (c->memory < MEMORY_MIN || c->memory > MEMORY_MAX ||
	    c->memory % PST_HOST_HUGE_2M)
		return pst_error_set(err, -EINVAL,
				     "%" PRIu64
				     " bytes of guest memory: it has to be a "
				     "multiple of 2 MiB, from 64 MiB to 64 TiB",
				     c->memory);
	if (c->vcpus < 1 || c->vcpus > PST_VM_MAX_VCPUS)
		return pst_error_set(err, -EINVAL,
				     "%u vCPUs: from 1 to %u are possible",
				     c->vcpus, PST_VM_MAX_VCPUS);
	if (!c->vsock_socket && c->cid < PST_VM_FIRST_CID)
		return pst_error_set(err, -EINVAL,
				     "CID %u belongs to the host; a guest's is "
				     "%u or more",
				     c->cid, PST_VM_FIRST_CID);
	if (!c->vsock_socket && c->cid == UINT32_MAX)
		return pst_error_set(err, -EINVAL,
				     "CID %u means \"any\" and is nobody's",
				     c->cid);
	if (c->rom && c->n_gpu == 0)
		return pst_error_set(err, -EINVAL,
				     "--rom is of a card, and none is passed "
				     "through");
	return 0;
}

int pst_vm_config_check(const struct pst_vm_config *c, struct pst_error *err)
{
	int r;

	r = check_name(c->name, err);
	if (r == 0)
		r = check_texts(c, err);
	if (r == 0)
		r = check_sizes(c, err);
	if (r == 0)
		r = check_region(&c->region, err);
	if (r == 0)
		r = check_group(c->region.group, err);
	if (r == 0)
		r = check_vendor_id(c->vendor_id, err);
	if (r == 0 && (c->initrd || c->append) && !c->kernel)
		r = pst_error_set(err, -EINVAL,
				  "--initrd and --append go with --kernel");
	if (r == 0 && c->vsock_socket && !c->vsock_uds)
		r = pst_error_set(err, -EINVAL,
				  "a vhost-user vsock device needs the "
				  "socket on the host too: --vsock-uds");
	return r;
}

uint64_t pst_vm_memlock(const struct pst_vm_config *c)
{
	uint64_t sum = c->memory + c->region.size + OVERHEAD;
	uint32_t i;

	if (c->n_gpu == 0)
		return 0;
	for (i = 0; i < c->n_gpu; i++)
		if (pst_add_overflow(sum, c->gpu[i].bars, &sum))
			return UINT64_MAX;
	return sum;
}

int pst_vm_config_endpoint(const struct pst_vm_config *c, char *ret,
			   size_t size, struct pst_error *err)
{
	char port[32];
	int r = 0;

	snprintf(port, sizeof(port), ":%u?region=", c->port);
	if (c->vsock_socket) {
		snprintf(ret, size, "vsock-uds://");
		r = pst_uri_append(ret, size, c->vsock_uds);
	} else {
		snprintf(ret, size, "vsock://%u", c->cid);
	}
	if (r == 0 && strlen(ret) + strlen(port) < size)
		r = pst_uri_append(strcat(ret, port), size, c->region.path);
	else
		r = -EMSGSIZE;
	if (r < 0)
		return pst_error_set(err, r, "the endpoint's text is too long");
	return 0;
}
