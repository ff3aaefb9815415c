/* SPDX-License-Identifier: MIT */
/* Identifies this machine for WELCOME and INFO. */
#ifndef PST_GUEST_AGENT_SERVICE_IDENTITY_H
#define PST_GUEST_AGENT_SERVICE_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

#include "transport/base/error.h"

struct pst_agent_identity {
	uint8_t vm_uuid[16]; /* DMI product UUID; zeros when not known */
	uint8_t boot_id[16];
	char kernel[65]; /* release of uname(2) */
	bool emulated;   /* the CPU is QEMU's TCG */
};

/*
 * sysfs: mount point, "/sys". credentials: $CREDENTIALS_DIRECTORY or NULL; its
 * file vm-uuid goes before the one in sysfs, which only root can read, unless
 * it has the nil UUID ("not known"). What cannot be read stays empty. Returns
 * 0, -EINVAL: that file is there and holds no UUID, -errno: or cannot be read.
 */
int pst_agent_identity_read(const char *sysfs, const char *credentials,
			    struct pst_agent_identity *ret,
			    struct pst_error *err);

#endif
