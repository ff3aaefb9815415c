/* SPDX-License-Identifier: MIT */
/* Models through sessions without sockets: who may load, use and end them, and
 * what bad input of each kind is answered with. */
#include "guest-agent/model/model.h"
#include "guest-agent/model/safetensors.h"
#include "tests/fixtures/agent_fixture.h"
#include "tests/fixtures/st_file.h"
#include "tests/fixtures/unit.h"
#include "transport/base/util.h"

/* A model of 4 to 2 elements, and where its header is put. */
#define LAYERS "[{\"type\":\"linear\",\"weight\":\"w\"},{\"type\":\"relu\"}]"
#define WEIGHT                                                                 \
	"\"w\":{\"dtype\":\"F32\",\"shape\":[2,4],\"data_offsets\":[0,32]}"
#define DATA 32U

static uint8_t *base;
static struct fixture fix;
static struct fixture_peer peer[2];
static struct pst_lane_client lane[2];
static uint64_t extent[2];
static struct pst_frame reply;
static struct pst_wire_model model; /* of the last good reply */
static uint64_t now_ns;

static void open_session(unsigned int i, uint32_t flags)
{
	const struct pst_wire_lease l = {.size = PST_WIRE_UNIT};
	struct pst_wire_welcome w;
	struct pst_wire_lease got;
	struct pst_frame f;

	ck_assert_int_eq(fixture_connect(&fix, &peer[i], now_ns), 0);
	fixture_hello(&fix, &peer[i], flags, now_ns);
	ck_assert_int_gt(fixture_recv(&peer[i], &f), 0);
	ck_assert_int_eq(pst_frame_welcome(&f, &w, NULL), 0);
	if (w.lane == UINT32_MAX)
		return;
	pst_lane_client_init(&lane[i], pst_region_lane(base, w.lane),
			     &pst_region_header(&fix.agent.region)->agent_wake);
	fixture_feed(&peer[i], PST_WIRE_LEASE, 1, &l, sizeof(l), now_ns);
	ck_assert_int_gt(fixture_recv(&peer[i], &f), 0);
	ck_assert_int_eq(pst_frame_lease(&f, &got, NULL), 0);
	extent[i] = got.off;
}

static void setup(void)
{
	now_ns = PST_NS_PER_S;
	base = aligned_alloc(4096, PST_WIRE_CTL_SIZE + FIXTURE_ARENA);
	ck_assert_ptr_nonnull(base);
	ck_assert_int_eq(fixture_init(&fix, base), 0);
	open_session(0, 0);
}

static void teardown(void)
{
	pst_agent_session_free(peer[0].session);
	pst_agent_session_free(peer[1].session);
	pst_agent_done(&fix.agent);
	ck_assert_uint_eq(fix.backend.n_mem, 0);
	ck_assert_uint_eq(fix.backend.n_models, 0);
	free(base);
}

/* Asks, and takes the reply's status. */
static uint32_t ask(unsigned int i, uint16_t type, const void *payload,
		    uint32_t n)
{
	/* No model waits for its turn. */
	now_ns += 10 * PST_NS_PER_S;
	fixture_feed(&peer[i], type, 5, payload, n, now_ns);
	ck_assert_int_gt(fixture_recv(&peer[i], &reply), 0);
	if (reply.reply && reply.status == PST_WIRE_OK &&
	    (type == PST_WIRE_MODEL_LOAD || type == PST_WIRE_MODEL_OPEN))
		ck_assert_int_eq(pst_frame_model(&reply, &model, NULL), 0);
	return reply.status;
}

/* Whether the refusal's sentence has these words. */
static void expect_words(const char *words)
{
	struct pst_error err;

	ck_assert_int_lt(pst_frame_failure(&reply, &err), 0);
	ck_assert_msg(strstr(err.text, words), "\"%s\" lacks \"%s\"", err.text,
		      words);
}

