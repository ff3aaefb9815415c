/* SPDX-License-Identifier: MIT */
/* Writes to attributes of sysfs, in a child of which the caller can tire. */
#ifndef PST_KERNEL_PARAMS_DEVICE_ACT_H
#define PST_KERNEL_PARAMS_DEVICE_ACT_H

#include <signal.h>

#include "kernel-params/root/root.h"

/* A reset takes the kernel a minute where the device does not come back
 * (PCIE_RESET_READY_POLL_MS), and nothing ends that. */
#define PST_HOST_ACT_NS (90 * PST_NS_PER_S)

/*
 * Writes n bytes at off to the file at path, which holds no links and is not
 * made. The child that does it inherits every descriptor: what the caller holds
 * stays held until the kernel is done. Returns 0 or -errno with a sentence:
 * -ETIMEDOUT (the kernel is still at it, and the child waits for it), or what
 * open(2) and write(2) say.
 */
PST_MUST_USE int pst_host_act_bytes(const struct pst_host_root *root,
				    const char *path, uint64_t off,
				    const void *bytes, size_t n,
				    uint64_t timeout_ns, struct pst_error *err);

/* The same with a text at the beginning, within PST_HOST_ACT_NS. */
PST_MUST_USE int pst_host_act_write(const struct pst_host_root *root,
				    const char *path, const char *text,
				    struct pst_error *err);

/* Holds HUP, INT and TERM back until the end, so that what was begun is ended.
 */
void pst_host_act_begin(sigset_t *ret);
void pst_host_act_end(const sigset_t *former);

/* Sleeps. */
void pst_host_act_pause(uint64_t ns);

#endif
