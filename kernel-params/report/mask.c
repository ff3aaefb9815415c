/* SPDX-License-Identifier: MIT */
/* Puts stand-ins for what names a machine or a person in a text. */
#include "kernel-params/report/mask.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel-params/boot/os.h"
#include "kernel-params/report/mask_find.h"

/* So many different texts are told apart; further ones share a stand-in. */
#define MAX_PAIRS 4096

/* Kinds of what is masked; a stand-in has the form of what it stands for. */
enum kind {
	UUID,
	HEX32,
	VOLUME,
	MAC,
	ENX,
	MD,
	IPV4,
	DISK,
	SERIAL,
	ISCSI,
	HOME,
	SECRET,
	IPV6,
	LABEL,
	WWN
};

struct pst_host_mask_pair {
	enum kind kind;
	char *text;
	size_t len;
	unsigned int number; /* within its kind */
};

static void put(struct pst_host_mask *m, const char *text, size_t len)
{
	char *more;

	if (m->no_memory)
		return;
	if (m->len + len + 1 > m->cap) {
		m->cap = (m->len + len + 1) * 2;
		more = realloc(m->out, m->cap);
		if (!more) {
			m->no_memory = true;
			return;
		}
		m->out = more;
	}
	memcpy(m->out + m->len, text, len);
	m->len += len;
	m->out[m->len] = '\0';
}