static uint64_t new_tensor(unsigned int i, uint64_t size)
{
	const struct pst_wire_tensor t = {.size = size};
	struct pst_wire_tensor got;

	ck_assert_uint_eq(ask(i, PST_WIRE_TENSOR_CREATE, &t, sizeof(t)),
			  PST_WIRE_OK);
	ck_assert_int_eq(pst_frame_tensor(&reply, &got, NULL), 0);
	return got.handle;
}

static struct pst_wire_model_load request(unsigned int i, const char *name,
					  uint64_t tensor)
{
	struct pst_wire_model_load l = {
		.header_off = extent[i],
		.header_size = st_model(base + extent[i], PST_WIRE_UNIT, LAYERS,
					WEIGHT),
		.data = tensor,
	};

	strcpy(l.name, name);
	return l;
}

static uint32_t load(unsigned int i, const char *name)
{
	const struct pst_wire_model_load l =
		request(i, name, new_tensor(i, DATA));

	return ask(i, PST_WIRE_MODEL_LOAD, &l, sizeof(l));
}

static uint32_t by_name(unsigned int i, uint16_t type, const char *name)
{
	struct pst_wire_model m = {0};

	strcpy(m.name, name);
	return ask(i, type, &m, sizeof(m));
}

static void infer(unsigned int i, uint64_t tag, uint64_t handle, uint32_t rows)
{
	const struct pst_wire_sqe sqe = {
		.op = PST_WIRE_OP_INFER,
		.tag = tag,
		.dtype = PST_WIRE_F32,
		.dtype_c = PST_WIRE_F32,
		.m = rows,
		.k = 4,
		.n = 2,
		.lda = 4,
		.ldc = 2,
		.off_a = extent[i],
		.off_b = handle,
		.off_c = extent[i] + (1U << 20),
	};

	ck_assert_int_eq(pst_lane_client_submit(&lane[i], &sqe), 0);
}

static void run(unsigned int n)
{
	while (n-- > 0 && pst_agent_executor_run(fix.agent.executor))
		;
	pst_agent_settle_late(&fix.agent);
}

static void expect_done(unsigned int i, uint64_t tag, uint32_t status)
{
	struct pst_wire_cqe cqe;

	ck_assert_int_eq(pst_lane_client_reap(&lane[i], &cqe), 1);
	ck_assert_uint_eq(cqe.tag, tag);
	ck_assert_uint_eq(cqe.status, status);
}

START_TEST(a_model_is_loaded_opened_listed_and_unloaded)
{
	struct pst_wire_model first;

	open_session(1, PST_WIRE_HELLO_CONTROL_ONLY);
	ck_assert_uint_eq(load(0, "digits-1.0_a"), PST_WIRE_OK);
	first = model;
	ck_assert_str_eq(first.name, "digits-1.0_a");
	ck_assert_uint_eq(first.n_in, 4);
	ck_assert_uint_eq(first.n_out, 2);
	ck_assert_uint_eq(first.n_layers, 2);
	ck_assert_uint_eq(first.size, DATA);
	ck_assert_uint_eq(first.dtype, PST_WIRE_F32);
	ck_assert_uint_eq(first.max_batch, PST_AGENT_MODEL_MAX_BATCH);
	/* Another session sees the same. */
	ck_assert_uint_eq(by_name(1, PST_WIRE_MODEL_OPEN, "digits-1.0_a"),
			  PST_WIRE_OK);
	ck_assert_mem_eq(&first, &model, sizeof(model));
	ck_assert_uint_eq(ask(1, PST_WIRE_MODEL_LIST, NULL, 0), PST_WIRE_OK);
	ck_assert_uint_eq(reply.payload[0], '{');
	ck_assert_ptr_nonnull(
		memmem(reply.payload, reply.length, "digits-1.0_a", 12));
	/* And may end it. */
	ck_assert_uint_eq(by_name(1, PST_WIRE_MODEL_UNLOAD, "digits-1.0_a"),
			  PST_WIRE_OK);
	ck_assert_uint_eq(fix.backend.n_models, 0);
	ck_assert_uint_eq(fix.backend.n_mem, 0);
	ck_assert_uint_eq(by_name(0, PST_WIRE_MODEL_OPEN, "digits-1.0_a"),
			  PST_WIRE_ENOENT);
	ck_assert_uint_eq(by_name(0, PST_WIRE_MODEL_UNLOAD, "digits-1.0_a"),
			  PST_WIRE_ENOENT);
	expect_words("digits-1.0_a");
}
END_TEST

