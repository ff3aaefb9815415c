/* SPDX-License-Identifier: MIT */
/* An inference from its JSON to its reply, in steps that never block. */
#include "host-client/gateway/oip/infer.h"

#include <string.h>

#include "host-client/gateway/http/routes.h"
#include "host-client/gateway/oip/elements.h"

/* JSON before binary data, and without any. */
#define HEAD_MAX   (1ULL << 20)
#define JSON_MAX   (16ULL << 20)
#define FIRST_ROOM 4096U
/* An operation that is over in so short a time is not worth a sleep. */
#define SPIN_NS (30 * PST_NS_PER_US)
/* Of an operation: while its agent does not answer, and in any case. */
#define SILENT_NS (5 * PST_NS_PER_S)
#define LONG_NS   (600 * PST_NS_PER_S)

/* ---- What it holds ---- */

static void give_back(struct pst_gw_infer *i)
{
	pst_gw_engines_leave(i->engines, &i->waiter);
	if (i->peer)
		pst_gw_peer_give_op(i->peer);
	i->peer = NULL;
	pst_gw_model_put(i->at.model);
	i->at.model = NULL;
	if (!i->link)
		return;
	pst_gw_upload_end(i->link, &i->upload);
	if (i->piece) {
		pst_gw_pool_put(&i->link->pool, i->piece);
		pst_gw_engines_rouse(i->engines);
	}
	i->piece = NULL;
	pst_gw_link_put(i->link);
	i->link = NULL;
}

static void infer_free(struct pst_gw_infer *i)
{
	give_back(i);
	pst_gw_text_done(&i->reply);
	free(i->call);
	free(i->text);
	free(i);
}

/* The operation goes on without its request, and ends sometime. */
static void part(struct pst_gw_infer *i)
{
	(void)pst_cancel(i->link->c, i->op.tag);
	i->request->state = NULL;
	i->request = NULL;
}

static void infer_done(struct pst_gw_request *r)
{
	struct pst_gw_infer *i = r->state;

	if (!i)
		return;
	if (i->running)
		part(i);
	else
		infer_free(i);
}

/* Waits for a change. Returns false. */
static bool wait(struct pst_gw_infer *i, const char *what)
{
	if (!pst_gw_engines_wait(i->engines, &i->waiter))
		pst_gw_reply_error(i->request, 503, "%s", what);
	return false;
}

/* ---- Before its binary data ---- */

static bool is_gemm(const struct pst_gw_infer *i)
{
	return strcmp(i->name, PST_GW_GEMM) == 0;
}

static int parse(struct pst_gw_infer *i, struct pst_error *err)
{
	i->call = malloc(sizeof(*i->call));
	return i->call ? pst_gw_call_read(i->call, i->text ? i->text : "",
					  i->text_n, err)
		       : pst_oom(err);
}

static bool read_call(struct pst_gw_infer *i)
{
	const uint64_t binary = i->request->length - i->text_size;

	if (i->parsed)
		return true;
	i->parsed = pst_gw_convert(i, parse, i->text_n);
	if (!i->parsed)
		return false;
	if (i->call->binary_bytes == binary)
		return true;
	pst_gw_reply_error(i->request, 400,
			   "the inputs declare %llu bytes of binary data; the "
			   "body has %llu",
			   (unsigned long long)i->call->binary_bytes,
			   (unsigned long long)binary);
	return false;
}

static bool find_model(struct pst_gw_infer *i)
{
	struct pst_error err = {0};
	int r = pst_gw_engines_find(i->engines, &i->at, &err);

	if (r == -EAGAIN)
		return wait(i, "the agent has not said yet what the model is");
	if (r < 0)
		pst_gw_oip_failure(i->request, &err);
	return r == 0;
}

static bool check(struct pst_gw_infer *i)
{
	struct pst_error err;
	int r = 0;

	if (i->checked)
		return true;
	r = is_gemm(i) ? pst_gw_gemm_check(i, &err)
		       : pst_gw_infer_check(i, &err);
	if (r < 0)
		pst_gw_oip_failure(i->request, &err);
	i->checked = r == 0;
	return i->checked;
}

