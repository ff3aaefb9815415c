/* SPDX-License-Identifier: MIT */
/* A demo's directory and state file: ends, stops and sweeps demos. */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <jansson.h>

#include "host-client/cli/demo/demo.h"

#define STATE_FILE    "state.json"
#define STATE_VERSION 1
/* Directories are NAME_PREFIX and six characters of mkdtemp's. */
#define NAME_PREFIX "penstock-demo-"
/* A directory without a state file may be one that is just being made. */
#define YOUNG_S 60
/* Time QEMU gets for QMP's quit, and the kernel for a SIGKILL. */
#define QUIT_NS (1 * PST_NS_PER_S)
#define KILL_NS (5 * PST_NS_PER_S)

const char *pst_demo_state_path(const struct pst_demo_state *s,
				const char *name, char ret[PST_DEMO_PATH_MAX])
{
	snprintf(ret, PST_DEMO_PATH_MAX, "%s/%s", s->dir, name);
	return ret;
}

/* ---- The state file ----------------------------------------------------- */

static json_t *proc_to_json(const struct pst_demo_proc *p)
{
	return json_pack("{s:I, s:I}", "pid", (json_int_t)p->pid, "start",
			 (json_int_t)p->start);
}

static int proc_from_json(json_t *o, const char *key, struct pst_demo_proc *ret)
{
	json_int_t pid, start;

	if (json_unpack(json_object_get(o, key), "{s:I, s:I}", "pid", &pid,
			"start", &start) ||
	    pid < 0 || pid > INT32_MAX || start < 0)
		return -EPROTO;
	ret->pid = (pid_t)pid;
	ret->start = (uint64_t)start;
	return 0;
}

int pst_demo_state_write(const struct pst_demo_state *s, struct pst_error *err)
{
	char path[PST_DEMO_PATH_MAX], tmp[PST_DEMO_PATH_MAX];
	json_t *o;
	int r;

	pst_demo_state_path(s, STATE_FILE, path);
	pst_demo_state_path(s, STATE_FILE ".tmp", tmp);
	o = json_pack("{s:i, s:s, s:s, s:b, s:o, s:o, s:o}", "version",
		      STATE_VERSION, "region", s->region, "endpoint",
		      s->endpoint, "kept", s->kept, "maker",
		      proc_to_json(&s->maker), "qemu", proc_to_json(&s->qemu),
		      "vsock", proc_to_json(&s->vsock));
	r = o ? json_dump_file(o, tmp, JSON_COMPACT) : -1;
	json_decref(o);
	if (r || rename(tmp, path))
		return pst_error_set_errno(err, errno, "cannot write %s", path);
	return 0;
}

/* The path that a state file may name as its region: ours by its name. */
static bool region_is_ours(const char *path)
{
	const char *slash = strrchr(path, '/');

	return !*path ||
	       (path[0] == '/' && !strstr(path, "/../") &&
		strncmp(slash + 1, NAME_PREFIX, strlen(NAME_PREFIX)) == 0);
}

static int state_from_json(json_t *o, struct pst_demo_state *ret)
{
	const char *region, *endpoint;
	int version, kept;

	if (json_unpack(o, "{s:i, s:s, s:s, s:b}", "version", &version,
			"region", &region, "endpoint", &endpoint, "kept",
			&kept) ||
	    version != STATE_VERSION || strlen(region) >= sizeof(ret->region) ||
	    strlen(endpoint) >= sizeof(ret->endpoint) ||
	    !region_is_ours(region))
		return -EPROTO;
	strcpy(ret->region, region);
	strcpy(ret->endpoint, endpoint);
	ret->kept = kept;
	return proc_from_json(o, "maker", &ret->maker) ||
			       proc_from_json(o, "qemu", &ret->qemu) ||
			       proc_from_json(o, "vsock", &ret->vsock)
		       ? -EPROTO
		       : 0;
}

/* Opens a directory that nobody else can have put there or write into. */
static int open_own_dir(const char *dir, struct stat *ret_st,
			struct pst_error *err)
{
	int fd;

	fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return pst_error_set_errno(err, errno, "cannot open %s", dir);
	if (fstat(fd, ret_st) || ret_st->st_uid != geteuid() ||
	    (ret_st->st_mode & 077)) {
		close(fd);
		return pst_error_set(err, -EACCES,
				     "%s is not a directory of yours alone",
				     dir);
	}
	return fd;
}

int pst_demo_state_read(const char *dir, struct pst_demo_state *ret,
			struct pst_error *err)
{
	char text[8192], path[PST_DEMO_PATH_MAX];
	struct stat st;
	json_t *o;
	int fd, r;

	memset(ret, 0, sizeof(*ret));
	if (strlen(dir) >= sizeof(ret->dir))
		return pst_error_set(err, -ENOENT, "%s is no demo's directory",
				     dir);
	strcpy(ret->dir, dir);
	fd = open_own_dir(dir, &st, err);
	if (fd < 0)
		return fd;
	close(fd);
	pst_demo_state_path(ret, STATE_FILE, path);
	r = pst_read_text(path, text, sizeof(text));
	if (r < 0)
		return pst_error_set_errno(err, -r, "cannot read %s", path);
	o = json_loads(text, 0, NULL);
	r = o ? state_from_json(o, ret) : -EPROTO;
	json_decref(o);
	if (r)
		return pst_error_set(err, r, "%s is damaged", path);
	return 0;
}

/* ---- Making and ending -------------------------------------------------- */

/* mkdtemp below parent; false when that does not work or is too long. */
static bool make_below(const char *parent, struct pst_demo_state *s)
{
	int n = snprintf(s->dir, sizeof(s->dir), "%s/" NAME_PREFIX "XXXXXX",
			 parent);

	return n > 0 && (size_t)n < sizeof(s->dir) && mkdtemp(s->dir);
}

static bool runtime_parent(char *ret, size_t size)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	int n;

	if (!runtime || runtime[0] != '/')
		return false;
	n = snprintf(ret, size, "%s/penstock", runtime);
	return n > 0 && (size_t)n < size;
}

int pst_demo_state_create(struct pst_demo_state *ret, bool kept,
			  struct pst_error *err)
{
	char parent[PST_DEMO_DIR_MAX];
	bool made = false;

	memset(ret, 0, sizeof(*ret));
	ret->kept = kept;
	if (runtime_parent(parent, sizeof(parent)) &&
	    (mkdir(parent, 0700) == 0 || errno == EEXIST))
		made = make_below(parent, ret);
	if (!made && !make_below("/tmp", ret)) {
		ret->dir[0] = '\0';
		return pst_error_set_errno(err, errno,
					   "cannot make a directory in /tmp");
	}
	if (pst_demo_proc_identify(getpid(), &ret->maker)) {
		rmdir(ret->dir);
		return pst_error_set(err, -ENOENT, "/proc is not mounted");
	}
	return pst_demo_state_write(ret, err);
}

/* Files only: nobody makes directories there. The state goes last: whoever is
 * killed in between leaves what the next sweep understands. */
static int remove_dir(const char *dir, struct pst_error *err)
{
	struct dirent *e;
	struct stat st;
	DIR *d;
	int fd;

	fd = open_own_dir(dir, &st, err);
	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return fd;
	d = fdopendir(fd);
	if (!d) {
		close(fd);
		return pst_error_set_errno(err, errno, "cannot read %s", dir);
	}
	while ((e = readdir(d)))
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..") &&
		    strcmp(e->d_name, STATE_FILE))
			unlinkat(fd, e->d_name, 0);
	unlinkat(fd, STATE_FILE, 0);
	closedir(d);
	if (rmdir(dir) && errno != ENOENT)
		return pst_error_set_errno(err, errno, "cannot remove %s", dir);
	return 0;
}

