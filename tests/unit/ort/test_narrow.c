/* SPDX-License-Identifier: MIT */
/* What the runner of models cannot do any more, and still can. */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest-agent/runner/narrow.h"
#include "tests/fixtures/unit.h"

static void *nothing(void *arg)
{
	return arg;
}

/* In a child: how many of the calls did not end as they should. */
static int try_calls(pid_t other)
{
	struct pst_error err;
	const int file = memfd_create("file", 0);
	int wrong = 0;
	pthread_t t;
	void *p;

	wrong += ftruncate(file, 4096) != 0;
	if (pst_runner_narrow(0, false, &err) < 0)
		return 100;
	wrong += open("/dev/null", O_RDONLY) >= 0 || errno != EPERM;
	wrong += fork() >= 0 || errno != EPERM;
	wrong += kill(other, 0) == 0 || errno != EPERM;
	wrong += syscall(SYS_tgkill, other, other, 0) == 0 || errno != EPERM;
	wrong += syscall(SYS_tgkill, getpid(), (pid_t)syscall(SYS_gettid), 0) !=
		 0;
	/* A thread begins nothing outside. */
	wrong += pthread_create(&t, NULL, nothing, NULL) != 0 ||
		 pthread_join(t, NULL) != 0;
	/* Without the filter the kernel calls these invalid. */
	wrong += syscall(SYS_clone, CLONE_THREAD, 0, 0, 0, 0) >= 0 ||
		 errno != EPERM;
	wrong += syscall(SYS_clone, CLONE_THREAD | CLONE_NEWUSER, 0, 0, 0, 0) >=
			 0 ||
		 errno != EPERM;
	/* Files that are handed over can be read, and no more. */
	wrong += fcntl(file, F_GET_SEALS) < 0;
	wrong += fcntl(file, F_DUPFD, 0) >= 0 || errno != EPERM;
	p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, file, 0);
	wrong += p == MAP_FAILED;
	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	wrong += p != MAP_FAILED || errno != EPERM;
	p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, file, 0);
	wrong += p != MAP_FAILED || errno != EPERM;
	return wrong;
}

START_TEST(nobody_else_can_be_reached_by_a_signal)
{
	const pid_t self = getpid();
	int status = -1;
	pid_t child = fork();

	ck_assert_int_ge(child, 0);
	if (child == 0)
		_exit(try_calls(self));
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 0);
}
END_TEST

/* A card's driver opens its devices and makes code, and that is all. */
START_TEST(a_driver_may_open_files_and_begins_nothing)
{
	struct pst_error err;
	int status = -1, wrong = 0;
	pid_t child = fork();
	void *p;

	ck_assert_int_ge(child, 0);
	if (child == 0) {
		if (pst_runner_narrow(0, true, &err) < 0)
			_exit(100);
		wrong += open("/dev/null", O_RDONLY) < 0;
		p = mmap(NULL, 4096, PROT_READ | PROT_EXEC,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		wrong += p == MAP_FAILED;
		wrong += fork() >= 0 || errno != EPERM;
		wrong += socket(AF_UNIX, SOCK_STREAM, 0) >= 0 || errno != EPERM;
		wrong += kill(getppid(), 0) == 0 || errno != EPERM;
		_exit(wrong);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 0);
}
END_TEST

/* abort() is how libraries end. */
START_TEST(it_can_still_end_itself)
{
	struct pst_error err;
	int status = -1;
	pid_t child = fork();

	ck_assert_int_ge(child, 0);
	if (child == 0) {
		if (pst_runner_narrow(0, false, &err) == 0)
			abort();
		_exit(1);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(WTERMSIG(status), SIGABRT);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, nobody_else_can_be_reached_by_a_signal);
	tcase_add_test(tc, a_driver_may_open_files_and_begins_nothing);
	tcase_add_test(tc, it_can_still_end_itself);
}

int main(void)
{
	return pst_unit_run("narrow", add, 20);
}
