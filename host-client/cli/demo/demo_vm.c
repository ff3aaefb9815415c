/* SPDX-License-Identifier: MIT */
/* Starts the throw-away guest and waits until its agent answers. */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#include "host-client/cli/cmd_progress.h"
#include "host-client/cli/demo/demo.h"
#include "libvirt-xml/virt/cid.h"
#include "transport/region/region_pulse.h"
#include "transport/wire.h"

#define RAM_SIZE (512ULL << 20)
/* More vCPUs make an emulated guest slower, and a demo needs no more. */
#define MAX_CPUS 4
/* A guest that runs writes its first byte within 0.5 s, emulated too. */
#define LIFE_NS (3 * PST_NS_PER_S)
/* How long a KVM guest that shows life may take before emulation is tried. */
#define KVM_BOOT_NS    (20 * PST_NS_PER_S)
#define VSOCK_START_NS (5 * PST_NS_PER_S)
#define CONNECT_NS     (2 * PST_NS_PER_S)
#define POLL_NS        (50 * PST_NS_PER_MS)
#define END_NS         (5 * PST_NS_PER_S)
#define N_CIDS         64
/* CIDs of demos: out of the way of those people write by hand. */
#define FIRST_CID 0x10000U
#define CID_MASK  0x0fffffffU

/* What one attempt needs and leaves. */
struct start {
	struct pst_demo_state *s;
	const struct pst_demo_vm_options *o;
	struct pst_demo_vm *vm;
	struct pst_error *err;
	struct pst_demo_files files;
	struct pst_demo_guest guest;
	char serial[PST_DEMO_PATH_MAX]; /* the guest's console */
	char vhost[PST_DEMO_PATH_MAX];  /* sockets of vhost-device-vsock */
	char uds[PST_DEMO_PATH_MAX];
};

const char *pst_demo_accel_name(enum pst_demo_accel a)
{
	static const char *const names[] = {
		[PST_DEMO_AUTO] = "auto",
		[PST_DEMO_KVM] = "kvm",
		[PST_DEMO_TCG] = "tcg",
	};

	return names[a];
}

/* ---- vsock -------------------------------------------------------------- */

/* A free CID. Somebody may take it until QEMU does; then QEMU ends at once and
 * the next attempt chooses again. */
static int find_cid(int vhost_fd, uint32_t *ret)
{
	uint32_t r;
	int rc = pst_random(&r, sizeof(r));

	return rc ? rc
		  : pst_vm_cid_find(vhost_fd, FIRST_CID + (r & CID_MASK),
				    N_CIDS, NULL, 0, ret);
}

static int start_vsock_daemon(struct start *st)
{
	char log[PST_DEMO_PATH_MAX];
	char *argv[] = {
		st->files.vsock, (char *)"--guest-cid",
		(char *)"3",     (char *)"--socket",
		st->vhost,       (char *)"--uds-path",
		st->uds,         NULL,
	};
	uint64_t deadline = pst_now_ns() + VSOCK_START_NS;
	int r;

	pst_demo_state_path(st->s, "vsock.log", log);
	unlink(st->vhost);
	unlink(st->uds);
	r = pst_demo_proc_start(argv, log, !st->s->kept, &st->s->vsock,
				st->err);
	if (r == 0)
		r = pst_demo_state_write(st->s, st->err);
	while (r == 0 && access(st->vhost, F_OK)) {
		if (pst_demo_proc_ended(&st->s->vsock))
			return pst_error_set(st->err, -ECHILD,
					     "%s ended at once",
					     st->files.vsock);
		if (pst_now_ns() > deadline)
			return pst_error_set(st->err, -ETIMEDOUT,
					     "%s makes no socket",
					     st->files.vsock);
		if (pst_demo_signals_sleep(POLL_NS / 5))
			return -ECANCELED;
	}
	return r;
}

/* By the kernel, or else by a daemon. */
static int start_vsock(struct start *st)
{
	PST_CLEANUP_FD int fd = pst_vm_cid_open();
	struct pst_vm_config *c = &st->guest.config;
	int r = 0;

	c->vsock_socket = c->vsock_uds = NULL;
	if (fd >= 0 && find_cid(fd, &c->cid) == 0)
		return 0;
	c->vsock_socket = pst_demo_state_path(st->s, "vhost.sock", st->vhost);
	c->vsock_uds = pst_demo_state_path(st->s, "vsock", st->uds);
	if (!st->files.vsock[0])
		r = pst_demo_find_vsock(&st->files, st->err);
	return r ? r : start_vsock_daemon(st);
}

/* ---- QEMU --------------------------------------------------------------- */

