/* SPDX-License-Identifier: MIT */
/* Reads XML as text, token by token, and finds the lines that hold secrets. */
#include "libvirt-xml/scan.h"

#include <stdlib.h>
#include <string.h>

#include "transport/base/error.h"

/* What a token that begins so ends with; NULL: it cannot be split. */
static const struct {
	const char *begin, *end;
	enum pst_vm_scan_kind kind;
} specials[] = {
	{"<!--", "-->", PST_VM_SCAN_OTHER},
	{"<![CDATA[", "]]>", PST_VM_SCAN_TEXT},
	{"<?", "?>", PST_VM_SCAN_OTHER},
	{"<!", NULL, PST_VM_SCAN_BAD},
};

static void end_at(struct pst_vm_scan *s, const char *end,
		   enum pst_vm_scan_kind kind)
{
	s->kind = end ? kind : PST_VM_SCAN_BAD;
	s->end = end ? end : s->begin + strlen(s->begin);
}

/* Behind the '>' of a tag, which may also stand in a value. */
static const char *end_of_tag(const char *p)
{
	char quote = '\0';

	for (; *p; p++) {
		if (quote)
			quote = *p == quote ? '\0' : quote;
		else if (*p == '"' || *p == '\'')
			quote = *p;
		else if (*p == '>')
			return p + 1;
	}
	return NULL;
}

void pst_vm_scan_next(struct pst_vm_scan *s)
{
	const char *const p = s->end, *end;
	size_t i;

	s->begin = p;
	s->empty = false;
	if (!*p) {
		s->kind = PST_VM_SCAN_DONE;
		return;
	}
	if (*p != '<') {
		end_at(s, strchrnul(p, '<'), PST_VM_SCAN_TEXT);
		return;
	}
	for (i = 0; i < PST_ARRAY_SIZE(specials); i++) {
		const size_t n = strlen(specials[i].begin);

		if (strncmp(p, specials[i].begin, n) != 0)
			continue;
		end = specials[i].end ? strstr(p + n, specials[i].end) : NULL;
		end_at(s, end ? end + strlen(specials[i].end) : NULL,
		       specials[i].kind);
		return;
	}
	s->name = p + 1 + (p[1] == '/');
	s->name_len = strcspn(s->name, " \t\r\n/>");
	end_at(s, end_of_tag(p),
	       p[1] == '/' ? PST_VM_SCAN_END : PST_VM_SCAN_START);
	s->empty = s->kind == PST_VM_SCAN_START && s->end[-2] == '/';
}

/* ---- Secrets ------------------------------------------------------------ */

/* In a tag or a comment. */
static const char *const words[] = {"passw", "passphrase", "secret",
				    "token", "osk",        "cookie",
				    "cred",  "apikey",     "api_key"};

/* Elements of which all that is inside is hidden: arguments for QEMU, the
 * firmware's tables, what other programs keep, and texts that anyone wrote. */
static const char *const holders[] = {
	"commandline", "sysinfo",  "metadata", "cookies",
	"description", "title",    "serial",   "cmdline",
	"initarg",     "initenv",  "session",  "dhCert",
	"cookie",      "override", "auth",     "encryption"};

static bool has_word(const char *begin, const char *end)
{
	size_t i, n;
	const char *p;

	for (i = 0; i < PST_ARRAY_SIZE(words); i++) {
		n = strlen(words[i]);
		for (p = begin; p + n <= end; p++)
			if (strncasecmp(p, words[i], n) == 0)
				return true;
	}
	/* scheme://user:password@host */
	p = memmem(begin, (size_t)(end - begin), "://", 3);
	return p && memchr(p, '@', (size_t)(end - p));
}

static bool is_holder(const struct pst_vm_scan *s)
{
	const char *colon = memchr(s->name, ':', s->name_len);
	const char *local = colon ? colon + 1 : s->name;
	const size_t n = s->name_len - (size_t)(local - s->name);
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(holders); i++)
		if (strlen(holders[i]) == n &&
		    strncmp(local, holders[i], n) == 0)
			return true;
	return false;
}

static bool is_blank(const struct pst_vm_scan *s)
{
	return strspn(s->begin, " \t\r\n") >= (size_t)(s->end - s->begin);
}

/* depth: of elements, from the holder on that the token lies in. */
static bool is_secret(const struct pst_vm_scan *s, size_t depth)
{
	if (s->kind == PST_VM_SCAN_BAD)
		return true;
	if (s->kind == PST_VM_SCAN_TEXT && is_blank(s))
		return false;
	if (depth > (s->kind == PST_VM_SCAN_END))
		return true;
	return s->kind != PST_VM_SCAN_END && has_word(s->begin, s->end);
}

static size_t newlines(const char *begin, const char *end)
{
	size_t n = 0;

	for (; begin < end; begin++)
		n += *begin == '\n';
	return n;
}

long pst_vm_scan_secrets(const char *text, bool **ret)
{
	struct pst_vm_scan s = {.end = text};
	size_t lines = newlines(text, text + strlen(text)) + 1;
	size_t line = 0, depth = 0, n;
	bool *secret = calloc(lines, sizeof(*secret));

	if (!secret)
		return -ENOMEM;
	for (pst_vm_scan_next(&s); s.kind != PST_VM_SCAN_DONE;
	     pst_vm_scan_next(&s)) {
		n = newlines(s.begin, s.end);
		if (is_secret(&s, depth))
			memset(secret + line, true, n + 1);
		line += n;
		if (s.kind == PST_VM_SCAN_START && !s.empty)
			depth += depth || is_holder(&s);
		else if (s.kind == PST_VM_SCAN_END)
			depth -= depth > 0;
	}
	*ret = secret;
	return (long)lines;
}
