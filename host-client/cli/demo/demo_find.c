/* SPDX-License-Identifier: MIT */
/* Finds the guest's image and the programs that run it. */
#include <string.h>

#include "host-client/cli/demo/demo.h"

#define QEMU_NAME  "qemu-system-x86_64"
#define VSOCK_NAME "vhost-device-vsock"

/* DIR of this program + "/" + name. */
static bool beside(const char *name, char ret[PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", ret, PATH_MAX - 1);
	char *slash;

	if (n <= 0)
		return false;
	ret[n] = '\0';
	slash = strrchr(ret, '/');
	if (!slash ||
	    (size_t)(slash - ret) + strlen(name) + 2 > (size_t)PATH_MAX)
		return false;
	strcpy(slash + 1, name);
	return true;
}

static bool in_path(const char *name, char ret[PATH_MAX])
{
	const char *p = getenv("PATH"), *end;

	for (; p && *p; p = *end ? end + 1 : end) {
		end = strchrnul(p, ':');
		if (snprintf(ret, PATH_MAX, "%.*s/%s", (int)(end - p), p,
			     name) < PATH_MAX &&
		    access(ret, X_OK) == 0)
			return true;
	}
	return false;
}

int pst_demo_find_image(struct pst_demo_files *f, struct pst_error *err)
{
	const char *env = getenv("PENSTOCK_GUEST_IMAGE");
	const char *dirs[] = {env, NULL, PST_PKGLIBEXECDIR};
	char built[PATH_MAX];
	size_t i;

	if (beside("../guest-agent/image", built))
		dirs[1] = built;
	for (i = 0; i < (env ? 1 : PST_ARRAY_SIZE(dirs)); i++) {
		if (!dirs[i] ||
		    snprintf(f->kernel, PATH_MAX, "%s/vmlinuz", dirs[i]) >=
			    PATH_MAX ||
		    snprintf(f->initrd, PATH_MAX, "%s/initrd.img", dirs[i]) >=
			    PATH_MAX)
			continue;
		if (access(f->kernel, R_OK) == 0 &&
		    access(f->initrd, R_OK) == 0)
			return 0;
	}
	return pst_error_set(err, -ENOENT,
			     "no guest image (vmlinuz and initrd.img) in %s%s; "
			     "./bootstrap demo makes one, "
			     "$PENSTOCK_GUEST_IMAGE names its directory, and "
			     "demo --no-vm needs none",
			     env ? env : PST_PKGLIBEXECDIR,
			     env ? "" : " or this build");
}

int pst_demo_find_qemu(struct pst_demo_files *f, struct pst_error *err)
{
	const char *env = getenv("PENSTOCK_QEMU");

	if (env && (size_t)snprintf(f->qemu, PATH_MAX, "%s", env) < PATH_MAX)
		return 0;
	if (in_path(QEMU_NAME, f->qemu))
		return 0;
	return pst_error_set(err, -ENOENT,
			     QEMU_NAME " is not in $PATH (Debian: package "
				       "qemu-system-x86)");
}

int pst_demo_find_vsock(struct pst_demo_files *f, struct pst_error *err)
{
	const char *env = getenv("PENSTOCK_VHOST_VSOCK");

	if (env && (size_t)snprintf(f->vsock, PATH_MAX, "%s", env) < PATH_MAX)
		return 0;
	if (beside("../tools/" VSOCK_NAME "/usr/bin/" VSOCK_NAME, f->vsock) &&
	    access(f->vsock, X_OK) == 0)
		return 0;
	strcpy(f->vsock, PST_PKGLIBEXECDIR "/" VSOCK_NAME);
	if (access(f->vsock, X_OK) == 0 || in_path(VSOCK_NAME, f->vsock))
		return 0;
	return pst_error_set(err, -ENOENT,
			     "/dev/vhost-vsock does not open, and there is "
			     "no " VSOCK_NAME "; ./bootstrap demo gets it, or "
			     "modprobe vhost_vsock as root");
}