START_TEST(a_loaded_models_tensor_is_the_sessions_no_more)
{
	struct pst_wire_model_load l = request(0, "m", new_tensor(0, DATA));
	const struct pst_wire_tensor t = {.handle = l.data};

	ck_assert_uint_eq(ask(0, PST_WIRE_MODEL_LOAD, &l, sizeof(l)),
			  PST_WIRE_OK);
	ck_assert_uint_eq(ask(0, PST_WIRE_TENSOR_DESTROY, &t, sizeof(t)),
			  PST_WIRE_ENOENT);
	strcpy(l.name, "n");
	ck_assert_uint_eq(ask(0, PST_WIRE_MODEL_LOAD, &l, sizeof(l)),
			  PST_WIRE_ENOENT);
	expect_words("no tensor");
	/* The model outlives its session. */
	pst_agent_session_end(peer[0].session);
	ck_assert_uint_eq(fix.backend.n_models, 1);
	open_session(1, 0);
	ck_assert_uint_eq(by_name(1, PST_WIRE_MODEL_OPEN, "m"), PST_WIRE_OK);
}
END_TEST

START_TEST(a_model_that_is_refused_leaves_the_tensor_to_the_session)
{
	struct pst_wire_model_load l = request(0, "m", new_tensor(0, DATA));
	const struct pst_wire_tensor t = {.handle = l.data};
	uint8_t *text = base + l.header_off + 8;

	/* A file whose JSON is broken. */
	text[0] = '[';
	ck_assert_uint_eq(ask(0, PST_WIRE_MODEL_LOAD, &l, sizeof(l)),
			  PST_WIRE_EINVAL);
	expect_words("begin with '{'");
	text[0] = '{';
	/* Cut short, in its header and in its length. */
	l.header_size--;
	ck_assert_uint_eq(ask(0, PST_WIRE_MODEL_LOAD, &l, sizeof(l)),
			  PST_WIRE_EINVAL);
	expect_words("cut short");
	l.header_size = 3;
	ck_assert_uint_eq(ask(0, PST_WIRE_MODEL_LOAD, &l, sizeof(l)),
			  PST_WIRE_EINVAL);
	l.header_size = 0;
	ck_assert_uint_eq(ask(0, PST_WIRE_MODEL_LOAD, &l, sizeof(l)),
			  PST_WIRE_EINVAL);
	l.header_size = PST_AGENT_SAFETENSORS_MAX_HEADER + 1;
	ck_assert_uint_eq(ask(0, PST_WIRE_MODEL_LOAD, &l, sizeof(l)),
			  PST_WIRE_ELIMIT);
	l.header_size = UINT64_MAX;
	ck_assert_uint_eq(ask(0, PST_WIRE_MODEL_LOAD, &l, sizeof(l)),
			  PST_WIRE_ELIMIT);
	/* A layer that does not fit, with its name. */
	l.header_size = st_model(base + l.header_off, PST_WIRE_UNIT,
				 "[{\"type\":\"linear\",\"weight\":\"w\"},"
				 "{\"type\":\"linear\",\"weight\":\"w\","
				 "\"name\":\"fc1\"}]",
				 WEIGHT);
	ck_assert_uint_eq(ask(0, PST_WIRE_MODEL_LOAD, &l, sizeof(l)),
			  PST_WIRE_EINVAL);
	expect_words("layer 1 (linear \"fc1\"): weight is 2 x 4, its input "
		     "has 2 elements");
	/* The backend's own refusal. */
	l = request(0, "m", l.data);
	fix.backend.model_error = -ENOMEM;
	ck_assert_uint_eq(ask(0, PST_WIRE_MODEL_LOAD, &l, sizeof(l)),
			  PST_WIRE_ENOMEM);
	fix.backend.model_error = 0;
	ck_assert_uint_eq(by_name(0, PST_WIRE_MODEL_OPEN, "m"),
			  PST_WIRE_ENOENT);
	/* All the while the tensor was there. */
	ck_assert_uint_eq(ask(0, PST_WIRE_TENSOR_DESTROY, &t, sizeof(t)),
			  PST_WIRE_OK);
	ck_assert_uint_eq(fix.backend.n_mem, 0);
}
END_TEST

