/* SPDX-License-Identifier: MIT */
/* The journal as bytes: records of a key, a length and that many bytes, so that
 * any text may be in them; the last is "end". */
#include <ctype.h>
#include <string.h>

#include "kernel-params/journal/journal.h"

#define MAGIC "penstock host plan 1\n"

static const char *const state_names[] = {
	[PST_HOST_JOURNAL_NONE] = "none",
	[PST_HOST_JOURNAL_PENDING] = "pending",
	[PST_HOST_JOURNAL_APPLIED] = "applied",
	[PST_HOST_JOURNAL_UNDOING] = "undoing",
};

static void put(FILE *f, const char *key, const char *text)
{
	if (text)
		fprintf(f, "%s %zu\n%s\n", key, strlen(text), text);
	else
		fprintf(f, "%s -\n", key);
}

int pst_host_journal_format(const struct pst_host_journal *j, char **ret,
			    size_t *ret_len)
{
	FILE *f = open_memstream(ret, ret_len);
	char mode[16];
	size_t i;

	if (!f)
		return -ENOMEM;
	fputs(MAGIC, f);
	put(f, "state", state_names[j->state]);
	put(f, "request", j->request ? j->request : "");
	for (i = 0; i < j->n_dirs; i++)
		put(f, "dir", j->dir[i]);
	for (i = 0; i < j->n; i++) {
		const struct pst_host_journal_entry *e = &j->entry[i];

		put(f, "file", e->path);
		snprintf(mode, sizeof(mode), "%o", e->mode);
		put(f, "mode", mode);
		if (e->left_alone)
			put(f, "left-alone", NULL);
		put(f, "former", e->former);
		put(f, "prev", e->prev);
		put(f, "text", e->text);
	}
	put(f, "end", NULL);
	if (fclose(f) == 0)
		return 0;
	free(*ret);
	return -ENOMEM;
}

struct record {
	char key[16];
	const char *text; /* NULL: none */
	size_t len;
};

/* Reads a record at *p. 0 or -EPROTO. */
static int next_record(const char **p, const char *end, struct record *r)
{
	const char *nl = memchr(*p, '\n', (size_t)(end - *p));
	char head[64], *number;
	uint64_t len;

	if (!nl || (size_t)(nl - *p) >= sizeof(head))
		return -EPROTO;
	memcpy(head, *p, (size_t)(nl - *p));
	head[nl - *p] = '\0';
	number = strchr(head, ' ');
	if (!number || (size_t)(number - head) >= sizeof(r->key))
		return -EPROTO;
	*number++ = '\0';
	strcpy(r->key, head);
	*p = nl + 1;
	r->text = NULL;
	r->len = 0;
	if (strcmp(number, "-") == 0)
		return 0;
	if (pst_parse_u64(number, 0, PST_HOST_JOURNAL_MAX, &len) < 0 ||
	    len >= (size_t)(end - *p) || (*p)[len] != '\n' ||
	    memchr(*p, '\0', len))
		return -EPROTO;
	r->text = *p;
	r->len = len;
	*p += len + 1;
	return 0;
}

struct pst_host_journal_entry *pst_host_journal_add(struct pst_host_journal *j,
						    const char *path)
{
	struct pst_host_journal_entry *grown;
	char *copy;

	if (j->n == PST_HOST_JOURNAL_MAX_FILES)
		return NULL;
	copy = strdup(path);
	grown = reallocarray(j->entry, j->n + 1, sizeof(*grown));
	if (grown)
		j->entry = grown;
	if (!copy || !grown) {
		free(copy);
		return NULL;
	}
	j->entry[j->n] = (struct pst_host_journal_entry){
		.path = copy,
		.mode = 0644,
	};
	return &j->entry[j->n++];
}

int pst_host_journal_add_dir(struct pst_host_journal *j, const char *path)
{
	char **grown = reallocarray(j->dir, j->n_dirs + 1, sizeof(*grown));
	char *copy = strdup(path);
	size_t i = j->n_dirs;

	if (grown)
		j->dir = grown;
	if (!grown || !copy) {
		free(copy);
		return -ENOMEM;
	}
	/* Sorted, so that each comes before those in it. */
	for (; i > 0 && strcmp(j->dir[i - 1], copy) > 0; i--)
		j->dir[i] = j->dir[i - 1];
	j->dir[i] = copy;
	j->n_dirs++;
	return 0;
}

