/* SPDX-License-Identifier: MIT */
/* Output files: whole under their name, or not there. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "host-client/files/outfile.h"
#include "tests/fixtures/tmpdir.h"
#include "tests/fixtures/unit.h"

static struct pst_error err;
static struct pst_outfile out;

static void put(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	ck_assert_ptr_nonnull(f);
	ck_assert_int_ge(fputs(text, f), 0);
	ck_assert_int_eq(fclose(f), 0);
}

static void expect(const char *path, const char *text)
{
	char buf[64] = "";
	FILE *f = fopen(path, "r");

	ck_assert_ptr_nonnull(f);
	ck_assert(fgets(buf, sizeof(buf), f) || !*text);
	fclose(f);
	ck_assert_str_eq(buf, text);
}

/* Names in the directory, without . and .. */
static int n_entries(void)
{
	DIR *d = opendir(tmpdir);
	int n = -2;

	ck_assert_ptr_nonnull(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static int begin(const char *path)
{
	memset(&err, 0, sizeof(err));
	return pst_outfile_open(path, &out, &err);
}

static void write_text(const char *text)
{
	ck_assert_int_eq(pst_outfile_write(&out, text, strlen(text), &err), 0);
}

START_TEST(a_committed_file_is_there_with_the_umasks_mode)
{
	const char *path = tmpdir_path("out");
	struct stat st;

	umask(027);
	ck_assert_int_eq(begin(path), 0);
	write_text("one ");
	write_text("two");
	ck_assert_int_eq(pst_outfile_commit(&out, &err), 0);
	expect(path, "one two");
	ck_assert_int_eq(n_entries(), 1);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0640);
	pst_outfile_abandon(&out);
}
END_TEST

START_TEST(an_existing_file_is_untouched_until_the_commit)
{
	const char *path = tmpdir_path("out");

	put(path, "old");
	ck_assert_int_eq(begin(path), 0);
	write_text("new");
	expect(path, "old");
	ck_assert_int_eq(pst_outfile_commit(&out, &err), 0);
	expect(path, "new");
	ck_assert_int_eq(n_entries(), 1);
}
END_TEST

START_TEST(an_abandoned_file_leaves_nothing)
{
	const char *path = tmpdir_path("out");

	put(path, "old");
	ck_assert_int_eq(begin(path), 0);
	write_text("new");
	pst_outfile_abandon(&out);
	pst_outfile_abandon(&out);
	expect(path, "old");
	ck_assert_int_eq(n_entries(), 1);
}
END_TEST

START_TEST(a_link_stays_a_link_and_its_file_is_replaced)
{
	const char *path = tmpdir_path("file"), *link = tmpdir_path("link");
	struct stat st;

	put(path, "old");
	ck_assert_int_eq(symlink("file", link), 0);
	ck_assert_int_eq(begin(link), 0);
	write_text("new");
	ck_assert_int_eq(pst_outfile_commit(&out, &err), 0);
	expect(path, "new");
	ck_assert_int_eq(lstat(link, &st), 0);
	ck_assert(S_ISLNK(st.st_mode));
}
END_TEST

START_TEST(
	a_link_that_somebody_else_put_into_a_shared_directory_is_not_followed)
{
	const char *path = tmpdir_path("file"), *link, *chain;

	if (geteuid() != 0)
		return; /* one user cannot be two */
	put(path, "old");
	ck_assert_int_eq(mkdir(tmpdir_path("shared"), 0777), 0);
	ck_assert_int_eq(chmod(tmpdir_path("shared"), 01777), 0);
	link = tmpdir_path("shared/link");
	ck_assert_int_eq(symlink("../file", link), 0);
	ck_assert_int_eq(lchown(link, 65534, 65534), 0);
	ck_assert_int_eq(begin(link), -EACCES);
	ck_assert_ptr_nonnull(strstr(err.text, "somebody else"));
	/* Nor by way of a link of one's own. */
	chain = tmpdir_path("chain");
	ck_assert_int_eq(symlink("shared/link", chain), 0);
	ck_assert_int_eq(begin(chain), -EACCES);
	expect(path, "old");
	/* The directory's owner may, and so may the caller. */
	ck_assert_int_eq(chown(tmpdir_path("shared"), 65534, 65534), 0);
	ck_assert_int_eq(begin(link), 0);
	pst_outfile_abandon(&out);
	ck_assert_int_eq(lchown(link, 0, 0), 0);
	ck_assert_int_eq(begin(link), 0);
	pst_outfile_abandon(&out);
}
END_TEST

START_TEST(links_that_never_end_are_refused)
{
	ck_assert_int_eq(symlink("b", tmpdir_path("a")), 0);
	ck_assert_int_eq(symlink("a", tmpdir_path("b")), 0);
	ck_assert_int_eq(begin(tmpdir_path("a")), -ELOOP);
}
END_TEST

START_TEST(what_is_no_regular_file_is_refused)
{
	const char *fifo = tmpdir_path("fifo"), *link = tmpdir_path("dangling");

	ck_assert_int_eq(begin("/dev/null"), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "/dev/null"));
	ck_assert_int_eq(begin(tmpdir), -EISDIR);
	ck_assert_int_eq(begin(tmpdir_path("new/")), -EISDIR);
	ck_assert_int_eq(begin(""), -ENOENT);
	ck_assert_int_eq(mkfifo(fifo, 0600), 0);
	ck_assert_int_eq(begin(fifo), -EINVAL);
	ck_assert_int_eq(symlink("nowhere", link), 0);
	ck_assert_int_eq(begin(link), -ENOENT);
	ck_assert_int_eq(begin(tmpdir_path("no/such/dir")), -ENOENT);
	ck_assert_int_eq(n_entries(), 2);
}
END_TEST

