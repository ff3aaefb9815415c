/* SPDX-License-Identifier: MIT */
/* Control frames: what is encoded decodes, and what breaks the rules is
 * refused. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fixtures/unit.h"
#include "transport/base/util.h"
#include "transport/frame.h"

static uint8_t buf[sizeof(struct pst_wire_frame) + PST_WIRE_MAX_PAYLOAD];
static uint8_t zeros[PST_WIRE_MAX_PAYLOAD];
static struct pst_error err;

static int64_t make(uint16_t type, bool reply, uint32_t status,
		    const void *payload, uint32_t length)
{
	struct pst_frame f = {
		.type = type,
		.reply = reply,
		.seq = 77,
		.status = status,
		.payload = payload,
		.length = length,
	};

	return pst_frame_encode(&f, buf, sizeof(buf));
}

static int64_t decode(int64_t n, enum pst_frame_reader reader,
		      struct pst_frame *ret)
{
	memset(&err, 0, sizeof(err));
	ck_assert_int_ge(n, 0);
	return pst_frame_decode(buf, (size_t)n, reader, ret, &err);
}

static struct pst_wire_frame *header(void)
{
	return (struct pst_wire_frame *)buf;
}

START_TEST(a_frame_decodes_to_what_was_encoded)
{
	static const char payload[] = "ping payload";
	struct pst_frame f;
	int64_t n = make(PST_WIRE_PING, false, 0, payload, sizeof(payload));

	ck_assert_int_eq(n, 32 + sizeof(payload));
	ck_assert_int_eq(decode(n, PST_READER_AGENT, &f), n);
	ck_assert_uint_eq(f.type, PST_WIRE_PING);
	ck_assert(!f.reply);
	ck_assert_uint_eq(f.seq, 77);
	ck_assert_uint_eq(f.status, 0);
	ck_assert_uint_eq(f.length, sizeof(payload));
	ck_assert_mem_eq(f.payload, payload, sizeof(payload));

	n = make(PST_WIRE_PING, true, PST_WIRE_EIO, "no", 2);
	ck_assert_int_eq(decode(n, PST_READER_CLIENT, &f), n);
	ck_assert(f.reply);
	ck_assert_uint_eq(f.type, PST_WIRE_PING);
	ck_assert_uint_eq(f.status, PST_WIRE_EIO);
}
END_TEST

START_TEST(an_incomplete_frame_asks_for_more_at_every_length)
{
	struct pst_frame f;
	int64_t n = make(PST_WIRE_PING, false, 0, "0123456789", 10);
	int64_t i;

	for (i = 0; i < n; i++)
		ck_assert_int_eq(decode(i, PST_READER_AGENT, &f), 0);
	ck_assert_int_eq(decode(n, PST_READER_AGENT, &f), n);
	/* Bytes of the next frame behind it change nothing. */
	ck_assert_int_eq(decode(n + 5, PST_READER_AGENT, &f), n);
}
END_TEST

START_TEST(encoding_refuses_what_does_not_fit)
{
	struct pst_frame f = {
		.type = PST_WIRE_PING, .payload = zeros, .length = 10};

	ck_assert_int_eq(pst_frame_encode(&f, buf, 41), -EMSGSIZE);
	ck_assert_int_eq(pst_frame_encode(&f, buf, 31), -EMSGSIZE);
	ck_assert_int_eq(pst_frame_encode(&f, buf, 42), 42);
	f.length = PST_WIRE_MAX_PAYLOAD + 1;
	ck_assert_int_eq(pst_frame_encode(&f, buf, SIZE_MAX), -EMSGSIZE);
	f.length = 0;
	f.payload = NULL;
	ck_assert_int_eq(pst_frame_encode(&f, buf, 32), 32);
}
END_TEST

