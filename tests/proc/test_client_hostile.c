/* SPDX-License-Identifier: MIT */
/* The library against an agent that lies: in its handshake, its frames and
 * its leases. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/fixtures/hostile_fixture.h"

/* For calls that nothing ends. */
#define IN_VAIN_NS (500 * MS)

/* Opens and closes once; returns pst_open()'s result. */
static int try_open(const char *query)
{
	struct pst_options o = {.size = sizeof(o), .timeout_ns = 300 * MS};
	char uri[300];
	int r;

	fake_open(&fake);
	snprintf(uri, sizeof(uri), "%s%s", fake.uri, query);
	text[0] = '\0';
	r = pst_open(uri, &o, &c, text, sizeof(text));
	pst_close(c);
	fake_close(&fake);
	/* A failure has a sentence. */
	ck_assert_int_eq(r < 0, text[0] != '\0');
	return r;
}

#define WELCOME(name, statement)                                               \
	static void welcome_##name(struct pst_frame *f,                        \
				   struct pst_wire_welcome *p)                 \
	{                                                                      \
		statement;                                                     \
	}

WELCOME(version, p->version = 2)
WELCOME(features, p->features = 1U << 31)
WELCOME(epoch, p->epoch++)
WELCOME(session, p->session = 0)
WELCOME(lane_over, p->lane = PST_WIRE_MAX_LANES)
WELCOME(lane_absent, p->lane = 4)
WELCOME(lane_none, p->lane = UINT32_MAX)
WELCOME(slots, p->n_slots = 128)
WELCOME(file_size, p->file_size += PST_WIRE_UNIT)
WELCOME(uuid, p->region_uuid[3] ^= 1)
WELCOME(arena_off, p->arena_off = 0)
WELCOME(arena_size, p->arena_size += PST_WIRE_UNIT)
WELCOME(arena_huge, p->arena_size = UINT64_MAX - PST_WIRE_UNIT + 1)
WELCOME(arena_odd, p->arena_size--)
WELCOME(arena_none, p->arena_size = 0)
WELCOME(no_dim, p->limits.max_dim = 0)
WELCOME(no_elems, p->limits.max_elems = 0)
WELCOME(no_lease, p->limits.max_lease = 0)
WELCOME(text, memset(p->backend, 'x', sizeof(p->backend)))
WELCOME(escape, p->driver[0] = '\033')
WELCOME(seq, f->seq++)
WELCOME(type, f->type = PST_WIRE_PING)
WELCOME(no_reply, f->reply = false)
WELCOME(cut, f->length -= 8)

#define LANES(name, statement)                                                 \
	static void lanes_##name(struct pst_frame *f,                          \
				 struct pst_wire_lanes *p)                     \
	{                                                                      \
		statement;                                                     \
	}

LANES(none, p->n = 0)
LANES(more, p->n = 4; p->lane[3] = 0)
LANES(twice, p->lane[2] = p->lane[1])
LANES(other, p->lane[0] = 0)
LANES(absent, p->lane[2] = 4)
LANES(behind, p->lane[4] = 1)
LANES(seq, f->seq++)
LANES(type, f->type = PST_WIRE_PING)
LANES(cut, f->length -= 4)

START_TEST(lanes_with_a_lie_in_them_are_refused)
{
	static void (*const lies[])(struct pst_frame *,
				    struct pst_wire_lanes *) = {
		lanes_none,  lanes_more,   lanes_twice,
		lanes_other, lanes_absent, lanes_behind,
		lanes_seq,   lanes_type,   lanes_cut,
	};
	struct pst_options o = {
		.size = sizeof(o),
		.timeout_ns = 300 * MS,
		.queues = 3,
	};
	size_t i;
	int r;

	for (i = 0; i <= PST_ARRAY_SIZE(lies); i++) {
		setup();
		fake.max_lanes = 4;
		fake.lanes = i < PST_ARRAY_SIZE(lies) ? lies[i] : NULL;
		fake_open(&fake);
		r = pst_open(fake.uri, &o, &c, text, sizeof(text));
		pst_close(c);
		fake_close(&fake);
		ck_assert_uint_eq(fake.asked_lanes, 1);
		ck_assert_msg(r == (fake.lanes ? -EPROTO : 0),
			      "lie %zu: %d, %s", i, r, text);
	}
}
END_TEST

