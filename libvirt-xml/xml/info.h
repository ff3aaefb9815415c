/* SPDX-License-Identifier: MIT */
/* Reads from a domain's XML what Penstock needs. */
#ifndef PST_LIBVIRT_XML_XML_INFO_H
#define PST_LIBVIRT_XML_XML_INFO_H

#include "libvirt-xml/config/config.h"

/* PCI functions passed through that are kept of a domain. */
#define PST_VM_INFO_MAX_HOSTDEVS 32

struct pst_vm_info {
	char type[16]; /* "kvm", "qemu", ...; empty: not said */
	char name[256];
	char uuid[40];
	bool ours; /* it has our element in <metadata> */
	struct pst_vm_region region;
	char endpoint[2 * PATH_MAX]; /* the agent's URI, empty: none */
	bool vsock;                  /* it has a vsock device */
	uint32_t cid;         /* of <vsock>; 0: none, or chosen at start */
	char disk[PATH_MAX];  /* of its first disk that is a file or a block */
	char disk_format[16]; /* device; empty: none */
	bool i440fx;          /* its root bus is pci.0, not q35's pcie.0 */
	uint32_t root_slots;  /* of the root bus that have an address, bits */
	bool cid_auto;        /* another one at each start */
	uint64_t memory;      /* bytes, <memory> */
	uint64_t hard_limit;  /* bytes, of <memtune>; 0: none */
	bool agent_channel;   /* org.qemu.guest_agent.0 is there */
	bool agent_connected; /* and somebody in the guest has it open */
	bool uefi;            /* boots by OVMF */
	char nvram[PATH_MAX]; /* empty: none */
	struct pst_host_pci_addr hostdev[PST_VM_INFO_MAX_HOSTDEVS];
	uint32_t n_hostdevs;
};

/*
 * Reads any domain's XML: numbers are checked, texts cut at what fits never
 * used (a path too long is none). A pure function. Returns 0, -EINVAL (no XML,
 * no domain; or our own element is damaged).
 */
PST_MUST_USE int pst_vm_info_parse(const char *xml, struct pst_vm_info *ret,
				   struct pst_error *err);

#endif
