/* SPDX-License-Identifier: MIT */
/* The difference of two texts: common ends off, then a longest common
 * subsequence of lines. */
#include "kernel-params/edit/diff.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Lines of context around a change, as everybody has them. */
#define CONTEXT 3

struct line {
	const char *text;
	size_t len; /* without the newline */
	bool whole; /* a newline ends it */
};

struct lines {
	struct line *line;
	size_t n;
};

/* Of each line: is it in both texts? */
struct marks {
	bool *a, *b;
	const bool *secret; /* of a's lines; NULL: none is */
};

bool pst_host_text_same(const char *a, const char *b)
{
	if (!a || !b)
		return a == b;
	return strcmp(a, b) == 0;
}

static int split(const char *text, struct lines *ret)
{
	size_t n = 0, cap = 1;
	const char *p, *end;

	for (p = text; p && *p; p++)
		cap += *p == '\n';
	ret->line = calloc(cap, sizeof(*ret->line));
	if (!ret->line)
		return -ENOMEM;
	for (p = text; p && *p; p = end) {
		end = strchrnul(p, '\n');
		ret->line[n].text = p;
		ret->line[n].len = (size_t)(end - p);
		ret->line[n].whole = *end == '\n';
		end += *end == '\n';
		n++;
	}
	ret->n = n;
	return 0;
}

static bool same(const struct line *a, const struct line *b)
{
	return a->len == b->len && a->whole == b->whole &&
	       memcmp(a->text, b->text, a->len) == 0;
}

/* Marks a longest common subsequence of a[a0..a1) and b[b0..b1). */
static int mark_middle(const struct lines *a, size_t a0, size_t a1,
		       const struct lines *b, size_t b0, size_t b1,
		       struct marks *m)
{
	size_t rows = a1 - a0 + 1, cols = b1 - b0 + 1, i, j;
	uint32_t *len;
	uint64_t cells;

	if (pst_mul_overflow(rows, cols, &cells) ||
	    cells > PST_HOST_DIFF_MAX_CELLS)
		return 0;
	len = calloc(cells, sizeof(*len));
	if (!len)
		return -ENOMEM;
	/* len[i][j]: of what is behind line i of a and line j of b. */
	for (i = rows - 1; i-- > 0;)
		for (j = cols - 1; j-- > 0;) {
			uint32_t *cell = &len[i * cols + j];

			if (same(&a->line[a0 + i], &b->line[b0 + j]))
				*cell = cell[cols + 1] + 1;
			else
				*cell = cell[cols] > cell[1] ? cell[cols]
							     : cell[1];
		}
	for (i = 0, j = 0; i < rows - 1 && j < cols - 1;) {
		uint32_t *cell = &len[i * cols + j];

		if (same(&a->line[a0 + i], &b->line[b0 + j])) {
			m->a[a0 + i++] = true;
			m->b[b0 + j++] = true;
		} else if (cell[cols] >= cell[1]) {
			i++;
		} else {
			j++;
		}
	}
	free(len);
	return 0;
}

static int mark(const struct lines *a, const struct lines *b, struct marks *m)
{
	size_t head = 0, a1 = a->n, b1 = b->n;

	while (head < a1 && head < b1 && same(&a->line[head], &b->line[head])) {
		m->a[head] = m->b[head] = true;
		head++;
	}
	while (a1 > head && b1 > head &&
	       same(&a->line[a1 - 1], &b->line[b1 - 1])) {
		m->a[--a1] = true;
		m->b[--b1] = true;
	}
	return mark_middle(a, head, a1, b, head, b1, m);
}

static bool is_secret(const struct marks *m, size_t i)
{
	return m->secret && m->secret[i];
}

static void put_line(FILE *to, char sign, const struct line *l)
{
	fprintf(to, "%c%.*s\n", sign, (int)l->len, l->text);
	if (!l->whole)
		fputs("\\ No newline at end of file\n", to);
}

/* "12,3"; one line is "12", no line counts the one before. */
static void put_range(FILE *to, size_t from, size_t n)
{
	if (n == 1)
		fprintf(to, "%zu", from + 1);
	else
		fprintf(to, "%zu,%zu", n ? from + 1 : from, n);
}

struct hunk {
	size_t a0, a1, b0, b1;
};

