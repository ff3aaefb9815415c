/* SPDX-License-Identifier: MIT */
/* Fuzz target: control frames as either end reads them. */
#include <errno.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "transport/frame.h"

union payload {
	struct pst_wire_challenge challenge;
	struct pst_wire_hello hello;
	struct pst_wire_welcome welcome;
	struct pst_wire_lease lease;
	struct pst_wire_cancel cancel;
	struct pst_wire_lanes lanes;
	struct pst_wire_tensor tensor;
	struct pst_wire_model_load model_load;
	struct pst_wire_model model;
	struct pst_wire_model_fill fill;
	struct pst_wire_model_files files;
	struct pst_wire_tensor list[PST_WIRE_LIST_MAX];
};

/* Printable, then zeros to the end: fit for a log and a terminal. */
static bool is_clean(const char *s, size_t size)
{
	size_t i = 0;

	while (i < size && s[i] >= ' ' && s[i] <= '~')
		i++;
	if (i == size)
		return false;
	while (i < size && !s[i])
		i++;
	return i == size;
}

static void check_welcome(const struct pst_wire_welcome *w)
{
	FUZZ_CHECK(w->arena_off + w->arena_size + PST_WIRE_PREAMBLE <=
		   w->file_size);
	FUZZ_CHECK(w->lane < PST_WIRE_MAX_LANES || w->lane == UINT32_MAX);
	FUZZ_CHECK(is_clean(w->agent_version, sizeof(w->agent_version)));
	FUZZ_CHECK(is_clean(w->provider, sizeof(w->provider)));
	FUZZ_CHECK(is_clean(w->backend, sizeof(w->backend)));
	FUZZ_CHECK(is_clean(w->driver, sizeof(w->driver)));
	FUZZ_CHECK(is_clean(w->cuda, sizeof(w->cuda)));
	FUZZ_CHECK(is_clean(w->cublas, sizeof(w->cublas)));
}

static void check_lease(const struct pst_frame *f,
			const struct pst_wire_lease *l)
{
	if (f->type == PST_WIRE_LEASE && !f->reply)
		FUZZ_CHECK(l->off == 0);
	else
		FUZZ_CHECK(l->off >= PST_WIRE_CTL_SIZE && l->size > 0 &&
			   l->off + l->size <= PST_WIRE_MAX_FILE);
}

static void check_tensor(const struct pst_frame *f,
			 const struct pst_wire_tensor *t)
{
	if (f->reply)
		FUZZ_CHECK(t->handle && t->size);
	else
		FUZZ_CHECK(!t->handle || !t->size);
}

static void check_list(const struct pst_wire_tensor *list, int n)
{
	int i;

	FUZZ_CHECK(n <= (int)PST_WIRE_LIST_MAX);
	for (i = 0; i < n; i++)
		FUZZ_CHECK(list[i].size &&
			   list[i].handle > (i ? list[i - 1].handle : 7));
}

static void check_lanes(const struct pst_frame *f,
			const struct pst_wire_lanes *l)
{
	uint32_t i, k;

	FUZZ_CHECK(!l->reserved0);
	FUZZ_CHECK(!f->reply || (l->n >= 1 && l->n <= PST_WIRE_SESSION_LANES));
	for (i = 0; i < PST_WIRE_SESSION_LANES; i++)
		FUZZ_CHECK(f->reply && i < l->n
				   ? l->lane[i] < PST_WIRE_MAX_LANES
				   : !l->lane[i]);
	for (i = 1; f->reply && i < l->n; i++)
		for (k = 0; k < i; k++)
			FUZZ_CHECK(l->lane[k] != l->lane[i]);
}

static void check_text(const struct pst_frame *f)
{
	char text[32];
	size_t n = pst_frame_text(f, text, sizeof(text));

	FUZZ_CHECK(n < sizeof(text) && n <= f->length && !text[n]);
	FUZZ_CHECK(n == strlen(text));
}

static void check_model(const struct pst_frame *f, struct pst_wire_model *m,
			struct pst_error *err)
{
	if (pst_frame_model(f, m, err) < 0)
		return;
	FUZZ_CHECK(is_clean(m->name, sizeof(m->name)));
	FUZZ_CHECK(!f->reply == !m->handle && !f->reply == !m->max_batch);
}

static void check_files(const struct pst_wire_model_files *l)
{
	uint32_t i, graphs = 0;

	FUZZ_CHECK(is_clean(l->name, sizeof(l->name)));
	FUZZ_CHECK(l->n_files >= 1 && l->n_files <= PST_WIRE_MODEL_FILES);
	for (i = 0; i < l->n_files; i++) {
		FUZZ_CHECK(is_clean(l->file[i].name, sizeof(l->file[i].name)));
		graphs += !l->file[i].name[0];
	}
	FUZZ_CHECK(graphs == 1);
}

/* What is accepted is written as it was read. */
static void check_info(const struct pst_frame *f, struct pst_error *err)
{
	static uint8_t again[PST_WIRE_MAX_PAYLOAD];
	static struct pst_model_info info;

	if (pst_frame_model_info(f, &info, err) < 0)
		return;
	FUZZ_CHECK(pst_run_model_check(&info.shape, err) == 0);
	FUZZ_CHECK(is_clean(info.head.note, sizeof(info.head.note)));
	FUZZ_CHECK(is_clean(info.head.runtime, sizeof(info.head.runtime)));
	FUZZ_CHECK(strlen(info.meta) == info.head.n_meta);
	FUZZ_CHECK(pst_frame_model_info_encode(&info, again) == f->length);
	FUZZ_CHECK(memcmp(again, f->payload, f->length) == 0);
}

