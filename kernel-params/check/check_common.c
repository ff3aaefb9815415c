/* SPDX-License-Identifier: MIT */
/* Helpers that several checks share. */
#include <string.h>

#include "kernel-params/check/check_int.h"
#include "transport/base/text.h"

/* Whether a text has a word, other than in a comment. */
static bool has_word(const char *text, const char *word, size_t len)
{
	const char *line, *end, *p;

	for (line = text; *line; line = end + (*end == '\n')) {
		end = strchrnul(line, '\n');
		if (line[strspn(line, " \t")] == '#')
			continue;
		for (p = line; p < end; p++) {
			p = memmem(p, (size_t)(end - p), word, len);
			if (!p)
				break;
			if ((p == line || strchr(" \t\"'=", p[-1])) &&
			    (p + len == end || strchr(" \t\"'", p[len])))
				return true;
		}
	}
	return false;
}

/* Whether a text has all words of params. */
static bool has_words(const char *text, const char *params)
{
	size_t n;

	for (; *params; params += n) {
		params += strspn(params, " ");
		n = strcspn(params, " ");
		if (n && !has_word(text, params, n))
			return false;
	}
	return true;
}

/* Whether a text of /etc/default/grub gives the kernel all words of params; in
 * fault what a shell would not take as it looks. */
static bool grub_gives(const char *text, const char *params,
		       char fault[PST_HOST_FAULT_MAX])
{
	struct pst_host_setting s[] = {{.name = "GRUB_CMDLINE_LINUX"},
				       {.name = "GRUB_CMDLINE_LINUX_DEFAULT"}};
	PST_CLEANUP_FREE char *all = NULL;
	bool gives;

	if (pst_host_settings_take(text, "/etc/default/grub", s,
				   PST_ARRAY_SIZE(s), fault) == 0)
		all = pst_text_format("%s %s", s[0].value ? s[0].value : "",
				      s[1].value ? s[1].value : "");
	gives = all && has_words(all, params);
	pst_host_settings_done(s, PST_ARRAY_SIZE(s));
	return gives;
}

/* Says so where the words are written already and only did not reach the
 * kernel. */
static bool is_written(const struct pst_host *h, const char *params,
		       struct pst_host_text *ret)
{
	char fault[PST_HOST_FAULT_MAX] = "";
	const char *const run[PST_HOST_LINE_FILES] = {
		h->boot.grub,   h->boot.entries,
		h->boot.limine, "sdboot-manage gen",
		NULL,           "kernelstub"};
	size_t i;

	for (i = 0; i < PST_HOST_LINE_FILES; i++) {
		if (!h->files.line_file[i] ||
		    !has_words(h->files.line_file[i], params) ||
		    (i == 0 &&
		     !grub_gives(h->files.line_file[i], params, fault) &&
		     !*fault))
			continue;
		pst_host_text_add(ret,
				  "/%s has %s already%s%s: %s%s%sreboot; if "
				  "that was done, something else is what boots",
				  pst_host_line_files[i], params,
				  *fault ? ", but see to " : "", fault,
				  run[i] ? "run " : "", run[i] ? run[i] : "",
				  run[i] ? " and " : "");
		return true;
	}
	return false;
}

void pst_host_fix_cmdline(const struct pst_host *h, const char *params,
			  const char *plan, struct pst_host_text *ret)
{
	if (is_written(h, params, ret))
		return;
	if (strcmp(h->os_id, "nixos") == 0)
		pst_host_text_add(
			ret, "add %s to boot.kernelParams and rebuild", params);
	else if (h->boot.ostree)
		pst_host_text_add(
			ret,
			"rpm-ostree kargs --append-if-missing=... for each "
			"of %s, and reboot",
			params);
	else if (h->boot.zfsbootmenu && !h->boot.by_grub)
		pst_host_text_add(
			ret,
			"add %s to the property org.zfsbootmenu:commandline of "
			"the root (zbm-kcl -a) and reboot",
			params);
	else if (*h->boot.entry.words)
		pst_host_text_add(ret,
				  "add %s to the words of the firmware's entry "
				  "%s, by one more entry (efibootmgr "
				  "--create), and reboot",
				  params, h->boot.entry.name);
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
	else if (*h->boot.limine_conf)
		pst_host_text_add(ret, "add %s to cmdline: in /%s and reboot",
				  params, *h->boot.limine_conf);
	else if (h->boot.sdboot_manage)
		pst_host_text_add(ret,
				  "add %s to LINUX_OPTIONS in "
				  "/etc/sdboot-manage.conf, run sdboot-manage "
				  "gen and reboot",
				  params);
	else if (h->boot.has & PST_HOST_TARGET_REFIND &&
		 !(h->boot.by_grub && h->files.grub))
		pst_host_text_add(
			ret, "add %s to the options in /%s and reboot", params,
			h->boot.refind_linux ? h->boot.refind_linux
					     : h->boot.refind_conf);
	else if (h->files.grub && h->boot.own_grub &&
		 !(h->boot.by_stub &&
		   (h->files.kernel_cmdline || h->files.loader)))
		pst_host_text_add(ret,
				  "add %s to GRUB_CMDLINE_LINUX_DEFAULT in "
				  "/etc/default/grub, run %s and reboot",
				  params, h->boot.grub);
	else if (h->boot.extlinux.command)
		pst_host_text_add(ret, "add %s to %s in /%s, run %s and reboot",
				  params, h->boot.extlinux.variable,
				  h->boot.extlinux.settings,
				  h->boot.extlinux.command);
	else if (h->boot.extlinux.file)
		pst_host_text_add(ret,
				  "add %s to the lines append in /%s and "
				  "reboot",
				  params, h->boot.extlinux.file);
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