/* Ticks until a reply is there; takes its number. */
static uint32_t wait_reply(unsigned int i)
{
	uint64_t due;
	int n;

	for (n = 0; n < 100; n++) {
		due = pst_agent_session_tick(peer[i].session, now_ns);
		if (fixture_recv(&peer[i], &reply) > 0)
			return reply.seq;
		ck_assert_uint_gt(due, now_ns);
		ck_assert_uint_lt(due, UINT64_MAX);
		now_ns = due;
	}
	ck_abort_msg("no reply");
}

START_TEST(models_that_come_at_once_are_loaded_one_by_one)
{
	struct pst_wire_model_load l = request(0, "m", new_tensor(0, DATA));
	uint64_t before;
	uint32_t i;

	open_session(1, 0);
	ck_assert_uint_eq(load(0, "first"), PST_WIRE_OK);
	/* Right behind it: this session's own, and another's, wait. */
	before = now_ns;
	fixture_feed(&peer[0], PST_WIRE_MODEL_LOAD, 6, &l, sizeof(l), now_ns);
	ck_assert_int_eq(fixture_recv(&peer[0], &reply), 0);
	l = request(1, "n", l.data);
	fixture_feed(&peer[1], PST_WIRE_MODEL_LOAD, 7, &l, sizeof(l), now_ns);
	ck_assert_int_eq(fixture_recv(&peer[1], &reply), 0);
	/* What comes behind it is answered meanwhile. */
	fixture_feed(&peer[0], PST_WIRE_PING, 8, NULL, 0, now_ns);
	ck_assert_int_gt(fixture_recv(&peer[0], &reply), 0);
	ck_assert_uint_eq(reply.seq, 8);
	/* The other session's turn comes first; it names none of its own
	 * tensors. */
	ck_assert_uint_eq(wait_reply(1), 7);
	ck_assert_uint_eq(reply.status, PST_WIRE_ENOENT);
	ck_assert_uint_gt(now_ns, before);
	ck_assert_uint_eq(wait_reply(0), 6);
	ck_assert_uint_eq(reply.status, PST_WIRE_OK);
	/* More than a few are refused. */
	for (i = 0; i < 9; i++)
		fixture_feed(&peer[0], PST_WIRE_MODEL_LOAD, 10 + i, &l,
			     sizeof(l), now_ns);
	ck_assert_int_gt(fixture_recv(&peer[0], &reply), 0);
	ck_assert_uint_eq(reply.seq, 18);
	ck_assert_uint_eq(reply.status, PST_WIRE_EBUSY);
	for (i = 0; i < 4; i++)
		ck_assert_uint_eq(wait_reply(0), 10 + i);
	/* With the session the rest goes. */
	pst_agent_session_end(peer[0].session);
	ck_assert_uint_eq(
		pst_agent_session_tick(peer[0].session, UINT64_MAX - 1),
		UINT64_MAX);
	ck_assert_int_eq(fixture_recv(&peer[0], &reply), 0);
}
END_TEST

