/* SPDX-License-Identifier: MIT */
/* Parses modprobe.d, and queries it. */
#include "kernel-params/config/modprobe_conf.h"

#include <string.h>

static const char *const words[] = {
	[PST_HOST_MODCONF_OPTIONS] = "options",
	[PST_HOST_MODCONF_BLACKLIST] = "blacklist",
	[PST_HOST_MODCONF_SOFTDEP] = "softdep",
	[PST_HOST_MODCONF_WEAKDEP] = "weakdep",
	[PST_HOST_MODCONF_INSTALL] = "install",
	[PST_HOST_MODCONF_REMOVE] = "remove",
	[PST_HOST_MODCONF_ALIAS] = "alias",
};

static enum pst_host_modconf_kind kind_of(const char *word)
{
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(words); i++)
		if (strcmp(words[i], word) == 0)
			return (enum pst_host_modconf_kind)i;
	return PST_HOST_MODCONF_OTHER;
}

/* What separates words (kmod_config_parse() of kmod's libkmod-config.c); a
 * carriage return is a part of them. */
#define BLANKS " \t"

/* The next word of *p, cut off with a NUL; "" at the end. */
static char *take_word(char **p)
{
	char *word = *p + strspn(*p, BLANKS);

	*p = word + strcspn(word, BLANKS);
	if (**p)
		*(*p)++ = '\0';
	return word;
}

static char *trim(char *s)
{
	size_t n;

	s += strspn(s, BLANKS);
	for (n = strlen(s); n > 0 && strchr(BLANKS, s[n - 1]); n--)
		s[n - 1] = '\0';
	return s;
}

static char plain(char c)
{
	return c == '-' ? '_' : c;
}

/* Whether a pattern of '*' and '?' means a module, '-' and '_' being equal; in
 * time that a file made to waste it cannot stretch. */
static bool matches(const char *pattern, const char *module)
{
	const char *star = NULL, *from = NULL;

	while (*module) {
		if (*pattern == '*') {
			star = pattern++;
			from = module;
		} else if (*pattern == '?' ||
			   (*pattern && plain(*pattern) == plain(*module))) {
			pattern++;
			module++;
		} else if (star) {
			pattern = star + 1;
			module = ++from;
		} else {
			return false;
		}
	}
	return !pattern[strspn(pattern, "*")];
}

static int add_line(struct pst_host_modconf *c, char *text, const char *file,
		    unsigned int number)
{
	struct pst_host_modconf_line l = {.line = number}, *more;
	char *word = take_word(&text), *module;

	if (!*word || *word == '#')
		return 0;
	if (c->n >= PST_HOST_MODCONF_MAX_LINES)
		return -EMSGSIZE;
	if (c->n % 64 == 0) {
		more = realloc(c->line, (c->n + 64) * sizeof(*more));
		if (!more)
			return -ENOMEM;
		c->line = more;
	}
	l.kind = kind_of(word);
	module = l.kind == PST_HOST_MODCONF_OTHER ? word : take_word(&text);
	l.module = strdup(module);
	l.text = strdup(trim(text));
	l.file = strdup(file);
	c->line[c->n++] = l;
	return l.module && l.text && l.file ? 0 : -ENOMEM;
}

int pst_host_modconf_parse(const char *text, size_t len, const char *file,
			   struct pst_host_modconf *c)
{
	PST_CLEANUP_FREE char *copy = malloc(len + 1);
	unsigned int number = 1, first = 1;
	char *start, *p, *end;
	int r = 0;

	if (!copy)
		return -ENOMEM;
	memcpy(copy, text, len);
	copy[len] = '\0';
	end = copy + len;
	for (start = p = copy; p < end && r == 0; p++) {
		if (*p == '\0')
			*p = '?';
		if (*p != '\n')
			continue;
		number++;
		if (p > start && p[-1] == '\\') {
			p[-1] = ' ';
			*p = ' ';
			continue;
		}
		*p = '\0';
		r = add_line(c, start, file, first);
		start = p + 1;
		first = number;
	}
	return r < 0 || start >= end ? r : add_line(c, start, file, first);
}

