/* SPDX-License-Identifier: MIT */
/* Finds programs and their versions without running them. */
#include "kernel-params/config/software.h"

#include <string.h>

/* dpkg's status file of a large installation has 10 MiB. */
#define STATUS_MAX (64U << 20)

struct wanted {
	const char *const *paths;
	const char *const *packages; /* of Debian or Arch */
};

static const char *const qemu_paths[] = {
	"usr/bin/qemu-system-x86_64",
	"usr/libexec/qemu-kvm",
	"usr/bin/qemu-kvm",
	"usr/local/bin/qemu-system-x86_64",
	"run/current-system/sw/bin/qemu-system-x86_64",
	"run/libvirt/nix-emulators/qemu-system-x86_64",
	NULL,
};
static const char *const qemu_packages[] = {
	"qemu-system-x86",
	"qemu-system-x86-core",
	"qemu-base",
	"qemu-desktop",
	"qemu-full",
	"qemu",
	NULL,
};
static const char *const libvirt_paths[] = {
	"usr/sbin/libvirtd",
	"usr/bin/libvirtd",
	"usr/sbin/virtqemud",
	"usr/bin/virtqemud",
	"run/current-system/sw/bin/libvirtd",
	NULL,
};
static const char *const libvirt_packages[] = {
	"libvirt-daemon",
	"libvirt-daemon-driver-qemu",
	"libvirt",
	NULL,
};

static const char *const ovmf_paths[] = {
	"usr/share/OVMF/OVMF_CODE_4M.fd",
	"usr/share/OVMF/OVMF_CODE.fd",
	"usr/share/edk2/x64/OVMF_CODE.4m.fd",
	"usr/share/edk2-ovmf/x64/OVMF_CODE.4m.fd",
	"usr/share/edk2-ovmf/x64/OVMF_CODE.fd",
	"usr/share/edk2/ovmf/OVMF_CODE_4M.qcow2",
	"usr/share/edk2/ovmf/OVMF_CODE.fd",
	"usr/share/qemu/ovmf-x86_64-code.bin",
	"usr/share/qemu/edk2-x86_64-code.fd",
	"run/libvirt/nix-ovmf/OVMF_CODE.fd",
	"run/libvirt/nix-ovmf/edk2-x86_64-code.fd",
	"run/current-system/sw/share/qemu/edk2-x86_64-code.fd",
	NULL,
};
static const char *const ovmf_packages[] = {"ovmf", "edk2-ovmf", NULL};

void pst_host_version_upstream(const char *text, char *ret, size_t size)
{
	size_t n = strcspn(text, ": \n/");

	if (text[n] == ':')
		text += n + 1;
	n = strcspn(text, "-+~ \n/");
	if (n >= size)
		n = size - 1;
	memcpy(ret, text, n);
	ret[n] = '\0';
}

static bool set_version(struct pst_host_program *p, const char *text)
{
	p->minor = 0;
	pst_host_version_upstream(text, p->version, sizeof(p->version));
	/* Of EDK II there is "202408" as well as "2022.11". */
	if (sscanf(p->version, "%6u.%4u", &p->major, &p->minor) >= 1)
		return true;
	*p->version = '\0';
	p->major = p->minor = 0;
	return false;
}

/* "Version:" in the paragraph "Package: NAME" that is installed. */
static bool dpkg_version(const char *status, const char *package,
			 struct pst_host_program *p)
{
	char key[96];
	const char *at = status, *end, *version;

	snprintf(key, sizeof(key), "Package: %s\n", package);
	while ((at = strstr(at, key))) {
		const char *begin = at;

		at += strlen(key);
		if (begin != status && begin[-1] != '\n')
			continue;
		end = strstr(begin, "\n\n");
		version = strstr(begin, "\nVersion: ");
		if (version && (!end || version < end))
			return set_version(p, version + strlen("\nVersion: "));
	}
	return false;
}

/* "NAME-8.2.1-1" of pacman's directories. */
static bool pacman_version(const struct pst_host_names *local,
			   const char *package, struct pst_host_program *p)
{
	size_t i, n = strlen(package);

	for (i = 0; i < local->n; i++) {
		const char *name = local->name[i];

		if (strncmp(name, package, n) == 0 && name[n] == '-' &&
		    name[n + 1] >= '0' && name[n + 1] <= '9')
			return set_version(p, name + n + 1);
	}
	return false;
}

/* "/nix/store/HASH-qemu-8.2.1/bin/..." that a profile's link leads to. */
static bool nix_version(const char *target, struct pst_host_program *p)
{
	const char *store = strstr(target, "nix/store/"), *c;

	if (!store)
		return false;
	for (c = store + strlen("nix/store/"); *c && *c != '/'; c++)
		if (c[0] == '-' && c[1] >= '0' && c[1] <= '9' &&
		    c[1 + strspn(c + 1, "0123456789")] == '.')
			return set_version(p, c + 1);
	return false;
}