START_TEST(magic_reserved_fields_and_length_are_checked)
{
	struct pst_frame f = {.seq = 5};
	int64_t n = make(PST_WIRE_BYE, false, 0, NULL, 0);

	header()->magic ^= 1;
	ck_assert_int_eq(decode(n, PST_READER_AGENT, &f), -EPROTO);
	make(PST_WIRE_BYE, false, 0, NULL, 0);
	header()->reserved0 = 1;
	ck_assert_int_eq(decode(n, PST_READER_AGENT, &f), -EPROTO);
	make(PST_WIRE_BYE, false, 0, NULL, 0);
	header()->reserved1 = 1ULL << 63;
	ck_assert_int_eq(decode(n, PST_READER_AGENT, &f), -EPROTO);
	make(PST_WIRE_BYE, false, 0, NULL, 0);
	header()->length = PST_WIRE_MAX_PAYLOAD + 1;
	ck_assert_int_eq(decode(n, PST_READER_AGENT, &f), -EMSGSIZE);
	header()->length = UINT32_MAX;
	ck_assert_int_eq(decode(n, PST_READER_AGENT, &f), -EMSGSIZE);
	ck_assert_str_ne(err.text, "");
	/* Nothing was written on failure. */
	ck_assert_uint_eq(f.seq, 5);
}
END_TEST

/* Which types may come to whom, as request and as reply. */
static const struct {
	uint16_t type;
	bool agent, client, client_reply;
	uint32_t request, reply; /* smallest payload */
} rules[] = {
	{PST_WIRE_CHALLENGE, false, true, false, 24, 0},
	{PST_WIRE_HELLO, true, false, true, 80, 384},
	{PST_WIRE_PING, true, false, true, 0, 0},
	{PST_WIRE_INFO, true, false, true, 0, 2},
	{PST_WIRE_HEALTH, true, false, true, 0, 2},
	{PST_WIRE_STATS, true, false, true, 0, 2},
	{PST_WIRE_LEASE, true, false, true, 16, 16},
	{PST_WIRE_RELEASE, true, false, true, 16, 0},
	{PST_WIRE_CANCEL, true, false, true, 8, 0},
	{PST_WIRE_WAKE, true, true, false, 0, 0},
	{PST_WIRE_BYE, true, false, true, 0, 0},
	{PST_WIRE_ERROR, false, true, false, 0, 0},
	{PST_WIRE_FAILURE, true, false, true, 8, 0},
	{PST_WIRE_TENSOR_CREATE, true, false, true, 16, 16},
	{PST_WIRE_TENSOR_DESTROY, true, false, true, 16, 0},
	{PST_WIRE_TENSOR_LIST, true, false, true, 16, 0},
	{PST_WIRE_LANES, true, false, true, 40, 40},
};

START_TEST(each_end_gets_only_the_frames_meant_for_it)
{
	uint32_t status = rules[_i].type == PST_WIRE_ERROR ? PST_WIRE_EIO : 0;
	struct pst_frame f;
	int64_t n;

	n = make(rules[_i].type, false, status, zeros, rules[_i].request);
	ck_assert_int_eq(decode(n, PST_READER_AGENT, &f),
			 rules[_i].agent ? n : -EPROTO);
	ck_assert_int_eq(decode(n, PST_READER_CLIENT, &f),
			 rules[_i].client ? n : -EPROTO);
	n = make(rules[_i].type, true, 0, zeros, rules[_i].reply);
	ck_assert_int_eq(decode(n, PST_READER_AGENT, &f), -EPROTO);
	ck_assert_int_eq(decode(n, PST_READER_CLIENT, &f),
			 rules[_i].client_reply ? n : -EPROTO);
}
END_TEST

START_TEST(a_payload_of_the_wrong_size_is_refused)
{
	uint32_t status = rules[_i].type == PST_WIRE_ERROR ? PST_WIRE_EIO : 0;
	enum pst_frame_reader reader =
		rules[_i].agent ? PST_READER_AGENT : PST_READER_CLIENT;
	struct pst_frame f;
	int64_t n;

	if (rules[_i].request > 0) {
		n = make(rules[_i].type, false, status, zeros,
			 rules[_i].request - 1);
		ck_assert_int_eq(decode(n, reader, &f), -EPROTO);
	}
	if (rules[_i].type != PST_WIRE_ERROR) {
		uint32_t more = rules[_i].type == PST_WIRE_PING
					? 4097
					: rules[_i].request + 1;

		n = make(rules[_i].type, false, status, zeros, more);
		ck_assert_int_eq(decode(n, reader, &f), -EPROTO);
	}
	if (rules[_i].reply > 0) {
		n = make(rules[_i].type, true, 0, zeros, rules[_i].reply - 1);
		ck_assert_int_eq(decode(n, PST_READER_CLIENT, &f), -EPROTO);
	}
}
END_TEST

