/* SPDX-License-Identifier: MIT */
/* Merges kernel parameters into command lines, by the meaning of each key. */
#include "kernel-params/edit/edit_params.h"

#include <assert.h>
#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "kernel-params/edit/param_words.h"
#include "kernel-params/machine/hugepages.h"
#include "kernel-params/syntax/cmdline.h"
#include "transport/base/text.h"

/* How a wanted value and one that is there go together. */
enum kind {
	KIND_SET,   /* one value, ours */
	KIND_LIST,  /* ours shall be in it, what contradicts shall not */
	KIND_UNION, /* ours are added to the last one */
	KIND_MULTI, /* the parameter may come several times */
};

static const struct rule {
	const char *key;
	enum kind kind;
	const char *against; /* what contradicts, in commas */
} rules[] = {
	{"intel_iommu", KIND_LIST, ",off,"},
	{"amd_iommu", KIND_LIST, ",off,"},
	{"iommu", KIND_LIST, ",off,soft,nopt,"},
	{"rd.driver.pre", KIND_MULTI, NULL},
	{"vfio-pci.ids", KIND_UNION, NULL},
};

int pst_host_params_add(struct pst_host_params *p, const char *fmt, ...)
{
	va_list ap;
	int r;

	if (p->n == PST_HOST_PARAMS_MAX)
		return -EOVERFLOW;
	va_start(ap, fmt);
	r = vasprintf(&p->word[p->n], fmt, ap);
	va_end(ap);
	if (r < 0)
		return -ENOMEM;
	p->n++;
	return 0;
}

void pst_host_params_done(struct pst_host_params *p)
{
	while (p->n > 0)
		free(p->word[--p->n]);
}

/* ---- Values ---------------------------------------------------------------
 */

/* As the kernel compares names: "-" is "_". */
static bool same_name(const char *a, size_t na, const char *b, size_t nb)
{
	size_t i;

	if (na != nb)
		return false;
	for (i = 0; i < na; i++)
		if (a[i] != b[i] && !(strchr("-_", a[i]) && strchr("-_", b[i])))
			return false;
	return true;
}

/* The value of a word if its key is this one, else NULL. */
static const char *value_of(const char *word, const char *key)
{
	const char *eq = strchr(word, '=');

	if (!eq || !same_name(word, (size_t)(eq - word), key, strlen(key)))
		return NULL;
	return eq + 1;
}

/* Whether a list with commas has this element. */
static bool has_element(const char *list, const char *e, size_t len)
{
	const char *p, *end;

	for (p = list;; p = end + 1) {
		end = strchrnul(p, ',');
		if (same_name(p, (size_t)(end - p), e, len))
			return true;
		if (!*end)
			return false;
	}
}

/* Whether a word means nothing to the kernel, whose own are in small letters,
 * and looks as if it should. */
static bool is_junk(const char *word, size_t len)
{
	static const char junk[] = ",1,y,yes,true,enable,enabled,";
	char look[64];
	size_t i;

	for (i = 0; i < len; i++)
		if (isupper((unsigned char)word[i]))
			return true;
	snprintf(look, sizeof(look), ",%.*s,", (int)len, word);
	return len && strstr(junk, look);
}

/* Writes the list without what stands in against, or means nothing; whether any
 * did. */
static bool drop_elements(const char *list, const char *against, char *to)
{
	bool first = true, dropped = false;
	const char *p, *end;
	char name[64];
	size_t n = 0, len;

	for (p = list;; p = end + 1) {
		end = strchrnul(p, ',');
		len = (size_t)(end - p);
		snprintf(name, sizeof(name), ",%.*s,", (int)len, p);
		if (len && (strstr(against, name) || is_junk(p, len))) {
			dropped = true;
		} else {
			if (!first)
				to[n++] = ',';
			memcpy(to + n, p, len);
			n += len;
			first = false;
		}
		if (!*end)
			break;
	}
	to[n] = '\0';
	return dropped;
}

/* ---- The kinds ------------------------------------------------------------
 */

