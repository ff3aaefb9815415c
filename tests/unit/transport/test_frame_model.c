/* SPDX-License-Identifier: MIT */
/* Frames about models of files: what is written reads back, and each lie in a
 * description is refused. */
#include <errno.h>
#include <string.h>

#include "tests/fixtures/unit.h"
#include "transport/frame.h"

static uint8_t payload[PST_WIRE_MAX_PAYLOAD];
static struct pst_model_info info, back;
static struct pst_error err;

static struct pst_frame frame(uint16_t type, bool reply, const void *p,
			      size_t n)
{
	return (struct pst_frame){.type = type,
				  .reply = reply,
				  .payload = p,
				  .length = (uint32_t)n};
}

/* A model with one input and one output that share a symbol. */
static void fill(void)
{
	memset(&info, 0, sizeof(info));
	memset(&err, 0, sizeof(err));
	strcpy(info.head.name, "vad");
	info.head.handle = 9;
	info.head.size = 100;
	info.head.format = PST_WIRE_ONNX;
	info.head.provider = PST_WIRE_PROVIDER_CPU;
	strcpy(info.head.runtime, "ONNX Runtime 1.30.0");
	info.shape = (struct pst_run_model){
		.n_in = 1,
		.n_out = 1,
		.n_symbols = 1,
		.io = {{.name = "x",
			.dtype = PST_WIRE_I64,
			.rank = 2,
			.dim = {-1, 3},
			.symbol = {1}},
		       {.name = "y",
			.dtype = PST_WIRE_F32,
			.rank = 1,
			.dim = {-1},
			.symbol = {1}}},
		.symbol = {"batch"},
	};
	strcpy(info.meta, "producer: me\n");
}

static int read_back(void)
{
	const size_t n = pst_frame_model_info_encode(&info, payload);
	const struct pst_frame f =
		frame(PST_WIRE_MODEL_DESCRIBE, true, payload, n);

	return pst_frame_model_info(&f, &back, &err);
}

START_TEST(a_description_reads_as_it_was_written)
{
	fill();
	ck_assert_int_eq(read_back(), 0);
	ck_assert_uint_eq(back.head.n_in, 1);
	ck_assert_uint_eq(back.head.n_symbols, 1);
	ck_assert_str_eq(back.head.name, "vad");
	ck_assert_mem_eq(&back.shape, &info.shape, sizeof(info.shape));
	ck_assert_str_eq(back.meta, "producer: me\n");
}
END_TEST

START_TEST(a_description_of_another_length_is_refused)
{
	struct pst_frame f;
	size_t n, i;

	fill();
	n = pst_frame_model_info_encode(&info, payload);
	for (i = 0; i < n + 8; i++) {
		f = frame(PST_WIRE_MODEL_DESCRIBE, true, payload, i);
		ck_assert_int_eq(pst_frame_model_info(&f, &back, &err),
				 i == n ? 0 : -EPROTO);
	}
}
END_TEST

#define REFUSED(what)                                                          \
	do {                                                                   \
		fill();                                                        \
		what;                                                          \
		ck_assert_int_eq(read_back(), -EPROTO);                        \
		ck_assert_str_ne(err.text, "");                                \
	} while (0)

START_TEST(a_description_that_lies_is_refused)
{
	REFUSED(info.head.name[0] = '/');
	REFUSED(info.head.name[0] = 0);
	REFUSED(info.head.name[10] = 'x');
	REFUSED(info.head.handle = 0);
	REFUSED(info.head.format = PST_WIRE_N_FORMATS);
	REFUSED(info.head.state = PST_WIRE_MODEL_N_STATES);
	REFUSED(info.head.provider = PST_WIRE_N_PROVIDERS);
	REFUSED(info.head.wanted = PST_WIRE_N_PROVIDERS);
	REFUSED(info.head.shared = 2);
	REFUSED(info.head.reserved0 = 1);
	REFUSED(info.head.reserved1[1] = 1);
	REFUSED(info.head.note[0] = '\033');
	REFUSED(memset(info.head.runtime, 'r', sizeof(info.head.runtime)));
	REFUSED(info.shape.io[0].dtype = PST_WIRE_N_DTYPES);
	REFUSED(info.shape.io[0].rank = 9);
	REFUSED(info.shape.io[0].dim[0] = -2);
	REFUSED(info.shape.io[0].symbol[0] = 2);
	REFUSED(info.shape.io[0].name[0] = '\xff');
	REFUSED(info.shape.symbol[0][0] = '\xff');
	REFUSED(strcpy(info.meta, "a\033[2J"));
	REFUSED(strcpy(info.meta, "\xff"));
}
END_TEST