START_TEST(data_of_another_size_than_the_headers_is_refused)
{
	struct pst_wire_model_load l = request(0, "m", new_tensor(0, DATA - 4));

	ck_assert_uint_eq(ask(0, PST_WIRE_MODEL_LOAD, &l, sizeof(l)),
			  PST_WIRE_EINVAL);
	expect_words("is the file cut short?");
	l = request(0, "m", new_tensor(0, DATA + 4));
	ck_assert_uint_eq(ask(0, PST_WIRE_MODEL_LOAD, &l, sizeof(l)),
			  PST_WIRE_EINVAL);
	expect_words("4 bytes at the end");
}
END_TEST

START_TEST(a_header_elsewhere_is_refused)
{
	struct pst_wire_model_load l = request(0, "m", new_tensor(0, DATA));
	const uint64_t offs[] = {
		0,
		PST_WIRE_CTL_SIZE - 8,
		extent[0] + PST_WIRE_UNIT - 8,
		extent[0] + PST_WIRE_UNIT,
		PST_WIRE_MAX_FILE,
	};
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(offs); i++) {
		l.header_off = offs[i];
		ck_assert_uint_eq(ask(0, PST_WIRE_MODEL_LOAD, &l, sizeof(l)),
				  PST_WIRE_EBOUNDS);
	}
	/* Another session's extent, too. */
	open_session(1, 0);
	l.header_off = extent[1];
	ck_assert_uint_eq(ask(0, PST_WIRE_MODEL_LOAD, &l, sizeof(l)),
			  PST_WIRE_EBOUNDS);
	/* And another session's tensor. */
	l = request(1, "m", l.data);
	ck_assert_uint_eq(ask(1, PST_WIRE_MODEL_LOAD, &l, sizeof(l)),
			  PST_WIRE_ENOENT);
}
END_TEST

START_TEST(names_are_checked_and_taken_once)
{
	struct pst_wire_model_load l;

	ck_assert_uint_eq(load(0, "m"), PST_WIRE_OK);
	ck_assert_uint_eq(load(0, "m"), PST_WIRE_EBUSY);
	expect_words("already loaded");
	l = request(0, "a b", new_tensor(0, DATA));
	ck_assert_uint_eq(ask(0, PST_WIRE_MODEL_LOAD, &l, sizeof(l)),
			  PST_WIRE_EINVAL);
	l.name[0] = '\0';
	l.name[1] = '\0';
	l.name[2] = '\0';
	ck_assert_uint_eq(ask(0, PST_WIRE_MODEL_LOAD, &l, sizeof(l)),
			  PST_WIRE_EINVAL);
	expect_words("name");
}
END_TEST

START_TEST(number_and_bytes_of_models_are_bounded)
{
	struct pst_wire_model_load l;

	ck_assert_uint_eq(load(0, "a"), PST_WIRE_OK);
	ck_assert_uint_eq(load(0, "b"), PST_WIRE_OK);
	ck_assert_uint_eq(load(0, "c"), PST_WIRE_ENOSPC);
	expect_words("--max-models");
	ck_assert_uint_eq(by_name(0, PST_WIRE_MODEL_UNLOAD, "b"), PST_WIRE_OK);
	/* The first one takes so much that this one is above the bound. */
	open_session(1, 0);
	l = request(1, "c", new_tensor(1, FIXTURE_TENSOR_BYTES - DATA + 4));
	ck_assert_uint_eq(ask(1, PST_WIRE_MODEL_LOAD, &l, sizeof(l)),
			  PST_WIRE_ENOSPC);
	expect_words("--max-model-bytes");
}
END_TEST

