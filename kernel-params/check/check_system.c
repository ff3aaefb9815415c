/* SPDX-License-Identifier: MIT */
/* Checks of the kernel, of vsock, and of QEMU, libvirt and OVMF. */
#include <string.h>

#include "kernel-params/check/check_int.h"

/* libvirt that can limit a guest's physical address bits. */
#define LIBVIRT_MAXPHYS_MAJOR 9
#define LIBVIRT_MAXPHYS_MINOR 3
/* The first kernel that has the sysctl io_uring_disabled. */
static const struct pst_host_kernel_version io_uring_sysctl = {6, 6, 0};
/* Oldest QEMU that penstock's domains were tried with in this form. */
#define QEMU_MAJOR 7

PST_HOST_CHECK(vhost_vsock)
{
	enum pst_host_module_state s =
		pst_host_module_state(&h->modules, "vhost_vsock");
	static const char load[] = "modprobe vhost_vsock, and its name into "
				   "/etc/modules-load.d/penstock.conf";

	if (h->live.tested && h->files.dev_vhost_vsock && h->live.vhost_error)
		pst_host_finding_add(out, PST_HOST_WARN,
				     "QEMU's user needs read and write access: "
				     "usually the group kvm",
				     "/dev/vhost-vsock does not open here: %s",
				     strerror(h->live.vhost_error));
	else if (h->files.dev_vhost_vsock || s >= PST_HOST_MODULE_BUILTIN)
		pst_host_finding_add(out, PST_HOST_PASS, NULL, "%s, module %s",
				     h->files.dev_vhost_vsock
					     ? "/dev/vhost-vsock"
					     : "no device yet",
				     pst_host_module_state_text(s));
	else if (s == PST_HOST_MODULE_AVAILABLE)
		pst_host_finding_add(out, PST_HOST_WARN, load,
				     "vhost_vsock not loaded");
	else if (s == PST_HOST_MODULE_ABSENT)
		pst_host_finding_add(
			out, PST_HOST_FAIL,
			"use a kernel with CONFIG_VHOST_VSOCK, or "
			"vhost-device-vsock and a vsock-uds endpoint",
			"this kernel has no vhost_vsock");
	else
		pst_host_finding_add(
			out, PST_HOST_WARN, load,
			"neither /dev/vhost-vsock nor its module was "
			"seen");
}

PST_HOST_CHECK(qemu)
{
	const struct pst_host_program *q = &h->software.qemu;

	if (!*q->path)
		pst_host_finding_add(
			out,
			h->software.has_usr ? PST_HOST_FAIL : PST_HOST_WARN,
			"install QEMU for x86_64 (qemu-system-x86, "
			"qemu-base)",
			"no qemu-system-x86_64 was found");
	else if (!*q->version)
		pst_host_finding_add(
			out, PST_HOST_WARN,
			"compare qemu-system-x86_64 --version with 7.0",
			"/%s; its version was not seen", q->path);
	else if (q->major < QEMU_MAJOR)
		pst_host_finding_add(out, PST_HOST_WARN,
				     "update QEMU to 7.0 or newer", "/%s %s",
				     q->path, q->version);
	else
		pst_host_finding_add(out, PST_HOST_PASS, NULL, "/%s %s",
				     q->path, q->version);
}

PST_HOST_CHECK(libvirt)
{
	const struct pst_host_program *l = &h->software.libvirt;
	bool old = l->major < LIBVIRT_MAXPHYS_MAJOR ||
		   (l->major == LIBVIRT_MAXPHYS_MAJOR &&
		    l->minor < LIBVIRT_MAXPHYS_MINOR);

	if (!*l->path)
		pst_host_finding_add(
			out, PST_HOST_WARN,
			"install libvirt's daemon, or run QEMU from "
			"penstock vm xml --format qemu",
			"neither libvirtd nor virtqemud was found");
	else if (!*l->version)
		pst_host_finding_add(out, PST_HOST_WARN,
				     "compare libvirtd --version with 9.3",
				     "/%s; its version was not seen", l->path);
	else if (old)
		pst_host_finding_add(
			out, PST_HOST_WARN,
			"9.3 or newer can limit the guest's physical "
			"address bits; without, take the region as "
			"nvdimm",
			"/%s %s", l->path, l->version);
	else
		pst_host_finding_add(out, PST_HOST_PASS, NULL, "/%s %s",
				     l->path, l->version);
}

PST_HOST_CHECK(ovmf)
{
	const struct pst_host_program *o = &h->software.ovmf;
	bool by_descriptor = h->software.ovmf_descriptors;

	if (*o->path)
		pst_host_finding_add(
			out, PST_HOST_PASS, NULL, "/%s%s%s%s", o->path,
			*o->version ? " " : "", o->version,
			by_descriptor ? ", and QEMU's descriptors" : "");
	else if (by_descriptor)
		pst_host_finding_add(out, PST_HOST_PASS, NULL,
				     "by QEMU's firmware descriptors");
	else
		pst_host_finding_add(
			out, PST_HOST_WARN,
			"install OVMF (ovmf, edk2-ovmf), or boot the "
			"guest by SeaBIOS",
			"no OVMF image was found");
}

