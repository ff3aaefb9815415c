/* SPDX-License-Identifier: MIT */
/* Starts, recognises and ends the demo's processes. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "host-client/cli/demo/demo.h"

/* Field 22 counts from 1; the state is field 3, the first behind the name. */
#define FIELDS_FROM_STATE_TO_START 19
/* The interval for polling a process if the kernel lacks pidfd. */
#define POLL_NS (20 * PST_NS_PER_MS)

static volatile sig_atomic_t seen_signal;
static volatile pid_t watched;

/* ---- Identity ----------------------------------------------------------- */

int pst_demo_parse_stat(const char *text, char *ret_state, uint64_t *ret_start)
{
	const char *p = strrchr(text, ')');
	char *end;
	char state;
	int i;

	if (!p || p[1] != ' ' || !p[2] || p[3] != ' ')
		return -EPROTO;
	p += 2;
	state = *p;
	for (i = 0; i < FIELDS_FROM_STATE_TO_START; i++) {
		p = strchr(p, ' ');
		if (!p)
			return -EPROTO;
		p++;
	}
	errno = 0;
	*ret_start = strtoull(p, &end, 10);
	if (end == p || *end != ' ' || errno)
		return -EPROTO;
	*ret_state = state;
	return 0;
}

static int read_stat(pid_t pid, char *ret_state, uint64_t *ret_start)
{
	char path[64], text[1024];

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if (pst_read_text(path, text, sizeof(text)) < 0 ||
	    pst_demo_parse_stat(text, ret_state, ret_start))
		return -ESRCH;
	return 0;
}

int pst_demo_proc_identify(pid_t pid, struct pst_demo_proc *ret)
{
	uint64_t start;
	char state;

	if (pid <= 0 || read_stat(pid, &state, &start) || state == 'Z' ||
	    state == 'X')
		return -ESRCH;
	ret->pid = pid;
	ret->start = start;
	return 0;
}

bool pst_demo_proc_alive(const struct pst_demo_proc *p)
{
	struct pst_demo_proc now;

	return p->pid > 0 && pst_demo_proc_identify(p->pid, &now) == 0 &&
	       now.start == p->start;
}

/* ---- Ending ------------------------------------------------------------- */

/*
 * Whether p is over, a child of ours also reaped: until then its memory may
 * still be there, threads of a killed program end one by one. Signals are
 * blocked, as the handler must not kill a number that is free again.
 */
static bool gone(const struct pst_demo_proc *p)
{
	sigset_t all, old;
	uint64_t start;
	char state;
	pid_t r;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &old);
	r = waitpid(p->pid, NULL, WNOHANG);
	if (r == p->pid && watched == p->pid)
		watched = 0;
	sigprocmask(SIG_SETMASK, &old, NULL);
	if (r == p->pid)
		return true;
	if (read_stat(p->pid, &state, &start) || start != p->start)
		return true;
	return r < 0 && (state == 'Z' || state == 'X');
}

static int send_signal(int pidfd, pid_t pid, int sig)
{
	if (pidfd >= 0)
		return (int)syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0);
	return kill(pid, sig);
}

int pst_demo_proc_end(struct pst_demo_proc *p, int sig, uint64_t timeout_ns)
{
	PST_CLEANUP_FD int pidfd = -1;
	uint64_t deadline = pst_now_ns() + timeout_ns;
	struct timespec pause = {.tv_nsec = POLL_NS};
	struct pollfd pfd;

	if (p->pid <= 0)
		return 0;
	/* Opened before the check: from there on it means that process. */
	pidfd = (int)syscall(SYS_pidfd_open, p->pid, 0);
	if (!gone(p) && sig && send_signal(pidfd, p->pid, sig) &&
	    errno != ESRCH)
		return -errno;
	while (!gone(p)) {
		if (pst_now_ns() >= deadline)
			return -ETIMEDOUT;
		pfd = (struct pollfd){.fd = pidfd, .events = POLLIN};
		if (pidfd >= 0)
			ppoll(&pfd, 1, &pause, NULL);
		else
			nanosleep(&pause, NULL);
	}
	*p = (struct pst_demo_proc){0};
	return 0;
}

