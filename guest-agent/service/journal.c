/* SPDX-License-Identifier: MIT */
/* Messages for systemd's journal, in its native protocol. */
#include "guest-agent/service/journal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "transport/base/util.h"

bool pst_agent_journal_is_stream(const char *journal_stream, int fd)
{
	unsigned long long dev, ino;
	struct stat st;
	int used = 0;

	return journal_stream &&
	       sscanf(journal_stream, "%20llu:%20llu%n", &dev, &ino, &used) ==
		       2 &&
	       !journal_stream[used] && fstat(fd, &st) == 0 &&
	       st.st_dev == dev && st.st_ino == ino;
}

struct entry {
	char *buf;
	size_t size;
	size_t n;
};

/* A whole line or nothing. */
static void __attribute__((format(printf, 2, 3)))
add(struct entry *e, const char *fmt, ...)
{
	const size_t room = e->size - e->n;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(e->buf + e->n, room, fmt, ap);
	va_end(ap);
	/* The NUL is not part of it, and its place is the newline's. */
	if (n < 0 || (size_t)n >= room)
		return;
	e->n += (size_t)n;
	e->buf[e->n++] = '\n';
}

size_t pst_agent_journal_format(char *buf, size_t size, int priority,
				const char *text,
				const struct pst_agent_log_about *about)
{
	struct entry e = {buf, size, 0};

	add(&e, "PRIORITY=%d", priority);
	add(&e, "SYSLOG_IDENTIFIER=penstock-agent");
	add(&e, "MESSAGE=%s", text);
	if (!about)
		return e.n;
	if (about->session)
		add(&e, "PENSTOCK_SESSION=%" PRIu64, about->session);
	if (about->has_lane)
		add(&e, "PENSTOCK_LANE=%u", about->lane);
	if (about->client && about->client[0])
		add(&e, "PENSTOCK_CLIENT=%s", about->client);
	if (about->client_pid)
		add(&e, "PENSTOCK_CLIENT_PID=%u", about->client_pid);
	if (about->cid)
		add(&e, "PENSTOCK_CID=%u", about->cid);
	return e.n;
}

int pst_agent_journal_send(const char *path, const char *entry, size_t n)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	PST_CLEANUP_FD int fd = -1;

	if (strlen(path) >= sizeof(sun.sun_path))
		return -ENAMETOOLONG;
	memcpy(sun.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || sendto(fd, entry, n, MSG_NOSIGNAL,
			     (struct sockaddr *)&sun, sizeof(sun)) < 0)
		return -errno;
	return 0;
}
