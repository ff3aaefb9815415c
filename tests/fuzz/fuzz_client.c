/* SPDX-License-Identifier: MIT */
/* Fuzz target: the host library against an agent that follows a script, in
 * virtual time, with shared words that lie. */
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FUZZ_CALLER
#include "tests/fuzz/client_sys.h"

#include "host-client/lib/ops/call.h"
#include "tests/fixtures/st_file.h"
#include "tests/fuzz/client_agent.h"
#include "tests/fuzz/fuzz.h"

/* The input is a program: a call of the library and its operands; the agent's
 * turns in between take their bytes from it too, see client_agent.c. */
enum call {
	ALLOC, /* size (2), shift */
	FREE,  /* which */
	NOP,   /* how */
	FILL,  /* how, which, size (2) */
	CHECKSUM,
	COPY, /* how, from, to, size (2) */
	GEMM, /* how, kind, size, three operands and a bias */
	WAIT, /* tag, timeout */
	POLL,
	CANCEL, /* tag */
	ARM,
	MAKE_TENSOR,    /* size (2) */
	DESTROY_TENSOR, /* which */
	LIST_TENSORS,
	UPLOAD, /* which, offset, size (2) */
	DOWNLOAD,
	MODEL,   /* what, name */
	INFER,   /* how, rows, in, out */
	ASK,     /* what */
	TAKE,    /* which, size (2) */
	FAILURE, /* tag */
	AGENT,   /* turns */
	SLEEP,   /* tens of ms */
	WATCH,
	REOPEN, /* how */
	N_CALLS,
	/* From FIRST_LATE on: the older corpus means what it did. */
	SUBMIT = N_CALLS, /* how many, for each: op and queue, its operands */
	WAIT_ANY,         /* timeout */
	WAIT_BUFFER,      /* which, timeout */
};

#define FIRST_LATE 253

#define N_QUEUES  3U
#define N_BUFFERS 8U
#define N_TENSORS 8U
#define N_TAGS    16U
#define STEPS_MAX 2000U
/* What a call may take beyond its deadline: sleeps between two tries. */
#define LATE_NS (100 * PST_NS_PER_MS)

const unsigned long fuzz_rounds = 2000;

static struct pst *c;
static uint64_t open_ns;    /* the connection's timeout */
static uint64_t allowed_ns; /* what the call may take */
static void *buffers[N_BUFFERS];
static uint64_t tensors[N_TENSORS];
static uint64_t tags[N_TAGS];
static unsigned int n_tags;
static struct pst_model model;
static uint8_t memory[4][2 << 20];

static void *buffer(void)
{
	return buffers[script_u8() % N_BUFFERS];
}

static uint64_t tensor(void)
{
	return tensors[script_u8() % N_TENSORS];
}

static uint64_t tag(void)
{
	return tags[script_u8() % N_TAGS];
}

static void stash_tag(int r, uint64_t t)
{
	if (r == 0)
		tags[n_tags++ % N_TAGS] = t;
}

static uint64_t timeout(void)
{
	static const uint64_t t[] = {0,
				     1,
				     20 * PST_NS_PER_US,
				     PST_NS_PER_MS,
				     30 * PST_NS_PER_MS,
				     300 * PST_NS_PER_MS,
				     2 * PST_NS_PER_S,
				     5 * PST_NS_PER_S};

	allowed_ns = t[script_u8() % PST_ARRAY_SIZE(t)];
	return allowed_ns;
}

/* A place in a region's buffer, a tensor, or memory of the program. */
static void operand(const void **ptr, uint64_t *id, unsigned int i)
{
	const uint8_t how = script_u8();

	*ptr = NULL;
	*id = 0;
	switch (how & 3) {
	case 0:
		*ptr = buffers[(how >> 2) % N_BUFFERS];
		break;
	case 1:
		*id = tensors[(how >> 2) % N_TENSORS];
		break;
	case 2:
		*ptr = memory[i] + (how >> 4) * 64;
		break;
	default:
		if (buffers[(how >> 2) % N_BUFFERS])
			*ptr = (uint8_t *)buffers[(how >> 2) % N_BUFFERS] +
			       (how >> 4) * 64;
	}
}

