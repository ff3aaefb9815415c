/* SPDX-License-Identifier: MIT */
/* Two sessions without sockets, for one test each. */
#ifndef PST_TESTS_UNIT_SESSION_FIXTURE_H
#define PST_TESTS_UNIT_SESSION_FIXTURE_H

#include "tests/unit/agent_fixture.h"
#include "tests/unit/unit.h"
#include "transport/base/util.h"

#define S PST_NS_PER_S

static uint8_t *base;
static struct fixture fix;
static struct fixture_peer peer[2];
static struct pst_lane_client lane[2];

static inline void setup(void)
{
	base = aligned_alloc(4096, PST_WIRE_CTL_SIZE + FIXTURE_ARENA);
	ck_assert_ptr_nonnull(base);
	ck_assert_int_eq(fixture_init(&fix, base), 0);
}

static inline void teardown(void)
{
	pst_session_free(peer[0].session);
	pst_session_free(peer[1].session);
	pst_agent_done(&fix.agent);
	free(base);
}

/* Nobody holds anything any more. */
static inline void expect_empty(void)
{
	struct pst_extents_stats st;
	uint32_t i;

	pst_extents_stats(fix.agent.extents, &st);
	ck_assert_uint_eq(st.leased, 0);
	ck_assert_uint_eq(st.quarantined, 0);
	ck_assert_uint_eq(fix.backend.n_mem, 0);
	ck_assert_uint_eq(fix.agent.n_sessions, 0);
	ck_assert_uint_eq(fix.agent.n_control, 0);
	ck_assert_uint_eq(fix.agent.nonce_used, 0);
	for (i = 0; i < PST_WIRE_MAX_LANES; i++)
		ck_assert_int_eq(fix.agent.lanes[i].state, PST_LANE_FREE);
}

static inline void open_session(unsigned int i, uint32_t flags)
{
	struct pst_session_info info;
	struct pst_wire_welcome w;
	struct pst_frame f;

	ck_assert_int_eq(fixture_connect(&fix, &peer[i], S), 0);
	fixture_hello(&fix, &peer[i], flags, S);
	ck_assert_int_gt(fixture_recv(&peer[i], &f), 0);
	ck_assert_uint_eq(f.type, PST_WIRE_HELLO);
	ck_assert_uint_eq(f.status, PST_WIRE_OK);
	ck_assert_int_eq(pst_frame_welcome(&f, &w, NULL), 0);
	pst_session_describe(peer[i].session, &info);
	ck_assert_uint_eq(info.lane, w.lane);
	if (w.lane != UINT32_MAX)
		pst_lane_client_init(
			&lane[i], pst_region_lane(base, w.lane),
			&pst_region_header(&fix.agent.region)->agent_wake);
}

static inline void ask_lease(unsigned int i, uint32_t seq, uint64_t size,
			     uint64_t now_ns)
{
	const struct pst_wire_lease l = {.size = size};

	fixture_feed(&peer[i], PST_WIRE_LEASE, seq, &l, sizeof(l), now_ns);
}

static inline struct pst_wire_lease get_lease(unsigned int i)
{
	struct pst_wire_lease l = {0};
	struct pst_frame f;

	ck_assert_int_gt(fixture_recv(&peer[i], &f), 0);
	ck_assert_uint_eq(f.type, PST_WIRE_LEASE);
	ck_assert_uint_eq(f.status, PST_WIRE_OK);
	ck_assert_int_eq(pst_frame_lease(&f, &l, NULL), 0);
	return l;
}

/* An operation of so many steps, which refuses so many cancels. */
static inline void submit_gemm(unsigned int i, uint64_t off, uint32_t steps,
			       uint32_t stubborn)
{
	const struct pst_wire_sqe sqe = {
		.op = PST_WIRE_OP_GEMM,
		.dtype = PST_WIRE_F32,
		.dtype_c = PST_WIRE_F32,
		.m = steps,
		.n = 1,
		.k = stubborn,
		.batch = 1,
		.lda = 1000,
		.ldb = 1,
		.ldc = 1,
		.off_a = off,
		.off_b = off,
		.off_c = off + PST_WIRE_UNIT / 2,
	};

	ck_assert_int_eq(pst_lane_client_submit(&lane[i], &sqe), 0);
}

static inline void expect_frame(unsigned int i, uint16_t type, uint32_t status)
{
	struct pst_frame f;

	ck_assert_int_gt(fixture_recv(&peer[i], &f), 0);
	ck_assert_uint_eq(f.type, type);
	ck_assert_uint_eq(f.status, status);
}

#endif
