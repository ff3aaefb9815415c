/* SPDX-License-Identifier: MIT */
/* The agent's log: one line a message on standard error. */
#ifndef PST_GUEST_AGENT_LOG_H
#define PST_GUEST_AGENT_LOG_H

#include <stdbool.h>

enum pst_log_level {
	PST_LOG_ERROR,
	PST_LOG_WARNING,
	PST_LOG_INFO,
	PST_LOG_DEBUG,
};

/* Parses "error", "warning", "info", "debug". False: none of them. */
bool pst_log_level_parse(const char *s, enum pst_log_level *ret);

/* Messages above level are dropped from now on; PST_LOG_INFO at start. */
void pst_log_set_level(enum pst_log_level level);

/*
 * Writes "penstock-agent: TEXT", with systemd's "<N>" priority before it when
 * standard error is the journal's ($JOURNAL_STREAM is set). Control
 * characters become '?'. Any thread; never on the path of an operation.
 */
void pst_log(enum pst_log_level level, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
