/* SPDX-License-Identifier: MIT */
/* Shortens files of a report. */
#include "kernel-params/report/reduce.h"

#include <stdbool.h>
#include <string.h>

#include "kernel-params/root/root.h"
#include "kernel-params/syntax/xml_text.h"

/* Whether an element is one that checks look at, or leads to one. */
static bool is_kept(const char *path)
{
	static const char *const whole[] = {
		"/domain/memory",
		"/domain/memoryBacking",
		"/domain/devices",
		"/domain/devices/hostdev",
		"/domain/devices/hostdev/source",
		"/domain/devices/hostdev/source/address"};
	size_t i, n;

	if (strcmp(path, "/domain") == 0)
		return true;
	for (i = 0; i < PST_ARRAY_SIZE(whole); i++) {
		n = strlen(whole[i]);
		if (strncmp(path, whole[i], n) == 0 &&
		    (!path[n] || (i < 2 && path[n] == '/')))
			return true;
	}
	return false;
}

/* Tokens of what is kept, put one after the other at the text's begin. */
static size_t reduce_domain(char *text)
{
	struct pst_host_xml s = {.end = text};
	char path[128] = "", *to = text;
	size_t len = 0, deeper = 0, n;

	for (pst_host_xml_next(&s);
	     s.kind != PST_HOST_XML_DONE && s.kind != PST_HOST_XML_BAD;
	     pst_host_xml_next(&s)) {
		bool start = s.kind == PST_HOST_XML_START, keep;

		if (start && (deeper || len + s.name_len + 2 > sizeof(path))) {
			deeper++;
		} else if (start) {
			path[len] = '/';
			memcpy(path + len + 1, s.name, s.name_len);
			len += s.name_len + 1;
			path[len] = '\0';
		}
		/* Text of /domain and of what is left out may be anything. */
		keep = !deeper && is_kept(path) &&
		       (s.kind == PST_HOST_XML_START ||
			s.kind == PST_HOST_XML_END ||
			(s.kind == PST_HOST_XML_TEXT &&
			 strncmp(path, "/domain/memory", 14) == 0));
		n = keep ? (size_t)(s.end - s.begin) : 0;
		/* The reader is ahead of what is written. */
		memmove(to, s.begin, n);
		to += n;
		if (s.kind != PST_HOST_XML_END && !(start && s.empty))
			continue;
		if (deeper) {
			deeper--;
			continue;
		}
		while (len && path[len - 1] != '/')
			len--;
		len -= len > 0;
		path[len] = '\0';
	}
	*to = '\0';
	return (size_t)(to - text);
}

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

static bool ends(const char *text, const char *with)
{
	size_t n = strlen(text), k = strlen(with);

	return n >= k && strcmp(text + n - k, with) == 0;
}

/* A line of a Proxmox guest that claims are read from. */
static bool is_guest_line(const char *line)
{
	static const char *const keys[] = {
		"onboot:", "memory:", "hugepages:", "hostpci", "["};
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(keys); i++)
		if (begins(line, keys[i]))
			return true;
	return false;
}

/* What stays of a line of n bytes, from its begin. */
static size_t kept_of(const char *line, size_t n, bool guest)
{
	size_t blanks = strspn(line, " \t");

	if (guest)
		return *line == '[' ? 1 : is_guest_line(line) ? n : 0;
	if (blanks >= n || line[blanks] != '#' || line[blanks + 1] == '!' ||
	    memmem(line, n, "penstock", 8))
		return n;
	return blanks + 1;
}

static size_t reduce_lines(char *text, bool guest)
{
	char *from = text, *to = text;

	while (*from) {
		size_t n = strcspn(from, "\n"), k = kept_of(from, n, guest);

		memmove(to, from, k);
		to += k;
		from += n;
		if (*from)
			*to++ = *from++;
	}
	*to = '\0';
	return (size_t)(to - text);
}

void pst_host_report_reduce(const char *path, char *text, size_t *len)
{
	const bool guest = begins(path, "etc/pve/qemu-server/");

	if (strlen(text) != *len || !begins(path, "etc/"))
		return;
	if (begins(path, "etc/libvirt/") && ends(path, ".xml"))
		*len = reduce_domain(text);
	else
		*len = reduce_lines(text, guest);
}
