/* SPDX-License-Identifier: MIT */
/* Strangers at an agent's door: how many newcomers get in beside them. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "host-client/penstock.h"

#define MAX_ATTACKERS 16
#define MAX_HELD      4000
#define MS            UINT64_C(1000000)
/* A newcomer's time in all, and between two. */
#define LIMIT_MS 1000U
#define PAUSE_MS 10U

static const char *const kinds[] = {
	"silent",  /* holds what it may, says nothing, comes again */
	"refused", /* is refused, and does not close */
	"fast",    /* connects and closes, as fast as it can */
	"pushy",   /* the same, and does not wait in the queue */
	"hoard",   /* connects as fast as it can, closes the oldest */
};
enum { SILENT, REFUSED, FAST, PUSHY, HOARD, N_KINDS };

static uint64_t *n_connects; /* of all attackers */

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 * MS + (uint64_t)ts.tv_nsec;
}

static int knock(const struct sockaddr_un *sa, bool waits)
{
	int fd = socket(
		AF_UNIX,
		SOCK_STREAM | SOCK_CLOEXEC | (waits ? 0 : SOCK_NONBLOCK), 0);

	if (fd >= 0 && connect(fd, (const struct sockaddr *)sa, sizeof(*sa))) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Never returns. */
static void attack(int kind, const struct sockaddr_un *sa)
{
	static const char junk[64] = "GET / HTTP/1.1\r\n\r\n";
	static int held[MAX_HELD];
	size_t n = 0, i;
	int fd;

	for (i = 0; i < MAX_HELD; i++)
		held[i] = -1;
	for (;;) {
		fd = knock(sa, kind != PUSHY);
		if (fd < 0)
			continue;
		__atomic_add_fetch(n_connects, 1, __ATOMIC_RELAXED);
		if (kind == REFUSED)
			(void)!send(fd, junk, sizeof(junk), MSG_NOSIGNAL);
		if (kind == FAST || kind == PUSHY) {
			close(fd);
			continue;
		}
		i = n++ % MAX_HELD;
		if (held[i] >= 0)
			close(held[i]);
		held[i] = fd;
		/* Slow ones: a thousand a second and more. */
		if (kind != HOARD && n > 1000)
			usleep(200);
	}
}

/* One newcomer; as often as it takes within its time. Returns the tries, 0
 * when it did not get in. */
static unsigned int newcomer(const char *endpoint, uint64_t *ret_ns)
{
	const uint64_t start = now_ns();
	const struct pst_options o = {
		.size = sizeof(o),
		.timeout_ns = LIMIT_MS * MS,
	};
	struct pst *c;
	unsigned int tries = 0;
	char err[512];
	int r;

	do {
		tries++;
		r = pst_open(endpoint, &o, &c, err, sizeof(err));
	} while (r < 0 && now_ns() - start < LIMIT_MS * MS);
	*ret_ns = now_ns() - start;
	if (r < 0) {
		fprintf(stderr, "# %s\n", err);
		return 0;
	}
	pst_close(c);
	return *ret_ns < LIMIT_MS * MS ? tries : 0;
}

static int by_value(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static int usage(void)
{
	fprintf(stderr, "usage: flood SOCKET "
			"silent|refused|fast|pushy|hoard ATTACKERS NEWCOMERS "
			"[UID]\n");
	return 2;
}

int main(int argc, char **argv)
{
	static uint64_t took[10000];
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	unsigned int n_attackers, n, i, tries, good = 0, total = 0;
	pid_t attackers[MAX_ATTACKERS], self = getpid();
	char endpoint[256];
	uint64_t start;
	struct rlimit l;
	int kind;

	if (argc < 5 || argc > 6 || strlen(argv[1]) >= sizeof(sa.sun_path))
		return usage();
	for (kind = 0; kind < N_KINDS; kind++)
		if (strcmp(argv[2], kinds[kind]) == 0)
			break;
	n_attackers = (unsigned int)atoi(argv[3]);
	n = (unsigned int)atoi(argv[4]);
	if (kind == N_KINDS || n_attackers > MAX_ATTACKERS || n < 1 ||
	    n > sizeof(took) / sizeof(took[0]))
		return usage();
	strcpy(sa.sun_path, argv[1]);
	snprintf(endpoint, sizeof(endpoint), "unix://%s", argv[1]);
	getrlimit(RLIMIT_NOFILE, &l);
	l.rlim_cur = l.rlim_max;
	setrlimit(RLIMIT_NOFILE, &l);
	n_connects = mmap(NULL, sizeof(*n_connects), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (n_connects == MAP_FAILED)
		return 1;
	for (i = 0; i < n_attackers; i++) {
		attackers[i] = fork();
		if (attackers[i] != 0)
			continue;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != self ||
		    (argc == 6 && setuid((uid_t)atoi(argv[5])) < 0))
			_exit(1);
		attack(kind, &sa);
	}
	usleep(300000);
	start = now_ns();
	for (i = 0; i < n; i++) {
		tries = newcomer(endpoint, &took[i]);
		good += tries > 0;
		total += tries;
		usleep(PAUSE_MS * 1000);
	}
	start = now_ns() - start;
	for (i = 0; i < n_attackers; i++) {
		kill(attackers[i], SIGKILL);
		waitpid(attackers[i], NULL, 0);
	}
	qsort(took, n, sizeof(took[0]), by_value);
	printf("%s x %u: %u of %u newcomers within %u ms, %u tries, p50 %.1f "
	       "p99 %.1f ms; %" PRIu64 " connections a second\n",
	       kinds[kind], n_attackers, good, n, LIMIT_MS, total,
	       (double)took[n / 2] / 1e6, (double)took[n * 99 / 100] / 1e6,
	       *n_connects * 1000 * MS / (start + 300 * MS));
	return good * 100 < n * (kind < FAST ? 99 : 90);
}
