/* SPDX-License-Identifier: MIT */
/* Resolves an application's endpoint: a URI, or a name in the configuration. */
#include "host-client/lib/plain/endpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "transport/base/endpoint_dirs.h"
#include "transport/base/text.h"
#include "transport/region/region.h"

/* A URI with a socket path, a region path and an agent path. */
#define URI_MAX (3 * PATH_MAX)

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* Cuts comment and white space off [*p, *end). */
static void trim_line(const char **p, const char **end)
{
	const char *s;

	for (s = *p; s < *end; s++) {
		if (*s == '#' && (s == *p || is_blank(s[-1]))) {
			*end = s;
			break;
		}
	}
	while (*p < *end && is_blank(**p))
		++*p;
	while (*p < *end && is_blank((*end)[-1]))
		--*end;
}

/* One trimmed line that is not empty: its value into ret. */
static int parse_line(const char *p, const char *end, unsigned int line,
		      char *ret, size_t size, struct pst_error *err)
{
	static const char key[] = "endpoint";
	const char *eq = memchr(p, '=', (size_t)(end - p));
	const char *key_end = eq;

	if (!eq)
		return pst_error_set(err, -EINVAL,
				     "line %u is not `endpoint = URI`", line);
	while (key_end > p && is_blank(key_end[-1]))
		key_end--;
	if ((size_t)(key_end - p) != sizeof(key) - 1 ||
	    memcmp(p, key, sizeof(key) - 1) != 0)
		return pst_error_set(err, -EINVAL,
				     "line %u has an unknown key: `endpoint = "
				     "URI` is all",
				     line);
	if (*ret)
		return pst_error_set(err, -EINVAL,
				     "line %u names a second endpoint", line);
	for (p = eq + 1; p < end && is_blank(*p); p++)
		;
	if (p == end)
		return pst_error_set(err, -EINVAL, "line %u names no endpoint",
				     line);
	if ((size_t)(end - p) >= size)
		return pst_error_set(err, -EMSGSIZE,
				     "the endpoint in line %u is too long",
				     line);
	memcpy(ret, p, (size_t)(end - p));
	ret[end - p] = '\0';
	return 0;
}

int pst_endpoint_conf_parse(const char *text, size_t n, char *ret, size_t size,
			    struct pst_error *err)
{
	const char *end = text + n, *p, *next, *line_end;
	unsigned int line = 0;
	size_t i;
	int r;

	*ret = '\0';
	for (p = text; p < end; p = next) {
		line++;
		line_end = memchr(p, '\n', (size_t)(end - p));
		next = line_end ? line_end + 1 : end;
		if (!line_end)
			line_end = end;
		for (i = 0; p + i < line_end; i++)
			if (((unsigned char)p[i] < ' ' && !is_blank(p[i])) ||
			    p[i] == 0x7f)
				return pst_error_set(
					err, -EINVAL,
					"line %u has a control character",
					line);
		trim_line(&p, &line_end);
		if (p == line_end)
			continue;
		r = parse_line(p, line_end, line, ret, size, err);
		if (r < 0)
			return r;
	}
	if (!*ret)
		return pst_error_set(err, -EINVAL,
				     "there is no `endpoint = URI` line");
	return 0;
}

/* Reads a configuration file: its length, -ENOENT, -EPERM, -errno. */
static ssize_t read_conf(const char *path, char *buf, size_t size,
			 struct pst_error *err)
{
	PST_CLEANUP_FD int fd = -1;
	size_t have = 0;
	struct stat st;
	ssize_t n;

	/* O_NONBLOCK: a FIFO in its place must not stop the caller. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return -ENOENT;
	if (fd < 0 || fstat(fd, &st) < 0)
		return pst_error_set_errno(err, errno, "cannot read %s", path);
	if (!S_ISREG(st.st_mode))
		return pst_error_set(err, -EINVAL, "%s is not a regular file",
				     path);
	/* It may name a program to run. */
	if (st.st_mode & S_IWOTH)
		return pst_error_set(err, -EPERM,
				     "%s is writable by everybody: chmod o-w",
				     path);
	while (have < size && (n = read(fd, buf + have, size - have)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return pst_error_set_errno(err, errno, "cannot read %s",
						   path);
		have += (size_t)n;
	}
	if (have == size)
		return pst_error_set(err, -EMSGSIZE,
				     "%s is longer than %u bytes", path,
				     PST_ENDPOINT_CONF_MAX);
	return (ssize_t)have;
}

int pst_endpoint_lookup(const char *name, const char *const *dirs,
			struct pst_endpoint *ret, struct pst_error *err)
{
	PST_CLEANUP_FREE char *text = NULL, *uri = NULL;
	struct pst_error why = {0};
	char path[PATH_MAX];
	ssize_t n;
	int r, i;

	if (!pst_name_is_good(name))
		return pst_error_set(
			err, -EINVAL,
			"\"%.80s\" is neither a URI nor a name: a name has 1 "
			"to %u letters, digits, \"-\", \"_\" and \".\", a "
			"letter or digit first",
			name, PST_NAME_MAX);
	text = malloc(PST_ENDPOINT_CONF_MAX + 1);
	uri = malloc(URI_MAX);
	if (!text || !uri)
		return pst_oom(err);
	for (i = 0; dirs[i]; i++) {
		r = snprintf(path, sizeof(path), "%s/%s" PST_ENDPOINT_SUFFIX,
			     dirs[i], name);
		if (r < 0 || (size_t)r >= sizeof(path))
			continue;
		n = read_conf(path, text, PST_ENDPOINT_CONF_MAX + 1, err);
		if (n == -ENOENT)
			continue;
		if (n < 0)
			return (int)n;
		r = pst_endpoint_conf_parse(text, (size_t)n, uri, URI_MAX,
					    &why);
		if (!r)
			r = pst_endpoint_parse(uri, ret, &why);
		if (r < 0)
			return pst_error_set(err, r, "%s: %s", path, why.text);
		return 0;
	}
	return pst_error_set(
		err, -ENOENT,
		"there is no endpoint \"%s\": no %s" PST_ENDPOINT_SUFFIX
		" in %s%s%s",
		name, name, dirs[0], dirs[0] && dirs[1] ? ", " : "",
		dirs[0] && dirs[1] ? dirs[1] : "");
}

/* Whether an agent can be reached by it: what a URI may leave out, and a client
 * needs. */
static int check(const struct pst_endpoint *ep, struct pst_error *err)
{
	if (ep->scheme == PST_SCHEME_SPAWN && ep->size)
		return pst_region_check_size(ep->size, err);
	if (ep->scheme == PST_SCHEME_SPAWN || ep->scheme == PST_SCHEME_UNIX ||
	    ep->region[0])
		return 0;
	return pst_error_set(err, -EINVAL,
			     "the endpoint does not name the region file: add "
			     "?region=PATH");
}

int pst_endpoint_resolve(const char *endpoint, struct pst_endpoint *ret,
			 struct pst_error *err)
{
	struct pst_endpoint_dirs d;
	int r;

	if (!endpoint) {
		endpoint = secure_getenv("PENSTOCK_ENDPOINT");
		if (!endpoint || !*endpoint)
			return pst_error_set(err, -ENOENT,
					     "no endpoint was given and "
					     "$PENSTOCK_ENDPOINT is not set");
	}
	if (strchr(endpoint, ':')) {
		r = pst_endpoint_parse(endpoint, ret, err);
	} else {
		pst_endpoint_dirs_find(&d);
		r = pst_endpoint_lookup(endpoint, d.dirs, ret, err);
	}
	return r < 0 ? r : check(ret, err);
}