START_TEST(an_agent_that_has_one_lane_is_not_asked_for_more)
{
	const struct pst_options o = {.size = sizeof(o), .queues = 3};
	int r;

	fake_open(&fake);
	r = pst_open(fake.uri, &o, &c, text, sizeof(text));
	ck_assert_msg(r == 0, "%s", text);
	ck_assert_uint_eq(c->session.n_lanes, 1);
	ck_assert_int_eq(pst_nop(c, PST_HANG_NS, NULL), 0);
	ck_assert_uint_eq(fake.asked_lanes, 0);
	end();
}
END_TEST

START_TEST(a_welcome_with_a_lie_in_it_is_refused)
{
	static void (*const lies[])(struct pst_frame *,
				    struct pst_wire_welcome *) = {
		welcome_version,    welcome_features,  welcome_epoch,
		welcome_session,    welcome_lane_over, welcome_lane_absent,
		welcome_lane_none,  welcome_slots,     welcome_file_size,
		welcome_uuid,       welcome_arena_off, welcome_arena_size,
		welcome_arena_huge, welcome_arena_odd, welcome_arena_none,
		welcome_no_dim,     welcome_no_elems,  welcome_no_lease,
		welcome_text,       welcome_escape,    welcome_seq,
		welcome_type,       welcome_no_reply,  welcome_cut,
	};
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(lies); i++) {
		setup();
		fake.welcome = lies[i];
		ck_assert_msg(try_open("") == -EPROTO, "lie %zu: %s", i, text);
	}
}
END_TEST

static void refuse(struct pst_frame *f, struct pst_wire_welcome *p)
{
	static const char why[] = "the nonce is \033[31mwrong";

	f->status = PST_WIRE_EAUTH;
	f->payload = (const uint8_t *)why;
	f->length = sizeof(why) - 1;
}

START_TEST(a_refusal_is_passed_on_in_the_agents_words)
{
	fake.welcome = refuse;
	ck_assert_int_eq(try_open(""), -EACCES);
	ck_assert_ptr_nonnull(strstr(text, "the nonce is"));
	ck_assert_ptr_null(strchr(text, '\033'));
}
END_TEST

static void wake_first(struct pst_frame *f, struct pst_wire_welcome *p)
{
	const struct pst_frame wake = {.type = PST_WIRE_WAKE};
	uint8_t buf[sizeof(struct pst_wire_frame)];

	ck_assert_int_gt(pst_frame_encode(&wake, buf, sizeof(buf)), 0);
	ck_assert_int_eq(pst_sock_send(fake.conn, buf, sizeof(buf), -1,
				       pst_now_ns() + PST_HANG_NS, NULL),
			 0);
}

START_TEST(a_wake_before_the_welcome_is_refused)
{
	fake.welcome = wake_first;
	ck_assert_int_eq(try_open(""), -EPROTO);
	ck_assert_ptr_nonnull(strstr(text, "answered HELLO with WAKE"));
}
END_TEST

static void challenge_future(struct pst_wire_challenge *p)
{
	p->version_min = p->version_max = 2;
}

static void challenge_slot(struct pst_wire_challenge *p)
{
	p->nonce_slot = PST_WIRE_NONCE_SLOTS;
}

static void challenge_epoch(struct pst_wire_challenge *p)
{
	p->epoch++;
}

START_TEST(a_challenge_with_a_lie_in_it_is_refused)
{
	fake.challenge = challenge_future;
	ck_assert_int_eq(try_open(""), -EPROTONOSUPPORT);
	setup();
	fake.challenge = challenge_slot;
	ck_assert_int_eq(try_open(""), -EPROTO);
	setup();
	fake.challenge = challenge_epoch;
	ck_assert_int_eq(try_open(""), -EINVAL);
	setup();
	fake.no_fd = true;
	ck_assert_int_eq(try_open(""), -EINVAL);
	ck_assert_ptr_nonnull(strstr(text, "?region=PATH"));
}
END_TEST