static void copy(uint8_t how)
{
	struct pst_copy_args p = PST_COPY_INIT;
	const void *dst;
	uint64_t t;

	operand(&p.src, &p.src_tensor, 0);
	operand(&dst, &p.dst_tensor, 1);
	p.dst = (void *)(uintptr_t)dst;
	p.n = script_u16();
	if (how & 1)
		(void)!pst_copy(c, &p, timeout(), NULL);
	else
		stash_tag(pst_submit_copy(c, &p, 0, &t), t);
}

/* Dimensions that are small, and some that do not fit into one piece. */
static uint32_t dim(uint8_t v)
{
	return v < 0xf8 ? v % 33 : 100 + (v & 7U) * 50;
}

static void gemm(uint8_t how)
{
	const uint8_t kind = script_u8();
	struct pst_gemm_args g = {
		.size = sizeof(struct pst_gemm_args),
		.dtype = kind % 6,
		.order = kind >> 3 & 1,
		.transa = kind >> 4 & 1,
		.transb = kind >> 5 & 1,
		.m = dim(script_u8()),
		.n = dim(script_u8()),
		.k = dim(script_u8()),
		.alpha = 1,
		.beta = kind >> 6 & 1,
		.act = how >> 1 & 3,
		.batch = how >> 3 & 3,
		.compute = how >> 5 & 1,
	};
	const void *out;
	uint64_t t;

	operand(&g.a, &g.a_tensor, 0);
	operand(&g.b, &g.b_tensor, 1);
	operand(&out, &g.c_tensor, 2);
	g.c = (void *)(uintptr_t)out;
	if (how & 64)
		operand(&g.bias, &g.bias_tensor, 3);
	g.lda = g.m > g.k ? g.m : g.k;
	g.ldb = g.k > g.n ? g.k : g.n;
	g.ldc = g.m > g.n ? g.m : g.n;
	g.stride_a = (uint64_t)g.lda * g.lda;
	g.stride_b = (uint64_t)g.ldb * g.ldb;
	g.stride_c = (uint64_t)g.ldc * g.ldc;
	/* What lies in the program's memory must do so to its end. */
	if (g.m > 32 || g.n > 32 || g.k > 32)
		g.batch = 1;
	if (how & 1)
		(void)!pst_gemm(c, &g, timeout(), NULL);
	else
		stash_tag(pst_submit_gemm(c, &g, 0, &t), t);
}

/* A file with a model of 4 to 2 elements. */
static const char *model_file(void)
{
	static char path[64];
	static uint8_t buf[4096];
	size_t n;
	int fd;

	if (path[0])
		return path;
	n = st_model(buf, sizeof(buf),
		     "[{\"type\":\"linear\",\"weight\":\"w\"}]",
		     "\"w\":{\"dtype\":\"F32\",\"shape\":[2,4],"
		     "\"data_offsets\":[0,32]}");
	fd = memfd_create("model", 0);
	FUZZ_CHECK(n && fd >= 0 && write(fd, buf, n + 32) == (ssize_t)(n + 32));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return path;
}

static void use_model(void)
{
	const uint8_t what = script_u8();
	const char name[2] = {(char)('a' + (what >> 2) % 4), 0};
	char *json = NULL;

	switch (what & 3) {
	case 0:
		(void)!pst_model_load(c, name, model_file(), timeout(), &model);
		break;
	case 1:
		(void)!pst_model_open(c, name, &model);
		break;
	case 2:
		(void)!pst_model_unload(c, name);
		break;
	default:
		(void)!pst_model_list(c, &json);
		free(json);
	}
}

