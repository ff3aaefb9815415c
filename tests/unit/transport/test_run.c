/* SPDX-License-Identifier: MIT */
/* The call of a model: what a block says is parsed exactly, and held against
 * what the model takes. */
#include <string.h>

#include "tests/fixtures/unit.h"
#include "transport/run.h"

/* A model like a small language model: ids and mask of [batch, tokens], an
 * embedding of [batch, 4], and something that nobody knows the size of. */
static const struct pst_run_model model = {
	.n_in = 2,
	.n_out = 2,
	.n_symbols = 2,
	.io = {{.name = "ids",
		.dtype = PST_WIRE_I64,
		.rank = 2,
		.dim = {-1, -1},
		.symbol = {1, 2}},
	       {.name = "mask",
		.dtype = PST_WIRE_BOOL,
		.rank = 2,
		.dim = {-1, -1},
		.symbol = {1, 2}},
	       {.name = "embedding",
		.dtype = PST_WIRE_F32,
		.rank = 2,
		.dim = {-1, 4},
		.symbol = {1, 0}},
	       {.name = "rest", .dtype = PST_WIRE_F32, .rank = 1, .dim = {-1}}},
	.symbol = {"batch", "tokens"},
};

static struct {
	struct pst_wire_call call;
	struct pst_wire_io io[2 * PST_WIRE_RUN_IO];
} block;
static struct pst_run run;
static struct pst_error err;

static struct pst_wire_io tensor(uint16_t slot, uint8_t dtype, uint64_t off,
				 uint64_t d0, uint64_t d1)
{
	return (struct pst_wire_io){
		.slot = slot,
		.dtype = dtype,
		.rank = 2,
		.off = off,
		.size = d0 * d1 * pst_run_dtype_size(dtype),
		.dim = {d0, d1},
	};
}

/* A good call: a batch of 2 with 8 tokens. */
static void fill(void)
{
	memset(&block, 0, sizeof(block));
	block.call = (struct pst_wire_call){.n_in = 2, .n_out = 2};
	block.io[0] = tensor(0, PST_WIRE_I64, 0, 2, 8);
	block.io[1] = tensor(1, PST_WIRE_BOOL, 128, 2, 8);
	block.io[2] = tensor(0, PST_WIRE_F32, 192, 2, 4);
	block.io[3] = (struct pst_wire_io){.slot = 1,
					   .dtype = PST_WIRE_F32,
					   .rank = PST_WIRE_IO_ANY,
					   .off = 256,
					   .size = 1000};
}

static uint64_t block_size(void)
{
	return sizeof(struct pst_wire_call) +
	       (block.call.n_in + block.call.n_out) *
		       sizeof(struct pst_wire_io);
}

static int parse(void)
{
	memset(&err, 0, sizeof(err));
	return pst_run_parse(&block, block_size(), &run, &err);
}

static int check(void)
{
	int r = parse();

	return r < 0 ? r : pst_run_check(&run, &model, &err);
}

static void refused(int code, const char *words)
{
	ck_assert_int_eq(check(), code);
	ck_assert_msg(strstr(err.text, words), "\"%s\" lacks \"%s\"", err.text,
		      words);
}

START_TEST(a_good_call_passes)
{
	fill();
	block.call.deadline_ns = 7;
	ck_assert_int_eq(check(), 0);
	ck_assert_uint_eq(run.n_in, 2);
	ck_assert_uint_eq(run.deadline_ns, 7);
	ck_assert_uint_eq(run.io[0].span.size, 128);
	ck_assert_uint_eq(run.io[2].dim[1], 4);
	ck_assert(!run.io[2].any && run.io[3].any);
}
END_TEST

START_TEST(outputs_may_be_left_out_and_inputs_may_not)
{
	fill();
	block.call.n_out = 1;
	ck_assert_int_eq(check(), 0);
	block.call.n_out = 0;
	ck_assert_int_eq(check(), 0);
	block.call.n_in = 1;
	refused(-EINVAL, "mask is missing");
}
END_TEST

START_TEST(the_order_is_free)
{
	fill();
	block.io[0] = block.io[1];
	block.io[1] = tensor(0, PST_WIRE_I64, 0, 2, 8);
	ck_assert_int_eq(check(), 0);
}
END_TEST

START_TEST(a_block_has_the_size_of_what_it_counts)
{
	fill();
	ck_assert_int_eq(pst_run_parse(&block, block_size() - 1, &run, &err),
			 -EINVAL);
	ck_assert_int_eq(pst_run_parse(&block, block_size() + 1, &run, &err),
			 -EINVAL);
	ck_assert_int_eq(pst_run_parse(&block, 63, &run, &err), -EINVAL);
	block.call.n_in = UINT32_MAX;
	ck_assert_int_eq(pst_run_parse(&block, 64, &run, &err), -EINVAL);
	block.call.n_in = PST_WIRE_RUN_IO + 1;
	ck_assert_int_eq(pst_run_parse(&block, 64 + 128 * (PST_WIRE_RUN_IO + 3),
				       &run, &err),
			 -EINVAL);
}
END_TEST

