/* SPDX-License-Identifier: MIT */
/* The agent's log: one line a message on standard error. */
#include "guest-agent/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "transport/util.h"

static const struct {
	const char *name;
	int syslog; /* priority of syslog(3) */
} levels[] = {
	[PST_LOG_ERROR] = {"error", 3},
	[PST_LOG_WARNING] = {"warning", 4},
	[PST_LOG_INFO] = {"info", 6},
	[PST_LOG_DEBUG] = {"debug", 7},
};

static enum pst_log_level max_level = PST_LOG_INFO;

bool pst_log_level_parse(const char *s, enum pst_log_level *ret)
{
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(levels); i++)
		if (strcmp(s, levels[i].name) == 0) {
			*ret = (enum pst_log_level)i;
			return true;
		}
	return false;
}

void pst_log_set_level(enum pst_log_level level)
{
	max_level = level;
}

void pst_log(enum pst_log_level level, const char *fmt, ...)
{
	char text[1024];
	char prefix[8] = "";
	va_list ap;
	char *p;

	if (level > max_level)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	for (p = text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
	if (getenv("JOURNAL_STREAM"))
		snprintf(prefix, sizeof(prefix), "<%d>", levels[level].syslog);
	/* One write, so that lines of two threads do not mix. */
	fprintf(stderr, "%spenstock-agent: %s\n", prefix, text);
}
