/* SPDX-License-Identifier: MIT */
/* The drop-in for modprobe.d, and how modprobe itself reads it. */
#include "kernel-params/edit/edit_modprobe.h"

#include <string.h>

#include "tests/fixtures/tmpdir.h"
#include "tests/fixtures/unit.h"

static struct pst_host_modconf conf;
static const char *const modules[] = {"nvidia", "snd_hda_intel", NULL};
static const struct pst_host_modprobe_want want = {
	.ids = "10de:17c2,10de:0fb0",
	.modules = modules,
};

static void setup(void)
{
	tmpdir_make();
	conf = (struct pst_host_modconf){0};
}

static void teardown(void)
{
	pst_host_modconf_done(&conf);
	tmpdir_remove();
}

static void others(const char *text)
{
	ck_assert_int_eq(pst_host_modconf_parse(text, strlen(text),
						"/etc/x.conf", &conf),
			 0);
}

static void drop_in_is(const char *lines)
{
	char *text;

	ck_assert_int_eq(pst_host_edit_modprobe(&conf, &want, &text), 0);
	if (!lines) {
		ck_assert_ptr_null(text);
		return;
	}
	ck_assert_ptr_nonnull(text);
	ck_assert_str_eq(strchr(text, '\n') + 1, lines);
	free(text);
}

START_TEST(ids_and_an_order_for_each_driver)
{
	drop_in_is("options vfio-pci ids=10de:17c2,10de:0fb0\n"
		   "softdep nvidia pre: vfio-pci\n"
		   "softdep snd_hda_intel pre: vfio-pci\n");
}
END_TEST

START_TEST(what_others_say_already_is_not_said_again)
{
	others("options vfio_pci disable_vga=1 ids=10de:17c2\n"
	       "softdep nvidia pre: a vfio_pci\n");
	drop_in_is("softdep snd_hda_intel pre: vfio-pci\n");
	others("softdep snd-hda-intel pre: vfio-pci\n");
	drop_in_is(NULL);
}
END_TEST

START_TEST(anothers_softdep_is_repeated_since_only_the_first_counts)
{
	others("options vfio-pci ids=1:2\nsoftdep nvidia pre: i2c post: x\n"
	       "softdep snd_hda_intel post: vfio-pci\n");
	drop_in_is("softdep nvidia pre: vfio-pci i2c post: x\n"
		   "softdep snd_hda_intel pre: vfio-pci post: vfio-pci\n");
	pst_host_modconf_done(&conf);
	conf = (struct pst_host_modconf){0};
	others("options vfio-pci ids=1:2\nsoftdep nvidia pre: i2c\r\nsoftdep snd_hda_intel post: x\r\n");
	drop_in_is("softdep nvidia pre: vfio-pci i2c\n"
		   "softdep snd_hda_intel pre: vfio-pci post: x\n");
}
END_TEST

START_TEST(ids_come_into_the_line_that_has_some)
{
	struct pst_error err = {0};
	const struct pst_host_modconf_line *line;
	static const char text[] = "# x\noptions vfio-pci ids=1:2 "
				   "disable_vga=1 # y\n";
	char *got;

	others(text);
	line = pst_host_modprobe_ids_line(&conf);
	ck_assert_ptr_nonnull(line);
	ck_assert_int_eq(
		pst_host_edit_modprobe_ids(text, line, want.ids, &got, &err),
		0);
	ck_assert_str_eq(got, "# x\noptions vfio-pci ids=1:2,10de:17c2,"
			      "10de:0fb0 disable_vga=1 # y\n");
	free(got);
	ck_assert_int_eq(
		pst_host_edit_modprobe_ids(text, line, "1:2", &got, &err), 0);
	ck_assert_str_eq(got, text);
	free(got);
}
END_TEST

START_TEST(ids_in_a_continued_line_are_refused)
{
	static const char text[] = "options vfio-pci \\\n ids=1:2\n";
	struct pst_error err = {0};
	char *got;

	others(text);
	ck_assert_int_eq(pst_host_edit_modprobe_ids(
				 text, pst_host_modprobe_ids_line(&conf), "3:4",
				 &got, &err),
			 -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "by hand"));
}
END_TEST

START_TEST(modprobe_reads_the_drop_in)
{
	char command[256], got[8192], *text;
	size_t n;
	FILE *f;

	if (system("PATH=$PATH:/sbin:/usr/sbin command -v modprobe "
		   ">/dev/null")) {
		printf("# no modprobe here: nothing was tried\n");
		return;
	}
	ck_assert_int_eq(pst_host_edit_modprobe(&conf, &want, &text), 0);
	f = fopen(tmpdir_path("00-penstock.conf"), "w");
	fputs(text, f);
	fclose(f);
	free(text);
	snprintf(command, sizeof(command),
		 "PATH=$PATH:/sbin:/usr/sbin modprobe -C %s -c 2>&1", tmpdir);
	f = popen(command, "r");
	n = fread(got, 1, sizeof(got) - 1, f);
	got[n] = '\0';
	while (fgetc(f) != EOF)
		;
	ck_assert_int_eq(pclose(f), 0);
	ck_assert_msg(strstr(got, "options vfio_pci ids=10de:17c2,10de:0fb0\n"),
		      "%s", got);
	ck_assert_ptr_nonnull(strstr(got, "softdep nvidia pre: vfio-pci\n"));
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, ids_and_an_order_for_each_driver);
	tcase_add_test(tc, what_others_say_already_is_not_said_again);
	tcase_add_test(
		tc, anothers_softdep_is_repeated_since_only_the_first_counts);
	tcase_add_test(tc, ids_come_into_the_line_that_has_some);
	tcase_add_test(tc, ids_in_a_continued_line_are_refused);
	tcase_add_test(tc, modprobe_reads_the_drop_in);
}

int main(void)
{
	return pst_unit_run("edit_modprobe", add, 20);
}