/* What all attempts have in common. */
static void describe(struct start *st)
{
	const long n = sysconf(_SC_NPROCESSORS_ONLN);
	struct pst_vm_config *c = &st->guest.config;

	st->guest.dir = st->s->dir;
	st->guest.debug_console = st->o->debug_console;
	c->name = "penstock-demo";
	c->emulator = st->files.qemu;
	c->memory = RAM_SIZE;
	c->memory_from = PST_VM_MEMORY_PLAIN;
	c->vcpus = n < 1 ? 1 : n > MAX_CPUS ? MAX_CPUS : (uint32_t)n;
	st->vm->cpus = c->vcpus;
	c->node = -1;
	c->region.via = st->o->via;
	c->region.size = st->o->region_size;
	c->region.node = -1;
	c->port = PST_VSOCK_PORT;
	c->kernel = st->files.kernel;
	c->initrd = st->files.initrd;
	c->append = st->o->append;
	c->serial_log = pst_demo_state_path(st->s, "serial.log", st->serial);
}

/* A region without a name is found in QEMU. */
static int write_endpoint(struct start *st)
{
	const struct pst_demo_region *r = &st->vm->region;
	struct pst_vm_region *region = &st->guest.config.region;
	int rc;

	if (r->fd >= 0)
		snprintf(region->path, sizeof(region->path), "/proc/%d/fd/%d",
			 (int)st->s->qemu.pid, r->fd);
	rc = pst_vm_config_endpoint(&st->guest.config, st->s->endpoint,
				    sizeof(st->s->endpoint), st->err);
	return rc ? rc : pst_demo_state_write(st->s, st->err);
}

static int start_qemu(struct start *st, enum pst_demo_accel accel,
		      const char *cpu)
{
	struct pst_vm_config *c = &st->guest.config;
	char log[PST_DEMO_PATH_MAX];
	struct pst_vm_argv argv;
	int r;

	c->emulated = accel == PST_DEMO_TCG;
	c->cpu = cpu;
	snprintf(c->region.path, sizeof(c->region.path), "%s",
		 st->vm->region.path);
	pst_demo_state_path(st->s, "qemu.log", log);
	unlink(st->serial);
	unlink(log);
	r = pst_demo_argv(&st->guest, &argv, st->err);
	if (r == 0 && st->vm->region.fd >= 0 &&
	    fcntl(st->vm->region.fd, F_SETFD, 0))
		r = pst_error_set_errno(st->err, errno, "memfd");
	if (r == 0)
		r = pst_demo_proc_start(argv.v, log, !st->s->kept, &st->s->qemu,
					st->err);
	pst_vm_argv_done(&argv);
	if (r)
		return r;
	pst_demo_signals_watch(st->s->qemu.pid);
	return write_endpoint(st);
}

/* 0, or why there is no point in waiting any longer. */
static int check_start(struct start *st, uint64_t deadline)
{
	if (pst_demo_signals_seen())
		return -ECANCELED;
	if (pst_demo_proc_ended(&st->s->qemu))
		return pst_error_set(st->err, -ECHILD, "QEMU ended");
	if (pst_now_ns() > deadline)
		return -ETIMEDOUT;
	return 0;
}

static int wait_life(struct start *st)
{
	uint64_t deadline = pst_now_ns() + LIFE_NS;
	struct stat sb;
	int r = 0;

	while (r == 0 && (stat(st->serial, &sb) || sb.st_size == 0)) {
		pst_demo_signals_sleep(POLL_NS);
		r = check_start(st, deadline);
	}
	if (r == -ETIMEDOUT)
		pst_error_set(st->err, r,
			      "the guest wrote nothing to its console in %d s",
			      (int)(LIFE_NS / PST_NS_PER_S));
	return r;
}

/* An attempt with KVM may have left a heartbeat that stands still. */
static int wait_heartbeat(struct start *st, uint64_t deadline)
{
	struct pst_region_pulse pulse;
	int r;

	r = pst_region_pulse_open(st->vm->region.path, &pulse, st->err);
	if (r)
		return r;
	while (r == 0 && !pst_region_pulse_beats(&pulse)) {
		pst_demo_signals_sleep(POLL_NS);
		r = check_start(st, deadline);
	}
	pst_region_pulse_close(&pulse);
	if (r == -ETIMEDOUT)
		pst_error_set(st->err, r,
			      "the agent in the guest did not start in time");
	return r;
}

/* Errors that no waiting cures. */
static bool is_final(int r)
{
	return r == -EINVAL || r == -EACCES || r == -EPERM ||
	       r == -EPROTONOSUPPORT || r == -ENOMEM;
}

static int wait_hello(struct start *st, uint64_t deadline, struct pst **ret_c)
{
	struct pst_options o = {
		.size = sizeof(o),
		.timeout_ns = CONNECT_NS,
		.name = "penstock demo",
	};
	char text[300];
	int r, open_rc;

	for (;;) {
		open_rc = pst_open(st->s->endpoint, &o, ret_c, text,
				   sizeof(text));
		if (open_rc == 0)
			return 0;
		r = check_start(st, deadline);
		if (r == -ETIMEDOUT || (r == 0 && is_final(open_rc)))
			return pst_error_set(st->err, r ? r : open_rc,
					     "the agent does not answer: %s",
					     text);
		if (r)
			return r;
		pst_demo_signals_sleep(POLL_NS);
	}
}

