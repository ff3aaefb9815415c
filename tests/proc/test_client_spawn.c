/* SPDX-License-Identifier: MIT */
/* spawn: endpoints: a private agent's life, and the host program's children. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host-client/lib/session/conn.h"
#include "tests/fixtures/agent_proc.h"
#include "tests/fixtures/tmpdir.h"
#include "tests/fixtures/unit.h"

#define MS PST_NS_PER_MS

static struct pst *c;
static char text[400];

static void setup(void)
{
	setenv("PENSTOCK_AGENT", agent_program(), 1);
	tmpdir_make();
	c = NULL;
}

static int open_spawn(const char *uri)
{
	text[0] = '\0';
	return pst_open(uri, NULL, &c, text, sizeof(text));
}

static void check_works(void)
{
	void *p = NULL;

	ck_assert_int_eq(pst_alloc(c, 100, &p), 0);
	ck_assert_int_eq(pst_fill(c, p, 100, 5, 1, PST_HANG_NS, NULL), 0);
	ck_assert_int_eq(((uint8_t *)p)[99], 5);
	ck_assert_int_eq(pst_free(c, p), 0);
}

START_TEST(a_private_agent_works_and_leaves_no_child)
{
	ck_assert_msg(open_spawn("spawn:?size=64M&threads=1") == 0, "%s", text);
	check_works();
	ck_assert_uint_eq(c->session.welcome.file_size, 64 << 20);
	pst_close(c);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
	ck_assert_int_eq(errno, ECHILD);
}
END_TEST

START_TEST(a_private_agent_that_dies_is_replaced)
{
	pid_t first;
	int r;

	ck_assert_int_eq(open_spawn("spawn:?size=32M&threads=1"), 0);
	first = c->session.child;
	kill(first, SIGKILL);
	do
		r = pst_nop(c, PST_HANG_NS, NULL);
	while (r == -ECONNRESET);
	ck_assert_int_eq(r, 0);
	ck_assert_int_ne(c->session.child, first);
	check_works();
	pst_close(c);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
}
END_TEST

static volatile sig_atomic_t handled;

static void on_child(int sig)
{
	handled++;
}

START_TEST(the_host_programs_own_children_are_left_alone)
{
	pid_t mine;
	int status;

	signal(SIGCHLD, on_child);
	mine = fork();
	if (mine == 0)
		_exit(7);
	ck_assert_int_eq(open_spawn("spawn:?size=32M&threads=1"), 0);
	pst_close(c);
	ck_assert_int_eq(waitpid(mine, &status, 0), mine);
	ck_assert_int_eq(WEXITSTATUS(status), 7);
	ck_assert_int_gt(handled, 0);
	signal(SIGCHLD, SIG_DFL);
}
END_TEST

/* SIGKILLs to what had ended: the number may be another process's. */
static unsigned int n_late_kills;

/* In the C library's place, for the library too. */
int kill(pid_t pid, int sig)
{
	const int r = (int)syscall(SYS_kill, pid, sig);

	n_late_kills += sig == SIGKILL && r < 0;
	return r;
}

START_TEST(a_host_program_that_ignores_its_children_is_served)
{
	const uint64_t end = pst_now_ns() + PST_HANG_NS;
	pid_t pid;

	signal(SIGCHLD, SIG_IGN);
	ck_assert_int_eq(open_spawn("spawn:?size=32M&threads=1"), 0);
	check_works();
	/* Nobody hears of its end, and no other process may be killed for it:
	 * its number is free. */
	pid = c->session.child;
	ck_assert_int_eq(kill(pid, SIGTERM), 0);
	while (kill(pid, 0) == 0)
		ck_assert_uint_lt(pst_now_ns(), end);
	pst_close(c);
	ck_assert_uint_eq(n_late_kills, 0);
	signal(SIGCHLD, SIG_DFL);
}
END_TEST

