/* SPDX-License-Identifier: MIT */
/* Writes a configuration as libvirt's domain XML: the devices. */
#include <inttypes.h>
#include <string.h>

#include "libvirt-xml/config/argv.h"
#include "libvirt-xml/xml/domain_int.h"

/* What lies under the disk: an empty element says nothing, whatever its header
 * says. */
static xmlNode *add_backing(xmlNode *disk, const struct pst_vm_config *c)
{
	xmlNode *store = pst_vm_xml_add(disk, "backingStore"), *node;

	if (!c->disk_backing)
		return store;
	store = pst_vm_xml_attr(store, "type", "file");
	node = pst_vm_xml_attr(pst_vm_xml_add(store, "format"), "type", "%s",
			       c->disk_backing_format);
	if (node)
		node = pst_vm_xml_attr(pst_vm_xml_add(store, "source"), "file",
				       "%s", c->disk_backing);
	return node ? pst_vm_xml_add(store, "backingStore") : NULL;
}

static xmlNode *add_disk(xmlNode *devices, const struct pst_vm_config *c)
{
	xmlNode *disk = pst_vm_xml_add(devices, "disk"), *node;

	disk = pst_vm_xml_attr(disk, "type", "%s",
			       c->disk_is_block ? "block" : "file");
	disk = pst_vm_xml_attr(disk, "device", "disk");
	node = pst_vm_xml_attr(pst_vm_xml_add(disk, "driver"), "name", "qemu");
	node = pst_vm_xml_attr(node, "type", "%s",
			       c->disk_format ? c->disk_format : "raw");
	node = pst_vm_xml_attr(node, "discard", "unmap");
	if (node)
		node = pst_vm_xml_attr(pst_vm_xml_add(disk, "source"),
				       c->disk_is_block ? "dev" : "file", "%s",
				       c->disk);
	if (node)
		node = add_backing(disk, c);
	if (node)
		node = pst_vm_xml_attr(
			pst_vm_xml_attr(pst_vm_xml_add(disk, "target"), "dev",
					"vda"),
			"bus", "virtio");
	return node;
}

xmlNode *pst_vm_domain_add_hostdev(xmlNode *devices,
				   const struct pst_vm_config *c, uint32_t i)
{
	const struct pst_host_pci_addr *p = &c->gpu[i].addr;
	xmlNode *dev = pst_vm_xml_add(devices, "hostdev"), *node;

	dev = pst_vm_xml_attr(dev, "mode", "subsystem");
	dev = pst_vm_xml_attr(dev, "type", "pci");
	dev = pst_vm_xml_attr(dev, "managed", "yes");
	node = pst_vm_xml_attr(pst_vm_xml_add(dev, "driver"), "name", "vfio");
	if (!node)
		return NULL;
	node = pst_vm_xml_add(pst_vm_xml_add(dev, "source"), "address");
	node = pst_vm_xml_attr(node, "domain", "0x%04x", p->domain);
	node = pst_vm_xml_attr(node, "bus", "0x%02x", p->bus);
	node = pst_vm_xml_attr(node, "slot", "0x%02x", p->dev);
	node = pst_vm_xml_attr(node, "function", "0x%x", p->fn);
	if (node && c->rom && i == 0)
		node = pst_vm_xml_attr(pst_vm_xml_add(dev, "rom"), "file", "%s",
				       c->rom);
	return node ? dev : NULL;
}

xmlNode *pst_vm_domain_add_vsock(xmlNode *devices,
				 const struct pst_vm_config *c)
{
	xmlNode *vsock = pst_vm_xml_add(devices, "vsock"), *node;

	vsock = pst_vm_xml_attr(vsock, "model", "virtio");
	node = pst_vm_xml_attr(pst_vm_xml_add(vsock, "cid"), "auto", "no");
	return pst_vm_xml_attr(node, "address", "%u", c->cid) ? vsock : NULL;
}

xmlNode *pst_vm_domain_add_nvdimm(xmlNode *devices,
				  const struct pst_vm_config *c)
{
	xmlNode *dev = pst_vm_xml_add(devices, "memory"), *part, *node;

	dev = pst_vm_xml_attr(dev, "model", "nvdimm");
	/* Shared: what the guest writes is what the host's file has. */
	dev = pst_vm_xml_attr(dev, "access", "shared");
	part = pst_vm_xml_add(dev, "source");
	node = pst_vm_xml_text(part, "path", "%s", c->region.path);
	/* Pages of 2 MiB in the guest, whatever the file lies on. */
	if (node)
		node = pst_vm_xml_kib(part, "alignsize", 2U << 20);
	part = pst_vm_xml_add(node ? dev : NULL, "target");
	node = pst_vm_xml_kib(part, "size", c->region.size);
	return pst_vm_xml_text(node ? part : NULL, "node", "0") ? dev : NULL;
}

