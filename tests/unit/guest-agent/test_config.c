/* SPDX-License-Identifier: MIT */
/* The agent's configuration file: syntax, meaning, and the command line on top
 * of it. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "guest-agent/config.h"
#include "guest-agent/options.h"
#include "tests/fixtures/tmpdir.h"
#include "tests/fixtures/unit.h"
#include "transport/base/util.h"

static const struct pst_agent_config_key keys[] = {
	{"agent", "listen"}, {"agent", "threads"}, {"other", "threads"}};
#define N_KEYS PST_ARRAY_SIZE(keys)

static struct pst_agent_config_value values[N_KEYS];
static struct pst_error err;
static char text[512];
static char path[128];
static struct pst_agent_options options;

static int parse_n(const char *s, size_t n)
{
	ck_assert_uint_lt(n, sizeof(text));
	memcpy(text, s, n);
	err = (struct pst_error){0};
	return pst_agent_config_parse("f", text, n, keys, N_KEYS, values, &err);
}

static int parse(const char *s)
{
	return parse_n(s, strlen(s));
}

START_TEST(keys_values_and_comments_are_told_apart)
{
	ck_assert_int_eq(parse("# a comment\n\n[agent]\n"
			       "\t listen =  a b # no comment  \n"
			       "; another\n[other]\nthreads=1=2\n"),
			 0);
	ck_assert_str_eq(values[0].text, "a b # no comment");
	ck_assert_uint_eq(values[0].line, 4);
	ck_assert_ptr_null(values[1].text);
	ck_assert_str_eq(values[2].text, "1=2");
	ck_assert_uint_eq(values[2].line, 7);
}
END_TEST

START_TEST(a_last_line_needs_no_newline)
{
	ck_assert_int_eq(parse("[agent]\nthreads = 4"), 0);
	ck_assert_str_eq(values[1].text, "4");
	ck_assert_int_eq(parse(""), 0);
	ck_assert_ptr_null(values[1].text);
}
END_TEST

START_TEST(a_section_may_be_opened_again)
{
	ck_assert_int_eq(parse("[agent]\nlisten=x\n[other]\nthreads=1\n"
			       "[agent]\nthreads=2\n"),
			 0);
	ck_assert_str_eq(values[0].text, "x");
	ck_assert_str_eq(values[1].text, "2");
	ck_assert_str_eq(values[2].text, "1");
}
END_TEST

static const struct {
	const char *text;
	const char *sentence;
} wrong[] = {
	{"[agent]\nthread = 1\n", "f:2: unknown key 'thread' in [agent]"},
	{"[other]\nlisten = 1\n", "f:2: unknown key 'listen' in [other]"},
	{"\n[agents]\n", "f:2: unknown section [agents]"},
	{"[]\n", "f:1: unknown section []"},
	{"[agent]\nthreads=1\n\nthreads=1\n",
	 "f:4: threads again, after line 2"},
	{"threads = 1\n", "f:1: threads stands before any [section]"},
	{"[agent]\nthreads =  \n", "f:2: threads has no value"},
	{"[agent]\nthreads\n",
	 "f:2: 'threads' is neither [section] nor key = value"},
	{"[agent]\n= 1\n", "f:2: '= 1' is neither [section] nor key = value"},
	{"[agent] x\n", "f:1: '[agent] x' has no ']' at its end"},
	{"[\n", "f:1: '[' has no ']' at its end"},
	{"[agent]\r\n", "f:1: byte 0x0d, where only text may be (lines end "
			"with LF alone)"},
	{"[agent]\nlisten = \x1b[31m\n",
	 "f:2: byte 0x1b, where only text may be"},
	{"[agent]\n# \x7f\n", "f:2: byte 0x7f, where only text may be"},
	/* What an older unit read as an environment. */
	{"OPTIONS=--region auto\n", "f:1: OPTIONS stands before any [section]"},
};