PST_HOST_CHECK(lockdown)
{
	const struct pst_host_param *asked =
		pst_host_cmdline_get(&h->cmdline, "lockdown");
	const struct pst_host_files *f = &h->files;
	const char *boot = f->secure_boot == 1   ? "Secure Boot on"
			   : f->secure_boot == 0 ? "Secure Boot off"
						 : "Secure Boot not seen";

	if (strcmp(f->lockdown, "none") == 0)
		pst_host_finding_add(out, PST_HOST_PASS, NULL, "none; %s",
				     boot);
	else if (*f->lockdown)
		pst_host_finding_add(
			out, PST_HOST_WARN,
			"VFIO works; sign the modules you build, and do "
			"not count on reading the card's ROM or setpci "
			"here",
			"lockdown %s; %s", f->lockdown, boot);
	else if (f->secure_boot == 1 || asked)
		pst_host_finding_add(
			out, PST_HOST_WARN, "see /sys/kernel/security/lockdown",
			"lockdown not seen%s%s; %s",
			asked ? ", but the command line asks for " : "",
			asked && asked->value ? asked->value : "", boot);
	else if (h->live.tested || f->secure_boot == 0)
		pst_host_finding_add(out, PST_HOST_PASS, NULL,
				     "no lockdown shown; %s", boot);
	else
		pst_host_finding_add(out, PST_HOST_WARN,
				     "see /sys/kernel/security/lockdown there",
				     "lockdown was not seen in this tree; %s",
				     boot);
}

PST_HOST_CHECK(kernel_version)
{
	const struct pst_host_vsock_fix *fix;
	struct pst_host_text seen = {0};
	size_t i;

	if (!h->has_version) {
		pst_host_finding_add(out, PST_HOST_WARN, "see uname -r there",
				     "%s%s",
				     *h->release ? h->release : "the kernel",
				     *h->release ? " is no version"
						 : "'s version was not seen");
		return;
	}
	for (i = 0; (fix = pst_host_vsock_fix_missing(&h->version, i)); i++)
		pst_host_text_add(&seen, "%s%s (%s)", i ? ", " : "", fix->cve,
				  fix->what);
	if (!seen.len)
		pst_host_finding_add(out, PST_HOST_PASS, NULL, "%s",
				     h->release);
	else
		pst_host_finding_add(
			out, PST_HOST_WARN,
			"update the kernel, unless your distribution's "
			"changelog names these fixes",
			"%s; upstream's %u.%u.%u lacks %s", h->release,
			h->version.major, h->version.minor, h->version.patch,
			seen.buf);
}

PST_HOST_CHECK(io_uring)
{
	int v = h->files.io_uring_disabled;

	if (v == 0)
		pst_host_finding_add(out, PST_HOST_PASS, NULL,
				     "kernel.io_uring_disabled is 0");
	else if (v > 0)
		pst_host_finding_add(
			out, PST_HOST_WARN,
			v == 1 ? "sysctl kernel.io_uring_disabled=0, or "
				 "put the user into the group of "
				 "kernel.io_uring_group"
			       : "sysctl kernel.io_uring_disabled=0",
			"kernel.io_uring_disabled is %d", v);
	else if (h->has_version &&
		 pst_host_kernel_version_cmp(&h->version, &io_uring_sysctl) < 0)
		pst_host_finding_add(out, PST_HOST_PASS, NULL,
				     "this kernel has no sysctl for it");
	else
		pst_host_finding_add(
			out, PST_HOST_WARN,
			"see sysctl kernel.io_uring_disabled there",
			"kernel.io_uring_disabled was not seen");
}

PST_HOST_CHECK(tree)
{
	struct pst_host_text seen = {0};
	size_t i, bad = 0;

	if (h->cmdline_rc < 0)
		pst_host_text_add(&seen, "proc/cmdline %s",
				  h->cmdline_rc == -EPROTO
					  ? "holds a NUL byte"
					  : "could not be read");
	if (h->modconf.unread)
		pst_host_text_add(&seen, "%s%s could not be read",
				  seen.len ? "; " : "", h->modconf.unread);
	if (h->pci.n_skipped)
		pst_host_text_add(&seen,
				  "%s%zu entries of sys/bus/pci/devices lead "
				  "nowhere",
				  seen.len ? "; " : "", h->pci.n_skipped);
	for (i = 0; i < h->pci.n; i++)
		if (h->pci.dev[i].bad && bad++ < 4)
			pst_host_text_add(&seen, "%sinvalid attributes of %s",
					  seen.len ? "; " : "",
					  h->pci.dev[i].name);
	if (bad > 4)
		pst_host_text_add(&seen, " (%zu devices)", bad);
	if (h->iommu.table_unreadable)
		pst_host_text_add(&seen, "%sthe firmware's tables are for root",
				  seen.len ? "; " : "");
	if (seen.len)
		pst_host_finding_add(out, PST_HOST_WARN,
				     "run it as root, or copy the tree anew",
				     "%s", seen.buf);
	else
		pst_host_finding_add(
			out, PST_HOST_PASS, NULL,
			"%zu PCI functions, %zu files of modprobe.d", h->pci.n,
			h->modconf.n_files);
}