bool pst_demo_proc_ended(struct pst_demo_proc *p)
{
	if (p->pid <= 0)
		return true;
	if (!gone(p))
		return false;
	*p = (struct pst_demo_proc){0};
	return true;
}

/* ---- Starting ----------------------------------------------------------- */

/* In the child, after fork: only async-signal-safe calls. */
static void run_child(char *const argv[], int null_fd, int log_fd, int report,
		      bool tied, pid_t parent)
{
	static const struct rlimit no_core;
	sigset_t none;
	int e;

	/* The parent may have died before the tie was made: then exit. */
	if (tied && (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent))
		_exit(127);
	setsid();
	setrlimit(RLIMIT_CORE, &no_core);
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	signal(SIGHUP, SIG_DFL);
	signal(SIGPIPE, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (dup2(null_fd, 0) >= 0 && dup2(log_fd, 1) >= 0 &&
	    dup2(log_fd, 2) >= 0)
		execvp(argv[0], argv);
	e = errno;
	if (write(report, &e, sizeof(e)) < 0)
		_exit(126);
	_exit(127);
}

int pst_demo_proc_start(char *const argv[], const char *log_path, bool tied,
			struct pst_demo_proc *ret, struct pst_error *err)
{
	PST_CLEANUP_FD int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	PST_CLEANUP_FD int log_fd =
		open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	PST_CLEANUP_FD int report_r = -1;
	PST_CLEANUP_FD int report_w = -1;
	pid_t parent = getpid(), pid;
	int pipefd[2], e;

	if (null_fd < 0 || log_fd < 0 || pipe2(pipefd, O_CLOEXEC))
		return pst_error_set_errno(err, errno, "cannot start %s",
					   argv[0]);
	report_r = pipefd[0];
	report_w = pipefd[1];
	pid = fork();
	if (pid < 0)
		return pst_error_set_errno(err, errno, "cannot fork for %s",
					   argv[0]);
	if (pid == 0)
		run_child(argv, null_fd, log_fd, report_w, tied, parent);
	close(report_w);
	report_w = -1;
	/* End of file: exec closed the other end, the program runs. */
	if (TEMP_FAILURE_RETRY(read(report_r, &e, sizeof(e))) ==
	    (ssize_t)sizeof(e)) {
		waitpid(pid, NULL, 0);
		return pst_error_set_errno(err, e, "cannot run %s", argv[0]);
	}
	if (pst_demo_proc_identify(pid, ret)) {
		waitpid(pid, NULL, 0);
		return pst_error_set(err, -ECHILD, "%s ended at once", argv[0]);
	}
	return 0;
}

/* ---- Signals ------------------------------------------------------------ */

static void on_signal(int sig)
{
	pid_t pid = watched;

	seen_signal = sig;
	if (pid > 0)
		kill(pid, SIGKILL);
}

void pst_demo_signals_init(void)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	/* No SA_RESTART: sleeps shall end. */
	struct sigaction sa = {.sa_handler = on_signal}, old;
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(signals); i++) {
		/* nohup and the shell's & want theirs ignored. */
		if (sigaction(signals[i], NULL, &old) == 0 &&
		    old.sa_handler != SIG_IGN)
			sigaction(signals[i], &sa, NULL);
	}
}

void pst_demo_signals_watch(pid_t pid)
{
	watched = pid;
	/* One that came in between has not killed it. */
	if (seen_signal && pid > 0)
		kill(pid, SIGKILL);
}

int pst_demo_signals_seen(void)
{
	return seen_signal;
}

bool pst_demo_signals_sleep(uint64_t ns)
{
	struct timespec ts = {
		.tv_sec = (time_t)(ns / PST_NS_PER_S),
		.tv_nsec = (long)(ns % PST_NS_PER_S),
	};

	if (!seen_signal)
		nanosleep(&ts, NULL);
	return seen_signal != 0;
}