static int end_qemu(struct pst_demo_state *s, struct pst_error *err)
{
	char path[PST_DEMO_PATH_MAX];
	struct pst_demo_qmp *q;
	int r;

	/* One that was killed a moment ago is not alive but may not be gone. */
	q = pst_demo_proc_alive(&s->qemu) ? malloc(sizeof(*q)) : NULL;
	if (q && pst_demo_qmp_open(pst_demo_state_path(s, "qmp.sock", path),
				   QUIT_NS, q, NULL) == 0) {
		/* QEMU may close before it answers: what counts is its end. */
		r = pst_demo_qmp_run(q, "quit", QUIT_NS, NULL);
		pst_demo_qmp_close(q);
		if (r == 0 || r == -ECONNRESET)
			pst_demo_proc_end(&s->qemu, 0, QUIT_NS);
	}
	free(q);
	r = pst_demo_proc_end(&s->qemu, SIGKILL, KILL_NS);
	if (r)
		return pst_error_set(err, r, "QEMU (pid %d) does not end",
				     (int)s->qemu.pid);
	return 0;
}

int pst_demo_state_end(struct pst_demo_state *s, struct pst_error *err)
{
	int r, rc2;

	if (!s->dir[0])
		return 0;
	r = end_qemu(s, err);
	rc2 = pst_demo_proc_end(&s->vsock, SIGKILL, KILL_NS);
	if (!r && rc2)
		r = pst_error_set(err, rc2,
				  "vhost-device-vsock (pid %d) does not end",
				  (int)s->vsock.pid);
	if (s->region[0] && unlink(s->region) && errno != ENOENT && !r)
		r = pst_error_set_errno(err, errno, "cannot remove %s",
					s->region);
	/* While something runs the directory is what --stop finds it by. */
	if (!r)
		r = remove_dir(s->dir, err);
	return r;
}

/* ---- All of them -------------------------------------------------------- */

/* Calls fn for each demo directory of this user below parent. */
static int each_below(const char *parent,
		      int (*fn)(const char *dir, struct pst_error *err),
		      struct pst_error *err)
{
	char dir[PST_DEMO_DIR_MAX];
	struct dirent *e;
	struct stat st;
	int n = 0, r = 0, one;
	DIR *d = opendir(parent);

	if (!d)
		return 0;
	while ((e = readdir(d))) {
		if (strncmp(e->d_name, NAME_PREFIX, strlen(NAME_PREFIX)) ||
		    fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) ||
		    !S_ISDIR(st.st_mode) || st.st_uid != geteuid() ||
		    (size_t)snprintf(dir, sizeof(dir), "%s/%s", parent,
				     e->d_name) >= sizeof(dir))
			continue;
		one = fn(dir, err);
		if (one > 0)
			n += one;
		else if (one < 0)
			r = one;
	}
	closedir(d);
	return r ? r : n;
}

static int each(int (*fn)(const char *dir, struct pst_error *err),
		struct pst_error *err)
{
	char parent[PST_DEMO_DIR_MAX];
	int n = 0, m;

	if (runtime_parent(parent, sizeof(parent)))
		n = each_below(parent, fn, err);
	m = each_below("/tmp", fn, err);
	return n < 0 ? n : m < 0 ? m : n + m;
}

/* 1: one was ended, 0: not a kept one. */
static int stop_one(const char *dir, struct pst_error *err)
{
	struct pst_demo_state s;
	int r;

	if (pst_demo_state_read(dir, &s, NULL) || !s.kept ||
	    pst_demo_proc_alive(&s.maker))
		return 0;
	r = pst_demo_state_end(&s, err);
	return r ? r : 1;
}

int pst_demo_state_stop_all(struct pst_error *err)
{
	return each(stop_one, err);
}

static int sweep_one(const char *dir, struct pst_error *err)
{
	struct pst_demo_state s;
	struct stat st;
	int fd, r;

	r = pst_demo_state_read(dir, &s, NULL);
	if (r == -ENOENT) {
		fd = open_own_dir(dir, &st, NULL);
		if (fd < 0)
			return 0;
		close(fd);
		if (time(NULL) - st.st_mtime > YOUNG_S)
			remove_dir(dir, NULL);
		return 0;
	}
	if (r || pst_demo_proc_alive(&s.maker) ||
	    (s.kept && pst_demo_proc_alive(&s.qemu)))
		return 0;
	return pst_demo_state_end(&s, err);
}

void pst_demo_state_sweep(void)
{
	each(sweep_one, NULL);
}