static void put_hunk(FILE *to, const struct lines *a, const struct lines *b,
		     const struct marks *m, const struct hunk *h)
{
	size_t i = h->a0, j = h->b0;

	fputs("@@ -", to);
	put_range(to, h->a0, h->a1 - h->a0);
	fputs(" +", to);
	put_range(to, h->b0, h->b1 - h->b0);
	fputs(" @@\n", to);
	while (i < h->a1 || j < h->b1) {
		if (i < h->a1 && !m->a[i]) {
			put_line(to, '-', &a->line[i++]);
		} else if (j < h->b1 && !m->b[j]) {
			put_line(to, '+', &b->line[j++]);
		} else {
			put_line(to, ' ', &a->line[i++]);
			j++;
		}
	}
}

/*
 * The next hunk from line i of a and j of b on, where both are common or
 * changed: false when no change is left.
 */
static bool next_hunk(const struct lines *a, const struct lines *b,
		      const struct marks *m, size_t i, size_t j,
		      struct hunk *ret)
{
	const size_t first = i;
	size_t quiet = 0, head = 0, tail;
	bool cut;

	while (i < a->n && j < b->n && m->a[i] && m->b[j]) {
		i++;
		j++;
	}
	if (i == a->n && j == b->n)
		return false;
	while (head < CONTEXT && i - head > first &&
	       !is_secret(m, i - head - 1))
		head++;
	cut = head < CONTEXT && i - head > first;
	ret->a0 = i;
	ret->b0 = j;
	/* Changes closer than two contexts are one hunk. */
	while ((i < a->n || j < b->n) && quiet <= 2 * CONTEXT) {
		if (i < a->n && !m->a[i]) {
			i++;
			quiet = 0;
		} else if (j < b->n && !m->b[j]) {
			j++;
			quiet = 0;
		} else if (is_secret(m, i)) {
			break;
		} else {
			i++;
			j++;
			quiet++;
		}
	}
	tail = quiet < CONTEXT ? quiet : CONTEXT;
	/* patch(1) takes a shorter side for an end of the file. */
	if (cut || (tail < CONTEXT && i < a->n))
		head = tail = head < tail ? head : tail;
	ret->a0 -= head;
	ret->b0 -= head;
	ret->a1 = i - quiet + tail;
	ret->b1 = j - quiet + tail;
	return true;
}

/* Whether a line that must not be shown goes. */
static bool loses_secret(const struct lines *a, const struct marks *m)
{
	size_t i;

	for (i = 0; i < a->n; i++)
		if (!m->a[i] && is_secret(m, i))
			return true;
	return false;
}

static void put(FILE *to, const char *path, const struct lines *a,
		const struct lines *b, const struct marks *m, bool is_a,
		bool is_b)
{
	struct hunk h = {0};

	path += strspn(path, "/");
	fprintf(to, "--- %s%s\n", is_a ? "a/" : "/dev/null", is_a ? path : "");
	fprintf(to, "+++ %s%s\n", is_b ? "b/" : "/dev/null", is_b ? path : "");
	while (next_hunk(a, b, m, h.a1, h.b1, &h))
		put_hunk(to, a, b, m, &h);
}

int pst_host_diff_unified(const char *path, const char *a, const char *b,
			  char **ret)
{
	return pst_host_diff_without(path, a, b, NULL, ret);
}

int pst_host_diff_without(const char *path, const char *a, const char *b,
			  const bool *secret, char **ret)
{
	struct lines la = {0}, lb = {0};
	struct marks m = {.secret = secret};
	size_t size;
	FILE *to;
	int r = -ENOMEM;

	if (pst_host_text_same(a, b)) {
		*ret = strdup("");
		return *ret ? 0 : -ENOMEM;
	}
	if (split(a, &la) < 0 || split(b, &lb) < 0)
		goto out;
	m.a = calloc(la.n + 1, 1);
	m.b = calloc(lb.n + 1, 1);
	if (!m.a || !m.b || mark(&la, &lb, &m) < 0)
		goto out;
	r = -EACCES;
	if (loses_secret(&la, &m))
		goto out;
	r = -ENOMEM;
	to = open_memstream(ret, &size);
	if (!to)
		goto out;
	put(to, path, &la, &lb, &m, a, b);
	r = fclose(to) ? -ENOMEM : 0;
	if (r)
		free(*ret);
out:
	free(m.a);
	free(m.b);
	free(la.line);
	free(lb.line);
	return r;
}
