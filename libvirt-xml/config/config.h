/* SPDX-License-Identifier: MIT */
/* The configuration of a virtual machine, for any VMM. */
#ifndef PST_LIBVIRT_XML_CONFIG_CONFIG_H
#define PST_LIBVIRT_XML_CONFIG_CONFIG_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel-params/machine/cpu.h"
#include "kernel-params/machine/pci.h"
#include "transport/base/error.h"
#include "transport/base/util.h"

/* More need an emulated IOMMU with extended interrupt mode. */
#define PST_VM_MAX_VCPUS 255
/* hyperv vendor_id, [libvirt: formatdomain, Hypervisor features]. */
#define PST_VM_VENDOR_ID_MAX 12
/* CIDs 0 to 2 are the hypervisor's, loopback's and the host's, vsock(7). */
#define PST_VM_FIRST_CID 3

/* What the region is to the guest. */
enum pst_vm_via {
	PST_VM_VIA_AUTO,
	PST_VM_VIA_IVSHMEM, /* a BAR, the file on hugetlbfs: qemu:commandline */
	PST_VM_VIA_NVDIMM,  /* memory; libvirt's own words */
	PST_VM_VIA_SHMEM,   /* a BAR; libvirt's own words, in /dev/shm only */
};

/* "auto", "ivshmem", "nvdimm", "shmem". */
const char *pst_vm_via_name(enum pst_vm_via via);
/* The reverse. 0 or -EINVAL. */
PST_MUST_USE int pst_vm_via_parse(const char *text, enum pst_vm_via *ret);

/* Where the guest's own memory comes from. */
enum pst_vm_memory {
	PST_VM_MEMORY_HUGEPAGES,
	PST_VM_MEMORY_PLAIN,
};

/* One function of the card, by its address on the host. */
struct pst_vm_pci {
	struct pst_host_pci_addr addr;
	uint64_t bars; /* bytes of all its memory BARs */
};

struct pst_vm_region {
	enum pst_vm_via via; /* not AUTO once the configuration is complete */
	char path[PATH_MAX];
	uint64_t size;
	int node;       /* NUMA node its pages come from, -1: any */
	char group[64]; /* who may map it on the host, empty: root */
};

struct pst_vm_firmware {
	bool uefi;
	bool by_libvirt; /* UEFI, but which is libvirt's choice at define */
	char code[PATH_MAX];
	char vars_template[PATH_MAX];
	char vars[PATH_MAX]; /* the domain's own copy */
	char format[16];     /* of both: "raw", "qcow2" */
};

/* Host CPUs of each vCPU, by the host's numbers. */
struct pst_vm_pin {
	uint32_t n; /* 0: no pinning; else as many as vCPUs */
	uint16_t cpu[PST_VM_MAX_VCPUS];
	struct pst_host_cpuset emulator; /* where QEMU's own threads may run */
	uint32_t threads;                /* SMT threads of a guest's core */
};

/* Strings are borrowed; NULL or empty: not wanted. */
struct pst_vm_config {
	const char *name;
	bool emulated; /* type qemu (TCG), else kvm */
	uint64_t memory;
	enum pst_vm_memory memory_from;
	uint32_t vcpus;
	const char *disk;
	const char *disk_format;         /* "raw", "qcow2" */
	bool disk_is_block;              /* a block device, else a file */
	const char *disk_backing;        /* the file under it */
	const char *disk_backing_format; /* of disk_backing */
	struct pst_vm_pci gpu[PST_HOST_PCI_MAX_FN];
	uint32_t n_gpu;
	const char *rom; /* the card's, of its first function */
	bool hide_kvm;
	const char *vendor_id;
	bool topoext; /* AMD's word for a guest that sees SMT siblings */
	int node; /* NUMA node of the card, -1: there is only one, or unknown */
	struct pst_vm_region region;
	struct pst_vm_pin pin;
	struct pst_vm_firmware firmware;
	uint32_t cid;             /* with vhost-vsock */
	const char *vsock_socket; /* a vhost-user vsock device instead */
	const char *vsock_uds;    /* and its socket on the host */
	uint32_t port;            /* the agent's */
	uint32_t phys_bits;       /* limit, 0: none */
	const char *network;      /* a libvirt network's name */
	const char *kernel;       /* booted directly, with initrd and append */
	const char *initrd;
	const char *append;
	const char *serial_log; /* a file instead of a terminal */
	const char *emulator;   /* QEMU's program */
	const char *cpu;        /* QEMU's model; NULL: host, or emulated max */
	/* Places of what only QEMU knows, of a domain that is there already. */
	const char *root_bus;             /* NULL: pcie.0, of q35 */
	uint8_t ivshmem_slot, vsock_slot; /* 0: the usual one */
};

/*
 * Looks for what no hypervisor could take, or would take and misread: names,
 * sizes, a region that cannot be a BAR, a CID of somebody else's, strings with
 * control characters. A pure function. Returns 0 or -EINVAL with the sentence.
 */
PST_MUST_USE int pst_vm_config_check(const struct pst_vm_config *c,
				     struct pst_error *err);

/*
 * Bytes that QEMU may lock: what VFIO pins (memory and region), the BARs, and
 * what QEMU needs beyond. 0 when nothing is passed through.
 */
uint64_t pst_vm_memlock(const struct pst_vm_config *c);

/*
 * The way of the region that suits the host: nvdimm on AMD hosts, where an
 * ivshmem BAR may end up uncached, and with UEFI, which marks the PCI window
 * uncached; else ivshmem.
 */
enum pst_vm_via pst_vm_via_choose(bool amd, bool uefi);

/*
 * The endpoint URI of the guest's agent, escaped. Returns 0, or -EMSGSIZE when
 * it does not fit.
 */
PST_MUST_USE int pst_vm_config_endpoint(const struct pst_vm_config *c,
					char *ret, size_t size,
					struct pst_error *err);

#endif
