/* SPDX-License-Identifier: MIT */
/* Models through the library: rows in buffers and elsewhere, asynchronously,
 * across a lost agent, and an agent that lies about them. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "host-client/lib/session/conn.h"
#include "tests/fixtures/agent_proc.h"
#include "tests/fixtures/fake_agent.h"
#include "tests/fixtures/unit.h"

#define MS   PST_NS_PER_MS
#define ROWS 360U
#define IN   64U
#define OUT  10U
/* Of the header that numpy writes. */
#define NPY 128

static struct agent_proc agent;
static struct fake fake;
static struct pst *c;
static struct pst_model m;
static char text[400];
static float x[ROWS * IN];
static double y[ROWS * OUT];

static const char *data(const char *name)
{
	static char path[512];
	const char *dir = getenv("PST_TOP_SRCDIR");

	snprintf(path, sizeof(path), "%s/tests/data/%s", dir ? dir : "..",
		 name);
	return path;
}

static void read_npy(const char *name, void *buf, size_t n)
{
	int fd = open(data(name), O_RDONLY);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pread(fd, buf, n, NPY), (ssize_t)n);
	close(fd);
}

static void connect_to(const char *uri)
{
	struct pst_options o = {.size = sizeof(o), .timeout_ns = PST_HANG_NS};
	int r = pst_open(uri, &o, &c, text, sizeof(text));

	ck_assert_msg(r == 0, "%s", text);
}

static void load(const char *name)
{
	int r = pst_model_load(c, name, data("digits.safetensors"), PST_HANG_NS,
			       &m);

	pst_last_error(c, text, sizeof(text));
	ck_assert_msg(r == 0, "%s", text);
}

static void begin(void)
{
	memset(&agent, 0, sizeof(agent));
	agent_open(&agent, 32U << 20);
	connect_to(agent.uri);
	read_npy("digits-x.npy", x, sizeof(x));
	read_npy("digits-y.npy", y, sizeof(y));
	load("digits");
}

static void end(void)
{
	pst_close(c);
	agent_close(&agent);
}

static void fails(int r, int code, const char *words)
{
	pst_last_error(c, text, sizeof(text));
	ck_assert_msg(r == code, "%d, not %d: %s", r, code, text);
	ck_assert_msg(strstr(text, words), "\"%s\" lacks \"%s\"", text, words);
}

static void check(const float *out, uint32_t ld, uint32_t first, uint32_t n)
{
	uint32_t i, j;

	for (i = 0; i < n; i++)
		for (j = 0; j < OUT; j++)
			ck_assert_double_eq_tol(
				(double)out[(uint64_t)i * ld + j],
				y[(first + i) * OUT + j], 1e-5);
}

static float *buffer(size_t elems)
{
	void *p;

	ck_assert_int_eq(pst_alloc(c, elems * sizeof(float), &p), 0);
	memset(p, 0, elems * sizeof(float));
	return p;
}

START_TEST(a_model_says_what_it_is)
{
	struct pst_model again;

	ck_assert_str_eq(m.name, "digits");
	ck_assert_uint_eq(m.n_in, IN);
	ck_assert_uint_eq(m.n_out, OUT);
	ck_assert_uint_eq(m.n_layers, 6);
	ck_assert_uint_eq(m.dtype, PST_F32);
	ck_assert_int_eq(pst_model_open(c, "digits", &again), 0);
	ck_assert_mem_eq(&m, &again, sizeof(m));
}
END_TEST

START_TEST(rows_lie_anywhere)
{
	struct pst_infer_args f = {.size = sizeof(struct pst_infer_args),
				   .model = &m,
				   .rows = ROWS};
	struct pst_completion done;
	static float out[ROWS * OUT];
	float *bx = buffer(ROWS * IN), *by = buffer(ROWS * OUT);
	int i;

	memcpy(bx, x, sizeof(x));
	for (i = 0; i < 4; i++) {
		f.in = i & 1 ? bx : x;
		f.out = i & 2 ? by : out;
		memset(f.out, 0, sizeof(out));
		fails(pst_infer(c, &f, PST_HANG_NS, &done), 0, "");
		ck_assert_int_eq(done.status, 0);
		ck_assert_uint_gt(done.compute_ns, 0);
		check(f.out, OUT, 0, ROWS);
	}
	pst_free(c, bx);
	pst_free(c, by);
}
END_TEST

