/* SPDX-License-Identifier: MIT */
/* Files changed as one: killed at each step, failed at each step, undone. */
#include "kernel-params/journal/journal.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "tests/fixtures/tmpdir.h"
#include "tests/fixtures/unit.h"

static struct pst_host_root root;

static void put(const char *name, const char *text)
{
	FILE *f = fopen(tmpdir_path(name), "w");

	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	ck_assert_int_eq(fclose(f), 0);
}

/* A file's text, "(none)" if it is missing. */
static const char *get(const char *name)
{
	static char buf[4][1024];
	static unsigned int next;
	char *b = buf[next++ % 4];
	FILE *f = fopen(tmpdir_path(name), "r");

	if (!f)
		return "(none)";
	b[fread(b, 1, 1023, f)] = '\0';
	fclose(f);
	return b;
}

/* Everything in the tree: names, modes and texts. */
static void tree(char *buf, size_t size)
{
	char command[256];
	size_t n;
	FILE *f;

	snprintf(command, sizeof(command),
		 "cd %s && find . -printf '%%P %%m %%U\\n' -type f -exec cat "
		 "{} + | sort",
		 tmpdir);
	f = popen(command, "r");
	n = fread(buf, 1, size - 1, f);
	buf[n] = '\0';
	pclose(f);
}

static void setup(void)
{
	tmpdir_make();
	mkdir(tmpdir_path("etc"), 0755);
	mkdir(tmpdir_path("var"), 0755);
	mkdir(tmpdir_path("var/lib"), 0755);
	put("etc/a", "old a\n");
	put("etc/b", "old b");
	ck_assert_int_eq(chmod(tmpdir_path("etc/b"), 0600), 0);
	ck_assert_int_eq(pst_host_root_open(tmpdir, &root, NULL), 0);
}

static void teardown(void)
{
	pst_host_root_close(&root);
	tmpdir_remove();
}

static const struct pst_host_journal_want first[] = {
	{"/etc/a", "new a\n", 0644},
	{"/etc/b", "new b", 0644},
	{"/etc/new.d/c", "new c\n", 0750},
};
static const struct pst_host_journal_want second[] = {
	{"/etc/a", "newer a\n", 0644},
	{"/etc/d", "new d\n", 0644},
};

/* A hook that ends the process, or fails, at step number `at`. */
struct bomb {
	int at, now;
	bool kill;
};

static int tick(void *ctx, const char *what)
{
	struct bomb *b = ctx;

	if (b->now++ != b->at)
		return 0;
	if (b->kill)
		raise(SIGKILL);
	return -ENOSPC;
}

static struct bomb quiet = {.at = -1};

static int apply(const struct pst_host_journal_want *want, size_t n,
		 struct bomb *bomb, size_t *ret_changed, struct pst_error *err)
{
	struct pst_host_journal j;
	char *diff = NULL;
	int r = pst_host_journal_open(&root, true, &j, err);

	*ret_changed = 0;
	if (r < 0)
		return r;
	j.hook = (struct pst_host_journal_hook){tick, bomb};
	r = pst_host_journal_apply(&j, "gpu 1\n", want, n, ret_changed, &diff,
				   err);
	free(diff);
	pst_host_journal_close(&j);
	return r;
}

/* Whether undo() keeps edits. */
static bool keep_edited;

static int undo(struct bomb *bomb, size_t *ret_changed, char **ret_diff,
		struct pst_error *err)
{
	struct pst_host_journal j;
	int r = pst_host_journal_open(&root, true, &j, err);

	ck_assert_int_eq(r, 0);
	j.hook = (struct pst_host_journal_hook){tick, bomb};
	r = pst_host_journal_undo(&j, keep_edited, ret_changed, ret_diff, err);
	pst_host_journal_close(&j);
	return r;
}

static void apply_well(const struct pst_host_journal_want *want, size_t n,
		       size_t changed)
{
	struct pst_error err = {0};
	size_t got;
	int r = apply(want, n, &quiet, &got, &err);

	ck_assert_msg(r == 0, "%s", err.text);
	ck_assert_uint_eq(got, changed);
}

static void undo_well(void)
{
	struct pst_error err = {0};
	size_t changed;
	char *diff;
	int r = undo(&quiet, &changed, &diff, &err);

	ck_assert_msg(r == 0, "%s", err.text);
	ck_assert_ptr_null(diff);
}

