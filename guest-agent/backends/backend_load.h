/* SPDX-License-Identifier: MIT */
/* Opens a backend, from a module if need be. */
#ifndef PST_GUEST_AGENT_BACKENDS_BACKEND_LOAD_H
#define PST_GUEST_AGENT_BACKENDS_BACKEND_LOAD_H

#include "guest-agent/exec/backend.h"

/* Checks options, which follow a backend's name and ':'; NULL: there are none.
 * Returns 0, or -EINVAL with a sentence. */
int pst_backend_check(const struct pst_backend_ops *want, const char *options,
		      struct pst_error *err);

/*
 * Opens the backend that want names: "cpu" itself; "sim" with checked options;
 * "cuda" from penstock-backend-cuda.so in pkglibdir (or in
 * $PENSTOCK_BACKEND_DIR, which a program with more rights than its caller
 * ignores); "auto" the cuda backend if it opens, else the cpu one with a line
 * of log that says why, unless sysfs (its mount point) has an NVIDIA card that
 * is not a virtual machine's: then it fails, as "cuda" does. A module stays
 * loaded until the process ends. The other arguments are those of struct
 * pst_backend_ops' open; *ret_ops is what runs.
 *
 * Returns 0; -ENODEV (no module, of another ABI, no device), -errno of open.
 */
int pst_backend_open(const struct pst_backend_ops *want, const char *options,
		     const char *sysfs, uint8_t *base, uint64_t size,
		     uint32_t threads, const struct pst_backend_ops **ret_ops,
		     struct pst_backend **ret, struct pst_error *err);

#endif
