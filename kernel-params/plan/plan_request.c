/* SPDX-License-Identifier: MIT */
/* Writes a plan's request as text, and reads it back; names of targets. */
#include <inttypes.h>
#include <string.h>

#include "kernel-params/plan/plan.h"

#include "transport/base/text.h"

static const struct {
	unsigned int target;
	const char *name;
} target_names[] = {
	{PST_HOST_TARGET_GRUB, "grub"},
	{PST_HOST_TARGET_SYSTEMD_BOOT, "systemd-boot"},
	{PST_HOST_TARGET_MODPROBE, "modprobe"},
	{PST_HOST_TARGET_MKINITCPIO, "mkinitcpio"},
	{PST_HOST_TARGET_DRACUT, "dracut"},
	{PST_HOST_TARGET_INITRAMFS_TOOLS, "initramfs-tools"},
	{PST_HOST_TARGET_SYSCTL, "sysctl"},
	{PST_HOST_TARGET_TMPFILES, "tmpfiles"},
	{PST_HOST_TARGET_UDEV, "udev"},
	{PST_HOST_TARGET_NIXOS, "nixos"},
	{PST_HOST_TARGET_LIMINE, "limine"},
	{PST_HOST_TARGET_REFIND, "refind"},
	{PST_HOST_TARGET_EXTLINUX, "extlinux"},
};

int pst_host_targets_parse(const char *text, unsigned int *ret)
{
	unsigned int got = 0;
	size_t i, len;

	*ret = 0;
	if (strcmp(text, "auto") == 0)
		return 0;
	for (;; text += len + 1) {
		len = strcspn(text, ",");
		for (i = 0; i < PST_ARRAY_SIZE(target_names); i++)
			if (strlen(target_names[i].name) == len &&
			    strncmp(target_names[i].name, text, len) == 0)
				break;
		if (i == PST_ARRAY_SIZE(target_names))
			return -EINVAL;
		got |= target_names[i].target;
		if (!text[len])
			break;
	}
	*ret = got;
	return 0;
}

const char *pst_host_target_name(unsigned int target)
{
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(target_names); i++)
		if (target_names[i].target == target)
			return target_names[i].name;
	return "auto";
}

int pst_host_plan_request_format(const struct pst_host_plan *p, char **ret)
{
	const struct pst_host_plan_request *r = &p->request;
	char name[256] = "";
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(target_names); i++)
		if (r->targets & target_names[i].target)
			snprintf(name + strlen(name),
				 sizeof(name) - strlen(name), "%s%s",
				 *name ? "," : "", target_names[i].name);
	*ret = pst_text_format("gpu=%s\nregion=%" PRIu64 "\nvm-memory=%" PRIu64
			       "\nisolate-cpus=%s\nfor=%s\n%s",
			       p->host->gpu->name, r->region, r->vm_memory,
			       r->isolate_cpus ? r->isolate_cpus : "",
			       *name ? name : "auto",
			       r->i_know ? "i-know=1\n" : "");
	return *ret ? 0 : -ENOMEM;
}

static int take_line(struct pst_host_plan_request *r, const char *key,
		     char *value)
{
	if (strcmp(key, "gpu") == 0)
		r->gpu = value;
	else if (strcmp(key, "region") == 0)
		return pst_parse_u64(value, 0, UINT64_MAX, &r->region);
	else if (strcmp(key, "vm-memory") == 0)
		return pst_parse_u64(value, 0, UINT64_MAX, &r->vm_memory);
	else if (strcmp(key, "isolate-cpus") == 0)
		r->isolate_cpus = *value ? value : NULL;
	else if (strcmp(key, "i-know") == 0)
		r->i_know = true;
	else if (strcmp(key, "for") == 0)
		return pst_host_targets_parse(value, &r->targets);
	return 0;
}

int pst_host_plan_request_parse(const char *text,
				struct pst_host_plan_request *ret,
				char **ret_text)
{
	char *copy = strdup(text), *line, *rest, *eq;

	*ret = (struct pst_host_plan_request){0};
	if (!copy)
		return -ENOMEM;
	for (line = strtok_r(copy, "\n", &rest); line;
	     line = strtok_r(NULL, "\n", &rest)) {
		eq = strchr(line, '=');
		if (eq)
			*eq++ = '\0';
		if (!eq || take_line(ret, line, eq) < 0)
			break;
	}
	if (!line && ret->gpu) {
		*ret_text = copy;
		return 0;
	}
	free(copy);
	return -EPROTO;
}
