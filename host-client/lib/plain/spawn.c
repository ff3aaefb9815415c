/* SPDX-License-Identifier: MIT */
/* spawn: endpoints: a private agent over a socketpair and a memfd. */
#include "host-client/lib/plain/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "transport/base/child.h"
#include "transport/region/region.h"

/* Where the agent finds its socket and its region. */
#define AGENT_SOCK_FD   3
#define AGENT_REGION_FD 4
/* Above any number that the child's descriptors are put at. */
#define AGENT_FREE_FD 10

static const char *agent_program(const struct pst_endpoint *ep)
{
	const char *env = secure_getenv("PENSTOCK_AGENT");

	if (ep->agent[0])
		return ep->agent;
	return env && *env ? env : PST_SBINDIR "/penstock-agent";
}

/* Whether the agent is not to have a variable of this program's. What is
 * preloaded here is meant for this program: an interposer of a BLAS, in the
 * agent, would start an agent for the agent's products, and so on. */
static bool is_private(const char *var)
{
	return strncmp(var, "LD_PRELOAD=", 11) == 0 ||
	       strncmp(var, "PENSTOCK_BLAS", 13) == 0;
}

/* Threads of OpenBLAS spin for tens of milliseconds after a product, and the
 * program here waits for the processors that they take. The agent's spin for
 * 2^20 cycles. */
static char spin_less[] = "OPENBLAS_THREAD_TIMEOUT=20";

/* The agent's environment, without the strings; NULL when out of memory. What
 * the user has set comes first. */
static char **child_environment(void)
{
	size_t i, n = 0;
	char **env;

	while (environ && environ[n])
		n++;
	env = calloc(n + 2, sizeof(*env));
	for (i = n = 0; env && environ && environ[i]; i++)
		if (!is_private(environ[i]))
			env[n++] = environ[i];
	if (env && !getenv("OPENBLAS_THREAD_TIMEOUT"))
		env[n] = spin_less;
	return env;
}

/* Where its messages go. */
static int open_log(struct pst_error *err)
{
	const char *log = secure_getenv("PENSTOCK_AGENT_LOG");
	int fd, r;

	if (!log || !*log)
		log = "/dev/null";
	fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0)
		return pst_error_set_errno(
			err, errno, "cannot open $PENSTOCK_AGENT_LOG, %s", log);
	r = pst_child_lift_fd(&fd, AGENT_FREE_FD);
	if (r == 0)
		return fd;
	close(fd);
	return pst_error_set_errno(err, r, "no free descriptor");
}

static int child_files(posix_spawn_file_actions_t *fa, int sock, int region,
		       int log)
{
	int r;

	r = posix_spawn_file_actions_addopen(fa, 0, "/dev/null", O_RDONLY, 0);
	if (!r)
		r = posix_spawn_file_actions_adddup2(fa, log, 1);
	if (!r)
		r = posix_spawn_file_actions_adddup2(fa, log, 2);
	if (!r)
		r = posix_spawn_file_actions_adddup2(fa, sock, AGENT_SOCK_FD);
	if (!r)
		r = posix_spawn_file_actions_adddup2(fa, region,
						     AGENT_REGION_FD);
#ifdef HAVE_POSIX_SPAWN_FILE_ACTIONS_ADDCLOSEFROM_NP
	/* The host program's descriptors are none of the agent's. */
	if (!r)
		r = posix_spawn_file_actions_addclosefrom_np(
			fa, AGENT_REGION_FD + 1);
#endif
	return r;
}