xmlNode *pst_vm_domain_add_shmem(xmlNode *devices,
				 const struct pst_vm_config *c)
{
	xmlNode *dev = pst_vm_xml_add(devices, "shmem"), *node;
	const char *name = strrchr(c->region.path, '/');

	dev = pst_vm_xml_attr(dev, "name", "%s", name ? name + 1 : "");
	node = pst_vm_xml_attr(pst_vm_xml_add(dev, "model"), "type",
			       "ivshmem-plain");
	if (node)
		node = pst_vm_xml_attr(pst_vm_xml_text(dev, "size", "%" PRIu64,
						       c->region.size >> 20),
				       "unit", "M");
	return node ? dev : NULL;
}

xmlNode *pst_vm_domain_add_channel(xmlNode *devices)
{
	xmlNode *dev = pst_vm_xml_attr(pst_vm_xml_add(devices, "channel"),
				       "type", "unix");
	xmlNode *node = pst_vm_xml_attr(pst_vm_xml_add(dev, "target"), "type",
					"virtio");

	node = pst_vm_xml_attr(node, "name", "org.qemu.guest_agent.0");
	return node ? dev : NULL;
}

static xmlNode *add_serial(xmlNode *devices, const struct pst_vm_config *c)
{
	static const char *const names[] = {"serial", "console"};
	xmlNode *dev, *node = devices;
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(names) && node; i++) {
		dev = pst_vm_xml_attr(pst_vm_xml_add(devices, names[i]), "type",
				      "%s", c->serial_log ? "file" : "pty");
		node = dev;
		if (dev && c->serial_log)
			node = pst_vm_xml_attr(pst_vm_xml_add(dev, "source"),
					       "path", "%s", c->serial_log);
		if (node)
			node = pst_vm_xml_add(dev, "target");
		if (i == 1)
			node = pst_vm_xml_attr(node, "type", "serial");
		node = pst_vm_xml_attr(node, "port", "0");
	}
	return node;
}

static xmlNode *add_network(xmlNode *devices, const struct pst_vm_config *c)
{
	xmlNode *dev = pst_vm_xml_attr(pst_vm_xml_add(devices, "interface"),
				       "type", "network");
	xmlNode *node = pst_vm_xml_attr(pst_vm_xml_add(dev, "source"),
					"network", "%s", c->network);

	if (node)
		node = pst_vm_xml_attr(pst_vm_xml_add(dev, "model"), "type",
				       "virtio");
	return node;
}

static xmlNode *add_none(xmlNode *devices)
{
	xmlNode *node;

	node = pst_vm_xml_attr(pst_vm_xml_add(devices, "controller"), "type",
			       "usb");
	node = pst_vm_xml_attr(node, "model", "none");
	if (node)
		node = pst_vm_xml_attr(
			pst_vm_xml_add(pst_vm_xml_add(devices, "video"),
				       "model"),
			"type", "none");
	/* It would give back pages that the card has pinned. */
	if (node)
		node = pst_vm_xml_attr(pst_vm_xml_add(devices, "memballoon"),
				       "model", "none");
	return node;
}

xmlNode *pst_vm_domain_add_devices(xmlNode *domain,
				   const struct pst_vm_config *c)
{
	xmlNode *devices = pst_vm_xml_add(domain, "devices"), *node = devices;
	uint32_t i;

	if (c->emulator && node)
		node = pst_vm_xml_text(devices, "emulator", "%s", c->emulator);
	if (c->disk && node)
		node = add_disk(devices, c);
	for (i = 0; i < c->n_gpu && node; i++)
		node = pst_vm_domain_add_hostdev(devices, c, i);
	if (node && c->region.via == PST_VM_VIA_NVDIMM)
		node = pst_vm_domain_add_nvdimm(devices, c);
	if (node && c->region.via == PST_VM_VIA_SHMEM)
		node = pst_vm_domain_add_shmem(devices, c);
	if (node && !c->vsock_socket)
		node = pst_vm_domain_add_vsock(devices, c);
	if (node)
		node = pst_vm_domain_add_channel(devices);
	if (node)
		node = add_serial(devices, c);
	if (node && c->network)
		node = add_network(devices, c);
	if (node)
		node = add_none(devices);
	return node ? devices : NULL;
}

/* ---- What libvirt has no words for -------------------------------------- */

bool pst_vm_domain_needs_qemu(const struct pst_vm_config *c)
{
	return c->region.via == PST_VM_VIA_IVSHMEM || c->vsock_socket;
}

xmlNode *pst_vm_domain_add_qemu_args(xmlNode *commandline, xmlNs *ns,
				     const struct pst_vm_config *c)
{
	struct pst_vm_argv a = {0};
	xmlNode *node = commandline;
	size_t i;

	if (c->region.via == PST_VM_VIA_IVSHMEM)
		pst_vm_argv_add_ivshmem(&a, c);
	if (c->vsock_socket)
		pst_vm_argv_add_vhost_user(&a, c);
	for (i = 0; i < a.n && node; i++)
		node = pst_vm_xml_attr(
			pst_vm_xml_add_ns(commandline, ns, "arg"), "value",
			"%s", a.v[i]);
	if (a.failed)
		node = NULL;
	pst_vm_argv_done(&a);
	return node ? commandline : NULL;
}