START_TEST(unknown_types_are_refused)
{
	struct pst_frame f;
	uint32_t type;

	for (type = 0; type < 0x8000; type++) {
		int64_t n = make((uint16_t)type, false, 0, NULL, 0);

		if (type >= 1 && type < PST_WIRE_N_TYPES)
			continue;
		ck_assert_int_eq(decode(n, PST_READER_AGENT, &f), -EPROTO);
		ck_assert_int_eq(decode(n, PST_READER_CLIENT, &f), -EPROTO);
		header()->type |= PST_WIRE_REPLY;
		ck_assert_int_eq(decode(n, PST_READER_CLIENT, &f), -EPROTO);
	}
	ck_assert_str_eq(pst_frame_name(PST_WIRE_HELLO), "HELLO");
	ck_assert_str_eq(pst_frame_name(0), "?");
	ck_assert_str_eq(pst_frame_name(0xffff), "?");
}
END_TEST

START_TEST(only_replies_and_errors_carry_a_status)
{
	struct pst_frame f;
	int64_t n;

	n = make(PST_WIRE_WAKE, false, PST_WIRE_EIO, NULL, 0);
	ck_assert_int_eq(decode(n, PST_READER_AGENT, &f), -EPROTO);
	n = make(PST_WIRE_ERROR, false, PST_WIRE_OK, NULL, 0);
	ck_assert_int_eq(decode(n, PST_READER_CLIENT, &f), -EPROTO);
	/* A refusal carries a sentence instead of the payload. */
	n = make(PST_WIRE_LEASE, true, PST_WIRE_ENOSPC, "full", 4);
	ck_assert_int_eq(decode(n, PST_READER_CLIENT, &f), n);
}
END_TEST

START_TEST(another_version_is_refused_except_where_versions_are_negotiated)
{
	static const uint16_t agent[] = {PST_WIRE_PING, PST_WIRE_WAKE,
					 PST_WIRE_BYE};
	struct pst_frame f;
	int64_t n;
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(agent); i++) {
		n = make(agent[i], false, 0, NULL, 0);
		header()->version = 2;
		ck_assert_int_eq(decode(n, PST_READER_AGENT, &f),
				 -EPROTONOSUPPORT);
		ck_assert_ptr_nonnull(strstr(err.text, "version 2"));
	}
	n = make(PST_WIRE_HELLO, false, 0, zeros, 80);
	header()->version = 0;
	ck_assert_int_eq(decode(n, PST_READER_AGENT, &f), -EPROTONOSUPPORT);
	/* A later HELLO may be longer and may use our reserved fields. */
	n = make(PST_WIRE_HELLO, false, 0, zeros, 200);
	header()->version = 9;
	header()->reserved0 = 3;
	ck_assert_int_eq(decode(n, PST_READER_AGENT, &f), n);
	n = make(PST_WIRE_HELLO, false, 0, zeros, 79);
	header()->version = 9;
	ck_assert_int_eq(decode(n, PST_READER_AGENT, &f), -EPROTO);
	n = make(PST_WIRE_CHALLENGE, false, 0, zeros, 64);
	header()->version = 2;
	ck_assert_int_eq(decode(n, PST_READER_CLIENT, &f), n);
	n = make(PST_WIRE_ERROR, false, PST_WIRE_EVERSION, "old", 3);
	header()->version = 2;
	ck_assert_int_eq(decode(n, PST_READER_CLIENT, &f), n);
	n = make(PST_WIRE_HELLO, true, PST_WIRE_EVERSION, "old", 3);
	header()->version = 2;
	ck_assert_int_eq(decode(n, PST_READER_CLIENT, &f), n);
	n = make(PST_WIRE_HELLO, true, PST_WIRE_OK, zeros, 384);
	header()->version = 2;
	ck_assert_int_eq(decode(n, PST_READER_CLIENT, &f), -EPROTONOSUPPORT);
}
END_TEST