static void putf(struct pst_host_mask *m, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void putf(struct pst_host_mask *m, const char *fmt, ...)
{
	char buf[64];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	put(m, buf, strlen(buf));
}

/* The number of a text among those of its kind, from 1. */
static unsigned int number_of(struct pst_host_mask *m, enum kind kind,
			      const char *text, size_t len)
{
	struct pst_host_mask_pair *more;
	unsigned int n = 0;
	size_t i;

	for (i = 0; i < m->n_pairs; i++) {
		if (m->pair[i].kind != kind)
			continue;
		n = m->pair[i].number;
		if (m->pair[i].len == len &&
		    strncasecmp(m->pair[i].text, text, len) == 0)
			return n;
	}
	if (m->n_pairs == MAX_PAIRS)
		return 0;
	more = reallocarray(m->pair, m->n_pairs + 1, sizeof(*more));
	if (!more) {
		m->no_memory = true;
		return 0;
	}
	m->pair = more;
	more[m->n_pairs] =
		(struct pst_host_mask_pair){.kind = kind,
					    .text = strndup(text, len),
					    .len = len,
					    .number = n + 1};
	if (!more[m->n_pairs].text) {
		m->no_memory = true;
		return 0;
	}
	m->n_pairs++;
	return n + 1;
}

static void put_instead(struct pst_host_mask *m, enum kind kind,
			const char *text, size_t len)
{
	unsigned int n = number_of(m, kind, text, len);

	switch (kind) {
	case UUID:
		putf(m, "00000000-0000-4000-8000-%012u", n);
		break;
	case HEX32:
		putf(m, "00000000000040008000%012u", n);
		break;
	case VOLUME:
		putf(m, "0000-%04u", n);
		break;
	case MAC:
		putf(m, "02:00:00:00:%02x:%02x", n >> 8 & 0xff, n & 0xff);
		break;
	case ENX:
		putf(m, "02000000%04x", n);
		break;
	case MD:
		putf(m, "00000000:00000000:00000000:%08u", n);
		break;
	case IPV4:
		putf(m, "192.0.2.%u", n & 0xff);
		break;
	case DISK:
		putf(m, "disk%u", n);
		break;
	case SERIAL:
		putf(m, "serial%u", n);
		break;
	case ISCSI:
		putf(m, "iqn.name%u", n);
		break;
	case HOME:
		putf(m, "home%u", n);
		break;
	case SECRET:
		putf(m, "secret%u", n);
		break;
	case IPV6:
		putf(m, "2001:db8::%x", n & 0xffff);
		break;
	case LABEL:
		putf(m, "label%u", n);
		break;
	case WWN:
		putf(m, "%016x", n);
		break;
	}
}

static bool word_char(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

/* How far a name goes that begins at p. */
static size_t name_len(const char *p)
{
	return strcspn(p, " \t\r\n\"',;/)}]");
}

/* What stands behind one of these words. */
static const struct {
	const char *before;
	enum kind kind;
} behind[] = {
	{"UUID=", VOLUME},
	{"uuid=", VOLUME},
	{"/by-uuid/", VOLUME},
	{"/by-id/", DISK},
	{"/home/", HOME},
	{"enx", ENX},
	{"wlx", ENX},
	{"LABEL=", LABEL},
	{"/by-label/", LABEL},
	{"by-partlabel/", LABEL},
	{"by-partuuid/", VOLUME},
};

/* "Serial Number : X", "serial=X": where X begins, or NULL. */
static const char *serial_value(const char *p)
{
	static const char word[] = "serial", number[] = "number";
	const char *q = p + strlen(word);

	if (strncasecmp(p, word, strlen(word)) != 0)
		return NULL;
	q += strspn(q, " \t_");
	if (strncasecmp(q, number, strlen(number)) == 0)
		q += strlen(number);
	q += strspn(q, " \t");
	if (*q != ':' && *q != '=')
		return NULL;
	q++;
	return q + strspn(q, " \t\"");
}

/* "password=X", passwd='X', "secret": "X", <password>X: the same. */
static const char *secret_value(const char *p)
{
	static const char *const words[] = {"password", "passwd", "passphrase",
					    "secret",   "token",  "psk",
					    "sshkeys"};
	const char *q;
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(words); i++) {
		if (strncasecmp(p, words[i], strlen(words[i])) != 0)
			continue;
		q = p + strlen(words[i]);
		q += strspn(q, " \t\"'");
		if (!*q || !strchr("=:>", *q))
			continue;
		q++;
		return q + strspn(q, " \t\"'");
	}
	return NULL;
}

/* A name of the list that stands at p as a word, or if parts count as a part of
 * one, as in "vg_darkstar-root". */
static size_t find_name(const struct pst_host_names *names, const char *p,
			bool parts, size_t *ret_number)
{
	size_t i, len;

	for (i = 0; i < names->n; i++) {
		len = strlen(names->name[i]);
		if (strncmp(p, names->name[i], len) == 0 &&
		    (!word_char(p[len]) || (parts && p[len] == '_')) &&
		    (parts || p[len] != '-')) {
			*ret_number = i + 1;
			return len;
		}
	}
	return 0;
}

static size_t mask_host(struct pst_host_mask *m, const char *p)
{
	size_t number, len = find_name(&m->host, p, true, &number);

	if (len)
		putf(m, "host%zu", number);
	return len;
}

/* The name of the host or of a user. */
static size_t mask_name(struct pst_host_mask *m, const char *p)
{
	size_t number, len = mask_host(m, p);

	if (len)
		return len;
	len = find_name(&m->user, p, false, &number);
	if (len)
		putf(m, "user%zu", number);
	return len;
}

/* Masks what begins at p, before which before stands; its length, or 0. */
static size_t mask_word(struct pst_host_mask *m, const char *p, char before)
{
	static const struct {
		size_t (*find)(const char *p);
		enum kind kind;
	} forms[] = {{pst_host_find_uuid, UUID},   {pst_host_find_md, MD},
		     {pst_host_find_hex32, HEX32}, {pst_host_find_mac, MAC},
		     {pst_host_find_ipv4, IPV4},   {pst_host_find_ipv6, IPV6}};
	size_t i, len, kept;

	for (i = 0; i < PST_ARRAY_SIZE(forms); i++) {
		len = forms[i].find(p);
		/* Of a version's numbers none is an address. */
		if (len && !(forms[i].kind == IPV4 && strchr("-+~.", before))) {
			put_instead(m, forms[i].kind, p, len);
			return len;
		}
	}
	len = pst_host_find_wwn(p, &kept);
	if (len) {
		put(m, p, kept);
		put_instead(m, WWN, p + kept, len);
		return kept + len;
	}
	len = pst_host_find_mail(p);
	if (len) {
		putf(m, "user@host.example");
		return len;
	}
	if (strncmp(p, "iqn.", 4) == 0) {
		len = name_len(p);
		put_instead(m, ISCSI, p, len);
		return len;
	}
	return mask_name(m, p);
}

/* From p on up to the end of value, of which the first part is kept. */
static size_t mask_value(struct pst_host_mask *m, enum kind kind, const char *p,
			 const char *value, size_t len)
{
	if (!len)
		return 0;
	put(m, p, (size_t)(value - p));
	put_instead(m, kind, value, len);
	return (size_t)(value - p) + len;
}

/* The same for what a word announces, which is kept. */
static size_t mask_behind(struct pst_host_mask *m, const char *p)
{
	const char *value;
	size_t i, n, len;

	for (i = 0; i < PST_ARRAY_SIZE(behind); i++) {
		n = strlen(behind[i].before);
		if (strncmp(p, behind[i].before, n) != 0)
			continue;
		if (behind[i].kind == VOLUME || behind[i].kind == ENX)
			len = strspn(p + n, "0123456789abcdefABCDEF-");
		else
			len = name_len(p + n);
		/* Short numbers in a kernel's settings, and whole UUIDs. */
		if (len < (behind[i].kind == VOLUME ? 8U : 1U) || len == 36 ||
		    (behind[i].kind == ENX && len != 12))
			continue;
		put(m, p, n);
		put_instead(m, behind[i].kind, p + n, len);
		return n + len;
	}
	value = serial_value(p);
	if (value)
		return mask_value(m, SERIAL, p, value, name_len(value));
	value = secret_value(p);
	return value ? mask_value(m, SECRET, p, value,
				  strcspn(value, " \t\r\n\"';,<"))
		     : 0;
}

/* Longer ones are none, and looked for no further. */
#define BUILDER_MAX 128

/* "(somebody@somewhere)" of /proc/version. */
static size_t mask_builder(struct pst_host_mask *m, const char *p)
{
	size_t len = 0;

	if (*p != '(')
		return 0;
	while (len < BUILDER_MAX && !strchr(")\n", p[len]))
		len++;
	if (p[len] != ')' || !memchr(p, '@', len) || memchr(p, ' ', len))
		return 0;
	putf(m, "(user@host");
	return len;
}

char *pst_host_mask_text(struct pst_host_mask *m, const char *text, size_t len,
			 size_t *ret_len)
{
	const char *p = text, *end = text + len;
	char before = '\n', *out;
	size_t n;

	m->out = NULL;
	m->len = m->cap = 0;
	m->no_memory = false;
	put(m, "", 0);
	if (memchr(text, '\0', len)) {
		put(m, text, len);
		p = end;
	}
	for (; p < end; p += n) {
		n = mask_builder(m, p);
		if (!n)
			n = mask_behind(m, p);
		if (!n && !isalnum((unsigned char)before))
			n = before == '_' ? mask_host(m, p)
					  : mask_word(m, p, before);
		if (!n) {
			n = 1;
			put(m, p, 1);
		}
		before = p[n - 1];
	}
	out = m->out;
	*ret_len = m->len;
	m->out = NULL;
	if (m->no_memory) {
		free(out);
		return NULL;
	}
	return out;
}

/* ---- Names ----------------------------------------------------------------
 */

/* A name that settings use as a word of their own would change them. */
static bool is_word(const struct pst_host_root *root, const char *name)
{
	char path[PST_HOST_ROOT_PATH_MAX], id[PST_HOST_OS_ID_MAX];
	static const char *const words[] = {
		"root",    "nobody", "linux", "localhost", "kvm",   "qemu",
		"libvirt", "vfio",   "host",  "default",   "quiet", "boot",
		"intel",   "amd",    "iommu", "nvidia",    "pci",   "home",
		"data",    "grub",   "efi",   "disk",      "disk0", "pve",
	};
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(words); i++)
		if (strcmp(name, words[i]) == 0)
			return true;
	pst_host_os_read(root, id);
	return strlen(name) < 2 || strcmp(id, name) == 0 ||
	       (pst_host_path(path, "sys/module/%s", name) == 0 &&
		pst_host_root_exists(root, path));
}