static void damage_reserved0(void)
{
	block.call.reserved0[5] = 1;
}
static void damage_flags(void)
{
	block.io[1].flags = 1;
}
static void damage_bytes(void)
{
	block.io[2].bytes = 1;
}
static void damage_reserved(void)
{
	block.io[3].reserved0[3] = 1;
}
static void damage_dtype(void)
{
	block.io[0].dtype = 14;
}
static void damage_dtype0(void)
{
	block.io[3].dtype = 0;
}
static void damage_off(void)
{
	block.io[0].off = 32;
}
static void damage_end(void)
{
	block.io[3].off = UINT64_MAX - 63;
}
static void damage_rank(void)
{
	block.io[0].rank = 9;
}
static void damage_any_input(void)
{
	block.io[0].rank = PST_WIRE_IO_ANY;
}
static void damage_more_dims(void)
{
	block.io[0].dim[2] = 1;
}
static void damage_any_dims(void)
{
	block.io[3].dim[0] = 1;
}
static void damage_size(void)
{
	block.io[0].size += 8;
}
static void damage_wrap(void)
{
	block.io[0].dim[0] = 1ULL << 62;
}
static void damage_negative(void)
{
	block.io[2].dim[0] = UINT64_MAX;
}
static void damage_overlap(void)
{
	block.io[2].off = 64;
}
static void damage_overlap_out(void)
{
	block.io[3].off = 192;
}
static void damage_slot(void)
{
	block.io[0].slot = 2;
}
static void damage_out_slot(void)
{
	block.io[2].slot = 2;
}
static void damage_twice(void)
{
	block.io[1] = tensor(0, 7, 2048, 2, 8);
}
static void damage_out_twice(void)
{
	block.io[3].slot = 0;
}
static void damage_type(void)
{
	block.io[1] = tensor(1, 8, 128, 2, 8);
}
static void damage_fixed(void)
{
	block.io[2] = tensor(0, 1, 192, 2, 5);
}
static void damage_symbol(void)
{
	block.io[1] = tensor(1, 9, 128, 3, 8);
}
static void damage_out_symbol(void)
{
	block.io[2] = tensor(0, 1, 192, 3, 4);
}
static void damage_ranks(void)
{
	block.io[1] = (struct pst_wire_io){.slot = 1,
					   .dtype = PST_WIRE_BOOL,
					   .rank = 1,
					   .off = 128,
					   .size = 16,
					   .dim = {16}};
}

START_TEST(each_fault_is_named)
{
	static const struct {
		void (*damage)(void);
		int code;
		const char *words;
	} faults[] = {
		{damage_reserved0, -EINVAL, "reserved field of the call"},
		{damage_flags, -EINVAL, "reserved field of input 1"},
		{damage_bytes, -EINVAL, "reserved field of output 0"},
		{damage_reserved, -EINVAL, "reserved field of output 1"},
		{damage_dtype, -EOPNOTSUPP, "input 0 has element type 14"},
		{damage_dtype0, -EOPNOTSUPP, "output 1 has element type 0"},
		{damage_off, -EINVAL, "input 0 lies at offset 0x20"},
		{damage_end, -EINVAL, "output 1 lies at offset"},
		{damage_rank, -EINVAL, "input 0 has 9 dimensions"},
		{damage_any_input, -EINVAL, "input 0 has 255 dimensions"},
		{damage_more_dims, -EINVAL, "a size for more"},
		{damage_any_dims, -EINVAL, "any shape and a size"},
		{damage_size, -EINVAL,
		 "input 0 has 136 bytes; its shape has "
		 "128"},
		{damage_wrap, -EOVERFLOW, "shape of input 0 is too large"},
		{damage_negative, -EOVERFLOW, "shape of output 0 is too large"},
		{damage_overlap, -EINVAL, "output 0 and input 0 overlap"},
		{damage_overlap_out, -EINVAL, "output 1 and output 0 overlap"},
		{damage_slot, -EINVAL, "the model has no input 2"},
		{damage_out_slot, -EINVAL, "the model has no output 2"},
		{damage_twice, -EINVAL, "ids is there twice"},
		{damage_out_twice, -EINVAL, "embedding is there twice"},
		{damage_type, -EINVAL, "mask is bool; the call has u8"},
		{damage_fixed, -EINVAL,
		 "dimension 1 of embedding is 5; the model has 4"},
		{damage_symbol, -EINVAL, "batch is 2 in ids and 3 in mask"},
		{damage_out_symbol, -EINVAL,
		 "batch is 2 in ids and 3 in embedding"},
		{damage_ranks, -EINVAL,
		 "mask has 2 dimensions; the call has 1"},
	};
	size_t i;

	for (i = 0; i < PST_ARRAY_SIZE(faults); i++) {
		fill();
		faults[i].damage();
		refused(faults[i].code, faults[i].words);
	}
}
END_TEST

