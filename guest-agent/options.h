/* SPDX-License-Identifier: MIT */
/* The agent's command line. */
#ifndef PST_GUEST_AGENT_OPTIONS_H
#define PST_GUEST_AGENT_OPTIONS_H

#include "guest-agent/log.h"
#include "guest-agent/server.h"
#include "transport/error.h"

struct pst_options {
	struct pst_server_config server;
	enum pst_log_level log_level;
};

/*
 * Parses argv into ret; strings are borrowed from argv. Returns 0; 1 when
 * --help or --version has been printed; -EINVAL with one sentence.
 */
int pst_options_parse(int argc, char **argv, struct pst_options *ret,
		      struct pst_error *err);

#endif