START_TEST(what_is_wrong_is_named_with_its_line)
{
	ck_assert_int_eq(parse(wrong[_i].text), -EINVAL);
	ck_assert_str_eq(err.text, wrong[_i].sentence);
}
END_TEST

START_TEST(a_nul_byte_is_no_text)
{
	ck_assert_int_eq(parse_n("[agent]\nlisten = a\0b\n", 21), -EINVAL);
	ck_assert_str_eq(err.text, "f:2: byte 0x00, where only text may be");
}
END_TEST

static void setup(void)
{
	tmpdir_make();
	snprintf(path, sizeof(path), "%s/agent.conf", tmpdir);
}

static void teardown(void)
{
	pst_agent_options_done(&options);
	tmpdir_remove();
}

/* The options of "penstock-agent --config FILE ARG...". */
static int load(const char *s, const char *arg1, const char *arg2)
{
	char *argv[] = {(char *)"penstock-agent",
			(char *)"--config",
			path,
			(char *)arg1,
			(char *)arg2,
			NULL};
	FILE *f = fopen(path, "w");

	ck_assert_ptr_nonnull(f);
	ck_assert_int_ge(fputs(s, f), 0);
	ck_assert_int_eq(fclose(f), 0);
	pst_agent_options_done(&options);
	err = (struct pst_error){0};
	return pst_agent_options_parse(arg2   ? 5
				       : arg1 ? 4
					      : 3,
				       argv, &options, &err);
}

START_TEST(every_setting_has_a_key)
{
	const struct pst_agent_server_config *c = &options.server;

	ck_assert_msg(
		load("[agent]\nlisten = vsock:1 unix:/x\nregion = dax\n"
		     "backend = cpu\nthreads = 3\nnuma-node = 1\nspin = 1ms\n"
		     "allow-cid = 1 42\nmax-clients = 2\nmax-dim = 100\n"
		     "max-elems = 1000\nmax-lease = 4M\nscrub = yes\n"
		     "max-tensor-bytes = 3G\nmax-tensors = 7\n"
		     "max-model-bytes = 1G\nmax-models = 5\n"
		     "sysfs = /s\nloop = poll\nlog-level = debug\n",
		     NULL, NULL) == 0,
		"%s", err.text);
	ck_assert_uint_eq(c->n_listens, 2);
	ck_assert_uint_eq(c->listens[0].port, 1);
	ck_assert_str_eq(c->listens[1].path, "/x");
	ck_assert_str_eq(c->region, "dax");
	ck_assert_str_eq(c->backend->name, "cpu");
	ck_assert_uint_eq(c->threads, 3);
	ck_assert_int_eq(c->numa_node, 1);
	ck_assert_uint_eq(c->spin_ns, PST_NS_PER_MS);
	ck_assert_uint_eq(c->n_cids, 2);
	ck_assert_uint_eq(c->cids[1], 42);
	ck_assert_uint_eq(c->limits.max_clients, 2);
	ck_assert_uint_eq(c->limits.max_dim, 100);
	ck_assert_uint_eq(c->limits.max_elems, 1000);
	ck_assert_uint_eq(c->limits.max_lease, 4U << 20);
	ck_assert_uint_eq(c->limits.max_tensor_bytes, 3ULL << 30);
	ck_assert_uint_eq(c->limits.max_tensors, 7);
	ck_assert_uint_eq(c->max_model_bytes, 1ULL << 30);
	ck_assert_uint_eq(c->max_models, 5);
	ck_assert(c->scrub);
	ck_assert_str_eq(c->sysfs, "/s");
	ck_assert_int_eq(c->loop, PST_LOOP_POLL);
	ck_assert_int_eq(options.log_level, PST_AGENT_LOG_DEBUG);
}
END_TEST

