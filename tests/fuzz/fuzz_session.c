/* SPDX-License-Identifier: MIT */
/* Fuzz target: a client's frames, descriptors and shared words against a
 * session, its lane and the executor. */
#include <string.h>

#include "guest-agent/serve/state/session_int.h"
#include "tests/fixtures/agent_fixture.h"
#include "tests/fixtures/st_file.h"
#include "tests/fuzz/fuzz.h"
#include "transport/base/util.h"

/* The input is a program for two clients: a byte whose low bits are an
 * instruction and whose highest says which client, then its operands. With bit
 * 6 it is TENSOR instead, with bit 5 MODEL. Bits 3 and 4 say which of its lanes
 * SUBMIT and POKE use. */
enum instruction {
	FEED,    /* length (2), bytes: to the socket */
	SUBMIT,  /* 128 bytes: the next SQE of the lane */
	POKE,    /* offset (2), value (8): a word of the lane */
	RUN,     /* count (1): slices of the executor */
	WAIT,    /* tens of milliseconds (1) */
	CONNECT, /* a new connection in place of the old one */
	HELLO,   /* flags (1): the proper one; see hello() */
	FAIL,    /* sends that still succeed (1) */
	N_INSTRUCTIONS
};

/* TENSOR: action (1), operand (2). */
#define TENSOR    (1U << 6)
#define N_HANDLES 8U

enum tensor_action {
	CREATE,  /* operand bytes; the handle gets the next number */
	DESTROY, /* the handle of that number */
	LIST,    /* behind the handle of that number */
	FAILURE, /* of that tag */
	N_TENSOR_ACTIONS
};

/* MODEL: action (1), operand (2), whose low half picks a name and whose high
 * half the rest: which tensor, and in which unit of the arena the header. */
#define MODEL   (1U << 5)
#define N_NAMES 4U

enum model_action {
	MODEL_LOAD,
	MODEL_OPEN,
	MODEL_UNLOAD,
	MODEL_LIST,
	N_MODEL_ACTIONS
};

#define N_PEERS 2
#define N_LANES 4

static uint8_t *base;
static struct fixture fix;
static struct fixture_peer peers[N_PEERS];
static struct pst_lane_client lanes[N_PEERS][N_LANES];
static uint64_t now_ns;
/* Tensors that a peer has made, the last ones; old handles too. */
static uint64_t handles[N_PEERS][N_HANDLES];
static unsigned int n_handles[N_PEERS];
/* Models that were loaded. */
static uint64_t models[N_HANDLES];
static unsigned int n_models;

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

static void check_operand(const struct pst_operand *s)
{
	uint64_t end;

	if (s->size == 0)
		return;
	FUZZ_CHECK(!pst_add_overflow(s->off, s->size, &end));
	if (s->mem) {
		FUZZ_CHECK(end <= *(const uint64_t *)s->mem);
		return;
	}
	FUZZ_CHECK(s->off >= PST_WIRE_CTL_SIZE);
	FUZZ_CHECK(end <= PST_WIRE_CTL_SIZE + FIXTURE_ARENA);
}

/* What reaches a backend lies in the arena or in a tensor, whatever the client
 * wrote. */
static void on_begin(const struct pst_op *op)
{
	check_operand(&op->a);
	check_operand(&op->b);
	check_operand(&op->c);
	check_operand(&op->bias);
	FUZZ_CHECK(op->m <= fix.agent.config.limits.max_dim);
	FUZZ_CHECK(op->n <= fix.agent.config.limits.max_dim);
	FUZZ_CHECK(op->k <= fix.agent.config.limits.max_dim);
}

/* What an operation may still use is not given back. */
static void on_release(const void *mem)
{
	FUZZ_CHECK(!fix.agent.executor ||
		   !pst_agent_executor_uses(fix.agent.executor, mem));
}

static void run_executor(unsigned int n)
{
	while (n-- > 0 && pst_agent_executor_run(fix.agent.executor))
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
	pst_agent_session_free(peers[i].session);
	peers[i].session = NULL;
	memset(lanes[i], 0, sizeof(lanes[i]));
	FUZZ_CHECK(fixture_connect(&fix, &peers[i], now_ns) == 0);
}

