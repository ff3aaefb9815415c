/* SPDX-License-Identifier: MIT */
/* Writes a configuration as libvirt's domain XML: all but the devices. */
#include "libvirt-xml/xml/domain.h"

#include <inttypes.h>
#include <string.h>

#include "libvirt-xml/xml/domain_int.h"

/* Elements as in [libvirt: formatdomain]; a NULL on the way means no memory and
 * the caller sees it at the chain's end. */

int pst_vm_domain_limits(const struct pst_vm_config *c,
			 unsigned long libvirt_version, struct pst_error *err)
{
	if (!c->phys_bits || c->emulated ||
	    libvirt_version >= PST_VM_LIBVIRT_MAXPHYSADDR)
		return 0;
	return pst_error_set(
		err, -EOPNOTSUPP,
		"libvirt %lu.%lu.%lu cannot limit the guest's physical "
		"addresses to the %u bits that IOMMU and card reach (9.3 can): "
		"%s",
		libvirt_version / 1000000, libvirt_version / 1000 % 1000,
		libvirt_version % 1000, c->phys_bits,
		c->region.via == PST_VM_VIA_NVDIMM
			? "a nvdimm region lies low enough, but if QEMU says "
			  "\"VFIO_MAP_DMA failed\" for a BAR, that is why"
			: "if QEMU says \"VFIO_MAP_DMA failed\", or the GPU "
			  "cannot register the region, use --region-via "
			  "nvdimm");
}

static xmlNode *own(xmlNode *parent, const char *name)
{
	return pst_vm_xml_add_ns(parent, parent ? parent->ns : NULL, name);
}

xmlNode *pst_vm_domain_add_metadata(xmlNode *metadata,
				    const struct pst_vm_config *c)
{
	char uri[2 * PATH_MAX], address[PST_HOST_PCI_ADDR_LEN];
	struct pst_error err;
	xmlNode *node, *part;
	xmlNs *ns;
	uint32_t i;

	if (!metadata || pst_vm_config_endpoint(c, uri, sizeof(uri), &err) < 0)
		return NULL;
	node = xmlNewChild(metadata, NULL, BAD_CAST "domain", NULL);
	if (!node)
		return NULL;
	ns = xmlNewNs(node, BAD_CAST PST_VM_XML_OWN_NS, BAD_CAST "penstock");
	if (!ns)
		return NULL;
	xmlSetNs(node, ns);
	part = own(node, "region");
	part = pst_vm_xml_attr(part, "via", "%s",
			       pst_vm_via_name(c->region.via));
	part = pst_vm_xml_attr(part, "path", "%s", c->region.path);
	part = pst_vm_xml_attr(part, "size", "%" PRIu64, c->region.size);
	if (c->region.node >= 0)
		part = pst_vm_xml_attr(part, "node", "%d", c->region.node);
	if (c->region.group[0])
		part = pst_vm_xml_attr(part, "group", "%s", c->region.group);
	if (part)
		part = pst_vm_xml_attr(own(node, "endpoint"), "uri", "%s", uri);
	for (i = 0; i < c->n_gpu && part; i++) {
		pst_host_pci_addr_format(&c->gpu[i].addr, address);
		part = pst_vm_xml_attr(own(node, "gpu"), "address", "%s",
				       address);
	}
	return part ? node : NULL;
}

static xmlNode *add_memory(xmlNode *domain, const struct pst_vm_config *c)
{
	const bool nvdimm = c->region.via == PST_VM_VIA_NVDIMM;
	xmlNode *backing, *node;
	uint64_t max = c->memory;

	if (nvdimm) {
		max += c->region.size;
		if (!pst_vm_xml_attr(pst_vm_xml_kib(domain, "maxMemory", max),
				     "slots", "1"))
			return NULL;
	}
	pst_vm_xml_kib(domain, "memory", max);
	node = pst_vm_xml_kib(domain, "currentMemory", max);
	if (c->memory_from == PST_VM_MEMORY_PLAIN && !c->vsock_socket)
		return node;
	backing = pst_vm_xml_add(domain, "memoryBacking");
	if (c->memory_from == PST_VM_MEMORY_HUGEPAGES) {
		node = pst_vm_xml_add(pst_vm_xml_add(backing, "hugepages"),
				      "page");
		node = pst_vm_xml_attr(pst_vm_xml_attr(node, "size", "2048"),
				       "unit", "KiB");
	} else {
		node = pst_vm_xml_attr(pst_vm_xml_add(backing, "source"),
				       "type", "memfd");
	}
	/* A vhost-user device is another process that reads the guest. */
	if (c->vsock_socket)
		node = pst_vm_xml_attr(pst_vm_xml_add(backing, "access"),
				       "mode", "shared");
	return node;
}

xmlNode *pst_vm_domain_add_memtune(xmlNode *domain,
				   const struct pst_vm_config *c)
{
	xmlNode *tune = pst_vm_xml_add(domain, "memtune");

	return pst_vm_xml_kib(tune, "hard_limit", pst_vm_memlock(c)) ? tune
								     : NULL;
}