START_TEST(an_infer_finds_its_model_and_no_other)
{
	uint64_t handle;

	ck_assert_uint_eq(load(0, "m"), PST_WIRE_OK);
	handle = model.handle;
	infer(0, 1, handle, 3);
	infer(0, 2, handle + 1, 3);
	infer(0, 3, handle + (1ULL << 32), 3);
	infer(0, 4, 0, 3);
	infer(0, 5, UINT64_MAX, 3);
	infer(0, 6, handle, 0);
	infer(0, 7, handle, PST_AGENT_MODEL_MAX_BATCH + 1);
	run(100);
	expect_done(0, 1, PST_WIRE_OK);
	expect_done(0, 2, PST_WIRE_ENOENT);
	expect_done(0, 3, PST_WIRE_ENOENT);
	expect_done(0, 4, PST_WIRE_ENOENT);
	expect_done(0, 5, PST_WIRE_ENOENT);
	expect_done(0, 6, PST_WIRE_EINVAL);
	expect_done(0, 7, PST_WIRE_ELIMIT);
	/* The same name again is another model. */
	ck_assert_uint_eq(by_name(0, PST_WIRE_MODEL_UNLOAD, "m"), PST_WIRE_OK);
	ck_assert_uint_eq(load(0, "m"), PST_WIRE_OK);
	ck_assert_uint_ne(model.handle, handle);
	infer(0, 8, handle, 3);
	infer(0, 9, model.handle, 3);
	run(100);
	expect_done(0, 8, PST_WIRE_ENOENT);
	expect_done(0, 9, PST_WIRE_OK);
}
END_TEST

START_TEST(a_model_unloaded_in_use_goes_when_the_infer_is_over)
{
	ck_assert_uint_eq(load(0, "m"), PST_WIRE_OK);
	infer(0, 1, model.handle, 10);
	infer(0, 2, model.handle, 10);
	run(3);
	ck_assert_uint_eq(by_name(0, PST_WIRE_MODEL_UNLOAD, "m"), PST_WIRE_OK);
	ck_assert_uint_eq(fix.backend.n_models, 1);
	ck_assert_uint_eq(by_name(0, PST_WIRE_MODEL_OPEN, "m"),
			  PST_WIRE_ENOENT);
	/* Its name is free, its bytes are not. */
	ck_assert_uint_eq(load(0, "m"), PST_WIRE_OK);
	run(100);
	expect_done(0, 1, PST_WIRE_OK);
	/* This one had not begun. */
	expect_done(0, 2, PST_WIRE_ENOENT);
	ck_assert_uint_eq(fix.backend.n_models, 1);
}
END_TEST

START_TEST(a_model_outlives_a_client_that_dies_in_an_infer)
{
	ck_assert_uint_eq(load(0, "m"), PST_WIRE_OK);
	infer(0, 1, model.handle, 10);
	run(3);
	pst_agent_session_end(peer[0].session);
	run(100);
	ck_assert_uint_eq(fix.backend.n_models, 1);
	open_session(1, 0);
	ck_assert_uint_eq(by_name(1, PST_WIRE_MODEL_UNLOAD, "m"), PST_WIRE_OK);
	ck_assert_uint_eq(fix.backend.n_models, 0);
}
END_TEST

START_TEST(a_tensor_that_is_being_written_becomes_no_model)
{
	struct pst_wire_model_load l = request(0, "m", new_tensor(0, DATA));
	const struct pst_wire_sqe gemm = {
		.op = PST_WIRE_OP_GEMM,
		.tag = 1,
		.flags = PST_WIRE_C_TENSOR,
		.dtype = PST_WIRE_F32,
		.dtype_c = PST_WIRE_F32,
		.m = 2,
		.n = 1,
		.batch = 1,
		.lda = 1,
		.ldb = 1,
		.ldc = 1,
		.off_c = l.data,
	};

	ck_assert_int_eq(pst_lane_client_submit(&lane[0], &gemm), 0);
	run(1);
	ck_assert_uint_eq(ask(0, PST_WIRE_MODEL_LOAD, &l, sizeof(l)),
			  PST_WIRE_EBUSY);
	run(100);
	expect_done(0, 1, PST_WIRE_OK);
	ck_assert_uint_eq(ask(0, PST_WIRE_MODEL_LOAD, &l, sizeof(l)),
			  PST_WIRE_OK);
}
END_TEST

