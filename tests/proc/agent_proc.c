/* SPDX-License-Identifier: MIT */
/* A real penstock-agent on a region file, for tests that kill it. */
#include "tests/proc/agent_proc.h"

#include <check.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "transport/base/util.h"
#include "transport/region/region.h"
#include "transport/sock.h"

/* An agent measures its region at start, which takes a while on a busy
 * machine. */
#define START_NS (15 * PST_NS_PER_S)

const char *agent_program(void)
{
	static char path[PATH_MAX];
	const char *top = getenv("PST_TOP_BUILDDIR");

	snprintf(path, sizeof(path), "%s/guest-agent/penstock-agent",
		 top ? top : ".");
	return path;
}

/* Until somebody accepts. */
static void wait_listening(const struct agent_proc *a)
{
	uint64_t deadline = pst_now_ns() + START_NS;
	struct pst_error err = {0};
	struct pst_endpoint ep;
	int fd;

	ck_assert_int_eq(pst_endpoint_parse(a->uri, &ep, &err), 0);
	do {
		usleep(5000);
		fd = pst_sock_connect(&ep, PST_NS_PER_S, &err);
		ck_assert_msg(pst_now_ns() < deadline,
			      "the agent does not listen: %s; see %s", err.text,
			      a->log);
	} while (fd < 0);
	close(fd);
}

void agent_start(struct agent_proc *a)
{
	posix_spawn_file_actions_t fa;
	char region[80], socket[80];
	const char *argv[16] = {
		agent_program(), "--region", region,      "--listen", socket,
		"--threads",     "1",        "--backend", "cpu"};
	size_t n = 9, i;

	for (i = 0; i < PST_ARRAY_SIZE(a->extra) && a->extra[i]; i++)
		argv[n++] = a->extra[i];
	snprintf(region, sizeof(region), "file:%s", a->region);
	snprintf(socket, sizeof(socket), "unix:%s", a->socket);
	/* The kernel closes the listener of a killed agent's io_uring only
	 * some time later: until then it takes connections, and drops them. */
	unlink(a->socket);
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addopen(&fa, 2, a->log,
					 O_WRONLY | O_CREAT | O_APPEND, 0600);
	ck_assert_int_eq(posix_spawn(&a->pid, argv[0], &fa, NULL,
				     (char *const *)argv, environ),
			 0);
	posix_spawn_file_actions_destroy(&fa);
	wait_listening(a);
}

/* What tests left behind that failed, or were killed: PREFIX-PID... */
static void sweep(const char *pattern)
{
	glob_t g;
	size_t i;
	int pid;

	if (glob(pattern, 0, NULL, &g) != 0)
		return;
	for (i = 0; i < g.gl_pathc; i++) {
		pid = atoi(strrchr(g.gl_pathv[i], '-') + 1);
		if (pid > 0 && kill(pid, 0) < 0 && errno == ESRCH)
			unlink(g.gl_pathv[i]);
	}
	globfree(&g);
}

void agent_open(struct agent_proc *a, uint64_t size)
{
	const struct pst_region_create rc = {
		.file_size = size,
		.mode = 0600,
		.uid = (uid_t)-1,
		.gid = (gid_t)-1,
		.node = -1,
	};
	struct pst_error err = {0};
	uint8_t uuid[16];
	int fd, r;

	sweep("/dev/shm/pst-proc-*");
	sweep("/tmp/pst-proc-*");
	memset(a, 0, sizeof(*a));
	a->size = size;
	snprintf(a->region, sizeof(a->region), "/dev/shm/pst-proc-%d",
		 (int)getpid());
	snprintf(a->socket, sizeof(a->socket), "/tmp/pst-proc-%d.sock",
		 (int)getpid());
	snprintf(a->log, sizeof(a->log), "/tmp/pst-proc-%d.log", (int)getpid());
	snprintf(a->uri, sizeof(a->uri), "unix://%s?region=%s", a->socket,
		 a->region);
	r = pst_region_create_file(a->region, &rc, uuid, &err);
	ck_assert_msg(r == 0, "%s", err.text);
	fd = open(a->region, O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	a->file = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(a->file, MAP_FAILED);
	close(fd);
	agent_start(a);
}

void agent_kill(struct agent_proc *a)
{
	if (a->pid <= 0)
		return;
	kill(a->pid, SIGKILL);
	waitpid(a->pid, NULL, 0);
	a->pid = 0;
}

void agent_close(struct agent_proc *a)
{
	agent_kill(a);
	munmap(a->file, a->size);
	unlink(a->region);
	unlink(a->socket);
	unlink(a->log);
}

uint64_t anon_kb(pid_t pid)
{
	unsigned long long kb = 0;
	char path[64], line[128];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "r");
	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "RssAnon: %llu", &kb) == 1)
			break;
	fclose(f);
	ck_assert_uint_gt(kb, 0);
	return kb;
}

uint64_t json_number(const char *json, const char *name)
{
	char key[64];
	const char *p;

	snprintf(key, sizeof(key), "\"%s\":", name);
	p = strstr(json, key);
	ck_assert_msg(p != NULL, "no %s in %s", name, json);
	return strtoull(p + strlen(key), NULL, 10);
}
