/* SPDX-License-Identifier: MIT */
/* Reads from the kernel how much memory is available. */
#ifndef PST_TRANSPORT_BASE_MEMINFO_H
#define PST_TRANSPORT_BASE_MEMINFO_H

#include <stdint.h>

#include "transport/base/util.h"

/*
 * Bytes that this process could use without swapping: MemAvailable of
 * /proc/meminfo, and no more than the limits (memory.max) of its control group
 * and those above it leave (cgroup v2 only; page cache counts as free). Blocks
 * for as long as reading a few files of proc takes, some 50 us.
 *
 * root: "" or a directory that holds proc and sys, for tests. Returns 0,
 * -errno of reading meminfo, -EINVAL (it says nothing of it).
 */
PST_MUST_USE int pst_meminfo_available(const char *root, uint64_t *ret);

/* Bytes of anonymous memory this process has touched: RssAnon of
 * /proc/self/status. Returns as above. */
PST_MUST_USE int pst_meminfo_resident(const char *root, uint64_t *ret);

#endif
