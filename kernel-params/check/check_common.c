/* SPDX-License-Identifier: MIT */
/* Helpers that several checks share. */
#include <string.h>

#include "kernel-params/check/check_int.h"

void pst_host_fix_cmdline(const struct pst_host *h, const char *params,
			  const char *plan, struct pst_host_text *ret)
{
	if (strcmp(h->os_id, "nixos") == 0)
		pst_host_text_add(
			ret, "add %s to boot.kernelParams and rebuild", params);
	else if (h->boot.ostree)
		pst_host_text_add(
			ret,
			"rpm-ostree kargs --append-if-missing=... for each "
			"of %s, and reboot",
			params);
	else if (h->files.kernelstub)
		pst_host_text_add(ret,
				  "kernelstub --add-options \"%s\" and reboot",
				  params);
	else if (*h->boot.lost)
		pst_host_text_add(
			ret,
			"grubby --update-kernel=ALL --args=\"%s\" and reboot",
			params);
	else if (h->boot.limine_tool)
		pst_host_text_add(ret,
				  "add %s to KERNEL_CMDLINE[default] in "
				  "/etc/default/limine, run %s and reboot",
				  params, h->boot.limine);
	else if (h->boot.limine_conf)
		pst_host_text_add(ret, "add %s to cmdline: in /%s and reboot",
				  params, h->boot.limine_conf);
	else if (h->boot.sdboot_manage)
		pst_host_text_add(ret,
				  "add %s to LINUX_OPTIONS in "
				  "/etc/sdboot-manage.conf, run sdboot-manage "
				  "gen and reboot",
				  params);
	else if (h->boot.has & PST_HOST_TARGET_REFIND)
		pst_host_text_add(ret,
				  "add %s to the options in "
				  "/boot/refind_linux.conf and reboot",
				  params);
	else if (h->files.grub && h->boot.own_grub &&
		 !(h->boot.by_stub && h->files.kernel_cmdline))
		pst_host_text_add(ret,
				  "add %s to GRUB_CMDLINE_LINUX_DEFAULT in "
				  "/etc/default/grub, run %s and reboot",
				  params, h->boot.grub);
	else if (h->boot.dracut_uefi)
		pst_host_text_add(ret,
				  "add %s to kernel_cmdline in "
				  "/etc/dracut.conf.d, run %s and reboot",
				  params, h->boot.dracut);
	else if (h->files.kernel_cmdline || h->boot.from_cmdline)
		pst_host_text_add(
			ret, "add %s to /etc/kernel/cmdline, run %s and reboot",
			params, h->boot.entries);
	else if (h->files.loader)
		pst_host_text_add(ret,
				  "add %s to the options of the entry in "
				  "/%s/loader/entries and reboot",
				  params, h->files.loader);
	else
		pst_host_text_add(ret,
				  "add %s to the kernel's command line and "
				  "reboot",
				  params);
	if (h->gpu)
		pst_host_text_add(ret,
				  "; penstock host plan --gpu %s%s shows it",
				  h->gpu->name, plan);
}

uint64_t pst_host_wanted_bytes(const struct pst_host *h)
{
	uint64_t sum;

	if (pst_add_overflow(h->request.region, h->request.vm_memory, &sum))
		return UINT64_MAX;
	return sum;
}