static const char *const dirs[] = {
	"etc/modprobe.d",     "run/modprobe.d", "usr/local/lib/modprobe.d",
	"usr/lib/modprobe.d", "lib/modprobe.d",
};

struct source {
	char *name; /* of the file alone */
	size_t dir;
};

static int by_name(const void *a, const void *b)
{
	const struct source *x = a, *y = b;
	int r = strcmp(x->name, y->name);

	return r ? r : (x->dir > y->dir) - (x->dir < y->dir);
}

static bool is_conf(const char *name)
{
	size_t n = strlen(name);

	return n > 5 && name[0] != '.' && strcmp(name + n - 5, ".conf") == 0;
}

/* left: bytes that files may still have. */
static int read_one(const struct pst_host_root *root, const struct source *s,
		    struct pst_host_modconf *c, size_t *left)
{
	PST_CLEANUP_FREE char *text = NULL;
	char path[PST_HOST_ROOT_PATH_MAX];
	size_t len;
	int r = pst_host_path(path, "%s/%s", dirs[s->dir], s->name);

	if (r == 0)
		r = pst_host_root_read(root, path,
				       *left < PST_HOST_MODCONF_FILE_MAX
					       ? *left
					       : PST_HOST_MODCONF_FILE_MAX,
				       &text, &len);
	if (r < 0) {
		/* A link to nowhere or to /dev/null masks a file. */
		if (!c->unread && r != -ENOENT && r != -EINVAL)
			c->unread = strdup(path);
		return 0;
	}
	*left -= len;
	c->n_files++;
	r = pst_host_modconf_parse(text, len, path, c);
	if (r != -EMSGSIZE)
		return r;
	/* What was read before stays. */
	if (!c->unread)
		c->unread = strdup(path);
	return 0;
}

static int add_sources(const struct pst_host_names *names, size_t dir,
		       struct source **list, size_t *n)
{
	struct source *more =
		realloc(*list, (*n + names->n + 1) * sizeof(*more));
	size_t i;

	if (!more)
		return -ENOMEM;
	*list = more;
	for (i = 0; i < names->n; i++) {
		if (!is_conf(names->name[i]))
			continue;
		more[(*n)++] = (struct source){names->name[i], dir};
	}
	return 0;
}

int pst_host_modconf_read(const struct pst_host_root *root,
			  struct pst_host_modconf *ret)
{
	struct pst_host_names names[PST_ARRAY_SIZE(dirs)] = {0};
	PST_CLEANUP_FREE struct source *list = NULL;
	struct pst_host_modconf c = {0};
	size_t i, n = 0, left = PST_HOST_MODCONF_ALL_MAX;
	int r = 0;

	for (i = 0; i < PST_ARRAY_SIZE(dirs) && r == 0; i++)
		if (pst_host_root_list(root, dirs[i], &names[i]) == 0)
			r = add_sources(&names[i], i, &list, &n);
	if (n)
		qsort(list, n, sizeof(*list), by_name);
	for (i = 0; i < n && r == 0 && left && c.n < PST_HOST_MODCONF_MAX_LINES;
	     i++)
		if (i == 0 || strcmp(list[i].name, list[i - 1].name) != 0)
			r = read_one(root, &list[i], &c, &left);
	for (i = 0; i < PST_ARRAY_SIZE(dirs); i++)
		pst_host_names_done(&names[i]);
	if (r < 0)
		pst_host_modconf_done(&c);
	else
		*ret = c;
	return r;
}

void pst_host_modconf_done(struct pst_host_modconf *c)
{
	size_t i;

	for (i = 0; i < c->n; i++) {
		free(c->line[i].module);
		free(c->line[i].text);
		free(c->line[i].file);
	}
	free(c->line);
	free(c->unread);
	*c = (struct pst_host_modconf){0};
}