static xmlNode *add_cputune(xmlNode *domain, const struct pst_vm_config *c)
{
	xmlNode *tune = pst_vm_xml_add(domain, "cputune"), *node = tune;
	char set[1024];
	uint32_t i;

	for (i = 0; i < c->pin.n && node; i++) {
		node = pst_vm_xml_attr(pst_vm_xml_add(tune, "vcpupin"), "vcpu",
				       "%u", i);
		node = pst_vm_xml_attr(node, "cpuset", "%u", c->pin.cpu[i]);
	}
	pst_host_cpuset_format(&c->pin.emulator, set, sizeof(set));
	if (node)
		node = pst_vm_xml_attr(pst_vm_xml_add(tune, "emulatorpin"),
				       "cpuset", "%s", set);
	return node;
}

static xmlNode *add_numatune(xmlNode *domain, const struct pst_vm_config *c)
{
	xmlNode *node =
		pst_vm_xml_add(pst_vm_xml_add(domain, "numatune"), "memory");

	/* Preferred: a full node makes the guest slower, not impossible. */
	node = pst_vm_xml_attr(node, "mode", "preferred");
	return pst_vm_xml_attr(node, "nodeset", "%d", c->node);
}

static xmlNode *add_uefi(xmlNode *os, const struct pst_vm_firmware *f)
{
	const bool raw = !f->format[0] || strcmp(f->format, "raw") == 0;
	xmlNode *node;

	if (!f->by_libvirt) {
		node = pst_vm_xml_text(os, "loader", "%s", f->code);
		node = pst_vm_xml_attr(node, "readonly", "yes");
		node = pst_vm_xml_attr(node, "type", "pflash");
		if (!raw)
			node = pst_vm_xml_attr(node, "format", "%s", f->format);
		if (!node)
			return NULL;
	}
	node = pst_vm_xml_text(os, "nvram", "%s", f->vars);
	if (!f->by_libvirt) {
		node = pst_vm_xml_attr(node, "template", "%s",
				       f->vars_template);
		if (!raw)
			node = pst_vm_xml_attr(node, "format", "%s", f->format);
	}
	return node;
}

static xmlNode *add_os(xmlNode *domain, const struct pst_vm_config *c)
{
	xmlNode *os = pst_vm_xml_add(domain, "os"), *node;

	if (c->firmware.uefi && c->firmware.by_libvirt)
		os = pst_vm_xml_attr(os, "firmware", "efi");
	node = pst_vm_xml_text(os, "type", "hvm");
	node = pst_vm_xml_attr(node, "arch", "x86_64");
	node = pst_vm_xml_attr(node, "machine", "q35");
	if (node && c->firmware.uefi)
		node = add_uefi(os, &c->firmware);
	if (node && c->kernel)
		node = pst_vm_xml_text(os, "kernel", "%s", c->kernel);
	if (node && c->initrd)
		node = pst_vm_xml_text(os, "initrd", "%s", c->initrd);
	if (node && c->append)
		node = pst_vm_xml_text(os, "cmdline", "%s", c->append);
	if (node && !c->kernel)
		node = pst_vm_xml_attr(pst_vm_xml_add(os, "boot"), "dev", "hd");
	return node;
}

static xmlNode *add_features(xmlNode *domain, const struct pst_vm_config *c)
{
	xmlNode *features = pst_vm_xml_add(domain, "features"), *node;

	pst_vm_xml_add(features, "acpi");
	node = pst_vm_xml_add(features, "apic");
	if (node && c->vendor_id) {
		node = pst_vm_xml_add(features, "hyperv");
		node = pst_vm_xml_add(node, "vendor_id");
		node = pst_vm_xml_attr(node, "state", "on");
		node = pst_vm_xml_attr(node, "value", "%s", c->vendor_id);
	}
	if (node && c->hide_kvm)
		node = pst_vm_xml_attr(
			pst_vm_xml_add(pst_vm_xml_add(features, "kvm"),
				       "hidden"),
			"state", "on");
	return node;
}

static xmlNode *add_topology(xmlNode *cpu, const struct pst_vm_config *c)
{
	uint32_t threads = c->pin.threads ? c->pin.threads : 1;
	xmlNode *node = pst_vm_xml_add(cpu, "topology");

	node = pst_vm_xml_attr(node, "sockets", "1");
	node = pst_vm_xml_attr(node, "dies", "1");
	node = pst_vm_xml_attr(node, "cores", "%u", c->vcpus / threads);
	return pst_vm_xml_attr(node, "threads", "%u", threads);
}