static int merge_list(struct pst_host_words *w, const struct rule *r,
		      const char *value)
{
	PST_CLEANUP_FREE char *rest = NULL;
	size_t i, last = SIZE_MAX;
	bool there = false;
	const char *v;
	int rc;

	for (i = 0; i < w->n; i++) {
		v = value_of(w->word[i].text, r->key);
		if (!v)
			continue;
		free(rest);
		rest = strdup(v);
		if (!rest)
			return -ENOMEM;
		there |= *value && has_element(v, value, strlen(value));
		if (!drop_elements(v, r->against, rest)) {
			last = i;
		} else if (!*rest && (!*value || there || last != SIZE_MAX)) {
			pst_host_words_remove(w, i--);
		} else {
			rc = pst_host_words_set(w, i, "%s=%s", r->key,
						*rest ? rest : value);
			if (rc < 0)
				return rc;
			there |= !*rest;
			last = i;
		}
	}
	if (!*value || there)
		return 0;
	if (last == SIZE_MAX)
		return pst_host_words_add(w, "%s=%s", r->key, value);
	v = value_of(w->word[last].text, r->key);
	return pst_host_words_set(w, last, "%s=%s%s%s", r->key, value,
				  *v ? "," : "", v);
}

static int merge_union(struct pst_host_words *w, const char *key,
		       const char *value)
{
	size_t i, last = SIZE_MAX, len;
	const char *p, *v;
	int r;

	for (i = 0; i < w->n; i++)
		if (value_of(w->word[i].text, key))
			last = i;
	if (last == SIZE_MAX)
		return pst_host_words_add(w, "%s=%s", key, value);
	for (p = value; *p; p += len + (p[len] == ',')) {
		len = strcspn(p, ",");
		v = value_of(w->word[last].text, key);
		if (has_element(v, p, len))
			continue;
		r = pst_host_words_set(w, last, "%s%s%.*s", w->word[last].text,
				       *v ? "," : "", (int)len, p);
		if (r < 0)
			return r;
	}
	return 0;
}

static int merge_multi(struct pst_host_words *w, const char *key,
		       const char *value)
{
	const char *v;
	size_t i;

	for (i = 0; i < w->n; i++) {
		v = value_of(w->word[i].text, key);
		if (v && has_element(v, value, strlen(value)))
			return 0;
	}
	return pst_host_words_add(w, "%s=%s", key, value);
}

static int merge_set(struct pst_host_words *w, const char *key,
		     const char *value)
{
	size_t i, last = SIZE_MAX;

	for (i = 0; i < w->n; i++)
		if (value_of(w->word[i].text, key))
			last = i;
	if (last == SIZE_MAX)
		return pst_host_words_add(w, "%s=%s", key, value);
	if (strcmp(value_of(w->word[last].text, key), value) == 0)
		return 0;
	return pst_host_words_set(w, last, "%s=%s", key, value);
}

static int merge_word(struct pst_host_words *w, const char *word)
{
	PST_CLEANUP_FREE char *key = strdup(word);
	const struct rule *r = NULL;
	char *value;
	size_t i;

	if (!key)
		return -ENOMEM;
	value = strchr(key, '=');
	assert(value);
	*value++ = '\0';
	for (i = 0; i < PST_ARRAY_SIZE(rules); i++)
		if (strcmp(rules[i].key, key) == 0)
			r = &rules[i];
	switch (r ? r->kind : KIND_SET) {
	case KIND_LIST:
		return merge_list(w, r, value);
	case KIND_UNION:
		return merge_union(w, key, value);
	case KIND_MULTI:
		return merge_multi(w, key, value);
	case KIND_SET:
		break;
	}
	return merge_set(w, key, value);
}

/* ---- The pool -------------------------------------------------------------
 */

/*
 * The value of hugepages= that has what is wanted too, or NULL when the one
 * that is there (may be NULL) has it already. Counts of other nodes are kept;
 * a value that the kernel drops is replaced.
 */
