/* SPDX-License-Identifier: MIT */
/* What a guest answers to the call of a model: taken if it can be, else not a
 * byte of it. */
#include <errno.h>
#include <string.h>

#include "host-client/lib/ops/run.h"
#include "host-client/lib/plain/run_use.h"
#include "tests/fixtures/unit.h"

static struct pst_wire_io w;
static struct pst_io io;
static struct pst_error err;

/* Of f32, with room for 64 bytes. */
static int answer(int status)
{
	memset(&io, 0xee, sizeof(io));
	return pst_run_use_answer(&w, PST_F32, 64, status, &io, &err);
}

static void good(void)
{
	w = (struct pst_wire_io){
		.dtype = PST_F32,
		.rank = 2,
		.flags = PST_WIRE_IO_IN_PLACE,
		.bytes = 48,
		.dim = {3, 4},
	};
}

START_TEST(a_result_is_what_the_agent_says)
{
	ck_assert_int_eq(answer(0), 0);
	ck_assert_uint_eq(io.rank, 2);
	ck_assert_int_eq(io.dim[0], 3);
	ck_assert_int_eq(io.dim[1], 4);
	ck_assert_int_eq(io.dim[2], 0);
	ck_assert_uint_eq(io.bytes, 48);
	ck_assert_uint_eq(io.flags, PST_IO_IN_PLACE);
	/* A scalar, and nothing. */
	w = (struct pst_wire_io){.dtype = PST_F32, .bytes = 4};
	ck_assert_int_eq(answer(0), 0);
	ck_assert_uint_eq(io.rank, 0);
	w = (struct pst_wire_io){.dtype = PST_F32, .rank = 1};
	ck_assert_int_eq(answer(0), 0);
	ck_assert_uint_eq(io.bytes, 0);
}
END_TEST

START_TEST(an_output_that_is_too_small_says_what_it_needs)
{
	ck_assert_int_eq(answer(-EMSGSIZE), 0);
	ck_assert_uint_eq(io.rank, 0xeeeeeeeeU);
	w.flags = PST_WIRE_IO_TOO_SMALL;
	w.dim[0] = 5;
	w.bytes = 80;
	ck_assert_int_eq(answer(-EMSGSIZE), 0);
	ck_assert_uint_eq(io.bytes, 80);
	ck_assert_uint_eq(io.flags, PST_IO_TOO_SMALL);
}
END_TEST

/* One thing that cannot be in each. */
START_TEST(an_impossible_answer_is_not_taken)
{
	int i;

	for (i = 0; i < 10; i++) {
		good();
		switch (i) {
		case 0:
			w.dtype = PST_F64;
			break;
		case 1:
			w.rank = 9;
			break;
		case 2:
			w.rank = PST_WIRE_IO_ANY;
			break;
		case 3:
			w.bytes = 52;
			break;
		case 4:
			w.dim[0] = 5;
			break;
		case 5: /* it fits itself, and not the room */
			w.dim[0] = 5;
			w.bytes = 80;
			break;
		case 6: /* 2^64 + 16 bytes */
			w.dim[0] = (1ULL << 62) + 1;
			w.dim[1] = 4;
			w.bytes = 16;
			break;
		case 7:
			w.dim[0] = UINT64_MAX;
			break;
		case 8:
			w.flags = 4;
			break;
		case 9:
			w.flags = PST_WIRE_IO_TOO_SMALL;
			break;
		}
		ck_assert_msg(answer(0) == -EPROTO, "%d", i);
		ck_assert_uint_eq(io.rank, 0xeeeeeeeeU);
		ck_assert_uint_eq(io.bytes, 0xeeeeeeeeeeeeeeeeULL);
	}
	/* It needs less than there is. */
	good();
	w.flags = PST_WIRE_IO_TOO_SMALL;
	ck_assert_int_eq(answer(-EMSGSIZE), -EPROTO);
}
END_TEST

START_TEST(only_who_asked_is_told)
{
	struct pst_io out[2] = {PST_IO_INIT, PST_IO_INIT};
	struct pst_wire_io answers[2];
	struct pst_run_use u = {
		.answers = answers,
		.step = sizeof(out[0]),
		.n_out = 2,
		.room = {64, 64},
		.dtype = {PST_F32, PST_F32},
	};

	answers[0] = answers[1] = w;
	ck_assert_int_eq(pst_run_use_end(&u, 0), 0);
	u.out = out;
	ck_assert_int_eq(pst_run_use_end(&u, -EIO), -EIO);
	ck_assert_uint_eq(out[1].rank, 0);
	ck_assert_int_eq(pst_run_use_end(&u, 0), 0);
	ck_assert_uint_eq(out[1].rank, 2);
	answers[1].rank = 9;
	ck_assert_int_eq(pst_run_use_end(&u, 0), -EPROTO);
}
END_TEST

