/* SPDX-License-Identifier: MIT */
/* The agent's command line and configuration file. */
#ifndef PST_GUEST_AGENT_OPTIONS_H
#define PST_GUEST_AGENT_OPTIONS_H

#include "guest-agent/serve/server.h"
#include "guest-agent/service/log.h"
#include "transport/base/error.h"

/* Read without --config when it is there. */
#define PST_AGENT_OPTIONS_FILE "/etc/penstock/agent.conf"

struct pst_agent_options {
	struct pst_agent_server_config server;
	enum pst_agent_log_level log_level;
	const char *grant; /* a group; NULL: serve */
	char *file_text;   /* owned: of the configuration file */
};

/*
 * Parses argv and the configuration file into ret, which borrows strings from
 * argv; the caller ends with pst_agent_options_done(), also after a failure.
 * What argv has goes before what the file has, a list as a whole; the file is
 * checked even then. An agent with --serve-fd is somebody's own and reads
 * no file unless --config names one.
 *
 * Returns 0; 1 when --help or --version has been printed; -EINVAL with one
 * sentence (in the file: with its name and line), -EMSGSIZE (the file is
 * larger than PST_AGENT_CONFIG_MAX), -errno of reading it.
 */
int pst_agent_options_parse(int argc, char **argv,
			    struct pst_agent_options *ret,
			    struct pst_error *err);

void pst_agent_options_done(struct pst_agent_options *o);

#endif
