/* SPDX-License-Identifier: MIT */
/* Measures a peer once, by the script bench/peers/run. */
#include "bench/gates/peerproc.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* The script's answer when a peer is not installed. */
#define NOT_INSTALLED 77

/* For the handler only: 0 when none runs. */
static volatile sig_atomic_t running;

/* Starts the script. Returns a positive errno or 0, its output and process. */
static int start(const char *script, const char *const argv[], FILE **ret,
		 pid_t *ret_pid)
{
	posix_spawn_file_actions_t fa;
	int fds[2], r;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return errno;
	r = posix_spawn_file_actions_init(&fa);
	if (!r) {
		r = posix_spawn_file_actions_adddup2(&fa, fds[1], 1);
		if (!r)
			r = posix_spawn(ret_pid, script, &fa, NULL,
					(char *const *)argv, environ);
		posix_spawn_file_actions_destroy(&fa);
	}
	running = r ? 0 : *ret_pid;
	close(fds[1]);
	*ret = r ? NULL : fdopen(fds[0], "r");
	if (!*ret)
		close(fds[0]);
	return r;
}

int pst_bench_peer_run(struct pst_bench_gate *g, const char *peer,
		       const char *test, uint64_t size, double *ret)
{
	char number[24], client[12], server[12], line[256];
	const char *const argv[] = {g->peers, peer,   test, number,
				    client,   server, NULL};
	double figure = -1, v;
	int r, status = 0;
	FILE *out;
	pid_t pid;

	snprintf(number, sizeof(number), "%" PRIu64, size);
	snprintf(client, sizeof(client), "%d", g->cpus.client);
	snprintf(server, sizeof(server), "%d", g->cpus.peer);
	/* It pins its own processes, and has to be able to. */
	pst_bench_cpus_unpin(&g->cpus);
	r = start(g->peers, argv, &out, &pid);
	pst_bench_cpus_pin(g->cpus.client);
	if (r)
		return pst_bench_gate_why(
			g, -EIO,
			"%s cannot be run (PENSTOCK_PEERS names "
			"another)",
			g->peers);
	while (out && fgets(line, sizeof(line), out))
		if (sscanf(line, "%lf", &v) == 1)
			figure = v;
	if (out)
		fclose(out);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	running = 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_INSTALLED)
		return pst_bench_gate_why(
			g, -ENODEV, "%s is not installed (./bootstrap peers)",
			peer);
	if (status != 0 || figure <= 0)
		return pst_bench_gate_why(g, -EIO, "%s %s %s failed", peer,
					  test, number);
	*ret = figure;
	return 0;
}

void pst_bench_peer_sweep(void)
{
	if (running > 0)
		kill((pid_t)running, SIGTERM);
}
