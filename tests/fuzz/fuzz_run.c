/* SPDX-License-Identifier: MIT */
/* Fuzz target: the call block of a RUN, and the model that it is held against.
 */
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "transport/run.h"

/* What the session holds, the input's bytes at its start. */
#define HELD 65536U

static _Alignas(64) uint8_t region[HELD];
static struct pst_run_model model;
static struct pst_run run;

static bool holds(void *arg, const struct pst_span *span)
{
	(void)arg;
	return span->off <= HELD && span->size <= HELD - span->off;
}

static int find(void *arg, uint64_t handle, struct pst_op_run_model *ret)
{
	(void)arg;
	*ret = (struct pst_op_run_model){
		.shape = &model, .model = &model, .device = &model, .id = 1};
	return handle == 1 ? 0 : -1;
}

/* The first bytes say what the model takes. Returns their number. */
static size_t make_model(const uint8_t *data, size_t n)
{
	size_t at = 2;
	uint32_t i, j;

	memset(&model, 0, sizeof(model));
	if (n < 2)
		return n;
	model.n_in = data[0] % 4;
	model.n_out = data[1] % 4;
	model.n_symbols = 2;
	strcpy(model.symbol[0], "batch");
	strcpy(model.symbol[1], "tokens");
	for (i = 0; i < model.n_in + model.n_out; i++) {
		struct pst_run_tensor *t = &model.io[i];

		if (n - at < 6)
			return n;
		snprintf(t->name, sizeof(t->name), "t%u", i);
		t->dtype = 1 + data[at] % (PST_WIRE_N_DTYPES - 1);
		t->rank = data[at + 1] % 5;
		for (j = 0; j < t->rank; j++) {
			t->dim[j] = data[at + 2 + j % 4] % 8 - 1;
			t->symbol[j] = t->dim[j] < 0 ? data[at + 2] % 3 : 0;
		}
		at += 6;
	}
	return at;
}

static void check_call(void)
{
	uint32_t i, j;
	uint64_t bytes;

	FUZZ_CHECK(run.n_in == model.n_in && run.n_out <= model.n_out);
	for (i = 0; i < run.n_in + run.n_out; i++) {
		const struct pst_run_io *io = &run.io[i];
		const bool in = i < run.n_in;
		const struct pst_run_tensor *t =
			&model.io[in ? io->slot : model.n_in + io->slot];

		FUZZ_CHECK(io->slot < (in ? model.n_in : model.n_out));
		FUZZ_CHECK(io->dtype == t->dtype && io->span.off % 64 == 0);
		FUZZ_CHECK(!io->span.size || holds(NULL, &io->span));
		for (j = 0; !io->any && j < t->rank; j++)
			FUZZ_CHECK(t->dim[j] < 0 ||
				   io->dim[j] == (uint64_t)t->dim[j]);
		if (in)
			FUZZ_CHECK(!pst_run_bytes(io->dtype, io->rank, io->dim,
						  &bytes) &&
				   bytes == io->span.size);
		for (j = 0; !in && j < i; j++)
			FUZZ_CHECK(!io->span.size || !run.io[j].span.size ||
				   io->span.off >=
					   run.io[j].span.off +
						   run.io[j].span.size ||
				   run.io[j].span.off >=
					   io->span.off + io->span.size);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const struct pst_op_env env = {
		.holds = holds,
		.run_model = find,
		.base = region,
		.run = &run,
		.max_run_bytes = HELD,
	};
	const size_t used = make_model(data, n);
	struct pst_wire_sqe sqe = {.op = PST_WIRE_OP_RUN, .off_b = 1};
	struct pst_error err = {0};
	struct pst_op op = {0};

	data += used;
	n -= used;
	if (n > HELD)
		n = HELD;
	memset(region, 0, sizeof(region));
	if (n)
		memcpy(region, data, n);
	sqe.length = n / 64 * 64;
	if (pst_op_check(&sqe, &env, &op, &err) < 0) {
		FUZZ_CHECK(err.text[0]);
		return 0;
	}
	FUZZ_CHECK(op.run == &run && op.a.size == sqe.length);
	check_call();
	/* What was checked can be answered. */
	pst_run_answer(&run, region);
	return 0;
}
