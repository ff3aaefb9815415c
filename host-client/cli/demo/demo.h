/* SPDX-License-Identifier: MIT */
/* Common declarations of the demo's files: processes, files, flow. */
#ifndef PST_HOST_CLIENT_CLI_DEMO_DEMO_H
#define PST_HOST_CLIENT_CLI_DEMO_DEMO_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "host-client/cli/cmd.h"
#include "host-client/penstock.h"
#include "libvirt-xml/config/argv.h"
#include "transport/base/error.h"
#include "transport/base/util.h"

/* A path below the state directory; sockets there must fit into sun_path. */
#define PST_DEMO_PATH_MAX 512
#define PST_DEMO_DIR_MAX  88

enum pst_demo_accel { PST_DEMO_AUTO, PST_DEMO_KVM, PST_DEMO_TCG };

/* "auto", "kvm", "tcg". */
const char *pst_demo_accel_name(enum pst_demo_accel a);

/* ---- demo_argv.c: QEMU's command line ----------------------------------- */

/* The guest: append has further words for its kernel, or is NULL. */
struct pst_demo_guest {
	struct pst_vm_config config;
	const char *dir;    /* the state directory */
	bool debug_console; /* ttyS1 on a socket in dir */
};

/*
 * Builds the argument vector: a pure function. The caller ends *ret with
 * pst_vm_argv_done() in every case. Returns as pst_vm_argv_qemu().
 */
PST_MUST_USE int pst_demo_argv(const struct pst_demo_guest *g,
			       struct pst_vm_argv *ret, struct pst_error *err);

/* ---- demo_proc.c: processes --------------------------------------------- */

/* A process that cannot be mistaken for a later one of the same number. */
struct pst_demo_proc {
	pid_t pid;      /* 0: none */
	uint64_t start; /* clock ticks since boot, /proc/PID/stat field 22 */
};

/* State letter and start time out of the text of /proc/PID/stat. The name in
 * it may hold anything, parentheses too. Returns 0 or -EPROTO. */
PST_MUST_USE int pst_demo_parse_stat(const char *text, char *ret_state,
				     uint64_t *ret_start);

/* Fills *ret for a running process. Returns 0 or -ESRCH (none, or a
 * zombie). */
PST_MUST_USE int pst_demo_proc_identify(pid_t pid, struct pst_demo_proc *ret);

/* Whether that very process still runs; a zombie does not. */
bool pst_demo_proc_alive(const struct pst_demo_proc *p);

/*
 * Sends sig, if that very process still runs, and waits at most timeout_ns
 * until it has ended; reaps it when it is our child. Returns 0 when it is
 * gone, -ETIMEDOUT, -EPERM.
 */
int pst_demo_proc_end(struct pst_demo_proc *p, int sig, uint64_t timeout_ns);

/*
 * Starts argv in a session of its own, stdin from /dev/null, stdout and
 * stderr appended to log_path, no core dump. tied: it is killed when the
 * calling thread ends, whatever ends it. Returns 0 and *ret, or -errno of
 * fork or exec.
 */
PST_MUST_USE int pst_demo_proc_start(char *const argv[], const char *log_path,
				     bool tied, struct pst_demo_proc *ret,
				     struct pst_error *err);

/* Whether a child that pst_demo_proc_start() started has ended by itself;
 * reaps it then. */
bool pst_demo_proc_ended(struct pst_demo_proc *p);

/*
 * From here on SIGINT, SIGTERM and SIGHUP are remembered instead of ending
 * the program, and kill the watched child at once, so that every wait for
 * its guest ends.
 */
void pst_demo_signals_init(void);
void pst_demo_signals_watch(pid_t pid);
/* The signal that came, 0: none. */
int pst_demo_signals_seen(void);
/* Sleeps; returns early, with true, when a signal has come. */
bool pst_demo_signals_sleep(uint64_t ns);

/* ---- demo_qmp.c: QEMU's control socket ---------------------------------- */

/* Longest line taken from QEMU. */
#define PST_DEMO_QMP_LINE 16384

struct pst_demo_qmp {
	int fd;
	size_t len;
	char buf[PST_DEMO_QMP_LINE];
};

/*
 * Connects, reads the greeting and leaves negotiation mode. Returns 0,
 * -ENOENT, -ECONNREFUSED, -ETIMEDOUT, -EPROTO (not QMP, or a line that is too
 * long), -ECONNRESET.
 */
PST_MUST_USE int pst_demo_qmp_open(const char *path, uint64_t timeout_ns,
				   struct pst_demo_qmp *ret,
				   struct pst_error *err);
void pst_demo_qmp_close(struct pst_demo_qmp *q);

/* Runs a command without arguments ("quit", "stop", "cont"); events that come
 * meanwhile are dropped. Returns 0, -EIO (QEMU's error, in err) or as open. */
PST_MUST_USE int pst_demo_qmp_run(struct pst_demo_qmp *q, const char *command,
				  uint64_t timeout_ns, struct pst_error *err);

/* ---- demo_state.c: what lies on disk ------------------------------------ */