START_TEST(a_session_without_a_lane_loads_nothing)
{
	struct pst_wire_model_load l = request(0, "m", 1);

	open_session(1, PST_WIRE_HELLO_CONTROL_ONLY);
	ck_assert_uint_eq(ask(1, PST_WIRE_MODEL_LOAD, &l, sizeof(l)),
			  PST_WIRE_EINVAL);
	ck_assert_int_eq(pst_agent_session_state(peer[1].session),
			 PST_AGENT_SESSION_OPEN);
}
END_TEST

/* Frames against the protocol end their session, and only it. */
START_TEST(a_bad_model_frame_ends_the_session)
{
	struct pst_wire_model_load l = request(0, "m", 1);
	struct pst_wire_model m = {.name = "m"};
	int i;

	for (i = 0; i < 5; i++) {
		struct pst_wire_model_load bad = l;
		struct pst_wire_model also = m;

		open_session(1, 0);
		switch (i) {
		case 0:
			bad.reserved0 = 1;
			break;
		case 1:
			bad.header_off++;
			break;
		case 2:
			memset(bad.name, 'x', sizeof(bad.name));
			break;
		case 3:
			also.handle = 1;
			break;
		default:
			also.name[5] = 'x';
		}
		if (i < 3)
			ask(1, PST_WIRE_MODEL_LOAD, &bad, sizeof(bad));
		else
			ask(1, PST_WIRE_MODEL_OPEN, &also, sizeof(also));
		ck_assert_uint_eq(reply.type, PST_WIRE_ERROR);
		ck_assert_int_eq(pst_agent_session_state(peer[1].session),
				 PST_AGENT_SESSION_CLOSED);
		pst_agent_session_free(peer[1].session);
		peer[1].session = NULL;
	}
	ck_assert_int_eq(pst_agent_session_state(peer[0].session),
			 PST_AGENT_SESSION_OPEN);
}
END_TEST

START_TEST(valid_names_are_told_from_others)
{
	char name[PST_WIRE_MODEL_NAME + 1];

	ck_assert(pst_model_name_is_valid("m"));
	ck_assert(pst_model_name_is_valid("A-z_0.9"));
	ck_assert(!pst_model_name_is_valid(""));
	ck_assert(!pst_model_name_is_valid("a/b"));
	ck_assert(!pst_model_name_is_valid("a b"));
	ck_assert(!pst_model_name_is_valid("a\n"));
	memset(name, 'x', sizeof(name));
	name[PST_WIRE_MODEL_NAME] = '\0';
	ck_assert(!pst_model_name_is_valid(name));
	ck_assert(pst_model_name_is_valid(name + 1));
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_model_is_loaded_opened_listed_and_unloaded);
	tcase_add_test(tc, a_loaded_models_tensor_is_the_sessions_no_more);
	tcase_add_test(
		tc, a_model_that_is_refused_leaves_the_tensor_to_the_session);
	tcase_add_test(tc, models_that_come_at_once_are_loaded_one_by_one);
	tcase_add_test(tc, data_of_another_size_than_the_headers_is_refused);
	tcase_add_test(tc, a_header_elsewhere_is_refused);
	tcase_add_test(tc, names_are_checked_and_taken_once);
	tcase_add_test(tc, number_and_bytes_of_models_are_bounded);
	tcase_add_test(tc, an_infer_finds_its_model_and_no_other);
	tcase_add_test(tc, a_model_unloaded_in_use_goes_when_the_infer_is_over);
	tcase_add_test(tc, a_model_outlives_a_client_that_dies_in_an_infer);
	tcase_add_test(tc, a_tensor_that_is_being_written_becomes_no_model);
	tcase_add_test(tc, a_session_without_a_lane_loads_nothing);
	tcase_add_test(tc, a_bad_model_frame_ends_the_session);
	tcase_add_test(tc, valid_names_are_told_from_others);
}

int main(void)
{
	return pst_unit_run("session_model", add, 60);
}