/* Up to four operations of any kind on any queue, also on none. */
static void submit(void)
{
	struct pst_submission ops[4];
	struct pst_gemm_args g = PST_GEMM_INIT;
	struct pst_copy_args k = PST_COPY_INIT;
	const int n = script_u8() % 5;
	uint64_t t[4];
	int i, r, what;

	g.dtype = PST_F32;
	g.m = g.n = g.k = 4;
	g.a = g.b = k.src = buffer();
	g.c = k.dst = buffer();
	k.n = 64;
	for (i = 0; i < n; i++) {
		what = script_u8();
		ops[i] = (struct pst_submission)PST_SUBMISSION_INIT;
		ops[i].op = what & 3;
		ops[i].queue = (what >> 2) % (N_QUEUES + 1);
		if (ops[i].op == PST_OP_GEMM)
			ops[i].args.gemm = &g;
		if (ops[i].op == PST_OP_COPY)
			ops[i].args.copy = &k;
	}
	r = pst_submit(c, ops, n, t);
	FUZZ_CHECK(r <= n && r != 0);
	for (i = 0; i < r; i++)
		stash_tag(0, t[i]);
}

static void wait_any(void)
{
	struct pst_completion done[4];
	const int n = pst_wait_any(c, done, 4, timeout());

	FUZZ_CHECK(n && n <= 4);
}

static void infer(uint8_t how)
{
	struct pst_infer_args f = {
		.size = sizeof(struct pst_infer_args),
		.model = &model,
		.rows = script_u8() % 32,
		.ld_in = 4,
		.ld_out = 2,
	};
	const void *out;
	uint64_t t;

	operand((const void **)&f.in, &t, 0);
	operand(&out, &t, 1);
	f.out = (void *)(uintptr_t)out;
	/* Another agent's numbers would lead out of the program's memory. */
	if (model.n_in != 4 || model.n_out != 2)
		return;
	if (how & 1)
		(void)!pst_infer(c, &f, timeout(), NULL);
	else
		stash_tag(pst_submit_infer(c, &f, 0, &t), t);
}

static void ask(void)
{
	struct pst_info info = {.size = sizeof(info)};
	const uint8_t what = script_u8();
	char *json = NULL;
	char text[64];

	switch (what & 3) {
	case 0:
		(void)!pst_ping(c, NULL);
		break;
	case 1:
		(void)!pst_get_info(c, &info);
		info.size = what >> 2;
		(void)!pst_get_info(c, &info);
		pst_last_error(c, text, sizeof(text));
		FUZZ_CHECK(pst_strerror(-what) && pst_version());
		break;
	default:
		(void)!pst_query(c, (enum pst_topic)(what >> 2 & 3), &json);
		free(json);
	}
}

static bool inspect(unsigned int record, struct agent_sight *ret)
{
	ret->seq = c->channel.seq;
	ret->cq_head = c->queue[0].lane.cq_head;
	ret->lane = c->session.welcome.lane;
	ret->tag = c->queue[0].ops.rec[record % PST_WIRE_SLOTS].done.tag;
	return c->session.live && !c->conf.control_only;
}

static void stop(bool yes)
{
	c->session.closing = yes;
}

static void reopen(uint8_t how)
{
	struct pst_options o = {
		.size = sizeof(o),
		.flags = how & (PST_OPEN_CONTROL_ONLY | PST_OPEN_NO_SPIN),
		.timeout_ns = (1 + (how >> 4)) * 100 * PST_NS_PER_MS,
		.queues = how & 64 ? N_QUEUES : 0,
		.dead_ns = how & 8 ? 150 * PST_NS_PER_MS : 0,
		.name = "fuzz",
	};
	static const struct agent_peer peer = {inspect, stop};
	static const char *const uris[] = {
		"unix:///fuzz?region=/nonexistent",
		"vsock://3:5000?region=/nonexistent",
		"vsock-uds:///fuzz:5000?region=/dev/null",
		"unix:///fuzz%2fz",
		"fuzz",
		"unix:///fuzz?size=1",
		"vsock://3:x",
		"",
	};
	const char *uri = "unix:///fuzz";
	char text[64];

	if (how & 4)
		uri = uris[script_u8() % PST_ARRAY_SIZE(uris)];
	agent_peer(NULL);
	pst_close(c);
	c = NULL;
	memset(buffers, 0, sizeof(buffers));
	open_ns = allowed_ns = o.timeout_ns;
	if (pst_open(uri, &o, &c, text, sizeof(text)) < 0)
		c = NULL;
	else
		agent_peer(&peer);
}

