/* SPDX-License-Identifier: MIT */
/* The serving thread: waits for connections, agents and the end. */
#ifndef PST_HOST_CLIENT_GATEWAY_SERVER_H
#define PST_HOST_CLIENT_GATEWAY_SERVER_H

#include "host-client/gateway/http/options.h"

struct pst_gw_server;

/* Listens, and starts to watch the agents. o must stay valid. */
int pst_gw_server_open(const struct pst_gw_options *o,
		       struct pst_gw_server **ret, struct pst_error *err);
void pst_gw_server_close(struct pst_gw_server *s);

/* Serves until stop_fd is readable. */
int pst_gw_server_run(struct pst_gw_server *s, int stop_fd,
		      struct pst_error *err);

#endif
