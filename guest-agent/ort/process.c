/* SPDX-License-Identifier: MIT */
/* The runner's process: starts it, speaks to it, ends it. */
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "guest-agent/ort/ort_int.h"
#include "transport/base/child.h"

/* The pause before a second start, and the longest. */
#define PAUSE_NS      (100 * PST_NS_PER_MS)
#define PAUSE_MOST_NS (10 * PST_NS_PER_S)
/* Whoever ran so long gets a short pause again. */
#define STEADY_NS (30 * PST_NS_PER_S)

static int child_files(posix_spawn_file_actions_t *fa, int sock)
{
	int r;

	r = posix_spawn_file_actions_addopen(fa, 0, "/dev/null", O_RDONLY, 0);
	if (!r)
		r = posix_spawn_file_actions_addopen(fa, 1, "/dev/null",
						     O_WRONLY, 0);
	/* stderr stays the agent's: a loader's complaint belongs in its log. */
	if (!r)
		r = posix_spawn_file_actions_adddup2(fa, sock,
						     PST_RUNNER_SOCKET);
#ifdef HAVE_POSIX_SPAWN_FILE_ACTIONS_ADDCLOSEFROM_NP
	if (!r)
		r = posix_spawn_file_actions_addclosefrom_np(
			fa, PST_RUNNER_SOCKET + 1);
#endif
	return r;
}

/* Returns 0 or a positive errno, as posix_spawn() does. */
static int spawn(const char *program, int sock, pid_t *ret)
{
	/* Of the agent's environment only what finds libraries and names. */
	const char *path = getenv("LD_LIBRARY_PATH");
	char libraries[4096];
	char *const argv[] = {(char *)(uintptr_t)program, NULL};
	char locale[] = "LC_ALL=C.UTF-8";
	char *env[] = {locale, NULL, NULL};
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t at;
	int r;

	if (path &&
	    (size_t)snprintf(libraries, sizeof(libraries), "LD_LIBRARY_PATH=%s",
			     path) < sizeof(libraries))
		env[1] = libraries;
	r = posix_spawn_file_actions_init(&fa);
	if (r)
		return r;
	r = posix_spawnattr_init(&at);
	if (!r) {
		r = child_files(&fa, sock);
		if (!r)
			r = pst_child_signals(&at, 0);
		if (!r)
			r = posix_spawn(ret, program, &fa, &at, argv, env);
		posix_spawnattr_destroy(&at);
	}
	posix_spawn_file_actions_destroy(&fa);
	return r;
}

int pst_ort_process_send(const struct pst_ort *o, const void *message,
			 size_t size, const int *fds, unsigned int n_fds)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int) * PST_RUNNER_FILES)];
	} control = {0};
	struct iovec iov = {(void *)(uintptr_t)message, size};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *c;

	if (n_fds) {
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
	}
	/* One request is under way at a time, so that there is room. */
	return sendmsg(o->process.socket, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0
		       ? -errno
		       : 0;
}

static int greet(struct pst_ort *o)
{
	const struct pst_ort_config *c = &o->config;
	struct pst_runner_start s = {
		.type = PST_RUNNER_START,
		.version = PST_RUNNER_VERSION,
		.map_off = c->arena_off,
		.map_size = c->arena_size,
		.threads = c->threads,
		.gpu = c->gpu,
		.gpu_memory = c->gpu_memory,
		.max_memory = c->max_memory,
	};
	const int fds[PST_RUNNER_N_FDS] = {
		[PST_RUNNER_FD_ARENA] = c->arena_fd,
		[PST_RUNNER_FD_MAILBOX] = o->mailbox_fd,
		[PST_RUNNER_FD_DOOR] = o->door,
		[PST_RUNNER_FD_BELL] = o->bell,
		[PST_RUNNER_FD_STOP] = o->stop,
	};

	snprintf(s.library, sizeof(s.library), "%s", c->library);
	return pst_ort_process_send(o, &s, sizeof(s), fds, PST_RUNNER_N_FDS);
}

int pst_ort_process_start(struct pst_ort *o, struct pst_error *err)
{
	struct pst_ort_process *p = &o->process;
	struct epoll_event event = {.events = EPOLLIN};
	PST_CLEANUP_FD int theirs = -1;
	int sv[2], r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv))
		return pst_error_set_errno(err, errno, "cannot make a socket");
	p->socket = sv[0];
	theirs = sv[1];
	memset(o->mailbox, 0, sizeof(*o->mailbox));
	o->n_calls = 0;
	/* A dup2 onto itself would leave it close-on-exec. */
	r = pst_child_lift_fd(&theirs, PST_RUNNER_SOCKET + 1);
	if (r == 0)
		r = -spawn(o->config.program, theirs, &p->pid);
	if (r == 0) {
		p->state = PST_ORT_STARTING;
		p->greeted = false;
		p->since_ns = pst_ort_now(o);
		if (epoll_ctl(o->epoll, EPOLL_CTL_ADD, p->socket, &event))
			r = -errno;
		else
			r = greet(o);
		if (r == 0)
			return 0;
		pst_ort_process_kill(o, "it could not be spoken to");
	} else {
		close(p->socket);
		p->socket = -1;
	}
	return pst_error_set_errno(err, -r, "cannot start %s",
				   o->config.program);
}

void pst_ort_process_kill(struct pst_ort *o, const char *why)
{
	struct pst_ort_process *p = &o->process;

	if (p->state == PST_ORT_NONE || p->state == PST_ORT_DYING)
		return;
	p->blamed = why;
	if (why)
		snprintf(o->about, sizeof(o->about), "%s", why);
	kill(p->pid, SIGKILL);
	close(p->socket);
	p->socket = -1;
	p->state = PST_ORT_DYING;
}

static void describe_end(struct pst_ort *o, int status)
{
	if (WIFSIGNALED(status))
		snprintf(o->about, sizeof(o->about),
			 "the runner of models was ended by signal %d",
			 WTERMSIG(status));
	else
		snprintf(o->about, sizeof(o->about),
			 "the runner of models ended with status %d",
			 WEXITSTATUS(status));
}

bool pst_ort_process_reap(struct pst_ort *o)
{
	struct pst_ort_process *p = &o->process;
	const uint64_t now_ns = pst_ort_now(o);
	int status = 0;

	if (p->state != PST_ORT_DYING || waitpid(p->pid, &status, WNOHANG) == 0)
		return false;
	if (!p->blamed)
		describe_end(o, status);
	p->state = PST_ORT_NONE;
	if (now_ns - p->since_ns > STEADY_NS || p->pause_ns == 0)
		p->pause_ns = PAUSE_NS;
	p->restart_ns = now_ns + p->pause_ns;
	if (p->pause_ns < PAUSE_MOST_NS)
		p->pause_ns *= 2;
	return true;
}