static struct pst_frame frame_of(uint16_t type, bool reply, const void *p,
				 size_t n)
{
	return (struct pst_frame){.type = type,
				  .reply = reply,
				  .payload = p,
				  .length = (uint32_t)n};
}

START_TEST(a_challenge_is_checked_if_it_offers_our_version)
{
	struct pst_wire_challenge good = {.epoch = 7,
					  .nonce_slot = 15,
					  .version_min = 1,
					  .version_max = 3,
					  .has_region_fd = 1};
	struct pst_wire_challenge c = good, ret;
	struct pst_frame f = frame_of(PST_WIRE_CHALLENGE, false, &c, sizeof(c));

	ck_assert_int_eq(pst_frame_challenge(&f, &ret, &err), 0);
	ck_assert_mem_eq(&ret, &good, sizeof(ret));
	c.nonce_slot = 16;
	ck_assert_int_eq(pst_frame_challenge(&f, &ret, &err), -EPROTO);
	c = good;
	c.has_region_fd = 2;
	ck_assert_int_eq(pst_frame_challenge(&f, &ret, &err), -EPROTO);
	c = good;
	c.epoch = 0;
	ck_assert_int_eq(pst_frame_challenge(&f, &ret, &err), -EPROTO);
	c = good;
	c.version_min = 4;
	ck_assert_int_eq(pst_frame_challenge(&f, &ret, &err), -EPROTO);
	c.version_max = 5;
	c.nonce_slot = 1000;
	ck_assert_int_eq(pst_frame_challenge(&f, &ret, &err), 0);
	ck_assert_uint_eq(ret.version_min, 4);
	c.version_min = 0;
	ck_assert_int_eq(pst_frame_challenge(&f, &ret, &err), -EPROTO);
}
END_TEST

START_TEST(a_hello_is_checked_if_it_is_of_our_version)
{
	struct pst_wire_hello good = {.version = 1,
				      .features = 0xffff,
				      .nonce_slot = 3,
				      .flags = PST_WIRE_HELLO_CONTROL_ONLY,
				      .name = "numpy 1.24"};
	struct pst_wire_hello h = good, ret;
	struct pst_frame f = frame_of(PST_WIRE_HELLO, false, &h, sizeof(h));

	ck_assert_int_eq(pst_frame_hello(&f, &ret, &err), 0);
	ck_assert_mem_eq(&ret, &good, sizeof(ret));
	h.nonce_slot = 16;
	ck_assert_int_eq(pst_frame_hello(&f, &ret, &err), -EPROTO);
	h = good;
	h.flags = 2;
	ck_assert_int_eq(pst_frame_hello(&f, &ret, &err), -EPROTO);
	h = good;
	h.reserved0 = 1;
	ck_assert_int_eq(pst_frame_hello(&f, &ret, &err), -EPROTO);
	h = good;
	h.version = 0;
	ck_assert_int_eq(pst_frame_hello(&f, &ret, &err), -EPROTO);
	h.version = 2;
	h.flags = 0xff;
	ck_assert_int_eq(pst_frame_hello(&f, &ret, &err), 0);
	ck_assert_uint_eq(ret.version, 2);
}
END_TEST