START_TEST(a_region_that_the_agent_does_not_serve_is_refused)
{
	struct pst_region_create rc = {
		.file_size = PST_WIRE_MIN_FILE,
		.mode = 0600,
		.uid = (uid_t)-1,
		.gid = (gid_t)-1,
		.node = -1,
	};
	char path[64], query[96];
	uint8_t uuid[16];

	snprintf(path, sizeof(path), "/tmp/pst-other-%d", (int)getpid());
	ck_assert_int_eq(pst_region_create_file(path, &rc, uuid, NULL), 0);
	snprintf(query, sizeof(query), "?region=%s", path);
	ck_assert_int_eq(try_open(query), -EINVAL);
	ck_assert_ptr_nonnull(strstr(text, "not the one"));
	unlink(path);
	setup();
	ck_assert_int_eq(try_open(query), -ENOENT);
}
END_TEST

/* A frame as bytes, for injection. */
static size_t frame_bytes(uint16_t type, bool reply, uint32_t seq,
			  uint32_t status, const char *payload, uint8_t *buf,
			  size_t size)
{
	struct pst_frame f = {
		.type = type,
		.reply = reply,
		.seq = seq,
		.status = status,
		.payload = (const uint8_t *)payload,
		.length = (uint32_t)strlen(payload),
	};
	int64_t n = pst_frame_encode(&f, buf, size);

	ck_assert_int_gt(n, 0);
	return (size_t)n;
}

START_TEST(a_stranger_at_the_socket_is_recognised)
{
	static const char http[] = "HTTP/1.1 400 Bad Request\r\n"
				   "Connection: close\r\n\r\n";
	static uint8_t buf[256];

	fake.greeting = http;
	fake.greeting_n = sizeof(http) - 1;
	ck_assert_int_eq(try_open(""), -EPROTO);
	setup();
	/* Not a word. */
	fake.greeting = http;
	fake.greeting_n = 0;
	ck_assert_int_eq(try_open(""), -ETIMEDOUT);
	setup();
	fake.greeting = buf;
	fake.greeting_n = frame_bytes(PST_WIRE_ERROR, false, 0, PST_WIRE_EBUSY,
				      "16 are waiting", buf, sizeof(buf));
	ck_assert_int_eq(try_open(""), -EBUSY);
	ck_assert_ptr_nonnull(strstr(text, "16 are waiting"));
	setup();
	fake.greeting_n =
		frame_bytes(PST_WIRE_PING, true, 0, 0, "", buf, sizeof(buf));
	fake.greeting = buf;
	ck_assert_int_eq(try_open(""), -EPROTO);
}
END_TEST

/* Injects bytes while a call waits; returns the call's result. */
static int inject_in_call(const void *bytes, size_t n, uint64_t timeout_ns)
{
	int r;

	begin();
	fake.hold = true;
	fake.inject_n = n;
	fake.inject = bytes;
	r = pst_nop(c, timeout_ns, NULL);
	pst_last_error(c, text, sizeof(text));
	end();
	setup();
	return r;
}

START_TEST(a_frame_out_of_place_ends_the_session)
{
	static uint8_t buf[32 * 2000];
	size_t n = 0;
	int i;

	ck_assert_int_eq(inject_in_call("garbage garbage garbage garbage!", 32,
					PST_HANG_NS),
			 -EPROTO);
	n = frame_bytes(PST_WIRE_PING, true, 77, 0, "", buf, sizeof(buf));
	ck_assert_int_eq(inject_in_call(buf, n, PST_HANG_NS), -EPROTO);
	n = frame_bytes(PST_WIRE_LEASE, false, 77, 0, "0123456789abcdef", buf,
			sizeof(buf));
	ck_assert_int_eq(inject_in_call(buf, n, PST_HANG_NS), -EPROTO);
	n = frame_bytes(PST_WIRE_CHALLENGE, false, 0, 0,
			"0123456789abcdef01234567", buf, sizeof(buf));
	ck_assert_int_eq(inject_in_call(buf, n, PST_HANG_NS), -EPROTO);
	n = frame_bytes(PST_WIRE_ERROR, false, 0, PST_WIRE_ESHUTDOWN,
			"going down", buf, sizeof(buf));
	ck_assert_int_eq(inject_in_call(buf, n, PST_HANG_NS), -ECONNRESET);
	ck_assert_ptr_nonnull(strstr(text, "going down"));
	/* A reply comes once. */
	n = frame_bytes(PST_WIRE_PING, true, 1, 0, "", buf, sizeof(buf));
	ck_assert_int_eq(inject_in_call(buf, n, PST_HANG_NS), -EPROTO);
	/* A few wake-ups are only that; more than there were operations are a
	 * flood. */
	for (i = 0, n = 0; i < 2000; i++)
		n += frame_bytes(PST_WIRE_WAKE, false, 0, 0, "", buf + n,
				 sizeof(buf) - n);
	ck_assert_int_eq(inject_in_call(buf, n / 2000 * 17, IN_VAIN_NS),
			 -ETIMEDOUT);
	ck_assert_int_eq(inject_in_call(buf, n / 2000 * 18, PST_HANG_NS),
			 -EPROTO);
	ck_assert_int_eq(inject_in_call(buf, n, PST_HANG_NS), -EPROTO);
	/* Half a frame, and no more. */
	ck_assert_int_eq(inject_in_call(buf, 17, IN_VAIN_NS), -ETIMEDOUT);
}
END_TEST

