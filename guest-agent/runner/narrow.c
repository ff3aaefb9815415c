/* SPDX-License-Identifier: MIT */
/* Limits of the runner: resources, working directory, system calls. */
#include "guest-agent/runner/narrow.h"

#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* What ONNX Runtime, malloc and threads need once everything is open, and what
 * the mailbox and the socket need. */
static const int calls[] = {
	/* The socket, files that are handed over, and the bells. */
	SCMP_SYS(read),
	SCMP_SYS(pread64),
	SCMP_SYS(write),
	SCMP_SYS(close),
	SCMP_SYS(recvmsg),
	SCMP_SYS(sendmsg),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	/* Memory, with conditions on mmap and mprotect below. */
	SCMP_SYS(brk),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(madvise),
	/* Threads and time. */
	SCMP_SYS(futex),
	SCMP_SYS(sched_yield),
	SCMP_SYS(sched_getaffinity),
	SCMP_SYS(getcpu),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(nanosleep),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(rseq),
	SCMP_SYS(membarrier),
	SCMP_SYS(set_robust_list),
	SCMP_SYS(getrandom),
	SCMP_SYS(getpid),
	SCMP_SYS(gettid),
	/* To die: abort() and the end, with a condition on tgkill below. */
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
};

/* What a card's driver needs on top: its device files, memory of those, and
 * code that it makes for the card's kernels. */
static const int device_calls[] = {
	SCMP_SYS(access),     SCMP_SYS(clock_getres), SCMP_SYS(epoll_create1),
	SCMP_SYS(epoll_ctl),  SCMP_SYS(epoll_wait),   SCMP_SYS(eventfd2),
	SCMP_SYS(faccessat),  SCMP_SYS(faccessat2),   SCMP_SYS(fcntl),
	SCMP_SYS(fstat),      SCMP_SYS(fstatfs),      SCMP_SYS(geteuid),
	SCMP_SYS(getuid),     SCMP_SYS(getdents64),   SCMP_SYS(ioctl),
	SCMP_SYS(lseek),      SCMP_SYS(mincore),      SCMP_SYS(mlock),
	SCMP_SYS(mmap),       SCMP_SYS(mprotect),     SCMP_SYS(munlock),
	SCMP_SYS(newfstatat), SCMP_SYS(openat),       SCMP_SYS(pipe2),
	SCMP_SYS(readlink),   SCMP_SYS(readlinkat),   SCMP_SYS(stat),
	SCMP_SYS(statx),      SCMP_SYS(sysinfo),      SCMP_SYS(uname),
};

/* As glibc and musl, which adds CLONE_DETACHED, start a thread. */
#define THREAD_FLAGS                                                           \
	(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |    \
	 CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID |                  \
	 CLONE_CHILD_CLEARTID)

static int add_calls(scmp_filter_ctx ctx, bool device)
{
	size_t i;
	int r = 0;

	for (i = 0; device && r == 0 && i < PST_ARRAY_SIZE(device_calls); i++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, device_calls[i], 0);

	for (i = 0; r == 0 && i < PST_ARRAY_SIZE(calls); i++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, calls[i], 0);
	/* Memory of no file, which does not become code. */
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 2,
				     SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0),
				     SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS,
					     MAP_ANONYMOUS));
	/* Threads, which a load of large weights begins: no process, and no
	 * namespace, which a thread may ask for as well. clone3's flags cannot
	 * be seen: the C library then asks by clone. */
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
				     SCMP_A0(SCMP_CMP_MASKED_EQ,
					     ~(scmp_datum_t)CLONE_DETACHED,
					     THREAD_FLAGS));
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS),
				     SCMP_SYS(clone3), 0);
	/* A file that was handed over, to read it in place, if its seals say
	 * that it does not change. The arena's descriptor is closed. */
	if (r == 0)
		r = seccomp_rule_add(
			ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 2,
			SCMP_A2(SCMP_CMP_MASKED_EQ, UINT32_MAX, PROT_READ),
			SCMP_A3(SCMP_CMP_MASKED_EQ, UINT32_MAX, MAP_PRIVATE));
	if (r == 0)
		r = seccomp_rule_add(
			ctx, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1,
			SCMP_A1(SCMP_CMP_MASKED_EQ, UINT32_MAX, F_GET_SEALS));
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
				     SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	/* Signals to this process, not to the agent, which has the same user.
	 * The kernel reads 32 bits of a process's number. */
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
				     SCMP_A0(SCMP_CMP_MASKED_EQ, UINT32_MAX,
					     (scmp_datum_t)getpid()));
	return r;
}

static int filter(bool device, struct pst_error *err)
{
	scmp_filter_ctx ctx;
	int r;

	ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	if (!ctx)
		return pst_oom(err);
	r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
	if (r == 0)
		r = add_calls(ctx, device);
	if (r == 0)
		r = seccomp_load(ctx);
	seccomp_release(ctx);
	return r ? pst_error_set_errno(err, -r, "cannot limit system calls")
		 : 0;
}

static int limit(int what, uint64_t value, struct pst_error *err)
{
	const struct rlimit l = {value, value};

	return setrlimit(what, &l)
		       ? pst_error_set_errno(err, errno, "cannot set a limit")
		       : 0;
}

int pst_runner_narrow(uint64_t max_memory, bool device, struct pst_error *err)
{
	int r;

	r = limit(RLIMIT_CORE, 0, err);
	/* The model's own numbers decide how much is asked for. */
	if (r == 0 && max_memory > 0)
		r = limit(RLIMIT_DATA, max_memory, err);
	if (r < 0)
		return r;
	/* A model that is read from memory looks for its files here. */
	if (chdir("/proc/self/fdinfo") && chdir("/"))
		return pst_error_set_errno(err, errno,
					   "cannot leave the "
					   "working directory");
	if (prctl(PR_SET_DUMPABLE, 0) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return pst_error_set_errno(err, errno,
					   "cannot give up "
					   "privileges");
	return filter(device, err);
}