/* A path that pst_host_root takes, without steps that lead elsewhere. */
static bool good_path(const char *p)
{
	return strlen(p) < PST_HOST_ROOT_PATH_MAX && !strstr(p, "/../") &&
	       !strstr(p, "//");
}

/* Takes text over, which is owned. 0, -EPROTO or -ENOMEM. */
static int take_in_file(struct pst_host_journal *j, const struct record *r,
			char **text)
{
	struct pst_host_journal_entry *e = j->n ? &j->entry[j->n - 1] : NULL;
	char **to = NULL;

	if (!e)
		return -EPROTO;
	if (strcmp(r->key, "mode") == 0) {
		if (!*text || sscanf(*text, "%o", &e->mode) != 1 ||
		    e->mode > 07777)
			return -EPROTO;
		return 0;
	}
	if (strcmp(r->key, "left-alone") == 0) {
		e->left_alone = true;
		return 0;
	}
	if (strcmp(r->key, "former") == 0)
		to = &e->former;
	else if (strcmp(r->key, "prev") == 0)
		to = &e->prev;
	else if (strcmp(r->key, "text") == 0)
		to = &e->text;
	if (!to || *to)
		return -EPROTO;
	*to = *text;
	*text = NULL;
	return 0;
}

static int take(struct pst_host_journal *j, const struct record *r)
{
	PST_CLEANUP_FREE char *text = r->text ? strndup(r->text, r->len) : NULL;
	size_t i;

	if (r->text && !text)
		return -ENOMEM;
	if (strcmp(r->key, "state") == 0) {
		for (i = 0; i < PST_ARRAY_SIZE(state_names); i++)
			if (text && strcmp(text, state_names[i]) == 0)
				j->state = (enum pst_host_journal_state)i;
		return j->state == PST_HOST_JOURNAL_NONE ? -EPROTO : 0;
	}
	if (strcmp(r->key, "request") == 0) {
		free(j->request);
		j->request = text;
		text = NULL;
		return j->request ? 0 : -EPROTO;
	}
	if (strcmp(r->key, "dir") == 0 || strcmp(r->key, "file") == 0) {
		if (!text || !good_path(text))
			return -EPROTO;
		if (r->key[0] == 'd')
			return pst_host_journal_add_dir(j, text);
		if (j->n == PST_HOST_JOURNAL_MAX_FILES)
			return -EPROTO;
		return pst_host_journal_add(j, text) ? 0 : -ENOMEM;
	}
	return take_in_file(j, r, &text);
}

int pst_host_journal_parse(const char *bytes, size_t len,
			   struct pst_host_journal *j)
{
	const char *p = bytes, *end = bytes + len;
	struct record r;
	int rc;

	if (len < strlen(MAGIC) || memcmp(p, MAGIC, strlen(MAGIC)) != 0)
		return -EPROTO;
	p += strlen(MAGIC);
	for (;;) {
		rc = next_record(&p, end, &r);
		if (rc < 0)
			return rc;
		if (strcmp(r.key, "end") == 0)
			break;
		rc = take(j, &r);
		if (rc < 0)
			return rc;
	}
	return p == end && j->state != PST_HOST_JOURNAL_NONE && j->request
		       ? 0
		       : -EPROTO;
}

void pst_host_journal_clear(struct pst_host_journal *j)
{
	while (j->n > 0) {
		struct pst_host_journal_entry *e = &j->entry[--j->n];

		free(e->path);
		free(e->former);
		free(e->prev);
		free(e->text);
	}
	free(j->entry);
	j->entry = NULL;
	while (j->n_dirs > 0)
		free(j->dir[--j->n_dirs]);
	free(j->dir);
	j->dir = NULL;
	free(j->request);
	j->request = NULL;
	j->state = PST_HOST_JOURNAL_NONE;
}
