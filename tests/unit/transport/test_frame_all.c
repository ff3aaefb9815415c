/* SPDX-License-Identifier: MIT */
/* Every header of a control frame, one field after the other, at the end of
 * readable memory. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/fixtures/unit.h"
#include "transport/frame.h"

#define HEADER sizeof(struct pst_wire_frame)
#define MOST   (HEADER + PST_WIRE_MAX_PAYLOAD)

/* Bytes up to a page that cannot be read. */
static uint8_t *end;

static void setup(void)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	const size_t size = (MOST / page + 2) * page;
	uint8_t *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(p, MAP_FAILED);
	end = p + size - page;
	ck_assert_int_eq(mprotect(end, page, PROT_NONE), 0);
}

/* Which lengths a frame may have, told anew from penstock-protocol(7). */
struct rule {
	uint16_t type;
	uint8_t to_agent, unasked; /* may arrive as a request, at which end */
	uint32_t min, max;         /* of the request */
	int64_t reply_min, reply_max; /* -1: there is no reply */
};

#define SIZE(x) sizeof(struct pst_wire_##x)
#define TEXT    PST_WIRE_MAX_PAYLOAD

static const struct rule rules[] = {
	{1, 0, 1, SIZE(challenge), SIZE(challenge), -1, -1},
	{2, 1, 0, SIZE(hello), SIZE(hello), SIZE(welcome), SIZE(welcome)},
	{3, 1, 0, 0, 4096, 0, 4096},
	{4, 1, 0, 0, 0, 2, TEXT},
	{5, 1, 0, 0, 0, 2, TEXT},
	{6, 1, 0, 0, 0, 2, TEXT},
	{7, 1, 0, SIZE(lease), SIZE(lease), SIZE(lease), SIZE(lease)},
	{8, 1, 0, SIZE(lease), SIZE(lease), 0, 0},
	{9, 1, 0, SIZE(cancel), SIZE(cancel), 0, 0},
	{10, 1, 1, 0, 0, -1, -1},
	{11, 1, 0, 0, 0, 0, 0},
	{12, 0, 1, 0, TEXT, -1, -1},
	{13, 1, 0, SIZE(cancel), SIZE(cancel), 0, TEXT},
	{14, 1, 0, SIZE(tensor), SIZE(tensor), SIZE(tensor), SIZE(tensor)},
	{15, 1, 0, SIZE(tensor), SIZE(tensor), 0, 0},
	{16, 1, 0, SIZE(tensor), SIZE(tensor), 0,
	 PST_WIRE_LIST_MAX *SIZE(tensor)},
	{17, 1, 0, SIZE(model_load), SIZE(model_load), SIZE(model),
	 SIZE(model)},
	{18, 1, 0, SIZE(model), SIZE(model), SIZE(model), SIZE(model)},
	{19, 1, 0, SIZE(model), SIZE(model), 0, 0},
	{20, 1, 0, 0, 0, 2, TEXT},
	{21, 1, 0, SIZE(lanes), SIZE(lanes), SIZE(lanes), SIZE(lanes)},
	{22, 1, 0, SIZE(tensor), SIZE(tensor), SIZE(tensor), SIZE(tensor)},
	{23, 1, 0, SIZE(tensor), SIZE(tensor), 0, 0},
	{24, 1, 0, SIZE(model_fill), SIZE(model_fill), 0, 0},
	{25, 1, 0, SIZE(model_files), SIZE(model_files), SIZE(model_info),
	 TEXT},
	{26, 1, 0, SIZE(model), SIZE(model), SIZE(model_info), TEXT},
};

#define N_RULES (sizeof(rules) / sizeof(*rules))

/* Whether a frame of this version with all reserved fields 0 may arrive. */
static bool may(uint16_t type, enum pst_frame_reader reader, uint32_t status,
		uint32_t length)
{
	const bool reply = type & PST_WIRE_REPLY;
	const struct rule *r;

	for (r = rules; r < rules + N_RULES; r++)
		if (r->type == (type & ~PST_WIRE_REPLY))
			break;
	if (r == rules + N_RULES)
		return false;
	if (reply)
		return reader == PST_READER_CLIENT && r->reply_min >= 0 &&
		       (status ? length <= TEXT
			       : length >= r->reply_min &&
					 length <= r->reply_max);
	return (reader == PST_READER_AGENT ? r->to_agent : r->unasked) &&
	       (status != 0) == (r->type == PST_WIRE_ERROR) &&
	       length >= r->min && length <= r->max;
}

/* Decodes n bytes at the end of memory, of a frame with this header. */
static int64_t decode(const struct pst_wire_frame *h, size_t n,
		      enum pst_frame_reader reader, struct pst_frame *ret)
{
	uint8_t *at = end - n;
	struct pst_error err;

	memcpy(at, h, n < HEADER ? n : HEADER);
	return pst_frame_decode(at, n, reader, ret, &err);
}

static struct pst_wire_frame header(uint16_t type, uint32_t status,
				    uint32_t length)
{
	return (struct pst_wire_frame){
		.magic = PST_WIRE_FRAME_MAGIC,
		.version = PST_WIRE_VERSION,
		.type = type,
		.length = length,
		.seq = 1,
		.status = status,
	};
}

