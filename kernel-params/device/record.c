/* SPDX-License-Identifier: MIT */
/* How functions were before a guest or a reset, and what is different after. */
#include "kernel-params/device/record.h"

#include <inttypes.h>
#include <string.h>

#define HEAD "penstock-card 1\n"

static void put_methods(const struct pst_host_pci_dev *dev,
			char ret[sizeof(dev->reset_method)])
{
	char *p;

	if (!dev->knows_reset_method) {
		strcpy(ret, "?");
		return;
	}
	strcpy(ret, *dev->reset_method ? dev->reset_method : "-");
	for (p = ret; *p; p++)
		if (*p == ' ')
			*p = ',';
		else if (!strchr("abcdefghijklmnopqrstuvwxyz_-", *p))
			*p = '?';
}

bool pst_host_record_add(struct pst_host_record *r,
			 const struct pst_host_fn_state *s)
{
	struct pst_host_fn_record *f = &r->fn[r->n];

	if (r->n == PST_HOST_RECORD_FN)
		return false;
	*f = (struct pst_host_fn_record){
		.addr = s->dev->addr,
		.vendor = s->dev->vendor,
		.device = s->dev->device,
		.power = s->power,
		.answer = s->config.answer,
		.width = s->link.width,
		.identity = s->config.identity,
		.places = s->config.places,
	};
	put_methods(s->dev, f->methods);
	r->n++;
	return true;
}

int pst_host_record_format(const struct pst_host_record *r,
			   char ret[PST_HOST_RECORD_MAX])
{
	char name[PST_HOST_PCI_ADDR_LEN];
	size_t i, len = strlen(HEAD);

	strcpy(ret, HEAD);
	for (i = 0; i < r->n && len < PST_HOST_RECORD_MAX; i++) {
		const struct pst_host_fn_record *f = &r->fn[i];

		len += (size_t)snprintf(
			ret + len, PST_HOST_RECORD_MAX - len,
			"%s %04x %04x %u %u %u %08" PRIx32 " %08" PRIx32
			" %s\n",
			pst_host_pci_addr_format(&f->addr, name), f->vendor,
			f->device, (unsigned int)f->power,
			(unsigned int)f->answer, f->width, f->identity,
			f->places, f->methods);
	}
	return len < PST_HOST_RECORD_MAX ? 0 : -EMSGSIZE;
}

static bool parse_line(const char *line, struct pst_host_fn_record *ret)
{
	char name[PST_HOST_PCI_ADDR_LEN];
	unsigned int power, answer;
	int end = 0;

	if (sscanf(line,
		   "%23s %4" SCNx16 " %4" SCNx16 " %2u %2u %2u %8" SCNx32
		   " %8" SCNx32 " %95[a-z_,?-]%n",
		   name, &ret->vendor, &ret->device, &power, &answer,
		   &ret->width, &ret->identity, &ret->places, ret->methods,
		   &end) != 9 ||
	    line[end] || power > PST_HOST_POWER_D3COLD ||
	    answer > PST_HOST_ANSWER_NONE || ret->width > 32)
		return false;
	ret->power = (enum pst_host_power)power;
	ret->answer = (enum pst_host_answer)answer;
	return pst_host_pci_addr_parse(name, &ret->addr) == 0;
}

int pst_host_record_parse(const char *text, struct pst_host_record *ret)
{
	struct pst_host_record r = {0};
	char line[256];
	size_t n;

	if (strncmp(text, HEAD, strlen(HEAD)) != 0)
		return -EPROTO;
	for (text += strlen(HEAD); *text; text += n + 1) {
		n = strcspn(text, "\n");
		if (!text[n] || n >= sizeof(line) || r.n == PST_HOST_RECORD_FN)
			return -EPROTO;
		memcpy(line, text, n);
		line[n] = '\0';
		if (!parse_line(line, &r.fn[r.n++]))
			return -EPROTO;
	}
	*ret = r;
	return 0;
}

/* Whether what answers is another function than before. */
static bool is_other(const struct pst_host_fn_record *was,
		     const struct pst_host_fn_state *is)
{
	const struct pst_host_config *c = &is->config;

	if (is->dev->vendor != was->vendor || is->dev->device != was->device)
		return true;
	if (c->answer != PST_HOST_ANSWER_YES)
		return false;
	if (!is->dev->is_vf &&
	    (c->vendor != was->vendor || c->device != was->device))
		return true;
	return was->answer == PST_HOST_ANSWER_YES &&
	       c->identity != was->identity;
}

/* What makes a function unusable. */
static void judge(const struct pst_host_fn_record *was,
		  const struct pst_host_fn_state *is,
		  struct pst_host_text *seen)
{
	const struct pst_host_config *c = &is->config;
	const char *name = is->dev->name;

	if (is_other(was, is))
		pst_host_text_add(
			seen,
			"%s was %04x:%04x, and is %04x:%04x or "
			"another model of it now",
			name, was->vendor, was->device,
			c->answer == PST_HOST_ANSWER_YES ? c->vendor
							 : is->dev->vendor,
			c->answer == PST_HOST_ANSWER_YES ? c->device
							 : is->dev->device);
	else if (c->answer == PST_HOST_ANSWER_NONE)
		pst_host_text_add(seen,
				  "%s does not answer (all ones, header type "
				  "7f)",
				  name);
	else if (c->answer == PST_HOST_ANSWER_LATER)
		pst_host_text_add(seen, "%s is not ready yet", name);
}

/* What is different about one that works. */
static void differences(const struct pst_host_fn_record *was,
			const struct pst_host_fn_state *is,
			struct pst_host_text *seen)
{
	char methods[sizeof(was->methods)];
	const char *name = is->dev->name;

	put_methods(is->dev, methods);
	if (is->link.width && was->width && is->link.width != was->width)
		pst_host_text_add(seen, "%s%s has x%u lanes, and had x%u",
				  seen->len ? "; " : "", name, is->link.width,
				  was->width);
	if (strcmp(methods, was->methods) != 0)
		pst_host_text_add(seen, "%s%s has reset methods %s, and had %s",
				  seen->len ? "; " : "", name, methods,
				  was->methods);
	if (is->config.answer == PST_HOST_ANSWER_YES &&
	    was->answer == PST_HOST_ANSWER_YES &&
	    is->config.places != was->places)
		pst_host_text_add(seen,
				  "%s%s has other base addresses than before",
				  seen->len ? "; " : "", name);
}

bool pst_host_record_compare(const struct pst_host_record *before,
			     const struct pst_host_root *root,
			     const struct pst_host_pci *pci,
			     struct pst_host_text *seen)
{
	bool good = true;
	size_t i;

	for (i = 0; i < before->n; i++) {
		const struct pst_host_fn_record *was = &before->fn[i];
		const struct pst_host_pci_dev *dev =
			pst_host_pci_find(pci, &was->addr);
		struct pst_host_text one = {0};
		char name[PST_HOST_PCI_ADDR_LEN];
		struct pst_host_fn_state is;

		if (!dev) {
			pst_host_text_add(
				&one, "%s is gone",
				pst_host_pci_addr_format(&was->addr, name));
			good = false;
		} else {
			pst_host_fn_state_read(root, dev, true, &is);
			judge(was, &is, &one);
			good &= !one.len;
			if (!one.len)
				differences(was, &is, &one);
		}
		if (one.len)
			pst_host_text_add(seen, "%s%s", seen->len ? "; " : "",
					  one.buf);
	}
	return good;
}