static bool find_link(struct pst_gw_infer *i)
{
	struct pst_error err;
	int r = 0;

	if (!i->link)
		r = pst_gw_engine_link(i->at.engine, i->at.error_ns, &i->link,
				       &err);
	if (r == -EAGAIN)
		return wait(i, "the session with the agent is not open yet");
	if (r < 0)
		pst_gw_oip_failure(i->request, &err);
	/* Its tensors will lie there. */
	i->at.stays = r == 0;
	return r == 0;
}

/* ---- Where its tensors lie ---- */

static int add_up(const struct pst_io *io, uint32_t n, uint64_t *sum)
{
	uint32_t k;

	for (k = 0; k < n; k++) {
		/* Each has an address, also without elements. */
		if (pst_add_overflow(*sum, io[k].bytes ? io[k].bytes : 1,
				     sum) ||
		    *sum > UINT64_MAX / 2)
			return -EOVERFLOW;
		*sum = pst_round_up(*sum, PST_GW_POOL_ALIGN);
	}
	return 0;
}

static uint8_t *lay_out(struct pst_io *io, uint32_t n, uint8_t *at)
{
	uint64_t bytes;
	uint32_t k;

	for (k = 0; k < n; k++) {
		io[k].data = at;
		bytes = io[k].bytes ? io[k].bytes : 1;
		at += pst_round_up(bytes, PST_GW_POOL_ALIGN);
	}
	return at;
}

/* A piece of the region for all of them, in the place of a smaller one, whose
 * inputs move. */
static bool place(struct pst_gw_infer *i)
{
	struct pst_gw_pool *pool = &i->link->pool;
	struct pst_gw_piece *p = i->piece;
	uint64_t in = 0, all;

	if (i->placed)
		return true;
	if (add_up(i->in, i->call->n_in, &in) < 0 ||
	    (all = in, add_up(i->out, i->n_out, &all)) < 0 ||
	    all > pool->size) {
		pst_gw_reply_error(i->request, 413,
				   "the tensors take more than the %llu bytes "
				   "that there are for them (--memory)",
				   (unsigned long long)pool->size);
		return false;
	}
	if (!p || p->size < all)
		p = pst_gw_link_room(i->link, all);
	if (!p)
		return wait(i, "other requests hold all room for tensors");
	if (i->piece && p != i->piece) {
		memcpy(pool->base + p->off, pool->base + i->piece->off, in);
		pst_gw_pool_put(pool, i->piece);
	}
	i->piece = p;
	i->placed = true;
	lay_out(i->out, i->n_out,
		lay_out(i->in, i->call->n_in, pool->base + p->off));
	return true;
}

/* The elements of an input that are in the JSON. */
static int read_input(struct pst_gw_infer *i, struct pst_error *err)
{
	const uint32_t k = i->at_in++;
	const struct pst_gw_input *in = &i->call->in[k];
	const char *wrong = NULL;

	if (k == i->call->n_in)
		return 0;
	if (!in->is_binary)
		wrong = pst_gw_elements_read(in->data, in->dtype, in->rank,
					     in->dim, i->in[k].data);
	return wrong ? pst_error_set(err, -EINVAL, "input %.120s: %s", in->name,
				     wrong)
		     : -EAGAIN;
}

static bool read_elements(struct pst_gw_infer *i)
{
	if (i->read)
		return true;
	i->read = pst_gw_convert(i, read_input, i->text_n);
	if (!i->read)
		return false;
	if (i->call->binary_bytes)
		pst_gw_upload_begin(i->link, &i->upload);
	return true;
}

static bool prepare(struct pst_gw_infer *i)
{
	if (i->link && i->link->lost) {
		pst_gw_reply_error(i->request, 503,
				   "the agent went away; try again");
		return false;
	}
	return read_call(i) && find_model(i) && check(i) && find_link(i) &&
	       place(i) && read_elements(i);
}

/* ---- The operation ---- */

static void op_done(struct pst_gw_op *o, const struct pst_completion *end)
{
	struct pst_gw_infer *i = (struct pst_gw_infer *)o;

	i->running = false;
	i->ended = true;
	i->end = *end;
	if (i->request)
		pst_gw_go_on(i->request);
	else
		infer_free(i);
}

