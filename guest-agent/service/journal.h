/* SPDX-License-Identifier: MIT */
/* Messages for systemd's journal, in its native protocol. */
#ifndef PST_GUEST_AGENT_SERVICE_JOURNAL_H
#define PST_GUEST_AGENT_SERVICE_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guest-agent/service/log.h"

/* Where the journal takes entries: systemd, "Native Journal Protocol". */
#define PST_AGENT_JOURNAL_SOCKET "/run/systemd/journal/socket"

/* Room for any entry. */
#define PST_AGENT_JOURNAL_ENTRY 2048

/*
 * Whether fd is the stream that journal_stream, $JOURNAL_STREAM or NULL,
 * names by device and inode (systemd.exec(5)). The variable alone does not
 * tell: it is inherited by programs whose standard error goes elsewhere.
 */
bool pst_agent_journal_is_stream(const char *journal_stream, int fd);

/*
 * Writes an entry: a line "FIELD=value" for MESSAGE, PRIORITY (priority, of
 * syslog(3)), SYSLOG_IDENTIFIER and what about has. text, and about's text,
 * hold no control characters; about may be NULL. A pure function. Returns the
 * length; an entry that does not fit in size loses its last fields.
 */
size_t pst_agent_journal_format(char *buf, size_t size, int priority,
				const char *text,
				const struct pst_agent_log_about *about);

/* Sends an entry to the journal's socket at path, without waiting. Returns 0
 * or -errno. */
int pst_agent_journal_send(const char *path, const char *entry, size_t n);

#endif