/* Whether a line is "install PATTERN /bin/false" or the like. */
static bool disables(const struct pst_host_modconf_line *l, const char *module)
{
	const char *base;
	size_t n;

	if (l->kind != PST_HOST_MODCONF_INSTALL || !matches(l->module, module))
		return false;
	n = strcspn(l->text, " \t;");
	base = memrchr(l->text, '/', n);
	base = base ? base + 1 : l->text;
	n -= (size_t)(base - l->text);
	return (n == 1 && *base == ':') ||
	       (n == 4 && memcmp(base, "exit", 4) == 0) ||
	       (n == 5 && memcmp(base, "false", 5) == 0) ||
	       (n == 4 && memcmp(base, "true", 4) == 0);
}

static bool blacklists(const struct pst_host_modconf_line *l,
		       const char *module)
{
	return l->kind == PST_HOST_MODCONF_BLACKLIST &&
	       pst_host_param_name_eq(l->module, module);
}

const struct pst_host_modconf_line *
pst_host_modconf_against(const struct pst_host_modconf *c, const char *module)
{
	size_t i;

	for (i = 0; i < c->n; i++)
		if (disables(&c->line[i], module) ||
		    blacklists(&c->line[i], module))
			return &c->line[i];
	return NULL;
}

bool pst_host_modconf_blacklisted(const struct pst_host_modconf *c,
				  const char *module)
{
	size_t i;

	for (i = 0; i < c->n; i++)
		if (blacklists(&c->line[i], module))
			return true;
	return false;
}

bool pst_host_modconf_disabled(const struct pst_host_modconf *c,
			       const char *module)
{
	size_t i;

	for (i = 0; i < c->n; i++)
		if (disables(&c->line[i], module))
			return true;
	return false;
}

const struct pst_host_modconf_line *
pst_host_modconf_softdep(const struct pst_host_modconf *c, const char *module)
{
	size_t i;

	for (i = 0; i < c->n; i++)
		if (c->line[i].kind == PST_HOST_MODCONF_SOFTDEP &&
		    matches(c->line[i].module, module))
			return &c->line[i];
	return NULL;
}

bool pst_host_modconf_has_pre(const struct pst_host_modconf_line *line,
			      const char *dep)
{
	PST_CLEANUP_FREE char *copy = line ? strdup(line->text) : NULL;
	bool pre = false;
	char *p = copy, *word;

	while (p && *(word = take_word(&p))) {
		if (strcmp(word, "pre:") == 0)
			pre = true;
		else if (strcmp(word, "post:") == 0)
			pre = false;
		else if (pre && pst_host_param_name_eq(word, dep))
			return true;
	}
	return false;
}

bool pst_host_modconf_softdep_pre(const struct pst_host_modconf *c,
				  const char *module, const char *dep)
{
	return pst_host_modconf_has_pre(pst_host_modconf_softdep(c, module),
					dep);
}

/* The last options line of module that has name, whose value becomes
 * *ret_value. */
static const struct pst_host_modconf_line *
find_option(const struct pst_host_modconf *c, const char *module,
	    const char *name, char **ret_value)
{
	size_t i, k;

	for (i = c->n; i-- > 0;) {
		const struct pst_host_modconf_line *l = &c->line[i];
		struct pst_host_cmdline args;
		bool found = false;

		if (l->kind != PST_HOST_MODCONF_OPTIONS ||
		    !pst_host_param_name_eq(l->module, module) ||
		    pst_host_cmdline_parse(l->text, strlen(l->text), &args) < 0)
			continue;
		for (k = args.n; k-- > 0 && !found;) {
			const char *value = args.param[k].value;

			found = pst_host_param_name_eq(args.param[k].name,
						       name);
			if (found && ret_value)
				*ret_value = strdup(value ? value : "");
		}
		pst_host_cmdline_done(&args);
		if (found)
			return l;
	}
	return NULL;
}

const struct pst_host_modconf_line *
pst_host_modconf_option_line(const struct pst_host_modconf *c,
			     const char *module, const char *name)
{
	return find_option(c, module, name, NULL);
}

char *pst_host_modconf_option(const struct pst_host_modconf *c,
			      const char *module, const char *name)
{
	char *value = NULL;

	find_option(c, module, name, &value);
	return value;
}