START_TEST(rows_may_lie_apart)
{
	const uint32_t ld = 70, ld_out = 12;
	struct pst_infer_args f = {.size = sizeof(struct pst_infer_args),
				   .model = &m,
				   .rows = 100,
				   .ld_in = ld,
				   .ld_out = ld_out};
	float *in = malloc(100 * ld * sizeof(float));
	float *out = malloc(100 * ld_out * sizeof(float));
	uint32_t i;

	ck_assert(in && out);
	for (i = 0; i < 100; i++)
		memcpy(in + i * ld, x + (size_t)i * IN, IN * sizeof(float));
	for (i = 0; i < 100 * ld_out; i++)
		out[i] = 7;
	f.in = in;
	f.out = out;
	ck_assert_int_eq(pst_infer(c, &f, PST_HANG_NS, NULL), 0);
	check(out, ld_out, 0, 100);
	for (i = 0; i < 100; i++)
		ck_assert_float_eq(out[i * ld_out + OUT], 7);
	free(in);
	free(out);
}
END_TEST

START_TEST(many_are_under_way_at_once)
{
	float *bx = buffer(ROWS * IN), *by = buffer(ROWS * OUT);
	struct pst_infer_args f = {
		.size = sizeof(struct pst_infer_args), .model = &m, .rows = 3};
	struct pst_completion done;
	uint64_t tags[ROWS / 3];
	uint32_t i;

	memcpy(bx, x, sizeof(x));
	for (i = 0; i < ROWS / 3; i++) {
		f.in = bx + (size_t)i * 3 * IN;
		f.out = by + (size_t)i * 3 * OUT;
		fails(pst_submit_infer(c, &f, 0, &tags[i]), 0, "");
	}
	for (i = 0; i < ROWS / 3; i++)
		ck_assert_int_eq(pst_wait(c, tags[i], PST_HANG_NS, &done), 0);
	check(by, OUT, 0, ROWS);
	pst_free(c, bx);
	pst_free(c, by);
}
END_TEST

START_TEST(an_unload_amid_calls_loses_none_and_ends_the_rest)
{
	float *bx = buffer(ROWS * IN), *by = buffer(100 * ROWS * OUT);
	struct pst_infer_args f = {.size = sizeof(struct pst_infer_args),
				   .model = &m,
				   .in = bx,
				   .rows = ROWS};
	struct pst_completion done;
	uint64_t tags[100];
	int i, r, good = 0;
	char *json;

	memcpy(bx, x, sizeof(x));
	for (i = 0; i < 100; i++) {
		f.out = by + (size_t)i * ROWS * OUT;
		fails(pst_submit_infer(c, &f, 0, &tags[i]), 0, "");
	}
	ck_assert_int_eq(pst_model_unload(c, "digits"), 0);
	for (i = 0; i < 100; i++) {
		r = pst_wait(c, tags[i], PST_HANG_NS, &done);
		ck_assert(r == 0 || r == -ENOENT);
		/* In order: after the first that found it gone, none. */
		ck_assert(r < 0 || good == i);
		good += r == 0;
	}
	for (i = 0; i < good; i++)
		check(by + (size_t)i * ROWS * OUT, OUT, 0, ROWS);
	ck_assert_int_eq(pst_query(c, PST_QUERY_STATS, &json), 0);
	ck_assert_uint_eq(json_number(json, "model_bytes"), 0);
	free(json);
	pst_free(c, bx);
	pst_free(c, by);
}
END_TEST

