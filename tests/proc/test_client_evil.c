/* SPDX-License-Identifier: MIT */
/* Whatever an agent does, no call of the library exceeds its deadline, and none
 * is kept awake: the same calls against many kinds of misbehaviour. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host-client/lib/session/conn.h"
#include "tests/fixtures/fake_agent.h"
#include "tests/fixtures/unit.h"
#include "transport/shm.h"

#define MS PST_NS_PER_MS
/* What each call may take, and by how much it is late on a quiet machine at
 * most; ten times that is a hang. */
#define CALL_NS  (40 * MS)
#define LATE_NS  (100 * MS)
#define GUARD_NS (10 * LATE_NS)
#define TRIES    5
/* Sleeps that bring nothing are followed by one of a millisecond each. */
#define SLEEPS 60U

static struct fake fake;
static struct pst *c;
static uint64_t worst_ns;
static const char *worst_call;
static const char *name;

/* In place of the C library's: only who waits in the library calls it. */
static atomic_uint n_sleeps;

int ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout,
	  const sigset_t *mask)
{
	struct timespec ts = *timeout;

	n_sleeps++;
	return (int)syscall(SYS_ppoll, fds, n, &ts, mask, 8);
}

/* ---- what an agent can do ---- */

struct evil {
	const char *name;
	void (*before)(void); /* the connection is opened; or NULL */
	void (*after)(void);  /* it was; or NULL */
};

#define DO(id, ...)                                                            \
	static void id(void)                                                   \
	{                                                                      \
		__VA_ARGS__;                                                   \
	}
