/* SPDX-License-Identifier: MIT */
/* Evaluates rules of udev for a PCI function that is added. */
#include "kernel-params/config/udev_rules.h"

#include <string.h>

#include "transport/base/util.h"

/* KEY{ATTRIBUTE}OPERATOR"VALUE"; all but the operator point into the rule. */
struct token {
	const char *key, *attr, *value;
	size_t key_len, attr_len, value_len;
	char op[3];
};

/* What a rule does, once its conditions are known. */
struct rule {
	bool wrong;          /* udev ignores it */
	bool differs;        /* a condition does not hold */
	bool unknown, named; /* one cannot be told; one has the address */
	bool sets, gives;    /* it decides, and how */
	bool runs;           /* a command has the address and vfio-pci */
	struct token to, at; /* GOTO, LABEL; key NULL: none */
};

static bool is(const char *s, size_t n, const char *word)
{
	return n == strlen(word) && memcmp(s, word, n) == 0;
}

static bool has(const struct token *t, const char *word)
{
	return memmem(t->value, t->value_len, word, strlen(word));
}

/* ---- Patterns -------------------------------------------------------------
 */

/* Whether the first of a pattern's characters means c; *next: what follows. */
static bool match_one(const char *p, const char *end, char c, const char **next)
{
	const char *first;
	bool hit = false, not ;

	if (*p != '[') {
		*next = p + 1;
		return *p == '?' || *p == c;
	}
	not = ++p < end && (*p == '!' || *p == '^');
	p += not ;
	for (first = p; p < end && (*p != ']' || p == first); p++)
		if (end - p > 2 && p[1] == '-' && p[2] != ']') {
			hit |= *p <= c && c <= p[2];
			p += 2;
		} else {
			hit |= *p == c;
		}
	*next = p < end ? p + 1 : end;
	return hit != not ;
}

/* In time that a file made to waste it cannot stretch. */
static bool match_glob(const char *p, const char *end, const char *s)
{
	const char *star = NULL, *from = NULL, *next;

	while (*s) {
		if (p < end && *p == '*') {
			star = ++p;
			from = s;
		} else if (p < end && match_one(p, end, *s, &next)) {
			p = next;
			s++;
		} else if (star) {
			p = star;
			s = ++from;
		} else {
			return false;
		}
	}
	while (p < end && *p == '*')
		p++;
	return p == end;
}

/* One of several, with "|" between. */
static bool match_any(const struct token *t, const char *s)
{
	const char *p = t->value, *end = t->value + t->value_len, *bar;

	for (;; p = bar + 1) {
		bar = memchr(p, '|', (size_t)(end - p));
		if (match_glob(p, bar ? bar : end, s))
			return true;
		if (!bar)
			return false;
	}
}

/* ---- Conditions -----------------------------------------------------------
 */

/* What the function has of what a condition asks for; false: not known. */
static bool known(const struct token *t, const struct pst_host_pci_dev *dev,
		  char ret[64])
{
	const struct {
		const char *name;
		int digits;
		unsigned int value;
	} numbers[] = {
		{"vendor", 4, dev->vendor},
		{"device", 4, dev->device},
		{"class", 6, dev->class},
		{"subsystem_vendor", 4, dev->sub_vendor},
		{"subsystem_device", 4, dev->sub_device},
	};
	/* ATTRS, KERNELS, ...: of the function, or of what it is below. */
	size_t i, n = t->key_len - (t->key[t->key_len - 1] == 'S');

	if (is(t->key, n, "KERNEL") ||
	    (is(t->key, n, "ENV") && is(t->attr, t->attr_len, "PCI_SLOT_NAME")))
		return snprintf(ret, 64, "%s", dev->name) > 0;
	if (is(t->key, n, "SUBSYSTEM"))
		return strcpy(ret, "pci");
	if (is(t->key, n, "ACTION"))
		return strcpy(ret, "add");
	if (is(t->key, n, "ENV") && is(t->attr, t->attr_len, "PCI_ID"))
		return snprintf(ret, 64, "%04X:%04X", dev->vendor,
				dev->device) > 0;
	for (i = 0; i < PST_ARRAY_SIZE(numbers) && is(t->key, n, "ATTR"); i++)
		if (is(t->attr, t->attr_len, numbers[i].name))
			return snprintf(ret, 64, "0x%0*x", numbers[i].digits,
					numbers[i].value) > 0;
	return false;
}

