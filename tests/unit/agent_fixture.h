/* SPDX-License-Identifier: MIT */
/* An agent without sockets: sessions over a buffer, a backend that only
 * counts, a region in ordinary memory. */
#ifndef PST_TESTS_UNIT_AGENT_FIXTURE_H
#define PST_TESTS_UNIT_AGENT_FIXTURE_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest-agent/serve/agent.h"
#include "guest-agent/serve/session.h"
#include "guest-agent/service/log.h"
#include "transport/frame.h"
#include "transport/ring.h"

#define FIXTURE_ARENA (4ULL * PST_WIRE_UNIT)
#define FIXTURE_EPOCH 0x1122334455667788ULL
#define FIXTURE_OUT   (2U << 20)

/* A GEMM's m is the number of its steps, k that of refused cancels; likewise
 * INFER's, but for refused cancels; FILL and CHECKSUM take one step. */
struct pst_backend {
	void (*on_begin)(const struct pst_op *op); /* may be NULL */
	void (*on_release)(const void *mem);       /* may be NULL */
	unsigned int steps;
	unsigned int n_mem; /* memory of tensors, in pieces */
	unsigned int n_models;
	int model_error; /* of the next model_new */
};

#define FIXTURE_TENSOR_BYTES (1U << 20)
#define FIXTURE_TENSORS      4U
#define FIXTURE_MODELS       2U

struct fixture_peer {
	struct pst_agent *agent;
	struct pst_session *session;
	bool held; /* has bytes that were not handled */
	size_t n_out;
	uint8_t out[FIXTURE_OUT]; /* what the agent has sent */
	int fail_after;           /* sends that succeed; -1: all do */
	size_t pending;           /* what the session is told of its queue */
};

struct fixture {
	struct pst_agent agent;
	struct pst_backend backend;
};

static inline int fixture_open(uint8_t *base, uint64_t size, uint32_t threads,
			       struct pst_backend **ret, struct pst_error *err)
{
	static struct pst_backend backend;

	backend = (struct pst_backend){0};
	*ret = &backend;
	return 0;
}

static inline void fixture_close(struct pst_backend *b)
{
}

static inline int fixture_begin(struct pst_backend *b,
				struct pst_backend_op *bop,
				struct pst_error *err)
{
	if (b->on_begin)
		b->on_begin(&bop->op);
	return 0;
}

static inline int fixture_step(struct pst_backend *b,
			       struct pst_backend_op *bop,
			       struct pst_error *err)
{
	b->steps++;
	bop->compute_ns += 1000;
	if (bop->op.op != PST_WIRE_OP_GEMM && bop->op.op != PST_WIRE_OP_INFER)
		return 1;
	return ++bop->cursor[0] >= bop->op.m;
}

static inline int fixture_cancel(struct pst_backend *b,
				 struct pst_backend_op *bop)
{
	return bop->op.op == PST_WIRE_OP_INFER || ++bop->cursor[1] > bop->op.k;
}

/* Memory of a tensor is its size and nothing more. */
static inline int fixture_alloc(struct pst_backend *b, uint64_t size,
				void **ret, struct pst_error *err)
{
	uint64_t *mem = malloc(sizeof(*mem));

	if (!mem)
		return pst_error_set(err, -ENOMEM, "out of memory");
	*mem = size;
	*ret = mem;
	b->n_mem++;
	return 0;
}

static inline void fixture_release(struct pst_backend *b, void *mem)
{
	if (b->on_release)
		b->on_release(mem);
	b->n_mem--;
	free(mem);
}

/* A model is the memory of its weights. */
static inline int fixture_model_new(struct pst_backend *b,
				    const struct pst_model_plan *plan,
				    void *weights, void **ret,
				    struct pst_error *err)
{
	if (b->model_error)
		return b->model_error;
	*ret = weights;
	b->n_models++;
	return 0;
}

static inline void fixture_model_free(struct pst_backend *b, void *model)
{
	b->n_models--;
	fixture_release(b, model);
}

static inline void fixture_describe(struct pst_backend *b, char *buf,
				    size_t size)
{
	snprintf(buf, size, "fixture");
}

static inline uint32_t fixture_threads(struct pst_backend *b)
{
	return 1;
}

static const struct pst_backend_ops fixture_ops = {
	.name = "fixture",
	.open = fixture_open,
	.close = fixture_close,
	.begin = fixture_begin,
	.step = fixture_step,
	.cancel = fixture_cancel,
	.describe = fixture_describe,
	.threads = fixture_threads,
	.alloc = fixture_alloc,
	.release = fixture_release,
	.model_new = fixture_model_new,
	.model_free = fixture_model_free,
};

/* Time stands still, so that frames cost nothing; a test may set it. */
static uint64_t fixture_now_ns;

static inline uint64_t fixture_clock(void)
{
	return fixture_now_ns;
}

