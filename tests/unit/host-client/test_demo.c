/* SPDX-License-Identifier: MIT */
/* The demo's parts that need no guest: command line, QMP, state. */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "host-client/cli/demo/demo.h"
#include "tests/fixtures/sleeper.h"
#include "tests/fixtures/unit.h"

/* ---- Command line ------------------------------------------------------- */

static struct pst_demo_guest guest(void)
{
	return (struct pst_demo_guest){
		.config =
			{
				.name = "penstock-demo",
				.emulator = "qemu",
				.emulated = true,
				.memory = 512ULL << 20,
				.memory_from = PST_VM_MEMORY_PLAIN,
				.vcpus = 2,
				.node = -1,
				.kernel = "/i/vmlinuz",
				.initrd = "/i/initrd.img",
				.vsock_socket = "/run/d/vhost.sock",
				.serial_log = "/run/d/serial.log",
				.region =
					{
						.via = PST_VM_VIA_IVSHMEM,
						.path = "/dev/shm/r",
						.size = 64ULL << 20,
						.node = -1,
					},
			},
		.dir = "/run/d",
	};
}

/* The argument behind the first one that equals option, and has that text. */
static const char *value_of(const struct pst_vm_argv *a, const char *option,
			    const char *containing)
{
	size_t i;

	for (i = 0; i + 1 < a->n; i++)
		if (strcmp(a->v[i], option) == 0 &&
		    strstr(a->v[i + 1], containing))
			return a->v[i + 1];
	return NULL;
}

START_TEST(command_line_shares_the_region_and_the_guests_memory)
{
	const struct pst_demo_guest g = guest();
	struct pst_vm_argv a;

	ck_assert_int_eq(pst_demo_argv(&g, &a, NULL), 0);
	ck_assert_ptr_null(a.v[a.n]);
	ck_assert_str_eq(value_of(&a, "-object", "id=penstock-region"),
			 "memory-backend-file,id=penstock-region,share=on,"
			 "mem-path=/dev/shm/r,size=67108864");
	ck_assert_str_eq(value_of(&a, "-object", "id=ram"),
			 "memory-backend-memfd,id=ram,size=536870912,share=on");
	ck_assert_ptr_nonnull(value_of(&a, "-cpu", "max"));
	ck_assert_ptr_nonnull(value_of(&a, "-sandbox", "spawn=deny"));
	ck_assert_str_eq(value_of(&a, "-chardev", "id=qmp"),
			 "socket,id=qmp,path=/run/d/qmp.sock,server=on,"
			 "wait=off");
	ck_assert_ptr_null(value_of(&a, "-serial", "console"));
	ck_assert_ptr_null(
		strstr(value_of(&a, "-append", ""), "penstock.debug"));
	ck_assert_ptr_nonnull(
		strstr(value_of(&a, "-append", ""), "%20--threads%201"));
	/* A guest that is short of CPU time panics otherwise. */
	ck_assert_ptr_nonnull(
		strstr(value_of(&a, "-append", ""), " no_timer_check"));
	pst_vm_argv_done(&a);
}
END_TEST

START_TEST(command_line_uses_the_kernels_vsock_and_the_debug_console)
{
	struct pst_demo_guest g = guest();
	struct pst_vm_argv a;

	g.config.vsock_socket = NULL;
	g.config.cid = 4711;
	g.config.append = "penstock.modules=loopback";
	g.config.emulated = false;
	g.config.cpu = "host,arch-capabilities=off";
	g.debug_console = true;
	ck_assert_int_eq(pst_demo_argv(&g, &a, NULL), 0);
	ck_assert_str_eq(value_of(&a, "-device", "vsock"),
			 "vhost-vsock-pci,guest-cid=4711");
	ck_assert_str_eq(value_of(&a, "-cpu", ""),
			 "host,arch-capabilities=off");
	ck_assert_ptr_nonnull(value_of(&a, "-serial", "chardev:console"));
	ck_assert_ptr_nonnull(
		strstr(value_of(&a, "-append", ""),
		       " penstock.debug=1 penstock.modules=loopback"));
	ck_assert_ptr_nonnull(value_of(&a, "-machine", "accel=kvm"));
	ck_assert_ptr_null(strstr(value_of(&a, "-append", ""), "--threads"));
	pst_vm_argv_done(&a);
}
END_TEST

