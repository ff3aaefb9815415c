/* SPDX-License-Identifier: MIT */
/* Writes a configuration as Cloud Hypervisor's command line; refuses
 * Firecracker. */
#include <inttypes.h>
#include <string.h>

#include "libvirt-xml/config/argv.h"

/* Boots the guest's own boot loader from its disk. */
#define CH_FIRMWARE "/usr/share/cloud-hypervisor/hypervisor-fw"
/* Guest memory goes up to 3 GiB and on from 4 GiB [cloud-hypervisor:
 * arch/src/x86_64/layout.rs, MEM_32BIT_RESERVED_START]. */
#define CH_LOW_END (3ULL << 30)
#define CH_HOLE    (UINT64_C(1) << 30)

#define add pst_vm_argv_add

/* Its options have no way to write a comma, a quote or a bracket. */
static int check_ch(const struct pst_vm_config *c, struct pst_error *err)
{
	const char *const paths[] = {c->disk, c->region.path, c->vsock_uds};
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(paths); i++)
		if (paths[i] && strpbrk(paths[i], ",\"[]"))
			return pst_error_set(err, -EINVAL,
					     "Cloud Hypervisor's options "
					     "cannot hold \"%s\"",
					     paths[i]);
	if (c->emulated)
		return pst_error_set(err, -EOPNOTSUPP,
				     "Cloud Hypervisor does not emulate: it "
				     "needs KVM");
	if (c->hide_kvm || c->vendor_id || c->rom || c->network)
		return pst_error_set(err, -EOPNOTSUPP,
				     "Cloud Hypervisor has no --%s: leave it "
				     "out, or use QEMU",
				     c->hide_kvm    ? "hide-kvm"
				     : c->vendor_id ? "vendor-id"
				     : c->rom       ? "rom"
						    : "network");
	if (c->memory < CH_LOW_END)
		return pst_error_set(err, -EOPNOTSUPP,
				     "with Cloud Hypervisor the region follows "
				     "the memory, in one piece only above 4 "
				     "GiB: --memory 3G at least");
	return 0;
}

static void add_cpus(struct pst_vm_argv *a, const struct pst_vm_config *c)
{
	char bits[32] = "", pins[16 * PST_VM_MAX_VCPUS] = "";
	size_t used = 0;
	uint32_t i;

	if (c->phys_bits)
		snprintf(bits, sizeof(bits), ",max_phys_bits=%u", c->phys_bits);
	for (i = 0; i < c->pin.n; i++)
		used += (size_t)snprintf(pins + used, sizeof(pins) - used,
					 "%s%u@[%u]", i ? "," : ",affinity=[",
					 i, c->pin.cpu[i]);
	add(a, "--cpus");
	add(a, "boot=%u%s%s%s", c->vcpus, bits, pins, used ? "]" : "");
}

static void add_zones(struct pst_vm_argv *a, const struct pst_vm_config *c)
{
	const bool huge = c->memory_from == PST_VM_MEMORY_HUGEPAGES;
	char node[40] = "", own[40] = "";

	if (c->node >= 0)
		snprintf(node, sizeof(node), ",host_numa_node=%d", c->node);
	if (c->region.node >= 0)
		snprintf(own, sizeof(own), ",host_numa_node=%d",
			 c->region.node);
	add(a, "--memory");
	add(a, "size=0");
	/* One option with several values. */
	add(a, "--memory-zone");
	add(a, "id=ram,size=%" PRIu64 "%s%s", c->memory,
	    huge ? ",shared=on,hugepages=on,hugepage_size=2M" : "", node);
	add(a, "id=region,size=%" PRIu64 ",file=%s,shared=on%s", c->region.size,
	    c->region.path, own);
}

void pst_vm_argv_memmap(const struct pst_vm_config *c, char ret[64])
{
	snprintf(ret, 64, "memmap=%" PRIu64 "M!%" PRIu64 "M",
		 c->region.size >> 20, (c->memory + CH_HOLE) >> 20);
}

int pst_vm_argv_cloud_hypervisor(const struct pst_vm_config *c,
				 struct pst_vm_argv *ret, struct pst_error *err)
{
	char address[PST_HOST_PCI_ADDR_LEN], memmap[64];
	uint32_t i;
	int r;

	memset(ret, 0, sizeof(*ret));
	r = check_ch(c, err);
	if (r)
		return r;
	add(ret, "cloud-hypervisor");
	add_cpus(ret, c);
	add_zones(ret, c);
	add(ret, "--kernel");
	add(ret, "%s", c->kernel ? c->kernel : CH_FIRMWARE);
	if (c->initrd) {
		add(ret, "--initramfs");
		add(ret, "%s", c->initrd);
	}
	if (c->kernel) {
		pst_vm_argv_memmap(c, memmap);
		add(ret, "--cmdline");
		add(ret, "%s%s%s", c->append ? c->append : "",
		    c->append ? " " : "", memmap);
	}
	if (c->disk) {
		add(ret, "--disk");
		/* Else it probes the bytes, which the guest writes. */
		add(ret, "path=%s,image_type=%s%s", c->disk,
		    c->disk_format ? c->disk_format : "raw",
		    c->disk_backing ? ",backing_files=on" : "");
	}
	for (i = 0; i < c->n_gpu; i++) {
		pst_host_pci_addr_format(&c->gpu[i].addr, address);
		if (i == 0)
			add(ret, "--device");
		add(ret, "path=/sys/bus/pci/devices/%s/", address);
	}
	add(ret, "--vsock");
	add(ret, "cid=%u,socket=%s", c->cid, c->vsock_uds);
	add(ret, "--serial");
	if (c->serial_log)
		add(ret, "file=%s", c->serial_log);
	else
		add(ret, "tty");
	add(ret, "--console");
	add(ret, "off");
	if (ret->failed)
		return pst_error_set(err, -ENOMEM,
				     "the command line does not "
				     "fit");
	return 0;
}

int pst_vm_argv_firecracker(struct pst_error *err)
{
	return pst_error_set(err, -EOPNOTSUPP,
			     "nothing is written for Firecracker: it has no "
			     "device that could be the region, and passes no "
			     "card through (no released VFIO); use QEMU "
			     "(--format libvirt or qemu), or Cloud Hypervisor "
			     "(--format cloud-hypervisor)");
}