static enum pst_host_journal_state state(void)
{
	struct pst_host_journal j;
	enum pst_host_journal_state s;

	ck_assert_int_eq(pst_host_journal_open(&root, false, &j, NULL), 0);
	s = j.state;
	pst_host_journal_close(&j);
	return s;
}

START_TEST(apply_writes_and_undo_restores_every_byte)
{
	char before[8192], after[8192];
	struct stat st;

	tree(before, sizeof(before));
	apply_well(first, 3, 3);
	ck_assert_str_eq(get("etc/a"), "new a\n");
	ck_assert_str_eq(get("etc/b"), "new b");
	ck_assert_str_eq(get("etc/new.d/c"), "new c\n");
	ck_assert_int_eq(stat(tmpdir_path("etc/b"), &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
	ck_assert_int_eq(stat(tmpdir_path("etc/new.d/c"), &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0750);
	ck_assert_int_eq(state(), PST_HOST_JOURNAL_APPLIED);
	undo_well();
	tree(after, sizeof(after));
	ck_assert_str_eq(before, after);
}
END_TEST

START_TEST(owner_and_extended_attributes_stay)
{
	char value[8] = "";
	bool attr =
		setxattr(tmpdir_path("etc/a"), "user.pst", "kept", 4, 0) == 0;
	struct stat st;
	int round;

	if (!attr)
		printf("# no extended attributes here\n");
	if (geteuid() == 0)
		ck_assert_int_eq(chown(tmpdir_path("etc/a"), 1234, 5678), 0);
	for (round = 0; round < 2; round++) {
		if (round == 0)
			apply_well(first, 3, 3);
		else
			undo_well();
		ck_assert_int_eq(stat(tmpdir_path("etc/a"), &st), 0);
		if (geteuid() == 0)
			ck_assert(st.st_uid == 1234 && st.st_gid == 5678);
		if (!attr)
			continue;
		ck_assert_int_eq(getxattr(tmpdir_path("etc/a"), "user.pst",
					  value, sizeof(value)),
				 4);
		ck_assert_mem_eq(value, "kept", 4);
	}
}
END_TEST

START_TEST(a_second_apply_changes_nothing)
{
	char once[8192], twice[8192];

	apply_well(first, 3, 3);
	tree(once, sizeof(once));
	apply_well(first, 3, 0);
	tree(twice, sizeof(twice));
	ck_assert_str_eq(once, twice);
}
END_TEST

START_TEST(another_plan_takes_the_first_ones_files_back)
{
	char before[8192], after[8192];

	tree(before, sizeof(before));
	apply_well(first, 3, 3);
	apply_well(second, 2, 4);
	ck_assert_str_eq(get("etc/a"), "newer a\n");
	ck_assert_str_eq(get("etc/b"), "old b");
	ck_assert_str_eq(get("etc/new.d/c"), "(none)");
	ck_assert_str_eq(get("etc/d"), "new d\n");
	undo_well();
	tree(after, sizeof(after));
	ck_assert_str_eq(before, after);
}
END_TEST

START_TEST(a_plan_begins_with_the_former_text)
{
	struct pst_host_journal j;
	bool edited;
	char *text;

	apply_well(first, 3, 3);
	ck_assert_int_eq(pst_host_journal_open(&root, false, &j, NULL), 0);
	ck_assert_int_eq(
		pst_host_journal_base(&j, "/etc/a", &text, &edited, NULL), 0);
	ck_assert_str_eq(text, "old a\n");
	ck_assert(!edited);
	free(text);
	ck_assert_int_eq(
		pst_host_journal_base(&j, "/etc/new.d/c", &text, &edited, NULL),
		0);
	ck_assert_ptr_null(text);
	put("etc/a", "mine\n");
	ck_assert_int_eq(
		pst_host_journal_base(&j, "/etc/a", &text, &edited, NULL), 0);
	ck_assert_str_eq(text, "mine\n");
	ck_assert(edited);
	free(text);
	pst_host_journal_close(&j);
}
END_TEST

START_TEST(undo_refuses_with_the_difference_where_someone_edited)
{
	struct pst_error err = {0};
	size_t changed;
	char *diff;

	apply_well(first, 3, 3);
	put("etc/a", "new a\nand mine\n");
	ck_assert_int_eq(undo(&quiet, &changed, &diff, &err), -EEXIST);
	ck_assert_ptr_nonnull(strstr(diff, "+++ b/etc/a\n"));
	ck_assert_ptr_nonnull(strstr(diff, "\n+and mine\n"));
	free(diff);
	ck_assert_str_eq(get("etc/b"), "new b");
	/* Nor does an apply that would have to change it. */
	ck_assert_int_eq(apply(second, 2, &quiet, &changed, &err), -EEXIST);
	ck_assert_str_eq(get("etc/a"), "new a\nand mine\n");
	ck_assert_str_eq(get("etc/d"), "(none)");
	put("etc/a", "new a\n");
	undo_well();
	ck_assert_str_eq(get("etc/a"), "old a\n");
}
END_TEST

START_TEST(undo_may_leave_edited_files_alone)
{
	struct pst_error err = {0};
	size_t changed;
	char *diff;

	apply_well(first, 3, 3);
	put("etc/a", "new a\nand mine\n");
	keep_edited = true;
	ck_assert_int_eq(undo(&quiet, &changed, &diff, &err), 0);
	keep_edited = false;
	ck_assert_ptr_null(diff);
	ck_assert_uint_eq(changed, 2);
	ck_assert_str_eq(get("etc/a"), "new a\nand mine\n");
	ck_assert_str_eq(get("etc/b"), "old b");
	ck_assert_int_eq(state(), PST_HOST_JOURNAL_NONE);
}
END_TEST

START_TEST(a_folder_that_is_a_link_to_nowhere_is_said)
{
	struct pst_error err = {0};
	size_t changed;

	ck_assert_int_eq(symlink("nowhere", tmpdir_path("etc/new.d")), 0);
	ck_assert_int_eq(apply(first, 3, &quiet, &changed, &err), -ENOENT);
	ck_assert_ptr_nonnull(strstr(err.text, "leads nowhere"));
	ck_assert_str_eq(get("etc/a"), "old a\n");
	ck_assert_int_eq(state(), PST_HOST_JOURNAL_NONE);
}
END_TEST

START_TEST(an_edit_that_the_plan_agrees_with_is_kept)
{
	struct pst_host_journal_want want[3];
	struct pst_error err = {0};
	size_t changed;
	char *diff;

	memcpy(want, first, sizeof(want));
	apply_well(first, 3, 3);
	put("etc/a", "new a\nmine\n");
	want[0].text = "new a\nmine\n";
	apply_well(want, 3, 0);
	/* But undo still knows that it is not ours alone. */
	ck_assert_int_eq(undo(&quiet, &changed, &diff, &err), -EEXIST);
	free(diff);
}
END_TEST

/* Runs the action in a child that dies at step `at`; false: it came through. */
static bool dies(int at, bool is_undo)
{
	struct bomb bomb = {.at = at, .kill = true};
	size_t changed;
	char *diff;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (is_undo)
			_exit(undo(&bomb, &changed, &diff, NULL) != 0);
		_exit(apply(second, 2, &bomb, &changed, NULL) != 0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status))
		return true;
	ck_assert_int_eq(WEXITSTATUS(status), 0);
	return false;
}

/* No temporary file is left, and all files are as after `second`. */
static void is_second(void)
{
	char all[8192];

	ck_assert_str_eq(get("etc/a"), "newer a\n");
	ck_assert_str_eq(get("etc/b"), "old b");
	ck_assert_str_eq(get("etc/d"), "new d\n");
	tree(all, sizeof(all));
	ck_assert_msg(!strstr(all, ".penstock"), "%s", all);
}

START_TEST(a_crash_at_any_step_is_undone)
{
	char before[8192], after[8192];
	int with_first, at;

	tree(before, sizeof(before));
	for (with_first = 0; with_first < 2; with_first++) {
		for (at = 0;; at++) {
			if (with_first)
				apply_well(first, 3, 3);
			if (!dies(at, false))
				break;
			undo_well();
			tree(after, sizeof(after));
			ck_assert_str_eq(before, after);
			ck_assert_str_eq(get("etc/a"), "old a\n");
			ck_assert_str_eq(get("etc/b"), "old b");
			ck_assert_str_eq(get("etc/d"), "(none)");
		}
		ck_assert_int_ge(at, 8);
		is_second();
		undo_well();
	}
}
END_TEST

START_TEST(a_crash_at_any_step_is_replayed)
{
	char before[8192], after[8192];
	int with_first, at;

	tree(before, sizeof(before));
	for (with_first = 0; with_first < 2; with_first++) {
		for (at = 0;; at++) {
			struct pst_error err = {0};
			size_t changed;

			if (with_first)
				apply_well(first, 3, 3);
			if (!dies(at, false))
				break;
			ck_assert_msg(
				apply(second, 2, &quiet, &changed, &err) == 0,
				"step %d: %s", at, err.text);
			is_second();
			ck_assert_int_eq(state(), PST_HOST_JOURNAL_APPLIED);
			apply_well(second, 2, 0);
			undo_well();
			ck_assert_str_eq(get("etc/new.d/c"), "(none)");
		}
		undo_well();
	}
	tree(after, sizeof(after));
	ck_assert_str_eq(before, after);
}
END_TEST

START_TEST(an_undo_that_is_cut_off_is_gone_on_with)
{
	char before[8192], after[8192];
	int at;

	tree(before, sizeof(before));
	for (at = 0;; at++) {
		apply_well(first, 3, 3);
		if (!dies(at, true))
			break;
		undo_well();
		tree(after, sizeof(after));
		ck_assert_str_eq(before, after);
	}
	ck_assert_int_ge(at, 6);
	/* An apply may come instead. */
	apply_well(first, 3, 3);
	ck_assert(dies(at - 1, true));
	apply_well(second, 2, 2);
	is_second();
}
END_TEST

START_TEST(a_full_disk_at_any_step_leaves_everything_as_it_was)
{
	char before[8192], after[8192];
	int with_first, at;

	for (with_first = 0; with_first < 2; with_first++) {
		if (with_first)
			apply_well(first, 3, 3);
		tree(before, sizeof(before));
		for (at = 0;; at++) {
			struct bomb bomb = {.at = at};
			struct pst_error err = {0};
			size_t changed;
			int r = apply(second, 2, &bomb, &changed, &err);

			if (r == 0)
				break;
			/* After the files: they are changed, and known. */
			if (state() == PST_HOST_JOURNAL_PENDING) {
				is_second();
				ck_assert_int_eq(r, -ENOSPC);
				apply_well(second, 2, 0);
				undo_well();
				if (with_first)
					apply_well(first, 3, 3);
			}
			ck_assert_int_eq(r, -ENOSPC);
			tree(after, sizeof(after));
			ck_assert_str_eq(before, after);
		}
		ck_assert_int_ge(at, 8);
		undo_well();
	}
}
END_TEST

START_TEST(folders_of_a_failed_apply_go)
{
	static const struct pst_host_journal_want third[] = {
		{"/etc/a", "new a\n", 0644},
		{"/etc/newer.d/e", "new e\n", 0644},
	};
	char before[8192], after[8192];
	struct bomb bomb = {.at = 5};
	struct pst_error err = {0};
	size_t changed;

	apply_well(first, 3, 3);
	tree(before, sizeof(before));
	ck_assert_int_eq(apply(third, 2, &bomb, &changed, &err), -ENOSPC);
	tree(after, sizeof(after));
	ck_assert_str_eq(before, after);
	ck_assert_int_eq(access(tmpdir_path("etc/newer.d"), F_OK), -1);
	undo_well();
}
END_TEST

START_TEST(a_link_is_not_replaced_and_nothing_else_is_either)
{
	struct pst_error err = {0};
	size_t changed;

	remove(tmpdir_path("etc/b"));
	put("etc/real", "old b");
	ck_assert_int_eq(symlink("real", tmpdir_path("etc/b")), 0);
	ck_assert_int_eq(apply(first, 3, &quiet, &changed, &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "symbolic link"));
	ck_assert_str_eq(get("etc/a"), "old a\n");
	ck_assert_int_eq(state(), PST_HOST_JOURNAL_NONE);
}
END_TEST

START_TEST(directories_that_are_links_stay_below_the_root)
{
	static const struct pst_host_journal_want want[] = {
		{"/boot/loader/x.conf", "x\n", 0644},
	};

	mkdir(tmpdir_path("boot"), 0755);
	mkdir(tmpdir_path("boot/loader.0"), 0755);
	ck_assert_int_eq(symlink("/boot/loader.0", tmpdir_path("boot/loader")),
			 0);
	apply_well(want, 1, 1);
	ck_assert_str_eq(get("boot/loader.0/x.conf"), "x\n");
	undo_well();
	ck_assert_str_eq(get("boot/loader.0/x.conf"), "(none)");
}
END_TEST

START_TEST(a_text_with_a_nul_byte_is_refused)
{
	struct pst_error err = {0};
	FILE *f = fopen(tmpdir_path("etc/a"), "w");
	size_t changed;

	fwrite("a\0b", 1, 3, f);
	fclose(f);
	ck_assert_int_eq(apply(first, 3, &quiet, &changed, &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "NUL"));
}
END_TEST

START_TEST(two_at_a_time_are_refused)
{
	struct pst_host_journal a, b;
	struct pst_error err = {0};

	ck_assert_int_eq(pst_host_journal_open(&root, true, &a, &err), 0);
	ck_assert_int_eq(pst_host_journal_open(&root, true, &b, &err), -EBUSY);
	pst_host_journal_close(&a);
	ck_assert_int_eq(access(tmpdir_path("var/lib/penstock"), F_OK), -1);
}
END_TEST

START_TEST(a_folder_that_a_first_step_left_goes_with_undo)
{
	ck_assert_int_eq(mkdir(tmpdir_path("var/lib/penstock"), 0755), 0);
	undo_well();
	ck_assert_int_eq(access(tmpdir_path("var/lib/penstock"), F_OK), -1);
}
END_TEST

START_TEST(a_damaged_journal_is_told_from_none)
{
	struct pst_error err = {0};
	struct pst_host_journal j = {0};
	char *bytes, *cut;
	size_t len, i;

	apply_well(first, 3, 3);
	ck_assert_int_eq(pst_host_journal_open(&root, false, &j, NULL), 0);
	ck_assert_int_eq(pst_host_journal_format(&j, &bytes, &len), 0);
	pst_host_journal_close(&j);
	for (i = 0; i < len; i++) {
		cut = malloc(i + 1);
		memcpy(cut, bytes, i);
		ck_assert_int_eq(pst_host_journal_parse(cut, i, &j), -EPROTO);
		pst_host_journal_clear(&j);
		free(cut);
	}
	/* Any one byte changed: an error or a journal, never a crash. */
	for (i = 0; i < len; i++) {
		char was = bytes[i];

		bytes[i] ^= 0x11;
		(void)!pst_host_journal_parse(bytes, len, &j);
		pst_host_journal_clear(&j);
		bytes[i] = was;
	}
	free(bytes);
	put("var/lib/penstock/host-plan/journal", "penstock host plan 1\n");
	ck_assert_int_eq(pst_host_journal_open(&root, true, &j, &err), -EPROTO);
	ck_assert_ptr_nonnull(strstr(err.text, "damaged"));
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, apply_writes_and_undo_restores_every_byte);
	tcase_add_test(tc, owner_and_extended_attributes_stay);
	tcase_add_test(tc, a_second_apply_changes_nothing);
	tcase_add_test(tc, another_plan_takes_the_first_ones_files_back);
	tcase_add_test(tc, a_plan_begins_with_the_former_text);
	tcase_add_test(tc,
		       undo_refuses_with_the_difference_where_someone_edited);
	tcase_add_test(tc, undo_may_leave_edited_files_alone);
	tcase_add_test(tc, a_folder_that_is_a_link_to_nowhere_is_said);
	tcase_add_test(tc, an_edit_that_the_plan_agrees_with_is_kept);
	tcase_add_test(tc, a_crash_at_any_step_is_undone);
	tcase_add_test(tc, a_crash_at_any_step_is_replayed);
	tcase_add_test(tc, an_undo_that_is_cut_off_is_gone_on_with);
	tcase_add_test(tc, a_full_disk_at_any_step_leaves_everything_as_it_was);
	tcase_add_test(tc, folders_of_a_failed_apply_go);
	tcase_add_test(tc, a_link_is_not_replaced_and_nothing_else_is_either);
	tcase_add_test(tc, directories_that_are_links_stay_below_the_root);
	tcase_add_test(tc, a_text_with_a_nul_byte_is_refused);
	tcase_add_test(tc, two_at_a_time_are_refused);
	tcase_add_test(tc, a_folder_that_a_first_step_left_goes_with_undo);
	tcase_add_test(tc, a_damaged_journal_is_told_from_none);
}

int main(void)
{
	return pst_unit_run("journal", add, 60);
}