/* flags: bit 0 control-only, above it the lanes asked for; 0: the client knows
 * nothing of LANES. */
static void hello(unsigned int i, uint8_t flags)
{
	const struct pst_wire_lanes l = {.n = flags >> 1};
	const struct pst_agent_session *s = peers[i].session;
	unsigned int k;

	peers[i].features = l.n ? PST_WIRE_FEATURE_LANES : 0;
	fixture_hello(&fix, &peers[i], flags & PST_WIRE_HELLO_CONTROL_ONLY,
		      now_ns);
	if (l.n)
		fixture_feed(&peers[i], PST_WIRE_LANES, 2, &l, sizeof(l),
			     now_ns);
	if (pst_agent_session_state(s) != PST_AGENT_SESSION_OPEN)
		return;
	for (k = 0; k < s->n_lanes && k < N_LANES; k++)
		if (!lanes[i][k].lane)
			pst_lane_client_init(
				&lanes[i][k],
				pst_region_lane(base, s->lanes[k]),
				&pst_region_header(&fix.agent.region)
					 ->agent_wake);
}

static void feed(struct input *in, struct fixture_peer *p)
{
	size_t n = take_u16(in);

	if (n > in->n)
		n = in->n;
	fixture_input(p, in->data, n, now_ns);
	in->data += n;
	in->n -= n;
}

