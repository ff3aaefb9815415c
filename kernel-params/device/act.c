/* SPDX-License-Identifier: MIT */
/* Writes to attributes of sysfs, in a child of which the caller can tire. */
#include "kernel-params/device/act.h"

#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define POLL_NS (5 * PST_NS_PER_MS)

void pst_host_act_pause(uint64_t ns)
{
	struct timespec t = {.tv_sec = (time_t)(ns / PST_NS_PER_S),
			     .tv_nsec = (long)(ns % PST_NS_PER_S)};

	while (nanosleep(&t, &t) < 0 && errno == EINTR)
		;
}

void pst_host_act_begin(sigset_t *ret)
{
	sigset_t held;

	sigemptyset(&held);
	sigaddset(&held, SIGHUP);
	sigaddset(&held, SIGINT);
	sigaddset(&held, SIGTERM);
	sigprocmask(SIG_BLOCK, &held, ret);
}

void pst_host_act_end(const sigset_t *former)
{
	sigprocmask(SIG_SETMASK, former, NULL);
}

/* The child: its exit code is the errno. */
static int put(const struct pst_host_root *root, const char *path, uint64_t off,
	       const void *bytes, size_t n)
{
	int fd = openat(root->fd, path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
	ssize_t done;

	if (fd < 0)
		return errno;
	done = off ? pwrite(fd, bytes, n, (off_t)off) : write(fd, bytes, n);
	return done < 0 ? errno : (size_t)done == n ? 0 : EIO;
}

int pst_host_act_bytes(const struct pst_host_root *root, const char *path,
		       uint64_t off, const void *bytes, size_t n,
		       uint64_t timeout_ns, struct pst_error *err)
{
	const uint64_t deadline = pst_now_ns() + timeout_ns;
	pid_t child, ended;
	int status = 0;

	path += *path == '/';
	child = fork();
	if (child < 0)
		return pst_error_set_errno(err, errno, "cannot fork");
	if (child == 0)
		_exit(put(root, path, off, bytes, n));
	while ((ended = waitpid(child, &status, WNOHANG)) == 0 &&
	       pst_now_ns() < deadline)
		pst_host_act_pause(POLL_NS);
	if (ended == 0)
		return pst_error_set(err, -ETIMEDOUT,
				     "the kernel is still busy with /%s after "
				     "%u s (process %ld waits for it)",
				     path,
				     (unsigned int)(timeout_ns / PST_NS_PER_S),
				     (long)child);
	if (ended != child || !WIFEXITED(status))
		return pst_error_set(err, -EIO, "writing to /%s was cut off",
				     path);
	if (WEXITSTATUS(status))
		return pst_error_set_errno(err, WEXITSTATUS(status),
					   "cannot write to /%s", path);
	return 0;
}

int pst_host_act_write(const struct pst_host_root *root, const char *path,
		       const char *text, struct pst_error *err)
{
	return pst_host_act_bytes(root, path, 0, text, strlen(text),
				  PST_HOST_ACT_NS, err);
}
