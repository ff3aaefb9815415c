/* SPDX-License-Identifier: MIT */
/* The definition of a domain, with a libvirt that only remembers. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "libvirt-xml/define.h"
#include "tests/fixtures/hosttree.h"
#include "tests/fixtures/unit.h"

#define N_AT_ONCE 6
/* Long enough for every other process to choose meanwhile. */
#define DEFINE_NS (20 * PST_NS_PER_MS)

/* ---- libvirt: the domains are lines "NAME CID" of a file ------------------
 */

static int list(struct pst_vm_virt *v, struct pst_vm_virt_entry **ret,
		struct pst_error *err)
{
	FILE *f = fopen(tmpdir_path("domains"), "r");
	int n = 0;

	*ret = calloc(64, sizeof(**ret));
	ck_assert_ptr_nonnull(*ret);
	while (f && fscanf(f, "%255s %u", (*ret)[n].name, &(*ret)[n].cid) == 2)
		n++;
	if (f)
		fclose(f);
	return n;
}

static unsigned long version(struct pst_vm_virt *v)
{
	return 0;
}

static int info(struct pst_vm_virt *v, const char *name, bool live,
		struct pst_vm_info *ret, struct pst_error *err)
{
	memset(ret, 0, sizeof(*ret));
	return -ENOENT;
}

/* The "XML" is such a line. */
static int domain_xml(const struct pst_vm_config *c, unsigned long v,
		      char **ret, struct pst_error *err)
{
	return asprintf(ret, "%s %u\n", c->name, c->cid) < 0 ? -ENOMEM : 0;
}

static int schema_check(const char *xml, const char *schema,
			struct pst_error *err)
{
	return -ENOENT;
}

static int define(struct pst_vm_virt *v, const char *xml, bool any,
		  struct pst_error *err)
{
	const struct timespec pause = {.tv_nsec = DEFINE_NS};
	int fd;

	nanosleep(&pause, NULL);
	fd = open(tmpdir_path("domains"), O_WRONLY | O_CREAT | O_APPEND, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, xml, strlen(xml)), (ssize_t)strlen(xml));
	close(fd);
	return 0;
}

static const struct pst_vm_api api = {
	.has_libvirt = true,
	.domain_xml = domain_xml,
	.schema_check = schema_check,
	.virt_version = version,
	.virt_list = list,
	.virt_info = info,
	.virt_define = define,
};

/* ---- What is said ------------------------------------------------------- */

static char said[4096];

static void say(void *arg, const char *text)
{
	char *to = arg;
	size_t n = strlen(to);

	snprintf(to + n, sizeof(said) - n, "%s\n", text);
}

static const struct pst_vm_talk talk = {.note = say, .fail = say, .arg = said};

static struct pst_vm_ask ask_for(const char *name)
{
	/* What makes a folder the root of a host. */
	mkdir(tmpdir_path("proc"), 0755);
	return (struct pst_vm_ask){
		.q =
			{
				.name = name,
				.memory = 1ULL << 30,
				.vcpus = 1,
				.kernel = "/boot/vmlinuz",
				.region_size = 64ULL << 20,
				.port = 7070,
				.pool = PST_VM_POOL_LATER,
				.group = "0",
			},
		.root = tmpdir,
		.talk = talk,
		.api = &api,
		.virt = (struct pst_vm_virt *)&api,
	};
}

static void define_one(const char *name)
{
	struct pst_vm_draft *d = calloc(1, sizeof(*d));
	struct pst_vm_ask ask = ask_for(name);
	struct pst_vm_defined defined;
	struct pst_error err = {0};
	int fd = pst_vm_lock(tmpdir_path("lock"), &talk);

	ck_assert_ptr_nonnull(d);
	ck_assert_msg(pst_vm_draft_make(&ask, d, &err) == 0, "%s", err.text);
	ck_assert_msg(pst_vm_define(d, tmpdir_path("conf"), &defined, &err) ==
			      0,
		      "%s", err.text);
	ck_assert_msg(defined.complete, "%s", said);
	pst_close_fd(fd);
	pst_vm_draft_done(d);
	free(d);
}

/* ---- Tests -------------------------------------------------------------- */

START_TEST(domains_that_are_defined_at_once_get_different_cids)
{
	struct pst_vm_virt_entry *v;
	char name[16];
	int i, j, n, status;

	tree_make();
	tree_dir("proc");
	for (i = 0; i < N_AT_ONCE; i++) {
		pid_t pid = fork();

		ck_assert_int_ge(pid, 0);
		if (pid == 0) {
			snprintf(name, sizeof(name), "d%d", i);
			define_one(name);
			_exit(0);
		}
	}
	for (i = 0; i < N_AT_ONCE; i++) {
		ck_assert_int_gt(wait(&status), 0);
		ck_assert_int_eq(status, 0);
	}
	n = list(NULL, &v, NULL);
	ck_assert_int_eq(n, N_AT_ONCE);
	for (i = 0; i < n; i++)
		for (j = 0; j < i; j++)
			ck_assert_uint_ne(v[i].cid, v[j].cid);
	free(v);
	tree_remove();
}
END_TEST

START_TEST(only_its_owner_can_hold_the_lock)
{
	struct stat st;
	int fd, status;
	pid_t pid;

	tree_make();
	fd = pst_vm_lock(tmpdir_path("lock"), &talk);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_uint_eq(st.st_uid, geteuid());
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
	ck_assert_int_eq(chmod(tmpdir, 0755), 0);
	pid = geteuid() == 0 ? fork() : -1;
	if (pid == 0) {
		if (chdir(tmpdir) < 0 || setgid(65534) < 0 || setuid(65534) < 0)
			_exit(1);
		_exit(open("lock", O_RDONLY) < 0 && errno == EACCES ? 0 : 2);
	}
	if (pid > 0) {
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		ck_assert_int_eq(status, 0);
	}
	close(fd);
	tree_remove();
}
END_TEST

START_TEST(without_the_lock_it_is_said_and_defined)
{
	tree_make();
	tree_dir("proc");
	ck_assert_int_eq(symlink("elsewhere", tmpdir_path("lock")), 0);
	define_one("d");
	ck_assert_ptr_nonnull(strstr(said, "may choose the same CID"));
	tree_remove();
}
END_TEST

START_TEST(what_cannot_be_written_is_said_whole)
{
	struct pst_vm_draft *d = calloc(1, sizeof(*d));
	struct pst_vm_defined defined;
	struct pst_vm_ask ask;
	struct pst_error err;

	tree_make();
	tree_dir("proc");
	tree_file("conf", "");
	ask = ask_for("d");
	ck_assert_ptr_nonnull(d);
	ck_assert_int_eq(pst_vm_draft_make(&ask, d, &err), 0);
	ck_assert_int_eq(pst_vm_define(d, tmpdir_path("conf"), &defined, &err),
			 0);
	ck_assert(!defined.complete);
	ck_assert_ptr_nonnull(
		strstr(said, "endpoints.d/d.conf has to hold:\n# Written"));
	ck_assert_ptr_nonnull(strstr(said, "\nSIZE=64M\n"));
	pst_vm_draft_done(d);
	free(d);
	tree_remove();
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, domains_that_are_defined_at_once_get_different_cids);
	tcase_add_test(tc, only_its_owner_can_hold_the_lock);
	tcase_add_test(tc, without_the_lock_it_is_said_and_defined);
	tcase_add_test(tc, what_cannot_be_written_is_said_whole);
}

int main(void)
{
	return pst_unit_run("vm_define", add, 60);
}