/* base: PST_WIRE_CTL_SIZE + FIXTURE_ARENA bytes, aligned to 64. */
static inline int fixture_init(struct fixture *f, uint8_t *base)
{
	memset(f, 0, sizeof(*f));
	memset(base, 0, sizeof(struct pst_wire_header));
	pst_log_set_level(PST_LOG_ERROR);
	f->agent.region = (struct pst_region){
		.provider = PST_PROVIDER_FILE,
		.name = "fixture",
		.fd = -1,
		.base = base,
		.size = PST_WIRE_CTL_SIZE + FIXTURE_ARENA,
		.file_size =
			PST_WIRE_PREAMBLE + PST_WIRE_CTL_SIZE + FIXTURE_ARENA,
		.page_size = 4096,
	};
	f->agent.epoch = FIXTURE_EPOCH;
	f->agent.limits = (struct pst_wire_limits){
		.max_dim = 1000,
		.max_clients = 3,
		.max_elems = 1000000,
		.max_lease = FIXTURE_ARENA - PST_WIRE_UNIT,
		.max_tensor_bytes = FIXTURE_TENSOR_BYTES,
		.max_tensors = FIXTURE_TENSORS,
		.max_batch = 10,
	};
	f->agent.turns.clock = fixture_clock;
	f->agent.max_models = FIXTURE_MODELS;
	f->agent.ops = &fixture_ops;
	f->agent.backend = &f->backend;
	return pst_agent_init(&f->agent, "/nonexistent", NULL);
}

static inline int fixture_send(void *arg, const void *buf, size_t n, int fd)
{
	struct fixture_peer *p = arg;

	if (p->fail_after == 0)
		return -ECONNRESET;
	if (n > sizeof(p->out) - p->n_out)
		return -EMSGSIZE;
	if (p->fail_after > 0)
		p->fail_after--;
	memcpy(p->out + p->n_out, buf, n);
	p->n_out += n;
	return 0;
}

static inline size_t fixture_pending(void *arg)
{
	return ((struct fixture_peer *)arg)->pending;
}

static inline void fixture_turned(void *arg, bool more)
{
	((struct fixture_peer *)arg)->held = more;
}

/* Bytes come, and all turns that there are. */
static inline void fixture_input(struct fixture_peer *p, const uint8_t *buf,
				 size_t n, uint64_t now_ns)
{
	fixture_now_ns = now_ns;
	pst_session_input(p->session, buf, n);
	while (pst_turns_wait(&p->agent->turns))
		pst_turns_run(p->agent, UINT64_MAX);
}

/* A new connection, challenged. */
static inline int fixture_connect(struct fixture *f, struct fixture_peer *p,
				  uint64_t now_ns)
{
	const struct pst_session_io io = {fixture_send, fixture_pending,
					  fixture_turned, p};
	int r;

	p->agent = &f->agent;
	p->held = false;
	p->n_out = 0;
	p->fail_after = -1;
	p->pending = 0;
	r = pst_session_new(&f->agent, &io, false, &p->session);
	if (r == 0)
		pst_session_challenge(p->session, now_ns);
	return r;
}

/* Takes the oldest frame that the agent has sent. Returns 0 for none; f's
 * payload is valid until the next one. */
static inline int64_t fixture_recv(struct fixture_peer *p, struct pst_frame *f)
{
	static uint8_t
		buf[sizeof(struct pst_wire_frame) + PST_WIRE_MAX_PAYLOAD];
	int64_t n =
		pst_frame_decode(p->out, p->n_out, PST_READER_CLIENT, f, NULL);

	if (n <= 0)
		return n;
	memcpy(buf, p->out, (size_t)n);
	f->payload = buf + sizeof(struct pst_wire_frame);
	p->n_out -= (size_t)n;
	memmove(p->out, p->out + n, p->n_out);
	return n;
}

static inline void fixture_feed(struct fixture_peer *p, uint16_t type,
				uint32_t seq, const void *payload, uint32_t n,
				uint64_t now_ns)
{
	const struct pst_frame f = {
		.type = type,
		.seq = seq,
		.payload = payload,
		.length = n,
	};
	uint8_t buf[256];
	int64_t size = pst_frame_encode(&f, buf, sizeof(buf));

	if (size > 0)
		fixture_input(p, buf, (size_t)size, now_ns);
}

/* Says HELLO as a client does that read the CHALLENGE and the region. */
static inline void fixture_hello(struct fixture *f, struct fixture_peer *p,
				 uint32_t flags, uint64_t now_ns)
{
	struct pst_wire_hello h = {
		.version = PST_WIRE_VERSION,
		.epoch = FIXTURE_EPOCH,
		.flags = flags,
		.pid = 4711,
		.name = "fixture",
	};
	struct pst_wire_challenge c;
	struct pst_frame in;

	if (fixture_recv(p, &in) <= 0 || in.type != PST_WIRE_CHALLENGE ||
	    pst_frame_challenge(&in, &c, NULL) < 0)
		return;
	h.nonce_slot = c.nonce_slot;
	memcpy(h.nonce,
	       pst_region_header(&f->agent.region)->nonce[c.nonce_slot].bytes,
	       sizeof(h.nonce));
	fixture_feed(p, PST_WIRE_HELLO, 1, &h, sizeof(h), now_ns);
}

#endif
