/* SPDX-License-Identifier: MIT */
/* Who this machine is: what WELCOME and INFO say of it. */
#ifndef PST_GUEST_AGENT_IDENTITY_H
#define PST_GUEST_AGENT_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

struct pst_identity {
	uint8_t vm_uuid[16]; /* DMI product UUID; zeros when not readable */
	uint8_t boot_id[16];
	char kernel[65]; /* release of uname(2) */
	bool emulated;   /* the CPU is QEMU's TCG */
};

/* sysfs: mount point, "/sys". What cannot be read stays empty. */
void pst_identity_read(const char *sysfs, struct pst_identity *ret);

#endif