static void take_condition(struct rule *r, const struct token *t,
			   const struct pst_host_pci_dev *dev)
{
	char text[64];

	if (!known(t, dev, text))
		r->unknown = true;
	else
		r->differs |= match_any(t, text) != (*t->op == '=');
	r->named |= *t->op == '=' && has(t, dev->name);
}

static void take_action(struct rule *r, const struct token *t,
			const struct pst_host_pci_dev *dev)
{
	if (is(t->key, t->key_len, "GOTO")) {
		r->to = *t;
	} else if (is(t->key, t->key_len, "LABEL")) {
		r->at = *t;
	} else if (is(t->key, t->key_len, "ATTR") &&
		   is(t->attr, t->attr_len, "driver_override")) {
		r->sets = true;
		r->gives = is(t->value, t->value_len, "vfio-pci");
	} else if (is(t->key, t->key_len, "RUN") && has(t, "vfio-pci") &&
		   (has(t, "bind") || has(t, "driver_override") ||
		    has(t, "driverctl"))) {
		r->sets = r->gives = true;
		r->runs |= has(t, dev->name);
	}
}

/* ---- Rules ----------------------------------------------------------------
 */

/* The token at *p, which ends at end; false: it is none, or there is no more.
 */
static bool take_token(const char **p, const char *end, struct token *t)
{
	static const char blanks[] = " \t,\r\n\\";
	const char *q = *p;

	*t = (struct token){0};
	while (q < end && strchr(blanks, *q))
		q++;
	for (t->key = q; q < end && *q >= 'A' && *q <= 'Z'; q++)
		;
	t->key_len = (size_t)(q - t->key);
	if (t->key_len && q < end && *q == '{') {
		t->attr = ++q;
		while (q < end && *q != '}')
			q++;
		t->attr_len = (size_t)(q - t->attr);
		q += q < end;
	}
	while (q < end && (*q == ' ' || *q == '\t'))
		q++;
	if (!t->key_len || end - q < 3)
		return false;
	if (strchr("=!+-:", *q) && q[1] == '=')
		memcpy(t->op, q, 2);
	else if (*q == '=')
		*t->op = *q;
	else
		return false;
	q += strlen(t->op);
	while (q < end && (*q == ' ' || *q == '\t'))
		q++;
	q += q < end && *q == 'e';
	if (q >= end || *q != '"')
		return false;
	for (t->value = ++q; q < end && *q != '"'; q++)
		q += *q == '\\' && end - q > 1;
	if (q >= end)
		return false;
	t->value_len = (size_t)(q - t->value);
	*p = q + 1;
	return true;
}

static void take_rule(const char *p, const char *end,
		      const struct pst_host_pci_dev *dev, struct rule *r)
{
	struct token t;

	*r = (struct rule){0};
	while (take_token(&p, end, &t))
		if (strcmp(t.op, "==") == 0 || *t.op == '!')
			take_condition(r, &t, dev);
		else
			take_action(r, &t, dev);
	while (p < end && strchr(" \t,\r\n\\", *p))
		p++;
	r->wrong = p < end;
}

/* The end of a rule, whose lines end in backslashes but for the last. */
static const char *rule_end(const char *p)
{
	const char *end = p;

	for (;;) {
		end = strchrnul(end, '\n');
		if (!*end || end == p || end[-1] != '\\')
			return end;
		end++;
	}
}

bool pst_host_udev_gives(const char *text, const struct pst_host_pci_dev *dev,
			 bool before)
{
	struct token to = {0};
	bool gives = before;
	const char *p, *end;
	struct rule r;

	for (p = text; *p; p = end + (*end == '\n')) {
		p += strspn(p, " \t");
		end = *p == '#' ? strchrnul(p, '\n') : rule_end(p);
		if (*p == '#')
			continue;
		take_rule(p, end, dev, &r);
		if (to.key &&
		    !(r.at.key && r.at.value_len == to.value_len &&
		      memcmp(r.at.value, to.value, to.value_len) == 0))
			continue;
		to.key = NULL;
		if (r.wrong)
			continue;
		if (r.sets && r.runs)
			gives = true;
		if (r.differs || (r.unknown && !r.named))
			continue;
		if (r.sets)
			gives = r.gives;
		to = r.to;
	}
	return gives;
}
