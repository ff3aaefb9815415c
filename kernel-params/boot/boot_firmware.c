/* SPDX-License-Identifier: MIT */
/* Reads which entry of the firmware's own menu has booted. */
#include <ctype.h>
#include <string.h>

#include "kernel-params/boot/boot.h"

#define VARIABLE                                                               \
	"sys/firmware/efi/efivars/%s-8be4df61-93ca-11d2-aa0d-00e098032b8c"
/* As a report has it: name, label, loader, partition and words, a line each. */
#define REPORTED     PST_HOST_REPORT_DIR "/firmware"
#define VARIABLE_MAX 4096
/* A variable's attributes; then those of EFI_LOAD_OPTION and the size of its
 * path (UEFI specification, 3.1.3). */
#define VARIABLE_BYTES 4U
#define OPTION_BYTES   6U
/* Nodes of a device path: of a medium its partition or a file (10.3.5). */
#define NODE_MEDIUM    4U
#define NODE_PARTITION 1U
#define NODE_FILE      4U
#define NODE_END       0x7fU

static unsigned int le16(const unsigned char *p)
{
	return p[0] | (unsigned int)p[1] << 8;
}

/* UTF-16 up to its end or a NUL, what is not ASCII as "?". Returns the bytes
 * of it, with the NUL. */
static size_t take_text(const unsigned char *p, size_t n, char *ret,
			size_t size)
{
	size_t i, k = 0;

	for (i = 0; i + 2 <= n; i += 2) {
		unsigned int c = le16(p + i);

		if (!c) {
			i += 2;
			break;
		}
		if (k + 1 < size)
			ret[k++] = c < 127 && isprint((int)c) ? (char)c : '?';
	}
	ret[k] = '\0';
	return i;
}

static void take_path(const unsigned char *p, size_t n,
		      struct pst_host_boot_entry *ret)
{
	size_t len;

	for (; n >= 4 && p[0] != NODE_END; p += len, n -= len) {
		len = le16(p + 2);
		if (len < 4 || len > n)
			return;
		if (p[0] == NODE_MEDIUM && p[1] == NODE_FILE)
			take_text(p + 4, len - 4, ret->loader,
				  sizeof(ret->loader));
		else if (p[0] == NODE_MEDIUM && p[1] == NODE_PARTITION &&
			 len >= 8)
			ret->partition = le16(p + 4);
	}
}

/* What is handed over is a command line if it is text: of other systems it is
 * anything. efibootmgr writes it without --unicode as bytes. */
static void take_words(const unsigned char *p, size_t n,
		       struct pst_host_boot_entry *ret)
{
	size_t i;

	if (n >= 2 && p[1] == 0) {
		take_text(p, n, ret->words, sizeof(ret->words));
	} else if (n < sizeof(ret->words)) {
		memcpy(ret->words, p, n);
		ret->words[n] = '\0';
	}
	for (i = 0; ret->words[i]; i++)
		if (!isprint((unsigned char)ret->words[i]))
			break;
	if (ret->words[i] || !strstr(ret->words, "root="))
		ret->words[0] = '\0';
}

static void take_entry(const unsigned char *p, size_t n,
		       struct pst_host_boot_entry *ret)
{
	size_t path, at = VARIABLE_BYTES + OPTION_BYTES;

	if (n < at)
		return;
	path = le16(p + VARIABLE_BYTES + 4);
	at += take_text(p + at, n - at, ret->label, sizeof(ret->label));
	if (path > n - at)
		return;
	take_path(p + at, path, ret);
	take_words(p + at + path, n - at - path, ret);
}

static void take_report(char *text, struct pst_host_boot_entry *ret)
{
	char *line[5], *rest = text;
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(line); i++) {
		line[i] = rest ? strsep(&rest, "\n") : NULL;
		if (!line[i])
			return;
	}
	snprintf(ret->name, sizeof(ret->name), "%s", line[0]);
	snprintf(ret->label, sizeof(ret->label), "%s", line[1]);
	snprintf(ret->loader, sizeof(ret->loader), "%s", line[2]);
	ret->partition = (unsigned int)strtoul(line[3], NULL, 10) & 0xffff;
	snprintf(ret->words, sizeof(ret->words), "%s", line[4]);
}

void pst_host_boot_entry_read(const struct pst_host_root *root,
			      struct pst_host_boot_entry *ret)
{
	PST_CLEANUP_FREE char *current = NULL, *entry = NULL, *reported = NULL;
	char path[PST_HOST_ROOT_PATH_MAX];
	size_t len;

	*ret = (struct pst_host_boot_entry){0};
	if (!root->live && pst_host_root_read(root, REPORTED, VARIABLE_MAX,
					      &reported, &len) == 0) {
		take_report(reported, ret);
		return;
	}
	if (pst_host_path(path, VARIABLE, "BootCurrent") < 0 ||
	    pst_host_root_read(root, path, 64, &current, &len) < 0 ||
	    len != VARIABLE_BYTES + 2)
		return;
	snprintf(ret->name, sizeof(ret->name), "Boot%04X",
		 le16((const unsigned char *)current + VARIABLE_BYTES));
	if (pst_host_path(path, VARIABLE, ret->name) == 0 &&
	    pst_host_root_read(root, path, VARIABLE_MAX, &entry, &len) == 0)
		take_entry((const unsigned char *)entry, len, ret);
}

char *pst_host_boot_entry_format(const struct pst_host_boot_entry *e)
{
	char *text = NULL;

	if (asprintf(&text, "%s\n%s\n%s\n%u\n%s\n", e->name, e->label,
		     e->loader, e->partition, e->words) < 0)
		return NULL;
	return text;
}
