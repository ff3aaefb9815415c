/* SPDX-License-Identifier: MIT */
/* Hints for the usual failures of a start. */
#include "libvirt-xml/config/hint.h"

#include <string.h>

#include "kernel-params/machine/mounts.h"

const char *pst_vm_hint(const char *text)
{
	/* The first that fits counts; both words have to be there. */
	static const struct {
		const char *word, *other, *hint;
	} hints[] = {
		{"hugetlbfs filesystem is not mounted", "",
		 PST_HOST_MOUNT_2M ", restart libvirtd, and see penstock host "
				   "check for the pool"},
		{"unable to map backing store", "annot allocate memory",
		 "the pool of hugepages is too small, or on the wrong NUMA "
		 "node: penstock host check, penstock host plan --vm-memory"},
		{"VFIO_MAP_DMA", "annot allocate memory",
		 "the limit of locked memory is too low: <memtune><hard_limit> "
		 "of penstock vm xml counts memory, region and BARs"},
		{"vfio", "annot allocate memory",
		 "the limit of locked memory is too low: <memtune><hard_limit> "
		 "of penstock vm xml counts memory, region and BARs"},
		{"VFIO_MAP_DMA", "",
		 "an address of the guest lies beyond what the IOMMU "
		 "translates: limit its physical bits (libvirt 9.3), or "
		 "--region-via nvdimm"},
		{"vfio", "nvalid argument",
		 "an address of the guest lies beyond what the IOMMU "
		 "translates: limit its physical bits (libvirt 9.3), or "
		 "--region-via nvdimm"},
		{"guest cid", "in use",
		 "another guest has its CID now: penstock vm define with "
		 "another --cid"},
		{"CID", "in use",
		 "another guest has its CID now: penstock vm define with "
		 "another --cid"},
		{"group", "is not viable",
		 "something in the card's IOMMU group still has a driver of "
		 "the host: penstock host check"},
		{"penstock-", "ermission denied",
		 "QEMU may not open the region: its group, or AppArmor (the "
		 "line that penstock vm define prints)"},
		{"network '", "is not active",
		 "virsh net-start NETWORK, and virsh net-autostart NETWORK for "
		 "the next boot"},
		{"cannot access storage file", "ermission denied",
		 "QEMU runs as a user of its own: put the image into "
		 "/var/lib/libvirt/images"},
		{"vhost-vsock", "",
		 "the kernel's vsock is missing: modprobe vhost_vsock"},
	};
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(hints); i++)
		if (strcasestr(text, hints[i].word) &&
		    strstr(text, hints[i].other))
			return hints[i].hint;
	return NULL;
}