START_TEST(the_command_line_goes_before_the_file)
{
	const char *file = "[agent]\nthreads = 3\nlisten = vsock:1 vsock:2\n";

	ck_assert_int_eq(load(file, "--threads=5", "--listen=unix:/y"), 0);
	ck_assert_uint_eq(options.server.threads, 5);
	ck_assert_uint_eq(options.server.n_listens, 1);
	ck_assert_str_eq(options.server.listens[0].path, "/y");
	/* What the file has besides stays. */
	ck_assert_int_eq(load(file, "--threads=5", NULL), 0);
	ck_assert_uint_eq(options.server.n_listens, 2);
}
END_TEST

START_TEST(a_bad_value_is_named_with_its_line_also_where_it_is_not_used)
{
	char want[256];

	snprintf(want, sizeof(want),
		 "%s:2: threads = none: expected a number from 1 to 1024",
		 path);
	ck_assert_int_eq(load("[agent]\nthreads = none\n", NULL, NULL),
			 -EINVAL);
	ck_assert_str_eq(err.text, want);
	ck_assert_int_eq(load("[agent]\nthreads = none\n", "--threads=5", NULL),
			 -EINVAL);
	ck_assert_str_eq(err.text, want);
	snprintf(want, sizeof(want),
		 "%s:2: listen = tcp:1: 'tcp:1' is neither vsock:PORT nor "
		 "unix:PATH",
		 path);
	ck_assert_int_eq(load("[agent]\nlisten = vsock:1 tcp:1\n", NULL, NULL),
			 -EINVAL);
	ck_assert_str_eq(err.text, want);
}
END_TEST

START_TEST(a_list_has_an_end)
{
	ck_assert_int_eq(load("[agent]\nlisten = vsock:1 vsock:2 vsock:3 "
			      "vsock:4 vsock:5 vsock:6 vsock:7 vsock:8 "
			      "vsock:9\n",
			      NULL, NULL),
			 -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "more than 8"));
}
END_TEST

START_TEST(only_commands_have_no_key)
{
	static const char *const commands[] = {"serve-fd", "grant", "config",
					       "help", "version"};
	char file[64];
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(commands); i++) {
		snprintf(file, sizeof(file), "[agent]\n%s = 1\n", commands[i]);
		ck_assert_int_eq(load(file, NULL, NULL), -EINVAL);
		ck_assert_ptr_nonnull(strstr(err.text, "unknown key"));
	}
}
END_TEST

START_TEST(a_file_that_is_named_must_be_readable_and_small)
{
	char *argv[] = {(char *)"penstock-agent", (char *)"--config", path,
			NULL};
	int fd;

	ck_assert_int_eq(pst_agent_options_parse(3, argv, &options, &err),
			 -ENOENT);
	ck_assert_ptr_nonnull(strstr(err.text, path));
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, PST_AGENT_CONFIG_MAX + 1), 0);
	close(fd);
	ck_assert_int_eq(pst_agent_options_parse(3, argv, &options, &err),
			 -EMSGSIZE);
	/* One that nobody writes to is empty, and does not hold the start. */
	unlink(path);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_int_eq(pst_agent_options_parse(3, argv, &options, &err), 0);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, keys_values_and_comments_are_told_apart);
	tcase_add_test(tc, a_last_line_needs_no_newline);
	tcase_add_test(tc, a_section_may_be_opened_again);
	tcase_add_loop_test(tc, what_is_wrong_is_named_with_its_line, 0,
			    PST_ARRAY_SIZE(wrong));
	tcase_add_test(tc, a_nul_byte_is_no_text);
	tcase_add_test(tc, every_setting_has_a_key);
	tcase_add_test(tc, the_command_line_goes_before_the_file);
	tcase_add_test(
		tc,
		a_bad_value_is_named_with_its_line_also_where_it_is_not_used);
	tcase_add_test(tc, a_list_has_an_end);
	tcase_add_test(tc, only_commands_have_no_key);
	tcase_add_test(tc, a_file_that_is_named_must_be_readable_and_small);
}

int main(void)
{
	return pst_unit_run("config", add, 10);
}
