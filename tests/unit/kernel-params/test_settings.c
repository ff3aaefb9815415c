/* SPDX-License-Identifier: MIT */
/* Assignments are evaluated as bash does, which mkinitcpio and dracut use. */
#include <stdlib.h>

#include "kernel-params/syntax/settings.h"
#include "tests/fixtures/hosttree.h"
#include "tests/fixtures/unit.h"

/* Pieces of files, in the order in which they are put together. */
static const char *const pieces[] = {
	"A=(a b)\n",
	"A+=(c)\n",
	"A=(x \"${A[@]}\" y) # comment\n",
	"A=\"d e\"\n",
	"A+=\" f \"\n",
	"A+=g\n",
	"# A=(no)\n",
	"B=(A=no)\n",
	"  A=(h\n i # A=(no)\n\n j)\n",
	"export C=1; A+=(k)\n",
	"A=(l 'm n' \"o\")\n",
	"A='p $B'\n",
	"B=\"q r\"; A=(\"$B\" s)\n",
	"A=\"t \\\n u\"\n",
	"if true; then A+=(v); fi\n",
	"true && A+=(w)\n",
	"AA=(no) ; xA=no\n",
	"echo \"A=(no)\" >/dev/null\n",
	"A=()\n",
	"A=${B}z\n",
	"B=\nA+=($B)\n",
	"A=a\\ b\n",
	"unset A\n",
	"cat <<E >/dev/null\nA=no\nE\n",
	"cat >/dev/null <<-'EF'\n\tA+=(no)\n\tEF\nA+=(h)\n",
	"cat <<<x >/dev/null\nA+=(s)\n",
	"unset B A; A+=(u)\n",
	"X=1 \\\n A=z\n",
	"A=(a \\\n b)\n",
	"for i in 1; do A+=(i); done\n",
	"echo unset A >/dev/null\n",
};

/* The words that text leaves in A, with a blank behind each, by a command. */
static void by_bash(const char *text, char *ret, size_t size)
{
	char command[TREE_PATH * 2];
	FILE *f;

	tree_file("text", text);
	snprintf(command, sizeof(command),
		 "bash -c '. \"$1\"; for w in ${A[@]}; do printf \"%%s \" "
		 "\"$w\"; done' - %s",
		 tmpdir_path("text"));
	f = popen(command, "r");
	ck_assert_ptr_nonnull(f);
	ret[fread(ret, 1, size - 1, f)] = '\0';
	ck_assert_int_eq(pclose(f), 0);
}

static void by_us(const char *text, char *ret, char fault[PST_HOST_FAULT_MAX])
{
	struct pst_host_setting s[] = {{.name = "A"}, {.name = "B"}};
	PST_HOST_CLEANUP_NAMES struct pst_host_names words = {0};
	size_t i;

	*fault = *ret = '\0';
	ck_assert_int_eq(pst_host_settings_take(text, "f", s, 2, fault), 0);
	ck_assert_int_eq(pst_host_setting_words(s[0].value, &words), 0);
	for (i = 0; i < words.n; i++) {
		strcat(ret, words.name[i]);
		strcat(ret, " ");
	}
	pst_host_settings_done(s, 2);
}

START_TEST(files_put_together_mean_what_bash_makes_of_them)
{
	char text[2048], bash[2048], us[2048], fault[PST_HOST_FAULT_MAX];
	unsigned int seed, k;

	tree_make();
	for (seed = 0; seed < 60; seed++) {
		*text = '\0';
		srandom(seed);
		for (k = 0; k < 6; k++) {
			size_t n = PST_ARRAY_SIZE(pieces);

			strcat(text, pieces[(size_t)random() % n]);
		}
		by_bash(text, bash, sizeof(bash));
		by_us(text, us, fault);
		ck_assert_msg(strcmp(bash, us) == 0, "%s\nbash: %s\n  us: %s",
			      text, bash, us);
	}
	tree_remove();
}
END_TEST

START_TEST(what_no_shell_takes_is_told_with_its_line)
{
	static const struct {
		const char *text, *words, *fault;
	} cases[] = {
		{"A=(x)\r\n", "x ", "f line 1: it ends in CR LF"},
		{"\nA=(\xe2\x80\x9cx\xe2\x80\x9d)\n", NULL,
		 "f line 2: it has typographic quotes"},
		{"A=\"x\" y\n", "x ", "f line 1: words stand behind"},
		{"A=(x\n", "x ", "a bracket is opened and not closed"},
		{"A=\"x\n", "x ", "a quote is opened and not closed"},
		{"# x\nA=$(cat y)\n", NULL, "f line 2: only a shell"},
		{"A=`y`\n", NULL, "f line 1: only a shell"},
		{"A=(x $HOME)\n", "x ", "a variable that is not known"},
		{"A=(x)\n", "x ", ""},
		{"B=$(y)\nC=\"\nA=no\n\"\nA=x\n", "x ", "only a shell"},
		{"C=$(y)\nA=x\n", "x ", ""},
	};
	char us[2048], fault[PST_HOST_FAULT_MAX];
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(cases); i++) {
		by_us(cases[i].text, us, fault);
		if (cases[i].words)
			ck_assert_str_eq(us, cases[i].words);
		ck_assert_msg(strstr(fault, cases[i].fault), "%s: %s",
			      cases[i].text, fault);
		ck_assert(*cases[i].fault || !*fault);
	}
}
END_TEST

START_TEST(a_value_that_doubles_itself_ends)
{
	static char text[1 << 16];
	char fault[PST_HOST_FAULT_MAX] = "";
	struct pst_host_setting s = {.name = "A"};
	size_t i;

	strcpy(text, "A=0123456789\n");
	for (i = 0; i < 3000; i++)
		strcat(text, "A=$A$A$A$A\n");
	ck_assert_int_eq(pst_host_settings_take(text, "f", &s, 1, fault), 0);
	ck_assert_uint_le(strlen(s.value), 256U << 10);
	ck_assert_ptr_nonnull(strstr(fault, "too long"));
	pst_host_settings_done(&s, 1);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, files_put_together_mean_what_bash_makes_of_them);
	tcase_add_test(tc, what_no_shell_takes_is_told_with_its_line);
	tcase_add_test(tc, a_value_that_doubles_itself_ends);
}

int main(void)
{
	return pst_unit_run("settings", add, 60);
}