START_TEST(an_agent_that_hangs_is_killed)
{
	uint64_t start;
	pid_t pid;

	ck_assert_int_eq(open_spawn("spawn:?size=32M&threads=1"), 0);
	pid = c->session.child;
	kill(pid, SIGSTOP);
	start = pst_now_ns();
	pst_close(c);
	ck_assert_uint_lt(pst_now_ns() - start, PST_HANG_NS);
	ck_assert_int_eq(kill(pid, 0), -1);
	ck_assert_int_eq(errno, ESRCH);
}
END_TEST

START_TEST(a_program_that_is_no_agent_gets_a_sentence)
{
	ck_assert_int_eq(open_spawn("spawn:?agent=/nonexistent/agent"),
			 -ENOENT);
	ck_assert_ptr_nonnull(strstr(text, "/nonexistent/agent"));
	ck_assert_int_eq(open_spawn("spawn:?agent=/bin/true"), -ECONNRESET);
	ck_assert_ptr_nonnull(strstr(text, "PENSTOCK_AGENT_LOG"));
	ck_assert_int_eq(open_spawn("spawn:?agent=/etc/passwd"), -EACCES);
	/* Smaller than a region can be. */
	ck_assert_int_eq(open_spawn("spawn:?size=2M"), -EINVAL);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
}
END_TEST

START_TEST(descriptors_of_the_host_program_stay_with_it)
{
	char path[64], link[64];
	int fd = open("/dev/zero", O_RDONLY), low[3], i;
	ssize_t n;

	/* Inheritable, and the numbers the agent gets its own at are free. */
	ck_assert_int_ge(fd, 0);
	ck_assert_int_ge(dup2(fd, 100), 0);
	for (i = 0; i < 3; i++)
		low[i] = dup(i);
	close(0);
	ck_assert_int_eq(open_spawn("spawn:?size=32M&threads=1"), 0);
	check_works();
	snprintf(path, sizeof(path), "/proc/%d/fd/100", (int)c->session.child);
	n = readlink(path, link, sizeof(link));
#ifdef HAVE_POSIX_SPAWN_FILE_ACTIONS_ADDCLOSEFROM_NP
	ck_assert_int_eq(n, -1);
#else
	(void)n;
#endif
	pst_close(c);
	for (i = 0; i < 3; i++)
		dup2(low[i], i);
}
END_TEST

/* A program that does something before it becomes the agent, if ever. */
static void script(const char *text_of_it, char uri[PATH_MAX + 64],
		   const char *more)
{
	const char *path = tmpdir_path("agent");
	char real[PATH_MAX];
	FILE *f = fopen(path, "we");

	ck_assert_ptr_nonnull(f);
	fprintf(f, "#!/bin/sh\n%s\n", text_of_it);
	ck_assert_int_eq(fclose(f), 0);
	ck_assert_int_eq(chmod(path, 0755), 0);
	ck_assert_ptr_nonnull(realpath(path, real));
	snprintf(uri, PATH_MAX + 64, "spawn:?size=8M&agent=%s%s", real, more);
}

START_TEST(what_is_preloaded_here_is_not_the_agents)
{
	char uri[PATH_MAX + 64], line[512];
	unsigned int kept = 0, spins = 0;
	FILE *f;

	script("env >\"${0%/*}/env\"\nexec \"$PENSTOCK_AGENT\" \"$@\"", uri,
	       "&threads=1");
	setenv("LD_PRELOAD", "libm.so.6", 1);
	setenv("PENSTOCK_BLAS", "force", 1);
	setenv("PENSTOCK_BLAS_MIN", "3", 1);
	setenv("PENSTOCK_KEPT", "1", 1);
	unsetenv("OPENBLAS_THREAD_TIMEOUT");
	ck_assert_msg(open_spawn(uri) == 0, "%s", text);
	check_works();
	pst_close(c);
	f = fopen(tmpdir_path("env"), "re");
	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f)) {
		ck_assert_ptr_null(strstr(line, "LD_PRELOAD"));
		ck_assert_ptr_null(strstr(line, "PENSTOCK_BLAS"));
		kept += strstr(line, "PENSTOCK_KEPT=1") != NULL;
		/* This program wants the processors, too. */
		spins += strstr(line, "OPENBLAS_THREAD_TIMEOUT=20") != NULL;
	}
	fclose(f);
	ck_assert_uint_eq(kept, 1);
	ck_assert_uint_eq(spins, 1);
}
END_TEST

