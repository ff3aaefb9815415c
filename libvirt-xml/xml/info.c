/* SPDX-License-Identifier: MIT */
/* Reads from a domain's XML what Penstock needs. */
#include "libvirt-xml/xml/info.h"

#include <inttypes.h>
#include <string.h>

#include "libvirt-xml/xml/xml.h"

/* An attribute as a number, decimal or 0x. */
static bool number(const xmlNode *node, const char *name, uint64_t max,
		   uint64_t *ret)
{
	char text[32], *end;
	unsigned long long v;

	if (!pst_vm_xml_get_attr(node, name, text, sizeof(text)) ||
	    text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	v = strtoull(text, &end, text[0] == '0' && text[1] == 'x' ? 16 : 10);
	if (errno || *end || v > max)
		return false;
	*ret = v;
	return true;
}

/* Our own element, which only define and patch write. */
static int take_own(const xmlNode *own, struct pst_vm_info *info,
		    struct pst_error *err)
{
	const xmlNode *region = pst_vm_xml_child(own, "region");
	const xmlNode *endpoint = pst_vm_xml_child(own, "endpoint");
	struct pst_vm_region *r = &info->region;
	uint64_t v;
	char via[16];

	info->ours = true;
	if (!pst_vm_xml_get_attr(region, "via", via, sizeof(via)) ||
	    pst_vm_via_parse(via, &r->via) < 0 ||
	    !pst_vm_xml_get_attr(region, "path", r->path, sizeof(r->path)) ||
	    r->path[0] != '/' ||
	    !number(region, "size", UINT64_MAX >> 1, &r->size) ||
	    !pst_vm_xml_get_attr(endpoint, "uri", info->endpoint,
				 sizeof(info->endpoint)))
		return pst_error_set(err, -EINVAL,
				     "the settings of Penstock in domain %s "
				     "are damaged",
				     info->name);
	pst_vm_xml_get_attr(region, "group", r->group, sizeof(r->group));
	r->node = number(region, "node", 1023, &v) ? (int)v : -1;
	return 0;
}

static void take_hostdev(const xmlNode *dev, struct pst_vm_info *info)
{
	const xmlNode *a = pst_vm_xml_at(dev, "source/address");
	uint64_t domain = 0, bus, slot, function;
	char type[16];

	if (!pst_vm_xml_get_attr(dev, "type", type, sizeof(type)) ||
	    strcmp(type, "pci") != 0 ||
	    info->n_hostdevs == PST_VM_INFO_MAX_HOSTDEVS)
		return;
	number(a, "domain", UINT32_MAX, &domain);
	if (!number(a, "bus", 255, &bus) || !number(a, "slot", 31, &slot) ||
	    !number(a, "function", 7, &function))
		return;
	info->hostdev[info->n_hostdevs++] = (struct pst_host_pci_addr){
		.domain = (uint32_t)domain,
		.bus = (uint8_t)bus,
		.dev = (uint8_t)slot,
		.fn = (uint8_t)function,
	};
}

static void take_channel(const xmlNode *dev, struct pst_vm_info *info)
{
	const xmlNode *target = pst_vm_xml_child(dev, "target");
	char text[64];

	if (!pst_vm_xml_get_attr(target, "name", text, sizeof(text)) ||
	    strcmp(text, "org.qemu.guest_agent.0") != 0)
		return;
	info->agent_channel = true;
	if (pst_vm_xml_get_attr(target, "state", text, sizeof(text)))
		info->agent_connected = strcmp(text, "connected") == 0;
}

static void take_disk(const xmlNode *dev, struct pst_vm_info *info)
{
	const xmlNode *source = pst_vm_xml_child(dev, "source");

	if (info->disk[0] || (!pst_vm_xml_get_attr(source, "file", info->disk,
						   sizeof(info->disk)) &&
			      !pst_vm_xml_get_attr(source, "dev", info->disk,
						   sizeof(info->disk))))
		return;
	pst_vm_xml_get_attr(pst_vm_xml_child(dev, "driver"), "type",
			    info->disk_format, sizeof(info->disk_format));
}

/* A device's place, when that is on the root bus. */
static void take_slot(const xmlNode *dev, struct pst_vm_info *info)
{
	const xmlNode *a = pst_vm_xml_child(dev, "address");
	uint64_t domain = 0, bus, slot;
	char type[16];

	if (!pst_vm_xml_get_attr(a, "type", type, sizeof(type)) ||
	    strcmp(type, "pci") != 0)
		return;
	number(a, "domain", UINT32_MAX, &domain);
	if (!domain && number(a, "bus", 0, &bus) &&
	    number(a, "slot", 31, &slot))
		info->root_slots |= 1U << slot;
}

static void take_devices(const xmlNode *devices, struct pst_vm_info *info)
{
	const xmlNode *n, *node;
	uint64_t cid;
	char how[8];

	for (n = pst_vm_xml_child(devices, NULL); n;
	     n = pst_vm_xml_next(n, NULL))
		take_slot(n, info);
	for (n = pst_vm_xml_child(devices, "disk"); n;
	     n = pst_vm_xml_next(n, "disk"))
		take_disk(n, info);
	for (n = pst_vm_xml_child(devices, "hostdev"); n;
	     n = pst_vm_xml_next(n, "hostdev"))
		take_hostdev(n, info);
	for (n = pst_vm_xml_child(devices, "channel"); n;
	     n = pst_vm_xml_next(n, "channel"))
		take_channel(n, info);
	info->vsock = pst_vm_xml_child(devices, "vsock") != NULL;
	node = pst_vm_xml_at(devices, "vsock/cid");
	if (number(node, "address", UINT32_MAX, &cid))
		info->cid = (uint32_t)cid;
	info->cid_auto = pst_vm_xml_get_attr(node, "auto", how, sizeof(how)) &&
			 strcmp(how, "yes") == 0;
}

static bool boots_uefi(const xmlNode *os)
{
	char text[16];

	if (pst_vm_xml_get_attr(os, "firmware", text, sizeof(text)))
		return strcmp(text, "efi") == 0;
	return pst_vm_xml_get_attr(pst_vm_xml_child(os, "loader"), "type", text,
				   sizeof(text)) &&
	       strcmp(text, "pflash") == 0;
}

/* "pc" and "pc-i440fx-7.2"; q35's are called "q35" and "pc-q35-7.2". */
static bool is_i440fx(const xmlNode *os)
{
	char machine[64];

	return pst_vm_xml_get_attr(pst_vm_xml_child(os, "type"), "machine",
				   machine, sizeof(machine)) &&
	       strncmp(machine, "pc", 2) == 0 && !strstr(machine, "q35");
}

int pst_vm_info_parse(const char *xml, struct pst_vm_info *ret,
		      struct pst_error *err)
{
	PST_VM_CLEANUP_XML_DOC xmlDoc *doc = NULL;
	const xmlNode *domain, *n;
	int r;

	memset(ret, 0, sizeof(*ret));
	ret->region.node = -1;
	r = pst_vm_xml_parse(xml, strlen(xml), &doc, err);
	if (r)
		return r;
	domain = xmlDocGetRootElement(doc);
	if (strcmp((const char *)domain->name, "domain") != 0)
		return pst_error_set(err, -EINVAL,
				     "this is no domain's XML: its first "
				     "element is <%s>",
				     (const char *)domain->name);
	pst_vm_xml_get_text(pst_vm_xml_child(domain, "name"), ret->name,
			    sizeof(ret->name));
	pst_vm_xml_get_text(pst_vm_xml_child(domain, "uuid"), ret->uuid,
			    sizeof(ret->uuid));
	pst_vm_xml_get_text(pst_vm_xml_at(domain, "os/nvram"), ret->nvram,
			    sizeof(ret->nvram));
	ret->uefi = boots_uefi(pst_vm_xml_child(domain, "os"));
	ret->i440fx = is_i440fx(pst_vm_xml_child(domain, "os"));
	ret->memory = pst_vm_xml_get_bytes(pst_vm_xml_child(domain, "memory"));
	ret->hard_limit = pst_vm_xml_get_bytes(
		pst_vm_xml_at(domain, "memtune/hard_limit"));
	pst_vm_xml_get_attr(domain, "type", ret->type, sizeof(ret->type));
	take_devices(pst_vm_xml_child(domain, "devices"), ret);
	for (n = pst_vm_xml_at(domain, "metadata/domain"); n;
	     n = pst_vm_xml_next(n, "domain"))
		if (pst_vm_xml_in_ns(n, PST_VM_XML_OWN_NS))
			return take_own(n, ret, err);
	return 0;
}
