/* SPDX-License-Identifier: MIT */
/* The gateway's command line. */
#ifndef PST_HOST_CLIENT_GATEWAY_HTTP_OPTIONS_H
#define PST_HOST_CLIENT_GATEWAY_HTTP_OPTIONS_H

#include "transport/base/error.h"
#include "transport/base/util.h"

#define PST_GW_MAX_AGENTS  16U
#define PST_GW_MAX_LISTEN  4U
#define PST_GW_MAX_HOSTS   8U
#define PST_GW_NAME_SIZE   65U
#define PST_GW_SOCKET      "/run/penstock-gateway/gateway.sock"
#define PST_GW_CONNECTIONS 4096U
#define PST_GW_OPERATIONS  64U
#define PST_GW_BODIES      ((uint64_t)1 << 30)
#define PST_GW_MEMORY      (64ULL << 20)

struct pst_gw_endpoint {
	char name[PST_GW_NAME_SIZE];
	const char *uri; /* NULL: $PENSTOCK_ENDPOINT */
};

struct pst_gw_options {
	struct pst_gw_endpoint endpoint[PST_GW_MAX_AGENTS];
	unsigned int n_endpoints;
	const char *socket; /* NULL: the default, unless there are others */
	const char *listen[PST_GW_MAX_LISTEN]; /* ADDRESS:PORT */
	unsigned int n_listen;
	const char *host[PST_GW_MAX_HOSTS]; /* more names of this host */
	unsigned int n_hosts;
	const char *token_file, *tls_cert, *tls_key;
	char credential[3][256]; /* paths of those that are some */
	unsigned int n_conns;    /* open at once */
	unsigned int n_ops;      /* of a peer under way */
	uint64_t body_bytes;     /* of bodies under way; a peer may have half */
	bool allow_load;
	uint64_t memory; /* for tensors in each agent's region */
};

/*
 * Reads the command line; strings stay those of argv. Prints what --help and
 * --version ask for. Returns 0, 1 (printed, nothing to do), or -EINVAL.
 */
int pst_gw_options_parse(int argc, char **argv, struct pst_gw_options *ret,
			 struct pst_error *err);

#endif
