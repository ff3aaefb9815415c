/* SPDX-License-Identifier: MIT */
/* Parsing of sizes, durations, UUIDs and groups; threads; the tables of errno
 * and status. */
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/fixtures/unit.h"
#include "transport/base/error.h"
#include "transport/base/group.h"
#include "transport/base/thread.h"
#include "transport/base/util.h"
#include "transport/status.h"
#include "transport/wire.h"

START_TEST(sizes_accept_binary_units)
{
	static const struct {
		const char *s;
		uint64_t v;
	} good[] = {
		{"0", 0},           {"4096", 4096},       {"2M", 2ULL << 20},
		{"1g", 1ULL << 30}, {"3KiB", 3ULL << 10}, {"7MB", 7ULL << 20},
		{"5B", 5},          {"1T", 1ULL << 40},
	};
	uint64_t v;
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(good); i++) {
		ck_assert_int_eq(pst_parse_size(good[i].s, &v), 0);
		ck_assert_uint_eq(v, good[i].v);
	}
}
END_TEST

START_TEST(sizes_refuse_what_is_not_one)
{
	static const char *const bad[] = {
		"",
		"M",
		"-1",
		"1X",
		"1MM",
		" 1",
		"1 M",
		"1.5G",
		"0x10",
		"9223372036854775808",
		"18446744073709551616",
		"9999999T",
	};
	uint64_t v = 77;
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(bad); i++)
		ck_assert_msg(pst_parse_size(bad[i], &v) == -EINVAL, "%s",
			      bad[i]);
	ck_assert_uint_eq(v, 77);
}
END_TEST

START_TEST(durations_need_a_unit)
{
	uint64_t v;

	ck_assert_int_eq(pst_parse_duration("50us", &v), 0);
	ck_assert_uint_eq(v, 50000);
	ck_assert_int_eq(pst_parse_duration("2s", &v), 0);
	ck_assert_uint_eq(v, 2 * PST_NS_PER_S);
	ck_assert_int_eq(pst_parse_duration("1m", &v), 0);
	ck_assert_uint_eq(v, 60 * PST_NS_PER_S);
	ck_assert_int_eq(pst_parse_duration("0", &v), 0);
	ck_assert_uint_eq(v, 0);
	ck_assert_int_eq(pst_parse_duration("50", &v), -EINVAL);
	ck_assert_int_eq(pst_parse_duration("50 us", &v), -EINVAL);
	ck_assert_int_eq(pst_parse_duration("-1s", &v), -EINVAL);
	ck_assert_int_eq(pst_parse_duration("999999999999999m", &v), -EINVAL);
}
END_TEST

START_TEST(uuids_survive_a_round_trip)
{
	static const char text[] = "0123abcd-4567-89ef-fedc-ba9876543210";
	uint8_t uuid[16];
	char back[37];

	ck_assert_int_eq(pst_uuid_parse(text, uuid), 0);
	ck_assert_int_eq(uuid[3], 0xcd);
	pst_uuid_format(uuid, back);
	ck_assert_str_eq(back, text);
	ck_assert_int_eq(pst_uuid_parse("0123", uuid), -EINVAL);
	ck_assert_int_eq(
		pst_uuid_parse("0123abcd-4567-89ef-fedc-ba98765432100", uuid),
		-EINVAL);
	ck_assert_int_eq(
		pst_uuid_parse("g123abcd-4567-89ef-fedc-ba9876543210", uuid),
		-EINVAL);
}
END_TEST

START_TEST(every_status_has_an_errno_with_a_text_and_comes_back)
{
	uint32_t s;
	int err;

	for (s = 1; s < PST_WIRE_N_STATUS; s++) {
		err = pst_status_to_errno(s);
		ck_assert_int_lt(err, 0);
		ck_assert_str_ne(pst_errno_text(err), "unknown error");
		ck_assert_uint_eq(pst_status_from_errno(err), s);
	}
	ck_assert_int_eq(pst_status_to_errno(0), 0);
	ck_assert_int_eq(pst_status_to_errno(PST_WIRE_N_STATUS), -EPROTO);
	ck_assert_int_eq(pst_status_to_errno(UINT32_MAX), -EPROTO);
	ck_assert_uint_eq(pst_status_from_errno(-EXDEV), PST_WIRE_EIO);
	ck_assert_uint_eq(pst_status_from_errno(-EOVERFLOW), PST_WIRE_EINVAL);
}
END_TEST

START_TEST(a_sentence_has_no_control_characters_and_is_cut_to_fit)
{
	struct pst_error e;
	char big[1000];

	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	ck_assert_int_eq(pst_error_set(&e, -EIO, "a\nb\x1b[2J%s", ""), -EIO);
	ck_assert_str_eq(e.text, "a?b?[2J");
	ck_assert_int_eq(pst_error_set_errno(&e, ENOENT, "%s", big), -ENOENT);
	ck_assert_uint_eq(strlen(e.text), sizeof(e.text) - 1);
	ck_assert_int_eq(pst_error_set(NULL, -EIO, "%s", big), -EIO);
}
END_TEST

