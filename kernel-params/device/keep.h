/* SPDX-License-Identifier: MIT */
/* Keeps how a guest's functions were when it started, until it has ended. */
#ifndef PST_KERNEL_PARAMS_DEVICE_KEEP_H
#define PST_KERNEL_PARAMS_DEVICE_KEEP_H

#include "kernel-params/device/record.h"

/* Below the root; a boot empties it. */
#define PST_HOST_KEEP_DIR "run/penstock"

/*
 * Records the functions at the addresses in the file of name, one that
 * pst_name_is_good(). Functions that are not there are left out. seen: which
 * of them do not answer already. 0 or -errno with a sentence: -EACCES, -EROFS,
 * -ENOSPC, and what pst_host_pci_scan() returns.
 */
PST_MUST_USE int pst_host_keep(const struct pst_host_root *root,
			       const char *name,
			       const struct pst_host_pci_addr *addr, size_t n,
			       struct pst_host_text *seen,
			       struct pst_error *err);

/*
 * Compares with that record, waiting at most timeout_ns for functions that do
 * not answer yet, and forgets it. *ret_back: all are there and answer; seen:
 * what is different; ret_addr: the first function's. 0, or with a sentence
 * -ENOENT (there is none), -EPROTO (it is damaged), -EACCES.
 */
PST_MUST_USE int pst_host_recall(const struct pst_host_root *root,
				 const char *name, uint64_t timeout_ns,
				 bool *ret_back, struct pst_host_text *seen,
				 char ret_addr[PST_HOST_PCI_ADDR_LEN],
				 struct pst_error *err);

#endif
