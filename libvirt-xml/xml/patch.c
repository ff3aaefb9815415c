/* SPDX-License-Identifier: MIT */
/* Adds to an existing domain what it lacks for Penstock. */
#include "libvirt-xml/xml/patch.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "libvirt-xml/config/argv.h"
#include "libvirt-xml/xml/domain_int.h"
#include "libvirt-xml/xml/info.h"
#include "libvirt-xml/xml/secrets.h"
#include "libvirt-xml/xml/splice.h"
#include "libvirt-xml/xml/xml.h"

/* Each of these returns false when there is no memory. */
struct patch {
	xmlNode *domain;
	xmlNode *devices;
	const struct pst_vm_config *c;
	const struct pst_vm_info *info;
};

/* The child of that name, made when it is missing. */
static xmlNode *need(xmlNode *parent, const char *name)
{
	xmlNode *node = pst_vm_xml_child(parent, name);

	return node ? node : pst_vm_xml_add(parent, name);
}

/* ---- The region --------------------------------------------------------- */

static bool text_is(const xmlNode *node, const char *text)
{
	char have[PATH_MAX];

	return pst_vm_xml_get_text(node, have, sizeof(have)) &&
	       strcmp(have, text) == 0;
}

static bool has_nvdimm(const struct patch *p)
{
	const xmlNode *n;

	for (n = pst_vm_xml_child(p->devices, "memory"); n;
	     n = pst_vm_xml_next(n, "memory"))
		if (text_is(pst_vm_xml_at(n, "source/path"), p->c->region.path))
			return true;
	return false;
}

static bool has_shmem(const struct patch *p)
{
	const char *name = strrchr(p->c->region.path, '/');
	const xmlNode *n;
	char have[PATH_MAX];

	for (n = pst_vm_xml_child(p->devices, "shmem"); n;
	     n = pst_vm_xml_next(n, "shmem"))
		if (name &&
		    pst_vm_xml_get_attr(n, "name", have, sizeof(have)) &&
		    strcmp(have, name + 1) == 0)
			return true;
	return false;
}

/* Arguments for QEMU are found by the ids that we gave them. */
static bool has_arg(const struct patch *p, const char *part)
{
	const xmlNode *n;
	char value[2 * PATH_MAX];

	for (n = pst_vm_xml_at(p->domain, "commandline/arg"); n;
	     n = pst_vm_xml_next(n, "arg"))
		if (pst_vm_xml_get_attr(n, "value", value, sizeof(value)) &&
		    strstr(value, part))
			return true;
	return false;
}

/* An nvdimm needs a slot, and a NUMA node that it hangs on. */
static bool add_nvdimm(const struct patch *p)
{
	struct pst_vm_config c = *p->c;
	xmlNode *cpu, *node;
	char vcpus[16];

	if (!pst_vm_xml_child(p->domain, "maxMemory")) {
		node = pst_vm_xml_kib(p->domain, "maxMemory",
				      p->info->memory + c.region.size);
		if (!pst_vm_xml_attr(node, "slots", "1"))
			return false;
	}
	cpu = need(p->domain, "cpu");
	if (!pst_vm_xml_child(cpu, "numa")) {
		if (!pst_vm_xml_get_text(pst_vm_xml_child(p->domain, "vcpu"),
					 vcpus, sizeof(vcpus)))
			strcpy(vcpus, "1");
		c.vcpus = (uint32_t)strtoul(vcpus, NULL, 10);
		c.memory = p->info->memory;
		if (!pst_vm_domain_add_cell(cpu, &c))
			return false;
	}
	return pst_vm_domain_add_nvdimm(p->devices, &c) != NULL;
}

/* Slots of the root bus that devices have, and arguments for QEMU name. */
static uint32_t taken_slots(const struct patch *p)
{
	uint32_t taken = p->info->root_slots;
	char value[2 * PATH_MAX];
	const xmlNode *n;
	const char *addr;
	unsigned int slot;

	for (n = pst_vm_xml_at(p->domain, "commandline/arg"); n;
	     n = pst_vm_xml_next(n, "arg")) {
		if (!pst_vm_xml_get_attr(n, "value", value, sizeof(value)))
			continue;
		addr = strstr(value, ",addr=");
		if (addr && sscanf(addr, ",addr=%x", &slot) == 1 && slot < 32)
			taken |= 1U << slot;
	}
	return taken;
}

