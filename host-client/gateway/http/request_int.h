/* SPDX-License-Identifier: MIT */
/* What the server calls for each request: libmicrohttpd's callbacks. */
#ifndef PST_HOST_CLIENT_GATEWAY_HTTP_REQUEST_INT_H
#define PST_HOST_CLIENT_GATEWAY_HTTP_REQUEST_INT_H

#include <microhttpd.h>
#include <sys/stat.h>

#include "host-client/gateway/http/request.h"

/* What a connection came by. */
struct pst_gw_door {
	struct pst_gw_context *context;
	struct MHD_Daemon *daemon;
	int fd;
	bool is_local;    /* a Unix socket */
	const char *path; /* our socket file, or NULL */
	struct stat file;
};

/* Frees what requests share. */
void pst_gw_shared_done(struct pst_gw_context *c);

/* For MHD_start_daemon(); door is a struct pst_gw_door. */
enum MHD_Result pst_gw_on_request(void *door, struct MHD_Connection *mhd,
				  const char *url, const char *method,
				  const char *version, const char *data,
				  size_t *size, void **request);
void pst_gw_on_completed(void *door, struct MHD_Connection *mhd, void **request,
			 enum MHD_RequestTerminationCode why);
void pst_gw_on_connection(void *door, struct MHD_Connection *mhd, void **conn,
			  enum MHD_ConnectionNotificationCode what);

#endif