xmlNode *pst_vm_domain_add_cell(xmlNode *cpu, const struct pst_vm_config *c)
{
	xmlNode *cell = pst_vm_xml_add(pst_vm_xml_add(cpu, "numa"), "cell");

	cell = pst_vm_xml_attr(cell, "id", "0");
	cell = c->vcpus > 1
		       ? pst_vm_xml_attr(cell, "cpus", "0-%u", c->vcpus - 1)
		       : pst_vm_xml_attr(cell, "cpus", "0");
	cell = pst_vm_xml_attr(cell, "memory", "%" PRIu64, c->memory >> 10);
	return pst_vm_xml_attr(cell, "unit", "KiB");
}

static xmlNode *add_cpu(xmlNode *domain, const struct pst_vm_config *c,
			unsigned long version)
{
	xmlNode *cpu = pst_vm_xml_add(domain, "cpu"), *node;

	cpu = pst_vm_xml_attr(cpu, "mode", "%s",
			      c->emulated ? "maximum" : "host-passthrough");
	cpu = pst_vm_xml_attr(cpu, "check", "none");
	/* With a card it cannot migrate anyway, and gets an invariant TSC: its
	 * clock stays cheap where KVM's is hidden. */
	if (c->n_gpu && !c->emulated)
		cpu = pst_vm_xml_attr(cpu, "migratable", "off");
	node = add_topology(cpu, c);
	if (node && c->phys_bits && !c->emulated &&
	    version >= PST_VM_LIBVIRT_MAXPHYSADDR) {
		node = pst_vm_xml_attr(pst_vm_xml_add(cpu, "maxphysaddr"),
				       "mode", "passthrough");
		node = pst_vm_xml_attr(node, "limit", "%u", c->phys_bits);
	}
	if (node && c->topoext) {
		node = pst_vm_xml_attr(pst_vm_xml_add(cpu, "feature"), "policy",
				       "require");
		node = pst_vm_xml_attr(node, "name", "topoext");
	}
	/* libvirt hangs an nvdimm into a guest's NUMA node. */
	if (node && c->region.via == PST_VM_VIA_NVDIMM)
		node = pst_vm_domain_add_cell(cpu, c);
	return node;
}

static xmlNode *add_rest(xmlNode *domain, const struct pst_vm_config *c)
{
	xmlNode *node;

	node = pst_vm_xml_attr(pst_vm_xml_add(domain, "clock"), "offset",
			       "utc");
	if (node)
		node = pst_vm_xml_text(domain, "on_poweroff", "destroy");
	if (node)
		node = pst_vm_xml_text(domain, "on_reboot", "restart");
	if (node)
		node = pst_vm_xml_text(domain, "on_crash", "destroy");
	return node;
}

/* True when every part is in the tree. */
static bool fill(xmlNode *domain, const struct pst_vm_config *c,
		 unsigned long version, xmlNs *qemu)
{
	xmlNode *node;

	node = pst_vm_xml_text(domain, "name", "%s", c->name);
	if (!node ||
	    !pst_vm_domain_add_metadata(pst_vm_xml_add(domain, "metadata"), c))
		return false;
	if (!add_memory(domain, c))
		return false;
	if (!pst_vm_xml_attr(pst_vm_xml_text(domain, "vcpu", "%u", c->vcpus),
			     "placement", "static"))
		return false;
	if (c->pin.n && !add_cputune(domain, c))
		return false;
	if (c->node >= 0 && !add_numatune(domain, c))
		return false;
	if (pst_vm_memlock(c) && !pst_vm_domain_add_memtune(domain, c))
		return false;
	if (!add_os(domain, c) || !add_features(domain, c) ||
	    !add_cpu(domain, c, version) || !add_rest(domain, c) ||
	    !pst_vm_domain_add_devices(domain, c))
		return false;
	if (!pst_vm_domain_needs_qemu(c))
		return true;
	node = pst_vm_xml_add_ns(domain, qemu, "commandline");
	return pst_vm_domain_add_qemu_args(node, qemu, c) != NULL;
}

int pst_vm_domain_xml(const struct pst_vm_config *c,
		      unsigned long libvirt_version, char **ret,
		      struct pst_error *err)
{
	PST_VM_CLEANUP_XML_DOC xmlDoc *doc = xmlNewDoc(BAD_CAST "1.0");
	xmlNode *domain = xmlNewNode(NULL, BAD_CAST "domain");
	xmlNs *qemu = NULL;

	*ret = NULL;
	if (!doc || !domain) {
		xmlFreeNode(domain);
		return pst_oom(err);
	}
	xmlDocSetRootElement(doc, domain);
	if (pst_vm_domain_needs_qemu(c))
		qemu = xmlNewNs(domain, BAD_CAST PST_VM_XML_QEMU_NS,
				BAD_CAST "qemu");
	pst_vm_xml_attr(domain, "type", "%s", c->emulated ? "qemu" : "kvm");
	if (fill(domain, c, libvirt_version, qemu))
		*ret = pst_vm_xml_dump(doc);
	if (!*ret)
		return pst_error_set(err, -ENOMEM,
				     "the domain's XML does not fit in memory");
	return 0;
}
