/* SPDX-License-Identifier: MIT */
/* Splits a kernel command line. */
#include "kernel-params/syntax/cmdline.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

/* Linux has at most as many (CONFIG_NODES_SHIFT). */
#define MAX_NODES 1024

/*
 * Takes one parameter from p, which it writes NULs into. Returns what follows.
 * A quote toggles anywhere, but is only taken off at the ends, as the kernel
 * does it.
 */
static char *next(char *p, struct pst_host_param *ret)
{
	bool in_quote = false, quoted = *p == '"';
	char *equals = NULL, *end;
	char *start = quoted ? p + 1 : p;

	if (quoted)
		in_quote = true;
	for (end = start; *end; end++) {
		if (isspace((unsigned char)*end) && !in_quote)
			break;
		if (!equals && end > start && *end == '=')
			equals = end;
		if (*end == '"')
			in_quote = !in_quote;
	}
	p = *end ? end + 1 : end;
	*end = '\0';
	ret->name = start;
	ret->value = NULL;
	if (equals) {
		*equals = '\0';
		ret->value = equals + 1;
		if (*ret->value == '"') {
			ret->value++;
			quoted = true;
		}
	}
	if (quoted && end > start && end[-1] == '"' &&
	    (!ret->value || end - 1 >= ret->value))
		end[-1] = '\0';
	return p;
}

int pst_host_cmdline_parse(const char *text, size_t len,
			   struct pst_host_cmdline *ret)
{
	struct pst_host_cmdline c = {0};
	char *p;

	if (len > PST_HOST_CMDLINE_MAX)
		return -EMSGSIZE;
	if (memchr(text, '\0', len))
		return -EPROTO;
	/* Parameters are apart by a byte at least. */
	c.param = calloc(len / 2 + 1, sizeof(*c.param));
	c.text = strndup(text, len);
	if (!c.param || !c.text) {
		pst_host_cmdline_done(&c);
		return -ENOMEM;
	}
	for (p = c.text;;) {
		while (isspace((unsigned char)*p))
			p++;
		if (!*p)
			break;
		p = next(p, &c.param[c.n]);
		if (!c.param[c.n].value && strcmp(c.param[c.n].name, "--") == 0)
			break;
		c.n++;
	}
	*ret = c;
	return 0;
}

void pst_host_cmdline_done(struct pst_host_cmdline *c)
{
	free(c->param);
	free(c->text);
	*c = (struct pst_host_cmdline){0};
}

static bool name_eq_n(const char *a, size_t n, const char *b)
{
	size_t i;

	for (i = 0; i < n; i++) {
		char x = a[i] == '-' ? '_' : a[i];
		char y = b[i] == '-' ? '_' : b[i];

		if (x != y || !x)
			return false;
	}
	return !b[n];
}

bool pst_host_param_name_eq(const char *a, const char *b)
{
	return name_eq_n(a, strlen(a), b);
}

const struct pst_host_param *
pst_host_cmdline_get(const struct pst_host_cmdline *c, const char *name)
{
	size_t i;

	for (i = c->n; i-- > 0;)
		if (pst_host_param_name_eq(c->param[i].name, name))
			return &c->param[i];
	return NULL;
}

const struct pst_host_param *
pst_host_cmdline_module(const struct pst_host_cmdline *c, const char *module,
			const char *param)
{
	char name[128];
	int n = snprintf(name, sizeof(name), "%s.%s", module, param);

	if (n < 0 || (size_t)n >= sizeof(name))
		return NULL;
	return pst_host_cmdline_get(c, name);
}

/* A size as the kernel reads it: 2M, 2048k, 2097152. 0: none. */
static uint64_t page_size(const char *text)
{
	uint64_t n = 0;

	return pst_parse_size(text, &n) == 0 ? n : 0;
}

void pst_host_pool_begin(struct pst_host_pool_reader *r,
			 const char *default_size)
{
	r->size = default_size ? page_size(default_size) : PST_HOST_HUGE_2M;
	r->counted = false;
}

bool pst_host_pool_next(struct pst_host_pool_reader *r, const char *name,
			const char *value)
{
	if (!value)
		return false;
	if (strcmp(name, "hugepagesz") == 0)
		r->size = page_size(value);
	if (strcmp(name, "hugepages") != 0 || r->size != PST_HOST_HUGE_2M ||
	    r->counted)
		return false;
	r->counted = true;
	return true;
}

/* Reads a number at *p, which is then behind it. */
static bool number(const char **p, uint64_t *ret)
{
	char digits[20] = "";
	size_t n = strspn(*p, "0123456789");

	if (n >= sizeof(digits))
		return false;
	memcpy(digits, *p, n);
	*p += n;
	return pst_parse_u64(digits, 0, UINT64_MAX, ret) == 0;
}

int pst_host_pool_counts(const char *value, bool by_node,
			 struct pst_host_pool_count ret[PST_HOST_POOL_COUNTS])
{
	const char *p = value;
	uint64_t first;
	int n = 0;

	do {
		if (n == PST_HOST_POOL_COUNTS || !number(&p, &first))
			return -EINVAL;
		ret[n].node = -1;
		ret[n].pages = first;
		if (!by_node)
			return 1;
		if (*p == ':' && first < MAX_NODES) {
			p++;
			ret[n].node = (int)first;
			if (!number(&p, &ret[n].pages))
				return -EINVAL;
		} else if (n || *p == ':') {
			return -EINVAL;
		}
		n++;
	} while (ret[n - 1].node >= 0 && *p++ == ',' && *p);
	return n;
}

void pst_host_pool_text(int node, uint64_t pages,
			char buf[PST_HOST_POOL_TEXT_LEN])
{
	char where[16] = "";

	if (node >= 0)
		snprintf(where, sizeof(where), "%d:", node);
	snprintf(buf, PST_HOST_POOL_TEXT_LEN,
		 "hugepagesz=2M hugepages=%s%" PRIu64, where, pages);
}

bool pst_host_list_has(const char *list, const char *word)
{
	while (*list) {
		size_t n = strcspn(list, ",");

		if (n && name_eq_n(list, n, word))
			return true;
		list += n;
		list += *list == ',';
	}
	return false;
}

bool pst_host_cmdline_has(const struct pst_host_cmdline *c, const char *name,
			  const char *word)
{
	size_t i;

	for (i = 0; i < c->n; i++)
		if (c->param[i].value &&
		    pst_host_param_name_eq(c->param[i].name, name) &&
		    pst_host_list_has(c->param[i].value, word))
			return true;
	return false;
}
