/* SPDX-License-Identifier: MIT */
/* An agent that lies of a model: whatever its description says, the client
 * refuses it, or has a description that can be read to its ends. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host-client/lib/session/conn.h"
#include "host-client/penstock_run.h"
#include "tests/fixtures/fake_agent.h"
#include "tests/fixtures/unit.h"

static struct fake fake;
static struct pst *c;
/* What it says, while no call is under way. */
static uint8_t payload[PST_WIRE_MAX_PAYLOAD];
static size_t length;

static void welcome(struct pst_frame *f, struct pst_wire_welcome *p)
{
	p->features |= PST_WIRE_FEATURE_RUN;
}

static void reply(struct pst_frame *f)
{
	if (f->type != PST_WIRE_MODEL_DESCRIBE)
		return;
	f->payload = payload;
	f->length = (uint32_t)length;
}

/* Two inputs, one output, a dimension with a name. */
static void describe(void)
{
	static struct pst_model_info info;

	memset(&info, 0, sizeof(info));
	strcpy(info.head.name, "vad");
	info.head.handle = 9;
	info.head.size = 100;
	info.head.format = PST_WIRE_ONNX;
	info.head.provider = PST_WIRE_PROVIDER_CPU;
	strcpy(info.head.runtime, "ONNX Runtime 1.30.0");
	info.shape = (struct pst_run_model){
		.n_in = 2,
		.n_out = 1,
		.n_symbols = 1,
		.io = {{.name = "x",
			.dtype = PST_WIRE_I64,
			.rank = 2,
			.dim = {-1, 3},
			.symbol = {1}},
		       {.name = "state", .dtype = PST_WIRE_F32},
		       {.name = "y",
			.dtype = PST_WIRE_F32,
			.rank = 1,
			.dim = {-1},
			.symbol = {1}}},
		.symbol = {"batch"},
	};
	strcpy(info.meta, "producer: me\n");
	length = pst_frame_model_info_encode(&info, payload);
}

static void open_conn(void)
{
	char text[400] = "";
	const int r = pst_open(fake.uri, NULL, &c, text, sizeof(text));

	ck_assert_msg(r == 0, "%s", text);
}

static void setup(void)
{
	memset(&fake, 0, sizeof(fake));
	fake.welcome = welcome;
	fake.reply = reply;
	fake_open(&fake);
	open_conn();
	describe();
}

static void teardown(void)
{
	pst_close(c);
	fake_close(&fake);
}

static size_t read_tensors(const struct pst_tensor_spec *t, uint32_t n)
{
	size_t sum = 0;
	uint32_t i, j;

	for (i = 0; i < n; i++) {
		sum += strlen(t[i].name);
		ck_assert_uint_le(t[i].rank, 8);
		for (j = 0; j < t[i].rank; j++)
			sum += t[i].dim_name[j] ? strlen(t[i].dim_name[j]) : 0;
	}
	return sum;
}

/* Asks, reads all of it. What was refused has ended the session. */
static int ask(void)
{
	struct pst_model_spec *s = NULL;
	const int r = pst_model_info(c, "vad", &s);

	if (r < 0) {
		ck_assert_ptr_null(s);
		pst_close(c);
		open_conn();
		return r;
	}
	ck_assert_str_eq(s->model.name, "vad");
	ck_assert_uint_le(strlen(s->format) + strlen(s->provider) +
				  strlen(s->runtime) + strlen(s->note) +
				  strlen(s->meta) +
				  read_tensors(s->in, s->n_in) +
				  read_tensors(s->out, s->n_out),
			  sizeof(payload));
	free(s);
	return r;
}

START_TEST(a_true_description_is_taken)
{
	struct pst_model_spec *s;

	ck_assert_int_eq(pst_model_info(c, "vad", &s), 0);
	ck_assert_uint_eq(s->n_in, 2);
	ck_assert_str_eq(s->in[1].name, "state");
	ck_assert_str_eq(s->out[0].dim_name[0], "batch");
	free(s);
}
END_TEST

START_TEST(each_byte_may_be_any)
{
	static const uint8_t values[] = {0, 1, 0x7f, 0x80, 0xff};
	unsigned int taken = 0, refused = 0;
	size_t i, j;
	uint8_t was;

	for (i = 0; i < length; i++)
		for (j = 0; j < sizeof(values); j++) {
			was = payload[i];
			payload[i] = values[j];
			if (ask() == 0)
				taken++;
			else
				refused++;
			payload[i] = was;
		}
	/* Else the bytes did not arrive, or are not looked at. */
	ck_assert_uint_gt(taken, 0);
	ck_assert_uint_gt(refused, 0);
	ck_assert_int_eq(ask(), 0);
}
END_TEST

START_TEST(it_may_end_anywhere)
{
	const size_t whole = length;

	for (length = 0; length < whole; length++)
		ck_assert_int_eq(ask(), -EPROTO);
	length = whole + 8;
	ck_assert_int_eq(ask(), -EPROTO);
	length = sizeof(payload);
	ck_assert_int_eq(ask(), -EPROTO);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_true_description_is_taken);
	tcase_add_test(tc, each_byte_may_be_any);
	tcase_add_test(tc, it_may_end_anywhere);
}

int main(void)
{
	return pst_unit_run("client_describe", add, 120);
}