START_TEST(a_text_file_that_does_not_fit_is_refused)
{
	char small[4], big[4096];

	ck_assert_int_eq(pst_read_text("/proc/version", small, sizeof(small)),
			 -EMSGSIZE);
	ck_assert_int_gt(pst_read_text("/proc/version", big, sizeof(big)), 4);
	ck_assert_ptr_null(strchr(big, '\n'));
	ck_assert_int_eq(pst_read_text("/nowhere", big, sizeof(big)), -ENOENT);
}
END_TEST

START_TEST(groups_are_found_by_name_or_number)
{
	const struct group *g = getgrgid(0);
	gid_t gid = 7;

	ck_assert_ptr_nonnull(g);
	ck_assert_int_eq(pst_group_find(g->gr_name, &gid), 0);
	ck_assert_uint_eq(gid, 0);
	/* A number needs no name; the last one is chown()'s "unchanged". */
	ck_assert_int_eq(pst_group_find("4294967294", &gid), 0);
	ck_assert_uint_eq(gid, 4294967294U);
	ck_assert_int_eq(pst_group_find("4294967295", &gid), -ENOENT);
	ck_assert_int_eq(pst_group_find("no such group", &gid), -ENOENT);
	ck_assert_int_eq(pst_group_find("", &gid), -ENOENT);
	ck_assert_uint_eq(gid, 4294967294U);
}
END_TEST

static void *read_mask(void *arg)
{
	pthread_sigmask(SIG_SETMASK, NULL, arg);
	return NULL;
}

START_TEST(a_thread_takes_no_signal_but_sigbus)
{
	sigset_t before, after, mask;
	pthread_t thread;

	pthread_sigmask(SIG_SETMASK, NULL, &before);
	ck_assert_int_eq(pst_thread_start(&thread, NULL, read_mask, &mask), 0);
	pthread_join(thread, NULL);
	ck_assert_int_eq(sigismember(&mask, SIGTERM), 1);
	ck_assert_int_eq(sigismember(&mask, SIGUSR1), 1);
	ck_assert_int_eq(sigismember(&mask, SIGBUS), 0);
	/* The caller's own mask is as it was. */
	pthread_sigmask(SIG_SETMASK, NULL, &after);
	ck_assert_int_eq(sigismember(&after, SIGTERM),
			 sigismember(&before, SIGTERM));
}
END_TEST

/* The thread's struct sched_attr of sched_setattr(2). */
struct attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t turn_ns, deadline, period;
};

static struct attr read_attr(void)
{
	struct attr a = {0};

	ck_assert_int_eq(
		syscall(SYS_sched_getattr, 0, &a, (unsigned int)sizeof(a), 0),
		0);
	return a;
}

static void *be_soon_then_late(void *arg)
{
	struct attr *a = arg;

	a[0] = read_attr();
	pst_thread_wake_soon();
	a[1] = read_attr();
	pst_thread_step_back(5);
	a[2] = read_attr();
	return NULL;
}

START_TEST(a_thread_wakes_soon_or_steps_back)
{
	struct attr a[3];
	pthread_t thread;

	ck_assert_int_eq(pst_thread_start(&thread, NULL, be_soon_then_late, a),
			 0);
	pthread_join(thread, NULL);
	ck_assert_uint_eq(a[1].policy, a[0].policy);
	ck_assert_int_eq(a[1].nice, a[0].nice);
	/* Before Linux 6.12 the kernel tells no length of a turn. */
	if (a[0].policy == SCHED_OTHER && a[0].turn_ns)
		ck_assert_uint_eq(a[1].turn_ns, 100000);
	if (a[0].policy == SCHED_OTHER) {
		ck_assert_uint_eq(a[2].policy, SCHED_BATCH);
		ck_assert_int_ge(a[2].nice, 5);
		ck_assert_uint_eq(a[2].turn_ns, a[0].turn_ns);
	}
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, a_thread_wakes_soon_or_steps_back);
	tcase_add_test(tc, groups_are_found_by_name_or_number);
	tcase_add_test(tc, a_thread_takes_no_signal_but_sigbus);
	tcase_add_test(tc, sizes_accept_binary_units);
	tcase_add_test(tc, sizes_refuse_what_is_not_one);
	tcase_add_test(tc, durations_need_a_unit);
	tcase_add_test(tc, uuids_survive_a_round_trip);
	tcase_add_test(tc,
		       every_status_has_an_errno_with_a_text_and_comes_back);
	tcase_add_test(tc,
		       a_sentence_has_no_control_characters_and_is_cut_to_fit);
	tcase_add_test(tc, a_text_file_that_does_not_fit_is_refused);
}

int main(void)
{
	return pst_unit_run("util", add, 10);
}