/* Of hosts, and of users, so many are looked for in each text. */
#define NAMES_MAX 256

static void add_name(struct pst_host_mask *m, const struct pst_host_root *root,
		     struct pst_host_names *to, const char *name, size_t len)
{
	char buf[256];

	if (!len || len >= sizeof(buf) || to->n >= NAMES_MAX)
		return;
	memcpy(buf, name, len);
	buf[len] = '\0';
	m->no_memory |= pst_host_names_add(is_word(root, buf) ? &m->kept : to,
					   buf, len) < 0;
}

/* "systemd.hostname=NAME", and the fifth of "ip=A:B:C:D:NAME:eth0". */
static void add_cmdline(struct pst_host_mask *m,
			const struct pst_host_root *root)
{
	static const char hostname[] = "hostname=";
	PST_CLEANUP_FREE char *text = NULL;
	char *word, *rest, *p;
	unsigned int i;
	size_t len;

	if (pst_host_root_read(root, "proc/cmdline", PST_HOST_ROOT_TEXT_MAX,
			       &text, &len) < 0)
		return;
	for (word = strtok_r(text, " \t\n", &rest); word;
	     word = strtok_r(NULL, " \t\n", &rest)) {
		p = strstr(word, hostname);
		p = p ? p + strlen(hostname) : NULL;
		if (strncmp(word, "ip=", 3) == 0)
			for (p = word, i = 0; p && i < 4; i++)
				p = (p = strchr(p, ':')) ? p + 1 : NULL;
		if (p)
			add_name(m, root, &m->host, p, strcspn(p, ":."));
	}
}