static void op_look(struct pst_gw_op *o, uint64_t now_ns)
{
	struct pst_gw_infer *i = (struct pst_gw_infer *)o;
	struct pst_gw_request *r = i->request;
	const uint64_t age_ns = now_ns - i->start_ns;
	const struct pst_gw_agent *a = i->at.engine->agent;

	if (!r)
		return;
	if (pst_gw_is_left(r))
		pst_gw_reply_error(r, 503, "the client went away");
	else if (age_ns > SILENT_NS && !a->seen->up)
		pst_gw_reply_error(r, 503, "agent %s does not answer: %s",
				   a->name, a->seen->error);
	else if (age_ns > LONG_NS)
		pst_gw_reply_error(r, 504, "it took longer than 10 minutes");
	else
		return;
	part(i);
	pst_gw_go_on(r);
}

static int submit(struct pst_gw_infer *i, struct pst_error *err)
{
	const struct pst_run_args r = {
		.size = sizeof(r),
		.model = i->at.model ? i->at.model->spec : NULL,
		.in = i->in,
		.out = i->out,
		.n_in = i->call->n_in,
		.n_out = i->n_out,
	};

	i->op.done = op_done;
	i->op.look = op_look;
	return is_gemm(i) ? pst_gw_gemm_submit(i, err)
			  : pst_gw_link_run(i->link, &i->op, &r, err);
}

static void failed(struct pst_gw_infer *i, int error, const char *text);

static void start(struct pst_gw_infer *i)
{
	struct pst_error err;
	uint64_t until_ns;
	int r;

	if (!i->peer && !(i->peer = pst_gw_take_op(i->request)))
		return;
	r = submit(i, &err);
	if (r == -EAGAIN) {
		(void)wait(i, "too many operations are under way");
		return;
	}
	if (r < 0) {
		failed(i, r, err.text);
		return;
	}
	i->running = true;
	i->start_ns = pst_now_ns();
	/* A short one is over before a sleep would begin. */
	until_ns = i->start_ns + SPIN_NS;
	if (i->link->n_ops == 1)
		while (i->running && pst_now_ns() < until_ns)
			(void)pst_gw_link_collect(i->link);
	if (i->running)
		pst_gw_wait(i->request);
}

/* ---- What became of it ---- */

static struct pst_gw_infer *of_why(struct pst_gw_job *j)
{
	return (void *)((char *)j - offsetof(struct pst_gw_infer, why));
}

static int ask_why(struct pst_gw_job *j, struct pst *c, struct pst_error *err)
{
	struct pst_gw_infer *i = of_why(j);
	int r = pst_failure(i->link->c, i->op.tag, err->text,
			    sizeof(err->text));

	(void)c;
	if (r < 0 || !err->text[0])
		pst_error_set(err, i->end.status, "%s",
			      pst_strerror(i->end.status));
	return i->end.status;
}

static void told_why(struct pst_gw_job *j)
{
	struct pst_gw_infer *i = of_why(j);

	pst_gw_oip_failure(i->request, &j->error);
	pst_gw_go_on(i->request);
}

/* text: why, or NULL if the agent knows. */
static void failed(struct pst_gw_infer *i, int error, const char *text)
{
	struct pst_error err = {.code = error};

	if ((error == -ENOENT || error == -ESTALE) && i->at.model &&
	    !i->renewed && !i->link->lost) {
		/* Another model has its name now, or none. */
		i->renewed = true;
		i->at.spec_ns = i->at.error_ns = pst_now_ns();
		pst_gw_model_put(i->at.model);
		i->at.model = NULL;
		i->checked = i->placed = false;
		if (prepare(i))
			start(i);
	} else if (i->link->lost || error == -ECONNRESET || error == -ESTALE) {
		pst_gw_reply_error(i->request, 503,
				   "the agent went away during the operation");
	} else if (text) {
		snprintf(err.text, sizeof(err.text), "%s", text);
		pst_gw_oip_failure(i->request, &err);
	} else {
		i->why.run = ask_why;
		i->why.done = told_why;
		i->why.no_connection = true;
		pst_gw_worker_give(&i->at.engine->quick, &i->why);
		pst_gw_wait(i->request);
	}
}

static bool is_too_small(const struct pst_gw_infer *i)
{
	uint32_t k;

	for (k = 0; k < i->n_out; k++)
		if (i->out[k].flags & PST_IO_TOO_SMALL)
			return true;
	return false;
}