START_TEST(every_type_at_every_length_is_judged_as_the_protocol_says)
{
	unsigned int type, reader, status, accepted = 0, longest;
	struct pst_wire_frame h;
	struct pst_frame f;
	uint32_t length;
	int64_t r;

	for (type = 0; type <= UINT16_MAX; type++) {
		/* What is not known is refused at any length. */
		longest = (type & ~PST_WIRE_REPLY) < 2 * N_RULES ? 768 : 1;
		for (reader = 0; reader < 2; reader++)
			for (status = 0; status < 2; status++)
				for (length = 0; length <= longest; length++) {
					h = header((uint16_t)type, status,
						   length);
					r = decode(&h, HEADER + length, reader,
						   &f);
					if (!may((uint16_t)type, reader, status,
						 length)) {
						PST_MUST(r == -EPROTO);
						continue;
					}
					accepted++;
					PST_MUST(r ==
						 (int64_t)(HEADER + length));
					PST_MUST(f.length == length &&
						 f.payload + length == end);
				}
	}
	PST_MUST(accepted > 10000);
}
END_TEST

START_TEST(every_length_of_32_bits_that_matters_is_judged)
{
	static const uint32_t near[] = {513,  2047,     2048,     4095,
					4096, 4097,     TEXT - 1, TEXT,
					0,    TEXT + 1, 1U << 31, UINT32_MAX};
	struct pst_wire_frame h;
	unsigned int i, j, reader, status;
	struct pst_frame f;
	uint16_t type;
	int64_t r;

	for (i = 0; i < 2 * N_RULES; i++) {
		type = rules[i / 2].type | (i % 2 ? PST_WIRE_REPLY : 0);
		for (j = 0; j < sizeof(near) / sizeof(*near) * 4; j++) {
			reader = j % 2;
			status = j / 2 % 2;
			h = header(type, status, near[j / 4]);
			if (h.length > TEXT) {
				PST_MUST(decode(&h, HEADER, reader, &f) ==
					 -EMSGSIZE);
				continue;
			}
			r = decode(&h, HEADER + h.length, reader, &f);
			PST_MUST(r == (may(type, reader, status, h.length)
					       ? (int64_t)(HEADER + h.length)
					       : -EPROTO));
		}
	}
}
END_TEST

/* A valid request and reply of each kind, its shortest and its longest. */
static bool sample(unsigned int i, struct pst_wire_frame *h,
		   enum pst_frame_reader *reader)
{
	const struct rule *r = &rules[i / 4];
	const bool longest = i % 2, reply = i / 2 % 2;

	if (reply && r->reply_min < 0)
		return false;
	*reader = reply || !r->to_agent ? PST_READER_CLIENT : PST_READER_AGENT;
	*h = header(r->type | (reply ? PST_WIRE_REPLY : 0),
		    r->type == PST_WIRE_ERROR,
		    reply ? (uint32_t)(longest ? r->reply_max : r->reply_min)
			  : (longest ? r->max : r->min));
	return true;
}

START_TEST(a_frame_cut_anywhere_asks_for_more_and_reads_no_further)
{
	enum pst_frame_reader reader;
	struct pst_wire_frame h;
	struct pst_frame f;
	unsigned int i;
	size_t n, all;

	for (i = 0; i < 4 * N_RULES; i++) {
		if (!sample(i, &h, &reader))
			continue;
		all = HEADER + h.length;
		for (n = 0; n < all; n++)
			PST_MUST(decode(&h, n, reader, &f) == 0);
		PST_MUST(decode(&h, all, reader, &f) == (int64_t)all);
	}
}
END_TEST

START_TEST(every_value_of_every_byte_of_a_header_is_judged)
{
	enum pst_frame_reader reader;
	struct pst_wire_frame h, changed;
	unsigned int i, at, v;
	struct pst_frame f;
	int64_t r;
	bool ok;

	for (i = 0; i < 4 * N_RULES; i++) {
		if (!sample(i, &h, &reader))
			continue;
		for (at = 0; at < HEADER; at++) {
			for (v = 0; v < 256; v++) {
				changed = h;
				((uint8_t *)&changed)[at] = (uint8_t)v;
				r = decode(&changed, HEADER, reader, &f);
				ok = changed.magic == h.magic &&
				     changed.length <= TEXT &&
				     changed.version == PST_WIRE_VERSION &&
				     !changed.reserved0 && !changed.reserved1 &&
				     may(changed.type, reader, changed.status,
					 changed.length);
				if (ok)
					PST_MUST(r ==
						 (changed.length
							  ? 0
							  : (int64_t)HEADER));
				/* Types that negotiate read on. */
				else if (changed.version == PST_WIRE_VERSION ||
					 changed.version == 0)
					PST_MUST(r < 0);
			}
		}
	}
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_unchecked_fixture(tc, setup, NULL);
	tcase_add_test(
		tc, every_type_at_every_length_is_judged_as_the_protocol_says);
	tcase_add_test(tc, every_length_of_32_bits_that_matters_is_judged);
	tcase_add_test(tc,
		       a_frame_cut_anywhere_asks_for_more_and_reads_no_further);
	tcase_add_test(tc, every_value_of_every_byte_of_a_header_is_judged);
}

int main(void)
{
	return pst_unit_run("frame_all", add, 600);
}