static void transfer(enum call what)
{
	const uint64_t t = tensor(), off = script_u8() * 16U;
	const size_t n = script_u16();

	if (what == UPLOAD)
		(void)!pst_upload(c, t, off, memory[0], n, timeout());
	else
		(void)!pst_download(c, memory[0], t, off, n, timeout());
}

static void submit_span(enum call what, uint8_t how)
{
	void *p = buffer();
	const size_t n = script_u16();
	uint64_t t;
	int r;

	if (how & 1 && what == FILL)
		r = pst_fill(c, p, n, 7, 1U << (how >> 1 & 3), timeout(), NULL);
	else if (how & 1)
		r = pst_checksum(c, p, n, timeout(), NULL);
	else if (what == FILL)
		r = pst_submit_fill(c, p, n, 7, 4, 0, &t);
	else
		r = pst_submit_checksum(c, p, n, 0, &t);
	if (!(how & 1))
		stash_tag(r, t);
}

static void nop(uint8_t how)
{
	uint64_t t;

	if (how & 1)
		(void)!pst_nop(c, timeout(), NULL);
	else
		stash_tag(pst_submit_nop(c, 0, &t), t);
}

static void poll_all(void)
{
	struct pst_completion done[16];
	int n, all = 0;

	/* A loop that takes all there is comes to an end. */
	while ((n = pst_poll(c, done, 16)) > 0) {
		all += n;
		FUZZ_CHECK(all <= (int)(N_QUEUES * PST_WIRE_SLOTS));
	}
}

static void memory_call(enum call what)
{
	unsigned int i = script_u8() % N_BUFFERS;
	const size_t n = script_u16();

	if (what == ALLOC && !buffers[i])
		(void)!pst_alloc(c, n << script_u8() % 8, &buffers[i]);
	if (what == TAKE && buffers[i])
		(void)!pst_take(c, memory[3], buffers[i], n);
	if (what != FREE)
		return;
	FUZZ_CHECK(pst_free(c, buffers[i]) == 0);
	buffers[i] = NULL;
}

static void tensor_call(enum call what)
{
	struct pst_tensor list[N_TENSORS];
	unsigned int i = script_u8() % N_TENSORS;

	if (what == MAKE_TENSOR && tensors[i] == 0)
		(void)!pst_tensor_create(c, script_u16(), &tensors[i]);
	if (what == LIST_TENSORS)
		(void)!pst_tensor_list(c, list, N_TENSORS);
	if (what == DESTROY_TENSOR) {
		(void)!pst_tensor_destroy(c, tensors[i]);
		tensors[i] = 0;
	}
}

static enum call next_call(void)
{
	const uint8_t v = script_u8();

	return v < FIRST_LATE ? v % N_CALLS
			      : (unsigned)N_CALLS + v - FIRST_LATE;
}

static void step(void)
{
	const enum call what = next_call();
	uint64_t start = fuzz_now_ns;
	char text[64];
	unsigned int i;

	/* A session and an answer. */
	allowed_ns = 2 * open_ns;
	switch (what) {
	case ALLOC:
	case FREE:
	case TAKE:
		memory_call(what);
		break;
	case NOP:
		nop(script_u8());
		break;
	case FILL:
	case CHECKSUM:
		submit_span(what, script_u8());
		break;
	case COPY:
		copy(script_u8());
		break;
	case GEMM:
		gemm(script_u8());
		break;
	case WAIT:
		(void)!pst_wait(c, tag(), timeout(), NULL);
		break;
	case POLL:
		poll_all();
		break;
	case CANCEL:
		(void)!pst_cancel(c, tag());
		break;
	case ARM:
		(void)!pst_arm(c);
		break;
	case MAKE_TENSOR:
	case DESTROY_TENSOR:
	case LIST_TENSORS:
		tensor_call(what);
		break;
	case UPLOAD:
	case DOWNLOAD:
		transfer(what);
		break;
	case MODEL:
		use_model();
		break;
	case INFER:
		infer(script_u8());
		break;
	case ASK:
		ask();
		break;
	case FAILURE:
		(void)!pst_failure(c, tag(), text, sizeof(text));
		break;
	case AGENT:
		for (i = script_u8() % 8 + 1; i > 0; i--)
			agent_turn();
		break;
	case SLEEP:
		fuzz_now_ns += script_u8() * 10 * PST_NS_PER_MS;
		start = fuzz_now_ns;
		break;
	case WATCH:
		agent_watch();
		break;
	case REOPEN:
		reopen(script_u8());
		break;
	case SUBMIT:
		submit();
		break;
	case WAIT_ANY:
		wait_any();
		break;
	case WAIT_BUFFER:
		(void)!pst_wait_buffer(c, buffer(), timeout());
		(void)!pst_check(c);
		break;
	}
	if (fuzz_now_ns - start > allowed_ns + LATE_NS)
		fprintf(stderr, "call %d took %" PRIu64 " us of %" PRIu64 "\n",
			(int)what, (fuzz_now_ns - start) / 1000,
			allowed_ns / 1000);
	FUZZ_CHECK(fuzz_now_ns - start <= allowed_ns + LATE_NS);
}

