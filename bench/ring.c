/* SPDX-License-Identifier: MIT */
/* A bare ring between two processes: what entries of Penstock's sizes cost
 * where nothing is checked, locked or waited for. */
#include "bench/ring.h"

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/clock.h"
#include "bench/cpus.h"

/* Looks of the child until it sees that the run is over. */
#define IDLE_LOOKS 1000
/* Entries between two looks at the clock, and looks in vain between two at
 * whether the other end lives. */
#define ENTRIES_A_CLOCK 1024
#define LOOKS           100000000ULL

/* An entry of two lines, and an answer of one. seq is written last. */
struct ask {
	uint64_t seq;
	uint64_t words[15];
};

struct answer {
	uint64_t seq;
	uint64_t words[7];
};

struct shared {
	struct ask asks[PST_BENCH_RING_SLOTS];
	struct answer answers[PST_BENCH_RING_SLOTS];
	uint32_t running; /* 0: the child is to sleep on it */
};

struct pst_bench_ring {
	struct shared *shared;
	pid_t child;
	uint64_t tail, head; /* asked, answered */
};

static void copy_in(uint64_t *dst, const uint64_t *src, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		__atomic_store_n(&dst[i], src[i], __ATOMIC_RELAXED);
}

static void copy_out(uint64_t *dst, const uint64_t *src, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		dst[i] = __atomic_load_n(&src[i], __ATOMIC_RELAXED);
	/* Copied though nobody looks at it. */
	__asm__ volatile("" : : "r"(dst) : "memory");
}

/* The child: answers until it is killed. */
static void serve(struct shared *s)
{
	uint64_t n = 0, words[15];
	struct answer *answer;
	unsigned int looks = 0;
	const struct ask *ask;

	for (;; n++) {
		ask = &s->asks[n % PST_BENCH_RING_SLOTS];
		answer = &s->answers[n % PST_BENCH_RING_SLOTS];
		while (__atomic_load_n(&ask->seq, __ATOMIC_ACQUIRE) != n + 1) {
			pst_bench_relax();
			if (++looks % IDLE_LOOKS == 0 &&
			    !__atomic_load_n(&s->running, __ATOMIC_ACQUIRE))
				syscall(SYS_futex, &s->running, FUTEX_WAIT, 0,
					NULL, NULL, 0);
		}
		copy_out(words, ask->words, 15);
		copy_in(answer->words, words, 7);
		__atomic_store_n(&answer->seq, n + 1, __ATOMIC_RELEASE);
	}
}

__attribute__((noreturn)) static void child(struct shared *s, int cpu,
					    pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* It may have died before that. */
	if (getppid() == parent && pst_bench_cpus_pin(cpu) == 0)
		serve(s);
	_exit(1);
}

int pst_bench_ring_open(int peer_cpu, struct pst_bench_ring **ret)
{
	struct pst_bench_ring *r = calloc(1, sizeof(*r));
	const pid_t parent = getpid();
	int e;

	if (!r)
		return -ENOMEM;
	r->shared = mmap(NULL, sizeof(*r->shared), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (r->shared == MAP_FAILED) {
		e = -errno;
		free(r);
		return e;
	}
	r->child = fork();
	if (r->child == 0)
		child(r->shared, peer_cpu, parent);
	if (r->child < 0) {
		e = -errno;
		pst_bench_ring_close(r);
		return e;
	}
	*ret = r;
	return 0;
}

static bool alive(struct pst_bench_ring *r)
{
	if (r->child > 0 && waitpid(r->child, NULL, WNOHANG) != 0)
		r->child = 0; /* its number may be another's soon */
	return r->child > 0;
}

static void ask(struct pst_bench_ring *r)
{
	struct ask *a = &r->shared->asks[r->tail % PST_BENCH_RING_SLOTS];
	uint64_t words[15] = {r->tail};

	copy_in(a->words, words, 15);
	__atomic_store_n(&a->seq, ++r->tail, __ATOMIC_RELEASE);
}

static bool is_answered(const struct pst_bench_ring *r)
{
	const struct answer *a =
		&r->shared->answers[r->head % PST_BENCH_RING_SLOTS];

	return __atomic_load_n(&a->seq, __ATOMIC_ACQUIRE) == r->head + 1;
}

static void take(struct pst_bench_ring *r)
{
	uint64_t words[7];

	copy_out(words,
		 r->shared->answers[r->head % PST_BENCH_RING_SLOTS].words, 7);
	r->head++;
}

/* All answers that are there, one at least. False: the other end is gone. */
static bool take_all(struct pst_bench_ring *r)
{
	uint64_t looks = 0;

	while (!is_answered(r)) {
		pst_bench_relax();
		if (++looks % LOOKS == 0 && !alive(r))
			return false;
	}
	while (r->head != r->tail && is_answered(r))
		take(r);
	return true;
}

/* Takes n answers while depth are outstanding. */
static bool run(struct pst_bench_ring *r, unsigned int depth, uint64_t n)
{
	const uint64_t end = r->head + n;
	bool ok = true;

	while (ok && r->head < end) {
		while (r->tail - r->head < depth)
			ask(r);
		ok = take_all(r);
	}
	return ok;
}

int pst_bench_ring_run(struct pst_bench_ring *r, unsigned int depth,
		       uint64_t duration_ns, double *ret_ns)
{
	uint64_t begin, head, now;
	bool ok;

	__atomic_store_n(&r->shared->running, 1, __ATOMIC_RELEASE);
	syscall(SYS_futex, &r->shared->running, FUTEX_WAKE, 1, NULL, NULL, 0);
	ok = run(r, depth, ENTRIES_A_CLOCK);
	head = r->head;
	begin = now = pst_bench_now_ns();
	while (ok && now - begin < duration_ns) {
		ok = run(r, depth, ENTRIES_A_CLOCK);
		now = pst_bench_now_ns();
	}
	if (ok)
		*ret_ns = (double)(now - begin) / (double)(r->head - head);
	while (ok && r->head != r->tail)
		ok = take_all(r);
	__atomic_store_n(&r->shared->running, 0, __ATOMIC_RELEASE);
	return ok ? 0 : -EIO;
}

void pst_bench_ring_close(struct pst_bench_ring *r)
{
	if (!r)
		return;
	if (r->child > 0) {
		kill(r->child, SIGKILL);
		while (waitpid(r->child, NULL, 0) < 0 && errno == EINTR)
			;
	}
	munmap(r->shared, sizeof(*r->shared));
	free(r);
}
