/* SPDX-License-Identifier: MIT */
/* Finds what GRUB's command would take out of what boots. */
#include <string.h>

#include "kernel-params/boot/boot.h"
#include "kernel-params/syntax/settings.h"
#include "transport/base/text.h"

#define SETTINGS "etc/default/grub"
#define DROP_INS "etc/default/grub.d"
#define SCRIPTS  "etc/grub.d"

static bool has_word(const char *words, const char *word, size_t len)
{
	const char *p;

	for (p = words; (p = strstr(p, word)); p++)
		if ((p == words || p[-1] == ' ') && strchr(" ", p[len]))
			return true;
	return false;
}

static bool take_file(const struct pst_host_root *root, const char *path,
		      struct pst_host_setting *s, size_t n,
		      char fault[PST_HOST_FAULT_MAX])
{
	PST_CLEANUP_FREE char *text = NULL;
	size_t len;

	return pst_host_root_read(root, path, PST_HOST_ROOT_TEXT_MAX, &text,
				  &len) == 0 &&
	       pst_host_settings_take(text, path, s, n, fault) == 0;
}

bool pst_host_boot_grub_drop_ins(const struct pst_host_root *root)
{
	static const char *const programs[] = {
		"usr/sbin/grub-mkconfig",
		"usr/bin/grub-mkconfig",
		"usr/sbin/grub2-mkconfig",
		"usr/bin/grub2-mkconfig",
	};
	size_t i, len;

	if (!pst_host_root_exists(root, DROP_INS))
		return false;
	for (i = 0; i < PST_ARRAY_SIZE(programs); i++) {
		PST_CLEANUP_FREE char *text = NULL;

		if (pst_host_root_read(root, programs[i],
				       PST_HOST_ROOT_TEXT_MAX, &text,
				       &len) == 0)
			return strstr(text, "default/grub.d") != NULL;
	}
	return true;
}

char *pst_host_boot_grub_words(const struct pst_host_root *root,
			       char fault[PST_HOST_FAULT_MAX])
{
	struct pst_host_setting s[] = {{.name = "GRUB_CMDLINE_LINUX"},
				       {.name = "GRUB_CMDLINE_LINUX_DEFAULT"}};
	PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};
	char path[PST_HOST_ROOT_PATH_MAX], *all = NULL;
	size_t i, len;

	if (take_file(root, SETTINGS, s, PST_ARRAY_SIZE(s), fault)) {
		if (!pst_host_boot_grub_drop_ins(root) ||
		    pst_host_root_list(root, DROP_INS, &names) < 0)
			names.n = 0;
		for (i = 0; i < names.n && i < PST_HOST_ROOT_CONF_FILES; i++) {
			len = strlen(names.name[i]);
			if (len > 4 &&
			    strcmp(names.name[i] + len - 4, ".cfg") == 0 &&
			    pst_host_path(path, DROP_INS "/%s",
					  names.name[i]) == 0)
				take_file(root, path, s, PST_ARRAY_SIZE(s),
					  fault);
		}
		all = pst_text_format("%s %s", s[0].value ? s[0].value : "",
				      s[1].value ? s[1].value : "");
	}
	pst_host_settings_done(s, PST_ARRAY_SIZE(s));
	if (all)
		for (i = 0; all[i]; i++)
			if (all[i] == '\t' || all[i] == '\n')
				all[i] = ' ';
	return all;
}

/* Words that grub-mkconfig itself puts in, or that stand for others. */
static bool is_remade(const char *word)
{
	static const char *const begins[] = {"root=", "rootflags=", "$",
					     "vt.handoff="};
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(begins); i++)
		if (strncmp(word, begins[i], strlen(begins[i])) == 0)
			return true;
	return strcmp(word, "ro") == 0 || strcmp(word, "rw") == 0 ||
	       strpbrk(word, "\"'\\");
}

static void add_lost(char *lost, size_t size, const char *words, char *options)
{
	char *word, *rest;
	size_t n;

	for (word = strtok_r(options, " \t", &rest); word;
	     word = strtok_r(NULL, " \t", &rest)) {
		n = strlen(lost);
		if (is_remade(word) || has_word(words, word, strlen(word)) ||
		    has_word(lost, word, strlen(word)) ||
		    n + strlen(word) + 2 > size)
			continue;
		snprintf(lost + n, size - n, "%s%s", n ? " " : "", word);
	}
}

/* ---- Entries of the Boot Loader Specification -----------------------------
 */

/* The words behind a key in a file's lines. True if they name kernelopts. */
static bool add_lines(const struct pst_host_root *root, const char *path,
		      const char *key, const char *words,
		      struct pst_host_boot *b)
{
	PST_CLEANUP_FREE char *text = NULL;
	const size_t n = strlen(key);
	bool kernelopts = false;
	char *line, *rest;
	size_t len;