/* Every record is where its state says, and in one list at most. Returns how
 * many the agent may have. */
static unsigned int check_records(const struct pst_pending *t)
{
	unsigned int n[4] = {0}, n_done = 0, i;
	bool seen[PST_WIRE_SLOTS] = {false};
	struct pst_record *rec;

	for (i = 0; i < PST_WIRE_SLOTS; i++)
		n[t->rec[i].state]++;
	for (i = 0; i < t->n_free; i++) {
		FUZZ_CHECK(t->rec[t->free[i]].state == PST_RECORD_FREE);
		FUZZ_CHECK(!seen[t->free[i]]);
		seen[t->free[i]] = true;
	}
	TAILQ_FOREACH(rec, &t->done, link)
	{
		FUZZ_CHECK(rec->state == PST_RECORD_DONE && !rec->claimed);
		FUZZ_CHECK(n_done++ < PST_WIRE_SLOTS);
	}
	FUZZ_CHECK(t->n_free == n[PST_RECORD_FREE]);
	FUZZ_CHECK(n_done <= n[PST_RECORD_DONE]);
	return n[PST_RECORD_PENDING] + n[PST_RECORD_ABANDONED];
}

static void check_queues(void)
{
	unsigned int i, n;

	/* Nobody gives up the lock with a failure pending. */
	FUZZ_CHECK(!c->channel.failed);
	for (i = 0; i < c->conf.n_queues; i++) {
		n = check_records(&c->queue[i].ops);
		if (!c->session.live)
			FUZZ_CHECK(n == 0);
		else if (!c->conf.control_only && i < c->session.n_lanes)
			FUZZ_CHECK(c->queue[i].lane.sq_tail -
					   c->queue[i].lane.cq_head ==
				   n);
	}
}

/* With nothing outstanding and nothing kept, nothing is held. */
static void check_empty(void)
{
	unsigned int n = 0;
	size_t i;

	for (i = 0; i < N_BUFFERS; i++)
		FUZZ_CHECK(pst_free(c, buffers[i]) == 0);
	for (i = 0; i < c->conf.n_queues; i++)
		n += check_records(&c->queue[i].ops);
	if (n)
		return;
	for (i = 0; i < c->mem.heap.n; i++)
		FUZZ_CHECK(c->mem.heap.extents[i]->n_blocks == 0);
	FUZZ_CHECK(c->session.live || c->mem.heap.n == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	unsigned int i;

	script = (struct script){data, n};
	memset(buffers, 0, sizeof(buffers));
	memset(tensors, 0, sizeof(tensors));
	memset(tags, 0, sizeof(tags));
	memset(&model, 0, sizeof(model));
	n_tags = 0;
	agent_begin();
	reopen(script_u8());
	for (i = 0; i < STEPS_MAX && script.n > 0; i++) {
		if (c) {
			step();
			if (c)
				check_queues();
		} else {
			reopen(script_u8());
		}
	}
	if (c) {
		poll_all();
		check_empty();
	}
	agent_peer(NULL);
	pst_close(c);
	c = NULL;
	agent_end();
	return 0;
}