static void find_version(const struct wanted *w, const char *status,
			 const struct pst_host_names *local,
			 struct pst_host_program *ret)
{
	const char *const *s;

	for (s = w->packages; *s; s++)
		if ((status && dpkg_version(status, *s, ret)) ||
		    pacman_version(local, *s, ret))
			return;
}

static void find_program(const struct pst_host_root *root,
			 const struct wanted *w, const char *status,
			 const struct pst_host_names *local,
			 struct pst_host_program *ret)
{
	char target[PST_HOST_ROOT_PATH_MAX];
	const char *const *s;

	for (s = w->paths; *s && !*ret->path; s++) {
		/* On NixOS the link leads into a store that may not be here. */
		bool link = pst_host_root_readlink(root, *s, target,
						   sizeof(target)) > 0;

		if (!pst_host_root_exists(root, *s) && !link)
			continue;
		strcpy(ret->path, *s);
		if (link && nix_version(target, ret))
			return;
	}
	if (*ret->path)
		find_version(w, status, local, ret);
}

/* libvirt.so.0.9003.0 is 9.3.0: major times 1000 and minor, then the third. */
static void libvirt_by_library(const struct pst_host_root *root,
			       struct pst_host_program *p)
{
	static const char *const dirs[] = {"usr/lib/x86_64-linux-gnu",
					   "usr/lib64", "usr/lib"};
	static const char prefix[] = "libvirt.so.0.";
	unsigned int version, third;
	char text[32];
	size_t d, i;

	for (d = 0; d < PST_ARRAY_SIZE(dirs) && !*p->version; d++) {
		PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};

		if (pst_host_root_list(root, dirs[d], &names) < 0)
			continue;
		for (i = 0; i < names.n && !*p->version; i++) {
			if (strncmp(names.name[i], prefix, strlen(prefix)) !=
				    0 ||
			    sscanf(names.name[i] + strlen(prefix), "%6u.%4u",
				   &version, &third) != 2)
				continue;
			snprintf(text, sizeof(text), "%u.%u.%u", version / 1000,
				 version % 1000, third);
			set_version(p, text);
		}
	}
}

/* A descriptor for UEFI on x86_64 that needs no secure boot. */
static bool firmware_dir(const struct pst_host_root *root, const char *dir)
{
	PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};
	char path[PST_HOST_ROOT_PATH_MAX];
	size_t i, len;

	if (pst_host_root_list(root, dir, &names) < 0)
		return false;
	for (i = 0; i < names.n && i < PST_HOST_ROOT_CONF_FILES; i++) {
		PST_CLEANUP_FREE char *text = NULL;

		if (pst_host_path(path, "%s/%s", dir, names.name[i]) == 0 &&
		    pst_host_root_read(root, path, PST_HOST_ROOT_CONF_MAX,
				       &text, &len) == 0 &&
		    strstr(text, "\"uefi\"") && strstr(text, "\"x86_64\""))
			return true;
	}
	return false;
}

static void find_descriptors(const struct pst_host_root *root,
			     struct pst_host_software *s)
{
	static const char *const dirs[] = {
		"etc/qemu/firmware", "usr/share/qemu/firmware",
		"run/current-system/sw/share/qemu/firmware"};
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(dirs) && !s->ovmf_descriptors; i++)
		s->ovmf_descriptors = firmware_dir(root, dirs[i]);
}

void pst_host_software_scan(const struct pst_host_root *root,
			    struct pst_host_software *ret)
{
	static const struct wanted qemu = {qemu_paths, qemu_packages};
	static const struct wanted libvirt = {libvirt_paths, libvirt_packages};
	static const struct wanted ovmf = {ovmf_paths, ovmf_packages};
	PST_HOST_CLEANUP_NAMES struct pst_host_names local = {0};
	PST_CLEANUP_FREE char *status = NULL;
	struct pst_host_software s = {0};
	size_t len;

	if (pst_host_root_read(root, "var/lib/dpkg/status", STATUS_MAX, &status,
			       &len) < 0)
		status = NULL;
	if (pst_host_root_list(root, "var/lib/pacman/local", &local) < 0)
		local = (struct pst_host_names){0};
	find_program(root, &qemu, status, &local, &s.qemu);
	find_program(root, &libvirt, status, &local, &s.libvirt);
	if (*s.libvirt.path && !*s.libvirt.version)
		libvirt_by_library(root, &s.libvirt);
	find_program(root, &ovmf, status, &local, &s.ovmf);
	find_descriptors(root, &s);
	s.has_usr = pst_host_root_exists(root, "usr/bin") ||
		    pst_host_root_exists(root, "run/current-system/sw");
	*ret = s;
}