/* A demo's directory, kept as state.json in it. */
struct pst_demo_state {
	char dir[PST_DEMO_DIR_MAX];
	char region[PST_DEMO_PATH_MAX]; /* file to remove, may be empty */
	char endpoint[2 * PST_DEMO_PATH_MAX];
	bool kept; /* outlives its maker */
	struct pst_demo_proc maker;
	struct pst_demo_proc qemu;
	struct pst_demo_proc vsock;
};

/* Makes a new directory of mode 0700 below $XDG_RUNTIME_DIR/penstock, or
 * /tmp. Returns 0 or -errno. */
PST_MUST_USE int pst_demo_state_create(struct pst_demo_state *ret, bool kept,
				       struct pst_error *err);
PST_MUST_USE int pst_demo_state_write(const struct pst_demo_state *s,
				      struct pst_error *err);
/* Reads a directory that must be ours alone. Returns 0, -ENOENT, -EACCES (of
 * somebody else, or open to others), -EPROTO (damaged). */
PST_MUST_USE int pst_demo_state_read(const char *dir,
				     struct pst_demo_state *ret,
				     struct pst_error *err);

/* DIR/name, in ret. */
const char *pst_demo_state_path(const struct pst_demo_state *s,
				const char *name, char ret[PST_DEMO_PATH_MAX]);

/*
 * Ends the guest (QMP quit, then SIGKILL), removes region file and directory.
 * What is gone already is no failure. Returns 0, or -errno of the first thing
 * that could not be ended.
 */
int pst_demo_state_end(struct pst_demo_state *s, struct pst_error *err);

/* Ends all kept demos of this user. Returns their number or -errno. */
PST_MUST_USE int pst_demo_state_stop_all(struct pst_error *err);

/* Removes what demos that were killed left behind. */
void pst_demo_state_sweep(void);

/* ---- demo_region.c: the region's file ----------------------------------- */

/* Smallest region that a demo makes. */
#define PST_DEMO_REGION_MIN (64ULL << 20)

/* The power of two that holds bytes of matrices with room to spare; 0 when
 * that does not fit in 64 bits. */
uint64_t pst_demo_region_size(uint64_t bytes);

/* Where the region went. */
struct pst_demo_region {
	char path[PST_DEMO_PATH_MAX];
	int fd;            /* of a memfd, else -1 */
	char note[256];    /* one line for the user, empty when all is well */
	const char *where; /* "2 MiB hugepages", "/dev/shm", "memfd" */
};

/*
 * Makes the region: a file on a writable 2 MiB hugetlbfs with enough free
 * pages, else in /dev/shm, else a memfd. s->region is set, and written, before
 * the file appears. Returns 0, -ENOSPC, -errno.
 */
PST_MUST_USE int pst_demo_region_make(struct pst_demo_state *s, uint64_t size,
				      struct pst_demo_region *ret,
				      struct pst_error *err);

/* ---- demo_find.c: image and programs ------------------------------------ */

struct pst_demo_files {
	char kernel[PATH_MAX];
	char initrd[PATH_MAX];
	char qemu[PATH_MAX];
	char vsock[PATH_MAX]; /* vhost-device-vsock */
};

/*
 * Each fills its own fields: from $PENSTOCK_GUEST_IMAGE (a directory),
 * $PENSTOCK_QEMU and $PENSTOCK_VHOST_VSOCK if set, else from the build tree
 * that this program lies in, else as installed, else from $PATH. Returns 0 or
 * -ENOENT with the remedy.
 */
PST_MUST_USE int pst_demo_find_image(struct pst_demo_files *f,
				     struct pst_error *err);
PST_MUST_USE int pst_demo_find_qemu(struct pst_demo_files *f,
				    struct pst_error *err);
PST_MUST_USE int pst_demo_find_vsock(struct pst_demo_files *f,
				     struct pst_error *err);

/* ---- demo_vm.c: from image to HELLO ------------------------------------- */

struct pst_demo_vm_options {
	enum pst_demo_accel accel;
	enum pst_vm_via via; /* ivshmem or nvdimm */
	uint64_t region_size;
	uint64_t boot_timeout_ns;
	const char *append;
	bool debug_console;
};

struct pst_demo_vm {
	struct pst_demo_state *state;
	struct pst_demo_region region;
	enum pst_demo_accel accel; /* KVM or TCG */
	uint32_t cpus;
	uint64_t boot_ns; /* from QEMU's start to HELLO */
};

/*
 * Starts the guest and connects to its agent. *s comes from
 * pst_demo_state_create(); whatever was started is in it, also on failure, for
 * pst_demo_state_end(). Talks on stderr. Returns 0 and *ret_c, -ENOENT (a
 * file or program is missing), -ETIMEDOUT, -ECANCELED (a signal), -errno.
 */
PST_MUST_USE int pst_demo_vm_start(struct pst_demo_state *s,
				   const struct pst_demo_vm_options *o,
				   struct pst_demo_vm *ret, struct pst **ret_c,
				   struct pst_error *err);

/* Prints the end of the guest's console and of QEMU's messages on stderr. */
void pst_demo_vm_tail(const struct pst_demo_state *s);

#endif