static void add_host(struct pst_host_mask *m, const struct pst_host_root *root)
{
	static const char *const files[] = {"etc/hostname",
					    "proc/sys/kernel/hostname"};
	char name[256];
	size_t i, len;

	for (i = 0; i < PST_ARRAY_SIZE(files); i++) {
		if (pst_host_root_read_text(root, files[i], name,
					    sizeof(name)) <= 0)
			continue;
		len = strcspn(name, ".");
		add_name(m, root, &m->host, name, strlen(name));
		if (name[len])
			add_name(m, root, &m->host, name, len);
	}
}

/* People's accounts begin at 1000 (login.defs). */
static void add_users(struct pst_host_mask *m, const struct pst_host_root *root)
{
	PST_CLEANUP_FREE char *text = NULL;
	char *line, *rest;
	unsigned int uid;
	size_t len;

	if (pst_host_root_read(root, "etc/passwd", PST_HOST_ROOT_TEXT_MAX,
			       &text, &len) < 0)
		return;
	for (line = strtok_r(text, "\n", &rest); line;
	     line = strtok_r(NULL, "\n", &rest)) {
		len = strcspn(line, ":");
		if (line[len] && sscanf(line + len, ":%*[^:]:%7u", &uid) == 1 &&
		    uid >= 1000 && uid < 65000)
			add_name(m, root, &m->user, line, len);
	}
}

/* Names of libvirt's domains are names of files. */
static void add_guests(struct pst_host_mask *m,
		       const struct pst_host_root *root)
{
	PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};
	size_t i, n;

	if (pst_host_root_list(root, "etc/libvirt/qemu", &names) < 0)
		return;
	for (i = 0; i < names.n; i++) {
		n = strlen(names.name[i]);
		if (n > 4 && strcmp(names.name[i] + n - 4, ".xml") == 0)
			add_name(m, root, &m->user, names.name[i], n - 4);
	}
}

void pst_host_mask_init(struct pst_host_mask *m,
			const struct pst_host_root *root)
{
	*m = (struct pst_host_mask){0};
	add_host(m, root);
	add_cmdline(m, root);
	add_users(m, root);
	add_guests(m, root);
}

void pst_host_mask_done(struct pst_host_mask *m)
{
	size_t i;

	for (i = 0; i < m->n_pairs; i++)
		free(m->pair[i].text);
	free(m->pair);
	pst_host_names_done(&m->host);
	pst_host_names_done(&m->user);
	pst_host_names_done(&m->kept);
	*m = (struct pst_host_mask){0};
}
