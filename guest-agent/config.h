/* SPDX-License-Identifier: MIT */
/* The syntax of agent.conf: sections, keys and values in a text. */
#ifndef PST_GUEST_AGENT_CONFIG_H
#define PST_GUEST_AGENT_CONFIG_H

#include <stddef.h>

#include "transport/base/error.h"

/* Largest file, in bytes. */
#define PST_AGENT_CONFIG_MAX (64U << 10)

/* A key that a file may have, once. */
struct pst_agent_config_key {
	const char *section;
	const char *name;
};

struct pst_agent_config_value {
	char *text;        /* never empty; NULL: the file has it not */
	unsigned int line; /* from 1 */
};

/*
 * Reads an INI text: "[section]" lines, "key = value" lines, empty lines, and
 * comments, which are whole lines that begin with '#' or ';'. Blanks around key
 * and value do not count; nothing else of a value is changed: no quotes, no
 * escapes, no continuation. A section may be opened again.
 *
 * file: a name for sentences, which begin with "FILE:LINE: ". text: n bytes
 * that are changed, and text[n], which is written: values point into it.
 * keys: n_keys that are known; ret[i] is what the file has for keys[i].
 * A pure function. Returns 0, or -EINVAL: a byte that is a control character
 * (tabs between words are none), a line that is neither of these, an unknown
 * section or key, a key before any section, without value, or a second time.
 */
int pst_agent_config_parse(const char *file, char *text, size_t n,
			   const struct pst_agent_config_key *keys,
			   size_t n_keys, struct pst_agent_config_value *ret,
			   struct pst_error *err);

#endif