START_TEST(command_line_doubles_commas_in_paths)
{
	struct pst_demo_guest g = guest();
	struct pst_vm_argv a;

	g.dir = "/run/a,b";
	ck_assert_int_eq(pst_demo_argv(&g, &a, NULL), 0);
	ck_assert_ptr_nonnull(
		value_of(&a, "-chardev", "path=/run/a,,b/qmp.sock"));
	pst_vm_argv_done(&a);
}
END_TEST

START_TEST(command_line_gives_an_nvdimm_room_above_the_memory)
{
	struct pst_demo_guest g = guest();
	struct pst_vm_argv a;

	g.config.region.via = PST_VM_VIA_NVDIMM;
	ck_assert_int_eq(pst_demo_argv(&g, &a, NULL), 0);
	ck_assert_str_eq(value_of(&a, "-m", ""), "512M,slots=1,maxmem=576M");
	ck_assert_ptr_null(value_of(&a, "-device", "ivshmem"));
	pst_vm_argv_done(&a);
}
END_TEST

START_TEST(region_sizes_are_powers_of_two_with_room)
{
	static const uint64_t bytes[] = {0,        1,         1 << 20,
					 20 << 20, 100 << 20, 1ULL << 33};
	uint64_t size;
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(bytes); i++) {
		size = pst_demo_region_size(bytes[i]);
		ck_assert_uint_ge(size, PST_DEMO_REGION_MIN);
		ck_assert_uint_eq(size & (size - 1), 0);
		ck_assert_uint_ge(size, 2 * bytes[i] + (4 << 20));
	}
	ck_assert_uint_eq(pst_demo_region_size(UINT64_MAX), 0);
	ck_assert_uint_eq(pst_demo_region_size(UINT64_MAX / 2), 0);
}
END_TEST

/* ---- QMP ---------------------------------------------------------------- */

static char qmp_dir[64];

static void make_qmp_path(char *ret, size_t size)
{
	strcpy(qmp_dir, "/tmp/test_demo_XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(qmp_dir));
	snprintf(ret, size, "%s/qmp", qmp_dir);
}

/* A QEMU that greets, and answers line i with answers[i]. */
static pid_t fake_qemu(const char *path, const char *greeting,
		       const char *const answers[])
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), c, i;
	char line[256];
	pid_t pid;

	strcpy(a.sun_path, path);
	ck_assert_int_eq(bind(s, (struct sockaddr *)&a, sizeof(a)), 0);
	ck_assert_int_eq(listen(s, 1), 0);
	pid = fork();
	if (pid) {
		close(s);
		return pid;
	}
	c = accept(s, NULL, NULL);
	if (write(c, greeting, strlen(greeting)) < 0)
		_exit(1);
	for (i = 0; answers[i] && read(c, line, sizeof(line)) > 0; i++)
		if (write(c, answers[i], strlen(answers[i])) < 0)
			_exit(1);
	/* Silent, not gone. */
	while (read(c, line, sizeof(line)) > 0)
		;
	_exit(0);
}

