/* SPDX-License-Identifier: MIT */
/* Starts an agent on a Unix socket, with options that spawn: lacks. */
#include "bench/agentproc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/clock.h"
#include "bench/cpus.h"
#include "host-client/penstock.h"

/* What a region has beside its arena. */
#define BESIDE (4U << 20)
/* How long an agent may take to come up. */
#define START_NS (10 * PST_BENCH_S)

/* For the handler only: empty when there is nothing to remove. */
static char doomed_socket[sizeof(((struct pst_bench_agentproc *)0)->socket)];
static char doomed_dir[sizeof(((struct pst_bench_agentproc *)0)->dir)];

/* The child, which has changed nothing of its parent. */
__attribute__((noreturn)) static void
child(const struct pst_bench_agentproc *a, const char *program,
      const struct pst_bench_agentproc_options *o, pid_t parent)
{
	char listen[128], region[64], threads[16];
	const char *argv[] = {program,
			      "--listen",
			      listen,
			      "--region",
			      region,
			      "--backend",
			      "cpu",
			      "--threads",
			      threads,
			      "--log-level",
			      "error",
			      "--scrub",
			      o->scrub ? "yes" : "no",
			      "--runner-threads",
			      threads,
			      "--spin",
			      o->spin,
			      NULL};
	int null = open("/dev/null", O_RDWR);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent || null < 0 || pst_bench_cpus_pin(o->cpu) < 0)
		_exit(126);
	if (!o->spin)
		argv[sizeof(argv) / sizeof(*argv) - 3] = NULL;
	snprintf(listen, sizeof(listen), "unix:%s", a->socket);
	snprintf(region, sizeof(region), "memfd:%" PRIu64, o->arena + BESIDE);
	snprintf(threads, sizeof(threads), "%u", o->threads);
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	execv(program, (char *const *)argv);
	_exit(127);
}

/* Asks until it answers. */
static int wait_until_up(struct pst_bench_agentproc *a)
{
	const struct pst_options options = {
		.size = sizeof(options),
		.flags = PST_OPEN_CONTROL_ONLY,
	};
	const struct timespec nap = {.tv_nsec = 5 * 1000 * 1000};
	const uint64_t start = pst_bench_now_ns();
	struct pst *c;
	int status;

	for (;;) {
		if (pst_open(a->endpoint, &options, &c, NULL, 0) == 0) {
			pst_close(c);
			return 0;
		}
		if (waitpid(a->pid, &status, WNOHANG) == a->pid) {
			a->pid = 0;
			return WIFEXITED(status) && WEXITSTATUS(status) == 127
				       ? -ENOENT
				       : -EIO;
		}
		if (pst_bench_now_ns() - start > START_NS)
			return -ETIMEDOUT;
		nanosleep(&nap, NULL);
	}
}

int pst_bench_agentproc_start(struct pst_bench_agentproc *a,
			      const char *program,
			      const struct pst_bench_agentproc_options *o)
{
	const char *env = getenv("PENSTOCK_AGENT");
	const pid_t parent = getpid();
	int r;

	*a = (struct pst_bench_agentproc){0};
	snprintf(a->dir, sizeof(a->dir), "/tmp/penstock-bench.XXXXXX");
	if (!mkdtemp(a->dir)) {
		a->dir[0] = '\0';
		return -errno;
	}
	snprintf(a->socket, sizeof(a->socket), "%s/agent", a->dir);
	snprintf(a->endpoint, sizeof(a->endpoint), "unix://%s", a->socket);
	strcpy(doomed_socket, a->socket);
	strcpy(doomed_dir, a->dir);
	a->pid = fork();
	if (a->pid == 0)
		child(a, env && *env ? env : program, o, parent);
	r = a->pid < 0 ? -errno : wait_until_up(a);
	if (r < 0)
		pst_bench_agentproc_stop(a);
	return r;
}

void pst_bench_agentproc_stop(struct pst_bench_agentproc *a)
{
	if (a->pid > 0) {
		kill(a->pid, SIGTERM);
		while (waitpid(a->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	if (a->dir[0]) {
		unlink(a->socket);
		rmdir(a->dir);
		doomed_dir[0] = '\0';
	}
	*a = (struct pst_bench_agentproc){0};
}

void pst_bench_agentproc_sweep(void)
{
	if (!doomed_dir[0])
		return;
	unlink(doomed_socket);
	rmdir(doomed_dir);
}

uint64_t pst_bench_cpu_time_ns(pid_t pid)
{
	char path[64];
	uint64_t sum = 0, ns;
	struct dirent *e;
	DIR *d;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		snprintf(path, sizeof(path), "/proc/%d/task/%.20s/schedstat",
			 pid, e->d_name);
		f = fopen(path, "re");
		if (!f)
			continue;
		if (fscanf(f, "%" SCNu64, &ns) == 1)
			sum += ns;
		fclose(f);
	}
	if (d)
		closedir(d);
	return sum;
}