START_TEST(a_name_is_terminated_printable_and_padded_with_zeros)
{
	struct pst_wire_hello h = {.version = 1}, ret;
	struct pst_frame f = frame_of(PST_WIRE_HELLO, false, &h, sizeof(h));

	ck_assert_int_eq(pst_frame_hello(&f, &ret, &err), 0);
	memset(h.name, 'x', sizeof(h.name));
	ck_assert_int_eq(pst_frame_hello(&f, &ret, &err), -EPROTO);
	h.name[31] = '\0';
	ck_assert_int_eq(pst_frame_hello(&f, &ret, &err), 0);
	h.name[4] = '\033';
	ck_assert_int_eq(pst_frame_hello(&f, &ret, &err), -EPROTO);
	h.name[4] = '\x9b';
	ck_assert_int_eq(pst_frame_hello(&f, &ret, &err), -EPROTO);
	h.name[4] = '\x7f';
	ck_assert_int_eq(pst_frame_hello(&f, &ret, &err), -EPROTO);
	h.name[4] = '\0'; /* 'x' behind the end */
	ck_assert_int_eq(pst_frame_hello(&f, &ret, &err), -EPROTO);
}
END_TEST

static const struct pst_wire_welcome welcome = {
	.version = 1,
	.epoch = 1,
	.session = 1,
	.lane = 30,
	.n_slots = PST_WIRE_SLOTS,
	.arena_off = PST_WIRE_CTL_SIZE,
	.arena_size = 4ULL * PST_WIRE_UNIT,
	.file_size = 6ULL * PST_WIRE_UNIT,
	.limits = {.max_dim = 1, .max_elems = 1, .max_lease = 1},
	.heartbeat_ms = 100,
	.agent_version = "1.0.0",
	.provider = "ivshmem",
	.backend = "cpu: OpenBLAS",
};

static int check_welcome(const struct pst_wire_welcome *w)
{
	struct pst_frame f = frame_of(PST_WIRE_HELLO, true, w, sizeof(*w));
	struct pst_wire_welcome ret;

	return pst_frame_welcome(&f, &ret, &err);
}

#define CHANGED(field, value)                                                  \
	do {                                                                   \
		struct pst_wire_welcome w = welcome;                           \
                                                                               \
		w.field = (value);                                             \
		ck_assert_int_eq(check_welcome(&w), -EPROTO);                  \
	} while (0)

START_TEST(every_field_of_a_welcome_is_checked)
{
	struct pst_wire_welcome none = welcome;

	ck_assert_int_eq(check_welcome(&welcome), 0);
	none.lane = UINT32_MAX;
	ck_assert_int_eq(check_welcome(&none), 0);
	CHANGED(version, 2);
	CHANGED(features, 1U << 31);
	CHANGED(epoch, 0);
	CHANGED(session, 0);
	CHANGED(lane, 31);
	CHANGED(n_slots, 128);
	CHANGED(arena_off, 0);
	CHANGED(arena_off, UINT64_MAX);
	CHANGED(arena_size, 0);
	CHANGED(arena_size, PST_WIRE_UNIT + 1);
	CHANGED(arena_size, 5ULL * PST_WIRE_UNIT);
	CHANGED(arena_size, -(uint64_t)PST_WIRE_UNIT);
	CHANGED(file_size, PST_WIRE_MAX_FILE * 2);
	CHANGED(file_size, 6ULL * PST_WIRE_UNIT - 1);
	CHANGED(file_size, 2ULL * PST_WIRE_UNIT);
	CHANGED(emulated, 2);
	CHANGED(limits.max_dim, 0);
	CHANGED(limits.max_lease, 0);
	CHANGED(limits.reserved0[23], 1);
	CHANGED(agent_version[0], '\n');
	CHANGED(provider[15], 'x');
	CHANGED(backend[63], 'x');
	CHANGED(driver[1], 'x');
	CHANGED(cuda[0], '\x80');
	CHANGED(cublas[31], 'x');
}
END_TEST

