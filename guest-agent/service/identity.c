/* SPDX-License-Identifier: MIT */
/* Identifies this machine for WELCOME and INFO. */
#include "guest-agent/service/identity.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "transport/base/util.h"

#define BOOT_ID "/proc/sys/kernel/random/boot_id"

static void read_uuid(const char *path, uint8_t ret[16])
{
	char text[64];

	if (pst_read_text(path, text, sizeof(text)) < 0 ||
	    pst_uuid_parse(text, ret) < 0)
		memset(ret, 0, 16);
}

static bool is_emulated(void)
{
#if defined(__x86_64__)
	/* The hypervisor's signature: leaf 0x40000000, there when leaf 1 has
	 * ECX bit 31 (Linux: Documentation/virt/kvm/x86/cpuid.rst). */
	unsigned int eax, ebx, ecx, edx;
	char sig[12];

	if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || !(ecx & 1U << 31))
		return false;
	__cpuid(0x40000000, eax, ebx, ecx, edx);
	memcpy(sig, &ebx, 4);
	memcpy(sig + 4, &ecx, 4);
	memcpy(sig + 8, &edx, 4);
	return memcmp(sig, "TCGTCGTCGTCG", sizeof(sig)) == 0;
#else
	return false;
#endif
}

static int read_credential(const char *dir, uint8_t ret[16],
			   struct pst_error *err)
{
	char path[PATH_MAX], text[64];
	int r;

	snprintf(path, sizeof(path), "%s/vm-uuid", dir);
	r = pst_read_text(path, text, sizeof(text));
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return pst_error_set_errno(err, r, "credential %s", path);
	if (pst_uuid_parse(text, ret) < 0)
		return pst_error_set(err, -EINVAL,
				     "credential %s: '%s' is not a UUID", path,
				     text);
	return 0;
}

int pst_agent_identity_read(const char *sysfs, const char *credentials,
			    struct pst_agent_identity *ret,
			    struct pst_error *err)
{
	static const uint8_t nil[16];
	char path[PATH_MAX];
	struct utsname uts;
	int r;

	memset(ret, 0, sizeof(*ret));
	read_uuid(BOOT_ID, ret->boot_id);
	if (uname(&uts) == 0)
		snprintf(ret->kernel, sizeof(ret->kernel), "%s", uts.release);
	ret->emulated = is_emulated();
	if (credentials) {
		r = read_credential(credentials, ret->vm_uuid, err);
		if (r < 0)
			return r;
	}
	if (memcmp(ret->vm_uuid, nil, sizeof(nil)) == 0) {
		snprintf(path, sizeof(path), "%s/class/dmi/id/product_uuid",
			 sysfs);
		read_uuid(path, ret->vm_uuid);
	}
	return 0;
}
