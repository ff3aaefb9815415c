/* SPDX-License-Identifier: MIT */
/* Kernel versions and the table of vsock fixes. */
#include "kernel-params/machine/kernel.h"

#include <stdio.h>
#include <string.h>

int pst_host_kernel_version_parse(const char *release,
				  struct pst_host_kernel_version *ret)
{
	struct pst_host_kernel_version v = {0};
	int n;

	/* Bounded, since sscanf() does not say that a number is too large. */
	n = sscanf(release, "%4u.%4u.%4u", &v.major, &v.minor, &v.patch);
	if (n < 2 || strspn(release, "0123456789") == 0)
		return -EINVAL;
	*ret = v;
	return 0;
}

int pst_host_kernel_version_cmp(const struct pst_host_kernel_version *a,
				const struct pst_host_kernel_version *b)
{
	if (a->major != b->major)
		return a->major < b->major ? -1 : 1;
	if (a->minor != b->minor)
		return a->minor < b->minor ? -1 : 1;
	return (a->patch > b->patch) - (a->patch < b->patch);
}

/*
 * From the kernel's own CVE records (vulns.git): the version that brought the
 * fault, then of each stable series the first patch level that has the fix;
 * the last is the mainline release. Series between them never got it.
 */
static const struct {
	struct pst_host_vsock_fix fix;
	struct pst_host_kernel_version since;
	struct pst_host_kernel_version fixed[9];
} fixes[] = {
	{{"CVE-2021-26708", "a local user becomes root"},
	 {5, 5, 0},
	 {{5, 10, 13}, {5, 11, 0}}},
	{{"CVE-2024-50264", "a local user becomes root"},
	 {4, 8, 0},
	 {{4, 19, 324},
	  {5, 4, 286},
	  {5, 10, 230},
	  {5, 15, 172},
	  {6, 1, 117},
	  {6, 6, 61},
	  {6, 11, 8},
	  {6, 12, 0}}},
	{{"CVE-2025-21756", "a local user becomes root"},
	 {5, 5, 0},
	 {{5, 10, 235},
	  {5, 15, 179},
	  {6, 1, 131},
	  {6, 6, 79},
	  {6, 12, 16},
	  {6, 13, 4},
	  {6, 14, 0}}},
	{{"CVE-2026-23069", "a peer makes the other queue without bound"},
	 {4, 8, 0},
	 {{6, 1, 162}, {6, 6, 122}, {6, 12, 68}, {6, 18, 8}, {6, 19, 0}}},
	{{"CVE-2026-46214", "a listener stops accepting"},
	 {5, 5, 0},
	 {{6, 6, 140}, {6, 12, 90}, {6, 18, 32}, {7, 0, 9}, {7, 1, 0}}},
};

static bool lacks(const struct pst_host_kernel_version *v, size_t f)
{
	const struct pst_host_kernel_version *fixed = fixes[f].fixed,
					     *last = fixed;
	size_t i;

	if (pst_host_kernel_version_cmp(v, &fixes[f].since) < 0)
		return false;
	for (i = 0; i < PST_ARRAY_SIZE(fixes[f].fixed) && fixed[i].major; i++) {
		if (fixed[i].major == v->major && fixed[i].minor == v->minor)
			return v->patch < fixed[i].patch;
		last = &fixed[i];
	}
	return pst_host_kernel_version_cmp(v, last) < 0;
}

const struct pst_host_vsock_fix *
pst_host_vsock_fix_missing(const struct pst_host_kernel_version *v, size_t i)
{
	size_t f;

	for (f = 0; f < PST_ARRAY_SIZE(fixes); f++)
		if (lacks(v, f) && i-- == 0)
			return &fixes[f].fix;
	return NULL;
}