static int pool_value(const char *is, const struct pst_host_params *want,
		      char **ret)
{
	const bool by_node = want->pool_node >= 0 && want->n_nodes > 1;
	struct pst_host_pool_count count[PST_HOST_POOL_COUNTS];
	char others[PST_HOST_POOL_COUNTS * 32] = "";
	int n = is ? pst_host_pool_counts(is, !want->plain_pool, count) : 0, i;
	uint64_t have = 0;
	size_t len = 0;

	for (i = 0; i < n; i++) {
		/* The kernel spreads a plain number over the nodes. */
		if (by_node && count[i].node < 0)
			have += count[i].pages / want->n_nodes;
		else if (!by_node || count[i].node == want->pool_node)
			have += count[i].pages;
		else
			len += (size_t)snprintf(others + len,
						sizeof(others) - len,
						"%d:%" PRIu64 ",",
						count[i].node, count[i].pages);
	}
	*ret = NULL;
	if (have >= want->pool_pages)
		return 0;
	*ret = by_node ? pst_text_format("%s%d:%" PRIu64, others,
					 want->pool_node, want->pool_pages)
		       : pst_text_format("%" PRIu64, want->pool_pages);
	return *ret ? 0 : -ENOMEM;
}

/* Finds the count of 2 MiB pages (*ret_count) and a hugepagesz= for one
 * (*ret_size). */
static void find_pool(const struct pst_host_words *w, size_t *ret_count,
		      size_t *ret_size)
{
	struct pst_host_pool_reader reader;
	const char *size = NULL, *v;
	size_t i;

	*ret_count = *ret_size = SIZE_MAX;
	for (i = 0; i < w->n; i++) {
		v = value_of(w->word[i].text, "default_hugepagesz");
		size = v ? v : size;
	}
	pst_host_pool_begin(&reader, size);
	for (i = 0; i < w->n; i++) {
		v = value_of(w->word[i].text, "hugepagesz");
		(void)pst_host_pool_next(&reader, "hugepagesz", v);
		if (v && reader.size == PST_HOST_HUGE_2M)
			*ret_size = i;
		v = value_of(w->word[i].text, "hugepages");
		if (pst_host_pool_next(&reader, "hugepages", v))
			*ret_count = i;
	}
}

static int merge_pool(struct pst_host_words *w,
		      const struct pst_host_params *want)
{
	PST_CLEANUP_FREE char *value = NULL;
	const char *is = NULL;
	size_t count, size;
	int r;

	if (!pst_host_params_have_pool(want))
		return 0;
	find_pool(w, &count, &size);
	if (count != SIZE_MAX)
		is = value_of(w->word[count].text, "hugepages");
	r = pool_value(is, want, &value);
	if (r < 0 || !value)
		return r;
	if (count != SIZE_MAX)
		return pst_host_words_set(w, count, "hugepages=%s", value);
	if (size != SIZE_MAX)
		return pst_host_words_set(w, size, "hugepagesz=2M hugepages=%s",
					  value);
	r = pst_host_words_add(w, "hugepagesz=2M");
	return r < 0 ? r : pst_host_words_add(w, "hugepages=%s", value);
}

/* ---- All ------------------------------------------------------------------
 */

int pst_host_params_merge(struct pst_host_params_part *part, size_t n_parts,
			  size_t add_to, const struct pst_host_params *want,
			  struct pst_error *err)
{
	struct pst_host_words w;
	size_t i;
	int r;

	r = pst_host_words_init(&w, part, n_parts, add_to, err);
	for (i = 0; r == 0 && i < want->n; i++)
		r = merge_word(&w, want->word[i]);
	if (r == 0)
		r = merge_pool(&w, want);
	if (r == 0)
		r = pst_host_words_write(&w, part);
	else if (r != -EINVAL && r != -EMSGSIZE)
		pst_error_set(err, r, "out of memory");
	pst_host_words_done(&w);
	return r;
}

int pst_host_params_holds(const char *cmdline,
			  const struct pst_host_params *want, size_t i)
{
	struct pst_host_params_part part = {.text = strdup(cmdline)};
	struct pst_host_params one = {.pool_node = want->pool_node,
				      .plain_pool = want->plain_pool,
				      .n_nodes = want->n_nodes};
	int r = -ENOMEM;

	if (i < want->n) {
		one.word[0] = want->word[i];
		one.n = 1;
	} else {
		one.pool_pages = want->pool_pages;
	}
	if (part.text)
		r = pst_host_params_merge(&part, 1, 0, &one, NULL);
	free(part.text);
	return r < 0 ? r : !part.changed;
}
