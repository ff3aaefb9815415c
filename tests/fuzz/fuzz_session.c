/* SPDX-License-Identifier: MIT */
/* Fuzz target: a client's frames, descriptors and shared words against a
 * session, its lane and the executor. */
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tests/unit/agent_fixture.h"
#include "transport/util.h"

/* The input is a program for two clients: a byte whose low bits are an
 * instruction and whose highest says which client, then its operands. */
enum instruction {
	FEED,    /* length (2), bytes: to the socket */
	SUBMIT,  /* 128 bytes: the next SQE of the lane */
	POKE,    /* offset (2), value (8): a word of the lane */
	RUN,     /* count (1): slices of the executor */
	WAIT,    /* tens of milliseconds (1) */
	CONNECT, /* a new connection in place of the old one */
	HELLO,   /* flags (1): the proper one */
	FAIL,    /* sends that still succeed (1) */
	N_INSTRUCTIONS
};

#define N_PEERS 2

static uint8_t *base;
static struct fixture fix;
static struct fixture_peer peers[N_PEERS];
static struct pst_lane_client lanes[N_PEERS];
static uint64_t now_ns;

struct input {
	const uint8_t *data;
	size_t n;
};

/* The next n bytes, zeros when they are not there. */
static void take(struct input *in, void *ret, size_t n)
{
	size_t have = n < in->n ? n : in->n;

	memset(ret, 0, n);
	memcpy(ret, in->data, have);
	in->data += have;
	in->n -= have;
}

static uint8_t take_u8(struct input *in)
{
	uint8_t v;

	take(in, &v, sizeof(v));
	return v;
}

static uint16_t take_u16(struct input *in)
{
	uint16_t v;

	take(in, &v, sizeof(v));
	return v;
}

static void check_span(const struct pst_span *s)
{
	uint64_t end;

	if (s->size == 0)
		return;
	FUZZ_CHECK(!pst_add_overflow(s->off, s->size, &end));
	FUZZ_CHECK(s->off >= PST_WIRE_CTL_SIZE);
	FUZZ_CHECK(end <= PST_WIRE_CTL_SIZE + FIXTURE_ARENA);
}

/* What reaches a backend lies in the arena, whatever the client wrote. */
static void on_begin(const struct pst_op *op)
{
	check_span(&op->a);
	check_span(&op->b);
	check_span(&op->c);
	FUZZ_CHECK(op->m <= fix.agent.limits.max_dim);
	FUZZ_CHECK(op->n <= fix.agent.limits.max_dim);
	FUZZ_CHECK(op->k <= fix.agent.limits.max_dim);
}

static void run_executor(unsigned int n)
{
	while (n-- > 0 && pst_executor_run(fix.agent.executor))
		;
	pst_agent_settle_late(&fix.agent);
}

/* The agent sends whole frames that a client accepts. */
static void drain(struct fixture_peer *p)
{
	struct pst_frame f;

	while (fixture_recv(p, &f) > 0)
		;
	FUZZ_CHECK(p->n_out == 0);
}

static void reconnect(unsigned int i)
{
	pst_session_free(peers[i].session);
	peers[i].session = NULL;
	lanes[i].lane = NULL;
	FUZZ_CHECK(fixture_connect(&fix, &peers[i], now_ns) == 0);
}

static void hello(unsigned int i, uint32_t flags)
{
	struct pst_session_info info;

	fixture_hello(&fix, &peers[i], flags, now_ns);
	if (pst_session_state(peers[i].session) != PST_SESSION_OPEN ||
	    lanes[i].lane)
		return;
	pst_session_describe(peers[i].session, &info);
	if (info.lane != UINT32_MAX)
		pst_lane_client_init(
			&lanes[i], pst_region_lane(base, info.lane),
			&pst_region_header(&fix.agent.region)->agent_wake);
}

static void feed(struct input *in, struct fixture_peer *p)
{
	size_t n = take_u16(in);

	if (n > in->n)
		n = in->n;
	pst_session_input(p->session, in->data, n, now_ns);
	in->data += n;
	in->n -= n;
}

static void submit(struct input *in, struct pst_lane_client *l)
{
	struct pst_wire_sqe sqe;

	take(in, &sqe, sizeof(sqe));
	if (!l->lane)
		return;
	/* Also more than the ring holds. */
	l->cq_head = l->sq_tail;
	FUZZ_CHECK(pst_lane_client_submit(l, &sqe) == 0);
}

static void poke(struct input *in, struct pst_lane_client *l)
{
	size_t off = take_u16(in) % (sizeof(*l->lane) / 8);
	uint64_t v;

	take(in, &v, sizeof(v));
	if (l->lane)
		pst_shm_store((uint64_t *)l->lane + off, v);
}

static void step(struct input *in)
{
	const uint8_t c = take_u8(in);
	const unsigned int i = c >> 7;
	struct fixture_peer *p = &peers[i];

	switch (c % N_INSTRUCTIONS) {
	case FEED:
		feed(in, p);
		break;
	case SUBMIT:
		submit(in, &lanes[i]);
		break;
	case POKE:
		poke(in, &lanes[i]);
		break;
	case RUN:
		run_executor(take_u8(in));
		break;
	case WAIT:
		now_ns += take_u8(in) * 10 * PST_NS_PER_MS;
		pst_session_tick(peers[0].session, now_ns);
		pst_session_tick(peers[1].session, now_ns);
		break;
	case CONNECT:
		reconnect(i);
		break;
	case HELLO:
		hello(i, take_u8(in) & PST_WIRE_HELLO_CONTROL_ONLY);
		break;
	case FAIL:
		p->fail_after = take_u8(in);
		break;
	}
	if (c % N_INSTRUCTIONS != HELLO && c % N_INSTRUCTIONS != CONNECT)
		drain(p);
}

/* After the sessions nothing is held, once the device has let go. */
static void check_empty(void)
{
	struct pst_extents_stats st;
	uint32_t i;

	run_executor(100000);
	pst_extents_stats(fix.agent.extents, &st);
	FUZZ_CHECK(st.leased == 0);
	FUZZ_CHECK(st.quarantined == 0);
	FUZZ_CHECK(fix.agent.n_sessions == 0);
	FUZZ_CHECK(fix.agent.n_control == 0);
	FUZZ_CHECK(fix.agent.nonce_used == 0);
	for (i = 0; i < PST_WIRE_MAX_LANES; i++)
		FUZZ_CHECK(fix.agent.lanes[i].state == PST_LANE_FREE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct input in = {data, n};
	unsigned int i;

	if (!base)
		base = aligned_alloc(4096, PST_WIRE_CTL_SIZE + FIXTURE_ARENA);
	FUZZ_CHECK(base);
	FUZZ_CHECK(fixture_init(&fix, base) == 0);
	fix.backend.on_begin = on_begin;
	now_ns = PST_NS_PER_S;
	fix.agent.settled_ns = now_ns + take_u8(&in) * PST_NS_PER_MS;
	for (i = 0; i < N_PEERS; i++)
		reconnect(i);
	while (in.n > 0)
		step(&in);
	for (i = 0; i < N_PEERS; i++) {
		pst_session_free(peers[i].session);
		peers[i].session = NULL;
		lanes[i].lane = NULL;
	}
	check_empty();
	pst_agent_done(&fix.agent);
	return 0;
}
