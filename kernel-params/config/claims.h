/* SPDX-License-Identifier: MIT */
/* What of a host's memory others take: pools of hugepages, guests that start by
 * themselves. */
#ifndef PST_KERNEL_PARAMS_CONFIG_CLAIMS_H
#define PST_KERNEL_PARAMS_CONFIG_CLAIMS_H

#include "kernel-params/machine/hugepages.h"
#include "kernel-params/machine/pci.h"
#include "kernel-params/root/root.h"

#define PST_HOST_CLAIMS     32
#define PST_HOST_CLAIM_WHAT 80
#define PST_HOST_CLAIM_TEXT 400

struct pst_host_claim {
	/* A pool of pages of page_size; 0 with a guest that takes none. */
	uint64_t page_size, bytes;
	int node; /* of a pool, -1: of all nodes */
	bool is_guest;
	bool locks;   /* a guest: all its memory stays, for a device of its */
	bool iommufd; /* and counts for its user, with that of others */
	char what[PST_HOST_CLAIM_WHAT]; /* "guest win2" */
};

struct pst_host_claims {
	struct pst_host_claim claim[PST_HOST_CLAIMS];
	size_t n;
	/* What sets the pool of 2 MiB after the command line did; not ours. */
	char later[160]; /* "etc/sysctl.d/x.conf: vm.nr_hugepages = 4" or "" */
	uint64_t later_pages;
};

/*
 * Reads settings (sysctl, tmpfiles), pools of other sizes that are there, and
 * guests that run or start by themselves, but for those that have the card of
 * gpu (may be NULL): of libvirt in etc/libvirt/qemu, of Proxmox in
 * etc/pve/qemu-server. m: of the same root.
 */
void pst_host_claims_scan(const struct pst_host_root *root,
			  const struct pst_host_memory *m,
			  const struct pst_host_pci_dev *gpu,
			  struct pst_host_claims *ret);

/* Adds the pools of other sizes than 2 MiB that a command line asks for.
 * by_node: pst_host_knows_pool_nodes(). */
void pst_host_claims_cmdline(struct pst_host_claims *c, const char *text,
			     bool by_node);
/* The same of each line of a file that has such words, quotes or not. */
void pst_host_claims_file(struct pst_host_claims *c, const char *text,
			  bool by_node);

/* Bytes that guests lock; by_user: only those that the kernel adds up for one
 * user against the limit of a process, which is what iommufd does. In text
 * which. */
uint64_t pst_host_claims_locked(const struct pst_host_claims *c, bool by_user,
				char text[PST_HOST_CLAIM_TEXT]);

/* Bytes that guests take from the pool of 2 MiB. */
uint64_t pst_host_claims_small(const struct pst_host_claims *c);

/* Bytes that all else takes, on a node of n_nodes (-1: of the machine, where
 * guests count, too), and in text what. */
uint64_t pst_host_claims_others(const struct pst_host_claims *c, int node,
				unsigned int n_nodes,
				char text[PST_HOST_CLAIM_TEXT]);

/* ---- For claims*.c alone ------------------------------------------------ */

void pst_host_claims_guests(const struct pst_host_root *root,
			    uint64_t default_page,
			    const struct pst_host_pci_dev *gpu,
			    struct pst_host_claims *c);

#endif
