/* SPDX-License-Identifier: MIT */
/* Recognises what names a machine by its form, where a text begins. */
#ifndef PST_KERNEL_PARAMS_REPORT_MASK_FIND_H
#define PST_KERNEL_PARAMS_REPORT_MASK_FIND_H

#include <stddef.h>

/* Each returns how long it is, or 0 if p does not begin so; none looks further
 * than a few hundred bytes. */
size_t pst_host_find_uuid(const char *p);
size_t pst_host_find_md(const char *p); /* of a RAID */
/* A machine id, or an address of IPv6 in /proc/net. */
size_t pst_host_find_hex32(const char *p);
size_t pst_host_find_mac(const char *p);
size_t pst_host_find_ipv4(const char *p);
size_t pst_host_find_ipv6(const char *p);
size_t pst_host_find_mail(const char *p);
/* The length behind the first *ret_kept bytes. */
size_t pst_host_find_wwn(const char *p, size_t *ret_kept);

#endif