/* Ends what an attempt started. */
static void end_attempt(struct start *st)
{
	pst_demo_signals_watch(0);
	pst_demo_proc_end(&st->s->qemu, SIGKILL, END_NS);
	pst_demo_proc_end(&st->s->vsock, SIGKILL, END_NS);
}

static int attempt(struct start *st, enum pst_demo_accel accel, const char *cpu,
		   uint64_t boot_ns, struct pst **ret_c)
{
	uint64_t begin;
	int r;

	r = start_vsock(st);
	begin = pst_now_ns();
	if (r == 0)
		r = start_qemu(st, accel, cpu);
	if (r == 0 && accel == PST_DEMO_KVM)
		r = wait_life(st);
	if (r == 0)
		r = wait_heartbeat(st, begin + boot_ns);
	if (r == 0)
		r = wait_hello(st, begin + boot_ns, ret_c);
	if (r)
		return r;
	st->vm->accel = accel;
	st->vm->boot_ns = pst_now_ns() - begin;
	return 0;
}

/* KVM, in the ways that are worth trying. Returns as attempt(). */
static int attempt_kvm(struct start *st, uint64_t boot_ns, struct pst **ret_c)
{
	/* Nested and para-virtual hosts often refuse one MSR of host's. */
	static const char *const cpus[] = {NULL, "host,arch-capabilities=off"};
	int r = -ECHILD;
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(cpus) && r == -ECHILD; i++) {
		if (i)
			end_attempt(st);
		r = attempt(st, PST_DEMO_KVM, cpus[i], boot_ns, ret_c);
	}
	return r;
}

static bool kvm_opens(void)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	pst_close_fd(fd);
	return fd >= 0;
}

static int run_attempts(struct start *st, struct pst **ret_c)
{
	uint64_t boot_ns = st->o->boot_timeout_ns;
	bool is_auto = st->o->accel == PST_DEMO_AUTO;
	int r;

	if (st->o->accel == PST_DEMO_KVM)
		return attempt_kvm(st, boot_ns, ret_c);
	if (is_auto && kvm_opens()) {
		r = attempt_kvm(st,
				boot_ns < KVM_BOOT_NS ? boot_ns : KVM_BOOT_NS,
				ret_c);
		if (r != -ETIMEDOUT && r != -ECHILD)
			return r;
		pst_cmd_progress_hide();
		fprintf(stderr,
			"penstock demo: KVM opens here, but %s: using TCG "
			"(emulation)\n",
			st->err->text);
		end_attempt(st);
	} else if (is_auto) {
		pst_cmd_progress_hide();
		fprintf(stderr, "penstock demo: /dev/kvm does not open: using "
				"TCG (emulation)\n");
	}
	return attempt(st, PST_DEMO_TCG, NULL, boot_ns, ret_c);
}

int pst_demo_vm_start(struct pst_demo_state *s,
		      const struct pst_demo_vm_options *o,
		      struct pst_demo_vm *ret, struct pst **ret_c,
		      struct pst_error *err)
{
	struct start st = {.s = s, .o = o, .vm = ret, .err = err};
	int r;

	memset(ret, 0, sizeof(*ret));
	ret->state = s;
	ret->region.fd = -1;
	r = pst_demo_find_image(&st.files, err);
	if (r == 0)
		r = pst_demo_find_qemu(&st.files, err);
	if (r == 0)
		r = pst_demo_region_make(s, o->region_size, &ret->region, err);
	if (r)
		return r;
	if (ret->region.note[0]) {
		pst_cmd_progress_hide();
		fprintf(stderr, "penstock demo: %s\n", ret->region.note);
	}
	describe(&st);
	r = run_attempts(&st, ret_c);
	/* QEMU has its own copy, and the client has mapped it. */
	pst_close_fd(ret->region.fd);
	ret->region.fd = -1;
	return r;
}

static void tail_file(const char *path)
{
	char buf[2048];
	PST_CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat sb;
	ssize_t n, i;

	if (fd < 0 || fstat(fd, &sb) || sb.st_size == 0)
		return;
	n = pread(fd, buf, sizeof(buf),
		  sb.st_size > (off_t)sizeof(buf)
			  ? sb.st_size - (off_t)sizeof(buf)
			  : 0);
	fprintf(stderr, "---- the end of %s ----\n", path);
	/* The guest's bytes shall not drive our terminal. */
	for (i = 0; i < n; i++)
		if (buf[i] == '\n' || buf[i] == '\t' ||
		    (buf[i] >= ' ' && buf[i] < 127))
			fputc(buf[i], stderr);
	fputs("\n----\n", stderr);
}

void pst_demo_vm_tail(const struct pst_demo_state *s)
{
	char path[PST_DEMO_PATH_MAX];

	tail_file(pst_demo_state_path(s, "serial.log", path));
	tail_file(pst_demo_state_path(s, "qemu.log", path));
	tail_file(pst_demo_state_path(s, "vsock.log", path));
}