/* The first free slot of the root bus from first down; 0: none. */
static uint8_t free_slot(uint32_t taken, unsigned int first)
{
	unsigned int slot = first;

	while (slot && taken & 1U << slot)
		slot--;
	return (uint8_t)slot;
}

static bool add_qemu(const struct patch *p, bool ivshmem, bool vsock)
{
	struct pst_vm_config c = *p->c;
	uint32_t taken = taken_slots(p);
	xmlNode *commandline;
	xmlNs *ns;

	c.root_bus = p->info->i440fx ? "pci.0" : NULL;
	c.vsock_slot = free_slot(taken, PST_VM_VSOCK_SLOT);
	c.ivshmem_slot = free_slot(taken, PST_VM_IVSHMEM_SLOT);
	if (!c.ivshmem_slot)
		c.ivshmem_slot = c.vsock_slot;
	/* Only what is missing of the two. */
	if (!ivshmem)
		c.region.via = PST_VM_VIA_NVDIMM;
	if (!vsock)
		c.vsock_socket = NULL;
	ns = xmlSearchNsByHref(p->domain->doc, p->domain,
			       BAD_CAST PST_VM_XML_QEMU_NS);
	if (!ns)
		ns = xmlNewNs(p->domain, BAD_CAST PST_VM_XML_QEMU_NS,
			      BAD_CAST "qemu");
	commandline = pst_vm_xml_child(p->domain, "commandline");
	if (!commandline)
		commandline = pst_vm_xml_add_ns(p->domain, ns, "commandline");
	return pst_vm_domain_add_qemu_args(commandline, ns, &c) != NULL;
}

static bool add_region(const struct patch *p)
{
	switch (p->c->region.via) {
	case PST_VM_VIA_NVDIMM:
		return has_nvdimm(p) || add_nvdimm(p);
	case PST_VM_VIA_SHMEM:
		return has_shmem(p) ||
		       pst_vm_domain_add_shmem(p->devices, p->c) != NULL;
	default:
		return has_arg(p, "id=penstock-region") ||
		       add_qemu(p, true, false);
	}
}

/* ---- The rest ----------------------------------------------------------- */

static bool add_vsock(const struct patch *p)
{
	if (p->c->vsock_socket)
		return has_arg(p, "id=penstock-vsock") ||
		       add_qemu(p, false, true);
	return pst_vm_xml_child(p->devices, "vsock") ||
	       pst_vm_domain_add_vsock(p->devices, p->c) != NULL;
}

static bool has_hostdev(const struct patch *p,
			const struct pst_host_pci_addr *a)
{
	uint32_t i;

	for (i = 0; i < p->info->n_hostdevs; i++)
		if (pst_host_pci_addr_cmp(a, &p->info->hostdev[i]) == 0)
			return true;
	return false;
}

static bool add_hostdevs(const struct patch *p)
{
	uint32_t i;

	for (i = 0; i < p->c->n_gpu; i++)
		if (!has_hostdev(p, &p->c->gpu[i].addr) &&
		    !pst_vm_domain_add_hostdev(p->devices, p->c, i))
			return false;
	return true;
}

static bool add_memtune(const struct patch *p)
{
	struct pst_vm_config c = *p->c;
	xmlNode *tune;

	c.memory = p->info->memory;
	/* A card that is there already counts too. */
	if (c.n_gpu == 0 && p->info->n_hostdevs)
		c.n_gpu = 1;
	if (!pst_vm_memlock(&c) ||
	    pst_vm_xml_at(p->domain, "memtune/hard_limit"))
		return true;
	tune = pst_vm_xml_child(p->domain, "memtune");
	if (!tune)
		return pst_vm_domain_add_memtune(p->domain, &c) != NULL;
	return pst_vm_xml_kib(tune, "hard_limit", pst_vm_memlock(&c)) != NULL;
}

static bool add_all(const struct patch *p)
{
	if (!add_memtune(p) || !add_hostdevs(p) || !add_region(p) ||
	    !add_vsock(p))
		return false;
	if (!p->info->agent_channel && !pst_vm_domain_add_channel(p->devices))
		return false;
	return p->info->ours ||
	       pst_vm_domain_add_metadata(need(p->domain, "metadata"), p->c);
}

/* "test" is libvirt's driver that only pretends. */
static bool runs_qemu(const char *type)
{
	static const char *const types[] = {"", "kvm", "qemu", "test"};
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(types); i++)
		if (strcmp(type, types[i]) == 0)
			return true;
	return false;
}

