/* SPDX-License-Identifier: MIT */
/* Resolves an application's endpoint: a URI, or a name in the configuration. */
#ifndef PST_HOST_CLIENT_LIB_PLAIN_ENDPOINT_H
#define PST_HOST_CLIENT_LIB_PLAIN_ENDPOINT_H

#include <stddef.h>

#include "transport/base/error.h"
#include "transport/base/util.h"
#include "transport/sock.h"

/* Bytes of a configuration file at most. */
#define PST_ENDPOINT_CONF_MAX (16U << 10)

/*
 * Finds the URI in a configuration file's text: lines `endpoint = URI`, blank
 * lines, and comments from # (at a line's start or behind white space) to its
 * end. A pure function.
 * Returns 0 and the URI, -EINVAL (a line that is neither, an unknown or
 * repeated key, no endpoint, a control character), -EMSGSIZE (URI too long).
 * The sentence has the line's number.
 */
PST_MUST_USE int pst_endpoint_conf_parse(const char *text, size_t n, char *ret,
					 size_t size, struct pst_error *err);

/*
 * Looks NAME.conf up in dirs (NULL-terminated, in this order; the first that
 * has it counts) and parses the URI in it. Returns 0, -ENOENT (in none of
 * them), -EPERM (writable for everybody), -EINVAL (also a name that is not
 * good, transport/base/text.h), -EMSGSIZE, -EACCES, -errno.
 */
PST_MUST_USE int pst_endpoint_lookup(const char *name, const char *const *dirs,
				     struct pst_endpoint *ret,
				     struct pst_error *err);

/*
 * endpoint as pst_open() takes it: a URI (it has a ':'), a name, or NULL for
 * $PENSTOCK_ENDPOINT. Returns as pst_endpoint_parse() and
 * pst_endpoint_lookup(), and -ENOENT when there is none at all.
 */
PST_MUST_USE int pst_endpoint_resolve(const char *endpoint,
				      struct pst_endpoint *ret,
				      struct pst_error *err);

#endif
