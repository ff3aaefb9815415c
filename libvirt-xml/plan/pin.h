/* SPDX-License-Identifier: MIT */
/* Chooses the host CPUs of vCPUs and of QEMU's own threads. */
#ifndef PST_LIBVIRT_XML_PLAN_PIN_H
#define PST_LIBVIRT_XML_PLAN_PIN_H

#include "libvirt-xml/config/config.h"

/*
 * Pins vcpus vCPUs: whole cores of NUMA node (-1: of any), SMT siblings on
 * neighbouring vCPUs, at least one core left for the host (the first of the
 * node, since CPU 0 has the host's interrupts); QEMU's own threads run on what
 * is left of the node. Other nodes are never used: an access across nodes costs
 * more than an unpinned vCPU. A pure function; threads need no order.
 * Returns 0 and *ret, -ENOSPC (the node has too few cores; the sentence says
 * how many), -ENOENT (no CPU on that node), -EINVAL, -ENOMEM.
 */
PST_MUST_USE int pst_vm_pin_choose(const struct pst_host_cpu_thread *threads,
				   size_t n, int node, uint32_t vcpus,
				   struct pst_vm_pin *ret,
				   struct pst_error *err);

/*
 * The CPUs that the user named, "2-5,8": the first vcpus of them in that order;
 * QEMU's own threads get the others. Siblings that are neighbours in it all
 * through are threads of one core to the guest. Returns 0, -EINVAL (no list, a
 * number twice, fewer than vCPUs), -ENOENT (one that is not online).
 */
PST_MUST_USE int pst_vm_pin_list(const struct pst_host_cpu_thread *threads,
				 size_t n, const char *list, uint32_t vcpus,
				 struct pst_vm_pin *ret, struct pst_error *err);

#endif