static void end_fake(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

#define GREETING "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n"

START_TEST(qmp_skips_events_and_reports_errors)
{
	static const char *const answers[] = {
		"{\"return\": {}}\r\n",
		"{\"event\": \"STOP\"}\r\n{\"event\": \"X\"}\r\n"
		"{\"return\": {}}\r\n",
		"{\"error\": {\"class\": \"C\", \"desc\": \"not now\"}}\r\n",
		NULL,
	};
	struct pst_error err = {0};
	struct pst_demo_qmp q;
	char path[128];
	pid_t pid;

	make_qmp_path(path, sizeof(path));
	pid = fake_qemu(path, GREETING, answers);
	ck_assert_int_eq(pst_demo_qmp_open(path, PST_NS_PER_S, &q, &err), 0);
	ck_assert_int_eq(pst_demo_qmp_run(&q, "stop", PST_NS_PER_S, &err), 0);
	ck_assert_int_eq(pst_demo_qmp_run(&q, "cont", PST_NS_PER_S, &err),
			 -EIO);
	ck_assert_ptr_nonnull(strstr(err.text, "not now"));
	/* Nothing comes any more. */
	ck_assert_int_eq(pst_demo_qmp_run(&q, "quit", PST_NS_PER_S / 10, &err),
			 -ETIMEDOUT);
	pst_demo_qmp_close(&q);
	end_fake(pid);
	unlink(path);
	rmdir(qmp_dir);
}
END_TEST

START_TEST(qmp_refuses_what_is_not_qmp)
{
	static const char *const none[] = {NULL};
	static char endless[2 * PST_DEMO_QMP_LINE];
	const char *greetings[] = {"hello\r\n", "{\"a\": 1}\r\n", "[]\n",
				   endless};
	struct pst_demo_qmp q;
	char path[128];
	pid_t pid;
	size_t i;

	memset(endless, 'x', sizeof(endless) - 1);
	for (i = 0; i < PST_ARRAY_SIZE(greetings); i++) {
		make_qmp_path(path, sizeof(path));
		pid = fake_qemu(path, greetings[i], none);
		ck_assert_int_eq(
			pst_demo_qmp_open(path, PST_NS_PER_S, &q, NULL),
			-EPROTO);
		ck_assert_int_eq(q.fd, -1);
		end_fake(pid);
		unlink(path);
		rmdir(qmp_dir);
	}
	ck_assert_int_eq(
		pst_demo_qmp_open("/nonexistent", PST_NS_PER_S, &q, NULL),
		-ENOENT);
}
END_TEST

/* ---- State -------------------------------------------------------------- */

static char runtime_dir[64];

static void use_runtime_dir(void)
{
	strcpy(runtime_dir, "/tmp/test_demo_XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(runtime_dir));
	setenv("XDG_RUNTIME_DIR", runtime_dir, 1);
}

static void drop_runtime_dir(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/penstock", runtime_dir);
	ck_assert_int_eq(rmdir(path), 0);
	ck_assert_int_eq(rmdir(runtime_dir), 0);
}

START_TEST(state_is_read_as_it_was_written)
{
	struct pst_demo_state s, t, gone;
	struct stat st;

	use_runtime_dir();
	ck_assert_int_eq(pst_demo_state_create(&s, true, NULL), 0);
	ck_assert_int_eq(strncmp(s.dir, runtime_dir, strlen(runtime_dir)), 0);
	ck_assert_int_eq(stat(s.dir, &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0700);
	strcpy(s.region, "/dev/shm/penstock-demo-XYZ");
	strcpy(s.endpoint, "vsock://3:7070?region=/dev/shm/x");
	s.qemu = (struct pst_demo_proc){.pid = 12, .start = UINT32_MAX + 1ULL};
	ck_assert_int_eq(pst_demo_state_write(&s, NULL), 0);
	ck_assert_int_eq(pst_demo_state_read(s.dir, &t, NULL), 0);
	ck_assert_mem_eq(&s, &t, sizeof(s));
	s.qemu.pid = 0;
	ck_assert_int_eq(pst_demo_state_end(&s, NULL), 0);
	ck_assert_int_eq(stat(s.dir, &st), -1);
	/* Once more changes nothing. */
	ck_assert_int_eq(pst_demo_state_end(&s, NULL), 0);
	ck_assert_int_eq(pst_demo_state_read(t.dir, &gone, NULL), -ENOENT);
	drop_runtime_dir();
}
END_TEST

START_TEST(state_that_is_damaged_or_open_to_others_is_refused)
{
	static const char *const bad[] = {
		"",
		"{}",
		"[1]",
		"{\"version\":1,\"region\":\"/etc/passwd\",\"endpoint\":\"\","
		"\"kept\":true,\"maker\":{\"pid\":0,\"start\":0},"
		"\"qemu\":{\"pid\":0,\"start\":0},"
		"\"vsock\":{\"pid\":0,\"start\":0}}",
		"{\"version\":1,\"region\":\"\",\"endpoint\":\"\","
		"\"kept\":true,\"maker\":{\"pid\":-1,\"start\":0},"
		"\"qemu\":{\"pid\":0,\"start\":0},"
		"\"vsock\":{\"pid\":0,\"start\":0}}",
	};
	struct pst_demo_state s, t;
	char path[PST_DEMO_PATH_MAX];
	FILE *f;
	size_t i;

	use_runtime_dir();
	ck_assert_int_eq(pst_demo_state_create(&s, false, NULL), 0);
	ck_assert_int_eq(chmod(s.dir, 0755), 0);
	ck_assert_int_eq(pst_demo_state_read(s.dir, &t, NULL), -EACCES);
	ck_assert_int_eq(chmod(s.dir, 0700), 0);
	for (i = 0; i < PST_ARRAY_SIZE(bad); i++) {
		f = fopen(pst_demo_state_path(&s, "state.json", path), "w");
		fputs(bad[i], f);
		fclose(f);
		ck_assert_msg(pst_demo_state_read(s.dir, &t, NULL) == -EPROTO,
			      "%s", bad[i]);
	}
	ck_assert_int_eq(pst_demo_state_end(&s, NULL), 0);
	drop_runtime_dir();
}
END_TEST

/* A demo of a maker that is gone, with a guest that still runs. */
static void make_orphan(struct pst_demo_state *s, bool kept)
{
	FILE *f;

	ck_assert_int_eq(pst_demo_state_create(s, kept, NULL), 0);
	start_sleep(false, &s->qemu);
	snprintf(s->region, sizeof(s->region), "/dev/shm%s",
		 strrchr(s->dir, '/'));
	f = fopen(s->region, "w");
	ck_assert_ptr_nonnull(f);
	fclose(f);
	s->maker.start++;
	ck_assert_int_eq(pst_demo_state_write(s, NULL), 0);
}

START_TEST(sweeping_takes_what_killed_demos_left_and_nothing_else)
{
	struct pst_demo_state killed, kept, running;

	use_runtime_dir();
	make_orphan(&killed, false);
	make_orphan(&kept, true);
	ck_assert_int_eq(pst_demo_state_create(&running, false, NULL), 0);
	pst_demo_state_sweep();
	ck_assert_int_eq(access(killed.dir, F_OK), -1);
	ck_assert_int_eq(access(killed.region, F_OK), -1);
	ck_assert(!pst_demo_proc_alive(&killed.qemu));
	ck_assert_int_eq(access(kept.dir, F_OK), 0);
	ck_assert_int_eq(access(kept.region, F_OK), 0);
	ck_assert(pst_demo_proc_alive(&kept.qemu));
	ck_assert_int_eq(access(running.dir, F_OK), 0);
	ck_assert_int_eq(pst_demo_state_end(&kept, NULL), 0);
	ck_assert_int_eq(access(kept.region, F_OK), -1);
	ck_assert_int_eq(pst_demo_state_end(&running, NULL), 0);
	drop_runtime_dir();
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc,
		       command_line_shares_the_region_and_the_guests_memory);
	tcase_add_test(
		tc, command_line_uses_the_kernels_vsock_and_the_debug_console);
	tcase_add_test(tc, command_line_doubles_commas_in_paths);
	tcase_add_test(tc, command_line_gives_an_nvdimm_room_above_the_memory);
	tcase_add_test(tc, region_sizes_are_powers_of_two_with_room);
	tcase_add_test(tc, qmp_skips_events_and_reports_errors);
	tcase_add_test(tc, qmp_refuses_what_is_not_qmp);
	tcase_add_test(tc, state_is_read_as_it_was_written);
	tcase_add_test(tc, state_that_is_damaged_or_open_to_others_is_refused);
	tcase_add_test(tc,
		       sweeping_takes_what_killed_demos_left_and_nothing_else);
}

int main(void)
{
	return pst_unit_run("demo", add, 30);
}
