/* SPDX-License-Identifier: MIT */
/* Lines on standard error, which systemd takes for its journal. */
#ifndef PST_HOST_CLIENT_GATEWAY_HTTP_LOG_H
#define PST_HOST_CLIENT_GATEWAY_HTTP_LOG_H

/* Levels of syslog(3). */
#define PST_GW_LOG_ERROR   3
#define PST_GW_LOG_WARNING 4
#define PST_GW_LOG_INFO    6

/* One line; under systemd with its level in front (sd-daemon(3)). */
void pst_gw_log(int level, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