START_TEST(bad_arguments_end_with_their_call)
{
	float *bx = buffer(ROWS * IN), *by = buffer(ROWS * OUT);
	struct pst_infer_args f = {.size = sizeof(struct pst_infer_args),
				   .model = &m,
				   .in = bx,
				   .out = by,
				   .rows = 0};
	struct pst_model none = {0};
	uint64_t tag;

	fails(pst_infer(c, &f, MS, NULL), -EINVAL, "0 rows");
	fails(pst_submit_infer(c, &f, 0, &tag), -EINVAL, "0 rows");
	f.rows = ROWS;
	f.in = NULL;
	fails(pst_infer(c, &f, MS, NULL), -EFAULT, "the input is NULL");
	fails(pst_submit_infer(c, &f, 0, &tag), -EFAULT, "the input is NULL");
	f.in = bx;
	f.out = NULL;
	fails(pst_infer(c, &f, MS, NULL), -EFAULT, "the output is NULL");
	f.out = by;
	f.rows = m.max_batch + 1;
	fails(pst_submit_infer(c, &f, 0, &tag), -EMSGSIZE, "at most 65536");
	f.rows = ROWS;
	f.in = by;
	f.out = bx;
	fails(pst_submit_infer(c, &f, 0, &tag), -EFAULT, "the input has");
	f.in = bx;
	f.out = by + 1;
	fails(pst_submit_infer(c, &f, 0, &tag), -EFAULT, "the output");
	f.out = bx + 5;
	fails(pst_submit_infer(c, &f, 0, &tag), -EINVAL, "overlap");
	f.out = by;
	f.in = x;
	fails(pst_submit_infer(c, &f, 0, &tag), -EFAULT, "the input");
	f.in = (float *)((char *)bx + 2);
	f.rows = 1;
	fails(pst_submit_infer(c, &f, 0, &tag), -EINVAL, "aligned");
	f.in = bx;
	f.ld_in = IN - 1;
	fails(pst_submit_infer(c, &f, 0, &tag), -EINVAL, "apart");
	f.ld_in = 0;
	f.model = &none;
	fails(pst_infer(c, &f, MS, NULL), -EINVAL, "no model");
	/* All the while the session was well. */
	f.model = &m;
	f.rows = ROWS;
	memcpy(bx, x, sizeof(x));
	ck_assert_int_eq(pst_infer(c, &f, PST_HANG_NS, NULL), 0);
	check(by, OUT, 0, ROWS);
	pst_free(c, bx);
	pst_free(c, by);
}
END_TEST

START_TEST(an_unknown_handle_is_told_by_the_agent)
{
	static float out[OUT];
	struct pst_infer_args f = {.size = sizeof(struct pst_infer_args),
				   .model = &m,
				   .in = x,
				   .out = out,
				   .rows = 1};
	struct pst_model other = m;

	f.model = &other;
	other.handle ^= 1ULL << 40;
	fails(pst_infer(c, &f, PST_HANG_NS, NULL), -ENOENT, "no model");
	/* Sizes that are not the model's, too. */
	other = m;
	other.n_out = 9;
	fails(pst_infer(c, &f, PST_HANG_NS, NULL), -EINVAL, "64 to 10");
	fails(pst_model_unload(c, "digits"), 0, "");
	f.model = &m;
	fails(pst_infer(c, &f, PST_HANG_NS, NULL), -ENOENT, "unloaded?");
	fails(pst_model_open(c, "digits", &other), -ENOENT, "digits");
	fails(pst_model_unload(c, "digits"), -ENOENT, "digits");
	fails(pst_model_open(c, "", &other), -EINVAL, "name");
	fails(pst_model_open(c, NULL, &other), -EINVAL, "name");
}
END_TEST

START_TEST(a_model_is_stale_once_its_agent_is_gone)
{
	static float out[OUT];
	struct pst_infer_args f = {.size = sizeof(struct pst_infer_args),
				   .model = &m,
				   .in = x,
				   .out = out,
				   .rows = 1};
	int r;

	agent_kill(&agent);
	r = pst_infer(c, &f, PST_HANG_NS, NULL);
	ck_assert(r == -ECONNRESET || r == -ESTALE || r == -ECONNREFUSED ||
		  r == -ENOENT);
	agent_start(&agent);
	ck_assert_int_eq(pst_ping(c, NULL), 0);
	fails(pst_infer(c, &f, PST_HANG_NS, NULL), -ESTALE,
	      "load or open it again");
	load("digits");
	ck_assert_int_eq(pst_infer(c, &f, PST_HANG_NS, NULL), 0);
	check(out, OUT, 0, 1);
}
END_TEST

START_TEST(another_client_uses_what_one_has_loaded)
{
	struct pst *first = c;
	static float out[ROWS * OUT];
	struct pst_infer_args f = {.size = sizeof(struct pst_infer_args),
				   .model = &m,
				   .in = x,
				   .out = out,
				   .rows = ROWS};

	connect_to(agent.uri);
	ck_assert_int_eq(pst_model_open(c, "digits", &m), 0);
	/* It stays when the one that loaded it goes. */
	pst_close(first);
	ck_assert_int_eq(pst_infer(c, &f, PST_HANG_NS, NULL), 0);
	check(out, OUT, 0, ROWS);
}
END_TEST

