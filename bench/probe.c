/* SPDX-License-Identifier: MIT */
/* Measures the machine's own round trip between two processes. */
#include "bench/probe.h"

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/clock.h"
#include "bench/cpus.h"

/* What one side sends over the socket. */
#define MESSAGE 64
/* Polls of the other's line between two checks that it is alive. */
#define POLLS 100000000ULL
/* Looks of the child until it sees that the run is over. */
#define IDLE_POLLS 1000
/* Round trips before the timed ones: the child has to wake up first. */
#define WARM 3

/* One line each way, and each alone: neighbours are fetched in pairs. */
struct shared {
	uint32_t ask;
	char pad0[252];
	uint32_t answer;
	char pad1[252];
	uint32_t running; /* 0: the one that spins is to sleep on it */
	char pad2[252];
};

struct pst_bench_probe {
	enum pst_bench_probe_kind kind;
	struct shared *shared;
	int sock; /* our end, or -1 */
	pid_t child;
	uint32_t seq;
};

const char *pst_bench_probe_name(enum pst_bench_probe_kind kind)
{
	static const char *const names[] = {"two cache lines", "futex",
					    "Unix socket"};

	return names[kind];
}

static void futex_wait(uint32_t *word, uint32_t seen)
{
	/* A timeout only bounds the cost of a dead partner. */
	const struct timespec ts = {.tv_sec = 1};

	syscall(SYS_futex, word, FUTEX_WAIT, seen, &ts, NULL, 0);
}

static void futex_wake(uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* The child: answers until it is killed. */
static void serve_lines(struct shared *s)
{
	uint32_t seq = 0, polls = 0;

	for (;;) {
		while (__atomic_load_n(&s->ask, __ATOMIC_ACQUIRE) == seq) {
			pst_bench_relax();
			/* Between runs the CPU belongs to others. */
			if (++polls % IDLE_POLLS == 0 &&
			    !__atomic_load_n(&s->running, __ATOMIC_ACQUIRE))
				futex_wait(&s->running, 0);
		}
		seq++;
		__atomic_store_n(&s->answer, seq, __ATOMIC_RELEASE);
	}
}

static void serve_futex(struct shared *s)
{
	uint32_t seq = 0;

	for (;;) {
		while (__atomic_load_n(&s->ask, __ATOMIC_ACQUIRE) == seq)
			futex_wait(&s->ask, seq);
		seq++;
		__atomic_store_n(&s->answer, seq, __ATOMIC_RELEASE);
		futex_wake(&s->answer);
	}
}

static void serve_unix(int sock)
{
	char buf[MESSAGE];

	while (recv(sock, buf, sizeof(buf), MSG_WAITALL) == MESSAGE)
		if (send(sock, buf, sizeof(buf), MSG_NOSIGNAL) != MESSAGE)
			return;
}

__attribute__((noreturn)) static void child(const struct pst_bench_probe *p,
					    int sock, int cpu, pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* It may have died before that. */
	if (getppid() == parent && pst_bench_cpus_pin(cpu) == 0) {
		if (p->kind == PST_BENCH_PROBE_LINES)
			serve_lines(p->shared);
		else if (p->kind == PST_BENCH_PROBE_FUTEX)
			serve_futex(p->shared);
		else
			serve_unix(sock);
	}
	_exit(1);
}

static int start(struct pst_bench_probe *p, int peer_cpu)
{
	const pid_t parent = getpid();
	int sv[2] = {-1, -1}, r = 0;

	p->shared = mmap(NULL, sizeof(*p->shared), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (p->shared == MAP_FAILED) {
		p->shared = NULL;
		return -errno;
	}
	if (p->kind == PST_BENCH_PROBE_UNIX &&
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0)
		return -errno;
	p->sock = sv[0];
	p->child = fork();
	if (p->child == 0)
		child(p, sv[1], peer_cpu, parent);
	if (p->child < 0)
		r = -errno;
	if (sv[1] >= 0)
		close(sv[1]);
	return r;
}

int pst_bench_probe_open(enum pst_bench_probe_kind kind, int peer_cpu,
			 struct pst_bench_probe **ret)
{
	struct pst_bench_probe *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	p->kind = kind;
	p->sock = -1;
	r = start(p, peer_cpu);
	if (r < 0) {
		p->child = 0;
		pst_bench_probe_close(p);
		return r;
	}
	*ret = p;
	return 0;
}

static bool alive(struct pst_bench_probe *p)
{
	if (p->child > 0 && waitpid(p->child, NULL, WNOHANG) != 0)
		p->child = 0; /* its number may be another's soon */
	return p->child > 0;
}

static bool trip_lines(struct pst_bench_probe *p)
{
	struct shared *s = p->shared;
	uint64_t polls = 0;

	p->seq++;
	__atomic_store_n(&s->ask, p->seq, __ATOMIC_RELEASE);
	while (__atomic_load_n(&s->answer, __ATOMIC_ACQUIRE) != p->seq) {
		pst_bench_relax();
		if (++polls % POLLS == 0 && !alive(p))
			return false;
	}
	return true;
}

static bool trip_futex(struct pst_bench_probe *p)
{
	struct shared *s = p->shared;
	int tries = 0;

	p->seq++;
	__atomic_store_n(&s->ask, p->seq, __ATOMIC_RELEASE);
	futex_wake(&s->ask);
	while (__atomic_load_n(&s->answer, __ATOMIC_ACQUIRE) != p->seq) {
		futex_wait(&s->answer, p->seq - 1);
		if (++tries % 8 == 0 && !alive(p))
			return false;
	}
	return true;
}

static bool trip_unix(struct pst_bench_probe *p)
{
	char buf[MESSAGE] = {0};

	return send(p->sock, buf, sizeof(buf), MSG_NOSIGNAL) == MESSAGE &&
	       recv(p->sock, buf, sizeof(buf), MSG_WAITALL) == MESSAGE;
}

int pst_bench_probe_run(struct pst_bench_probe *p, uint64_t duration_ns,
			uint64_t min_n, struct pst_bench_hist *h)
{
	bool (*const trip)(struct pst_bench_probe *) =
		p->kind == PST_BENCH_PROBE_LINES   ? trip_lines
		: p->kind == PST_BENCH_PROBE_FUTEX ? trip_futex
						   : trip_unix;
	uint64_t begin, t0, t1, n;
	bool ok = true;

	__atomic_store_n(&p->shared->running, 1, __ATOMIC_RELEASE);
	futex_wake(&p->shared->running);
	for (n = 0; n < WARM && ok; n++)
		ok = trip(p);
	begin = t0 = pst_bench_now_ns();
	for (n = 0; ok && (n < min_n || t0 - begin < duration_ns); n++) {
		ok = trip(p);
		t1 = pst_bench_now_ns();
		pst_bench_hist_add(h, t1 - t0);
		t0 = pst_bench_now_ns();
	}
	__atomic_store_n(&p->shared->running, 0, __ATOMIC_RELEASE);
	return ok ? 0 : -EIO;
}

void pst_bench_probe_close(struct pst_bench_probe *p)
{
	if (!p)
		return;
	if (p->child > 0) {
		kill(p->child, SIGKILL);
		while (waitpid(p->child, NULL, 0) < 0 && errno == EINTR)
			;
	}
	if (p->sock >= 0)
		close(p->sock);
	if (p->shared)
		munmap(p->shared, sizeof(*p->shared));
	free(p);
}