/* Returns 0 or a positive errno, as posix_spawn() does. */
static int start(const char *program, const struct pst_endpoint *ep, int sock,
		 int region, int log, pid_t *ret)
{
	char threads[16];
	const char *argv[] = {program,    "--serve-fd", "3",     "--region",
			      "sparse:4", NULL,         threads, NULL};
	PST_CLEANUP_FREE char **env = child_environment();
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t at;
	int r;

	static_assert(AGENT_SOCK_FD == 3 && AGENT_REGION_FD == 4,
		      "argv names them");
	snprintf(threads, sizeof(threads), "%u", ep->threads);
	if (ep->threads)
		argv[5] = "--threads";
	if (!env)
		return ENOMEM;
	r = posix_spawn_file_actions_init(&fa);
	if (r)
		return r;
	r = posix_spawnattr_init(&at);
	if (r)
		goto destroy_files;
	r = child_files(&fa, sock, region, log);
	if (!r)
		/* A session of its own: a terminal's interrupt is for the host
		 * program to handle. */
		r = pst_child_signals(&at, POSIX_SPAWN_SETSID);
	if (!r)
		r = posix_spawn(ret, program, &fa, &at, (char *const *)argv,
				env);
	posix_spawnattr_destroy(&at);
destroy_files:
	posix_spawn_file_actions_destroy(&fa);
	return r;
}

int pst_spawn(const struct pst_endpoint *ep, int *ret_sock, int *ret_region,
	      pid_t *ret_child, struct pst_error *err)
{
	const char *program = agent_program(ep);
	PST_CLEANUP_FD int region = -1;
	PST_CLEANUP_FD int ours = -1;
	PST_CLEANUP_FD int theirs = -1;
	PST_CLEANUP_FD int log = -1;
	int sv[2], r;

	r = pst_region_create_sparse(ep->size ? ep->size : PST_SPAWN_SIZE,
				     &region, err);
	if (r < 0)
		return r;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0)
		return pst_error_set_errno(err, errno,
					   "cannot make a socket pair");
	ours = sv[0];
	theirs = sv[1];
	r = pst_child_lift_fd(&theirs, AGENT_FREE_FD);
	if (!r)
		r = pst_child_lift_fd(&region, AGENT_FREE_FD);
	if (r < 0)
		return pst_error_set_errno(err, r, "no free descriptor");
	log = open_log(err);
	if (log < 0)
		return log;
	r = start(program, ep, theirs, region, log, ret_child);
	if (r)
		return pst_error_set_errno(err, r, "cannot start the agent %s",
					   program);
	*ret_sock = ours;
	*ret_region = region;
	ours = region = -1;
	return 0;
}

/* Whether pid is over and reaped, by whomever; *ret_status is its wait status,
 * or -1: others have it. */
static bool is_over(pid_t pid, int *ret_status)
{
	pid_t r;

	do
		r = waitpid(pid, ret_status, WNOHANG);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		*ret_status = -1;
	return r != 0;
}

static bool wait_until(pid_t pid, uint64_t deadline_ns, int *ret_status)
{
	struct timespec nap = {.tv_nsec = 200 * 1000};

	while (!is_over(pid, ret_status)) {
		if (pst_now_ns() >= deadline_ns)
			return false;
		nanosleep(&nap, NULL);
		if (nap.tv_nsec < 10 * 1000 * 1000)
			nap.tv_nsec *= 2;
	}
	return true;
}

void pst_spawn_reap(pid_t pid, uint64_t timeout_ns)
{
	int status;

	if (pid <= 0 || wait_until(pid, pst_now_ns() + timeout_ns, &status))
		return;
	/* It is our child and not reaped yet, so pid is still its number. */
	kill(pid, SIGKILL);
	/* A process in an uninterruptible state is left to init. */
	(void)wait_until(pid, pst_now_ns() + PST_NS_PER_S, &status);
}

int pst_spawn_ended(pid_t *pid, uint64_t timeout_ns, struct pst_error *err)
{
	static const char where[] = "set $PENSTOCK_AGENT_LOG to a file to "
				    "keep its messages";
	int status;

	if (!wait_until(*pid, pst_now_ns() + timeout_ns, &status))
		return pst_error_set(err, -ECONNRESET,
				     "the agent closed its socket at once; %s",
				     where);
	*pid = 0;
	if (status >= 0 && WIFSIGNALED(status))
		return pst_error_set(err, -ECONNRESET,
				     "the agent was ended by signal %d; %s",
				     WTERMSIG(status), where);
	if (status >= 0 && WIFEXITED(status))
		return pst_error_set(err, -ECONNRESET,
				     "the agent ended at once with status %d; "
				     "%s",
				     WEXITSTATUS(status), where);
	return pst_error_set(err, -ECONNRESET, "the agent ended at once; %s",
			     where);
}