	if (pst_host_root_read(root, path, PST_HOST_ROOT_TEXT_MAX, &text,
			       &len) < 0)
		return false;
	for (line = strtok_r(text, "\n", &rest); line;
	     line = strtok_r(NULL, "\n", &rest)) {
		line += strspn(line, " \t");
		if (strncmp(line, key, n) != 0 || !line[n] ||
		    !strchr("= \t", line[n]))
			continue;
		kernelopts |= strstr(line, "$kernelopts") != NULL;
		add_lost(b->lost, sizeof(b->lost), words, line + n + 1);
	}
	return kernelopts;
}

static void look_at_entries(const struct pst_host_root *root, const char *words,
			    struct pst_host_boot *b)
{
	static const char dir[] = "boot/loader/entries";
	PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};
	char path[PST_HOST_ROOT_PATH_MAX];
	bool kernelopts = false;
	size_t i;

	if (pst_host_root_list(root, dir, &names) < 0)
		return;
	for (i = 0; i < names.n && i < PST_HOST_ROOT_CONF_FILES; i++)
		if (pst_host_path(path, "%s/%s", dir, names.name[i]) == 0)
			kernelopts |=
				add_lines(root, path, "options", words, b);
	/* RHEL 8 keeps what all entries share there, which its grub2-mkconfig
	 * sets anew. */
	if (kernelopts)
		add_lines(root, "boot/grub2/grubenv", "kernelopts", words, b);
}

/* ---- The menu -------------------------------------------------------------
 */

/* The words of a line "linux PATH WORDS" (or linuxefi, linux16) of a kernel
 * with a root, behind its path; NULL: another line. */
static char *kernel_words(char *line)
{
	static const char root[] = " root=";

	line += strspn(line, " \t");
	if (strncmp(line, "linux", 5) != 0)
		return NULL;
	line += strcspn(line, " \t");
	line += strspn(line, " \t");
	if (!strchr("/(", *line) || !*line || !strstr(line, root))
		return NULL;
	return line + strcspn(line, " \t");
}

/* The first kernel of the part that grub-mkconfig makes by its settings: those
 * behind it may be for rescue. */
static void look_at_menu(const struct pst_host_root *root, const char *words,
			 struct pst_host_boot *b)
{
	static const char begin[] = "### BEGIN /" SCRIPTS "/",
			  end[] = "### END ";
	PST_CLEANUP_FREE char *text = NULL;
	char *line, *rest, *of;
	bool in = false;
	size_t len;

	if (pst_host_root_read(root, b->menu, PST_HOST_ROOT_TEXT_MAX, &text,
			       &len) < 0)
		return;
	for (line = strtok_r(text, "\n", &rest); line;
	     line = strtok_r(NULL, "\n", &rest)) {
		if (strncmp(line, begin, strlen(begin)) == 0)
			in = strstr(line, "_linux") && !strstr(line, "xen");
		else if (strncmp(line, end, strlen(end)) == 0)
			in = false;
		of = in ? kernel_words(line) : NULL;
		if (!of)
			continue;
		add_lost(b->menu_lost, sizeof(b->menu_lost), words, of);
		return;
	}
}

/* ---- What no command touches ----------------------------------------------
 */

static bool find_own(const struct pst_host_root *root, const char *path,
		     char ret[PST_HOST_ROOT_PATH_MAX])
{
	PST_CLEANUP_FREE char *text = NULL;
	unsigned int n = 0;
	char *line, *rest;
	size_t len;

	if (pst_host_root_read(root, path, PST_HOST_ROOT_TEXT_MAX, &text,
			       &len) < 0)
		return false;
	for (rest = text; (line = strsep(&rest, "\n"));) {
		n++;
		if (kernel_words(line))
			return pst_host_path(ret, "/%s line %u", path, n) == 0;
	}
	return false;
}

/* An entry that somebody wrote: the scripts of GRUB itself have variables where
 * it has a path. */
static void look_at_own(const struct pst_host_root *root,
			struct pst_host_boot *b)
{
	PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};
	char path[PST_HOST_ROOT_PATH_MAX];
	size_t i;

	if (find_own(root, "boot/grub/custom.cfg", b->own_entry) ||
	    find_own(root, "boot/grub2/custom.cfg", b->own_entry) ||
	    pst_host_root_list(root, SCRIPTS, &names) < 0)
		return;
	for (i = 0; i < names.n && i < PST_HOST_ROOT_CONF_FILES; i++)
		if (pst_host_path(path, SCRIPTS "/%s", names.name[i]) == 0 &&
		    find_own(root, path, b->own_entry))
			return;
}

void pst_host_boot_losses(const struct pst_host_root *root,
			  struct pst_host_boot *b)
{
	char fault[PST_HOST_FAULT_MAX] = "";
	PST_CLEANUP_FREE char *words = pst_host_boot_grub_words(root, fault);

	if (!words)
		return;
	look_at_own(root, b);
	if (b->grub_entries)
		look_at_entries(root, words, b);
	/* Where a shell would be needed, what it has is not known. */
	if (b->menu && !*fault)
		look_at_menu(root, words, b);
}
