/* SPDX-License-Identifier: MIT */
/* Texts of files that belong to Penstock alone. */
#include "kernel-params/edit/dropins.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel-params/edit/edit_grub.h"
#include "transport/base/text.h"

#define HEAD PST_HOST_EDIT_MARK "; undo: penstock host undo\n"

const char *const pst_host_vfio_modules[] = {
	"vfio_pci",
	"vfio",
	"vfio_iommu_type1",
	NULL,
};

/* The text of a stream that open_memstream() made, or NULL. */
static char *finish(FILE *f, char **text)
{
	if (fclose(f) == 0)
		return *text;
	free(*text);
	return NULL;
}

static void put_list(FILE *f, const char *begin, const char *const *list,
		     const char *end)
{
	const char *const *p;

	fputs(begin, f);
	for (p = list; *p; p++)
		fprintf(f, "%s%s", p == list ? "" : " ", *p);
	fputs(end, f);
}

/* Two lists with what stands around them. No files: no second list. */
static char *modules_and_files(const char *const around[4],
			       const char *const *files)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return NULL;
	fputs(HEAD, f);
	put_list(f, around[0], pst_host_vfio_modules, around[1]);
	if (*files)
		put_list(f, around[2], files, around[3]);
	return finish(f, &text);
}

char *pst_host_dropin_mkinitcpio(const char *const *files)
{
	static const char *const around[] = {
		"MODULES=(", " \"${MODULES[@]}\")\n", "FILES+=(", ")\n"};

	return modules_and_files(around, files);
}

char *pst_host_dropin_dracut(const char *const *files)
{
	static const char *const around[] = {"force_drivers+=\" ", " \"\n",
					     "install_items+=\" ", " \"\n"};

	return modules_and_files(around, files);
}

char *pst_host_dropin_initramfs_hook(void)
{
	return strdup("#!/bin/sh\n" HEAD "if [ \"$1\" = prereqs ]; then\n"
		      "\texit 0\n"
		      "fi\n"
		      ". /usr/share/initramfs-tools/hook-functions\n"
		      "mkdir -p \"$DESTDIR/etc/udev/rules.d\"\n"
		      "cp -p " PST_HOST_UDEV_FILE
		      " \"$DESTDIR/etc/udev/rules.d/\"\n"
		      "manual_add_modules vfio_pci\n");
}

char *pst_host_dropin_modules_load(void)
{
	return strdup(HEAD "vfio-pci\nvhost_vsock\n");
}

char *pst_host_dropin_sysctl(uint64_t pages)
{
	return pst_text_format(HEAD "vm.nr_hugepages = %" PRIu64 "\n", pages);
}

/* A line of tmpfiles.d, without its end. */
static char *pool_line(int node, uint64_t pages)
{
	char where[64] = "kernel/mm";

	if (node >= 0)
		snprintf(where, sizeof(where), "devices/system/node/node%d",
			 node);
	return pst_text_format(
		"w /sys/%s/hugepages/hugepages-2048kB/nr_hugepages "
		"- - - - %" PRIu64,
		where, pages);
}

char *pst_host_dropin_tmpfiles(int node, uint64_t pages)
{
	PST_CLEANUP_FREE char *line = pool_line(node, pages);

	return line ? pst_text_format(HEAD "%s\n", line) : NULL;
}

char *pst_host_dropin_mount(void)
{
	return strdup(HEAD "[Unit]\n"
			   "Description=Hugepages of 2 MiB for Penstock\n"
			   "DefaultDependencies=no\n"
			   "Before=sysinit.target\n"
			   "\n"
			   "[Mount]\n"
			   "What=hugetlbfs\n"
			   "Where=/dev/hugepages2M\n"
			   "Type=hugetlbfs\n"
			   "Options=pagesize=2M\n"
			   "\n"
			   "[Install]\n"
			   "WantedBy=sysinit.target\n");
}

static void put_udev(FILE *f, const char *const *addresses, const char *indent)
{
	/*
	 * Before 80-drivers.rules loads the card's own driver; probing is asked
	 * for since vfio-pci may be there already.
	 */
	for (; *addresses; addresses++)
		fprintf(f,
			"%sACTION==\"add\", SUBSYSTEM==\"pci\", "
			"KERNEL==\"%s\", ATTR{driver_override}=\"vfio-pci\", "
			"RUN{builtin}+=\"kmod load vfio-pci\", "
			"RUN+=\"/bin/sh -c 'echo %%k "
			">/sys/bus/pci/drivers_probe'\"\n",
			indent, *addresses);
}

char *pst_host_dropin_udev(const char *const *addresses)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return NULL;
	fputs(HEAD, f);
	put_udev(f, addresses, "");
	return finish(f, &text);
}

static void put_rules(FILE *f, const char *const *rules, const char *indent)
{
	for (; *rules; rules++)
		fprintf(f, "%s%s\n", indent, *rules);
}

char *pst_host_dropin_rules(const char *const *rules)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return NULL;
	fputs(HEAD, f);
	put_rules(f, rules, "");
	return finish(f, &text);
}

static void put_nix_list(FILE *f, const char *option, const char *before,
			 const char *const *list)
{
	if (!*list)
		return;
	fprintf(f, "  %s = %s[", option, before);
	for (; *list; list++)
		fprintf(f, " \"%s\"", *list);
	fputs(" ];\n", f);
}

char *pst_host_dropin_nixos(const struct pst_host_nixos *want)
{
	static const char *const load[] = {"vhost_vsock", NULL};
	const char *const *p;
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return NULL;
	fputs(HEAD "{ lib, ... }:\n\n{\n", f);
	put_nix_list(f, "boot.kernelParams", "", want->params);
	put_nix_list(f, "boot.initrd.kernelModules", "lib.mkBefore ",
		     pst_host_vfio_modules);
	put_nix_list(f, "boot.kernelModules", "", load);
	put_nix_list(f, "boot.blacklistedKernelModules", "", want->blacklist);
	fputs("  boot.extraModprobeConfig = ''\n", f);
	if (want->ids)
		fprintf(f, "    options vfio-pci ids=%s\n", want->ids);
	for (p = want->softdeps; *p; p++)
		fprintf(f, "    softdep %s pre: vfio-pci\n", *p);
	fputs("  '';\n  services.udev.extraRules = ''\n"
	      "    SUBSYSTEM==\"vfio\", GROUP=\"kvm\", MODE=\"0660\"\n",
	      f);
	if (want->addresses)
		put_udev(f, want->addresses, "    ");
	put_rules(f, want->rules, "    ");
	fputs("  '';\n", f);
	if (want->addresses) {
		fputs("  boot.initrd.services.udev.rules = ''\n", f);
		put_udev(f, want->addresses, "    ");
		fputs("  '';\n", f);
	}
	if (want->pool_pages) {
		PST_CLEANUP_FREE char *line =
			pool_line(want->pool_node, want->pool_pages);

		if (!line) {
			fclose(f);
			free(text);
			return NULL;
		}
		fprintf(f, "  systemd.tmpfiles.rules = [ \"%s\" ];\n", line);
	}
	fputs("  virtualisation.libvirtd.enable = lib.mkDefault true;\n}\n", f);
	return finish(f, &text);
}
