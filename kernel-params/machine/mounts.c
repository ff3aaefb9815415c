/* SPDX-License-Identifier: MIT */
/* Finds where hugetlbfs is mounted, from the mount table. */
#include "kernel-params/machine/mounts.h"

#include <string.h>

#include "kernel-params/machine/hugepages.h"

/* "pagesize=2M" of mount options in bytes, or fallback. */
static uint64_t page_size_of(const char *opts, uint64_t fallback)
{
	const char *p = strstr(opts, "pagesize=");
	char text[16];
	uint64_t size;
	size_t n;

	if (!p)
		return fallback;
	p += strlen("pagesize=");
	n = strcspn(p, ",");
	if (n == 0 || n >= sizeof(text))
		return 0;
	memcpy(text, p, n);
	text[n] = '\0';
	return pst_parse_size(text, &size) == 0 ? size : 0;
}

/* Mount tables write a blank as \040 and so on. */
static void unescape(char *s)
{
	char *to = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' &&
		    strspn(s + 1, "01234567") >= 3) {
			*to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 |
				       (s[3] - '0'));
			s += 3;
		} else {
			*to++ = *s;
		}
	}
	*to = '\0';
}

/* Whether path is at or below top. What is mounted at "/" may stand behind what
 * an initramfs has mounted before, and hides none of it. */
static bool lies_in(const char *path, const char *top)
{
	size_t n = strlen(top);

	return n > 1 && strncmp(path, top, n) == 0 &&
	       (!path[n] || path[n] == '/');
}

/* What is mounted at a path hides what was mounted there and below. */
static void hide(struct pst_host_mounts *m, const char *path)
{
	size_t i, n = 0;

	for (i = 0; i < m->n; i++)
		if (!lies_in(m->mount[i].path, path))
			m->mount[n++] = m->mount[i];
	m->n = n;
}

void pst_host_mounts_parse(char *text, uint64_t default_size,
			   struct pst_host_mounts *ret)
{
	struct pst_host_hugetlbfs *m;
	char *line, *path, *type, *opts;

	*ret = (struct pst_host_mounts){.seen = true};
	while ((line = strsep(&text, "\n"))) {
		/* The first is the device. */
		strsep(&line, " ");
		path = strsep(&line, " ");
		type = strsep(&line, " ");
		opts = strsep(&line, " ");
		if (!type)
			continue;
		unescape(path);
		hide(ret, path);
		if (strcmp(type, "hugetlbfs") != 0 ||
		    ret->n == PST_HOST_MOUNTS_MAX ||
		    strlen(path) >= sizeof(m->path))
			continue;
		m = &ret->mount[ret->n++];
		strcpy(m->path, path);
		m->page_size = page_size_of(opts ? opts : "", default_size);
	}
}

void pst_host_mounts_read(const struct pst_host_root *root,
			  uint64_t default_size, struct pst_host_mounts *ret)
{
	PST_CLEANUP_FREE char *text = NULL;
	size_t len;

	*ret = (struct pst_host_mounts){0};
	if (pst_host_root_read(root, "proc/mounts", PST_HOST_ROOT_TEXT_MAX,
			       &text, &len) == 0)
		pst_host_mounts_parse(text, default_size, ret);
}

const struct pst_host_hugetlbfs *
pst_host_mounts_2m(const struct pst_host_mounts *m)
{
	size_t i;

	for (i = 0; i < m->n; i++)
		if (m->mount[i].page_size == PST_HOST_HUGE_2M)
			return &m->mount[i];
	return NULL;
}