static void submit(struct input *in, unsigned int i, struct pst_lane_client *l)
{
	struct pst_wire_sqe sqe;

	take(in, &sqe, sizeof(sqe));
	if (!l->lane)
		return;
	/* Handles that exist, under small numbers. */
	if (sqe.flags & PST_WIRE_A_TENSOR && sqe.off_a < N_HANDLES)
		sqe.off_a = handles[i][sqe.off_a];
	if (sqe.flags & PST_WIRE_B_TENSOR && sqe.off_b < N_HANDLES)
		sqe.off_b = handles[i][sqe.off_b];
	if (sqe.flags & PST_WIRE_C_TENSOR && sqe.off_c < N_HANDLES)
		sqe.off_c = handles[i][sqe.off_c];
	if (sqe.op == PST_WIRE_OP_INFER && sqe.off_b < N_HANDLES)
		sqe.off_b = models[sqe.off_b];
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

static void tensor(struct input *in, unsigned int i)
{
	static const uint16_t types[N_TENSOR_ACTIONS] = {
		PST_WIRE_TENSOR_CREATE, PST_WIRE_TENSOR_DESTROY,
		PST_WIRE_TENSOR_LIST, PST_WIRE_FAILURE};
	const unsigned int action = take_u8(in) % N_TENSOR_ACTIONS;
	const uint16_t v = take_u16(in);
	struct pst_wire_tensor t = {0};
	struct pst_frame f;

	if (action == CREATE)
		t.size = v;
	else
		t.handle = action == FAILURE ? v : handles[i][v % N_HANDLES];
	drain(&peers[i]);
	fixture_feed(&peers[i], types[action], 1, &t,
		     action == FAILURE ? 8 : sizeof(t), now_ns);
	/* Behind half a frame it may have been anything. */
	if (action == CREATE && fixture_recv(&peers[i], &f) > 0 && f.reply &&
	    f.type == PST_WIRE_TENSOR_CREATE && f.status == PST_WIRE_OK &&
	    pst_frame_tensor(&f, &t, NULL) == 0)
		handles[i][n_handles[i]++ % N_HANDLES] = t.handle;
}

/* A model of 4 to 2 elements with 32 bytes of data. */
static size_t write_header(uint64_t off)
{
	return st_model(base + off, PST_WIRE_UNIT,
			"[{\"type\":\"linear\",\"weight\":\"w\"}]",
			"\"w\":{\"dtype\":\"F32\",\"shape\":[2,4],"
			"\"data_offsets\":[0,32]}");
}

static void model(struct input *in, unsigned int i)
{
	static const uint16_t types[N_MODEL_ACTIONS] = {
		PST_WIRE_MODEL_LOAD, PST_WIRE_MODEL_OPEN, PST_WIRE_MODEL_UNLOAD,
		PST_WIRE_MODEL_LIST};
	const unsigned int action = take_u8(in) % N_MODEL_ACTIONS;
	const uint16_t v = take_u16(in);
	struct pst_wire_model_load l = {
		.name = {(char)('a' + v % N_NAMES)},
		.data = handles[i][(v >> 8) % N_HANDLES],
		.header_off = PST_WIRE_CTL_SIZE +
			      (v >> 12) % (FIXTURE_ARENA / PST_WIRE_UNIT) *
				      PST_WIRE_UNIT,
	};
	struct pst_wire_model m = {.name = {l.name[0]}};
	struct pst_frame f;

	drain(&peers[i]);
	/* Mostly nothing keeps it waiting. */
	now_ns += 5 * PST_NS_PER_MS;
	if (action == MODEL_LOAD) {
		l.header_size = write_header(l.header_off);
		fixture_feed(&peers[i], types[action], 1, &l, sizeof(l),
			     now_ns);
	} else {
		fixture_feed(&peers[i], types[action], 1, &m,
			     action == MODEL_LIST ? 0 : sizeof(m), now_ns);
	}
	if (action == MODEL_LOAD && fixture_recv(&peers[i], &f) > 0 &&
	    f.reply && f.type == PST_WIRE_MODEL_LOAD &&
	    f.status == PST_WIRE_OK && pst_frame_model(&f, &m, NULL) == 0)
		models[n_models++ % N_HANDLES] = m.handle;
}

static void step(struct input *in)
{
	const uint8_t c = take_u8(in);
	const unsigned int i = c >> 7;
	struct pst_lane_client *l = &lanes[i][(c >> 3) % N_LANES];
	struct fixture_peer *p = &peers[i];

	if (c & TENSOR) {
		tensor(in, i);
		drain(p);
		return;
	}
	if (c & MODEL) {
		model(in, i);
		drain(p);
		return;
	}
	switch (c % N_INSTRUCTIONS) {
	case FEED:
		feed(in, p);
		break;
	case SUBMIT:
		submit(in, i, l);
		break;
	case POKE:
		poke(in, l);
		break;
	case RUN:
		run_executor(take_u8(in));
		break;
	case WAIT:
		now_ns += take_u8(in) * 10 * PST_NS_PER_MS;
		pst_agent_session_tick(peers[0].session, now_ns);
		pst_agent_session_tick(peers[1].session, now_ns);
		break;
	case CONNECT:
		reconnect(i);
		break;
	case HELLO:
		hello(i, take_u8(in));
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
	struct pst_agent_extents_stats st;
	uint32_t i;

	run_executor(100000);
	pst_agent_extents_stats(fix.agent.holdings.extents, &st);
	FUZZ_CHECK(st.leased == 0);
	FUZZ_CHECK(st.quarantined == 0);
	FUZZ_CHECK(fix.backend.n_mem == fix.backend.n_models);
	FUZZ_CHECK(fix.agent.seats.n_sessions == 0);
	FUZZ_CHECK(fix.agent.seats.n_control == 0);
	FUZZ_CHECK(fix.agent.nonces.used == 0);
	for (i = 0; i < PST_WIRE_MAX_LANES; i++)
		FUZZ_CHECK(fix.agent.seats.lanes[i].state ==
			   PST_AGENT_SEAT_FREE);
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
	fix.backend.on_release = on_release;
	now_ns = PST_NS_PER_S;
	memset(handles, 0, sizeof(handles));
	memset(n_handles, 0, sizeof(n_handles));
	memset(models, 0, sizeof(models));
	n_models = 0;
	fix.agent.settled_ns = now_ns + take_u8(&in) * PST_NS_PER_MS;
	for (i = 0; i < N_PEERS; i++)
		reconnect(i);
	while (in.n > 0)
		step(&in);
	for (i = 0; i < N_PEERS; i++) {
		pst_agent_session_free(peers[i].session);
		peers[i].session = NULL;
	}
	check_empty();
	pst_agent_done(&fix.agent);
	return 0;
}
