/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/* What pst_probe.ko is asked, by tests/vm/region_probe.c. */
#ifndef PST_TESTS_VM_KMOD_PST_PROBE_H
#define PST_TESTS_VM_KMOD_PST_PROBE_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* Probes one address of the caller, which must be mapped and touched. */
struct pst_probe {
	__u64 addr;
	__u64 entry;  /* of the page table, as it is */
	__u32 shift;  /* 12, 21 or 30: the page's size; 0: not present */
	__s32 pinned; /* 1 or -errno of a long-term pin for writing */
	__u32 hold;   /* 1: the pin stays until the file is closed */
	__u32 reserved;
};

#define PST_PROBE_IOCTL _IOWR('P', 1, struct pst_probe)

#endif
