/* SPDX-License-Identifier: MIT */
/* Endpoints and listening addresses as text: pure parsing. */
#include "transport/sock.h"

#include <string.h>

#include "transport/base/uri.h"
#include "transport/base/util.h"

/* VMADDR_CID_ANY and VMADDR_PORT_ANY are UINT32_MAX: no address of anyone. */
#define ADDR_MAX (UINT32_MAX - 1U)
/* More threads than any machine has are a typing error. */
#define THREADS_MAX 4096U

#define PARAM_REGION  (1U << 0)
#define PARAM_AGENT   (1U << 1)
#define PARAM_SIZE    (1U << 2)
#define PARAM_THREADS (1U << 3)

static const struct {
	const char *prefix;
	enum pst_scheme scheme;
	unsigned int params;
	const char *form;
} schemes[] = {
	{"vsock://", PST_SCHEME_VSOCK, PARAM_REGION,
	 "vsock://CID:PORT?region=PATH"},
	{"vsock-uds://", PST_SCHEME_VSOCK_UDS, PARAM_REGION,
	 "vsock-uds:///path:PORT?region=PATH"},
	{"unix://", PST_SCHEME_UNIX, PARAM_REGION | PARAM_SIZE,
	 "unix:///path?region=PATH or ?size=SIZE"},
	{"spawn:", PST_SCHEME_SPAWN, PARAM_AGENT | PARAM_SIZE | PARAM_THREADS,
	 "spawn:?agent=PATH&size=SIZE&threads=N"},
};

static const struct {
	const char *name;
	unsigned int bit;
} params[] = {
	{"region", PARAM_REGION},
	{"agent", PARAM_AGENT},
	{"size", PARAM_SIZE},
	{"threads", PARAM_THREADS},
};

/* A decimal number of digits only, the whole of [s, +n). */
static int parse_number(const char *s, size_t n, uint64_t min, uint64_t max,
			uint64_t *ret)
{
	char text[24];

	if (n >= sizeof(text))
		return -EINVAL;
	memcpy(text, s, n);
	text[n] = '\0';
	return pst_parse_u64(text, min, max, ret);
}

static int parse_port(const char *s, size_t n, uint32_t *ret,
		      struct pst_error *err)
{
	uint64_t v;

	if (parse_number(s, n, 0, ADDR_MAX, &v) < 0)
		return pst_error_set(err, -EINVAL,
				     "port '%.*s' is not a number from 0 to %u",
				     n > 32 ? 32 : (int)n, s, ADDR_MAX);
	*ret = (uint32_t)v;
	return 0;
}

/* The text's own sentence: which part, and why. */
static int path_error(int r, const char *what, size_t size,
		      struct pst_error *err)
{
	if (r == -EMSGSIZE)
		return pst_error_set(err, r,
				     "the %s is too long: at most %zu bytes",
				     what, size - 1);
	return pst_error_set(err, r, "the %s has a %% that is no escape", what);
}

static int parse_sun_path(const char *s, size_t n, struct pst_endpoint *ep,
			  struct pst_error *err)
{
	int r;

	if (n < 2 || s[0] != '/')
		return pst_error_set(err, -EINVAL,
				     "'%.*s' is not the absolute path of a "
				     "socket",
				     n > 108 ? 108 : (int)n, s);
	r = pst_uri_unescape(s, n, ep->path, sizeof(ep->path));
	return r < 0 ? path_error(r, "socket path", sizeof(ep->path), err) : 0;
}

/* CID:PORT and /path:PORT: the last colon separates. */
static int parse_with_port(const char *s, size_t n, struct pst_endpoint *ep,
			   struct pst_error *err)
{
	const char *colon = memrchr(s, ':', n);
	size_t before;
	uint64_t cid;
	int r;

	if (!colon)
		return pst_error_set(err, -EINVAL, "no :PORT in '%.*s'",
				     n > 128 ? 128 : (int)n, s);
	before = (size_t)(colon - s);
	r = parse_port(colon + 1, n - before - 1, &ep->port, err);
	if (r < 0)
		return r;
	if (ep->scheme == PST_SCHEME_VSOCK_UDS)
		return parse_sun_path(s, before, ep, err);
	if (parse_number(s, before, 1, ADDR_MAX, &cid) < 0)
		return pst_error_set(
			err, -EINVAL, "CID '%.*s' is not a number from 1 to %u",
			before > 32 ? 32 : (int)before, s, ADDR_MAX);
	ep->cid = (uint32_t)cid;
	return 0;
}

static int set_param(unsigned int bit, const char *s, size_t n,
		     struct pst_endpoint *ep, struct pst_error *err)
{
	char text[32];
	uint64_t v;
	int r;

