/* SPDX-License-Identifier: MIT */
/* Requests: answers to what was not sent, bytes that wait for room in the
 * socket, calls out of an interrupt's function. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/fixtures/hostile_fixture.h"

/* In place of the C library's: who sleeps on the socket does so until it is
 * woken by it. */
int ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout,
	  const sigset_t *mask)
{
	return (int)syscall(SYS_ppoll, fds, n, NULL, mask, 8);
}

/* So does the library's own thread, which looks at a socket and a descriptor of
 * its own. */
int poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
	struct timespec ts = {timeout_ms / 1000, timeout_ms % 1000 * 1000000L};
	const bool for_ever = n == 2 || timeout_ms < 0;

	return (int)syscall(SYS_ppoll, fds, n, for_ever ? NULL : &ts, NULL, 8);
}

static bool holds(bool (*is_so)(void))
{
	bool yes = false;
	int i;

	for (i = 0; i < 10000 && !yes; i++) {
		usleep(1000);
		pst_lock(c);
		yes = is_so();
		pst_unlock(c);
	}
	return yes;
}

static bool is_asking(void)
{
	return c->channel.req.owner != NULL;
}

static bool is_asleep(void)
{
	return c->sleepers.leader;
}

/* Until neither the socket nor the library takes another frame. */
static unsigned int fill_socket(void)
{
	unsigned int n = 0;
	uint64_t tag;

	fake.mute = true;
	fake.no_read = true;
	fake.hold = true;
	ck_assert_int_eq(pst_submit_nop(c, 0, &tag), 0);
	while (pst_cancel(c, tag) == 0)
		n++;
	ck_assert_uint_gt(c->channel.tx_n, 0);
	return n;
}

static void *alloc(void *ret)
{
	void *p;

	*(int *)ret = pst_alloc(c, PST_WIRE_UNIT, &p);
	return NULL;
}

START_TEST(an_answer_to_a_request_that_was_not_sent_ends_the_session)
{
	static uint8_t bytes[sizeof(struct pst_wire_frame) +
			     sizeof(struct pst_wire_lease)];
	const struct pst_wire_lease lease = {PST_WIRE_CTL_SIZE,
					     2 * PST_WIRE_UNIT};
	struct pst_frame f = {
		.type = PST_WIRE_LEASE,
		.reply = true,
		.payload = (const uint8_t *)&lease,
		.length = sizeof(lease),
	};
	pthread_t thread;
	int r = 0;

	begin();
	/* Neither the library nor the agent has seen this number. */
	fill_socket();
	f.seq = c->channel.seq + 1;
	ck_assert_int_eq(pst_frame_encode(&f, bytes, sizeof(bytes)),
			 sizeof(bytes));
	ck_assert_int_eq(pthread_create(&thread, NULL, alloc, &r), 0);
	ck_assert(holds(is_asking));
	fake.inject_n = sizeof(bytes);
	fake.inject = bytes;
	pthread_join(thread, NULL);
	ck_assert_int_eq(r, -EPROTO);
	pst_last_error(c, text, sizeof(text));
	end();
}
END_TEST

static void *wait_long(void *ret)
{
	*(int *)ret = pst_nop(c, PST_HANG_NS, NULL);
	return NULL;
}

START_TEST(what_waits_for_room_is_sent_though_a_thread_sleeps)
{
	const struct pst_options o = {
		.size = sizeof(o),
		.flags = PST_OPEN_NO_SPIN,
		.dead_ns = PST_HANG_NS,
	};
	unsigned int n, i;
	pthread_t thread;
	int r = 0;

	fake_open(&fake);
	ck_assert_int_eq(pst_open(fake.uri, &o, &c, text, sizeof(text)), 0);
	fake.hold = true;
	ck_assert_int_eq(pthread_create(&thread, NULL, wait_long, &r), 0);
	ck_assert(holds(is_asleep));
	n = fill_socket();
	fake.no_read = false;
	for (i = 0; i < 10000 && fake.cancels < n; i++)
		usleep(1000);
	ck_assert_uint_eq(fake.cancels, n);
	fake.hold = false;
	pthread_join(thread, NULL);
	ck_assert_int_eq(r, 0);
	end();
}
END_TEST

static int inner, inner_alloc;

/* Both need what the call that was interrupted holds. */
static int ask_again(void *arg)
{
	void *p;

	inner = pst_ping(c, NULL);
	inner_alloc = pst_alloc(c, PST_WIRE_UNIT, &p);
	return 1;
}

START_TEST(a_call_out_of_an_interrupt_does_not_wait_for_its_own_thread)
{
	void *p;

	begin();
	fake.mute = true;
	pst_set_interrupt(ask_again, NULL);
	ck_assert_int_eq(pst_alloc(c, PST_WIRE_UNIT, &p), -EINTR);
	ck_assert_int_eq(inner, -EBUSY);
	ck_assert_int_eq(inner_alloc, -EBUSY);
	pst_set_interrupt(NULL, NULL);
	fake.mute = false;
	ck_assert_int_eq(pst_ping(c, NULL), 0);
	end();
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(
		tc, an_answer_to_a_request_that_was_not_sent_ends_the_session);
	tcase_add_test(tc, what_waits_for_room_is_sent_though_a_thread_sleeps);
	tcase_add_test(
		tc,
		a_call_out_of_an_interrupt_does_not_wait_for_its_own_thread);
}

int main(void)
{
	return pst_unit_run("client_request", add, 60);
}