/* In place of the C library's: only who waits in the library calls it. */
static atomic_uint n_sleeps;

int ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout,
	  const sigset_t *mask)
{
	struct timespec ts = *timeout;

	n_sleeps++;
	return (int)syscall(SYS_ppoll, fds, n, &ts, mask, 8);
}

static atomic_bool waiting;
static uint64_t wait_ns;

static void *wait_in_vain(void *arg)
{
	*(int *)arg = pst_nop(c, wait_ns, NULL);
	waiting = false;
	return NULL;
}

/* A call waits while bytes arrive one by one; returns its result. */
static int drip_in_call(const uint8_t *bytes, size_t n, uint64_t *ret_ns)
{
	uint64_t start = pst_now_ns();
	pthread_t thread;
	size_t i = 0;
	int r = 1;

	begin();
	fake.hold = true;
	waiting = true;
	wait_ns = IN_VAIN_NS;
	ck_assert_int_eq(pthread_create(&thread, NULL, wait_in_vain, &r), 0);
	while (fake.taken == 0)
		usleep(1000);
	n_sleeps = 0;
	/* Nobody reads once the call is over: never wait for room. */
	while (waiting && i < n)
		i += send(fake.conn, &bytes[i], 1,
			  MSG_NOSIGNAL | MSG_DONTWAIT) == 1;
	pthread_join(thread, NULL);
	*ret_ns = pst_now_ns() - start;
	end();
	setup();
	return r;
}

START_TEST(bytes_that_say_nothing_do_not_keep_a_call_awake)
{
	static uint8_t buf[PST_WIRE_MAX_PAYLOAD + 64];
	struct pst_frame f = {
		.type = PST_WIRE_ERROR,
		.status = PST_WIRE_EBUSY,
		.payload = buf,
		.length = PST_WIRE_MAX_PAYLOAD,
	};
	static uint8_t frame[PST_WIRE_MAX_PAYLOAD + 64];
	uint64_t ns;

	memset(buf, 'x', sizeof(buf));
	ck_assert_int_gt(pst_frame_encode(&f, frame, sizeof(frame)), 0);
	ck_assert_int_eq(drip_in_call(frame, PST_WIRE_MAX_PAYLOAD, &ns),
			 -ETIMEDOUT);
	/* A few, then at most one a millisecond. */
	ck_assert_uint_le(n_sleeps, 40 + ns / MS);
}
END_TEST

START_TEST(wake_ups_for_nothing_end_the_session)
{
	const struct pst_frame f = {.type = PST_WIRE_WAKE};
	uint8_t frame[sizeof(struct pst_wire_frame)];
	int i, to, r = 1;
	pthread_t thread;

	ck_assert_int_gt(pst_frame_encode(&f, frame, sizeof(frame)), 0);
	begin();
	/* The agent closes its own when the session is over. */
	to = dup(fake.conn);
	fake.hold = true;
	waiting = true;
	wait_ns = PST_HANG_NS;
	ck_assert_int_eq(pthread_create(&thread, NULL, wait_in_vain, &r), 0);
	while (fake.taken == 0)
		usleep(1000);
	n_sleeps = 0;
	/* One for every sleep, as if something had been completed. */
	for (i = 0; i < 20000 && waiting; i++) {
		(void)!send(to, frame, sizeof(frame), MSG_NOSIGNAL);
		usleep(1000);
	}
	pthread_join(thread, NULL);
	close(to);
	ck_assert_int_eq(r, -EPROTO);
	ck_assert_uint_le(n_sleeps, 20);
	end();
}
END_TEST

static void reply_type(struct pst_frame *f)
{
	f->type = PST_WIRE_INFO;
}