	if (bit == PARAM_REGION) {
		r = pst_uri_unescape(s, n, ep->region, sizeof(ep->region));
		return r < 0 ? path_error(r, "region path", sizeof(ep->region),
					  err)
			     : 0;
	}
	if (bit == PARAM_AGENT) {
		r = pst_uri_unescape(s, n, ep->agent, sizeof(ep->agent));
		return r < 0 ? path_error(r, "agent path", sizeof(ep->agent),
					  err)
			     : 0;
	}
	if (bit == PARAM_SIZE) {
		if (pst_uri_unescape(s, n, text, sizeof(text)) < 0 ||
		    pst_parse_size(text, &v) < 0 || v == 0)
			return pst_error_set(err, -EINVAL,
					     "size '%.*s' is not a size like "
					     "64M or 1G",
					     n > 32 ? 32 : (int)n, s);
		ep->size = v;
		return 0;
	}
	if (parse_number(s, n, 1, THREADS_MAX, &v) < 0)
		return pst_error_set(err, -EINVAL,
				     "threads '%.*s' is not a number from 1 "
				     "to %u",
				     n > 32 ? 32 : (int)n, s, THREADS_MAX);
	ep->threads = (uint32_t)v;
	return 0;
}

/* One name=value; allowed and seen are sets of PARAM_ bits. */
static int parse_param(const char *s, size_t n, unsigned int allowed,
		       unsigned int *seen, struct pst_endpoint *ep,
		       struct pst_error *err)
{
	const char *eq = memchr(s, '=', n);
	size_t name = eq ? (size_t)(eq - s) : n;
	int shown = name > 32 ? 32 : (int)name;
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(params); i++)
		if (strlen(params[i].name) == name &&
		    memcmp(params[i].name, s, name) == 0)
			break;
	if (i == PST_ARRAY_SIZE(params) || !(allowed & params[i].bit))
		return pst_error_set(err, -EINVAL, "unknown parameter '%.*s'",
				     shown, s);
	if (*seen & params[i].bit)
		return pst_error_set(err, -EINVAL,
				     "parameter '%.*s' is given twice", shown,
				     s);
	if (!eq || name + 1 == n)
		return pst_error_set(err, -EINVAL,
				     "parameter '%.*s' has no value", shown, s);
	*seen |= params[i].bit;
	return set_param(params[i].bit, eq + 1, n - name - 1, ep, err);
}

static int parse_params(const char *s, unsigned int allowed,
			struct pst_endpoint *ep, struct pst_error *err)
{
	unsigned int seen = 0;
	int r = 0;

	while (r == 0) {
		size_t n = strcspn(s, "&");

		r = parse_param(s, n, allowed, &seen, ep, err);
		if (!s[n])
			break;
		s += n + 1;
	}
	return r;
}

static int parse_address(const char *s, size_t n, struct pst_endpoint *ep,
			 struct pst_error *err)
{
	switch (ep->scheme) {
	case PST_SCHEME_VSOCK:
	case PST_SCHEME_VSOCK_UDS:
		return parse_with_port(s, n, ep, err);
	case PST_SCHEME_UNIX:
		return parse_sun_path(s, n, ep, err);
	case PST_SCHEME_SPAWN:
		break;
	}
	if (n == 0)
		return 0;
	return pst_error_set(err, -EINVAL,
			     "'%.*s' behind spawn:", n > 128 ? 128 : (int)n, s);
}

int pst_endpoint_parse(const char *uri, struct pst_endpoint *ret,
		       struct pst_error *err)
{
	struct pst_endpoint ep = {0};
	size_t i, n;
	int r;

	for (i = 0; i < PST_ARRAY_SIZE(schemes); i++)
		if (strncmp(uri, schemes[i].prefix,
			    strlen(schemes[i].prefix)) == 0)
			break;
	if (i == PST_ARRAY_SIZE(schemes))
		return pst_error_set(err, -EINVAL,
				     "'%.128s' is none of vsock://CID:PORT, "
				     "vsock-uds:///path:PORT, unix:///path, "
				     "spawn:",
				     uri);
	ep.scheme = schemes[i].scheme;
	uri += strlen(schemes[i].prefix);
	n = strcspn(uri, "?");
	r = parse_address(uri, n, &ep, err);
	if (r == 0 && uri[n])
		r = parse_params(uri + n + 1, schemes[i].params, &ep, err);
	if (r < 0) {
		size_t used = err ? strlen(err->text) : 0;

		if (err && r == -EINVAL)
			snprintf(err->text + used, sizeof(err->text) - used,
				 "; expected %s", schemes[i].form);
		return r;
	}
	*ret = ep;
	return 0;
}

int pst_listen_parse(const char *spec, struct pst_listen *ret,
		     struct pst_error *err)
{
	struct pst_listen l = {0};
	int r;

	if (strncmp(spec, "vsock:", 6) == 0) {
		l.scheme = PST_SCHEME_VSOCK;
		r = parse_port(spec + 6, strlen(spec + 6), &l.port, err);
		if (r < 0)
			return r;
	} else if (strncmp(spec, "unix:", 5) == 0) {
		l.scheme = PST_SCHEME_UNIX;
		spec += 5;
		if (!*spec)
			return pst_error_set(err, -EINVAL,
					     "no path behind unix:");
		if (strlen(spec) >= sizeof(l.path))
			return pst_error_set(err, -EMSGSIZE,
					     "socket path is longer than %zu "
					     "bytes",
					     sizeof(l.path) - 1);
		memcpy(l.path, spec, strlen(spec) + 1);
	} else {
		return pst_error_set(err, -EINVAL,
				     "'%.128s' is neither vsock:PORT nor "
				     "unix:PATH",
				     spec);
	}
	*ret = l;
	return 0;
}