START_TEST(a_load_leaves_nothing_behind)
{
	struct pst_tensor t[4];
	char *json;

	fails(pst_model_load(c, "digits", data("digits.safetensors"),
			     PST_HANG_NS, &m),
	      -EBUSY, "already loaded");
	fails(pst_model_load(c, "m", NULL, PST_HANG_NS, &m), -EINVAL,
	      "no model file");
	fails(pst_model_load(c, NULL, "f", PST_HANG_NS, &m), -EINVAL,
	      "cannot be a model's name");
	fails(pst_model_load(c, "m", data("digits-x.npy"), PST_HANG_NS, &m),
	      -EINVAL, "no safetensors file");
	ck_assert_int_eq(pst_tensor_list(c, t, 4), 0);
	ck_assert_int_eq(pst_query(c, PST_QUERY_STATS, &json), 0);
	ck_assert_uint_eq(json_number(json, "tensors"), 0);
	ck_assert_uint_eq(json_number(json, "models"), 1);
	free(json);
	ck_assert_int_eq(pst_model_list(c, &json), 0);
	ck_assert_ptr_nonnull(strstr(json, "\"digits\""));
	free(json);
}
END_TEST

/* ---- An agent that lies ---- */

static struct pst_wire_model lie;
static uint32_t lie_length;

static void tell_lie(struct pst_frame *f)
{
	if (f->type != PST_WIRE_MODEL_OPEN && f->type != PST_WIRE_MODEL_LOAD)
		return;
	f->payload = (const uint8_t *)&lie;
	f->length = lie_length;
}

START_TEST(an_impossible_model_ends_the_session)
{
	const struct pst_wire_model good = {
		.name = "m",
		.handle = 1,
		.size = 8,
		.n_in = 1,
		.n_out = 1,
		.max_batch = 1,
		.n_layers = 1,
		.dtype = PST_WIRE_F32,
	};
	struct pst_options o = {.size = sizeof(o), .timeout_ns = PST_HANG_NS};
	int i;

	for (i = 0; i < 8; i++) {
		memset(&fake, 0, sizeof(fake));
		fake.reply = tell_lie;
		fake_open(&fake);
		ck_assert_int_eq(pst_open(fake.uri, &o, &c, text, sizeof(text)),
				 0);
		lie = good;
		lie_length = sizeof(lie);
		switch (i) {
		case 0:
			ck_assert_int_eq(pst_model_open(c, "m", &m), 0);
			ck_assert_str_eq(m.name, "m");
			break;
		case 1:
			lie.handle = 0;
			break;
		case 2:
			lie.n_in = 0;
			break;
		case 3:
			lie.max_batch = 0;
			break;
		case 4:
			lie.name[0] = 'x';
			break;
		case 5:
			memset(lie.name, 'm', sizeof(lie.name));
			break;
		case 6:
			lie.reserved0 = 1;
			break;
		default:
			lie_length--;
		}
		if (i) {
			ck_assert_int_eq(pst_model_open(c, "m", &m), -EPROTO);
			ck_assert(!c->session.live);
		}
		pst_close(c);
		fake_close(&fake);
	}
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, a_model_says_what_it_is);
	tcase_add_test(tc, rows_lie_anywhere);
	tcase_add_test(tc, rows_may_lie_apart);
	tcase_add_test(tc, many_are_under_way_at_once);
	tcase_add_test(tc, an_unload_amid_calls_loses_none_and_ends_the_rest);
	tcase_add_test(tc, bad_arguments_end_with_their_call);
	tcase_add_test(tc, an_unknown_handle_is_told_by_the_agent);
	tcase_add_test(tc, a_model_is_stale_once_its_agent_is_gone);
	tcase_add_test(tc, another_client_uses_what_one_has_loaded);
	tcase_add_test(tc, a_load_leaves_nothing_behind);
}

int main(void)
{
	Suite *s = suite_create("client_model");
	TCase *real = tcase_create("agent"), *lies = tcase_create("lies");
	SRunner *sr;
	int failed;

	tcase_set_timeout(real, 60);
	tcase_set_timeout(lies, 60);
#ifdef HAVE_CBLAS
	tcase_add_checked_fixture(real, begin, end);
	add(real);
#else
	(void)begin;
	(void)end;
	(void)add;
#endif
	tcase_add_test(lies, an_impossible_model_ends_the_session);
	suite_add_tcase(s, real);
	suite_add_tcase(s, lies);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