START_TEST(offsets_and_sizes_of_leases_are_whole_units)
{
	struct pst_wire_lease l = {.size = 12345}, ret;
	struct pst_frame f = frame_of(PST_WIRE_LEASE, false, &l, sizeof(l));

	ck_assert_int_eq(pst_frame_lease(&f, &ret, &err), 0);
	l.off = PST_WIRE_UNIT;
	ck_assert_int_eq(pst_frame_lease(&f, &ret, &err), -EPROTO);
	f.reply = true;
	l.off = PST_WIRE_CTL_SIZE;
	ck_assert_int_eq(pst_frame_lease(&f, &ret, &err), -EPROTO);
	l.size = PST_WIRE_UNIT;
	ck_assert_int_eq(pst_frame_lease(&f, &ret, &err), 0);
	l.off = 0;
	ck_assert_int_eq(pst_frame_lease(&f, &ret, &err), -EPROTO);
	l.off = PST_WIRE_CTL_SIZE + 4096;
	ck_assert_int_eq(pst_frame_lease(&f, &ret, &err), -EPROTO);
	l.off = -(uint64_t)PST_WIRE_UNIT;
	l.size = 2ULL * PST_WIRE_UNIT;
	ck_assert_int_eq(pst_frame_lease(&f, &ret, &err), -EPROTO);
	l.off = PST_WIRE_CTL_SIZE;
	l.size = -(uint64_t)PST_WIRE_UNIT;
	ck_assert_int_eq(pst_frame_lease(&f, &ret, &err), -EPROTO);
	f = frame_of(PST_WIRE_RELEASE, false, &l, sizeof(l));
	l.size = 0;
	ck_assert_int_eq(pst_frame_lease(&f, &ret, &err), -EPROTO);
	l.size = PST_WIRE_UNIT;
	ck_assert_int_eq(pst_frame_lease(&f, &ret, &err), 0);
}
END_TEST

START_TEST(a_cancel_names_its_tag)
{
	struct pst_wire_cancel c = {.tag = UINT64_MAX - 3}, ret;
	struct pst_frame f = frame_of(PST_WIRE_CANCEL, false, &c, sizeof(c));

	ck_assert_int_eq(pst_frame_cancel(&f, &ret, &err), 0);
	ck_assert_uint_eq(ret.tag, UINT64_MAX - 3);
}
END_TEST

START_TEST(a_tensor_has_the_fields_that_its_frame_means)
{
	struct pst_wire_tensor t = {.size = 5}, ret = {0};
	struct pst_frame f =
		frame_of(PST_WIRE_TENSOR_CREATE, false, &t, sizeof(t));

	ck_assert_int_eq(pst_frame_tensor(&f, &ret, &err), 0);
	ck_assert_uint_eq(ret.size, 5);
	f.reply = true;
	ck_assert_int_eq(pst_frame_tensor(&f, &ret, &err), -EPROTO);
	t.handle = 1ULL << 32 | 1;
	ck_assert_int_eq(pst_frame_tensor(&f, &ret, &err), 0);
	ck_assert_uint_eq(ret.handle, t.handle);
	f.reply = false;
	ck_assert_int_eq(pst_frame_tensor(&f, &ret, &err), -EPROTO);
	f = frame_of(PST_WIRE_TENSOR_DESTROY, false, &t, sizeof(t));
	ck_assert_int_eq(pst_frame_tensor(&f, &ret, &err), -EPROTO);
	t.size = 0;
	ck_assert_int_eq(pst_frame_tensor(&f, &ret, &err), 0);
	f = frame_of(PST_WIRE_TENSOR_CREATE, true, &t, sizeof(t));
	ck_assert_int_eq(pst_frame_tensor(&f, &ret, &err), -EPROTO);
}
END_TEST

START_TEST(a_list_of_tensors_grows_from_the_handle_asked_for)
{
	static struct pst_wire_tensor ret[PST_WIRE_LIST_MAX];
	struct pst_wire_tensor t[] = {{8, 1}, {9, 1}, {12, 7}};
	struct pst_frame f = frame_of(PST_WIRE_TENSOR_LIST, true, t, sizeof(t));

	ck_assert_int_eq(pst_frame_tensor_list(&f, 7, ret, &err), 3);
	ck_assert_uint_eq(ret[2].size, 7);
	ck_assert_int_eq(pst_frame_tensor_list(&f, 8, ret, &err), -EPROTO);
	t[1].handle = 8;
	ck_assert_int_eq(pst_frame_tensor_list(&f, 7, ret, &err), -EPROTO);
	t[1] = (struct pst_wire_tensor){9, 0};
	ck_assert_int_eq(pst_frame_tensor_list(&f, 7, ret, &err), -EPROTO);
	f.length = 17;
	ck_assert_int_eq(pst_frame_tensor_list(&f, 7, ret, &err), -EPROTO);
	f.length = 0;
	ck_assert_int_eq(pst_frame_tensor_list(&f, 7, ret, &err), 0);
}
END_TEST

