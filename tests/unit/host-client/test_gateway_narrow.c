/* SPDX-License-Identifier: MIT */
/* What the gateway cannot do once it serves, and what it still can. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "host-client/gateway/http/narrow.h"
#include "tests/fixtures/unit.h"
#include "transport/base/thread.h"

/* For the child, which returns the line that is not so: below 256. */
#define DENIED(what)                                                           \
	do {                                                                   \
		errno = 0;                                                     \
		if ((long)(what) != -1 || errno != EPERM)                      \
			return __LINE__;                                       \
	} while (0)
#define WORKS(what)                                                            \
	do {                                                                   \
		if (!(what))                                                   \
			return __LINE__;                                       \
	} while (0)

/* In a child: the framework's own end takes more than is left. */
static void in_child(int (*f)(void))
{
	int status = -1;
	pid_t child = fork();

	ck_assert_int_ge(child, 0);
	if (child == 0)
		_exit(pst_gw_narrow(NULL) < 0 ? 255 : f());
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status));
	ck_assert_msg(WEXITSTATUS(status) == 0, "line %d", WEXITSTATUS(status));
}

static const char *const no_words[] = {NULL};

static int start_processes(void)
{
	/* A program that were there would end the test, and well. */
	DENIED(syscall(SYS_execve, "/none", no_words, no_words));
	DENIED(syscall(SYS_execveat, AT_FDCWD, "/none", no_words, no_words, 0));
	DENIED(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
	DENIED(syscall(SYS_ptrace, 0, 0, 0, 0));
	DENIED(kill(getppid(), 0));
	DENIED(syscall(SYS_tgkill, getppid(), getppid(), 0));
	return 0;
}

START_TEST(it_starts_no_program_and_no_process)
{
	in_child(start_processes);
}
END_TEST

static int reach_network(void)
{
	DENIED(socket(AF_INET, SOCK_STREAM, 0));
	DENIED(socket(AF_INET6, SOCK_DGRAM, 0));
	DENIED(socket(AF_NETLINK, SOCK_RAW, 0));
	DENIED(socket(AF_PACKET, SOCK_RAW, 0));
	return 0;
}

START_TEST(it_reaches_no_network)
{
	in_child(reach_network);
}
END_TEST

static int make_files(void)
{
	DENIED(open("/tmp/x", O_WRONLY | O_CREAT, 0600));
	DENIED(open("/dev/null", O_WRONLY | O_TRUNC));
	DENIED(open("/tmp", O_WRONLY | O_TMPFILE, 0600));
	DENIED(syscall(SYS_mkdirat, AT_FDCWD, "/tmp/x", 0700));
	DENIED(syscall(SYS_renameat2, AT_FDCWD, "/tmp/x", AT_FDCWD, "/tmp/y",
		       0));
	DENIED(syscall(SYS_fchmod, 0, 0777));
	DENIED(prctl(PR_SET_DUMPABLE, 1));
	DENIED(mmap(NULL, 4096, PROT_READ | PROT_EXEC,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	return 0;
}

START_TEST(it_makes_no_file_and_no_code)
{
	in_child(make_files);
}
END_TEST

static void *answer(void *arg)
{
	return arg;
}

static int serve(void)
{
	pthread_t thread;
	void *got = NULL;
	int fds[2];

	WORKS(open("/proc/self/status", O_RDONLY | O_CLOEXEC) >= 0);
	WORKS(open("/dev/null", O_RDWR | O_CLOEXEC) >= 0);
	fds[0] = eventfd(1, EFD_CLOEXEC);
	WORKS(fds[0] >= 0 && read(fds[0], &(uint64_t){0}, 8) == 8);
	WORKS(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) >= 0);
	WORKS(pst_thread_start(&thread, NULL, answer, &got) == 0);
	WORKS(pthread_join(thread, &got) == 0 && got);
	return 0;
}

START_TEST(it_still_serves)
{
	in_child(serve);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, it_starts_no_program_and_no_process);
	tcase_add_test(tc, it_reaches_no_network);
	tcase_add_test(tc, it_makes_no_file_and_no_code);
	tcase_add_test(tc, it_still_serves);
}

int main(void)
{
	return pst_unit_run("gateway_narrow", add, 10);
}