static void reply_escape(struct pst_frame *f)
{
	f->payload = (const uint8_t *)"{\"a\":\"\033[2J\"}";
	f->length = 12;
}

static void reply_list(struct pst_frame *f)
{
	f->payload = (const uint8_t *)"[]";
	f->length = 2;
}

static void reply_failed(struct pst_frame *f)
{
	f->status = PST_WIRE_ENOMEM;
	f->payload = (const uint8_t *)"the barrel is empty";
	f->length = 19;
}

static int query_with(void (*reply)(struct pst_frame *f), bool *ret_live)
{
	char *json = NULL;
	int r;

	setup();
	begin();
	fake.reply = reply;
	r = pst_query(c, PST_QUERY_STATS, &json);
	ck_assert_ptr_null(json);
	pst_last_error(c, text, sizeof(text));
	*ret_live = c->session.live;
	end();
	return r;
}

START_TEST(an_answer_is_checked_before_it_is_passed_on)
{
	bool live;

	ck_assert_int_eq(query_with(reply_type, &live), -EPROTO);
	ck_assert(!live);
	ck_assert_int_eq(query_with(reply_list, &live), -EPROTO);
	ck_assert(live);
	/* A terminal would obey it. */
	ck_assert_int_eq(query_with(reply_escape, &live), -EPROTO);
	ck_assert(live);
	ck_assert_int_eq(query_with(reply_failed, &live), -ENOMEM);
	ck_assert_ptr_nonnull(strstr(text, "the barrel is empty"));
	ck_assert(live);
}
END_TEST

static int lease_lie;

static void lie_lease(struct pst_frame *f, struct pst_wire_lease *p)
{
	switch (lease_lie) {
	case 0:
		p->off = 0;
		break;
	case 1:
		p->off = fake.region.size;
		break;
	case 2:
		p->off = fake.region.size - PST_WIRE_UNIT;
		p->size = 2 * PST_WIRE_UNIT;
		break;
	case 3:
		p->size = UINT64_MAX - PST_WIRE_UNIT + 1;
		break;
	case 4:
		p->off += 4096;
		break;
	case 5:
		p->size -= PST_WIRE_UNIT;
		break;
	case 6:
		p->off = PST_WIRE_CTL_SIZE;
		break;
	case 7:
		f->length = 8;
		break;
	}
}

START_TEST(an_impossible_extent_is_not_mapped_and_ends_the_session)
{
	void *p, *q;

	for (lease_lie = 0; lease_lie < 8; lease_lie++) {
		setup();
		begin();
		/* The lie of 6 is a second lease of the same. */
		ck_assert_int_eq(pst_alloc(c, 64, &q), 0);
		fake.lease = lie_lease;
		ck_assert_msg(pst_alloc(c, 4 << 20, &p) == -EPROTO, "lie %d",
			      lease_lie);
		/* A new session, and it is honest. */
		fake.lease = NULL;
		ck_assert_int_eq(pst_alloc(c, 4 << 20, &p), 0);
		ck_assert_int_eq(pst_fill(c, q, 64, 1, 1, 100 * MS, NULL),
				 -ESTALE);
		end();
	}
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, a_welcome_with_a_lie_in_it_is_refused);
	tcase_add_test(tc, lanes_with_a_lie_in_them_are_refused);
	tcase_add_test(tc, an_agent_that_has_one_lane_is_not_asked_for_more);
	tcase_add_test(tc, a_wake_before_the_welcome_is_refused);
	tcase_add_test(tc, a_refusal_is_passed_on_in_the_agents_words);
	tcase_add_test(tc, a_challenge_with_a_lie_in_it_is_refused);
	tcase_add_test(tc, a_region_that_the_agent_does_not_serve_is_refused);
	tcase_add_test(tc, a_stranger_at_the_socket_is_recognised);
	tcase_add_test(tc, a_frame_out_of_place_ends_the_session);
	tcase_add_test(tc, bytes_that_say_nothing_do_not_keep_a_call_awake);
	tcase_add_test(tc, wake_ups_for_nothing_end_the_session);
	tcase_add_test(tc, an_answer_is_checked_before_it_is_passed_on);
	tcase_add_test(tc,
		       an_impossible_extent_is_not_mapped_and_ends_the_session);
}

int main(void)
{
	return pst_unit_run("client_hostile", add, 120);
}
