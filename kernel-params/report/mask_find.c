/* SPDX-License-Identifier: MIT */
/* Recognises what names a machine by its form. */
#include "kernel-params/report/mask_find.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "kernel-params/root/root.h"

/* The variables of UEFI's own are no machine's. */
static const char efi_global[] = "8be4df61-93ca-11d2-aa0d-00e098032b8c";

static bool hex(char c)
{
	return isxdigit((unsigned char)c);
}

static bool word_char(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

/* Groups of hexadecimal digits with sep between: the length, or 0. */
static size_t groups(const char *p, const unsigned int *size, size_t n,
		     char sep)
{
	size_t i, k, len = 0;

	for (i = 0; i < n; i++) {
		for (k = 0; k < size[i]; k++, len++)
			if (!hex(p[len]))
				return 0;
		if (i + 1 < n && p[len++] != sep)
			return 0;
	}
	return word_char(p[len]) ? 0 : len;
}

size_t pst_host_find_uuid(const char *p)
{
	static const unsigned int form[] = {8, 4, 4, 4, 12};
	size_t len = groups(p, form, PST_ARRAY_SIZE(form), '-');

	return len && strncasecmp(p, efi_global, len) == 0 ? 0 : len;
}

size_t pst_host_find_md(const char *p)
{
	static const unsigned int form[] = {8, 8, 8, 8};

	return groups(p, form, PST_ARRAY_SIZE(form), ':');
}

/* A machine id, or an address of IPv6 in /proc/net; zero is nobody's. */
size_t pst_host_find_hex32(const char *p)
{
	static const unsigned int form[] = {32};
	size_t len = groups(p, form, 1, '\0');

	return strspn(p, "0") >= 32 ? 0 : len;
}

/* Six pairs or more, with ':' or '-' between. */
size_t pst_host_find_mac(const char *p)
{
	const char sep = hex(p[0]) && hex(p[1]) && p[2] == '-' ? '-' : ':';
	size_t n = 0, len = 0;

	/* InfiniBand's has 20. */
	while (n < 32 && hex(p[len]) && hex(p[len + 1])) {
		len += 2;
		n++;
		if (p[len] != sep)
			break;
		len++;
	}
	return n >= 6 && len && p[len - 1] != sep && !word_char(p[len]) ? len
									: 0;
}

/* Four numbers of up to three digits; not what means no machine. */
size_t pst_host_find_ipv4(const char *p)
{
	size_t len = 0, i, k;

	for (i = 0; i < 4; i++) {
		unsigned int v = 0;

		for (k = 0; k < 4 && isdigit((unsigned char)p[len]); k++)
			v = v * 10 + (unsigned int)(p[len++] - '0');
		if (!k || k > 3 || v > 255 || (i < 3 && p[len++] != '.'))
			return 0;
	}
	if (word_char(p[len]) ||
	    (p[len] == '.' && isdigit((unsigned char)p[len + 1])) ||
	    strncmp(p, "127.", 4) == 0 || strncmp(p, "255.", 4) == 0 ||
	    strncmp(p, "0.0.0.0", 7) == 0)
		return 0;
	return len;
}

/* Eight groups, or some with "::" among them; not the loopback. */
size_t pst_host_find_ipv6(const char *p)
{
	size_t len = 0, n = 0, first, k;
	bool gap = false;

	for (first = 0; hex(p[first]); first++)
		if (first == 4)
			return 0;
	while (n < 8) {
		for (k = 0; k < 5 && hex(p[len]); k++)
			len++;
		if (!k || k == 5)
			break;
		n++;
		if (p[len] != ':')
			break;
		len++;
		if (p[len] == ':' && !gap) {
			gap = true;
			len++;
		}
	}
	if (word_char(p[len]) || p[len] == '.' || (n < 8 && !gap) ||
	    (gap && (first < 3 || n < 2)))
		return 0;
	return len;
}

/* "0x5000c500a1b2c3d4", "eui.0025385...", "naa.5000...": a disk's own number
 * behind such a begin, which is kept. */
size_t pst_host_find_wwn(const char *p, size_t *ret_kept)
{
	static const char *const begins[] = {"wwn-0x", "eui.", "naa.", "0x5"};
	size_t i, n;

	for (i = 0; i < PST_ARRAY_SIZE(begins); i++) {
		n = strlen(begins[i]);
		if (strncmp(p, begins[i], n) != 0)
			continue;
		*ret_kept = n;
		n = strspn(p + n, "0123456789abcdefABCDEF");
		/* The last is any number; a name of 64 bits begins so. */
		if (n >= 16 || (i == 3 && n == 15))
			return n;
	}
	return 0;
}

/* "somebody@some.where"; "getty@tty1.service" is a unit. */
size_t pst_host_find_mail(const char *p)
{
	static const char *const units[] = {"service", "socket", "mount",
					    "target",  "slice",  "timer"};
	static const char chars[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	size_t n = 0, k, i, dot = 0;

	while (n < 64 && p[n] && strchr(chars, p[n]))
		n++;
	if (!n || p[n] != '@')
		return 0;
	for (k = n + 1; k < n + 128 && p[k] && strchr(chars, p[k]); k++)
		if (p[k] == '.')
			dot = k + 1;
	if (!dot || dot >= k)
		return 0;
	for (i = 0; i < PST_ARRAY_SIZE(units); i++)
		if (strncmp(p + dot, units[i], strlen(units[i])) == 0)
			return 0;
	return k;
}