#define CHALLENGE(id, ...)                                                     \
	static void id##_hook(struct pst_wire_challenge *p)                    \
	{                                                                      \
		__VA_ARGS__;                                                   \
	}                                                                      \
	DO(id, fake.challenge = id##_hook)
#define WELCOME(id, ...)                                                       \
	static void id##_hook(struct pst_frame *f, struct pst_wire_welcome *p) \
	{                                                                      \
		__VA_ARGS__;                                                   \
	}                                                                      \
	DO(id, fake.welcome = id##_hook)
#define LEASE(id, ...)                                                         \
	static void id##_hook(struct pst_frame *f, struct pst_wire_lease *p)   \
	{                                                                      \
		__VA_ARGS__;                                                   \
	}                                                                      \
	DO(id, fake.lease = id##_hook)
#define TENSOR(id, ...)                                                        \
	static void id##_hook(struct pst_frame *f, struct pst_wire_tensor *p)  \
	{                                                                      \
		__VA_ARGS__;                                                   \
	}                                                                      \
	DO(id, fake.tensor = id##_hook)
#define REPLY(id, ...)                                                         \
	static void id##_hook(struct pst_frame *f)                             \
	{                                                                      \
		__VA_ARGS__;                                                   \
	}                                                                      \
	DO(id, fake.reply = id##_hook)
#define COMPLETE(id, ...)                                                      \
	static void id##_hook(struct pst_wire_cqe *p)                          \
	{                                                                      \
		__VA_ARGS__;                                                   \
	}                                                                      \
	DO(id, fake.complete = id##_hook)

static uint8_t bytes[2000 * sizeof(struct pst_wire_frame)];

static void inject(const void *p, size_t n)
{
	fake.inject_n = n;
	fake.inject = p;
}

/* n frames of a type, of which the last is cut. */
static void inject_frames(uint16_t type, bool reply, uint32_t seq,
			  uint32_t length, unsigned int n, size_t cut)
{
	static const uint8_t text[64] = "word";
	const struct pst_frame f = {
		.type = type,
		.reply = reply,
		.seq = seq,
		.payload = text,
		.length = length,
	};
	size_t at = 0;

	while (n-- > 0)
		at += (size_t)pst_frame_encode(&f, bytes + at,
					       sizeof(bytes) - at);
	inject(bytes, at - cut);
}

static struct pst_wire_lane *lane(void)
{
	return pst_region_lane(fake.region.base, 1);
}

static void poke_words(uint64_t *p, size_t n, uint64_t v)
{
	size_t i;

	for (i = 0; i < n; i++)
		pst_shm_store(p + i, v);
}

static void greet_with(const char *text)
{
	fake.greeting = text;
	fake.greeting_n = strlen(text);
}

CHALLENGE(old_version, p->version_min = p->version_max = 0)
CHALLENGE(new_version, p->version_min = p->version_max = 9)
CHALLENGE(wrong_slot, p->nonce_slot = UINT32_MAX)
CHALLENGE(wrong_nonce, p->nonce_slot = 0)
CHALLENGE(wrong_epoch, p->epoch++)
WELCOME(no_session, p->session = 0)
WELCOME(other_epoch, p->epoch--)
WELCOME(other_lane, p->lane = UINT32_MAX)
WELCOME(no_arena, p->arena_size = 0)
WELCOME(huge_arena, p->arena_size = UINT64_MAX)
WELCOME(low_arena, p->arena_off = 0)
WELCOME(no_slots, p->n_slots = 0)
WELCOME(no_limits, memset(&p->limits, 0, sizeof(p->limits)))
WELCOME(all_limits, memset(&p->limits, 0xff, sizeof(p->limits)))
WELCOME(short_welcome, f->length -= 8)
WELCOME(no_welcome, f->length = 0)
WELCOME(failed_welcome, f->status = PST_WIRE_EBUSY)
WELCOME(odd_status, f->status = 999)
WELCOME(late_welcome, usleep(100 * 1000))
WELCOME(small_file, p->file_size = PST_WIRE_UNIT)
WELCOME(slow_beat, p->heartbeat_ms = 0)
DO(silence, greet_with(""))
DO(http, greet_with("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"))
DO(half_greeting, greet_with("PSTK"))
DO(no_region, fake.no_fd = true)
LEASE(lease_nothing, p->size = 0)
LEASE(lease_short, p->size -= PST_WIRE_UNIT)
LEASE(lease_control, p->off = 0)
LEASE(lease_outside, p->off = fake.region.size)
LEASE(lease_wraps, p->size = UINT64_MAX - PST_WIRE_UNIT + 1)
LEASE(lease_odd, p->off += 4096)
LEASE(lease_alias, p->off = PST_WIRE_CTL_SIZE)
LEASE(lease_cut, f->length = 8)
LEASE(lease_refused, f->status = PST_WIRE_ENOSPC; f->length = 0)
LEASE(lease_late, usleep(60 * 1000))
TENSOR(tensor_zero, p->handle = 0)
TENSOR(tensor_same, p->handle = 7)
TENSOR(tensor_small, p->size = 1)
TENSOR(tensor_cut, f->length = 4)
TENSOR(tensor_busy, f->status = PST_WIRE_EBUSY; f->length = 0)
REPLY(reply_type, f->type = PST_WIRE_INFO)
REPLY(reply_seq, f->seq++)
REPLY(reply_old, f->seq--)
REPLY(reply_empty, f->length = 0)
REPLY(reply_status, f->status = 12345)
REPLY(reply_no_json, f->payload = (const uint8_t *)"[]"; f->length = 2)
REPLY(reply_late, usleep(60 * 1000))
COMPLETE(tag_next, p->tag += 1ULL << 32)
COMPLETE(tag_index, p->tag |= 0xffffffff)
COMPLETE(tag_zero, p->tag = 0)
COMPLETE(tag_same, p->tag = 1ULL << 32)
COMPLETE(cqe_flags, p->flags = 1)
COMPLETE(cqe_status, p->status = 999)
COMPLETE(cqe_failed, p->status = PST_WIRE_ENOMEM)
COMPLETE(cqe_reserved, p->reserved0[1] = 1)
COMPLETE(cqe_times, p->compute_ns = p->queue_ns = UINT64_MAX)
COMPLETE(cqe_late, usleep(60 * 1000))
DO(mute, fake.mute = true)
DO(hold, fake.hold = true)
DO(mute_and_hold, fake.mute = fake.hold = true)
DO(frozen, fake.frozen = true)
DO(no_read, fake.hold = fake.no_read = true)
DO(hang_up, fake.hang_up = true)
DO(half_close, fake.stop_reading = true)
DO(garbage, inject("garbage garbage garbage garbage!", 32))
DO(error_frame, inject_frames(PST_WIRE_ERROR, false, 0, 4, 1, 0))
DO(challenge_again, inject_frames(PST_WIRE_CHALLENGE, false, 0, 24, 1, 0))
DO(unasked_reply, inject_frames(PST_WIRE_PING, true, 1, 0, 1, 0))
DO(reply_of_future, inject_frames(PST_WIRE_PING, true, 9999, 0, 1, 0))
DO(many_replies, inject_frames(PST_WIRE_PING, true, 1, 0, 2000, 0))
DO(few_wakes, inject_frames(PST_WIRE_WAKE, false, 0, 0, 10, 0))
DO(many_wakes, inject_frames(PST_WIRE_WAKE, false, 0, 0, 2000, 0))
DO(half_frame, inject_frames(PST_WIRE_WAKE, false, 0, 0, 1, 15))
DO(clients_frame, inject_frames(PST_WIRE_HELLO, false, 0, 64, 1, 0))
DO(new_epoch, fake_reformat(&fake))
DO(header_gone, poke_words((uint64_t *)fake.region.base, 8, UINT64_MAX))
DO(agent_wake, poke_words(&pst_region_header(&fake.region)->agent_wake.value, 1,
			  UINT64_MAX))
DO(client_wake, poke_words(&lane()->client_wake.value, 1, UINT64_MAX))
DO(cq_ahead,
   poke_words((uint64_t *)lane()->cq, sizeof(lane()->cq) / 8, UINT64_MAX - 7))
DO(cq_one, poke_words((uint64_t *)lane()->cq, sizeof(lane()->cq) / 8, 1))
DO(sq_gone, poke_words((uint64_t *)lane()->sq, sizeof(lane()->sq) / 8, 0))

#define BEFORE(id)                                                             \
	{                                                                      \
#id, id, NULL                                                  \
	}
#define AFTER(id)                                                              \
	{                                                                      \
#id, NULL, id                                                  \
	}

static const struct evil evils[] = {
	BEFORE(old_version),
	BEFORE(new_version),
	BEFORE(wrong_slot),
	BEFORE(wrong_nonce),
	BEFORE(wrong_epoch),
	BEFORE(no_session),
	BEFORE(other_epoch),
	BEFORE(other_lane),
	BEFORE(no_arena),
	BEFORE(huge_arena),
	BEFORE(low_arena),
	BEFORE(no_slots),
	BEFORE(no_limits),
	BEFORE(all_limits),
	BEFORE(short_welcome),
	BEFORE(no_welcome),
	BEFORE(failed_welcome),
	BEFORE(odd_status),
	BEFORE(late_welcome),
	BEFORE(small_file),
	BEFORE(slow_beat),
	BEFORE(silence),
	BEFORE(http),
	BEFORE(half_greeting),
	BEFORE(no_region),
	AFTER(lease_nothing),
	AFTER(lease_short),
	AFTER(lease_control),
	AFTER(lease_outside),
	AFTER(lease_wraps),
	AFTER(lease_odd),
	AFTER(lease_alias),
	AFTER(lease_cut),
	AFTER(lease_refused),
	AFTER(lease_late),
	AFTER(tensor_zero),
	AFTER(tensor_same),
	AFTER(tensor_small),
	AFTER(tensor_cut),
	AFTER(tensor_busy),
	AFTER(reply_type),
	AFTER(reply_seq),
	AFTER(reply_old),
	AFTER(reply_empty),
	AFTER(reply_status),
	AFTER(reply_no_json),
	AFTER(reply_late),
	AFTER(tag_next),
	AFTER(tag_index),
	AFTER(tag_zero),
	AFTER(tag_same),
	AFTER(cqe_flags),
	AFTER(cqe_status),
	AFTER(cqe_failed),
	AFTER(cqe_reserved),
	AFTER(cqe_times),
	AFTER(cqe_late),
	AFTER(mute),
	AFTER(hold),
	AFTER(mute_and_hold),
	AFTER(frozen),
	AFTER(no_read),
	AFTER(hang_up),
	AFTER(half_close),
	AFTER(garbage),
	AFTER(error_frame),
	AFTER(challenge_again),
	AFTER(unasked_reply),
	AFTER(reply_of_future),
	AFTER(many_replies),
	AFTER(few_wakes),
	AFTER(many_wakes),
	AFTER(half_frame),
	AFTER(clients_frame),
	AFTER(new_epoch),
	AFTER(header_gone),
	AFTER(agent_wake),
	AFTER(client_wake),
	AFTER(cq_ahead),
	AFTER(cq_one),
	AFTER(sq_gone),
};

/* ---- the calls ---- */

static uint64_t began_ns;

static void begin(void)
{
	n_sleeps = 0;
	began_ns = pst_now_ns();
}

/* A call that began is over, after allowed_ns at most. */
static void over(const char *call, uint64_t allowed_ns)
{
	uint64_t ns = pst_now_ns() - began_ns;

	if (ns > allowed_ns && ns - allowed_ns > worst_ns) {
		worst_ns = ns - allowed_ns;
		worst_call = call;
	}
	ck_assert_msg(n_sleeps <= SLEEPS + ns / MS, "%s: %s slept %u times",
		      name, call, n_sleeps);
}

#define CALL(expression)                                                       \
	do {                                                                   \
		begin();                                                       \
		(void)!(expression);                                           \
		over(#expression, CALL_NS);                                    \
	} while (0)

static void make_calls(void)
{
	static float memory[64];
	struct pst_gemm_args g = {
		.size = sizeof(struct pst_gemm_args),
		.dtype = PST_F32,
		.m = 4,
		.n = 4,
		.k = 4,
		.lda = 4,
		.ldb = 4,
		.ldc = 4,
		.alpha = 1,
		.a = memory,
		.b = memory + 16,
		.c = memory + 32,
	};
	uint64_t tag = 0, tensor = 0;
	struct pst_completion done[4];
	struct pst_tensor list[4];
	struct pst_model model;
	char *json = NULL;
	void *p = NULL;

	CALL(pst_nop(c, CALL_NS, NULL));
	CALL(pst_alloc(c, 4096, &p));
	if (p)
		CALL(pst_fill(c, p, 64, 1, 1, CALL_NS, NULL));
	CALL(pst_query(c, PST_QUERY_STATS, &json));
	free(json);
	CALL(pst_ping(c, NULL));
	CALL(pst_submit_nop(c, 0, &tag));
	CALL(pst_wait(c, tag, CALL_NS, NULL));
	CALL(pst_cancel(c, tag));
	CALL(pst_tensor_create(c, 64, &tensor));
	CALL(pst_upload(c, tensor, 0, memory, 64, CALL_NS));
	CALL(pst_tensor_list(c, list, 4));
	CALL(pst_tensor_destroy(c, tensor));
	CALL(pst_model_open(c, "m", &model));
	CALL(pst_gemm(c, &g, CALL_NS, NULL));
	CALL(pst_arm(c));
	CALL(pst_poll(c, done, 4));
	CALL(pst_free(c, p));
}

static void attack(const struct evil *e)
{
	struct pst_options o = {
		.size = sizeof(o),
		.timeout_ns = CALL_NS,
		.dead_ns = CALL_NS,
	};
	char text[400];

	memset(&fake, 0, sizeof(fake));
	c = NULL;
	name = e->name;
	if (e->before) {
		e->before();
	} else {
		/* It has to get so far on a busy machine, too. */
		o.timeout_ns = 20 * PST_NS_PER_S;
	}
	fake_open(&fake);
	begin();
	if (pst_open(fake.uri, &o, &c, text, sizeof(text)) < 0)
		ck_assert_msg(e->before != NULL, "%s", text);
	over("pst_open", o.timeout_ns);
	if (c) {
		c->conf.timeout_ns = c->conf.open_ns = CALL_NS;
		if (e->after)
			e->after();
		make_calls();
		begin();
		pst_close(c);
		over("pst_close", CALL_NS);
	}
	fake_close(&fake);
}

START_TEST(no_call_exceeds_its_deadline_or_is_kept_awake)
{
	int i;

	/* A busy machine keeps a thread from its CPU now and then, not always.
	 */
	for (i = 0; i < TRIES && (i == 0 || worst_ns >= GUARD_NS); i++) {
		worst_ns = 0;
		attack(&evils[_i]);
	}
	ck_assert_msg(worst_ns < GUARD_NS, "%s: %s was %" PRIu64 " ms late",
		      name, worst_call, worst_ns / MS);
	printf("# %s: at most %" PRIu64 " us late\n", name, worst_ns / 1000);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_loop_test(tc, no_call_exceeds_its_deadline_or_is_kept_awake,
			    0, (int)PST_ARRAY_SIZE(evils));
}

int main(void)
{
	return pst_unit_run("client_evil", add, 60);
}