/* What is there already and speaks of something else. */
static int check(const struct pst_vm_config *c, const struct pst_vm_info *info,
		 struct pst_error *err)
{
	if (strcmp(info->name, c->name) != 0)
		return pst_error_set(err, -EEXIST,
				     "this is the XML of \"%s\", not of "
				     "\"%s\"",
				     info->name, c->name);
	if (!runs_qemu(info->type))
		return pst_error_set(err, -EOPNOTSUPP,
				     "%s is a domain of type %s, which has "
				     "neither vfio nor an nvdimm nor arguments "
				     "for QEMU",
				     info->name, info->type);
	if (info->ours && strcmp(info->region.path, c->region.path) != 0)
		return pst_error_set(err, -EEXIST,
				     "%s already has the region %s, which "
				     "stays",
				     info->name, info->region.path);
	if (!c->vsock_socket && info->vsock && (!info->cid || info->cid_auto))
		return pst_error_set(err, -EEXIST,
				     "%s gets another CID at each start (<cid "
				     "auto='yes'/>), which no endpoint can "
				     "name: virsh edit, and <cid auto='no' "
				     "address='%u'/> there",
				     info->name, c->cid);
	if (!c->vsock_socket && info->cid && info->cid != c->cid)
		return pst_error_set(err, -EEXIST,
				     "%s already has CID %u, which stays",
				     info->name, info->cid);
	return 0;
}

/* Whether an nvdimm that is to come finds its place in <maxMemory>. */
static int check_slots(const struct patch *p, struct pst_error *err)
{
	const xmlNode *max = pst_vm_xml_child(p->domain, "maxMemory"), *n;
	uint64_t slots = 0, used = 0, need;
	char text[16];

	if (!max || p->c->region.via != PST_VM_VIA_NVDIMM || has_nvdimm(p))
		return 0;
	if (pst_vm_xml_get_attr(max, "slots", text, sizeof(text)))
		slots = strtoull(text, NULL, 10);
	for (n = pst_vm_xml_child(p->devices, "memory"); n;
	     n = pst_vm_xml_next(n, "memory"))
		used += pst_vm_xml_get_attr(n, "model", text, sizeof(text)) &&
			strstr(text, "dimm");
	if (used >= slots)
		return pst_error_set(err, -EEXIST,
				     "all %" PRIu64
				     " slots of <maxMemory> are taken, and the "
				     "region as an nvdimm needs one: virsh "
				     "edit, or --region-via ivshmem",
				     slots);
	if (pst_add_overflow(p->info->memory, p->c->region.size, &need) ||
	    pst_vm_xml_get_bytes(max) < need)
		return pst_error_set(err, -EEXIST,
				     "<maxMemory> is less than memory and "
				     "region together (%" PRIu64
				     " MiB): virsh edit, or --region-via "
				     "ivshmem",
				     need >> 20);
	return 0;
}

/* Whether the text says the same as the tree's, which is stripped. */
static bool same_tree(const char *text, const char *tree)
{
	PST_VM_CLEANUP_XML_DOC xmlDoc *doc = NULL;
	PST_CLEANUP_FREE char *dump = NULL;
	struct pst_error err;

	if (pst_vm_xml_parse(text, strlen(text), &doc, &err) < 0)
		return false;
	pst_vm_xml_strip(xmlDocGetRootElement(doc));
	dump = pst_vm_xml_dump(doc);
	return dump && strcmp(dump, tree) == 0;
}

/* The text as it was given, with the additions in it; *ret stays empty if they
 * cannot be written there. */
static int patch_text(const char *xml, xmlNode *root, const char *tree,
		      struct pst_vm_patched *ret)
{
	PST_VM_CLEANUP_PATCHED struct pst_vm_patched p = {0};
	int r;

	if (pst_vm_secret_lines(xml, &p.secret) < 0)
		return -ENOMEM;
	r = pst_vm_splice(xml, p.secret, root, &p.after);
	if (r < 0 || !same_tree(p.after, tree))
		return r == -ENOMEM ? r : 0;
	p.before = strdup(xml);
	if (!p.before)
		return -ENOMEM;
	*ret = p;
	p = (struct pst_vm_patched){0};
	return 0;
}