/* Ends in a child by sig while the file is under way; 0 to commit. */
static int in_child(const char *path, int sig)
{
	pid_t pid = fork();
	int status;

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		if (begin(path) < 0)
			_exit(1);
		write_text("new");
		if (sig)
			raise(sig);
		_exit(pst_outfile_commit(&out, &err) < 0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

START_TEST(a_signal_leaves_nothing_and_still_kills)
{
	static const int sigs[] = {SIGINT, SIGTERM, SIGHUP, SIGKILL};
	const char *path = tmpdir_path("out");
	int status = in_child(path, sigs[_i]);

	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(WTERMSIG(status), sigs[_i]);
	ck_assert_int_eq(n_entries(), 0);
}
END_TEST

START_TEST(an_ignored_signal_stays_ignored)
{
	const char *path = tmpdir_path("out");

	signal(SIGHUP, SIG_IGN);
	ck_assert_int_eq(in_child(path, SIGHUP), 0);
	expect(path, "new");
	signal(SIGHUP, SIG_DFL);
}
END_TEST

START_TEST(a_directory_without_permission_is_found_at_once)
{
	const char *path = tmpdir_path("out");
	pid_t pid;
	int status;

	ck_assert_int_eq(chmod(tmpdir, 0555), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		/* root may write everywhere; nobody may not. */
		if (geteuid() == 0 && setuid(65534) < 0)
			_exit(2);
		_exit(begin(path) == -EACCES ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(chmod(tmpdir, 0755), 0);
	ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(a_full_disk_is_an_error_and_leaves_nothing)
{
	const char *path = tmpdir_path("out");
	static char block[4096];
	int r = 0, i;

	ck_assert_int_eq(begin(path), 0);
	/* A descriptor that cannot be written stands for the disk. */
	ck_assert_int_ge(i = open("/dev/full", O_WRONLY | O_CLOEXEC), 0);
	ck_assert_int_eq(dup3(i, out.fd, O_CLOEXEC), out.fd);
	close(i);
	r = pst_outfile_write(&out, block, sizeof(block), &err);
	ck_assert_int_eq(r, -ENOSPC);
	pst_outfile_abandon(&out);
	ck_assert_int_eq(n_entries(), 0);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, tmpdir_make, tmpdir_remove);
	tcase_add_test(tc, a_committed_file_is_there_with_the_umasks_mode);
	tcase_add_test(tc, an_existing_file_is_untouched_until_the_commit);
	tcase_add_test(tc, an_abandoned_file_leaves_nothing);
	tcase_add_test(tc, a_link_stays_a_link_and_its_file_is_replaced);
	tcase_add_test(
		tc,
		a_link_that_somebody_else_put_into_a_shared_directory_is_not_followed);
	tcase_add_test(tc, links_that_never_end_are_refused);
	tcase_add_test(tc, what_is_no_regular_file_is_refused);
	tcase_add_loop_test(tc, a_signal_leaves_nothing_and_still_kills, 0, 4);
	tcase_add_test(tc, an_ignored_signal_stays_ignored);
	tcase_add_test(tc, a_directory_without_permission_is_found_at_once);
	tcase_add_test(tc, a_full_disk_is_an_error_and_leaves_nothing);
}

int main(void)
{
	return pst_unit_run("outfile", add, 10);
}
