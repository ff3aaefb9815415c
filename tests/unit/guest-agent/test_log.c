/* SPDX-License-Identifier: MIT */
/* Messages: as the journal's entries, and as lines where it takes none. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "guest-agent/service/journal.h"
#include "tests/fixtures/tmpdir.h"
#include "tests/fixtures/unit.h"
#include "transport/base/util.h"

static char path[80]; /* of the journal's socket */
static int journal = -1;
static char got[4096];

static void setup(void)
{
	tmpdir_make();
	snprintf(path, sizeof(path), "%s/socket", tmpdir);
	pst_agent_log_set_level(PST_AGENT_LOG_INFO);
}

static void teardown(void)
{
	pst_close_fd(journal);
	journal = -1;
	tmpdir_remove();
}

static void start_journal(void)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};

	journal = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(journal, 0);
	memcpy(sun.sun_path, path, sizeof(path));
	ck_assert_int_eq(bind(journal, (struct sockaddr *)&sun, sizeof(sun)),
			 0);
}

/* Standard error becomes a file, which $JOURNAL_STREAM names if wanted. */
static int take_stderr(bool named)
{
	int fd =
		open(tmpdir_path("stderr"), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	int saved = dup(STDERR_FILENO);
	struct stat st;
	char text[64];

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	snprintf(text, sizeof(text), "%" PRIu64 ":%" PRIu64, st.st_dev,
		 st.st_ino + (named ? 0 : 1));
	ck_assert_int_eq(setenv("JOURNAL_STREAM", text, 1), 0);
	ck_assert_int_ge(dup2(fd, STDERR_FILENO), 0);
	close(fd);
	pst_agent_log_open(path);
	return saved;
}

/* What was written there. */
static const char *give_back(int saved)
{
	ssize_t n;
	int fd;

	fflush(stderr);
	ck_assert_int_ge(dup2(saved, STDERR_FILENO), 0);
	close(saved);
	fd = open(tmpdir_path("stderr"), O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	n = read(fd, got, sizeof(got) - 1);
	ck_assert_int_ge(n, 0);
	got[n] = '\0';
	close(fd);
	return got;
}

static const char *entry(void)
{
	ssize_t n = recv(journal, got, sizeof(got) - 1, 0);

	ck_assert_int_gt(n, 0);
	got[n] = '\0';
	return got;
}

START_TEST(an_entry_has_a_field_for_each_thing_it_is_about)
{
	const struct pst_agent_log_about about = {
		.session = 7,
		.has_lane = true,
		.lane = 0,
		.client = "bench",
		.client_pid = 4711,
		.cid = 42,
	};
	char buf[PST_AGENT_JOURNAL_ENTRY];
	size_t n = pst_agent_journal_format(buf, sizeof(buf), 4, "It broke",
					    &about);

	buf[n] = '\0';
	ck_assert_str_eq(buf, "PRIORITY=4\nSYSLOG_IDENTIFIER=penstock-agent\n"
			      "MESSAGE=It broke\nPENSTOCK_SESSION=7\n"
			      "PENSTOCK_LANE=0\nPENSTOCK_CLIENT=bench\n"
			      "PENSTOCK_CLIENT_PID=4711\nPENSTOCK_CID=42\n");
}
END_TEST

START_TEST(what_does_not_fit_is_left_out_as_a_whole)
{
	const struct pst_agent_log_about about = {.session = 7,
						  .client = "bench"};
	char buf[PST_AGENT_JOURNAL_ENTRY];
	size_t size, n;

	for (size = 0; size < 150; size++) {
		memset(buf, 'x', sizeof(buf));
		n = pst_agent_journal_format(buf, size, 4, "It broke", &about);
		ck_assert_uint_le(n, size);
		ck_assert(n == 0 || buf[n - 1] == '\n');
		ck_assert_int_eq(buf[size], 'x');
	}
}
END_TEST

START_TEST(the_journals_stream_is_known_by_device_and_inode)
{
	struct stat st;
	char text[96];
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	ck_assert_int_eq(fstat(fd, &st), 0);
	snprintf(text, sizeof(text), "%" PRIu64 ":%" PRIu64, st.st_dev,
		 st.st_ino);
	ck_assert(pst_agent_journal_is_stream(text, fd));
	strcat(text, "x");
	ck_assert(!pst_agent_journal_is_stream(text, fd));
	ck_assert(!pst_agent_journal_is_stream("1:2", fd));
	ck_assert(!pst_agent_journal_is_stream("", fd));
	ck_assert(!pst_agent_journal_is_stream(NULL, fd));
	ck_assert(!pst_agent_journal_is_stream(text, -1));
	close(fd);
}
END_TEST

START_TEST(messages_about_something_are_entries_of_the_journal)
{
	const struct pst_agent_log_about about = {.session = 9,
						  .client = "a\nPRIORITY=0"};
	int saved;

	start_journal();
	saved = take_stderr(true);
	pst_agent_log(PST_AGENT_LOG_WARNING, "one\n<0>two %d", 3);
	pst_agent_log_about(PST_AGENT_LOG_INFO, &about, "four\nMESSAGE=five");
	pst_agent_log_about(PST_AGENT_LOG_DEBUG, &about, "not wanted");
	/* No peer adds lines. */
	ck_assert_str_eq(give_back(saved), "<4>one?<0>two 3\n");
	ck_assert_str_eq(entry(), "PRIORITY=6\n"
				  "SYSLOG_IDENTIFIER=penstock-agent\n"
				  "MESSAGE=four?MESSAGE=five\n"
				  "PENSTOCK_SESSION=9\n"
				  "PENSTOCK_CLIENT=a?PRIORITY=0\n");
	ck_assert_int_lt(recv(journal, got, sizeof(got), 0), 0);
}
END_TEST

START_TEST(a_journal_that_takes_none_gets_lines_with_their_priority)
{
	const struct pst_agent_log_about about = {.session = 9};
	int saved = take_stderr(true);

	pst_agent_log_about(PST_AGENT_LOG_ERROR, &about, "bad");
	pst_agent_log(PST_AGENT_LOG_INFO, "good");
	ck_assert_str_eq(give_back(saved), "<3>bad\n"
					   "<6>good\n");
}
END_TEST

START_TEST(another_stderr_gets_plain_lines)
{
	int saved;

	start_journal();
	saved = take_stderr(false);
	pst_agent_log(PST_AGENT_LOG_ERROR, "bad\x1b[31m");
	ck_assert_str_eq(give_back(saved), "penstock-agent: bad?[31m\n");
	ck_assert_int_lt(recv(journal, got, sizeof(got), 0), 0);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, an_entry_has_a_field_for_each_thing_it_is_about);
	tcase_add_test(tc, what_does_not_fit_is_left_out_as_a_whole);
	tcase_add_test(tc, the_journals_stream_is_known_by_device_and_inode);
	tcase_add_test(tc, messages_about_something_are_entries_of_the_journal);
	tcase_add_test(
		tc, a_journal_that_takes_none_gets_lines_with_their_priority);
	tcase_add_test(tc, another_stderr_gets_plain_lines);
}

int main(void)
{
	return pst_unit_run("log", add, 10);
}