START_TEST(a_list_of_lanes_names_each_once_and_nothing_behind)
{
	const struct pst_wire_lanes good = {.n = 2, .lane = {30, 0}};
	struct pst_wire_lanes l = good, ret;
	struct pst_frame f = frame_of(PST_WIRE_LANES, true, &l, sizeof(l));

	ck_assert_int_eq(pst_frame_lanes(&f, &ret, &err), 0);
	ck_assert_mem_eq(&ret, &good, sizeof(ret));
	l.lane[1] = 30;
	ck_assert_int_eq(pst_frame_lanes(&f, &ret, &err), -EPROTO);
	l.lane[1] = PST_WIRE_MAX_LANES;
	ck_assert_int_eq(pst_frame_lanes(&f, &ret, &err), -EPROTO);
	l = good, l.lane[2] = 1;
	ck_assert_int_eq(pst_frame_lanes(&f, &ret, &err), -EPROTO);
	l = good, l.reserved0 = 1;
	ck_assert_int_eq(pst_frame_lanes(&f, &ret, &err), -EPROTO);
	l = good, l.n = 0;
	ck_assert_int_eq(pst_frame_lanes(&f, &ret, &err), -EPROTO);
	for (l.n = 0; l.n < PST_WIRE_SESSION_LANES; l.n++)
		l.lane[l.n] = l.n;
	ck_assert_int_eq(pst_frame_lanes(&f, &ret, &err), 0);
	l.n++;
	ck_assert_int_eq(pst_frame_lanes(&f, &ret, &err), -EPROTO);
	/* The agent is asked for a number, whatever it is, and for no list. */
	f.reply = false;
	ck_assert_int_eq(pst_frame_lanes(&f, &ret, &err), -EPROTO);
	l = (struct pst_wire_lanes){.n = UINT32_MAX};
	ck_assert_int_eq(pst_frame_lanes(&f, &ret, &err), 0);
	f.length--;
	ck_assert_int_eq(pst_frame_lanes(&f, &ret, &err), -EPROTO);
}
END_TEST

START_TEST(text_is_cut_to_fit_and_made_printable)
{
	struct pst_frame f = frame_of(PST_WIRE_FAILURE, true, "a\033b\0cd", 6);
	char text[8], tiny[3];

	ck_assert_uint_eq(pst_frame_text(&f, text, sizeof(text)), 6);
	ck_assert_str_eq(text, "a?b?cd");
	ck_assert_uint_eq(pst_frame_text(&f, tiny, sizeof(tiny)), 2);
	ck_assert_str_eq(tiny, "a?");
	ck_assert_uint_eq(pst_frame_text(&f, tiny, 0), 0);
}
END_TEST

START_TEST(a_payload_too_short_for_its_reader_is_refused)
{
	union {
		struct pst_wire_challenge challenge;
		struct pst_wire_hello hello;
		struct pst_wire_welcome welcome;
		struct pst_wire_lease lease;
		struct pst_wire_cancel cancel;
		struct pst_wire_tensor tensor;
	} ret;
	/* A refusal taken for a reply, as long as its sentence. */
	struct pst_frame f = frame_of(PST_WIRE_HELLO, true, "no", 2);

	ck_assert_int_eq(pst_frame_challenge(&f, &ret.challenge, &err),
			 -EPROTO);
	ck_assert_int_eq(pst_frame_hello(&f, &ret.hello, &err), -EPROTO);
	ck_assert_int_eq(pst_frame_welcome(&f, &ret.welcome, &err), -EPROTO);
	ck_assert_int_eq(pst_frame_lease(&f, &ret.lease, &err), -EPROTO);
	ck_assert_int_eq(pst_frame_tensor(&f, &ret.tensor, &err), -EPROTO);
	f = frame_of(PST_WIRE_CANCEL, true, NULL, 0);
	ck_assert_int_eq(pst_frame_cancel(&f, &ret.cancel, &err), -EPROTO);
}
END_TEST