static void finish(struct pst_gw_infer *i)
{
	i->ended = false;
	if (i->end.status == 0) {
		i->answering = true;
		pst_gw_infer_answer(i);
	} else if (i->end.status == -EMSGSIZE && !i->grown && i->at.model &&
		   is_too_small(i)) {
		/* Now it is known how large they are. */
		i->grown = true;
		i->placed = false;
		if (place(i))
			start(i);
	} else {
		failed(i, i->end.status, NULL);
	}
}

/* ---- The route ---- */

static void begin(struct pst_gw_request *r)
{
	const char *head = pst_gw_header(r, "Inference-Header-Content-Length");
	const uint64_t json_max = head ? HEAD_MAX : JSON_MAX;
	struct pst_gw_infer *i;
	uint64_t n = r->length;

	if (!pst_gw_oip_version(r))
		return;
	if (head && (pst_gw_length(head, &n) < 0 || n > r->length)) {
		pst_gw_reply_error(r, 400,
				   "Inference-Header-Content-Length is no "
				   "length within the body");
		return;
	}
	if (n > json_max || r->length - n > r->context->options->memory) {
		pst_gw_reply_error(
			r, 413,
			"the body is too large: JSON may have %llu bytes, "
			"binary data %llu",
			(unsigned long long)json_max,
			(unsigned long long)r->context->options->memory);
		return;
	}
	i = malloc(sizeof(*i));
	if (!i) {
		pst_gw_reply_error(r, 503, "out of memory");
		return;
	}
	/* The rest is large, and set when it is needed. */
	memset(i, 0, offsetof(struct pst_gw_infer, in));
	r->state = i;
	i->engines = r->context->engines;
	i->request = i->waiter.request = i->upload.request = r;
	i->name = r->word[0];
	i->at.name = is_gemm(i) ? NULL : i->name;
	i->at.error_ns = pst_now_ns();
	i->text_size = n;
}

/* The JSON's part of what has come. */
static size_t take_text(struct pst_gw_infer *i, const char *data, size_t n)
{
	uint64_t room = i->text_room ? i->text_room : FIRST_ROOM;
	char *text;

	n = pst_min_u64(n, i->text_size - i->text_n);
	while (room < i->text_n + n)
		room *= 2;
	if (room != i->text_room) {
		text = realloc(i->text, room);
		if (!text) {
			pst_gw_reply_error(i->request, 503, "out of memory");
			return n;
		}
		i->text = text;
		i->text_room = room;
	}
	memcpy(i->text + i->text_n, data, n);
	i->text_n += n;
	return n;
}

/* Binary data goes to where its inputs lie, and is copied nowhere else. */
static void take_binary(struct pst_gw_infer *i, const char *data, size_t n)
{
	const struct pst_gw_input *in;
	uint64_t k;

	while (n > 0 && i->filling < i->call->n_in) {
		in = &i->call->in[i->filling];
		if (!in->is_binary || i->filled == in->bytes) {
			i->filling++;
			i->filled = 0;
			continue;
		}
		k = pst_min_u64(n, in->bytes - i->filled);
		memcpy((char *)i->in[i->filling].data + i->filled, data, k);
		i->filled += k;
		data += k;
		n -= k;
	}
}

static size_t body(struct pst_gw_request *r, const char *data, size_t n)
{
	struct pst_gw_infer *i = r->state;
	size_t taken = 0;

	if (i->text_n < i->text_size)
		taken = take_text(i, data, n);
	if (r->status || taken == n)
		return n;
	if (!prepare(i)) {
		if (r->status)
			give_back(i);
		return r->status ? n : taken;
	}
	take_binary(i, data + taken, n - taken);
	return n;
}

static void handle(struct pst_gw_request *r)
{
	struct pst_gw_infer *i = r->state;

	if (i->answering) {
		pst_gw_infer_answer(i);
	} else if (!i->ended && prepare(i)) {
		pst_gw_upload_end(i->link, &i->upload);
		start(i);
	}
	while (i->ended && !r->status && !r->waiting)
		finish(i);
	if (r->status)
		give_back(i);
}

const struct pst_gw_route pst_gw_infer_routes[] = {
	{.path = "/v2/models/*/infer",
	 .methods = PST_GW_POST,
	 .begin = begin,
	 .body = body,
	 .handle = handle,
	 .done = infer_done},
	{.path = "/v2/models/*/versions/*/infer",
	 .methods = PST_GW_POST,
	 .begin = begin,
	 .body = body,
	 .handle = handle,
	 .done = infer_done},
	{0},
};