START_TEST(an_agent_that_starts_slowly_is_waited_for)
{
	char uri[PATH_MAX + 64];

	/* Longer than the 5 s that others get. */
	script("sleep 5.5\nexec \"$PENSTOCK_AGENT\" \"$@\"", uri, "&threads=1");
	ck_assert_msg(open_spawn(uri) == 0, "%s", text);
	check_works();
	pst_close(c);
}
END_TEST

START_TEST(a_callers_timeout_ends_the_wait_for_an_agent)
{
	struct pst_options o = {.size = sizeof(o), .timeout_ns = 300 * MS};
	char uri[PATH_MAX + 64];

	script("exec sleep 1000", uri, "");
	ck_assert_int_eq(pst_open(uri, &o, &c, text, sizeof(text)), -ETIMEDOUT);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
	ck_assert_int_eq(errno, ECHILD);
}
END_TEST

START_TEST(an_agent_that_ends_says_why)
{
	char uri[PATH_MAX + 64];

	script("exec \"$PENSTOCK_AGENT\" \"$@\" --backend /nonexistent.so", uri,
	       "");
	ck_assert_int_lt(open_spawn(uri), 0);
	ck_assert_msg(strstr(text, "status 2") != NULL, "%s", text);
	script("exec \"$PENSTOCK_AGENT\" \"$@\" --numa-node 999", uri, "");
	ck_assert_int_lt(open_spawn(uri), 0);
	ck_assert_msg(strstr(text, "node") != NULL, "%s", text);
	script("kill -9 $$", uri, "");
	ck_assert_int_eq(open_spawn(uri), -ECONNRESET);
	ck_assert_msg(strstr(text, "signal 9") != NULL, "%s", text);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
}
END_TEST

static uint64_t bytes_of_region(void)
{
	struct stat st;

	ck_assert_int_eq(fstat(c->mem.map.fd, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

START_TEST(memory_is_taken_as_it_is_leased)
{
	void *p = NULL;

	ck_assert_msg(open_spawn("spawn:?size=256M&threads=1") == 0, "%s",
		      text);
	ck_assert_uint_lt(bytes_of_region(), 16 << 20);
	ck_assert_int_eq(pst_alloc(c, 32 << 20, &p), 0);
	/* All of it, though nothing has touched it. */
	ck_assert_uint_ge(bytes_of_region(), 36 << 20);
	ck_assert_uint_lt(bytes_of_region(), 64 << 20);
	ck_assert_int_eq(pst_free(c, p), 0);
	pst_close(c);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, tmpdir_remove);
	tcase_add_test(tc, a_private_agent_works_and_leaves_no_child);
	tcase_add_test(tc, a_private_agent_that_dies_is_replaced);
	tcase_add_test(tc, the_host_programs_own_children_are_left_alone);
	tcase_add_test(tc, a_host_program_that_ignores_its_children_is_served);
	tcase_add_test(tc, an_agent_that_hangs_is_killed);
	tcase_add_test(tc, a_program_that_is_no_agent_gets_a_sentence);
	tcase_add_test(tc, descriptors_of_the_host_program_stay_with_it);
	tcase_add_test(tc, what_is_preloaded_here_is_not_the_agents);
	tcase_add_test(tc, an_agent_that_starts_slowly_is_waited_for);
	tcase_add_test(tc, a_callers_timeout_ends_the_wait_for_an_agent);
	tcase_add_test(tc, an_agent_that_ends_says_why);
	tcase_add_test(tc, memory_is_taken_as_it_is_leased);
}

int main(void)
{
	return pst_unit_run("client_spawn", add, 120);
}