static void read_payload(const struct pst_frame *f, struct pst_error *err)
{
	union payload p;

	if (pst_frame_failure(f, err) < 0) {
		FUZZ_CHECK(memchr(err->text, 0, sizeof(err->text)));
		return;
	}
	switch (f->type) {
	case PST_WIRE_CHALLENGE:
		if (pst_frame_challenge(f, &p.challenge, err) == 0)
			FUZZ_CHECK(p.challenge.version_min > 0);
		break;
	case PST_WIRE_HELLO:
		if (f->reply) {
			if (pst_frame_welcome(f, &p.welcome, err) == 0)
				check_welcome(&p.welcome);
		} else if (pst_frame_hello(f, &p.hello, err) == 0 &&
			   p.hello.version == PST_WIRE_VERSION) {
			FUZZ_CHECK(
				is_clean(p.hello.name, sizeof(p.hello.name)));
			FUZZ_CHECK(p.hello.nonce_slot < PST_WIRE_NONCE_SLOTS);
		}
		break;
	case PST_WIRE_LEASE:
	case PST_WIRE_RELEASE:
		if (pst_frame_lease(f, &p.lease, err) == 0)
			check_lease(f, &p.lease);
		break;
	case PST_WIRE_TENSOR_CREATE:
	case PST_WIRE_TENSOR_DESTROY:
	case PST_WIRE_MODEL_STAGE:
	case PST_WIRE_MODEL_UNSTAGE:
		if (pst_frame_tensor(f, &p.tensor, err) == 0)
			check_tensor(f, &p.tensor);
		break;
	case PST_WIRE_TENSOR_LIST:
		if (f->reply)
			check_list(p.list,
				   pst_frame_tensor_list(f, 7, p.list, err));
		else if (pst_frame_tensor(f, &p.tensor, err) == 0)
			check_tensor(f, &p.tensor);
		break;
	case PST_WIRE_FAILURE:
		check_text(f);
		break;
	case PST_WIRE_MODEL_LOAD:
		if (f->reply)
			check_model(f, &p.model, err);
		else if (pst_frame_model_load(f, &p.model_load, err) == 0)
			FUZZ_CHECK(is_clean(p.model_load.name,
					    sizeof(p.model_load.name)) &&
				   p.model_load.header_off % 8 == 0);
		break;
	case PST_WIRE_MODEL_OPEN:
	case PST_WIRE_MODEL_UNLOAD:
		if (!f->reply || f->type == PST_WIRE_MODEL_OPEN)
			check_model(f, &p.model, err);
		break;
	case PST_WIRE_MODEL_FILL:
		if (pst_frame_model_fill(f, &p.fill, err) == 0)
			FUZZ_CHECK(p.fill.size && p.fill.handle);
		break;
	case PST_WIRE_MODEL_LOAD_FILES:
		if (f->reply)
			check_info(f, err);
		else if (pst_frame_model_files(f, &p.files, err) == 0)
			check_files(&p.files);
		break;
	case PST_WIRE_MODEL_DESCRIBE:
		if (f->reply)
			check_info(f, err);
		else
			check_model(f, &p.model, err);
		break;
	case PST_WIRE_LANES:
		if (pst_frame_lanes(f, &p.lanes, err) == 0)
			check_lanes(f, &p.lanes);
		break;
	case PST_WIRE_CANCEL:
		FUZZ_CHECK(pst_frame_cancel(f, &p.cancel, err) ==
			   (f->length ? 0 : -EPROTO));
		break;
	default:
		break;
	}
}

/* A frame of our version is encoded to the bytes it was decoded from. */
static void check_same(const struct pst_frame *f, const uint8_t *bytes,
		       size_t n)
{
	uint8_t *again = malloc(n);

	FUZZ_CHECK(again);
	FUZZ_CHECK(pst_frame_encode(f, again, n) == (int64_t)n);
	FUZZ_CHECK(memcmp(again, bytes, n) == 0);
	FUZZ_CHECK(pst_frame_encode(f, again, n - 1) == -EMSGSIZE);
	free(again);
}

/* The first byte says who reads, the rest is the stream. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	enum pst_frame_reader reader;
	struct pst_wire_frame h;
	struct pst_error err;
	struct pst_frame f;
	int64_t used;

	if (n == 0)
		return 0;
	reader = *data & 1 ? PST_READER_CLIENT : PST_READER_AGENT;
	data++;
	n--;
	while ((used = pst_frame_decode(data, n, reader, &f, &err)) > 0) {
		FUZZ_CHECK((size_t)used <= n);
		FUZZ_CHECK(used == (int64_t)sizeof(h) + f.length);
		FUZZ_CHECK(f.payload == data + sizeof(h));
		memcpy(&h, data, sizeof(h));
		if (h.version == PST_WIRE_VERSION)
			check_same(&f, data, (size_t)used);
		read_payload(&f, &err);
		data += used;
		n -= (size_t)used;
	}
	FUZZ_CHECK(used == 0 || err.text[0]);
	return 0;
}
