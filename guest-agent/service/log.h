/* SPDX-License-Identifier: MIT */
/* The agent's log: the journal, or one line a message on standard error. */
#ifndef PST_GUEST_AGENT_SERVICE_LOG_H
#define PST_GUEST_AGENT_SERVICE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum pst_agent_log_level {
	PST_AGENT_LOG_ERROR,
	PST_AGENT_LOG_WARNING,
	PST_AGENT_LOG_INFO,
	PST_AGENT_LOG_DEBUG,
};

/* What a message is about: fields of the journal's entry. A zero is left
 * out. */
struct pst_agent_log_about {
	uint64_t session;
	bool has_lane;
	uint32_t lane;
	const char *client;  /* the name it gave, in ASCII letters or not */
	uint32_t client_pid; /* in its own kernel */
	uint32_t cid;        /* vsock address of the peer */
};

/* Parses "error", "warning", "info", "debug". False: none of them. */
bool pst_agent_log_level_parse(const char *s, enum pst_agent_log_level *ret);

/* Messages above level are dropped from now on; PST_AGENT_LOG_INFO at start. */
void pst_agent_log_set_level(enum pst_agent_log_level level);

/*
 * Decides where messages go from now on. Where standard error is the stream
 * that $JOURNAL_STREAM names, lines begin with systemd's "<N>" priority, and
 * messages about something go to the journal's socket, journal
 * (PST_AGENT_JOURNAL_SOCKET, which is borrowed), as entries with fields; to the
 * stream when it does not take them. Only the stream tells the journal reliably
 * whose a message is: for an entry it looks up the sender's pid, which is too
 * late if the process has ended. Else, and before the first call, lines go to
 * standard error as they are. Before other threads log.
 */
void pst_agent_log_open(const char *journal);

/* What a line begins with: "<3>" and such where standard error is the
 * journal's, which knows the program, else "penstock-agent: ". */
#define PST_AGENT_LOG_PREFIX 24
void pst_agent_log_prefix(enum pst_agent_log_level level,
			  char ret[PST_AGENT_LOG_PREFIX]);

/*
 * Writes one message. Control characters become '?'. Any thread;
 * never on the path of an operation. about may be NULL.
 */
void pst_agent_log_about(enum pst_agent_log_level level,
			 const struct pst_agent_log_about *about,
			 const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * The same for what a peer can cause as often as it likes: ten lines a second
 * of all peers are written, then one with the count of the rest. The serving
 * thread only.
 */
void pst_agent_log_peer(enum pst_agent_log_level level,
			const struct pst_agent_log_about *about,
			const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Writes the count of left-out messages once its second is over. Returns the
 * pst_now_ns() time to call again, UINT64_MAX for none. */
uint64_t pst_agent_log_tick(uint64_t now_ns);

#define pst_agent_log(level, ...) pst_agent_log_about(level, NULL, __VA_ARGS__)

#endif