/* ---- Arguments ---- */

static struct pst_tensor_spec in[2], out[2];
static struct pst_model_spec model;
static struct pst_run_operands o;
static struct pst_io ins[2], outs[2];
static struct pst_run_args a;
static char some[64];

static void call(void)
{
	static const struct pst_io none = PST_IO_INIT;
	static const struct pst_run_args no_args = PST_RUN_INIT;
	static const char batch[] = "batch";

	in[0] = (struct pst_tensor_spec){.name = "ids",
					 .dtype = PST_I64,
					 .rank = 2,
					 .dim = {-1, 8},
					 .dim_name = {batch}};
	in[1] = (struct pst_tensor_spec){.name = "rate", .dtype = PST_F32};
	out[0] = (struct pst_tensor_spec){.name = "y",
					  .dtype = PST_F32,
					  .rank = 2,
					  .dim = {-1, 384},
					  .dim_name = {batch}};
	out[1] = (struct pst_tensor_spec){
		.name = "z", .dtype = PST_U8, .rank = 1, .dim = {-1}};
	model = (struct pst_model_spec){
		.model = {.handle = 1, .name = "net"},
		.in = in,
		.out = out,
		.n_in = 2,
		.n_out = 2,
	};
	ins[0] = ins[1] = outs[0] = outs[1] = none;
	ins[0].name = "rate";
	ins[0].data = some;
	ins[1].name = "ids";
	ins[1].data = some;
	ins[1].rank = 2;
	ins[1].dim[0] = 1;
	ins[1].dim[1] = 8;
	outs[0].name = "z";
	a = no_args;
	a.model = &model;
	a.in = ins;
	a.out = outs;
	a.n_in = a.n_out = 2;
}

static void refused(int code, const char *words)
{
	const int r = pst_run_take(&a, &o, &err);

	ck_assert_msg(r == code, "%d, not %d: %s", r, code, err.text);
	ck_assert_msg(strstr(err.text, words), "\"%s\" lacks \"%s\"", err.text,
		      words);
	call();
}

START_TEST(tensors_are_found_by_name_and_by_number)
{
	call();
	outs[1].index = 0;
	ck_assert_int_eq(pst_run_take(&a, &o, &err), 0);
	ck_assert_uint_eq(o.io[0].index, 1);
	ck_assert_uint_eq(o.io[0].bytes, 4);
	ck_assert_uint_eq(o.io[1].index, 0);
	ck_assert_uint_eq(o.io[1].dtype, PST_I64);
	ck_assert_uint_eq(o.io[1].bytes, 64);
	/* Nobody knows before how large z is; y has the batch of ids. */
	ck_assert_uint_ge(o.io[2].bytes, 4096);
	ck_assert_uint_eq(o.io[3].bytes, 384 * 4);
}
END_TEST

START_TEST(wrong_tensors_are_named)
{
	call();
	ins[0].name = "rat";
	refused(-ENOENT, "no input \"rat\"");
	outs[1].index = 2;
	refused(-ENOENT, "no output 2");
	ins[1].dtype = PST_I32;
	refused(-EINVAL, "ids is i64; the call has i32");
	ins[1].rank = 1;
	refused(-EINVAL, "ids has 2 dimensions; the call has 1");
	ins[1].dim[0] = -1;
	refused(-EINVAL, "dimension 0 of ids is -1");
	ins[1].dim[0] = INT64_MAX;
	refused(-EOVERFLOW, "ids is too large");
	ins[1].bytes = 63;
	refused(-EINVAL, "ids has 63 bytes; its shape has 64");
	ins[1].data = NULL;
	refused(-EFAULT, "ids is NULL");
	ins[0].size = 8;
	refused(-EINVAL, "PST_IO_INIT");
	a.size = 0;
	refused(-EINVAL, "PST_RUN_INIT");
	a.n_in = 65;
	refused(-EINVAL, "64 of each");
	a.in = NULL;
	refused(-EINVAL, "inputs is NULL");
	a.model = NULL;
	refused(-EINVAL, "pst_model_info()");
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_checked_fixture(tc, good, NULL);
	tcase_add_test(tc, a_result_is_what_the_agent_says);
	tcase_add_test(tc, an_output_that_is_too_small_says_what_it_needs);
	tcase_add_test(tc, an_impossible_answer_is_not_taken);
	tcase_add_test(tc, only_who_asked_is_told);
	tcase_add_test(tc, tensors_are_found_by_name_and_by_number);
	tcase_add_test(tc, wrong_tensors_are_named);
}

int main(void)
{
	return pst_unit_run("run_use", add, 10);
}
