/* SPDX-License-Identifier: MIT */
/* The agent's log: the journal, or one line a message on standard error. */
#include "guest-agent/service/log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guest-agent/service/journal.h"
#include "guest-agent/service/log_limit.h"
#include "transport/base/text.h"
#include "transport/base/util.h"

static const struct {
	const char *name;
	int syslog; /* priority of syslog(3) */
} levels[] = {
	[PST_AGENT_LOG_ERROR] = {"error", 3},
	[PST_AGENT_LOG_WARNING] = {"warning", 4},
	[PST_AGENT_LOG_INFO] = {"info", 6},
	[PST_AGENT_LOG_DEBUG] = {"debug", 7},
};

static enum pst_agent_log_level max_level = PST_AGENT_LOG_INFO;
/* The journal's socket; NULL: standard error is not the journal's. */
static const char *journal_path;
static struct pst_agent_log_limit limit; /* of what peers cause */

bool pst_agent_log_level_parse(const char *s, enum pst_agent_log_level *ret)
{
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(levels); i++)
		if (strcmp(s, levels[i].name) == 0) {
			*ret = (enum pst_agent_log_level)i;
			return true;
		}
	return false;
}

void pst_agent_log_set_level(enum pst_agent_log_level level)
{
	max_level = level;
}

void pst_agent_log_open(const char *journal)
{
	journal_path = pst_agent_journal_is_stream(getenv("JOURNAL_STREAM"),
						   STDERR_FILENO)
			       ? journal
			       : NULL;
}

void pst_agent_log_prefix(enum pst_agent_log_level level,
			  char ret[PST_AGENT_LOG_PREFIX])
{
	if (journal_path)
		snprintf(ret, PST_AGENT_LOG_PREFIX, "<%d>",
			 levels[level].syslog);
	else
		snprintf(ret, PST_AGENT_LOG_PREFIX, "penstock-agent: ");
}

static int send_entry(enum pst_agent_log_level level,
		      const struct pst_agent_log_about *about, const char *text)
{
	struct pst_agent_log_about copy = *about;
	char entry[PST_AGENT_JOURNAL_ENTRY], client[64];
	size_t n;

	if (copy.client) {
		snprintf(client, sizeof(client), "%s", copy.client);
		pst_text_clean(client);
		copy.client = client;
	}
	n = pst_agent_journal_format(entry, sizeof(entry), levels[level].syslog,
				     text, &copy);
	return pst_agent_journal_send(journal_path, entry, n);
}

__attribute__((format(printf, 3, 0))) static void
write_message(enum pst_agent_log_level level,
	      const struct pst_agent_log_about *about, const char *fmt,
	      va_list ap)
{
	char text[1024], prefix[PST_AGENT_LOG_PREFIX];

	vsnprintf(text, sizeof(text), fmt, ap);
	pst_text_clean(text);
	if (journal_path && about && send_entry(level, about, text) == 0)
		return;
	pst_agent_log_prefix(level, prefix);
	/* One write, so that lines of two threads do not mix. */
	fprintf(stderr, "%s%s\n", prefix, text);
}

void pst_agent_log_about(enum pst_agent_log_level level,
			 const struct pst_agent_log_about *about,
			 const char *fmt, ...)
{
	va_list ap;

	if (level > max_level)
		return;
	va_start(ap, fmt);
	write_message(level, about, fmt, ap);
	va_end(ap);
}

void pst_agent_log_peer(enum pst_agent_log_level level,
			const struct pst_agent_log_about *about,
			const char *fmt, ...)
{
	va_list ap;

	if (level > max_level ||
	    !pst_agent_log_limit_take(&limit, pst_now_ns()))
		return;
	va_start(ap, fmt);
	write_message(level, about, fmt, ap);
	va_end(ap);
}

uint64_t pst_agent_log_tick(uint64_t now_ns)
{
	uint64_t due_ns, n = pst_agent_log_limit_count(&limit, now_ns, &due_ns);

	if (n)
		pst_agent_log(PST_AGENT_LOG_WARNING,
			      "%" PRIu64
			      " more messages about clients were left out",
			      n);
	return due_ns;
}