/* Whether what only QEMU knows finds its places on the root bus. */
static int check_bus(const struct patch *p, struct pst_error *err)
{
	const unsigned int want =
		(p->c->region.via == PST_VM_VIA_IVSHMEM &&
		 !has_arg(p, "id=penstock-region")) +
		(p->c->vsock_socket && !has_arg(p, "id=penstock-vsock"));
	uint32_t taken = taken_slots(p);
	unsigned int i, slot;

	for (i = 0; i < want; i++) {
		slot = free_slot(taken, PST_VM_VSOCK_SLOT);
		if (!slot)
			return pst_error_set(
				err, -EEXIST,
				"no slot of the root bus below %#x is free, "
				"and %u are wanted: move devices to root "
				"ports (virsh edit), or --region-via nvdimm",
				PST_VM_VSOCK_SLOT + 1U, want);
		taken |= 1U << slot;
	}
	return 0;
}

/* Whether an argument for QEMU names the function: with the domain or not. */
static bool names(const char *value, const struct pst_host_pci_addr *a)
{
	char text[PST_HOST_PCI_ADDR_LEN];
	const char *at;

	snprintf(text, sizeof(text), "%02x:%02x.%x", a->bus, a->dev, a->fn);
	for (at = strstr(value, text); at; at = strstr(at + 1, text)) {
		unsigned int domain = 0;

		/* "=01:00.0", "/0000:01:00.0", "\"0000:01:00.0" */
		if (at - value >= 5 && at[-1] == ':' &&
		    sscanf(at - 5, "%4x:", &domain) == 1 && domain == a->domain)
			return true;
		if (at > value && at[-1] != ':' && !a->domain)
			return true;
	}
	return false;
}

/* What arguments for QEMU do that libvirt's elements would do once more. */
static int check_args(const struct patch *p, struct pst_error *err)
{
	char value[2 * PATH_MAX];
	const xmlNode *n;
	uint32_t i;

	for (n = pst_vm_xml_at(p->domain, "commandline/arg"); n;
	     n = pst_vm_xml_next(n, "arg")) {
		if (!pst_vm_xml_get_attr(n, "value", value, sizeof(value)))
			continue;
		if (strstr(value, "vhost-vsock") && !p->c->vsock_socket)
			return pst_error_set(
				err, -EEXIST,
				"%s has its vsock by an argument for QEMU "
				"(vhost-vsock), which <vsock> would double: "
				"virsh edit, and <vsock> in its place",
				p->info->name);
		for (i = 0; strstr(value, "vfio-pci") && i < p->c->n_gpu; i++)
			if (names(value, &p->c->gpu[i].addr))
				return pst_error_set(
					err, -EEXIST,
					"%s has %02x:%02x.%x by an argument "
					"for QEMU (vfio-pci), which a "
					"<hostdev> would double: virsh edit, "
					"and take the argument out",
					p->info->name, p->c->gpu[i].addr.bus,
					p->c->gpu[i].addr.dev,
					p->c->gpu[i].addr.fn);
	}
	return 0;
}

int pst_vm_patch(const char *xml, const struct pst_vm_config *c,
		 struct pst_vm_patched *ret, struct pst_error *err)
{
	PST_CLEANUP_FREE struct pst_vm_info *info = malloc(sizeof(*info));
	PST_VM_CLEANUP_PATCHED struct pst_vm_patched copy = {0}, text = {0};
	PST_VM_CLEANUP_XML_DOC xmlDoc *doc = NULL;
	struct patch p = {.c = c, .info = info};
	int r;

	if (!info)
		return pst_oom(err);
	r = pst_vm_info_parse(xml, info, err);
	if (r == 0)
		r = check(c, info, err);
	if (r == 0)
		r = pst_vm_xml_parse(xml, strlen(xml), &doc, err);
	if (r)
		return r;
	p.domain = xmlDocGetRootElement(doc);
	pst_vm_splice_mark(p.domain);
	pst_vm_xml_strip(p.domain);
	copy.normalised = true;
	copy.before = pst_vm_xml_dump(doc);
	p.devices = need(p.domain, "devices");
	r = p.devices ? check_slots(&p, err) : 0;
	if (r == 0)
		r = check_args(&p, err);
	if (r == 0 && p.devices)
		r = check_bus(&p, err);
	if (r)
		return r;
	if (!copy.before || !p.devices || !add_all(&p))
		return pst_oom(err);
	/* What had nothing in it but white space has more now. */
	pst_vm_xml_strip(p.domain);
	copy.after = pst_vm_xml_dump(doc);
	if (!copy.after || pst_vm_secret_lines(copy.before, &copy.secret) < 0 ||
	    patch_text(xml, p.domain, copy.after, &text) < 0)
		return pst_oom(err);
	*ret = text.before ? text : copy;
	*(text.before ? &text : &copy) = (struct pst_vm_patched){0};
	return 0;
}