START_TEST(counts_above_the_limits_are_refused)
{
	struct pst_wire_model_info h;
	struct pst_frame f;
	uint32_t *const counts[] = {&h.n_in, &h.n_out, &h.n_symbols, &h.n_meta};
	const uint32_t most[] = {PST_WIRE_RUN_IO, PST_WIRE_RUN_IO,
				 PST_WIRE_RUN_SYMBOLS, PST_WIRE_MODEL_META};
	size_t i;

	for (i = 0; i < 4; i++) {
		fill();
		h = info.head;
		*counts[i] = most[i] + 1;
		memset(payload, 0, sizeof(payload));
		memcpy(payload, &h, sizeof(h));
		f = frame(PST_WIRE_MODEL_DESCRIBE, true, payload,
			  sizeof(payload));
		ck_assert_int_eq(pst_frame_model_info(&f, &back, &err),
				 -EPROTO);
		ck_assert_ptr_nonnull(strstr(err.text, "number"));
	}
}
END_TEST

static struct pst_wire_model_files files;

static int read_files(void)
{
	const struct pst_frame f =
		frame(PST_WIRE_MODEL_LOAD_FILES, false, &files, sizeof(files));
	struct pst_wire_model_files out;

	return pst_frame_model_files(&f, &out, &err);
}

#define FILES_REFUSED(what)                                                    \
	do {                                                                   \
		files = good;                                                  \
		what;                                                          \
		ck_assert_int_eq(read_files(), -EPROTO);                       \
	} while (0)

START_TEST(one_file_is_the_model_and_none_is_there_twice)
{
	const struct pst_wire_model_files good = {
		.name = "m",
		.format = PST_WIRE_ONNX,
		.n_files = 2,
		.file = {{.name = "weights.bin", .handle = 1}, {.handle = 2}},
	};

	files = good;
	ck_assert_int_eq(read_files(), 0);
	FILES_REFUSED(files.n_files = 0);
	FILES_REFUSED(files.n_files = 1);
	FILES_REFUSED(files.n_files = PST_WIRE_MODEL_FILES + 1);
	FILES_REFUSED(files.file[1].handle = 1);
	FILES_REFUSED(files.file[1].handle = 0);
	FILES_REFUSED(files.file[0].name[0] = 0);
	FILES_REFUSED(strcpy(files.file[1].name, "weights.bin"));
	FILES_REFUSED(files.file[0].name[20] = 'x');
	FILES_REFUSED(files.file[0].name[0] = '\n');
	FILES_REFUSED(files.file[1].reserved0 = 1);
	FILES_REFUSED(files.file[2].handle = 3);
	FILES_REFUSED(files.flags = 2);
	FILES_REFUSED(files.format = PST_WIRE_N_FORMATS);
	FILES_REFUSED(files.provider = PST_WIRE_N_PROVIDERS);
	FILES_REFUSED(files.reserved0[1] = 1);
}
END_TEST

START_TEST(a_piece_of_a_file_has_bytes_and_a_bound)
{
	struct pst_wire_model_fill fill = {.handle = 1,
					   .size = PST_WIRE_FILL_MAX};
	const struct pst_frame f =
		frame(PST_WIRE_MODEL_FILL, false, &fill, sizeof(fill));
	struct pst_wire_model_fill out;

	ck_assert_int_eq(pst_frame_model_fill(&f, &out, &err), 0);
	fill.size++;
	ck_assert_int_eq(pst_frame_model_fill(&f, &out, &err), -EPROTO);
	fill.size = 0;
	ck_assert_int_eq(pst_frame_model_fill(&f, &out, &err), -EPROTO);
	fill.size = 1;
	fill.file_off = UINT64_MAX;
	ck_assert_int_eq(pst_frame_model_fill(&f, &out, &err), -EPROTO);
	fill.file_off = 0;
	fill.off = UINT64_MAX;
	ck_assert_int_eq(pst_frame_model_fill(&f, &out, &err), -EPROTO);
	fill.off = 0;
	fill.handle = 0;
	ck_assert_int_eq(pst_frame_model_fill(&f, &out, &err), -EPROTO);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, a_description_reads_as_it_was_written);
	tcase_add_test(tc, a_description_of_another_length_is_refused);
	tcase_add_test(tc, a_description_that_lies_is_refused);
	tcase_add_test(tc, counts_above_the_limits_are_refused);
	tcase_add_test(tc, one_file_is_the_model_and_none_is_there_twice);
	tcase_add_test(tc, a_piece_of_a_file_has_bytes_and_a_bound);
}

int main(void)
{
	return pst_unit_run("frame_model", add, 60);
}