static void refused(uint32_t status, const char *payload, size_t n, int code,
		    const char *text)
{
	struct pst_frame f = frame_of(PST_WIRE_LEASE, true, payload, n);

	f.status = status;
	memset(&err, 0, sizeof(err));
	ck_assert_int_eq(pst_frame_failure(&f, &err), code);
	ck_assert_int_eq(err.code, code);
	ck_assert_str_eq(err.text, text);
}

START_TEST(a_refusal_becomes_an_error_with_the_peers_sentence)
{
	static char lots[PST_WIRE_MAX_PAYLOAD];
	struct pst_frame f = frame_of(PST_WIRE_LEASE, true, lots, sizeof(lots));

	f.status = PST_WIRE_OK;
	ck_assert_int_eq(pst_frame_failure(&f, &err), 0);
	refused(PST_WIRE_ENOSPC, "arena full: 100% (%s%n)", 23, -ENOSPC,
		"arena full: 100% (%s%n)");
	refused(PST_WIRE_EINVAL, "a\033[31mb\0c\n", 10, -EINVAL, "a?[31mb?c?");
	refused(PST_WIRE_EINVAL, "\xc3\xa9t\xc2\x9b", 5, -EINVAL, "?t?");
	refused(PST_WIRE_EBUSY, "", 0, -EBUSY, pst_errno_text(-EBUSY));
	refused(12345, "new", 3, -EPROTO, "new");
	memset(lots, 'x', sizeof(lots));
	f.status = PST_WIRE_EIO;
	ck_assert_int_eq(pst_frame_failure(&f, &err), -EIO);
	ck_assert_uint_eq(strlen(err.text), sizeof(err.text) - 1);
	ck_assert_int_eq(pst_frame_failure(&f, NULL), -EIO);
}
END_TEST

static void add(TCase *t)
{
	const int n_rules = (int)PST_ARRAY_SIZE(rules);

	tcase_add_test(t, a_frame_decodes_to_what_was_encoded);
	tcase_add_test(t, an_incomplete_frame_asks_for_more_at_every_length);
	tcase_add_test(t, encoding_refuses_what_does_not_fit);
	tcase_add_test(t, magic_reserved_fields_and_length_are_checked);
	tcase_add_loop_test(t, each_end_gets_only_the_frames_meant_for_it, 0,
			    n_rules);
	tcase_add_loop_test(t, a_payload_of_the_wrong_size_is_refused, 0,
			    n_rules);
	tcase_add_test(t, unknown_types_are_refused);
	tcase_add_test(t, only_replies_and_errors_carry_a_status);
	tcase_add_test(
		t,
		another_version_is_refused_except_where_versions_are_negotiated);
	tcase_add_test(t, a_challenge_is_checked_if_it_offers_our_version);
	tcase_add_test(t, a_hello_is_checked_if_it_is_of_our_version);
	tcase_add_test(t, a_name_is_terminated_printable_and_padded_with_zeros);
	tcase_add_test(t, every_field_of_a_welcome_is_checked);
	tcase_add_test(t, offsets_and_sizes_of_leases_are_whole_units);
	tcase_add_test(t, a_cancel_names_its_tag);
	tcase_add_test(t, a_tensor_has_the_fields_that_its_frame_means);
	tcase_add_test(t, a_list_of_tensors_grows_from_the_handle_asked_for);
	tcase_add_test(t, a_list_of_lanes_names_each_once_and_nothing_behind);
	tcase_add_test(t, text_is_cut_to_fit_and_made_printable);
	tcase_add_test(t, a_payload_too_short_for_its_reader_is_refused);
	tcase_add_test(t, a_refusal_becomes_an_error_with_the_peers_sentence);
}

int main(void)
{
	return pst_unit_run("frame", add, 10);
}