START_TEST(empty_tensors_are_tensors)
{
	fill();
	block.io[0] = tensor(0, PST_WIRE_I64, 0, 0, 8);
	block.io[1] = tensor(1, PST_WIRE_BOOL, 0, 0, 8);
	block.io[2] = tensor(0, PST_WIRE_F32, 0, 0, 4);
	ck_assert_int_eq(check(), 0);
	ck_assert_uint_eq(run.io[0].span.size, 0);
}
END_TEST

START_TEST(bytes_do_not_wrap)
{
	const uint64_t most[] = {1ULL << 31, 1ULL << 31};
	const uint64_t above[] = {1ULL << 31, 1ULL << 31, 2};
	const uint64_t scalar[] = {0};
	uint64_t n;

	ck_assert_int_eq(pst_run_bytes(PST_WIRE_U8, 2, most, &n), 0);
	ck_assert_uint_eq(n, 1ULL << 62);
	ck_assert_int_eq(pst_run_bytes(PST_WIRE_F64, 3, above, &n), -EOVERFLOW);
	ck_assert_int_eq(pst_run_bytes(PST_WIRE_F64, 0, scalar, &n), 0);
	ck_assert_uint_eq(n, 8);
	ck_assert_int_eq(pst_run_bytes(0, 0, scalar, &n), -EOPNOTSUPP);
	ck_assert_int_eq(pst_run_bytes(1, 9, above, &n), -EINVAL);
}
END_TEST

START_TEST(a_description_is_believed_when_it_can_be)
{
	static const char *const acts[] = {"a\x1b[2J", "\x7f", "\xc2\x9b;J"};
	struct pst_run_model m = model;
	size_t i;

	ck_assert_int_eq(pst_run_model_check(&m, &err), 0);
	m.n_in = PST_WIRE_RUN_IO + 1;
	ck_assert_int_eq(pst_run_model_check(&m, &err), -EPROTO);
	m = model;
	m.n_symbols = PST_RUN_SYMBOLS + 1;
	ck_assert_int_eq(pst_run_model_check(&m, &err), -EPROTO);
	/* What a terminal acts on: an escape, DEL, and CSI as U+009B. */
	for (i = 0; i < PST_ARRAY_SIZE(acts); i++) {
		m = model;
		strcpy(m.io[0].name, acts[i]);
		ck_assert_int_eq(pst_run_model_check(&m, &err), -EPROTO);
	}
	m = model;
	strcpy(m.io[0].name, "größe\xc2\xa0x");
	ck_assert_int_eq(pst_run_model_check(&m, &err), 0);
	m = model;
	memset(m.io[1].name, 'x', sizeof(m.io[1].name));
	ck_assert_int_eq(pst_run_model_check(&m, &err), -EPROTO);
	m = model;
	m.io[2].name[0] = (char)0xff;
	ck_assert_int_eq(pst_run_model_check(&m, &err), -EPROTO);
	m = model;
	memset(m.symbol[1], 'y', sizeof(m.symbol[1]));
	ck_assert_int_eq(pst_run_model_check(&m, &err), -EPROTO);
	m = model;
	m.io[3].dtype = 0;
	ck_assert_int_eq(pst_run_model_check(&m, &err), -EPROTO);
	m = model;
	m.io[3].rank = 9;
	ck_assert_int_eq(pst_run_model_check(&m, &err), -EPROTO);
	m = model;
	m.io[0].dim[1] = -2;
	ck_assert_int_eq(pst_run_model_check(&m, &err), -EPROTO);
	m = model;
	m.io[0].symbol[1] = 3;
	ck_assert_int_eq(pst_run_model_check(&m, &err), -EPROTO);
	m = model;
	strcpy(m.io[1].name, "ids");
	ck_assert_int_eq(pst_run_model_check(&m, &err), -EPROTO);
	/* An output may have the name of an input. */
	m = model;
	strcpy(m.io[2].name, "ids");
	ck_assert_int_eq(pst_run_model_check(&m, &err), 0);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, a_good_call_passes);
	tcase_add_test(tc, outputs_may_be_left_out_and_inputs_may_not);
	tcase_add_test(tc, the_order_is_free);
	tcase_add_test(tc, a_block_has_the_size_of_what_it_counts);
	tcase_add_test(tc, each_fault_is_named);
	tcase_add_test(tc, empty_tensors_are_tensors);
	tcase_add_test(tc, bytes_do_not_wrap);
	tcase_add_test(tc, a_description_is_believed_when_it_can_be);
}

int main(void)
{
	return pst_unit_run("run", add, 60);
}
